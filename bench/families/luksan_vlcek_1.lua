-- SPDX-License-Identifier: Apache-2.0
-- Problem 5.1 of L. Luksan and J. Vlcek, Sparse and partially separable test problems for unconstrained and equality constrained
-- optimization, report V-767, ICS Prague, 1999: chained Rosenbrock function with trigonometric-exponential constraints.

local peri = require "perigee"
local sin, exp = peri.sin, peri.exp

local family = {
  about = "Luksan-Vlcek 5.1: chained Rosenbrock, trigonometric-exponential constraints",
  targets = { constraints = 0.5, jacobian = 0.6, hessian = 0.6 }, -- the polynomial's are for n >= 10^5
}

function family.instances(mode)
  if mode == "check" then return { { label = "map", n = 20, way = "map" }, { label = "loop", n = 21, way = "loop" } } end
  local all = { { label = "n = 10000, map", n = 10000, way = "map" }, { label = "n = 10000, loop", n = 10000, way = "loop" } }
  if mode == "full" then all[3] = { label = "n = 1000000, map", n = 1000000, way = "map",
    targets = { gradient = 1.2, constraints = 0.5, jacobian = 0.6, hessian = 0.6 } } end
  return all
end

local function constraint(x, k)
  return 3 * x[k + 1]^3 + 2 * x[k + 2] - 5 + sin(x[k + 1] - x[k + 2]) * sin(x[k + 1] + x[k + 2]) + 4 * x[k + 1]
    - x[k] * exp(x[k] - x[k + 1]) - 3
end

local ways = {}

function ways.map(m, x, n)
  m:minimize(peri.map(n - 1, function(i) return 100 * (x[i]^2 - x[i + 1])^2 + (x[i] - 1)^2 end):sum())
  m:subject_to(peri.map(n - 2, function(k) return constraint(x, k) end):eq(0))
end

function ways.loop(m, x, n)
  local sum = 0
  for i = 1, n - 1 do sum = sum + 100 * (x[i]^2 - x[i + 1])^2 + (x[i] - 1)^2 end
  m:minimize(sum)
  for k = 1, n - 2 do m:subject_to(constraint(x, k):eq(0)) end
end

function family.build(instance)
  local n = instance.n
  local m = peri.model "luksan-vlcek 5.1"
  local start = {}
  for i = 1, n do start[i] = i % 2 == 1 and -1.2 or 1 end
  local x = m:var("x", n, { start = peri.array(start) })
  ways[instance.way](m, x, n)
  return m, { n }
end

return family
