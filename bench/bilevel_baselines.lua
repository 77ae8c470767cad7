-- SPDX-License-Identifier: Apache-2.0
-- What lv-hba and penalty-bilevel are compared with, as methods in Lua on the views of the two levels:
--   f2sa    Kwon, Kwon, Wright and Nowak 2023: one or some gradient steps for y on F + lambda f, for z on f, then one for x; lambda grows
--   v-pbgd  Shen and Chen 2023: z by steps on f, then (x, y) down F + lambda (f(x, y) - f(x, z)) together
--   bome    Liu, Ye, Wright, Stone and Liu 2022: q = f(x, y) - f(x, y_T); down grad F + w grad q, w = max(0, (phi - <grad F, grad q>) / |grad q|^2), phi = |grad q|^2/2
--   aid     implicit gradient: D2_yy f v = grad_y F by conjugate gradients; down grad_x F - D2_xy f v
--   gam     Xu and Zhu 2023: the lower level solved; its derivative from the conditions of the active rows
--   e-aipod Xiao, Shen and Chen 2023: equations below; projected steps for y, the implicit gradient within them (a projection in each step: what replaces one
--           that is left out was not to be had)
-- Levels have bounds only for the first four; those are kept by clipping.

local peri = require "perigee"
local B = {}

local function option(name, default, help) return { name = name, type = "real", default = default, lower = 0, upper = 1e10, help = help } end

local function whole(name, default, help) return { name = name, type = "int", default = default, lower = 1, upper = 1000000, help = help } end

local function open(self, run, options)
  self.o, self.levels = options, run:levels()
  self.F, self.f = run:level(0), run:level(1)
  self.above, self.below = self.levels[0].variables, self.levels[1].variables
  self.w = run:start()
  self.z = run:start()
  self.g = {}
  for k = 1, 4 do self.g[k] = peri.zeros(run.n) end
end

--- v[j] := v[j] - length d(j), within bounds, for the places given
local function move(run, v, places, length, d)
  local square = 0
  for _, j in ipairs(places) do
    local to = math.min(math.max(v[j] - length * d(j), run.xl[j]), run.xu[j])
    square = square + (to - v[j])^2
    v[j] = to
  end
  return math.sqrt(square) / length
end

local function copy(to, from, places)
  for _, j in ipairs(places) do to[j] = from[j] end
end

--- steps of z down f
local function follow(self, run, v, steps, length)
  local moved
  for _ = 1, steps do
    local _, g = self.f:fg(v, self.g[3])
    moved = move(run, v, self.below, length, function(j) return g[j] end)
  end
  return moved
end

local function finish(self, run, moved)
  run:accept { x = self.w, objective = run:f(self.w), dual = moved }
  if moved <= self.o.residual then return "converged" end
end

local common = { option("residual", 1e-8, "ends the run: length of the upper step over its length"), whole("inner", 20, "steps below for one above") }

