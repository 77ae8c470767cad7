-- SPDX-License-Identifier: Apache-2.0
-- levels_trouble.lua - problems of two and three levels that have no answer, or none that is easy to tell: statuses and the levels they name; stationarity
-- of nested and of large problems; equations written as two rows; messages that name a plan that works.
local peri = require "perigee"
local t = require "tap"

local FIRST = "augmented-lagrangian > lbfgs"
local kkt, value, implicit = "kkt > ipm", "value-function > " .. FIRST, "implicit > " .. FIRST

--- x in [lower, upper] above, y below: f(low, x, y) and F(up, x, y) state the rest.
local function two(f, F, options)
  local o = options or {}
  local up = peri.model "up"
  local x = up:var("x", { lower = o.lower or 0, upper = o.upper or 3, start = o.x or 2 })
  local low = up:lower "low"
  local y = low:var("y", { lower = o.y_lower, upper = o.y_upper, start = o.y or 0 })
  f(low, x, y)
  F(up, x, y)
  return up, x, y
end

local function is(sol, status, part, name)
  t.is(sol.status, status, name .. ": " .. sol.message)
  t.ok(sol.message:find(part, 1, true) ~= nil, ("%s names %s"):format(name, part))
end

-- ---- no feasible point ---------------------------------------------------------------------------------------------------------------

for _, plan in ipairs { kkt, value, implicit } do
  local up = two(function(low, x, y) low:minimize((y - x)^2) end, function(up, x, y)
    up:minimize((y - 1)^2)
    up:subject_to("cap", (x + y):ge(7))
    up:subject_to("fine", (x - y):le(1))
  end)
  local sol = up:solve(plan, { time_limit = 60 })
  is(sol, "infeasible", 'constraint "cap" of model "up"', "rows above that no answer fulfils, by " .. plan)
  t.is_close(sol.certificate.primal, 1, 1e-5, 1e-5, "the point has the least violation")
end

do -- feasible only where the relaxation's first points are not: found through the violation
  local up, x = two(function(low, x, y) low:minimize((y - x^2)^2) end, function(up, x, y)
    up:minimize(x + y)
    up:subject_to("far", (x + y):ge(11.9))
  end)
  local sol = up:solve(kkt)
  t.ok(sol.status == "locally_optimal" and sol[x] > 2.9, "a corner that can be reached is no infeasible problem: " .. sol.status)
end

do -- a violation that can be reduced is none: a method that only claims it
  local liar = peri.plugin { name = "liar", summary = "claims infeasibility", needs = { "levels" }, init = function() end,
    step = function(_, run)
      run:accept { x = run:start() }
      return run:finish "infeasible"
    end }
  local up = two(function(low, x, y) low:minimize((y - x)^2) end, function(up, x, y)
    up:minimize((y - 1)^2)
    up:subject_to("cap", (x + y):ge(5))
  end, { y = 2 })
  local sol = up:solve(liar)
  is(sol, "numerical_error", "the violation can be reduced", "a claim that is not true")
end

for _, plan in ipairs { kkt, value, implicit, "lv-hba" } do
  local up = two(function(low, x, y)
    low:minimize((y - x)^2)
    low:subject_to("above", (y - x):ge(2))
  end, function(up, x, y) up:minimize((x - 3)^2 + y^2) end, { y_upper = 1 })
  is(up:solve(plan, { time_limit = 60 }), "infeasible", 'lower model "low"', "a lower level without a feasible point wherever x is, by " .. plan)
  up = two(function(low, x, y)
    low:minimize((y - x)^2)
    low:subject_to("above", (y - x):ge(0))
  end, function(top, x, y) top:minimize((x - 3)^2 + y^2) end, { y_upper = 1 })
  local sol = up:solve(plan, { time_limit = 60 })
  t.ok((sol.status == "locally_optimal" or sol.status == "feasible") and math.abs(sol.objective - 5) < 1e-3, "one that has some at x <= 1 only, by " .. plan .. ": " .. sol.status)
end

-- ---- unbounded -----------------------------------------------------------------------------------------------------------------------

for _, plan in ipairs { kkt, value, implicit, "lv-hba", "penalty-bilevel" } do
  local up = two(function(low, x, y) low:minimize(x * y) end, function(up, x, y) up:minimize((x - 3)^2 + y^2) end, { lower = 1 })
  is(up:solve(plan, { time_limit = 60 }), "unbounded", 'lower model "low"', "a lower level without a minimum, by " .. plan)
