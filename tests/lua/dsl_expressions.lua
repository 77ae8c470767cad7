-- SPDX-License-Identifier: Apache-2.0
-- Expressions: every function and method of the DSL page against plain Lua arithmetic, shapes, indexing, derivatives.
local t = require "tap"
local peri = require "perigee"

local m = peri.model "expressions"
local vx, vy = { 0.2385, 0.7193, 0.513 }, { -0.61, 1.27, 0.348 }
local x = m:var("x", 3, { start = vx })
local y = m:var("y", 3, { start = vy })
local s = m:var("s", nil, { start = 0.377 })
local rows = { { 1.3, -0.2, 0.4 }, { 0.15, 2.1, -0.35 }, { -0.6, 0.25, 1.7 } }
local X = m:var("X", { 3, 3 }, { start = rows })
local R = m:var("R", { 2, 3 }, { start = { { 1.1, -2.2, 3.3 }, { 0.4, 0.5, -0.6 } } })
local rtol = 1e-13 -- a few roundings of the library's functions

-- numbers, lists and lists of lists against values
local function same(got, want, name)
  if type(want) == "number" then
    return t.is_close(got, want, rtol, 1e-14, name)
  end
  local flat, expected = {}, {}
  for i = 1, #want do
    if type(want[i]) == "table" then
      for j = 1, #want[i] do
        flat[#flat + 1], expected[#expected + 1] = got[i][j], want[i][j]
      end
    else
      flat[#flat + 1], expected[#expected + 1] = got[i], want[i]
    end
  end
  return #want == #got and t.all_close(flat, expected, rtol, 1e-14, name) or t.ok(false, name)
end

local function each(f, a, b)
  local out = {}
  for i = 1, #a do out[i] = f(a[i], b and b[i]) end
  return out
end

-- as peri.f(e), as e:f(), and at once on an array
local function unary(name, f, data)
  data = data or vx
  local e = data == vx and x or y
  same(peri[name](e):value(), each(f, data), "peri." .. name)
  same(e[name](e):value(), each(f, data), "e:" .. name)
  same(peri[name](peri.array(data)), each(f, data), name .. " of an array")
  t.is_close(peri[name](data[2]), f(data[2]), rtol, 0, name .. " of a number")
end

local exp, log, sqrt = math.exp, math.log, math.sqrt
unary("exp", exp, vy)
unary("log", log)
unary("log1p", function(a) return log(1 + a) end)
unary("expm1", function(a) return exp(a) - 1 end)
unary("sqrt", sqrt)
unary("abs", math.abs, vy)
unary("sin", math.sin, vy)
unary("cos", math.cos, vy)
unary("tan", math.tan, vy)
unary("asin", math.asin)
unary("acos", math.acos)
unary("atan", math.atan, vy)
unary("sinh", function(a) return (exp(a) - exp(-a)) / 2 end, vy)
unary("cosh", function(a) return (exp(a) + exp(-a)) / 2 end, vy)
unary("tanh", function(a) return (exp(a) - exp(-a)) / (exp(a) + exp(-a)) end, vy)
unary("sigmoid", function(a) return 1 / (1 + exp(-a)) end, vy)
unary("softplus", function(a) return log(1 + exp(a)) end, vy)
do -- in other words, also where the exponential overflows
  local z = peri.array { -800, -1.3, 0.4, 800 } + 0 * x:sum()
  same(peri.log(1 + peri.exp(z)):value(), { 0, log(1 + exp(-1.3)), log(1 + exp(0.4)), 800 }, "log(1 + exp(z))")
  same(peri.log1p(peri.exp(z)):value(), { 0, log(1 + exp(-1.3)), log(1 + exp(0.4)), 800 }, "log1p(exp(z))")
  same((1 / (1 + peri.exp(-z))):value(), { 0, 1 / (1 + exp(1.3)), 1 / (1 + exp(-0.4)), 1 }, "1 / (1 + exp(-z))")
end
unary("relu", function(a) return math.max(a, 0) end, vy)
unary("stop", function(a) return a end, vy)

-- two arguments, element by element
local function binary(name, f)
  same(peri[name](x, y):value(), each(f, vx, vy), "peri." .. name)
  same(x[name](x, y):value(), each(f, vx, vy), "e:" .. name)
  same(peri[name](x, 0.42):value(), each(function(a) return f(a, 0.42) end, vx), name .. " with a number")
  same(peri[name](0.42, y):value(), each(function(b) return f(0.42, b) end, vy), name .. " of a number")
end
binary("pow", function(a, b) return a ^ b end)
binary("atan2", function(a, b) return math.atan(a, b) end)
binary("min2", math.min)
binary("max2", math.max)

-- operators
local function operator(name, f)
  same(f(x, y):value(), each(f, vx, vy), "x " .. name .. " y")
  same(f(x, 2.5):value(), each(function(a) return f(a, 2.5) end, vx), "x " .. name .. " 2.5")
  same(f(2.5, x):value(), each(function(a) return f(2.5, a) end, vx), "2.5 " .. name .. " x")
  same(f(x, s):value(), each(function(a) return f(a, 0.377) end, vx), "x " .. name .. " s")
  same(f(x, peri.array(vy)):value(), each(f, vx, vy), "x " .. name .. " array")
  same(f(peri.array(vx), y):value(), each(f, vx, vy), "array " .. name .. " y")
  same(f(x, vy):value(), each(f, vx, vy), "x " .. name .. " table")
  same(f(peri.array(vx), peri.array(vy)), each(f, vx, vy), "array " .. name .. " array")
end
operator("+", function(a, b) return a + b end)
operator("-", function(a, b) return a - b end)
operator("*", function(a, b) return a * b end)
operator("/", function(a, b) return a / b end)
operator("^", function(a, b) return a ^ b end)
same((-x):value(), { -vx[1], -vx[2], -vx[3] }, "-x")
same((x * 1e300 * 1e10):value(), { math.huge, math.huge, math.huge }, "overflow is infinity")

-- broadcasting: a column with a row
local function outer(f)
  local want = {}
  for i = 1, 3 do
    want[i] = {}
    for j = 1, 3 do want[i][j] = f(vx[i], vy[j]) end
  end
  return want
end
same((x + y:t()):value(), outer(function(a, b) return a + b end), "column + row")
same((x * y:t()):value(), outer(function(a, b) return a * b end), "column * row")
same((X * x):value(), each(function(row, a) return each(function(v) return v * a end, row) end, rows, vx), "matrix * column")
same((X - y:t()):value(), each(function(row) return each(function(v, b) return v - b end, row, vy) end, rows), "matrix - row")

-- reductions
local function total(a) local sum = 0 for i = 1, #a do sum = sum + a[i] end return sum end
local sum_x = total(vx)
local function reduction(name, want)
  t.is_close(peri[name](x):value(), want, rtol, 0, "peri." .. name)
  t.is_close(x[name](x):value(), want, rtol, 0, "e:" .. name)
  t.is_close(peri[name](peri.array(vx)), want, rtol, 0, name .. " of an array")
end
reduction("sum", sum_x)
reduction("mean", sum_x / 3)
reduction("max", 0.7193)
reduction("min", 0.2385)
reduction("norm1", sum_x)
reduction("norm2", sqrt(vx[1]^2 + vx[2]^2 + vx[3]^2))
reduction("norminf", 0.7193)
reduction("logsumexp", log(total(each(exp, vx))))
t.is_close(y:norm1():value(), 0.61 + 1.27 + 0.348, rtol, 0, "norm1 of mixed signs")
t.is_close(y:norminf():value(), 1.27, rtol, 0, "norminf of mixed signs")
t.is_close(peri.dot(x, y):value(), vx[1] * vy[1] + vx[2] * vy[2] + vx[3] * vy[3], rtol, 0, "peri.dot")
t.is_close(x:dot(vy):value(), vx[1] * vy[1] + vx[2] * vy[2] + vx[3] * vy[3], rtol, 0, "e:dot(table)")
same(x:softmax():value(), each(function(a) return exp(a) / total(each(exp, vx)) end, vx), "e:softmax")
same(peri.cumsum(x):value(), { vx[1], vx[1] + vx[2], sum_x }, "peri.cumsum")
same(R:cumsum():value(), { { 1.1, -2.2, 3.3 }, { 1.5, -1.7, 2.7 } }, "cumsum down the columns")
same(peri.where(y, x, 7):value(), { 7, vx[2], vx[3] }, "peri.where")
same(y:where(1, s):value(), { 0.377, 1, 1 }, "e:where")
same(peri.fma(1 + 2^-30, peri.array { 1 - 2^-30, 0, 2 }, -1), { -2^-60, -1, 1 + 2^-29 }, "peri.fma")
same(x:fma(y, s):value(), each(function(a, b) return a * b + 0.377 end, vx, vy), "e:fma")

-- matrices
local function product(a, b)
  local c = {}
  for i = 1, #a do
    c[i] = {}
    for j = 1, #b[1] do
      c[i][j] = 0
      for k = 1, #b do c[i][j] = c[i][j] + a[i][k] * b[k][j] end
    end
  end
  return c
end
local function transposed(a)
  local c = {}
  for j = 1, #a[1] do
    c[j] = {}
    for i = 1, #a do c[j][i] = a[i][j] end
  end
  return c
end
local two = { { 1.1, -2.2, 3.3 }, { 0.4, 0.5, -0.6 } }
same((R % X):value(), product(two, rows), "R % X")
same((R % x):value(), each(function(row) return row[1] end, product(two, { { vx[1] }, { vx[2] }, { vx[3] } })), "R % x")
same((peri.array(two) % x):value(), (R % x):value():totable(), "array % x")
same((X % R:t()):value(), product(rows, transposed(two)), "X % R:t()")
t.is_close((x:t() % y):value(), x:dot(y):value(), rtol, 0, "x:t() % y is a number")
same(R:t():value(), transposed(two), "R:t()")
t.is_close(peri.trace(X):value(), 1.3 + 2.1 + 1.7, rtol, 0, "peri.trace")
same(X:diag():value(), { 1.3, 2.1, 1.7 }, "diag of a matrix")
same(peri.diag(x):value(), { { vx[1], 0, 0 }, { 0, vx[2], 0 }, { 0, 0, vx[3] } }, "diag of a vector")
local function det(a)
  return a[1][1] * (a[2][2] * a[3][3] - a[2][3] * a[3][2]) - a[1][2] * (a[2][1] * a[3][3] - a[2][3] * a[3][1])
    + a[1][3] * (a[2][1] * a[3][2] - a[2][2] * a[3][1])
end
t.is_close(peri.logdet(X):value(), log(det(rows)), 1e-12, 0, "peri.logdet")
do -- the exponential's series
  local power, sum, factor = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } }, { { 0, 0, 0 }, { 0, 0, 0 }, { 0, 0, 0 } }, 1.0
  for k = 0, 60 do
    for i = 1, 3 do for j = 1, 3 do sum[i][j] = sum[i][j] + power[i][j] / factor end end
    power, factor = product(power, rows), factor * (k + 1)
  end
  local got = X:expm():value()
  for i = 1, 3 do t.all_close(got[i], sum[i], 1e-12, 1e-13, "expm, row " .. i) end
