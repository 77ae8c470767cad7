-- SPDX-License-Identifier: Apache-2.0
-- Shows: a network that fulfils an equation by construction. Fisher's equation u_t = nu u_xx + 2 u (1 - u) on a circle: a network gives basis functions of
-- (t, x) that four experts, one for each part of space, weight such that the equation holds at points of theirs; the network is trained through that, without
-- knowing the solution. Beside it the solution by small Euler steps.

local peri = require "perigee"
local hc = require "perigee.hard_constraints"
local nn = require "perigee.nn"

local nx, nt, nu = 32, 17, 0.005
local n, dx, dt = nx * nt, 1 / nx, 1 / (nt - 1)

local initial, place, time, inputs = {}, {}, {}, {}
for i = 1, nx do initial[i] = 0.5 + 0.3 * math.sin(2 * math.pi * i * dx) + 0.1 * math.cos(4 * math.pi * i * dx) end
for row = 0, n - 1 do
  local t, x = row // nx * dt, (row % nx + 1) * dx
  place[row + 1], time[row + 1] = row % nx + 1, t
  inputs[row + 1] = { t, math.sin(2 * math.pi * x), math.cos(2 * math.pi * x) }
end

--- The solution on the grid; each of its steps in time is made of 20 small ones.
local function reference()
  local u, all = table.move(initial, 1, nx, 1, {}), {}
  for row = 1, nt do
    table.move(u, 1, nx, #all + 1, all)
    for _ = 1, row < nt and 20 or 0 do
      local v = {}
      for i = 1, nx do
        local curve = (u[(i - 2) % nx + 1] - 2 * u[i] + u[i % nx + 1]) / dx^2
        v[i] = u[i] + dt / 20 * (nu * curve + 2 * u[i] * (1 - u[i]))
      end
      u = v
    end
  end
  return peri.array(all)
end

local m = peri.model "fisher"
local u0 = peri.array(initial)[place]
local t, Dt = peri.array(time), hc.derivative({ nt, nx }, 1, 1, { spacing = dt })
local Dxx = hc.derivative({ nt, nx }, 2, 2, { spacing = dx, periodic = true })
local net = nn.network(m, "net", 4, { nn.dense(24), nn.gelu, nn.dense(24), nn.gelu, nn.dense(4) }, { seed = 2 })
local basis = t * net(peri.hstack(peri.array(inputs), u0)) -- zero at t = 0: the initial values hold exactly

local function residual(f) return f.ut - nu * f.uxx - 2 * f.u * (1 - f.u) end
local layer = hc.layer(m, "fisher", {
  grid = { nt, nx }, split = { 1, 4 }, points = 60, seed = 1, residual = residual,
  fields = { u = basis, ut = Dt % basis, uxx = Dxx % basis }, offsets = { u = u0, uxx = Dxx % u0 },
})
local u = layer:field "u"
m:minimize(residual { u = u, ut = layer:field "ut", uxx = layer:field "uxx" }:norm2())

local exact = reference()
local function miss(values) return 100 * (values - exact):norm2() / exact:norm2() end
print(("before training: the residuals' norm is %6.2f, the solution is %.1f %% off"):format(m:solve("adam", { iterations = 0 }).objective, miss(u:value())))
local trained = m:solve("adam", { rate = 5e-3, iterations = 400, clip = 1, schedule = "cosine", tolerance = 0 })
print(("after it:        the residuals' norm is %6.2f, the solution is %.1f %% off"):format(trained.objective, miss(trained:value(u))))
print("\n   x     t = 0   t = 0.5     t = 1   solution at t = 1")
local values = trained:value(u)
for i = 4, nx, 4 do
  print(("%.3f %9.2f %9.2f %9.2f %9.2f"):format(i * dx, values[i], values[nt // 2 * nx + i], values[n - nx + i], exact[n - nx + i]))
end
