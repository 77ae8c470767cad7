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
-- A last argument { spread = 0.1, seed = 1 } moves the start at random, for trying methods from elsewhere.
--
-- The discretizations and starts are the report's. What it states as equations of one variable are bounds here.
-- Published objectives are the report's or, of the same models, MINLPLib's, to six digits unless `digits`
-- says otherwise; the last one is not always rounded.

local peri = require "perigee"
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

--- What a problem's file declares its variables on: the model, with each start moved at random by up to
-- spread * max(1, |start|).
local function scattered(m, spread, seed)
  local count = 0
  local scatter = {}
  function scatter.var(_, name, shape, opts)
    local rows = type(shape) == "table" and shape[1] or shape or 1
    local cols = type(shape) == "table" and shape[2] or nil
    count = count + 1
    local noise = peri.random.uniform { n = not cols and rows or nil, rows = cols and rows or nil, cols = cols,
      lower = -spread, upper = spread, seed = seed + 1000 * count }
    local start = opts.start or 0
    if shape == nil then
      start = peri.array { start }
    elseif type(start) == "number" then
      start = start * (cols and peri.ones(rows, cols) or peri.ones(rows))
    end
    local moved = start + noise * start:abs():max2(1)
    local set = {}
    for key, value in pairs(opts) do set[key] = value end
    set.start = shape == nil and moved[1] or moved
    return m:var(name, shape, set)
  end
  for _, method in ipairs { "subject_to", "minimize", "maximize" } do
    scatter[method] = function(_, ...) return m[method](m, ...) end
  end
  return scatter
end

--- Sizes and options of a call; both checked.
local function arguments(name, problem, given)
  local opts = type(given[#given]) == "table" and table.remove(given) or nil
  opts = usage.only("cops." .. name, opts, { "spread", "seed" })
  if #given ~= #problem.sizes then
    usage.fail("cops.%s: takes %s, not %d numbers", name, table.concat(problem.sizes, ", "), #given)
  end
  for k, size in ipairs(problem.sizes) do
    local n = given[k]
    if math.type(n) ~= "integer" or n < problem.smallest then
      usage.fail("cops.%s: %s is an integer from %d, not %s", name, size, problem.smallest, tostring(n))
    end
  end
  return given, opts
end

--- The function that builds a problem, behind a check of its arguments.
local function builder(name, problem)
  return function(...)
    local sizes, opts = arguments(name, problem, { ... })
    local spread = usage.option("cops." .. name, opts, "spread", "number", 0)
    local seed = usage.option("cops." .. name, opts, "seed", "number", 1)
    local m = peri.model(name)
    return m, problem.build(spread == 0 and m or scattered(m, spread, seed), table.unpack(sizes))
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
