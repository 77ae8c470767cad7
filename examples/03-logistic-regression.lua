-- SPDX-License-Identifier: Apache-2.0
-- Shows: a data file, matrix products, and a fit with regularisation.
-- Two species of iris told apart by four lengths: the 50 + 50 flowers of Iris versicolor and Iris virginica measured by
-- E. Anderson and published by R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of
-- Eugenics 7 (1936); in cm, in 03-logistic-regression.csv.

local peri = require "perigee"

local here = arg[0]:match("^(.*)/[^/]*$") or "."
local flowers = peri.data.csv(here .. "/03-logistic-regression.csv")
local names = { "sepal_length", "sepal_width", "petal_length", "petal_width" }
local lengths = flowers:matrix(names)
local label = {} -- +1 virginica, -1 versicolor
for i, species in ipairs(flowers.columns.species) do label[i] = species == "virginica" and 1 or -1 end
local y = peri.array(label)

local m = peri.model "iris"
local w = m:var("w", #names)
local intercept = m:var("intercept")
local strength = m:param("strength", 0.01)
local margin = y * (lengths % w + intercept)
m:minimize(peri.mean(peri.softplus(-margin)) + 0.5 * strength * w:dot(w))

local function right(sol)
  local count = 0
  for _, value in ipairs(sol:value(margin):totable()) do
    if value > 0 then count = count + 1 end
  end
  return count
end

print("strength   loss       " .. table.concat(names, "  ") .. "  right")
for _, value in ipairs { 1, 0.1, 0.01, 0.001 } do
  strength:set(value)
  local sol = m:solve("trust-ncg", { tolerance = 1e-8 })
  local fit = sol[w]
  print(("%8g   %.6f   %11.4f  %11.4f  %12.4f  %11.4f  %d of %d"):format(value, sol.objective, fit[1], fit[2], fit[3],
    fit[4], right(sol), flowers.rows))
end
