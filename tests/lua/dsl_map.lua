-- SPDX-License-Identifier: Apache-2.0
-- peri.map: what is traced with a symbolic index against the same function called in a plain loop.
local t = require "tap"
local peri = require "perigee"

local m = peri.model "map"
local n = 6
local function numbers(count, seed) return peri.random.normal { n = count, seed = seed } end
local x = m:var("x", 2 * n + 2, { start = numbers(2 * n + 2, 11) })
local X = m:var("X", { n, 3 }, { start = peri.random.normal { rows = n, cols = 3, seed = 12 } })
local s = m:var("s", nil, { start = 0.7 })
local p = m:param("p", numbers(n, 13))
local data = numbers(n, 14)
local matrix = peri.random.normal { rows = n, cols = 3, seed = 15 }
local weights = peri.random.normal { rows = 4, cols = 3, seed = 16 }
local order = { 3, 1, 4, 1, 5, 2 }
local floats = { 0.5, 1.5, -2.5, 3.5, 4.5, -5.5 }
local array_order = peri.array(order)
local records = {}
for i = 1, n do
  records[i] = { from = order[i], cost = floats[i], list = { i, n + 1 - i }, curve = { a = i * 1.5 }, kind = "quadratic" }
end
local case = { branch = records, deep = { index = order } }
local parts = {}
for i = 1, n do parts[i] = i % 2 == 0 and x[i]^2 or 3.25 end

-- f by tracing and by a loop
local function agrees(name, f)
  local map = peri.map(n, f)
  local loop = {}
  for i = 1, n do
    local e = f(i)
    loop[i] = type(e) == "number" and e or e:value()
  end
  local got = type(map) == "userdata" and map.value and map:value() or map
  t.all_close(got, loop, 1e-13, 1e-14, name)
end

