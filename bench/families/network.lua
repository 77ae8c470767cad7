-- SPDX-License-Identifier: Apache-2.0
-- A network with one hidden layer and softmax cross-entropy over a minibatch, all weights variable, against OpenBLAS called by hand.

local peri = require "perigee"

local family = {
  about = "two-layer network, softmax cross-entropy over a minibatch",
  targets = { value = 1.3, gradient = 1.3 },
  reference = "C on OpenBLAS",
}

local function instance(batch, inputs, hidden, classes, act)
  return { label = ("%d-%d-%d, batch %d, %s"):format(inputs, hidden, classes, batch, act), batch = batch, inputs = inputs, hidden = hidden,
    classes = classes, act = act, products = false, hessian = false }
end

function family.instances(mode)
  if mode == "check" then return { instance(5, 4, 3, 3, "tanh"), instance(4, 3, 5, 2, "relu") } end
  local all = { instance(128, 784, 128, 10, "tanh"), instance(32, 784, 32, 10, "relu") }
  if mode == "full" then
    all[3], all[4] = instance(128, 784, 128, 10, "relu"), instance(32, 784, 128, 10, "tanh")
    all[5], all[6] = instance(128, 784, 32, 10, "tanh"), instance(32, 784, 32, 10, "tanh")
  end
  return all
end

function family.build(o)
  local X = peri.random.uniform { rows = o.batch, cols = o.inputs, lower = 0, upper = 1, seed = 11 }
  local Y = peri.zeros(o.batch, o.classes)
  for i = 1, o.batch do Y[i][1 + i % o.classes] = 1 end
  local m = peri.model "network"
  local function weights(name, rows, cols, seed)
    local sd = 1 / math.sqrt(rows)
    return m:var(name, { rows, cols }, { start = peri.random.normal { rows = rows, cols = cols, sd = sd, seed = seed } })
  end
  local W1, b1 = weights("W1", o.inputs, o.hidden, 12), weights("b1", 1, o.hidden, 13)
  local W2, b2 = weights("W2", o.hidden, o.classes, 14), weights("b2", 1, o.classes, 15)
  local Z = peri[o.act](X % W1 + b1) % W2 + b2
  m:minimize((Z:logsumexp(2) - (Y * Z):sum(2)):mean())
  return m, { o.batch, o.inputs, o.hidden, o.classes, o.act == "relu" and 1 or 0, X:reshape(o.batch * o.inputs, 1),
    Y:reshape(o.batch * o.classes, 1) }
end

return family
