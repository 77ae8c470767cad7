-- SPDX-License-Identifier: Apache-2.0
-- Shows: hyperparameters as an upper level. A support vector machine whose training errors have weights exp(c_i); the weights that make the
-- machine err least on other points, when many training labels of one class are wrong. Below it a table: one common weight swept, the usual way.

local peri = require "perigee"

local state = 20
local function uniform()
  state = (state * 1103515245 + 12345) % 2147483648
  return (state + 0.5) / 2147483648
end
local function normal() return math.sqrt(-2 * math.log(uniform())) * math.cos(2 * math.pi * uniform()) end

local train, check, test = 60, 60, 400
local point, label = {}, {}
for i = 1, train + check + test do
  local side = uniform() < 0.5 and -1 or 1
  point[i] = { side * 0.8 + normal(), side * 0.6 + normal() }
  label[i] = i <= train and side < 0 and uniform() < 0.4 and 1 or side -- two in five of one class are taken for the other
end

local function part(v, first, last) return peri.array(table.move(v, first, last, 1, {})) end
local A, T = part(point, 1, train), part(label, 1, train)
local B, S = part(point, train + 1, train + check), part(label, train + 1, train + check)

--- The lower level: margins of the training points, their shortfalls xi.
local function machine(m, weight)
  local w, b, xi = m:var("w", 2, { start = 1 }), m:var("b", { start = 0 }), m:var("xi", train, { start = 1 })
  m:minimize(0.5 * (w^2):sum() + 0.5 * (weight * xi^2):sum())
  m:subject_to("margin", xi + T * (A % w + b) >= 1)
  return w, b
end

local function loss(w, b) return ((-2 * S * (B % w + b) / w:norm2()):sigmoid()):mean() end

local function accuracy(w, b)
  local right = 0
  for i = train + check + 1, #point do
    right = right + ((w[1] * point[i][1] + w[2] * point[i][2] + b) * label[i] > 0 and 1 or 0)
  end
  return 100 * right / test
end

print("weight        validation loss   test accuracy, %")
for _, c in ipairs { -8, -6, -4, -2, 0 } do
  local m = peri.model "machine"
  local w, b = machine(m, math.exp(c))
  local s = m:solve("ipm")
  print(("exp(%d) each %15.3f %18.0f"):format(c, s:value(loss(w, b)), accuracy(s:value(w), s:value(b))))
end

local up = peri.model "weights"
local c = up:var("c", train, { lower = -8, upper = 2, start = -4 })
local low = up:lower "machine"
local w, b = machine(low, c:exp())
up:minimize(loss(w, b))
local s = up:solve("lv-hba", { alpha = 0.02, beta = 0.02, eta = 0.05, c0 = 2, p = 0.4, iterations = 10000 })
print(("its own %18.3f %18.0f"):format(s:value(loss(w, b)), accuracy(s:value(w), s:value(b))))
