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

-- ---- systems, batches, convolutions ----------------------------------------------------------------------------------

--- Gradient of e's weighted sum with respect to x, and derivatives of that, against differences at some entries.
local function derivatives(e, x, at, name)
  local f = (peri.sin(e) * 0.7):sum()
  local g = peri.grad(f, x)
  local h = peri.grad((g * peri.cos(at)):sum(), x):value()
  local gradient, first, second = g:value(), 0, 0
  local r, c = at:rows(), at:cols()
  local function get(a, i, j) return c > 1 and a[i][j] or a[i] end
  local function moved(i, j, by)
    local X = at:totable()
    if c > 1 then X[i][j] = X[i][j] + by else X[i] = X[i] + by end
    return X
  end
  for k = 0, 4 do
    local i, j, step = 1 + (k * 7) % r, 1 + (k * 5) % c, 1e-5
    local up, down = moved(i, j, step), moved(i, j, -step)
    first = math.max(first, math.abs((f:value { [x] = up } - f:value { [x] = down }) / (2 * step) - get(gradient, i, j)))
    local along = (g * peri.cos(at)):sum()
    second = math.max(second, math.abs((along:value { [x] = up } - along:value { [x] = down }) / (2 * step) - get(h, i, j)))
  end
  t.ok(first < 1e-7, name .. ": gradient agrees with differences", first)
  t.ok(second < 1e-6, name .. ": second derivatives agree with differences", second)
end

do
  local n = 30
  local a0 = peri.random.normal { rows = n, cols = n, seed = 2 } + 20 * peri.eye(n)
  local b0 = peri.random.normal { rows = n, cols = 2, seed = 3 }
  local sm = peri.model "system"
  local M, b = sm:var("M", { n, n }, { start = a0 }), sm:var("b", { n, 2 }, { start = b0 })
  local x = M:solve(b)
  t.all_close((M % x):value():totable()[7], b0:totable()[7], 1e-13, 1e-13, "solve solves")
  t.all_close(peri.solve(a0, b0):totable()[3], x:value():totable()[3], 1e-13, 1e-14, "of arrays at once")
  derivatives(x, M, a0, "solve by the matrix")
  derivatives(x, b, b0, "solve by the right-hand side")
  derivatives(M:t():solve(b) + 0 * x, M, a0, "solve with the transpose")
  t.has(select(2, pcall(function() return M:solve(b:t()) end)), "do not fit", "shapes that do not fit are refused")
end

do
  local count, r, k, c = 5, 3, 4, 2
  local a0 = peri.random.normal { rows = count * r, cols = k, seed = 6 }
  local b0 = peri.random.normal { rows = count * k, cols = c, seed = 7 }
  local bm = peri.model "batch"
  local P, Q = bm:var("P", { count * r, k }, { start = a0 }), bm:var("Q", { count * k, c }, { start = b0 })
  local R = peri.bmm(P, Q, count)
  for m = 0, count - 1 do
    local left, right = {}, {}
    for i = 1, r do left[i] = a0[m * r + i]:totable() end
    for i = 1, k do right[i] = b0[m * k + i]:totable() end
    t.all_close(R:value()[m * r + 2], (peri.array(left) % peri.array(right))[2], 1e-14, 1e-14, "product " .. m)
  end
  derivatives(R, P, a0, "bmm by the left")
  derivatives(R, Q, b0, "bmm by the right")
  t.has(select(2, pcall(peri.bmm, P, Q, 4)), "matrices below each other", "a wrong count is refused")
  local K = peri.kron(peri.array { { 1, 2 }, { 3, 4 } }, peri.array { { 0, 5 } })
  t.all_close(K[1], { 0, 5, 0, 10 }, 0, 0, "kron, first row")
  t.all_close(K[2], { 0, 15, 0, 20 }, 0, 0, "kron, second row")
  local H = peri.hstack(P, P:sum(2), peri.ones(count * r))
  t.is(H:value():cols(), k + 2, "hstack adds columns")
  t.is_close(H:value()[4][k + 1], plain.sum(a0[4]:totable()), 1e-14, 0, "hstack keeps rows")
  derivatives(H, P, a0, "hstack")
end

do
  local images, channels, height, width, filters, p, q = 3, 2, 6, 5, 4, 3, 2
  local x0 = peri.random.normal { rows = images, cols = channels * height * width, seed = 8 }
  local k0 = peri.random.normal { rows = filters, cols = channels * p * q, seed = 9 }
  local cm = peri.model "convolution"
  local X, F = cm:var("X", { images, channels * height * width }, { start = x0 }), cm:var("F", { filters, channels * p * q }, { start = k0 })
  local Y = peri.conv2d(X, F, { size = { height, width }, kernel = { p, q }, channels = channels, stride = { 2, 1 }, padding = { 1, 0 } })
  local oh, ow = (height + 2 - p) // 2 + 1, width - q + 1
  local worst, value = 0, Y:value()
  for n = 1, images do
    for f = 1, filters do
      for r = 0, oh - 1 do
        for s = 0, ow - 1 do
          local sum = 0
          for c = 0, channels - 1 do
            for i = 0, p - 1 do
              for j = 0, q - 1 do
                local y, x = r * 2 - 1 + i, s + j
                if y >= 0 and y < height then
                  sum = sum + x0[n][(c * height + y) * width + x + 1] * k0[f][(c * p + i) * q + j + 1]
                end
              end
            end
          end
          worst = math.max(worst, math.abs(sum - value[n][((f - 1) * oh + r) * ow + s + 1]))
        end
      end
    end
  end
  t.is(value:cols(), filters * oh * ow, "conv2d: the outputs of a row are filters x height x width")
  t.ok(worst < 1e-13, "conv2d with batch, channels, stride and padding", worst)
  derivatives(Y, X, x0, "conv2d by the images")
  derivatives(Y, F, k0, "conv2d by the kernel")
  t.has(select(2, pcall(peri.conv2d, X, F, { size = { 3, 3 } })), "give kernel", "a kernel that is not square must be given")
  t.has(select(2, pcall(peri.conv2d, X, F, { strides = 2 })), "stride", "an unknown option is an error")
end

t.done()
