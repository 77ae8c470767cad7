-- SPDX-License-Identifier: Apache-2.0
-- Shows: the solution of an inner problem inside an outer one, low:argmin: how strong should the regularisation be?
-- Two species of iris told apart by four lengths (see 03-logistic-regression.lua), from 30 of the flowers; the strength that suits the other 70 best
-- is found by derivatives through the fit.

local peri = require "perigee"

local here = arg[0]:match("^(.*)/[^/]*$") or "."
local flowers = peri.data.csv(here .. "/03-logistic-regression.csv")
local names = { "sepal_length", "sepal_width", "petal_length", "petal_width" }
local lengths, label = flowers:matrix(names), {}
for i, species in ipairs(flowers.columns.species) do label[i] = species == "virginica" and 1 or -1 end
local fitted, held = {}, {}
for i = 1, #label do
  local list = i % 10 < 3 and fitted or held
  list[#list + 1] = i
end

local up = peri.model "strength"
local lambda = up:var("lambda", { lower = -12, upper = 4, start = 0 }) -- the strength's logarithm
local low = up:lower "fit"
local w, intercept = low:var("w", #names), low:var("intercept")
local function loss(list)
  return peri.mean(peri.softplus(-peri.array(label)[list] * (lengths[list] % w + intercept)))
end
low:minimize(loss(fitted) + 0.5 * peri.exp(lambda) * w:dot(w))
local weights, offset = low:argmin { solver = "trust-ncg" }

local validation = peri.substitute(loss(held), { [w] = weights, [intercept] = offset })
print "log strength   loss on the others   its derivative"
local slope = peri.grad(validation, lambda)
for _, at in ipairs { -10, -8, -6, -4, -2, 0 } do
  print(("%8d        %.5f             %9.5f"):format(at, validation:value { [lambda] = at }, slope:value { [lambda] = at }))
end

up:minimize(loss(held)) -- reads w and intercept: the solution of the fit
local sol = up:solve("lbfgs")
print(("best: log strength %.2f, loss %.5f (%s)"):format(sol[lambda], sol.objective, sol.status))
print(("weights %.2f %.2f %.2f %.2f"):format(table.unpack(sol[w]:totable())))
