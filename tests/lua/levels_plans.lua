-- SPDX-License-Identifier: Apache-2.0
-- levels_plans.lua - kkt, value-function and implicit on two-level problems whose answers are known in closed form, and BOLIB's tables where they are there.
local peri = require "perigee"
local t = require "tap"

local FIRST = "augmented-lagrangian > lbfgs"
dofile((os.getenv "PERIGEE_SOURCE" or ".") .. "/examples/plugins/complementarity-penalty.lua")
local plans = { "kkt > ipm", "complementarity-penalty > ipm", "value-function > " .. FIRST, "implicit > " .. FIRST }

--- A model of x, y (lower) from functions of both; its solution by `plan`.
local function solve(p, plan, options)
  local up = peri.model(p.name)
  local x = up:var("x", p.nx or 1, { start = p.x0 or 0, lower = p.lower, upper = p.upper })
  local low = up:lower "low"
  local y = low:var("y", p.ny or 1, { start = p.y0 or 0, lower = p.y_lower, upper = p.y_upper })
  up:minimize(p.F(x, y))
  low:minimize(p.f(x, y))
  for _, c in ipairs(p.G and p.G(x, y) or {}) do up:subject_to(c) end
  for _, c in ipairs(p.g and p.g(x, y) or {}) do low:subject_to(c) end
  local o = { seed = 1 }
  for key, value in pairs(options or {}) do o[key] = value end
  local sol = up:solve(plan, o)
  return sol, sol[x], sol[y]
end

local function found(p, plan, options, tolerance)
  local sol, x, y = solve(p, plan, options)
  local what = ("%s by %s"):format(p.name, plan)
  t.is_close(sol.objective, p.best, tolerance or 1e-5, tolerance or 1e-5, what)
  t.ok(sol.certificate.lower_gap <= 1e-6 and sol.certificate.primal <= 1e-6, what .. ": the lower level is optimal, and rows hold")
  if p.at then
    t.all_close({ x[1], y[1] }, p.at, 100 * (tolerance or 1e-5), 100 * (tolerance or 1e-5), what .. ": where")
  end
  return sol
end

-- ---- closed forms

-- y = x, so F = (x - 1)^2 / 2 + x^2 / 2
local plain = { name = "plain", best = 0.25, at = { 0.5, 0.5 }, x0 = -1,
  F = function(x, y) return (y[1] - 1)^2 / 2 + x[1]^2 / 2 end,
  f = function(x, y) return (y[1] - x[1])^2 / 2 end }
-- y = x in [0, 1]: at the optimum the bound holds it
local held = { name = "held", best = 0.5, at = { 1.5, 1 }, x0 = 0.2, y0 = 0.5, lower = -2, upper = 2, y_lower = 0, y_upper = 1,
  F = function(x, y) return (y[1] - 2)^2 / 2 + (x[1] - 1.5)^2 / 2 end,
  f = function(x, y) return (y[1] - x[1])^2 / 2 end }
-- y = max(3 - x, (3x - 4) / 2) falls and rises again; F is best at the far corner, a local optimum is at (1, 2)
local corner = { name = "corner", best = -12, at = { 4, 4 }, x0 = 2, y0 = 2, lower = 0, upper = 8,
  F = function(x, y) return x[1] - 4 * y[1] end,
  f = function(_, y) return y[1] end,
  g = function(x, y)
    return { (x[1] + y[1]):ge(3), (2 * x[1] - y[1]):ge(0), (2 * x[1] + y[1]):le(12), (3 * x[1] - 2 * y[1]):le(4) }
  end }
-- y = sqrt(x) or -1, whichever is lower: they are worth the same at x = 1/4, the optimum. Of the points that satisfy the lower level's conditions
-- (0, 0) is better, and is no minimum of it (Mitsos and Barton 2006, 3.14)
local folded = { name = "folded", best = 0.25, at = { 0.25, 0.5 }, x0 = 0.1, y0 = 0.1, lower = -1, upper = 1, y_lower = -1, y_upper = 1,
  F = function(x, y) return (x[1] - 0.25)^2 + y[1]^2 end,
  f = function(x, y) return y[1]^3 / 3 - x[1] * y[1] end }
-- the lower rows name x, the upper ones y: y = x, held at x + y <= 1 above
local coupled = { name = "coupled", best = 2 * (0.5 - 2)^2, at = { 0.5, 0.5 }, lower = -5, upper = 5,
  F = function(x, y) return (x[1] - 2)^2 + (y[1] - 2)^2 end,
  G = function(x, y) return { (x[1] + y[1]):le(1) } end,
  f = function(_, y) return -y[1] end,
  g = function(x, y) return { (y[1] - x[1]):le(0) } end }

