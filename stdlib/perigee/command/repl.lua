-- SPDX-License-Identifier: Apache-2.0
--- `perigee repl` behind its prompt: when a chunk is complete, how its results are shown, which names could follow.
--
-- The command calls: begin(command), feed(line), show(...), forget(), complete(before, width).

local json = require "perigee.json"

local repl = {}

local command       -- what cmd_repl.c gives: plugins, page, names
local chunk = {}    -- lines so far
local ENTRIES, LONGEST = 20, 1000

function repl.begin(c)
  command = c
  _G.peri = require "perigee"
end

function repl.forget() chunk = {} end

-- ---- chunks ------------------------------------------------------------------------------------------------------

local function is_cut(why) return why:sub(-5) == "<eof>" end

--- true: more is wanted; false and a function: to be run. A mistake in it is an error. nil for the end of the input.
function repl.feed(line)
  chunk[#chunk + 1] = line
  local text = table.concat(chunk, "\n")
  local fn, why = load("return " .. text, "=stdin", "t")
  if not fn then
    local other, reason = load(text, "=stdin", "t")
    if not other and line and (is_cut(reason) or is_cut(why)) then return true end
    fn, why = other, reason
  end
  chunk = {}
  if not fn then error(why, 0) end
  return false, fn
end

-- ---- results -----------------------------------------------------------------------------------------------------

local describe

local function key_text(key)
  if type(key) == "string" and key:match "^[%a_][%w_]*$" then return key end
  return "[" .. (type(key) == "string" and ("%q"):format(key) or tostring(key)) .. "]"
end

local function by_kind_and_value(a, b)
  local x, y = type(a), type(b)
  if x ~= y then return x < y end
  if x == "number" or x == "string" then return a < b end
  return tostring(a) < tostring(b)
end

--- The contents of a plain table, two levels deep, the first entries of each.
local function contents(value, depth)
  local parts, n = {}, #value
  for k = 1, math.min(n, ENTRIES) do parts[k] = describe(value[k], depth + 1) end
  if n > ENTRIES then parts[#parts + 1] = ("... %d in all"):format(n) end
  local keys = {}
  for key in next, value do
    if math.type(key) ~= "integer" or key < 1 or key > n then keys[#keys + 1] = key end
  end
  table.sort(keys, by_kind_and_value)
  for k = 1, math.min(#keys, ENTRIES) do
    parts[#parts + 1] = key_text(keys[k]) .. " = " .. describe(rawget(value, keys[k]), depth + 1)
  end
  if #keys > ENTRIES then parts[#parts + 1] = ("... %d names in all"):format(#keys) end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

function describe(value, depth)
  if type(value) == "string" and depth > 0 then return ("%q"):format(value) end
  if type(value) ~= "table" or getmetatable(value) ~= nil or depth > 2 then return tostring(value) end
  return contents(value, depth)
end

function repl.show(...)
  local n = select("#", ...)
  if n == 0 then return end
  local parts = {}
  for k = 1, n do parts[k] = describe((select(k, ...)), 0) end
  if (...) ~= nil then _G._ = (...) end
  print(table.concat(parts, "\t"))
end

-- ---- completion --------------------------------------------------------------------------------------------------

local keywords = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil",
  "not", "or", "repeat", "return", "then", "true", "until", "while" }

--- Names behind a value: fields and methods; of functions only where `method` is set.
local function names_of(value, found)
  local seen = 0
  while type(value) == "table" and seen < 10 do
    for key in next, value do
      if type(key) == "string" then found[key] = true end
    end
    local meta = debug.getmetatable(value)
    value, seen = type(meta) == "table" and rawget(meta, "__index") or nil, seen + 1
  end
  if type(value) == "string" then names_of(string, found) end
  if type(value) == "userdata" then
    for name in pairs(command.names(value)) do found[name] = true end
  end
end

--- peri loads its parts when they are asked for; these are files beside it.
local parts = { "cops", "data", "plots", "power", "test_functions" }

--- The value of a path as `a.b[1].c`, without calling anything that a person wrote; nil where there is none.
local function value_of(path)
  local value = _G
  for name in path:gmatch "[^.:]+" do
    local plain, index = name:match "^([%w_]+)%[(%d+)%]$"
    for _, key in ipairs(plain and { plain, math.tointeger(index) } or { name }) do
      local fine
      fine, value = pcall(function() return value[key] end)
      if not fine or value == nil then return nil end
    end
  end
  return value
end

local function solver_names(found)
  for _, p in ipairs(command.plugins()) do
    if p.kind == "solver" or p.kind == "reformulation" then found[p.name] = true end
  end
end

local function option_names(plugin, found)
  local text = command.page(plugin)
  for _, o in ipairs(text and json.read(text).options or {}) do found[o.name] = true end
end

--- Proposals for the end of `before`: the set of names, and what of them is there already.
local function proposals(before)
  local found = {}
  local quoted = before:match [[:solve%s*%(?%s*["']([%w%-> ]*)$]] or before:match [[:explain%s*%(?%s*["']([%w%-> ]*)$]]
  if quoted then
    solver_names(found)
    return found, quoted:match "[%w%-]*$"
  end
  local plan, inside = before:match [[:solve%s*%(%s*["']([^"']+)["']%s*,%s*{([^{}]*)$]]
  if plan or before:match ":solve%s*%(?%s*{[^{}]*$" then
    inside = inside or before:match "{([^{}]*)$"
    local word = inside:match "^%s*([%a_]*)$" or inside:match ",%s*([%a_]*)$"
    if word then
      option_names("engine", found)
      found.callback = true
      for name in (plan or ""):gmatch "[%w%-]+" do option_names(name, found) end
      return found, word
    end
  end
  local path, word = before:match "([%a_][%w_.:%[%]]*)[.:]([%w_]*)$"
  if path then
    local value = value_of(path)
    names_of(value, found)
    if rawequal(value, _G.peri) then
      for _, name in ipairs(parts) do found[name] = true end
    end
    return found, word
  end
  word = before:match "[%a_][%w_]*$" or ""
  names_of(_G, found)
  for _, name in ipairs(keywords) do found[name] = true end
  return found, word
end

local function common_start(list)
  local first, last = list[1], list[#list] -- sorted: what these share, all do
  local n = 0
  while n < #first and first:byte(n + 1) == last:byte(n + 1) do n = n + 1 end
  return first:sub(1, n)
end

--- The names in columns, down before right.
local function columns(list, width)
  local widest = 0
  for _, name in ipairs(list) do widest = math.max(widest, #name + 2) end
  local across = math.max(1, width // widest)
  local down = (#list + across - 1) // across
  local lines = {}
  for row = 1, down do
    local line = {}
    for col = 0, across - 1 do
      local name = list[row + col * down]
      if name then line[#line + 1] = name .. (" "):rep(widest - #name) end
    end
    lines[row] = table.concat(line):gsub("%s+$", "")
  end
  return table.concat(lines, "\n") .. "\n"
end

--- What to insert behind `before`, and what to show where that is nothing.
function repl.complete(before, width)
  local found, word = proposals(before:sub(-LONGEST))
  local list = {}
  for name in pairs(found) do
    if name:sub(1, #word) == word and (word ~= "" or name:sub(1, 2) ~= "__") then list[#list + 1] = name end
  end
  table.sort(list)
  if #list == 0 then return "", "" end
  local insert = common_start(list):sub(#word + 1)
  return insert, insert == "" and #list > 1 and columns(list, width) or ""
end

return repl
