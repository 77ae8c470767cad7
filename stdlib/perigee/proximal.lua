-- SPDX-License-Identifier: Apache-2.0
--- Projections and proximal operators, as expressions with derivatives (of arrays: their values).
--
--   local proximal = require "perigee.proximal"
--   proximal.simplex(v)            the nearest point with entries >= 0 and sum 1
--   proximal.soft_threshold(v, 0.1)
--
-- Where one has kinks its derivative is an element of the generalised Jacobian. Thresholds that a sort would find (simplex, l1 ball, isotonic) are
-- roots of piecewise linear equations, peri.implicit: their derivatives are exact wherever there are any. Sizes and levels may be expressions.
-- Sources: Parikh and Boyd 2014, Proximal algorithms, ch. 6; Duchi et al. 2008, ICML; Condat 2016, Math. Program. 158:575.

local peri = require "perigee"
local usage = require "perigee.usage"

local proximal = {}

local function is_expr(v)
  return getmetatable(v) == "perigee.expr"
end

--- f of v and more, where it needs a model: arrays alone get one for the while.
local function lifted(f)
  return function(v, ...)
    local more = table.pack(...)
    if is_expr(v) then return f(v, ...) end
    for k = 1, more.n do
      if is_expr(more[k]) then return f(v, ...) end
    end
    return f(peri.model("proximal"):param("v", v), ...):value()
  end
end

local function norm(v)
  return peri.norm2(v)
end

-- ---- sets -------------------------------------------------------------------------------------------------------------------------------

--- { v >= 0 }
function proximal.nonnegative(v)
  return peri.relu(v)
end

--- { lower <= v <= upper }; either may be nil
function proximal.box(v, lower, upper)
  if lower then v = peri.max2(v, lower) end
  if upper then v = peri.min2(v, upper) end
  return v
end

-- t with sum of relu(u - t) = size, in each row of u: Newton from below is exact after as many steps as the support changes
local function threshold(u, size)
  local rows, cols = u:rows(), u:cols()
  if cols == 1 then
    return peri.implicit{ name = "simplex", arguments = { u, size }, start = (peri.sum(u) - size) / rows, residual = function(t, w, s)
      return peri.sum(peri.relu(w - t)) - s
    end, solver = "newton", iterations = 10000 }
  end
  return peri.implicit{ name = "simplex", arguments = { u, size }, start = (peri.sum(u, 2) - size) / cols, residual = function(t, w, s)
    return peri.sum(peri.relu(w - t), 2) - s
  end, solver = "newton", iterations = 10000 }
end

--- { v >= 0, sum of v = size } (1); of a matrix: each row
proximal.simplex = lifted(function(v, size)
  return peri.relu(v - threshold(v, size or 1))
end)

--- { |v|_1 <= radius } (1)
proximal.l1_ball = lifted(function(v, radius)
  radius = radius or 1
  local level = peri.relu(threshold(peri.abs(v), radius))
  return peri.where(peri.norm1(v) - radius, proximal.soft_threshold(v, level), v)
end)

--- { |v|_2 <= radius } (1)
function proximal.l2_ball(v, radius)
  radius = radius or 1
  return peri.where(norm(v) - radius, v * (radius / norm(v)), v)
end

--- { |v|_inf <= radius } (1)
function proximal.linf_ball(v, radius)
  radius = radius or 1
  return proximal.box(v, -radius, radius)
end

