-- SPDX-License-Identifier: Apache-2.0
--- Pictures by gnuplot.
--
--   peri.plots.solution(sol, path, what)  sol:plot(path, what): the history, and for two variables the landscape beside it
--   peri.plots.convergence(sol, path)     the history of a solve
--   peri.plots.contour(sol, path)         two variables: contours of the objective, the feasible region, the path of the iterates
--
-- path ends in .svg, .png or .pdf. Beside the picture lie its numbers (.dat) and the gnuplot script (.gp), to be edited and run
-- again; where gnuplot is not installed these two are all that is written, and false and a line that says so come back.

local usage = require "perigee.usage"

local plots = {}

local terminals = { -- for one panel, and for each further one beside it
  svg = { "svg size %d,500 dynamic background rgb 'white'", 800, 600 },
  png = { "png size %d,500", 800, 600 },
  pdf = { "pdf size %dcm,10cm", 16, 12 },
}
local columns = { "iteration", "seconds", "objective", "primal", "dual", "complementarity", "step" }

local function write(path, text)
  local file, why = io.open(path, "w")
  if not file then usage.fail("plot: cannot write %s", why) end
  local written, reason = file:write(text)
  local closed, late = file:close()
  if not (written and closed) then usage.fail("plot: cannot write %s: %s", path, reason or late) end
end

