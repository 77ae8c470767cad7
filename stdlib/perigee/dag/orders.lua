-- SPDX-License-Identifier: Apache-2.0
--- What least squares leaves of a graph or an order, by conditional variances alone; and the best order of a few nodes, by dynamic programming over sets.
-- The yardstick of methods that search.

local peri = require "perigee"
local usage = require "perigee.usage"
local graph = require "perigee.dag.graph"
local model = require "perigee.dag.model"

local orders = {}

local MOST_NODES = 14 -- 2^14 matrices of 14 x 14

--- Second moments, as Lua tables; of columns with their means subtracted unless center is false.
local function moments(where, X, center)
  local data, n, d = model.read_data(where, X)
  if center ~= false then data = model.centered(data, n) end
  local A, S = data:t() % data / n, {}
  for i = 1, d do
    S[i] = {}
    for j = 1, d do S[i][j] = A[i][j] end
  end
  return S, d
end

--- Moments given variable k too; one that the others determine tells nothing.
local function given(S, k)
  local C = {}
  for i = 1, #S do
    C[i] = {}
    for j = 1, #S do C[i][j] = S[k][k] > 0 and S[i][j] - S[i][k] * S[k][j] / S[k][k] or S[i][j] end
  end
  return C
end

--- 1/(2n) |X - X W|^2 for the best W with the edges of the graph, cycles or not.
function orders.refit(X, W, center)
  local S, d = moments("dag.refit", X, center)
  if graph.check("dag.refit", W) ~= d then usage.fail("dag.refit: a graph of %d nodes, data of %d columns", W:rows(), d) end
  local sum = 0
  for j = 1, d do
    local C = S
    for i = 1, d do if i ~= j and W[i][j] ~= 0 then C = given(C, i) end end
    sum = sum + 0.5 * C[j][j]
  end
  return sum
end

--- The same with all edges from earlier to later nodes of a list.
function orders.loss_of_order(X, order, center)
  local S, d = moments("dag.loss_of_order", X, center)
  graph.check_order("dag.loss_of_order", order, d)
  local sum = 0
  for _, j in ipairs(order) do
    sum = sum + 0.5 * S[j][j]
    S = given(S, j)
  end
  return sum
end

--- The least loss of all orders, and one that has it: best[set + j] = best[set] + variance of j given the set / 2, by sets as bits.
function orders.best_order(X, center)
  local S, d = moments("dag.best_order", X, center)
  if d > MOST_NODES then usage.fail("dag.best_order: %d nodes have 2^%d sets; %d is the most, dag.topo searches larger ones", d, d, MOST_NODES) end
  local best, last, conditional = { [0] = 0 }, {}, { [0] = S }
  for set = 0, (1 << d) - 1 do
    if set > 0 then
      local k = d
      while set & (1 << (k - 1)) == 0 do k = k - 1 end
      conditional[set] = given(conditional[set & ~(1 << (k - 1))], k)
    end
    for j = 1, d do
      local more = set | (1 << (j - 1))
      local value = more ~= set and best[set] + 0.5 * conditional[set][j][j]
      if value and (not best[more] or value < best[more]) then best[more], last[more] = value, j end
    end
  end
  local order, set = {}, (1 << d) - 1
  for k = d, 1, -1 do
    order[k] = last[set]
    set = set & ~(1 << (order[k] - 1))
  end
  return best[(1 << d) - 1], order
end

return orders
