-- SPDX-License-Identifier: Apache-2.0
-- Memory: cycles are collected, arrays and models do not pile up, a failing allocation is an error and leaves nothing behind.
local t = require "tap"
local peri = require "perigee"

local function used()
  collectgarbage()
  collectgarbage()
  peri.debug.forget()
  local bytes = peri.debug.memory()
  return bytes
end

-- models whose callbacks capture them
local gone = setmetatable({}, { __mode = "k" })
local alive = 0
do
  local before = used()
  for _ = 1, 100 do
    local m = peri.model "cycle"
    local x = m:var("x", 10)
    local f = peri.blackbox(function(a) return m and a[1] end, x)
    m:minimize(f + x:sum())
    gone[m] = true
  end
  collectgarbage()
  collectgarbage()
  for _ in pairs(gone) do alive = alive + 1 end
  t.is(alive, 0, "100 of 100 model and callback cycles are collected")
  t.is(used(), before, "and the engine's memory with them")
end

-- big arrays: the collector sees their size
do
  collectgarbage()
  local most = 0
  for _ = 1, 20000 do
    local a = peri.zeros(16384) -- 128 KiB
    a[1] = 1
    most = math.max(most, collectgarbage "count")
  end
  t.ok(most < 64 * 1024, ("20000 arrays of 128 KiB peak at %.0f KiB"):format(most))
end

-- models that are dropped: the collector is told
do
  local before, most = used(), 0
  for _ = 1, 300 do
    local m = peri.model "large"
    m:var("x", 100000)
    local bytes = peri.debug.memory()
    most = math.max(most, bytes - before)
  end
  t.ok(most < 100 * 2.4e6, ("300 models of 2.4 MB peak at %.0f MB"):format(most / 1e6))
  t.is(used(), before, "and all are gone in the end")
end

-- solutions keep what they need, in whatever order things go
do
  local before = used()
  local function solve()
    local m = peri.model "order"
    local x = m:var("x", 2)
    m:minimize((x - 1):dot(x - 1))
    m:subject_to(x:sum() <= 1)
    return m:solve("ipm"), x
  end
  local sol, x = solve()
  collectgarbage()
  t.all_close(sol[x], { 0.5, 0.5 }, 1e-5, 0, "a solution keeps its model")
  sol, x = nil, nil -- luacheck: ignore
  t.ok(used() <= before + 65536, "and lets it go (but for what is known of the plugins)")
end

-- the k-th allocation of the engine fails, once or from then on; then everything works again
local function script()
  local m = peri.model "fault"
  local x = m:var("x", 3, { lower = -1, start = { 1, 2, 3 } })
  local p = m:param("p", { 1, 2, 3 })
  local f = ((x - p)^2):sum() + peri.map(2, function(i) return x[i] * x[i + 1] end):sum()
  m:minimize(f)
  local h = m:subject_to("c", x:sum() <= 1, peri.between(0, x[1], 5))
  local g = peri.grad(f, x):value()
  local sol = m:solve("ipm")
  local dual = sol:dual(h)
  return #sol:json() > 0 and #tostring(f) > 0 and #tostring(sol) > 0 and g[1] + sol[x][1] + dual[1]
end
local want = script()
for _, persistent in ipairs { false, true } do
  local name = persistent and "persistent" or "transient"
  local failures, other, leaks, k = 0, nil, 0, 0
  local base = used()
  repeat
    k = k + 1
    peri.debug.fail_at(k, persistent)
    local fine, err = pcall(script)
    peri.debug.fail_at(0)
    if not fine then
      failures = failures + 1
      if not tostring(err):find("memory", 1, true) then other = other or ("%d: %s"):format(k, tostring(err)) end
    elseif not (math.abs(err - want) < 1e-6) then
      other = other or ("%d: a wrong result"):format(k)
    end
    if k % 50 == 0 and used() > base then leaks = leaks + 1 end
    local step = fine and k > 60
  until step or k > 5000
  t.ok(failures > 50, ("%s: %d injected failures"):format(name, failures))
  t.is(other, nil, name .. ": each says that memory is out")
  t.is(leaks, 0, name .. ": nothing is left behind")
  t.is_close(script(), want, 1e-9, 0, name .. ": then all works again")
  t.is(used() <= base, true, name .. ": and the memory is what it was")
end

-- expressions of which no two have the same form: what deriving them takes at its peak grows in proportion to their number
do
  local irregular = dofile(os.getenv "PERIGEE_SOURCE" .. "/bench/families/irregular.lua")
  local function peak_of(count)
    local m = irregular.build { count = count, n = count // 10 }
    m:solve("ipm", { iterations = 0 })
    m:close()
    return select(2, peri.debug.memory())
  end
  local small = peak_of(1000)
  local large = peak_of(4000)
  t.ok(large < 6 * small, ("peak memory of 1000 and 4000 expressions: %.0f and %.0f MB"):format(small / 1e6, large / 1e6))
end

t.done()
