-- SPDX-License-Identifier: Apache-2.0
-- Plugins in Lua: what a run offers against values that are known, the ways of definition, errors and where they are raised, the examples.
local t = require "tap"
local peri = require "perigee"

local source = os.getenv "PERIGEE_SOURCE" or "."

local function define(fields)
  local all = { name = "probe", summary = "a probe", step = function() return "converged" end }
  for key, value in pairs(fields) do all[key] = value end
  return peri.plugin(all)
end

--- f = (x1 - 1)^2 + 3 x1 x2 + 2 x2^2 with 1 <= x1 x2 + x1 <= 5, x2 >= -2; all derivatives by hand
local function problem()
  local m = peri.model "by hand"
  local x = m:var("x", 2, { start = { 1, 2 }, lower = { -math.huge, -2 } })
  m:minimize((x[1] - 1) ^ 2 + 3 * x[1] * x[2] + 2 * x[2] ^ 2)
  m:subject_to(peri.between(1, x[1] * x[2] + x[1], 5), x[1] + x[2] >= 0)
  return m, x
end

local function close(got, want, name)
  t.all_close(got and got:totable(), want, 1e-14, 1e-14, name)
end

-- ---- what a run offers ----------------------------------------------------------------------------------------------

local seen
local probe = define {
  needs = { "gradient" }, options = {
    { name = "r", type = "real", default = 0.5, lower = 0, upper = 1, help = "a real" },
    { name = "i", type = "int", default = 3, help = "an integer" },
    { name = "b", type = "bool", default = true, help = "a switch" },
    { name = "e", type = "enum", default = "two", choices = { "one", "two" }, help = "a choice" },
    { name = "s", type = "string", default = "text", help = "a text" },
  },
  init = function(state, run, options)
    state.x, seen = run:start(), { options = options, run = run }
    t.is(run.n, 2, "n")
    t.is(run.m, 2, "m")
    t.all_close(run.xl:totable(), { -math.huge, -2 }, 0, 0, "lower bounds")
    t.all_close(run.cu:totable(), { 5, math.huge }, 0, 0, "upper sides")
    t.is(run.tolerance, 1e-8, "tolerance")
    t.is(run.limits.iterations, 77, "limits")
    t.ok(run:has "bounds" and not run:has "integer", "traits")
    local linear = run:linear_rows()
    t.ok(not linear[1] and linear[2], "linear rows")
    t.is(run:start_duals(), nil, "no multipliers to start with")
  end,
  step = function(state, run)
    local x = state.x
    close(x, { 1, 2 }, "start")
    t.is(run:f(x), 14, "f")
    local f, g = run:fg(x)
    t.is(f, 14, "f with its gradient")
    close(g, { 6, 11 }, "gradient")
    t.ok(rawequal(run:gradient({ 0, 0 }, g), g), "an array to write to is given back")
    close(g, { -2, 0 }, "and was written to")
    close(run:constraints(x), { 3, 3 }, "constraints")
    local J = run:jacobian(x)
    close(J % peri.array { 1, 0 }, { 3, 1 }, "Jacobian, first column")
    close(J % peri.array { 0, 1 }, { 1, 1 }, "second")
    close(run:jv(x, { 1, -1 }), { 2, 0 }, "J v")
    close(run:vj(x, { 2, 1 }), { 7, 3 }, "J' w")
    t.ok(rawequal(run:jacobian({ 0, 0 }, J), J), "the same array again")
    close(J % peri.array { 1, 0 }, { 1, 1 }, "with new values")
    local H = run:hessian(x, 1, { 10, 0 })
    close(H % peri.array { 1, 0 }, { 2, 13 }, "Hessian, first column")
    close(H % peri.array { 0, 1 }, { 13, 4 }, "second")
    close(run:hv(x, 2, { 0, 0 }, { 1, 1 }), { 10, 14 }, "a Hessian's product")
    local batch = peri.array { { 1, 2 }, { 0, 0 }, { 1, 0 } }
    close(run:f_batch(batch), { 14, 1, 0 }, "f at several points")
    local values, gradients = run:fg_batch(batch)
    close(values, { 14, 1, 0 }, "f and gradients")
    close(gradients[2], { -2, 0 }, "the second one's")
    close(run:constraints_batch(batch)[3], { 1, 1 }, "constraints at several points")
    t.is(run:uniform(1, 2), run:uniform(1, 2), "random numbers are functions of stream and counter")
    t.ok(run:uniform(1, 2) ~= run:uniform(1, 3) and run:uniform(1, 2) < 1, "and others elsewhere")
    t.ok(math.abs(run:normal(3, 4)) < 10, "normal ones too")
    t.ok(run:clock() > 0 and not run:should_stop(), "time; no stop")
    run:note "looked at everything"
    run:accept { x = x, y = { 1, 2 }, z = { 0, 0 }, objective = 14, step = 0.25, barrier = 3, tag = "q" }
    run:finish "stalled"
  end,
}

