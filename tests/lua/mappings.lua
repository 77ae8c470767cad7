-- SPDX-License-Identifier: Apache-2.0
-- mappings.lua - every optimality condition of perigee.mappings on problems without a closed form: first and second derivatives against differences, forward
-- against reverse mode, against the same solution by low:argmin, and against steps written out, which come nearer to it as they grow in number.
-- Blondel et al. 2022, NeurIPS 35, table 1.

local t = require "tap"
local peri = require "perigee"
local mappings = require "perigee.mappings"
local proximal = require "perigee.proximal"

local function below(value, bound, name)
  t.ok(value <= bound, ("%s: %.2g, at most %.0e"):format(name, value, bound))
end

local function entry(a, i) return type(a) == "number" and a or a[i] end

-- largest difference of de/dx from central ones, e of any length
local function difference(e, x, at, h)
  local J, worst, size = peri.jacobian(e, x):value{ [x] = at }, 0, 1e-3
  for k = 1, #at do
    local up, down = { table.unpack(at) }, { table.unpack(at) }
    up[k], down[k] = at[k] + h, at[k] - h
    local a, b = e:value{ [x] = up }, e:value{ [x] = down }
    for i = 1, type(a) == "number" and 1 or #a do
      local row = entry(J, i)
      local d = (entry(a, i) - entry(b, i)) / (2 * h)
      worst, size = math.max(worst, math.abs(d - entry(row, k))), math.max(size, math.abs(d))
    end
  end
  return worst / size
end

-- J v along a direction and J'w against the Jacobian
local function products(e, x, at, name)
  local J = peri.jacobian(e, x):value{ [x] = at }
  local n, m = #at, #e
  local v, w = peri.random.normal{ n = n, seed = 3 }, peri.random.normal{ n = m, seed = 4 }
  local jv, vj = peri.jv(e, x, v):value{ [x] = at }, peri.vj(e, x, w):value{ [x] = at }
  local worst = 0
  for i = 1, m do
    local sum = 0
    for k = 1, n do sum = sum + J[i][k] * v[k] end
    worst = math.max(worst, math.abs(sum - jv[i]))
  end
  for k = 1, n do
    local sum = 0
    for i = 1, m do sum = sum + J[i][k] * w[i] end
    worst = math.max(worst, math.abs(sum - vj[k]))
  end
  below(worst, 1e-8, name .. ": forward and reverse products are the Jacobian's")
end

-- ---- a strictly convex objective of x in R^4, parameters c in R^3 ----------------------------------------------------------------------------------

local Q = peri.array{ { 3, 0.5, 0, 0.2 }, { 0.5, 2, 0.3, 0 }, { 0, 0.3, 4, -0.4 }, { 0.2, 0, -0.4, 2.5 } }
local A = peri.array{ { 1, -0.3, 0.4 }, { 0.2, 1, 0 }, { -0.6, 0.1, 0.8 }, { 0.5, 0.5, 0.3 } }
local at = { 0.9, -0.7, 0.4 }
local function f(x, c) return 0.5 * peri.dot(x, Q % x) - peri.dot(A % c, x) + 0.1 * peri.exp(0.5 * x):sum() + 0.05 * (c^2):sum() * (x^2):sum() end
local rows, b = peri.array{ { 1, 1, 1, 1 } }, peri.array{ 0.5 }

local function model() local m = peri.model "mapping"; return m, m:var("c", 3, { start = at }) end

