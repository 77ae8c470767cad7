-- SPDX-License-Identifier: Apache-2.0
-- log-barrier.lua - a reformulation in Lua: inequalities become a sum of logarithms in the objective, which the rest of the plan
-- minimizes for a smaller and smaller weight, as in "log-barrier > lbfgs". Bounds on variables are left to that solver.
-- J. Nocedal, S. J. Wright: Numerical Optimization, 2006, section 19.6, framework 19.5.

local peri = require "perigee"

-- The rows that have that side, and the slacks of c towards it: sign * (c[row] - side).
local function side(c, bounds, sign)
  local rows, values = {}, {}
  for i = 1, #bounds do
    if math.abs(bounds[i]) < math.huge then rows[#rows + 1], values[#values + 1] = i, bounds[i] end
  end
  if #rows == 0 then return nil end
  return { rows = rows, sign = sign, value = values, slack = sign * (c[rows] - peri.array(values)) }
end

local function sides(run, c)
  local list = {}
  list[#list + 1] = side(c, run.cl, 1)
  list[#list + 1] = side(c, run.cu, -1)
  return list
end

-- How far the point is inside: the smallest slack.
local function smallest_slack(run, list, c)
  local least = math.huge
  for _, s in ipairs(list) do
    for k, i in ipairs(s.rows) do least = math.min(least, s.sign * (c[i] - s.value[k])) end
  end
  return least
end

-- A point inside the constraints: minimize the squares of what the slacks are short of the margin.
local function build_phase_one(state, run)
  local inner = run:inner "inside"
  local x = inner:variables()
  local _, c = inner:problem(x)
  local margin, short = inner:param("margin", state.options.margin), 0
  for _, s in ipairs(sides(run, c)) do short = short + (peri.relu(margin - s.slack) ^ 2):sum() end
  inner:minimize(short)
  state.inside, state.margin = inner, margin
end

local function build_barrier(state, run)
  local inner = run:inner "barrier"
  local x = inner:variables()
  local f, c = inner:problem(x)
  local weight, barrier = inner:param("weight", state.weight), 0
  state.sides = sides(run, c)
  for _, s in ipairs(state.sides) do barrier = barrier + s.slack:log():sum() end
  inner:minimize(f - weight * barrier)
  state.barrier, state.parameter = inner, weight
end

local function init(state, run, options)
  state.options, state.weight = options, options.weight
  state.x = run:start()
  build_barrier(state, run)
  build_phase_one(state, run)
end

-- Weight / slack, towards the side: the multipliers at a minimizer of the barrier function.
local function multipliers(state, run, c)
  local y = peri.zeros(run.m)
  for _, s in ipairs(state.sides) do
    for k, i in ipairs(s.rows) do y[i] = y[i] + s.sign * state.weight / (s.sign * (c[i] - s.value[k])) end
  end
  return y
end

local function go_inside(state, run)
  local margin = state.options.margin
  for _ = 1, 8 do
    state.margin:set(margin)
    local r = state.inside:solve { x = state.x, iterations = 500 }
    local c = run:constraints(r.x)
    if c and smallest_slack(run, state.sides, c) > 0 then
      state.x = r.x
      run:accept { x = r.x, primal = 0, tag = "i" }
      return
    end
    margin = margin / 10 -- the inside may be thinner than that
  end
  return "infeasible"
end

local function step(state, run)
  local c = run:constraints(state.x)
  if not state.is_inside then
    state.is_inside = true
    if not c or smallest_slack(run, state.sides, c) <= 0 then return go_inside(state, run) end
  end
  state.parameter:set(state.weight)
  local tolerance = math.max(run.tolerance, 0.1 * state.weight)
  local r = state.barrier:solve { x = state.x, tolerance = tolerance }
  if r.why == "unbounded" then return "unbounded" end
  c = run:constraints(r.x)
  if not c or not (smallest_slack(run, state.sides, c) > 0) then return "stalled" end
  state.x = r.x
  run:accept { x = r.x, y = multipliers(state, run, c), z = r.z, objective = run:f(r.x), barrier = state.weight }
  if run:should_stop() then return end
  if state.weight <= 0.1 * run.tolerance then return "converged" end
  state.weight = math.max(state.weight * state.options.factor, 0.1 * run.tolerance)
end

peri.plugin {
  name = "log-barrier",
  kind = "reformulation",
  family = "example",
  version = "1",
  license = "Apache-2.0",
  summary = "inequalities as logarithms in the objective, with a weight that goes to 0",
  page = [[
The inner problem is f(x) - weight * (sum of the logarithms of all slacks) with the variables' bounds, from points strictly inside. A start
outside is first moved inside, if there is an inside. Multipliers are weight / slack. Tag i: the start was moved.]],
  reference = "Nocedal and Wright 2006, section 19.6, framework 19.5",
  needs = { "constraints", "gradient", "objective" },
  refuses = { "equalities", "integer" },
  removes = { "constraints", "nonlinear_constraints", "linear_objective", "quadratic_objective" },
  adds = { "nonlinear_objective" },
  gives = "duals",
  options = {
    { name = "weight", type = "real", default = 1, lower = 1e-12, upper = 1e12, help = "of the logarithms, at first" },
    { name = "factor", type = "real", default = 0.1, lower = 1e-6, upper = 0.9, help = "on the weight after each inner solve" },
    { name = "margin", type = "real", default = 0.1, lower = 1e-12, upper = 1e12, help = "slack that a start is first moved to have" },
  },
  init = init,
  step = step,
}
