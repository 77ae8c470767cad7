-- SPDX-License-Identifier: Apache-2.0
-- @NAME@ inside methods that solve linear systems, on problems with known optima; run by `make check`.
local peri = require "perigee"

--- The solution of m with @NAME@ for the linear systems; its objective and entries of x must be those known.
local function check(m, method, x, objective, point)
  local sol = m:solve(method, { linear_solver = "@NAME@" })
  local close = math.abs(sol.objective - objective) <= 1e-7 * (1 + math.abs(objective))
  for i, value in ipairs(point) do
    close = close and math.abs(sol[x][i] - value) <= 1e-5 * (1 + math.abs(value))
  end
  print(("%-24s %s, %s, objective %.10g after %d iterations"):format(m.name, method, sol.status, sol.objective, sol.iterations))
  if not sol.status:find "optimal" or not close then
    io.stderr:write("@NAME@ is wrong on ", m.name, ": ", tostring(sol), "\n")
    os.exit(1)
  end
end

-- Rosenbrock 1960: 0 at (1, 1); Newton's systems, definite once regularised
local m = peri.model "rosenbrock"
local x = m:var("x", 2, { start = { -1.2, 1 } })
m:minimize((1 - x[1]) ^ 2 + 100 * (x[2] - x[1] ^ 2) ^ 2)
check(m, "newton", x, 0, { 1, 1 })

-- (x1 - 2)^2 + (x2 - 2)^2 on x1 + x2 = 1, x >= 0.25: 4.5 at (0.5, 0.5); an interior point's systems
m = peri.model "segment"
x = m:var("x", 2, { lower = 0.25 })
m:minimize((x[1] - 2) ^ 2 + (x[2] - 2) ^ 2)
m:subject_to((x[1] + x[2]):eq(1))
check(m, "ipm", x, 4.5, { 0.5, 0.5 })
