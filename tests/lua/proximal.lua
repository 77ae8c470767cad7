-- SPDX-License-Identifier: Apache-2.0
-- Composite problems: operators against closed forms, methods against each other and against smooth formulations, what is recognised and what
-- is refused.

local t = require "tap"
local peri = require "perigee"

local tight = { tolerance = 1e-10, iterations = 20000 }
local methods = { "projected-gradient", "fista" }

local function with(more)
  local out = {}
  for k, v in pairs(tight) do out[k] = v end
  for k, v in pairs(more or {}) do out[k] = v end
  return out
end

local function norm(v)
  local sum = 0
  for _, x in ipairs(v) do sum = sum + x^2 end
  return math.sqrt(sum)
end

local function soft(v, w) return math.max(math.abs(v) - w, 0) * (v < 0 and -1 or 1) end

local target = { 3, -0.2, 0.5, -4, 0.9, -1.1, 2, 0.05 }

--- 1/2 |x - target|^2 + h(x), whose minimiser is h's operator at the target.
local function operator(h, opts)
  local m = peri.model "operator"
  local x = m:var("x", 8, opts)
  local term = h and h(x, m)
  local f = 0.5 * ((x - peri.array(target))^2):sum()
  m:minimize(term and f + term or f)
  return m, x
end

local function expect(name, m, x, want)
  for _, method in ipairs(methods) do
    local sol = m:solve(method, tight)
    t.all_close(sol[x]:totable(), want, 1e-8, 1e-9, name .. " by " .. method)
    t.ok(sol.certificate.kkt < 1e-8, name .. " by " .. method .. " is certified")
  end
end

local function map(fn)
  local out = {}
  for i, v in ipairs(target) do out[i] = fn(v, i) end
  return out
end

-- ---- norms -------------------------------------------------------------------------------------------------------------

local shrunk = map(function(v) return soft(v, 0.8) end)

local function check(name, h, want, opts)
  local m, x = operator(h, opts)
  expect(name, m, x, want)
end

check("norm1", function(x) return 0.8 * x:norm1() end, shrunk)
check("a loop of absolute values", function(x)
  local sum = 0
  for i = 8, 1, -1 do sum = sum + 0.8 * peri.abs(x[i]) end
  return sum
end, shrunk)
check("two halves", function(x) return 2 * (0.4 * x:slice(1, 3):norm1() + x:slice(4, 8):norm1() / 2.5) end, shrunk)
check("weights", function(x) return (peri.array { 1, 2, 0, 1, 0.5, 3, 1, 1 } * x:abs()):sum() end,
  map(function(v, i) return soft(v, ({ 1, 2, 0, 1, 0.5, 3, 1, 1 })[i]) end))
check("a center", function(x) return (x - 0.7):norm1() end, map(function(v) return 0.7 + soft(v - 0.7, 1) end))
check("within bounds", function(x) return 0.8 * x:norm1() end,
  map(function(v) return math.min(math.max(soft(v, 0.8), -1), 1.5) end), { lower = -1, upper = 1.5 })
check("bounds alone", nil, map(function(v) return math.min(math.max(v, 0), 1) end), { lower = 0, upper = 1 })

