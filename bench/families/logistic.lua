-- SPDX-License-Identifier: Apache-2.0
-- Logistic regression on sparse data: mean over rows of log(1 + exp(-y a'w)) + 5e-4 w'w, on data made up in the shape of a9a (32561 rows,
-- 123 columns, 14 ones a row), and on a9a itself (or its smaller test set) where it is in ../shared/data/libsvm.

local peri = require "perigee"

local family = { about = "logistic regression on sparse data", class = "transcendental" }
local FOLDER = "../shared/data/libsvm/"

local function path_of_a9a()
  for _, name in ipairs { "a9a", "a9a.t" } do
    local file = io.open(FOLDER .. name)
    if file then
      file:close()
      return FOLDER .. name, name
    end
  end
end

function family.instances(mode)
  if mode == "check" then return { { label = "30 rows", rows = 30, cols = 20, each = 4 } } end
  local all = { { label = "made up, 32561 rows", rows = 32561, cols = 123, each = 14 } }
  local path, name = path_of_a9a()
  if path then all[2] = { label = name, path = path } end
  return all
end

--- Each row has its columns in as many ranges, as one-hot coded categories have.
local function make_up(instance)
  local data = { rows = instance.rows, cols = instance.cols, i = {}, j = {}, v = {}, y = {} }
  local draw = peri.random.uniform { n = instance.rows * (instance.each + 1), seed = 3, lower = 0, upper = 1 }:totable()
  local at, k = 0, 0
  for row = 1, instance.rows do
    for e = 1, instance.each do
      at, k = at + 1, k + 1
      local low, high = (e - 1) * instance.cols // instance.each, e * instance.cols // instance.each
      data.i[k], data.j[k], data.v[k] = row, low + 1 + math.floor(draw[at]^2 * (high - low)), 1
    end
    at = at + 1
    data.y[row] = draw[at] < 0.24 and 1 or -1
  end
  return data
end

local function read(path)
  local data = { cols = 123, i = {}, j = {}, v = {}, y = {} }
  local row = 0
  for line in io.lines(path) do
    row = row + 1
    data.y[row] = tonumber(line:match "^%S+") > 0 and 1 or -1
    for j, v in line:gmatch "(%d+):(%S+)" do
      local k = #data.i + 1
      data.i[k], data.j[k], data.v[k] = row, tonumber(j), tonumber(v)
    end
  end
  data.rows = row
  return data
end

function family.build(instance)
  local data = instance.path and read(instance.path) or make_up(instance)
  local m = peri.model "logistic"
  local w = m:var("w", data.cols, { start = peri.random.normal { n = data.cols, seed = 4, sd = 0.3 } })
  local features = peri.sparse { rows = data.rows, cols = data.cols, i = data.i, j = data.j, v = data.v }
  m:minimize(peri.softplus(-peri.array(data.y) * (features % w)):sum() / data.rows + 5e-4 * w:dot(w))
  return m, { data.rows, data.cols, data.i, data.j, data.v, data.y }
end

return family
