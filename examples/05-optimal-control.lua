-- SPDX-License-Identifier: Apache-2.0
-- Shows: optimal control by collocation; peri.map writes one equation and gives it for every time step.
-- Bernoulli's brachistochrone (1696): the slide from (0, 0) to a point 2 m to the right and 1 m below on which a bead
-- arrives soonest. State: position x, depth y, speed v; control: the slope's angle; the final time is a variable.
-- Trapezoidal collocation. The answer is known, a cycloid.

local peri = require "perigee"

local n, g = 200, 9.81
local x_end, y_end = 2, 1

local m = peri.model "brachistochrone"
local function state(name, last)
  local start = {}
  for k = 0, n do start[k + 1] = last * k / n end
  return m:var(name, n + 1, { start = start })
end
local x, y, v = state("x", x_end), state("y", y_end), state("v", math.sqrt(2 * g * y_end))
local angle = m:var("angle", n + 1, { lower = -math.pi / 2, upper = math.pi / 2, start = 0.5 })
local time = m:var("time", { lower = 0.1, start = 1 })
local h = time / n

m:minimize(time)
m:subject_to("x_motion", peri.map(n, function(i)
  return x[i + 1] - x[i] - h / 2 * (v[i] * peri.cos(angle[i]) + v[i + 1] * peri.cos(angle[i + 1]))
end):eq(0))
m:subject_to("y_motion", peri.map(n, function(i)
  return y[i + 1] - y[i] - h / 2 * (v[i] * peri.sin(angle[i]) + v[i + 1] * peri.sin(angle[i + 1]))
end):eq(0))
m:subject_to("speed", peri.map(n, function(i)
  return v[i + 1] - v[i] - h / 2 * g * (peri.sin(angle[i]) + peri.sin(angle[i + 1]))
end):eq(0))
m:subject_to("ends", x[1]:eq(0), y[1]:eq(0), v[1]:eq(0), x[n + 1]:eq(x_end), y[n + 1]:eq(y_end))

local sol = m:solve("ipm")

--- The cycloid x = r (t - sin t), y = r (1 - cos t) through the end point, by bisection: the time is t sqrt(r / g).
local function cycloid_time()
  local low, high = 1e-6, 2 * math.pi - 1e-6
  for _ = 1, 100 do
    local t = (low + high) / 2
    if (t - math.sin(t)) / (1 - math.cos(t)) < x_end / y_end then low = t else high = t end
  end
  return low * math.sqrt(y_end / (1 - math.cos(low)) / g)
end

print(("status %s"):format(sol.status))
print(("time by collocation in %d steps  %.4f s"):format(n, sol[time]))
print(("time on the cycloid             %.4f s"):format(cycloid_time()))
print(("time on the straight line       %.4f s"):format(math.sqrt(2 * (x_end ^ 2 + y_end ^ 2) / (g * y_end))))
print("     x       depth    speed")
for k = 1, n + 1, n // 5 do
  print(("%8.3f  %8.3f %8.3f"):format(sol[x][k] + 0.0, sol[y][k] + 0.0, sol[v][k] + 0.0))
end
