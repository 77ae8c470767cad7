-- SPDX-License-Identifier: Apache-2.0
-- Structure learning beside published and prototype numbers: `build/perigee run bench/graphs.lua [quick]`. Generator: Erdos-Renyi graphs with an exact number
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

local function gram(X)
  local S, rows = X:t() % X / X:rows(), {}
  for i = 1, S:rows() do
    rows[i] = {}
    for j = 1, S:rows() do rows[i][j] = S[i][j] end
  end
  return rows
end

--- Covariances given variable k too.
local function given(S, k)
  local C = {}
  for i = 1, #S do
    C[i] = {}
    for j = 1, #S do C[i][j] = S[i][j] - S[i][k] * S[k][j] / S[k][k] end
  end
  return C
end

--- The least loss over all orders, by sets as bits.
local function exact(X)
  local S = gram(X)
  local d, best, conditional = #S, { [0] = 0 }, {}
  conditional[0] = S
  for set = 0, (1 << d) - 1 do
    if set > 0 then
      local k = d
      while set & (1 << (k - 1)) == 0 do k = k - 1 end
      conditional[set] = given(conditional[set & ~(1 << (k - 1))], k)
    end
    for j = 1, d do
      local more = set | (1 << (j - 1))
      local value = more ~= set and best[set] + 0.5 * conditional[set][j][j]
      if value and (not best[more] or value < best[more]) then best[more] = value end
    end
  end
  return best[(1 << d) - 1]
end

local function loss_of(X, order)
  local S, sum = gram(X), 0
  for _, j in ipairs(order) do
    sum = sum + 0.5 * S[j][j]
    S = given(S, j)
  end
  return sum
end

--- The loss of a graph with its weights fitted again: regressions on the parents.
local function refitted(X, graph)
  local S, sum = gram(X), 0
  for j = 1, #S do
    local C, D = S, nil
    for i = 1, #S do
      if graph[i][j] ~= 0 then
        D = given(C, i)
        C = D
      end
    end
    sum = sum + 0.5 * C[j][j]
  end
  return sum
end

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
    local want, opts = exact(X), { s_small = 30, s_large = c[1] * c[1], s0 = 1, seed = seed }
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
