-- SPDX-License-Identifier: Apache-2.0
-- Every mistake ends in one line with the user's file and line, the named thing, what was wrong. Each text is provoked once.
local t = require "tap"
local peri = require "perigee"

local m = peri.model "first"
local x = m:var("x", 3)
local X = m:var("X", { 2, 3 })
local p = m:param("p", { 1, 2 })
local other = peri.model "second"
local z = other:var("z", 3)
local b = peri.array { 1, 2, 3, 4 }
local nothing
local nan = 0 / 0

local function line_of(f) return debug.getinfo(f, "S").linedefined end

-- f raises "dsl_errors.lua:LINE: text", LINE being f's own
local function wrong(text, f, name)
  local fine, err = pcall(f)
  if fine then return t.ok(false, name or text) end
  local place = ("dsl_errors.lua:%d: "):format(line_of(f))
  local at = tostring(err):find(place, 1, true)
  local same = at and tostring(err):sub(at + #place) == text
  t.ok(same, name or text)
  if not same then t.diag("got  %s", tostring(err)) t.diag("want ...%s%s", place, text) end
end

-- operands
wrong("x (vector 3) and b (vector 4) cannot be added", function() return x + b end)
wrong("b (vector 4) and x (vector 3) cannot be subtracted", function() return b - x end)
wrong("x (vector 3) and b (vector 4) cannot be multiplied", function() return x * b end)
wrong("x (vector 3) and X (matrix 2 x 3) cannot be divided", function() return x / X end)
wrong("X (matrix 2 x 3) and b (vector 4) cannot be multiplied: 3 columns and 4 rows", function() return X % b end)
wrong("x (vector 3) and X (matrix 2 x 3) cannot be multiplied: 1 column and 2 rows", function() return x % X end)
wrong("pow: x (vector 3) and b (vector 4) do not fit", function() return x ^ b end)
wrong("max2: x (vector 3) and b (vector 4) do not fit", function() return peri.max2(x, b) end)
wrong("dot: x (vector 3) and b (vector 4) have different numbers of entries", function() return x:dot(b) end)
wrong("x (vector 3) and nil cannot be added", function() return x + nothing end)
wrong("nil and x (vector 3) cannot be added", function() return nothing + x end)
wrong('x (vector 3) and "3" (a string) cannot be multiplied', function() return x * "3" end)
wrong('"3" (a string) and x (vector 3) cannot be multiplied', function() return "3" * x end)
wrong("x (vector 3) and NaN cannot be added", function() return x + nan end)
wrong("x (vector 3) and true (a boolean) cannot be added", function() return x + true end)
wrong("x (vector 3) and 2 cannot be divided with //: use /", function() return x // 2 end)
wrong("x (vector 3) cannot be joined to a string: use tostring(e) or e:value()", function() return "x = " .. x end)
wrong('x (vector 3) belongs to model "first" and z (vector 3) to model "second": they cannot be combined',
  function() return x + z end)
wrong("where: argument 3 is nil, not a number, an array or an expression", function() return peri.where(x, 1) end)
wrong("exp takes 1 argument, not 2", function() return peri.exp(x, 1) end)
wrong("sum: dimension 3 is neither 1 (down the columns) nor 2 (along the rows)", function() return peri.sum(x, 3) end)
wrong("max: dimension 0 is neither 1 (down the columns) nor 2 (along the rows) (max2 compares two)",
  function() return peri.max(x, 0) end)
wrong("max takes 1 argument, not 2 (max2 compares two)", function() return peri.max(x[1], 0) end)
wrong("exp: nil is not a number, an array or an expression; write peri.exp(e) or e:exp()", function() return peri.exp() end)
wrong("trace: needs a square matrix, not 2 x 3", function() return X:trace() end)
wrong("logdet: needs a square matrix, not 2 x 3", function() return X:logdet() end)
wrong("X (matrix 2 x 3) cannot be reshaped to a vector 5", function() return X:reshape(5) end)
wrong("stack: argument 2 has 3 columns, the first has 1", function() return peri.stack(x, X) end)
wrong("stack: nothing to stack", function() return peri.stack() end)
wrong("mark: the name must be a string, not nil", function() return peri.mark(x) end)

-- indices and names
wrong("x (vector 3): index 4 is outside 1 .. 3", function() return x[4] end)
wrong("x (vector 3): index 0 is outside 1 .. 3", function() return x[0] end)
wrong("X (matrix 2 x 3): row 3 is outside 1 .. 2", function() return X[3] end)
wrong("X[1] (matrix 1 x 3): row 2 is outside 1 .. 1", function() return X:slice(1, 1)[2] end, "row of a slice")
wrong("b (vector 4): index 5 is outside 1 .. 4", function() return b[5] end)
wrong("x (vector 3): index 1.5 is not whole", function() return x[1.5] end)
wrong("x (vector 3): the index is NaN", function() return x[nan] end)
wrong("x (vector 3): an index must be an integer or a list of integers, not nil", function() return x[nothing] end)
wrong("x (vector 3): an index must be an integer or a list of integers, not true (a boolean)", function() return x[true] end)
wrong("x (vector 3): index 9 is outside 1 .. 3", function() return x[{ 1, 9 }] end)
wrong("x (vector 3): the list of indices is empty", function() return x[{}] end)
wrong("x (vector 3): slice(3, 2) is empty", function() return x:slice(3, 2) end)
wrong("x (vector 3): index 4 is outside 1 .. 3", function() return x:slice(2, 4) end)
wrong('x (vector 3) has no "summ" (did you mean "sum"?)', function() return x:summ() end)
wrong('model "first" has no "subjectto" (did you mean "subject_to"?)', function() return m:subjectto(1) end)
wrong('perigee has no "linspce" (did you mean "linspace"?)', function() return peri.linspce(0, 1, 2) end)
wrong("x (vector 3): its entries cannot be assigned; build a new expression instead", function() x[1] = 2 end)

-- variables and parameters
wrong("variable: a name is needed, not nil", function() m:var() end)
wrong("variable: a name is needed, not an empty string", function() m:var("") end)
wrong('variable "x" is already in model "first"', function() m:var("x") end)
wrong('variable "v": unknown option "strat" (did you mean "start"?)', function() m:var("v", 2, { strat = 1 }) end)
wrong('variable "v": unknown option "colour"; it takes lower, upper, start, integer, binary, manifold',
  function() m:var("v", 2, { colour = 1 }) end)
wrong('variable "v": manifolds are not offered yet', function() m:var("v", 2, { manifold = "sphere" }) end)
wrong('variable "v": a size must be at least 1, not 0', function() m:var("v", 0) end)
wrong('variable "v": a size must be an integer, not "3" (a string)', function() m:var("v", "3") end)
wrong('variable "v": a shape is n or { rows, columns }', function() m:var("v", { 1, 2, 3 }) end)
wrong('variable "v": options must be a table, not 3', function() m:var("v", 2, 3) end)
wrong("v1: 3 lower bounds for 2 entries", function() m:var("v1", 2, { lower = { 1, 2, 3 } }) end)
wrong("v2: lower: entry [2] is NaN, not a number", function() m:var("v2", 2, { lower = { 1, nan } }) end)
wrong("v3: start must be a number, a table of numbers or an array, not NaN", function() m:var("v3", 2, { start = nan }) end)
wrong('v4: upper must be a number, a table of numbers or an array, not "1" (a string)',
  function() m:var("v4", 2, { upper = "1" }) end)
wrong("v5: integer must be true or false, not 1", function() m:var("v5", 2, { integer = 1 }) end)
wrong("v6[1]: start value is infinite", function() m:var("v6", 2, { start = math.huge }) end)
wrong('parameter "q2": its value must be a number, a table of numbers or an array, not nil', function() m:param("q2") end)
wrong("p (vector 2) cannot be set to a vector 3", function() p:set { 1, 2, 3 } end)
wrong('x (vector 3) is not a parameter of model "first"', function() x:set(1) end)
wrong("model: a name is needed, not 3", function() peri.model(3) end)

-- objectives, solving
wrong("minimize: x (vector 3) is not a scalar", function() m:minimize(x) end)
wrong("minimize: nil is not a number, an array or an expression", function() m:minimize() end)
wrong("minimize: several objectives are not offered yet; give one scalar expression", function() m:minimize { x[1], x[2] } end)
wrong('maximize: z[1] (scalar) belongs to model "second", not to model "first"', function() m:maximize(z[1]) end)
wrong('model "first" has neither an objective nor constraints', function() m:solve() end)
wrong('model "empty" has no variables', function() peri.model("empty"):solve() end)
wrong("solve: the solver must be a name or a plugin, not 3", function() m:solve(3) end)
wrong("solve: options must be a table, not 3", function() m:solve("ipm", 3) end)
wrong("solve: options are named, as in { tolerance = 1e-8 }", function() m:solve("ipm", { 1e-8 }) end)
wrong("solve: callback must be a function of the iteration's row, not 3", function() m:solve { callback = 3 } end)
wrong("solve: warm_start must be a solution or a warm start, not 3", function() m:solve { warm_start = 3 } end)
wrong('solve: option "tolerance" must be a number, a string or a boolean, not a table', function() m:solve { tolerance = {} } end)
wrong("nil is not a model; methods are called as m:method(...)", function() m.solve() end)
wrong("c[2]: lower bound 3 is above upper bound 2", function() m:var("c", 2, { lower = { 0, 3 }, upper = { 1, 2 } }) end)

-- derivatives, substitution, values
wrong("grad: x (vector 3) is not a scalar", function() return peri.grad(x, x) end)
wrong("grad: 3 is not an expression", function() return peri.grad(x[1], 3) end)
wrong("substitute: x (vector 3) and X (matrix 2 x 3) have other shapes", function() return peri.substitute(x, { [x] = X }) end)
wrong("value: a table { [x] = ... } is needed, not 3", function() return x:value(3) end)
wrong("value: 2 numbers for x (vector 3)", function() return x:value { [x] = { 1, 2 } } end)
wrong('value: x[1] (scalar) is neither a variable nor a parameter of model "first"', function() return x:value { [x[1]] = 1 } end)
wrong("blackbox: a function of an array is needed, not 3", function() return peri.blackbox(3, x) end)

-- arrays
wrong("array: one table of numbers, or of rows of numbers, is needed", function() return peri.array() end)
wrong("array: the table is empty", function() return peri.array {} end)
wrong("array: entry [2] is NaN, not a number", function() return peri.array { 1, nan } end)
wrong('array: entry [2][1] is "a" (a string), not a number', function() return peri.array { { 1, 2 }, { "a", 3 } } end)
wrong("array: row 2 has 1 entries, the first has 2", function() return peri.array { { 1, 2 }, { 3 } } end)
wrong("array: row 2 is 3, the first row is a table", function() return peri.array { { 1, 2 }, 3 } end)
wrong("zeros: a size must be at least 1, not -1", function() return peri.zeros(-1) end)
wrong("linspace: the last end must be a finite number, not nil", function() return peri.linspace(1) end)
wrong('sparse: unknown option "row" (did you mean "rows"?)', function() return peri.sparse { row = 3 } end)
wrong("sparse: i[2] is 4, not an integer in 1 .. 3",
  function() return peri.sparse { rows = 3, cols = 3, i = { 1, 4 }, j = { 1, 2 }, v = { 1, 2 } } end)
wrong("sparse: i, j and v have 1, 2 and 2 entries",
  function() return peri.sparse { rows = 3, cols = 3, i = { 1 }, j = { 1, 2 }, v = { 1, 2 } } end)
wrong("b (vector 4): an entry must be a number, not NaN", function() b[1] = nan end)
wrong('b (vector 4): an entry must be a number, not "1" (a string)', function() b[1] = "1" end)
wrong("b (vector 4): index 5 is outside 1 .. 4", function() b[5] = 1 end)
wrong('b (vector 4): "name" is not an index', function() b.name = 1 end)
wrong('b (vector 4) has no "sumn" (did you mean "sum"?)', function() return b:sumn() end)
wrong('random.normal: unknown option "sede" (did you mean "seed"?)', function() return peri.random.normal { n = 2, sede = 1 } end)
wrong("random.uniform: n, or rows and cols, must be given and at least 1", function() return peri.random.uniform { seed = 1 } end)
wrong("random.integers: lower (1 where absent) and upper must give a range, not 5 .. 3",
  function() return peri.random.integers { n = 1, lower = 5, upper = 3 } end)
wrong("random.normal: sd must not be negative, not -1", function() return peri.random.normal { n = 1, sd = -1 } end)

-- an array with NaN cannot become part of a model
wrong("array: entry 2 is NaN", function() return x + peri.log(peri.array { 1, -1, 2 }) end)

-- closed models
local closed = peri.model "gone"
local g = closed:var("g", 2)
closed:close()
closed:close()
wrong('model "gone" is closed', function() closed:var("h") end)
wrong('model "gone" is closed: its expressions are gone', function() return g + 1 end)
wrong('model "gone" is closed: its expressions are gone', function() return g:value() end)
wrong('model "gone" is closed: its expressions are gone', function() return g[1] end)
t.is(tostring(closed), 'model "gone" (closed)', "text of a closed model")
t.is(tostring(g), 'an expression of the closed model "gone"', "text of its expressions")
do
  local scoped <close> = peri.model "scoped"
  t.ok(scoped:var("v"), "a model can be a to-be-closed variable")
end

-- a global's name, and metatables that are locked
coefficients = peri.zeros(4) -- luacheck: ignore
wrong("x (vector 3) and coefficients (vector 4) cannot be added", function() return x + coefficients end) -- luacheck: ignore
t.is(getmetatable(x), "perigee.expr", "metatables are locked")
t.raises(function() string.rep(x, 2) end, "got perigee.expr", "Lua's own argument errors name the type")

-- a variable that was refused is not there, whatever was wrong with it
do
  local refused = peri.model "refused"
  local cases = {
    { 2, { lower = 2, upper = 1 }, "v[1]: lower bound 2 is above upper bound 1" },
    { nil, { lower = 2, upper = 1 }, "v: lower bound 2 is above upper bound 1" },
    { 3, { lower = { 0, 1, 2 }, upper = { 1, 1, 1 } }, "v[3]: lower bound 2 is above upper bound 1" },
    { 2, { start = math.huge }, "v[1]: start value is infinite" },
    { 2, { lower = math.huge }, "v[1]: lower bound is +infinity" },
    { 2, { upper = { 0, -math.huge } }, "v[2]: upper bound is -infinity" },
    { 2, { lower = { 1 } }, "v: 1 lower bounds for 2 entries" },
    { { 2, 3 }, { start = { { 1, 2 }, { 3, 4 }, { 5, 6 } } }, "v: start values as a matrix 3 x 2 for a matrix 2 x 3" },
    { 4, { upper = { { 1, 2 }, { 3, 4 } } }, "v: upper bounds as a matrix 2 x 2 for a vector 4" },
    { 2, { start = { 1, "x" } }, "v: start: entry [2]" },
    { 2, { start = 0 / 0 }, "v: start must be a number, a table of numbers or an array, not NaN" },
  }
  for _, c in ipairs(cases) do
    t.raises(function() return refused:var("v", c[1], c[2]) end, c[3], c[3])
  end
  local v = refused:var("v", { 2, 3 }, { lower = { { 0, 1, 2 }, { 3, 4, 5 } }, upper = 9, start = { 1, 2, 3, 4, 5, 6 } })
  t.is(v:value()[2][1], 4.0, "the name is still free")
end

-- derivatives by what cannot be varied
do
  local by = peri.model "by"
  local v = by:var("v", 3, { start = { 1, 2, 3 } })
  local X = by:var("X", { 2, 2 }, { start = { { 1, 2 }, { 3, 4 } } })
  local f = v:dot(v) + v[1] * v[2]
  t.is(peri.grad(f, v[1]):value(), 4.0, "grad by an entry")
  t.is(tostring(peri.grad(f, v:slice(1, 2)):value()), "{ 4, 5 }", "grad by a slice")
  t.is(tostring(peri.grad(f, v[{ 3, 1 }]):value()), "{ 6, 4 }", "grad by a choice of entries")
  t.is(peri.grad((X * X * X):sum(), X:t()):value()[1][2], 27.0, "grad by a transpose")
  t.is(tostring(peri.jacobian(v * v, v[2]):value()), "{ 0, 4, 0 }", "jacobian by an entry")
  t.is(peri.hessian(f, v:slice(1, 2)):value()[1][2], 1.0, "hessian by a slice")
  t.raises(function() return peri.grad(f, v + 1) end, "grad: v + 1 (vector 3) is neither a variable or parameter", "by an expression")
  t.raises(function() return peri.grad(f, v[{ 1, 1 }]) end, "is neither a variable or parameter", "by the same entry twice")
end

-- shapes whose size is no number
t.raises(function() return peri.ones(2):reshape(2, math.maxinteger) end, "reshape: a matrix 2 x 9223372036854775807 is not possible",
  "reshape")
t.raises(function() return peri.model("large"):var("v", { 1 << 40, 1 << 40 }, { start = 1 }) end,
  'variable "v": a matrix 1099511627776 x 1099511627776 is not possible', "var with options")

-- comparisons as conditions, numbers as fields
do
  local odd = peri.model "odd"
  local v = odd:var("v", 2)
  odd:minimize(v:dot(v))
  t.raises(function() return peri.where(v >= 0, v, 0) end, "so x >= y is written x - y", "where with a comparison")
  t.raises(function() return odd:solve()[1] end, "a solution has no entry 1; write sol[x]", "sol[1]")
end

t.done()
