-- SPDX-License-Identifier: Apache-2.0
-- implicit.lua - functions that equations define: values, derivatives of all orders against closed forms and differences, solvers, linear systems,
-- nesting, and what goes wrong.

local t = require "tap"
local peri = require "perigee"

local function close(a, b, tolerance, name)
  t.ok(math.abs(a - b) <= tolerance * math.max(1, math.abs(b)), ("%s: %.3g off"):format(name, math.abs(a - b)))
end

-- largest difference of the gradient of a scalar e by x from central differences, relative to its largest entry
local function gradient_error(e, x, at, h)
  local g = peri.grad(e, x):value{ [x] = at }
  local worst, size = 0, 1e-12
  for k = 1, #at do
    local up, down = { table.unpack(at) }, { table.unpack(at) }
    up[k], down[k] = at[k] + h, at[k] - h
    local d = (e:value{ [x] = up } - e:value{ [x] = down }) / (2 * h)
    worst, size = math.max(worst, math.abs(d - g[k])), math.max(size, math.abs(d))
  end
  return worst / size
end

-- ---- a scalar: y^3 + a y = 3, y(2) = 1 -------------------------------------------------------------------------------------------------

local m = peri.model "scalar"
local a = m:var("a", { start = 2 })
local y = peri.implicit{ residual = function(u) return u^3 + a * u - 3 end, start = 1 }
close(y:value(), 1, 1e-15, "a root")
local first = peri.grad(y, a)
close(first:value(), -1 / 5, 1e-14, "first derivative")
-- y' = -y / (3 y^2 + a);  y'' from differentiating that once more
local function second(v, s)
  local d = -v / (3 * v^2 + s)
  return -(d * (3 * v^2 + s) - v * (6 * v * d + 1)) / (3 * v^2 + s)^2
end
close(peri.grad(first, a):value(), second(1, 2), 1e-13, "second derivative")
local h = 1e-4
local third = (peri.grad(first, a):value{ [a] = 2 + h } - peri.grad(first, a):value{ [a] = 2 - h }) / (2 * h)
close(peri.grad(peri.grad(first, a), a):value(), third, 1e-6, "third derivative")

-- ---- several unknowns, by each solver and each kind of linear system ------------------------------------------------------------------------

local A = peri.array{ { 4, 1, 0 }, { 1, 3, 1 }, { 0, -1, 5 } }
local function system(options)
  local v = peri.model "vector"
  local b = v:var("b", 3, { start = { 1, 2, 3 } })
  options.start = options.start or { 0, 0, 0 }
  options.arguments = { b }
  local z = peri.implicit(options)
  return v, b, z
end
local function F(z, b) return A % z + 0.3 * peri.sin(z) * b - b end
local function T(z, b) return z - 0.2 * F(z, b) end

local _, reference, z0 = system{ residual = F }
local J0, v0 = peri.jacobian(z0, reference):value(), z0:value()
local ways = {
  { "newton", { residual = F, solver = "newton" } },
  { "a plan", { residual = F, solver = "levenberg-marquardt", tolerance = 1e-9 } },
  { "iteration", { fixed_point = T, tolerance = 1e-14 } },
  { "newton on a fixed point", { fixed_point = T, solver = "newton" } },
  { "lu", { residual = F, linear_solver = "lu" } },
  { "umfpack", { residual = F, linear_solver = "umfpack" } },
  { "klu", { residual = F, linear_solver = "klu" } },
  { "gmres", { residual = F, linear_solver = "gmres", linear_tolerance = 1e-13 } },
  { "normal-cg", { residual = F, linear_solver = "normal-cg", linear_tolerance = 1e-13 } },
  { "start values from an expression", { residual = F, start = peri.array{ 1, 1, 1 } } },
  { "warm", { residual = F, warm = true } },
}
for _, way in ipairs(ways) do
  local _, b, z = system(way[2])
  local J, v = peri.jacobian(z, b):value(), z:value()
  local worst = 0
  for i = 1, 3 do
    worst = math.max(worst, math.abs(v[i] - v0[i]))
    for j = 1, 3 do worst = math.max(worst, math.abs(J[i][j] - J0[i][j])) end
  end
  t.ok(worst < 1e-8, ("%s: the same solution and Jacobian: %.1e"):format(way[1], worst))
  t.ok(gradient_error((z * z):sum(), b, { 1, 2, 3 }, 1e-5) < 1e-7, way[1] .. ": the gradient agrees with differences")
  local g = peri.grad((z * z):sum(), b)
  t.ok(gradient_error(g[1] + 2 * g[3], b, { 1, 2, 3 }, 1e-5) < 1e-6, way[1] .. ": second derivatives too")
