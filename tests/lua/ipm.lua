-- SPDX-License-Identifier: Apache-2.0
-- The interior-point method on problems whose answers are known in closed form or from the literature: its duals against
-- differences of the optimal value, degenerate and hopeless problems, both forms of its linear systems, warm starts.

local t = require "tap"
local peri = require "perigee"

--- Hock and Schittkowski's problem 71 with the right-hand sides as parameters.
local function hs071()
  local m = peri.model "hs071"
  local x = m:var("x", 4, { lower = 1, upper = 5, start = { 1, 5, 5, 1 } })
  local product, square = m:param("product", 25), m:param("square", 40)
  m:minimize(x[1] * x[4] * (x[1] + x[2] + x[3]) + x[3])
  local c = m:subject_to("product", (x[1] * x[2] * x[3] * x[4]):ge(product))
  local e = m:subject_to("square", (x:dot(x)):eq(square))
  return m, x, c, e, product, square
end

local function solved(sol, objective, name, tolerance, kkt)
  local fine = (sol.status == "locally_optimal" or sol.status == "optimal") and sol.certificate.kkt <= (kkt or 1e-8)
  if not t.ok(fine, name .. ": solved") then
    t.diag("%s, kkt %.1e after %d iterations", sol.status, sol.certificate.kkt, sol.iterations)
  end
  t.is_close(sol.objective, objective, tolerance or 1e-7, tolerance or 1e-7, name .. ": objective")
end

local function tags(sol)
  local seen = {}
  for _, row in ipairs(sol.history) do seen[row.tag or ""] = (seen[row.tag or ""] or 0) + 1 end
  return seen
end

-- ---- options ------------------------------------------------------------------------------------------------------

for _, kkt in ipairs { "augmented", "condensed", "auto" } do
  for _, barrier in ipairs { "monotone", "adaptive", "switching" } do
    local sol = hs071():solve("ipm", { kkt = kkt, barrier = barrier })
    solved(sol, 17.0140172892, ("hs071, %s, %s"):format(kkt, barrier))
  end
end
for _, linear in ipairs { "mumps", "lapack", "cholmod" } do
  solved(hs071():solve("ipm", { linear_solver = linear }), 17.0140172892, "hs071 by " .. linear)
end
solved(hs071():solve("ipm", { scaling = false, watchdog = 0, corrections = 0, multiplier_limit = 0 }), 17.0140172892,
  "hs071 without helpers")

-- ---- duals: the derivative of the optimal value ----------------------------------------------------------------------

do
  local m, _, c, e, product, square = hs071()
  local options = { tolerance = 1e-11 }
  local sol = m:solve("ipm", options)
  local function slope(p, value)
    local h = 1e-3
    p:set(value + h)
    local above = m:solve("ipm", options).objective
    p:set(value - h)
    local below = m:solve("ipm", options).objective
    p:set(value)
    return (above - below) / (2 * h)
  end
  t.is_close(sol:dual(c), slope(product, 25), 1e-5, 0, "dual of an inequality")
  t.is_close(sol:dual(e), slope(square, 40), 1e-5, 0, "dual of an equality")
end

do -- min (x - 3)^2 + (y + 2)^2 + z^2 with x <= 1, y >= 0, z = 2 fixed: reduced costs 2 (x - 3), 2 (y + 2), 2 z
  local m = peri.model "bounds"
  local x = m:var("x", 3, { lower = { -5, 0, 2 }, upper = { 1, 9, 2 } })
  m:minimize((x[1] - 3)^2 + (x[2] + 2)^2 + x[3]^2)
  local sol = m:solve("ipm")
  solved(sol, 12, "bounds and a fixed variable")
  local z = sol:reduced_cost(x)
  t.is_close(z[1], -4, 1e-6, 1e-6, "reduced cost at an upper bound")
  t.is_close(z[2], 4, 1e-6, 1e-6, "reduced cost at a lower bound")
  t.is_close(z[3], 4, 1e-6, 1e-6, "reduced cost of a fixed variable")
end

