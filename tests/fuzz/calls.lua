-- SPDX-License-Identifier: Apache-2.0
-- calls.lua - what scripts.c runs: a function of a text, in which four bytes are one step: what to call, and with which of the values that
-- were made so far. It returns true, or an error that no script should see.

local peri = require "perigee"

local MOST_STEPS, MOST_VALUES = 40, 60
local left_out = { foreign = true, warm_start = true, callback = true } -- files and libraries

local function sorted_functions(t)
  local names, out = {}, {}
  for name, f in pairs(t) do
    if type(f) == "function" and not left_out[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do out[#out + 1] = t[name] end
  return out, names
end

local functions, methods = sorted_functions(peri)
for _, f in ipairs((sorted_functions(peri.random))) do functions[#functions + 1] = f end
for _, name in ipairs { "var", "param", "minimize", "maximize", "subject_to", "explain", "close", "value", "set", "le", "ge", "eq", "dual",
  "reduced_cost", "json", "warm_start", "sample", "totable", "nnz", "assign", "axpy", "scale", "fill", "clip", "inner", "diagnosis", "history",
  "certificate", "optima", "path", "variables", "duals", "reduced_costs", "slice", "sum", "status" } do
  methods[#methods + 1] = name
end

local operators = {
  function(a, b) return a + b end, function(a, b) return a - b end, function(a, b) return a * b end, function(a, b) return a / b end,
  function(a, b) return a ^ b end, function(a, b) return a % b end, function(a, b) return a // b end, function(a) return -a end,
  function(a) return #a end, function(a, b) return a .. b end, function(a, b) return a[b] end, function(a, b) return a == b end,
  function(a, b) return a <= b end, function(a, b) return a < b end, function(a) return tostring(a) end,
  function(a, b, c)
    a[b] = c
    return a
  end,
}

local numbers = { 0, 1, -1, 2, 3, 4, 0.5, -2.5, 1e-9, 1e308, 1 / 0, -1 / 0, 0 / 0, 2^31, 2^53, math.maxinteger, math.mininteger, 7 }
local texts = { "", "x", "c", "lower", "lbfgs", "ipm", "multistart > lbfgs", "no such name", "a.b", "x%s\n", "\0z", ("y"):rep(300) }
local keys = { "lower", "upper", "start", "integer", "binary", "rows", "cols", "i", "j", "v", "warm_start", "name", "kind", "summary", "step",
  "init", "needs", "options", "type", "default", "iterations", "tolerance", 1, 2, 3 }
local solvers = { "lbfgs", "ipm", "nelder-mead", "levenberg-marquardt", "fista", "penalty > newton" }
local limits = { iterations = 20, evaluations = 200, time_limit = 0.5 }

local function pick(list, k) return list[k % #list + 1] end

local makers = {
  function(a) return pick(numbers, a) end,
  function(a) return pick(texts, a) end,
  function(_, _, x, y) return { x, y } end,
  function(a, b, x, y) return { [pick(keys, a)] = x, [pick(keys, b)] = y } end,
  function(_, _, x) return function() return x end end,
  function() return function(i) return i end end,
  function(_, _, x) return function(i) return x[i] end end,
  function(_, _, x, y) return { { x, y }, { y, x } } end,
}

local function first_values()
  local m = peri.model "m"
  local x = m:var("x", 3, { lower = -2, upper = 5, start = 1 })
  m:minimize((x * x):sum() + x[1])
  return { {}, peri.sparse { rows = 2, cols = 2, i = { 1 }, j = { 2 }, v = { 3 } }, "x", 2, peri.array { { 1, 2 }, { 3, 4 } },
    peri.array { 1, 2, 3 }, m:param("p", 2), m:var("y", { 2, 2 }), x, m }, m
end

return function(code)
  local pool, model = first_values()
  local function at(k) return pool[#pool - k % #pool] end
  local function run(f, ...)
    local ok, out = pcall(f, ...)
    if ok and out ~= nil and #pool < MOST_VALUES then pool[#pool + 1] = out end
    return ok, out
  end
  local function call_method(name, object, ...)
    local ok, f = pcall(function() return object[name] end)
    if not ok or type(f) ~= "function" then return run(function() return f end) end
    return run(f, object, ...)
  end
  local function set(t, key, value)
    if type(t) == "table" and key ~= nil and key == key then t[key] = value end
    return true
  end
  local steps = {
    [0] = function(_, a, b, c) return run(pick(functions, a), at(b), at(c)) end,
    function(_, a, b) return run(pick(functions, a), at(b)) end,
    function(_, a, b, c) return call_method(pick(methods, b), at(a), at(c)) end,
    function(n, a, b, c) return call_method(pick(methods, b), at(a), at(c), at(n)) end,
    function(n, a, b, c) return run(pick(operators, n), at(a), at(b), at(c)) end,
    function(n, a, b, c) return run(pick(makers, n), a, b, at(b), at(c)) end,
    function(n, a, b, c) return set(at(a), pick({ pick(keys, b), b % 4 + 1, at(b) }, n), at(c)) end,
    function(n, a, b) return run(model.solve, pick({ model, at(b) }, n), pick({ at(b), table.unpack(solvers) }, a), limits) end,
  }
  for k = 1, math.min(#code - 3, 4 * MOST_STEPS), 4 do
    local op, a, b, c = code:byte(k, k + 3)
    local ok, out = steps[op % 8](op // 8, a, b, c)
    if not ok and type(out) ~= "string" then return "raised a " .. type(out) end
    if not ok and (out:find("\n", 1, true) or out:find "bad argument") then return out end
  end
  return true
end
