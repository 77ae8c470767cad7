-- SPDX-License-Identifier: Apache-2.0
-- sol.diagnosis: each kind of finding on a small model where the answer is known; that a solved model has none; that text and JSON say
-- the same; a conflict's minimality by solving without each of its members.
local peri = require "perigee"
local t = require "tap"
local json = require "json"

local function names(list)
  local out = {}
  for k, v in ipairs(list) do
    out[k] = v.name .. (v.side and (v.side == "upper" and "<=" or ">=") or "")
  end
  table.sort(out)
  return table.concat(out, " ")
end

local function has_step(d, what)
  for _, s in ipairs(d.steps) do
    if s.what == what then return s end
  end
end

-- solved: none
do
  local m = peri.model "fine"
  local x = m:var("x", 2)
  m:minimize((x[1] - 1)^2 + (x[2] - 2.385)^2)
  local sol = m:solve("lbfgs")
  t.ok(sol.diagnosis == nil, "a solved model has no diagnosis")
  t.ok(json.read(sol:json()).diagnosis == nil, "nor has its JSON")
end

-- not a number
do
  local m = peri.model "nan"
  local x = m:var("x", 2, { start = 1 })
  m:minimize(peri.log(x[1] + 3) + x[2]^2) -- falls without end towards x[1] = -3, and beyond it there is nothing
  local d = m:solve("lbfgs").diagnosis
  t.is(d.nonfinite.operation, "log", "undefined: the operation")
  t.is(d.nonfinite.where, "objective", "undefined: the expression")
  t.ok(d.nonfinite.expression:find("x[1]", 1, true), "undefined: as the user wrote it: " .. d.nonfinite.expression)
  t.ok(d.nonfinite.at["x[1]"] <= -3 and d.nonfinite.at["x[2]"] == nil, "undefined: at which values of which variables")
  t.ok(d.text:find("undefined     objective: log(", 1, true), "undefined: the text")
end
do
  local m = peri.model "nan row"
  local x, y = m:var("x", { start = 2 }), m:var("y", 3, { start = 0.5 })
  m:minimize(x + 100 * y:dot(y))
  m:subject_to("root", peri.sqrt(x - 1) + y[2] >= -50)
  local d = m:solve("ipm", { iterations = 50 }).diagnosis
  if t.ok(d and d.nonfinite, "undefined in a constraint") then
    t.has(d.nonfinite.where, "constraints: in their jacobian", "where the value is finite, the derivative is told")
    t.is_close(d.nonfinite.at.x, 1, 1e-12, 0, "and the value of its variable")
  end
end

do
  local m = peri.model "nan in a row"
  local x = m:var("x", 2, { start = 0.5 })
  m:minimize(x[1] + x[2])
  m:subject_to("roots", { peri.sqrt(2 - x[2]) >= -1, (peri.log(x[1]) + x[2]^2):eq(400) })
  local d = m:solve("ipm", { iterations = 3 }).diagnosis
  if t.ok(d and d.nonfinite, "undefined in one of two rows") then
    t.has(d.nonfinite.row, "roots", "its row by name: " .. d.nonfinite.text)
    t.ok(d.nonfinite.at["x[2]"] or d.nonfinite.at["x[1]"], "its variable")
  end
end

-- residuals and a conflict among rows
local function conflicting(skip)
  local m = peri.model "conflict"
  local x = m:var("x", 3, { lower = 0, upper = skip == "upper" and 1e4 or 10 })
  m:minimize(x[1] + x[2] + x[3]^2)
  if skip ~= "cap" then m:subject_to("cap", x[1] + x[2] <= 4) end
  if skip ~= "need" then m:subject_to("need", x[1] + x[2] + x[3] >= 15) end
  m:subject_to("other", x[3] + x[1] <= 80)
  m:subject_to("curve", peri.exp(0.01 * x[3]) + x[2] <= 90)
  return m, x
