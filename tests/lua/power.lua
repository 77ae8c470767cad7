-- SPDX-License-Identifier: Apache-2.0
-- Optimal power flow: the flows against complex arithmetic, the answer's invariances, refused cases, and PGLib's
-- published objectives where its files are present.

local t = require "tap"
local peri = require "perigee"
local power = peri.power

-- Three buses (numbered 4, 9, 2), a loop with a phase shifter and a tap, a shunt, two generators and one switched off,
-- a line switched off, an isolated bus.
local function tables()
  return {
    name = "loop", base_mva = 50,
    bus = {
      { 4, 3, 20, 10, 0, 0, 1, 1, 0, 230, 1, 1.1, 0.9 },
      { 9, 2, 55, 13, 0, 0, 1, 1, 0, 230, 1, 1.1, 0.9 },
      { 2, 1, 70, -8, 2.5, 11, 1, 1, 0, 230, 1, 1.1, 0.9 },
      { 8, 4, 70, 5, 0, 0, 1, 1, 0, 230, 1, 1.1, 0.9 },
    },
    gen = {
      { 4, 0, 0, 90, -90, 1, 100, 1, 150, 5 },
      { 9, 0, 0, 90, -90, 1, 100, 0, 150, 0 },
      { 9, 0, 0, 90, -90, 1, 100, 1, 85, 0 },
      { 8, 0, 0, 90, -90, 1, 100, 1, 85, 0 },
    },
    gencost = { { 2, 0, 0, 3, 0.03, 12, 100 }, { 2, 0, 0, 3, 0, 1, 0 }, { 2, 0, 0, 3, 0.11, 15, 30 },
      { 2, 0, 0, 3, 0, 1, 0 } },
    branch = {
      { 4, 9, 0.02, 0.11, 0.03, 0, 0, 0, 0.97, -4, 1, -360, 360 },
      { 9, 2, 0.013, 0.15, 0.05, 60, 0, 0, 0, 0, 1, -30, 30 },
      { 2, 4, 0.031, 0.12, 0.02, 34, 0, 0, 1.02, 0, 1, 0, 0 },
      { 2, 4, 0.001, 0.01, 0.02, 70, 0, 0, 0, 0, 0, -30, 30 },
    },
  }
end

local function solved(case, kind)
  local m, grid = power[kind or "acopf"](case)
  local sol = m:solve("ipm", { tolerance = 1e-8 })
  return sol, grid, power.result(sol, grid)
end

