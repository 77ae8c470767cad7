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
  local start = m:param("start", initial(1))
  local u0 = start[place]
  local curve = Dxx % u0
  local X = peri.hstack(inputs, u0, rate * curve, start[behind] - start[ahead])
  local net = nn.network(m, "net", 6, { nn.dense(48), nn.gelu, nn.dense(48), nn.gelu, nn.dense(48), nn.gelu, nn.dense(o.basis) }, { seed = 7 })
  local b = time * net(X)
  local f = { u = b, ut = Dt % b, uxx = Dxx % b }
  local full = {}
  if o.split then
    local layer = hc.layer(m, "physics", { grid = { nt, nx }, split = { 1, o.split }, points = o.points, seed = 3, residual = residual, redraw = o.redraw,
      fields = f, offsets = { u = u0, uxx = curve } })
    for name in pairs(f) do full[name] = layer:field(name) end
    o.layer = layer
  else
    full = { u = u0 + f.u, ut = f.ut, uxx = curve + f.uxx }
  end
  local loss, parts = residual(full):norm2(), {}
  for i, w in ipairs(net.weights) do parts[i] = peri.grad(loss, w):reshape(w:rows() * w:cols(), 1) end
  return { net = net, start = start, loss = loss, gradient = peri.stack(parts), u = full.u, layer = o.layer }
end

--- The list of weights as one column, and back.
local function join(values)
  local parts = {}
  for i, v in ipairs(values) do parts[i] = v:reshape(v:rows() * v:cols(), 1) end
  return peri.stack(parts)
end

local function point(model, x)
  local at, from = {}, 0
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
  local at, sum = point(model, x), 0
  for _, case in ipairs(held) do
    model.start:set(case[1])
    sum = sum + (model.u:value(at) - case[2]):norm2() / case[2]:norm2()
  end
  return sum / tests
end

--- Mean gradient of a batch; a sample whose gradient is undefined counts as zero. err: how many
local function slope_of(model, x, step)
  local at, g, undefined = point(model, x), 0 * x, 0
  for k = 1, batch do
    model.start:set(initial(10 + batch * step + k))
    if model.layer and #model.layer.masks > 0 then model.layer:draw(batch * step + k) end
    local fine, one = pcall(model.gradient.value, model.gradient, at)
    if fine then g = g + one * (1 / batch) else undefined = undefined + 1 end
  end
  return g, undefined
end

--- Adam at 2e-3, halved every 400 steps, gradients no longer than 1.
local function train(name, model, card)
  local values = {}
  for i, w in ipairs(model.net.weights) do values[i] = w:value() end
  local x = join(values)
  local first, second, undefined = 0 * x, 0 * x, 0
  local report, inside = { [0] = test_error(model, x) }, 0
  for step = 1, steps do
    local from = os.clock()
    local g, lost = slope_of(model, x, step)
    undefined = undefined + lost
    g = g * math.min(1, 1 / math.max(1e-300, g:norm2()))
    first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g^2
    x = x - 2e-3 * 0.5^((step - 1) // 400) * (first / (1 - 0.9^step)) / (peri.sqrt(second / (1 - 0.999^step)) + 1e-8)
    inside = inside + os.clock() - from
    if step == 200 or step == 600 or step == steps then report[step] = test_error(model, x) end
  end
  local function shown(step) return report[step] and ("%.4f"):format(report[step]) or "-" end
  print(("%-26s %-8s %-8s %-8s %-28s %.2f s a step of processor time, %d gradients undefined"):format(name, shown(0), shown(200), shown(600), card,
    inside / math.max(1, steps), undefined))
  if steps ~= 200 and steps ~= 600 and steps > 0 then print(("%26s after %d steps: %s"):format("", steps, shown(steps))) end
  return report
end

print("model                      step 0   200      600      prototype: 0, 200, 600")
local cases = {
  { "SC (N = 1)", { basis = 1 }, "0.328, -, 0.0180" },
  { "HC, N = 8, m = 600", { basis = 8, split = 1, points = 600 }, "0.049, 0.0096, 0.0048" },
  { "MoE, N = 8, 4 x 150", { basis = 8, split = 4, points = 150 }, "0.060, 0.0103, 0.0066" },
}
local result = {}
for i, case in ipairs(cases) do result[i] = train(case[1], make(case[2]), case[3]) end
if steps >= 600 then
  local sc, whole, mixed = result[1][600], result[2][600], result[3][600]
  print(("at 600: SC <= 0.025 %s, HC <= 0.007 %s, MoE <= 0.010 %s, both <= SC / 2 %s"):format(sc <= 0.025, whole <= 0.007, mixed <= 0.010,
    math.max(whole, mixed) <= sc / 2))
end
local function untrained(split)
  local model = make { basis = 3, split = split, points = 600 // split }
  local values = {}
  for i, w in ipairs(model.net.weights) do values[i] = w:value() end
  return test_error(model, join(values))
end
local one, four = untrained(1), untrained(4)
print(("untrained, N = 3: HC %.3f (0.117), MoE %.3f (0.072), MoE < HC %s"):format(one, four, four < one))

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
