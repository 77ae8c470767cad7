-- SPDX-License-Identifier: Apache-2.0
--- Optimality conditions as equations, for peri.implicit and for low:argmin{ fixed_point = ... or residual = ... }.
--
--   local mappings = require "perigee.mappings"
--   local T = mappings.projected_gradient{ objective = f, projection = proximal.simplex, step = 0.5 }
--   local y = peri.implicit{ fixed_point = T, start = peri.zeros(n, 1), arguments = { theta } }
--
-- f and the other functions take the unknown and the arguments of peri.implicit. Any step > 0 gives the same derivatives; one near 1 / (curvature of f)
-- gives the best-conditioned systems. Source: Blondel et al. 2022, Efficient and modular implicit differentiation, NeurIPS 35, table 1.

local peri = require "perigee"
local proximal = require "perigee.proximal"
local usage = require "perigee.usage"

local mappings = {}

local function options(where, given, needed, others)
  local known = table.move(others or {}, 1, #(others or {}), #needed + 1, table.move(needed, 1, #needed, 1, {}))
  if type(given) ~= "table" then usage.fail("%s: a table of options is needed, not %s; it takes %s", where, tostring(given), table.concat(known, ", ")) end
  usage.only(where, given, known)
  for _, key in ipairs(needed) do
    if given[key] == nil then usage.fail("%s: %s is needed; it takes %s", where, key, table.concat(known, ", ")) end
  end
  return given
end

--- Gradient of f(y, ...) by y, which may be any expression.
local function gradient(f, y, ...)
  local value = f(y, ...)
  local fine, g = pcall(peri.grad, value, y)
  if fine then return g end
  local marked = peri.mark(y, "iterate")
  return peri.grad(f(marked, ...), marked)
end

--- grad f = 0, a residual
function mappings.stationary(o)
  options("stationary", o, { "objective" })
  return function(y, ...) return gradient(o.objective, y, ...) end
end

--- The Karush-Kuhn-Tucker conditions of min f(z) with h(z) = 0, g(z) <= 0, a residual of y = (z, nu, lambda): n entries of z, then a multiplier a row.
-- Where both g_i and lambda_i vanish its Jacobian is singular.
function mappings.kkt(o)
  options("kkt", o, { "objective", "n" }, { "equalities", "inequalities" })
  return function(y, ...)
    local z = y:slice(1, o.n)
    local lagrangian, rows, at = o.objective(z, ...), {}, o.n
    for _, key in ipairs{ "equalities", "inequalities" } do
      if o[key] then
        local c = o[key](z, ...)
        local m = y:slice(at + 1, at + #c)
        at = at + #c
        lagrangian = lagrangian + peri.dot(m, c)
        rows[#rows + 1] = key == "equalities" and c or m * c
      end
    end
    if at ~= #y then usage.fail("kkt: %d unknowns for %d variables and %d constraint rows", #y, o.n, at - o.n) end
    return peri.stack{ peri.grad(lagrangian, z), table.unpack(rows) }
  end
end

--- prox_{step g}(y - step grad f), a fixed point; prox(v, step, ...)
function mappings.proximal_gradient(o)
  options("proximal_gradient", o, { "objective", "prox" }, { "step" })
  local step = o.step or 1
  return function(y, ...) return o.prox(y - step * gradient(o.objective, y, ...), step, ...) end
end

--- proj_C(y - step grad f), a fixed point; projection(v, ...)
function mappings.projected_gradient(o)
  options("projected_gradient", o, { "objective", "projection" }, { "step" })
  local step = o.step or 1
  return function(y, ...) return o.projection(y - step * gradient(o.objective, y, ...), ...) end
end

-- y r / sum(y r) with r = exp(-step g): softmax(log y - step g), without the logarithm of entries that are 0
local function entropic(y, g, step)
  if y:cols() == 1 then
    local r = y * peri.exp(-step * (g - peri.stop(peri.min(g))))
    return r / peri.sum(r)
  end
  local r = y * peri.exp(-step * (g + peri.stop(peri.max(-g, 2))))
  return r / peri.sum(r, 2)
end

--- proj^phi_C(grad phi(y) - step grad f), a fixed point. geometry "simplex" (the default): phi the negative entropy, C the simplex, of each row of a
-- matrix; else grad_phi(y) and projection(v, ...), the projection in phi's distance.
function mappings.mirror_descent(o)
  options("mirror_descent", o, { "objective" }, { "step", "geometry", "grad_phi", "projection" })
  local step = o.step or 1
  if (o.grad_phi == nil) ~= (o.projection == nil) then usage.fail("mirror_descent: grad_phi and projection are given together") end
  if o.geometry ~= nil and o.geometry ~= "simplex" then usage.fail('mirror_descent: geometry %s is not "simplex"', tostring(o.geometry)) end
  return function(y, ...)
    local g = gradient(o.objective, y, ...)
    if o.projection then return o.projection(o.grad_phi(y) - step * g, ...) end
    return entropic(y, g, step)
  end
end

--- y - step (dG/dy)^-1 G for a root of G, a fixed point of column vectors
function mappings.newton(o)
  options("newton", o, { "equations" }, { "step" })
  return function(y, ...)
    local fine, J = true, nil
    local G = o.equations(y, ...)
    fine, J = pcall(peri.jacobian, G, y)
    if not fine then
      local marked = peri.mark(y, "iterate")
      G = o.equations(marked, ...)
      J = peri.jacobian(G, marked)
    end
    if #y == 1 then return y - (o.step or 1) * G / J end
    return y - (o.step or 1) * peri.solve(J, G)
  end
end

--- Block by block prox_{step_j g_j}(y_j - step_j grad_j f), a fixed point; blocks: { first, last, prox = , step = }, which cover y in order. prox nil: none
function mappings.block_proximal_gradient(o)
  options("block_proximal_gradient", o, { "objective", "blocks" })
  return function(y, ...)
    local g = gradient(o.objective, y, ...)
    local parts, at = {}, 0
    for k, block in ipairs(o.blocks) do
      local first, last, step = block[1], block[2], block.step or 1
      if first ~= at + 1 or last < first or last > #y then
        usage.fail("block_proximal_gradient: block %d is %s .. %s where the one before ends at %d of %d", k, tostring(first), tostring(last), at, #y)
      end
      at = last
      local v = y:slice(first, last) - step * g:slice(first, last)
      parts[k] = block.prox and block.prox(v, step, ...) or v
    end
    if at ~= #y then usage.fail("block_proximal_gradient: the blocks end at %d of %d", at, #y) end
    return peri.stack(parts)
  end
end

local cones = { -- projections onto the dual cones
  zero = function(v) return v end,
  nonnegative = proximal.nonnegative,
  second_order = proximal.second_order_cone,
}

--- The residual map of min c'z with E z + s = d, s in K, of y = (z, u): the homogeneous embedding's ((S - I) Pi + I) (z, u, w) with w = 1, where it is not
-- singular. Pi(u) is the dual solution and Pi(u) - u is s. c, E, d: functions of the arguments, or what they give; cones: { "nonnegative", 3 }, { "zero", 1 },
-- { "second_order", 4 } in the order of rows.
function mappings.conic(o)
  options("conic", o, { "c", "E", "d", "cones" })
  local function part(value, ...)
    if type(value) == "function" then return value(...) end
    return value
  end
  return function(y, ...)
    local c, E, d = part(o.c, ...), part(o.E, ...), part(o.d, ...)
    local n, m = #c, #d
    if #y ~= n + m then usage.fail("conic: %d unknowns for %d variables and %d rows", #y, n, m) end
    local z, u = y:slice(1, n), y:slice(n + 1, n + m)
    local parts, at = {}, 0
    for k, cone in ipairs(o.cones) do
      local project = cones[cone[1]]
      if not project then usage.fail("conic: no cone %s; there are nonnegative, second_order, zero", tostring(cone[1])) end
      parts[k] = project(u:slice(at + 1, at + cone[2]))
      at = at + cone[2]
    end
    if at ~= m then usage.fail("conic: the cones have %d rows of %d", at, m) end
    local dual = peri.stack(parts)
    return peri.stack{ E:t() % dual + c, d - E % z - dual + u }
  end
end

return mappings
