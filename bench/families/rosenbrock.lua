-- SPDX-License-Identifier: Apache-2.0
-- The chained Rosenbrock function, sum 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2, in four ways of writing.

local peri = require "perigee"

local ways = {
  map = function(x, n)
    return peri.map(n - 1, function(i) return 100 * (x[i + 1] - x[i]^2)^2 + (1 - x[i])^2 end):sum()
  end,
  loop = function(x, n)
    local sum = 0
    for i = 1, n - 1 do sum = sum + 100 * (x[i + 1] - x[i]^2)^2 + (1 - x[i])^2 end
    return sum
  end,
  grouped = function(x, n)
    local sum = 0
    for i = 1, n - 1 do sum = sum + (100 * (x[i + 1] - x[i]^2)^2 + (1 - x[i])^2) end
    return sum
  end,
  slices = function(x, n)
    local a, b = x:slice(1, n - 1), x:slice(2, n)
    return (100 * (b - a^2)^2 + (1 - a)^2):sum()
  end,
}

local family = { about = "chained Rosenbrock function", class = "polynomial" }

function family.instances(mode)
  local all = {}
  local function add(n, way) all[#all + 1] = { label = ("n = %d, %s"):format(n, way), n = n, way = way } end
  local n = ({ full = 1000000, quick = 100000, check = 20 })[mode]
  for _, way in ipairs { "map", "slices", "loop", "grouped" } do add(n, way) end
  if mode == "full" then add(100000, "map") end
  return all
end

function family.build(instance)
  local n = instance.n
  local m = peri.model "rosenbrock"
  local start = {}
  for i = 1, n do start[i] = i % 2 == 1 and -1.2 or 1 end
  local x = m:var("x", n, { start = peri.array(start) })
  m:minimize(ways[instance.way](x, n))
  return m, { n }
end

return family
