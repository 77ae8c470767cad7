-- SPDX-License-Identifier: Apache-2.0
--- Models that score a graph's weights on data, with the constraint that there is no cycle. Each is a sum over nodes of a loss that the
-- weights into the node, and parameters of its own, decide.

local peri = require "perigee"
local usage = require "perigee.usage"
local graph = require "perigee.dag.graph"

local model = {}

model.model_options = { "loss", "l1", "l2", "hidden", "center", "form", "of", "s", "start", "split", "seed" }

--- The data as an array, every entry looked at.
function model.read_data(where, X)
  if type(X) == "table" then X = peri.array(X) end
  local known, n, d = pcall(function() return X:rows(), X:cols() end)
  if not known then usage.fail("%s: data are a matrix, samples in rows, not a %s", where, type(X)) end
  if d < 2 then usage.fail("%s: data are a matrix, samples in rows, of at least two columns, not one", where) end
  local size = peri.abs(X):sum()
  if size ~= size or size == math.huge then
    for i = 1, n do
      for j = 1, d do
        if X[i][j] ~= X[i][j] or math.abs(X[i][j]) == math.huge then usage.fail("%s: X[%d][%d] is not finite", where, i, j) end
      end
    end
  end
  return X, n, d
end

--- A column that never changes depends on nothing, and would stand for an intercept of the others.
local function refuse_constants(where, X, n, d)
  local first = peri.ones(n, 1) % peri.reshape(X[1], 1, d)
  local spread = peri.abs(X - first):sum(1)
  for j = 1, d do
    if n > 1 and spread[j] == 0 then usage.fail("%s: column %d of the data is constant (%g); leave it out", where, j, X[1][j]) end
  end
end

function model.centered(X, n)
  return X - peri.ones(n, 1) % (X:sum(1) / n)
end

--- max(t W, 0), off the diagonal
local function part(W, d, t)
  local rows = {}
  for i = 1, d do
    rows[i] = {}
    for j = 1, d do rows[i][j] = W and i ~= j and math.max(t * W[i][j], 0) or 0 end
  end
  return rows
end

local function off_diagonal(d)
  local upper = {}
  for i = 1, d do
    upper[i] = {}
    for j = 1, d do upper[i][j] = i == j and 0 or math.huge end
  end
  return upper
end

--- W as one variable, or as the difference of two that are not negative, whose sum is the l1 norm.
local function weights(m, d, o)
  if not o.split then
    local start = o.start and o.start or nil
    return m:var("W", { d, d }, { start = start }), 0
  end
  local P = m:var("P", { d, d }, { lower = 0, upper = off_diagonal(d), start = part(o.start, d, 1) })
  local N = m:var("N", { d, d }, { lower = 0, upper = off_diagonal(d), start = part(o.start, d, -1) })
  return P - N, o.l1 * (P + N):sum()
end

local losses = {}

--- 1/(2n) |X - X W|^2, by the Gram matrix
function losses.linear(m, X, n, d, o)
  local W, norm = weights(m, d, o)
  local S, E = X:t() % X / n, peri.eye(d) - W
  return W, 0.5 * (E * (S % E)):sum() + norm + 0.5 * o.l2 * (W^2):sum()
end

--- Into node j: the weights, a column, as a variable of its own or the difference of two, and their l1 norm.
local function column(m, d, j, o)
  local first, second, upper = {}, {}, {}
  for i = 1, d do
    local v = i ~= j and o.start and o.start[i][j] or 0
    first[i], second[i], upper[i] = o.split and math.max(v, 0) or v, math.max(-v, 0), i ~= j and math.huge or 0
  end
  if not o.split then return m:var("W" .. j, d, { start = first }), 0 end
  local P = m:var("P" .. j, d, { lower = 0, upper = upper, start = first })
  local N = m:var("N" .. j, d, { lower = 0, upper = upper, start = second })
  return P - N, o.l1 * (P + N):sum()
end

--- 1/n sum log(1 + exp M) - X o M, M = X W; variables by columns, so that what one node's fit needs is evaluated alone
function losses.logistic(m, X, n, d, o)
  local off = (X * (1 - X))^2
  if off:sum() > 0 then
    for i = 1, n do
      for j = 1, d do
        if off[i][j] > 0 then usage.fail("dag.model: loss logistic needs zeros and ones, X[%d][%d] is %g", i, j, X[i][j]) end
      end
    end
  end
  local columns, rows, f = {}, X:t(), 0
  for j = 1, d do
    local w, norm = column(m, d, j, o)
    local fit = X % w
    f = f + (peri.softplus(fit) - rows[j]:t() * fit):sum() / n + norm + 0.5 * o.l2 * w:dot(w)
    columns[j] = w
  end
  return peri.hstack(table.unpack(columns)), f
