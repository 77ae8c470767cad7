-- SPDX-License-Identifier: Apache-2.0
-- Other programs, where they are installed. AMPL's solver library: Luksan-Vlcek 5.1 with n = 10000 (luksan_vlcek_1.lua), written as a .nl file
-- (D. M. Gay, Writing .nl files, Sandia report 2005-7907P). SciPy: its own functions for the chained Rosenbrock sum, n = 10^6.

local family = { about = "beside AMPL's solver library (Luksan-Vlcek 5.1, n = 10000) and SciPy (Rosenbrock, n = 10^6)" }

local PLUS, MINUS, TIMES, POWER, NEGATE, SIN, EXP, SUM = "o0", "o1", "o2", "o5", "o16", "o41", "o44", "o54"
local START = { [0] = 1, [1] = -1.2 }

--- The lines of constraint k (from 1) without its linear part: 3 a^3 + sin(a - b) sin(a + b) - u exp(u - a).
local function constraint(k)
  local u, a, b = "v" .. k - 1, "v" .. k, "v" .. k + 1
  return { SUM, 3, TIMES, "n3", POWER, a, "n3", TIMES, SIN, MINUS, a, b, SIN, PLUS, a, b, NEGATE, TIMES, u, EXP, MINUS, u, a }
end

local function term(i)
  local a, b = "v" .. i - 1, "v" .. i
  return { TIMES, "n100", POWER, MINUS, POWER, a, "n2", b, "n2", POWER, MINUS, a, "n1", "n2" }
end

local function write_nl(path, n)
  local file <close> = assert(io.open(path, "w"))
  local m = n - 2
  local function line(...) file:write(table.concat({ ... }, " "), "\n") end
  local function lines(list) file:write(table.concat(list, "\n"), "\n") end
  lines { "g3 1 1 0", (" %d %d 1 0 %d"):format(n, m, m), (" %d 1"):format(m), " 0 0", (" %d %d %d"):format(n, n, n), " 0 0 0 1",
    " 0 0 0 0 0", (" %d %d"):format(3 * m, n), " 0 0", " 0 0 0 0 0" }
  for k = 1, m do
    line("C" .. k - 1)
    lines(constraint(k))
  end
  lines { "O0 0", SUM, 2 * (n - 1) }
  for i = 1, n - 1 do lines(term(i)) end
  line("x" .. n)
  for i = 1, n do line(i - 1, START[i % 2]) end
  line "r"
  for _ = 1, m do line(4, 8) end
  line "b"
  for _ = 1, n do line(3) end
  line("k" .. n - 1)
  local count = 0
  for j = 1, n - 1 do
    count = count + math.min(j, 3, n - j + 1, m)
    line(count)
  end
  for k = 1, m do
    lines { "J" .. k - 1 .. " 3", k - 1 .. " 0", k .. " 4", k + 1 .. " 2" }
  end
  line("G0", n)
  for j = 1, n do line(j - 1, 0) end
end

--- Sum of the constraints' bodies at the start point, where they have two values.
local function sum_of_constraints(n)
  local sum = 0
  for k = 1, n - 2 do
    local u, a, b = START[k % 2], START[(k + 1) % 2], START[(k + 2) % 2]
    sum = sum + 3 * a^3 + math.sin(a - b) * math.sin(a + b) - u * math.exp(u - a) + 4 * a + 2 * b
  end
  return sum
end

local function asl_times(bench, n)
  local program, stub = bench.work .. "/asl", bench.work .. "/chain.nl"
  local made = os.execute(("%s -O2 -I/usr/include/ampl-netlib-solvers bench/asl.c -o %s -lamplsolver -ldl -lm 2>/dev/null")
    :format(os.getenv "CC" or "gcc", program))
  if not made then return nil end
  write_nl(stub, n)
  local pipe <close> = assert(io.popen(program .. " " .. stub))
  local times = {}
  for _, kind in ipairs { "gradient", "constraints", "jacobian", "hessian", "sum" } do times[kind] = pipe:read "n" end
  local want = sum_of_constraints(n)
  assert(times.sum and math.abs(times.sum - want) < 1e-9 * math.abs(want), "AMPL's library has another sum of constraints")
  return times
end

--- A line for each kind of evaluation that they have a time for.
local function beside(bench, model, what, theirs, name)
  local path = bench.work .. "/peers.lua"
  model:solve("stopwatch", { report = path, seconds = 0.1, products = false })
  model:close()
  for _, found in ipairs(dofile(path).rows) do
    if theirs[found.kind] then
      bench.row { key = what .. "_" .. found.kind, label = ("%s, %s"):format(what, found.kind), seconds = found.seconds,
        reference_seconds = theirs[found.kind], reference = name }
    end
  end
end

local function ampl(bench)
  local n = 10000
  local theirs = asl_times(bench, n)
  if not theirs then
    bench.row { key = "asl_absent", text = "left out: no libamplsolver (Debian: libamplsolver-dev)" }
    return
  end
  local chain = dofile "bench/families/luksan_vlcek_1.lua"
  beside(bench, chain.build { n = n, way = "map" }, "Luksan-Vlcek", theirs, "AMPL's solver library")
end

local SCIPY = [[
import time, numpy
from scipy.optimize import rosen, rosen_der
x = numpy.where(numpy.arange(%d) %% 2 == 0, -1.2, 1.0)
def seconds():
    start = time.process_time()
    f, g = rosen(x), rosen_der(x)
    return time.process_time() - start
print(sorted(seconds() for _ in range(15))[7])
]]

local function scipy(bench)
  local n, path = 1000000, bench.work .. "/rosenbrock.py"
  do
    local file <close> = assert(io.open(path, "w"))
    file:write(SCIPY:format(n))
  end
  local ok, seconds = pcall(bench.command, (os.getenv "PYTHON" or "python3") .. " " .. path)
  if not ok then
    bench.row { key = "scipy_absent", text = "left out: no SciPy (Debian: python3-scipy; $PYTHON names another interpreter)" }
    return
  end
  local rosenbrock = dofile "bench/families/rosenbrock.lua"
  beside(bench, rosenbrock.build { n = n, way = "map" }, "Rosenbrock", { gradient = seconds }, "SciPy's rosen and rosen_der")
end

function family.rows(bench)
  if bench.mode == "check" then return end
  ampl(bench)
  scipy(bench)
end

return family
