-- SPDX-License-Identifier: Apache-2.0
-- Portable warm starts: what they hold, between solvers, between models with the same names, through files; files that are wrong; and that a dozen
-- models whose data changed a little take clearly fewer iterations from there.
local peri = require "perigee"
local t = require "tap"
local json = require "json"

local function temporary(text)
  local path = os.tmpname()
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
  return path
end

-- names may be given so that models share some of them
local function make(names, maximize)
  local m = peri.model "disc"
  local x = m:var(names.x or "x", 3, { lower = -2, upper = 2, start = 0.3 })
  local s = m:var(names.s or "s", { lower = 0.1 })
  local p = m:param("p", 1)
  local f = (x[1] - 2)^2 + peri.exp(x[2]) + x[3]^2 + s - x[1] * s * 0.1
  if maximize then m:maximize(-f) else m:minimize(f) end
  m:subject_to("disc", x:dot(x) <= p)
  m:subject_to("lines", { (x[1] + x[2]):eq(0.4), x[3] + s >= 0.6 })
  return m, x, s, p
end

-- what is in it
local m, x, s = make {}
local sol = m:solve("ipm")
local ws = sol:warm_start()
t.is(ws.model, "disc", "the model's name")
t.is_close(ws.variables.x[2], sol[x][2], 0, 0, "a variable's entries")
t.is_close(ws.variables.s, sol[s], 0, 0, "a scalar")
t.is_close(ws.reduced_costs.s, sol:reduced_cost(s), 0, 0, "a bound's multiplier")
t.ok(ws.duals.disc ~= 0 and ws.duals.lines == nil or ws.duals.lines, "multipliers by name")
t.ok(tostring(ws):find("2 variables", 1, true), "as a line: " .. tostring(ws))
t.raises(function() return ws.wrong end, 'a warm start has no "wrong"', "an unknown field")

-- through a file
local path = os.tmpname()
ws:save(path)
local again = peri.warm_start(path)
t.is(again:json(), ws:json(), "a file reads back to the same bits")
local warm = make({}):solve("ipm", { warm_start = again })
t.ok(warm.iterations <= 2, ("from a file: %d iterations, cold %d"):format(warm.iterations, sol.iterations))
sol:save(path)
t.ok(make({}):solve("ipm", { warm_start = peri.warm_start(path) }).iterations <= 2, "a result file is one too")

-- another model with the same names; a maximization of the negative has the same multipliers turned round
t.ok(make({}):solve("ipm", { warm_start = sol }).iterations <= 2, "a solution of another model with the same names")
local up = make({}, true)
local upsol = up:solve("ipm")
t.is_close(upsol:warm_start().duals.disc, -ws.duals.disc, 1e-5, 1e-8, "a maximization: the user's sense")
t.ok(up:solve("ipm", { warm_start = upsol:warm_start() }).iterations <= 2, "a maximization from itself")

-- between solvers
local al = m:solve("augmented-lagrangian > lbfgs", { warm_start = ws })
local cold = m:solve("augmented-lagrangian > lbfgs")
t.is_close(al.objective, sol.objective, 1e-6, 1e-6, "ipm to augmented-lagrangian: the same optimum")
t.ok(al.iterations < cold.iterations, ("ipm to augmented-lagrangian: %d iterations, cold %d"):format(al.iterations, cold.iterations))
local back = m:solve("ipm", { warm_start = cold:warm_start() })
t.ok(back.iterations < sol.iterations / 2, ("augmented-lagrangian to ipm: %d iterations, cold %d"):format(back.iterations, sol.iterations))

-- in parts
do
  local lines = {}
  local other = make { s = "slack" }
  local part = other:solve("ipm", { warm_start = ws })
  t.is(part.status, make({ s = "slack" }):solve("ipm").status, "a name is missing: the rest is used")
  t.raises(function() make({ x = "a", s = "b" }):solve("ipm", { warm_start = ws }) end, "no variable of model", "no name fits")
  t.raises(function() make({ x = "a", s = "b" }):solve("ipm", { warm_start = sol }) end, "no variable of model", "nor of a solution")
  local short = peri.model "short"
  local y = short:var("x", 2)
  short:minimize(y:dot(y))
  t.raises(function() short:solve("lbfgs", { warm_start = ws }) end, "has another shape there", "another shape")
end

-- files that are wrong
local function wrong(text, message, name)
  local file = temporary(text)
  t.raises(function() peri.warm_start(file) end, message, name)
  os.remove(file)
