-- SPDX-License-Identifier: Apache-2.0
-- @NAME@ - quadratic penalty: constraints move into the objective with a weight that grows (Nocedal and Wright 2006, framework 17.1).
--   minimize f(x) + w / 2 sum of d_i^2,  d_i = c_i(x) - (c_i(x) moved into [cl_i, cu_i]);  bounds stay bounds
-- Multipliers are y_i = -w d_i. What is left is solved by the rest of the plan: lbfgs in "@NAME@ > lbfgs".

local peri = require "perigee"

-- sum of squares of what the finite sides are exceeded by; sign 1 for upper sides, -1 for lower ones
local function side(c, bounds, sign)
  local rows, values = {}, {}
  for i = 1, #bounds do
    if math.abs(bounds[i]) < math.huge then
      rows[#rows + 1], values[#values + 1] = i, bounds[i]
    end
  end
  if #rows == 0 then return 0 end
  return (peri.relu(sign * (c[rows] - peri.array(values))) ^ 2):sum()
end

-- init: the start, and the inner problem; changing its parameter later compiles nothing
local function init(state, run, options)
  state.options, state.penalty = options, options.penalty
  state.x = run:start()
  local inner = run:inner "@NAME@"
  local x = inner:variables()
  local f, c = inner:problem(x)
  if c then
    state.weight = inner:param("weight", 0.5 * state.penalty)
    f = f + state.weight * (side(c, run.cl, -1) + side(c, run.cu, 1))
  end
  inner:minimize(f)
  state.inner = inner
end

local function grow(state)
  state.penalty = state.penalty * state.options.penalty_growth
  if state.weight then state.weight:set(0.5 * state.penalty) end
end

-- y, and the largest violation
local function multipliers(state, run)
  local c = run:constraints(state.x)
  if not c then return nil, 0 end
  local y, most = peri.zeros(run.m), 0
  for i = 1, run.m do
    local d = c[i] - math.min(math.max(c[i], run.cl[i]), run.cu[i])
    y[i], most = -state.penalty * d, math.max(most, math.abs(d))
  end
  return y, most
end

-- step: one inner solve, mapped back
local function step(state, run)
  local r = state.inner:solve { x = state.x, tolerance = 0.1 * run.tolerance }
  local last = state.penalty >= state.options.largest_penalty
  if r.why == "unbounded" and run.m > 0 and not last then return grow(state) end -- a larger weight may hold it
  state.x = r.x
  local y, violation = multipliers(state, run)
  local f = run:f(state.x)
  if not f then run:undefined() end
  run:accept { x = state.x, y = y, z = r.z, objective = f, primal = violation, regularization = state.penalty }
  if r.why == "unbounded" then return "unbounded" end
  if r.why == "converged" and violation <= run.tolerance then return "converged" end
  if run:should_stop() then return "limit" end
  if violation <= run.tolerance then return "stalled" end
  if last then return violation > 1e-4 and "infeasible" or "stalled" end
  grow(state)
end

peri.plugin {
  name = "@NAME@",
  kind = "reformulation",
  family = "reform",
  version = "0.1",
  license = "Apache-2.0",
  summary = "constraints into the objective by a growing quadratic penalty",
  page = [[
Solves a sequence of problems that have bounds but no constraints: half the squared violation of the constraints is added to the
objective with a weight that grows from solve to solve. Simple and sturdy; the inner problems become ill-conditioned with the weight,
so that seven or eight digits are the most to be had.

The run ends when no constraint is violated by more than the tolerance (converged), or when the weight is its largest (infeasible or
stalled). A row of the history is one inner solve: objective, primal (largest violation), regularization (the weight).]],
  reference = "Nocedal and Wright 2006, Numerical Optimization, 2nd ed., section 17.1",
  needs = "gradient",
  refuses = "integer",
  removes = { "constraints", "equalities", "nonlinear_constraints", "linear_objective", "quadratic_objective", "least_squares" },
  adds = { "nonlinear_objective", "objective" },
  gives = "duals",
  options = {
    { name = "penalty", type = "real", default = 10, lower = 1e-6, upper = 1e10, help = "weight of the violation in the first solve" },
    { name = "penalty_growth", type = "real", default = 10, lower = 1.1, upper = 1e4, help = "factor on the weight between solves" },
    { name = "largest_penalty", type = "real", default = 1e10, lower = 1, upper = 1e20, help = "weight at which the method gives up" },
  },
  init = init,
  step = step,
}
