-- SPDX-License-Identifier: Apache-2.0
--- Problems with known solutions, for trying and testing methods.
--
--   local p = peri.test_functions.get("hs071")        or  peri.test_functions.hs071
--   local m, x = p.build()                             a fresh model and its variable
--   print(m:solve("ipm").objective, p.optimum)
--
-- A problem is a table
--   name, n        its name and number of variables
--   class          "unconstrained" or "hock_schittkowski"
--   start          list of n numbers, the start that the source gives
--   optimum        the best known objective
--   local_optima   list of other objectives at which a descent method may rightly end, often empty
--   build          function(peri) -> model, variable; `peri` may be left out
--   objective, inequalities, equalities   functions of (x, math): the formulas themselves. They take a variable and
--                  `peri`, or a list of numbers and a table with exp, log, sin ... of numbers; inequalities and
--                  equalities return lists of what is to be >= 0 and = 0
--   lower, upper   bounds: a number for all variables, a list, or nil
--
-- Names: get("extended_rosenbrock", 1000) sets n where the source leaves it open.

local usage = require "perigee.usage"

local test_functions = {}

local classes = { "unconstrained", "hock_schittkowski" }

local function family(class)
  return require("perigee.test_functions." .. class)
end

--- A fresh model of a problem.
local function build(problem, peri)
  peri = peri or require "perigee"
  local m = peri.model(problem.name)
  local x = m:var("x", problem.n, { start = problem.start, lower = problem.lower, upper = problem.upper })
  m:minimize(problem.objective(x, peri))
  for k, g in ipairs(problem.inequalities and problem.inequalities(x, peri) or {}) do
    m:subject_to("g" .. k, g:ge(0))
  end
  for k, h in ipairs(problem.equalities and problem.equalities(x, peri) or {}) do
    m:subject_to("h" .. k, h:eq(0))
  end
  return m, x
end

--- A problem from its definition; `n` where the definition takes a size.
local function instance(class, name, definition, n)
  local problem = {}
  for key, value in pairs(definition.sized and definition.sized(n or definition.n) or definition) do
    problem[key] = value
  end
  problem.name, problem.class, problem.sized = name, class, nil
  problem.n = problem.n or #problem.start
  problem.local_optima = problem.local_optima or {}
  problem.build = function(peri) return build(problem, peri) end
  return problem
end

--- The names of a class of problems, or of all, in the order of their sources.
function test_functions.list(class)
  local names = {}
  for _, each in ipairs(classes) do
    if class == nil or class == each then
      for _, name in ipairs(family(each).names) do names[#names + 1] = name end
    end
  end
  if #names == 0 then
    usage.fail("test_functions.list: no class %s; there are %s", tostring(class), table.concat(classes, ", "))
  end
  return names
end

local function find(name, n)
  for _, class in ipairs(classes) do
    local definition = family(class).problems[name]
    if definition then
      if n ~= nil and not definition.sized then usage.fail("test_functions: %s has a fixed size", name) end
      if n ~= nil and not (math.type(n) == "integer" and n >= definition.smallest and n % definition.multiple == 0) then
        usage.fail("test_functions: %s takes a size from %d in steps of %d, not %s", name, definition.smallest,
          definition.multiple, tostring(n))
      end
      return instance(class, name, definition, n)
    end
  end
end

--- The problem of that name; an unknown one is an error. "hs71" is "hs071".
function test_functions.get(name, n)
  if type(name) ~= "string" then
    usage.fail("test_functions.get: a problem's name is needed, not a %s", type(name))
  end
  local number = name:match("^hs(%d%d?)$")
  local problem = find(number and ("hs%03d"):format(number) or name, n)
  if not problem then
    usage.fail("test_functions: no problem is called %s%s", name, usage.nearest(name, test_functions.list()))
  end
  return problem
end

return setmetatable(test_functions, {
  __index = function(_, name)
    if type(name) == "string" then return find(name) end
  end,
})
