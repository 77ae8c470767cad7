-- SPDX-License-Identifier: Apache-2.0
-- hard_constraints.lua - perigee.hard_constraints: boxes and back bit by bit, draws, differences of polynomials, exact recovery through
-- levenberg-marquardt, derivatives against central differences, the root form against its own formula, wrong inputs.
local peri = require "perigee"
local tap = require "tap"
local hc = require "perigee.hard_constraints"

local function refused(text, f, ...)
  local done, message = pcall(f, ...)
  message = tostring(message)
  tap.ok(not done and message:find(text, 1, true) and not message:find("\n", 1, true), text .. ": " .. message)
end

local function normal(rows, cols, seed) return peri.random.normal { rows = rows, cols = cols, seed = seed } end
local function same(a, b) return peri.norminf(a - b) == 0 end
local function column(n, f)
  local v = {}
  for i = 1, n do v[i] = f(i - 1) end
  return peri.array(v)
end

-- ---- the router

for _, split in ipairs { { 1, 4 }, { 4, 1 }, { 2, 2 } } do
  for channels = 1, 3, 2 do
    local r, A = hc.router({ 8, 12 }, split), normal(96, channels, 3)
    local parts = r:partition(A)
    tap.ok(#parts == 4 and parts[1]:rows() == 24 and same(r:unpartition(parts), A),
      ("%d x %d boxes and back, %d channels"):format(split[1], split[2], channels))
  end
end
local r3, A3 = hc.router({ 4, 6, 2 }, { 2, 3, 1 }), normal(48, 2, 5)
tap.ok(same(r3:unpartition(r3:partition(A3)), A3), "three axes")
tap.is(table.concat(hc.router({ 2, 4 }, { 1, 2 }).boxes[2], " "), "3 4 7 8", "the last axis runs fastest")
local small = hc.router({ 2, 2 }, { 1, 2 })
local mv = peri.model "variables"
local V = mv:var("V", { 4, 1 }, { start = peri.array { 1, 2, 3, 4 } })
tap.is((small:unpartition(small:partition(V)) - V):norminf():value(), 0, "expressions too")
refused("axis 2 has 10 points, which 4 boxes do not divide", hc.router, { 3, 10 }, { 1, 4 })
refused("a field of 3 rows on a grid of 4 points", small.partition, small, peri.zeros(3, 1))
refused("a list of 2 fields", small.unpartition, small, { peri.zeros(2, 1) })
refused("field 2 has 1 rows", small.unpartition, small, { peri.zeros(2, 1), peri.zeros(1, 1) })

-- ---- draws

