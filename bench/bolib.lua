-- SPDX-License-Identifier: Apache-2.0
--- Every two-level problem of a folder in BOLIB's tables through several plans, against the known values.
--
--   perigee bench/bolib.lua FOLDER [PLAN,PLAN,...] [NAME ...]
--
-- A value is reached when the upper objective is at the known one to 1e-3 relative, or below it, with rows and bounds kept to 1e-6 and no lower level
-- solved better than 1e-5 relative by independent solves (the certificate's lower_gap).

local peri = require "perigee"

local folder, plans, wanted = arg[1], {}, {}
if not folder then
  io.stderr:write("usage: perigee bench/bolib.lua FOLDER [PLAN,PLAN,...] [NAME ...]\n")
  os.exit(2)
end
for plan in (arg[2] or "kkt > ipm,value-function > augmented-lagrangian > lbfgs,implicit > augmented-lagrangian > lbfgs"):gmatch("[^,]+") do
  plans[#plans + 1] = plan
end
for i = 3, #arg do wanted[arg[i]] = true end

local function files()
  local out = {}
  for line in io.lines(folder .. "/optima.tsv") do
    local name, class = line:match("^(%S+)\t.*\t(%l+)\t[^\t]*$")
    if name and name ~= "instance" and (not next(wanted) or wanted[name]) then
      local path = ("%s/%s/%s.json"):format(folder, class, name)
      local file = io.open(path)
      if file then
        file:close()
        out[#out + 1] = path
      end
    end
  end
  return out
end

local function attempt(problem, plan)
  local model = problem.model()
  local done, solution = pcall(model.solve, model, plan, { time_limit = 10, seed = 1 })
  if not done then return { text = tostring(solution):sub(1, 100) } end
  local c = solution.certificate
  local out = { objective = solution.objective, gap = c.lower_gap, primal = c.primal, seconds = solution.seconds, status = solution.status }
  out.valid = out.objective and c.primal <= 1e-6 and c.lower_gap and c.lower_gap <= 1e-5
  local known = problem.upper
  if known and out.valid then
    out.distance = (out.objective - known) / math.max(1, math.abs(known))
    out.reached = out.distance <= 1e-3
  end
  return out
end

local function show(a)
  if a.text then return "  error: " .. a.text end
  return ("%14.7g %8.1e %8.1e %6.2fs %-18s %s"):format(a.objective or 0 / 0, a.gap or 0 / 0, a.primal or 0 / 0, a.seconds, a.status,
    a.reached and "reached" or a.distance and ("%+.1e"):format(a.distance) or a.valid and "valid" or "-")
end

local totals = {}
local function count(key, reached)
  local t = totals[key] or { 0, 0 }
  totals[key] = { t[1] + (reached and 1 or 0), t[2] + 1 }
end

for _, path in ipairs(files()) do
  local problem = peri.data.bolib(path)
  local best = false
  print(("%s (%s, %s)  %.7g"):format(problem.name, problem.class, problem.status, problem.upper or 0 / 0))
  for _, plan in ipairs(plans) do
    local a = attempt(problem, plan)
    best = best or a.reached
    print(("  %-46s %s"):format(plan, show(a)))
    if problem.upper then count(problem.status .. ": " .. plan, a.reached) end
  end
  if problem.upper then
    count(problem.status .. ": best plan", best)
    count(problem.class .. ": best plan", best)
  end
end

local keys = {}
for key in pairs(totals) do keys[#keys + 1] = key end
table.sort(keys)
print()
for _, key in ipairs(keys) do
  print(("%-60s %3d of %3d  %5.1f %%"):format(key, totals[key][1], totals[key][2], 100 * totals[key][1] / totals[key][2]))
end