do
  local function group(first, last, w)
    local part = table.move(target, first, last, 1, {})
    local size, out = norm(part), {}
    for k, v in ipairs(part) do out[k] = size > w and v * (1 - w / size) or 0 end
    return out
  end
  local want = group(1, 3, 1)
  for _, v in ipairs(group(4, 6, 1.5)) do want[#want + 1] = v end
  for _, v in ipairs(group(7, 8, 2.5)) do want[#want + 1] = v end
  check("norms of groups", function(x)
    return x:slice(1, 3):norm2() + 1.5 * x:slice(4, 6):norm2() + 2.5 * peri.norm2(x:slice(7, 8))
  end, want)
end

do -- singular values of a diagonal matrix are its entries' magnitudes
  local m = peri.model "nuclear"
  local X = m:var("X", { 3, 4 })
  local B = { { 3, 0, 0, 0 }, { 0, -1, 0, 0 }, { 0, 0, 0.4, 0 } }
  m:minimize(0.5 * ((X - peri.array(B))^2):sum() + 0.5 * peri.norm_nuclear(X))
  expect("nuclear norm", m, X:reshape(12, 1), { 2.5, 0, 0, 0, 0, -0.5, 0, 0, 0, 0, 0, 0 })
  t.is_close(peri.norm_nuclear(peri.array(B)), 4.4, 1e-13, 0, "norm_nuclear of numbers")
  t.is_close(peri.norm_nuclear(peri.array { { 1, 2 }, { 2, 1 } }), 4, 1e-13, 0, "of a symmetric matrix: its eigenvalues' magnitudes")
end

-- ---- sets -----------------------------------------------------------------------------------------------------------------

--- The projection onto { x >= 0, sum = s } by bisection on the shift.
local function to_simplex(v, s)
  local low, high = -10, 10
  for _ = 1, 200 do
    local shift, sum = (low + high) / 2, 0
    for _, x in ipairs(v) do sum = sum + math.max(x - shift, 0) end
    if sum > s then low = shift else high = shift end
  end
  local out = {}
  for i, x in ipairs(v) do out[i] = math.max(x - low, 0) end
  return out
end

local function constrained(name, constraint, want, opts)
  local m, x = operator(nil, opts)
  m:subject_to(constraint(x))
  for _, method in ipairs(methods) do
    local sol = m:solve(method, tight)
    t.all_close(sol[x]:totable(), want, 1e-8, 1e-9, name .. " by " .. method)
  end
  return m, x
end

constrained("simplex", function(x) return x:sum():eq(2) end, to_simplex(target, 2), { lower = 0 })
constrained("ball", function(x) return x:norm2() <= 2 end, map(function(v) return v * 2 / norm(target) end))
constrained("ball, squared", function(x) return (x^2):sum() <= 4 end, map(function(v) return v * 2 / norm(target) end))
do
  local sizes = map(math.abs)
  local projected = to_simplex(sizes, 3)
  constrained("ball of norm1", function(x) return x:norm1() <= 3 end, map(function(v, i) return v < 0 and -projected[i] or projected[i] end))
end
do
  local a, dot, square = { 1, 2, 0, 0, -1, 0, 0, 3 }, 0, 0
  for i, v in ipairs(a) do dot, square = dot + v * target[i], square + v^2 end
  constrained("hyperplane", function(x) return x:dot(peri.array(a)):eq(4) end, map(function(v, i) return v + (4 - dot) / square * a[i] end))
  constrained("halfspace, not active", function(x) return x:dot(peri.array(a)) <= 100 end, target)
end

-- ---- frank-wolfe -----------------------------------------------------------------------------------------------------------

do
  local m, x = operator(nil, { lower = 0 })
  m:subject_to(x:sum():eq(2))
  local sol = m:solve("frank-wolfe", { tolerance = 1e-7, iterations = 50000 })
  t.all_close(sol[x]:totable(), to_simplex(target, 2), 1e-5, 1e-5, "frank-wolfe: simplex")
  m, x = operator(nil, { lower = -1, upper = 2 })
  sol = m:solve("frank-wolfe", { tolerance = 1e-6, iterations = 50000 })
  t.all_close(sol[x]:totable(), map(function(v) return math.min(math.max(v, -1), 2) end), 1e-4, 1e-4, "frank-wolfe: box")
  m, x = operator(function(y) return y:norm1() end, { lower = -1, upper = 2 })
  t.raises(function() m:solve "frank-wolfe" end, "no norm in the objective", "frank-wolfe refuses norms")
  m, x = operator()
  t.raises(function() m:solve "frank-wolfe" end, "bounded simple sets", "frank-wolfe refuses what is not bounded")
end

-- ---- a real fit: lasso against its smooth formulation --------------------------------------------------------------------------

do
  local rows, cols = 30, 50
  local A = peri.random.normal { n = rows * cols, seed = 4 }
  local B = peri.reshape(A, rows, cols)
  local y = peri.random.normal { n = rows, seed = 5 }
  local m = peri.model "lasso"
  local lambda, x = m:param("lambda", 3), m:var("x", cols)
  m:minimize(0.5 * ((B % x - y)^2):sum() + lambda * x:norm1())
  local split = peri.model "split"
  local plus, minus = split:var("p", cols, { lower = 0 }), split:var("q", cols, { lower = 0 })
  local weight = split:param("lambda", 3)
  split:minimize(0.5 * ((B % (plus - minus) - y)^2):sum() + weight * (plus + minus):sum())
  for _, value in ipairs { 3, 0.5, 40 } do
    lambda:set(value)
    weight:set(value)
    local best = split:solve("ipm", { tolerance = 1e-9 }).objective
    for _, method in ipairs(methods) do
      local sol = m:solve(method, with { tolerance = 1e-8 })
      t.is_close(sol.objective, best, 1e-6, 1e-8, ("lasso with lambda %g by %s"):format(value, method))
      t.is(sol.status, "optimal", "a convex problem with kinks is certified optimal")
    end
  end
  local chosen = m:solve()
  t.is(chosen.solver, "projected-gradient", "the automatic choice for a composite problem")
end

-- ---- what has no operator ----------------------------------------------------------------------------------------------------------

for name, h in pairs {
  ["a largest entry"] = function(x) return x:max() end,
  ["overlapping groups"] = function(x) return x:slice(1, 3):norm2() + x:slice(3, 5):norm2() + x:abs():max() end,
  ["absolute values of sums"] = function(x) return peri.abs(x[1] + x[2]) end,
  ["a negative weight"] = function(x) return -1 * x:norm1() end,
} do
  local m = operator(h)
  t.raises(function() m:solve "fista" end, "fista", name .. " is refused")
end

do -- a norm that vanishes at the solution: a method for it goes first, smooth ones are not offered
  local m = peri.model "groups"
  local x = m:var("x", 4, { start = 1 })
  local d = x - peri.array { 3, 1, 0.1, 0.1 }
  m:minimize(d:dot(d) / 2 + x:slice(1, 2):norm2() + 2 * x:slice(3, 4):norm2())
  local sol = m:solve()
  t.is(sol.solver, "projected-gradient", "the engine's choice for norms of groups")
  t.is(sol.status, "optimal", "is optimal")
  local shrunk = 1 - 1 / math.sqrt(10)
  t.all_close(sol[x]:totable(), { 3 * shrunk, shrunk, 0, 0 }, 1e-6, 1e-6, "both shrink, one vanishes")
  t.raises(function() m:solve "lbfgs" end, "non-smooth", "a smooth method says why not")
  local r = peri.model "a root"
  local y = r:var("y", 2, { start = 2 })
  r:minimize((y - peri.array { 1, 1 }):norm2() + (y[1] - y[2])^2 + peri.sqrt(y:dot(y) + 1))
  t.has(r:explain(), "plan: trust-ncg", "norms of other things are left to smooth methods")
end

t.done()