end
do
  local d = conflicting():solve("ipm").diagnosis
  t.is(d.linear_part, "infeasible", "conflict: found in the linear part")
  t.is(names(d.conflict), "cap<= need>= x[3]<=", "conflict: exactly its members")
  t.ok(d.minimal, "conflict: minimal")
  for _, skip in ipairs { "cap", "need", "upper" } do
    local status = conflicting(skip):solve("ipm").status
    t.ok(status == "optimal" or status == "locally_optimal", "conflict: without " .. skip .. " the rest can hold: " .. status)
  end
  t.ok(#d.residuals >= 1 and #d.residuals <= 5, "residuals: up to five")
  for k, r in ipairs(d.residuals) do
    t.is_close(r.violation, math.max(r.lower - r.value, r.value - r.upper), 1e-12, 1e-12, "residual " .. r.name)
    t.ok(k == 1 or r.violation <= d.residuals[k - 1].violation, "worst first")
  end
end

-- a conflict that needs a chain of equalities and bounds, hidden among 60 harmless rows of badly scaled numbers
do
  local m = peri.model "chain"
  local n = 30
  local x = m:var("x", n, { lower = 0, upper = 1000 })
  m:minimize(peri.sum(x))
  for i = 1, n - 1 do
    m:subject_to("link" .. i, (x[i + 1] - x[i] - 1):eq(0))
    m:subject_to("free" .. i, 1e4 * x[i] + 1e-2 * x[i + 1] <= 1e9)
  end
  m:subject_to("last", x[8] - x[5] >= 3.5) -- the links say 3
  local d = m:solve("ipm").diagnosis
  local want = { "last>=", "link5", "link6", "link7" }
  t.is(d.linear_part, "infeasible", "chain: infeasible")
  t.is(#d.conflict, 4, "chain: four members")
  for k, v in ipairs(want) do
    t.ok(names(d.conflict):find(v, 1, true), "chain: " .. v)
  end
end

-- infeasible for its nonlinear part only
do
  local m = peri.model "disc"
  local x = m:var("x", 2, { start = 0.3 })
  m:minimize(x[1])
  m:subject_to("disc", x[1]^2 + x[2]^2 <= 1)
  m:subject_to("line", x[1] + x[2] >= 2)
  local d = m:solve("ipm").diagnosis
  t.is(d.linear_part, "feasible", "disc: the linear part can hold")
  t.is(#d.conflict, 0, "disc: no linear conflict")
  t.ok(names(d.residuals):find("disc") or names(d.residuals):find("line"), "disc: residuals by name: " .. names(d.residuals))
end

-- dependent rows
do
  local m = peri.model "dependent"
  local x = m:var("x", 3, { start = 1 })
  m:minimize((x[1] - 1)^2 + x[2]^4 + x[3]^2)
  m:subject_to("a", (x[1] + 2 * x[2]):eq(3))
  m:subject_to("b", (x[2] - x[3]):eq(1))
  m:subject_to("c", (x[1] + 5 * x[2] - 3 * x[3]):eq(17)) -- a + 3 b, but for 6
  local d = m:solve("ipm").diagnosis
  local found = d.dependent[1]
  t.is(#d.dependent, 1, "dependent: one row")
  -- whichever is called dependent, the combination is that of c = a + 3 b
  local sign = { a = 1, b = 3, c = -1 }
  local own = -sign[found.name]
  for name, factor in pairs(found.of) do
    t.is_close(factor, sign[name] / own, 1e-9, 0, ("dependent: %s has %g %s"):format(found.name, factor, name))
  end
end

-- a row whose gradient is zero at the point
do
  local m = peri.model "flat row"
  local x = m:var("x", 2, { start = 0 })
  m:minimize(x[1]^2 + x[2]^2)
  m:subject_to("square", (x[1]^2):eq(-1))
  local d = m:solve("ipm").diagnosis
  t.ok(d.dependent[1] and d.dependent[1].name == "square" and next(d.dependent[1].of) == nil, "dependent: a zero gradient")
end

-- a ray
do
  local m = peri.model "ray"
  local x = m:var("x", 3, { start = 1, lower = 0 })
  m:minimize(x[3]^2 - 2 * x[1] - x[2])
  m:subject_to("cone", x[1] - 2 * x[2] <= 3)
  local sol = m:solve("ipm")
  t.is(sol.status, "unbounded", "ray: unbounded")
  local ray = sol.diagnosis.ray
  if t.ok(ray, "ray: there is one") then
    t.ok(ray.direction["x[1]"] and ray.direction["x[2]"] and not ray.direction["x[3]"], "ray: its variables")
    t.ok(ray.slope < 0 and ray.confirmed, "ray: downhill, and confirmed")
  end
  t.ok(has_step(sol.diagnosis, "diverging"), "steps: diverging")
end
do
  local m = peri.model "up"
  local x = m:var("x", { start = 1, lower = 0 })
  m:maximize(3 * x)
  local sol = m:solve("ipm")
  t.is(sol.status, "unbounded", "maximization: unbounded")
  t.is_close(sol.diagnosis.ray.slope, 3, 1e-9, 0, "maximization: the slope in the user's sense")
end

-- scaling
do
  local m = peri.model "scales"
  local x = m:var("x", 3, { start = 1 })
  m:minimize(x:dot(x))
  m:subject_to("huge", 1e9 * x[1] + x[2] >= 1)
  m:subject_to("plain", x[2] + x[1] >= -5)
  m:subject_to("tiny", (1e-4 * x[3]):eq(1))
  m:subject_to("tiny too", (1e-4 * x[3] + 1e-4 * x[2] ):eq(9))
  local d = m:solve("ipm", { iterations = 0 }).diagnosis
  if t.ok(d.rows and d.columns, "scaling: rows and columns") then
    t.is_close(d.rows.ratio, 1e13, 1e-6, 0, "scaling: the rows' ratio")
    t.is_close(d.rows.largest.huge, 1e9, 1e-6, 0, "scaling: largest by name")
    t.is_close(d.rows.smallest.tiny, 1e-4, 1e-6, 0, "scaling: smallest by name")
    t.is_close(d.columns.largest["x[1]"], 1e9, 1e-6, 0, "scaling: largest column by name")
  end
end

-- the last steps
do
  local m = peri.model "slow"
  local x = m:var("x", 2, { start = { -1.2, 1 } })
  m:minimize(100 * (x[2] - x[1]^2)^2 + (1 - x[1])^2)
  local sol = m:solve("lbfgs", { iterations = 12 })
  t.is(sol.status, "iteration_limit", "steps: at the limit")
  t.ok(has_step(sol.diagnosis, "progressing"), "steps: progressing")
  t.ok(not has_step(sol.diagnosis, "stalled"), "steps: not stalled")
end
do
  local d = conflicting():solve("ipm").diagnosis
  local s = has_step(d, "restoration")
  t.ok(s and s.iterations >= 2, "steps: restoration")
end

-- data as they were: parameters and bounds changed afterwards do not count
do
  local m = peri.model "later"
  local x, p = m:var("x", { lower = 0, upper = 1 }), m:param("p", 5)
  m:minimize(x)
  m:subject_to("reach", x >= p)
  local sol = m:solve("ipm")
  p:set(0.25)
  t.is(m:solve("ipm").status, "optimal", "later: with another parameter it is solved")
  local d = sol.diagnosis
  t.is(names(d.conflict), "reach>= x<=", "later: the earlier solution is told with its own parameter")
  m:var("y")
  t.is(sol.diagnosis, d, "later: made once")
  local late = peri.model "late"
  local z = late:var("z", { lower = 0, upper = 1 })
  late:minimize(z)
  late:subject_to("reach", z >= 2)
  local old = late:solve("ipm")
  late:var("y")
  t.ok(old.diagnosis.notes[1]:find("has changed since", 1, true), "later: a changed model is noted")
end

-- text and JSON from the same data
do
  local sol = conflicting():solve("ipm")
  local j, d = json.read(sol:json()).diagnosis, sol.diagnosis
  t.is(names(j.conflict), names(d.conflict), "JSON: the conflict")
  t.is(j.residuals[1].name, d.residuals[1].name, "JSON: residuals")
  t.is(#j.steps, #d.steps, "JSON: steps")
  t.ok(tostring(sol):find(d.text, 1, true), "the report ends with the text")
end

-- too large: said, not done
do
  local m = peri.model "large"
  local n = 1100
  local x = m:var("x", n, { lower = 0, upper = 1 })
  m:minimize(peri.sum(x))
  m:subject_to("all", x >= 2)
  local d = m:solve("ipm", { iterations = 30 }).diagnosis
  t.is(d.linear_part, "unknown", "large: not looked at")
  t.ok(table.concat(d.notes, "\n"):find("too many", 1, true), "large: and that is noted")
end

t.done()
