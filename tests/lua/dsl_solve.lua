-- SPDX-License-Identifier: Apache-2.0
-- Solving and solutions: known optima, multipliers by their definition, fields, warm starts, callbacks, black boxes.
local t = require "tap"
local peri = require "perigee"

-- min (x1 - 3)^2 + (x2 + 1)^2 + (x3 - 2)^2, x1 + x2 <= b, x3 = c, x1 >= 0: closed form by the multipliers' definition
local function build(b, c, lower)
  local m = peri.model "quadratic"
  local x = m:var("x", 3, { lower = { lower, -10, -10 }, start = 1 })
  m:minimize((x[1] - 3)^2 + (x[2] + 1)^2 + (x[3] - 2)^2)
  local sum = m:subject_to("sum", x[1] + x[2] <= b)
  local fixed = m:subject_to("fixed", x[3]:eq(c))
  return m, x, sum, fixed
end
local b, c = 0.5, 3.25
local m, x, sum, fixed = build(b, c, -1)
local sol = m:solve("ipm", { tol = 1e-10 })
local excess = (2 - b) / 2 -- of the unconstrained minimum (3, -1), shared by both
t.is(sol.status == "optimal" or sol.status == "locally_optimal", true, "solved")
t.all_close(sol[x], { 3 - excess, -1 - excess, c }, 1e-6, 1e-7, "the point")
t.is_close(sol.objective, 2 * excess^2 + (c - 2)^2, 1e-7, 1e-8, "the objective")
t.is_close(sol:dual(sum), -2 * excess, 1e-5, 1e-6, "a multiplier is the derivative with respect to the side")
t.is_close(sol:dual(fixed), 2 * (c - 2), 1e-5, 1e-6, "of an equality too")
t.all_close(sol:reduced_cost(x), { 0, 0, 0 }, 0, 1e-5, "no bound is active")
t.is_close(sol:value(x[1] * x[2]), (3 - excess) * (-1 - excess), 1e-6, 0, "the value of an expression")
t.all_close(sol[x[{ 3, 1 }]], { sol[x][3], sol[x][1] }, 0, 0, "the value of some entries")
t.all_close(sol[x:slice(2, 3)], { sol[x][2], sol[x][3] }, 0, 0, "and of a slice")
t.is_close(sol[x:t()][2], sol[x][2], 0, 0, "the value of a row has entries")
t.is_close(sol[x[1] + 1], 4 - excess, 1e-6, 0, "in brackets as well")
t.is(sol.iterations > 0 and math.type(sol.iterations), "integer", "iterations")
t.ok(sol.certificate.kkt < 1e-6 and sol.certificate.primal < 1e-6, "the certificate")
t.ok(sol.certificate.dual <= sol.certificate.kkt and sol.certificate.complementarity <= sol.certificate.kkt, "kkt is the largest")
t.ok(sol.evaluations.objective > 0 and sol.evaluations.gradient > 0 and sol.evaluations.jacobian > 0, "evaluations")
t.ok(sol.seconds > 0 and sol.times.total == sol.seconds and sol.times.linear_algebra >= 0, "seconds and times")
t.is(sol.solver, "ipm", "solver")
t.has(sol.plan, "ipm", "plan")
t.ok(#sol.history >= sol.iterations, "history has a row an iteration")
t.ok(sol.history[1].objective and sol.history[1].iteration == 0, "with named columns")
t.ok(sol.history == sol.history, "a field is made once")
t.has(tostring(sol), "objective", "print(sol)")
t.has(sol:json(), '"objective"', "json")
local path = os.tmpname()
sol:save(path)
local file = io.open(path)
t.is(file:read "a":gsub("%s+$", ""), (sol:json():gsub("%s+$", "")), "save writes the JSON text")
file:close()
os.remove(path)
t.raises(function() sol:save("/nowhere/at/all.json") end, "/nowhere/at/all.json: opening failed: No such file", "a path that cannot be")
if io.open("/dev/full", "w") then
  t.raises(function() sol:save("/dev/full") end, "/dev/full: writing failed: No space left", "a full disk")
else
  t.skip(1, "no /dev/full")
end
if os.getenv "LD_PRELOAD" then -- a sanitizer's library would judge gnuplot
  t.skip(6, "gnuplot is not run under a sanitizer")
else -- the picture's numbers and script are written, with or without gnuplot
  local stem = os.tmpname()
  local made, why = sol:plot(stem .. ".svg", "convergence")
  local function read(kind)
    local f = io.open(stem .. kind)
    local text = f and f:read "a"
    if f then f:close() end
    os.remove(stem .. kind)
    return text
  end
  t.is(select(2, read ".dat":gsub("\n", "")), #sol.history + 1, "plot: a line of numbers for each iteration")
  t.has(read ".gp", "set output '" .. stem .. ".svg'", "plot: the script")
  t.is(read ".svg" ~= nil, made, "plot: the picture, where gnuplot is")
  t.ok(made or why:find "gnuplot is not installed", "plot: or what is missing")
  os.remove(stem)
  t.raises(function() sol:plot("picture.doc") end, "dsl_solve.lua:", "plot: another kind of file is refused on the user's line")
  t.raises(function() sol:plot("/nowhere/at/all.svg") end, "cannot write /nowhere/at/all.dat", "plot: a path that cannot be")
end
t.raises(function() return sol.objectiv end, 'a solution has no "objectiv" (did you mean "objective"?)', "an unknown field")
t.raises(function() return sol.dualing end, 'a solution has no "dualing"', "an unknown method")
t.raises(function() return sol:dual(x) end, "x (vector 3) is not what subject_to returned", "dual of a variable")
t.raises(function() return sol:reduced_cost(x[1]) end, "x[1]", "reduced_cost of an entry")
local foreign = build(1, 1, 0)
t.raises(function() return sol:value(foreign:var("w")) end, 'belongs to model "quadratic"', "an expression of another model")

-- multipliers against differences of the optimal objective, as stated by the user: minimization and maximization, all forms
local function differences(name, make)
  local function optimum(shift)
    local own, handle = make(shift)
    local s = own:solve("ipm", { tolerance = 1e-11 })
    return s.objective, s:dual(handle)
  end
  local h = 1e-4
  local up, down = optimum(h), optimum(-h)
  local _, dual = optimum(0)
  t.is_close(dual, (up - down) / (2 * h), 1e-4, 1e-5, name)
end
local function with(make_constraint, maximize)
  return function(shift)
    local own = peri.model "dual"
    local v = own:var("v", 2, { start = { 0.3, 0.4 } })
    local f = (v[1] - 2)^2 + 2 * (v[2] - 1)^2 + 0.1 * v[1] * v[2]
    if maximize then own:maximize(-f) else own:minimize(f) end
    return own, own:subject_to(make_constraint(v, shift))
  end
end
for _, maximize in ipairs { false, true } do
  local sense = maximize and "max, " or "min, "
  differences(sense .. "e <= number", with(function(v, d) return v[1] + v[2] <= 1 + d end, maximize))
  differences(sense .. "e >= number", with(function(v, d) return v[1] - v[2] >= 3 + d end, maximize))
  differences(sense .. "number >= e", with(function(v, d) return 1 + d >= v[1] + v[2] end, maximize))
  differences(sense .. "e:eq(number)", with(function(v, d) return (v[1]^2 + v[2]):eq(1 + d) end, maximize))
  differences(sense .. "e:le(e)", with(function(v, d) return v[1]:le(0.5 - v[2]^2 + d) end, maximize))
  differences(sense .. "e:ge(e)", with(function(v, d) return v[1]:ge(3 + v[2] + d) end, maximize))
  differences(sense .. "between, upper active", with(function(v, d) return peri.between(-5, v[1] + v[2], 1 + d) end, maximize))
end
do -- a parameter as a side
  local own = peri.model "parameter"
  local v, limit = own:var("v"), own:param("limit", 2)
  own:minimize((v - 5)^2)
  local h = own:subject_to(peri.between(limit - 4, v, limit))
  t.is_close(own:solve("ipm")[v], 2, 1e-5, 0, "between with a parameter")
  limit:set(3)
  local s = own:solve("ipm")
  t.is_close(s[v], 3, 1e-5, 0, "set to another value between solves")
  t.is_close(s:dual(h), -4, 1e-4, 0, "its multiplier")
end
for name, compare in pairs { -- the optimum is limit^2, so its derivative is 4, however the constraint is written
  ["v >= p"] = function(v, p) return v >= p end,
  ["p <= v"] = function(v, p) return p <= v end,
  ["v:ge(p)"] = function(v, p) return v:ge(p) end,
  ["p:le(v)"] = function(v, p) return p:le(v) end,
  ["v:eq(p)"] = function(v, p) return v:eq(p) end,
  ["p:eq(v)"] = function(v, p) return p:eq(v) end,
  ["3 v >= 3 p"] = function(v, p) return 3 * v >= 2 + 2 * p + p - 2 end,
} do
  local own = peri.model "side"
  local v, limit = own:var("v", { start = 1 }), own:param("limit", 2)
  own:minimize(v^2)
  local h = own:subject_to(compare(v, limit))
  local want = name:find "3" and 4 / 3 or 4
  t.is_close(own:solve("ipm"):dual(h), want, 1e-4, 0, "the side of parameters is the right-hand side: " .. name)
end
do -- vectors and several constraints of one handle
  local own = peri.model "vectors"
  local v = own:var("v", 3)
  own:minimize((v - 4):dot(v - 4))
  local h = own:subject_to(v <= { 1, 2, 9 }, v[1] + v[2] >= -1)
  local s = own:solve("ipm", { tolerance = 1e-10 })
  t.all_close(s:dual(h), { -6, -4, 0, 0 }, 1e-4, 1e-5, "all rows of a handle")
  t.all_close(s:dual(h[1]), { -6, -4, 0 }, 1e-4, 1e-5, "of its first constraint")
  t.is_close(s:dual(h[2]), 0, 0, 1e-5, "of its second")
  local w = own:var("bounded", 2, { lower = 1, upper = 2 })
  own:minimize((v - 4):dot(v - 4) + w[1] - w[2])
  t.all_close(own:solve("ipm", { tolerance = 1e-10 }):reduced_cost(w), { 1, -1 }, 1e-4, 0, "reduced costs at bounds")
end

-- warm starts
local again = m:solve("ipm", { tol = 1e-8, warm_start = sol })
t.ok(again.iterations <= sol.iterations, "a warm start takes no more iterations")
t.all_close(again[x], sol[x], 1e-5, 1e-6, "and ends at the same point")
t.raises(function() sol:warm_start("ipm") end, "warm_start: takes no arguments", "sol:warm_start is no solve")
t.ok(m:solve("ipm", { warm_start = foreign:solve("ipm") }).status ~= nil, "another model with that name of a variable")

-- options
t.raises(function() m:solve("ipm", { tolerence = 1e-8 }) end, 'did you mean "tolerance"', "an unknown option names the nearest")
t.raises(function() m:solve("imp") end, "ipm", "an unknown solver names the nearest")
t.raises(function() m:solve("ipm", { iterations = -1 }) end, "iterations", "an option out of range")
t.is(m:solve("ipm", { iterations = 0 }).status, "iteration_limit", "a limit of no iterations")
t.is(m:solve({ iterations = 100, tolerance = "1e-6" }).status, sol.status, "options without a solver, numbers as text")

-- outcomes
do
  local own = peri.model "contradiction"
  local v = own:var("v", nil, { lower = 0, upper = 1 })
  own:minimize(v)
  own:subject_to(v >= 2)
  t.is(own:solve("ipm").status, "infeasible", "infeasible")
  local up = peri.model "unbounded"
  local w = up:var("w", 2)
  up:minimize(w[1] + w[2])
  t.is(up:solve("ipm").status, "unbounded", "unbounded")
  local bad = peri.model "domain"
  local z = bad:var("z", nil, { start = -1 })
  bad:minimize(peri.log(z) + z)
  t.raises(function() bad:solve() end, "log", "undefined at the start: the operation is named")
end

-- callbacks
do
  local rows, kinds = 0, {}
  local s = m:solve("ipm", { callback = function(row) rows = rows + 1 kinds[type(row.objective)] = true end })
  t.ok(rows >= s.iterations and kinds.number, "a callback sees every iteration")
  s = m:solve("ipm", { tolerance = 1e-12, callback = function(row) return row.iteration < 2 end })
  t.is(s.status, "interrupted", "false from it ends the solve")
  local object = { "an error object" }
  local _, err = pcall(m.solve, m, "ipm", { callback = function() error(object) end })
  t.ok(err == object, "its error objects arrive unchanged")
  t.raises(function() m:solve("ipm", { callback = function() local a = nil return a.b end }) end, "dsl_solve.lua:", "errors too")
  t.raises(function() m:solve("ipm", { callback = function() m:solve("ipm") end }) end, "is being evaluated", "no solve in a solve")
  t.raises(function() m:solve("ipm", { callback = function() m:var("late") end }) end, "is being evaluated", "no change in a solve")
  t.raises(function() m:solve("ipm", { callback = function() m:close() end }) end, "is being evaluated", "no closing")
  t.raises(function() m:solve("ipm", { callback = function() return peri.grad(x[1], x) end }) end, "is being evaluated", "no derivatives")
  t.raises(function() m:solve("ipm", { callback = function() return x[1] + 1 end }) end, "is being evaluated", "no expressions either")
  local inner
  m:solve("ipm", { callback = function()
    inner = inner or build(1, 1, 0):solve("ipm").status
  end })
  t.is(inner, sol.status, "another model can be solved in a callback")
  t.raises(function()
    coroutine.wrap(function() m:solve("ipm", { callback = function() coroutine.yield() end }) end)()
  end, "attempt to yield across a C-call boundary", "yielding is refused")
  t.is_close(m:solve("ipm").objective, sol.objective, 1e-6, 0, "and after all that the model is as it was")
end

-- black boxes
do
  local own = peri.model "black box"
  local v = own:var("v", 2, { start = { 3, 4 } })
  local calls = 0
  local f = peri.blackbox(function(a) calls = calls + 1 return a[1]^2 + 10 * a[2] end, v)
  t.is(f:value(), 49.0, "its value at the start")
  t.is((2 * f + v[1]):value { [v] = { 1, 2 } }, 43.0, "inside an expression, elsewhere")
  t.is(calls, 2, "called once for each")
  t.is(peri.blackbox(function(a) return a + 1 end, v[2]):value(), 5.0, "of a scalar it gets a number")
  t.raises(function() return peri.grad(f, v) end, "black", "it has no derivatives")
  t.raises(function() return peri.blackbox(function() return "a" end, v):value() end, "must return a number, not", "a wrong result")
  local object = {}
  local _, err = pcall(function() return peri.blackbox(function() error(object) end, v):value() end)
  t.ok(err == object, "its error objects arrive unchanged")
  t.raises(function() return peri.blackbox(function() return f:value() end, v):value() end, "is being evaluated", "no evaluation inside")
  t.is(peri.blackbox(function() return 0 / 0 end, v):value() > 0, false, "NaN is returned as computed")
  own:minimize(f)
  t.raises(function() own:solve("ipm") end, "ipm", "a method that needs derivatives refuses it")
end

-- a closed model's solution still answers what needs no model value
local last = m:solve("ipm")
m:close()
t.is_close(last.objective, sol.objective, 1e-6, 0, "a solution outlives its model's closing")
t.raises(function() return last[x] end, "closed", "but its expressions are gone")

t.done()
