-- SPDX-License-Identifier: Apache-2.0
-- Structure learning: topo against exact optima by dynamic programming, against the true order's regression, and against itself by
-- other rules and by inner problems; NOTEARS, path following, simulators and metrics.

local t = require "tap"
local peri = require "perigee"
local dag = require "perigee.dag"

local function problem(d, edges, seed, opts)
  opts = opts or {}
  local W = dag.random_weights(dag.random_graph { nodes = d, edges = edges, seed = seed, kind = opts.kind }, { seed = seed })
  return dag.simulate(W, { samples = opts.samples or 1000, seed = seed, noise = opts.noise, model = opts.model }), W
end

--- Second moments of the centered data, as tables.
local function gram(X)
  local n = X:rows()
  local C = X - peri.ones(n, 1) % (X:sum(1) / n)
  local S, rows = C:t() % C / n, {}
  for i = 1, S:rows() do
    rows[i] = {}
    for j = 1, S:rows() do rows[i][j] = S[i][j] end
  end
  return rows, S
end

local function descends(sol)
  for k = 2, #sol.history do
    if sol.history[k].objective >= sol.history[k - 1].objective then return false end
  end
  return true
end

-- ---- the exact optimum: d = 8 and 10 (bench/topo.lua has all of the sets)

do
  local gap, equal, sets = 0, 0, 0
  for _, size in ipairs { { 8, 16, 4 }, { 10, 20, 2 } } do
    for seed = 1, size[3] do
      local X = problem(size[1], size[2], seed)
      local want, sizes = dag.best_order(X), { s_small = 30, s_large = size[1] * size[1], s0 = 1, seed = seed }
      gap = math.max(gap, dag.topo(X, sizes).solution.objective / want - 1)
      sizes.starts = 10
      local best = dag.topo(X, sizes).solution
      sets, equal = sets + 1, equal + (math.abs(best.objective / want - 1) <= 1e-9 and 1 or 0)
      if seed == 1 then t.ok(best.objective >= want * (1 - 1e-12), "never below the optimum over all orders") end
    end
  end
  t.ok(gap <= 1e-4, ("one start: within %.1e of the optimum"):format(gap))
  t.is(equal, sets, "ten starts: the optimum")
end

-- ---- against the regression in a true order

for _, c in ipairs { { 20, 20, 50, 150, 1 }, { 20, 80, 50, 190, 2 }, { 30, 120, 100, 400, 3 } } do
  local shd, at_most, runs = 0, 0, 4
  for seed = 1, runs do
    local X, W = problem(c[1], c[2], seed)
    local r = dag.topo(X, { s_small = c[3], s_large = c[4], s0 = 10, seed = seed })
    shd = shd + dag.metrics(r.graph, W).shd / runs
    at_most = at_most + (r.solution.objective <= dag.loss_of_order(X, dag.order(W)) and 1 or 0)
    if seed == 1 then t.ok(descends(r.solution), "the loss falls in every iteration") end
  end
  local name = ("%d nodes, %d edges"):format(c[1], c[2])
  t.ok(shd <= c[5], name .. (": mean SHD %.2f"):format(shd))
  t.is(at_most, runs, name .. ": the loss is at most the true order's")
end

-- ---- what holds at an answer

