-- SPDX-License-Identifier: Apache-2.0
-- Compiled functions through libffi: as expressions with and without gradients, as plain functions of every type on the list, callbacks both ways, and
-- what is refused.

local t = require "tap"
local peri = require "perigee"

local library = (os.getenv "PERIGEE_BUILD" or ".") .. "/tests/foreign/samples.so"

local function bind(symbol, type, more)
  local what = { library = library, symbol = symbol, type = type }
  for key, value in pairs(more or {}) do what[key] = value end
  return peri.foreign(what)
end

-- ---- as expressions --------------------------------------------------------------------------------------------------

do
  local f = bind("rosenbrock", "double(size_t, const double *)", { gradient = "rosenbrock_gradient" })
  local m = peri.model "foreign"
  local x = m:var("x", 4, { start = { 0.5, 1, 0.5, 2 } })
  m:minimize(f(x))
  local sol = m:solve("lbfgs", { tolerance = 1e-8 })
  t.all_close(sol[x]:totable(), { 1, 1, 1, 1 }, 1e-6, 0, "a compiled function with its gradient is minimized")
  t.ok(sol.certificate.kkt < 1e-7, "and certified")
  t.is_close(f(peri.array { 0.5, 1, 0.5, 2 }), f(x):value(), 0, 0, "with numbers it gives a number")
  t.is_close(f { -1.2, 1 }, 24.2, 1e-14, 0, "of a table")
  t.is_close((2 * f(x) + x:sum()):value { [x] = { 1, 1, 1, 1 } }, 4, 1e-14, 0, "as part of an expression")
  t.all_close(peri.grad(f(x), x):value { [x] = { -1.2, 1, 0.5, 2 } }:totable(), { -215.6, 112, -451, 350 }, 1e-12, 0, "its gradient as an expression")
  t.has(tostring(f), "foreign function rosenbrock", "its text")
end

do
  local f = bind("rosenbrock")
  local m = peri.model "black box"
  local x = m:var("x", 2, { start = { -1.2, 1 } })
  m:minimize(f(x))
  t.raises(function() m:solve "lbfgs" end, "lbfgs: needs first derivatives", "a method with gradients refuses a black box")
  local sol = m:solve()
  t.is(sol.solver, "nelder-mead", "the automatic choice needs values alone")
  t.all_close(sol[x]:totable(), { 1, 1 }, 1e-5, 0, "and finds the minimum")
end

do
  local f = bind("rosenbrock", nil, { gradient = "wrong_gradient" })
  local m = peri.model "wrong"
  local x = m:var("x", 2, { start = { -1.2, 1 } })
  m:minimize(f(x))
  t.raises(function() m:solve "lbfgs" end, "foreign: the gradient of rosenbrock is wrong: entry 2 is", "a wrong gradient is found at its first use")
  local trusted = bind("rosenbrock", nil, { gradient = "wrong_gradient", check = false })
  m:minimize(trusted(x))
  t.ok(pcall(m.solve, m, "lbfgs"), "check = false trusts it")
end

do
  local f = bind("absolute", nil, { gradient = "absolute_gradient" })
  local m = peri.model "kink"
  local x = m:var("x", 3, { start = { 0, 2, -1 } })
  m:minimize(f(x) + ((x - 3)^2):sum())
  t.ok(pcall(m.solve, m, "lbfgs", { iterations = 3 }), "a gradient at a kink is none that differences contradict")
end

do -- undefined on the way
  local f = bind "root_sum"
  local m = peri.model "roots"
  local x = m:var("x", 2, { start = { 4, 9 } })
  m:minimize(f(x))
  t.all_close(m:solve("nelder-mead")[x]:totable(), { 0.25, 0.25 }, 1e-5, 0, "points where it is NaN are avoided")
  local bad = peri.model "bad"
  local y = bad:var("y", 2, { start = { -1, 1 } })
  bad:minimize(f(y))
  t.raises(function() bad:solve "nelder-mead" end, "root_sum", "undefined at the start: the function is named")
end

do -- the model keeps what it calls
  local m = peri.model "kept"
  local x = m:var("x", 2, { start = { -1.2, 1 } })
  m:minimize(bind("rosenbrock", nil, { gradient = "rosenbrock_gradient" })(x))
  collectgarbage()
  collectgarbage()
  t.is_close(m:solve("lbfgs").objective, 0, 0, 1e-10, "a function that only the model knows")
end

-- ---- plain functions --------------------------------------------------------------------------------------------------

t.is(bind("add_int", "int(int, int)")(40, 2), 42, "int")
t.is(math.type(bind("add_int", "int(int, int)")(40, 2)), "integer", "an int is an integer")
t.is(bind("add_int", "int(int, int)")(-40, 2), -38, "a negative int")
t.is(bind("add_int64", "int64(int64_t, int64)")(1 << 40, 1), (1 << 40) + 1, "int64")
t.is(bind("halve", "float(float)")(3), 1.5, "float")
t.is(bind("count_positive", "size_t(size_t n, const float *x)")(4, { 1, -2, 3, 0 }), 2, "floats from a table, named arguments")
do
  local a = peri.array { 1, 2, 3 }
  t.is(bind("scale", "void(size_t, double *, double)")(3, a, 2), nil, "void")
  t.all_close(a:totable(), { 2, 4, 6 }, 0, 0, "an array is changed in place")
  bind("square_ints", "void(int, int *)")(3, a)
  t.all_close(a:totable(), { 4, 16, 36 }, 0, 0, "ints are copied back")
