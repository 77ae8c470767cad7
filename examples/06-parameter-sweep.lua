-- SPDX-License-Identifier: Apache-2.0
-- Shows: a parameter swept, each solve starting from the last solution; the model is built and compiled once.
-- What hydrazine burnt in oxygen consists of at 3500 K, as the pressure rises: the mixture with the least free energy.
-- Data: White, Johnson and Dantzig, "Chemical equilibrium in complex mixtures", J. Chem. Phys. 28 (1958).

local peri = require "perigee"

local species = { "H", "H2", "H2O", "N", "N2", "NH", "NO", "O", "O2", "OH" }
local energy = peri.array { -10.021, -21.096, -37.986, -9.846, -28.653, -18.918, -28.032, -14.640, -30.594, -26.111 }
local atoms = peri.array { -- of hydrogen, nitrogen, oxygen in a molecule of each species
  { 1, 2, 2, 0, 0, 1, 0, 0, 0, 1 },
  { 0, 0, 0, 1, 2, 1, 1, 0, 0, 0 },
  { 0, 0, 1, 0, 0, 0, 1, 1, 2, 1 },
}

local m = peri.model "equilibrium"
local amount = m:var("amount", #species, { lower = 1e-8, start = 0.1 }) -- mol
local log_pressure = m:param("log_pressure", 0)
m:minimize(amount:dot(energy + log_pressure + peri.log(amount / amount:sum())))
m:subject_to("atoms", (atoms % amount):eq(peri.array { 2, 1, 1 }))

local sol
print("pressure  free energy      H2O       H2       OH        O   share of the molecules, %")
for _, pressure in ipairs { 1, 2, 5, 10, 20, 51, 100 } do
  log_pressure:set(math.log(pressure))
  sol = m:solve("ipm", { warm_start = sol })
  local share = sol:value(100 * amount / amount:sum())
  print(("%5d atm   %.5f %8.3f %8.3f %8.3f %8.3f"):format(pressure, sol.objective, share[3], share[2], share[10],
    share[8]))
end
