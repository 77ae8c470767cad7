-- SPDX-License-Identifier: Apache-2.0
-- physics.lua - networks that fulfil an equation by construction, beside the numbers of a prototype (NumPy, PyTorch):
--   build/perigee run --quiet bench/physics.lua [steps]        600 steps and some minutes a model unless given
-- Periodic Fisher-KPP, u_t = 0.005 u_xx + 2 u (1 - u), from random initial values: a network gives N basis functions of (t, x), weighted by one
-- expert (HC) or one for each of four parts of space (MoE); or it gives u itself (SC). Errors on initial values that were not trained on, against
-- the semi-discrete equation solved by Runge-Kutta steps. Then the time of forward solves at equal numbers of points.
-- Chalapathi, Du and Krishnapriyan 2024, ICLR; the numbers are those of a reduced study, not of the paper's runs.

local peri = require "perigee"
local hc = require "perigee.hard_constraints"
local nn = require "perigee.nn"

local nx, nt, rate, growth = 64, 33, 0.005, 2
local n, dx, dt = nx * nt, 1 / nx, 1 / (nt - 1)
local steps, batch, tests = tonumber(arg[1] or 600), 4, 16
local Dt = hc.derivative({ nt, nx }, 1, 1, { spacing = dt })
local Dxx = hc.derivative({ nt, nx }, 2, 2, { spacing = dx, periodic = true })

-- ---- initial values and their solutions

--- 0.5 + 0.4 f / max|f|, f = sum a_k cos(2 pi k x + p_k)
local function initial(seed)
  local a = peri.random.normal { rows = 4, cols = 1, seed = seed }
  local p = peri.random.uniform { rows = 4, cols = 1, seed = seed + 500009 }
  local f, most = {}, 0
  for i = 1, nx do
    f[i] = 0
    for k = 1, 4 do f[i] = f[i] + a[k] * math.cos(2 * math.pi * (k * (i - 1) * dx + p[k])) end
    most = math.max(most, math.abs(f[i]))
  end
  for i = 1, nx do f[i] = 0.5 + 0.4 * f[i] / most end
  return f
end

local function slope(u)
  local s = {}
  for i = 1, nx do
    local left, right = u[(i - 2) % nx + 1], u[i % nx + 1]
    s[i] = rate * (left - 2 * u[i] + right) / dx^2 + growth * u[i] * (1 - u[i])
  end
  return s
end

local function moved(u, s, h)
  local v = {}
  for i = 1, nx do v[i] = u[i] + h * s[i] end
  return v
end

