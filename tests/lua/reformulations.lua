-- SPDX-License-Identifier: Apache-2.0
-- Plans of several links: constraints taken away by multipliers or penalties, many starts, and what a user sees of it all.
local peri = require "perigee"
local tap = require "tap"
local problems = require "perigee.test_functions"

local function solved(sol)
  return sol.status == "optimal" or sol.status == "locally_optimal"
end

-- ---- the problems of Hock and Schittkowski: how many end certified, at the known optimum or at a known other one

local function near(a, b)
  return math.abs(a - b) <= 1e-4 * math.max(1, math.abs(b))
end

local function count(plan)
  local certified, at_optimum, all = 0, 0, 0
  for _, name in ipairs(problems.list "hock_schittkowski") do
    local p = problems.get(name)
    local sol = p.build(peri):solve(plan, { time_limit = 20 })
    all = all + 1
    certified = certified + (solved(sol) and 1 or 0)
    at_optimum = at_optimum + (solved(sol) and near(sol.objective, p.optimum) and 1 or 0)
  end
  return all, certified, at_optimum
end

for plan, want in pairs {
  ["augmented-lagrangian > lbfgs"] = { 94, 87 }, ["augmented-lagrangian > trust-ncg"] = { 94, 87 },
  ["penalty > lbfgs"] = { 86, 80 }, ["penalty > trust-ncg"] = { 86, 80 },
} do
  local all, certified, at_optimum = count(plan)
  tap.ok(certified >= want[1], ("%s: %d of %d problems end certified"):format(plan, certified, all))
  tap.ok(at_optimum >= want[2], ("%s: %d at the best known optimum"):format(plan, at_optimum))
end

-- ---- points, multipliers and certificate are those of the problem itself

local function hs071()
  local m = peri.model "hs071"
  local x = m:var("x", 4, { lower = 1, upper = 5, start = { 1, 5, 5, 1 } })
  m:minimize(x[1] * x[4] * (x[1] + x[2] + x[3]) + x[3])
  local product = m:subject_to("product", x[1] * x[2] * x[3] * x[4] >= 25)
  local sphere = m:subject_to("sphere", x:dot(x):eq(40))
  return m, x, product, sphere
end

do
  local m, x, product, sphere = hs071()
  local want = m:solve "ipm"
  for _, plan in ipairs { "augmented-lagrangian > lbfgs", "augmented-lagrangian > trust-ncg", "augmented-lagrangian" } do
    local sol = m:solve(plan)
    tap.is_close(sol.objective, want.objective, 1e-6, 0, plan .. ": the objective")
    tap.is_close(sol:dual(product), want:dual(product), 1e-4, 1e-6, plan .. ": the multiplier of an inequality")
    tap.is_close(sol:dual(sphere), want:dual(sphere), 1e-4, 1e-6, plan .. ": and of an equation")
    tap.is_close(sol:reduced_cost(x)[1], want:reduced_cost(x)[1], 1e-4, 1e-6, plan .. ": and of a bound")
    tap.ok(sol.certificate.kkt <= 1e-8, plan .. ": certified in the problem itself")
    local inner = 0
    for _, row in ipairs(sol.history) do inner = inner + (row.inner_iterations or 0) end
    tap.ok(inner > sol.iterations, ("%s: %d iterations, %d inside"):format(plan, sol.iterations, inner))
    tap.ok(sol.evaluations.objective >= inner, plan .. ": evaluations inside count")
  end
  local completed = m:solve "augmented-lagrangian"
  tap.is(completed.plan, "augmented-lagrangian > " .. completed.solver, "a plan that ends with a reformulation is completed")
end

do -- a maximization, with the sign of its multiplier: the derivative of the optimum by the right-hand side
  local m = peri.model "largest product"
  local x = m:var("x", 2, { lower = 0, start = 1 })
  m:maximize(x[1] * x[2])
  local sum = m:subject_to(x[1] + 2 * x[2] <= 8)
  local sol = m:solve "augmented-lagrangian > lbfgs"
  tap.is_close(sol.objective, 8, 1e-7, 0, "a maximization") -- x = (4, 2)
  tap.is_close(sol:dual(sum), 2, 1e-6, 0, "its multiplier") -- optimum b^2 / 8
end

