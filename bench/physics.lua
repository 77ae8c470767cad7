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
local training = dofile "bench/training.lua"
io.stdout:setvbuf "line"

local nx, nt, rate, growth = 64, 33, 0.005, 2
local n, dx, dt = nx * nt, 1 / nx, 1 / (nt - 1)
local steps, seeds, batch, tests = tonumber(arg[1] or 600), tonumber(arg[2] or 3), 4, 16

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

--- Rows of all samples, one below another.
local function repeated(rows, size, samples)
  local all = {}
  for s = 0, samples - 1 do
    for _, v in ipairs(rows) do all[#all + 1] = v + s * size end
  end
  return all
end

local function shifted(by)
  local rows = {}
  for row = 0, n - 1 do rows[row + 1] = (row % nx + by) % nx + 1 end
  return repeated(rows, nx, batch)
end

local place, ahead, behind, time, inputs = shifted(0), shifted(2), shifted(-2), {}, {}
for row = 0, batch * n - 1 do
  local t, x = row % n // nx * dt, row % nx * dx
  time[row + 1] = t
  inputs[row + 1] = { t, math.sin(2 * math.pi * x), math.cos(2 * math.pi * x) }
end
time, inputs = peri.array(time), peri.array(inputs)
local Dt = hc.derivative({ batch, nt, nx }, 2, 1, { spacing = dt })
local Dxx = hc.derivative({ batch, nt, nx }, 3, 2, { spacing = dx, periodic = true })

local function residual(f) return f.ut - rate * f.uxx - growth * f.u * (1 - f.u) end

--- A model of a batch of samples. o: basis (1: SC), split, points
local function make(o, seed)
  local m = peri.model "physics"
  local start = m:var("start", batch * nx, { start = 0.5 }) -- others in each step; they are first of the model's numbers
  local u0 = start[place]
  local curve = Dxx % u0
  local X = peri.hstack(inputs, u0, rate * curve, start[behind] - start[ahead])
  local net = nn.network(m, "net", 6, { nn.dense(48), nn.gelu, nn.dense(48), nn.gelu, nn.dense(48), nn.gelu, nn.dense(o.basis) }, { seed = 6 + seed })
  local b = time * net(X)
  local f = { u = b, ut = Dt % b, uxx = Dxx % b }
  local full = {}
  if o.split then
    local layer = hc.layer(m, "physics", { grid = { nt, nx }, samples = batch, split = o.split, points = o.points, seed = 2 + seed,
      residual = residual, fields = f, offsets = { u = u0, uxx = curve } })
    for name in pairs(f) do full[name] = layer:field(name) end
  else
    full = { u = u0 + f.u, ut = f.ut, uxx = curve + f.uxx }
  end
  -- the mean over samples of |residual|
  m:minimize(peri.sqrt(peri.sum(residual(full):reshape(batch, n)^2, 2)):mean())
  return { m = m, net = net, start = start, u = full.u, samples = batch }
end

local held = {}
for k = 1, tests do
  held[k] = { initial(900000 + k) }
  held[k][2] = reference(held[k][1])
end

-- ---- training

local function options(seed)
  return {
    steps = steps, marks = { 200, 600, steps }, tests = held,
    rate = function(k) return 2e-3 * 0.5^((k - 1) // 400) end,
    samples = function(k)
      local all = {}
      for i = 1, batch do table.move(initial(1000000 * seed + batch * k + i), 1, nx, #all + 1, all) end
      return all
    end,
  }
end

local cases = {
  { "SC (N = 1)", { basis = 1 }, "0.328, -, 0.0180" },
  { "HC, N = 8, m = 600", { basis = 8, split = { 1, 1 }, points = 600 }, "0.049, 0.0096, 0.0048" },
  { "MoE, N = 8, 4 x 150", { basis = 8, split = { 1, 4 }, points = 150 }, "0.060, 0.0103, 0.0066" },
  { "MoE, N = 8, all points", { basis = 8, split = { 1, 4 } }, "0.059, 0.0096, 0.0066", 1 },
  { "HC, N = 3, m = 600", { basis = 3, split = { 1, 1 }, points = 600 }, "0.117, 0.0169, 0.0098", 1 },
  { "MoE, N = 3, 4 x 150", { basis = 3, split = { 1, 4 }, points = 150 }, "0.072, 0.0226, 0.0129", 1 },
}
local results = {}
print(("relative errors, %d seeds: mean (least to greatest)           prototype: 0, 200, 600"):format(seeds))
for i, case in ipairs(cases) do
  local all, seconds, undefined = training.seeds(math.min(seeds, case[4] or seeds), function(seed) return make(case[2], seed) end, options)
  results[i] = all
  local shown = {}
  for _, k in ipairs { 0, 200, 600, steps } do
    if all[k] and not shown[k] then print(("%-24s %4d steps  %-28s %s"):format(case[1], k, training.range(all[k]), k == 0 and case[3] or "")) end
    shown[k] = true
  end
  print(("%-24s %.3f s of processor time a step, %d gradients undefined"):format("", seconds, undefined))
end
if steps >= 600 then
  local good = true
  for seed = 1, seeds do
    local sc, whole, mixed = results[1][600][seed], results[2][600][seed], results[3][600][seed]
    good = good and sc <= 0.025 and whole <= 0.007 and mixed <= 0.010 and math.max(whole, mixed) <= sc / 2
  end
  print("at 600 for all seeds SC <= 0.025, HC <= 0.007, MoE <= 0.010, both <= SC / 2: " .. tostring(good))
end
print(("untrained, N = 3: MoE < HC %s"):format(results[6][0][1] < results[5][0][1]))

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