end

-- ---- a solver in Lua ------------------------------------------------------------------------------------------------------------------------

do
  local s = peri.model "lua"
  local p = s:var("p", { start = 2 })
  local q = s:param("q", 3)
  local calls = 0
  local function bisect(_, c, d) -- u^3 + c u = d
    calls = calls + 1
    local low, high = 0, 10
    for _ = 1, 80 do
      local mid = (low + high) / 2
      if mid^3 + c * mid < d then low = mid else high = mid end
    end
    return low
  end
  local u = peri.implicit{ residual = function(w, c, d) return w^3 + c * w - d end, start = 0, arguments = { p, q }, solver = bisect }
  close(u:value(), 1, 1e-12, "a solver in Lua")
  close(peri.grad(u, p):value(), -1 / 5, 1e-12, "by a variable")
  close(peri.grad(u, q):value(), 1 / 5, 1e-12, "by a parameter")
  t.ok(calls <= 3, "its solutions are kept while what they depend on stays the same")
  local none = peri.implicit{ residual = function(w) return w^2 + p end, start = 1, solver = function() return nil end, name = "nothing" }
  t.raises(function() return none:value() end, "nothing: its solver has found no solution", "a solver may find none")
  local wrong = peri.implicit{ residual = function(w) return w - p end, start = 1, solver = function() return 1 end, name = "wrong" }
  t.raises(function() return wrong:value() end, "wrong: its solver returned no solution: residual 1", "what a solver returns is checked")
  local fails = peri.implicit{ residual = function(w) return w - p end, start = 1, solver = function() error "broken" end }
  t.raises(function() return fails:value() end, "broken", "its errors come through")
  local shape = peri.implicit{ residual = function(w) return w - p end, start = { 1, 2 }, solver = function() return { 1, 2, 3 } end }
  t.raises(function() return shape:value() end, "returned a vector 3, and the unknown has 2 entries", "and so does a wrong shape")
end

-- ---- inside each other, and inside problems ------------------------------------------------------------------------------------------------------

do
  local n = peri.model "nested"
  local p = n:var("p", 1, { start = { 1.5 } })
  local function inner(c) return peri.implicit{ residual = function(u) return u + 0.5 * peri.exp(u) - c end, start = 0, arguments = { c } } end
  local w = peri.implicit{ residual = function(w) return w + inner(w * p[1])^2 - 2 end, start = 1 }
  t.ok(gradient_error(w, p, { 1.5 }, 1e-5) < 1e-8, "an implicit function inside another: first derivative")
  t.ok(gradient_error(peri.grad(w, p)[1], p, { 1.5 }, 1e-5) < 1e-7, "second derivative")

  local v, b, z = system{ residual = F }
  v:minimize(((z - peri.array{ 0.2, 0.3, 0.4 })^2):sum())
  for _, solver in ipairs{ "lbfgs", "trust-ncg" } do
    local s = v:solve(solver)
    t.ok(s.status == "locally_optimal" and s.certificate.kkt < 1e-7 and s.objective < 1e-12, solver .. " solves a problem with one in its objective")
  end
  v:subject_to(z[1] + z[2] <= 0.3, z[3]:ge(0.1))
  for _, solver in ipairs{ "augmented-lagrangian > lbfgs", "ipm" } do
    local s = v:solve(solver, { tolerance = 1e-8 })
    t.ok(s.certificate.kkt < 1e-6 and s:value(z[1] + z[2]) < 0.3 + 1e-6 and math.abs(s.objective - 0.02) < 1e-5,
      solver .. ": with some in its constraints")
    close(s:value(z)[3], 0.4, 1e-5, "values at the solution")
  end
  t.ok(v:solve("ipm").iterations < 15, "ipm has their second derivatives")
