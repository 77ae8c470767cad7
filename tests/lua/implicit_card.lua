-- SPDX-License-Identifier: Apache-2.0
-- implicit_card.lua - what the paper on implicit differentiation measures: ridge and its precision law, the simplex projection and the lasso in closed
-- form through several conditions, the hypergradient of a multiclass support vector machine, the sensitivity of packed disks.
-- Blondel et al. 2022, NeurIPS 35.

local t = require "tap"
local peri = require "perigee"
local mappings = require "perigee.mappings"
local proximal = require "perigee.proximal"

local function largest(a, b)
  local worst = 0
  for i = 1, a:rows() do
    for j = 1, a:cols() do
      local x = a:cols() == 1 and a[i] or a[i][j]
      local y = a:cols() == 1 and b[i] or b[i][j]
      worst = math.max(worst, math.abs(x - y))
    end
  end
  return worst
end

local function below(value, bound, name)
  t.ok(value <= bound, ("%s: %.2g, at most %.0e"):format(name, value, bound))
end

-- ---- 1. ridge: J = -(X'X + theta I)^-1 w ---------------------------------------------------------------------------------------------------

do
  local X = peri.random.normal{ rows = 40, cols = 10, seed = 1 }
  local y = peri.random.normal{ rows = 40, cols = 1, seed = 2 }
  local up = peri.model "ridge"
  local theta = up:var("theta", { start = 10 })
  local low = up:lower "fit"
  local w = low:var("w", 10)
  local function loss(v) return 0.5 * ((X % v - y)^2):sum() + 0.5 * theta * (v^2):sum() end
  low:minimize(loss(w))
  local solution = low:argmin{ linear_solver = "cg", linear_tolerance = 1e-14 }
  local H = X:t() % X + 10 * peri.eye(10)
  local star = solution:value()
  local exact = -1 * peri.solve(H, star)
  below(largest(peri.jacobian(solution, theta):value(), exact), 1e-8, "1: ridge, conjugate gradients on products")
  local h = 1e-4
  local d = (solution:value{ [theta] = 10 + h } - solution:value{ [theta] = 10 - h }) / (2 * h)
  below(largest(d, exact), 1e-8, "1: and central differences")

  -- gradient descent with step 1 / L: the implicit estimate at an iterate against that of differentiating the iterations
  local top, low_v = peri.ones(10, 1), peri.ones(10, 1)
  local L, mu
  for _ = 1, 2000 do
    top = H % top
    L = peri.norm2(top)
    top = top / L
    low_v = peri.solve(H, low_v)
    mu = 1 / peri.norm2(low_v)
    low_v = low_v * mu
  end
  local X2, Xy, m = X:t() % X, X:t() % y, peri.model "descent"
  local th = m:param("theta", 10)
  local function T(v) return v - (1 / L) * (X2 % v - Xy + th * v) end
  local law, worse, ratios = 0, true, {}
  for k = 1, 40 do
    local unrolled = peri.implicit{ fixed_point = T, start = peri.zeros(10, 1), unroll = k }
    local at = unrolled:value()
    local implicit = peri.implicit{ fixed_point = T, start = peri.zeros(10, 1), solver = function() return at end, tolerance = 1e9 }
    local implicit_error = peri.norm2(peri.jacobian(implicit, th):value() - exact)
    local unrolled_error = peri.norm2(peri.jacobian(unrolled, th):value() - exact)
    law = math.max(law, implicit_error / (peri.norm2(at - star) / mu))
    worse = worse and unrolled_error > implicit_error
    ratios[k] = unrolled_error / implicit_error
  end
  table.sort(ratios)
  t.ok(law <= 1, ("1: precision law: %.3f, at most 1 (0.972 in the card)"):format(law))
  t.ok(worse and ratios[20] >= 3, ("1: unrolling is worse at every iteration, median ratio %.1f, at least 3 (8.7)"):format(ratios[20]))
end

-- ---- 2. the simplex projection through every condition ----------------------------------------------------------------------------------------

do
  local m = peri.model "simplex"
  local c = m:var("c", 3, { start = { 0.9, 0.5, -0.3 } })
  local exact = peri.array{ { 0.5, -0.5, 0 }, { -0.5, 0.5, 0 }, { 0, 0, 0 } }
  local function f(x, p) return 0.5 * ((x - p)^2):sum() end
  local x0 = { 0.7, 0.3, 0 }
  local function check(y, name)
    below(largest(y:value(), peri.array(x0)), 1e-10, "2: " .. name .. ", solution")
    below(largest(peri.jacobian(y, c):value(), exact), 1e-10, "2: " .. name .. ", Jacobian")
  end
  for _, step in ipairs{ 1, 0.3 } do
    check(peri.implicit{ fixed_point = mappings.projected_gradient{ objective = f, projection = function(v) return proximal.simplex(v) end, step = step },
      start = { 0.3, 0.3, 0.4 }, arguments = { c }, tolerance = 1e-13 }, "projected gradient, step " .. step)
  end
  check(peri.implicit{ fixed_point = mappings.mirror_descent{ objective = f, step = 0.5 }, start = { 0.3, 0.3, 0.4 }, arguments = { c },
    solver = function() return x0 end }, "mirror descent")
  local kkt = peri.implicit{ start = { 0.7, 0.3, 0, 0.2, 0, 0, 0.5 }, arguments = { c }, residual = mappings.kkt{ objective = f, n = 3,
    equalities = function(z) return peri.stack{ z:sum() - 1 } end, inequalities = function(z) return -z end } }
  check(kkt:slice(1, 3), "Karush-Kuhn-Tucker residual")
  check(peri.implicit{ fixed_point = mappings.block_proximal_gradient{ objective = function(x, p) return f(x, p) end,
    blocks = { { 1, 3, step = 0.5, prox = function(v) return proximal.simplex(v) end } } }, start = { 0.3, 0.3, 0.4 }, arguments = { c }, tolerance = 1e-13 }, "blocks")
  local low = m:lower "projection"
  local z = low:var("z", 3, { lower = 0 })
  low:minimize(f(z, c))
  low:subject_to("sum", z:sum():eq(1))
  local star = low:argmin{}
  check(star, "argmin, active set")
  t.raises(function() return peri.jacobian(star, c):value{ [c] = { 0.75, 0.25, 0 } } end, "is at its bound with a multiplier that is zero",
    "2: without strict complementarity the variable is named")
end

do -- the conic map: min c'z with |z| <= 1 is at -c / |c|
  local m = peri.model "cone"
  local c = m:var("c", 3, { start = { 1, 2, 2 } })
  local y = peri.implicit{ start = { -0.3, -0.6, -0.6, 2, 1.3, 2.6, 2.6 }, arguments = { c }, residual = mappings.conic{ c = function(p) return p end,
    E = peri.array{ { 0, 0, 0 }, { -1, 0, 0 }, { 0, -1, 0 }, { 0, 0, -1 } }, d = peri.array{ 1, 0, 0, 0 }, cones = { { "second_order", 4 } } } }
  local z, J = y:slice(1, 3), {}
  for i = 1, 3 do
    J[i] = {}
    for k = 1, 3 do J[i][k] = -((i == k and 1 or 0) - (i == 1 and 1 or 2) * (k == 1 and 1 or 2) / 9) / 3 end
  end
  below(largest(z:value(), peri.array{ -1 / 3, -2 / 3, -2 / 3 }), 1e-10, "2: conic residual map, solution")
  below(largest(peri.jacobian(z, c):value(), peri.array(J)), 1e-10, "2: conic residual map, Jacobian")
end

-- ---- 3. lasso with orthonormal columns: x = soft(X'y, lambda), dx / dlambda = -sign(x) on the support ------------------------------------------

do
  local R = peri.random.normal{ rows = 20, cols = 6, seed = 5 }
  local Q = {} -- Gram-Schmidt, twice
  for j = 1, 6 do
    local v, column = nil, {}
    for i = 1, 20 do column[i] = R[i][j] end
    v = peri.array(column)
    for _ = 1, 2 do
      for k = 1, j - 1 do v = v - peri.dot(Q[k], v) * Q[k] end
    end
    Q[j] = v / peri.norm2(v)
  end
  local X = peri.array(Q):t()
  local y = peri.random.normal{ rows = 20, cols = 1, seed = 6 }
  local m = peri.model "lasso"
  local lambda = m:var("lambda", { start = 0.5 })
  local T = mappings.proximal_gradient{ objective = function(x) return 0.5 * ((X % x - y)^2):sum() end,
    prox = function(v, step, l) return proximal.soft_threshold(v, step * l) end, step = 0.7 }
  local x = peri.implicit{ fixed_point = T, start = peri.zeros(6, 1), arguments = { lambda }, tolerance = 1e-15 }
  local star, J, worst, support = x:value(), peri.jacobian(x, lambda):value(), 0, 0
  for i = 1, 6 do
    local exact = star[i] > 0 and -1 or star[i] < 0 and 1 or 0
    support = support + math.abs(exact)
    worst = math.max(worst, math.abs(J[i] - exact))
  end
  t.ok(support >= 2 and support <= 5, "3: some coefficients are zero, some are not")
  below(worst, 1e-12, "3: lasso with orthonormal columns")
end

-- ---- 4. hypergradient of a multiclass support vector machine -------------------------------------------------------------------------------------

local function svm(count, features, classes, theta_at, seed)
  local function data(n, stream)
    local noise = peri.random.normal{ rows = n, cols = features, seed = stream }
    local centre = peri.random.normal{ rows = classes, cols = features, seed = seed }
    local x, y = {}, {}
    for i = 1, n do
      local k, row, length = (i - 1) % classes + 1, {}, 0
      for j = 1, features do
        row[j] = centre[k][j] + noise[i][j]
        length = length + row[j]^2
      end
      for j = 1, features do row[j] = row[j] / math.sqrt(length) end
      x[i], y[i] = row, {}
      for c = 1, classes do y[i][c] = c == k and 1 or 0 end
    end
    return peri.array(x), peri.array(y)
  end
  local X, Y = data(count, seed + 1)
  local Xv, Yv = data(count, seed + 2)
  local m = peri.model "svm"
  local theta = m:var("theta", { start = theta_at })
  local function W(x, p) return X:t() % (Y - x) / p end
  local function f(x, p) return 0.5 * p * (W(x, p)^2):sum() + (x * Y):sum() end
  -- accelerated projected gradient until nothing moves
  local L = 0
  do
    local v = peri.ones(count, 1)
    for _ = 1, 50 do
      v = X % (X:t() % v)
      L = peri.norm2(v)
      v = v / L
    end
  end
  local K = X % X:t()
  local function project(V)
    local out = {}
    for i = 1, count do
      local row, sorted = {}, {}
      for c = 1, classes do row[c] = V[i][c]; sorted[c] = row[c] end
      table.sort(sorted, function(a, b) return a > b end)
      local sum, tau = 0, 0
      for c = 1, classes do
        sum = sum + sorted[c]
        if sorted[c] - (sum - 1) / c > 0 then tau = (sum - 1) / c end
      end
      for c = 1, classes do row[c] = math.max(row[c] - tau, 0) end
      out[i] = row
    end
    return peri.array(out)
  end
  local function solve(start, p)
    local x, z, a, step = start, start, 1, p / L
    for k = 1, 20000 do
      local next = project(z - step * (Y - K % (Y - z) / p))
      local moved = next - x
      local size = peri.norminf(moved)
      local b = (1 + math.sqrt(1 + 4 * a * a)) / 2
      if peri.sum((z - next) * moved) > 0 then a, b = 1, 1; z = next else z = next + ((a - 1) / b) * moved end
      x, a = next, b
      if size < 1e-14 and k > 10 then break end
    end
    return x
  end
  local function outer(x) return 0.5 * ((Xv % W(x, theta) - Yv)^2):sum() end
  return { m = m, theta = theta, f = f, solve = solve, outer = outer, step = theta_at / L, count = count, classes = classes }
end

local function hypergradient(s, fixed_point, options)
  local o = { fixed_point = fixed_point, start = peri.ones(s.count, s.classes) / s.classes, arguments = { s.theta }, solver = s.solve, tolerance = 1e-8 }
  for key, value in pairs(options) do o[key] = value end
  return s.outer(peri.implicit(o))
end

-- mirror descent's systems at m = 200 have a condition that conjugate gradients on normal equations do not get over (a prototype in NumPy was 4.5e-3 off
-- after 5000 iterations); gmres does
for _, row in ipairs{ { 30, 5, 3, 1, {} }, { 30, 5, 3, math.exp(2), {} },
  { 200, 50, 5, math.exp(2), { linear_solver = "gmres", linear_tolerance = 1e-10 } } } do
  local s = svm(row[1], row[2], row[3], row[4], 11)
  local at = row[4]
  local name = ("4: svm, m = %d, p = %d, k = %d, theta = %.3g"):format(row[1], row[2], row[3], at)
  local T = mappings.projected_gradient{ objective = s.f, projection = function(v) return proximal.simplex(v) end, step = s.step }
  local e = hypergradient(s, T, { linear_solver = "normal-cg", linear_tolerance = 1e-12 })
  local g = peri.grad(e, s.theta):value()
  local h = 1e-4 * at
  local d = (e:value{ [s.theta] = at + h } - e:value{ [s.theta] = at - h }) / (2 * h)
  below(math.abs(g - d) / math.max(math.abs(d), 1e-8), 1e-6, name .. ", projected gradient")
  local M = mappings.mirror_descent{ objective = s.f, step = 1 }
  local e2 = hypergradient(s, M, row[5])
  below(math.abs(peri.grad(e2, s.theta):value() - d) / math.max(math.abs(d), 1e-8), 1e-6, name .. ", mirror descent")
end

do -- more features than points and a small theta: the machine interpolates, and nothing depends on theta any more
  local s = svm(30, 60, 3, 0.01, 11)
  local T = mappings.projected_gradient{ objective = s.f, projection = function(v) return proximal.simplex(v) end, step = s.step }
  local e = hypergradient(s, T, { linear_solver = "normal-cg", linear_tolerance = 1e-12 })
  local h = 1e-3
  local d = (e:value{ [s.theta] = 0.01 + h } - e:value{ [s.theta] = 0.01 - h }) / (2 * h)
  below(math.abs(d), 1e-8, "4: svm in the interpolation regime: differences")
  below(math.abs(peri.grad(e, s.theta):value{ [s.theta] = 0.01 }), 1e-8, "4: and projected gradient (1e-10)")
end

-- ---- 6. packed disks: how they move when the small ones grow -----------------------------------------------------------------------------------------

for _, n in ipairs{ 32, 64 } do
  local m = peri.model "disks"
  local theta = m:var("theta", { start = 0.6 })
  -- N / 2 disks of diameter theta and N / 2 of diameter 1 in a periodic box of (their area) / 1.1; positions are fractions of its side
  local area = (n / 2) * (math.pi / 4) * (theta^2 + 1)
  local side = peri.sqrt(area / 1.1)
  local low = m:lower "relaxed"
  local noise = peri.random.uniform{ rows = n, cols = 2, seed = 9 }
  local x0, y0, first, second, own, other = {}, {}, {}, {}, {}, {}
  for i = 1, n do
    local across = n == 32 and 6 or 8
    x0[i] = ((i - 1) % across + 0.5 * noise[i][1]) / across
    y0[i] = ((i - 1) // across + 0.5 * noise[i][2]) / across
  end
  local x, y = low:var("x", n, { start = x0 }), low:var("y", n, { start = y0 })
  for i = 1, n do
    for j = i + 1, n do
      first[#first + 1], second[#second + 1] = i, j
      own[#own + 1] = (i % 2 == 0 and 1 or 0) + (j % 2 == 0 and 1 or 0) -- of diameter 1
      other[#other + 1] = 2 - own[#own]
    end
  end
  local function wrapped(d) return peri.atan2(peri.sin(2 * math.pi * d), peri.cos(2 * math.pi * d)) / (2 * math.pi) end -- to the nearest image
  local dx, dy = wrapped(x[first] - x[second]), wrapped(y[first] - y[second])
  local reach = 0.5 * (peri.array(own) + theta * peri.array(other))
  local distance = side * peri.sqrt(dx^2 + dy^2)
  low:minimize(0.5 * (peri.relu(1 - distance / reach)^2):sum())
  local sx, sy = low:argmin{ solver = "lbfgs", options = { tolerance = 1e-9, iterations = 20000 }, linear_solver = "bicgstab", linear_tolerance = 1e-10,
    warm = true }
  local both = peri.stack{ sx, sy }
  local function still(v) -- without what moves all alike
    local out = {}
    for block = 0, 1 do
      local mean = 0
      for i = 1, n do mean = mean + v[block * n + i] / n end
      for i = 1, n do out[block * n + i] = v[block * n + i] - mean end
    end
    return out
  end
  both:value()
  local at = both:value()
  local J = still(peri.jacobian(both, theta):value())
  local h = 1e-6
  local up, down = both:value{ [theta] = 0.6 + h }, both:value{ [theta] = 0.6 - h }
  local d, error2, size2 = still((up - down) / (2 * h)), 0, 0
  for i = 1, 2 * n do
    error2 = error2 + (d[i] - J[i])^2
    size2 = size2 + d[i]^2
  end
  below(math.sqrt(error2 / size2), 1e-5, ("6: %d disks, sensitivity against differences"):format(n))
  t.raises(function()
    local again = m:lower "direct"
    local u, w = again:var("u", n, { start = at:slice(1, n) }), again:var("w", n, { start = at:slice(n + 1, 2 * n) })
    again:minimize(peri.substitute(0.5 * (peri.relu(1 - distance / reach)^2):sum(), { [x] = u, [y] = w }))
    local direct = again:argmin{ linear_solver = "lu" }
    peri.jacobian(direct, theta):value()
  end, "singular", "6: two directions in which all move alike: factors say that the Jacobian is singular")
end

t.done()
