-- SPDX-License-Identifier: Apache-2.0
--- `perigee pages DIR`: manual pages, one for each command and one for each plugin, and the definitions of the solvers' options for
-- editors. All of it comes from the tables of the command and of the plugins: there is no second list that could fall behind.
--
--   DIR/man1/perigee.1, perigee-COMMAND.1    DIR/man7/perigee-PLUGIN.7    DIR/perigee-options.d.lua

local json = require "perigee.json"

local pages = {}

-- ---- manual pages ------------------------------------------------------------------------------------------------

--- Text for roff: no character of it is a request.
local function roff(text)
  text = text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("'", "\\(aq"):gsub("`", "\\(ga"):gsub("~", "\\(ti"):gsub("%^", "\\(ha")
  return (text:gsub("^%.", "\\&."):gsub("\n%.", "\n\\&."))
end

local function title(out, name, section, summary, version)
  out[#out + 1] = '.\\" made by perigee pages: do not edit'
  out[#out + 1] = (".TH %s %d \"\" \"perigee %s\" \"Perigee\""):format(roff(name:upper()), section, version)
  out[#out + 1] = ".SH NAME"
  out[#out + 1] = ("%s \\- %s"):format(roff(name), roff(summary))
end

local function heading(out, text) out[#out + 1] = ".SH " .. text end

--- Paragraphs, which empty lines part.
local function paragraphs(out, text)
  for paragraph in (text .. "\n\n"):gmatch "(.-)\n\n+" do
    if paragraph:match "%S" then
      out[#out + 1] = ".PP"
      out[#out + 1] = roff(paragraph)
    end
  end
end

local function options(out, list)
  for _, o in ipairs(list) do
    local name = ("\\fB\\-\\-%s\\fR"):format(roff(o.name))
    if o.letter then name = ("\\fB\\-%s\\fR, "):format(o.letter) .. name end
    if o.value then name = name .. (" \\fI%s\\fR"):format(roff(o.value)) end
    out[#out + 1] = ".TP\n" .. name .. "\n" .. roff(o.help)
  end
end

local function see_also(out, list)
  heading(out, "SEE ALSO")
  local names = {}
  for k, name in ipairs(list) do names[k] = ("\\fB%s\\fR(%s)"):format(roff(name[1]), name[2]) end
  out[#out + 1] = table.concat(names, ", ")
end

local exit_status = [[
0 solved (or what the command was asked for is done); 1 an error, told in one line on standard error; 2 wrong usage; 3 infeasible or
unbounded; 4 stopped at a limit; 5 interrupted.]]

local environment = {
  { "PERIGEE_PLUGIN_PATH", "folders of plugins, joined by colons, instead of those installed with the command" },
  { "NO_COLOR", "not empty: no colour on a terminal" },
  { "XDG_STATE_HOME", "folder below which perigee/history of the interactive session lies; ~/.local/state otherwise" },
  { "OPENBLAS_NUM_THREADS", "threads of large matrix operations" },
}

local function overview(commands, globals, plugins, version)
  local out = {}
  title(out, "perigee", 1, "solve optimization problems that are written in Lua", version)
  heading(out, "SYNOPSIS")
  out[#out + 1] = "\\fBperigee\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR ...\n.br\n\\fBperigee\\fR \\fISCRIPT.lua\\fR [\\fIARGS\\fR...]"
  heading(out, "DESCRIPTION")
  paragraphs(out, "A script builds a model with variables, expressions, constraints and an objective; the engine differentiates and "
    .. "compiles it, finds what kind of problem it is, and has it solved by a plugin, the one that was named or the one that fits best. "
    .. "Whatever the plugin claims, the engine computes the certificate of the result from the model itself.")
  heading(out, "COMMANDS")
  for _, c in ipairs(commands) do
    if not c.hidden then
      out[#out + 1] = (".TP\n\\fB%s\\fR %s\n%s"):format(roff(c.name), roff(c.words), roff(c.summary))
    end
  end
  heading(out, "OPTIONS")
  options(out, globals)
  heading(out, "EXIT STATUS")
  out[#out + 1] = roff(exit_status)
  heading(out, "ENVIRONMENT")
  for _, e in ipairs(environment) do out[#out + 1] = (".TP\n\\fB%s\\fR\n%s"):format(roff(e[1]), roff(e[2])) end
  local also = {}
  for _, c in ipairs(commands) do
    if not c.hidden then also[#also + 1] = { "perigee-" .. c.name, 1 } end
  end
  also[#also + 1] = { "perigee-engine", 7 }
  for _, p in ipairs(plugins) do also[#also + 1] = { "perigee-" .. p.name, 7 } end
  see_also(out, also)
  return table.concat(out, "\n") .. "\n"
end

local function command_page(c, globals, version)
  local out = {}
  title(out, "perigee-" .. c.name, 1, c.summary, version)
  heading(out, "SYNOPSIS")
  out[#out + 1] = ("\\fBperigee %s\\fR %s%s"):format(roff(c.name), #c.options > 0 and "[\\fIOPTIONS\\fR] " or "", roff(c.words))
  if c.text ~= "" then
    heading(out, "DESCRIPTION")
    paragraphs(out, c.text)
  end
  heading(out, "OPTIONS")
  options(out, c.options)
  options(out, globals)
  heading(out, "EXAMPLES")
  for _, e in ipairs(c.examples) do out[#out + 1] = (".TP\n\\fB%s\\fR\n%s"):format(roff(e[1]), roff(e[2])) end
  see_also(out, { { "perigee", 1 } })
  return table.concat(out, "\n") .. "\n"
end

-- ---- plugins -----------------------------------------------------------------------------------------------------

local function shown(value)
  if type(value) == "number" then return (("%.15g"):format(value):gsub("e([+-])0*(%d)", "e%1%2")) end
  if value == "" then return '""' end
  return tostring(value)
end

--- Which values an option takes, in words.
local function range(o)
  if o.choices then return "one of " .. table.concat(o.choices, ", ") end
  if o.type == "boolean" then return "true or false" end
  if o.type == "text" then return "a text" end
  local unit = o.unit ~= "1" and " " .. o.unit or ""
  return ("%s in [%s, %s]%s"):format(o.type == "integer" and "a whole number" or "a number", shown(o.lower), shown(o.upper), unit)
end

local facts = { { "needs", "Needs" }, { "refuses", "Refuses" }, { "removes", "Removes" }, { "adds", "Adds" } }

local function plugin_page(p, version)
  local out = {}
  title(out, "perigee-" .. p.name, 7, p.summary, version)
  heading(out, "DESCRIPTION")
  out[#out + 1] = p.name == "engine" and "Options that any solve takes." or
    ("A %s of the family %s, version %s."):format((p.kind:gsub("_", " ")), roff(p.family), roff(type(p.version) == "string" and p.version or "?"))
  paragraphs(out, type(p.page) == "string" and p.page or "")
  for _, f in ipairs(facts) do
    if p[f[1]] and #p[f[1]] > 0 then
      out[#out + 1] = (".TP\n\\fB%s\\fR\n%s"):format(f[2], roff(table.concat(p[f[1]], ", ")))
    end
  end
  heading(out, "OPTIONS")
  if #p.options == 0 then out[#out + 1] = "No options of its own." end
  for _, o in ipairs(p.options) do
    out[#out + 1] = (".TP\n\\fB%s\\fR = %s\n%s: %s."):format(roff(o.name), roff(shown(o.default)), roff(range(o)), roff(o.help))
  end
  if type(p.reference) == "string" and p.reference ~= "" then
    heading(out, "REFERENCE")
    out[#out + 1] = roff(p.reference)
  end
  see_also(out, { { "perigee", 1 }, { "perigee-engine", 7 } })
  return table.concat(out, "\n") .. "\n"
end

-- ---- definitions for editors -------------------------------------------------------------------------------------

local lua_types = { real = "number", integer = "integer", boolean = "boolean", text = "string" }

local function lua_type(o)
  if not o.choices then return lua_types[o.type] end
  local list = {}
  for k, choice in ipairs(o.choices) do list[k] = ('"%s"'):format(choice) end
  return table.concat(list, "|")
end

local function fields(out, list, of)
  for _, o in ipairs(list) do
    out[#out + 1] = ("---@field %s? %s %s%s; %s; default %s"):format(o.name, lua_type(o), of, o.help, range(o), shown(o.default))
  end
end

--- Options with the same name of several plugins are one field of the class of all options.
local function merged(list)
  local by_name, names = {}, {}
  for _, p in ipairs(list) do
    for _, o in ipairs(p.options) do
      if not by_name[o.name] then by_name[o.name], names[#names + 1] = {}, o.name end
      table.insert(by_name[o.name], { plugin = p.name, option = o })
    end
  end
  return by_name, names
end

local function definitions(list)
  local out = {
    "---@meta",
    "-- made by perigee pages: do not edit",
    "-- Options of the engine and of every plugin, for editors that know LuaLS annotations; beside perigee.d.lua.",
    "",
    "---@alias perigee.solver",
  }
  for _, p in ipairs(list) do
    if p.kind == "solver" or p.kind == "reformulation" then
      if p.name ~= "engine" then out[#out + 1] = ("---| '\"%s\"' # %s"):format(p.name, p.summary) end
    end
  end
  for _, p in ipairs(list) do
    out[#out + 1] = ""
    out[#out + 1] = ("---%s"):format(p.summary)
    out[#out + 1] = ("---@class perigee.options.%s"):format((p.name:gsub("%-", "_")))
    fields(out, p.options, "")
  end
  local by_name, names = merged(list)
  out[#out + 1] = "\n---What m:solve(solver, options) takes: the engine's options and those of the solver."
  out[#out + 1] = "---@class perigee.options"
  for _, name in ipairs(names) do
    local types, seen, texts = {}, {}, {}
    for _, entry in ipairs(by_name[name]) do
      local kind = lua_type(entry.option)
      if not seen[kind] then seen[kind], types[#types + 1] = true, kind end
      texts[#texts + 1] = ("%s: %s"):format(entry.plugin, entry.option.help)
    end
    out[#out + 1] = ("---@field %s? %s %s"):format(name, table.concat(types, "|"), table.concat(texts, "; "))
  end
  return table.concat(out, "\n") .. "\n"
end

-- ---- the command -------------------------------------------------------------------------------------------------

function pages.main(command)
  local folder = command.words[1]
  local commands, globals = command.commands()
  local plugins, list = command.plugins(), {}
  table.sort(plugins, function(a, b) return a.name < b.name end)
  list[1] = json.read(command.page "engine")
  for _, p in ipairs(plugins) do
    local text, why = command.page(p.name)
    if text then
      list[#list + 1] = json.read(text, p.name)
    else
      io.stderr:write("perigee pages: ", why, "\n")
    end
  end
  command.write(folder .. "/man1/perigee.1", overview(commands, globals, plugins, command.version))
  for _, c in ipairs(commands) do
    if not c.hidden then command.write(("%s/man1/perigee-%s.1"):format(folder, c.name), command_page(c, globals, command.version)) end
  end
  for _, p in ipairs(list) do
    command.write(("%s/man7/perigee-%s.7"):format(folder, p.name), plugin_page(p, command.version))
  end
  command.write(folder .. "/perigee-options.d.lua", definitions(list))
end

return pages