end

-- ---- the sparse Hessian against the gradient's differences -----------------------------------------------------------------------------------

do
  local v, b, z = system{ residual = F }
  v:minimize(peri.exp(z[1]) * z[2] + (z[3] - b[2])^2 + (b * z):sum())
  local worst = 0
  local e = peri.exp(z[1]) * z[2] + (z[3] - b[2])^2 + (b * z):sum()
  local H = peri.hessian(e, b):value()
  local plugin = peri.plugin{ name = "look", kind = "solver", needs = { "sparse_hessian" }, summary = "compares the sparse Hessian with another",
    init = function() end, step = function(_, run)
      local x = run:start()
      local h = run:hessian(x)
      for i = 1, 3 do
        for j = 1, i do worst = math.max(worst, math.abs(h[i][j] - H[i][j])) end
      end
      run:accept{ x = x }
      return run:finish "converged"
    end }
  local fine, err = pcall(function() return v:solve(plugin) end)
  t.ok(fine and worst < 1e-10, ("the sparse Hessian: %.1e %s"):format(worst, fine and "" or tostring(err)))
end

-- ---- argmin ---------------------------------------------------------------------------------------------------------------------------------------

do -- three models inside each other: low(u, v) in middle(v) in up
  local up = peri.model "up"
  local p = up:var("p", 1, { start = { 0.7 } })
  local mid = up:lower "middle"
  local u = mid:var("u", { start = 0.1 })
  local low = mid:lower "low"
  local w = low:var("w", { start = 0.2 })
  low:minimize(peri.exp(w) - w * (u + p[1]) + 0.1 * w^4)
  local inside = low:argmin{}
  mid:minimize((w - 1)^2 + 0.5 * (u - p[1])^2) -- w is low's solution
  local star = mid:argmin{ solver = "lbfgs" }
  local all = star + 2 * peri.substitute(inside, { [u] = star })
  t.ok(gradient_error(all, p, { 0.7 }, 1e-4) < 1e-6, "argmin inside argmin: first derivative")
  t.ok(gradient_error(peri.grad(all, p)[1], p, { 0.7 }, 1e-4) < 1e-5, "second derivative")
  up:minimize((star - 0.5)^2 + 0.01 * p[1]^2)
  local s = up:solve "lbfgs"
  t.ok(s.status == "locally_optimal" and s.certificate.kkt < 1e-6, "and the outer problem is solved")
  close(s[u], s:value(star), 1e-12, "a lower variable's value is its solution")
end

do -- bounds, ranges, equations; two variables; objective before argmin; maximization
  local up = peri.model "up"
  local p = up:var("p", 2, { start = { 0.3, 2 } })
  local low = up:lower "low"
  local x, y = low:var("x", 2, { lower = 0, upper = { 1, 0.4 }, start = 0.1 }), low:var("y")
  local q = up:param("q", 1.5)
  up:minimize((x[1] - 0.6)^2 + y^2)
  low:maximize(-((x - p):dot(x - p) + (y - q * p[1])^2 + x[1] * y))
  low:subject_to("link", (x[1] + y):le(0.9), (x[2] + y):eq(0.5 * p[2] - 0.4))
  local sx, sy = low:argmin{ solver = "ipm" }
  local f = sx[1] + 2 * sy + 3 * sx[2]
  t.ok(gradient_error(f, p, { 0.3, 2 }, 1e-5) < 1e-7, "kkt of bounds, ranges and equations")
  t.ok(gradient_error(peri.grad(f, p)[1] + peri.grad(f, p)[2], p, { 0.3, 2 }, 1e-4) < 1e-6, "second derivatives")
  close(peri.grad(f, q):value(), (f:value{ [q] = 1.5 + 1e-5 } - f:value{ [q] = 1.5 - 1e-5 }) / 2e-5, 1e-6, "by a parameter")
  local s = up:solve "lbfgs"
  t.ok(s.status == "locally_optimal", "an objective that was set before")
