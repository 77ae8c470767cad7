-- SPDX-License-Identifier: Apache-2.0
--- Equations that a model's output fulfils by construction: basis functions b on a grid (of a network, say) are weighted by w, and w is what makes the
-- residuals of the equations least at points of the grid, w* = argmin 1/2 |r(w, b)|^2. The grid is cut into boxes, each with an expert: weights and points
-- of its own. Derivatives of w* come from the conditions J'r = 0 at the solution; no step of the solver is differentiated. All experts, of all samples of a
-- batch, are one node (peri.implicit with `batch`), and are solved side by side on threads.
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

--- A block of rows, checked: fields, offsets, data by name, and the function of them. rows: nil where the fields tell; samples: of so many each
local function block(where, given, rows, columns, samples)
  if type(given.fields) ~= "table" or not next(given.fields) then usage.fail("%s: fields must be a table of matrices by name", where) end
  if type(given.residual) ~= "function" then usage.fail("%s: residual must be a function of the fields", where) end
  local _, first = sorted(given.fields)()
  if not is_field(first) then usage.fail("%s: fields must be a table of matrices by name", where) end
  local b = { where = where, residual = given.residual, rows = rows or first:rows(), columns = columns or first:cols() }
  if b.rows % samples ~= 0 then usage.fail("%s: %d rows, which %d samples do not divide", where, b.rows, samples) end
  b.size = b.rows // samples
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

