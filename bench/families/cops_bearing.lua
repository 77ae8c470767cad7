-- SPDX-License-Identifier: Apache-2.0
-- The journal bearing: a quadratic on a grid with weights that change along it. The Hessian is constant.

local family = { about = "COPS journal bearing", class = "polynomial" }

function family.instances(mode)
  local nx, ny = table.unpack(({ full = { 300, 400 }, quick = { 100, 100 }, check = { 11, 14 } })[mode])
  return { { label = ("grid %d x %d"):format(nx, ny), nx = nx, ny = ny } }
end

--- n values fn(0 ... n - 1)
local function list(n, fn)
  local values = {}
  for i = 1, n do values[i] = fn(i - 1) end
  return values
end

function family.build(instance)
  local nx, ny = instance.nx, instance.ny
  local hx, hy, e = 2 * math.pi / (nx + 1), 20 / (ny + 1), 0.1
  local function weight(i) return (1 + e * math.cos(i * hx)) ^ 3 end
  local lower = list(nx + 1, function(i) return hx * hy / 12 * (weight(i) + 2 * weight(i + 1)) end)
  local upper = list(nx + 1, function(i) return hx * hy / 12 * (2 * weight(i + 1) + 2 * weight(i)) end)
  local load = list(nx + 2, function(i) return hx * hy * e * math.sin(i * hx) end)
  local m = require "perigee".cops.bearing(nx, ny, { spread = 0.1 })
  return m, { nx, ny, 1 / hx ^ 2, 1 / hy ^ 2, lower, upper, load, load, load }
end

return family
