-- SPDX-License-Identifier: Apache-2.0
-- Particle steering: sine and cosine of the control; the final time is a variable that all rows share.

local family = { about = "COPS particle steering, trapezoidal rule", class = "transcendental" }

function family.instances(mode)
  local size = ({ full = 50000, quick = 5000, check = 20 })[mode]
  return { { label = ("size %d"):format(size), size = size } }
end

function family.build(instance)
  local m = require "perigee".cops.steering(instance.size, { spread = 0.1 })
  return m, { instance.size }
end

return family
