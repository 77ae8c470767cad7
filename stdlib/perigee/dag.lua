-- SPDX-License-Identifier: Apache-2.0
--- Structure learning: which of d variables depend on which, from n samples. W[i][j] is the weight of the edge i -> j.
--
--   local B = peri.dag.random_graph { nodes = 20, edges = 40, seed = 1 }
--   local W = peri.dag.random_weights(B, { seed = 1 })
--   local X = peri.dag.simulate(W, { samples = 1000, seed = 1 })     samples in rows
--   local found = peri.dag.topo(X)                  or notears, or path_following
--   print(found.graph)                              the weights that count, without a cycle
--   print(peri.dag.metrics(found.graph, W).shd)
--   local better = peri.dag.topo(X, { start = found.W })    improves any other method's graph
--
-- The parts: dag/simulate.lua, dag/graph.lua (orders, metrics, pictures), dag/model.lua (losses), dag/methods.lua, dag/orders.lua
-- (what least squares leaves of graphs and orders, the best order of a few nodes).

local dag = {}

for _, part in ipairs { "simulate", "graph", "model", "methods", "orders" } do
  for name, value in pairs(require("perigee.dag." .. part)) do dag[name] = value end
end

return dag
