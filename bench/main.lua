-- SPDX-License-Identifier: Apache-2.0
-- What bench/run measures, from inside `perigee run`. Rows are { key, label, seconds, reference seconds, name }.

local peri = require "perigee"

local work, build = assert(os.getenv "BENCH_WORK"), assert(os.getenv "BENCH_BUILD")
local rows = {}

--- Add a row to the table; a ratio below 1 means faster than the reference.
local function row(key, label, seconds, reference, name)
  rows[#rows + 1] = { key = key, label = label, seconds = seconds, reference = reference, name = name }
end

--- The number that a command prints.
local function measure(command)
  local pipe <close> = assert(io.popen(command .. " 2>/dev/null"))
  return assert(tonumber(pipe:read "l"), command)
end

--- Seconds of processor time for one call, the least of `repeats`, and what the last call returned.
local function clock(repeats, fn)
  local best, result = math.huge, nil
  for _ = 1, repeats do
    collectgarbage()
    local start = os.clock()
    result = table.pack(fn())
    best = math.min(best, os.clock() - start)
  end
  return best, table.unpack(result)
end

-- ---- start-up -----------------------------------------------------------------------------------------------------

local function startup()
  local lua = measure(work .. "/spawn 101 lua5.4 -e 'print(1)'")
  local plain = "PERIGEE_PLUGIN_PATH=%s %s/spawn 101 %s/perigee run bench/startup.lua"
  row("startup", "perigee run, Rosenbrock in two variables",
    measure(plain:format(build .. "/plugins", work, build)), lua, "lua5.4 -e 'print(1)'")
  row("startup_100", "  with a hundred more plugins",
    measure(plain:format(build .. "/plugins:" .. work .. "/many", work, build)), lua, "lua5.4 -e 'print(1)'")
end

-- ---- PGLib 1354pegase ---------------------------------------------------------------------------------------------

--- Rows of what one evaluation of a model costs.
local function evaluations(key, m, note)
  local s = m:solve("stopwatch", { repeats = 200 })
  local what = { constraints = "constraints", jacobian = "Jacobian", hessian = "Hessian of the Lagrangian" }
  for _, kind in ipairs { "constraints", "jacobian", "hessian" } do
    row(key .. "_" .. kind, ("1354pegase: %s%s once"):format(note or "", what[kind]),
      s.times[kind] / s.evaluations[kind])
  end
end

local function power(path)
  local reading, case = clock(3, function() return peri.power.read(path) end)
  local building, m = clock(3, function() return (peri.power.acopf(case)) end)
  row("opf_read", "1354pegase: reading the file", reading)
  row("opf_build", "1354pegase: building the model in Lua", building)

  row("opf_compile", "1354pegase: derivatives and compilation", m:solve("stopwatch", { repeats = 1 }).times.building)
  evaluations("opf", m)
  evaluations("opf_flows", peri.power.acopf(case, { flow_variables = true }), "flows as variables, ")

  local sol = m:solve("ipm", { tolerance = 1e-6 })
  local t = sol.times
  local evaluation = t.objective + t.gradient + t.constraints + t.jacobian + t.hessian + t.products
  local reference, name
  if pcall(function()
    local other = peri.power.acopf(case):solve("ipopt", { tolerance = 1e-6 })
    reference, name = other.times.total, ("Ipopt, %d iterations, kkt %.0e"):format(other.evaluations.gradient,
      other.certificate.kkt)
  end) == false then reference, name = nil, nil end
  row("opf_solve", ("1354pegase: ipm, %d iterations, %s, kkt %.0e"):format(sol.iterations, sol.status,
    sol.certificate.kkt), t.total, reference, name)
  row("opf_evaluation", "  derivative evaluation", evaluation)
  row("opf_linear_algebra", "  factorisations and solves", t.linear_algebra)
  row("opf_rest", "  the rest (compilation, the method itself)", t.total - evaluation - t.linear_algebra)
  return ("1354pegase objective %.6g (published 1.2588e+06)"):format(sol.objective)
end

-- ---- a million variables ------------------------------------------------------------------------------------------

local n = 1000000

--- Seconds for value and gradient of the chained Rosenbrock sum as `make` writes it.
local function rosenbrock(make)
  local start = os.clock()
  local m = peri.model "chained"
  local first = {}
  for i = 1, n do first[i] = i % 2 == 1 and -1.2 or 1 end
  local x = m:var("x", n, { start = peri.array(first) })
  m:minimize(make(x))
  local built = os.clock() - start
  local seconds = {}
  for k = 1, 7 do
    local s = m:solve("stopwatch", { repeats = 5 })
    seconds[k] = s.times.gradient / s.evaluations.gradient
  end
  table.sort(seconds)
  return seconds[4], built
end

local function million()
  local c = measure(("%s/rosenbrock %d 50"):format(work, n))
  local mapped, built_map = rosenbrock(function(x)
    return peri.map(n - 1, function(i) return 100 * (x[i + 1] - x[i]^2)^2 + (1 - x[i])^2 end):sum()
  end)
  local looped, built_loop = rosenbrock(function(x)
    local sum = 0
    for i = 1, n - 1 do sum = sum + 100 * (x[i + 1] - x[i]^2)^2 + (1 - x[i])^2 end
    return sum
  end)
  local grouped = rosenbrock(function(x)
    local sum = 0
    for i = 1, n - 1 do sum = sum + (100 * (x[i + 1] - x[i]^2)^2 + (1 - x[i])^2) end
    return sum
  end)
  row("rosenbrock_map", "Rosenbrock, n = 10^6, value and gradient, peri.map", mapped, c, "C, -O3 -march=native")
  row("rosenbrock_loop", "Rosenbrock, n = 10^6, value and gradient, Lua loop", looped, c, "C, -O3 -march=native")
  row("rosenbrock_grouped", "  with each round's two terms in parentheses", grouped, c, "C, -O3 -march=native")
  row("rosenbrock_map_build", "  building by peri.map", built_map)
  row("rosenbrock_loop_build", "  building by a Lua loop", built_loop)
end

-- ---- printing -----------------------------------------------------------------------------------------------------

local function seconds(s)
  if s < 1e-3 then return ("%8.1f us"):format(1e6 * s) end
  if s < 1 then return ("%8.2f ms"):format(1e3 * s) end
  return ("%8.3f s "):format(s)
end

local function print_table()
  for _, r in ipairs(rows) do
    local against = r.reference and ("%8.2f x %s (%s)"):format(r.seconds / r.reference, r.name,
      seconds(r.reference):match "^%s*(.-)%s*$") or ""
    print(("%-62s %s  %s"):format(r.label, seconds(r.seconds), against))
  end
end

local function write_json(path)
  local parts = {}
  for k, r in ipairs(rows) do
    local reference = r.reference and (', "reference": "%s", "reference_seconds": %.9g, "ratio": %.6g'):format(
      r.name:gsub("[\"\\]", " "), r.reference, r.seconds / r.reference) or ""
    parts[k] = ('  "%s": {"seconds": %.9g%s}'):format(r.key, r.seconds, reference)
  end
  local file <close> = assert(io.open(path, "w"))
  file:write("{\n", table.concat(parts, ",\n"), "\n}\n")
end

startup()
local path = "../shared/data/pglib-opf/pglib_opf_case1354_pegase.m"
local file = io.open(path)
local note = file and power(path) or ("1354pegase left out: no " .. path)
million()
print_table()
print(note)
if arg[1] then write_json(arg[1]) end
