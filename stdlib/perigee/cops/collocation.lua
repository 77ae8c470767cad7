-- SPDX-License-Identifier: Apache-2.0
--- Collocation at Gauss points as COPS 3.0 writes it: on step i of length h, with states s and stages j,
--   x[s](t_i + tau h) = v[i][s] + h sum_j w[i][j][s] tau^j / j!,    x[s]' = sum_j w[i][j][s] tau^(j-1) / (j-1)!
-- where x and x' at the points are variables with these equations, and v continues from step to step.

local peri = require "perigee"

local collocation = {}

local factorial = { [0] = 1, 1, 2, 6, 24, 120, 720, 5040 }
collocation.factorial = factorial

--- Gauss points of one to four stages on (0, 1); the roots of Legendre's polynomials.
local function gauss(stages)
  if stages == 1 then return { 0.5 } end
  if stages == 3 then return { 0.5 - math.sqrt(0.15), 0.5, 0.5 + math.sqrt(0.15) } end
  local near, far = math.sqrt(3 / 7 - 2 / 7 * math.sqrt(1.2)) / 2, math.sqrt(3 / 7 + 2 / 7 * math.sqrt(1.2)) / 2
  return { 0.5 - far, 0.5 - near, 0.5 + near, 0.5 + far }
end
collocation.gauss = gauss

--- A matrix of nh rows with fn(i, k) in it.
local function matrix(nh, cols, fn)
  local rows = {}
  for i = 1, nh do
    rows[i] = {}
    for k = 1, cols do rows[i][k] = fn(i, k) end
  end
  return peri.array(rows)
end
collocation.matrix = matrix

--- The variables and equations. opts: nh, states, stages; step, a number or an expression; start(i, s); first, a list
-- that fixes states at the start. Returns a table with the variables v (nh x states), w, x, dx (nh x states * stages,
-- stage by stage), and at(i, j, s): x and x' at a point, for an index of peri.map.
function collocation.states(m, opts)
  local nh, states, stages, step, first = opts.nh, opts.states, opts.stages, opts.step, opts.first or {}
  local cols, inf = states * stages, math.huge
  local repeated = matrix(nh, cols, function(i, k) return opts.start(i, (k - 1) % states + 1) end)
  local function bound(free)
    return matrix(nh, states, function(i, s) return i == 1 and first[s] or free end)
  end
  local v = m:var("v", { nh, states }, { lower = bound(-inf), upper = bound(inf),
    start = matrix(nh, states, opts.start) })
  local w = m:var("w", { nh, cols }, { start = 0 })
  local x = m:var("x", { nh, cols }, { start = repeated })
  local dx = m:var("dx", { nh, cols }, { start = 0 })
  local c = { v = v, w = w, x = x, dx = dx, points = gauss(stages) }

  --- x[s] at t_i + tau h
  function c.value(i, s, tau)
    local sum = 0
    for j = 1, stages do sum = sum + tau ^ j / factorial[j] * w[i][(j - 1) * states + s] end
    return v[i][s] + step * sum
  end

  function c.at(i, j, s)
    local k = (j - 1) * states + s
    return x[i][k], dx[i][k]
  end

  for j, tau in ipairs(c.points) do
    for s = 1, states do
      m:subject_to(("x_%d_%d"):format(j, s), peri.map(nh, function(i)
        return c.at(i, j, s) - c.value(i, s, tau)
      end):eq(0))
      m:subject_to(("dx_%d_%d"):format(j, s), peri.map(nh, function(i)
        local _, rate = c.at(i, j, s)
        for k = 1, stages do rate = rate - tau ^ (k - 1) / factorial[k - 1] * w[i][(k - 1) * states + s] end
        return rate
      end):eq(0))
    end
  end
  for s = 1, states do
    m:subject_to("continuity_" .. s, peri.map(nh - 1, function(i) return v[i + 1][s] - c.value(i, s, 1) end):eq(0))
  end
  return c
end

--- The right-hand sides: for each stage j and state s, x[s]' = rates(x, i, j)[s] with x(s) the state at the point.
function collocation.rates(m, c, opts)
  for j = 1, opts.stages do
    for s = 1, opts.states do
      m:subject_to(("rate_%d_%d"):format(j, s), peri.map(opts.nh, function(i)
        local _, rate = c.at(i, j, s)
        return rate - opts.rates[s](function(k) return (c.at(i, j, k)) end, i, j)
      end):eq(0))
    end
  end
end

return collocation
