-- SPDX-License-Identifier: Apache-2.0
--- Methods that find a graph from data. Each returns a table: W the weights, graph those that count (threshold, no cycle), order
-- the nodes with parents first, solution (of the last solve, with its certificate), model.

local peri = require "perigee"
local usage = require "perigee.usage"
local graph = require "perigee.dag.graph"
local build = require "perigee.dag.model"

local methods = {}

local function pick(opts, keys)
  local out = {}
  for _, key in ipairs(keys) do out[key] = opts[key] end
  return out
end

local function joined(...)
  local out = {}
  for _, list in ipairs { ... } do table.move(list, 1, #list, #out + 1, out) end
  return out
end

local function finished(m, W, sol, opts, loss)
  local value = sol:value(W)
  local pruned, gone = graph.prune(value, opts.threshold or (loss == "network" and 0.5 or 0.3))
  return { W = value, graph = pruned, order = graph.order(pruned), removed = gone, solution = sol, model = m }
end

local engine = { "time_limit", "iterations", "tolerance" }
local topo = { "s_small", "s_large", "s0", "characterisation", "swap_rule", "accept_rule", "starts", "order", "decrease",
  "inner", "inner_tolerance", "inner_iterations" }

--- A list of all nodes as a graph that has this order and no other.
local function graph_of_order(order, d)
  local W = peri.zeros(d, d)
  graph.check_order("dag.topo", order, d)
  for a = 1, d do
    for b = 1, a - 1 do W[order[b]][order[a]] = 1e-3 end
  end
  return W
end

--- Topological swaps (method topo). Options: those of dag.model, of the method, threshold, seed, time_limit. With `start` the graph of
-- another method is improved: its order is the first; order may also list the nodes, parents first. Networks: decrease 1e-3 and the first
-- exchange that helps, unless told otherwise.
function methods.topo(X, opts)
  opts = usage.only("dag.topo", opts, joined(build.model_options, topo, engine, { "threshold" }))
  local given = pick(opts, build.model_options)
  if type(opts.order) == "table" then
    if opts.start then usage.fail("dag.topo: order and start both say where to begin; give one of them") end
    given.start = graph_of_order(opts.order, select(3, build.read_data("dag.model", X)))
  end
  local m, W, o = build.model(X, given)
  local settings = pick(opts, joined(topo, engine, { "seed" }))
  if type(opts.order) == "table" then settings.order = "start" end
  if o.loss == "network" then
    settings.decrease, settings.accept_rule = opts.decrease or 1e-3, opts.accept_rule or "first"
    settings.order = settings.order or (o.start and "start" or "random")
    settings.inner = opts.inner or "lbfgs"
    settings.inner_iterations = opts.inner_iterations or 400
  end
  return finished(m, W, m:solve("topo", settings), opts, o.loss)
end

--- NOTEARS: min loss + l1 |W| with h(W) = 0, by an augmented Lagrangian over lbfgs with W = W+ - W- (Zheng, Aragam, Ravikumar
-- and Xing 2018).
-- Options: those of dag.model (l1 0.1), penalty (first, 1), growth (10), reduction (0.25), inner_iterations (5000), tolerance (1e-4 of the
-- certificate, where h is about 1e-8), threshold.
function methods.notears(X, opts)
  local own = { "penalty", "growth", "reduction", "inner_iterations", "update" }
  opts = usage.only("dag.notears", opts, joined(build.model_options, own, engine, { "threshold" }))
  local given = pick(opts, build.model_options)
  given.l1 = given.l1 or 0.1
  given.split = true
  local m, W, o = build.model(X, given)
  local sol = m:solve("augmented-lagrangian > lbfgs", {
    tolerance = opts.tolerance or 1e-4, time_limit = opts.time_limit, iterations = opts.iterations,
    ["augmented-lagrangian.penalty"] = opts.penalty or 1,
    ["augmented-lagrangian.penalty_growth"] = opts.growth or 10,
    ["augmented-lagrangian.reduction"] = opts.reduction or 0.25,
    ["augmented-lagrangian.update"] = opts.update or "progress",
    ["augmented-lagrangian.inner_iterations"] = opts.inner_iterations or 5000,
  })
  return finished(m, W, sol, opts, o.loss)
end

--- Every entry of (s I - W o W)^-1 is a sum of weights of walks while W is inside the domain, and some are negative once it is not.
local function is_inside(W, d, s)
  return (s * peri.eye(d) - W^2):solve(peri.eye(d)):min() >= -1e-9
end

--- Path following with the log-determinant: minimise mu (loss + l1 |W|) + h(W) for falling mu, each from the last minimiser, inside
-- the domain where no eigenvalue of W o W reaches s (Bello, Aragam and Ravikumar 2022). h vanishes at the end of the path. Options: those
-- of dag.model (l1 0.05), first (mu, 1), factor (0.1), rounds (5), s (1), tolerance (1e-6), threshold.
function methods.path_following(X, opts)
  opts = usage.only("dag.path_following", opts, joined(build.model_options, engine, { "first", "factor", "rounds", "threshold" }))
  local given = pick(opts, build.model_options)
  given.l1, given.split, given.form = given.l1 or 0.05, true, false
  if (opts.of or "square") ~= "square" then usage.fail("dag.path_following: of is %q, the path is that of W o W", tostring(opts.of)) end
  local m, W, o = build.model(X, given)
  local rounds, first, factor = opts.rounds or 5, opts.first or 1, opts.factor or 0.1
  if math.floor(rounds) ~= rounds or rounds < 1 then
    usage.fail("dag.path_following: rounds is %s, an integer of at least 1 is needed", tostring(rounds))
  end
  if not (first > 0) then usage.fail("dag.path_following: first is %s, it must be above 0", tostring(first)) end
  if not (factor > 0 and factor < 1) then usage.fail("dag.path_following: factor is %s, it must be between 0 and 1", tostring(factor)) end
  local s, mu = opts.s or 1, m:param("mu", 1)
  m:minimize(mu * o.objective + peri.acyclicity(W, { form = "log-determinant", s = s }))
  local d, value, sol = W:rows(), first, nil
  for _ = 1, rounds do
    local target, from = value, nil
    for _ = 1, 8 do -- a step out of the domain is taken back, and the next one goes half as far, in the logarithm
      mu:set(value)
      local trial = m:solve("lbfgs", { tolerance = opts.tolerance or 1e-6, iterations = opts.iterations or 2000, warm_start = sol,
        time_limit = opts.time_limit })
      if is_inside(trial:value(W), d, s) then
        sol, from = trial, value
        if value == target then break end
        value = target
      elseif not sol then
        value = value * 0.5
      else
        value = math.sqrt(value * (from or value / factor))
      end
    end
    value = target * factor
  end
  if not sol then usage.fail("dag.path_following: no mu kept the weights inside the domain; try a smaller first, or a larger s") end
  return finished(m, W, sol, opts, o.loss)
end

return methods