end
wrong("", ":1:1: expected a value, found the end", "an empty file")
wrong("{", "expected a key", "cut after the brace")
wrong(ws:json():sub(1, -40), "expected", "cut near the end")
wrong('{"format": "perigee warm start", "version": 1, "variables": {"x": [1, ]}}', 'expected a value, found "]"', "a comma too many")
wrong("[1, 2]", "neither a warm start", "no object")
wrong('{"variables": {}}', "neither a warm start", "no header")
wrong('{"format": "perigee warm start", "version": 9, "variables": {}}', "reads up to version 1", "from the future")
wrong('{"format": "perigee warm start", "version": 1}', 'has no "variables"', "without variables")
wrong('{"format": "perigee warm start", "version": 1, "variables": {"x": "one"}}', "variables.x must be a number", "a text for a number")
wrong('{"format": "perigee warm start", "version": 1, "variables": {"x": [[1, 2], [3]]}}', "rows of the same length", "ragged rows")
wrong('{"format": "perigee warm start", "version": 1, "variables": [1]}', "must be an object", "a list for an object")
wrong(("["):rep(5000), "no more than 64 levels", "deep nesting")
wrong('{"a": "\\ud800x"}', "second half of a character", "half a character")
t.raises(function() peri.warm_start("/nowhere/x.json") end, "/nowhere/x.json: opening failed", "no such file")
t.raises(function() peri.warm_start(3) end, "a file's path is needed", "no path")
do -- not finite: as if it were not there
  local file = temporary('{"format": "perigee warm start", "version": 1, "variables": {"x": ["nan", 0, 0], "s": 0.7}}')
  local got = make({}):solve("ipm", { warm_start = peri.warm_start(file) })
  t.is_close(got.objective, sol.objective, 1e-6, 0, "an entry that is not finite is left out")
  os.remove(file)
end
os.remove(path)