local m, x = problem()
local sol = m:solve(probe, { iterations = 77, r = 0.75, e = "one" })
t.is(sol.iterations, 1, "one iteration")
t.is(sol.solver, "probe", "the solver's name")
close(sol[x], { 1, 2 }, "the accepted point")
local row = sol.history[1]
t.ok(row.step == 0.25 and row.barrier == 3 and row.tag == "q" and row.objective == 14, "its row in the history")
local o = seen.options
t.ok(o.r == 0.75 and o.i == 3 and o.b == true and o.e == "one" and o.s == "text", "options")
t.raises(function() return seen.run:f { 1, 2 } end, "this run is over", "a run that is over answers no call")
t.raises(function() m:solve("probe", { r = 2 }) end, 'probe: option "r" is 2, must be in [0, 1]', "options are checked")
t.has(probe:page(), "a choice", "the page has the options")
t.raises(function() m:solve("probe > lbfgs") end, "probe", "a solver is no reformulation")

-- ---- linear systems -------------------------------------------------------------------------------------------------

define {
  name = "systems",
  step = function(_, run)
    local A = peri.array { { 4, 1 }, { 1, 3 } }
    local F = run:factor(A, "definite")
    local fine, positive, negative = F:values(A)
    t.ok(fine and positive == 2 and negative == 0 or negative == -1, "a definite matrix")
    close(F:solve { 6, 7 }, { 1, 2 }, "its solution")
    F:values(A, 1)
    close(F:solve { 7, 9 }, { 1, 2 }, "with a shift")
    local sparse = peri.sparse { rows = 2, cols = 2, i = { 1, 2, 2 }, j = { 2, 1, 2 }, v = { 2, 1, 5 } }
    local G = run:factor(sparse, "general")
    G:values(sparse)
    close(G:solve { 4, 11 }, { 1, 2 }, "a matrix without symmetry")
    close(G:solve_transposed { 2, 12 }, { 1, 2 }, "and transposed")
    local Z = run:factor(peri.zeros(2, 2), "indefinite")
    t.is(Z:values(peri.zeros(2, 2)), false, "a singular one")
    t.raises(function() Z:solve { 1, 1 } end, "no values yet", "has no solution")
    local tall = peri.array { { 1, 0 }, { 0, 1 }, { 1, 1 } }
    local Q = run:factor(tall, "least_squares")
    Q:values(tall)
    t.all_close(Q:solve({ 1, 2, 3 }):totable(), { 1, 2 }, 1e-12, 1e-12, "least squares")
    local O = run:operator({ n = 2, apply = function(v) return { 4 * v[1] + v[2], v[1] + 3 * v[2] } end }, "definite")
    t.all_close(O:solve({ 6, 7 }):totable(), { 1, 2 }, 1e-8, 1e-8, "an operator, by " .. O:name())
    t.ok(O:iterations() >= 1, "its iterations")
    local B = run:operator({ apply = function() error("in the product", 0) end }, "definite")
    t.raises(function() B:solve { 1, 1 } end, "in the product", "an error in a product")
    O:close()
    t.raises(function() O:solve { 1, 1 } end, "closed", "a closed system")
    return "stalled"
  end,
}
m:solve "systems"