-- name, which of peri.implicit's functions, the function, start, argmin of which problem (bounds, rows) or nil
local cases = {
  { "stationary", "residual", mappings.stationary{ objective = f }, peri.zeros(4, 1), function() end },
  { "kkt", "residual", mappings.kkt{ objective = f, n = 4, equalities = function(x) return rows % x - b end, inequalities = function(x) return x:slice(1, 1) - 0.1 end },
    peri.array{ 0.1, 0, 0.2, 0.2, -0.5, 0.5 }, function(low, x) low:subject_to((rows % x):eq(b), x:slice(1, 1):le(0.1)) end },
  { "projected gradient", "fixed_point", mappings.projected_gradient{ objective = f, projection = function(v) return proximal.box(v, -0.05, 0.15) end, step = 0.2 },
    peri.zeros(4, 1), function() end, { lower = -0.05, upper = 0.15 } },
  { "projected gradient onto a ball", "fixed_point",
    mappings.projected_gradient{ objective = f, projection = function(v) return proximal.l2_ball(v, 0.2) end, step = 0.2 },
    peri.zeros(4, 1), function(low, x) low:subject_to((x^2):sum():le(0.04)) end },
  { "proximal gradient", "fixed_point",
    mappings.proximal_gradient{ objective = f, prox = function(v, step) return proximal.soft_threshold(v, 0.15 * step) end, step = 0.2 }, peri.zeros(4, 1) },
  { "proximal gradient, elastic net by its level", "fixed_point",
    mappings.proximal_gradient{ objective = f, prox = function(v, step, c) return proximal.elastic_net(v, 0.1 * step * c[1]^2, step * c[3]) end, step = 0.2 },
    peri.zeros(4, 1) },
  { "mirror descent on the simplex", "fixed_point", mappings.mirror_descent{ objective = f, step = 0.3 }, 0.25 * peri.ones(4, 1),
    function(low, x) low:subject_to(x:sum():eq(1)) end, { lower = 0 } },
  { "mirror descent in another geometry", "fixed_point", mappings.mirror_descent{ objective = f, step = 0.1,
    grad_phi = function(x) return x + x^3 end, -- phi = x^2 / 2 + x^4 / 4 over a box: its projection inverts grad phi and clips
    projection = function(v)
      local root = peri.implicit{ residual = function(u, w) return u + u^3 - w end, start = peri.zeros(4, 1), arguments = { v } }
      return proximal.box(root, -0.05, 0.15)
    end }, peri.zeros(4, 1), function() end, { lower = -0.05, upper = 0.15 } },
  { "newton", "fixed_point", mappings.newton{ equations = mappings.stationary{ objective = f } }, peri.zeros(4, 1), function() end },
  { "newton with a shorter step", "fixed_point", mappings.newton{ equations = mappings.stationary{ objective = f }, step = 0.6 }, peri.zeros(4, 1), function() end },
  { "block proximal gradient", "fixed_point", mappings.block_proximal_gradient{ objective = f, blocks = {
    { 1, 2, step = 0.2, prox = function(v) return proximal.box(v, -0.05, 0.15) end },
    { 3, 3, step = 0.1, prox = function(v, step) return proximal.soft_threshold(v, 0.1 * step) end }, { 4, 4, step = 0.25 } } }, peri.zeros(4, 1) },
}