-- a dozen models with slightly other data
local T = 12
local changed = {}
local function try(name, solver, build)
  local model, param, value = build()
  local first = model:solve(solver)
  param:set(value)
  local fresh = model:solve(solver)
  local from = model:solve(solver, { warm_start = first:warm_start() })
  changed[#changed + 1] = { name, fresh.iterations, from.iterations, fresh.evaluations.objective, from.evaluations.objective }
  t.ok(from.status == fresh.status, ("%s: the same status, %s"):format(name, fresh.status))
  t.is_close(from.objective, fresh.objective, 1e-5, 1e-6, name .. ": the same optimum")
end
local function sum(n, f) local e = 0; for i = 1, n do e = e + f(i) end; return e end
local families = {
  disc = function() local a, _, _, p = make {}; return a, p, 1.05 end,
  lp = function()
    local a = peri.model "lp"
    local v, p = a:var("v", T, { lower = 0, upper = 3 }), a:param("p", 4)
    a:minimize(sum(T, function(i) return (1 + 0.37 * ((i * 7) % 5)) * v[i] end))
    for i = 1, T - 1 do a:subject_to("r" .. i, v[i] + 0.5 * v[i + 1] >= 0.3 * p) end
    return a, p, 4.1
  end,
  qp = function()
    local a = peri.model "qp"
    local v, p = a:var("v", T, { lower = -1, upper = 1 }), a:param("p", 1)
    a:minimize(sum(T, function(i) return (v[i] - 0.2 * i * p)^2 end))
    a:subject_to("budget", v:sum() <= 3)
    return a, p, 1.02
  end,
  control = function()
    local a = peri.model "control"
    local n = 20
    local u, z, p = a:var("u", n, { lower = -1, upper = 1 }), a:var("z", n + 1), a:param("p", 2)
    a:minimize(z:dot(z) + 0.1 * u:dot(u))
    a:subject_to("begin", z[1]:eq(p))
    for i = 1, n do a:subject_to("dyn" .. i, z[i + 1]:eq(z[i] + 0.3 * u[i] - 0.05 * z[i]^3)) end
    return a, p, 2.05
  end,
  entropy = function()
    local a = peri.model "entropy"
    local v, p = a:var("v", T, { lower = 1e-6, start = 1 / T }), a:param("p", 4.2)
    a:minimize(sum(T, function(i) return v[i] * peri.log(v[i]) end))
    a:subject_to("all", v:sum():eq(1))
    a:subject_to("mean", sum(T, function(i) return i * v[i] end):eq(p))
    return a, p, 4.3
  end,
  hs071 = function()
    local a = peri.model "hs071"
    local v, p = a:var("v", 4, { lower = 1, upper = 5, start = { 1, 5, 5, 1 } }), a:param("p", 25)
    a:minimize(v[1] * v[4] * (v[1] + v[2] + v[3]) + v[3])
    a:subject_to("prod", v[1] * v[2] * v[3] * v[4] >= p)
    a:subject_to("norm", v:dot(v):eq(40))
    return a, p, 25.5
  end,
  portfolio = function()
    local a = peri.model "portfolio"
    local v, p = a:var("v", T, { lower = 0, upper = 0.4 }), a:param("p", 1.1)
    a:minimize(sum(T, function(i) return (0.1 + 0.02 * i) * v[i]^2 end) + 0.05 * v:sum()^2)
    a:subject_to("all", v:sum():eq(1))
    a:subject_to("gain", sum(T, function(i) return (1 + 0.02 * i) * v[i] end) >= p)
    return a, p, 1.12
  end,
  chain = function()
    local a = peri.model "chain"
    local v, p = a:var("v", T, { start = 0.5 }), a:param("p", 3)
    a:minimize(sum(T - 1, function(i) return peri.sqrt(1 + (v[i + 1] - v[i])^2) * (1 + v[i]^2) end))
    a:subject_to("sum", v:sum():eq(p))
    a:subject_to("low", v >= 0.1)
    return a, p, 3.1
  end,
  logistic = function()
    local a = peri.model "logistic"
    local v, p = a:var("v", 4, { lower = -1.5, upper = 1.5 }), a:param("p", 0.1)
    a:minimize(sum(30, function(i)
      return peri.softplus((i % 3 - 1) * v[1] + (i % 5 - 2) * v[2] + 0.3 * (i % 7 - 3) * v[3] + (i % 2 == 0 and v[4] or -1.1 * v[4]))
    end) + p * v:dot(v))
    return a, p, 0.11
  end,
  transport = function()
    local a = peri.model "transport"
    local v, p = a:var("v", 12, { lower = 0 }), a:param("p", 5)
    a:minimize(sum(12, function(i) return (1 + (i * 5) % 7) * v[i] end))
    for j = 1, 4 do a:subject_to("need" .. j, v[j] + v[4 + j] + v[8 + j] >= p * (0.5 + 0.1 * j)) end
    for k = 0, 2 do a:subject_to("have" .. k, v[4 * k + 1] + v[4 * k + 2] + v[4 * k + 3] + v[4 * k + 4] <= 8) end
    return a, p, 5.1
  end,
  circle = function()
    local a = peri.model "circle"
    local v, p = a:var("v", 6, { start = { 0, 0, 3, 0.5, 1, 3 } }), a:param("p", 1)
    a:minimize(-(v[1] - v[3])^2 * 0.01 + v:dot(v))
    for i = 1, 2 do
      for j = i + 1, 3 do
        a:subject_to(("apart%d%d"):format(i, j), (v[2 * i - 1] - v[2 * j - 1])^2 + (v[2 * i] - v[2 * j])^2 >= 4 * p)
      end
    end
    return a, p, 1.03
  end,
  rosenbrock = function()
    local a = peri.model "rosenbrock"
    local v, p = a:var("v", 10, { lower = -2, upper = 0.9, start = -1.2 }), a:param("p", 1)
    a:minimize(sum(9, function(i) return 100 * (v[i + 1] - v[i]^2)^2 + (p - v[i])^2 end))
    return a, p, 1.02
  end,
}
local order = {}
for name in pairs(families) do order[#order + 1] = name end
table.sort(order)
for _, name in ipairs(order) do try(name, "ipm", families[name]) end
local total, from_there = 0, 0
for _, r in ipairs(changed) do
  t.diag("ipm %-12s cold %3d, warm %3d iterations", r[1], r[2], r[3])
  t.ok(r[3] <= r[2], r[1] .. ": no more iterations than cold")
  total, from_there = total + r[2], from_there + r[3]
end
t.ok(from_there <= 0.6 * total, ("ipm, %d models: %d iterations cold, %d warm"):format(#changed, total, from_there))

changed = {}
for _, name in ipairs { "disc", "qp", "hs071", "portfolio", "chain", "control" } do try(name .. " (al)", "augmented-lagrangian > lbfgs", families[name]) end
total, from_there = 0, 0
for _, r in ipairs(changed) do
  t.diag("augmented-lagrangian %-16s cold %3d, warm %3d iterations; %4d, %4d evaluations", table.unpack(r))
  total, from_there = total + r[2], from_there + r[3]
end
t.ok(from_there < 0.8 * total, ("augmented-lagrangian, %d models: %d iterations cold, %d warm"):format(#changed, total, from_there))

t.done()
