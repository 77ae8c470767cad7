-- SPDX-License-Identifier: Apache-2.0
-- Particle steering by collocation: products with the final time in most rows, sine and cosine in some.

local family = { about = "COPS particle steering, collocation", class = "transcendental" }

function family.instances(mode)
  local size = ({ full = 5000, quick = 500, check = 5 })[mode]
  return { { label = ("size %d"):format(size), size = size } }
end

function family.build(instance)
  local m = require "perigee".cops.particle(instance.size, { spread = 0.1 })
  return m, { instance.size }
end

return family