local function define(name, options, step)
  for _, o in ipairs(common) do options[#options + 1] = o end
  B[name] = peri.plugin {
    name = name, summary = "baseline of the study of two levels", page = "See the file's head.", needs = { "levels", "gradient" },
    refuses = { "multilevel", "integer" }, options = options, init = open, step = step,
  }
end

define("f2sa", { option("lambda", 100, "largest multiplier"), option("start", 1, "first one"), option("growth", 0.05, "added in each step"),
  option("y_length", 0.2, "step of y, over 1 + lambda"), option("z_length", 0.2, "of z"), option("x_length", 0.3, "of x") }, function(self, run)
  local o = self.o
  self.lambda = math.min(o.lambda, (self.lambda or o.start - o.growth) + o.growth)
  local l = self.lambda
  for _ = 1, o.inner do
    local _, F = self.F:fg(self.w, self.g[1])
    local _, f = self.f:fg(self.w, self.g[2])
    move(run, self.w, self.below, o.y_length / (1 + l), function(j) return F[j] + l * f[j] end)
  end
  follow(self, run, self.z, o.inner, o.z_length)
  local _, F = self.F:fg(self.w, self.g[1])
  local _, y = self.f:fg(self.w, self.g[2])
  local _, z = self.f:fg(self.z, self.g[3])
  local moved = move(run, self.w, self.above, o.x_length, function(j) return F[j] + l * (y[j] - z[j]) end)
  copy(self.z, self.w, self.above)
  return finish(self, run, l < o.lambda and math.huge or moved)
end)

define("v-pbgd", { option("lambda", 100, "multiplier"), option("z_length", 0.2, "step of z"), option("length", 0.005, "of x and y") }, function(self, run)
  local o = self.o
  follow(self, run, self.z, o.inner, o.z_length)
  local _, F = self.F:fg(self.w, self.g[1])
  local _, y = self.f:fg(self.w, self.g[2])
  local _, z = self.f:fg(self.z, self.g[3])
  local down = move(run, self.w, self.below, o.length, function(j) return F[j] + o.lambda * y[j] end)
  local across = move(run, self.w, self.above, o.length, function(j) return F[j] + o.lambda * (y[j] - z[j]) end)
  copy(self.z, self.w, self.above)
  return finish(self, run, math.sqrt(down^2 + across^2))
end)

define("bome", { option("z_length", 0.2, "step of y_T"), option("length", 0.1, "of x and y") }, function(self, run)
  local o, product, square = self.o, 0, 0
  copy(self.z, self.w, self.above)
  copy(self.z, self.w, self.below)
  follow(self, run, self.z, o.inner, o.z_length)
  local _, F = self.F:fg(self.w, self.g[1])
  local _, y = self.f:fg(self.w, self.g[2])
  local _, z = self.f:fg(self.z, self.g[3])
  local function q(j) return self.inner[j] and y[j] or y[j] - z[j] end
  if not self.inner then
    self.inner = {}
    for _, j in ipairs(self.below) do self.inner[j] = true end
  end
  for j = 1, run.n do
    product, square = product + F[j] * q(j), square + q(j)^2
  end
  local weight = square > 0 and math.max(0, (0.5 * square - product) / square) or 0
  local function d(j) return F[j] + weight * q(j) end
  local down = move(run, self.w, self.below, o.length, d)
  local across = move(run, self.w, self.above, o.length, d)
  return finish(self, run, math.sqrt(down^2 + across^2))
end)

--- v on the given places: H v = b there, by conjugate gradients on products
local function conjugate_gradients(places, apply, b, steps)
  local v, r, d, rr = {}, {}, {}, 0
  for _, j in ipairs(places) do v[j], r[j], d[j], rr = 0, b[j], b[j], rr + b[j]^2 end
  local first = rr
  for _ = 1, steps do
    if rr <= 1e-24 * first or rr == 0 then break end
    local Hd, dHd = apply(d), 0
    for _, j in ipairs(places) do dHd = dHd + d[j] * Hd[j] end
    if not (dHd > 0) then break end
    local t, new = rr / dHd, 0
    for _, j in ipairs(places) do
      v[j], r[j] = v[j] + t * d[j], r[j] - t * Hd[j]
      new = new + r[j]^2
    end
    for _, j in ipairs(places) do d[j] = r[j] + new / rr * d[j] end
    rr = new
  end
  return v
end

local function product(self, run)
  local full = peri.zeros(run.n)
  return function(d)
    full:fill(0)
    for _, j in ipairs(self.below) do full[j] = d[j] end
    return self.f:hv(self.w, 1, self.no_rows, full)
  end
end

define("aid", { option("y_length", 0.2, "step of y"), option("x_length", 0.3, "of x"), whole("products", 20, "of the Hessian, for one step") },
  function(self, run)
    follow(self, run, self.w, self.o.inner, self.o.y_length)
    local _, F = self.F:fg(self.w, self.g[1])
    local apply = product(self, run)
    local across = apply(conjugate_gradients(self.below, apply, F, self.o.products))
    return finish(self, run, move(run, self.w, self.above, self.o.x_length, function(j) return F[j] - across[j] end))
  end)

-- ---- constraints below ------------------------------------------------------------------------------------------------------------------

local function entries(self, name, A)
  local places = self.places[name]
  if not places then -- the pattern stays: it is looked for once, at a point where no entry happens to vanish
    places = {}
    for i, row in ipairs(A:totable()) do
      for j, v in ipairs(row) do
        if v ~= 0 then places[#places + 1] = { i, j } end
      end
    end
    self.places[name] = places
  end
  local out = {}
  for k, p in ipairs(places) do out[k] = { p[1], p[2], A[p[1]][p[2]] } end
  return out
end

--- The rows whose multipliers are not zero count as equations: K s = (grad_y F, 0), and the gradient is grad_x F - (L_xy, G_x') s.
local function active_gradient(self, run, solved)
  local number, active = {}, {}
  for k, j in ipairs(self.below) do number[j] = k end
  for i = 1, self.f.m do
    if math.abs(solved.y[i]) > self.o.active then active[#active + 1] = i end
  end
  local n, size = #self.below, #self.below + #active
  local H, J = self.f:hessian(self.w, 1, solved.y * -1), self.f:jacobian(self.w)
  local at, e = {}, { i = {}, j = {}, v = {} }
  for k, i in ipairs(active) do at[i] = n + k end
  local function put(i, j, v) e.i[#e.i + 1], e.j[#e.j + 1], e.v[#e.v + 1] = i, j, v end
  local across = {} -- entries of upper variables' columns
  for _, q in ipairs(entries(self, "hessian", H)) do
    if number[q[1]] and number[q[2]] then put(number[q[1]], number[q[2]], q[3])
    elseif number[q[1]] then across[#across + 1] = { number[q[1]], q[2], q[3] } end
  end
  for _, q in ipairs(entries(self, "jacobian", J)) do
    if at[q[1]] and number[q[2]] then
      put(at[q[1]], number[q[2]], q[3])
      put(number[q[2]], at[q[1]], q[3])
    elseif at[q[1]] then
      across[#across + 1] = { at[q[1]], q[2], q[3] }
    end
  end
  local _, F = self.F:fg(self.w, self.g[1])
  local b = peri.zeros(size)
  for k, j in ipairs(self.below) do b[k] = F[j] end
  local K = peri.sparse { rows = size, cols = size, i = e.i, j = e.j, v = e.v }
  local system = run:factor(K, "indefinite")
  if system:values(K) == false then run:fail "the conditions of the active rows are singular" end
  local s = system:solve(b)
  local d = {}
  for _, j in ipairs(self.above) do d[j] = F[j] end
  for _, q in ipairs(across) do d[q[2]] = d[q[2]] - q[3] * s[q[1]] end
  return d
end

define("gam", { option("active", 1e-5, "multipliers above it belong to active rows"), option("x_length", 0.05, "step of x") }, function(self, run)
  self.places = self.places or {}
  local solved = run:solve_level(1, self.w, { tolerance = 1e-8 })
  for k, j in ipairs(self.below) do self.w[j] = solved.x[k] end
  local d = active_gradient(self, run, solved)
  local moved = move(run, self.w, self.above, self.o.x_length, function(j) return d[j] end)
  solved = run:solve_level(1, self.w, { tolerance = 1e-8 })
  for k, j in ipairs(self.below) do self.w[j] = solved.x[k] end
  return finish(self, run, moved)
end)

--- (A A')^-1 A v for the rows' part A of the lower variables
local function multipliers(self, run, v)
  local rows, full = {}, peri.zeros(run.n)
  for i = 1, self.f.m do rows[i] = i end
  for _, j in ipairs(self.below) do full[j] = v[j] end
  local b = self.f:jv(self.w, full)
  return conjugate_gradients(rows, function(r)
    local w = peri.zeros(self.f.m)
    for i = 1, self.f.m do w[i] = r[i] end
    local back = self.f:vj(self.w, w)
    for _, j in ipairs(self.above) do back[j] = 0 end
    return self.f:jv(self.w, back)
  end, b, 2 * self.f.m)
end

local function rows_back(self, u)
  local w = peri.zeros(self.f.m)
  for i = 1, self.f.m do w[i] = u[i] end
  return self.f:vj(self.w, w)
end

--- v without what changes the rows
local function within(self, run, v)
  local back, out = rows_back(self, multipliers(self, run, v)), {}
  for _, j in ipairs(self.below) do out[j] = v[j] - back[j] end
  return out
end

--- least squares of  P H P w = P b,  by conjugate gradients on the normal equations: the solution of least length
local function least_squares(self, run, b, steps)
  local apply = product(self, run)
  local no_rows = peri.zeros(self.f.m)
  self.no_rows = no_rows
  local function projected(d) return within(self, run, apply(within(self, run, d))) end
  return conjugate_gradients(self.below, function(d) return projected(projected(d)) end, projected(b), steps)
end

define("e-aipod", { option("y_length", 1e-3, "step of y"), option("x_length", 0.02, "of x"), whole("products", 20, "of the Hessian, twice, for one step"),
  whole("above_steps", 2, "steps above for one round") }, function(self, run)
  local o, moved = self.o, 0
  self.no_rows = peri.zeros(self.f.m)
  local function onto_rows()
    local c = self.f:constraints(self.w)
    local rows = {}
    for i = 1, self.f.m do rows[i], c[i] = i, c[i] - self.f.cl[i] end
    local u = conjugate_gradients(rows, function(r)
      local back = rows_back(self, r)
      for _, j in ipairs(self.above) do back[j] = 0 end
      return self.f:jv(self.w, back)
    end, c, 2 * self.f.m)
    local back = rows_back(self, u)
    for _, j in ipairs(self.below) do self.w[j] = self.w[j] - back[j] end
  end
  for _ = 1, o.inner do
    local _, g = self.f:fg(self.w, self.g[3])
    move(run, self.w, self.below, o.y_length, function(j) return g[j] end)
    onto_rows()
  end
  for _ = 1, o.above_steps do
    local _, F = self.F:fg(self.w, self.g[1])
    local v = least_squares(self, run, F, o.products)
    local Hv = product(self, run)(v)
    local held, bent = rows_back(self, multipliers(self, run, F)), rows_back(self, multipliers(self, run, Hv))
    moved = move(run, self.w, self.above, o.x_length, function(j) return F[j] - held[j] + bent[j] - Hv[j] end)
    onto_rows()
  end
  return finish(self, run, moved)
end)

return B
