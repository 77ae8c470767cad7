-- SPDX-License-Identifier: Apache-2.0
-- networks.lua - perigee.nn and adam: a network against the same sums by hand, seeds, other weights; adam's steps against its formulas.
local peri = require "perigee"
local tap = require "tap"
local nn = require "perigee.nn"

local function near(a, b, what, tolerance)
  tap.ok(math.abs(a - b) <= (tolerance or 1e-12) * math.max(1, math.abs(b)), ("%s: %.15g, expected %.15g"):format(what, a, b))
end

-- ---- networks

local function small(seed)
  local m = peri.model "small"
  return nn.network(m, "net", 2, { nn.dense(3), nn.tanh, nn.dense(1, { start = "he" }) }, { seed = seed }), m
end

local net, m = small(5)
tap.is(net.size, 2 * 3 + 3 + 3 + 1, "weights and biases are counted")
tap.is(#net.weights, 4, "each layer has two variables")

local X = peri.array { { 0.3, -1.2 }, { 0.7, 0.1 } }
local values = {}
for i, w in ipairs(net.weights) do values[i] = w:value() end
local output = net(X):value()
for row = 1, 2 do
  local sum = values[4][1]
  for unit = 1, 3 do
    local t = values[2][1][unit]
    for input = 1, 2 do t = t + X[row][input] * values[1][input][unit] end
    sum = sum + values[3][unit] * ((math.exp(t) - math.exp(-t)) / (math.exp(t) + math.exp(-t)))
  end
  near(output[row], sum, "row " .. row .. " by hand")
end

near((small(5))(X):value()[1], output[1], "the same seed, the same weights")
tap.ok((small(6))(X):value()[1] ~= output[1], "another seed, others")
near(net:with(values)(X)[2], output[2], "the same weights as arrays: a number at once")

local big = nn.network(peri.model "big", "b", 400, { nn.dense(600) }, { seed = 1 }).weights[1]:value()
local square = (big^2):mean()
near(square, 2 / 1000, "glorot: the variance of a layer's weights", 0.02)

for _, case in ipairs {
  { "identity", 0.7, 0.7 }, { "relu", -0.7, 0 }, { "sigmoid", 0, 0.5 }, { "softplus", 0, math.log(2) }, { "silu", 1, 1 / (1 + math.exp(-1)) },
  { "gelu", 1, 0.8411919906082768 }, -- 0.5 (1 + tanh(sqrt(2/pi) 1.044715))
} do
  near(nn[case[1]](peri.array { case[2] })[1], case[3], case[1])
end

local function refused(text, f, ...)
  local done, message = pcall(f, ...)
  tap.ok(not done and message:find(text, 1, true) and message:find("networks.lua:", 1, true), text .. ": " .. tostring(message))
end
refused("the number of units", nn.dense, 0)
refused("start must be", nn.dense, 3, { start = "big" })
refused("number of inputs", nn.network, m, "other", -1, { nn.dense(1) })
refused("layer 2 is neither", nn.network, m, "other", 1, { nn.dense(1), 7 })
refused("a list of 4 weights", net.with, net, { 1 })

-- ---- adam

--- The iterates of Kingma and Ba's algorithm for the gradient g.
local function by_hand(x, g, steps, o)
  local first, second, most = 0, 0, 0
  local b1, b2, epsilon = o.beta1 or 0.9, o.beta2 or 0.999, o.epsilon or 1e-8
  for k = 1, steps do
    local slope = g(x)
    if o.clip and math.abs(slope) > o.clip then slope = slope / math.abs(slope) * o.clip end
    first = b1 * first + (1 - b1) * slope
    second = b2 * second + (1 - b2) * slope^2
    most = o.amsgrad and math.max(most, second) or second -- Reddi et al. 2018
    local rate = o.rate * (o.schedule == "steps" and 0.5^((k - 1) // o.decay_every) or 1)
    x = x - rate * (first / (1 - b1^k) / (math.sqrt(most / (1 - b2^k)) + epsilon) + (o.weight_decay or 0) * x)
  end
  return x
end

for _, o in ipairs {
  { rate = 0.1 }, { rate = 0.1, clip = 5 }, { rate = 0.1, weight_decay = 0.3 }, { rate = 0.1, schedule = "steps", decay_every = 3 },
  { rate = 0.1, beta1 = 0.5, beta2 = 0.6, epsilon = 0.3 }, { rate = 0.1, beta2 = 0.6, amsgrad = true },
} do
  local q = peri.model "quartic"
  local x = q:var("x", { start = 2 })
  q:minimize(x^4 / 4 + x)
  local options = { iterations = 10, tolerance = 0 }
  for key, value in pairs(o) do options[key] = value end
  local s = q:solve("adam", options)
  near(s.history[#s.history].step, o.rate * (o.schedule and 0.5^3 or 1), "the rate of the last step")
  near(s:value(x), by_hand(2, function(t) return t^3 + 1 end, 10, o), "ten steps by hand")
end

local b = peri.model "bounded"
local y = b:var("y", 2, { lower = { 1, -5 }, start = { 3, 3 } })
b:minimize((y^2):sum())
local s = b:solve("adam", { rate = 0.05, iterations = 5000, schedule = "cosine", tolerance = 1e-6 })
near(s[y][1], 1, "a bound ends the steps", 1e-9)
tap.is(s.status, "optimal", "and the rest converges")

local bad = peri.model "undefined"
local z = bad:var("z", { start = 1 })
bad:minimize(peri.log(z) + 0 * z)
local failed = bad:solve("adam", { rate = 3, iterations = 50 })
tap.is(failed.status, "numerical_error", "a step out of the domain is named")

local r = peri.model "regression"
local t = peri.linspace(-1, 1, 40)
local fit = nn.network(r, "net", 1, { nn.dense(16), nn.gelu, nn.dense(1) }, { seed = 3 })
r:minimize(((fit(t) - peri.sin(t * 3))^2):mean())
local trained = r:solve("adam", { rate = 1e-2, iterations = 2000 })
tap.ok(trained.objective < 1e-3, "a network learns a sine: mean squared error " .. trained.objective)
near(((fit:at(trained)(t) - peri.sin(t * 3))^2):mean(), trained.objective, "net:at(solution) is the trained network")
tap.done()
