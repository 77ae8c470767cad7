-- SPDX-License-Identifier: Apache-2.0
--- Optimal power flow from MATPOWER cases, as the PGLib-OPF benchmark defines it (Babaeinejadsarookolaee et al. 2019,
-- arXiv:1908.02788): cheapest generation that serves the load within the limits of generators, voltages and lines.
--
--   local case = peri.power.read "case14.m"
--   local m, grid = peri.power.acopf(case)
--   local sol = m:solve("ipm")
--   print(peri.power.report(sol, grid))
--
-- Inside the model all is per unit of case.base_mva, angles in radians. `grid` holds the model's variables vm, va, pg,
-- qg and the flows p_from, q_from, p_to, q_to, its constraints by name in grid.constraints, and the rows of the case
-- that are in service: grid.buses, grid.generators, grid.branches (entry k of a variable is row grid.buses[k] of
-- case.bus, and so on). `result` brings a solution back to the case's units.

local peri = require "perigee"
local usage = require "perigee.usage"

local power = {}

local radian = math.pi / 180

-- ---- what is in service ---------------------------------------------------------------------------------------

--- A mistake in row k of a part of the case, at the file's line where there is a file.
local function refuse(case, part, k, text, ...)
  text = ("%s %d: "):format(part, k) .. text:format(...)
  if case.file then usage.malformed(case.file, case[part].line[k], text) end
  usage.fail("%s: %s", case.name, text)
end

--- fn(row) of each row in a list.
local function collect(rows, fn)
  local values = {}
  for k, row in ipairs(rows) do values[k] = fn(row) end
  return values
end

