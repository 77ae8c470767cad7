-- SPDX-License-Identifier: Apache-2.0
--- Power grids in MATPOWER's case format, version 2 (Zimmerman, Murillo-Sanchez, Thomas 2011; manual,
-- appendix B): a Matlab function of plain assignments `mpc.NAME = ...;`. Other Matlab code is refused.
--
-- A case is { name, file, base_mva, bus, gen, branch, gencost }. Each table holds its columns by name,
-- case.bus.vmax[k], with `n` rows and `line[k]`, the line of row k in the file. Units as in the file: MW, MVAr,
-- p.u., degrees, $/h. A polynomial cost's coefficients are gencost.cost[k], highest power first.

local usage = require "perigee.usage"

local matpower = {}

-- columns of the matrices that are read, in their order; the first `need` must be there
local layout = {
  bus = { need = 13, "bus_i", "type", "pd", "qd", "gs", "bs", "area", "vm", "va", "base_kv", "zone",
    "vmax", "vmin" },
  gen = { need = 10, "bus", "pg", "qg", "qmax", "qmin", "vg", "mbase", "status", "pmax", "pmin" },
  branch = { need = 11, "fbus", "tbus", "r", "x", "b", "rate_a", "rate_b", "rate_c", "ratio", "angle",
    "status", "angmin", "angmax" },
  gencost = { need = 4, "model", "startup", "shutdown", "n" },
}
local parts = { "bus", "gen", "branch" } -- what a case must have, in this order

-- ---- reading --------------------------------------------------------------------------------------------------

--- The line without its comment; a % inside quotes is text.
local function strip_comment(line)
  if not line:find("%", 1, true) then return line end
  local quoted = false
  for at = 1, #line do
    local c = line:byte(at)
    if c == 39 then quoted = not quoted end
    if c == 37 and not quoted then return line:sub(1, at - 1) end
  end
  return line
end

