-- SPDX-License-Identifier: Apache-2.0
-- Methods from values alone: known minima of smooth functions, kinks, bounds, undefined regions, one variable, an invariance.

local t = require "tap"
local peri = require "perigee"
local problems = peri.test_functions

local methods = {
  { "nelder-mead", {} },
  { "pattern-search", {} },
  { "pattern-search", { poll = "complete" }, "pattern-search in batches" },
}

local function options(of, more)
  local out = { iterations = 100000 }
  for key, value in pairs(of) do out[key] = value end
  for key, value in pairs(more or {}) do out[key] = value end
  return out
end

for _, method in ipairs(methods) do
  local solver, opts, name = method[1], method[2], method[3] or method[1]
  local function solve(m, more) return m:solve(solver, options(opts, more)) end

  for _, problem in ipairs { "rosenbrock", "beale", "booth", "freudenstein_roth" } do
    local p = problems.get(problem)
    local f = solve((p.build())).objective
    local near = false
    for _, known in ipairs { p.optimum, table.unpack(p.local_optima) } do
      near = near or math.abs(f - known) < 1e-5 * math.max(1, math.abs(known))
    end
    t.ok(near, ("%s: %s, %.10g"):format(name, problem, f))
  end

  do -- |x - a| with bounds: the projection of a, whatever the start
    local m = peri.model "distance"
    local x = m:var("x", 4, { start = 3, lower = { -1, -1, -1, 4 }, upper = 5 })
    m:minimize(((x - peri.array { 1, 2, -3, 7 }):abs()):sum())
    local sol = solve(m)
    t.all_close(sol[x]:totable(), { 1, 2, -1, 5 }, 1e-6, 1e-6, name .. ": a sum of absolute values in a box")
    t.is(sol.certificate.primal, 0, name .. ": never outside the bounds")
  end

  do -- undefined left of 1e-3: never the answer
    local m = peri.model "log"
    local x = m:var("x", { start = 2 })
    m:minimize(x - peri.log(x - 1e-3))
    t.is_close(solve(m)[x], 1.001, 1e-6, 0, name .. ": one variable, undefined on one side")
  end

  do -- no minimum
    local m = peri.model "down"
    local x = m:var("x", { start = 0 })
    m:minimize(-x)
    t.is(solve(m, { iterations = 5000 }).status ~= "locally_optimal", true, name .. ": a line has no minimum")
  end

  do -- a fixed variable stays
    local m = peri.model "fixed"
    local x = m:var("x", 2, { start = { 1, 5 }, lower = { -9, 5 }, upper = { 9, 5 } })
    m:minimize((x[1] - x[2])^2)
    local sol = solve(m)
    t.all_close(sol[x]:totable(), { 5, 5 }, 1e-6, 0, name .. ": a fixed variable")
  end

  do
    local m = peri.model "constrained"
    local x = m:var("x", 2)
    m:minimize(x:dot(x))
    m:subject_to(x:sum():eq(1))
    t.raises(function() solve(m) end, "constraints", name .. ": refuses constraints")
  end
end

do -- the same values in the same order: adding a constant or scaling by a power of two changes no decision
  local function path(scale)
    local m = peri.model "scaled"
    local x = m:var("x", 3, { start = { -1, 2, 0.5 } })
    m:minimize(scale * ((x[1] - 0.3)^2 + (x[2] + x[1])^4 + peri.abs(x[3])))
    return m:solve("nelder-mead", { iterations = 300 })[x]:totable()
  end
  t.all_close(path(4), path(1), 0, 0, "nelder-mead: scaling by a power of two changes nothing")
end

t.done()