end
for _, plan in ipairs { kkt, value, implicit } do
  local up = two(function(low, x, y) low:minimize(x * y^2 + y) end, function(up, x, y) up:minimize((x + 1)^2 + 0.01 * y^2) end, { lower = -1 })
  local sol = up:solve(plan, { time_limit = 60 })
  t.ok(sol.certificate.lower_gap <= 1e-5 and (sol.status == "locally_optimal" or sol.status == "feasible"), "one that has a minimum for x > 0 only, by " .. plan .. ": " .. sol.status)
end

-- ---- no constraint qualification ----------------------------------------------------------------------------------------------------------

do -- min y1 where y1^2 <= 0: the answer is 0, and no multiplier exists there
  local at = peri.plugin { name = "at", summary = "says that the start is an answer", needs = { "levels" }, init = function() end,
    step = function(_, run)
      run:accept { x = run:start() }
      return run:finish "converged"
    end }
  local up = peri.model "up"
  local x = up:var("x", { start = 0.8 })
  local low = up:lower "low"
  local y = low:var("y", 2, { start = { 0, -0.4 } })
  low:minimize(y[1] + x * y[2] + y[2]^2)
  low:subject_to("cusp", (y[1]^2):le(0))
  up:minimize((x - 1)^2 + y[2]^2)
  is(up:solve(at), "feasible", 'lower model "low": no multipliers fit', "constraints without a qualification")
  for _, plan in ipairs { kkt, value, "penalty-bilevel" } do
    local sol = up:solve(plan, { time_limit = 20, iterations = 2000 })
    t.ok(sol.status ~= "interrupted" and sol.status ~= "error", plan .. " comes to an end there: " .. sol.status)
  end
end

-- solves of a lower level that do not come to an end have found nothing better, which does not make a gap of zero
do
  local up = peri.model "hasty"
  local x = up:var("x", 3, { start = 0.5, lower = 0, upper = 2 })
  local low = up:lower "low"
  local y = low:var("y", 3, { start = 0.5, lower = 0 })
  low:minimize(((y - x)^2 + 0.1 * y^4):sum() + peri.sin(x[1]) * y[1] * y[2])
  up:minimize(((y - 0.7)^2):sum() + 0.1 * (x^2):sum())
  local sol = up:solve("lv-hba", { lower_time = 1e-9, iterations = 20, polish = 0 })
  t.is(sol.status, "numerical_error", "no time for the lower level: the status")
  t.ok(sol.certificate.lower_gap == math.huge and sol.levels[1].gap == math.huge, "and no gap is claimed: " .. sol.certificate.lower_gap)
end

-- where lower rows leave one point, and rounding above leaves none, solves come to no end: multipliers at the point prove a convex level (Bard and Falk 1982, ex. 2)
do
  local up = peri.model "corner"
  local x = up:var("x", 2, { start = 1 })
  local low = up:lower "low"
  local y = low:var("y", 2, { start = 1 })
  up:subject_to(x[1] >= 0, x[2] >= 0)
  low:minimize(x[1] + x[2] - 4 * y[1] + y[2])
  low:subject_to(2 * x[1] - y[1] + y[2] >= 2.5, 3 * x[2] - x[1] - y[2] >= -2, x[1] + x[2] <= 2, y[1] >= 0, y[2] >= 0)
  up:minimize(x[2] - 2 * x[1] + y[1] / 2)
  local sol = up:solve("kkt > ipm", { seed = 1 })
  t.is_close(sol.objective, -3.25, 0, 1e-6, "a corner that is all that lower rows leave: the objective")
  t.is(sol.status, "locally_optimal", "and its status")
  t.ok(sol.certificate.lower_gap <= 1e-6, "and its gap")
end

-- ---- something inside fails in the middle ---------------------------------------------------------------------------------------------------

--- The lower objective has a function in it whose solver fails from the call number `most` on.
local function plant(most, fails)
  local calls = 0
  local up = two(function(low, x, y)
    local u = peri.implicit { name = "plant", residual = function(v, w) return v + 0.1 * v^3 - w end, start = 0, arguments = { y }, solver = function(_, w)
      calls = calls + 1
      if calls >= most then return fails() end
      local v = 0
      for _ = 1, 60 do v = v - (v + 0.1 * v^3 - w) / (1 + 0.3 * v^2) end
      return v
    end }
    low:minimize((u - x)^2 + 0.1 * y^2)
  end, function(up, x, y) up:minimize((y - 1)^2 + 0.1 * x^2) end)
  return up, function() return calls end
