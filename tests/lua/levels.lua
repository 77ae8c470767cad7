-- SPDX-License-Identifier: Apache-2.0
-- Models inside models in scripts: what can be written, what is refused and where; a method in Lua that solves a lower level inside; isolation, warm
-- starts and the command's pages for such problems.
local t = require "tap"
local peri = require "perigee"

-- Golden-section search on one variable above, its lower level solved inside.
local seen
local follow = peri.plugin {
  name = "follow",
  summary = "golden-section search over one variable above",
  page = "golden-section search over one variable above",
  needs = { "levels" },
  refuses = { "multilevel" },
  init = function(self, run)
    local levels = run:levels()
    self.levels, self.upper = levels, levels[0].variables[1]
    self.view = run:level(1)
    self.lo, self.hi = run.xl[self.upper], run.xu[self.upper]
    self.x = run:start()
  end,
  step = function(self, run)
    local ratio = (5 ^ 0.5 - 1) / 2
    local function at(v)
      self.x[self.upper] = v
      local below = run:solve_level(1, self.x, { tolerance = 1e-10 })
      for k, place in ipairs(self.levels[1].variables) do self.x[place] = below.x[k] end
      return run:f(self.x), below
    end
    local a, b = self.hi - ratio * (self.hi - self.lo), self.lo + ratio * (self.hi - self.lo)
    local fa, fb = at(a), at(b)
    if fa < fb then self.hi = b else self.lo = a end
    local f, below = at((self.lo + self.hi) / 2)
    self.view_f, self.below = self.view:f(self.x), below
    run:accept { x = self.x, objective = f, step = self.hi - self.lo }
    if self.hi - self.lo < 1e-9 then
      seen = { levels = self.levels, view_f = self.view_f, below = below }
      return "converged"
    end
  end,
}

local function toll()
  local up = peri.model "toll"
  local p = up:var("p", nil, { lower = 0, upper = 5, start = 1 })
  local low = up:lower "drivers"
  local y = low:var("y", 2, { lower = 0, start = 0.5 })
  low:minimize(0.5 * y[1]^2 + (1 + p) * y[1] + y[2]^2 + 2 * y[2])
  local demand = low:subject_to("demand", (y[1] + y[2]):eq(2))
  up:maximize(p * y[1])
  return up, p, low, y, demand
end

local function message(f, ...)
  local fine, text = pcall(f, ...)
  return fine and "no error" or tostring(text)
end

local function says(f, part, name)
  local text = message(f)
  t.ok(text:find(part, 1, true) ~= nil and text:find "levels%.lua:%d+:", ("%s: %s"):format(name, text))
end