agrees("x[i]", function(i) return x[i] end)
agrees("x[i + 1]", function(i) return x[i + 1] end)
agrees("x[2*i - 1]", function(i) return x[2 * i - 1] end)
agrees("x[n + 1 - i]", function(i) return x[n + 1 - i] end)
agrees("the index as a number", function(i) return i * x[i] + i^2 / 3 - i end)
agrees("the index alone", function(i) return 2 * i + 1 end)
agrees("functions of the index", function(i) return peri.sin(i) * x[1] + peri.exp(-i) end)
agrees("a table of integers", function(i) return x[order[i]] * x[i] end)
agrees("a table of numbers", function(i) return floats[i] * x[i] end)
agrees("a look-up in a look-up", function(i) return x[order[order[i]]] end)
agrees("a sum of look-ups as an index", function(i) return x[order[i] + order[7 - i]] end)
agrees("an array of integers", function(i) return x[array_order[i]] end)
agrees("an array of data", function(i) return data[i] * x[i] end)
agrees("a parameter", function(i) return p[i] * x[i] end)
agrees("walking around", function(i) return x[i % n + 1] - x[(i - 2) % n + 1] end)
agrees("halves", function(i) return x[i // 2 + 1] end)
agrees("X[i][constant]", function(i) return X[i][2] end)
agrees("X[constant][j]", function(i) return X[order[i]][i % 3 + 1] end)
agrees("a row", function(i) return X[i]:sum() end)
agrees("rows of expression and data", function(i) return peri.dot(X[i], matrix[i]) end)
agrees("a row's computed entries", function(i) return (X[i] * X[i] + matrix[i])[3] end)
agrees("a row times a vector", function(i) return X[i] % weights[2]:t() end)
agrees("a matrix times a row's transpose", function(i) return (weights % X[i]:t()):norm2() end)
agrees("quadratic form", function(i) return X[i] % (weights:t() % weights) % X[i]:t() end)
agrees("outer product", function(i) return (X[i]:t() % X[i]):trace() end)
agrees("max of a row", function(i) return X[i]:max() - X[i]:min() end)
agrees("norms of a row", function(i) return X[i]:norm1() + X[i]:norminf() + X[i]:norm2() + X[i]:mean() end)
agrees("logsumexp and softmax", function(i) return X[i]:logsumexp() + X[i]:t():softmax()[2] end)
agrees("cumsum", function(i) return X[i]:t():cumsum()[2] end)
agrees("diag and reshape", function(i) return peri.diag(X[i]:t())[2][2] + X[i]:reshape(3)[1] + X[i]:t():slice(2, 3):sum() end)
agrees("gather from a row", function(i) return X[i][{ 3, 1 }]:sum() end)
agrees("stack", function(i) return peri.stack(x[i], 2, s, X[i]:t())[5] + peri.stack(x[i], x[i + 1]):sum() end)
agrees("a scalar variable", function(i) return s * x[i] + s end)
agrees("not the index", function() return s end)
agrees("a number", function() return 2.75 end)
agrees("where", function(i) return peri.where(x[i], x[i], i) end)
agrees("min2, atan2", function(i) return peri.min2(x[i], x[i + 1]) + peri.atan2(x[i], 2) end)
agrees("records", function(i) return records[i].cost * x[records[i].from] end)
agrees("records in a table", function(i) return case.branch[i].cost * x[case.branch[i].from] + x[case.deep.index[i]] end)
agrees("lists in records", function(i) return x[records[i].list[2]] + records[i].curve.a * #records[i].list end)
agrees("a field that is the same for all", function(i) return records[i].kind == "quadratic" and x[i] or nil end)
agrees("a table of expressions", function(i) return parts[i] * 2 end)
agrees("stop, mean", function(i) return peri.stop(x[i]) * peri.mean(X[i]) end)

-- nested
agrees("a sum inside", function(i)
  return peri.map(3, function(j) return X[i][j] * weights[2][j] * j end):sum() + x[i]
end)
agrees("all pairs", function(i)
  return peri.map(n, function(j) return peri.exp(-(x[i] - x[j])^2) * order[j] / (i + j) end):sum()
end)
agrees("three deep", function(i)
  return peri.map(2, function(j)
    return peri.map(3, function(k) return X[i][k] * x[i + j] + x[k] end):max() * j
  end):sum()
end)
agrees("an inner vector", function(i) return (weights % peri.map(3, function(j) return x[i + j] end))[3] end)
agrees("inner constants", function(i) return peri.map(4, function(j) return i * j end):sum() * x[1] end)
agrees("an inner map of the outer index alone", function(i) return peri.map(2, function() return x[i] end)[2] end)
agrees("a function that is called", function(i)
  local function term(k) return x[k]^2 + floats[k] end
  return term(i)
end)

-- the number of nodes does not depend on n
do
  local function text(size)
    local own = peri.model "size"
    local z = own:var("z", size + 1)
    return (tostring(peri.map(size, function(i) return (z[i + 1] - z[i]^2)^2 end):sum()):gsub("%d%d+", "N"))
  end
  t.is(text(10), text(5000), "the same expression for 10 and for 5000 entries")
  local own = peri.model "large"
  local z = own:var("z", 1000001, { start = 0.5 })
  local before = os.clock()
  local e = peri.map(1000000, function(i) return 100 * (z[i + 1] - z[i]^2)^2 + (1 - z[i])^2 end):sum()
  t.ok(os.clock() - before < 2, "a million entries are traced in well under two seconds")
  t.is_close(e:value(), 1e6 * (100 * 0.0625 + 0.25), 1e-12, 0, "and their sum is right")
end

-- arrays where nothing is variable
local squares = peri.map(5, function(i) return i^2 end)
t.all_close(squares, { 1, 4, 9, 16, 25 }, 0, 0, "a map of numbers is an array")
t.is(tostring(squares), "{ 1, 4, 9, 16, 25 }", "and prints as one")

-- mistakes
local function refused(name, part, f, count)
  local fine, err = pcall(peri.map, count or n, f)
  t.ok(not fine, name)
  t.has(tostring(err), part, name .. ": the message")
  t.has(tostring(err), "dsl_map.lua:", name .. ": the line")
end
local once = "peri.map traces its function once"
refused("a condition with <", once, function(i) if i < 3 then return x[i] end return x[1] end)
refused("a condition with <=", once, function(i) if i <= 3 then return x[i] end return x[1] end)
refused("a condition with >", once, function(i) return x[i] > 1 and 1 or 2 end)
refused("equal indices", once, function(i)
  return peri.map(2, function(j) if i == j then return x[i] end return x[j] end):sum()
end)
refused("an index outside", "x (vector 14): index 15, for index 4 of peri.map, is outside 1 .. 14",
  function(i) return x[i + 11] end)
refused("a row outside", "X (matrix 6 x 3): row 7, for index 6 of peri.map, is outside 1 .. 6", function(i) return X[i + 1] end)
refused("an index that is not whole", "index 1.5 is not whole", function(i) return x[i + 0.5] end)
refused("a vector returned", "must return a scalar for each index, not a matrix 1 x 3", function(i) return X[i] end)
refused("nothing returned", "returned nothing", function() end)
refused("a string returned", '"a" (a string)', function() return "a" end)
refused("a missing entry", "no entry 7 (for index 6)", function(i) return x[order[i + 1]] end)
refused("a missing field", 'for index 1 has no field "angle"', function(i) return records[i].angle end)
refused("constraints inside", "subject_to cannot be called inside", function(i) m:subject_to(x:le(1)) return x[i] end)
refused("variables inside", "m:var cannot be called inside", function(i) m:var("inside") return x[i] end)
refused("expm inside", "expm is not offered", function(i) return peri.expm(X[i]:t() % X[i]):trace() end)
refused("an inner map of varying length", "the same number of entries for every index",
  function(i) return peri.map(i, function(j) return x[j] end):sum() end)
refused("no entries", "must be at least 1, not 0", function(i) return x[i] end, 0)
refused("a fraction of an entry", "must be an integer, not 2.5", function(i) return x[i] end, 2.5)
refused("a table made inside", "made in the function itself", function(i) local own = { 1, 2, 3, 4, 5, 6 } return x[own[i]] end)
t.raises(function() return peri.map(3, 4) end, "a function of the index is needed, not 4", "no function")
local leaked
peri.map(n, function(i) leaked = x[i] return x[i] end)
t.raises(function() return leaked + 1 end, "after its peri.map has ended", "a value used outside")

-- an error inside passes unchanged and leaves nothing behind
local object = {}
local _, err = pcall(peri.map, n, function() error(object) end)
t.ok(err == object, "an error object passes unchanged")
t.is(getmetatable(order), nil, "tables are as they were")
t.is(getmetatable(records), nil, "tables of records too")
agrees("and maps still work", function(i) return x[order[i]] end)

do -- a sum that is a number wherever the gradient's other terms are computed place by place
  local n, wrong = 3000, 0
  for ends = 0, 8 do
    local first, last = ends // 3, ends % 3
    local own = peri.model "ends"
    local z = own:var("z", n + 2, { start = 0.5 })
    local power, factor = {}, {}
    for i = 1, n do
      local outside = i <= first or i > n - last
      power[i], factor[i] = outside and 3 or 0, outside and 0 or 1
    end
    local a, b, c = z:slice(1, n), z:slice(2, n + 1), z:slice(3, n + 2)
    own:minimize(((b - a)^2):sum() + ((c - b)^2 * a):sum() + ((a + 1)^peri.array(power) * peri.array(factor)):sum())
    own:solve(peri.plugin { name = "look", summary = "evaluates", needs = { "gradient" }, step = function(_, run)
      local f, g = run:fg(run:start())
      wrong = wrong + ((f == n - first - last and g:norminf() < 1e-14) and 0 or 1)
      return "failed"
    end })
  end
  t.is(wrong, 0, "powers of zero inside, multiples of zero at the ends")
end

t.done()
