-- SPDX-License-Identifier: Apache-2.0
-- The hanging chain: square roots at every point, which C's compiler vectorizes, so that the polynomial targets hold.

local family = { about = "COPS hanging chain", class = "polynomial" }

function family.instances(mode)
  local size = ({ full = 50000, quick = 5000, check = 20 })[mode]
  return { { label = ("size %d"):format(size), size = size } }
end

function family.build(instance)
  local m = require "perigee".cops.chain(instance.size, { spread = 0.1 })
  return m, { instance.size }
end

return family
