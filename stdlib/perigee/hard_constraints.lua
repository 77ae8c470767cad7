-- SPDX-License-Identifier: Apache-2.0
--- Equations that a model's output fulfils by construction: basis functions b on a grid (of a network, say) are weighted by w, and w is what makes the
-- residuals of the equations least at points of the grid, w* = argmin 1/2 |r(w, b)|^2. The grid is cut into boxes, each with an expert: weights and points
-- of its own. Derivatives of w* come from the conditions J'r = 0 at the solution; no step of the solver is differentiated.
--
--   local hc = require "perigee.hard_constraints"
--   local layer = hc.layer(m, "flow", {
--     grid = { nt, nx }, split = { 1, 4 }, points = 150,
--     fields = { u = B, u_t = Dt % B, u_xx = Dxx % B },          a row a grid point (the last axis runs fastest), a column a basis function
--     offsets = { u = u0, u_xx = Dxx % u0 },
--     residual = function(f) return f.u_t - nu * f.u_xx - f.u * (1 - f.u) end,
--   })
--   m:minimize(loss(layer:field "u"))
--
--   hc.layer        the layer; hc.router: boxes of a grid; hc.sample: points without repetition; hc.derivative: differences on a grid
--
-- Invariant: fields are linear in w, f.NAME = offsets.NAME + fields.NAME % w, so that derivative fields are made once, and an expert's points are the same
-- in the forward solve and in every derivative.
-- Source: Chalapathi, Du and Krishnapriyan 2024, Scaling physics-informed hard constraints with mixture-of-experts, ICLR.

local peri = require "perigee"
local usage = require "perigee.usage"

local hc = {}

local function count(value) return math.type(value) == "integer" and value >= 1 end
local function is_array(v) return getmetatable(v) == "perigee.array" end
local function is_field(v) return is_array(v) or getmetatable(v) == "perigee.expr" end

-- ---- the router

local router = {}
router.__index = router

