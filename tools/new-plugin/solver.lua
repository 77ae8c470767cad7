-- SPDX-License-Identifier: Apache-2.0
-- @NAME@ - gradient descent: the step length of Barzilai and Borwein, shortened until the objective is below the largest of the last few
-- by a share of what the gradient predicts (Raydan 1997). Between steps state.f and state.g belong to state.x.

local peri = require "perigee"

local function largest(v)
  return peri.abs(v):max()
end

-- init: the start point, and what a run remembers in `state`, a table of its own; nothing is kept in upvalues, as several runs may be
-- under way.
local function init(state, run, options)
  state.options = options
  state.x = run:start()
  state.f, state.g = run:fg(state.x)
  if not state.f then run:undefined() end
  state.recent = { state.f }
  state.length = 1 / math.max(1, largest(state.g))
end

-- A point that is low enough, with its objective and gradient; nothing: there is none, or the run is to end.
local function search(state, run)
  local x, g = state.x, state.g
  local gg, size = (g * g):sum(), 1 + largest(x)
  local reference = math.max(table.unpack(state.recent))
  while state.length * math.sqrt(gg) > 1e-16 * size and not run:should_stop() do
    local trial = x - state.length * g
    local f, trial_g = run:fg(trial) -- nil: undefined there, so a shorter step
    if f and f <= reference - state.options.decrease * state.length * gg then return trial, f, trial_g end
    state.length = state.length * state.options.shrink
  end
end

-- step: one iteration. A word returned ends the run, and says why; perigee decides the status itself.
local function step(state, run)
  if largest(state.g) <= run.tolerance then return "converged" end
  local x, f, g = search(state, run)
  if not x then return run:should_stop() and "limit" or "stalled" end
  local taken, dx, dg = state.length, x - state.x, g - state.g
  local bend = (dx * dg):sum()
  state.length = bend > 0 and math.min(math.max((dx * dx):sum() / bend, 1e-10), 1e10) or math.min(10 * taken, 1e10)
  state.x, state.f, state.g = x, f, g
  table.insert(state.recent, f)
  if #state.recent > state.options.memory then table.remove(state.recent, 1) end
  run:accept { x = x, objective = f, step = taken, dual = largest(g) }
end

-- the table: what the method is, needs and refuses, its options and its page for `perigee show @NAME@`
peri.plugin {
  name = "@NAME@",
  family = "local",
  version = "0.1",
  license = "Apache-2.0",
  summary = "gradient descent with spectral step lengths",
  page = [[
Minimises a smooth function without bounds and constraints by steps along its negative gradient. The length of a step comes from the last
change of point and gradient; it is shortened until the objective is below the largest of the last "memory" ones. Cheap steps and
little memory, but many steps where the problem is badly scaled.

The run ends when no entry of the gradient exceeds the tolerance (converged), or when a step would be too short to change the point
(stalled). History: objective, step (the accepted length), dual (the gradient's largest entry).]],
  reference = "Barzilai and Borwein 1988, IMA J. Numer. Anal. 8:141; Raydan 1997, SIAM J. Optim. 7:26",
  needs = "gradient",
  refuses = { "constraints", "bounds", "integer", "nonsmooth" },
  options = {
    { name = "decrease", type = "real", default = 1e-4, lower = 0, upper = 0.5, help = "share of the predicted decrease to reach" },
    { name = "shrink", type = "real", default = 0.5, lower = 0.01, upper = 0.99, help = "factor on the length of a refused step" },
    { name = "memory", type = "int", default = 10, lower = 1, upper = 1000, unit = "iterations",
      help = "objectives of which a new one must be below the largest" },
  },
  init = init,
  step = step,
}
