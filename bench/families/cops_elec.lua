-- SPDX-License-Identifier: Apache-2.0
-- Electrons on a sphere: all pairs of points, a dense Hessian; square roots and divisions, which C's compiler vectorizes.

local family = { about = "COPS electrons on a sphere: 1 / distance of all pairs", class = "polynomial" }

function family.instances(mode)
  local np = ({ full = 400, quick = 100, check = 13 })[mode]
  return { { label = ("%d electrons"):format(np), np = np } }
end

function family.build(instance)
  local m = require "perigee".cops.elec(instance.np, { spread = 0.1 })
  return m, { instance.np }
end

return family
