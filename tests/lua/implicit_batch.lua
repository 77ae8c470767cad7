-- SPDX-License-Identifier: Apache-2.0
-- implicit_batch.lua - peri.implicit with batch and least_squares: closed forms of all orders, functions one by one, a lower model's argmin, differences,
-- both rules of damping, the root form, solves through it, instances that fail, wrong options.
local peri = require "perigee"
local t = require "tap"

local function normal(rows, cols, seed) return peri.random.normal { rows = rows, cols = cols, seed = seed } end
local function off(a, b) return peri.norminf(a - b) end
local function near(a, b, tolerance, name)
  local miss = type(a) == "number" and math.abs(a - b) or off(a, b)
  t.ok(miss <= tolerance, ("%s: off by %.1e"):format(name, miss))
end

-- ---- roots: y^2 = a

local m = peri.model "roots"
local a = m:var("a", 3, { start = { 2, 3, 4 } })
local y = peri.implicit { batch = 3, arguments = { a }, start = 1, residual = function(u, own) return u^2 - own end }
local A = peri.array { 2, 3, 4 }
near(y:value(), A^0.5, 1e-15, "square roots")
local g1 = peri.grad(y:sum(), a)
local g2 = peri.grad(g1:sum(), a)
local g3 = peri.grad(g2:sum(), a)
near(g1:value(), 0.5 * A^-0.5, 1e-14, "first derivatives")
near(g2:value(), -0.25 * A^-1.5, 1e-14, "second")
near(g3:value(), 0.375 * A^-2.5, 1e-14, "third")

-- what all instances read, and functions of two unknowns, beside one function each
local c = m:var("c", { start = 0.7 })
local d = m:var("d", { 4, 2 }, { start = normal(4, 2, 3) })
local function body(u, own) return peri.stack { u[1]^3 + c * u[1] - own[1] * u[2] - own[2], u[2] + 0.3 * peri.sin(c * u[1]) - own[4] * own[3] } end
local together = peri.implicit { batch = 2, arguments = { d }, start = { 0, 0 }, residual = function(u, own) return body(u, own:reshape(4, 1)) end }
local single = {}
for k = 1, 2 do
  single[k] = peri.implicit { start = { 0, 0 }, model = m, residual = function(u) return body(u, peri.stack { d[2 * k - 1], d[2 * k] }:reshape(4, 1)) end }
end
local apart = peri.stack(single)
near(together:value(), apart:value(), 1e-13, "two instances are two functions")
local weight = normal(4, 1, 5)
local s, s2 = (weight * together):sum(), (weight * apart):sum()
near(peri.grad(s, c):value(), peri.grad(s2, c):value(), 1e-12, "what both read gets the sum of both")
near(peri.grad(s, d):value():reshape(8, 1), peri.grad(s2, d):value():reshape(8, 1), 1e-12, "what is an instance's own")
local h, h2 = peri.grad(peri.grad(s, c)^2 + (peri.grad(s, d)^2):sum(), c), peri.grad(peri.grad(s2, c)^2 + (peri.grad(s2, d)^2):sum(), c)
near(h:value(), h2:value(), 1e-11, "second derivatives")

-- ---- least squares

local scale = m:var("scale", { start = 1 })
local X, b = normal(60, 3, 7), normal(60, 1, 8)
local line = peri.implicit { batch = 2, arguments = { scale * X, b }, start = peri.zeros(3, 1), least_squares = function(w, X, b) return X % w - b end }
for k = 1, 2 do
  local rows = {}
  for i = 1, 30 do rows[i] = 30 * (k - 1) + i end
  local Xk, own = X[rows], { 3 * k - 2, 3 * k - 1, 3 * k }
  near(line[own]:value(), peri.solve(Xk:t() % Xk, Xk:t() % b[rows]), 1e-13, "instance " .. k .. ": the normal equations")
end
near(peri.grad(line:sum(), scale):value(), -line:sum():value(), 1e-12, "weights are as 1 / scale")

--- tanh(X w) to b with a ridge: batches with some options
local function curve(more)
  local o = { batch = 2, arguments = { scale * X, b }, start = peri.zeros(3, 1),
    least_squares = function(w, X, b) return peri.stack { peri.tanh(X % w) - 2 * b, 0.3 * w } end }
  for key, v in pairs(more or {}) do o[key] = v end
  return peri.implicit(o)
