-- SPDX-License-Identifier: Apache-2.0
-- Regularised logistic regression on public data sets, mean log(1 + exp(-y a'w)) + |w|^2 / (2n): the engine's fits
-- against Newton's method in plain Lua on the small sets, and against the published optima on all.

local t = require "tap"
local peri = require "perigee"

local folder = (os.getenv "PERIGEE_SOURCE" or ".") .. "/../shared/data/libsvm/"
local table_file = io.open(folder .. "optima.tsv")
if not table_file then t.skip_all "no ../shared/data" end

--- A data set's rows as lists { index, value, index, value, ... } and its labels, read without the library.
local function read(path, positive)
  local rows, labels, width = {}, {}, 0
  for line in io.lines(path) do
    local label = line:match "^%S+"
    if label then
      local row = {}
      for j, v in line:gmatch "(%d+):(%S+)" do
        row[#row + 1], row[#row + 2] = math.tointeger(tonumber(j)), tonumber(v)
        width = math.max(width, row[#row - 1])
      end
      rows[#rows + 1], labels[#labels + 1] = row, tonumber(label) == positive and 1 or -1
    end
  end
  return rows, labels, width
end

--- Columns divided by their largest absolute value.
local function scale(rows, width)
  local largest = {}
  for j = 1, width do largest[j] = 0 end
  for _, row in ipairs(rows) do
    for k = 1, #row, 2 do largest[row[k]] = math.max(largest[row[k]], math.abs(row[k + 1])) end
  end
  for _, row in ipairs(rows) do
    for k = 1, #row, 2 do row[k + 1] = row[k + 1] / largest[row[k]] end
  end
end

--- Solve the positive definite system a x = b in place, by Cholesky's method.
local function cholesky(a, b, n)
  for j = 1, n do
    for k = 1, j - 1 do a[j][j] = a[j][j] - a[j][k] ^ 2 end
    a[j][j] = math.sqrt(a[j][j])
    for i = j + 1, n do
      local s, ai, aj = a[i][j], a[i], a[j]
      for k = 1, j - 1 do s = s - ai[k] * aj[k] end
      ai[j] = s / aj[j]
    end
    for k = 1, j - 1 do b[j] = b[j] - a[j][k] * b[k] end
    b[j] = b[j] / a[j][j]
  end
  for j = n, 1, -1 do
    for i = j + 1, n do b[j] = b[j] - a[i][j] * b[i] end
    b[j] = b[j] / a[j][j]
  end
  return b
end

--- Value, gradient and Hessian of the loss at w.
local function evaluate(rows, labels, width, w)
  local n = #rows
  local value, gradient, hessian = 0, {}, {}
  for j = 1, width do
    value = value + w[j] ^ 2 / (2 * n)
    gradient[j], hessian[j] = w[j] / n, {}
    for k = 1, j do hessian[j][k] = j == k and 1 / n or 0 end
  end
  for i, row in ipairs(rows) do
    local margin = 0
    for k = 1, #row, 2 do margin = margin + row[k + 1] * w[row[k]] end
    margin = margin * labels[i]
    local p = 1 / (1 + math.exp(margin))
    value = value + (margin > 0 and math.log(1 + math.exp(-margin)) or math.log(1 + math.exp(margin)) - margin) / n
    for k = 1, #row, 2 do
      local j = row[k]
      gradient[j] = gradient[j] - p * labels[i] * row[k + 1] / n
      for l = 1, k, 2 do
        hessian[j][row[l]] = hessian[j][row[l]] + p * (1 - p) * row[k + 1] * row[l + 1] / n
      end
    end
  end
  return value, gradient, hessian
end

--- The minimum by Newton's method; full steps suffice for these sets.
local function newton(rows, labels, width)
  local w, value = {}, nil
  for j = 1, width do w[j] = 0 end
  for _ = 1, 15 do
    local f, gradient, hessian = evaluate(rows, labels, width, w)
    local largest = 0
    for _, g in ipairs(gradient) do largest = math.max(largest, math.abs(g)) end
    value = f
    if largest < 1e-13 then break end
    local direction = cholesky(hessian, gradient, width)
    for j = 1, width do w[j] = w[j] - direction[j] end
  end
  return value
end

--- The model in Perigee, from data as the library reads it; columns scaled where the problem's definition says so.
local function fit(name, positive, rows, width, scaled)
  local data = peri.data.libsvm(folder .. name, { positive = positive })
  local features = data.features
  if scaled then
    local i, j, v = {}, {}, {}
    for r, row in ipairs(rows) do
      for k = 1, #row, 2 do i[#i + 1], j[#j + 1], v[#v + 1] = r, row[k], row[k + 1] end
    end
    features = peri.sparse { rows = #rows, cols = width, i = i, j = j, v = v }
  end
  local m = peri.model(name)
  local w = m:var("w", width)
  m:minimize(peri.mean(peri.softplus(-data.labels * (features % w))) + w:dot(w) / (2 * #rows))
  return m
end

for line in table_file:lines() do
  local name, optimum, n, width, _, positive, problem =
    line:match("^(%S+)\t(%S+)\t(%d+)\t(%d+)\t(%d+)\t(%d+)\t([^\t]+)")
  if name and (tonumber(n) <= 10000 or t.long()) then
    optimum, width, positive = tonumber(optimum), math.tointeger(tonumber(width)), tonumber(positive)
    local rows, labels = read(folder .. name, positive)
    local scaled = problem:find "columns divided" ~= nil
    if scaled then scale(rows, width) end
    if #rows <= 2000 then
      t.is_close(newton(rows, labels, width), optimum, 1e-10, 0, name .. ": Newton's method in plain Lua")
    end
    local m = fit(name, positive, rows, width, scaled)
    for _, solver in ipairs { "lbfgs", "trust-ncg" } do
      local sol = m:solve(solver, { tolerance = 1e-8 })
      t.is_close(sol.objective, optimum, 1e-9, 0, name .. " by " .. solver)
    end
  end
end
table_file:close()
t.done()
