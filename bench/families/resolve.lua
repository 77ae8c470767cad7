-- SPDX-License-Identifier: Apache-2.0
-- Ten variables solved again through the C API, another parameter each time, warm from the last solution: what a solve costs beyond the method's
-- own arithmetic, and requests of memory (bench/resolve.c).

local family = { about = "re-solving ten variables through the C API" }

local TARGET = 30e-6
local methods = {
  { name = "lbfgs", file = "local/lbfgs.so", label = "lbfgs, within bounds" },
  { name = "newton", file = "local/newton.so", label = "newton, within bounds" },
  { name = "ipm", file = "interior/ipm.so", label = "ipm, two constraints" },
}

--- The four numbers that bench/resolve prints, for a copy of the plugin's file, which is then another library to the loader.
local function measure(bench, method)
  local copy = ("%s/%s-again.so"):format(bench.work, method.name)
  assert(os.execute(("cp %s/plugins/%s %s"):format(bench.build, method.file, copy)))
  local command = ("PERIGEE_PLUGIN_PATH=%s/plugins %s/bench/resolve %s %s %d"):format(bench.build, bench.build, copy, method.name,
    bench.mode == "quick" and 300 or 3000)
  local pipe <close> = assert(io.popen(command))
  local whole, beyond, requests, iterations = pipe:read("n", "n", "n", "n")
  return assert(whole, command), beyond, requests, iterations
end

function family.rows(bench)
  if bench.mode == "check" then return end
  assert(os.execute(("make -C %s -s bench/resolve >/dev/null"):format(bench.build)), "bench/resolve does not compile")
  for _, method in ipairs(methods) do
    local whole, beyond, requests, iterations = measure(bench, method)
    bench.row { key = "resolve_" .. method.name, label = ("%s, %.0f iterations"):format(method.label, iterations), seconds = whole }
    bench.row { key = "resolve_beyond_" .. method.name, label = "  beyond its arithmetic", seconds = beyond, target_seconds = TARGET }
    bench.row { key = "resolve_requests_" .. method.name, requests = requests,
      text = ("  %d requests of memory after the first solve (allowed: 0)%s"):format(requests, requests > 0 and ", MISSED" or "") }
  end
end

return family
