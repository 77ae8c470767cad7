-- SPDX-License-Identifier: Apache-2.0
-- AC optimal power flow on PGLib's cases (where ../shared/data is) and on synthetic grids, the largest of 10^5 buses.

local peri = require "perigee"

local family = { about = "AC optimal power flow", class = "transcendental" }

local FOLDER = "../shared/data/pglib-opf/pglib_opf_"

local function file_of(name)
  local path = FOLDER .. name .. ".m"
  local file <close> = io.open(path)
  return file and path
end

function family.instances(mode)
  local cases = ({ full = { "case118_ieee", "case1354_pegase", "case2869_pegase" }, quick = { "case1354_pegase" },
    check = { "case30_ieee" } })[mode]
  local grids = ({ full = { 100000 }, quick = { 10000 }, check = { 49 } })[mode]
  local list = {}
  for _, name in ipairs(cases) do
    local path = file_of(name)
    if path then list[#list + 1] = { label = name, path = path, products = false } end
  end
  for _, buses in ipairs(grids) do
    list[#list + 1] = { label = ("synthetic grid of %d buses"):format(buses), buses = buses, products = false }
  end
  return list
end

--- fn(row) of each row in a list.
local function collect(rows, fn)
  local values = {}
  for k, row in ipairs(rows) do values[k] = fn(row) end
  return values
end

local function less_one(list)
  return collect(list, function(k) return k - 1 end)
end

--- Branches with a limit on the difference of angles, from 0.
local function with_angles(case, grid)
  local at = {}
  for e, k in ipairs(grid.branches) do
    local low, high = case.branch.angmin[k], case.branch.angmax[k]
    if (low ~= 0 or high ~= 0) and (low > -360 or high < 360) then at[#at + 1] = e - 1 end
  end
  return at
end

--- What acopf.c is opened with, in its order.
local function data_of(case, grid)
  local base, branch, bus = case.base_mva, case.branch, case.bus
  local function of_branches(fn) return collect(grid.branches, fn) end
  local function cost(degree)
    return collect(grid.generators, function(k)
      local list = case.gencost.cost[k]
      return (list[#list - degree] or 0) * base ^ degree
    end)
  end
  local constant = 0
  for _, c in ipairs(cost(0)) do constant = constant + c end
  return {
    #grid.buses, less_one(grid.from), less_one(grid.to), of_branches(function(k) return branch.r[k] end),
    of_branches(function(k) return branch.x[k] end), of_branches(function(k) return branch.b[k] end),
    of_branches(function(k) return branch.ratio[k] == 0 and 1 or branch.ratio[k] end),
    of_branches(function(k) return math.rad(branch.angle[k]) end), less_one(grid.rated or {}), with_angles(case, grid),
    less_one(grid.at), cost(1), cost(2), constant, collect(grid.buses, function(k) return bus.gs[k] / base end),
    collect(grid.buses, function(k) return bus.bs[k] / base end),
  }
end

--- Voltages at random, so that nothing vanishes where it is evaluated.
local function scatter(case)
  local bus = case.bus
  local vm = peri.random.uniform { n = bus.n, lower = 0.95, upper = 1.05, seed = 5 }:totable()
  local va = peri.random.uniform { n = bus.n, lower = -15, upper = 15, seed = 6 }:totable()
  for k = 1, bus.n do bus.vm[k], bus.va[k] = vm[k], va[k] end
end

function family.build(instance)
  local case = instance.path and peri.power.read(instance.path) or peri.power.synthetic(instance.buses, { seed = 1 })
  scatter(case)
  local m, grid = peri.power.acopf(case, { start = "case" })
  return m, data_of(case, grid)
end

return family
