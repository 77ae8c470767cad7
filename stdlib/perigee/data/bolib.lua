-- SPDX-License-Identifier: Apache-2.0
--- Two-level problems of the Bilevel Optimization Library of test problems (Zhou, Zemkoho and Tin 2020, "BOLIB: Bilevel Optimization LIBrary of
-- test problems", version 2) as JSON tables: infix expressions in x[i] and y[j], constraints >= 0, starts, and the values that are known.

local peri = require "perigee"
local json = require "perigee.json"
local usage = require "perigee.usage"

local bolib = {}

local functions = { exp = peri.exp, cos = peri.cos, sin = peri.sin, sqrt = peri.sqrt, log = peri.log, abs = peri.abs }
local statuses = { [0] = "unknown", "optimal", "best known" }

--- The expression as a Lua function of x and y. Only numbers, operators, indexed x and y, pi and the functions above may occur.
local function compile(path, key, text)
  local function refuse(what, ...) usage.malformed(path, 1, "%s: " .. what, key, ...) end
  if type(text) ~= "string" then refuse("expected an expression in quotes") end
  local words = text:gsub("%d*%.?%d+[eE][+-]?%d+", "0")
  for word in words:gmatch("[%a_][%w_]*") do
    if not functions[word] and word ~= "x" and word ~= "y" and word ~= "pi" then refuse("unknown name %s", word) end
  end
  local env = setmetatable({ pi = math.pi }, { __index = functions })
  local plain = not words:find("[^%w_%.%s%+%-%*/%^%(%)%[%]]") and not words:find("%[%[")
  local chunk = plain and load("return " .. text, "=" .. key, "t", env)
  if not chunk then refuse("%q cannot be read", text) end
  return function(x, y)
    env.x, env.y = x, y
    local done, value = pcall(chunk)
    if not done then refuse("%q: %s", text, value) end
    return value
  end
end

local function field(path, file, key, kind)
  if type(file[key]) ~= kind then usage.malformed(path, 1, "expected %s, a %s", key, kind) end
  return file[key]
end

local function size(path, file, key)
  local n = field(path, file, key, "number")
  if n ~= math.floor(n) or n < 1 or n > 1e6 then usage.malformed(path, 1, "%s: expected a number of variables", key) end
  return math.floor(n)
end

local function numbers(path, file, key, n)
  local list = field(path, file, key, "table")
  if #list < n then usage.malformed(path, 1, "%s: %d numbers for %d variables", key, #list, n) end
  for i, value in ipairs(list) do
    if not json.number(value) then usage.malformed(path, 1, "%s: entry %d is no number", key, i) end
  end
  return table.move(list, 1, n, 1, {}) -- a file of the collection has more than it needs
end

local function expressions(path, file, key)
  local out = {}
  for i, text in ipairs(field(path, file, key, "table")) do out[i] = compile(path, ("%s[%d]"):format(key, i), text) end
  return out
end

--- Add the constraints e >= 0; those that are plain numbers only have to hold.
local function constrain(path, model, name, list, x, y)
  for i, f in ipairs(list) do
    local e = f(x, y)
    if type(e) ~= "number" then
      model:subject_to(name .. i, e:ge(0))
    elseif not (e >= 0) then
      usage.malformed(path, 1, "%s %d never holds", name, i)
    end
  end
end

--- Read a problem of the collection.
--   returns { name, class, n_x, n_y, status = "optimal", "best known" or "unknown",
--   upper, lower = the best known values of the two objectives, nil where the status is unknown,
--   upper_at_start, lower_at_start = the file's values at the start, start = { x = list, y = list },
--   model = function(start): a model, its variables x and y, and its lower model; start { x = list, y = list } instead of the file's }
--   The lower level is "lower"; constraints are named G1, G2, ... above and g1, g2, ... below.
function bolib.bolib(path)
  local file = json.read(usage.read_file("bolib", path), path)
  if type(file) ~= "table" then usage.malformed(path, 1, "expected an object") end
  local n_x, n_y = size(path, file, "n_x"), size(path, file, "n_y")
  local F, f = compile(path, "F", file.F), compile(path, "f", file.f)
  local G, g = expressions(path, file, "G_ge_0"), expressions(path, file, "g_ge_0")
  local out = {
    name = field(path, file, "name", "string"), class = file.cls, n_x = n_x, n_y = n_y,
    status = statuses[file.status] or "unknown",
    start = { x = numbers(path, file, "x0", n_x), y = numbers(path, file, "y0", n_y) },
    upper_at_start = json.number(file.F_at_start), lower_at_start = json.number(file.f_at_start),
  }
  if out.status ~= "unknown" then out.upper, out.lower = json.number(file.F_opt), json.number(file.f_opt) end
  function out.model(start)
    start = start or out.start
    local up = peri.model(out.name)
    local x = up:var("x", n_x, { start = start.x })
    local low = up:lower "lower"
    local y = low:var("y", n_y, { start = start.y })
    up:minimize(F(x, y))
    constrain(path, up, "G", G, x, y)
    low:minimize(f(x, y))
    constrain(path, low, "g", g, x, y)
    return up, x, y, low
  end
  return out
end

return bolib
