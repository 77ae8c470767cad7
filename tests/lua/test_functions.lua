-- SPDX-License-Identifier: Apache-2.0
-- The problems of perigee.test_functions are solved to their known optima, and their formulas agree with themselves: as
-- expressions and as plain numbers.

local t = require "tap"
local peri = require "perigee"
local problems = peri.test_functions

--- Is f one of the problem's known objectives?
local function known(p, f)
  for _, value in ipairs { p.optimum, table.unpack(p.local_optima) } do
    if math.abs(f - value) <= 1e-5 * math.max(1, math.abs(value)) then return true end
  end
  return false
end

local function solve(p, solver, options)
  local m = p.build()
  local fine, sol = pcall(m.solve, m, solver, options)
  local name = ("%s by %s"):format(p.name, solver)
  if not fine then return t.ok(false, name .. ": " .. tostring(sol)) end
  if not t.ok(known(p, sol.objective) and sol.certificate.primal <= 1e-5, name) then
    t.diag("%s, objective %.10g, want %.10g, kkt %.1e, %d iterations", sol.status, sol.objective, p.optimum,
      sol.certificate.kkt, sol.iterations)
  end
end

local numbers = { exp = math.exp, log = math.log, sin = math.sin, cos = math.cos, sqrt = math.sqrt,
  atan2 = math.atan }

for _, name in ipairs(problems.list()) do
  local p = problems.get(name)
  local m, x = p.build(peri)
  t.is(#x, p.n, name .. ": size")
  t.is_close(p.objective(x, peri):value(), p.objective(p.start, numbers), 1e-12, 1e-12, name .. ": value at the start")
  t.is(m ~= nil and #p.start, p.n, name .. ": start")
end

for _, name in ipairs(problems.list "hock_schittkowski") do solve(problems.get(name), "ipm") end
for _, name in ipairs(problems.list "unconstrained") do
  solve(problems.get(name), "newton", { iterations = 2000 })
  solve(problems.get(name), "trust-ncg", { iterations = 2000 })
  solve(problems.get(name), "lbfgs", { iterations = 20000 })
  solve(problems.get(name), "ipm")
end

t.ok(#problems.list "hock_schittkowski" >= 60, "at least sixty problems of Hock and Schittkowski")
t.is(problems.get("extended_rosenbrock", 100).n, 100, "a size")
t.is(problems.hs071.name, problems.get("hs71").name, "names")
t.is(problems.hs999, nil, "no such field")
t.raises(problems.get, "test_functions: no problem is called rosenbrok (did you mean rosenbrock?)", "an unknown name",
  "rosenbrok")
t.raises(problems.get, "extended_rosenbrock takes a size from 2 in steps of 2, not 7", "a wrong size",
  "extended_rosenbrock", 7)
t.raises(problems.get, "beale has a fixed size", "a fixed size", "beale", 7)
t.raises(problems.list, "no class linear; there are unconstrained, hock_schittkowski", "an unknown class", "linear")
t.done()
