-- SPDX-License-Identifier: Apache-2.0
--- Structural models to draw samples from: graphs, weights, noise. All numbers come from `seed` alone.

local peri = require "perigee"
local usage = require "perigee.usage"
local graph = require "perigee.dag.graph"

local simulate = {}

--- A stream of numbers of its own for each purpose.
local function stream(seed, purpose) return seed * 64 + purpose end

local function uniform(n, seed, purpose)
  return peri.random.uniform { n = math.max(n, 1), seed = stream(seed, purpose) }
end

--- 1 .. n in random order.
local function shuffled(n, seed, purpose)
  local list, u = {}, uniform(n, seed, purpose)
  for k = 1, n do list[k] = k end
  for k = n, 2, -1 do
    local other = 1 + math.floor(u[k] * k)
    list[k], list[other] = list[other], list[k]
  end
  return list
end

local function count(where, opts, key, least, default)
  local value = usage.option(where, opts, key, "number", default)
  if not value or value ~= math.floor(value) or value < least then
    usage.fail("%s: %s must be an integer of at least %d, not %s", where, key, least, tostring(value))
  end
  return value
end

--- Exactly `edges` of all pairs, from the earlier to the later of a random order.
local function erdos_renyi(d, edges, seed)
  local B, order, pairs_ = peri.zeros(d, d), shuffled(d, seed, 1), {}
  for a = 1, d do
    for b = a + 1, d do pairs_[#pairs_ + 1] = { order[a], order[b] } end
  end
  local pick = shuffled(#pairs_, seed, 2)
  for k = 1, edges do B[pairs_[pick[k]][1]][pairs_[pick[k]][2]] = 1 end
  return B
end

--- Each new node points to about edges / d old ones, which are chosen in proportion to their degree (Barabasi and Albert 1999).
local function scale_free(d, edges, seed)
  local B, label = peri.zeros(d, d), shuffled(d, seed, 1)
  local each, degree, drawn = math.max(1, math.floor(edges / d + 0.5)), {}, 0
  local u = uniform(d * each * 20, seed, 2)
  for new = 1, d do
    degree[new] = 1
    local wanted, total = math.min(each, new - 1), 0
    for old = 1, new - 1 do total = total + degree[old] end
    local chosen = {}
    for _ = 1, wanted do
      drawn = drawn + 1
      local at, left = u[drawn] * total, 0
      for old = 1, new - 1 do
        if not chosen[old] then
          left = old
          at = at - degree[old]
          if at < 0 then break end
        end
      end
      chosen[left] = true
      total = total - degree[left]
      B[label[new]][label[left]] = 1
    end
    for old in pairs(chosen) do degree[old] = degree[old] + 1 end
    degree[new] = degree[new] + wanted
  end
  return B
end

--- A random graph without cycles: d x d zeros and ones. { nodes =, edges =, kind = "erdos-renyi" | "scale-free", seed = }
function simulate.random_graph(opts)
  local where = "random_graph"
  opts = usage.only(where, opts, { "nodes", "edges", "kind", "seed" })
  local d, kind = count(where, opts, "nodes", 1), usage.option(where, opts, "kind", "string", "erdos-renyi")
  local edges, seed = count(where, opts, "edges", 0), count(where, opts, "seed", 0, 1)
  if edges > d * (d - 1) / 2 then
    usage.fail("%s: edges is %d, a graph without cycles has at most %d on %d nodes", where, edges, d * (d - 1) // 2, d)
  end
  if kind == "erdos-renyi" then return erdos_renyi(d, edges, seed) end
  if kind == "scale-free" then return scale_free(d, edges, seed) end
  usage.fail("%s: kind is %q; it is erdos-renyi or scale-free", where, kind)
end

--- Weights for the edges of B: uniform in [low, high], either sign. { low = 0.5, high = 2, seed = }
function simulate.random_weights(B, opts)
  local where = "random_weights"
  opts = usage.only(where, opts, { "low", "high", "seed" })
  local low, high = usage.option(where, opts, "low", "number", 0.5), usage.option(where, opts, "high", "number", 2)
  if low > high then usage.fail("%s: low %g is above high %g", where, low, high) end
  local d, seed = graph.check(where, B), count(where, opts, "seed", 0, 1)
  local W, size, sign = peri.zeros(d, d), uniform(d * d, seed, 3), uniform(d * d, seed, 4)
  for i = 1, d do
    for j = 1, d do
      local k = (i - 1) * d + j
      if B[i][j] ~= 0 then W[i][j] = (low + (high - low) * size[k]) * (sign[k] < 0.5 and -1 or 1) end
    end
  end
  return W
end

local noises = {
  gaussian = function(n, seed) return peri.random.normal { n = n, seed = stream(seed, 5) } end,
  exponential = function(n, seed) return -peri.log(1 - uniform(n, seed, 5)) end,
  gumbel = function(n, seed) return -peri.log(-peri.log(uniform(n, seed, 5) * (1 - 2e-16) + 1e-16)) end,
  uniform = function(n, seed) return 2 * uniform(n, seed, 5) - 1 end,
}

local function sigmoid(v) return 1 / (1 + math.exp(-v)) end

--- A node's mean given the samples' columns so far.
local means = {}

function means.linear(W, j, parents, column, n)
  local mean = peri.zeros(n)
  for _, i in ipairs(parents) do mean:axpy(W[i][j], column[i]) end
  return mean
end

means.logistic = means.linear

--- sigmoid(X_parents W1) w2, all weights uniform in +-[0.5, 2]; the graph's own do not count.
function means.network(_, j, parents, column, n, seed, hidden)
  local mean, rows = peri.zeros(n), #parents + 1
  local size, sign = uniform(rows * hidden, seed * 4096 + j, 6), uniform(rows * hidden, seed * 4096 + j, 7)
  local function weight(k) return (0.5 + 1.5 * size[k]) * (sign[k] < 0.5 and -1 or 1) end
  for h = 1, #parents > 0 and hidden or 0 do
    local inside = peri.zeros(n)
    for k, i in ipairs(parents) do inside:axpy(weight((k - 1) * hidden + h), column[i]) end
    mean:axpy(weight(#parents * hidden + h), peri.sigmoid(inside))
  end
  return mean
end

--- Samples in rows. { samples =, model = "linear" | "logistic" | "network", noise = "gaussian" | "exponential" | "gumbel" | "uniform",
-- scale = 1, hidden = 100, seed = }
function simulate.simulate(W, opts)
  local where = "simulate"
  opts = usage.only(where, opts, { "samples", "model", "noise", "scale", "hidden", "seed" })
  local d, n, seed = graph.check(where, W), count(where, opts, "samples", 1), count(where, opts, "seed", 0, 1)
  local model, noise = usage.option(where, opts, "model", "string", "linear"), usage.option(where, opts, "noise", "string", "gaussian")
  local scale, hidden = usage.option(where, opts, "scale", "number", 1), count(where, opts, "hidden", 1, 100)
  if not means[model] then usage.fail("%s: model is %q; it is linear, logistic or network", where, model) end
  if not noises[noise] then usage.fail("%s: noise is %q; it is gaussian, exponential, gumbel or uniform", where, noise) end
  local order, column, z = graph.order(W), {}, noises[noise](n * d, seed)
  local coin = uniform(n * d, seed, 8)
  for _, j in ipairs(order) do
    local parents = {}
    for i = 1, d do if W[i][j] ~= 0 then parents[#parents + 1] = i end end
    local x = means[model](W, j, parents, column, n, seed, hidden)
    for k = 1, n do
      local at = (j - 1) * n + k
      x[k] = model == "logistic" and (coin[at] < sigmoid(x[k]) and 1 or 0) or x[k] + scale * z[at]
    end
    column[j] = x
  end
  return peri.hstack(table.unpack(column))
end

return simulate
