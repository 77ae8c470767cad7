-- SPDX-License-Identifier: Apache-2.0
-- Files that fail while the standard library reads or writes them: opening, reading, writing and closing, by an io.open of the test's own; and
-- every reader given its file cut at every byte. Errors are one line that names the file; the next reading gives the undisturbed data.

local t = require "tap"
local peri = require "perigee"

local samples = {
  csv = "a,b\n1,2.5\n-3,4e2\n",
  libsvm = "+1 1:0.5 3:-2\n-1 2:1.25\n",
  matrix_market = "%%MatrixMarket matrix coordinate real symmetric\n3 3 3\n1 1 2.5\n2 1 -1e-3\n3 3 4\n",
  matpower = "function mpc = two\nmpc.version = '2';\nmpc.baseMVA = 100;\nmpc.bus = [\n1 3 0 0 0 0 1 1 0 230 1 1.1 0.9;\n"
    .. "2 1 90 30 0 0 1 1 0 230 1 1.1 0.9;\n];\nmpc.gen = [\n1 50 0 300 -300 1 100 1 250 10;\n];\n"
    .. "mpc.branch = [\n1 2 0.01 0.085 0.176 250 250 250 0 0 1 -360 360;\n];\nmpc.gencost = [\n2 1500 0 3 0.11 5 150;\n];\n",
}

local real = io.open
local contents, failing

--- A file in memory whose operation `failing` fails as the system says it.
local function open(path, mode)
  if path ~= "the-file" then return real(path, mode) end
  if failing == "open" then return nil, "the-file: Too many open files", 24 end
  local file = {}
  function file:read() if failing == "read" then return nil, "Input/output error", 5 end return contents end
  function file:write() if failing == "write" then return nil, "No space left on device", 28 end return self end
  function file:close() if failing == "close" then return nil, "No space left on device", 28 end return true end
  return file
end

local function text_of(value, seen)
  if type(value) ~= "table" or seen[value] then return tostring(value) end
  seen[value] = true
  local parts = {}
  for k, v in pairs(value) do parts[#parts + 1] = tostring(k) .. "=" .. text_of(v, seen) end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

local function read(name)
  io.open = open
  local ok, out = pcall(peri.data[name], "the-file")
  io.open = real
  return ok, ok and text_of(out, {}) or out
end

local function is_said(out)
  return type(out) == "string" and out:find("the-file", 1, true) ~= nil and not out:find "attempt to" and not out:find "\n"
end

for name, text in pairs(samples) do
  contents, failing = text, nil
  local ok, want = read(name)
  t.ok(ok, name .. ": reads its sample" .. (ok and "" or ": " .. want))
  for what, why in pairs { open = "Too many open files", read = "Input/output error" } do
    failing = what
    local done, out = read(name)
    t.ok(not done and is_said(out) and out:find(why, 1, true), ("%s: %s fails: %s"):format(name, what, tostring(out)))
  end
  failing = nil
  local mute = {}
  for k = 0, #text - 1 do
    contents = text:sub(1, k)
    local done, out = read(name)
    if not done and not is_said(out) then mute[#mute + 1] = ("cut at byte %d: %s"):format(k, tostring(out)) end
  end
  t.is(table.concat(mute, "; "), "", name .. ": a file cut anywhere is read or refused with its name")
  contents = text
  local again, out = read(name)
  t.ok(again and out == want, name .. ": and the next one is read as ever")
end

do -- writing a picture's numbers
  local m = peri.model "plotted"
  local x = m:var("x", 2, { start = 3 })
  m:minimize((x - 1):dot(x - 1) + (x[1] * x[2])^2)
  local sol = m:solve "lbfgs"
  for what in pairs { open = 1, write = 1, close = 1 } do
    failing = what
    io.open = function(path, mode)
      if path:find("perigee-picture", 1, true) then return open("the-file", mode) end
      return real(path, mode)
    end
    local ok, why = pcall(peri.plots.convergence, sol, "/tmp/perigee-picture.svg")
    io.open = real
    t.ok(not ok and tostring(why):find "^[^\n]*cannot write [^\n]*$", ("a picture: %s fails: %s"):format(what, tostring(why)))
  end
end

t.done()
