-- SPDX-License-Identifier: Apache-2.0
-- Shows: two levels. A road owner sets tolls on two of three routes, drivers then spread until no route is better (Beckmann's problem, with the
-- tolls in it); the tolls that earn most. Two methods of first order, and a grid of tolls as a check.

local peri = require "perigee"

local route = { { free = 4, slope = 0.4, toll = true }, { free = 6, slope = 0.2, toll = true }, { free = 10, slope = 0.3 } } -- minutes
local demand = 10 -- thousand drivers

local function problem()
  local owner = peri.model "owner"
  local toll = owner:var("toll", 2, { lower = 0, upper = 12, start = 2 }) -- in minutes
  local drivers = owner:lower "drivers"
  local flow = drivers:var("flow", 3, { lower = 0, upper = demand, start = demand / 3 })
  local cost = toll:dot(flow:slice(1, 2))
  for i, r in ipairs(route) do cost = cost + r.free * flow[i] + r.slope * flow[i]^2 / 2 end
  drivers:minimize(cost)
  drivers:subject_to("demand", flow:sum():eq(demand))
  owner:maximize(toll:dot(flow:slice(1, 2)))
  return owner, toll, flow
end

print("method            toll 1  toll 2   flow 1  flow 2  flow 3   revenue")
local settings = {
  { "lv-hba", { c0 = 10, p = 0.4, iterations = 20000 } },
  { "penalty-bilevel", { sigma = 0.002, alpha = 0.02, inner = 60, iterations = 3000 } },
}
for _, setting in ipairs(settings) do
  local owner, toll, flow = problem()
  local s = owner:solve(setting[1], setting[2])
  local t, f = s:value(toll), s:value(flow)
  print(("%-16s %7.1f %7.1f  %7.1f %7.1f %7.1f  %8.1f"):format(setting[1], t[1], t[2], f[1], f[2], f[3], s.objective))
end

--- Flows at given tolls where all routes are used: their costs are one number c.
local function revenue(a, b)
  local share, sum = 0, demand
  for i, r in ipairs(route) do
    share = share + 1 / r.slope
    sum = sum + (r.free + (i == 1 and a or i == 2 and b or 0)) / r.slope
  end
  local c = sum / share
  local f1, f2, f3 = (c - 4 - a) / 0.4, (c - 6 - b) / 0.2, (c - 10) / 0.3
  return f1 >= 0 and f2 >= 0 and f3 >= 0 and a * f1 + b * f2 or 0
end

local best, at = 0, {}
for a = 0, 12, 0.02 do
  for b = 0, 12, 0.02 do
    local r = revenue(a, b)
    if r > best then best, at = r, { a, b } end
  end
end
print(("%-16s %7.1f %7.1f  %33.1f"):format("grid", at[1], at[2], best))