for _, case in ipairs(cases) do
  local name, kind, T, start, more, bounds = table.unpack(case, 1, 6)
  local m, c = model()
  local y = peri.implicit{ [kind] = T, start = start, arguments = { c }, tolerance = 1e-13 }
  local x = #y > 4 and y:slice(1, 4) or y
  below(difference(x, c, at, 1e-5), 1e-7, name .. ": the Jacobian against differences")
  products(x, c, at, name)
  local g = peri.grad((x * peri.array{ 1, -2, 0.5, 1 }):sum() + (x^2):sum(), c)
  below(difference(g, c, at, 1e-5), 1e-6, name .. ": second derivatives against differences")
  if more then
    local low = m:lower "inner"
    local z = low:var("z", 4, bounds)
    low:minimize(f(z, c))
    more(low, z)
    local star = low:argmin{ solver = "ipm", options = { tolerance = 1e-11 } }
    local a, d = star:value(), x:value()
    local J, K, worst, off = peri.jacobian(star, c):value(), peri.jacobian(x, c):value(), 0, 0
    for i = 1, 4 do
      off = math.max(off, math.abs(a[i] - d[i]))
      for k = 1, 3 do worst = math.max(worst, math.abs(J[i][k] - K[i][k])) end
    end
    below(off, 1e-7, name .. ": the solution is the problem's")
    below(worst, 1e-6, name .. ": the Jacobian is that of the active set")
  end
  if kind == "fixed_point" then
    local far = {}
    for k, steps in ipairs{ 5, 40 } do
      local unrolled = peri.implicit{ fixed_point = T, start = start, arguments = { c }, unroll = steps }
      local U, J = peri.jacobian(unrolled, c):value(), peri.jacobian(y, c):value()
      far[k] = 0
      for i = 1, 4 do
        for j = 1, 3 do far[k] = math.max(far[k], math.abs(U[i][j] - J[i][j])) end
      end
    end
    t.ok(far[2] < 0.6 * far[1] or far[2] < 1e-9, ("%s: steps written out come nearer, %.1e after 5, %.1e after 40"):format(name, far[1], far[2]))
  end
end

do -- the conic residual map: min c'z with z1 + z2 + z3 = 1, z >= 0 and |(z1, z2)| <= z3 + 0.2
  local m, c = model()
  local E = peri.array{ { 1, 1, 1 }, { -1, 0, 0 }, { 0, -1, 0 }, { 0, 0, -1 }, { -1, 0, 0 }, { 0, -1, 0 } }
  local low = m:lower "cone"
  local z = low:var("z", 3, { start = 0.3 })
  low:minimize(peri.dot(c + 1, z))
  low:subject_to(z:sum():eq(1), peri.sqrt(z[1]^2 + z[2]^2):le(z[3] + 0.2), z[1]:ge(0), z[2]:ge(0))
  local star = low:argmin{ solver = "ipm" }
  local s = star:value()
  local y = peri.implicit{ residual = mappings.conic{ c = function(p) return p + 1 end, E = E, d = peri.array{ 1, 0, 0, 0.2, 0, 0 },
    cones = { { "zero", 1 }, { "nonnegative", 2 }, { "second_order", 3 } } }, arguments = { c }, iterations = 1000,
    start = peri.array{ s[1], s[2], s[3], -1, -s[1], -s[2], 0.5 - s[3], -0.5 * s[1], -0.5 * s[2] } }
  local fine, value = pcall(function() return y:value() end)
  if fine then
    below(peri.norminf(value:slice(1, 3) - s), 1e-6, "conic residual map: the solution is the problem's")
    below(difference(y:slice(1, 3), c, at, 1e-6), 1e-6, "conic residual map: the Jacobian against differences")
    products(y:slice(1, 3), c, at, "conic residual map")
  else
    t.ok(false, "conic residual map: " .. tostring(value))
  end
end

-- ---- low:argmin with steps written out, by one option ------------------------------------------------------------------------------------------------