do
  local X = problem(30, 120, 11)
  local _, S = gram(X)
  local r = dag.topo(X, { s_small = 100, s_large = 400, s0 = 1, seed = 3 })
  local V, E = r.W, peri.eye(30) - r.W
  local G, order, most = S % V - S, dag.order(V), 0
  for a = 1, 30 do
    for b = a + 1, 30 do most = math.max(most, math.abs(G[order[a]][order[b]])) end
  end
  t.ok(most < 1e-10, ("the gradient on allowed pairs is %.1e"):format(most))
  t.ok(math.abs(peri.acyclicity(V, { form = "log-determinant", of = "abs" })) < 1e-10, "the log-determinant of I - |W| is zero")
  t.is_close(0.5 * (E * (S % E)):sum(), r.solution.objective, 1e-10, 0, "the loss by Cholesky is the loss of W")
  t.is_close(dag.loss_of_order(X, order), r.solution.objective, 1e-10, 0, "and that of its order")
  t.is(r.solution.status, "locally_optimal", "it is certified")
  t.ok(r.solution.certificate.kkt < 1e-10, "to rounding")
  t.is(r.solution.certificate.primal, 0, "with no cycle")
  local one = dag.topo(X, { s_small = 100, s_large = 400, s0 = 1, seed = 3, accept_rule = "best" })
  t.is_close(one.solution.objective, r.solution.objective, 5e-5, 0, "one exchange at a time comes to the same loss")
  t.ok(one.solution.iterations > 2 * r.solution.iterations,
    ("in %d iterations, not %d"):format(one.solution.iterations, r.solution.iterations))
end

-- ---- every rule, ranking and order

do
  local X, W = problem(12, 24, 5)
  local want = dag.loss_of_order(X, dag.order(W))
  for _, rule in ipairs { "swap", "behind", "before" } do
    for _, accept in ipairs { "greedy", "best", "first" } do
      local r = dag.topo(X, { swap_rule = rule, accept_rule = accept, starts = 3, s_small = 66, s_large = 66 })
      t.ok(r.solution.objective <= want and r.solution.certificate.kkt < 1e-10, rule .. ", " .. accept .. ": at most the true order's loss")
    end
  end
  for _, c in ipairs { "exponential", "log-determinant", "polynomial", "model" } do
    local r = dag.topo(X, { characterisation = c, starts = 3, form = "polynomial" })
    t.ok(r.solution.objective <= want, c .. ": the same")
  end
  local a, b = dag.topo(X, { seed = 4, order = "random" }), dag.topo(X, { seed = 4, order = "random" })
  t.is(a.solution.objective, b.solution.objective, "a seed's run is repeated to the last bit")
  local cut = dag.topo(X, { threshold = 0 })
  t.ok(dag.metrics(cut.graph, W).edges == 66, "without a threshold all edges of the order are there")
  local m, V = dag.model(X)
  local sol = m:solve("topo", { threshold = 0.3, seed = 2 })
  local least = math.huge
  for i = 1, 12 do
    for j = 1, 12 do if sol[V][i][j] ~= 0 then least = math.min(least, math.abs(sol[V][i][j])) end end
  end
  t.ok(least >= 0.3, "the method's own threshold leaves no smaller weight")
  t.ok(sol.status == "feasible", "and says that the answer is no longer a minimiser")
end

-- ---- another method's graph is improved; cycles in it are broken

do
  local X, W = problem(10, 20, 7)
  local other = dag.notears(X)
  t.is(other.solution.status, "locally_optimal", "NOTEARS ends certified")
  t.ok(other.solution.certificate.primal < 1e-5, "nearly without a cycle")
  t.ok(dag.is_acyclic(other.graph), "its graph has none")
  local r = dag.topo(X, { start = other.graph, seed = 1 })
  t.ok(r.solution.objective <= dag.loss_of_order(X, other.order) + 1e-12, "topo is never worse than the order it starts from")
  t.ok(dag.metrics(r.graph, W).shd <= 1, "and comes to the true graph")
  local path = dag.path_following(X)
  t.ok(dag.metrics(path.graph, W).shd <= 6, "path following finds most of it")
  t.ok(peri.acyclicity(path.W, { form = "log-determinant" }) < 1e-4, "with hardly a cycle")
  local cyclic = peri.zeros(10, 10)
  cyclic[1][2], cyclic[2][3], cyclic[3][1], cyclic[4][4] = 1, 2, 0.5, 3
  t.ok(dag.topo(X, { start = cyclic }).solution.certificate.kkt < 1e-10, "a start with cycles is an order all the same")
end

