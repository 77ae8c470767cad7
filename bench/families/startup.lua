-- SPDX-License-Identifier: Apache-2.0
-- From the start of the process to the end of a solve of two variables, beside Lua's own start; once more with a hundred other plugins.

local family = { about = "start-up of the command" }

--- A hundred more plugins: the stopwatch under a hundred names of the same length.
local function many(bench)
  local folder = bench.work .. "/many"
  local made = os.execute(([[mkdir -p %s && for k in $(seq 100 199); do
    LC_ALL=C sed "s/stopwatch/stopwa$k/g" %s/plugins/stopwatch.so >%s/stopwa$k.so
  done && %s/perigee index %s]]):format(folder, bench.work, folder, bench.build, folder))
  return assert(made and folder, "no hundred plugins")
end

function family.rows(bench)
  if bench.mode == "check" then return end
  local runs = bench.mode == "quick" and 21 or 101
  local function seconds(path, command)
    return bench.command(("PERIGEE_PLUGIN_PATH=%s %s/spawn %d %s"):format(path, bench.work, runs, command))
  end
  local run = bench.build .. "/perigee run bench/startup.lua"
  local lua = seconds("", "lua5.4 -e 'print(1)'")
  local plugins = bench.build .. "/plugins"
  bench.row { key = "startup", label = "Rosenbrock in two variables", seconds = seconds(plugins, run), reference_seconds = lua,
    reference = "lua5.4 -e 'print(1)'" }
  bench.row { key = "startup_100", label = "  with a hundred more plugins",
    seconds = seconds(plugins .. ":" .. many(bench), run), reference_seconds = lua, reference = "lua5.4 -e 'print(1)'" }
end

return family