end

for _, unit in ipairs { 1e-6, 1e-9 } do -- an objective in other units: within its solver's tolerance everywhere
  local up = peri.model "up"
  local p = up:var("p", { start = 0.5 })
  local low = up:lower "low"
  local x = low:var("x", 2, { lower = -1, upper = 1 })
  low:subject_to("row", (x[1] + x[2]):ge(-10))
  low:minimize(unit * ((x[1] - p)^2 + peri.exp(x[2]) - 3 * x[2] * p))
  local star = low:argmin{}
  close(star:value()[2], math.log(1.5), 1e-8, "an objective of size " .. unit)
  close(peri.grad(star[1] + star[2], p):value(), 3, 1e-7, "and the derivative")
end

do -- what goes wrong
  local up = peri.model "up"
  local p = up:var("p", { start = 1 })
  local function lower(name, build)
    local low = up:lower(name)
    local x = low:var("x_" .. name, 2, { start = 0.5 })
    build(low, x)
    return low, x
  end
  local a = lower("unbounded", function(low, x) low:minimize(p * x[1] + x[2]^2) end):argmin{ solver = "lbfgs" }
  t.raises(function() a:value() end, 'argmin of model "unbounded": its problem ended as unbounded', "an unbounded lower problem")
  local b = lower("empty", function(low, x) low:minimize(x:dot(x)); low:subject_to((x[1] + x[2]):ge(p + 1), (x[1] + x[2]):le(p)) end):argmin{ solver = "ipm" }
  t.raises(function() b:value() end, 'argmin of model "empty": its problem ended as infeasible', "an infeasible one")
  local c = lower("short", function(low, x) low:minimize((x[1] - p)^4 + peri.exp(x[2]) - x[2] + 100 * (x[2] - x[1]^2)^2) end)
    :argmin{ solver = "lbfgs", options = { iterations = 2 }, iterations = 1 }
  t.raises(function() c:value() end, "its problem ended as iteration_limit after 2 iterations", "a solver that is cut short")
  local d = lower("kink", function(low, x) low:minimize((x - p):norm1() + (x^2):sum() * 0.1) end):argmin{ solver = "nelder-mead" }
  t.raises(function() d:value() end, 'argmin of model "kink": its solution does not fulfil the equations', "an objective with kinks")
  local e = lower("flat", function(low, x) low:minimize((x[1] + x[2] - p)^2) end):argmin{ solver = "lbfgs" }
  t.raises(function() return peri.grad(e[1], p):value() end, 'argmin of model "flat": the Jacobian of its equations is singular', "no curvature")
  up:minimize((a[1] - 1)^2 + p^2)
  t.raises(function() up:solve "lbfgs" end, 'objective: argmin of model "unbounded"', "a solve says which level")
  local low = lower("refused", function() end)
  t.raises(function() low:argmin{} end, "it has no objective", "no objective")
  t.raises(function() up:argmin{} end, "it lies inside no other", "the outermost model")
  local twice = lower("twice", function(l, x) l:minimize((x - p):dot(x - p)) end)
  twice:argmin{}
  t.raises(function() twice:argmin{} end, "its solution is an expression already", "twice")
  local whole = up:lower "whole"
  whole:minimize((whole:var("k", { integer = true }) - p)^2)
  t.raises(function() whole:argmin{} end, 'variable "k" is integer', "integers")
  local named, x = lower("named", function(l, x) l:minimize((x - p):dot(x - p)) end)
  t.raises(function() named:argmin{ mapping = "kkkt" } end, "neither stationary nor kkt", "an unknown mapping")
  t.raises(function() named:argmin{ fixed_point = function(v) return v[1] + x[2] end } end, "1 equations for 2 variables", "wrong shapes")
  local outer = up:lower "outer"
  local inner = outer:lower "inner"
  local o, i = outer:var "o", inner:var "i"
  inner:minimize((i - o)^2)
  outer:minimize((o - i)^2 + o^2)
  t.raises(function() outer:argmin{} end, 'model "inner" inside it is a level; call its argmin first', "a level inside")
