-- SPDX-License-Identifier: Apache-2.0
--- The COPS collection: nonlinear problems from optimal design, control, parameter estimation and mechanics, each in any
-- size. Dolan, More and Munson, "Benchmarking optimization software with COPS 3.0", ANL/MCS-TM-273 (2004).
--
--   local m, v = peri.cops.rocket(400)       the model and its variables by name
--   local sol = m:solve "ipm"
--   print(sol.objective, sol[v.h][401])
--
--   peri.cops.names                          all of them, in the report's order
--   peri.cops.about "rocket"                 sizes = { "nh" }: what the numbers mean; title; and
--                                            published = { { 400, objective = 1.01283 }, ... }
--
-- The discretizations and starts are the report's. What it states as equations of one variable are bounds here.
-- Published objectives are the report's or, of the same models, MINLPLib's, to six digits unless `digits`
-- says otherwise; the last one is not always rounded.

local usage = require "perigee.usage"

local cops = {}

local files = { "shapes", "control", "fitting" }
local order = { "polygon", "elec", "camshape", "chain", "pinene", "marine", "channel", "robot", "steering", "particle",
  "rocket", "glider", "gasoil", "methanol", "catmix", "torsion", "bearing", "minsurf" }

local function find(name)
  for _, file in ipairs(files) do
    local problem = require("perigee.cops." .. file)[name]
    if problem then return problem end
  end
end

local function known(name)
  local problem = type(name) == "string" and find(name)
  if not problem then
    usage.fail("cops: no problem is called %s%s", tostring(name), usage.nearest(tostring(name), order))
  end
  return problem
end

cops.names = order

--- What a problem's sizes mean, its title, and published objectives.
function cops.about(name)
  local problem = known(name)
  return { name = name, title = problem.title, sizes = problem.sizes, published = problem.published or {} }
end

--- The function that builds a problem, behind a check of its sizes.
local function builder(name, problem)
  return function(...)
    local given = { ... }
    if #given ~= #problem.sizes then
      usage.fail("cops.%s: takes %s, not %d numbers", name, table.concat(problem.sizes, ", "), #given)
    end
    for k, size in ipairs(problem.sizes) do
      local n = given[k]
      if math.type(n) ~= "integer" or n < problem.smallest then
        usage.fail("cops.%s: %s is an integer from %d, not %s", name, size, problem.smallest, tostring(n))
      end
    end
    return problem.build(...)
  end
end

return setmetatable(cops, {
  __index = function(t, name)
    local problem = type(name) == "string" and find(name)
    if not problem then return nil end
    rawset(t, name, builder(name, problem))
    return t[name]
  end,
})
