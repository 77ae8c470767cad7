-- SPDX-License-Identifier: Apache-2.0
-- What bench/building measures, one way of writing a model a process: `perigee run building.lua WAY N`. The model is built, grouped, derived and
-- compiled up to first derivatives, and evaluated once; printed are seconds of the processor for the former, and the peak of the whole process.

local peri = require "perigee"
local way, n = arg[1], math.tointeger(tonumber(arg[2]))
local exp, sin = peri.exp, peri.sin

--- Each makes the objective of n terms; the constants are made before the clock starts.
local constants = {}
if way == "loop_constants" or way == "loop_sine" or way == "map_constants" then
  for i = 1, n do constants[i] = math.sin(i) + 1.5 end
end

local ways = {
  loop_power = function(x) -- five operations a term with its addition
    local sum = 0
    for i = 1, n do sum = sum + 100 * (x[i + 1] - x[i]^2)^2 end
    return sum
  end,
  loop_rosenbrock = function(x) -- nine
    local sum = 0
    for i = 1, n do sum = sum + 100 * (x[i + 1] - x[i]^2)^2 + (1 - x[i])^2 end
    return sum
  end,
  loop_constants = function(x) -- five, with a constant each
    local sum, c = 0, constants
    for i = 1, n do sum = sum + c[i] * (x[i + 1] - x[i]^2)^2 end
    return sum
  end,
  loop_sine = function(x) -- five, with a constant each
    local sum, c = 0, constants
    for i = 1, n do sum = sum + exp(sin(x[i] * c[i]) - x[i + 1]) end
    return sum
  end,
  loop_shuffled = function(x) -- five, in no order
    local sum, i = 0, 0
    for _ = 1, n do
      i = (i + 7368787) % n
      sum = sum + 100 * (x[i + 2] - x[i + 1]^2)^2
    end
    return sum
  end,
  map = function(x)
    return peri.map(n, function(i) return 100 * (x[i + 1] - x[i]^2)^2 + (1 - x[i])^2 end):sum()
  end,
  map_constants = function(x)
    local c = peri.array(constants)
    return peri.map(n, function(i) return c[i] * (x[i + 1] - x[i]^2)^2 end):sum()
  end,
}

local function peak()
  for line in io.lines "/proc/self/status" do
    local kilobytes = line:match "VmHWM:%s*(%d+)"
    if kilobytes then return tonumber(kilobytes) * 1024 end
  end
  return 0
end

--- A model of the way, built, and the processor's seconds that building it took.
local function build()
  local m = peri.model(way)
  local x = m:var("x", n + 1, { start = 0.5 })
  local start = os.clock()
  m:minimize(ways[way](x))
  return m, os.clock() - start
end

local function solve(m, callback)
  local start = os.clock()
  local s = m:solve("once", { callback = callback })
  return os.clock() - start, s.times.building
end

local empty = peri.model "before"
empty:var("x", n + 1, { start = 0.5 })
local before = peak()
empty:close()
local m, built = build()
local compiled
local first = solve(m, function() compiled = compiled or peak() end)
local all = peak()
-- What a solve takes less when it is done again is what was grouped, derived and compiled. Of peri.map that is less than what solves differ by: there the
-- least of several models' time by the wall clock.
local compile = first - solve(m)
m:close()
for _ = 1, way:match "^map" and 7 or 0 do
  local again, seconds = build()
  local _, wall = solve(again)
  built, compile = math.min(built, seconds), math.min(compile > 0 and compile or wall, wall)
  again:close()
end
print(("%-16s %7.3f s built %7.3f s grouped, derived, compiled; peak %4.0f bytes a term, %4.0f with the solution and its certificate; %3.0f before"):format(
  way, built, compile, compiled / n, all / n, before / n))
if arg[3] then
  local file <close> = assert(io.open(arg[3], "a"))
  file:write(('  "building_%s": {"n": %d, "build_seconds": %.6g, "compile_seconds": %.6g, "total_seconds": %.6g, '):format(way, n, built, compile,
    built + compile), ('"peak_bytes_per_term": %.6g},\n'):format(compiled / n))
end