end

-- ---- loops, matrices, reuse ----------------------------------------------------------------------------------------------------------------------

do
  local n = 400 -- a tridiagonal system, sparse factors; written as a loop
  local v = peri.model "chain"
  local c = v:var("c", n, { start = 1 })
  local z = peri.implicit{ start = peri.zeros(n, 1), residual = function(u)
    local rows = {}
    for i = 1, n do
      local left, right = i > 1 and u[i - 1] or 0, i < n and u[i + 1] or 0
      rows[i] = 3 * u[i] - left - right + u[i]^3 - c[i]
    end
    return peri.stack(rows)
  end }
  local f = (z * z):sum()
  local g = peri.grad(f, c):value()
  local at = {}
  for i = 1, n do at[i] = 1 end
  for _, k in ipairs{ 1, 200, 400 } do
    at[k] = 1 + 1e-5
    local up = f:value{ [c] = at }
    at[k] = 1 - 1e-5
    local down = f:value{ [c] = at }
    at[k] = 1
    close((up - down) / 2e-5, g[k], 1e-8, "a chain of 400 unknowns, entry " .. k)
  end
  local M = peri.implicit{ start = peri.zeros(2, 2), arguments = { c:slice(1, 4):reshape(2, 2) }, residual = function(X, C)
    return X % X + 3 * X - C
  end }
  local X = M:value()
  t.ok(X:rows() == 2 and X:cols() == 2 and math.abs(X[1][1] * X[1][1] + X[1][2] * X[2][1] + 3 * X[1][1] - 1) < 1e-13, "an unknown matrix")
end

-- ---- what goes wrong -------------------------------------------------------------------------------------------------------------------------------

