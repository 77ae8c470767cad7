-- SPDX-License-Identifier: Apache-2.0
--- Errors of the standard library.
-- A mistake in a call is reported at the script's own line: the first one on the stack that is not in
-- a file of this library. A mistake in a data file is reported at the file's line.

local usage = {}

local here = debug.getinfo(1, "S").source:match("^@(.*)usage%.lua$")

--- Is the function on this level of the stack one of the library's?
local function is_ours(info)
  return info.what == "C" or (here ~= nil and info.source:sub(1, #here + 1) == "@" .. here)
end

--- Raise `text` with the position of the script's line that called into the library.
function usage.fail(text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  local level = 2
  local info = debug.getinfo(level, "Sl")
  while info and is_ours(info) do
    level = level + 1
    info = debug.getinfo(level, "Sl")
  end
  if not info or info.currentline < 0 then error(text, 0) end
  error(("%s:%d: %s"):format(info.short_src, info.currentline, text), 0)
end

--- Raise "file:line: text" for a mistake in a data file.
function usage.malformed(file, line, text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  error(("%s:%d: %s"):format(file, line, text), 0)
end

--- The value of option `key`, checked: `kind` is a Lua type name; absent gives `default`.
function usage.option(where, opts, key, kind, default)
  local value = opts[key]
  if value == nil then return default end
  if type(value) ~= kind then
    usage.fail("%s: option %s must be a %s, not a %s", where, key, kind, type(value))
  end
  return value
end

--- Number of edits between two words, to find the nearest name.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

--- " (did you mean x?)" for the nearest of `names`, or "" when none is near.
function usage.nearest(word, names)
  local best, at
  for _, name in ipairs(names) do
    local d = distance(word, name)
    if not best or d < best then best, at = d, name end
  end
  if best and best <= math.max(1, #at // 3) then return (" (did you mean %s?)"):format(at) end
  return ""
end

--- Refuse options that are not in `known`, a list of names.
function usage.only(where, opts, known)
  if opts == nil then return {} end
  if type(opts) ~= "table" then
    usage.fail("%s: options must be a table, not a %s", where, type(opts))
  end
  local set = {}
  for _, key in ipairs(known) do set[key] = true end
  for key in pairs(opts) do
    if not set[key] then
      usage.fail("%s: unknown option %s%s; it takes %s", where, tostring(key),
        usage.nearest(tostring(key), known), table.concat(known, ", "))
    end
  end
  return opts
end

--- The whole text of a file; a missing or unreadable one is an error at the script's line.
function usage.read_file(where, path)
  if type(path) ~= "string" then
    usage.fail("%s: a file's path is needed, not a %s", where, type(path))
  end
  local file, why = io.open(path, "rb")
  if not file then usage.fail("%s: cannot open %s", where, why) end
  local text, reason = file:read("a")
  file:close()
  if not text then usage.fail("%s: cannot read %s: %s", where, path, reason) end
  return text
end

--- Iterator over the lines of a text: number, line without its end.
function usage.lines(text)
  local number, at, size = 0, 1, #text
  return function()
    if at > size then return nil end
    local stop = text:find("\n", at, true) or size + 1
    local last = stop - 1
    if last >= at and text:byte(last) == 13 then last = last - 1 end
    local line = text:sub(at, last)
    number, at = number + 1, stop + 1
    return number, line
  end
end

--- A decimal number in a data file: no hexadecimals, no NaN. Infinity where `infinite` is set.
function usage.number(word, infinite)
  local value = tonumber(word)
  if value and not word:find("[xX]") then return value end
  if word:find("^[+-]?%.?%d") then
    if word:find("[xX]") then return nil end
    return tonumber((word:gsub("^%+", ""):gsub("[dD]", "e")))
  end
  if infinite then
    local sign, name = word:match("^([+-]?)(%a+)$")
    if name and (name:lower() == "inf" or name:lower() == "infinity") then
      return sign == "-" and -math.huge or math.huge
    end
  end
  return nil
end

return usage
