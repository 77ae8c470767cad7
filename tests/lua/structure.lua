-- SPDX-License-Identifier: Apache-2.0
-- Repeated structure is found however a model is written: the same problem in many ways gives the same templates and the same values.
local t = require "tap"
local peri = require "perigee"

local n = 40

--- The rows of the table of templates: {instances, operations, strided, gathered, columns, index bytes, data bytes}
local function templates(m)
  local rows = {}
  local lines = m:explain():match "first instance\n(.-)\nprograms" or ""
  for line in lines:gmatch "[^\n]+" do
    local row = {}
    for number in line:gmatch "%d+" do
      row[#row + 1] = tonumber(number)
      if #row == 7 then break end
    end
    rows[#rows + 1] = row
  end
  return rows
end

local function shuffled(count)
  local order = {}
  for i = 1, count do order[i] = (i * 17) % count + 1 end -- 17 and the counts used here have no common factor
  return order
end

--- `ways` are functions (m, x) that state the same objective.
local function same(name, count, ways, expected, value)
  local start = peri.random.uniform { n = count, seed = 5 }
  local keys = {}
  for key in pairs(ways) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local m = peri.model(key)
    local x = m:var("x", count, { start = start })
    local e = ways[key](m, x)
    m:minimize(e)
    local found = templates(m)
    local operations = 0
    for _, row in ipairs(found) do operations = operations + row[2] end
    t.is(#found, expected.templates, name .. ", " .. key .. ": templates")
    t.ok(operations <= expected.operations, ("%s, %s: %d operations, %d at the most"):format(name, key, operations,
      expected.operations))
    if not key:match "out of order" then
      local gathered = 0
      for _, row in ipairs(found) do gathered = gathered + row[4] end
      t.is(gathered, expected.gathered or 0, name .. ", " .. key .. ": leaves that need lists of indices")
    end
    t.is_close(e:value(), value(start), 1e-12, 0, name .. ", " .. key .. ": value")
  end
end

-- ---- one sum ------------------------------------------------------------------------------------------------------

same("chain", n + 1, {
  map = function(_, x) return peri.map(n, function(i) return peri.exp(x[i]) * x[i + 1] end):sum() end,
  slices = function(_, x) return (x:slice(1, n):exp() * x:slice(2, n + 1)):sum() end,
  loop = function(_, x)
    local sum = 0
    for i = 1, n do sum = sum + peri.exp(x[i]) * x[i + 1] end
    return sum
  end,
  ["loop from the left"] = function(_, x)
    local sum = 0
    for i = 1, n do sum = x[i + 1] * peri.exp(x[i]) + sum end
    return sum
  end,
  backwards = function(_, x)
    local sum = 0
    for i = n, 1, -1 do sum = sum + x[i + 1] * peri.exp(x[i]) end
    return sum
  end,
  ["out of order"] = function(_, x)
    local sum = 0
    for k, i in ipairs(shuffled(n)) do
      sum = sum + (k % 2 == 0 and peri.exp(x[i]) * x[i + 1] or x[i + 1] * peri.exp(x[i]))
    end
    return sum
  end,
  nested = function(_, x)
    local sum = 0
    for i = 1, n, 8 do
      local part = 0
      for j = i, i + 7 do part = part + peri.exp(x[j]) * x[j + 1] end
      sum = sum + part
    end
    return sum
  end,
  ["part by slices"] = function(_, x)
    local v = x:slice(1, n):exp()
    local sum = 0
    for i = 1, n do sum = sum + v[i] * x[i + 1] end
    return sum
  end,
  ["a vector of scalars"] = function(_, x)
    local v = {}
    for i = 1, n do v[i] = peri.exp(x[i]) * x[i + 1] end
    return peri.stack(v):sum()
  end,
}, { templates = 1, operations = 2 }, function(x)
  local sum = 0
  for i = 1, n do sum = sum + math.exp(x[i]) * x[i + 1] end
  return sum
end)

-- ---- constants are data, equal ones too -------------------------------------------------------------------------------

local function a(i) return i % 3 + 1.5 end
local function b(i) return i % 2 + 1.5 end

same("constants", n, {
  map = function(_, x)
    local as, bs = {}, {}
    for i = 1, n do as[i], bs[i] = a(i), b(i) end
    return peri.map(n, function(i) return (x[i] - as[i])^2 * peri.cos(bs[i] * x[i]) end):sum()
  end,
  loop = function(_, x)
    local sum = 0
    for i = 1, n do sum = sum + (x[i] - a(i))^2 * peri.cos(b(i) * x[i]) end
    return sum
  end,
  ["signs and orders, out of order"] = function(_, x)
    local sum = 0
    for k, i in ipairs(shuffled(n)) do
      local d = k % 2 == 0 and x[i] - a(i) or -a(i) + x[i]
      local c = k % 3 == 0 and peri.cos(x[i] * b(i)) or peri.cos(b(i) * x[i])
      sum = k % 5 == 0 and c * d^2 + sum or sum + d^2 * c
    end
    return sum
  end,
}, { templates = 1, operations = 5 }, function(x)
  local sum = 0
  for i = 1, n do sum = sum + (x[i] - a(i))^2 * math.cos(b(i) * x[i]) end
  return sum
end)

-- ---- terms of vectors ---------------------------------------------------------------------------------------------------

local data = peri.random.normal { rows = n, cols = 12, seed = 8 }
local offset = peri.random.normal { n = n, seed = 9 }

same("rows of data", 12, {
  ["vectors in a loop"] = function(_, x)
    local sum = 0
    for i = 1, n do sum = sum + (data[i]:t():dot(x) - offset[i])^2 end
    return sum
  end,
  ["vectors in a loop, out of order"] = function(_, x)
    local sum = 0
    for _, i in ipairs(shuffled(n)) do sum = (x:dot(data[i]:t()) - offset[i])^2 + sum end
    return sum
  end,
  matrix = function(_, x) return ((data % x - offset)^2):sum() end,
}, { templates = 1, operations = 2 }, function(x)
  local sum = 0
  for i = 1, n do
    local r = -offset[i]
    for j = 1, 12 do r = r + data[i][j] * x[j] end
    sum = sum + r^2
  end
  return sum
end)

same("slices", 3 * n, {
  ["vectors in a loop"] = function(_, x)
    local sum = 0
    for i = 2, n do sum = sum + (x:slice(3 * i - 2, 3 * i) - x:slice(3 * i - 5, 3 * i - 3)):norm2() end
    return sum
  end,
  scalars = function(_, x)
    local sum = 0
    for i = 2, n do
      local s = 0
      for j = 3 * i - 2, 3 * i do s = s + (x[j] - x[j - 3])^2 end
      sum = sum + peri.sqrt(s)
    end
    return sum
  end,
}, { templates = 1, operations = 9 }, function(x)
  local sum = 0
  for i = 2, n do
    local s = 0
    for j = 3 * i - 2, 3 * i do s = s + (x[j] - x[j - 3])^2 end
    sum = sum + math.sqrt(s)
  end
  return sum
end)

--- Chained balls, logsumexp and half-spaces on the rows of a matrix: in a list, or one by one.
local function rows_solved(way)
  local m = peri.model "rows"
  local X = m:var("X", { n, 6 }, { start = peri.random.normal { rows = n, cols = 6, seed = 3 } })
  m:minimize((X^2):sum() - X:sum())
  local function step(i) return (X[i + 1] - X[i]):norm2() end
  local function product(i) return data[i]:slice(1, 6):dot(X[i]) end
  if way == "list" then
    local list = {}
    for i = 1, n - 1 do
      list[#list + 1] = step(i) <= 0.3
      list[#list + 1] = product(i) <= 0.1
      list[#list + 1] = X[i]:logsumexp() <= 2.2
    end
    m:subject_to(list)
  else
    for i = 1, n - 1 do
      m:subject_to(step(i) <= 0.3)
      m:subject_to(product(i) <= 0.1)
      m:subject_to(X[i]:logsumexp() <= 2.2)
    end
  end
  local found, s = templates(m), m:solve "ipm"
  return found, s, s:value(X)
end

for _, way in ipairs { "list", "one by one" } do
  local found, s, X = rows_solved(way)
  t.is(#found, 4, "constraints on rows, " .. way .. ": three templates, and the objective's")
  t.is(s.status, "optimal", "solved")
  local worst = 0
  for i = 1, n - 1 do
    local d, e = 0, 0
    for j = 1, 6 do
      d = d + (X[i + 1][j] - X[i][j])^2
      e = e + math.exp(X[i][j])
    end
    worst = math.max(worst, math.sqrt(d) - 0.3, math.log(e) - 2.2)
  end
  t.ok(worst < 1e-6, "and feasible")
end

-- ---- constraints --------------------------------------------------------------------------------------------------------

--- Luksan and Vlcek's chained constraints, all by one map, or each by itself.
local function chained_templates(way)
  local m = peri.model "chained"
  local x = m:var("x", n + 2, { start = 1.25 })
  local function row(i)
    return 3 * x[i + 1]^3 + peri.sin(x[i + 1] + x[i + 2]) * peri.sin(x[i + 1] - x[i + 2]) + 4 * x[i + 1]
      - x[i] * peri.exp(x[i] - x[i + 1]) - 8 + 2 * x[i + 2]
  end
  if way == "map" then
    m:subject_to(peri.map(n, row):eq(0))
  elseif way == "loop" then
    for i = 1, n do m:subject_to(row(i):eq(0)) end
  else
    for _, i in ipairs(shuffled(n)) do m:subject_to(row(i):eq(0)) end
  end
  return templates(m)
end

local map = chained_templates "map"
t.is(#map, 1, "Luksan and Vlcek's constraints by a map: one template")
for _, way in ipairs { "loop", "shuffled" } do
  local rows = chained_templates(way)
  t.is(#rows, 1, "the same by a " .. way .. ": one template")
  t.is(rows[1][1], n, "of all rows")
  t.is(rows[1][2], map[1][2], "with as many operations")
end

-- ---- pairs, grids ---------------------------------------------------------------------------------------------------------

local function electrons(count)
  local m = peri.model "electrons"
  local X = m:var("X", { count, 3 }, { start = peri.random.normal { rows = count, cols = 3, seed = 3 } })
  local sum = 0
  for i = 1, count do
    for j = i + 1, count do
      sum = sum + 1 / peri.sqrt((X[i][1] - X[j][1])^2 + (X[i][2] - X[j][2])^2 + (X[i][3] - X[j][3])^2)
    end
  end
  m:minimize(sum)
  for i = 1, count do m:subject_to((X[i][1]^2 + X[i][2]^2 + X[i][3]^2):eq(1)) end
  return templates(m)
end

local pairs_found = electrons(12)
t.is(#pairs_found, 2, "electrons on a sphere: the pairs and the rows")
t.is(pairs_found[1][1], 66, "all pairs in one template")
t.is(pairs_found[1][4], 6, "that reads six coordinates by lists")
t.is(pairs_found[2][1], 12, "and all rows in another")
t.is(pairs_found[2][3], 3, "that reads three in steps")

local function bearing(rows, cols)
  local m = peri.model "bearing"
  local V = m:var("V", { rows, cols }, { start = 0.1 })
  local sum = 0
  for i = 1, rows - 1 do
    for j = 1, cols - 1 do
      local w = 1 + 0.1 * math.cos(0.3 * i)
      sum = sum + w^3 * ((V[i + 1][j] - V[i][j])^2 + (V[i][j + 1] - V[i][j])^2) - math.sin(0.3 * i) * V[i][j]
    end
  end
  m:minimize(sum)
  return templates(m)
end
t.is(#bearing(8, 9), 2, "a grid: squares of differences, and the linear part")

-- ---- a model with parameters is solved again -----------------------------------------------------------------------------

local m = peri.model "again"
local x = m:var("x", n, { start = 1 })
local p = m:param("p", 1)
local sum = 0
for i = 1, n do sum = sum + peri.exp(x[i]) - p * x[i] end
m:minimize(sum)
local first = m:solve "lbfgs"
t.ok(first.times.building > 0, "the first solve compiles")
for _, value in ipairs { 2.5, 0.75, 1.3 } do
  p:set(value)
  local again = m:solve "lbfgs"
  t.is(again.times.building, 0, "solved again for another parameter: nothing is derived or compiled")
  t.is_close(again:value(x[3]), math.log(value), 1e-5, 0, "and the solution is the new one")
end

t.done()
