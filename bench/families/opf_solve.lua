-- SPDX-License-Identifier: Apache-2.0
-- PGLib's case1354_pegase from the file to the solution, beside Ipopt on the same model where it is installed.

local peri = require "perigee"

local family = { about = "AC-OPF 1354pegase from file to solution" }
local PATH = "../shared/data/pglib-opf/pglib_opf_case1354_pegase.m"

--- Ipopt's time and what it is called, or nothing.
local function ipopt(case)
  local ok, other = pcall(function() return peri.power.acopf(case):solve("ipopt", { tolerance = 1e-6 }) end)
  if not ok then return nil end
  return other.times.total, ("Ipopt, %d iterations, kkt %.0e"):format(other.evaluations.gradient, other.certificate.kkt)
end

local function solve_rows(bench, case, model)
  local sol = model:solve("ipm", { tolerance = 1e-6 })
  local t = sol.times
  local evaluation = t.objective + t.gradient + t.constraints + t.jacobian + t.hessian + t.products
  local reference, name = ipopt(case)
  bench.row { key = "opf_solve", label = ("ipm, %d iterations, %s"):format(sol.iterations, sol.status), seconds = t.total,
    reference_seconds = reference, reference = name }
  bench.row { key = "opf_evaluation", label = "  derivative evaluation", seconds = evaluation }
  bench.row { key = "opf_linear_algebra", label = "  factorisations and solves", seconds = t.linear_algebra }
  bench.row { key = "opf_rest", label = "  the rest", seconds = t.total - evaluation - t.linear_algebra }
  bench.row { key = "opf_objective", text = ("objective %.6g (published 1.2588e+06), kkt %.0e"):format(sol.objective, sol.certificate.kkt) }
end

function family.rows(bench)
  if bench.mode == "check" then return end
  local file = io.open(PATH)
  if not file then
    bench.row { key = "opf_absent", text = "left out: no " .. PATH }
    return
  end
  file:close()
  local repeats = bench.mode == "quick" and 1 or 3
  local reading, case = bench.clock(repeats, function() return peri.power.read(PATH) end)
  local building, model = bench.clock(repeats, function() return (peri.power.acopf(case)) end)
  bench.row { key = "opf_read", label = "reading the file", seconds = reading }
  bench.row { key = "opf_build", label = "building the model in Lua", seconds = building }
  solve_rows(bench, case, model)
end

return family
