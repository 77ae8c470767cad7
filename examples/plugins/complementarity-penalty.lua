-- SPDX-License-Identifier: Apache-2.0
-- complementarity-penalty.lua - a reformulation of two levels in Lua: a lower level becomes its optimality conditions, and what its multipliers and slacks
-- have in common a penalty, sum of lambda * slack, in the objective, whose weight grows until nothing is left of it, as in
-- "complementarity-penalty > ipm". For large weights the penalty is exact (S. Scholtes, M. Stoehr: Exact penalization of mathematical programs with
-- equilibrium constraints, SIAM Journal on Control and Optimization 37, 1999; D. Ralph, S. J. Wright: Some properties of regularization and
-- penalization schemes for MPECs, Optimization Methods and Software 19, 2004).

local peri = require "perigee"

-- The finite ones of some sides: sign * (value - side) >= 0. entries are places in value.
local function add_sides(list, value, entries, bounds, places, sign)
  local at, side, of = {}, {}, {}
  for k, place in ipairs(places) do
    local other = math.abs(bounds[place])
    if other < math.huge then at[#at + 1], side[#side + 1], of[#of + 1] = entries[k], bounds[place], k end
  end
  if #at > 0 then list[#list + 1] = { distance = sign * (value[at] - peri.array(side)), sign = sign, of = of } end
end

local function count(n)
  local list = {}
  for k = 1, n do list[k] = k end
  return list
end

local function pick(list, at)
  local out = {}
  for k, i in ipairs(at) do out[k] = list[i] end
  return out
end

-- Rows c of a level: equations e = 0 (nil where there are none), the sides of others; which of its rows are the ones, which the others.
local function sided_rows(run, c, level)
  local equal, sided, sides, values, e = {}, {}, {}, {}, nil
  for k, row in ipairs(level.rows) do
    local list = run.cl[row] >= run.cu[row] and equal or sided
    list[#list + 1] = k
  end
  for k, i in ipairs(equal) do values[k] = run.cl[level.rows[i]] end
  if #equal > 0 then e = c[equal] - peri.array(values) end
  add_sides(sides, c, sided, run.cl, pick(level.rows, sided), 1)
  add_sides(sides, c, sided, run.cu, pick(level.rows, sided), -1)
  return e, sides, equal, sided
end

-- The level's sides with a multiplier each, and the multipliers of its equations; start values from its own optimum at the start.
local function conditions(run, inner, x, k, level, start)
  local f, c = inner:problem(x, k)
  local at = run:solve_level(k, start)
  local e, sides, equal, sided = sided_rows(run, c, level)
  local lagrangian, of_rows = f, #sides
  add_sides(sides, x, level.variables, run.xl, level.variables, 1)
  add_sides(sides, x, level.variables, run.xu, level.variables, -1)
  if e then
    local nu = inner:var("equation_" .. k, #equal, { start = pick(at.y:totable(), equal) })
    inner:subject_to(e:eq(0))
    lagrangian = lagrangian - peri.dot(nu, e)
  end
  local common = 0
  for s, side in ipairs(sides) do
    local multipliers = s <= of_rows and pick(at.y:totable(), sided) or at.z:totable()
    local first = {}
    for i, place in ipairs(side.of) do first[i] = math.max(side.sign * multipliers[place], 0) end
    local lambda = inner:var(("side_%d_%d"):format(k, s), #first, { lower = 0, start = first })
    lagrangian = lagrangian - peri.dot(lambda, side.distance)
    common = common + peri.dot(lambda, side.distance)
    if s <= of_rows then inner:subject_to(side.distance:ge(0)) end
  end
  inner:subject_to(peri.grad(lagrangian, x)[level.variables]:eq(0))
  return common
end

local function init(state, run, options)
  local levels, inner = run:levels(), run:inner "conditions"
  local x = inner:variables()
  local F, G = inner:problem(x, 0)
  local start, common = run:start(), 0
  if G then
    local equal, sides = sided_rows(run, G, levels[0])
    if equal then inner:subject_to(equal:eq(0)) end
    for _, side in ipairs(sides) do inner:subject_to(side.distance:ge(0)) end
  end
  for k, level in ipairs(levels) do
    if level.parent > 0 then error(("complementarity-penalty: model %q lies inside a lower one; kkt takes such problems"):format(level.name), 0) end
    common = common + conditions(run, inner, x, k, level, start)
  end
  state.parameter = inner:param("weight", options.weight)
  inner:minimize(F + state.parameter * common)
  state.inner, state.options, state.weight = inner, options, options.weight
end

local function step(state, run)
  state.parameter:set(state.weight)
  local r = state.inner:solve {}
  if r.why == "infeasible" or r.why == "unbounded" then return r.why end
  local x = r.x[count(run.n)]
  local f = run:f(x)
  if not f then run:undefined() end
  local left = (r.objective - f) / state.weight
  run:accept { x = x, objective = f, regularization = state.weight, tag = left > run.tolerance and "+" or "-" }
  if left <= run.tolerance * math.max(1, math.abs(f)) then return "converged" end
  if state.weight >= state.options.largest then return "stalled" end
  state.weight = state.weight * state.options.growth
end

peri.plugin {
  name = "complementarity-penalty",
  kind = "reformulation",
  family = "example",
  version = "1",
  license = "Apache-2.0",
  summary = "lower levels as their optimality conditions, complementarity as a penalty that grows",
  page = [[
Each lower level is replaced by its gradient condition, its rows and multipliers for their sides and those of its bounds; the sum of all products of a
multiplier and its slack goes into the objective with a weight. It starts from the lower level's own optimum at the start. Local, and for lower levels that
are convex: what comes of others may be any point that satisfies the conditions, and the certificate says so. A row of the history is one inner solve.]],
  reference = "Scholtes and Stoehr 1999, SIAM J. Control Optim. 37; Ralph and Wright 2004, Optim. Methods Softw. 19",
  needs = { "levels", "sparse_hessian", "objective" },
  refuses = { "integer", "nonsmooth" },
  removes = { "levels", "multilevel", "convex", "linear_objective", "quadratic_objective" },
  adds = { "constraints", "equalities", "nonlinear_constraints", "bounds", "nonlinear_objective" },
  options = {
    { name = "weight", type = "real", default = 1, lower = 1e-12, upper = 1e12, help = "of the products, at first" },
    { name = "growth", type = "real", default = 10, lower = 1.1, upper = 1e6, help = "factor on the weight after each inner solve" },
    { name = "largest", type = "real", default = 1e8, lower = 1, upper = 1e15, help = "weight of the last solve" },
  },
  init = init,
  step = step,
}