for _, plan in ipairs(plans) do
  found(plain, plan, nil, 1e-4)
  found(held, plan)
  found(coupled, plan, nil, 1e-4)
end
for _, form in ipairs { "auto", "branch", "relaxation", "product", "fischer-burmeister" } do
  local o = { ["kkt.complementarity"] = form }
  found(plain, "kkt > ipm", o)
  found(held, "kkt > ipm", o)
  found(corner, "kkt > ipm", o)
end
local tied = found(folded, "kkt > ipm", nil, 1e-3)
t.ok(tied.objective >= 0.25 - 1e-4, "a point that only satisfies the lower level's conditions is not taken: " .. tied.objective)
do -- a reformulation in Lua: options, its history, what it refuses
  local sol = found(coupled, "complementarity-penalty > ipm", { ["complementarity-penalty.weight"] = 1e-3 })
  t.ok(sol.status == "locally_optimal" and sol.iterations > 1, "a weight that is too small grows: " .. sol.iterations)
  t.is(sol.history[1].regularization, 1e-3, "its first weight")
  t.is(solve(held, "complementarity-penalty").plan, "complementarity-penalty > ipm", "the rest of the plan is chosen")
  t.is(solve(plain, "complementarity-penalty > ipm", { isolate = true }).status, "locally_optimal", "in a child process")
  t.raises(function() solve(held, "complementarity-penalty > lbfgs") end, '"complementarity-penalty > ipm" fits', "what does not fit behind it")
end
do -- rows below are no rows of the problem that implicit makes; rows above are
  local below = { name = "rows below", best = 0.25, F = plain.F, f = function(x, y) return (y[1] - x[1])^2 / 2 + (y[2] - 1)^2 end, ny = 2,
    g = function(_, y) return { (y[1] + y[2]):le(5) } end }
  found(below, "implicit > lbfgs")
  t.raises(function() solve(coupled, "implicit > lbfgs") end, "refuses constraints", "where there are rows above, lbfgs says why not")
end
t.is(found(plain, "kkt > ipm").status, "locally_optimal", "certified in the problem of two levels")

-- ---- levels inside levels, and beside each other

do
  local up = peri.model "three"
  local x = up:var "x"
  local middle = up:lower "middle"
  local y = middle:var "y"
  local inmost = middle:lower "inmost"
  local z = inmost:var "z"
  inmost:minimize((z - y)^2)
  middle:minimize((y - x)^2 + (z - y)^2)
  up:minimize((z - 1)^2 + x^2)
  local sol = up:solve("kkt > ipm", { seed = 1 })
  t.is_close(sol.objective, 0.5, 1e-5, 1e-5, "three levels: z = y = x")
  t.is_close(sol[z], 0.5, 1e-3, 1e-3, "three levels: the innermost answer")
  t.raises(function() up:solve("complementarity-penalty > ipm") end, '"inmost" lies inside a lower one', "a reformulation in Lua refuses them too")
  t.raises(function() up:solve("implicit > lbfgs") end, "argmin", "implicit refuses levels inside levels, and says what to do")
  t.raises(function() up:solve("kkt > ipm", { ["kkt.complementarity"] = "branch" }) end, "cannot be branched on", "so does branching")
end

do
  local up = peri.model "two followers"
  local x = up:var "x"
  local one, two = up:lower "one", up:lower "two"
  local y, z = one:var "y", two:var "z"
  one:minimize((y - x)^2)
  two:minimize((z + x)^2)
  up:minimize((y - 1)^2 + (z + 2)^2)
  for _, plan in ipairs(plans) do
    t.is_close(up:solve(plan, { seed = 1 }).objective, 0.5, 1e-4, 1e-4, "two followers by " .. plan)
  end
end

-- ---- what goes wrong

do
  local sol = solve({ name = "empty", F = function(x, y) return x[1]^2 + y[1]^2 end, f = function(_, y) return y[1]^2 end,
    g = function(_, y) return { y[1]:le(-1), y[1]:ge(1) } end }, "kkt > ipm")
  t.is(sol.status, "infeasible", "a lower level without feasible points")
end

do
  local done, sol = pcall(solve, { name = "open", lower = -1, upper = 1, F = function(x, y) return x[1]^2 + y[1]^2 end,
    f = function(x, y) return x[1] * y[1] - y[1] * 2 end }, "kkt > ipm", { time_limit = 20 })
  local text = done and sol.status .. " " .. tostring(sol) or sol
  t.ok(not (done and (sol.status == "locally_optimal" or sol.status == "optimal")), "a lower level without a minimum is no solution: " .. text:sub(1, 60))
