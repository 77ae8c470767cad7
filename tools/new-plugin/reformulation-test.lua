-- SPDX-License-Identifier: Apache-2.0
-- @NAME@ with a solver behind it, on problems with known optima; run by `make check`.
local peri = require "perigee"

--- The solution of m by @NAME@ > lbfgs; its objective and entries of x must be those known.
local function check(m, x, objective, point)
  local sol = m:solve("@NAME@ > lbfgs")
  local close = math.abs(sol.objective - objective) <= 1e-6 * (1 + math.abs(objective))
  for i, value in ipairs(point) do
    close = close and math.abs(sol[x][i] - value) <= 1e-5 * (1 + math.abs(value))
  end
  print(("%-24s %s, objective %.10g after %d solves"):format(m.name, sol.status, sol.objective, sol.iterations))
  if not sol.status:find "optimal" or not close then
    io.stderr:write("@NAME@ is wrong on ", m.name, ": ", tostring(sol), "\n")
    os.exit(1)
  end
end

-- problem 22 of Hock and Schittkowski 1981: 1 at (1, 1), both constraints active
local m = peri.model "hs22"
local x = m:var("x", 2, { start = { 2, 2 } })
m:minimize((x[1] - 2) ^ 2 + (x[2] - 1) ^ 2)
m:subject_to(x[1] + x[2] <= 2)
m:subject_to(x[2] >= x[1] ^ 2)
check(m, x, 1, { 1, 1 })

-- x1^2 + x2^2 on the line x1 + 2 x2 = 3: 1.8 at (0.6, 1.2)
m = peri.model "line"
x = m:var("x", 2)
m:minimize(x[1] ^ 2 + x[2] ^ 2)
m:subject_to((x[1] + 2 * x[2]):eq(3))
check(m, x, 1.8, { 0.6, 1.2 })
