-- SPDX-License-Identifier: Apache-2.0
-- Shows: a model, its solution, and the certificate that the engine computes itself.
-- The curved valley of Rosenbrock (1960), first without and then with a constraint that cuts the minimum off.

local peri = require "perigee"

local m = peri.model "rosenbrock"
local x = m:var("x", 2, { start = { -1.2, 1 } })
m:minimize((1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2)

local free = m:solve("lbfgs", { tolerance = 1e-9 })
print(("free:         x = (%.5f, %.5f), objective below 1e-9: %s"):format(free[x][1], free[x][2],
  free.objective < 1e-9))

local cut = m:subject_to("cut", x:sum() <= 1.5)
local sol = m:solve()
print(("constrained:  x = (%.5f, %.5f), objective %.6f"):format(sol[x][1], sol[x][2], sol.objective))
print(("one more unit on the right-hand side of %s would change it by %.4f"):format("x1 + x2 <= 1.5", sol:dual(cut)))
print(("status %s, certificate below 1e-6: %s"):format(sol.status, sol.certificate.kkt <= 1e-6))