do
  local n = peri.model "bad"
  local p = n:var("p", { start = 0 })
  local q = n:var("q", 2)
  local double = peri.implicit{ residual = function(u) return (u - 1)^2 - p end, start = 1, name = "double root" }
  close(double:value(), 1, 1e-12, "a double root has a value")
  t.raises(function() peri.grad(double, p):value() end, "double root: the Jacobian of its equations is singular",
    "but no derivative: the singular Jacobian is named")
  local flat = peri.implicit{ residual = function(u) return peri.stack{ u[1] + u[2] - p, 2 * u[1] + 2 * u[2] - 2 * p } end, start = { 0, 0 },
    name = "flat" }
  t.raises(function() peri.grad(flat[1], p):value() end, "singular", "a direction without any equation")
  local ridge = peri.implicit{ residual = function(u) return peri.stack{ u[1] + u[2] - p, u[1] + u[2] - p } end, start = { 0, 0 }, ridge = 1e-6,
    name = "ridge" }
  t.ok(math.abs(peri.grad(ridge[1] + ridge[2], p):value() - 1) < 1e-5, "a ridge where one is asked for")
  local least = peri.implicit{ residual = function(u) return peri.stack{ u[1] + u[2] - p, u[1] + u[2] - p } end, start = { 0, 0 },
    solver = "levenberg-marquardt", linear_solver = "gmres", name = "least" }
  close(peri.grad(least[1] + least[2], p):value(), 1, 1e-10, "a Krylov method solves a singular system that has solutions")
  t.raises(function() peri.grad(least[1], p):value() end, "is not solved (gmres: no convergence", "and says that one without is not solved")
  local none = peri.implicit{ residual = function(u) return u^2 + 1 + p^2 end, start = 1, name = "none" }
  t.raises(function() none:value() end, "none: no root was found", "no root")
  local nan = peri.implicit{ residual = function(u) return peri.log(u) - p end, start = -1, name = "nan" }
  t.raises(function() nan:value() end, "nan: its equations are undefined: log(-1) is not defined", "undefined at the start")
  local away = peri.implicit{ fixed_point = function(u) return 2 * u + 1 + p end, start = 1, name = "away" }
  t.raises(function() away:value() end, "away: its iteration diverges", "an iteration that diverges")
  local slow = peri.implicit{ fixed_point = function(u) return peri.cos(u) + p end, start = 1, iterations = 3, name = "slow" }
  t.raises(function() slow:value() end, "slow: its iteration has not come to rest within 3 iterations", "and one that is cut short")
  n:minimize((none - 1)^2 + p^2)
  t.raises(function() n:solve "lbfgs" end, "objective: none: no root was found", "a solve says which function has no value")
  n:minimize((double - 2)^2)
  t.raises(function() n:solve "lbfgs" end, "singular", "or no derivative")

  local function refused(options, text, name) t.raises(function() return peri.implicit(options) end, text, name) end
  local function f(u) return u - p end
  refused({ residual = f, fixed_point = f, start = 0 }, "one of the three is needed", "both kinds of equations")
  refused({ start = 0 }, "one is needed", "none")
  refused({ residual = f }, "start must be the start values", "no start values")
  refused({ residual = f, start = { 0, 0 }, linear_solver = "gmers" }, "gmers", "a linear solver that is not there")
  refused({ residual = function() return q end, start = 0 }, "2 equations for 1 unknowns", "wrong shapes")
  refused({ residual = f, start = 0, sovler = "newton" }, "sovler", "an unknown option")
  refused({ residual = f, start = 0, ridge = -1 }, "ridge must be a number of at least 0", "a negative ridge")
  refused({ residual = f, start = 0, solver = "fixed-point" }, "\"fixed-point\" is for fixed points", "the iteration of a residual")
  refused({ residual = function(u) return u - 1 end, start = 0 }, "give the model", "no model")
  local leaked
  peri.implicit{ residual = function(u) leaked = u + p; return u - p end, start = 0 }
  t.raises(function() return leaked:value() end, "has no value outside its equations", "an unknown outside its equations")
  local other = peri.model "other"
  local r = other:var "r"
  refused({ residual = function(u) return u - p - r end, start = 0 }, "belongs to model", "two models")
end

-- methods that solve problems of their own see an argmin too, whichever variables of the model take no part any more
for _, plan in ipairs { "ipm", "augmented-lagrangian > lbfgs", "penalty > lbfgs", "multistart > ipm" } do
  local m = peri.model "outer"
  local low = m:lower "inner"
  local y = low:var("y", 2)
  local x = m:var("x", 2, { start = 2 })
  low:minimize((y[1] - x[2] - 0.5)^2 + 0.1 * y[1]^4 + (y[2] - x[1])^2)
  local u = low:argmin {}
  m:minimize((x^2):sum())
  m:subject_to("c", u[1] >= 1) -- 2 (1 - x - 0.5) + 0.4 = 0
  local sol = m:solve(plan)
  t.is(sol.status, "locally_optimal", plan .. ": an argmin in a constraint")
  t.is_close(sol:value(x)[2], 0.7, 0, 1e-6, plan .. ": x")
  t.is_close(sol:value(u)[1], 1, 0, 1e-6, plan .. ": the lower solution")
end

-- a start from which a step's prediction is no number: ends, and claims nothing
do
  local m = peri.model "huge"
  local y = m:var "y"
  m:minimize((y - 1e100)^2 + 0.1 * y^4)
  local sol = m:solve("trust-ncg", { time_limit = 60 })
  t.is(sol.status, "feasible", "trust-ncg ends where numbers are too large to be compared")
end

t.done()
