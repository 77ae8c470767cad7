-- SPDX-License-Identifier: Apache-2.0
--- A reader of JSON (RFC 8259), for results that were saved and pages of plugins.
--
--   json.read(text, name)     the value; null is json.null; a mistake is an error "name:line: what was wrong"
--   json.file(path)           the same of a file
--   json.number(value)        a number; the texts by which results write infinities and NaN are numbers too; else nil
--
-- Nesting is limited, so that a text cannot exhaust the stack.

local json = { null = setmetatable({}, { __tostring = function() return "null" end, __name = "json.null" }) }

local DEEPEST = 200

local read_value

local function fail(s, at, what)
  local _, lines = s.text:sub(1, at - 1):gsub("\n", "\n")
  error(("%s:%d: not JSON: %s"):format(s.name, lines + 1, what), 0)
end

local function blank(s, at) return s.text:find("[^ \t\r\n]", at) or #s.text + 1 end

local escapes = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

--- The character of \uXXXX at `at`, of two where they are a surrogate pair, and where the text goes on.
local function read_escaped(s, at)
  local code = s.text:match("^\\u(%x%x%x%x)", at)
  if not code then fail(s, at, "an unknown escape in a text") end
  local high = tonumber(code, 16)
  if high >= 0xD800 and high < 0xDC00 then
    local low = tonumber(s.text:match("^\\u(%x%x%x%x)", at + 6) or "", 16)
    if low and low >= 0xDC00 and low < 0xE000 then
      return utf8.char(0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00)), at + 12
    end
  end
  if high >= 0xD800 and high < 0xE000 then return "\u{FFFD}", at + 6 end
  return utf8.char(high), at + 6
end

local function read_text(s, at)
  local stop = s.text:find('[\0-\31"\\]', at + 1)
  if stop and s.text:byte(stop) == 34 then return s.text:sub(at + 1, stop - 1), stop + 1 end
  local parts, from = {}, at + 1
  while true do
    stop = s.text:find('[\0-\31"\\]', from)
    if not stop then fail(s, at, "a text without an end") end
    parts[#parts + 1] = s.text:sub(from, stop - 1)
    local c = s.text:sub(stop, stop)
    if c == '"' then return table.concat(parts), stop + 1 end
    if c ~= "\\" then fail(s, stop, "a control character in a text") end
    local plain = escapes[s.text:sub(stop + 1, stop + 1)]
    if plain then
      parts[#parts + 1], from = plain, stop + 2
    else
      parts[#parts + 1], from = read_escaped(s, stop)
    end
  end
end

local function read_number(s, at)
  local stop = s.text:match("^%-?[1-9]%d*()", at) or s.text:match("^%-?0()", at)
  if not stop then fail(s, at, at > #s.text and "it ends too early" or "a value is missing") end
  stop = s.text:match("^%.%d+()", stop) or stop
  stop = s.text:match("^[eE][+-]?%d+()", stop) or stop
  return tonumber(s.text:sub(at, stop - 1)), stop
end

--- Elements between a bracket at `at` and `close`; `element(at)` reads one and tells where it ended.
local function read_list(s, at, close, element)
  s.depth = s.depth + 1
  if s.depth > DEEPEST then fail(s, at, "lists nested too deeply") end
  at = blank(s, at + 1)
  if s.text:byte(at) ~= close then
    while true do
      at = blank(s, element(at))
      local c = s.text:byte(at)
      if c == close then break end
      if c ~= 44 then fail(s, at, c and "a comma or a closing bracket is missing" or "it ends too early") end
      at = blank(s, at + 1)
    end
  end
  s.depth = s.depth - 1
  return at + 1
end

local function read_array(s, at)
  local list, n = {}, 0
  return list, read_list(s, at, 93, function(from)
    local after
    n = n + 1
    list[n], after = read_value(s, from)
    return after
  end)
end

local function read_object(s, at)
  local object = {}
  return object, read_list(s, at, 125, function(from)
    if s.text:byte(from) ~= 34 then fail(s, from, "a key in quotes is missing") end
    local key, after = read_text(s, from)
    after = blank(s, after)
    if s.text:byte(after) ~= 58 then fail(s, after, "a colon is missing behind a key") end
    object[key], after = read_value(s, blank(s, after + 1))
    return after
  end)
end

local words = { ["true"] = true, ["false"] = false, null = json.null }

function read_value(s, at)
  local c = s.text:byte(at)
  if c == 123 then return read_object(s, at) end
  if c == 91 then return read_array(s, at) end
  if c == 34 then return read_text(s, at) end
  local word = s.text:match("^%l+", at)
  if word and words[word] ~= nil then return words[word], at + #word end
  return read_number(s, at)
end

function json.read(text, name)
  local s = { text = text, name = name or "JSON", depth = 0 }
  local value, stop = read_value(s, blank(s, 1))
  stop = blank(s, stop)
  if stop <= #text then fail(s, stop, "more than one value") end
  return value
end

function json.file(path)
  local file, why = io.open(path, "rb")
  if not file then error(("%s: opening failed: %s"):format(path, (why:gsub("^.*: ", ""))), 0) end
  local text, reason = file:read "a"
  file:close()
  if not text then error(("%s: reading failed: %s"):format(path, reason), 0) end
  return json.read(text, path)
end

local special = { inf = math.huge, ["-inf"] = -math.huge, nan = 0 / 0, Infinity = math.huge, ["-Infinity"] = -math.huge, NaN = 0 / 0 }

function json.number(value)
  if type(value) == "number" then return value end
  return type(value) == "string" and special[value] or nil
end

return json
