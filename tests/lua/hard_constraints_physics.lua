-- SPDX-License-Identifier: Apache-2.0
-- hard_constraints_physics.lua - layers on equations that are not linear: a flow in two dimensions and diffusion with sorption, whose solutions by
-- Runge-Kutta steps are found again among basis functions, by all partitions, both rules and several samples at once.
local peri = require "perigee"
local tap = require "tap"
local hc = require "perigee.hard_constraints"

--- Rows of a long column, `size` of them from `first` on.
local function slice(first, size)
  local rows = {}
  for i = 1, size do rows[i] = first + i - 1 end
  return rows
end

--- u and u' at times 0, step, ..., u' = f(u), by the classical method with `inner` steps between; columns
local function integrate(f, u, times, step, inner)
  local columns, slopes, h = {}, {}, step / inner
  for time = 1, times do
    columns[time], slopes[time] = u, f(u)
    for _ = 1, time < times and inner or 0 do
      local a = f(u)
      local b = f(u + h / 2 * a)
      local c = f(u + h / 2 * b)
      u = u + h / 6 * (a + 2 * b + 2 * c + f(u + h * c))
    end
  end
  return peri.hstack(table.unpack(columns)), peri.hstack(table.unpack(slopes))
end

-- ---- a flow: w_t + u w_x + v w_y = nu lap w on 8 x 8 points around, 5 times; rows are x, y, t

local nx, nt, nu = 8, 5, 0.01
local cells = nx * nx
local around = { spacing = 1 / nx, periodic = true }
local unit = {}
for i = 1, cells do
  unit[i] = {}
  for j = 1, cells do unit[i][j] = i == j and 1 or 0 end
end
unit = peri.array(unit)
local Dx, Dy = hc.derivative({ nx, nx }, 1, 1, around), hc.derivative({ nx, nx }, 2, 1, around)
local Lap = (hc.derivative({ nx, nx }, 1, 2, around) + hc.derivative({ nx, nx }, 2, 2, around)) % unit
local stream = peri.solve(peri.ones(cells, cells) / cells - Lap, unit)
local maps = { u = Dy % stream, v = -(Dx % stream), wx = Dx % unit, wy = Dy % unit, lap = Lap }
local function tendency(w) return nu * (maps.lap % w) - (maps.u % w) * (maps.wx % w) - (maps.v % w) * (maps.wy % w) end

local function waves(seed)
  local c, w = peri.random.normal { rows = 6, cols = 1, seed = seed }, {}
  for i = 0, nx - 1 do
    for j = 0, nx - 1 do
      local x, y = 2 * math.pi * i / nx, 2 * math.pi * j / nx
      w[i * nx + j + 1] = c[1] * math.sin(x) + c[2] * math.cos(y) + c[3] * math.sin(x + y) + c[4] * math.cos(x - y) + c[5] * math.sin(2 * y) + c[6] * math.cos(x)
    end
  end
  return peri.array(w)
end

-- sample s: what it changes by is the first basis function, what other flows change by are the others
local N, S = 5, 2
local basis, speeds, starts, truths = {}, {}, {}, {}
for s = 1, S do
  local columns, slopes = {}, {}
  for k = 1, N do
    local w0 = waves(10 * s + k)
    local w, slope = integrate(tendency, w0, nt, 0.1, 8)
    columns[k] = (w - w0):reshape(cells * nt, 1)
    slopes[k] = slope:reshape(cells * nt, 1)
    if k == 1 then starts[s], truths[s] = w0, w:reshape(cells * nt, 1) end
  end
  basis[s], speeds[s] = peri.hstack(table.unpack(columns)), peri.hstack(table.unpack(slopes))
end
local place = {}
for row = 0, cells * nt - 1 do place[row + 1] = row // nt + 1 end

local function flow(samples, scale, more)
  local fields, offsets, lists = {}, {}, {}
  for s = 1, samples do
    local b = scale * basis[s]
    local f = { w = b, wt = scale * speeds[s] }
    for name, map in pairs(maps) do f[name] = (map % b:reshape(cells, nt * N)):reshape(cells * nt, N) end
    for name, F in pairs(f) do
      lists[name] = lists[name] or {}
      lists[name][s] = F
    end
    for name, map in pairs(maps) do
      offsets[name] = offsets[name] or {}
      offsets[name][s] = (map % starts[s])[place]
    end
    offsets.w = offsets.w or {}
    offsets.w[s] = starts[s][place]
  end
  for name, list in pairs(lists) do fields[name] = peri.stack(list) end
  for name, list in pairs(offsets) do offsets[name] = peri.stack(list) end
  local o = { grid = { nx, nx, nt }, samples = samples, seed = 3, ridge = 0, fields = fields, offsets = offsets,
    residual = function(f) return f.wt + f.u * f.wx + f.v * f.wy - nu * f.lap end }
  for key, value in pairs(more) do o[key] = value end
  return o
end

local m = peri.model "flow"
local scale = m:var("scale", { start = 1 })
local function layer_of(name, samples, more) return hc.layer(m, name, flow(samples, scale, more)) end
for i, split in ipairs { { 1, 1, 1 }, { 1, 4, 1 }, { 4, 1, 1 }, { 2, 2, 1 } } do
  for j, rule in ipairs { "jaxopt", "optimistix" } do
    local layer = layer_of(("flow %d %d"):format(i, j), 1, { split = split, points = 60, rule = rule })
    local miss = (layer:field "w" - truths[1]):norminf():value()
    tap.ok(miss < 1e-9, ("a flow, %d x %d parts, %s: off by %.1e"):format(split[1], split[2], rule, miss))
  end