--- The semi-discrete solution on the grid, by the classical Runge-Kutta method; its step is a quarter of what stability asks for.
local function reference(u)
  local all, inner = {}, 8
  local h = dt / inner
  for row = 1, nt do
    table.move(u, 1, nx, #all + 1, all)
    for _ = 1, row < nt and inner or 0 do
      local a = slope(u)
      local b = slope(moved(u, a, h / 2))
      local c = slope(moved(u, b, h / 2))
      local d = slope(moved(u, c, h))
      for i = 1, nx do a[i] = (a[i] + 2 * b[i] + 2 * c[i] + d[i]) / 6 end
      u = moved(u, a, h)
    end
  end
  return peri.array(all)
end

-- ---- models

local place, time, inputs = {}, {}, {}
for row = 0, n - 1 do
  local t, x = row // nx * dt, row % nx * dx
  place[row + 1], time[row + 1] = row % nx + 1, t
  inputs[row + 1] = { t, math.sin(2 * math.pi * x), math.cos(2 * math.pi * x) }
end
time, inputs = peri.array(time), peri.array(inputs)
local function shifted(by)
  local rows = {}
  for row = 0, n - 1 do rows[row + 1] = (row % nx + by) % nx + 1 end
  return rows
end
local ahead, behind = shifted(2), shifted(-2)

local function residual(f) return f.ut - rate * f.uxx - growth * f.u * (1 - f.u) end

--- A model of one sample. o: basis (1: SC), split, points
local function make(o)
  local m = peri.model "physics"
  local start = m:var("start", nx, { start = initial(1) }) -- another one in each evaluation; it is first of the model's numbers
  local u0 = start[place]
  local curve = Dxx % u0
  local X = peri.hstack(inputs, u0, rate * curve, start[behind] - start[ahead])
  local net = nn.network(m, "net", 6, { nn.dense(48), nn.gelu, nn.dense(48), nn.gelu, nn.dense(48), nn.gelu, nn.dense(o.basis) }, { seed = 7 })
  local b = time * net(X)
  local f = { u = b, ut = Dt % b, uxx = Dxx % b }
  local full = {}
  if o.split then
    local layer = hc.layer(m, "physics", { grid = { nt, nx }, split = { 1, o.split }, points = o.points, seed = 3, residual = residual, fields = f,
      offsets = { u = u0, uxx = curve } })
    for name in pairs(f) do full[name] = layer:field(name) end
  else
    full = { u = u0 + f.u, ut = f.ut, uxx = curve + f.uxx }
  end
  m:minimize(residual(full):norm2())
  return { m = m, net = net, start = start, u = full.u }
end

--- Values of the model's expressions for all its numbers x and other initial values.
local function point(model, x, first)
  local at, from = { [model.start] = first }, nx
  for _, w in ipairs(model.net.weights) do
    local size, rows = w:rows() * w:cols(), {}
    for i = 1, size do rows[i] = from + i end
    at[w] = x[rows]:reshape(w:rows(), w:cols())
    from = from + size
  end
  return at
end

local held = {}
for k = 1, tests do
  held[k] = { initial(900000 + k) }
  held[k][2] = reference(held[k][1])
end

local function test_error(model, x)
  local sum = 0
  for _, case in ipairs(held) do sum = sum + (model.u:value(point(model, x, case[1])) - case[2]):norm2() / case[2]:norm2() end
  return sum / tests
end

-- ---- training

local training = {} -- of the model that is trained: points after steps, gradients that were undefined, seconds

--- The mean gradient of a batch of new initial values; a sample whose gradient is undefined counts as zero.
local function batch_gradient(state, run)
  local x, g = state.x, state.mean:fill(0)
  local sum = 0
  for k = 1, batch do
    for i, v in ipairs(initial(10 + batch * state.k + k)) do x[i] = v end
    local f, one = run:fg(x, state.g)
    if f then
      g:axpy(1 / batch, one)
      sum = sum + f / batch
    else
      training.undefined = training.undefined + 1
    end
  end
  for i = 1, nx do g[i] = 0 end
  return g, sum
end

--- Adam at 2e-3, halved every 400 steps, gradients no longer than 1; a batch of its own in each step, which a plugin for models cannot know of.
peri.plugin {
  name = "batches", family = "bench", version = "1", license = "Apache-2.0",
  summary = "adam on the initial values of a study", page = "Each step reads new initial values, the first numbers of the model.",
  reference = "Kingma and Ba 2015, algorithm 1", needs = { "gradient", "objective" }, refuses = { "constraints", "integer" }, options = {},
  init = function(state, run)
    state.x, state.k = run:start(), 0
    state.g, state.mean, state.first, state.second = peri.zeros(run.n), peri.zeros(run.n), peri.zeros(run.n), peri.zeros(run.n)
  end,
  step = function(state, run)
    local k = state.k + 1
    state.k = k
    local g, f = batch_gradient(state, run)
    g = g * math.min(1, 1 / math.max(1e-300, g:norm2()))
    state.first, state.second = 0.9 * state.first + 0.1 * g, 0.999 * state.second + 0.001 * g^2
    local change = state.first / (1 - 0.9^k) / (peri.sqrt(state.second / (1 - 0.999^k)) + 1e-8)
    state.x = state.x - 2e-3 * 0.5^((k - 1) // 400) * change
    if k == 200 or k == 600 or k == steps then training.points[k] = 1 * state.x end
    run:accept { x = state.x, objective = f }
  end,
}

--- All of a model's numbers at the start.
local function first_point(model)
  local parts = { model.start:value() }
  for _, w in ipairs(model.net.weights) do
    local v = w:value()
    parts[#parts + 1] = v:reshape(v:rows() * v:cols(), 1)
  end
  return peri.stack(parts)
end

local function train(name, model, card)
  training = { points = { [0] = first_point(model) }, undefined = 0 }
  local began = os.clock()
  if steps > 0 then model.m:solve("batches", { iterations = steps, tolerance = 0 }) end
  local seconds, report = os.clock() - began, {}
  for step, x in pairs(training.points) do report[step] = test_error(model, x) end
  local function shown(step) return report[step] and ("%.4f"):format(report[step]) or "-" end
  print(("%-26s %-8s %-8s %-8s %-24s %.3f s of processor time a step, %d gradients undefined"):format(name, shown(0), shown(200), shown(600), card,
    seconds / math.max(1, steps), training.undefined))
  if steps ~= 200 and steps ~= 600 and steps > 0 then print(("%26s after %d steps: %s"):format("", steps, shown(steps))) end
  return report
end

print("model                      step 0   200      600      prototype: 0, 200, 600")
local cases = {
  { "SC (N = 1)", { basis = 1 }, "0.328, -, 0.0180" },
  { "HC, N = 8, m = 600", { basis = 8, split = 1, points = 600 }, "0.049, 0.0096, 0.0048" },
  { "MoE, N = 8, 4 x 150", { basis = 8, split = 4, points = 150 }, "0.060, 0.0103, 0.0066" },
  { "MoE, N = 8, all points", { basis = 8, split = 4 }, "0.059, 0.0096, 0.0066" },
  { "HC, N = 3, m = 600", { basis = 3, split = 1, points = 600 }, "0.117, 0.0169, 0.0098" },
  { "MoE, N = 3, 4 x 150", { basis = 3, split = 4, points = 150 }, "0.072, 0.0226, 0.0129" },
}
local result = {}
for i, case in ipairs(cases) do result[i] = train(case[1], make(case[2]), case[3]) end
if steps >= 600 then
  local sc, whole, mixed = result[1][600], result[2][600], result[3][600]
  print(("at 600: SC <= 0.025 %s, HC <= 0.007 %s, MoE <= 0.010 %s, both <= SC / 2 %s"):format(sc <= 0.025, whole <= 0.007, mixed <= 0.010,
    math.max(whole, mixed) <= sc / 2))
end
print(("untrained, N = 3: MoE < HC %s"):format(result[6][0] < result[5][0]))

-- ---- forward solves: one expert or four, the same points in all

--- Seconds of the weights of all experts on a grid of 100 x columns points, with eight smooth functions; the best of three.
local function forward(columns, split)
  local m, size = peri.model "forward", 100 * columns
  local scale = m:var("scale", { start = 1 })
  local phase = peri.random.uniform { rows = 1, cols = 8, seed = 4 }
  local t, x = {}, {}
  for row = 0, size - 1 do t[row + 1], x[row + 1] = row // columns / 99, row % columns / columns end
  t, x = peri.array(t), peri.array(x)
  local b = t * peri.sin(2 * math.pi * (x + phase) + t * peri.array { { 0, 1, 2, 3, 0, 1, 2, 3 } })
  local dt = hc.derivative({ 100, columns }, 1, 1, { spacing = 1 / 99 })
  local dxx = hc.derivative({ 100, columns }, 2, 2, { spacing = 1 / columns, periodic = true })
  local u0 = 0.5 + 0.3 * peri.sin(2 * math.pi * x)
  local layer = hc.layer(m, "forward", { grid = { 100, columns }, split = { 1, split }, residual = residual,
    fields = { u = scale * b, ut = scale * (dt % b), uxx = scale * (dxx % b) }, offsets = { u = u0, uxx = dxx % u0 } })
  local w, best = peri.stack(layer.w), math.huge
  for try = 1, 3 do
    local began = os.clock()
    w:value { [scale] = 1 + try / 100 }
    best = math.min(best, os.clock() - began)
  end
  return best
end

print("\npoints   one expert   four experts, seconds of processor time one after another   ratio (paper: 2 to 3, side by side on a GPU)")
for _, columns in ipairs { 8, 80, 400 } do
  local whole, parts = forward(columns, 1), forward(columns, 4)
  print(("%6d   %.4f       %.4f                                                        %.2f"):format(100 * columns, whole, parts, whole / parts))
end