end
do
  local counter = bind("new_counter", "void *(void)")()
  t.has(tostring(counter), "pointer", "a pointer is an opaque value")
  local next_of = bind("next_of", "int(void *)")
  t.is(next_of(counter) + next_of(counter), 3, "that goes back to C")
  bind("free_counter", "void(void *)")(counter)
end
t.is_close(peri.foreign { symbol = "cos", type = "double(double)" }(0), 1, 0, 0, "a symbol of the program itself")

-- ---- callbacks ----------------------------------------------------------------------------------------------------------

do
  local integrate = bind("integrate", "double(double (*)(double), double, double, int)")
  t.is_close(integrate(function(x) return math.exp(x) end, 0, 1, 50), math.exp(1) - 1, 1e-9, 0, "C calls a Lua function")
  t.is_close(integrate(peri.foreign { symbol = "sin", type = "double(double)" }, 0, math.pi, 50), 2, 1e-7, 0, "C calls another C function")
  local m = peri.model "expressions"
  local x = m:var "x"
  local square = peri.callback("double(double)", x^2, x)
  t.is_close(integrate(square, 0, 3, 4), 9, 1e-14, 0, "C evaluates an expression")
  t.raises(function() integrate(function() error "no luck" end, 0, 1, 5) end, "no luck", "an error in the function is raised after the call")
  t.raises(function() integrate(function() return "x" end, 0, 1, 5) end, "must return a number", "no number")
  t.is_close(integrate(math.sqrt, 0, 1, 1000), 2 / 3, 1e-4, 0, "and the next call works")
  local nested = integrate(function(a) return integrate(function(b) return a * b end, 0, 2, 2) end, 0, 2, 2)
  t.is_close(nested, 4, 1e-14, 0, "callbacks inside callbacks")
  t.is(bind("call_twice", "int(int (*f)(int), int x)")(function(v) return v * v end, 3), 81, "ints through a callback")
end

do -- an optimizer in C on an expression of the engine
  local m = peri.model "bowl"
  local x = m:var("x", 3)
  local e = ((x - peri.array { 1, 2, 3 })^2):sum()
  local descend = bind("descend", "double(size_t, double *, double (*)(size_t, const double *), void (*)(size_t, const double *, double *), int)")
  local at = peri.array { 0, 0, 0 }
  local f = descend(3, at, peri.callback("double(size_t, const double *)", e, x),
    peri.callback("void(size_t, const double *, double *)", peri.grad(e, x), x), 200)
  t.is_close(f, 0, 0, 1e-20, "value and gradient of an expression, called by C")
  t.all_close(at:totable(), { 1, 2, 3 }, 1e-12, 0, "which finds the minimum")
  local lua = peri.array { 0, 0, 0 }
  descend(3, lua, function(_, y) return y[1] end, function(n, y, g)
    for i = 1, n do g[i] = 2 * (y[i] - i) end
  end, 200)
  t.all_close(lua:totable(), { 1, 2, 3 }, 1e-12, 0, "arrays that a Lua function fills")
end

-- ---- what is refused ------------------------------------------------------------------------------------------------------

local function wrong(part, fn) t.raises(fn, part, "refused: " .. part) end

wrong('library "/nowhere.so" cannot be opened', function() peri.foreign { library = "/nowhere.so", symbol = "f" } end)
wrong('has no symbol "rosenbrok"', function() bind "rosenbrok" end)
wrong("symbol must be a string, not nil", function() peri.foreign { library = library } end)
wrong('foreign: unknown option "gradiant" (did you mean "gradient"?)', function() bind("rosenbrock", nil, { gradiant = "g" }) end)
wrong("a table { library = ", function() peri.foreign "rosenbrock" end)
wrong('unknown type at "char *)"', function() bind("rosenbrock", "int(char *)") end)
wrong("pointers to pointers", function() bind("rosenbrock", "int(double **)") end)
wrong("( is missing", function() bind("rosenbrock", "double") end)
wrong("something is left", function() bind("rosenbrock", "double(int) x") end)
wrong("an argument cannot be void", function() bind("rosenbrock", "double(int, void)") end)
wrong('only a function of type "double(size_t, const double *)" can have a gradient',
  function() bind("halve", "float(float)", { gradient = "rosenbrock_gradient" }) end)
local add = bind("add_int", "int(int, int)")
wrong("add_int takes 2 arguments, got 1", function() add(1) end)
wrong("argument 2 of add_int must be an int, not 1.5", function() add(1, 1.5) end)
wrong("argument 1 of add_int must be an int", function() add(1 << 40, 1) end)
wrong("argument 1 of count_positive must be a size_t (an integer from 0)", function() bind("count_positive", "size_t(size_t, const float *)")(-1, { 1 }) end)
wrong("must be an array, not a table", function() bind("scale", "void(size_t, double *, double)")(1, { 1 }, 2) end)
wrong("must be a dense array, a pointer or nil", function() bind("scale", "void(size_t, double *, double)")(1, "x", 2) end)
wrong("entry 2 is 0.5, must be an int", function() bind("square_ints", "void(int, int *)")(2, peri.array { 1, 0.5 }) end)
wrong("is called with numbers and arrays", function()
  local m = peri.model "m"
  add(m:var "x", 1)
end)
wrong("a callback cannot take callbacks", function() peri.callback("double(double (*)(double))", math.sin) end)
wrong("a function, or an expression and its variable", function() peri.callback("double(double)", 3) end)
wrong("an expression stands for", function()
  local m = peri.model "m"
  local x = m:var "x"
  peri.callback("int(int)", x^2, x)
end)

t.done()