--- One line an iteration; NaN where a method has no such number.
local function numbers(history)
  local lines = { "# " .. table.concat(columns, " ") }
  for _, row in ipairs(history) do
    local fields = {}
    for k, name in ipairs(columns) do
      fields[k] = row[name] and ("%.17g"):format(row[name]) or "NaN"
    end
    lines[#lines + 1] = table.concat(fields, " ")
  end
  return table.concat(lines, "\n") .. "\n"
end

local function gnuplot_string(text) return "'" .. text:gsub("'", "''") .. "'" end

--- Residuals that have something to show on a logarithmic axis: column and title.
local function residuals(history)
  local found = {}
  for k, title in pairs { [4] = "violation", [5] = "gradient", [6] = "complementarity" } do
    for _, row in ipairs(history) do
      local value = row[columns[k]]
      if value and value > 0 and value < math.huge then
        found[#found + 1] = { k, title }
        break
      end
    end
  end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  return found
end

--- Lines that set everything to how gnuplot begins: two panels share one script.
local fresh = { "unset logscale", "unset y2tics", "unset y2label", "set ytics mirror", "set key right top opaque", "set format '% h'",
  "set xrange [*:*]", "set yrange [*:*]" }

local function convergence_lines(title, data, block, history)
  local file = gnuplot_string(data) .. " index " .. block
  local lines = table.move(fresh, 1, #fresh, 1, {})
  table.move({ "set title " .. gnuplot_string(title) .. " noenhanced", "set xlabel 'iteration'", "set ylabel 'objective'", "set grid" },
    1, 4, #lines + 1, lines)
  local curves = { file .. " using 1:3 with linespoints title 'objective'" }
  for _, r in ipairs(residuals(history)) do
    curves[#curves + 1] = ("%s using 1:($%d > 0 ? $%d : NaN) axes x1y2 with lines title '%s'"):format(file, r[1], r[1], r[2])
  end
  if #curves > 1 then
    table.move({ "set y2label 'residuals'", "set ytics nomirror", "set y2tics", "set logscale y2",
      "set format y2 '10^{%T}'" }, 1, 5, #lines + 1, lines)
  end
  lines[#lines + 1] = "plot " .. table.concat(curves, ", \\\n     ")
  return lines
end

-- ---- two variables -----------------------------------------------------------------------------------------------

local GRID, LEVELS = 121, 18

--- Names of the two axes, in the model's order.
local function axes(sol)
  local names = {}
  local text = sol:json():match '"variables":(%b{})'
  for name, value in (text or ""):gmatch '"([^"]+)":(%b[])' do
    local _, commas = value:gsub(",", "")
    for k = 1, commas + 1 do names[#names + 1] = ("%s[%d]"):format(name, k) end
  end
  if #names ~= 2 then
    names = {}
    for name in (text or ""):gmatch '"([^"]+)":' do names[#names + 1] = name end
  end
  return names[1] or "x1", names[2] or "x2"
end

--- The window: all iterates, with room around them, as wide as it is high where one of both is nothing.
local function window(path)
  local low, high = { math.huge, math.huge }, { -math.huge, -math.huge }
  for _, p in ipairs(path) do
    for j = 1, 2 do low[j], high[j] = math.min(low[j], p[j]), math.max(high[j], p[j]) end
  end
  local widest = math.max(high[1] - low[1], high[2] - low[2], 1e-6 * math.max(1, math.abs(low[1]), math.abs(low[2])))
  for j = 1, 2 do
    local room = math.max(0.2 * (high[j] - low[j]), 0.15 * widest)
    low[j], high[j] = low[j] - room, high[j] + room
  end
  return low, high
end

--- The landscape's numbers: x, y, objective, violation, row by row, then the path.
local function landscape(sol)
  local low, high = window(sol.path)
  local points = {}
  for i = 0, GRID - 1 do
    for k = 0, GRID - 1 do
      points[#points + 1] = { low[1] + (high[1] - low[1]) * k / (GRID - 1), low[2] + (high[2] - low[2]) * i / (GRID - 1) }
    end
  end
  local f, v = sol:sample(points)
  local lines, finite, least, most = { "# x y objective violation" }, {}, math.huge, -math.huge
  for k = 1, #points do
    local violation = v[k] == -math.huge and -1 or v[k]
    if f[k] == f[k] and math.abs(f[k]) < math.huge then finite[#finite + 1] = f[k] end
    if violation == violation then least, most = math.min(least, violation), math.max(most, violation) end
    lines[#lines + 1] = (("%.9g %.9g %.17g %.9g"):format(points[k][1], points[k][2], f[k], violation):gsub("%-?nan", "NaN"))
    if k % GRID == 0 then lines[#lines + 1] = "" end
  end
  lines[#lines + 1] = "\n# the path"
  for _, p in ipairs(sol.path) do lines[#lines + 1] = ("%.17g %.17g"):format(p[1], p[2]) end
  table.sort(finite)
  -- An equation is met on a line, on which no point of the grid may lie: its edge is where little is violated.
  local edge = least < 0 and 0 or least + 0.01 * (most - least)
  return lines, finite, edge, most > edge, low, high
end

--- Levels that are close together where the objective is good.
local function levels(finite, best)
  local low, high = finite[1], finite[math.max(1, #finite * 98 // 100)]
  local upward = math.abs(best - low) <= math.abs(best - finite[#finite])
  if not upward then low, high = finite[#finite], finite[math.max(1, #finite * 2 // 100)] end
  local list = {}
  for k = 1, LEVELS do list[k] = low + (high - low) * (k / LEVELS) ^ 3 end
  table.sort(list)
  for k, level in ipairs(list) do list[k] = ("%.9g"):format(level) end
  return table.concat(list, ",")
end

local function contour_lines(sol, data, block)
  local numbers_of, finite, edge, any_outside, low, high = landscape(sol)
  if #finite == 0 then usage.fail("plot: the objective is undefined around the path") end
  local file = gnuplot_string(data)
  local x, y = axes(sol)
  local lines = table.move(fresh, 1, #fresh, 1, {})
  local function add(text, ...) lines[#lines + 1] = select("#", ...) > 0 and text:format(...) or text end
  add "set contour base"
  add "unset surface"
  add("set cntrparam levels discrete %s", levels(finite, sol.objective))
  add "set table $level"
  add("splot %s index %d using 1:2:3", file, block)
  add "unset table"
  if any_outside then
    add("set cntrparam levels discrete %.9g", edge)
    add "set table $edge"
    add("splot %s index %d using 1:2:4", file, block)
    add "unset table"
  end
  add "unset contour"
  add "set surface"
  add "unset grid"
  add "unset colorbox"
  add "set palette defined (0 '#e2e6ec', 1 '#e2e6ec')"
  add("set xrange [%.9g:%.9g]", low[1], high[1])
  add("set yrange [%.9g:%.9g]", low[2], high[2])
  add("set xlabel %s noenhanced", gnuplot_string(x))
  add("set ylabel %s noenhanced", gnuplot_string(y))
  add("set title %s noenhanced", gnuplot_string(("%s: %d iterations"):format(sol.solver, sol.iterations)))
  local curves = {}
  if any_outside then
    curves[1] = ("%s index %d using 1:2:($4 > %.9g ? 1 : NaN) with image notitle"):format(file, block, edge)
  end
  curves[#curves + 1] = "$level using 1:2 with lines linecolor rgb '#8aa4c8' title 'objective'"
  if any_outside then
    curves[#curves + 1] = "$edge using 1:2 with lines linewidth 2 linecolor rgb '#5b6675' title 'feasible region'"
  end
  curves[#curves + 1] = ("%s index %d using 1:2 with linespoints pointtype 7 pointsize 0.5 linewidth 1.5 linecolor rgb '#c2410c' title 'iterates'")
    :format(file, block + 1)
  add("plot %s", table.concat(curves, ", \\\n     "))
  return lines, table.concat(numbers_of, "\n") .. "\n"
end

-- ---- pictures ----------------------------------------------------------------------------------------------------

local function shell_word(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function run(program, log, data)
  if not os.execute "command -v gnuplot >/dev/null 2>&1" then
    return false, ("gnuplot is not installed: %s and %s are written"):format(data, program)
  end
  if not os.execute("gnuplot " .. shell_word(program) .. " 2>" .. shell_word(log)) then
    usage.fail("plot: gnuplot failed on %s: see %s", program, log)
  end
  os.remove(log)
  return true
end

--- Writes numbers and script, and has the picture made. Blocks of numbers are parted by two empty lines.
local function picture(sol, path, with_history, with_contour)
  local stem, kind
  if type(path) == "string" then stem, kind = path:match "^(.+)%.(%w+)$" end
  local terminal = kind and terminals[kind]
  if not terminal then
    usage.fail("plot: a path that ends in .svg, .png or .pdf is needed, not %s", tostring(path))
  end
  local data, program, panels, texts = stem .. ".dat", stem .. ".gp", {}, {}
  if with_history then
    texts[1] = numbers(sol.history)
    panels[1] = convergence_lines(sol.solver .. ": " .. sol.status, data, 0, sol.history)
  end
  if with_contour then
    local lines, text = contour_lines(sol, data, #texts)
    texts[#texts + 1], panels[#panels + 1] = text, lines
  end
  local lines = { "set terminal " .. terminal[1]:format(terminal[2] + (#panels - 1) * terminal[3]),
    "set output " .. gnuplot_string(path) }
  if #panels > 1 then lines[3] = "set multiplot layout 1," .. #panels end
  for _, panel in ipairs(panels) do table.move(panel, 1, #panel, #lines + 1, lines) end
  if #panels > 1 then lines[#lines + 1] = "unset multiplot" end
  write(data, table.concat(texts, "\n\n"))
  write(program, table.concat(lines, "\n") .. "\n")
  return run(program, stem .. ".log", data)
end

local function check_history(sol)
  if #sol.history == 0 then usage.fail("plot: the solution has no history") end
end

--- Objective and residuals by iteration. True, or false and what is missing.
function plots.convergence(sol, path)
  check_history(sol)
  return picture(sol, path, true, false)
end

--- The landscape of two variables. True, or false and what is missing.
function plots.contour(sol, path)
  if #sol.path == 0 then
    usage.fail("plot: a contour needs a model with two variables, solved in this process")
  end
  return picture(sol, path, false, true)
end

--- What sol:plot(path, what) draws.
function plots.solution(sol, path, what)
  if what ~= nil and what ~= "convergence" and what ~= "contour" then
    usage.fail("plot: the second argument must be \"convergence\" or \"contour\", not %s", tostring(what))
  end
  if what then return plots[what](sol, path) end
  check_history(sol)
  return picture(sol, path, true, #sol.path > 0)
end

return plots
