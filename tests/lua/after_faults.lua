-- SPDX-License-Identifier: Apache-2.0
-- Memory that runs out at every place of a diagnosis, a report, a warm start's way through a file, a checkpoint written and resumed: an error that says
-- so, and the same call works afterwards.
local peri = require "perigee"
local t = require "tap"

local function at_every_allocation(name, make, use)
  local failed, wrong = 0, nil
  for k = 1, 2000 do
    local object = make()
    peri.debug.fail_at(k)
    local ok, err = pcall(use, object)
    peri.debug.fail_at(0)
    if ok then break end
    failed = failed + 1
    if not tostring(err):find("memory", 1, true) then wrong = err end
    if not pcall(use, object) then wrong = "it does not work afterwards" end
  end
  t.ok(failed > 0 and failed < 2000 and not wrong, ("%s: %d allocations failed%s"):format(name, failed, wrong and ", " .. tostring(wrong) or ""))
end

local function infeasible()
  local m = peri.model "infeasible"
  local x = m:var("x", 3, { lower = 0, upper = 10 })
  m:minimize(x[1] + x[2] + x[3]^2)
  m:subject_to("cap", x[1] + x[2] <= 4)
  m:subject_to("same", 1e7 * x[1] + 1e7 * x[2] <= 4e7)
  m:subject_to("need", x[1] + x[2] + x[3] >= 15)
  return m:solve("ipm", { iterations = 40 })
end
local function rosenbrock()
  local m = peri.model "rosenbrock"
  local x = m:var("x", 6, { start = -1 })
  local f = 0
  for i = 1, 5 do f = f + 100 * (x[i + 1] - x[i]^2)^2 + (1 - x[i])^2 end
  m:minimize(f)
  m:solve("lbfgs", { iterations = 1 })
  return m
end

local path = os.tmpname()
at_every_allocation("diagnosis", infeasible, function(sol) return sol.diagnosis.text end)
at_every_allocation("report", infeasible, function(sol) return tostring(sol) end)
at_every_allocation("JSON", infeasible, function(sol) return sol:json() end)
at_every_allocation("warm start", infeasible, function(sol)
  sol:warm_start():save(path)
  return peri.warm_start(path)
end)
at_every_allocation("checkpoint", rosenbrock, function(m) return m:solve("lbfgs", { iterations = 4, checkpoint = path, checkpoint_every = 0 }) end)
rosenbrock():solve("lbfgs", { iterations = 10, checkpoint = path })
at_every_allocation("resume", rosenbrock, function(m) return m:solve("lbfgs", { resume = path }) end)
os.remove(path)
t.done()
