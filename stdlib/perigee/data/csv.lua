-- SPDX-License-Identifier: Apache-2.0
--- Comma-separated values (RFC 4180, other separators too): a header with the columns' names, then one
-- row a line. A column is numeric when its first value is a number, text otherwise.

local peri = require "perigee"
local usage = require "perigee.usage"

local csv = {}

--- One field from position `at`: value, position after its separator (nil at the end).
local function next_field(path, number, line, at, separator)
  at = line:match("^ *()", at)
  if line:byte(at) ~= 34 then
    local stop = line:find(separator, at, true)
    local text = line:sub(at, (stop or #line + 1) - 1)
    return text:match("^%s*(.-)%s*$"), stop and stop + 1
  end
  local parts, from = {}, at + 1
  while true do
    local quote = line:find('"', from, true)
    if not quote then usage.malformed(path, number, 'expected a closing " before the line ends') end
    parts[#parts + 1] = line:sub(from, quote - 1)
    if line:byte(quote + 1) ~= 34 then
      local rest = line:match("^ *()", quote + 1)
      if rest <= #line and line:sub(rest, rest) ~= separator then
        usage.malformed(path, number, "expected %q after the closing quote", separator)
      end
      return table.concat(parts, '"'), rest <= #line and rest + 1 or nil
    end
    from = quote + 2
  end
end

--- The fields of one line.
local function split(path, number, line, separator)
  local fields, at = {}, 1
  while at do
    fields[#fields + 1], at = next_field(path, number, line, at, separator)
  end
  return fields
end

--- The columns' names from the header, or made up; a name must occur once.
local function column_names(path, number, fields, header)
  local names, seen = {}, {}
  for k, field in ipairs(fields) do
    local name = header and field or "c" .. k
    if name == "" then usage.malformed(path, number, "expected a name for column %d", k) end
    if seen[name] then usage.malformed(path, number, "two columns are called %q", name) end
    names[k], seen[name] = name, true
  end
  return names
end

--- Check one value against its column's type and append it.
local function append(path, number, column, name, text)
  if text == "" then usage.malformed(path, number, "expected a value for column %s", name) end
  local value = usage.number(text)
  if column.numeric == nil then
    local missing = text:lower()
    if missing == "nan" or missing == "na" then
      usage.malformed(path, number, "expected a value for column %s, found %q", name, text)
    end
    column.numeric = value ~= nil
  end
  if column.numeric and not (value and value - value == 0) then
    usage.malformed(path, number, "expected a finite number for column %s, found %q", name, text)
  end
  column[#column + 1] = column.numeric and value or text
end

--- t:matrix{names}: the named numeric columns side by side, rows x #names; all numeric ones without names.
local function matrix(t, names)
  if not names then
    names = {}
    for _, name in ipairs(t.names) do
      if t.numeric[name] then names[#names + 1] = name end
    end
  end
  local rows, columns = {}, {}
  for k, name in ipairs(names) do
    if not t.columns[name] then
      usage.fail("csv: no column is called %s%s", tostring(name), usage.nearest(tostring(name), t.names))
    end
    if not t.numeric[name] then usage.fail("csv: column %s holds text, not numbers", name) end
    columns[k] = t.columns[name]:totable()
  end
  for i = 1, t.rows do
    local row = {}
    for k, column in ipairs(columns) do row[k] = column[i] end
    rows[i] = row
  end
  return peri.array(rows)
end

--- Columns as arrays (numbers) or lists (text).
local function finish(names, columns, rows)
  local t = { names = names, rows = rows, columns = {}, numeric = {}, matrix = matrix }
  for k, name in ipairs(names) do
    local column = columns[k]
    local numeric = column.numeric
    column.numeric = nil
    t.numeric[name] = numeric
    t.columns[name] = numeric and peri.array(column) or column
  end
  return t
end

--- Read a CSV file.
--   opts.separator  one character, "," unless given
--   opts.header     false: there is no line of names; columns are called c1, c2, ...
--   returns { names = list, rows = number, columns = { name = array or list of texts }, matrix = method }
function csv.csv(path, opts)
  opts = usage.only("csv", opts, { "separator", "header" })
  local separator = usage.option("csv", opts, "separator", "string", ",")
  local header = usage.option("csv", opts, "header", "boolean", true)
  if #separator ~= 1 then usage.fail("csv: option separator must be one character") end
  local names, columns, rows, last = nil, {}, 0, 0
  for number, line in usage.lines(usage.read_file("csv", path)) do
    last = number
    if line:find("%S") then
      local fields = split(path, number, line, separator)
      if not names then
        names = column_names(path, number, fields, header)
        for k in ipairs(names) do columns[k] = {} end
        if header then goto continue end
      end
      if #fields ~= #names then
        usage.malformed(path, number, "expected %d values, found %d", #names, #fields)
      end
      rows = rows + 1
      for k, name in ipairs(names) do append(path, number, columns[k], name, fields[k]) end
    end
    ::continue::
  end
  if rows == 0 then usage.malformed(path, last, "the file ends without a row of values") end
  return finish(names, columns, rows)
end

return csv
