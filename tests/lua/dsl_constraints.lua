-- SPDX-License-Identifier: Apache-2.0
-- Comparisons: they become constraints one to one, and what is written in the wrong place is reported with its own line.
local t = require "tap"
local peri = require "perigee"

local m = peri.model "constraints"
local x = m:var("x", 3, { start = { 0.5, -1.5, 2.5 } })
local y = m:var("y", 3)
local s = m:var("s")
local here = debug.getinfo(1, "S").short_src

local function line() return debug.getinfo(2, "l").currentline end

-- f raises `part` at line `at` of this file
local function wrong(name, part, at, f)
  local fine, err = pcall(f)
  t.ok(not fine, name)
  t.has(tostring(err), part, name .. ": the message")
  t.has(tostring(err), ("%s:%d: "):format(here, at), name .. ": the line")
end

-- the ways to write one
t.is(#m:subject_to(x[1] <= 1), 1, "e <= number")
t.is(#m:subject_to(3 <= x[1]), 1, "number <= e")
t.is(#m:subject_to(x[1] >= -1, x[2] + 1 <= x[3]^2), 2, "two comparisons")
t.is(#m:subject_to("named", x <= peri.array { 1, 2, 3 }, { x >= -4, y:le(x), { y:ge(-9), x:eq(y) } }), 5, "lists in lists")
t.is(#m:subject_to(peri.between(-1, x, 1), peri.le(x, 2), peri.ge(2, x), peri.eq(s, 1)), 4, "functions")
t.is(#m:subject_to({ y <= { 1, 2, 3 } }), 1, "a table of numbers as a side")
t.is(#m:subject_to(s <= peri.ones(3), s <= x), 2, "a scalar spread over a vector")
t.is(tostring(x[1]:le(2)), "x[1] <= 2", "text")
t.is(tostring(peri.between(0, s, 1)), "0 <= s <= 1", "text of between")
do
  local c = coroutine.wrap(function() return x[1] <= 5, x[2] <= 6 end)
  t.is(#m:subject_to(c()), 2, "coroutines share the queue")
  local function made() local v = m:var "made_between" return v <= 1 end
  t.is(#m:subject_to(x[1] <= 7, made()), 2, "a variable made while the arguments are")
end
local ok = m:subject_to(x[1] <= 1) and true
t.ok(ok, "a handle is true")

-- wrong places
wrong("false", "a:eq(b)", line() + 1, function()
  m:subject_to(x[1] == 3)
end)
wrong("==", "x[1] (scalar) == s (scalar): Lua's == cannot make a constraint; use a:eq(b)", line() + 1, function()
  m:subject_to(x[1] == s)
end)
wrong("<", "x[1] (scalar) < 3: strict inequalities are not constraints; use <= or >=", line() + 1, function()
  m:subject_to(x[1] < 3)
end)
wrong(">", "strict inequalities", line() + 1, function()
  m:subject_to(x[1] > 3)
end)
wrong("true alone", "true is not a constraint", line() + 1, function()
  m:subject_to(true)
end)
wrong("nil", "nil is not a constraint", line() + 1, function()
  m:subject_to(x[1] <= 1, nil)
end)
wrong("a number", "3 is not a constraint", line() + 1, function()
  m:subject_to(3)
end)
wrong("an expression", "x[1] (scalar) is not a constraint", line() + 1, function()
  m:subject_to(x[1])
end)
wrong("nothing", "no constraint was given", line() + 1, function()
  m:subject_to("name")
end)
wrong("a table of names", "must be a list", line() + 1, function()
  m:subject_to { first = x[1]:le(1) }
end)
wrong("and", "2 comparisons of expressions from here on, but subject_to was given 1", line() + 1, function()
  m:subject_to(x[1] <= 1 and x[2] <= 2)
end)
wrong("numbers alone", "a comparison of numbers alone", line() + 1, function()
  m:subject_to(peri.le(1, 2))
end)
wrong("shapes", "x (vector 3) and array (vector 2) cannot be compared", line() + 1, function()
  m:subject_to(x <= peri.zeros(2))
end)
wrong("strings", 'x (vector 3) and "3" (a string) cannot be compared', line() + 1, function()
  m:subject_to(x <= "3")
end)
wrong("arrays alone", "cannot be compared: neither is an expression", line() + 1, function()
  return peri.array { 1, 2 } <= peri.array { 2, 3 }
end)
wrong("a closed model", 'model "closed" is closed', line() + 3, function()
  local closed = peri.model "closed"
  closed:close()
  closed:subject_to(x[1] <= 1)
end)
wrong("a chain", "peri.between(lo, e, hi)", line() + 1, function()
  m:subject_to(1 <= x[1] <= 2)
end)
wrong("a chain the other way", "peri.between(lo, e, hi)", line() + 1, function()
  m:subject_to(2 >= x[1] >= 1)
end)
wrong("booleans elsewhere", "attempt to compare boolean with number", line() + 1, function()
  return true <= 1
end)
wrong("constraints compared", "peri.between(lo, e, hi)", line() + 1, function()
  m:subject_to(x[1]:le(3) <= 4)
end)
wrong("crossed sides", 'constraint "low": lower side 2 is above upper side 1', line() + 1, function()
  m:subject_to("low", peri.between(2, s, 1))
end)
wrong("too few", "le takes 2 arguments, not 1", line() + 1, function()
  m:subject_to(s:le())
end)

-- in a condition: found by the next call that uses the model, with the line of the comparison
local at
local function condition()
  if x[1] <= 0 then at = line() end
  return x[1] + 1
end
local e = condition()
wrong("a condition, found by value", "this comparison of expressions was not passed to subject_to", at, function() e:value() end)
condition()
wrong("a condition, found by minimize", "was not passed", at, function() m:minimize(s) end)
condition()
wrong("a condition, found by subject_to", "2 comparisons of expressions from here on, but subject_to was given 1", at,
  function() m:subject_to(s <= 1) end)
condition()
wrong("a condition, found by solve", "was not passed", at, function() m:solve() end)
t.is_close(e:value(), 1.5, 0, 0, "and then the queue is empty")
pcall(function() at = line() m:subject_to(x[1] <= 1, error "between") end)
wrong("left by an error", "was not passed", at, function() e:value() end)
t.is(#m:subject_to(x[1] <= 1), 1, "and all is well again")

local other = peri.model "other"
local z = other:var("z")
wrong("another model's", 'a constraint on model "other" was given to model "constraints"', line() + 1, function()
  m:subject_to(z <= 1)
end)
wrong("two models", 'x[1] (scalar) belongs to model "constraints" and z (scalar) to model "other"', line() + 1, function()
  m:subject_to(x[1] <= z)
end)
wrong("a handle's index", "index 3 is outside 1 .. 2", line() + 1, function()
  return m:subject_to(s <= 1, s >= 0)[3]
end)

t.done()
