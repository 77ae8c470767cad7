-- SPDX-License-Identifier: Apache-2.0
-- flow.lua - a two-dimensional flow by networks with hard constraints, at a reduced size:
--   build/perigee run --quiet bench/flow.lua [steps] [seeds]        200 steps and three seeds unless given
-- Vorticity on the periodic unit square, w_t + u . grad w = nu lap w, nu = 1e-4, u by the stream function (-lap psi = w); 16 x 16 points, 17 times up to 2.
-- w = w(0) + t b . v with weights v of one expert (HC) or of four, 2 x 2 parts of the square (MoE), or b itself (SC). Derivatives in space are those of
-- the trigonometric polynomial through the points: differences of second order would be off by a tenth for the shortest waves here.
-- Errors on flows that were not trained on, against the same equation by Runge-Kutta steps; and these against a grid of 32 x 32.
-- Chalapathi, Du and Krishnapriyan 2024, ICLR, whose grids are 64^3 and larger.

local peri = require "perigee"
local hc = require "perigee.hard_constraints"
local nn = require "perigee.nn"
local training = dofile "bench/training.lua"
io.stdout:setvbuf "line"

local nx, nt, nu, horizon = 16, 17, 1e-4, 2
local cells, dt = nx * nx, horizon / (nt - 1)
local n = cells * nt
local steps, seeds, batch, tests = tonumber(arg[1] or 200), tonumber(arg[2] or 3), 2, 4

-- ---- the equation in space

