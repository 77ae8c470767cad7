-- SPDX-License-Identifier: Apache-2.0
--- `perigee complete`, which the completions of bash and zsh ask: what could stand at the end of a command line. Commands and options
-- come from the command's own tables, names and options of plugins from the plugins, so that nothing is listed twice.
--
--   perigee complete words perigee solve --so      the words of the line, the last one not complete
--   perigee complete line 'perigee solve --so'     the line up to the cursor
--
-- Each proposal is a line: the word, a tab, what it is. ":files lua m" stands for files that end so, ":files" for all.

local json = require "perigee.json"

local complete = {}

-- ---- the words ---------------------------------------------------------------------------------------------------

--- The words of a line as a shell parts them; the last one is what is being typed, perhaps empty.
local function split(line)
  local words, word, at = {}, nil, 1
  while at <= #line do
    local c = line:sub(at, at)
    if c:match "%s" then
      words[#words + 1], word = word, nil
    elseif c == "\\" then
      at = at + 1
      word = (word or "") .. line:sub(at, at)
    elseif c == "'" or c == '"' then
      local stop = line:find(c, at + 1, true) or #line + 1
      word = (word or "") .. line:sub(at + 1, stop - 1)
      at = stop
    else
      word = (word or "") .. c
    end
    at = at + 1
  end
  words[#words + 1] = word or ""
  return words
end

-- ---- proposals ---------------------------------------------------------------------------------------------------

--- What the words before the last mean: the command, the option that waits for its value, the values of options so far.
local function read(words, commands, globals)
  local state = { values = {}, settings = {}, plain = 0 }
  local function options()
    local list = {}
    for _, o in ipairs(globals) do list[#list + 1] = o end
    for _, o in ipairs(state.command and state.command.options or {}) do list[#list + 1] = o end
    return list
  end
  local function find(word)
    for _, o in ipairs(options()) do
      if word == "--" .. o.name or (o.letter and word == "-" .. o.letter) then return o end
    end
  end
  for k = 2, #words - 1 do
    local word = words[k]
    if state.waiting then
      state.values[state.waiting.name], state.waiting = word, nil
    elseif word:match "^%-." and not state.script then
      local name, value = word:match "^(%-%-[^=]+)=(.*)$"
      local option = find(name or word)
      if option and value then
        state.values[option.name] = value
      elseif option and option.value then
        state.waiting = option
      end
    elseif not state.command then
      for _, c in ipairs(commands) do
        if c.name == word then state.command = c end
      end
      if not state.command then state.script = true end
      if state.script then return state, options() end
    else
      state.plain = state.plain + 1
      state.script = state.command.script
    end
  end
  return state, options()
end

local function plugin_names(command, add, wanted)
  for _, p in ipairs(command.plugins()) do
    if wanted(p) then add(p.name, p.summary) end
  end
end

local function solvers(p) return p.kind == "solver" or p.kind == "reformulation" end
local function linear(p) return p.kind == "linear_solver" end
local function any() return true end

--- Options of a plugin, or of the engine.
local function options_of(command, name)
  local text = command.page(name)
  return text and json.read(text).options or {}
end

--- KEY= of the engine and of each link of the chosen plan; behind KEY= its values.
local function settings(command, plan, word, add)
  local known = {}
  local function take(name)
    for _, o in ipairs(options_of(command, name)) do known[#known + 1] = o end
  end
  take "engine"
  for name in (plan or ""):gmatch "[%w%-]+" do take(name) end
  local key = word:match "^([^=]*)="
  for _, o in ipairs(known) do
    if not key then
      add(o.name .. "=", o.help)
    elseif o.name == key then
      if o.name == "linear_solver" then plugin_names(command, function(n, s) add(key .. "=" .. n, s) end, linear) end
      for _, value in ipairs(o.choices or (o.type == "boolean" and { "true", "false" }) or {}) do add(key .. "=" .. value, "") end
      if not o.choices and o.type ~= "boolean" and o.type ~= "text" then
        add(("%s=%s"):format(key, tostring(o.default)), "the default")
      end
    end
  end
end

--- Values of one option of the command.
local function values(command, option, state, word, add)
  local kind = option.value
  if option.name == "option" then
    settings(command, state.values.solver, word, add)
  elseif option.name == "solver" then
    local before = word:match "^(.*>%s*)" or ""
    plugin_names(command, function(n, s) add(before .. n, s) end, solvers)
  elseif option.name == "kind" then
    local seen = {}
    for _, p in ipairs(command.plugins()) do
      if not seen[p.kind] then seen[p.kind] = add(p.kind, "") or true end
    end
  elseif kind == "T" or kind == "SIZE" then
    for _, v in ipairs(kind == "T" and { "10s", "5min", "1h" } or { "500MB", "2GiB" }) do add(v, "") end
  else
    add(":files" .. (kind:match "%.(%l+)$" and " " .. kind:match "%.(%l+)$" or ""))
  end
end

local model_files = ":files lua m"
local words_of = { -- the commands' own words
  run = function(_, add) add ":files lua" end,
  solve = function(_, add) add(model_files) end,
  explain = function(_, add) add(model_files) end,
  check = function(_, add) add(model_files) end,
  ["check-plugin"] = function(_, add) add ":files so" end,
  report = function(_, add) add ":files json" end,
  show = function(command, add)
    plugin_names(command, add, any)
    add("engine", "options that every solve has")
  end,
  help = function(command, add)
    for _, c in ipairs((command.commands())) do
      if not c.hidden then add(c.name, c.summary) end
    end
  end,
}

local function propose(command, words, add)
  local commands, globals = command.commands()
  local word = words[#words]
  local state, options = read(words, commands, globals)
  if state.waiting then return values(command, state.waiting, state, word, add) end
  if state.script then return add ":files" end
  local name = word:match "^(%-%-[^=]+)="
  for _, o in ipairs(options) do
    if name == "--" .. o.name and o.value then
      return values(command, o, state, word:sub(#name + 2), function(v, s) add(v:sub(1, 1) == ":" and v or name .. "=" .. v, s) end)
    end
  end
  if word:sub(1, 1) == "-" then
    for _, o in ipairs(options) do
      add("--" .. o.name, o.help)
      if o.letter and #word == 2 then add("-" .. o.letter, o.help) end
    end
  elseif not state.command then
    words_of.help(command, add)
    add ":files lua"
  elseif words_of[state.command.name] then
    if state.command.script or state.plain == 0 then words_of[state.command.name](command, add) end
  else
    add ":files"
  end
end

-- ---- the command -------------------------------------------------------------------------------------------------

--- The proposals for these words, as the lines that are printed.
function complete.lines(command, words)
  local list, seen, last = {}, {}, words[#words]
  propose(command, words, function(text, what)
    local fits = text:sub(1, 1) == ":" or text:sub(1, #last) == last
    if fits and not seen[text] then
      seen[text] = true
      list[#list + 1] = what and what ~= "" and text .. "\t" .. what or text
    end
  end)
  return list
end

function complete.main(command)
  local how, words = command.words[1], table.move(command.words, 2, #command.words, 1, {})
  if how == "line" then words = split(words[1] or "") end
  if how ~= "line" and how ~= "words" or #words == 0 then error('perigee complete: the first word must be "line" or "words"', 0) end
  for _, line in ipairs(complete.lines(command, words)) do print(line) end
end

return complete