do
  local function build(options, bounds)
    local m, c = model()
    local low = m:lower "inner"
    local x = low:var("x", 4, bounds)
    low:minimize(f(x, c))
    return low:argmin(options), c, m
  end
  for _, bounds in ipairs{ {}, { lower = -0.05, upper = 0.15 } } do
    local star, c = build({}, bounds)
    local J = peri.jacobian(star, c):value()
    local before = math.huge
    for _, steps in ipairs{ 4, 16, 64 } do
      local unrolled, d = build({ unroll = steps, step = 0.2 }, bounds)
      local U, worst = peri.jacobian(unrolled, d):value(), 0
      for i = 1, 4 do
        for k = 1, 3 do worst = math.max(worst, math.abs(U[i][k] - J[i][k])) end
      end
      t.ok(worst < 0.5 * before, ("argmin with %d steps written out: %.1e off"):format(steps, worst))
      before = worst
    end
    below(before, 1e-4, "after 64 steps")
    t.ok(peri.norminf(build({ unroll = 64, step = 0.2 }, bounds):value() - star:value()) < 1e-4, "and the value")
  end
  local unrolled, c, m = build{ unroll = 30, step = 0.2 }
  below(difference(unrolled, c, at, 1e-5), 1e-8, "the derivative of the steps is that of the steps")
  m:minimize(((unrolled - 0.1)^2):sum())
  t.is(m:solve("lbfgs").status, "locally_optimal", "inside a problem")
  local m2, c2 = model()
  local low = m2:lower "inner"
  local x, y = low:var("x", 2), low:var("y", 2)
  low:minimize(f(peri.stack{ x, y }, c2))
  local T = mappings.projected_gradient{ objective = function(v) return f(v, c2) end, projection = function(v) return proximal.simplex(v) end, step = 0.2 }
  local u, v = low:argmin{ unroll = 60, fixed_point = function(p, q) return T(peri.stack{ p, q }) end }
  below(math.abs(peri.stack{ u, v }:value():sum() - 1), 1e-9, "a fixed point of one's own, over two variables")
  local function refused(options, text, name, build_more)
    local top, p = model()
    local inner = top:lower "refused"
    local w = inner:var("w", 4)
    inner:minimize(f(w, p))
    if build_more then build_more(inner, w) end
    t.raises(function() inner:argmin(options) end, text, name)
  end
  refused({ unroll = 3 }, "needs a step", "steps of no length")
  refused({ unroll = 3, step = 0.1, solver = "lbfgs" }, "takes no solver", "a solver")
  refused({ unroll = -3, step = 0.1 }, "unroll must be a number of at least 1", "fewer than one step")
  refused({ unroll = 3, step = 0.1 }, "needs a fixed_point", "constraints", function(low2, w) low2:subject_to(w:sum():eq(1)) end)
end

-- ---- products along directions, of expressions without solutions ---------------------------------------------------------------------------------------

do
  local m = peri.model "products"
  local x = m:var("x", { 2, 3 }, { start = { { 1, 2, 3 }, { -1, 0.5, 2 } } })
  local e = (x % x:t()) * peri.exp(0.1 * x:sum())
  local v = peri.array{ { 0.1, -1, 0.3 }, { 0.7, 0.2, -0.5 } }
  local h = 1e-6
  local x0 = peri.array{ { 1, 2, 3 }, { -1, 0.5, 2 } }
  local d = (e:value{ [x] = x0 + h * v } - e:value{ [x] = x0 - h * v }) / (2 * h)
  local jv = e:jv(x, v):value()
  t.ok(jv:rows() == 2 and jv:cols() == 2 and peri.norminf((jv - d):reshape(4, 1)) < 1e-7, "of a matrix along a matrix")
  local w = peri.array{ { 1, 2 }, { 3, 4 } }
  local vj = e:vj(x, w):value()
  t.ok(vj:rows() == 2 and vj:cols() == 3 and math.abs(peri.sum(vj * v) - peri.sum(w * jv)) < 1e-12, "and its adjoint: w'(J v) = (J'w)'v")
  local p = m:var("p", 4, { start = { 1, 2, 3, 4 } })
  local q = p[{ 4, 2 }]
  local s = peri.jv((p^2):sum(), q, peri.array{ 1, 10 })
  t.is(s:value(), 8 + 40, "along some entries of a variable")
  t.is(peri.vj(p^2, p[3], peri.array{ 1, 1, 1, 1 }):value(), 6, "and by one of them")
  t.raises(function() return peri.jv(e, x, peri.array{ 1, 2 }) end, "jv: 2 entries for the 6", "a direction of another size")
  t.raises(function() return peri.vj(e, x, peri.array{ 1, 2 }) end, "vj: 2 entries for the 4", "weights of another size")
  t.raises(function() return peri.jv(e, x^2, v) end, "neither a variable", "by what is no variable")
end

t.done()