--- One row of numbers, appended to the matrix. Empty rows do not count.
local function read_row(reader, text)
  local row, open = {}, reader.open
  for word in text:gmatch("[^%s,]+") do
    local value = usage.number(word, true)
    if not value then
      usage.malformed(reader.path, reader.number, "expected a number in mpc.%s, found %q", open.name, word)
    end
    row[#row + 1] = value
  end
  if #row == 0 then return end
  local first = open.rows[1]
  if first and #row ~= #first then
    usage.malformed(reader.path, reader.number, "expected %d numbers in this row of mpc.%s, found %d", #first,
      open.name, #row)
  end
  open.rows[#open.rows + 1] = row
  open.line[#open.line + 1] = reader.number
end

--- What may follow a value: nothing or a semicolon.
local function expect_end(reader, rest)
  if not rest:find("^%s*;?%s*$") then
    usage.malformed(reader.path, reader.number, "expected the end of mpc.%s, found %q", reader.name, rest)
  end
end

--- The inside of a matrix, from text on one line; closes it at "]".
local function read_matrix(reader, text)
  local close = text:find("]", 1, true)
  local inside = close and text:sub(1, close - 1) or text
  local continued = inside:match("^(.-)%.%.%.%s*$")
  if continued and not close then
    reader.pending = (reader.pending or "") .. continued .. " "
    return
  end
  inside = (reader.pending or "") .. inside
  reader.pending = nil
  for row in inside:gmatch("[^;]+") do read_row(reader, row) end
  if close then
    reader.name, reader.open = reader.open.name, nil
    expect_end(reader, text:sub(close + 1))
  end
end

--- The inside of a cell array, which is skipped; closes it at "}".
local function skip_cell(reader, text)
  local plain = text:gsub("'[^']*'", "")
  local close = plain:find("}", 1, true)
  if close then
    reader.name, reader.open = reader.open.name, nil
    expect_end(reader, plain:sub(close + 1))
  end
end

--- `mpc.NAME = value`.
local function read_assignment(reader, name, value)
  if reader.case[name] ~= nil then
    usage.malformed(reader.path, reader.number, "mpc.%s is given twice, first in line %d", name,
      reader.started[name])
  end
  reader.name, reader.started[name] = name, reader.number
  local first = value:sub(1, 1)
  if first == "[" then
    reader.open = { name = name, number = reader.number, rows = {}, line = {}, read = read_matrix }
    reader.case[name] = reader.open
    return read_matrix(reader, value:sub(2))
  elseif first == "{" then
    reader.open = { name = name, number = reader.number, read = skip_cell }
    reader.case[name] = reader.open
    return skip_cell(reader, value:sub(2))
  end
  local text, rest = value:match("^'([^']*)'(.*)$")
  local number
  if not text then
    text, rest = value:match("^([^%s;]+)(.*)$")
    number = text and usage.number(text, true)
    if not number then
      usage.malformed(reader.path, reader.number, "expected a number, a text or a matrix for mpc.%s", name)
    end
  end
  expect_end(reader, rest)
  reader.case[name] = number or text
end

--- A line outside matrices.
local function read_statement(reader, line)
  local name, value = line:match("^%s*mpc%.([%a_][%w_.]*)%s*=%s*(.*)$")
  if name then return read_assignment(reader, name, value) end
  local title = line:match("^%s*function%s+mpc%s*=%s*([%a_][%w_]*)%s*;?%s*$")
  if title then
    reader.title = title
  elseif not line:find("^%s*end%s*;?%s*$") and not line:find("^%s*return%s*;?%s*$") then
    usage.malformed(reader.path, reader.number, "expected mpc.NAME = value, found %q",
      line:match("^%s*(.-)%s*$"):sub(1, 40))
  end
end

--- All assignments of a file.
local function read_file(path)
  local reader = { path = path, number = 0, case = {}, started = {} }
  for number, raw in usage.lines(usage.read_file("matpower", path)) do
    reader.number = number
    local line = strip_comment(raw)
    if line:find("%S") then
      if reader.open then
        reader.open.read(reader, line)
      else
        read_statement(reader, line)
      end
    end
  end
  if reader.open then
    usage.malformed(path, reader.number, "the file ends inside mpc.%s, which starts in line %d", reader.open.name,
      reader.open.number)
  end
  return reader
end

-- ---- checking ---------------------------------------------------------------------------------------------------

--- Where row k of a table stands, for messages: raises there.
local function refuse(case, part, k, text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  if case.file then usage.malformed(case.file, case[part].line[k], "%s %d: %s", part, k, text) end
  usage.fail("matpower_case: %s %d: %s", part, k, text)
end

--- A matrix's rows as named columns.
local function columns(case, name, matrix)
  local names = layout[name]
  local t = { n = #matrix.rows, line = matrix.line }
  case[name] = t
  for c, column in ipairs(names) do
    local list = {}
    for k, row in ipairs(matrix.rows) do
      local value = row[c]
      if value == nil and c <= names.need then
        refuse(case, name, k, "expected at least %d numbers, found %d", names.need, #row)
      end
      list[k] = value
    end
    t[column] = list
  end
end

local may_be_infinite = { pmax = true, pmin = true, qmax = true, qmin = true, rate_a = true, rate_b = true,
  rate_c = true, vmax = true, angmin = true, angmax = true }

local function check_finite(case, part)
  for _, column in ipairs(layout[part]) do
    for k, value in pairs(case[part][column]) do
      if value ~= value or (value - value ~= 0 and not may_be_infinite[column]) then
        refuse(case, part, k, "expected a finite %s, found %g", column, value)
      end
    end
  end
end

--- Limits must not cross, but for what is switched off.
local function check_order(case, part, low, high)
  local a, b, status = case[part][low], case[part][high], case[part].status
  for k = 1, case[part].n do
    if a[k] > b[k] and not (status and status[k] <= 0) then
      refuse(case, part, k, "%s %g is above %s %g", low, a[k], high, b[k])
    end
  end
end

--- Buses: numbers are positive integers, each once; types 1 to 4. Fills case.bus.row, number -> row.
local function check_buses(case)
  local bus, row = case.bus, {}
  for k = 1, bus.n do
    local number, kind = math.tointeger(bus.bus_i[k]), bus.type[k]
    if not number or number < 1 then
      refuse(case, "bus", k, "expected a positive bus number, found %g", bus.bus_i[k])
    end
    if row[number] then refuse(case, "bus", k, "bus number %d is taken by row %d", number, row[number]) end
    if kind ~= 1 and kind ~= 2 and kind ~= 3 and kind ~= 4 then
      refuse(case, "bus", k, "expected a type 1, 2, 3 or 4, found %g", kind)
    end
    bus.bus_i[k], row[number] = number, k
  end
  bus.row = row
end

local function check_reference(case, part, column)
  for k = 1, case[part].n do
    local number = math.tointeger(case[part][column][k])
    if not number or not case.bus.row[number] then
      refuse(case, part, k, "%s %g is not a bus", column, case[part][column][k])
    end
    case[part][column][k] = number
  end
end

local function check_branches(case)
  local branch = case.branch
  for k = 1, branch.n do
    if branch.status[k] ~= 0 and branch.r[k] == 0 and branch.x[k] == 0 then
      refuse(case, "branch", k, "a branch without resistance and reactance cannot be modelled")
    end
    if branch.ratio[k] < 0 or branch.rate_a[k] < 0 then
      refuse(case, "branch", k, "ratio and rate_a must not be negative")
    end
    branch.angmin[k], branch.angmax[k] = branch.angmin[k] or -360, branch.angmax[k] or 360
  end
end

--- Costs: one row a generator (or two: then the second half is for reactive power).
local function check_costs(case, matrix)
  local cost = case.gencost
  if cost.n ~= case.gen.n and cost.n ~= 2 * case.gen.n then
    refuse(case, "gencost", cost.n, "expected %d rows, one a generator (or twice as many), found %d", case.gen.n,
      cost.n)
  end
  cost.cost = {}
  for k = 1, cost.n do
    local count = math.tointeger(cost.n_values[k])
    local kind = cost.model[k]
    if kind ~= 1 and kind ~= 2 then refuse(case, "gencost", k, "expected model 1 or 2, found %g", kind) end
    if not count or count < kind % 2 then
      refuse(case, "gencost", k, "expected a number of %s, found %g", kind == 1 and "points" or "coefficients",
        cost.n_values[k])
    end
    local row, list, size = matrix.rows[k], {}, kind == 1 and 2 * count or count
    if 4 + size > #row then refuse(case, "gencost", k, "expected %d cost values, found %d", size, #row - 4) end
    for c = 1, size do
      local value = row[4 + c]
      if value - value ~= 0 then refuse(case, "gencost", k, "expected a finite cost, found %g", value) end
      list[c] = value
    end
    cost.cost[k] = list
  end
end

--- Check all of a case and give its columns names. `source` holds the matrices as { rows, line }.
local function build(source, case)
  for _, part in ipairs(parts) do
    columns(case, part, source[part])
    check_finite(case, part)
  end
  check_buses(case)
  check_reference(case, "gen", "bus")
  check_reference(case, "branch", "fbus")
  check_reference(case, "branch", "tbus")
  check_branches(case)
  check_order(case, "bus", "vmin", "vmax")
  check_order(case, "gen", "pmin", "pmax")
  check_order(case, "gen", "qmin", "qmax")
  check_order(case, "branch", "angmin", "angmax")
  if source.gencost then
    columns(case, "gencost", source.gencost)
    case.gencost.n_values, case.gencost.n = case.gencost.n, #source.gencost.rows
    check_costs(case, source.gencost)
  end
  return case
end

--- A case's base power must be a positive number.
local function check_base(value, fail)
  if type(value) ~= "number" or value ~= value or value <= 0 or value == math.huge then
    fail("expected mpc.baseMVA, a positive number")
  end
  return value
end

--- Read a MATPOWER case file.
function matpower.matpower(path)
  local reader = read_file(path)
  local function fail(text, ...)
    usage.malformed(path, reader.number, text, ...)
  end
  if reader.case.version ~= nil and tostring(reader.case.version) ~= "2" then
    usage.malformed(path, reader.started.version, "expected case format version 2, found %s",
      tostring(reader.case.version))
  end
  if reader.case.baseMVA == nil then fail("the file ends without mpc.baseMVA") end
  local base = check_base(reader.case.baseMVA, function(text)
    usage.malformed(path, reader.started.baseMVA, text)
  end)
  for _, part in ipairs(parts) do
    local matrix = reader.case[part]
    if matrix == nil then fail("the file ends without mpc.%s", part) end
    if type(matrix) ~= "table" or not matrix.rows or #matrix.rows == 0 then
      usage.malformed(path, reader.started[part], "expected a matrix with rows for mpc.%s", part)
    end
  end
  local gencost, dcline = reader.case.gencost, reader.case.dcline
  if gencost ~= nil and not (type(gencost) == "table" and gencost.rows and gencost.rows[1]) then
    usage.malformed(path, reader.started.gencost, "expected a matrix with rows for mpc.gencost")
  end
  if type(dcline) == "table" and dcline.rows and dcline.rows[1] then
    usage.malformed(path, reader.started.dcline, "mpc.dcline: direct-current lines are not modelled")
  end
  local name = reader.title or path:match("([^/]+)%.m$") or path
  return build(reader.case, { name = name, file = path, base_mva = base, last_line = reader.number })
end

--- Rows given as Lua tables, copied and checked.
local function table_rows(part, rows)
  if type(rows) ~= "table" or type(rows[1]) ~= "table" then
    usage.fail("matpower_case: %s must be a list of rows of numbers", part)
  end
  local matrix = { rows = {}, line = {} }
  for k, row in ipairs(rows) do
    if #row ~= #rows[1] then
      usage.fail("matpower_case: %s %d: expected %d numbers, found %d", part, k, #rows[1], #row)
    end
    local copy = {}
    for c, value in ipairs(row) do
      if type(value) ~= "number" then
        usage.fail("matpower_case: %s %d: expected a number, found %s", part, k, tostring(value))
      end
      copy[c] = value
    end
    matrix.rows[k], matrix.line[k] = copy, k
  end
  return matrix
end

--- A case from Lua tables: { name =, base_mva =, bus = rows, gen = rows, branch = rows, gencost = rows }, the
-- rows' columns in MATPOWER's order.
function matpower.matpower_case(tables)
  tables = usage.only("matpower_case", tables, { "name", "base_mva", "bus", "gen", "branch", "gencost" })
  local source = {}
  for _, part in ipairs(parts) do source[part] = table_rows(part, tables[part]) end
  if tables.gencost then source.gencost = table_rows("gencost", tables.gencost) end
  local base = check_base(tables.base_mva, function()
    usage.fail("matpower_case: base_mva must be a positive number")
  end)
  return build(source, { name = tables.name or "case", base_mva = base })
end

return matpower
