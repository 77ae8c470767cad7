-- SPDX-License-Identifier: Apache-2.0
-- sorption.lua - diffusion with sorption by networks with hard constraints, at a reduced size, beside the numbers of a prototype:
--   build/perigee run --quiet bench/sorption.lua [steps] [seeds]        400 steps and three seeds unless given
-- u_t = D / R(u) u_xx for 0 < x < 1, 0 < t < 500; u = 1 at x = 0, u = -D u_x at x = 1; at first u is a number, 0.02 to 0.2.
--   R(u) = 1 + (1 - p) / p rho k n v^(n - 1),  v = u + 1e-6 for u > 0, else 1e-6
-- With u = +D u_x, as it is often printed, a layer of the width D would grow by exp(D / R t / D^2); it is seen on grids finer than D alone.
-- Errors against the same equation by lines: a grid several times as fine, TR-BDF2 steps (the trapezoidal rule, then a backward difference: of second
-- order, and what is stiff is damped), Newton's method on tridiagonal systems.
-- Chalapathi, Du and Krishnapriyan 2024, ICLR; equation and numbers: Takamoto et al. 2022, PDEBench.

local peri = require "perigee"
local hc = require "perigee.hard_constraints"
local nn = require "perigee.nn"
local training = dofile "bench/training.lua"
io.stdout:setvbuf "line"

local porosity, density, freundlich, adsorption, diffusion, horizon = 0.29, 2880, 0.874, 3.5e-4, 5e-4, 500
local slope = (1 - porosity) / porosity * density * adsorption * freundlich
local nt, nx = 26, 32
local n, dx, dt = nt * nx, 1 / (nx - 1), 1 / (nt - 1) -- time counts from 0 to 1, as parts of the horizon
local steps, seeds, batch, tests = tonumber(arg[1] or 400), tonumber(arg[2] or 3), 6, 12

-- ---- solutions by lines

--- D horizon / R(u), and its derivative
local function mobility(u)
  local v = u > 0 and u + 1e-6 or 1e-6
  local R = 1 + slope * v^(freundlich - 1)
  return diffusion * horizon / R, u > 0 and -diffusion * horizon / R^2 * slope * (freundlich - 1) * v^(freundlich - 2) or 0
end