end
do -- valid cross-correlation
  local kernel = { { 0.5, -1 }, { 2, 0.25 } }
  local want = {}
  for i = 1, 2 do
    want[i] = {}
    for j = 1, 2 do
      want[i][j] = 0
      for p = 1, 2 do for q = 1, 2 do want[i][j] = want[i][j] + rows[i + p - 1][j + q - 1] * kernel[p][q] end end
    end
  end
  same(peri.conv2d(X, kernel):value(), want, "peri.conv2d")
end
same(peri.stack(x, 5, s):value(), { vx[1], vx[2], vx[3], 5, 0.377 }, "peri.stack(...)")
same(peri.stack { x[1], y[2] }:value(), { vx[1], vy[2] }, "peri.stack{...}")
same(R:stack(X):value(), { two[1], two[2], rows[1], rows[2], rows[3] }, "stack of matrices")
same(R:reshape(3, 2):value(), { { 1.1, -2.2 }, { 3.3, 0.4 }, { 0.5, -0.6 } }, "reshape(3, 2)")
same(peri.reshape(R, { 3, 2 }):value(), { { 1.1, -2.2 }, { 3.3, 0.4 }, { 0.5, -0.6 } }, "reshape{3, 2}")
same(R:reshape(6):value(), { 1.1, -2.2, 3.3, 0.4, 0.5, -0.6 }, "reshape(6)")

