-- SPDX-License-Identifier: Apache-2.0
--- Pictures by gnuplot.
--
--   peri.plots.convergence(sol, path)     the history of a solve; also sol:plot(path)
--
-- path ends in .svg, .png or .pdf. Beside the picture lie its numbers (.dat) and the gnuplot script (.gp), to be edited and run
-- again; where gnuplot is not installed these two are all that is written.

local usage = require "perigee.usage"

local plots = {}

local terminals = {
  svg = "svg size 800,500 dynamic background rgb 'white'",
  png = "png size 800,500",
  pdf = "pdf size 16cm,10cm",
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

local function script(title, terminal, data, picture, history)
  local file = gnuplot_string(data)
  local lines = {
    "set terminal " .. terminal,
    "set output " .. gnuplot_string(picture),
    "set title " .. gnuplot_string(title) .. " noenhanced",
    "set xlabel 'iteration'",
    "set ylabel 'objective'",
    "set grid",
  }
  local curves = { file .. " using 1:3 with linespoints title 'objective'" }
  for _, r in ipairs(residuals(history)) do
    curves[#curves + 1] = ("%s using 1:($%d > 0 ? $%d : NaN) axes x1y2 with lines title '%s'"):format(file, r[1], r[1], r[2])
  end
  if #curves > 1 then
    table.move({ "set y2label 'residuals'", "set ytics nomirror", "set y2tics", "set logscale y2",
      "set format y2 '10^{%T}'" }, 1, 5, #lines + 1, lines)
  end
  lines[#lines + 1] = "plot " .. table.concat(curves, ", \\\n     ")
  return table.concat(lines, "\n") .. "\n"
end

local function shell_word(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

--- Objective and residuals by iteration. True, or false and what is missing.
function plots.convergence(sol, path)
  local stem, kind
  if type(path) == "string" then stem, kind = path:match "^(.+)%.(%w+)$" end
  if not (kind and terminals[kind]) then
    usage.fail("plot: a path that ends in .svg, .png or .pdf is needed, not %s", tostring(path))
  end
  local history = sol.history
  if #history == 0 then usage.fail("plot: the solution has no history") end
  local data, program = stem .. ".dat", stem .. ".gp"
  write(data, numbers(history))
  write(program, script(sol.solver .. ": " .. sol.status, terminals[kind], data, path, history))
  if not os.execute "command -v gnuplot >/dev/null 2>&1" then
    return false, ("gnuplot is not installed: %s and %s are written"):format(data, program)
  end
  if not os.execute("gnuplot " .. shell_word(program) .. " 2>" .. shell_word(stem .. ".log")) then
    usage.fail("plot: gnuplot failed on %s: see %s.log", program, stem)
  end
  os.remove(stem .. ".log")
  return true
end

return plots