--- Solves a[i] x[i-1] + b[i] x[i] + c[i] x[i+1] = r[i]; b and r are overwritten.
local function tridiagonal(a, b, c, r)
  for i = 2, #b do
    local f = a[i] / b[i - 1]
    b[i], r[i] = b[i] - f * c[i - 1], r[i] - f * r[i - 1]
  end
  r[#b] = r[#b] / b[#b]
  for i = #b - 1, 1, -1 do r[i] = (r[i] - c[i] * r[i + 1]) / b[i] end
  return r
end

--- u' at the points between the first, u = 1, and the last, which follows from its neighbours: u = -D u_x by differences of second order; the Jacobian's
-- diagonals.
local function lines(u, h)
  local m, f, low, mid, high = #u, {}, {}, {}, {}
  local one, other = 4 * diffusion / (2 * h + 3 * diffusion), -diffusion / (2 * h + 3 * diffusion) -- of the last point, by its neighbours
  for i = 1, m do
    local left = i > 1 and u[i - 1] or 1
    local right = i < m and u[i + 1] or one * u[m] + other * u[m - 1]
    local k, dk = mobility(u[i])
    local curve = (left - 2 * u[i] + right) / h^2
    f[i], low[i], mid[i], high[i] = k * curve, k / h^2, dk * curve - 2 * k / h^2, k / h^2
    if i == m then low[i], mid[i] = low[i] + k * other / h^2, mid[i] + k * one / h^2 end
  end
  return f, low, mid, high
end

--- Solves v = known + c f(v) from u on.
local function implicit_step(u, known, c, h)
  local v = table.move(u, 1, #u, 1, {})
  for _ = 1, 20 do
    local f, low, mid, high = lines(v, h)
    local r, size = {}, 0
    for i = 1, #v do
      r[i] = known[i] + c * f[i] - v[i]
      low[i], mid[i], high[i] = -c * low[i], 1 - c * mid[i], -c * high[i]
    end
    for i, d in ipairs(tridiagonal(low, mid, high, r)) do
      v[i], size = v[i] + d, math.max(size, math.abs(d))
    end
    if size < 1e-12 then return v end
  end
  error "newton's method has not converged"
end

local function moved(u, h, dt)
  local gamma = 2 - math.sqrt(2)
  local f, known = lines(u, h), {}
  for i = 1, #u do known[i] = u[i] + gamma / 2 * dt * f[i] end
  local half = implicit_step(u, known, gamma / 2 * dt, h)
  for i = 1, #u do known[i] = (half[i] / gamma - (1 - gamma)^2 / gamma * u[i]) / (2 - gamma) end
  return implicit_step(half, known, (1 - gamma) / (2 - gamma) * dt, h)
end

--- On the study's grid, from a grid `fine` times as fine; the first interval of time begins with small steps.
local function reference(u0, fine)
  local h, count, all, u = dx / fine, (nx - 1) * fine - 1, {}, {}
  for i = 1, count do u[i] = u0 end
  for row = 1, nt do
    for i = 1, nx do
      local at = (i - 1) * fine
      local last = (4 * diffusion * u[count] - diffusion * u[count - 1]) / (2 * h + 3 * diffusion)
      all[#all + 1] = row == 1 and u0 or i == 1 and 1 or i == nx and last or u[at]
    end
    local t, size = 0, row == 1 and dt * 1e-6 or dt / (2 * fine)
    while row < nt and t < 1 - 1e-9 do
      size = math.min(size, (1 - t) * dt)
      u, t = moved(u, h, size), t + size / dt
      if row == 1 then size = math.min(1.5 * size, dt / (2 * fine)) end
    end
  end
  return peri.array(all)
end

-- ---- models

local function repeated(list) -- of one sample, for all
  local all = {}
  for _ = 1, batch do table.move(list, 1, #list, #all + 1, all) end
  return all
end

local sample, inputs = {}, {}
local first, left, right = {}, {}, {} -- rows of t = 0, of x = 0 and x = 1 for t > 0
for row = 0, n - 1 do
  local t, x = row // nx * dt, row % nx * dx
  inputs[row + 1] = { t, x, math.sqrt(t), x / math.sqrt(t + 0.05) }
end
for s = 0, batch - 1 do
  for row = 0, n - 1 do
    sample[s * n + row + 1] = s + 1
    local list = row < nx and first or row % nx == 0 and left or row % nx == nx - 1 and right or {}
    list[#list + 1] = s * n + row + 1
  end
end
inputs = peri.array(repeated(inputs))
local grid = { batch, nt, nx }
local Dt = hc.derivative(grid, 2, 1, { spacing = dt })
local Dx = hc.derivative(grid, 3, 1, { spacing = dx })
local Dxx = hc.derivative(grid, 3, 2, { spacing = dx })

--- Where the initial and the boundary values have rows of their own the equation has none; a tenth: at the first rows it is 10 off for the solution itself,
-- whose first layer is thinner than the grid.
local weight = {}
for row = 0, n - 1 do weight[row + 1] = (row < nx or row % nx == 0 or row % nx == nx - 1) and 0 or 0.1 end
weight = peri.array(repeated(weight))
local function equation(f)
  local v = peri.max2(f.u, 0) + 1e-6
  return f.weight * (f.ut - diffusion * horizon * f.uxx / (1 + slope * v^(freundlich - 1)))
end
local function initial(f) return (f.u - f.u0) / f.u0 end
local function inflow(f) return f.u - 1 end
local function outflow(f) return f.u + diffusion * f.ux end

--- The mean over samples of a residual's norm
local function mean_norm(r) return peri.sqrt(peri.sum(r:reshape(batch, r:rows() // batch)^2, 2)):mean() end

--- o: basis (1: SC), split, points
local function make(o, seed)
  local m = peri.model "sorption"
  local start = m:var("start", batch, { start = 0.1 })
  local u0 = start[sample]
  local net = nn.network(m, "net", 5, { nn.dense(48), nn.gelu, nn.dense(48), nn.gelu, nn.dense(48), nn.gelu, nn.dense(o.basis) }, { seed = 10 + seed })
  local b = net(peri.hstack(inputs, 5 * u0))
  local f, full = { u = b, ut = Dt % b, ux = Dx % b, uxx = Dxx % b }, {}
  if o.split then
    local layer = hc.layer(m, "sorption", { grid = { nt, nx }, samples = batch, split = o.split, points = o.points, seed = 20 + seed, start = o.start or 1,
      rule = "optimistix", tolerance = 1e-4, iterations = 200, polish = false, fields = { u = f.u, ut = f.ut, uxx = f.uxx }, data = { weight = weight }, residual = equation,
      everywhere = {
        { fields = { u = b[first] }, data = { u0 = u0[first] }, residual = initial },
        { fields = { u = b[left] }, residual = inflow },
        { fields = { u = b[right], ux = f.ux[right] }, residual = outflow },
      } })
    for name, F in pairs(f) do full[name] = layer:field(name, F) end
  else
    for name, F in pairs(f) do full[name] = F end
  end
  full.weight = weight
  m:minimize(mean_norm(equation(full)) + mean_norm(initial { u = full.u[first], u0 = u0[first] }) + mean_norm(inflow { u = full.u[left] }) +
    mean_norm(outflow { u = full.u[right], ux = full.ux[right] }))
  return { m = m, net = net, start = start, u = full.u, samples = batch }
end

-- ---- training

local function value(seed) return 0.02 + 0.18 * peri.random.uniform { rows = 1, cols = 1, seed = seed }[1] end
local held = {}
for k = 1, tests do
  local u0 = value(900000 + k)
  held[k] = { { u0 }, reference(u0, 4) }
end
local finer = reference(held[1][1][1], 8)
print(("solutions by lines: grids 4 and 8 times as fine as the study's differ by %.1e"):format((finer - held[1][2]):norm2() / finer:norm2()))

local function options(seed)
  return {
    steps = steps, marks = { 200, steps }, tests = held,
    rate = function(k) return math.max(1e-4, 2e-3 * 0.5^((k - 1) // 400)) end,
    samples = function(k)
      local all = {}
      for i = 1, batch do all[i] = value(1000000 * seed + batch * k + i) end
      return all
    end,
  }
end

print(("relative errors, %d seeds: mean (least to greatest)"):format(seeds))
for _, case in ipairs {
  { "SC (N = 1)", { basis = 1 }, "0.85 to 0.29" },
  { "HC, N = 8", { basis = 8, split = { 1, 1 }, points = 600 }, "0.50 to 0.23" },
  { "MoE, N = 8, 1 x 4", { basis = 8, split = { 1, 4 }, points = 150 }, "- to 0.22 .. 0.30" },
} do
  local all, seconds, undefined = training.seeds(seeds, function(seed) return make(case[2], seed) end, options)
  local shown = {}
  for _, k in ipairs { 0, 200, steps } do
    if all[k] and not shown[k] then print(("%-18s %4d steps  %s"):format(case[1], k, training.range(all[k]))) end
    shown[k] = true
  end
  print(("%-18s prototype, 1000 steps: %s; %.3f s of processor time a step, %d gradients undefined"):format("", case[3], seconds, undefined))
end