--- The rows that take part: no isolated bus (type 4), nothing switched off, nothing at an isolated bus.
local function in_service(case)
  local bus, gen, branch = case.bus, case.gen, case.branch
  local grid = { case = case, buses = {}, generators = {}, branches = {}, constraints = {} }
  local position = {} -- bus number -> entry
  for k = 1, bus.n do
    if bus.type[k] ~= 4 then
      grid.buses[#grid.buses + 1] = k
      position[bus.bus_i[k]] = #grid.buses
    end
  end
  for k = 1, gen.n do
    if gen.status[k] > 0 and position[gen.bus[k]] then grid.generators[#grid.generators + 1] = k end
  end
  for k = 1, branch.n do
    if branch.status[k] > 0 and position[branch.fbus[k]] and position[branch.tbus[k]] then
      grid.branches[#grid.branches + 1] = k
    end
  end
  grid.at = collect(grid.generators, function(k) return position[gen.bus[k]] end)
  grid.from = collect(grid.branches, function(k) return position[branch.fbus[k]] end)
  grid.to = collect(grid.branches, function(k) return position[branch.tbus[k]] end)
  return grid
end

--- The sparse matrix that adds entry k of a vector to bus at[k].
local function incidence(grid, at)
  local i, j, v = {}, {}, {}
  for k, bus in ipairs(at) do i[k], j[k], v[k] = bus, k, 1 end
  return peri.sparse { rows = #grid.buses, cols = #at, i = i, j = j, v = v }
end

-- ---- parts of the models -----------------------------------------------------------------------------------------

--- A column of the case as the start of a variable, or `flat` where the model starts flat.
local function start_of(grid, rows, column, scale, flat)
  if grid.start ~= "case" then return flat end
  return peri.array(collect(rows, function(k) return column[k] * scale end))
end

--- Voltage angles: 0 at the reference buses (type 3), free elsewhere.
local function add_angles(m, grid)
  local kind, some = grid.case.bus.type, false
  local bound = collect(grid.buses, function(k)
    some = some or kind[k] == 3
    return kind[k] == 3 and 0 or math.huge
  end)
  if not some then usage.fail("%s: no bus is the reference (type 3)", grid.case.name) end
  grid.va = m:var("va", #bound, { lower = collect(bound, function(b) return -b end), upper = bound,
    start = start_of(grid, grid.buses, grid.case.bus.va, radian) })
end

--- A variable of one entry a generator, between two columns of the case; the column of its name is its start.
local function generator_variable(m, grid, name, low, high)
  local gen, base = grid.case.gen, grid.case.base_mva
  return m:var(name, #grid.generators, {
    lower = collect(grid.generators, function(k) return gen[low][k] / base end),
    upper = collect(grid.generators, function(k) return gen[high][k] / base end),
    start = start_of(grid, grid.generators, gen[name], 1 / base),
  })
end

--- Polynomial costs: coefficients[d] of pg^d per unit, one list of values a degree; `degree` is the highest.
local function cost_coefficients(grid)
  local case, coefficients = grid.case, { degree = 0 }
  local cost = case.gencost
  if not cost then usage.fail("%s: the case has no generation costs (gencost)", case.name) end
  if cost.n > case.gen.n then
    refuse(case, "gencost", case.gen.n + 1, "costs of reactive power are not modelled")
  end
  for position, k in ipairs(grid.generators) do
    if cost.model[k] == 1 then
      refuse(case, "gencost", k, "piecewise linear costs are not modelled; give a polynomial (model 2)")
    end
    local list = cost.cost[k]
    for c, value in ipairs(list) do
      local degree = #list - c
      if value ~= 0 then
        coefficients[degree] = coefficients[degree] or collect(grid.generators, function() return 0 end)
        coefficients[degree][position] = value * case.base_mva ^ degree
        coefficients.degree = math.max(degree, coefficients.degree)
      end
    end
  end
  return coefficients
end

--- Minimize the cost of generation, $/h.
local function add_cost(m, grid)
  local coefficients = cost_coefficients(grid)
  local total = 0
  for _, value in ipairs(coefficients[0] or {}) do total = total + value end
  for degree = 1, coefficients.degree do
    local list = coefficients[degree]
    if list then total = total + peri.array(list):dot(degree == 1 and grid.pg or grid.pg ^ degree) end
  end
  m:minimize(total)
end

--- Rows of `list` whose value is a limit, their positions, and the values.
local function limited(list)
  local at, value = {}, {}
  for k, v in ipairs(list) do
    if v > 0 and v < math.huge then at[#at + 1], value[#value + 1] = k, v end
  end
  return at, value
end

--- The branches' ratings per unit; 0 means none.
local function ratings(grid)
  local case = grid.case
  return collect(grid.branches, function(k) return case.branch.rate_a[k] / case.base_mva end)
end

--- angmin <= va_from - va_to <= angmax where the case limits it: both 0, or 360 degrees, mean no limit.
local function add_angle_difference(m, grid)
  local branch = grid.case.branch
  local at, lower, upper = {}, {}, {}
  for position, k in ipairs(grid.branches) do
    local low, high = branch.angmin[k], branch.angmax[k]
    if (low ~= 0 or high ~= 0) and (low > -360 or high < 360) then
      at[#at + 1] = position
      lower[#at] = low > -360 and low * radian or -math.huge
      upper[#at] = high < 360 and high * radian or math.huge
    end
  end
  if #at == 0 then return end
  grid.constraints.angle_difference = m:subject_to("angle_difference",
    peri.between(peri.array(lower), grid.difference[peri.array(at)], peri.array(upper)))
end

--- A column of the buses' table, per unit.
local function demand(grid, column)
  local case = grid.case
  return peri.array(collect(grid.buses, function(k) return case.bus[column][k] / case.base_mva end))
end

--- sum of what shunts draw at each bus: g * vm^2, only where g is not zero; nil when there are none.
local function shunts(grid, column, sign)
  local case, at, value = grid.case, {}, {}
  for position, k in ipairs(grid.buses) do
    if case.bus[column][k] ~= 0 then
      at[#at + 1], value[#value + 1] = position, sign * case.bus[column][k] / case.base_mva
    end
  end
  if #at == 0 then return nil end
  return incidence(grid, at) % (peri.array(value) * grid.vm[peri.array(at)] ^ 2)
end

-- ---- alternating current -------------------------------------------------------------------------------------------

--- Coefficients of the branches' flows. With the series admittance g + jb, the charging susceptance bc and the
-- complex ratio t = tr + j ti = ratio e^(j shift) on the from side (MATPOWER manual, section 3.2)
--   p_from =  gff vf^2 + vf vt ( gft cos d + bft sin d)    d = va_from - va_to
--   q_from = -bff vf^2 + vf vt ( gft sin d - bft cos d)
--   p_to   =  gtt vt^2 + vf vt ( gtf cos d - btf sin d)
--   q_to   = -btt vt^2 + vf vt (-gtf sin d - btf cos d)
local function admittances(grid)
  local branch = grid.case.branch
  local y = { gff = {}, bff = {}, gft = {}, bft = {}, gtf = {}, btf = {}, gtt = {}, btt = {} }
  for e, k in ipairs(grid.branches) do
    local r, x = branch.r[k], branch.x[k]
    local z2 = r * r + x * x
    local g, b, charging = r / z2, -x / z2, branch.b[k] / 2
    local ratio = branch.ratio[k] == 0 and 1 or branch.ratio[k]
    local c, s = math.cos(branch.angle[k] * radian) / ratio, math.sin(branch.angle[k] * radian) / ratio
    y.gff[e], y.bff[e] = g / ratio ^ 2, (b + charging) / ratio ^ 2
    y.gtt[e], y.btt[e] = g, b + charging
    y.gft[e], y.bft[e] = -(g * c - b * s), -(g * s + b * c)
    y.gtf[e], y.btf[e] = -(g * c + b * s), -(b * c - g * s)
  end
  for name, list in pairs(y) do y[name] = peri.array(list) end
  return y
end

--- The branches' flows: expressions of the voltages, or variables of their own with an equation each.
local function add_flows(m, grid, as_variables)
  local y = admittances(grid)
  local from, to = peri.array(grid.from), peri.array(grid.to)
  local vf, vt = grid.vm[from], grid.vm[to]
  grid.difference = grid.va[from] - grid.va[to]
  local c, s = vf * vt * peri.cos(grid.difference), vf * vt * peri.sin(grid.difference)
  local function flow(name, expression)
    if as_variables then
      grid[name] = m:var(name, #grid.branches)
      grid.constraints[name] = m:subject_to(name .. "_equation", (expression - grid[name]):eq(0))
    else
      grid[name] = expression
    end
  end
  flow("p_from", y.gff * vf ^ 2 + y.gft * c + y.bft * s)
  flow("q_from", y.gft * s - y.bff * vf ^ 2 - y.bft * c)
  flow("p_to", y.gtt * vt ^ 2 + y.gtf * c - y.btf * s)
  flow("q_to", -(y.btt * vt ^ 2 + y.gtf * s + y.btf * c))
end

--- What is generated less what branches and shunts take, equal to the load. The dual is the price of load.
local function add_balance(m, grid, name, generation, from, to, shunt, load)
  local at, out, back = incidence(grid, grid.at), incidence(grid, grid.from), incidence(grid, grid.to)
  local net = at % generation - out % from - back % to
  if shunt then net = net - shunt end
  grid.constraints[name] = m:subject_to(name, net:eq(load))
end

--- p^2 + q^2 <= rate^2 at both ends of the branches that have a rating.
local function add_thermal_limits(m, grid)
  local at, rate = limited(ratings(grid))
  if #at == 0 then return end
  grid.rated = at
  local rows, square = peri.array(at), peri.array(collect(rate, function(r) return r * r end))
  for _, side in ipairs { "from", "to" } do
    local p, q, name = grid["p_" .. side][rows], grid["q_" .. side][rows], "flow_" .. side
    grid.constraints[name] = m:subject_to(name, p ^ 2 + q ^ 2 <= square)
  end
end

--- The AC optimal power flow of a case in polar form.
--   opts.name             the model's name, the case's unless given
--   opts.flow_variables   true: the branches' flows are variables with equations of their own, as PGLib writes the
--                         problem; otherwise they are expressions of the voltages, which makes systems of a third of
--                         the size and solves several times faster
--   opts.start            "flat" (voltages 1, angles 0) unless "case": the voltages and the generation that the case gives
--   returns model, grid
function power.acopf(case, opts)
  opts = usage.only("acopf", opts, { "name", "flow_variables", "start" })
  local grid = in_service(case)
  grid.kind = "ac"
  grid.start = usage.option("acopf", opts, "start", "string", "flat")
  if grid.start ~= "flat" and grid.start ~= "case" then
    usage.fail("acopf: option start is flat or case, not %s", grid.start)
  end
  local m = peri.model(usage.option("acopf", opts, "name", "string", case.name))
  add_angles(m, grid)
  grid.vm = m:var("vm", #grid.buses, { start = start_of(grid, grid.buses, case.bus.vm, 1, 1),
    lower = collect(grid.buses, function(k) return case.bus.vmin[k] end),
    upper = collect(grid.buses, function(k) return case.bus.vmax[k] end) })
  grid.pg = generator_variable(m, grid, "pg", "pmin", "pmax")
  grid.qg = generator_variable(m, grid, "qg", "qmin", "qmax")
  add_cost(m, grid)
  add_flows(m, grid, usage.option("acopf", opts, "flow_variables", "boolean", false))
  add_balance(m, grid, "active_balance", grid.pg, grid.p_from, grid.p_to, shunts(grid, "gs", 1), demand(grid, "pd"))
  add_balance(m, grid, "reactive_balance", grid.qg, grid.q_from, grid.q_to, shunts(grid, "bs", -1),
    demand(grid, "qd"))
  add_thermal_limits(m, grid)
  add_angle_difference(m, grid)
  return m, grid
end

-- ---- direct current ------------------------------------------------------------------------------------------------

--- Flows p = (va_from - va_to) x / (r^2 + x^2), within the ratings; ratios and shifts have no part in this
-- approximation as PGLib's reference values use it.
local function add_dc_flows(m, grid)
  local branch = grid.case.branch
  local rate = collect(ratings(grid), function(r) return r > 0 and r or math.huge end)
  local susceptance = collect(grid.branches, function(k)
    return branch.x[k] / (branch.r[k] ^ 2 + branch.x[k] ^ 2)
  end)
  grid.difference = grid.va[peri.array(grid.from)] - grid.va[peri.array(grid.to)]
  grid.p_from = m:var("p_from", #rate, { lower = collect(rate, function(r) return -r end), upper = rate })
  grid.constraints.p_from = m:subject_to("p_from_equation",
    (peri.array(susceptance) * grid.difference - grid.p_from):eq(0))
end

--- The DC optimal power flow: voltages 1, no losses, no reactive power.
--   opts.name   the model's name, the case's unless given
--   returns model, grid
function power.dcopf(case, opts)
  opts = usage.only("dcopf", opts, { "name" })
  local grid = in_service(case)
  grid.kind = "dc"
  local m = peri.model(usage.option("dcopf", opts, "name", "string", case.name))
  add_angles(m, grid)
  grid.pg = generator_variable(m, grid, "pg", "pmin", "pmax")
  add_cost(m, grid)
  add_dc_flows(m, grid)
  add_balance(m, grid, "active_balance", grid.pg, grid.p_from, -grid.p_from, nil,
    demand(grid, "pd") + demand(grid, "gs"))
  add_angle_difference(m, grid)
  return m, grid
end

-- ---- results ------------------------------------------------------------------------------------------

--- Numbers of a solution as a list, scaled; a single entry is a number, not an array.
local function scaled(numbers, scale)
  return collect(type(numbers) == "number" and { numbers } or numbers:totable(), function(v) return v * scale end)
end

--- The values of a variable or an expression, scaled, or nil for one that the model does not have.
local function values(sol, expression, scale)
  return expression and scaled(sol:value(expression), scale)
end

--- What a generator's polynomial costs at p MW.
local function generation_cost(coefficients, p)
  local total = 0
  for _, c in ipairs(coefficients) do total = total * p + c end
  return total
end

local function bus_results(sol, grid)
  local bus, base = grid.case.bus, grid.case.base_mva
  local vm, va = values(sol, grid.vm, 1), values(sol, grid.va, 1 / radian)
  local price = scaled(sol:dual(grid.constraints.active_balance), 1 / base)
  local rows = {}
  for e, k in ipairs(grid.buses) do
    rows[e] = { bus = bus.bus_i[k], vm = vm and vm[e] or 1, va = va[e], pd = bus.pd[k], qd = bus.qd[k],
      price = price[e] }
  end
  return rows
end

local function generator_results(sol, grid)
  local case, base = grid.case, grid.case.base_mva
  local pg, qg, rows = values(sol, grid.pg, base), values(sol, grid.qg, base), {}
  for e, k in ipairs(grid.generators) do
    rows[e] = { bus = case.gen.bus[k], pg = pg[e], qg = qg and qg[e],
      cost = generation_cost(case.gencost.cost[k], pg[e]) }
  end
  return rows
end

local function branch_results(sol, grid)
  local branch, base, rows = grid.case.branch, grid.case.base_mva, {}
  local p_from, q_from = values(sol, grid.p_from, base), values(sol, grid.q_from, base)
  local p_to, q_to = values(sol, grid.p_to, base), values(sol, grid.q_to, base)
  for e, k in ipairs(grid.branches) do
    local row = { from = branch.fbus[k], to = branch.tbus[k], p_from = p_from[e], q_from = q_from and q_from[e] or 0,
      p_to = p_to and p_to[e] or -p_from[e], q_to = q_to and q_to[e] or 0 }
    local apparent = math.sqrt(math.max(row.p_from ^ 2 + row.q_from ^ 2, row.p_to ^ 2 + row.q_to ^ 2))
    if branch.rate_a[k] > 0 then row.loading = apparent / branch.rate_a[k] end
    rows[e] = row
  end
  return rows
end

--- A solution in the case's units: lists of tables for what is in service,
--   buses       { bus, vm (p.u.), va (degrees), pd, qd (MW, MVAr), price ($/MWh) }
--   generators  { bus, pg, qg (MW, MVAr), cost ($/h) }
--   branches    { from, to, p_from, q_from, p_to, q_to (MW, MVAr), loading (share of the rating, nil without one) }
-- and sums: cost, generation, load, losses (MW; losses in branches).
function power.result(sol, grid)
  local r = { buses = bus_results(sol, grid), generators = generator_results(sol, grid),
    branches = branch_results(sol, grid), cost = sol.objective, generation = 0, load = 0, losses = 0 }
  for _, g in ipairs(r.generators) do r.generation = r.generation + g.pg end
  for _, b in ipairs(r.buses) do r.load = r.load + b.pd end
  for _, b in ipairs(r.branches) do r.losses = r.losses + b.p_from + b.p_to end
  return r
end

--- A readable table of a solution: generation, voltages and prices, the most loaded branches, sums.
function power.report(sol, grid)
  local r, lines = power.result(sol, grid), {}
  local function line(...) lines[#lines + 1] = string.format(...) end
  line("generator   bus     MW      MVAr        $/h")
  for k, g in ipairs(r.generators) do line("%9d %5d %8.2f %8.2f %10.2f", k, g.bus, g.pg, g.qg or 0, g.cost) end
  line("")
  line("bus    voltage   angle    load MW     $/MWh")
  for _, b in ipairs(r.buses) do line("%4d %8.4f %8.3f %9.2f %9.3f", b.bus, b.vm, b.va, b.pd, b.price) end
  table.sort(r.branches, function(a, b) return (a.loading or -1) > (b.loading or -1) end)
  line("")
  line("branch           MW from    MW to   loading")
  for k = 1, math.min(5, #r.branches) do
    local b = r.branches[k]
    line("%5d -> %-5d %9.2f %9.2f %8s", b.from, b.to, b.p_from, b.p_to,
      b.loading and ("%.1f %%"):format(100 * b.loading) or "-")
  end
  line("")
  line("cost %.2f $/h, generation %.2f MW, load %.2f MW, losses %.2f MW", r.cost, r.generation, r.load, r.losses)
  return table.concat(lines, "\n")
end

--- Read a MATPOWER case; the same as peri.data.matpower.
function power.read(path)
  return peri.data.matpower(path)
end

--- A case of n buses that is made up and feasible: see perigee.power.synthetic.
function power.synthetic(n, opts)
  return require "perigee.power.synthetic"(n, opts)
end

--- A case from Lua tables; the same as peri.data.matpower_case.
function power.case(tables)
  return peri.data.matpower_case(tables)
end

return power
