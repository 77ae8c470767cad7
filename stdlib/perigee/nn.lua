-- SPDX-License-Identifier: Apache-2.0
--- Small networks: layers whose weights are variables of a model, so that a loss of them is an objective like any other.
--
--   local nn = require "perigee.nn"
--   local net = nn.network(m, "net", 3, { nn.dense(48), nn.gelu, nn.dense(1) }, { seed = 1 })
--   m:minimize(((net(X) - Y)^2):mean())          X: rows are samples, 3 columns
--   m:solve("adam", { rate = 1e-2, iterations = 2000 })
--
--   net(X)                 the network's output, an expression or array with a row a sample
--   net.weights            the list of its variables, layer by layer: a matrix (inputs x units), then a row of biases
--   net:with(weights)      the same network with other weights in their places: expressions, arrays, sol[variable]
--   net:at(solution)       the same with a solution's
--   net.size               number of weights
--   nn.dense(units, opts)  a layer: opts.bias = false, opts.start = "glorot" | "he" | "zero" (weights; biases start at 0)
--   nn.relu, nn.gelu, nn.tanh, nn.sigmoid, nn.softplus, nn.silu, nn.identity: activations; any function of an array is one
--
-- Starting weights come from a seeded stream of normal numbers: glorot has deviation sqrt(2 / (inputs + units)) (Glorot and Bengio 2010),
-- he sqrt(2 / inputs) (He et al. 2015). gelu is the form with tanh (Hendrycks and Gimpel 2016).

local peri = require "perigee"
local usage = require "perigee.usage"

local nn = {}

function nn.relu(x) return peri.relu(x) end
function nn.tanh(x) return peri.tanh(x) end
function nn.sigmoid(x) return peri.sigmoid(x) end
function nn.softplus(x) return peri.softplus(x) end
function nn.silu(x) return x * peri.sigmoid(x) end
function nn.identity(x) return x end
function nn.gelu(x) return 0.5 * x * (1 + peri.tanh(0.7978845608028654 * (x + 0.044715 * x^3))) end -- sqrt(2 / pi)

local deviations = {
  glorot = function(inputs, units) return math.sqrt(2 / (inputs + units)) end,
  he = function(inputs) return math.sqrt(2 / inputs) end,
  zero = function() return 0 end,
}

--- A dense layer: X % W + b. See the head of this file.
function nn.dense(units, opts)
  opts = opts or {}
  if math.type(units) ~= "integer" or units < 1 then usage.fail("nn.dense: the number of units must be a positive integer") end
  local start = opts.start or "glorot"
  if not deviations[start] then usage.fail("nn.dense: start must be glorot, he or zero") end
  return { units = units, bias = opts.bias ~= false, start = start }
end

local network = {}
network.__index = network

--- Output for the rows of X with the weights in list w.
local function apply(net, X, w)
  local k = 0
  for _, layer in ipairs(net.layers) do
    if type(layer) == "function" then
      X = layer(X)
    else
      X = X % w[k + 1]
      if layer.bias then X = X + w[k + 2] end
      k = k + (layer.bias and 2 or 1)
    end
  end
  return X
end

function network:__call(X) return apply(self, X, self.values or self.weights) end

function network:with(values)
  if type(values) ~= "table" or #values ~= #self.weights then
    usage.fail("nn: expected a list of %d weights, as net.weights has", #self.weights)
  end
  return setmetatable({ layers = self.layers, weights = self.weights, size = self.size, values = values }, network)
end

function network:at(solution)
  local values = {}
  for i, w in ipairs(self.weights) do values[i] = solution[w] end
  return self:with(values)
end

--- Make a network's weights, variables of model `m` named NAME.weight1, NAME.bias1, ...
--   inputs  number of columns of its argument; layers: nn.dense(...) and functions, in order; opts.seed, 0 unless given
function nn.network(m, name, inputs, layers, opts)
  opts = opts or {}
  if math.type(inputs) ~= "integer" or inputs < 1 then usage.fail("nn.network: the number of inputs must be a positive integer") end
  if type(layers) ~= "table" or #layers == 0 then usage.fail("nn.network: expected a list of layers") end
  local net = setmetatable({ layers = layers, weights = {}, size = 0 }, network)
  local seed, count = opts.seed or 0, 0
  local function add(kind, rows, columns, start)
    net.weights[#net.weights + 1] = m:var(("%s.%s%d"):format(name, kind, count), { rows, columns }, { start = start })
    net.size = net.size + rows * columns
  end
  for i, layer in ipairs(layers) do
    if type(layer) == "table" and layer.units then
      count = count + 1
      local deviation = deviations[layer.start](inputs, layer.units)
      add("weight", inputs, layer.units,
        peri.random.normal { rows = inputs, cols = layer.units, seed = seed + 1000003 * count } * deviation)
      if layer.bias then add("bias", 1, layer.units, 0) end
      inputs = layer.units
    elseif type(layer) ~= "function" then
      usage.fail("nn.network: layer %d is neither nn.dense(...) nor a function", i)
    end
  end
  return net
end

return nn