-- a linear solver in Lua, used by a method in C: Cholesky's factorisation of a dense matrix
local calls = 0
peri.plugin {
  name = "lua-cholesky", kind = "linear_solver", summary = "dense, column by column", solves = { "definite", "quasidefinite", "indefinite" },
  analyse = function(state, _, _, A, kind)
    t.is(kind, "symmetric", "what kind of system it is")
    state.n = A:rows()
  end,
  factor = function(state, _, A)
    local L, n = {}, state.n
    for i = 1, n do
      L[i] = {}
      for j = 1, n do L[i][j] = A[i][j] end
    end
    for j = 1, n do -- L D L'
      for k = 1, j - 1 do
        for i = j, n do L[i][j] = L[i][j] - L[i][k] * L[j][k] * L[k][k] end
      end
      if L[j][j] == 0 then return false end
      for i = j + 1, n do L[i][j] = L[i][j] / L[j][j] end
    end
    local negative = 0
    for j = 1, n do negative = negative + (L[j][j] < 0 and 1 or 0) end
    state.L, calls = L, calls + 1
    return true, n - negative, negative, 0
  end,
  solve = function(state, _, b)
    local L, n = state.L, state.n
    for i = 1, n do for k = 1, i - 1 do b[i] = b[i] - L[i][k] * b[k] end end
    for i = 1, n do b[i] = b[i] / L[i][i] end
    for i = n, 1, -1 do for k = i + 1, n do b[i] = b[i] - L[k][i] * b[k] end end
    return b
  end,
}
local qm = peri.model "quadratic"
local q = qm:var("q", 3, { start = 1 })
qm:minimize((q:dot(q) * 2) + (q[1] + q[2] - 1) ^ 2 + q[3])
sol = qm:solve("ipm", { linear_solver = "lua-cholesky" })
t.is(sol.status, "optimal", "ipm with a linear solver in Lua")
t.ok(calls > 0, "which was called")
t.all_close(sol[q]:totable(), { 0.25, 0.25, -0.25 }, 1e-7, 1e-7, "the optimum")