-- indexing
t.is_close(x[2]:value(), vx[2], 0, 0, "x[2]")
t.is_close(x[3.0]:value(), vx[3], 0, 0, "x[3.0]")
t.is_close(X[2][3]:value(), -0.35, 0, 0, "X[2][3]")
same(X[3]:value(), { rows[3] } and rows[3], "X[3] is a row whose entries are counted")
t.is_close((2 * X[3] - X[1])[2]:value(), 2 * 0.25 + 0.2, rtol, 0, "entries of a computed row")
t.is_close(x:t()[3]:value(), vx[3], 0, 0, "entries of v:t()")
same(x:slice(2, 3):value(), { vx[2], vx[3] }, "x:slice")
same(X:slice(2, 2):value(), { rows[2] }, "X:slice takes rows")
same(x[{ 3, 1, 3 }]:value(), { vx[3], vx[1], vx[3] }, "x[table]")
same(x[peri.array { 2, 2 }]:value(), { vx[2], vx[2] }, "x[array]")
same(X[{ 3, 1 }]:value(), { rows[3], rows[1] }, "X[table] takes rows")
local one = m:var("one", { 1, 3 }, { start = { { 4, 5, 6 } } })
t.is(one[1][2]:value(), 5.0, "a matrix of one row is indexed as a matrix")
t.is(#x, 3, "#x")
t.is(#R, 2, "#R is the number of rows")
t.is(R:cols(), 3, "R:cols()")
t.is(R:rows(), 2, "R:rows()")
t.is(s[1]:value(), 0.377, "a scalar's first entry")

-- values elsewhere
same((x * y):value { [x] = { 1, 2, 3 } }, { -0.61, 2.54, 3 * 0.348 }, "value at another x")
same((x * y):value { [x] = 2, [y] = peri.array { 3, 4, 5 } }, { 6, 8, 10 }, "value with a number for all entries")
local p = m:param("p", { 1.5, 2.5, 3.5 })
t.is_close(p:sum():value(), 7.5, 0, 0, "a parameter")
p:set(2)
t.is_close(p:sum():value(), 6, 0, 0, "a parameter set to a number")
p:set { 4, 5, 6 }
t.is_close((p * x):sum():value { [p] = 1 }, sum_x, rtol, 0, "a parameter in value{}")
t.is_close(p:sum():value(), 15, 0, 0, "and it is not changed by that")

-- derivatives nest
local f = peri.exp(x[1]) * x[2]^2 + peri.sin(x[3]) * x[1]
same(peri.grad(f, x):value(),
  { exp(vx[1]) * vx[2]^2 + math.sin(vx[3]), 2 * exp(vx[1]) * vx[2], math.cos(vx[3]) * vx[1] }, "peri.grad")
local hessian = {
  { exp(vx[1]) * vx[2]^2, 2 * exp(vx[1]) * vx[2], math.cos(vx[3]) },
  { 2 * exp(vx[1]) * vx[2], 2 * exp(vx[1]), 0 },
  { math.cos(vx[3]), 0, -math.sin(vx[3]) * vx[1] },
}
same(peri.hessian(f, x):value(), hessian, "peri.hessian")
same(peri.jacobian(peri.grad(f, x), x):value(), hessian, "jacobian of the gradient")
t.is_close(peri.grad(peri.grad(peri.grad(f, x)[1], x)[2], x)[2]:value(), 2 * exp(vx[1]), rtol, 0, "three deep")
same(peri.grad(x:dot(p), p):value(), vx, "with respect to a parameter")
t.is(peri.grad((peri.stop(x) * x):sum(), x):value()[2], vx[2], "stop blocks one factor")
local phi = peri.mark(x:norm2(), "norm")
t.is_close(peri.grad(phi^2, phi):value(), 2 * x:norm2():value(), rtol, 0, "with respect to a marked node")

-- substitution
same(peri.substitute(x * y, { [x] = y, [y] = 3 }):value(), { 3 * vy[1], 3 * vy[2], 3 * vy[3] }, "substitute at once")
t.is_close(peri.substitute(phi^2, { [phi] = s }):value(), 0.377^2, rtol, 0, "substitute a marked node")

-- a chain of a million nodes is no recursion
do
  local deep = peri.model "deep"
  local z = deep:var("z", nil, { start = 1 })
  local e = z
  for _ = 1, 1000000 do e = e + 1 end
  t.is(e:value(), 1000001.0, "a million additions of a constant")
  e = z
  for _ = 1, 200000 do e = peri.sin(e) end
  t.ok(e:value() > 0 and e:value() < 0.01, "200000 sines")
  t.ok(#tostring(e) < 1000, "its text is cut")
  deep:close()
end

-- derivatives of branches that are not taken, and of norms at 0: never undefined
do
  local w = peri.model "branches"
  local u = w:var("u")
  local v = w:var("v", 3, { start = { -1, 0, 4 } })
  local root = peri.sqrt(u)
  local nested = peri.where(u, peri.where(u - 1, peri.sqrt(u - 1), 3 * u), peri.sqrt(-u))
  local shared = peri.where(u - 2, root, u) + peri.where(u - 3, root * 2, u)
  local cases = { -- expression, at, first and second derivative
    { "a root", peri.where(u - 1, root, u * 2), -1, 2, 0 },
    { "a root that is taken", peri.where(u - 1, root, u * 2), 4, 0.25, -1 / 32 },
    { "a reciprocal", peri.where(u, 1 / u, 5 * u), 0, 5, 0 },
    { "u log u", peri.where(u, u * peri.log(u), u^2), 0, 0, 2 },
    { "an overflow", peri.where(u - 100, 0, peri.exp(u)), 1000, 0, 0 },
    { "a branch in a branch, neither", nested, 0.5, 3, 0 },
    { "a branch in a branch, the outer's else", nested, -4, -0.25, -1 / 32 },
    { "a branch in a branch, the inner one", nested, 5, 0.25, -1 / 32 },
    { "used twice", peri.where(u, root + root^3, 7 * u), -1, 7, 0 },
    { "used under two tests, neither", shared, -1, 2, 0 },
    { "used under two tests, one", shared, 2.25, 1 / 3 + 1, -0.125 / 1.5^3 * 2 },
    { "a chain", peri.where(u - 2, peri.sin(root) * peri.log(u), u^3), -1, 3, -6 },
    { "the root of a square", peri.sqrt(u^2), 0, 0, 0 },
  }
  for _, c in ipairs(cases) do
    local name, e, at = c[1], c[2], { [u] = c[3] }
    t.is_close(peri.grad(e, u):value(at), c[4], 1e-14, 1e-14, name .. ": first derivative")
    t.is_close(peri.hessian(e, u):value(at), c[5], 1e-14, 1e-14, name .. ": second derivative")
  end
  local function gradient(e, at, want, name)
    t.is(tostring(peri.grad(e, v):value(at)), want, name)
  end
  gradient(peri.where(v, peri.sqrt(v), v^2):sum(), nil, "{ -2, 0, 0.25 }", "entry by entry")
  gradient(peri.where(v:sum() - 10, peri.sqrt(-v):sum() + peri.log(v[1]), v:dot(v)), nil, "{ -2, 0, 8 }", "one test for all")
  gradient(v:norm2(), { [v] = 0 }, "{ 0, 0, 0 }", "norm2 at 0")
  gradient(peri.sqrt(v[1]^2 + v[3]^2), { [v] = 0 }, "{ 0, 0, 0 }", "a distance of 0")
  t.is(peri.hessian(v:norm2(), v):value { [v] = 0 }[1][1], 0.0, "second derivative of norm2 at 0")
end

-- vectors whose size happens to be 1 are vectors
do
  local one = peri.model "one"
  local v = one:var("v", 1, { start = { 3 } })
  local w = one:var("w", { lower = 2, start = 3 })
  local a = peri.array { 5 }
  one:minimize((v - 1):dot(v - 1) + w^2)
  local rows, scalar = one:subject_to(v >= 2), one:subject_to(w >= 2)
  local mapped = one:subject_to(peri.map(1, function(i) return v[i] end) <= 9)
  local sol = one:solve("ipm")
  local vectors = {
    ["sol[x]"] = sol[v], dual = sol:dual(rows), ["a map's dual"] = sol:dual(mapped), reduced_cost = sol:reduced_cost(v),
    value = v:value(), sum = (2 * v + w):value(), ["function"] = v:exp():value(), slice = v:slice(1, 1):value(),
    gather = v[{ 1 }]:value(), map = peri.map(1, function(i) return v[i] end):value(), stack = peri.stack(w):value(),
    grad = peri.grad(v:sum(), v):value(), product = (peri.array { { 2 } } % v):value(), transpose = v:t():value(),
    reshape = v:reshape(1):value(), param = one:param("p", { 4 }):value(), array = a + 1, ["array times"] = 2 * a,
    ["array's slice"] = a:slice(1, 1), matrix = one:var("M", { 1, 1 }):value(), substitute = v:substitute({ [v] = 2 }):value(),
  }
  for name, e in pairs(vectors) do
    t.ok(type(e) == "userdata" and #e == 1 and type(e[1]) == "number", "a vector of 1: " .. name)
  end
  local scalars = {
    ["sol[x]"] = sol[w], dual = sol:dual(scalar), reduced_cost = sol:reduced_cost(w), value = w:value(), entry = v[1]:value(),
    sum = v:sum():value(), product = (v:t() % v):value(), dot = v:dot(v):value(), norm = v:norm2():value(),
    grad = peri.grad(w^2, w):value(), param = one:param("q", 4):value(), ["array's sum"] = a:sum(), ["array's entry"] = a[1],
    ["array's product"] = a:t() % a,
  }
  for name, e in pairs(scalars) do t.is(type(e), "number", "a scalar: " .. name) end
  t.raises(function() return v[2] end, "v (vector 1): index 2 is outside 1 .. 1", "and messages say so")
end

-- text
t.is(tostring((1 - x[1])^2), "(1 - x[1])^2", "text of an expression")
t.is(tostring(m), 'model "expressions"', "text of a model")
t.is(m.name, "expressions", "name of a model")

do -- more than Lua's own stack holds
  local list = {}
  for i = 1, 1100000 do list[i] = i % 7 end
  local long = peri.stack(list)
  t.is(#long, 1100000, "stack takes lists longer than Lua's stack")
  t.is(long[1000001], 1000001.0 % 7, "in order")
  list[1000001] = "x"
  t.raises(function() return peri.stack(list) end, 'stack: "x" (a string) is not a number', "and looks at each")
end

do -- values at many points
  local model = peri.model "points"
  local u, s, p = model:var("u", 3), model:var("s", { start = 2.5 }), model:param("p", 4)
  local e, points = (p * u:exp()):sum() + s, {}
  for k = 1, 150 do points[k] = { 0.01 * k, -0.3, 1 / k } end
  local got = e:values { [u] = points }
  t.ok(got:rows() == 150 and got:cols() == 1, "a row for each point")
  local worst = 0
  for k = 1, 150 do worst = math.max(worst, math.abs(got[k] / e:value { [u] = points[k] } - 1)) end
  t.ok(worst < 1e-14, "the values of single evaluations")
  local both = e:values { [u] = points, [s] = 7 }
  t.is_close(both[20] - got[20], 4.5, 1e-12, 0, "a number for all points")
  local each = (u * s):values { [u] = points, [s] = peri.linspace(1, 150, 150) }
  t.is_close(each[20][1], 0.2 * 20, 1e-12, 0, "each its own; vectors are rows")
  p:set(8)
  t.is_close(e:values { [u] = points }[9], e:value { [u] = points[9] }, 1e-12, 0, "a parameter's new value")
  t.raises(function() return e:values { [u] = { 1, 2, 3, 4 } } end, "values: 4 numbers for a variable of 3 entries at 1 points", "sizes")
end

t.done()
