-- SPDX-License-Identifier: Apache-2.0
-- Operations on arrays: along dimensions, with values from plain loops and derivatives from differences.
local t = require "tap"
local peri = require "perigee"

local rows, cols = 13, 11
local start = peri.random.normal { rows = rows, cols = cols, seed = 5 }
local m = peri.model "arrays"
local A = m:var("A", { rows, cols }, { start = start })

local plain = {
  sum = function(v) local s = 0 for _, a in ipairs(v) do s = s + a end return s end,
  max = function(v) return math.max(table.unpack(v)) end,
  min = function(v) return math.min(table.unpack(v)) end,
  norm1 = function(v) local s = 0 for _, a in ipairs(v) do s = s + math.abs(a) end return s end,
  norm2 = function(v) local s = 0 for _, a in ipairs(v) do s = s + a * a end return math.sqrt(s) end,
  norminf = function(v) local s = 0 for _, a in ipairs(v) do s = math.max(s, math.abs(a)) end return s end,
  logsumexp = function(v) local s = 0 for _, a in ipairs(v) do s = s + math.exp(a) end return math.log(s) end,
}
plain.mean = function(v) return plain.sum(v) / #v end

local function line(dim, k)
  local v = {}
  for j = 1, dim == 1 and rows or cols do v[j] = dim == 1 and start[j][k] or start[k][j] end
  return v
end

local function central(f, X, i, j)
  local h, at = 1e-5, X[i][j]
  X[i][j] = at + h
  local up = f(X)
  X[i][j] = at - h
  local down = f(X)
  X[i][j] = at
  return (up - down) / (2 * h)
end

for name, f in pairs(plain) do
  for dim = 1, 2 do
    local want = {}
    for k = 1, dim == 1 and cols or rows do want[k] = f(line(dim, k)) end
    local e = A[name](A, dim)
    t.all_close(e:value(), want, 1e-13, 1e-13, ("%s along dimension %d"):format(name, dim))
    t.all_close(peri[name](start, dim), want, 1e-13, 1e-13, ("%s of an array along dimension %d"):format(name, dim))
    local weighted = peri.tanh(0.3 * e):sum()
    local gradient = peri.grad(weighted, A):value()
    local second = peri.grad((peri.grad(weighted, A) * start):sum(), A):value()
    local first, curved = 0, 0
    for _, at in ipairs { { 1, 1 }, { 5, 7 }, { 13, 11 }, { 2, 10 } } do
      local i, j = at[1], at[2]
      local d = central(function(X) return weighted:value { [A] = X } end, start, i, j)
      first = math.max(first, math.abs(d - gradient[i][j]))
      local keep = start:totable()
      d = central(function(X) return (peri.grad(weighted, A):value { [A] = X } * peri.array(keep)):sum() end, start, i, j)
      curved = math.max(curved, math.abs(d - second[i][j]))
    end
    t.ok(first < 1e-8, ("%s along %d: gradient agrees with differences"):format(name, dim), first)
    t.ok(curved < 1e-8, ("%s along %d: second derivatives agree with differences"):format(name, dim), curved)
  end
end

local soft = A:softmax(2):value()
for i = 1, rows, 6 do t.all_close(soft[i], peri.softmax(start[i]), 1e-14, 0, "softmax along row " .. i) end
t.all_close(A:softmax(1):value():t()[3], peri.softmax(peri.array(line(1, 3))), 1e-14, 0, "softmax down a column")
t.all_close(A:softmax(2):sum(2):value(), peri.ones(rows), 1e-14, 0, "rows of a softmax sum to 1")
local huge = peri.array { { 1000, 1000 }, { -1000, -1000 } }
t.all_close(huge:logsumexp(2), { 1000 + math.log(2), -1000 + math.log(2) }, 1e-15, 0, "logsumexp along rows does not overflow")
t.all_close(A:cumsum(2):value()[4], peri.cumsum(start[4]:t()), 1e-13, 1e-13, "cumsum along a row")
t.all_close(A:cumsum(1):value()[rows], start:sum(1), 1e-13, 1e-13, "cumsum down the columns ends in their sums")

t.is(#A:sum(2):value(), rows, "sums along rows are a column")
t.is(A:sum(1):value():cols(), cols, "sums down columns are a row")
t.is(tostring(A:sum(2)), "sum(A, 2)", "how a sum along rows is shown")
t.is(tostring(A:max(2)), "max(A, 2)", "how the largest entries of rows are shown")

-- softmax regression: convex is proven
do
  local n, d, k = 30, 4, 3
  local X = peri.random.normal { rows = n, cols = d, seed = 1 }
  local Y = peri.zeros(n, k)
  for i = 1, n do Y[i][1 + i % k] = 1 end
  local fit = peri.model "softmax regression"
  local W, b = fit:var("W", { d, k }), fit:var("b", { 1, k })
  local Z = X % W + b
  fit:minimize((Z:logsumexp(2) - (Y * Z):sum(2)):mean() + 0.01 * (W ^ 2):sum())
  local sol = fit:solve()
  t.is(sol.status, "optimal", "softmax regression is proven convex and solved")
  t.ok(peri.grad((Z:logsumexp(2) - (Y * Z):sum(2)):mean() + 0.01 * (W ^ 2):sum(), W)
    :value { [W] = sol[W], [b] = sol[b] }:norminf() < 1e-5, "its gradient vanishes")
end

-- in peri.map
local mapped = peri.map(5, function(i) return peri.stack(A[i][1] * i, A[i][2]):reshape { 1, 2 }:sum(1):sum() end)
for i = 1, 5 do t.is_close(mapped:value()[i], start[i][1] * i + start[i][2], 1e-14, 0, "a sum along a dimension in peri.map") end

t.done()