--- Matrices of u, v, w_x, w_y and lap w for w on size x size points, below each other. Each is a function of the distance of two points, a sum of waves.
local function operators(size)
  local most, all, waves = size // 2 - 1, {}, {}
  for kx = -most, most do
    for ky = -most, most do
      local square = (2 * math.pi)^2 * (kx^2 + ky^2)
      if square > 0 then waves[#waves + 1] = { kx, ky, 2 * math.pi * kx, 2 * math.pi * ky, square } end
    end
  end
  local cosine, sine = {}, {}
  for k = 0, size - 1 do cosine[k], sine[k] = math.cos(2 * math.pi * k / size) / size^2, math.sin(2 * math.pi * k / size) / size^2 end
  local kernel = { {}, {}, {}, {}, {} }
  for i = 0, size - 1 do
    for j = 0, size - 1 do
      local u, v, wx, wy, lap = 0, 0, 0, 0, 0
      for _, k in ipairs(waves) do
        local at = (k[1] * i + k[2] * j) % size
        local s = sine[at]
        u, v = u - k[4] / k[5] * s, v + k[3] / k[5] * s
        wx, wy, lap = wx - k[3] * s, wy - k[4] * s, lap - k[5] * cosine[at]
      end
      for c, value in ipairs { u, v, wx, wy, lap } do kernel[c][i * size + j + 1] = value end
    end
  end
  local entries = {}
  for i = 0, size - 1 do
    for j = 0, size - 1 do
      for k = 0, size - 1 do
        for l = 0, size - 1 do entries[#entries + 1] = (i - k) % size * size + (j - l) % size + 1 end
      end
    end
  end
  for c = 1, 5 do all[c] = peri.array(kernel[c])[entries]:reshape(size^2 // 1, size^2 // 1) end
  return peri.stack(all)
end

local space = operators(nx)
local of = {} -- rows of each
for c = 0, 4 do
  of[c + 1] = {}
  for i = 1, cells do of[c + 1][i] = c * cells + i end
end

local function tendency(ops, w)
  local f, rows, size = ops % w, {}, w:rows()
  for c = 1, 5 do
    local list = {}
    for i = 1, size do list[i] = (c - 1) * size + i end
    rows[c] = f[list]
  end
  return nu * rows[5] - rows[1] * rows[3] - rows[2] * rows[4]
end

--- w at the study's times on size x size points, by the classical Runge-Kutta method with so many steps between; of more points than the study's those that it has too.
local function reference(ops, w, size, inner)
  local pick, stride = {}, size // nx
  local h, columns = dt / inner, {}
  for i = 0, nx - 1 do
    for j = 0, nx - 1 do pick[#pick + 1] = i * stride * size + j * stride + 1 end
  end
  for time = 1, nt do
    columns[time] = w[pick]
    for _ = 1, time < nt and inner or 0 do
      local a = tendency(ops, w)
      local b = tendency(ops, w + h / 2 * a)
      local c = tendency(ops, w + h / 2 * b)
      local d = tendency(ops, w + h * c)
      w = w + h / 6 * (a + 2 * b + 2 * c + d)
    end
  end
  return peri.hstack(table.unpack(columns)):reshape(n, 1)
end

--- A sum of waves up to the second, of the size 1; on size x size points
local function initial(seed, size)
  local draws, w, top = peri.random.normal { rows = 50, cols = 1, seed = seed }, {}, 0
  for i = 0, size - 1 do
    for j = 0, size - 1 do
      local sum, at = 0, 0
      for kx = 0, 2 do
        for ky = -2, 2 do
          if kx > 0 or ky > 0 then
            local phase, decay = 2 * math.pi * (kx * i + ky * j) / size, 1 / (kx^2 + ky^2)
            sum = sum + decay * (draws[at + 1] * math.cos(phase) + draws[at + 2] * math.sin(phase))
          end
          at = at + 2
        end
      end
      w[i * size + j + 1] = sum
    end
  end
  for k = 0, nx * nx - 1 do top = math.max(top, math.abs(w[k // nx * (size // nx) * size + k % nx * (size // nx) + 1])) end
  for k = 1, #w do w[k] = w[k] / top end
  return w
end

-- ---- models: rows are (sample, x, y, t), t fastest

local place, time, inputs = {}, {}, {}
for row = 0, batch * n - 1 do
  local cell, t = row // nt, row % nt * dt
  local x, y = 2 * math.pi * (cell % cells // nx) / nx, 2 * math.pi * (cell % nx) / nx
  place[row + 1], time[row + 1] = cell + 1, t
  inputs[row + 1] = { t / horizon, math.sin(x), math.cos(x), math.sin(y), math.cos(y) }
end
time, inputs = peri.array(time), peri.array(inputs)
local Dt = hc.derivative({ batch, cells, nt }, 3, 1, { spacing = dt })
local NAMES = { "u", "v", "wx", "wy", "lap" }

local function residual(f) return f.wt + f.u * f.wx + f.v * f.wy - nu * f.lap end

--- Fields by name of w, `times` columns a basis function: of all samples, a point of the grid a row
local function derived(w, columns)
  local parts, fields = {}, {}
  for s = 0, batch - 1 do
    local rows = {}
    for i = 1, w:rows() // batch do rows[i] = s * (w:rows() // batch) + i end
    parts[s + 1] = space % w[rows]:reshape(cells, w:rows() * w:cols() // batch // cells)
  end
  for c, name in ipairs(NAMES) do
    local of_samples = {}
    for s, part in ipairs(parts) do of_samples[s] = part[of[c]]:reshape(w:rows() // batch, columns) end
    fields[name] = peri.stack(of_samples)
  end
  return fields
end

--- o: basis (1: SC), split, points
local function make(o, seed)
  local m = peri.model "flow"
  local start = m:var("start", { batch * cells, 1 }, { start = 0.1 })
  local first, offsets = derived(start, 1), {}
  local moving = nu * first.lap - first.u * first.wx - first.v * first.wy
  for _, name in ipairs(NAMES) do offsets[name] = first[name][place] end
  local w0 = start[place]
  local net = nn.network(m, "net", 9, { nn.dense(48), nn.gelu, nn.dense(48), nn.gelu, nn.dense(o.basis) }, { seed = 30 + seed })
  local b = time * net(peri.hstack(inputs, w0, moving[place], offsets.u, offsets.v))
  local f = derived(b, o.basis)
  f.w, f.wt = b, Dt % b
  local full = {}
  if o.split then
    local fields = {}
    for name, F in pairs(f) do fields[name] = name ~= "w" and F or nil end
    local layer = hc.layer(m, "flow", { grid = { nx, nx, nt }, samples = batch, split = o.split, points = o.points, seed = 40 + seed, residual = residual,
      fields = fields, offsets = offsets })
    for name, F in pairs(f) do full[name] = layer:field(name, F, offsets[name]) end
  else
    for name, F in pairs(f) do full[name] = offsets[name] and offsets[name] + F or F end
  end
  m:minimize(peri.sqrt(peri.sum(residual(full):reshape(batch, n)^2, 2)):mean())
  return { m = m, net = net, start = start, u = w0 + full.w, samples = batch }
end

-- ---- training

local held, still = {}, 0
for k = 1, tests do
  local w = initial(900000 + k, nx)
  held[k] = { w, reference(space, peri.array(w), nx, 2) }
  local kept = {}
  for row = 0, n - 1 do kept[row + 1] = w[row // nt + 1] end
  still = still + (peri.array(kept) - held[k][2]):norm2() / held[k][2]:norm2() / tests
end
local fine = reference(operators(2 * nx), peri.array(initial(900001, 2 * nx)), 2 * nx, 1)
print(("the solutions on 16 x 16 and 32 x 32 points differ by %.1e; what does not move at all is %.3f off"):format((fine - held[1][2]):norm2() / fine:norm2(), still))

local function options(seed)
  return {
    steps = steps, marks = { steps }, tests = held,
    rate = function(k) return 2e-3 * 0.5^((k - 1) // 100) end,
    samples = function(k)
      local all = {}
      for i = 1, batch do table.move(initial(1000000 * seed + batch * k + i, nx), 1, cells, #all + 1, all) end
      return all
    end,
  }
end

print(("relative errors, %d seeds: mean (least to greatest)"):format(seeds))
for _, case in ipairs {
  { "SC (N = 1)", { basis = 1 } },
  { "HC, N = 8, m = 1200", { basis = 8, split = { 1, 1, 1 }, points = 1200 } },
  { "MoE, N = 8, 4 x 300", { basis = 8, split = { 2, 2, 1 }, points = 300 } },
} do
  local all, seconds, undefined = training.seeds(seeds, function(seed) return make(case[2], seed) end, options)
  print(("%-20s untrained %s; %d steps: %s; %.3f s of processor time a step, %d gradients undefined"):format(case[1], training.range(all[0]), steps,
    training.range(all[steps]), seconds, undefined))
end
