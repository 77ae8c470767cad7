-- SPDX-License-Identifier: Apache-2.0
-- @NAME@ on problems with known optima; run by `make check`.
local peri = require "perigee"

--- The solution of m by @NAME@; its objective and entries of x must be those known.
local function check(m, x, objective, point)
  local sol = m:solve("@NAME@")
  local close = math.abs(sol.objective - objective) <= 1e-8 * (1 + math.abs(objective))
  for i, value in ipairs(point) do
    close = close and math.abs(sol[x][i] - value) <= 1e-5 * (1 + math.abs(value))
  end
  print(("%-24s %s, objective %.10g after %d iterations"):format(m.name, sol.status, sol.objective, sol.iterations))
  if not sol.status:find "optimal" or not close then
    io.stderr:write("@NAME@ is wrong on ", m.name, ": ", tostring(sol), "\n")
    os.exit(1)
  end
end

-- Rosenbrock 1960: 0 at (1, 1)
local m = peri.model "rosenbrock"
local x = m:var("x", 2, { start = { -1.2, 1 } })
m:minimize((1 - x[1]) ^ 2 + 100 * (x[2] - x[1] ^ 2) ^ 2)
check(m, x, 0, { 1, 1 })

-- undefined for x <= 0: x - 3 log x is least at 3
m = peri.model "logarithm"
x = m:var("x", 1, { start = 0.05 })
m:minimize(x[1] - 3 * peri.log(x[1]))
check(m, x, 3 - 3 * math.log(3), { 3 })
