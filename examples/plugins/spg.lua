-- SPDX-License-Identifier: Apache-2.0
-- spg.lua - the spectral projected gradient method as a plugin in Lua: put the folder on PERIGEE_PLUGIN_PATH and solve by
-- "spg". spg.c is the same method in C, and takes the same steps to the last bit.
-- E. G. Birgin, J. M. Martínez, M. Raydan: Nonmonotone spectral projected gradient methods on convex sets, 2000, algorithm SPG2.

local peri = require "perigee"

-- The largest entry of P(x - g) - x, which is 0 where x is stationary, and that projected step in d.
local function projected_step(run, d, x, g, length)
  d:assign(x):axpy(-length, g):clip(run.xl, run.xu):axpy(-1, x)
  return d:norminf()
end

local function init(state, run, options)
  state.options = options
  state.x = run:start()
  state.f, state.g = run:fg(state.x)
  if not state.f then run:undefined() end
  state.trial, state.trial_g = peri.zeros(run.n), peri.zeros(run.n)
  state.d = peri.zeros(run.n)
  state.recent = { state.f } -- the last `memory` values
  local size = projected_step(run, state.d, state.x, state.g, 1)
  state.length = size > 0 and 1 / size or 1
end

-- Shorter and shorter along d, until f is below the largest of the recent values by enough.
local function search(state, run, slope)
  local highest, share = -math.huge, 1
  for _, value in ipairs(state.recent) do highest = math.max(highest, value) end
  while share > 1e-20 do
    state.trial:assign(state.x):axpy(share, state.d)
    local f = run:f(state.trial) or math.huge -- undefined: too far
    if f <= highest + state.options.decrease * share * slope then return share end
    share = share / 2
  end
end

local function remember(state, f)
  local recent = state.recent
  recent[#recent + 1] = f
  if #recent > state.options.memory then table.remove(recent, 1) end
end

local function step(state, run)
  local d, x, g = state.d, state.x, state.g
  if projected_step(run, d, x, g, 1) <= run.tolerance then return "converged" end
  projected_step(run, d, x, g, state.length)
  local share = search(state, run, d:inner(g))
  if not share then return "stalled" end
  local f = run:fg(state.trial, state.trial_g)
  if not f then return "failed" end
  -- s = share d, y = the change of the gradient; the next length is s's / s'y
  local ss = share * share * d:inner(d)
  local sy = share * (d:inner(state.trial_g) - d:inner(g))
  state.length = sy > 0 and math.min(math.max(ss / sy, 1e-10), 1e10) or 1e10
  state.x, state.trial = state.trial, x
  state.g, state.trial_g = state.trial_g, g
  state.f = f
  remember(state, f)
  run:accept { x = state.x, objective = f, step = share }
end

peri.plugin {
  name = "spg",
  family = "example",
  version = "1",
  license = "Apache-2.0",
  summary = "spectral projected gradient with a nonmonotone line search",
  page = [[
For smooth functions of many variables with bounds or without, where second derivatives cost too much. The length of the step along
the negative gradient is the inverse of a Rayleigh quotient of the Hessian (Barzilai and Borwein 1988); the point is projected onto the
bounds; the function has to decrease below the largest of its last values only.]],
  reference = "Birgin, Martinez and Raydan 2000, SIAM J. Optim. 10 (4), algorithm SPG2",
  needs = { "gradient", "objective" },
  refuses = { "constraints", "integer" },
  options = {
    { name = "memory", type = "int", default = 10, lower = 1, upper = 1000, help = "values of the objective that a step is compared with" },
    { name = "decrease", type = "real", default = 1e-4, lower = 1e-12, upper = 0.5, help = "share of the predicted decrease to reach" },
  },
  init = init,
  step = step,
}