--- { a'v = b }
function proximal.hyperplane(v, a, b)
  return v - a * ((peri.dot(a, v) - b) / peri.dot(a, a))
end

--- { a'v <= b }
function proximal.halfspace(v, a, b)
  return v - a * (peri.relu(peri.dot(a, v) - b) / peri.dot(a, a))
end

--- { A v = b }, A of full row rank
function proximal.affine(v, A, b)
  return v - A:t() % peri.solve(A % A:t(), A % v - b)
end

--- { |(v[2], ..., v[n])|_2 <= v[1] }
function proximal.second_order_cone(v)
  local n = #v
  if n < 2 then usage.fail("second_order_cone: a vector of at least 2 entries is needed, not %d", n) end
  local t, x = v[1], v:slice(2, n)
  local r = norm(x)
  local half = peri.stack{ (t + r) / 2, x * ((1 + t / r) / 2) }
  return peri.where(r - t, peri.where(r + t, half, 0 * v), v)
end

-- Pool adjacent violators: multipliers of x[k] <= x[k + 1] at the nearest ascending x
local function pool(_, v)
  local n = #v
  local sum, count, blocks = {}, {}, 0
  for k = 1, n do
    blocks = blocks + 1
    sum[blocks], count[blocks] = v[k], 1
    while blocks > 1 and sum[blocks - 1] / count[blocks - 1] > sum[blocks] / count[blocks] do
      sum[blocks - 1], count[blocks - 1] = sum[blocks - 1] + sum[blocks], count[blocks - 1] + count[blocks]
      blocks = blocks - 1
    end
  end
  local multiplier, at, total = {}, 0, 0
  for b = 1, blocks do
    for k = 1, count[b] do
      at = at + 1
      total = k == count[b] and 0 or total + v[at] - sum[b] / count[b]
      if at < n then multiplier[at] = math.max(total, 0) end
    end
  end
  return multiplier
end

--- { v[1] <= v[2] <= ... }
proximal.isotonic = lifted(function(v)
  local n = #v
  if n == 1 then return v end
  local function point(m, w) -- w - D'm, D v being differences
    return w + peri.stack{ -m, 0 } + peri.stack{ 0, m }
  end
  local m = peri.implicit{ name = "isotonic", arguments = { v }, start = peri.zeros(n - 1, 1), solver = pool, tolerance = 1e-8,
    residual = function(m, w)
      local x = point(m, w)
      return m - peri.relu(m - x:slice(2, n) + x:slice(1, n - 1))
    end }
  return point(m, v)
end)

--- { X >= 0 with row sums a and column sums b }, of a matrix; sum of a = sum of b
proximal.transport = lifted(function(V, a, b)
  local rows, cols = V:rows(), V:cols()
  local function plan(y, W)
    return peri.relu(W + y:slice(1, rows) + y:slice(rows + 1, rows + cols):t())
  end
  local y = peri.implicit{ name = "transport", arguments = { V }, start = peri.zeros(rows + cols, 1), linear_solver = "minres", tolerance = 1e-9,
    iterations = 1000, residual = function(y, W)
      local X = plan(y, W)
      return peri.stack{ peri.sum(X, 2) - a, peri.sum(X, 1):t() - b }
    end }
  return plan(y, V)
end)

--- { A v = b, G v <= h }, by a quadratic program in `model`, the model of v; each part may be left out
function proximal.polyhedron(model, v, set)
  set = usage.only("polyhedron", set, { "A", "b", "G", "h", "name", "solver" })
  if not is_expr(v) then usage.fail("polyhedron: v must be an expression of the model") end
  proximal.programs = (proximal.programs or 0) + 1
  local low = model:lower(set.name or ("polyhedron %d"):format(proximal.programs))
  local x = low:var(("polyhedron_%d"):format(proximal.programs), #v)
  low:minimize(0.5 * peri.sum((x - v)^2))
  if set.A then low:subject_to((set.A % x):eq(set.b)) end
  if set.G then low:subject_to((set.G % x):le(set.h)) end
  return (low:argmin{ solver = set.solver })
end

-- ---- functions: prox(v) = argmin g(x) + |x - v|^2 / 2 ---------------------------------------------------------------------------------------

--- level |x|_1; level a number or one an entry
function proximal.soft_threshold(v, level)
  return peri.relu(v - level) - peri.relu(-v - level)
end

--- level |x|_1 + ridge |x|^2 / 2
function proximal.elastic_net(v, level, ridge)
  return proximal.soft_threshold(v, level) / (1 + ridge)
end

--- level |x|^2 / 2
function proximal.ridge(v, level)
  return v / (1 + level)
end

--- level |x|_2; of a matrix: the sum over its rows, which are the groups
function proximal.group_lasso(v, level)
  if v:cols() == 1 then return peri.where(norm(v) - level, v * (1 - level / norm(v)), 0 * v) end
  local length = peri.norm2(v, 2)
  return v * peri.where(length - level, 1 - level / length, 0 * length)
end

-- ---- what they are given ---------------------------------------------------------------------------------------------------------------------

local arguments = {
  l2_ball = {}, linf_ball = {}, second_order_cone = {}, hyperplane = { "a", "b" }, halfspace = { "a", "b" }, affine = { "A", "b" },
  soft_threshold = { "level" }, elastic_net = { "level", "ridge" }, ridge = { "level" }, group_lasso = { "level" },
}

local function is_array(v)
  return is_expr(v) or getmetatable(v) == "perigee.array"
end

for name, more in pairs(arguments) do
  local f = proximal[name]
  proximal[name] = function(v, ...)
    if not is_array(v) then usage.fail("%s: an array or an expression is needed, not %s", name, tostring(v)) end
    for k, of in ipairs(more) do
      local given = (select(k, ...))
      if type(given) ~= "number" and not is_array(given) then
        usage.fail("%s: %s is %s, must be a number, an array or an expression", name, of, tostring(given))
      end
    end
    return f(v, ...)
  end
end

return proximal