local case = power.case(tables())
local sol, grid, result = solved(case)
t.is(sol.status, "locally_optimal", "loop: solved")
t.ok(sol.certificate.kkt <= 1e-6, "loop: certificate")
t.is(#result.buses .. #result.generators .. #result.branches, "323", "loop: what is out of service is left out")

-- ---- the branches' flows by complex arithmetic ----------------------------------------------------------------------

local function mul(a, b) return { a[1] * b[1] - a[2] * b[2], a[1] * b[2] + a[2] * b[1] } end
local function div(a, b)
  local s = b[1] ^ 2 + b[2] ^ 2
  return mul(a, { b[1] / s, -b[2] / s })
end
local function sub(a, b) return { a[1] - b[1], a[2] - b[2] } end
local function add(a, b) return { a[1] + b[1], a[2] + b[2] } end
local function polar(r, degrees) return { r * math.cos(math.rad(degrees)), r * math.sin(math.rad(degrees)) } end

local voltage = {}
for _, b in ipairs(result.buses) do voltage[b.bus] = polar(b.vm, b.va) end

--- Power into both ends of branch k in MVA: an ideal transformer at the from side, then a pi section.
local function flows(k)
  local branch = case.branch
  local ratio = branch.ratio[k] == 0 and 1 or branch.ratio[k]
  local vf, vt = voltage[branch.fbus[k]], voltage[branch.tbus[k]]
  local tap = polar(ratio, branch.angle[k])
  local behind = div(vf, tap)
  local through = div(sub(behind, vt), { branch.r[k], branch.x[k] })
  local half = { 0, branch.b[k] / 2 }
  local i_behind, i_to = add(through, mul(half, behind)), sub(mul(half, vt), through)
  local s_from = mul(behind, { i_behind[1], -i_behind[2] })
  local s_to = mul(vt, { i_to[1], -i_to[2] })
  local base = case.base_mva
  return { base * s_from[1], base * s_from[2], base * s_to[1], base * s_to[2] }
end

local net = {} -- what each bus still has to give after generation and load
for _, b in ipairs(result.buses) do net[b.bus] = { -b.pd, -b.qd } end
for _, g in ipairs(result.generators) do net[g.bus] = add(net[g.bus], { g.pg, g.qg }) end
for e, b in ipairs(result.branches) do
  local s = flows(grid.branches[e])
  t.all_close({ b.p_from, b.q_from, b.p_to, b.q_to }, s, 1e-6, 1e-5, ("loop: flow of branch %d"):format(e))
  net[b.from] = sub(net[b.from], { s[1], s[2] })
  net[b.to] = sub(net[b.to], { s[3], s[4] })
end
for e, b in ipairs(result.buses) do
  local k = grid.buses[e]
  net[b.bus] = sub(net[b.bus], { case.bus.gs[k] * b.vm ^ 2, -case.bus.bs[k] * b.vm ^ 2 })
  t.all_close(net[b.bus], { 0, 0 }, 0, 1e-4, ("loop: balance of bus %d"):format(b.bus))
end
t.is(result.branches[1].loading, nil, "loop: a branch without a rating has no loading")
t.is_close(result.branches[3].loading, 1, 0, 1e-5, "loop: a rating binds")
t.is_close(result.cost, result.generators[1].cost + result.generators[2].cost, 1e-9, 0, "loop: costs add up")

-- ---- prices and invariances ---------------------------------------------------------------------------------------

local function objective(change, kind)
  local data = tables()
  change(data)
  return (solved(power.case(data), kind)).objective
end

local step = 0.05
local function with_load(extra) return function(data) data.bus[3][3] = data.bus[3][3] + extra end end
t.is_close(result.buses[3].price, (objective(with_load(step)) - objective(with_load(-step))) / (2 * step), 1e-4, 1e-4,
  "the dual of the balance is the price of a MW")
t.is_close(power.acopf(case, { flow_variables = true }):solve("ipm", { tolerance = 1e-8 }).objective, sol.objective,
  1e-7, 0, "flows as variables give the same cost")
t.is_close(objective(function(data)
  for _, part in ipairs { data.bus, data.gen } do
    for _, row in ipairs(part) do row[1] = row[1] + 100 end
  end
  for _, row in ipairs(data.branch) do row[1], row[2] = row[1] + 100, row[2] + 100 end
  data.bus[1], data.bus[3] = data.bus[3], data.bus[1]
end), sol.objective, 1e-7, 0, "other numbers and another order of buses give the same cost")
t.is_close(objective(function(data)
  table.remove(data.branch, 4)
  table.remove(data.gen, 2)
  table.remove(data.gencost, 2)
end), sol.objective, 1e-7, 0, "what is switched off may as well be absent")
t.is_close(objective(function(data)
  data.base_mva = 100
  for _, row in ipairs(data.branch) do row[3], row[4], row[5] = 2 * row[3], 2 * row[4], row[5] / 2 end
end), sol.objective, 1e-7, 0, "another base power gives the same cost")
t.is_close(objective(function(data)
  for _, row in ipairs(data.gencost) do row[4], row[8] = 4, row[7]; row[7], row[6], row[5] = row[6], row[5], 0 end
end), sol.objective, 1e-7, 0, "a cubic cost whose highest coefficient is zero")
t.is_close(objective(function(data)
  for _, row in ipairs(data.gencost) do row[7] = row[7] + 11 end
end), sol.objective + 22, 1e-7, 0, "constant costs count for what is in service")

-- ---- refused cases ------------------------------------------------------------------------------------------------

local function refused(change, message, name)
  local data = tables()
  change(data)
  t.raises(function() power.acopf(power.case(data)) end, message, name)
end

refused(function(data) data.gencost = nil end, "loop: the case has no generation costs (gencost)", "no costs")
refused(function(data) data.gencost[3] = { 1, 0, 0, 1, 0, 0, 0 } end,
  "loop: gencost 3: piecewise linear costs are not modelled; give a polynomial (model 2)", "piecewise linear costs")
refused(function(data) for k = 1, 4 do data.gencost[4 + k] = data.gencost[k] end end,
  "loop: gencost 5: costs of reactive power are not modelled", "costs of reactive power")
refused(function(data) data.bus[1][2] = 1 end, "loop: no bus is the reference (type 3)", "no reference bus")
t.raises(function() power.acopf(case, { names = "x" }) end, "acopf: unknown option names (did you mean name?)",
  "an unknown option")

-- ---- synthetic grids ------------------------------------------------------------------------------------------------

do
  local made = power.synthetic(200, { seed = 3 })
  local m = power.acopf(made, { start = "case" })
  local first = m:solve("ipm", { iterations = 0 })
  t.ok(first.certificate.primal <= 1e-10, "synthetic: the state it is made from is feasible")
  local s = m:solve("ipm")
  t.ok(s.certificate.kkt <= 1e-6 and s.objective < first.objective, "synthetic: solved, and cheaper than that state")
  t.is_close(power.acopf(made):solve("ipm").objective, s.objective, 1e-6, 0, "synthetic: the same from a flat start")
  t.is(power.synthetic(200, { seed = 3 }).branch.n, made.branch.n, "synthetic: the same seed, the same grid")
  t.is_close(made.branch.n / 200, 1.5, 0.1, 0, "synthetic: three branches for two buses")
  t.raises(power.acopf, "acopf: option start is flat or case, not warm", "a wrong start", made, { start = "warm" })
  t.raises(power.synthetic, "synthetic: the number of buses is an integer from 2, not 1", "too few buses", 1)
end

-- ---- PGLib --------------------------------------------------------------------------------------------------------

local folder = (os.getenv "PERIGEE_SOURCE" or ".") .. "/../shared/data/pglib-opf/"

--- { name, ac, dc, buses } of the published table, smallest first
local function published()
  local file = io.open(folder .. "optima.tsv")
  if not file then return {} end
  local list = {}
  for line in file:lines() do
    local name, ac, buses, _, dc = line:match("^(pglib%S+)\t(%S+)\t(%d+)\t(%d+)\t(%S+)")
    if name then list[#list + 1] = { name = name, ac = ac, dc = dc, buses = tonumber(buses) } end
  end
  file:close()
  table.sort(list, function(a, b) return a.buses < b.buses end)
  return list
end

local function path_of(name)
  local variant = name:match("__(%a+)$")
  return folder .. (variant and variant .. "/" or "") .. name .. ".m"
end

--- Agreement with a value published to five digits.
local function to_five_digits(got, text, name)
  local value = tonumber(text)
  t.is_close(got, value, 0, 0.6 * 10.0 ^ (math.floor(math.log(math.abs(value), 10)) - 4), name)
end

local function check_ac(row, data, opts)
  local m = power.acopf(data, opts)
  local s = m:solve("ipm")
  t.ok(s.certificate.kkt <= 1e-6, row.name .. ": certificate")
  to_five_digits(s.objective, row.ac, row.name .. ": AC objective")
end

local function check_dc(row, data)
  local s = power.dcopf(data):solve("ipm")
  if tonumber(row.dc) then
    to_five_digits(s.objective, row.dc, row.name .. ": DC objective")
  else
    t.is(s.status, "infeasible", row.name .. ": DC infeasible")
  end
end

local any = false
for _, row in ipairs(published()) do
  local wanted = row.buses <= 300 and not row.name:find "__" or t.long()
  if wanted then
    any = true
    local data = power.read(path_of(row.name))
    check_ac(row, data)
    if row.buses <= 60 then check_ac(row, data, { flow_variables = true }) end
    check_dc(row, data)
  elseif row.name:find "__sad" and row.buses <= 60 then
    check_dc(row, power.read(path_of(row.name)))
  end
end
if not any then t.skip(1, "no ../shared/data") end
t.done()
