-- SPDX-License-Identifier: Apache-2.0
-- Structure learning beside published and prototype numbers: `build/perigee run bench/graphs.lua [quick [SACHS]]`, SACHS being the folder of the
-- protein data, ../shared/data/sachs unless told otherwise. Generator: Erdos-Renyi graphs with an exact number
-- of edges, weights uniform in +-[0.5, 2], unit Gaussian noise, 1000 samples, not centered. In brackets the numbers of a prototype of the method in
-- NumPy (one thread, a Cholesky factorisation for each candidate) with other random sets.

local peri = require "perigee"
local dag = require "perigee.dag"

local quick = arg[1] == "quick"
local function sets(n) return quick and math.min(n, 2) or n end

local function problem(d, edges, seed, kind)
  local W = dag.random_weights(dag.random_graph { nodes = d, edges = edges, seed = seed, kind = kind }, { seed = seed })
  return dag.simulate(W, { samples = 1000, seed = seed }), W
end

local function loss_of(X, order) return dag.loss_of_order(X, order, false) end
local function refitted(X, graph) return dag.refit(X, graph, false) end

local function topo(X, opts)
  opts.center = false
  local started = os.clock()
  local r = dag.topo(X, opts)
  r.seconds = os.clock() - started
  return r
end

local function falls(sol)
  for k = 2, #sol.history do
    if sol.history[k].objective >= sol.history[k - 1].objective then return false end
  end
  return true
end