end
local parts = {}
for k = 1, 2 do -- the same by a lower model and its solver
  local rows, low = {}, m:lower("fit" .. k)
  for i = 1, 30 do rows[i] = 30 * (k - 1) + i end
  local w = low:var("w" .. k, { 3, 1 }, { start = 0 })
  low:minimize(0.5 * ((peri.tanh(scale * X[rows] % w) - 2 * b[rows])^2):sum() + 0.5 * 0.09 * (w^2):sum())
  parts[k] = low:argmin { solver = "levenberg-marquardt" }:reshape(3, 1)
end
local lower = peri.stack(parts)
local by_lower = peri.grad((lower^2):sum(), scale)
for _, rule in ipairs { "jaxopt", "optimistix" } do
  local w = curve { options = { rule = rule } }
  near(w:value(), lower:value(), 1e-9, rule .. ": the argmin of lower models")
  local g = peri.grad((w^2):sum(), scale)
  near(g:value(), by_lower:value(), 1e-9, "and its derivative")
  near(peri.grad(g, scale):value(), peri.grad(by_lower, scale):value(), 1e-7, "and the second")
  local rough = curve { options = { rule = rule, tolerance = 1e-4 }, polish = false }
  local miss = off(rough:value(), w:value())
  t.ok(miss > 1e-12 and miss < 1e-3, ("without Newton's steps behind it is off by %.1e"):format(miss))