do -- max log x + log y with x + 2 y <= 4: x = 2, y = 1, dual d/db 2 log(b / ...) = 2 / b
  local m = peri.model "maximum"
  local x = m:var("x", 2, { lower = 0 })
  m:maximize(x[1]:log() + x[2]:log())
  local c = m:subject_to((x[1] + 2 * x[2]):le(4))
  local sol = m:solve("ipm")
  solved(sol, math.log(2), "maximization from a start where the logarithm is undefined")
  t.is_close(sol[x][1], 2, 1e-6, 0, "maximization: first variable")
  t.is_close(sol:dual(c), 0.5, 1e-6, 0, "maximization: dual")
end

do -- two-sided row: the side that is active decides the sign
  local m = peri.model "two sides"
  local x = m:var "x"
  local goal = m:param("goal", 9)
  m:minimize((x - goal)^2)
  local c = m:subject_to(peri.between(-1, x * 2, 6))
  local sol = m:solve("ipm")
  solved(sol, 36, "upper side")
  t.is_close(sol:dual(c), -6, 1e-6, 0, "upper side: dual")
  goal:set(-4)
  sol = m:solve("ipm")
  solved(sol, 12.25, "lower side")
  t.is_close(sol:dual(c), 3.5, 1e-6, 0, "lower side: dual")
  goal:set(1)
  sol = m:solve("ipm")
  t.is_close(sol:dual(c), 0, 0, 1e-6, "no side: dual")
end

-- ---- classes of problems ------------------------------------------------------------------------------------------------

