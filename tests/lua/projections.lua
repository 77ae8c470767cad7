-- SPDX-License-Identifier: Apache-2.0
-- projections.lua - perigee.proximal: values against quadratic programs solved by the interior-point method, derivatives against differences, and
-- what projections are: idempotent, and closer than any other point of the set.

local t = require "tap"
local peri = require "perigee"
local proximal = require "perigee.proximal"

local function norm_of_difference(a, b)
  local worst = 0
  for i = 1, #a do worst = math.max(worst, math.abs(a[i] - b[i])) end
  return worst
end

-- largest error of the Jacobian of e by x against central differences
local function jacobian_error(e, x, at)
  local J, h, worst = peri.jacobian(e, x):value{ [x] = at }, 1e-6, 0
  for k = 1, #at do
    local up, down = { table.unpack(at) }, { table.unpack(at) }
    up[k], down[k] = at[k] + h, at[k] - h
    local a, b = e:value{ [x] = up }, e:value{ [x] = down }
    for i = 1, #a do worst = math.max(worst, math.abs((a[i] - b[i]) / (2 * h) - (type(J[i]) == "number" and J[i] or J[i][k]))) end
  end
  return worst
end

-- argmin of |x - v|^2 / 2 + g(x) over the constraints, by the interior-point method
local function nearest(v, build)
  local m = peri.model "reference"
  local x = m:var("x", #v)
  m:minimize(0.5 * ((x - peri.array(v))^2):sum() + (build(m, x) or 0))
  return m:solve("ipm", { tolerance = 1e-11 })[x]
end

local v4, v5 = { 0.9, -0.4, 1.3, 0.2 }, { 0.7, 1.9, -0.3, 0.4, 0.1 }

local function check(name, v, f, build, tolerance)
  local m = peri.model(name)
  local x = m:var("x", #v)
  local e = f(x, m)
  local value = e:value{ [x] = v }
  if build then t.ok(norm_of_difference(value, nearest(v, build)) < (tolerance or 1e-6), name .. ": the nearest point") end
  t.ok(jacobian_error(e, x, v) < 1e-7, name .. ": the Jacobian agrees with differences")
  return value
end

local function again(name, v, f) -- a projection leaves its own points where they are
  local m = peri.model(name)
  local x = m:var("x", #v)
  local once = f(x, m):value{ [x] = v }
  local p = {}
  for i = 1, #once do p[i] = once[i] end
  t.ok(norm_of_difference(f(x, m):value{ [x] = p }, once) < 1e-9, name .. ": its own points stay")
end

local A, b = peri.array{ { 1, 2, 0, -1, 0 }, { 0, 1, 1, 1, 1 } }, peri.array{ 1, 0.5 }
local sets = {
  { "nonnegative", v4, proximal.nonnegative, function(m, x) m:subject_to(x:ge(0)) end },
  { "box", v4, function(v) return proximal.box(v, -0.1, 1) end, function(m, x) m:subject_to(peri.between(-0.1, x, 1)) end },
  { "simplex", v5, function(v) return proximal.simplex(v) end, function(m, x) m:subject_to(x:ge(0), x:sum():eq(1)) end },
  { "scaled simplex", v5, function(v) return proximal.simplex(v, 2.5) end, function(m, x) m:subject_to(x:ge(0), x:sum():eq(2.5)) end },
  { "l1 ball", v5, function(v) return proximal.l1_ball(v, 1.3) end, function(m, x)
    local p = m:var("p", 5, { lower = 0 })
    m:subject_to((x - p):le(0), (-x - p):le(0), p:sum():le(1.3))
  end },
  { "l2 ball", v4, function(v) return proximal.l2_ball(v, 0.8) end, function(m, x) m:subject_to((x^2):sum():le(0.64)) end },
  { "linf ball", v4, function(v) return proximal.linf_ball(v, 0.5) end, function(m, x) m:subject_to(peri.between(-0.5, x, 0.5)) end },
  { "hyperplane", v4, function(v) return proximal.hyperplane(v, peri.array{ 1, 2, -1, 1 }, 0.3) end, function(m, x)
    m:subject_to(peri.dot(peri.array{ 1, 2, -1, 1 }, x):eq(0.3))
  end },
  { "halfspace", v4, function(v) return proximal.halfspace(v, peri.array{ 1, 2, 1, 1 }, 0.3) end, function(m, x)
    m:subject_to(peri.dot(peri.array{ 1, 2, 1, 1 }, x):le(0.3))
  end },
  { "affine set", v5, function(v) return proximal.affine(v, A, b) end, function(m, x) m:subject_to((A % x):eq(b)) end },
  { "second-order cone", v4, proximal.second_order_cone, function(m, x)
    m:subject_to(peri.sqrt(x[2]^2 + x[3]^2 + x[4]^2 + 1e-18):le(x[1]))
  end, 1e-5 },
  { "isotonic", v5, proximal.isotonic, function(m, x) m:subject_to((x:slice(1, 4) - x:slice(2, 5)):le(0)) end },
  { "polyhedron", v5, function(v, m) return proximal.polyhedron(m, v, { A = A, b = b, G = peri.eye(5), h = 0.6 * peri.ones(5, 1) }) end,
    function(m, x) m:subject_to((A % x):eq(b), x:le(0.6)) end },
}
for _, s in ipairs(sets) do
  check(s[1], s[2], s[3], s[4], s[5])
  if s[1] ~= "polyhedron" then again(s[1], s[2], s[3]) end
end
check("inside the l1 ball", { 0.1, -0.2, 0.3, 0 }, function(v) return proximal.l1_ball(v, 1) end)
check("inside the l2 ball", { 0.1, -0.2, 0.3, 0 }, function(v) return proximal.l2_ball(v, 1) end)
check("inside the second-order cone", { 2, 0.5, 0.3, 0 }, proximal.second_order_cone)
local polar = check("in the polar cone", { -2, 0.5, 0.3, 0 }, proximal.second_order_cone)
t.ok(norm_of_difference(polar, { 0, 0, 0, 0 }) == 0, "whose points go to 0")

-- transport plans: 2 x 3, rows 0.6, 0.4, columns 0.3, 0.3, 0.4
do
  local v = { 0.5, -0.2, 0.3, 0.1, 0.4, -0.6 }
  local a, c = peri.array{ 0.6, 0.4 }, peri.array{ 0.3, 0.3, 0.4 }
  check("transport", v, function(x) return proximal.transport(x:reshape(2, 3), a, c):reshape(6, 1) end, function(m, x)
    local X = x:reshape(2, 3)
    m:subject_to(x:ge(0), peri.sum(X, 2):eq(a), peri.sum(X, 1):t():eq(c))
  end)
end

-- rows of a matrix
do
  local m = peri.model "rows"
  local x = m:var("x", { 3, 4 })
  local values = peri.random.normal{ rows = 3, cols = 4, seed = 4 }
  local rows = proximal.simplex(x):value{ [x] = values }
  local worst = 0
  for i = 1, 3 do
    local one = proximal.simplex(peri.array{ values[i][1], values[i][2], values[i][3], values[i][4] })
    for j = 1, 4 do worst = math.max(worst, math.abs(one[j] - rows[i][j])) end
  end
  t.ok(worst < 1e-14, "the simplex of each row, and of arrays: numbers")
end

-- ---- functions -----------------------------------------------------------------------------------------------------------------------------

local function l1(level) -- |x|_1 by a variable above both signs
  return function(m, x)
    local p = m:var("p", #x, { lower = 0 })
    m:subject_to((x - p):le(0), (-x - p):le(0))
    return level * p:sum()
  end
end
check("soft threshold", v5, function(v) return proximal.soft_threshold(v, 0.35) end, l1(0.35))
check("elastic net", v5, function(v) return proximal.elastic_net(v, 0.35, 2) end, function(m, x) return l1(0.35)(m, x) + (x^2):sum() end)
check("ridge", v5, function(v) return proximal.ridge(v, 2) end, function(_, x) return (x^2):sum() end)
check("group lasso", v4, function(v) return proximal.group_lasso(v, 0.5) end, function(_, x) return 0.5 * peri.sqrt((x^2):sum() + 1e-18) end, 1e-5)
check("a group below its level", { 0.1, 0.2, -0.1, 0 }, function(v) return proximal.group_lasso(v, 0.5) end)
check("groups in rows", { 0.1, 0.2, -0.1, 0.9, 1.2, 0.3 }, function(v) return proximal.group_lasso(v:reshape(3, 2), 0.5):reshape(6, 1) end)

-- derivatives by the sizes: the simplex' size, a threshold
do
  local m = peri.model "levels"
  local r = m:var("r", 1, { start = { 1.3 } })
  for name, f in pairs{ simplex = proximal.simplex, l1_ball = proximal.l1_ball, soft_threshold = proximal.soft_threshold } do
    t.ok(jacobian_error(f(peri.array(v5), r[1]), r, { 1.3 }) < 1e-7, name .. ": by its size")
  end
end
t.raises(function() proximal.second_order_cone(peri.array{ 1 }) end, "at least 2 entries", "a cone of one entry")
t.raises(function() proximal.polyhedron(nil, peri.array{ 1 }, {}) end, "must be an expression", "a polyhedron without a model")

-- ---- wrong arguments are named ----------------------------------------------------------------------------------------------------------------

do
  local mappings = require "perigee.mappings"
  local v = peri.array { 1, 2 }
  t.raises(function() proximal.soft_threshold(v) end, "soft_threshold: level is nil, must be a number", "a level that is missing")
  t.raises(function() proximal.hyperplane(v, {}, 1) end, "hyperplane: a is table", "a list in the place of an array")
  t.raises(function() proximal.second_order_cone(3) end, "second_order_cone: an array or an expression is needed, not 3", "no vector")
  t.raises(function() mappings.stationary() end, "stationary: a table of options is needed, not nil; it takes objective", "no options")
end

t.done()