local drawn = hc.sample(500, 200, 7)
local distinct = #drawn == 200 and drawn[1] >= 1 and drawn[200] <= 500
for i = 2, 200 do distinct = distinct and drawn[i] > drawn[i - 1] end
tap.ok(distinct, "points are drawn without repetition")
tap.is(table.concat(hc.sample(500, 200, 7), " "), table.concat(drawn, " "), "the same seed, the same points")
tap.ok(table.concat(hc.sample(500, 200, 8), " ") ~= table.concat(drawn, " "), "another seed, others")
tap.is(#hc.sample(9, 9, 1), 9, "all of them can be drawn")
local hits = 0
for seed = 1, 400 do hits = hits + (hc.sample(10, 3, seed)[1] == 1 and 1 or 0) end
tap.ok(math.abs(hits / 400 - 0.3) < 0.1, "each point is drawn as often: " .. hits / 400 .. ", expected 0.3")
refused("6 different points of 5", hc.sample, 5, 6, 1)

-- ---- differences

local points = column(20, function(i) return 0.1 * (i % 5) end) -- 4 x 5: the second axis
local fast = { spacing = 0.1 }
tap.ok(peri.norminf(hc.derivative({ 4, 5 }, 2, 1, fast) % points^2 - 2 * points) < 1e-12, "u' of a parabola, ends too")
tap.ok(peri.norminf(hc.derivative({ 4, 5 }, 2, 2, fast) % points^3 - 6 * points) < 1e-10, "u'' of a cubic, ends too")
local slow = column(20, function(i) return i // 5 end)
tap.ok(peri.norminf(hc.derivative({ 4, 5 }, 1, 1, { spacing = 1 }) % slow^2 - 2 * slow) < 1e-12, "along the first axis")
local wave = column(64, function(i) return math.cos(2 * math.pi * i / 64) end)
local around = hc.derivative({ 64 }, 1, 2, { spacing = 1 / 64, periodic = true })
tap.ok(peri.norminf(around % wave + (2 - 2 * math.cos(2 * math.pi / 64)) * 64^2 * wave) < 1e-9, "around a period")
refused("no axis 3", hc.derivative, { 4, 5 }, 3, 1, fast)
refused("spacing must be", hc.derivative, { 4, 5 }, 1, 1, {})
refused("at least 4 are needed", hc.derivative, { 3 }, 1, 2, fast)

-- ---- exact recovery: the semi-discrete heat equation and its own modes

local nx, nt, nu = 64, 33, 0.02
local n = nx * nt
local function modes()
  local u, ut = {}, {}
  for row = 0, n - 1 do
    local t, x = row // nx / (nt - 1), row % nx / nx
    u[row + 1], ut[row + 1] = {}, {}
    for k = 0, 4 do
      local rate = nu * (2 - 2 * math.cos(2 * math.pi * k / nx)) * nx^2
      for _, f in ipairs(k == 0 and { math.cos } or { math.cos, math.sin }) do
        table.insert(u[row + 1], math.exp(-rate * t) * f(2 * math.pi * k * x))
        table.insert(ut[row + 1], -rate * u[row + 1][#u[row + 1]])
      end
    end
  end
  return peri.array(u), peri.array(ut)
end
local B, Bt = modes()
local Dxx = hc.derivative({ nt, nx }, 2, 2, { spacing = 1 / nx, periodic = true })
local truth = normal(9, 1, 11)
local first = {}
for i = 1, nx do first[i] = i end
for _, K in ipairs { 1, 4 } do
  local m = peri.model "heat"
  local layer = hc.layer(m, "heat", {
    grid = { nt, nx }, split = { 1, K }, points = 300, seed = 2, ridge = 0,
    fields = { ut = Bt, uxx = Dxx % B }, residual = function(f) return f.ut - nu * f.uxx end,
    everywhere = { { fields = { u = B[first] }, data = { initial = B[first] % truth }, residual = function(f) return f.u - f.initial end } },
  })
  local worst = 0
  for k = 1, K do worst = math.max(worst, (layer.w[k] - truth):norminf():value()) end
  tap.ok(worst <= 1e-8, ("K = %d: the coefficients are found, error %.1e"):format(K, worst))
  tap.ok((layer:field("u", B) - B % truth):norminf():value() <= 1e-8, "and so is the field")
end

-- ---- derivatives: Fisher-KPP, the basis as variables

local Dt = hc.derivative({ nt, nx }, 1, 1, { spacing = 1 / (nt - 1) })
local rate = column(n, function(row) return row // nx / (nt - 1) end)
local u0 = column(n, function(row) return 0.5 + 0.3 * math.sin(2 * math.pi * (row % nx) / nx) end)

--- Random combinations of smooth functions of (t, x): five columns.
local function smooth(seed)
  local c = normal(9, 5, seed)
  local rows = {}
  for row = 0, n - 1 do
    local t, x = row // nx / (nt - 1), 2 * math.pi * (row % nx) / nx
    local f = {}
    for _, s in ipairs { 1, math.sin(x), math.cos(x) } do
      for power = 0, 2 do f[#f + 1] = s * t^power end
    end
    rows[row + 1] = f
  end
  return peri.array(rows) % c
end

local basis, direction, C = smooth(21), smooth(22), normal(n, 1, 23)
local function fisher(K, more)
  local m = peri.model "fisher"
  local alpha = m:var("alpha", { start = 0 })
  local b = rate * (basis + alpha * direction)
  local o = {
    grid = { nt, nx }, split = { 1, K }, points = 400, seed = 5, offsets = { u = u0, uxx = Dxx % u0 },
    fields = { u = b, ut = Dt % b, uxx = Dxx % b },
    residual = function(f) return f.ut - 0.005 * f.uxx - 2 * f.u * (1 - f.u) end,
  }
  for key, value in pairs(more or {}) do o[key] = value end
  local layer = hc.layer(m, "fisher", o)
  return (layer:field "u" * C):sum(), alpha, layer
end

local h = 1e-5
for _, K in ipairs { 1, 4 } do
  local value, alpha, layer = fisher(K)
  local slope = peri.grad(value, alpha):value()
  local difference = (value:value { [alpha] = h } - value:value { [alpha] = -h }) / (2 * h)
  local off = math.abs(slope - difference) / math.abs(difference)
  tap.ok(off <= 1e-6, ("K = %d, exact: the derivative is the differences', relative error %.1e"):format(K, off))
  local rooted, beta = fisher(K, { mode = "root" })
  tap.ok(math.abs(rooted:value() - value:value()) <= 1e-9 * math.abs(value:value()), "the root form has the same solution")
  local other = peri.grad(rooted, beta):value()
  local change = math.abs(other - slope) / math.abs(slope)
  tap.ok(change > 1e-5, ("and another derivative: %.2f %% off"):format(100 * change))
end

-- what Levenberg and Marquardt's steps leave, without Newton's behind them
for _, rule in ipairs { "jaxopt", "optimistix" } do
  local value, alpha = fisher(4, { rule = rule, tolerance = 1e-5, polish = false })
  local slope = peri.grad(value, alpha):value()
  local difference = (value:value { [alpha] = 1e-3 } - value:value { [alpha] = -1e-3 }) / 2e-3
  local off = math.abs(slope - difference) / math.abs(difference)
  tap.ok(off <= 1e-3, ("K = 4, %s, not polished: relative error %.1e"):format(rule, off))
end

-- the root form of one weight by hand: r = (w b - 1, w - 2), dw = -(J'J)^-1 J' dr with J = (b, 1), dr = (w, 0)
local one = peri.model "one"
local b = one:var("b", { start = 3 })
local function pair(mode)
  return hc.layer(one, mode, {
    grid = { 2 }, mode = mode, ridge = 0, fields = { u = peri.stack { b, 1 } }, data = { aim = peri.array { 1, 2 } },
    residual = function(f) return f.u - f.aim end,
  }).w[1][1]
end
local exact, root = pair "exact", pair "root"
local w = (3 * 1 + 2) / 10
tap.ok(math.abs(exact:value() - w) < 1e-12 and math.abs(root:value() - w) < 1e-12, "one weight by hand")
tap.ok(math.abs(peri.grad(root, b):value() + 3 * w / 10) < 1e-10, "the root form's derivative by hand")
tap.ok(math.abs(peri.grad(exact, b):value() - (1 / 10 - 2 * 3 * 5 / 100)) < 1e-10, "the exact one's: d/db (b + 2) / (b^2 + 1)")

-- ---- redrawing: masks are the points

local redrawn, _, layer = fisher(4, { redraw = true })
local fixed = fisher(4)
tap.ok(math.abs(redrawn:value() - fixed:value()) < 1e-9 * math.abs(fixed:value()), "the first draw is that of a layer without others")
local before = table.concat(layer.points[2], " ")
layer:draw(1)
tap.ok(table.concat(layer.points[2], " ") ~= before and #layer.points[2] == 400, "another draw has other points")
local moved = redrawn:value()
layer:draw(0)
tap.ok(math.abs(moved - fixed:value()) > 1e-9 and math.abs(redrawn:value() - fixed:value()) < 1e-9 * math.abs(fixed:value()), "and goes back")

-- ---- scopes: values at t = 0 for everyone, or of the own box

local modes5 = smooth(31)
local function scoped(scope, split)
  local m = peri.model "scopes"
  local layer = hc.layer(m, "scopes", {
    grid = { nt, nx }, split = split, ridge = 0.5, fields = { u = modes5 }, data = { none = 0 * u0 }, residual = function(f) return 0 * f.u + f.none end,
    everywhere = { { fields = { u = modes5[first] }, data = { initial = u0[first] }, residual = function(f) return f.u - f.initial end, scope = scope,
      at = first } },
  })
  return layer.w
end
local everyone = scoped("global", { 1, 4 })
tap.ok((everyone[1] - everyone[3]):norminf():value() < 1e-12, "all experts have the same rows of the whole axis")
local own = scoped("local", { 1, 4 })
for k = 1, 4, 3 do
  local rows = {}
  for i = 1, nx / 4 do rows[i] = (k - 1) * nx // 4 + i end
  local F = modes5[rows]
  local normal_equations = F:t() % F + 0.25 * peri.array { { 1, 0, 0, 0, 0 }, { 0, 1, 0, 0, 0 }, { 0, 0, 1, 0, 0 }, { 0, 0, 0, 1, 0 }, { 0, 0, 0, 0, 1 } }
  local weights = peri.solve(normal_equations, F:t() % u0[rows])
  tap.ok((own[k] - weights):norminf():value() < 1e-11, "local: those of its box alone, expert " .. k)
end
local late = scoped("local", { 3, 1 })
tap.ok(late[2]:norminf():value() < 1e-12 and late[1]:norminf():value() > 1e-3, "boxes without an initial time have none")

-- ---- wrong inputs

local bad, attempts = peri.model "bad", 0
local function attempt(more)
  attempts = attempts + 1
  local o = { grid = { 4, 4 }, split = { 2, 2 }, fields = { u = normal(16, 2, 1) }, residual = function(f) return f.u - 1 end }
  for key, value in pairs(more) do o[key] = value end
  return hc.layer(bad, "bad" .. attempts, o)
end
refused("fields.u is 15 x 2, and should be 16 x", attempt, { fields = { u = normal(15, 2, 1) } })
refused("offsets.u is 16 x 2", attempt, { offsets = { u = normal(16, 2, 1) } })
refused("fields.u has an entry that is not finite", attempt, { fields = { u = normal(16, 2, 1) / column(16, function(i) return i - 3 end) * 0 } })
refused("fields must be a table", attempt, { fields = {} })
refused("fields must be a table", attempt, { fields = { u = 3 } })
refused("offsets.v belongs to no field", attempt, { offsets = { v = normal(16, 1, 1) } })
refused("data.u has the name of a field", attempt, { data = { u = normal(16, 1, 1) } })
refused("5 points of each expert, and a box has 4", attempt, { points = 5 })
refused("do not divide", attempt, { split = { 3, 1 } })
refused("split must have one number", attempt, { split = { 2 } })
refused("3 points and 0 other rows do not determine 4 weights", attempt, { fields = { u = normal(16, 4, 1) }, points = 3, ridge = 0 })
refused("3 points and 0 other rows do not determine 4 weights", attempt, { fields = { u = normal(16, 4, 1) }, points = 3 })
tap.ok(pcall(attempt, { fields = { u = normal(16, 4, 1) }, points = 3, ridge = 1e-4 }), "a ridge that is given determines them")
refused('rule "gauss" is neither', attempt, { rule = "gauss" })
refused("samples must be", attempt, { samples = 0 })
refused("fields.u is 16 x 2, and should be 32 x 2", attempt, { samples = 2 })
refused("15 rows, which 2 samples do not divide", function()
  local twice = { samples = 2, fields = { u = normal(32, 2, 1) } }
  twice.everywhere = { { fields = { u = normal(15, 2, 1) }, residual = function(f) return f.u end } }
  attempt(twice)
end)
refused('scope "near" is neither', attempt, { everywhere = { { fields = { u = normal(4, 2, 1) }, residual = function(f) return f.u end, scope = "near" } } })
refused('scope "local" needs at', attempt, { everywhere = { { fields = { u = normal(4, 2, 1) }, residual = function(f) return f.u end, scope = "local" } } })
refused("at[2] is no point of the grid", attempt, { everywhere = { { fields = { u = normal(2, 2, 1) }, residual = function(f) return f.u end,
  scope = "local", at = { 1, 17 } } } })
refused("unknown option plcae", attempt, { everywhere = { { fields = { u = normal(4, 2, 1) }, residual = function(f) return f.u end, plcae = 1 } } })
refused("option iterations is 0", attempt, { iterations = 0 })
refused('mode "gauss" is neither', attempt, { mode = "gauss" })
refused("ridge must be", attempt, { ridge = -1 })
refused("unknown option expert", attempt, { expert = 4 })
refused("redraw needs points", attempt, { redraw = true })
refused("residual must return a column", attempt, { residual = function() return 1 end })
refused("the residual reads v", attempt, { residual = function(f) return f.v - 1 end })
refused("option offsets must be a table", attempt, { offsets = 3 })
refused("everywhere[1]: fields must be", attempt, { everywhere = { {} } })
refused("must be a model, not a nil", hc.layer, nil, "none", {})
refused("expected an array or an expression", small.partition, small, 3)
refused("no field v", function() attempt {}:field "v" end)
refused("redraw = true makes a layer", function() attempt {}:draw(1) end)

local twins, F = normal(16, 1, 1), bad:var("scale", { start = 1 })
local function doubled(ridge)
  local layer = hc.layer(bad, "twins" .. ridge, { grid = { 16 }, ridge = ridge, fields = { u = F * peri.hstack(twins, twins) },
    residual = function(f) return f.u - 1 end })
  return peri.grad(layer.w[1][1], F):value()
end
refused("twins0, expert 1", doubled, 0)
refused("singular", doubled, 0.0)
tap.ok(math.abs(doubled(1e-2) + peri.sum(twins) / peri.sum(twins^2) / 2) < 1e-3, "a ridge chooses one of the solutions")
local undefined = hc.layer(bad, "undefined", { grid = { 4 }, fields = { u = F * normal(4, 1, 1) },
  residual = function(f) return f.u - peri.log(f.u - 1) end })
refused("undefined, expert 1", function() return undefined.w[1]:value() end)
local second = peri.stack { 1, 1, 1, 1, 1, 1, F - 1, 1 } -- zero where the scale is one
local middle = hc.layer(bad, "middle", { grid = { 4 }, split = { 2 }, samples = 2, ridge = 0, fields = { u = second * normal(8, 1, 1) + 0.1 },
  residual = function(f) return f.u - 1 + peri.log(f.u + 1e-3) * 0 + peri.sqrt(f.one) end, data = { one = second } })
tap.ok(pcall(function() return middle.weights:value { [F] = 2 } end), "data that are fine")
refused("middle, sample 2, expert 2: its equations are undefined: sqrt(-1)", function() return middle.weights:value { [F] = 0 } end)
tap.done()