do -- a linear program (Dantzig's transport problem): 153.675
  local m = peri.model "transport"
  local cost = { { 0.225, 0.153, 0.162 }, { 0.225, 0.162, 0.126 } }
  local x = m:var("x", { 2, 3 }, { lower = 0 })
  local f = 0
  for i = 1, 2 do for j = 1, 3 do f = f + cost[i][j] * x[i][j] end end
  m:minimize(f)
  for i, supply in ipairs { 350, 600 } do m:subject_to(x[i]:sum():le(supply)) end
  for j, demand in ipairs { 325, 300, 275 } do m:subject_to((x[1][j] + x[2][j]):ge(demand)) end
  solved(m:solve("ipm"), 153.675, "linear program")
end

do -- without constraints and bounds, indefinite at the start: Rosenbrock
  local m = peri.model "rosenbrock"
  local x = m:var("x", 2, { start = { -1.2, 1 } })
  m:minimize((1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2)
  solved(m:solve("ipm"), 0, "no constraints")
end

do -- as many equations as variables
  local m = peri.model "square"
  local x = m:var("x", 2, { start = 1 })
  m:minimize(0 * x[1])
  m:subject_to((x[1]^2 + x[2]):eq(3), (x[1] - x[2]^2):eq(-3))
  local sol = m:solve("ipm")
  solved(sol, 0, "square system")
  t.is_close(sol[x][1]^2 + sol[x][2], 3, 0, 1e-8, "square system: first equation")
end

do -- more equations than variables, consistent
  local m = peri.model "overdetermined"
  local x = m:var("x", 1, { start = 1 })
  m:minimize(x[1])
  m:subject_to((x[1]^2):eq(4), (3 * x[1]):eq(6))
  solved(m:solve("ipm"), 2, "more equations than variables")
end

do
  local m = peri.model "rows without bounds"
  local x = m:var("x", 2)
  m:minimize(x:dot(x))
  m:subject_to(peri.between(-math.huge, x[1] + x[2], math.huge), x[1]:ge(1))
  solved(m:solve("ipm"), 1, "a row without bounds")
end

do
  local m = peri.model "fixed"
  local x = m:var("x", 2, { lower = { 2, 1 }, upper = { 2, 1 } })
  m:minimize(x[1] + x[2]^2)
  m:subject_to(x:sum():ge(1))
  solved(m:solve("ipm"), 3, "all variables fixed")
  m:subject_to(x:sum():ge(4))
  t.is(m:solve("ipm").status, "infeasible", "all variables fixed, infeasible")
end

-- ---- degenerate problems ---------------------------------------------------------------------------------------------------

do -- the same equation three times, once doubled
  local m = peri.model "dependent rows"
  local x = m:var("x", 2, { start = { 3, 2 } })
  m:minimize(x:dot(x))
  m:subject_to((x[1] * x[2]):eq(1), (x[1] * x[2]):eq(1), (2 * x[1] * x[2]):eq(2))
  solved(m:solve("ipm"), 2, "dependent equations")
end

do -- min (x - 1)^2 + (y - 2)^2 with x y <= 0, x, y >= 0: x = 0, y = 2, no multipliers are bounded
  local m = peri.model "complementary"
  local x = m:var("x", 2, { lower = 0, start = 1 })
  m:minimize((x[1] - 1)^2 + (x[2] - 2)^2)
  m:subject_to((x[1] * x[2]):le(0))
  solved(m:solve("ipm"), 1, "complementarity", 1e-5)
end

do -- an equation that holds a variable at its bound: no interior
  local m = peri.model "no interior"
  local x = m:var("x", 3, { lower = 0, start = 1 })
  m:minimize((x[1] - 1)^2 + (x[2] - 2)^2 + x[3])
  m:subject_to((x[1] + 2 * x[3]):eq(0), (x[1] + x[2]):le(1))
  solved(m:solve("ipm"), 2, "no interior", 1e-6)
end

do -- Maratos: full steps need the correction
  local function maratos(options)
    local m = peri.model "maratos"
    local x = m:var("x", 2, { start = { 0.8, 0.6 } })
    m:minimize(2 * (x[1]^2 + x[2]^2 - 1) - x[1])
    m:subject_to((x:dot(x)):eq(1))
    return m:solve("ipm", options)
  end
  local sol = maratos()
  solved(sol, -1, "maratos")
  t.ok(sol.iterations <= 8, "maratos: few iterations")
end

-- ---- restoration, infeasible, unbounded ---------------------------------------------------------------------------------------

do -- the start's linearisation points away from every feasible point (Waechter and Biegler 2000)
  local m = peri.model "restoration"
  local x = m:var("x", 3, { lower = { -math.huge, 0, 0 }, start = { -2, 3, 1 } })
  m:minimize(x[1])
  m:subject_to((x[1]^2 - x[2] - 1):eq(0), (x[1] - x[3] - 2):eq(0))
  local sol = m:solve("ipm")
  local seen = tags(sol)
  t.ok(seen.r or seen.R, "restoration: entered")
  t.ok(sol.status == "infeasible" or sol.certificate.kkt <= 1e-8, "restoration: an end that the engine confirms")
end

do
  local sol = peri.test_functions.hs107 and peri.test_functions.hs107.build():solve("ipm")
  if sol then solved(sol, 5055.011803, "hs107", 1e-6) end
end

do -- the objective is a row's variable: the first full step makes it feasible at the price of a far larger objective
  local m = peri.model "objective by an equation"
  local x = m:var("x", 3, { lower = 0, upper = 300 })
  local cost = m:var "cost"
  m:minimize(cost)
  m:subject_to((cost - 50 * (x[1] + x[2])^2.5 - 70 * (x[2] + x[3])^2.5 - 10 * x[1] - 20 * x[3]):eq(0))
  m:subject_to((x[1] + x[2] + x[3]):eq(600), (2 * x[1] + 2 * x[2] + 2 * x[3]):eq(1200), (x[1] - x[2]):eq(17))
  local sol = m:solve("ipm")
  local low, high = 158.5, 300 -- the rows leave x[1] free: x[2] = x[1] - 17, x[3] = 617 - 2 x[1]
  while high - low > 1e-9 do
    local mid = 0.5 * (low + high)
    local slope = 250 * (2 * mid - 17)^1.5 - 175 * (600 - mid)^1.5 - 30
    low, high = slope < 0 and mid or low, slope < 0 and high or mid
  end
  local want = 50 * (2 * low - 17)^2.5 + 70 * (600 - low)^2.5 + 10 * low + 20 * (617 - 2 * low)
  solved(sol, want, "objective by an equation", 1e-6, 1e-7) -- the row's terms are 4e8, rounded to 6e-8
  t.ok(sol.iterations <= 50, ("objective by an equation: %d iterations"):format(sol.iterations))
end

do -- a power below 1 ends where its variable does, and steps on trust may lead there
  local m = peri.model "powers at their ends"
  local area = m:var("area", 2, { lower = 0, upper = { 40, 20 } })
  local heat = m:var("heat", { lower = 0, upper = 300 })
  local cost = m:var "cost"
  m:minimize(cost)
  m:subject_to((600 * area[1] - area[1] * heat - 40 * heat):eq(-3000))
  m:subject_to((cost - 30 * area[1]^0.6 - 35 * area[2]^0.6):eq(0), (500 * area[2] + 40 * heat):eq(12000))
  local sol = m:solve("ipm")
  local first, second = 35 * 18^0.6, 30 * 30^0.6 -- concave: an area is 0, and heat is 75 or 300
  local want = math.abs(sol.objective - first) < math.abs(sol.objective - second) and first or second
  t.ok(sol.status == "locally_optimal" or sol.status == "feasible", "powers at their ends: " .. sol.status)
  t.is_close(sol.objective, want, 1e-5, 0, "powers at their ends: objective")
end

do -- feasible points are far away in a variable that does not count much at first, and the way there is curved
  for _, cost_factor in ipairs { 50, 500 } do
    local m = peri.model "far from feasible"
    local x = m:var("x", 4, { lower = 0, upper = 300 })
    local share = m:var("share", 2, { lower = 0, upper = 1 })
    local cost = m:var "cost"
    m:minimize(cost)
    m:subject_to((cost - cost_factor * ((x[1] + x[2])^2.5 + 2 * (x[3] + x[4])^2.5) - 10 * x[1]):eq(0))
    m:subject_to((x[1] + x[3] - 140 * share[1]):eq(0), (x[2] + x[4] - 180 * share[2]):eq(0))
    m:subject_to((2 * x[1] + 2 * x[3] - 280 * share[1]):eq(0), (share[1] + share[2]):eq(1))
    local sol = m:solve("ipm", { iterations = 1000 })
    -- share[1] = 1 needs least of both; then cost is a function of x[1], with x[3] = 140 - x[1]
    local low, high = 0, 140
    while high - low > 1e-9 do
      local mid = 0.5 * (low + high)
      local slope = cost_factor * (2.5 * mid^1.5 - 5 * (140 - mid)^1.5) + 10
      low, high = slope < 0 and mid or low, slope < 0 and high or mid
    end
    local want = cost_factor * (low^2.5 + 2 * (140 - low)^2.5) + 10 * low
    solved(sol, want, ("far from feasible, %d"):format(cost_factor), 1e-6)
  end
end

do -- the start is where the violation is largest, and stationary
  local m = peri.model "outside of a circle, from its centre"
  local x = m:var("x", 2)
  m:minimize(x[1]^2 + 2 * x[2]^2)
  m:subject_to(x[1]^2 + x[2]^2 >= 1)
  solved(m:solve("ipm"), 1, "from the centre of a circle")
end

local function status(name, build, want)
  local m = peri.model(name)
  build(m)
  local sol = m:solve("ipm", { iterations = 500 })
  if not t.is(sol.status, want, name) then t.diag("%s after %d iterations", sol.message or "", sol.iterations) end
end

status("infeasible linear program", function(m)
  local x = m:var("x", 2, { lower = 1 })
  m:minimize(x:sum())
  m:subject_to(x:sum():le(1))
end, "infeasible")
status("contradicting equations", function(m)
  local x = m:var("x", 2)
  m:minimize(x:dot(x))
  m:subject_to(x:sum():eq(1), x:sum():eq(2))
end, "infeasible")
status("circle of negative radius", function(m)
  local x = m:var("x", 2, { start = 1 })
  m:minimize(x:sum())
  m:subject_to((x:dot(x)):le(-1))
end, "infeasible")
status("parabola below a half-plane", function(m)
  local x = m:var("x", 2, { start = 3 })
  m:minimize(x[1]^2)
  m:subject_to((x[1]^2 + x[2]):le(-1), x[2]:ge(0))
end, "infeasible")
status("unbounded linear program", function(m)
  local x = m:var("x", 2, { lower = 0 })
  m:minimize(-x[1] - x[2])
  m:subject_to((x[1] - x[2]):le(1))
end, "unbounded")
status("unbounded along an equation", function(m)
  local x = m:var("x", 2)
  m:maximize(x[1])
  m:subject_to((x[1] - x[2]):eq(0))
end, "unbounded")
status("unbounded square", function(m)
  local x = m:var("x", 2, { start = { 1, 0 } })
  m:minimize(-x[1]^2)
  m:subject_to(peri.between(0, x[1] - x[2], 1))
end, "unbounded")

-- ---- invariances ---------------------------------------------------------------------------------------------------------------

do -- other units of objective and constraint, order of variables
  local function problem(f, c, a, b)
    local m = peri.model "units"
    local x = m:var("x", 2, { start = 2, lower = 0.1 })
    m:minimize(f * (x[a]^4 + x[b]^2 - x[a] * x[b]))
    local h = m:subject_to((c * (x[a] * x[b]^2)):ge(c * 3))
    return m:solve("ipm"), h
  end
  local sol, h = problem(1, 1, 1, 2)
  for _, unit in ipairs { 1e-3, 1e4 } do
    local other, g = problem(unit, 1, 1, 2)
    solved(other, unit * sol.objective, "objective times " .. unit, 1e-5 * unit)
    t.is_close(other:dual(g), unit * sol:dual(h), 1e-4, 0, "dual, objective times " .. unit)
    other, g = problem(1, unit, 1, 2)
    solved(other, sol.objective, "constraint times " .. unit, 1e-6)
    t.is_close(unit * other:dual(g), sol:dual(h), 1e-4, 0, "dual, constraint times " .. unit)
  end
  solved(problem(1, 1, 2, 1), sol.objective, "variables exchanged", 1e-7)
end

-- ---- running -------------------------------------------------------------------------------------------------------------------

do
  local m, x, _, _, product = hs071()
  local cold = m:solve("ipm")
  local again = m:solve("ipm", { warm_start = cold })
  solved(again, cold.objective, "warm start")
  t.ok(again.iterations <= 2, ("warm start at the solution: %d of %d iterations"):format(again.iterations, cold.iterations))
  product:set(25.01)
  local next_cold = m:solve("ipm")
  local near = m:solve("ipm", { warm_start = cold })
  solved(near, next_cold.objective, "warm start near the solution")
  t.ok(near.iterations < next_cold.iterations,
    ("warm start near the solution: %d of %d iterations"):format(near.iterations, next_cold.iterations))
  t.is_close(near[x][2], next_cold[x][2], 1e-6, 0, "warm start near the solution: a variable")
end

do
  local sol = hs071():solve("ipm", { iterations = 3 })
  t.is(sol.status, "iteration_limit", "a limit")
  t.is(sol.iterations, 3, "its iterations")
  local first, last = sol.history[1], sol.history[#sol.history]
  t.ok(first.barrier and last.step and last.primal and last.dual, "history: columns")
end

do
  local m = peri.model "undefined"
  local x = m:var("x", 1, { start = -1 })
  m:minimize(x[1]:log())
  t.ok(not pcall(m.solve, m, "ipm"), "undefined at the start, inside the bounds: an error")
end

-- One dense row over variables half of which have no curvature: small pivots that are delayed from front to front took a minute.
do
  local n = 1000
  local m = peri.model "dense row"
  local a, b = m:var("a", n, { start = 10 }), m:var("b", n, { start = 10 })
  m:minimize(0.5 * (a^2):sum() - 10 * a:sum() + b:sum())
  m:subject_to("row", peri.eq(a:sum() + b:sum(), -10 * n))
  local sol = m:solve("ipm", { time_limit = 20 })
  t.is(sol.status, "optimal", "a dense row: solved")
  t.is_close(sol.objective, n * (0.5 * 121 - 10 * 11 - 21), 1e-7, 0, "a dense row: the optimum") -- a = 11, b = -21 on average
end

-- ---- a real case ----------------------------------------------------------------------------------------------------------------

do
  local file = (os.getenv "PERIGEE_SOURCE" or ".") .. "/../shared/data/pglib-opf/pglib_opf_case1354_pegase.m"
  local handle = io.open(file)
  if handle then
    handle:close()
    local sol = peri.power.acopf(peri.power.read(file)):solve("ipm")
    t.is_close(sol.objective, 1.2588e6, 5e-5, 0, "case1354_pegase: published objective")
    t.ok(sol.certificate.kkt <= 1e-8, "case1354_pegase: kkt")
    t.ok(sol.iterations <= 60, ("case1354_pegase: %d iterations"):format(sol.iterations))
  else
    t.ok(true, "case1354_pegase # SKIP the data are not there")
  end
end

t.done()