end
local pair = layer_of("pair", 2, { split = { 2, 2, 1 }, points = 60 })
tap.is(#pair.w, 8, "two samples of four experts")
local both = pair:field "w"
tap.ok((both - peri.stack(truths)):norminf():value() < 1e-9, "are found again at once")
local inside = true
for _, row in ipairs(pair.points[6]) do inside = inside and row > cells * nt and row <= 2 * cells * nt end
tap.ok(inside and #pair.points[6] == 60, "points of the second sample are its own")

-- weights are 1 / scale where the basis is scale times as large: dw / dscale = -w, whatever the residuals' curvature is
local slope = peri.grad(peri.stack(pair.w):sum(), scale):value()
tap.ok(math.abs(slope + peri.stack(pair.w):sum():value()) < 1e-7, ("derivatives through the flow's experts: %.9f"):format(slope))

-- the same fields with a residual that is not zero: two samples at once and one by one, with other points in a test
local function forced(samples, more)
  local o = flow(samples, scale, more)
  o.residual = function(f) return f.wt + f.u * f.wx + f.v * f.wy - 3 * nu * f.lap end
  o.ridge = 1e-4
  return hc.layer(m, "forced" .. samples, o)
end
local together, alone = forced(2, { split = { 2, 2, 1 } }), forced(1, { split = { 2, 2, 1 } })
local value, other = together:field "w"[slice(1, cells * nt)], alone:field "w"
tap.ok((value - other):norminf():value() < 1e-10, "a sample does not know of the other")
local by = peri.random.normal { rows = cells * nt, cols = 1, seed = 5 }
local one, two = (value * by):sum(), (other * by):sum()
tap.ok(math.abs((peri.grad(one, scale) - peri.grad(two, scale)):value()) < 1e-8, "nor do its derivatives")
local h = 1e-5
local difference = (one:value { [scale] = 1 + h } - one:value { [scale] = 1 - h }) / (2 * h)
tap.ok(math.abs(peri.grad(one, scale):value() - difference) <= 1e-6 * math.max(1, math.abs(difference)), "which are differences'")

-- ---- diffusion with sorption: u = 1 on the left, u = -D u_x on the right, u0 at first; 24 points, 9 times; rows are t, x

local mx, mt, D, horizon = 24, 9, 5e-4, 500
local dx, dt = 1 / (mx - 1), 1 / (mt - 1)
local slope_R = (1 - 0.29) / 0.29 * 2880 * 3.5e-4 * 0.874
local function mobility(u) return D * horizon / (1 + slope_R * (u + 1e-6)^(0.874 - 1)) end
local inner = slice(2, mx - 2)
local Dxx, D1 = hc.derivative({ mx }, 1, 2, { spacing = dx }), hc.derivative({ mx }, 1, 1, { spacing = dx })

--- Values at the points between; the first and the last follow.
local function whole(v)
  local n = #v
  return peri.stack { 1, v, D * (4 * v[n] - v[n - 1]) / (2 * dx + 3 * D) }
end
local function rate(v) return mobility(v) * (Dxx % whole(v))[inner] end
local function sorbed(u0)
  local v, slopes = integrate(rate, peri.ones(mx - 2, 1) * u0, mt, dt, 60)
  local columns, changes = {}, {}
  for time = 1, mt do
    local rows = {}
    for i = 1, mx - 2 do rows[i] = (i - 1) * mt + time end
    columns[time], changes[time] = whole(v:reshape((mx - 2) * mt, 1)[rows]), peri.stack { 0, slopes:reshape((mx - 2) * mt, 1)[rows], 0 }
  end
  return peri.stack(columns), peri.stack(changes)
end
local columns, changes = {}, {}
for k, u0 in ipairs { 0.1, 0.02, 0.2, 0.4 } do columns[k], changes[k] = sorbed(u0) end
local B, Bt = peri.hstack(table.unpack(columns)), peri.hstack(table.unpack(changes))
local grid = { mt, mx }
local all_xx, all_x = hc.derivative(grid, 2, 2, { spacing = dx }), hc.derivative(grid, 2, 1, { spacing = dx })
local first, left, right, weight = slice(2, mx - 2), {}, {}, {}
for row = 0, mt * mx - 1 do
  local edge = row % mx == 0 and left or row % mx == mx - 1 and right
  weight[row + 1] = edge and 0 or 1
  if edge then edge[#edge + 1] = row + 1 end
end
local sorption = peri.model "sorption"
for i, split in ipairs { { 1, 1 }, { 1, 4 }, { 3, 2 } } do
  local layer = hc.layer(sorption, "sorption" .. i, {
    grid = grid, split = split, rule = "optimistix", start = 1, ridge = 0, iterations = 100,
    fields = { u = B, ut = Bt, uxx = all_xx % B }, data = { weight = peri.array(weight) },
    residual = function(f) return f.weight * (f.ut - D * horizon * f.uxx / (1 + slope_R * (peri.max2(f.u, 0) + 1e-6)^(0.874 - 1))) end,
    everywhere = {
      { fields = { u = B[first] }, residual = function(f) return (f.u - 0.1) / 0.1 end },
      { fields = { u = B[left] }, residual = function(f) return f.u - 1 end },
      { fields = { u = B[right], ux = (all_x % B)[right] }, residual = function(f) return f.u + D * f.ux end },
    },
  })
  local miss = (layer:field "u" - columns[1]):norminf():value()
  tap.ok(miss < 1e-8, ("sorption, %d x %d parts: off by %.1e"):format(split[1], split[2], miss))
end
tap.done()