--- Cut a grid into equal boxes. grid: points along each axis, { nt, nx, ... }; split: boxes along each, { 1, 4 }.
--   r.boxes       for each box the rows of its points in fields of r.size rows, the grid's points with the last axis running fastest
--   r:partition(A), r:unpartition(list)   fields (columns are channels) to one field a box, and back
function hc.router(grid, split)
  if type(grid) ~= "table" or #grid == 0 then usage.fail("router: grid must be a list, the number of points along each axis") end
  if type(split) ~= "table" or #split ~= #grid then usage.fail("router: split must have one number for each of the %d axes of grid", #grid) end
  local size, boxes = 1, 1
  for a = 1, #grid do
    if not count(grid[a]) or not count(split[a]) then usage.fail("router: grid and split must have positive integers, and axis %d has not", a) end
    if grid[a] % split[a] ~= 0 then
      usage.fail("router: axis %d has %d points, which %d boxes do not divide", a, grid[a], split[a])
    end
    size, boxes = size * grid[a], boxes * split[a]
  end
  local self = setmetatable({ size = size, boxes = {}, place = {} }, router)
  for k = 1, boxes do self.boxes[k] = {} end
  for row = 1, size do
    local rest, box, stride = row - 1, 0, 1
    for a = #grid, 1, -1 do
      box = box + stride * (rest % grid[a] // (grid[a] // split[a]))
      rest, stride = rest // grid[a], stride * split[a]
    end
    table.insert(self.boxes[box + 1], row)
  end
  local at = 0
  for _, rows in ipairs(self.boxes) do
    for i, row in ipairs(rows) do self.place[row] = at + i end
    at = at + #rows
  end
  return self
end

function router:partition(A)
  if not is_field(A) then usage.fail("partition: expected an array or an expression, not a %s", type(A)) end
  if A:rows() ~= self.size then usage.fail("partition: a field of %d rows on a grid of %d points", A:rows(), self.size) end
  if #self.boxes == 1 then return { A } end
  local parts = {}
  for k, rows in ipairs(self.boxes) do parts[k] = A[rows] end
  return parts
end

function router:unpartition(parts)
  if type(parts) ~= "table" or #parts ~= #self.boxes then usage.fail("unpartition: expected a list of %d fields, one a box", #self.boxes) end
  for k, rows in ipairs(self.boxes) do
    if not is_field(parts[k]) then usage.fail("unpartition: field %d is neither an array nor an expression", k) end
    if parts[k]:rows() ~= #rows then usage.fail("unpartition: field %d has %d rows, and its box has %d points", k, parts[k]:rows(), #rows) end
  end
  if #parts == 1 then return parts[1] end
  return peri.stack(parts)[self.place]
end

--- m of the numbers 1 .. n without repetition, ascending, from a seeded stream: the first m of a shuffle.
function hc.sample(n, m, seed)
  if not count(n) or not count(m) or m > n then
    usage.fail("sample: %s different points of %s cannot be drawn", tostring(m), tostring(n))
  end
  local order, chosen = {}, {}
  for i = 1, n do order[i] = i end
  local draws = peri.random.uniform { rows = m + 1, cols = 1, seed = seed }
  for i = 1, m do
    local j = i + math.min(n - i, math.floor(draws[i] * (n - i + 1)))
    order[i], order[j] = order[j], order[i]
    chosen[i] = order[i]
  end
  table.sort(chosen)
  return chosen
end

-- ---- derivatives on a grid

local CENTRAL = { { { -1, -0.5 }, { 1, 0.5 } }, { { -1, 1 }, { 0, -2 }, { 1, 1 } } }
local FORWARD = { { { 0, -1.5 }, { 1, 2 }, { 2, -0.5 } }, { { 0, 2 }, { 1, -5 }, { 2, 4 }, { 3, -1 } } }

--- The stencil at place i of n points: steps and weights.
local function stencil(i, n, order, periodic)
  if periodic or (i > 0 and i < n - 1) then return CENTRAL[order], 1 end
  return FORWARD[order], i == 0 and 1 or -1
end

--- The derivative of fields along an axis as a sparse matrix, by differences of second order: central, at the ends of an axis one-sided.
--   axis, order   1, 2, ...; 1 or 2: u' or u''
--   opts.spacing  between points (needed); opts.periodic: the point behind the last one is the first
function hc.derivative(grid, axis, order, opts)
  usage.only("derivative", opts, { "spacing", "periodic" })
  if type(grid) ~= "table" or not count(grid[axis]) then usage.fail("derivative: the grid has no axis %s", tostring(axis)) end
  if order ~= 1 and order ~= 2 then usage.fail("derivative: order must be 1 or 2") end
  local h = usage.option("derivative", opts or {}, "spacing", "number")
  if not (h and h > 0 and h < math.huge) then usage.fail("derivative: spacing must be a positive number") end
  local n, size, stride = grid[axis], 1, 1
  local least = opts.periodic and 3 or #FORWARD[order]
  if n < least then usage.fail("derivative: axis %d has %d points, and at least %d are needed", axis, n, least) end
  for a = 1, #grid do
    if not count(grid[a]) then usage.fail("derivative: grid must have positive integers, and axis %d has not", a) end
    size = size * grid[a]
    if a > axis then stride = stride * grid[a] end
  end
  local rows, columns, values = {}, {}, {}
  for row = 0, size - 1 do
    local i = row // stride % n
    local steps, sign = stencil(i, n, order, opts.periodic)
    for _, step in ipairs(steps) do
      rows[#rows + 1] = row + 1
      columns[#columns + 1] = row + 1 + ((i + sign * step[1]) % n - i) * stride
      values[#values + 1] = step[2] * (order == 1 and sign or 1) / h^order
    end
  end
  return peri.sparse { rows = size, cols = size, i = rows, j = columns, v = values }
end

-- ---- residuals of an expert

--- A named field as it was given, with as many rows and columns as it must have.
local function field(where, kind, name, v, rows, columns)
  if not is_field(v) then
    usage.fail("%s: %s.%s must be an array or an expression, not a %s", where, kind, name, type(v))
  end
  if v:rows() ~= rows or v:cols() ~= columns then
    usage.fail("%s: %s.%s is %d x %d, and should be %d x %d", where, kind, name, v:rows(), v:cols(), rows, columns)
  end
  if is_array(v) then
    local fine, zero = pcall(function() return peri.sum(v * 0) end)
    if not fine or zero ~= 0 then usage.fail("%s: %s.%s has an entry that is not finite", where, kind, name) end
  end
  return v
end

--- Pairs of a table by name in alphabetical order, so that equal scripts make equal models, bit by bit.
local function sorted(list)
  local names = {}
  for name in pairs(list) do names[#names + 1] = tostring(name) end
  table.sort(names)
  local i = 0
  return function()
    i = i + 1
    return names[i], list[names[i]]
  end
end

--- A block of rows, checked: fields, offsets, data by name, and the function of them. rows: nil where the fields tell.
local function block(where, given, rows, columns)
  if type(given.fields) ~= "table" or not next(given.fields) then usage.fail("%s: fields must be a table of matrices by name", where) end
  if type(given.residual) ~= "function" then usage.fail("%s: residual must be a function of the fields", where) end
  local _, first = sorted(given.fields)()
  if not is_field(first) then usage.fail("%s: fields must be a table of matrices by name", where) end
  local b = { where = where, residual = given.residual, rows = rows or first:rows(), columns = columns or first:cols() }
  b.fields, b.offsets, b.data = {}, {}, {}
  for name, v in sorted(given.fields) do b.fields[name] = field(where, "fields", name, v, b.rows, b.columns) end
  for _, kind in ipairs { "offsets", "data" } do
    for name, v in sorted(usage.option(where, given, kind, "table", {})) do b[kind][name] = field(where, kind, name, v, b.rows, 1) end
  end
  for name in sorted(b.offsets) do
    if not b.fields[name] then usage.fail("%s: offsets.%s belongs to no field; values without weights are data", where, name) end
  end
  for name in sorted(b.data) do
    if b.fields[name] then usage.fail("%s: data.%s has the name of a field", where, name) end
  end
  return b
end

--- The block at some of its rows: all fields cut once, for any weights.
local function cut(b, rows)
  local c = { where = b.where, residual = b.residual, rows = #rows, columns = b.columns }
  for _, kind in ipairs { "fields", "offsets", "data" } do
    c[kind] = {}
    for name, v in sorted(b[kind]) do c[kind][name] = v[rows] end
  end
  return c
end

--- The block with all it knows of the world outside held fixed.
local function held(b)
  local c = { where = b.where, residual = b.residual, rows = b.rows, columns = b.columns }
  for _, kind in ipairs { "fields", "offsets", "data" } do
    c[kind] = {}
    for name, v in sorted(b[kind]) do c[kind][name] = is_array(v) and v or peri.stop(v) end
  end
  return c
end

local function weighted(b, name, w)
  local value = b.fields[name] % w
  if b.offsets[name] then value = b.offsets[name] + value end
  return value
end

--- Residuals of a block for weights w.
local function rows_of(b, w)
  local f = {}
  for name in sorted(b.fields) do f[name] = weighted(b, name, w) end
  for name, v in sorted(b.data) do f[name] = v end
  setmetatable(f, { __index = function(_, name) usage.fail("%s: the residual reads %s, which is neither a field nor data", b.where, tostring(name)) end })
  local r = b.residual(f)
  if getmetatable(r) ~= "perigee.expr" or r:cols() ~= 1 then usage.fail("%s: residual must return a column that depends on the fields", b.where) end
  return r
end

--- All rows of an expert: its points, the rows that every expert has, the ridge.
local function residuals(e, w, change)
  change = change or function(b) return b end
  local r = rows_of(change(e.block), w)
  local parts = { e.mask and (change == held and peri.stop(e.mask) or e.mask) * r or r }
  for _, b in ipairs(e.everywhere) do parts[#parts + 1] = rows_of(change(b), w) end
  if e.ridge > 0 then parts[#parts + 1] = e.ridge * w end
  return #parts == 1 and parts[1] or peri.stack(parts)
end

-- ---- weights of an expert

--- J'r = 0 with J held fixed: its Jacobian is J'J, so that dw = -J^+ dr.
local function root_form(e, w)
  return peri.implicit {
    name = e.name, model = e.model, start = peri.stop(w),
    residual = function(v)
      local at = peri.mark(peri.stop(v), "weights")
      return peri.grad(peri.dot(residuals(e, at, held), residuals(e, v)), at)
    end,
  }
end

local function weights(e, o)
  local low = e.model:lower(e.name)
  local w = low:var(e.name, e.block.columns, { start = o.start or 0 })
  low:minimize(0.5 * (residuals(e, w)^2):sum())
  local solution = low:argmin { solver = o.solver or "levenberg-marquardt", options = o.options, warm = o.warm }
  solution = solution:reshape(e.block.columns, 1)
  return o.mode == "root" and root_form(e, solution) or solution
end

-- ---- the layer

local layer = {}
layer.__index = layer

local KNOWN = { "grid", "split", "fields", "offsets", "data", "residual", "everywhere", "points", "redraw", "seed", "ridge", "start", "mode", "solver",
  "options", "warm" }

local function check(where, o)
  usage.only(where, o, KNOWN)
  o.mode = usage.option(where, o, "mode", "string", "exact")
  if o.mode ~= "exact" and o.mode ~= "root" then usage.fail('%s: mode "%s" is neither "exact" nor "root"', where, o.mode) end
  o.ridge = usage.option(where, o, "ridge", "number", 1e-4)
  if not (o.ridge >= 0 and o.ridge < math.huge) then usage.fail("%s: ridge must be a number >= 0", where) end
  o.seed = o.seed or 0
  if math.type(o.seed) ~= "integer" then usage.fail("%s: seed must be an integer", where) end
  if o.points ~= nil and not count(o.points) then usage.fail("%s: points must be a positive integer, the points of each expert", where) end
  if o.redraw and not o.points then usage.fail("%s: redraw needs points, how many to draw", where) end
end

local function seed_of(self, k, draw) return self.seed + 1000003 * k + 7919 * draw end

local function ones_at(rows, n)
  local mask = {}
  for i = 1, n do mask[i] = 0 end
  for _, row in ipairs(rows) do mask[row] = 1 end
  return mask
end

--- Points of expert k: rows of its box.
local function draw(self, k, number)
  local box = self.router.boxes[k]
  if not self.count then return table.move(box, 1, #box, 1, {}) end
  local rows = {}
  for i, at in ipairs(hc.sample(#box, self.count, seed_of(self, k, number))) do rows[i] = box[at] end
  return rows
end

local function new_expert(self, m, name, k, b, everywhere, o)
  local box = self.router.boxes[k]
  local e = { name = ("%s, expert %d"):format(name, k), model = m, everywhere = everywhere, ridge = o.ridge }
  local others = 0
  for _, other in ipairs(everywhere) do others = others + other.rows end
  if o.ridge == 0 and (self.count or #box) + others < b.columns then
    usage.fail("%s: %d points and %d other rows do not determine %d weights; give more points, or a ridge", e.name, self.count or #box, others,
      b.columns)
  end
  self.points[k] = draw(self, k, 0)
  if o.redraw then
    local inside = {}
    for i, row in ipairs(box) do inside[row] = i end
    self.inside[k] = inside
    local at = {}
    for i, row in ipairs(self.points[k]) do at[i] = inside[row] end
    e.mask = m:param(("%s.points%d"):format(name, k), ones_at(at, #box))
    self.masks[k] = e.mask
  end
  e.block = cut(b, o.redraw and box or self.points[k])
  return e
end

--- A layer of model m. Options beside those at the head of this file:
--   points       number of points each expert draws from its box, without repetition; all of them unless given
--   redraw       true: layer:draw(i) draws others, i = 0, 1, ...; costs as much as if all points were taken
--   seed         of the draws, 0 unless given; each expert has a stream of its own
--   data         columns that the residual reads and that have no weights: f.NAME
--   everywhere   list of blocks { fields, offsets, data, residual } whose rows every expert has: initial and boundary values of the whole grid
--   ridge        factor of the rows ridge * w, 1e-4 unless given
--   start        of the weights, 0 unless given; warm = true: begin at the last ones
--   mode         "exact": H = J'J + sum r_i Hess r_i at the solution; "root": J'J, as if the residuals were zero: an approximation
--   solver, options   a plan for the inner problems, "levenberg-marquardt" unless given; every solution is polished by Newton's method
-- It has
--   layer.w[k]             weights of expert k, an expression; layer.points[k]: the rows that it has drawn
--   layer:field(name, F, offset)   the field NAME for all of the grid; or F % w + offset with another matrix
function hc.layer(m, name, opts)
  if getmetatable(m) ~= "perigee.model" then usage.fail("hard_constraints.layer: the first argument must be a model, not a %s", type(m)) end
  if type(name) ~= "string" then usage.fail("hard_constraints.layer: the name must be a string") end
  local o = {}
  for key, value in pairs(type(opts) == "table" and opts or usage.fail("%s: options must be a table", name)) do o[key] = value end
  check(name, o)
  local self = setmetatable({ name = name, w = {}, points = {}, inside = {}, masks = {}, count = o.points, seed = o.seed }, layer)
  local whole = {}
  for a = 1, type(o.grid) == "table" and #o.grid or 0 do whole[a] = 1 end
  self.router = hc.router(o.grid, o.split or whole)
  if self.count and self.count > #self.router.boxes[1] then
    usage.fail("%s: %d points of each expert, and a box has %d", name, self.count, #self.router.boxes[1])
  end
  self.block = block(name, o, self.router.size)
  local everywhere = {}
  for i, given in ipairs(usage.option(name, o, "everywhere", "table", {})) do
    everywhere[i] = block(("%s: everywhere[%d]"):format(name, i), given, nil, self.block.columns)
  end
  for k = 1, #self.router.boxes do self.w[k] = weights(new_expert(self, m, name, k, self.block, everywhere, o), o) end
  return self
end

function layer:field(name, F, offset)
  if F == nil then
    if not self.block.fields[name] then usage.fail("%s: no field %s", self.name, tostring(name)) end
    F, offset = self.block.fields[name], self.block.offsets[name]
  else
    field(self.name, "field", tostring(name), F, self.router.size, self.block.columns)
  end
  local parts = self.router:partition(F)
  for k, w in ipairs(self.w) do parts[k] = parts[k] % w end
  local value = self.router:unpartition(parts)
  return offset and value + offset or value
end

--- Other points for all experts, of the streams' draw `number`; what was computed before does not change.
function layer:draw(number)
  if #self.masks == 0 then usage.fail("%s: its points are drawn once; redraw = true makes a layer that draws again", self.name) end
  if math.type(number) ~= "integer" or number < 0 then usage.fail("%s: a draw's number is an integer >= 0", self.name) end
  for k, mask in ipairs(self.masks) do
    self.points[k] = draw(self, k, number)
    local at = {}
    for i, row in ipairs(self.points[k]) do at[i] = self.inside[k][row] end
    mask:set(ones_at(at, #self.router.boxes[k]))
  end
end

return hc
