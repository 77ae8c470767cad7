-- SPDX-License-Identifier: Apache-2.0
-- Goddard's rocket: an exponential and divisions at every point; the step is a variable that all rows share.

local family = { about = "COPS Goddard rocket", class = "transcendental" }

function family.instances(mode)
  local size = ({ full = 50000, quick = 5000, check = 20 })[mode]
  return { { label = ("size %d"):format(size), size = size } }
end

function family.build(instance)
  local m = require "perigee".cops.rocket(instance.size, { spread = 0.004 })
  return m, { instance.size }
end

return family