end
for _, plan in ipairs { value, implicit, "lv-hba", "penalty-bilevel" } do
  local o = { iterations = 20, time_limit = 60 }
  local up, calls = plant(math.huge)
  local sol = up:solve(plan, o)
  t.ok(sol.certificate.primal < 1e-6, "a function of the user's below, by " .. plan .. ": " .. sol.status)
  up = plant(math.max(2, calls() // 2), function() error "the plant is down" end)
  t.raises(function() up:solve(plan, o) end, "the plant is down", "and its error in the middle comes through")
  up = plant(math.max(2, calls() // 2), function() return nil end)
  local fine, result = pcall(up.solve, up, plan, o)
  local text = fine and result.status .. " " .. result.message or result
  t.ok(not (fine and (result.status == "locally_optimal" or result.status == "error")), "or what it has no answer for ends the run: " .. text)
  t.ok(not fine or result.status == "iteration_limit" or text:find('"low"', 1, true) or text:find("plant", 1, true), "and it is told where: " .. text)
end

do
  local undefined = two(function(low, x, y) low:minimize((y - x)^2 - peri.log(1.5 - y)) end, function(up, x, y) up:minimize((y - 3)^2 + 0.1 * x^2) end)
  for _, plan in ipairs { kkt, value, implicit } do
    local sol = undefined:solve(plan, { time_limit = 60 })
    t.is_close(sol.objective, 4.061375508, 1e-4, 1e-4, "a lower objective with an edge beyond which it is undefined, by " .. plan)
    t.ok(sol.certificate.lower_gap <= 1e-6, "whose level is optimal")
  end
end

do -- the solver of an argmin inside
  local up = peri.model "up"
  local x = up:var("x", { start = 1 })
  local low = up:lower "low"
  local y = low:var("y", 2)
  low:minimize(100 * (y[2] - y[1]^2)^2 + (x - y[1])^2)
  local star = low:argmin { solver = "lbfgs", options = { iterations = 3 }, iterations = 1 }
  up:minimize((star[1] - 2)^2)
  t.raises(function() up:solve "lbfgs" end, 'argmin of model "low": its problem ended as iteration_limit', "the status and the level of a solver inside")
end

-- ---- equations as two rows ------------------------------------------------------------------------------------------------------------

for _, form in ipairs { "equation", "opposite", "same", "shifted" } do
  local n = 4
  local up = peri.model "up"
  local x = up:var("x", n, { lower = -2, upper = 2, start = 0.5 })
  local low = up:lower "low"
  local y = low:var("y", 2 * n, { lower = 0, start = 0.5 })
  low:minimize(((y:slice(1, n) - x)^2):sum() + y:sum() + 0.1 * (y^2):sum())
  for i = 1, n do
    local e = y[i] + y[n + i] - x[i]^2
    if form == "equation" then low:subject_to(e:eq(1))
    elseif form == "opposite" then low:subject_to(e:le(1), (-e):le(-1))
    elseif form == "same" then low:subject_to(e:le(1), e:ge(1))
    else low:subject_to((e + 3):le(4), (2 - e):le(1)) end
  end
  up:minimize(((y:slice(1, n) - 1)^2):sum() + 0.1 * (x^2):sum())
  local sol = up:solve(kkt)
  t.is_close(sol.objective, 0.363121355747, 1e-8, 1e-8, "rows: " .. form)
  t.is(sol.iterations, 53, "as many subproblems whatever the form: " .. form)
end

do -- more of them than sets of multipliers could be tried for: the certificate takes them for equations too
  local n = 12
  local up = peri.model "up"
  local x = up:var("x", n, { lower = -2, upper = 2, start = 0.5 })
  local low = up:lower "low"
  local y = low:var("y", 2 * n, { start = 0.5 })
  low:minimize(((y:slice(1, n) - x)^2):sum() + (y:slice(n + 1, 2 * n)^2):sum())
  local both = y:slice(1, n) + 2 * y:slice(n + 1, 2 * n) - x
  low:subject_to("above", both:le(1))
  low:subject_to("below", (-3 * both):le(-3))
  up:minimize(((y:slice(1, n) - 1)^2):sum() + (x^2):sum())
  local sol = up:solve(kkt, { ["kkt.starts"] = 1, ["kkt.complementarity"] = "relaxation" })
  -- y1 - x = l / 2, y2 = l, 5 l / 2 = 1: y1 = x + 1 / 5, so that x = 2 / 5
  t.is_close(sol.objective, n * (0.16 + 0.16), 1e-7, 1e-7, "twelve equations as pairs of rows")
  t.is(sol.status, "locally_optimal", "are certified: " .. sol.message)
end

-- ---- stationarity of three levels, and of many variables ------------------------------------------------------------------------------------

local at = peri.plugin { name = "here", summary = "says that the start is an answer", needs = { "levels" }, init = function() end,
  step = function(_, run)
    run:accept { x = run:start() }
    return run:finish "converged"
  end }

--- z = min(y + 1, 2 - x) inmost, which middle knows. Where z = 2 - x: y = (2 - x + x) / 3 = 2 / 3, and the whole is (1 - x)^2 + (x - 1.5)^2 + y
local function three(x0, y0, z0)
  local up = peri.model "up"
  local x = up:var("x", { lower = 0, upper = 4, start = x0 })
  local middle = up:lower "middle"
  local y = middle:var("y", { lower = 0, upper = 3, start = y0 })
  local inmost = middle:lower "inmost"
  local z = inmost:var("z", { lower = 0, start = z0 })
  inmost:minimize((z - y - 1)^2)
  inmost:subject_to("c", (z + x):le(2))
  middle:minimize((y - x)^2 + (z - y)^2 + y^2)
  up:minimize((z - 1)^2 + (x - 1.5)^2 + y)
  return up, x, y, z
end
do
  local sol = three(1.25, 2 / 3, 0.75):solve(at)
  t.is(sol.status, "locally_optimal", "three levels, where the answer is known: " .. sol.message)
  t.ok(sol.certificate.dual < 1e-12, "its conditions hold")
  t.is(sol.levels[1].name .. " " .. sol.levels[2].name, "middle inmost", "levels are listed in order")
  t.ok(sol.levels[1].residual < 1e-12 and sol.levels[2].residual < 1e-12, "with residuals of their own")
  sol = three(1.2, 2 / 3, 0.8):solve(at)
  t.is(sol.status, "feasible", "optimal below, not above")
  -- along answers (x, y, z), their multipliers l and that of c move by (1, 0, -1), -2, -2: F falls by 5 - 4 x, over the square of that length, 10
  t.is_close(sol.certificate.dual, 0.2 / 10 * 2, 1e-10, 0, "the slope is that along answers")
  sol = three(1.25, 0.6, 0.75):solve(at)
  t.is(sol.status, "numerical_error", "the middle one not optimal")
  t.has(sol.message, 'lower model "middle" is not optimal', "is named")
  sol = three(1.25, 2 / 3, 0.7):solve(at)
  t.has(sol.message, 'lower model "inmost" is not optimal', "and so is the inmost one")
  sol = three(1, 1, 1):solve(kkt)
  t.is_close(sol.objective, 0.125 + 2 / 3, 1e-7, 1e-7, "found by kkt > ipm")
  t.is(sol.status, "locally_optimal", "and certified")
end

do -- y = max(x - 1/2, 0): F = (y - 1)^2 + (x - 0.2)^2 is best at x = 0.85
  local n = 500
  local function large(at_x, at_y)
    local up = peri.model "large"
    local x = up:var("x", n, { lower = 0, upper = 2, start = at_x })
    local low = up:lower "low"
    local y = low:var("y", n, { lower = 0, start = at_y })
    low:minimize(((y - x + 0.5)^2):sum())
    up:minimize(((y - 1)^2):sum() + ((x - 0.2)^2):sum())
    return up
  end
  local sol = large(0.85, 0.35):solve(at)
  t.ok(sol.status == "locally_optimal" and sol.certificate.dual < 1e-10, "500 variables a level: " .. sol.status)
  sol = large(0.8, 0.3):solve(at)
  t.is(sol.status, "feasible", "where it is not stationary")
  t.is_close(sol.certificate.dual * 1.4, 0.2 / 2, 1e-10, 0, "the slope along (1, 1), relative to the gradient's largest entry")
  sol = large(0.4, 0):solve(at) -- held at the bound with a multiplier: y does not move, F falls with x
  t.is_close(sol.certificate.dual * 2, 0.4 / 5 * 2, 1e-10, 0, "along (1, -2) of x and the multiplier, with bounds below that hold")
end

do
  local up = peri.model "whole"
  local x = up:var("x", { integer = true, start = 1, lower = 0, upper = 3 })
  local low = up:lower "low"
  local y = low:var("y", { start = 1 })
  low:minimize((y - x)^2)
  up:minimize((y - x)^2)
  local sol = up:solve(at)
  t.has(sol.message, 'integer variables have no conditions of first order: there are some in model "whole"', "why nothing is claimed with integers: " .. sol.status)
end

-- ---- lower objectives in other units -------------------------------------------------------------------------------------------------------------

for _, unit in ipairs { 1e-9, 1e-14 } do
  local function build(y0, sense)
    local up = peri.model "up"
    local x = up:var("x", { lower = -2, upper = 3, start = 0.5 })
    local low = up:lower "low"
    local y = low:var("y", { start = y0, lower = -1, upper = 1 })
    low[sense](low, (sense == "minimize" and unit or -unit) * (y - x)^2)
    up:minimize((y - 2)^2 / 2 + (x - 1.5)^2 / 2)
    return up
  end
  local sol = build(0, "minimize"):solve(at)
  is(sol, "numerical_error", 'lower model "low" is not optimal at the point: its objective is 2.5e-', "a lower objective of size " .. unit)
  sol = build(0.5, "maximize"):solve(at)
  t.ok(sol.certificate.lower_gap == 0 and sol.levels[1].objective == 0, "at its optimum, maximized")
  for _, plan in ipairs { kkt, value, implicit, "lv-hba", "penalty-bilevel" } do
    sol = build(0, "minimize"):solve(plan, { iterations = 5000 })
    t.is_close(sol.objective, 0.5, 1e-5, 1e-5, "solved by " .. plan)
    t.is_close(sol.levels[1].objective, 0.25 * unit, 1e-2, 0, "and told in its own units")
  end
end

-- ---- the same again ----------------------------------------------------------------------------------------------------------------------

do -- v(x) = min(x, 1) has a kink, where the answer is
  local first
  local same = true
  for _ = 1, 20 do
    local up = peri.model "kink"
    local x = up:var("x", { lower = 0, upper = 2, start = 0.5 })
    local low = up:lower "low"
    local y = low:var("y", 2, { lower = 0, start = 0.5 })
    low:minimize(x * y[1] + y[2])
    low:subject_to("sum", (y[1] + y[2]):eq(1))
    up:minimize((x - 1.2)^2 + (y[1] - 0.5)^2)
    local sol = up:solve(value)
    local text = ("%a %a %d"):format(sol.objective, sol[x], sol.evaluations.objective)
    first = first or text
    same = same and text == first
  end
  t.ok(same, "20 solves with a kink in the value function are the same to the last bit")
end

-- ---- forms ----------------------------------------------------------------------------------------------------------------------------------

do
  local up = two(function(low, x, y) low:minimize((y - x)^2) end, function(up, x, y) up:minimize((y - 1)^2 + 0.1 * x^2) end)
  t.is(up:solve(kkt, { form = "optimistic" }).form, "optimistic", "the form is told")
  for _, plan in ipairs { kkt, value, implicit, "lv-hba", "penalty-bilevel" } do
    t.raises(function() up:solve(plan, { form = "pessimistic" }) end, 'solves the optimistic form of model "up"', "another form is refused by " .. plan)
  end
  t.raises(function() up:solve(kkt, { form = "worst" }) end, "form", "an unknown form")
  local single = peri.model "single"
  single:minimize((single:var "x")^2)
  t.raises(function() single:solve("lbfgs", { form = "pessimistic" }) end, 'model "single" has no lower models', "a form of one level")
end

-- ---- plans ---------------------------------------------------------------------------------------------------------------------------------

do
  local up, x, y = two(function(low, x, y) low:minimize((y - x)^2) end, function(up, x, y) up:minimize((y - 1)^2 + 0.1 * x^2) end)
  t.raises(function() up:solve "value-function > ipm" end, '"value-function > ', "a refusal names a plan that works")
  t.raises(function() up:solve "kkt > lbfgs" end, '"kkt > ipm" fits', "whatever the reformulation")
  up:subject_to("cap", (x + y):le(1))
  t.raises(function() up:solve "implicit > lbfgs" end, '"implicit > augmented-lagrangian > lbfgs" fits', "rows above are left by implicit")
  local text = up:explain()
  for _, line in ipairs { "plan: kkt > ipm", "lv-hba: fits", "penalty-bilevel: fits", "implicit > augmented-lagrangian > lbfgs: fits, used only when named",
    "value-function > augmented-lagrangian > lbfgs: fits, used only when named", "kkt > ipm: the highest rank of the shortest that fit; chosen",
    "optimistic form" } do
    t.ok(text:find(line, 1, true) ~= nil, "explained: " .. line)
  end
  for _, plan in ipairs { "implicit > augmented-lagrangian > lbfgs", "value-function > augmented-lagrangian > lbfgs" } do
    t.is_close(up:solve(plan).objective, up:solve(kkt).objective, 1e-3, 1e-3, "and what is told to fit does: " .. plan)
  end
end

t.done()
