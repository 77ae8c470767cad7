-- SPDX-License-Identifier: Apache-2.0
-- Shows: a graph without cycles learnt from data by NOTEARS, improved by topological swaps, and drawn.
-- perigee run 07-which-depends-on-which.lua [DATA.csv [EDGES.csv [PICTURE.svg]]]: columns are variables; EDGES has the columns Cause and
-- Effect of a known graph.
-- Without a file: samples of a random network with as many variables as the proteins of Sachs et al., Science 308 (2005), whose data it reads.

local peri = require "perigee"
local dag = require "perigee.dag"

--- Logarithms (amounts of proteins range over decades), each column scaled to variance one: edges' weights are then correlations, say.
local function read(path)
  local file = peri.data.csv(path)
  local X = peri.log(file:matrix() + 10)
  X = X - peri.ones(X:rows(), 1) % (X:sum(1) / X:rows())
  return X / (peri.ones(X:rows(), 1) % peri.sqrt((X^2):sum(1) / X:rows())), file.names
end

local function known_graph(path, names)
  local file, place = peri.data.csv(path), {}
  for j, name in ipairs(names) do place[name] = j end
  local B = peri.zeros(#names, #names)
  for k = 1, file.rows do B[place[file.columns.Cause[k]]][place[file.columns.Effect[k]]] = 1 end
  return B
end

local X, names, truth
if arg[1] then
  X, names = read(arg[1])
  truth = arg[2] and known_graph(arg[2], names)
else
  truth = dag.random_weights(dag.random_graph { nodes = 11, edges = 18, seed = 5 }, { seed = 5 })
  X, names = dag.simulate(truth, { samples = 853, seed = 5 }), {}
  for j = 1, 11 do names[j] = "v" .. j end
end

local threshold = arg[1] and 0.15 or 0.3
local first = dag.notears(X, { l1 = arg[1] and 0.05 or 0.1, threshold = threshold })
local second = dag.topo(X, { start = first.graph, threshold = threshold, seed = 1 })

print "method     loss      edges  SHD  tpr   kkt"
for _, row in ipairs { { "notears", first }, { "then topo", second } } do
  local name, found = row[1], row[2]
  local m = truth and dag.metrics(found.graph, truth) or { shd = 0 / 0, tpr = 0 / 0, edges = dag.metrics(found.graph, found.graph).edges }
  print(("%-10s %.2f      %2d     %.0f    %.2f  %.0e"):format(name, dag.score(X, found.W), m.edges, m.shd, m.tpr,
    found.solution.certificate.kkt))
end
local order = {}
for k, j in ipairs(second.order) do order[k] = names[j] end
print("order: " .. table.concat(order, " "))
local picture = dag.draw(second.graph, names, arg[3])
print(("picture: %d nodes, %d arrows"):format(select(2, picture:gsub("<circle", "")), select(2, picture:gsub("<line", ""))))