-- ---- NOTEARS beside an independent implementation (L-BFGS-B of SciPy, published settings) on these eight sets: refitted loss
-- 5.432, SHD 2.125; multipliers that change after every inner solve end in worse minima where the graph is dense

do
  local shd, loss = 0, 0
  for seed = 1, 8 do
    local X, W = problem(10, 20, seed)
    local r = dag.notears(X, { center = false })
    shd, loss = shd + dag.metrics(r.graph, W).shd / 8, loss + dag.refit(X, r.graph, false) / 8
  end
  t.ok(shd <= 2.125, ("NOTEARS, 10 nodes, 20 edges: mean SHD %.3f"):format(shd))
  t.is_close(loss, 5.432, 1e-2, 0, "and the refitted loss of the other implementation")
end

-- ---- the same problem by inner solves: split weights are not one variable each

do
  local X = problem(6, 9, 3, { samples = 200 })
  local opts = { seed = 5, order = "random", s_small = 15, s_large = 15, starts = 2 }
  local a = dag.topo(X, opts)
  opts.split = true
  local b = dag.topo(X, opts)
  t.is_close(b.solution.objective, a.solution.objective, 1e-7, 0, "regressions by another method give the same loss")
  t.ok(b.solution.certificate.kkt < 1e-6, "and are certified")
  t.ok(b.solution.evaluations.objective > 10 * a.solution.evaluations.objective, "by inner problems, indeed")
  opts.split, opts.l1 = nil, 0.1
  local c = dag.topo(X, opts)
  t.is(c.solution.status, "locally_optimal", "with an l1 norm")
  local zeros = 0
  for i = 1, 6 do
    for j = 1, 6 do zeros = zeros + (math.abs(c.W[i][j]) < 1e-7 and 1 or 0) end
  end
  t.ok(zeros > 21, "which makes weights vanish that the order allows")
end

do -- an objective that is no sum over nodes: weights are scaled by a variable of all, and a constraint of their own
  local X = problem(4, 5, 3, { samples = 200 })
  local m, W, o = dag.model(X)
  local scale = m:var("scale", { start = 1, lower = 0.5, upper = 2 })
  m:minimize(o.objective * scale + (scale - 1)^2)
  m:subject_to("total", peri.between(-1, W[1][2] + W[2][1] + W[3][4], 1))
  local sol = m:solve("topo", { seed = 1, inner = "ipm" })
  t.is(sol.status, "locally_optimal", "a problem that is solved whole for each order")
  t.ok(dag.is_acyclic(sol[W]) and math.abs(sol[W][1][2] + sol[W][2][1] + sol[W][3][4]) <= 1 + 1e-8, "keeps its other constraint")
end

-- ---- logistic, networks

do
  local X, W = problem(5, 6, 2, { model = "logistic" })
  local r = dag.topo(X, { loss = "logistic", l1 = 0.01, seed = 1, inner = "lbfgs" })
  t.is(dag.metrics(r.graph, W).shd, 0, "logistic: the true graph")
  t.ok(r.solution.certificate.kkt < 1e-6, "certified")
  local N = dag.notears(X, { loss = "logistic", l1 = 0.01 })
  t.ok(r.solution.objective <= N.solution.objective + 1e-3, "no worse than NOTEARS on the same objective")
end

do
  local B = dag.random_graph { nodes = 4, edges = 4, seed = 2 }
  local X = dag.simulate(B, { samples = 200, seed = 2, model = "network" })
  local r = dag.topo(X, { loss = "network", hidden = 4, l1 = 0.01, l2 = 0.01, seed = 1, threshold = 0.3 })
  t.is(r.solution.status, "locally_optimal", "networks: certified, parameters of each node being its own")
  t.ok(dag.metrics(r.graph, B).tpr >= 0.5, "and most edges are found")
  t.ok(dag.is_acyclic(r.W), "without a cycle")
end

-- ---- dependent data, few samples

