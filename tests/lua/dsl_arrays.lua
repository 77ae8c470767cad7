-- SPDX-License-Identifier: Apache-2.0
-- Numeric arrays: making, reading, writing, printing, arithmetic at once, sparse matrices, random numbers.
local t = require "tap"
local peri = require "perigee"

local v = peri.array { 1.5, -2, 4 }
t.is(#v, 3, "#v")
t.is(v[2], -2.0, "v[i]")
t.is(v:rows(), 3, "rows of a vector")
t.is(v:cols(), 1, "columns of a vector")
t.is(tostring(v), "{ 1.5, -2, 4 }", "a vector prints as a list")
t.all_close(v:totable(), { 1.5, -2, 4 }, 0, 0, "totable")
v[2] = 7
t.is(v[2], 7.0, "v[i] = number")

local A = peri.array { { 1, 2, 3 }, { 4, 5, 6 } }
t.is(#A, 2, "#A is the number of rows")
t.is(A[2][3], 6.0, "A[i][j]")
A[1][2] = 20
t.is(A[1][2], 20.0, "A[i][j] = number writes into the matrix")
A[2] = { 7, 8, 9 }
t.all_close(A:totable()[2], { 7, 8, 9 }, 0, 0, "A[i] = row")
A[2] = 0
t.all_close(A[2], { 0, 0, 0 }, 0, 0, "A[i] = number")
t.is(#A[1], 3, "a row has as many entries as columns")
local row = A[1]
A = nil -- luacheck: ignore
collectgarbage() collectgarbage()
t.all_close(row, { 1, 20, 3 }, 0, 0, "a row keeps its matrix")
t.has(tostring(peri.array { { 1, 2 }, { 3, 4.5 } }), "matrix 2 x 2", "a matrix prints with its shape")
t.has(tostring(peri.zeros(1000)), "...", "long arrays are cut")
local copy = peri.array(v)
copy[1] = 0
t.is(v[1], 1.5, "peri.array copies")
t.all_close(peri.array { peri.array { 1, 2 }, { 3, 4 } }[1], { 1, 2 }, 0, 0, "rows may be arrays")

t.all_close(peri.zeros(2), { 0, 0 }, 0, 0, "zeros(n)")
t.is(peri.zeros(2, 3):cols(), 3, "zeros(r, c)")
t.is(peri.ones({ 2, 3 })[2][3], 1.0, "ones{ r, c }")
t.is(peri.eye(3)[2][2] + peri.eye(3)[2][3], 1.0, "eye")
t.all_close(peri.linspace(0, 1, 5), { 0, 0.25, 0.5, 0.75, 1 }, 0, 0, "linspace")
t.is(peri.linspace(0.1, 0.7, 7)[7], 0.7, "linspace ends exactly at its end")
t.is(peri.linspace(3, 4, 1)[1], 3.0, "one point")

-- at once
t.all_close(peri.linspace(0, 1, 3)^2, { 0, 0.25, 1 }, 0, 0, "power")
t.all_close(2 * v + 1, { 4, 15, 9 }, 0, 0, "with numbers")
t.all_close(v + { 1, 1, 1 }, { 2.5, 8, 5 }, 0, 0, "with a table")
t.is(v:sum(), 12.5, "a sum is a number")
t.is(v:dot(v), 1.5^2 + 49 + 16, "a dot product too")
t.all_close((v:t() + peri.ones(3, 3))[2], { 2.5, 8, 5 }, 0, 0, "row + matrix")
t.all_close(v[{ 3, 1 }], { 4, 1.5 }, 0, 0, "v[list]")
t.all_close(v:slice(2, 3), { 7, 4 }, 0, 0, "slice")
t.all_close(peri.stack(v, 1), { 1.5, 7, 4, 1 }, 0, 0, "stack")
t.is(peri.array { { 4, 1 }, { 1, 3 } }:logdet(), math.log(11), "logdet")
t.is(peri.array { { 1, 2, 3 } }:reshape(3, 1)[3], 3.0, "reshape")
t.ok(peri.log(peri.array { -1, 1 })[1] ~= peri.log(peri.array { -1, 1 })[1], "a computed NaN is returned as it is")
t.is((peri.array { 1, 2 } / 0)[2], math.huge, "and so is infinity")
t.is(v:value(), v, "the value of an array is itself")
t.is(v ~= peri.array { 1.5, 7, 4 }, true, "arrays are compared as objects")

-- sparse
local S = peri.sparse { rows = 3, cols = 4, i = { 1, 3, 2, 3, 3 }, j = { 2, 4, 1, 1, 4 }, v = { 5, 6, 7, 8, 0.5 } }
local dense = { { 0, 5, 0, 0 }, { 7, 0, 0, 0 }, { 8, 0, 0, 6.5 } }
for i = 1, 3 do t.all_close(S[i], dense[i], 0, 0, "row of a sparse matrix, " .. i) end
t.is(S:nnz(), 5, "entries, a place twice counted twice")
for i = 1, 3 do t.all_close(S:totable()[i], dense[i], 0, 0, "its totable, " .. i) end
t.is(S:t():nnz(), 5, "a transpose stays sparse")
t.is(S:t()[4][3], 6.5, "and is right")
t.is((-2 * S / 4):nnz(), 5, "scaling stays sparse")
t.is((-2 * S / 4)[2][1], -3.5, "and is right")
t.all_close(S % peri.array { 1, 2, 3, 4 }, { 10, 7, 34 }, 0, 0, "S % v")
t.all_close(S:t() % peri.array { 1, 2, 3 }, { 38, 5, 0, 19.5 }, 0, 0, "S:t() % v")
t.all_close((S + 1)[2], { 8, 1, 1, 1 }, 0, 0, "S + 1 is dense")
t.has(tostring(S), "sparse matrix 3 x 4, 5 entries", "it prints as sparse")
t.raises(function() S[1] = 2 end, "entries of a sparse array cannot be assigned", "it cannot be written")
t.is(peri.sparse { rows = 2, cols = 2, i = {}, j = {}, v = {} }:sum(), 0.0, "an empty one")
do -- 3e10 places, two of them stored
  local wide = peri.sparse { rows = 100000, cols = 300000, i = { 7, 99999 }, j = { 299999, 3 }, v = { 2.5, -4 } }
  local m = peri.model "wide"
  local x = m:var("x", 300000, { start = 3 })
  t.is_close((wide % x):sum():value(), -4.5, 0, 0, "a sparse matrix with more places than a dense one may have")
  t.raises(function() return peri.zeros(100000, 300000) end, "is not possible", "which a dense one may not")
end
do
  local m = peri.model "sparse"
  local x = m:var("x", 4, { start = { 1, 2, 3, 4 } })
  t.all_close((S % x):value(), { 10, 7, 34 }, 0, 0, "S % x")
  t.all_close((S:t() % (S % x)):value(), { 49 + 272, 50, 0, 221 }, 0, 0, "S' S x")
  t.all_close(peri.jacobian(S % x, x):value()[3], dense[3], 0, 0, "its Jacobian")
end

-- random: functions of the seed alone
local n = 20000
local normal = peri.random.normal { n = n, seed = 3, mean = 1.5, sd = 2 }
t.is_close(normal:mean(), 1.5, 0, 5 * 2 / math.sqrt(n), "mean of normal numbers, five standard errors")
t.is_close((normal - 1.5):norm2()^2 / n, 4, 0, 5 * 4 * math.sqrt(2 / n), "variance of normal numbers")
t.all_close(peri.random.normal { n = n, seed = 3, mean = 1.5, sd = 2 }, normal, 0, 0, "the same seed, the same numbers")
t.ok(peri.random.normal { n = 2, seed = 4 }[1] ~= peri.random.normal { n = 2, seed = 3 }[1], "another seed, others")
local uniform = peri.random.uniform { rows = 100, cols = 200, seed = 5, lower = -1, upper = 3 }
t.is(uniform:cols(), 200, "rows and cols")
t.is_close(uniform:mean(), 1, 0, 5 * 4 / math.sqrt(12 * n), "mean of uniform numbers")
t.ok(uniform:min() >= -1 and uniform:max() < 3, "their range")
local integers = peri.random.integers { n = n, seed = 6, lower = 2, upper = 7 }
local count = {}
for i = 1, n do count[integers[i]] = (count[integers[i]] or 0) + 1 end
for k = 2, 7 do
  t.is_close(count[k], n / 6, 0, 5 * math.sqrt(n * 5 / 36), "integers equal to " .. k)
end
t.is(integers:min() .. " " .. integers:max(), "2.0 7.0", "both ends belong to them")
peri.random.seed(9)
local first, second = peri.random.uniform { n = 3 }, peri.random.uniform { n = 3 }
t.ok(first[1] ~= second[1], "without a seed the stream goes on")
peri.random.seed(9)
t.all_close(peri.random.uniform { n = 6 }, { first[1], first[2], first[3], second[1], second[2], second[3] }, 0, 0,
  "and begins anew with random.seed")

do -- the number of squarings is finite wherever the matrix is
  local nilpotent = peri.expm(peri.array { { 0, 1.7e308 }, { 0, 0 } })
  t.is(nilpotent[1][2], 1.7e308, "expm of the largest numbers")
  t.is(nilpotent[1][1], 1.0, "and its diagonal")
  local e = peri.expm(peri.array { { 3, 0 }, { 0, -1 } })
  t.is_close(e[1][1], math.exp(3), 1e-14, 0, "expm of a diagonal")
  t.is_close(e[2][2], math.exp(-1), 1e-14, 0, "entry by entry")
end

t.done()