--- Rows of a block that instance after instance takes, as arguments of the function that solves an instance: added to `list`. rows: nil where all
-- instances have all of it, which they read without
local function take(b, rows, list)
  local taken = { block = b, first = #list + 1, shared = rows == nil }
  for _, kind in ipairs { "fields", "offsets", "data" } do
    for _, v in sorted(rows and b[kind] or {}) do list[#list + 1] = v[rows] end
  end
  return taken
end

--- Residuals of a block for weights w, from an instance's arguments.
local function rows_of(taken, w, arguments)
  local b, at, f = taken.block, taken.first, {}
  local function get(v)
    if taken.shared then return v end
    at = at + 1
    return arguments[at - 1]
  end
  for name, v in sorted(b.fields) do f[name] = get(v) % w end
  for name, v in sorted(b.offsets) do f[name] = get(v) + f[name] end
  for name, v in sorted(b.data) do f[name] = get(v) end
  setmetatable(f, { __index = function(_, name) usage.fail("%s: the residual reads %s, which is neither a field nor data", b.where, tostring(name)) end })
  local r = b.residual(f)
  if getmetatable(r) ~= "perigee.expr" or r:cols() ~= 1 then usage.fail("%s: residual must return a column that depends on the fields", b.where) end
  return r
end

-- ---- the layer

local layer = {}
layer.__index = layer

local KNOWN = { "grid", "split", "samples", "fields", "offsets", "data", "residual", "everywhere", "points", "redraw", "seed", "ridge", "start", "mode", "rule",
  "tolerance", "iterations", "polish", "warm" }
local KNOWN_EVERYWHERE = { "fields", "offsets", "data", "residual", "scope", "at" }

local function check(where, o)
  usage.only(where, o, KNOWN)
  o.mode = usage.option(where, o, "mode", "string", "exact")
  if o.mode ~= "exact" and o.mode ~= "root" then usage.fail('%s: mode "%s" is neither "exact" nor "root"', where, o.mode) end
  o.rule = usage.option(where, o, "rule", "string", "jaxopt")
  if o.rule ~= "jaxopt" and o.rule ~= "optimistix" then usage.fail('%s: rule "%s" is neither "jaxopt" nor "optimistix"', where, o.rule) end
  o.chosen_ridge = o.ridge ~= nil
  o.ridge = usage.option(where, o, "ridge", "number", 1e-4)
  if not (o.ridge >= 0 and o.ridge < math.huge) then usage.fail("%s: ridge must be a number >= 0", where) end
  o.samples = o.samples or 1
  if not count(o.samples) then usage.fail("%s: samples must be a positive integer", where) end
  o.seed = o.seed or 0
  if math.type(o.seed) ~= "integer" then usage.fail("%s: seed must be an integer", where) end
  if o.points ~= nil and not count(o.points) then usage.fail("%s: points must be a positive integer, the points of each expert", where) end
  if o.redraw and not o.points then usage.fail("%s: redraw needs points, how many to draw", where) end
end

local function seed_of(self, k, draw) return self.seed + 1000003 * k + 7919 * draw end

--- Which of its box's points expert k, of all samples' experts, has: places in the box.
local function draw(self, k, number)
  local n = #self.router.boxes[1]
  if self.count then return hc.sample(n, self.count, seed_of(self, k, number)) end
  local all = {}
  for i = 1, n do all[i] = i end
  return all
end

--- Draws for all experts: layer.points, rows of the fields. Returns the rows one after another, and ones at the points of all boxes.
local function draw_all(self, number)
  local rows, mask, experts = {}, {}, #self.router.boxes
  for s = 1, self.samples do
    for e = 1, experts do
      local k, box, points = (s - 1) * experts + e, self.router.boxes[e], {}
      for i = 1, #box do mask[(k - 1) * #box + i] = 0 end
      for i, at in ipairs(draw(self, k, number)) do
        points[i] = (s - 1) * self.router.size + box[at]
        rows[#rows + 1] = points[i]
        mask[(k - 1) * #box + at] = 1
      end
      self.points[k] = points
    end
  end
  return rows, mask
end

--- Rows of a block that is every expert's, expert after expert; nil where one sample's experts all have all of it.
local function everywhere_rows(self, b)
  if self.samples == 1 then return nil end
  local rows = {}
  for s = 1, self.samples do
    for _ = 1, #self.router.boxes do
      for i = 1, b.size do rows[#rows + 1] = (s - 1) * b.size + i end
    end
  end
  return rows
end

--- Ones at the rows that lie in the expert's own box. at: of each row of a sample, the grid point.
local function own_rows(self, where, b, at)
  local box_of, mask, counts = {}, {}, {}
  for e, box in ipairs(self.router.boxes) do
    for _, row in ipairs(box) do box_of[row] = e end
  end
  if type(at) ~= "table" or #at ~= b.size then usage.fail('%s: scope "local" needs at, the grid point of each of its %d rows', where, b.size) end
  for _ = 1, self.samples do
    for e = 1, #self.router.boxes do
      for i = 1, b.size do
        if not box_of[at[i]] then usage.fail("%s: at[%d] is no point of the grid", where, i) end
        mask[#mask + 1] = box_of[at[i]] == e and 1 or 0
        counts[e] = (counts[e] or 0) + mask[#mask]
      end
    end
  end
  return peri.array(mask), counts
end

--- Blocks of all experts, and how many rows of them expert k has at least.
local function read_everywhere(self, name, o, list)
  local blocks, least = {}, 0
  for i, given in ipairs(usage.option(name, o, "everywhere", "table", {})) do
    local where = ("%s: everywhere[%d]"):format(name, i)
    if type(given) ~= "table" then usage.fail("%s: must be a table, not a %s", where, type(given)) end
    usage.only(where, given, KNOWN_EVERYWHERE)
    local b = block(where, given, nil, self.block.columns, self.samples)
    local scope = usage.option(where, given, "scope", "string", "global")
    if scope ~= "global" and scope ~= "local" then usage.fail('%s: scope "%s" is neither "global" nor "local"', where, scope) end
    local taken = take(b, everywhere_rows(self, b), list)
    local counts
    if scope == "local" then
      list[#list + 1], counts = own_rows(self, where, b, given.at)
      taken.mask = #list
      local fewest = math.huge
      for e = 1, #self.router.boxes do fewest = math.min(fewest, counts[e] // self.samples) end
      least = least + fewest
    else
      least = least + b.size
    end
    blocks[i] = taken
  end
  return blocks, least
end

local function instance_names(self)
  local names = {}
  for s = 1, self.samples do
    for e = 1, #self.router.boxes do
      names[#names + 1] = (self.samples > 1 and ("sample %d, "):format(s) or "") .. ("expert %d"):format(e)
    end
  end
  return names
end

local function solve(self, m, name, o)
  local arguments = {}
  local rows, mask = draw_all(self, 0)
  local points = take(self.block, o.redraw and self.order or rows, arguments)
  if o.redraw then
    self.mask = m:param(name .. ".points", mask)
    arguments[#arguments + 1] = self.mask
    points.mask = #arguments
  end
  local blocks, others = read_everywhere(self, name, o, arguments)
  local own = self.count or #self.router.boxes[1]
  if not (o.chosen_ridge and o.ridge > 0) and own + others < self.block.columns then
    usage.fail("%s, expert 1: %d points and %d other rows do not determine %d weights; give more points, or a ridge", name, own, others, self.block.columns)
  end
  table.insert(blocks, 1, points)
  return peri.implicit {
    name = name, model = m, batch = self.instances, arguments = arguments, start = peri.ones(self.block.columns, 1) * (o.start or 0), mode = o.mode,
    warm = o.warm, polish = o.polish, options = { rule = o.rule, tolerance = o.tolerance, iterations = o.iterations },
    least_squares = function(w, ...)
      local given, parts = { ... }, {}
      for i, b in ipairs(blocks) do
        local r = rows_of(b, w, given)
        parts[i] = b.mask and given[b.mask] * r or r
      end
      if o.ridge > 0 then parts[#parts + 1] = o.ridge * w end
      return #parts == 1 and parts[1] or peri.stack(parts)
    end,
  }
end

--- A layer of model m. Options beside those at the head of this file:
--   samples      several samples at once, 1 unless given: fields, offsets and data are those of one sample below those of another, and so are the rows of
--                every block of `everywhere`; each sample has experts of its own
--   points       number of points each expert draws from its box, without repetition; all of them unless given
--   redraw       true: layer:draw(i) draws others, i = 0, 1, ...; costs as much as if all points were taken
--   seed         of the draws, 0 unless given; each expert has a stream of its own
--   data         columns that the residual reads and that have no weights: f.NAME
--   everywhere   list of blocks { fields, offsets, data, residual } whose rows every expert has: initial and boundary values of the whole grid;
--                scope = "local", at = { grid points of the rows }: an expert has those of its box alone
--   ridge        factor of the rows ridge * w, 1e-4 unless given; where they are what determines the weights it must be given
--   start        of the weights, 0 unless given; warm = true: begin at the last ones
--   mode         "exact": H = J'J + sum r_i Hess r_i at the solution; "root": J'J, as if the residuals were zero: an approximation
--   rule         of Levenberg and Marquardt's damping: "jaxopt" (gain ratio; unless given) or "optimistix" (three steps' lengths)
--   tolerance, iterations   of its steps: 1e-6 and 50 unless given; fields and derivatives are exact whatever they are, unless
--   polish       is false: Newton's steps behind it are left out
-- Fewer points or other tolerances in a test: another layer on the same fields. It has
--   layer.w[k]             weights of expert k, an expression; layer.points[k]: the rows that it has drawn; experts of the second sample follow the first's;
--                          layer.weights: of all, one after another; peri.instances(layer.weights): how they were solved
--   layer:field(name, F, offset)   the field NAME for all of the grid; or F % w + offset with another matrix
function hc.layer(m, name, opts)
  if getmetatable(m) ~= "perigee.model" then usage.fail("hard_constraints.layer: the first argument must be a model, not a %s", type(m)) end
  if type(name) ~= "string" then usage.fail("hard_constraints.layer: the name must be a string") end
  local o = {}
  for key, value in pairs(type(opts) == "table" and opts or usage.fail("%s: options must be a table", name)) do o[key] = value end
  check(name, o)
  local self = setmetatable({ name = name, w = {}, points = {}, count = o.points, seed = o.seed, samples = o.samples }, layer)
  local whole = {}
  for a = 1, type(o.grid) == "table" and #o.grid or 0 do whole[a] = 1 end
  self.router = hc.router(o.grid, o.split or whole)
  if self.count and self.count > #self.router.boxes[1] then
    usage.fail("%s: %d points of each expert, and a box has %d", name, self.count, #self.router.boxes[1])
  end
  self.rows = self.samples * self.router.size
  self.block = block(name, o, self.rows, nil, self.samples)
  self.instances, self.order, self.place = instance_names(self), {}, {}
  for s = 0, self.samples - 1 do
    for _, box in ipairs(self.router.boxes) do
      for _, row in ipairs(box) do self.order[#self.order + 1] = s * self.router.size + row end
    end
  end
  for i, row in ipairs(self.order) do self.place[row] = i end
  self.weights = solve(self, m, name, o)
  for k = 1, #self.instances do
    local rows = {}
    for i = 1, self.block.columns do rows[i] = (k - 1) * self.block.columns + i end
    self.w[k] = self.weights[rows]
  end
  return self
end

function layer:field(name, F, offset)
  if F == nil then
    if not self.block.fields[name] then usage.fail("%s: no field %s", self.name, tostring(name)) end
    F, offset = self.block.fields[name], self.block.offsets[name]
  else
    field(self.name, "field", tostring(name), F, self.rows, self.block.columns)
  end
  local value
  if #self.instances == 1 then
    value = F % self.weights
  else
    value = peri.bmm(F[self.order], self.weights, #self.instances)[self.place]
  end
  return offset and value + offset or value
end

--- Other points for all experts, of the streams' draw `number`; what was computed before does not change.
function layer:draw(number)
  if not self.mask then usage.fail("%s: its points are drawn once; redraw = true makes a layer that draws again", self.name) end
  if math.type(number) ~= "integer" or number < 0 then usage.fail("%s: a draw's number is an integer >= 0", self.name) end
  local _, mask = draw_all(self, number)
  self.mask:set(mask)
end

return hc