do
  local X = problem(6, 8, 4, { samples = 300 })
  local twice = peri.hstack(X, X:t()[2]:t())
  local r = dag.topo(twice, { seed = 1 })
  t.ok(r.solution.certificate.kkt < 1e-8, "a column that is there twice: certified")
  local few = dag.topo(problem(8, 12, 4, { samples = 5 }), { seed = 1 })
  t.ok(few.solution.certificate.kkt < 1e-8 and few.solution.objective >= -1e-12, "fewer samples than nodes")
end

-- ---- parameters: weights that are scaled by data that change

do
  local m = peri.model "scaled"
  local V, s = m:var("V", { 2, 2 }), m:param("s", 2)
  local W = s * V
  m:minimize((W[1][2] - 1.5)^2 + 2 * (W[2][1] - 0.5)^2 + 0.5 * (W[1][1]^2 + W[2][2]^2))
  m:subject_to(peri.acyclic(W))
  for _, value in ipairs { 2, -3, 0.5 } do
    s:set(value)
    local sol = m:solve("topo", { seed = 1 })
    t.is_close(sol[V][1][2], 1.5 / value, 1e-9, 0, "scaled by " .. value)
    t.is_close(sol.objective, 0.5, 1e-9, 0, "the objective does not know")
  end
end

-- ---- simulators and metrics

do
  local B = dag.random_graph { nodes = 15, edges = 37, seed = 6 }
  t.is(B:sum(), 37.0, "exactly as many edges")
  t.ok(dag.is_acyclic(B), "and no cycle")
  t.is(dag.random_graph { nodes = 15, edges = 37, seed = 6 }:sum(1)[4], B:sum(1)[4], "the same from the same seed")
  local F = dag.random_graph { nodes = 40, edges = 120, seed = 6, kind = "scale-free" }
  local into, most = F:sum(1), 0
  for j = 1, 40 do most = math.max(most, into[j]) end
  t.ok(dag.is_acyclic(F) and F:sum() == 3 * 40 - 6, "scale-free: three edges for each node but the first")
  t.ok(most >= 10, "some node has many")
  for noise, want in pairs { gaussian = { 0, 1 }, exponential = { 1, 1 }, gumbel = { 0.5772, math.pi^2 / 6 }, uniform = { 0, 1 / 3 } } do
    local X = dag.simulate(peri.zeros(2, 2), { samples = 20000, seed = 8, noise = noise })
    local mean = X:sum() / 40000
    t.is_close(mean, want[1], 0, 0.03, noise .. ": its mean")
    t.is_close(((X - mean)^2):sum() / 40000, want[2], 0.05, 0, noise .. ": its variance")
  end
  local W = peri.array { { 0, 2, 0 }, { 0, 0, -1 }, { 0, 0, 0 } }
  local X = dag.simulate(W, { samples = 20000, seed = 8 })
  local _, S = gram(X)
  t.is_close(S[1][3], -2, 0.05, 0, "linear: the covariance along a path")
  t.is_close(S[3][3], 6, 0.05, 0, "and the variance at its end")
  t.is_close(dag.score(X, W), 1.5, 0.03, 0, "the score of the true weights is half the noise")
  local L = dag.simulate(W, { samples = 2000, seed = 8, model = "logistic" })
  t.ok(L:min() == 0 and L:max() == 1, "logistic: zeros and ones")
  local r = dag.metrics(peri.array { { 0, 0, 1 }, { 1, 0, 1 }, { 0, 0, 0 } }, W)
  t.is(r.shd, 2, "SHD: one turned round, one too many")
  t.is(r.tpr, 0.5, "TPR")
  t.is_close(r.fdr, 2 / 3, 1e-15, 0, "FDR")
  t.is(r.fpr, 2.0, "FPR, over one pair without an edge")
  t.is(table.concat(dag.order(W), " "), "1 2 3", "an order")
  local pruned, gone = dag.prune(peri.array { { 0, 2, 0 }, { 1, 0, 0.1 }, { 0, 0, 0 } }, 0)
  t.ok(gone == 1 and pruned[2][1] == 0 and pruned[2][3] == 0.1, "pruning takes the lightest edge of a cycle, and no other")
  local svg = dag.draw(W, { "a", "b<", "c" })
  t.is(select(2, svg:gsub("<line ", "")), 2, "a picture has the edges")
  t.has(svg, "b&lt;", "and the names")
