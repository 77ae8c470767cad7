-- SPDX-License-Identifier: Apache-2.0
-- Shows: a flow in two dimensions. The vorticity of a fluid on a periodic square moves with the fluid, w_t + u w_x + v w_y = nu (w_xx + w_yy), and the velocity
-- (u, v) is that of the stream function, -(psi_xx + psi_yy) = w. A network gives basis functions of (x, y, t), which four experts, one for each quarter of
-- the square, weight such that the equation holds. Beside it the solution of the same differences in space by Runge-Kutta steps.

local peri = require "perigee"
local hc = require "perigee.hard_constraints"
local nn = require "perigee.nn"

local nx, nt, nu, horizon = 12, 9, 1e-3, 1
local cells, h, dt = nx * nx, 1 / nx, horizon / (nt - 1)
local around = { spacing = h, periodic = true }
local space, whole = { nx, nx }, { nx, nx, nt } -- rows of fields: x, y, t, the last fastest

-- what follows from the vorticity at one time, matrices
local Dx, Dy = hc.derivative(space, 1, 1, around), hc.derivative(space, 2, 1, around)
local Lap = hc.derivative(space, 1, 2, around) + hc.derivative(space, 2, 2, around)
local identity = {}
for i = 1, cells do
  identity[i] = {}
  for j = 1, cells do identity[i][j] = i == j and 1 or 0 end
end
identity = peri.array(identity)
local stream = peri.solve(peri.ones(cells, cells) / cells - Lap % identity, identity) -- of mean zero
local maps = { u = Dy % stream, v = -(Dx % stream), wx = Dx % identity, wy = Dy % identity, lap = Lap % identity }

local function tendency(w) return nu * (maps.lap % w) - (maps.u % w) * (maps.wx % w) - (maps.v % w) * (maps.wy % w) end

local w0 = {}
for i = 0, nx - 1 do
  for j = 0, nx - 1 do
    local x, y = 2 * math.pi * i * h, 2 * math.pi * j * h
    w0[i * nx + j + 1] = math.sin(x) * math.cos(y) + 0.7 * math.cos(x + 0.5) + 0.4 * math.sin(2 * y - x)
  end
end
w0 = peri.array(w0) * 2

local function reference()
  local columns, w, s = { w0 }, w0, dt / 4
  for row = 2, nt do
    for _ = 1, 4 do
      local a = tendency(w)
      local b = tendency(w + s / 2 * a)
      local c = tendency(w + s / 2 * b)
      w = w + s / 6 * (a + 2 * b + 2 * c + tendency(w + s * c))
    end
    columns[row] = w
  end
  return peri.hstack(table.unpack(columns)):reshape(cells * nt, 1)
end

local place, time, inputs = {}, {}, {}
for row = 0, cells * nt - 1 do
  local cell, t = row // nt, row % nt * dt
  local x, y = 2 * math.pi * (cell // nx) * h, 2 * math.pi * (cell % nx) * h
  place[row + 1], time[row + 1] = cell + 1, t
  inputs[row + 1] = { t, math.sin(x), math.cos(x), math.sin(y), math.cos(y) }
end
time = peri.array(time)

local m = peri.model "flow"
local net = nn.network(m, "net", 9, { nn.dense(32), nn.gelu, nn.dense(32), nn.gelu, nn.dense(6) }, { seed = 3 })
local b = time * net(peri.hstack(peri.array(inputs), w0[place], tendency(w0)[place], 3 * (maps.u % w0)[place], 3 * (maps.v % w0)[place])) -- zero at t = 0: w = w0 + b . weights
local fields, offsets = { wt = hc.derivative(whole, 3, 1, { spacing = dt }) % b }, {}
for name, map in pairs(maps) do
  fields[name] = (map % b:reshape(cells, nt * 6)):reshape(cells * nt, 6)
  offsets[name] = (map % w0)[place]
end
local function residual(f) return f.wt + f.u * f.wx + f.v * f.wy - nu * f.lap end
local layer = hc.layer(m, "flow", { grid = whole, split = { 2, 2, 1 }, points = 150, seed = 1, fields = fields, offsets = offsets, residual = residual })
local all = {}
for name in pairs(fields) do all[name] = layer:field(name) end
local w = layer:field("w", b, w0[place])
m:minimize(residual(all):norm2())

local exact = reference()
local function miss(values) return (values - exact):norm2() / exact:norm2() end
print(("what does not move is off by %.2f of the solution's size"):format(miss(w0[place])))
print(("before training           %.2f"):format(miss(w:value())))
local trained = m:solve("adam", { rate = 5e-3, iterations = 500, clip = 1, schedule = "cosine", tolerance = 0 })
local values = trained:value(w)
print(("after it                  %.2f"):format(miss(values)))
print("\n   x = y    t = 0   t = 0.5     t = 1   solution at t = 1")
for i = 0, nx - 1, 2 do
  local row = (i * nx + i) * nt
  print(("%8.3f %8.1f %9.1f %9.1f %9.1f"):format(i * h, values[row + 1], values[row + (nt + 1) // 2], values[row + nt], exact[row + nt]))
end