end

do
  local up = peri.model "integer"
  local x = up:var("x", { integer = true, lower = 0, upper = 3 })
  local low = up:lower "low"
  local y = low:var "y"
  low:minimize((y - x)^2)
  up:minimize(y^2)
  t.raises(function() up:solve "kkt > ipm" end, "integer", "integer variables are refused by name")
end

-- ---- options that steer a reformulation's outer steps

--- Bard 1988, example 1 with one follower: 5 at x = 1, y = 3.
local function follower(plan, options)
  local up = peri.model "follower"
  local x = up:var("x", { lower = 0, upper = 8, start = 4 })
  local low = up:lower "low"
  local y = low:var("y", { start = 2 })
  low:minimize((y - 5)^2)
  low:subject_to(-2 * x + y <= 1, x - 2 * y <= 2, x + 2 * y <= 14)
  up:minimize((x - 3)^2 + (y - 2)^2)
  return up:solve(plan, options)
end

for _, case in ipairs { { 0.5, 1e-9, 31 }, { 0.01, 1e-9, 6 }, { 0.1, 1e-3, 5 } } do -- the start and 1, f, f^2, ... down to the smallest, rounded up
  local sol = follower("kkt > ipm", { complementarity = "relaxation", starts = 1, relaxation_factor = case[1], smallest_relaxation = case[2] })
  t.is(#sol.history, case[3], ("kkt: relaxations by %g down to %g"):format(case[1], case[2]))
  t.is_close(sol.objective, 5, 0, 1e-5, "and the answer")
end
do
  local plan = "value-function > augmented-lagrangian > lbfgs"
  local slow, fast = follower(plan, { weight_growth = 2 }), follower(plan, { weight_growth = 10 })
  t.ok(slow.iterations > 2 * fast.iterations, ("value-function: a weight that doubles takes more steps, %d and %d"):format(slow.iterations, fast.iterations))
end

-- ---- BOLIB's tables

local folder = (os.getenv "PERIGEE_SOURCE" or ".") .. "/../shared/data/bolib"
local sample = { linear = { "Bard1984a", "ClarkWesterberg1990b", "CandlerTownsley1982", "BialasKarwan1984a" },
  nonlinear = { "AnEtal2009", "Bard1988Ex1", "Colson2002BIPA1", "CalveteGale1999P1" }, simple = { "FrankeEtal2018Ex511" } }
if not io.open(folder .. "/optima.tsv") then
  t.skip(1, "BOLIB's tables are not there")
else
  for class, names in pairs(sample) do
    for _, name in ipairs(names) do
      local problem = peri.data.bolib(("%s/%s/%s.json"):format(folder, class, name))
      local model = problem.model()
      local start = model:solve("kkt > ipm", { iterations = 0 })
      local sol = model:solve("kkt > ipm", { seed = 1, time_limit = 20 })
      t.is_close(sol.objective, problem.upper, class == "linear" and 1e-6 or 1e-3, class == "linear" and 1e-6 or 1e-3, name .. ": the known value")
      t.ok(sol.certificate.lower_gap <= 1e-5, name .. ": the lower level is optimal")
      t.is_close(start.objective, problem.upper_at_start, 1e-6, 1e-6, name .. ": the upper objective at its start is the table's")
    end
  end
end

local path = os.tmpname()
local function refused(text, part)
  local file = io.open(path, "w")
  file:write(text)
  file:close()
  t.raises(function() peri.data.bolib(path) end, part, "a table that is wrong: " .. part)
end
local head = '{"name":"a","n_x":1,"n_y":1,"x0":[0],"y0":[0],"status":1,"F_opt":0,"f_opt":0,'
refused("{", "not JSON")
refused(head .. '"F":"x[1]","f":"y[1]","G_ge_0":[],"g_ge_0":["os.exit(1)"]}', "unknown name os")
refused(head .. '"F":"x[1] +","f":"y[1]","G_ge_0":[],"g_ge_0":[]}', "cannot be read")
refused(head .. '"f":"y[1]","G_ge_0":[],"g_ge_0":[]}', "F: expected an expression")
refused((head:gsub('"n_y":1', '"n_y":2')) .. '"F":"x[1]","f":"y[1]","G_ge_0":[],"g_ge_0":[]}', "y0: 1 numbers for 2 variables")
os.remove(path)

t.done()