-- an iterative one, which takes operators: steepest descent, steps and all
local kept
peri.plugin {
  name = "lua-richardson", kind = "linear_solver", summary = "steps along the residual", solves = { "definite", "iterative" },
  options = { { name = "steps", type = "int", default = 500, lower = 1, help = "most steps" } },
  attach = function(state, _, options, op)
    state.op, state.steps, kept = op, options.steps, op
    t.is(op.n, 2, "the operator's size")
    t.is(op.apply_transposed, nil, "it has no transposed product")
  end,
  factor = function() return false end,
  solve = function(state, _, b)
    local x, r, Ar, k = peri.zeros(#b), b + 0, peri.zeros(#b), 0
    t.raises(function() state.op.apply(r, r) end, "cannot be written to v itself", "a product in place")
    t.raises(function() state.op.apply { 1, 2, 3 } end, "apply: v", "a vector of another length")
    while r:norm2() > 1e-11 do
      if k == state.steps then return nil end
      state.op.apply(r, Ar)
      local length = r:inner(r) / r:inner(Ar)
      x:axpy(length, r)
      r:axpy(-length, Ar)
      k = k + 1
    end
    return x, k
  end,
}
define {
  name = "operators",
  step = function(_, run)
    local products = 0
    local function apply(v)
      products = products + 1
      return { 4 * v[1] + v[2], v[1] + 3 * v[2] }
    end
    local O <close> = run:operator({ n = 2, apply = apply }, { needs = "definite", solver = "lua-richardson" })
    t.is(O:name(), "lua-richardson", "an operator for a linear solver in Lua")
    t.all_close(O:solve({ 6, 7 }):totable(), { 1, 2 }, 1e-9, 1e-9, "is solved by its products")
    t.is(O:iterations(), products, "with as many iterations as products")
    local B <close> = run:operator({ n = 2, apply = function() error("in the product", 0) end }, { needs = "definite", solver = "lua-richardson" })
    t.raises(function() B:solve { 1, 1 } end, "in the product", "an error in a product comes through the solver")
    local U <close> = run:operator({ n = 2, apply = function(v) return { v[1] - 2 * v[2], 3 * v[1] + v[2] } end },
      { needs = "definite", solver = "lua-richardson" })
    t.is(U:solve { 1, 5 }, nil, "a system that it does not solve")
    t.raises(function() run:operator({ n = 2, apply = apply }, { needs = "definite", solver = "lua-cholesky" }) end,
      "needs a matrix", "an operator for a direct solver")
    return "stalled"
  end,
}
m:solve("operators", { ["lua-richardson.steps"] = 300 })
t.raises(function() kept.apply { 1, 2 } end, "is closed", "an operator behind its system's end")
t.raises(function()
  peri.plugin { name = "lua-none", kind = "linear_solver", summary = "s", solves = "iterative", factor = print, solve = print }
end, "attach is missing", "an iterative solver without attach")

-- ---- errors ---------------------------------------------------------------------------------------------------------

define { name = "breaks", step = function() error { code = 42 } end }
local fine, err = pcall(m.solve, m, "breaks")
t.ok(not fine and type(err) == "table" and err.code == 42, "an error object comes out as it went in")
define { name = "typo", init = function(_, run) return run.start_point end }
t.raises(function() m:solve "typo" end, 'run has no "start_point"', "a wrong name in init")
define { name = "gives-up", step = function(_, run) run:fail "the pivots are gone" end }
sol = m:solve "gives-up"
t.is(sol.status, "numerical_error", "run:fail is a result")
t.has(sol.message, "the pivots are gone", "with the reason")
define { name = "bad-word", step = function() return "done" end }
t.raises(function() m:solve "bad-word" end, "a run ends as", "a wrong end")
define { name = "not-finite", step = function(_, run) run:accept { x = run:start():scale(math.huge) } end }
t.is(m:solve("not-finite").status, "numerical_error", "a point that is not finite is not believed")
define { name = "endless", step = function() while true do end end }
t.is(m:solve("endless", { time_limit = 0.2 }).status, "time_limit", "a step without end meets the time limit")
define { name = "fini-runs", step = function() error "first" end, fini = function(state) state.over = true end }
t.raises(function() m:solve "fini-runs" end, "first", "fini after an error")

local um = peri.model "undefined"
local u = um:var("u", 1, { start = -1 })
um:minimize(u[1]:log())
define { name = "undefined", init = function(_, run) return run:f(run:start()) or run:undefined() end }
t.raises(function() um:solve "undefined" end, "log", "an undefined start is explained by the engine")
define { name = "nil-value", step = function(_, run)
  t.is(run:f { -1 }, nil, "f is nil where undefined")
  t.is(run:f { -1 } or math.huge, math.huge, "and can be replaced")
  return "stalled"
end }
um:solve "nil-value"

for _, case in ipairs {
  { { name = "no-step", summary = "s", step = false }, "step must be a function" },
  { { name = "Upper", summary = "s", step = print }, 'name is "Upper"' },
  { { name = "no-summary", step = print }, "summary is missing" },
  { { summary = "s", step = print }, "a name is needed" },
  { { name = "w", summary = "s", step = print, needs = "gradients" }, "gradients is not known" },
  { { name = "w", summary = "s", step = print, sumary = "s" }, 'unknown option "sumary" (did you mean "summary"?)' },
  { { name = "w", summary = "s", step = print, options = { { name = "tol", type = "real", help = "h" } } }, "the engine's own" },
  { { name = "w", summary = "s", step = print, options = { { name = "a", type = "real" } } }, "has no help" },
  { { name = "w", summary = "s", step = print, options = { { name = "a", type = "enum", default = "z", choices = { "x", "y" }, help = "h" } } },
    "not one of the choices" },
  { { name = "w", summary = "s", step = print, options = { { name = "a", type = "int", default = 5, upper = 4, help = "h" } } }, "outside" },
  { { name = "lbfgs", summary = "s", step = print }, "already that of a plugin in" },
} do
  t.raises(function() peri.plugin(case[1]) end, case[2], "refused: " .. case[2])
end
t.raises(function() define { name = "bad-x", step = function(_, run) run:accept { x = { 1 } } end } m:solve "bad-x" end,
  "accept: x must be an array of 2 numbers", "a point of the wrong size")

-- ---- ways of use ----------------------------------------------------------------------------------------------------

local quick = { name = "quick", summary = "given inline", step = function(_, run) run:accept { x = { 3, 4 } } run:finish "stalled" end }
t.all_close(m:solve(quick)[x]:totable(), { 3, 4 }, 0, 0, "a table is solved with")
t.all_close(m:solve(quick)[x]:totable(), { 3, 4 }, 0, 0, "and again")
define { name = "quick", step = function(_, run) run:accept { x = { 5, 6 } } run:finish "stalled" end }
t.all_close(m:solve("quick")[x]:totable(), { 5, 6 }, 0, 0, "a name is defined anew")
define { name = "itself", step = function() define { name = "itself" } end }
t.raises(function() m:solve "itself" end, "is under way", "but not while it runs")

local inside = 0
define { name = "outer", step = function(_, run)
  local other, y = problem()
  inside = other:solve("spg-like")[y][1]
  run:accept { x = run:start() }
  return "stalled"
end }
define { name = "spg-like", step = function(_, run) run:accept { x = { 7, 8 } } return "stalled" end }
m:solve "outer"
t.is(inside, 7, "a step may solve another model")

-- ---- the examples ---------------------------------------------------------------------------------------------------

dofile(source .. "/examples/plugins/spg.lua")
dofile(source .. "/examples/plugins/log-barrier.lua")
local rm = peri.model "Rosenbrock's function"
local r = rm:var("r", 6, { start = -1.2, upper = { 2, 2, 2, 2, 2, 0.5 } })
rm:minimize(peri.map(5, function(i) return 100 * (r[i + 1] - r[i] ^ 2) ^ 2 + (1 - r[i]) ^ 2 end):sum())
local a, b = rm:solve("spg", { iterations = 5000, tolerance = 1e-6 }), rm:solve "ipm"
t.is(a.status, "locally_optimal", "spg solves")
t.is_close(a.objective, b.objective, 1e-8, 1e-8, "what ipm solves")

local hm = peri.model "HS 22"
local h = hm:var("h", 2, { start = { 2, 2 } })
hm:minimize((h[1] - 2) ^ 2 + (h[2] - 1) ^ 2)
local c = hm:subject_to(h[1] ^ 2 <= h[2], h[1] + h[2] <= 2)
for _, plan in ipairs { "log-barrier > lbfgs", "log-barrier > spg", "log-barrier" } do
  sol = hm:solve(plan, { tolerance = 1e-6 })
  t.is(sol.status, "optimal", plan .. " solves HS 22")
  t.all_close(sol[h]:totable(), { 1, 1 }, 1e-5, 1e-5, plan .. ": the point")
  t.is_close(sol:dual(c[1]), -2 / 3, 1e-4, 1e-4, plan .. ": the first multiplier travels back")
  t.is_close(sol:dual(c[2]), -2 / 3, 1e-4, 1e-4, plan .. ": the second")
end
t.raises(function() m:solve "log-barrier > no-such" end, "no-such", "an unknown link")
local em = peri.model "equality"
local e = em:var("e", 2)
em:minimize(e:dot(e))
em:subject_to((e[1] + e[2]):eq(1))
t.raises(function() em:solve "log-barrier > lbfgs" end, "equality constraints", "equalities are refused with the reason")
local nm = peri.model "nowhere"
local n = nm:var("n", 1)
nm:minimize(n[1] ^ 2)
nm:subject_to(n[1] ^ 2 <= -1)
t.is(nm:solve("log-barrier > lbfgs").status, "infeasible", "no inside: infeasible")

-- views of inner problems, and that they end
local kept
peri.plugin {
  name = "viewer", kind = "reformulation", summary = "looks into an inner problem", removes = { "constraints", "nonlinear_constraints" },
  step = function(_, run)
    local inner = run:inner "shifted"
    local v = inner:variables()
    local f = inner:problem(v)
    local p = inner:param("p", 3)
    inner:minimize(f + p * v[1] + 5 * v:dot(v))
    local view = inner:view()
    t.is(view:f { 1, 2 }, 42, "an inner problem is evaluated")
    p:set(4)
    t.is(inner:view():f { 1, 2 }, 43, "with new parameters")
    t.raises(function() view:f { 1, 2 } end, "over", "an earlier view is over")
    t.raises(function() inner:view():accept { x = { 1, 2 } } end, "only evaluates", "a view has no iterations")
    local res = inner:solve { x = { 0, 0 } }
    t.is(res.why, "converged", "it is solved")
    t.all_close(inner:view():gradient(res.x):totable(), { 0, 0 }, 0, 1e-6, "where its gradient is 0")
    kept = inner
    run:accept { x = run:start() }
    return "stalled"
  end,
}
m:solve "viewer > lbfgs"
t.raises(function() kept:var "late" end, "closed", "an inner problem is closed with its run")
t.raises(function() m:variables() end, "not an inner problem", "models are no inner problems")

-- ---- arithmetic in place --------------------------------------------------------------------------------------------

local y = peri.array { 1, 2, 3 }
close(y:axpy(2, { 1, 1, 1 }), { 3, 4, 5 }, "axpy")
close(y:scale(2), { 6, 8, 10 }, "scale")
close(y:clip({ 7, 0, 0 }, { 9, 9, 9 }), { 7, 8, 9 }, "clip")
t.is(y:inner { 1, 0, 2 }, 25, "inner")
close(y:fill(0):assign { 4, 5, 6 }, { 4, 5, 6 }, "fill, assign")
t.raises(function() y:axpy(1, { 1, 2 }) end, "does not have the entries", "sizes must agree")

t.done()