local function median(list)
  table.sort(list)
  return (list[(#list + 1) // 2] + list[#list // 2 + 1]) / 2
end

-- ---- 1

print "1. The optimum over all orders, by dynamic programming (s_small 30, s_large all, s0 1)"
print "   d, edges   sets  gap of one start: mean [card]     max [card]      ten starts are it    SHD of one start"
for _, c in ipairs { { 8, 16, 20, "3.3e-6", "2.6e-5", "20 of 20" }, { 10, 20, 20, "3.3e-6", "2.1e-5", "20 of 20" },
  { 12, 24, 8, "1.0e-6", "4.5e-6", "7 of 8" } } do
  local mean, most, equal, shd, n = 0, 0, 0, 0, sets(c[3])
  for seed = 1, n do
    local X, W = problem(c[1], c[2], seed)
    local want, opts = dag.best_order(X, false), { s_small = 30, s_large = c[1] * c[1], s0 = 1, seed = seed }
    local one = topo(X, opts)
    local gap = one.solution.objective / want - 1
    mean, most, shd = mean + gap / n, math.max(most, gap), shd + dag.metrics(one.graph, W).shd
    opts.starts = 10
    equal = equal + (math.abs(topo(X, opts).solution.objective / want - 1) <= 1e-9 and 1 or 0)
  end
  print(("   %2d, %2d     %2d    %.1e [%s]     %.1e [%s]     %d of %d [%s]     %d in all"):format(c[1], c[2], n, mean, c[4], most, c[5],
    equal, n, c[6], shd))
end

-- ---- 2

print "2. A random start against the regression in the true order"
print "   graph        sets   loss [card]        true order      loss <= true  SHD mean [card]   iterations [card]  seconds [card]  falls"
for _, c in ipairs {
  { 20, 20, 10, 50, 150, 1, "9.872", "0.0", "15", "0.04" }, { 20, 80, 10, 50, 190, 1, "9.873", "0.3", "13", "0.04" },
  { 30, 120, 10, 100, 400, 1, "14.719", "1.0", "18", "0.11" }, { 50, 200, 3, 100, 1000, 2, "24.284", "3.7", "38", "0.44" },
  { 100, 400, 10, 150, 1500, 15, "47.582", "14", "156", "7.9" },
} do
  local loss, order, shd, steps, seconds, at_most, down, n = 0, 0, 0, 0, 0, 0, 0, sets(c[3])
  for seed = 1, n do
    local X, W = problem(c[1], c[2], seed)
    local r, of = topo(X, { s_small = c[4], s_large = c[5], s0 = c[6], seed = seed }), loss_of(X, dag.order(W))
    loss, order = loss + r.solution.objective / n, order + of / n
    shd, steps, seconds = shd + dag.metrics(r.graph, W).shd / n, steps + r.solution.iterations / n, seconds + r.seconds / n
    at_most = at_most + (r.solution.objective <= of and 1 or 0)
    down = down + (falls(r.solution) and 1 or 0)
  end
  print(("   ER %3d, %3d  %2d     %.3f [%s]    %.3f     %d of %d      %.1f [%s]      %.0f [%s]      %.3f [%s]   %d of %d"):format(c[1], c[2], n, loss,
    c[7], order, at_most, n, shd, c[8], steps, c[9], seconds, c[10], down, n))
end

-- ---- 3

print "3. Sparse graphs need the large space (default sizes)"
print "   graph            sets   s0 1: SHD mean, max [card]     s0 more: SHD mean, max [card]"
for _, c in ipairs { { 20, 40, nil, 20, 10, "3.5, 19", "0.10" }, { 50, 100, nil, 8, 10, "24, 97", "0.25" },
  { 30, 120, "scale-free", 5, 10, "55", "0 with s0 5" } } do
  local mean, most, n = { 0, 0 }, { 0, 0 }, sets(c[4])
  for seed = 1, n do
    local X, W = problem(c[1], c[2], seed, c[3])
    for k, s0 in ipairs { 1, c[5] } do
      local shd = dag.metrics(topo(X, { s0 = s0, seed = seed }).graph, W).shd
      mean[k], most[k] = mean[k] + shd / n, math.max(most[k], shd)
    end
  end
  print(("   %s %3d, %3d   %2d     %.2f, %d [%s]       s0 %d: %.2f, %d [%s]"):format(c[3] and "SF" or "ER", c[1], c[2], n, mean[1], most[1], c[6], c[5],
    mean[2], most[2], c[7]))
end

-- ---- 4

print "4. NOTEARS (l1 0.1, threshold 0.3), then topo from its order; and topo from a random one"
print "   graph       sets  NOTEARS refitted [card]   then topo [card]  random start  worse  SHD: NOTEARS [card]  topo [card]  seconds: NOTEARS, topo"
for _, c in ipairs { { 10, 20, 8, "5.007", "4.991", "1.9", "0" }, { 20, 80, 8, "10.94", "9.874", "21.0", "0.38" } } do
  local before, after, random, worse, shd, shd_after, seconds, n = 0, 0, 0, 0, 0, 0, { 0, 0 }, sets(c[3])
  for seed = 1, n do
    local X, W = problem(c[1], c[2], seed)
    local started = os.clock()
    local other = dag.notears(X, { center = false })
    seconds[1] = seconds[1] + (os.clock() - started) / n
    local r, fit = topo(X, { start = other.graph, seed = seed }), refitted(X, other.graph)
    seconds[2] = seconds[2] + r.seconds / n
    before, after = before + fit / n, after + r.solution.objective / n
    random = random + topo(X, { seed = seed }).solution.objective / n
    worse = worse + (r.solution.objective > fit and 1 or 0)
    shd, shd_after = shd + dag.metrics(other.graph, W).shd / n, shd_after + dag.metrics(r.graph, W).shd / n
  end
  print(("   ER %2d, %2d    %d     %.3f [%s]            %.3f [%s]     %.3f         %d      %.1f [%s]          %.2f [%s]      %.2f, %.3f"):format(c[1], c[2],
    n, before, c[4], after, c[5], random, worse, shd, c[6], shd_after, c[7], seconds[1], seconds[2]))
end

print "   an independent implementation of NOTEARS (L-BFGS-B of SciPy, published settings) on these sets: 5.432 and SHD 2.1; 15.17 and SHD 25.6"

-- ---- 5

print "5. What holds at an answer (ER 30, 120), largest over the sets"
do
  local gradient, walks, loss, same, steps, single, n = 0, 0, 0, 0, {}, {}, sets(5)
  for seed = 1, n do
    local X = problem(30, 120, seed)
    local opts = { s_small = 100, s_large = 400, s0 = 1, seed = seed }
    local r = topo(X, opts)
    local S = X:t() % X / 1000
    local G, E, order = S % r.W - S, peri.eye(30) - r.W, dag.order(r.W)
    for a = 1, 30 do
      for b = a + 1, 30 do gradient = math.max(gradient, math.abs(G[order[a]][order[b]])) end
    end
    walks = math.max(walks, math.abs(peri.acyclicity(r.W, { form = "log-determinant", of = "abs" })))
    loss = math.max(loss, math.abs(0.5 * (E * (S % E)):sum() / r.solution.objective - 1))
    opts.accept_rule = "best"
    local one = topo(X, opts)
    same = math.max(same, math.abs(one.solution.objective / r.solution.objective - 1))
    steps[seed], single[seed] = r.solution.iterations, one.solution.iterations
  end
  print(("   gradient on allowed pairs %.1e [2e-12], log-determinant %.1e [1e-12], loss by Cholesky %.1e [5e-12]"):format(gradient, walks, loss))
  print(("   greedy against one exchange: loss %.1e [5e-5], iterations (medians) %.0f and %.0f [18 and 67]"):format(same, median(steps), median(single)))
end

-- ---- 6

--- GOLEM-EV (Ng, Ghassami and Zhang 2020), by lbfgs: d/2 log |X - X W|^2 - log |det(I - W)| + l1 |W| + 5 h(W)
local function golem(X)
  local m, d = peri.model "golem", X:cols()
  local P, N = m:var("P", { d, d }, { lower = 0 }), m:var("N", { d, d }, { lower = 0 })
  local W = P - N
  local E = peri.eye(d) - W
  m:minimize(0.5 * d * peri.log((E * (X:t() % X / X:rows() % E)):sum()) - peri.logdet(E) + 0.02 * (P + N):sum() + 5 * peri.acyclicity(W))
  return dag.prune(m:solve("lbfgs", { iterations = 3000, tolerance = 1e-6 }):value(W), 0.3)
end

local ways = {
  { "NOTEARS, exponential", function(X) return dag.notears(X, { center = false }).graph end },
  { "NOTEARS, polynomial", function(X) return dag.notears(X, { center = false, form = "polynomial" }).graph end },
  { "NOTEARS, log-determinant", function(X) return dag.notears(X, { center = false, form = "log-determinant" }).graph end },
  { "path of the log-determinant", function(X) return dag.path_following(X, { center = false }).graph end },
  { "GOLEM-EV", golem },
}

print "6. Other methods and characterisations, and topo from what they found (ER 10, 20)"
print "   method                        sets  SHD   then topo  loss, refitted  then topo  seconds"
for _, way in ipairs(ways) do
  local shd, after, loss, better, seconds, n = 0, 0, 0, 0, 0, sets(8)
  for seed = 1, n do
    local X, W = problem(10, 20, seed)
    local started = os.clock()
    local g = way[2](X)
    seconds = seconds + (os.clock() - started) / n
    local r = topo(X, { start = g, seed = seed })
    shd, after = shd + dag.metrics(g, W).shd / n, after + dag.metrics(r.graph, W).shd / n
    loss, better = loss + refitted(X, g) / n, better + r.solution.objective / n
  end
  print(("   %-28s   %d    %.2f   %.2f      %.3f          %.3f     %.2f"):format(way[1], n, shd, after, loss, better, seconds))
end

-- ---- 7

print "7. Networks (10 nodes, 10 edges, 40 hidden, 1000 samples, l1 = l2 = 0.01, sizes 10 and 40, s0 1, first improvement) and logistic models"
print "   model     set  loss from the true order, SHD  from a random order, SHD, TPR  fits' evaluations  seconds"
local function row(name, seed, X, truth, opts)
  opts.seed = seed
  local r = topo(X, opts)
  opts.start, opts.s_small, opts.s_large = truth, 1, 1
  local from = topo(X, opts)
  local m = dag.metrics(r.graph, truth)
  print(("   %-8s  %d    %.3f, %d                       %.3f, %d, %.2f                %d              %.1f"):format(name, seed, from.solution.objective,
    dag.metrics(from.graph, truth).shd, r.solution.objective, m.shd, m.tpr, r.solution.evaluations.objective, r.seconds))
end
for seed = 1, sets(4) do
  local B = dag.random_graph { nodes = 10, edges = 10, seed = seed }
  row("network", seed, dag.simulate(B, { samples = 1000, seed = seed, model = "network" }), B,
    { loss = "network", hidden = 40, l1 = 0.01, l2 = 0.01, s_small = 10, s_large = 40, s0 = 1 })
end
for seed = 1, sets(3) do
  local W = dag.random_weights(dag.random_graph { nodes = 20, edges = 80, seed = seed }, { seed = seed })
  row("logistic", seed, dag.simulate(W, { samples = 10000, seed = seed, model = "logistic" }), W,
    { loss = "logistic", l1 = 0.003, inner = "lbfgs", swap_rule = "behind" })
end

-- ---- 8

local folder = arg[2] or "../shared/data/sachs"
if io.open(folder .. "/sachs_obs853.csv") then
  print "8. Proteins (logarithms, scaled columns; threshold 0.15): least squares prefers other graphs than the consensus, whose 18 edges have a cycle"
  print "   data              loss: topo, ten starts  optimum over all orders  consensus refitted  topo's graph refitted  edges  SHD: NOTEARS, topo"
  for _, file in ipairs { "sachs_obs853.csv", "sachs_train.csv" } do
    local table_, edges = peri.data.csv(folder .. "/" .. file), peri.data.csv(folder .. "/consensus_edges.csv")
    local X, at, B = peri.log(table_:matrix() + 10), {}, peri.zeros(11, 11)
    for j, name in ipairs(table_.names) do at[name] = j end
    for k = 1, edges.rows do B[at[edges.columns.Cause[k]]][at[edges.columns.Effect[k]]] = 1 end
    X = X - peri.ones(X:rows(), 1) % (X:sum(1) / X:rows())
    X = X / (peri.ones(X:rows(), 1) % peri.sqrt((X^2):sum(1) / X:rows()))
    local r, other = dag.topo(X, { starts = 10, seed = 1, threshold = 0.15 }), dag.notears(X, { l1 = 0.05, threshold = 0.15 })
    local m = dag.metrics(r.graph, B)
    print(("   %-16s  %.4f                  %.4f                   %.4f              %.4f                 %d      %d, %d"):format(file, r.solution.objective, dag.best_order(X, false),
      refitted(X, B), refitted(X, r.graph), m.edges, dag.metrics(other.graph, B).shd, m.shd))
  end
end
