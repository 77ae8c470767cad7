-- SPDX-License-Identifier: Apache-2.0
-- The cam: quadratic rows of three neighbours.

local family = { about = "COPS shape of a cam", class = "polynomial" }

function family.instances(mode)
  local size = ({ full = 100000, quick = 10000, check = 20 })[mode]
  return { { label = ("size %d"):format(size), size = size } }
end

function family.build(instance)
  local m = require "perigee".cops.camshape(instance.size, { spread = 0.1 })
  return m, { instance.size }
end

return family
