-- SPDX-License-Identifier: Apache-2.0
-- Shows: an implicit layer, peri.implicit: a small network whose hidden layer is a fixed point, z = tanh(A z + B x + c), as if it had infinitely many layers
-- with the same weights. Its memory does not grow with them, and the derivatives are those of the limit. (Bai, Kolter and Koltun 2019, NeurIPS 32.)

local peri = require "perigee"

-- a curve that three units are to draw: 16 points on it
local count, units = 16, 3
local inputs, targets = {}, {}
for i = 1, count do
  local x = -1.5 + 3 * (i - 1) / (count - 1)
  inputs[i], targets[i] = x, math.sin(3 * x) * math.exp(-x * x / 2)
end
local x, y = peri.array(inputs), peri.array(targets)

local m = peri.model "layer"
local A = m:var("A", { units, units }, { start = 0.3 * peri.random.normal { rows = units, cols = units, seed = 1 } })
local B = m:var("B", { 1, units }, { start = peri.random.normal { rows = 1, cols = units, seed = 2 } })
local c = m:var("c", { 1, units })
local out, shift = m:var("out", units, { start = 0.1 }), m:var "shift"

-- one row of z a point
local z = peri.implicit {
  name = "hidden layer", start = peri.zeros(count, units), arguments = { A, B, c }, tolerance = 1e-10,
  fixed_point = function(state, weights, gain, offset) return peri.tanh(state % weights + x % gain + offset) end,
}
local loss = peri.mean((z % out + shift - y)^2) + 1e-3 * (A:dot(A) + B:dot(B) + out:dot(out))
m:minimize(loss)

print(("before: loss %.4f"):format(loss:value()))
local sol = m:solve("lbfgs", { iterations = 40, tolerance = 1e-5 })
print(("after:  loss %.3f, largest entry of z %.2f"):format(sol.objective, sol:value(peri.norminf(z))))

-- the same derivative from thirty steps instead of their limit
local function steps(k)
  return peri.implicit {
    start = peri.zeros(count, units), arguments = { A, B, c }, unroll = k,
    fixed_point = function(state, weights, gain, offset) return peri.tanh(state % weights + x % gain + offset) end,
  }
end
local limit = peri.grad(z:sum(), c):value()
for _, k in ipairs { 2, 8, 32 } do
  local unrolled = peri.grad(steps(k):sum(), c):value()
  print(("%2d steps unrolled: derivative off by %.0e"):format(k, peri.norminf(unrolled - limit)))
end
