-- SPDX-License-Identifier: Apache-2.0
-- json.lua - a strict reader of JSON for tests (RFC 8259): json.read(text) gives the value, with json.null for null; mistakes raise an
-- error with their position. It shares no code with the engine's writer.

local json = { null = setmetatable({}, { __tostring = function() return "null" end }) }

local read_value

local function fail(text, at, what)
  error(("JSON, byte %d: %s near %q"):format(at, what, text:sub(at, at + 20)), 0)
end

local function blank(text, at) return text:match("^[ \t\r\n]*()", at) end

local escapes = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

local function read_text(text, at)
  local parts, from = {}, at + 1
  while true do
    local stop = text:find('[%c"\\]', from)
    if not stop then fail(text, at, "a text without an end") end
    parts[#parts + 1] = text:sub(from, stop - 1)
    local c = text:sub(stop, stop)
    if c == '"' then return table.concat(parts), stop + 1 end
    if c ~= "\\" then fail(text, stop, "a control character") end
    local kind = text:sub(stop + 1, stop + 1)
    local code = text:match("^u(%x%x%x%x)", stop + 1)
    if code then
      parts[#parts + 1] = utf8.char(tonumber(code, 16))
    elseif escapes[kind] then
      parts[#parts + 1] = escapes[kind]
    else
      fail(text, stop, "an unknown escape")
    end
    from = stop + (code and 6 or 2)
  end
end

local function read_number(text, at)
  local whole, stop = text:match("^(-?%d+)()", at)
  if not whole or whole:match "^-?0%d" then fail(text, at, "no value") end
  stop = text:match("^%.%d+()", stop) or stop
  stop = text:match("^[eE][+-]?%d+()", stop) or stop
  return tonumber(text:sub(at, stop - 1)), stop
end

--- Elements between an opening bracket at `at` and `close`; each is read by `element(at)`, which returns where it ended.
local function read_list(text, at, close, element)
  at = blank(text, at + 1)
  if text:sub(at, at) == close then return at + 1 end
  while true do
    at = blank(text, element(at))
    local c = text:sub(at, at)
    if c == close then return at + 1 end
    if c ~= "," then fail(text, at, "expected , or " .. close) end
    at = blank(text, at + 1)
  end
end

local function read_array(text, at)
  local list = {}
  local stop = read_list(text, at, "]", function(from)
    local value, after = read_value(text, from)
    list[#list + 1] = value
    return after
  end)
  return list, stop
end

local function read_object(text, at)
  local object = {}
  local stop = read_list(text, at, "}", function(from)
    if text:sub(from, from) ~= '"' then fail(text, from, "expected a key") end
    local key, after = read_text(text, from)
    after = blank(text, after)
    if text:sub(after, after) ~= ":" then fail(text, after, "expected :") end
    if object[key] ~= nil then fail(text, from, "a key for the second time") end
    object[key], after = read_value(text, blank(text, after + 1))
    return after
  end)
  return object, stop
end

local words = { ["true"] = true, ["false"] = false, null = json.null }

function read_value(text, at)
  local c = text:sub(at, at)
  if c == "{" then return read_object(text, at) end
  if c == "[" then return read_array(text, at) end
  if c == '"' then return read_text(text, at) end
  local word = text:match("^%l+", at)
  if word and words[word] ~= nil then return words[word], at + #word end
  return read_number(text, at)
end

function json.read(text)
  local value, stop = read_value(text, blank(text, 1))
  stop = blank(text, stop)
  if stop <= #text then fail(text, stop, "more than one value") end
  return value
end

function json.file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return json.read(text)
end

--- The values of a file with one on each line.
function json.lines(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = json.read(line) end
  return list
end

return json