end

--- 1/(2n) |x_j - sigmoid(X A_j) b_j|^2 for each node; W_ij = |row i of A_j|
function losses.network(m, X, n, d, o)
  local rows, f, columns, h = X:t(), 0, {}, o.hidden
  local layer = peri.random.normal { rows = d * d, cols = h, sd = 0.5 / math.sqrt(d), seed = o.seed * 64 + 11 }
  local top = peri.random.normal { rows = d, cols = h, sd = 1 / math.sqrt(h), seed = o.seed * 64 + 12 }
  for j = 1, d do
    local first, second, upper = {}, {}, {}
    for i = 1, d do
      first[i], second[i], upper[i] = {}, {}, {}
      for k = 1, h do
        local v = i ~= j and layer[(j - 1) * d + i][k] or 0
        if o.start and o.start[i][j] == 0 then v = 0 end
        first[i][k], second[i][k], upper[i][k] = math.max(v, 0), math.max(-v, 0), i ~= j and math.huge or 0
      end
    end
    local P = m:var("P" .. j, { d, h }, { lower = 0, upper = upper, start = first })
    local N = m:var("N" .. j, { d, h }, { lower = 0, upper = upper, start = second })
    local start = {}
    for k = 1, h do start[k] = top[j][k] end
    local b, A = m:var("b" .. j, h, { start = start }), P - N
    local fit = peri.sigmoid(X % A) % b
    f = f + ((rows[j]:t() - fit)^2):sum() / (2 * n) + o.l1 * (P + N):sum() + 0.5 * o.l2 * ((A^2):sum() + b:dot(b))
    columns[j] = (A^2):sum(2)
  end
  return peri.sqrt(peri.hstack(table.unpack(columns))), f -- one root around all: its square is smooth at zero
end

local function options(where, opts)
  local o = {
    loss = usage.option(where, opts, "loss", "string", "linear"),
    l2 = usage.option(where, opts, "l2", "number", 0),
    hidden = usage.option(where, opts, "hidden", "number", 40),
    center = opts.center,
    split = opts.split,
    start = opts.start,
    seed = usage.option(where, opts, "seed", "number", 1),
  }
  if not losses[o.loss] then usage.fail("%s: loss is %q; it is linear, logistic or network", where, o.loss) end
  o.l1 = usage.option(where, opts, "l1", "number", 0)
  for _, key in ipairs { "l1", "l2" } do
    if o[key] ~= o[key] or o[key] < 0 then usage.fail("%s: %s is %g, it must not be negative", where, key, o[key]) end
  end
  if o.center == nil then o.center = o.loss == "linear" end
  if o.split == nil then o.split = o.l1 > 0 end
  if o.l1 > 0 and not o.split then usage.fail("%s: l1 needs split weights", where) end
  return o
end

--- A model of the data X (samples in rows), the expression of its weights W, and the options as read, with the objective. Options:
-- loss    "linear" (least squares), "logistic" (entries 0 and 1), "network" (one hidden layer of `hidden` for each node)
-- l1, l2  weights of the norms; with l1 the weights are differences of two variables (`split`)
-- center  subtract the columns' means (linear; the others' functions have no intercept, and their data are best as they come)
-- form, of, s  of peri.acyclic; form = false leaves the constraint out
-- start   weights to start from
function model.model(X, opts)
  local where = "dag.model"
  opts = usage.only(where, opts, model.model_options)
  local o, data, n, d = options(where, opts), model.read_data(where, X)
  if o.start ~= nil and graph.check(where, o.start) ~= d then
    usage.fail("%s: start is a graph of %d nodes, the data have %d columns", where, graph.check(where, o.start), d)
  end
  refuse_constants(where, data, n, d)
  if o.center then data = model.centered(data, n) end
  local m = peri.model("dag, " .. o.loss)
  local W, f = losses[o.loss](m, data, n, d, o)
  m:minimize(f)
  o.objective = f
  if opts.form ~= false then m:subject_to("acyclic", peri.acyclic(W, { form = opts.form, of = opts.of, s = opts.s })) end
  return m, W, o
end

--- 1/(2n) |X - X W|^2, columns centered unless center is false
function model.score(X, W, center)
  local n, d
  X, n, d = model.read_data("dag.score", X)
  if graph.check("dag.score", W) ~= d then usage.fail("dag.score: a graph of %d nodes, data of %d columns", W:rows(), d) end
  if center ~= false then X = model.centered(X, n) end
  return ((X - X % W)^2):sum() / (2 * n)
end

return model
