-- SPDX-License-Identifier: Apache-2.0
-- Shows: constraints, bounds, and what their multipliers tell.
-- Problem 71 of Hock and Schittkowski (1981); a right-hand side is a parameter, so that it can be changed afterwards.

local peri = require "perigee"

local m = peri.model "hs071"
local x = m:var("x", 4, { lower = 1, upper = 5, start = { 1, 5, 5, 1 } })
local volume = m:param("volume", 25)

m:minimize(x[1] * x[4] * (x[1] + x[2] + x[3]) + x[3])
local product = m:subject_to("product", x[1] * x[2] * x[3] * x[4] >= volume)
local sphere = m:subject_to("sphere", x:dot(x):eq(40))

local sol = m:solve("ipm", { tolerance = 1e-9 })
print(("objective  %.7f"):format(sol.objective))
print("variable   value     reduced cost")
for i = 1, #x do
  local cost = sol:reduced_cost(x)[i]
  print(("x[%d]    %9.5f  %9.5f"):format(i, sol[x][i], math.abs(cost) < 1e-6 and 0 or cost))
end
print(("product   dual %9.5f"):format(sol:dual(product)))
print(("sphere    dual %9.5f"):format(sol:dual(sphere)))

-- A multiplier is the derivative of the optimum with respect to its constraint's right-hand side.
local step = 0.01
volume:set(25 + step)
local up = m:solve("ipm", { tolerance = 1e-9 })
volume:set(25 - step)
local down = m:solve("ipm", { tolerance = 1e-9 })
print(("slope by two more solves %9.5f"):format((up.objective - down.objective) / (2 * step)))
