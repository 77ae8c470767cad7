-- SPDX-License-Identifier: Apache-2.0
-- Shows: a boundary value problem whose rows every expert has. A pollutant seeps into soil, u_t = D / R(u) u_xx, where R slows what the soil takes up: u = 1 on
-- the left, what flows out on the right is carried away. A network gives basis functions that four experts weight; initial and boundary values are rows of
-- all of them ("everywhere"). Beside it the solution by small Euler steps on a grid twice as fine.

local peri = require "perigee"
local hc = require "perigee.hard_constraints"
local nn = require "perigee.nn"

local nx, nt, u0 = 32, 21, 0.1
local dx, dt, D, horizon = 1 / (nx - 1), 1 / (nt - 1), 5e-4, 500 -- time is counted in parts of the horizon
local slope = (1 - 0.29) / 0.29 * 2880 * 3.5e-4 * 0.874

--- D / R in these units. The positive part of u is rounded, so that derivatives exist everywhere.
local function mobility(u)
  local v = 0.5 * (u + (u^2 + 1e-6)^0.5) + 1e-6
  return D * horizon / (1 + slope * v^(0.874 - 1))
end

local function reference()
  local n, inner = 2 * nx - 1, 200
  local h, u, all = dx / 2, {}, {}
  for i = 1, n do u[i] = u0 end
  for row = 1, nt do
    for i = 1, n, 2 do all[#all + 1] = u[i] end
    for _ = 1, row < nt and inner or 0 do
      local v = { 1 }
      for i = 2, n - 1 do v[i] = u[i] + dt / inner * mobility(u[i]) * (u[i - 1] - 2 * u[i] + u[i + 1]) / h^2 end
      v[n] = D * (4 * v[n - 1] - v[n - 2]) / (2 * h + 3 * D) -- u = -D u_x
      u = v
    end
  end
  return peri.array(all)
end

local first, left, right, inputs, weight = {}, {}, {}, {}, {}
for row = 0, nx * nt - 1 do
  local t, x = row // nx * dt, row % nx * dx
  local list = row < nx and first or row % nx == 0 and left or row % nx == nx - 1 and right
  if list then list[#list + 1] = row + 1 end
  weight[row + 1] = list and 0 or 0.1 -- of the equation's rows: those of the other list are values, which it is to leave alone
  inputs[row + 1] = { t, x, math.sqrt(t), x / math.sqrt(t + 0.05) }
end
weight = peri.array(weight)

local m = peri.model "sorption"
local net = nn.network(m, "net", 4, { nn.dense(24), nn.gelu, nn.dense(24), nn.gelu, nn.dense(6) }, { seed = 1 })
local b = net(peri.array(inputs))
local f = { u = b, ut = hc.derivative({ nt, nx }, 1, 1, { spacing = dt }) % b, uxx = hc.derivative({ nt, nx }, 2, 2, { spacing = dx }) % b,
  ux = hc.derivative({ nt, nx }, 2, 1, { spacing = dx }) % b }
local function equation(g) return g.weight * (g.ut - mobility(g.u) * g.uxx) end
local function initial(g) return (g.u - u0) / u0 end
local function inflow(g) return g.u - 1 end
local function outflow(g) return g.u + D * g.ux end
local layer = hc.layer(m, "sorption", {
  grid = { nt, nx }, split = { 1, 4 }, points = 100, seed = 1, start = 1, iterations = 200, residual = equation,
  fields = { u = f.u, ut = f.ut, uxx = f.uxx }, data = { weight = weight },
  everywhere = {
    { fields = { u = b[first] }, residual = initial }, { fields = { u = b[left] }, residual = inflow },
    { fields = { u = b[right], ux = f.ux[right] }, residual = outflow },
  },
})
local g = { weight = weight }
for name, F in pairs(f) do g[name] = layer:field(name, F) end
local loss = equation(g):norm2() + initial { u = g.u[first] }:norm2() + inflow { u = g.u[left] }:norm2() + outflow { u = g.u[right], ux = g.ux[right] }:norm2()
m:minimize(loss)

local exact = reference()
local function miss(values) return (values - exact):norm2() / exact:norm2() end
print(("before training the solution is off by %.1f of its size"):format(miss(g.u:value())))
local trained = m:solve("adam", { rate = 5e-3, iterations = 600, clip = 1, schedule = "cosine", tolerance = 0 })
local u = trained:value(g.u)
print(("after it                        off by %.1f"):format(miss(u)))
print("\n   x    t = 100   solution    t = 500   solution")
for i = 1, nx, 4 do
  local early, late = 4 * nx + i, (nt - 1) * nx + i
  print(("%.3f %9.1f %10.1f %10.1f %10.1f"):format((i - 1) * dx, u[early], exact[early], u[late], exact[late]))
end