-- ---- a problem, solved ----------------------------------------------------------------------------------------------------
do
  local up, p, low, y, demand = toll()
  local sol = up:solve(follow)
  t.is_close(sol[p], 2.5, 0, 1e-4, "the toll, in closed form")
  t.is_close(sol[y][1], 2.5 / 3, 0, 1e-4, "and what it leaves")
  t.is(sol.form, "optimistic", "the form is told")
  t.ok(sol.certificate.lower_gap < 1e-8, "the lower level is optimal")
  t.is(#sol.levels, 1, "one lower level")
  t.is(sol.levels[1].name, "drivers", "its name")
  t.is(sol.levels[1].state, "solved", "its state")
  t.ok(sol.levels[1].convex and sol.levels[1].solves == 1, "it is convex: solved once")
  t.is_close(sol.levels[1].objective, sol.levels[1].best, 0, 1e-6, "its objective is the best")
  -- with u = 2 - t for the demand of 2 - e: y1 = (3 + 2 e - t) / 3 ... revenue at the best toll (1 + 2 d)^2 / 12, d = demand
  t.is_close(sol:dual(demand), (1 + 2 * 2) / 3, 0, 1e-3, "the multiplier below is the derivative of the revenue")
  t.is(sol.status, sol.certificate.kkt <= 1e-6 and "locally_optimal" or "feasible", "the status follows: " .. sol.status)
  t.is(seen.levels[0].name, "toll", "level 0 is the model")
  t.is(seen.levels[1].parent, 0, "level 1 lies in it")
  t.is(table.concat(seen.levels[1].variables, " "), "2 3", "places of its variables")
  t.is(table.concat(seen.levels[1].rows, " "), "1", "and rows")
  t.is_close(seen.view_f, seen.below.objective, 0, 1e-9, "its view evaluates its objective")
  local json = sol:json()
  t.ok(json:find('"lower_gap":', 1, true) and json:find('"levels":[{"name":"drivers"', 1, true), "as JSON")
  t.ok(tostring(sol):find "lower gap", "as text")
  local again = up:solve(follow, { warm_start = sol })
  t.is_close(again[p], 2.5, 0, 1e-4, "with a warm start")
  local portable = up:solve(follow, { warm_start = sol:warm_start() })
  t.is_close(portable[p], 2.5, 0, 1e-4, "with a portable one")
  local isolated = up:solve(follow, { isolate = true })
  t.is_close(isolated[p], 2.5, 0, 1e-4, "isolated")
  t.is(isolated.certificate.lower_gap, sol.certificate.lower_gap, "with the same certificate")
  t.is(isolated.levels[1].name, "drivers", "and levels")
  local stopped = up:solve(follow, { iterations = 2 })
  t.is(stopped.status, "iteration_limit", "stopped")
  t.ok(stopped.certificate.lower_gap < 1e-6, "the certificate is made all the same")
  local text = up:explain()
  for _, part in ipairs { "two-level program", "drivers (inside toll): convex quadratic program, 2 variables, 1 constraints", "follow: fits" } do
    t.ok(text:find(part, 1, true) ~= nil, "explained: " .. part)
  end
  t.is(tostring(up), 'model "toll": "drivers" inside "toll"', "printed")
  t.is(tostring(low), 'model "drivers" inside "toll"', "a lower model too")
end

-- ---- limits --------------------------------------------------------------------------------------------------------------
do -- a lower level that is not convex is solved from several starts
  local up = peri.model "waves"
  local x = up:var("x", nil, { lower = 0, upper = 1 })
  local low = up:lower "wave"
  local y = low:var("y", nil, { lower = -2, upper = 2, start = 0.9 })
  low:minimize((y^2 - 1)^2 + 0.3 * y)
  up:minimize(x^2 + y)
  local sol = up:solve(follow, { lower_starts = 20 })
  t.is(sol.levels[1].solves, 20, "as many starts as were asked for")
  t.ok(sol.levels[1].gap > 0.1, "a better optimum is found: " .. sol.levels[1].gap)
  t.is(sol.status, "numerical_error", "the point is none")
  t.ok(sol.message:find('lower model "wave" is not optimal', 1, true) ~= nil, sol.message)
  t.ok(table.concat(sol.diagnosis.notes, "\n"):find('lower model "wave" is not optimal', 1, true) ~= nil, "the diagnosis has it")
end

-- ---- what is refused --------------------------------------------------------------------------------------------------------
do
  local up, p, low, y = toll()
  local other = peri.model "other"
  local q = other:var "q"
  says(function() low:minimize(p^2) end, "has none of its variables", "an upper variable used as a lower one")
  says(function() low:minimize(3) end, "has none of its variables", "a constant")
  says(function() low:subject_to(q <= 1) end, 'a constraint on model "other" was given to model "drivers"', "a constraint on another model's variables")
  says(function() low:minimize(q^2) end, 'belongs to model "other"', "an objective of another model's variables")
  says(function() return q + y[1] end, "cannot be combined", "an expression of both")
  says(function() low:solve() end, 'lies inside model "toll"', "a lower model is not solved")
  says(function() low:explain() end, "is no problem of its own", "nor explained")
  says(function() up:lower(low) end, "lies in no other", "a circle of models")
  says(function() low:lower(up) end, "lies in no other", "the other way round")
  says(function() low:lower "drivers" end, 'has a model "drivers" already', "a name that is taken")
  says(function() low:lower "toll" end, 'has a model "toll" already', "by the outermost")
  says(function() up:lower "" end, "a name is needed", "an empty name")
  says(function() up:lower() end, "a name is needed", "no name")
  says(function() low:var "p" end, '"p" is already in model "toll"', "variables have names of their own")
  says(function() up:solve "ipm" end, "refuses lower models; methods that take them: ", "a method that would ignore it")
  local beside = up:lower "beside"
  local z = beside:var "z"
  says(function() beside:minimize(z^2 + y[1]) end, "which lies beside it", "variables of a model beside it")
  says(function() beside:subject_to("cap", z + y[1] <= 1) end, 'constraint "cap" of lower model "beside"', "in a constraint")
  beside:minimize((z - p)^2)
  says(function() up:solve(follow) end, "refuses more than one lower model", "two lower models for a method that takes one")
  local deep = beside:lower "deep"
  local w = deep:var "w"
  deep:minimize((w - z - p)^2)
  beside:minimize((z - w)^2)
  t.ok(up:explain():find("multilevel program", 1, true) ~= nil, "levels inside levels")
  t.ok(up:explain():find("deep (inside beside)", 1, true) ~= nil, "are listed")
  up:close()
  says(function() low:var "late" end, "is closed", "after the outermost is closed")
  t.is(tostring(low), 'model "drivers" (closed)', "it is closed too")
end

-- ---- memory: a lower model keeps the outermost alive, and circles of callbacks are collected -------------------------------------
do
  local function make()
    local up = toll()
    return up:lower "another"
  end
  local low = make()
  collectgarbage()
  local v = low:var "v"
  low:minimize(v^2)
  t.is(tostring(low), 'model "another" inside "toll"', "the outermost model lives as long as one inside it")
  local weak = setmetatable({ low }, { __mode = "v" })
  low, v = nil, nil
  collectgarbage()
  collectgarbage()
  t.is(weak[1], nil, "and goes with it")
end

t.done()
