-- SPDX-License-Identifier: Apache-2.0
-- Random expressions without repetition: each a tree of its own form. Half of them are summed in the objective, half are constraints. The
-- reference is a tape interpreter in C, because compiling so many expressions takes a C compiler minutes; a smaller instance is compared
-- with C that is generated and compiled once.

local peri = require "perigee"

local family = {
  about = "random expressions, all of different forms",
  reference = "a tape interpreter in C (the compiled instance: generated C, -O3 -march=native)",
}

function family.instances(mode)
  local count = ({ full = 100000, quick = 10000, check = 60 })[mode]
  local compiled = ({ full = 1000, quick = 200, check = 20 })[mode]
  return {
    { label = ("%d expressions"):format(count), count = count, n = math.max(count // 10, 20), products = false },
    { label = ("%d expressions, compiled C"):format(compiled), count = compiled, n = math.max(compiled // 10, 20), compiled = true },
  }
end

-- ---- trees: { op, a, b }, { "var", j }, { "const", c } -----------------------------------------------------------------------

local function generator(seed)
  local state = seed
  return function(limit) -- 0 .. limit - 1
    state = state * 6364136223846793005 + 1442695040888963407
    return (state >> 33) % limit
  end
end

local BINARY, UNARY = { "add", "sub", "mul" }, { "sin", "cos", "exp", "sqrt", "log", "recip" }

--- A tree of `size` operations. Arguments of exp, sqrt, log and 1/. are brought where these are defined and harmless.
local function tree(draw, size, n)
  if size == 0 then
    if draw(4) == 0 then return { "const", 0.5 + draw(1000) / 1000 } end
    return { "var", draw(n) }
  end
  if size == 1 or draw(5) < 3 then
    local left = draw(size)
    return { BINARY[1 + draw(3)], tree(draw, left, n), tree(draw, size - 1 - left, n) }
  end
  local op = UNARY[1 + draw(6)]
  if op == "sin" or op == "cos" then return { op, tree(draw, size - 1, n) } end
  if op == "exp" then return { "exp", { "sin", tree(draw, size - 2, n) } } end
  local a = tree(draw, size - 2, n)
  return { op, { "add", { "const", 1.5 }, { "mul", a, a } } }
end

local function form(t)
  if t[1] == "var" or t[1] == "const" then return t[1] == "var" and "X" or "c" end
  return ("%s(%s)"):format(t[1], form(t[2]) .. (t[3] and "," .. form(t[3]) or ""))
end

--- `count` trees, no two of the same form.
local function trees(count, n)
  local draw, seen, all = generator(12345), {}, {}
  while #all < count do
    local t = tree(draw, 6 + draw(6), n)
    local f = form(t)
    if not seen[f] and f:find "X" then
      seen[f] = true
      all[#all + 1] = t
    end
  end
  return all
end

local OPS = {
  add = function(a, b) return a + b end, sub = function(a, b) return a - b end, mul = function(a, b) return a * b end,
  sin = peri.sin, cos = peri.cos, exp = peri.exp, sqrt = peri.sqrt, log = peri.log, recip = function(a) return 1 / a end,
}

--- A tree that is there twice, as in a * a, is one expression.
local function expression(t, x)
  if t[1] == "var" then return x[t[2] + 1] end
  if t[1] == "const" then return t[2] end
  local a = expression(t[2], x)
  if not t[3] then
    return type(a) == "number" and OPS[t[1]](peri.array { a })[1] or OPS[t[1]](a)
  end
  return OPS[t[1]](a, t[3] == t[2] and a or expression(t[3], x))
end

-- ---- the tape: op, a, b for each instruction; variables and constants are instructions too -------------------------------------------

local CODES = { var = 0, const = 1, add = 2, sub = 3, mul = 4, sin = 5, cos = 6, exp = 7, sqrt = 8, log = 9, recip = 10 }

local function record(t, tape)
  local a, b = t[2], 0
  if t[1] ~= "var" and t[1] ~= "const" then
    a = record(t[2], tape)
    if t[3] then b = t[3] == t[2] and a or record(t[3], tape) end
  end
  local k = #tape.op + 1
  tape.op[k], tape.a[k], tape.b[k] = CODES[t[1]], a, b
  return k - tape.first
end

--- { n, m, start of each expression, op, a, b }; those of the objective first.
local function tape_of(all, n, m)
  local tape, start = { op = {}, a = {}, b = {} }, {}
  for k, t in ipairs(all) do
    tape.first = #tape.op + 1
    start[k] = #tape.op
    record(t, tape)
  end
  start[#all + 1] = #tape.op
  return { n, m, start, tape.op, tape.a, tape.b }
end

-- ---- C -----------------------------------------------------------------------------------------------------------------------------

local VALUE = {
  [2] = "v%d + v%d", [3] = "v%d - v%d", [4] = "v%d * v%d", [5] = "sin(v%d)", [6] = "cos(v%d)", [7] = "exp(v%d)", [8] = "sqrt(v%d)",
  [9] = "log(v%d)", [10] = "1.0 / v%d",
}
local ADJOINT = { -- of instruction k with arguments a and b
  [2] = "d@a += d@k; d@b += d@k;", [3] = "d@a += d@k; d@b -= d@k;", [4] = "{ const real t = d@k; d@a += t * v@b; d@b += t * v@a; }",
  [5] = "d@a += d@k * cos(v@a);", [6] = "d@a -= d@k * sin(v@a);", [7] = "d@a += d@k * v@k;", [8] = "d@a += d@k * 0.5 / v@k;",
  [9] = "d@a += d@k / v@a;", [10] = "d@a -= d@k * v@k * v@k;",
}

--- One function for expression e: its value, and the derivative of `into` where `reverse`.
local function c_function(data, e, reverse)
  local start, op, a, b = data[3], data[4], data[5], data[6]
  local lines, names = {}, {}
  for k = start[e] + 1, start[e + 1] do
    local local_k = k - start[e] - 1
    local value = op[k] == 0 and ("x[%d]"):format(a[k]) or op[k] == 1 and ("%.17g"):format(a[k]) or VALUE[op[k]]:format(a[k], b[k])
    lines[#lines + 1] = ("const real v%d = %s;"):format(local_k, value)
    names[#names + 1] = ("d%d = 0.0"):format(local_k)
  end
  local top = start[e + 1] - start[e] - 1
  if reverse then
    lines[#lines + 1] = ("real %s;"):format(table.concat(names, ", "))
    lines[#lines + 1] = ("d%d = 1.0;"):format(top)
    for k = start[e + 1], start[e] + 1, -1 do
      local letters = { k = k - start[e] - 1, a = a[k], b = b[k] }
      if op[k] == 0 then lines[#lines + 1] = ("g[%s] += d%d;"):format(reverse(e, a[k]), letters.k)
      elseif op[k] == 1 then lines[#lines + 1] = ("(void)d%d;"):format(letters.k)
      else lines[#lines + 1] = (ADJOINT[op[k]]:gsub("@(%l)", letters)) end
    end
  end
  return ("static real %s%d(const real *restrict x%s)\n{\n%s\nreturn v%d;\n}\n"):format(reverse and "grad" or "value", e - 1,
    reverse and ", real *restrict g" or "", table.concat(lines, "\n"), top)
end

--- The position of (row, variable) in the Jacobian, and the number of entries.
local function positions(data)
  local n, start, op, a = data[1], data[3], data[4], data[5]
  local first = #start - 1 - data[2]
  local columns, last, total = {}, {}, 0
  for j = 0, n - 1 do columns[j] = {} end
  for e = first + 1, #start - 1 do
    for k = start[e] + 1, start[e + 1] do
      local j = a[k]
      if op[k] == 0 and last[j] ~= e then
        last[j] = e
        table.insert(columns[j], e)
      end
    end
  end
  local at = {}
  for j = 0, n - 1 do
    for _, e in ipairs(columns[j]) do
      at[e * n + j] = total
      total = total + 1
    end
  end
  return function(e, j) return at[e * n + j] end, total
end

--- The whole family in C: irregular.c supplies the rest, with these instead of the interpreter.
local function source_of(data)
  local count = #data[3] - 1
  local first = count - data[2]
  local position, total = positions(data)
  local parts = { "#define COMPILED\n#include \"families/irregular.c\"\n" }
  local calls = { value = {}, gradient = {}, constraints = {}, jacobian = {} }
  local function add(what, ...) table.insert(calls[what], (...):format(select(2, ...))) end
  for e = 1, count do
    parts[#parts + 1] = c_function(data, e)
    parts[#parts + 1] = c_function(data, e, e > first and position or function(_, j) return j end)
    if e <= first then
      add("value", "f += value%d(x);", e - 1)
      add("gradient", "f += grad%d(x, g);", e - 1)
    else
      add("constraints", "g[%d] = value%d(x);", e - 1 - first, e - 1)
      add("jacobian", "(void)grad%d(x, g);", e - 1)
    end
  end
  local function define(name, zeros, body)
    parts[#parts + 1] = ("static real %s(const real *restrict x, real *restrict g)\n{\nreal f = 0.0;\n(void)g;\n"):format(name)
    if zeros > 0 then parts[#parts + 1] = ("for (int k = 0; k < %d; k++)\ng[k] = 0.0;\n"):format(zeros) end
    parts[#parts + 1] = table.concat(body, "\n") .. "\nreturn f;\n}\n"
  end
  define("all_value", 0, calls.value)
  define("all_gradient", data[1], calls.gradient)
  define("all_constraints", 0, calls.constraints)
  define("all_jacobian", total, calls.jacobian)
  return table.concat(parts)
end

-- ---- the model -------------------------------------------------------------------------------------------------------------------------

function family.build(instance)
  local n, count = instance.n, instance.count
  local half = count // 2
  local all = trees(count, n)
  local data = tape_of(all, n, half)
  local source = instance.compiled and source_of(data) or nil
  local started = os.clock()
  local m = peri.model "irregular"
  local x = m:var("x", n, { start = peri.random.uniform { n = n, seed = 5, lower = -1, upper = 1 } })
  local sum = 0
  for e = 1, count - half do sum = sum + expression(all[e], x) end
  m:minimize(sum)
  for e = count - half + 1, count do m:subject_to(expression(all[e], x) <= 10) end
  return m, data, source, os.clock() - started
end

return family
