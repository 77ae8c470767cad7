-- SPDX-License-Identifier: Apache-2.0
--- Nonlinear regression problems in the text format of NIST's Statistical Reference Datasets: a formula, two starting points,
-- certified parameters with their standard deviations, the certified residual sum of squares, and the observations.
-- Format: https://www.itl.nist.gov/div898/strd/nls/nls_info.shtml

local peri = require "perigee"
local usage = require "perigee.usage"

local nist = {}

local functions = { exp = peri.exp, log = peri.log, sqrt = peri.sqrt, sin = peri.sin, cos = peri.cos, tan = peri.tan,
  arctan = peri.atan, atan = peri.atan }

--- One side of the formula as a Lua function of a table of names. Only numbers, operators, the functions above, pi, and `names` may occur.
local function compile(path, number, text, names)
  local lua = text:gsub("%[", "("):gsub("%]", ")"):gsub("%*%*", "^")
  local words = lua:gsub("%d*%.?%d+[eEdD][+-]?%d+", "0")
  for word in words:gmatch("[%a_][%w_]*") do
    if not functions[word] and word ~= "pi" and not names[word] then
      usage.malformed(path, number, "the formula has the unknown name %s", word)
    end
  end
  local env = setmetatable({ pi = math.pi }, { __index = functions })
  local chunk = not words:find("[^%w_%.%s%+%-%*/%^%(%)]") and load("return " .. lua, "=formula", "t", env)
  if not chunk then usage.malformed(path, number, "the formula %q cannot be read", text) end
  return function(values)
    for name, value in pairs(values) do env[name] = value end
    return chunk()
  end
end

--- Numbers of a line, or nil where a word is none.
local function numbers(line)
  local out = {}
  for word in line:gmatch("%S+") do
    local value = usage.number(word)
    if not value then return nil end
    out[#out + 1] = value
  end
  return out
end

--- Collect what the file says: formula, parameters, sum of squares, names and columns of data.
local function scan(path)
  local file = { name = path:match("([^/]+)%.%w+$") or path, parameters = {}, names = nil, rows = {}, last = 0 }
  local formula
  for number, line in usage.lines(usage.read_file("nist", path)) do
    file.last = number
    local name = line:match("^Dataset Name:%s*(%S+)")
    local index, rest = line:match("^%s*b(%d+)%s*=%s*(.*)$")
    local rss = line:match("^Residual Sum of Squares:%s*(%S+)")
    local header = line:match("^Data:%s+(y%s+x.*)$")
    if file.names then
      local row = numbers(line)
      if not row or (#row > 0 and #row ~= #file.names) then
        usage.malformed(path, number, "expected %d numbers (%s), found %q", #file.names, table.concat(file.names, " "), line)
      end
      if #row > 0 then file.rows[#file.rows + 1] = row end
    elseif header then
      file.names = {}
      for word in header:gmatch("%S+") do file.names[#file.names + 1] = word end
    elseif name then
      file.name = name
    elseif index then
      local values = numbers(rest)
      if not values or #values ~= 4 then
        usage.malformed(path, number, "expected start 1, start 2, certified value and deviation of b%s, found %q", index, rest)
      end
      if tonumber(index) ~= #file.parameters + 1 then
        usage.malformed(path, number, "expected b%d, found b%s", #file.parameters + 1, index)
      end
      file.parameters[#file.parameters + 1] = values
    elseif rss then
      file.rss = usage.number(rss) or usage.malformed(path, number, "expected the residual sum of squares, found %q", rss)
    elseif formula then
      if line:find("%S") and not line:find("[Ss]tarting") then formula[#formula + 1] = line else file.formula, formula = formula, nil end
    elseif not file.formula and line:find("^%s+[%a%[%]]+.-%s=%s") and line:find("b%d") then
      formula, file.line = { line }, number
    end
  end
  local parts = { { "formula", file.formula }, { "table of parameters", file.parameters[1] },
    { "residual sum of squares", file.rss }, { "table of data", file.rows[1] } }
  for _, part in ipairs(parts) do
    if not part[2] then usage.malformed(path, file.last, "the file ends without its %s", part[1]) end
  end
  return file
end

--- Column k of a table of rows as an array.
local function column(rows, k)
  local out = {}
  for i, row in ipairs(rows) do out[i] = row[k] end
  return peri.array(out)
end

--- Read a NIST nonlinear regression file.
--   returns { name, formula (text), starts = { array, array }, certified, deviations = arrays, rss = certified residual sum of
--   squares, y = the response that the formula's left side asks for (vector), x = { name = vector },
--   predict = function(b): the formula's right side for parameters b, a table of numbers or expressions: a vector,
--   model = function(start): a model of the fit and its parameters { b1, b2, ... }; start is 1, 2 or a list of numbers }
function nist.nist(path)
  local file = scan(path)
  local left, right = table.concat(file.formula, " "):match("^%s*(.-)%s=%s(.-)%s*$")
  right = right:match("^(.*)%+%s*e$") or right
  local xs, known, count = {}, {}, #file.parameters
  for k = 2, #file.names do
    xs[file.names[k]] = column(file.rows, k)
    known[file.names[k]] = true
  end
  for k = 1, count do known["b" .. k] = true end
  local of_y, of_b = compile(path, file.line, left, { y = true }), compile(path, file.line, right, known)
  local y = column(file.rows, 1)
  local response = of_y { y = y }
  local out = {
    name = file.name, formula = left .. " = " .. right:gsub("%s+", " "), rss = file.rss, x = xs,
    y = type(response) == "userdata" and response.value and response:value() or response,
    starts = { column(file.parameters, 1), column(file.parameters, 2) },
    certified = column(file.parameters, 3), deviations = column(file.parameters, 4),
  }
  function out.predict(b)
    local values = {}
    for name, x in pairs(xs) do values[name] = x end
    for k = 1, count do values["b" .. k] = b[k] end
    return of_b(values)
  end
  function out.model(start)
    local from = out.starts[start] or start
    local m, b = peri.model(file.name), {}
    for k = 1, count do
      local value = type(from) ~= "number" and from and from[k]
      if type(value) ~= "number" then usage.fail("nist: the start must be 1, 2 or a list of %d numbers", count) end
      b[k] = m:var("b" .. k, { start = value })
    end
    m:minimize(((out.y - out.predict(b))^2):sum())
    return m, b
  end
  return out
end

return nist