end

-- ---- wrong input

do
  local X = problem(4, 4, 1, { samples = 20 })
  t.raises(function() dag.order(peri.array { { 0, 1, 0 }, { 0, 0, 1 }, { 1, 0, 0 } }) end,
    "order: the graph has the cycle 1 -> 2 -> 3 -> 1; dag.prune takes away the lightest edges of cycles", "a cycle is named")
  t.raises(function() dag.metrics(peri.zeros(2, 3), peri.zeros(2, 2)) end,
    "metrics: the matrix of weights is 2 x 3, not square", "W is not square")
  t.raises(function() dag.topo(X, { start = peri.zeros(3, 3) }) end,
    "dag.model: start is a graph of 3 nodes, the data have 4 columns", "a start of another size")
  t.raises(function() dag.topo(X, { s_smal = 3 }) end,
    "dag.topo: unknown option s_smal (did you mean s_small?)", "an option that there is not")
  t.raises(function() dag.topo(X, { s_small = 30, s_large = 10 }) end,
    "topo: s_small 30 is larger than s_large 10", "sizes in the wrong order")
  t.raises(function() dag.topo(X, { starts = 0 }) end, "topo: option \"starts\" is 0, must be in", "an option out of range")
  t.raises(function() dag.topo(X, { loss = "cubic" }) end,
    "dag.model: loss is \"cubic\"; it is linear, logistic or network", "a loss that there is not")
  t.raises(function() dag.notears(X, { l1 = -1 }) end, "dag.model: l1 is -1, it must not be negative", "a negative weight")
  t.raises(function() dag.random_graph { nodes = 4, edges = 7 } end,
    "random_graph: edges is 7, a graph without cycles has at most 6 on 4 nodes", "too many edges")
  t.raises(function() dag.random_graph { nodes = 4 } end,
    "random_graph: edges must be an integer of at least 0, not nil", "no number of edges")
  t.raises(function() dag.topo "data" end, "dag.model: data are a matrix, samples in rows, not a string", "no data")
  local hole = peri.ones(20, 4)
  hole[3][2] = 0
  t.raises(function() dag.topo(X / hole) end, "dag.model: X[3][2] is not finite", "NaN in the data")
  local m = peri.model "shared"
  local v = m:var("v", 3)
  m:minimize(v:dot(v))
  m:subject_to(peri.acyclic(peri.reshape(peri.stack(v, v[1]), 2, 2)))
  t.raises(function() m:solve "topo" end,
    "topo: needs one constraint peri.acyclic(W) on weights that have variables of their own", "shared variables")
  local free = peri.model "free"
  local W = free:var("W", { 2, 2 })
  free:minimize(W[1][2] + W[2][1]^2)
  free:subject_to(peri.acyclic(W))
  t.has(tostring(free:solve("topo", { seed = 1 })), "topo: the problem that an order leaves is unbounded: a bound or a penalty",
    "an objective without a minimum")
  local p = peri.model "p"
  t.raises(function() peri.acyclic(p:var("V", { 3, 4 })) end,
    "acyclic: V (matrix 3 x 4) is not square", "the constraint's matrix is not square")
  t.raises(function() peri.acyclic(peri.zeros(2, 2)) end, "acyclic: array (matrix 2 x 2) has no variables", "nor has it variables")
  t.raises(function() peri.acyclic(p:var("U", { 2, 2 }), { of = "cube" }) end,
    "acyclic: of is \"cube\"; it is \"square\" (W o W) or \"abs\" (|W|)", "an unknown matrix")
end

t.done()