end
local told = curve { batch = { "left", "right" } }
t.ok(not peri.instances(told)[1].solved, "nothing is known before it is solved")
told:value()
local tells = peri.instances(told)
t.ok(#tells == 2 and tells[2].name == "right" and tells[2].solved and tells[2].iterations > 1 and tells[2].polished >= 1, "what became of the instances")
local r = peri.stack { peri.tanh(X % told[{ 4, 5, 6 }]) - 2 * b, 0.3 * told[{ 4, 5, 6 }] }:value()
local sum = 0
for i = 31, 63 do sum = sum + r[i]^2 end
t.ok(math.abs(tells[2].objective - sum / 2) < 1e-12 and tells[2].residual < 1e-10, "its objective and its gradient")
local warm = curve { warm = true }
local cold = warm:value()
near(warm:value { [scale] = 1.1 }, curve():value { [scale] = 1.1 }, 1e-10, "from the last solution")
near(warm:value(), cold, 1e-10, "and back")
local whole = peri.implicit { arguments = { X, b }, start = peri.zeros(3, 1), model = m, least_squares = function(w, X, b) return X % w - b end }
near(whole:value(), peri.solve(X:t() % X, X:t() % b), 1e-13, "least squares without a batch")

-- root form by hand: r = (w p - 1, w - 2); dw = -(J'J)^-1 J' dr with J = (p, 1), dr = (w, 0)
local p = m:var("p", { start = 3 })
local function pair(mode)
  return peri.implicit { mode = mode, start = 0, model = m, least_squares = function(w) return peri.stack { w * p - 1, w - 2 } end }
end
local exact, root = pair "exact", pair "root"
near(root:value(), 0.5, 1e-14, "one weight by hand")
near(peri.grad(exact, p):value(), 1 / 10 - 2 * 3 * 5 / 100, 1e-13, "its exact derivative")
near(peri.grad(root, p):value(), -3 * 0.5 / 10, 1e-13, "and the root form's")

-- ---- in a problem

local up = peri.model "up"
local q = up:var("q", 2, { start = 0.5 })
local fit = peri.implicit { batch = 2, arguments = { q }, start = 0, least_squares = function(w, own) return peri.stack { w - own, peri.sin(w) - 0.5 } end }
up:minimize(((fit - peri.array { 0.2, 0.8 })^2):sum())
for _, solver in ipairs { "lbfgs", "trust-ncg" } do
  local solution = up:solve(solver, { tolerance = 1e-9 })
  t.ok(solution.objective < 1e-14, solver .. ": the data that lead to given weights, objective " .. solution.objective)
end
-- (w - q) + cos(w) (sin(w) - 1/2) = 0
for k, w in ipairs { 0.2, 0.8 } do near(up:solve("lbfgs", { tolerance = 1e-10 })[q][k], w + math.cos(w) * (math.sin(w) - 0.5), 1e-7, "which are known") end

-- ---- what goes wrong

local bad = peri.model "bad"
local z = bad:var("z", 3, { start = { 1, 2, 3 } })
local real = peri.implicit { name = "real", batch = { "first", "second", "third" }, arguments = { z }, start = 1, residual = function(u, own) return u^2 - own end }
t.raises(function() real:value { [z] = { 1, -2, -3 } } end, "real, second: no root was found", "the first instance without a root is named")
local solved = peri.instances(real)
t.ok(solved[1].solved and not solved[2].solved, "and told of")
t.raises(function() peri.instances(z) end, "no batch", "variables are no instances")
near(real:value { [z] = { 1, 4, 9 } }, peri.array { 1, 2, 3 }, 1e-14, "and the next point is as if it had not been")
local missing = peri.implicit { name = "missing", batch = { "first", "second", "third" }, arguments = { peri.sqrt(z) }, start = 1,
  least_squares = function(u, own) return peri.stack { u^2 - own, u } end }
t.raises(function() missing:value { [z] = { 1, 2, -3 } } end, "missing, third: its equations are undefined", "data that are NaN")
local unnamed = peri.implicit { name = "logs", batch = 3, arguments = { z }, start = 1, residual = function(u, own) return peri.log(own) - u end }
t.raises(function() unnamed:value { [z] = { 1, 1, -1 } } end, "logs, instance 3: its equations are undefined: log(-1) is not defined", "an undefined operation")
local flat = peri.implicit { name = "flat", batch = 3, arguments = { z }, start = { 0, 0 },
  least_squares = function(w, own) return peri.stack { own * (w[1] + w[2]) - 1, w[1] + w[2] - 2 } end }
t.raises(function() return peri.grad(flat[1], z):value() end, "flat, instance 1: the Jacobian of its equations is singular", "columns that depend on each other")
local short = peri.implicit { name = "short", batch = 3, arguments = { z }, start = 3, polish = false, options = { iterations = 1, tolerance = 1e-9 },
  least_squares = function(w, own) return peri.stack { peri.exp(w) - own, w - 1 } end }
t.raises(function() short:value() end, "short, instance 1: no minimum was found", "steps that end too early")

local cliff = peri.implicit { name = "cliff", batch = 3, arguments = { z }, start = 0, options = { iterations = 1000 },
  least_squares = function(w, own) return peri.stack { peri.sqrt(-w^2) + w - own, w } end }
t.raises(function() cliff:value() end, "cliff, instance 1", "defined at the start alone")

local function refused(text, o, name)
  o.start = o.start or 0
  t.raises(function() return peri.implicit(o) end, text, name)
end
local function f(u, own) return u - own end
refused("batch must be the number of instances", { batch = 0, arguments = { z }, residual = f }, "no instances")
refused("batch must be the number of instances", { batch = "three", arguments = { z }, residual = f }, "a word")
refused("name 2 of batch is a number", { batch = { "one", 2, "three" }, arguments = { z }, residual = f }, "names")
refused("argument 1 has 3 rows, which 2 instances do not divide", { batch = 2, arguments = { z }, residual = f }, "data that are not divided")
refused("take a residual", { batch = 3, arguments = { z }, fixed_point = f }, "a fixed point")
refused("solved by newton alone", { batch = 3, arguments = { z }, residual = f, solver = "lbfgs" }, "a plan")
refused("solved by levenberg-marquardt alone", { batch = 3, arguments = { z }, least_squares = f, solver = "lbfgs" }, "a plan for squares")
refused("dense factors", { batch = 3, arguments = { z }, residual = f, linear_solver = "gmres" }, "a linear solver")
refused("mode and polish are for least_squares", { batch = 3, arguments = { z }, residual = f, mode = "root" }, "a mode for roots")
refused('mode "gauss" is neither', { batch = 3, arguments = { z }, least_squares = f, mode = "gauss" }, "an unknown mode")
refused('rule "gauss" is neither', { arguments = { z }, least_squares = function(u, own) return own - u end, options = { rule = "gauss" } }, "an unknown rule")
refused("options are rule, tolerance and iterations, not damping", { batch = 3, arguments = { z }, least_squares = f, options = { damping = 1 } }, "an unknown option")
refused("option tolerance must be a number", { batch = 3, arguments = { z }, least_squares = f, options = { tolerance = "small" } }, "a word for a number")
refused("option rule must be a name", { batch = 3, arguments = { z }, least_squares = f, options = { rule = 1 } }, "a number for a word")
refused("iterations is 0, must be at least 1", { batch = 3, arguments = { z }, least_squares = f, options = { iterations = 0 } }, "no iterations")
refused("1 residuals do not determine 2 unknowns", { batch = 3, arguments = { z }, start = { 0, 0 }, least_squares = function(u, own) return u[1] - own end }, "few rows")
refused("start values of a batch are constants", { batch = 3, arguments = { z }, start = z[1], residual = f }, "a start that varies")
refused("one of the three", { batch = 3, arguments = { z }, residual = f, least_squares = f }, "both kinds")
t.done()
