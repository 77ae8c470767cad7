-- SPDX-License-Identifier: Apache-2.0
-- tap.lua - tests in Lua that speak TAP, as tap.h does in C:
--
--   local t = require "tap"
--   t.plan(2)
--   t.is(1 + 1, 2, "addition")
--   t.raises(function() error "no" end, "no", "an error says no")
--   t.done()

local tap = {}
local planned, run, failed = nil, 0, 0

io.stdout:setvbuf "line"

function tap.plan(n)
  planned = n
  print("1.." .. n)
end

function tap.skip_all(reason)
  print("1..0 # SKIP " .. reason)
  os.exit(0, true)
end

function tap.diag(format, ...)
  local text = select("#", ...) > 0 and format:format(...) or tostring(format)
  print("# " .. text:gsub("\n", "\n# "))
end

function tap.ok(passed, name)
  run = run + 1
  if not passed then failed = failed + 1 end
  print(("%s %d - %s"):format(passed and "ok" or "not ok", run, (name or ""):gsub("[#\n]", " ")))
  if not passed then
    local at = debug.getinfo(2, "Sl")
    for level = 3, 4 do -- the caller outside this file
      if at and at.short_src:match "tap%.lua$" then at = debug.getinfo(level, "Sl") end
    end
    if at then tap.diag("at %s:%d", at.short_src, at.currentline) end
  end
  return passed and true or false
end

function tap.is(got, want, name)
  local passed = tap.ok(got == want, name)
  if not passed then tap.diag("got %s, want %s", tostring(got), tostring(want)) end
  return passed
end

local function near(got, want, rtol, atol)
  if type(got) ~= "number" then return false end
  if got ~= got or want ~= want then return got ~= got and want ~= want end
  if got == want then return true end
  return math.abs(got - want) <= atol + rtol * math.abs(want) and math.abs(got - want) < math.huge
end

-- |got - want| <= atol + rtol |want|
function tap.is_close(got, want, rtol, atol, name)
  local passed = tap.ok(near(got, want, rtol, atol), name)
  if not passed then
    tap.diag(type(got) == "number" and "got %.17g, want %.17g" or "got %s, want %.17g",
      type(got) == "number" and got or tostring(got), want)
  end
  return passed
end

-- sequences, or anything with # and [i]
function tap.all_close(got, want, rtol, atol, name)
  if #got ~= #want then
    tap.ok(false, name)
    tap.diag("got %d entries, want %d", #got, #want)
    return false
  end
  for i = 1, #want do
    if not near(got[i], want[i], rtol, atol) then
      tap.ok(false, name)
      tap.diag("entry %d: got %s, want %.17g", i, tostring(got[i]), want[i])
      return false
    end
  end
  return tap.ok(true, name)
end

-- `part` occurs in text (no pattern)
function tap.has(text, part, name)
  local passed = tap.ok(type(text) == "string" and text:find(part, 1, true) ~= nil, name)
  if not passed then tap.diag("got  %s\nwant ...%s...", tostring(text), part) end
  return passed
end

-- fn(...) raises an error whose text contains `part`
function tap.raises(fn, part, name, ...)
  local fine, err = pcall(fn, ...)
  if fine then
    tap.ok(false, name)
    tap.diag("no error; want ...%s...", part)
    return false
  end
  return tap.has(tostring(err), part, name)
end

function tap.skip(n, reason)
  for _ = 1, n do
    run = run + 1
    print(("ok %d # SKIP %s"):format(run, reason))
  end
end

-- PERI_TEST_LONG=1: tests that take more than some seconds are wanted
function tap.long()
  return os.getenv "PERI_TEST_LONG" == "1"
end

function tap.done()
  if not planned then
    planned = run
    print("1.." .. run)
  end
  if run ~= planned then tap.diag("planned %d tests, ran %d", planned, run) end
  if failed > 0 then tap.diag("%d of %d failed", failed, run) end
  os.exit(failed == 0 and run == planned, true)
end

return tap