do -- multipliers after progress only: the penalty grows from one point until there is some
  local m = peri.model "progress"
  local x = m:var("x", 2, { start = { -1.2, 1 } })
  m:minimize((1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2)
  local circle = m:subject_to(x[1]^2 + x[2]^2 <= 1)
  local always = m:solve("augmented-lagrangian > lbfgs", { tolerance = 1e-7 })
  local progress = m:solve("augmented-lagrangian > lbfgs", { tolerance = 1e-7, ["augmented-lagrangian.update"] = "progress",
    ["augmented-lagrangian.penalty"] = 1e-3, ["augmented-lagrangian.reduction"] = 0.25 })
  tap.is(progress.status, "locally_optimal", "updates after progress only")
  tap.is_close(progress.objective, always.objective, 1e-6, 0, "the same optimum")
  tap.is_close(progress:dual(circle), always:dual(circle), 1e-5, 0, "the same multiplier")
  local raised, point = 0, progress.history
  for k = 2, #point do if point[k].regularization > point[k - 1].regularization then raised = raised + 1 end end
  tap.ok(raised >= 2, ("the penalty grew %d times from 0.001"):format(raised))
end

do -- sides of all kinds in one block, and a parameter that changes between solves
  local m = peri.model "sides"
  local x = m:var("x", 3, { start = 0.3 })
  local p = m:param("p", 1)
  m:minimize(((x - peri.array { 3, -3, 0.2 }) ^ 2):sum())
  m:subject_to(peri.between(-1, x[1], p), peri.between(-1, x[2], p), peri.between(-1, x[3], p))
  for _, value in ipairs { 1, 2 } do
    p:set(value)
    for _, plan in ipairs { "augmented-lagrangian > lbfgs", "penalty > trust-ncg" } do
      local sol = m:solve(plan)
      tap.is_close(sol[x][1], value, 1e-6, 1e-6, plan .. ": at its upper side")
      tap.is_close(sol[x][2], -1, 1e-6, 1e-6, plan .. ": at its lower side")
      tap.is_close(sol[x][3], 0.2, 1e-6, 1e-6, plan .. ": between")
    end
  end
end

do
  local m = peri.model "apart"
  local x = m:var("x", 2)
  m:minimize(x:sum())
  m:subject_to(x:dot(x) <= 1, x[1] >= 2)
  for _, plan in ipairs { "augmented-lagrangian > trust-ncg", "penalty > trust-ncg" } do
    tap.is(m:solve(plan).status, "infeasible", plan .. ": a disc and a half-plane")
  end
end

do -- an exact penalty keeps its weight; without a derivative it needs a solver that does without
  local m = peri.model "norms"
  local x = m:var("x", 2, { lower = -2, upper = 2, start = 1 })
  m:minimize((x[1] - 1) ^ 2 + (x[2] + 0.5) ^ 2)
  local row = m:subject_to(x[1] + x[2] <= 0.2) -- active, multiplier -0.3, objective 0.045
  local exact = m:solve("penalty > nelder-mead", { norm = "l1" })
  tap.is_close(exact.objective, 0.045, 1e-6, 0, "the l1 penalty")
  tap.is(#exact.history, 1, "one weight is enough for it")
  local smooth = m:solve("penalty > lbfgs", { norm = "smoothed" })
  tap.is_close(smooth.objective, 0.045, 1e-6, 0, "the smoothed one")
  tap.is_close(smooth:dual(row), -0.3, 1e-5, 0, "its multiplier")
  local ok, message = pcall(m.solve, m, "penalty > lbfgs", { norm = "l1" })
  tap.ok(not ok and message:find("lbfgs: refuses non-smooth functions, and penalty has made a", 1, true),
    "a solver that cannot take what was made says so")
end

-- ---- small power grids, with the objectives that come with them

do
  local power = require "perigee.power"
  local folder = (os.getenv "PERIGEE_SOURCE" or ".") .. "/../shared/data/pglib-opf/pglib_opf_"
  for _, grid in ipairs { { "case3_lmbd", 5812.6 }, { "case14_ieee", 2178.1 } } do
    local path = folder .. grid[1] .. ".m"
    local file = io.open(path)
    for _, plan in ipairs(file and { "augmented-lagrangian > lbfgs", "augmented-lagrangian > trust-ncg" } or {}) do
      local sol = power.acopf(power.read(path)):solve(plan)
      tap.ok(solved(sol), ("%s: %s: %s"):format(grid[1], plan, sol.status))
      tap.is_close(sol.objective, grid[2], 5e-5, 0, grid[1] .. ": the objective")
    end
    if file then file:close() else tap.skip(1, grid[1] .. ": the grids are not here") end
  end
end

-- ---- a chain is found where no solver fits

do
  local m = peri.model "found"
  local x = m:var("x", 2, { lower = -2, upper = 2, start = 1 })
  m:minimize(peri.blackbox(function(v) return (v[1] - 1) ^ 2 + (v[2] + 0.5) ^ 2 end, x))
  m:subject_to(x[1] + x[2] <= 0.2)
  local sol = m:solve()
  tap.ok(sol.plan:find("augmented-lagrangian > ", 1, true), "constraints without derivatives: " .. sol.plan)
  tap.is_close(sol.objective, 0.045, 1e-4, 0, "is solved")
end

do -- second derivatives, but not as a sparse matrix: what needs one is passed over, behind a reformulation too
  local m = peri.model "logdet"
  local X = m:var("X", { 2, 2 }, { start = { { 2, 0.1 }, { 0.1, 2 } }, lower = -5, upper = 5 })
  local y = m:var("y", 1000, { start = 0.01, lower = -1, upper = 1 }) -- too many for a dense one
  m:minimize(X:trace() - peri.logdet(X + y:dot(y) * peri.eye(2)) + 3 * y:dot(y))
  m:subject_to(X[1][2]:eq(X[2][1]), X[1][1] >= 1.5)
  for _, plan in ipairs { "", "multistart" } do
    local sol = m:solve(plan, plan == "multistart" and { points = 10, starts = 2 } or {})
    tap.ok(sol.plan:find("augmented-lagrangian > trust-ncg", 1, true), "no sparse hessian: " .. sol.plan)
    tap.is_close(sol.objective, 2.5 - math.log(1.5), 1e-7, 0, "is solved") -- X = diag(1.5, 1), y = 0
  end
end

-- ---- options of links

do
  local m = hs071()
  local chain = "augmented-lagrangian > lbfgs"
  local function fails(options, text, what)
    local ok, message = pcall(m.solve, m, chain, options)
    tap.ok(not ok and tostring(message):find(text, 1, true), what)
    if ok or not tostring(message):find(text, 1, true) then tap.diag("%s", tostring(message)) end
  end
  local sol = m:solve(chain, { memory = 3, ["augmented-lagrangian.penalty"] = 33, tolerance = 1e-7 })
  tap.ok(solved(sol), "options of two links and of the engine")
  tap.is_close(sol.history[1].regularization, 33, 1e-12, 0, "each to its own")
  tap.ok(m:solve(chain, { ["lbfgs.iterations"] = 1, iterations = 3 }).iterations <= 3, "the engine's for a link")
  local short = m:solve(chain, { ["lbfgs.iterations"] = 2 })
  for k, row in ipairs(short.history) do
    if k > 3 then break end
    tap.ok((row.inner_iterations or 0) <= 2, "at most two iterations inside")
  end
  fails({ memry = 3 }, 'augmented-lagrangian > lbfgs: no option "memry" (did you mean "memory"?)', "the nearest of all links")
  fails({ ["lbfgs.memry"] = 3 }, 'lbfgs: no option "memry"', "the nearest of one link")
  fails({ ["lbfg.memory"] = 3 }, 'the plan has no link "lbfg" (did you mean "lbfgs"?)', "a link that is not there")
  fails({ memory = 0 }, 'lbfgs: option "memory" is 0, must be in', "a range of a link inside")
end

-- ---- limits and interruption reach inside

do
  local n = 20000
  local m = peri.model "slow"
  local x = m:var("x", n, { start = -1 })
  m:minimize(peri.map(n - 1, function(i) return 100 * (x[i + 1] - x[i] ^ 2) ^ 2 + (1 - x[i]) ^ 2 end):sum())
  m:subject_to(x:dot(x) >= 1)
  local waiting = peri.model "waiting"
  local w, calls = waiting:var("w", 2, { start = { -1.2, 1 } }), 0
  waiting:minimize(peri.blackbox(function(v)
    calls = calls + 1
    local began = os.clock()
    while calls == 40 and os.clock() - began < 0.6 do end -- longer than the limit
    return 100 * (v[2] - v[1]^2)^2 + (1 - v[1])^2
  end, w))
  waiting:subject_to(w:dot(w) >= 1)
  local sol = waiting:solve("augmented-lagrangian > nelder-mead", { time_limit = 0.5, tolerance = 0 })
  tap.is(sol.status, "time_limit", "a time limit inside an inner solve")
  tap.ok(calls >= 1 and calls <= 50, ("ends it: %d evaluations"):format(calls))
  sol = m:solve("augmented-lagrangian > lbfgs", { evaluations = 30, tolerance = 0 })
  tap.is(sol.status, "iteration_limit", "a limit on evaluations")
  tap.ok(sol.evaluations.objective <= 60, ("counts those inside: %d"):format(sol.evaluations.objective))
  local rows = 0
  sol = m:solve("multistart > augmented-lagrangian > lbfgs",
    { points = 10, starts = 5, tolerance = 1e-4, callback = function() rows = rows + 1 return rows < 2 end })
  tap.is(sol.status, "interrupted", "a callback that says stop")
  tap.is(#sol.history, 2, "after two solves")
end

-- ---- many starts

local function rastrigin(n)
  local m = peri.model "rastrigin"
  local x = m:var("x", n, { lower = -5.12, upper = 5.12, start = 3.1 })
  m:minimize(10 * n + (x ^ 2 - 10 * peri.cos(2 * math.pi * x)):sum())
  return m, x
end

do
  local m, x = rastrigin(2)
  tap.ok(m:solve("lbfgs").objective > 1, "Rastrigin's function: one start ends elsewhere")
  local sol = m:solve "multistart > lbfgs"
  tap.is_close(sol.objective, 0, 0, 1e-9, "many find the global optimum")
  tap.ok(#sol.optima > 5, ("among %d optima"):format(#sol.optima))
  for k = 2, #sol.optima do
    if not tap.ok(sol.optima[k - 1].objective <= sol.optima[k].objective, "best first") then break end
  end
  tap.is_close(sol.optima[1].objective, sol.objective, 0, 1e-12, "the answer is the first")
  local second = sol:value(x, 2)
  tap.is_close(20 + second[1] ^ 2 - 10 * math.cos(2 * math.pi * second[1]) + second[2] ^ 2
    - 10 * math.cos(2 * math.pi * second[2]), sol.optima[2].objective, 1e-9, 1e-9, "the second's point has its objective")
  tap.ok(not pcall(sol.value, sol, x, #sol.optima + 1), "there are no more")
  tap.ok(sol:json():find('"optima":[{"objective":', 1, true), "they are in the JSON text")
  local again = m:solve("multistart > lbfgs")
  tap.is(#again.optima, #sol.optima, "the same seed, the same optima")
  tap.is(again.evaluations.objective, sol.evaluations.objective, "and the same work")
  for _, sampling in ipairs { "latin", "uniform" } do
    local other = m:solve("multistart > lbfgs", { sampling = sampling, starts = 60, seed = 3 })
    tap.is_close(other.objective, 0, 0, 1e-9, sampling .. " points find it too")
  end
  tap.is(#m:solve("lbfgs").optima, 0, "other methods have no list")
end

do
  local m = peri.model "six-hump camel" -- two global optima, -1.0316284535 (Dixon and Szego 1978)
  local x = m:var("x", 2, { lower = { -3, -2 }, upper = { 3, 2 }, start = { 2, 1 } })
  m:minimize((4 - 2.1 * x[1] ^ 2 + x[1] ^ 4 / 3) * x[1] ^ 2 + x[1] * x[2] + (-4 + 4 * x[2] ^ 2) * x[2] ^ 2)
  local sol = m:solve "multistart > lbfgs"
  tap.is_close(sol.objective, -1.0316284534898774, 1e-10, 0, "six-hump camel")
  tap.is_close(sol.optima[2].objective, -1.0316284534898774, 1e-10, 0, "both of its global optima are in the list")
  tap.ok(#sol.optima >= 4 and sol.optima[3].objective > -1, "and others that are not")
end

do
  local n = 2
  local m = peri.model "ackley"
  local x = m:var("x", n, { lower = -15, upper = 30, start = 7 })
  m:minimize(-20 * peri.exp(-0.2 * peri.sqrt(x:dot(x) / n + 1e-24)) - peri.exp(peri.cos(2 * math.pi * x):sum() / n)
    + 20 + math.exp(1))
  local sol = m:solve("multistart > lbfgs", { points = 1000, starts = 40 })
  tap.is_close(sol.objective, 0, 0, 1e-6, "Ackley's function")
end

do -- with constraints, three links; the local optimum of one start is worse
  for _, name in ipairs { "hs020", "hs033", "hs059" } do
    local p = problems.get(name)
    local m = p.build(peri)
    local sol = m:solve("multistart > augmented-lagrangian > lbfgs", { starts = 40 })
    tap.is(sol.plan, "multistart > augmented-lagrangian > lbfgs", name .. ": three links")
    tap.is_close(sol.objective, p.optimum, 1e-6, 1e-6, name .. ": the global optimum")
    tap.ok(sol.certificate.kkt <= 1e-6, name .. ": certified in the problem itself")
  end
end

do -- a feasibility problem; and one without bounds, where the box is around the start
  local m = peri.model "circle and line"
  local x = m:var("x", 2, { start = { 0.5, 0.3 } })
  m:subject_to(x:dot(x):eq(2), x[1]:eq(x[2]))
  local sol = m:solve("augmented-lagrangian > lbfgs")
  tap.ok(solved(sol), "a feasibility problem: " .. sol.status)
  tap.is_close(math.abs(sol[x][1]), 1, 1e-6, 0, "its point")
  sol = m:solve("multistart > ipm", { starts = 10, box = 3 })
  tap.is(#sol.optima, 2, "both points of the intersection")
end

tap.done()
