-- SPDX-License-Identifier: Apache-2.0
-- Elastic-plastic torsion: a quadratic on a grid. The Hessian is constant.

local family = { about = "COPS elastic-plastic torsion", class = "polynomial" }

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
  local hx, hy, c = 1 / (nx + 1), 1 / (ny + 1), 5
  local quarter = list(nx + 1, function() return hx * hy / 4 end)
  local function loads(first, inner, last) -- by the number of triangles that meet
    return list(nx + 2, function(i)
      return c * hx * hy / 6 * (i == 0 and first or i == nx + 1 and last or inner)
    end)
  end
  local m = require "perigee".cops.torsion(nx, ny, { spread = 0.1 })
  return m, { nx, ny, 1 / hx ^ 2, 1 / hy ^ 2, quarter, quarter, loads(1, 3, 2), loads(3, 6, 3), loads(2, 3, 1) }
end

return family
