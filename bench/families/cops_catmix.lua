-- SPDX-License-Identifier: Apache-2.0
-- Catalyst mixing: twelve blocks of linear collocation rows and six of bilinear ones.

local family = { about = "COPS catalyst mixing, collocation", class = "polynomial" }

function family.instances(mode)
  local size = ({ full = 10000, quick = 1000, check = 7 })[mode]
  return { { label = ("size %d"):format(size), size = size } }
end

function family.build(instance)
  local m = require "perigee".cops.catmix(instance.size, { spread = 0.1 })
  return m, { instance.size }
end

return family
