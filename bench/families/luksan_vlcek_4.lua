-- SPDX-License-Identifier: Apache-2.0
-- Problem 5.4 of Luksan and Vlcek, report V-767, ICS Prague, 1999: chained Cragg-Levy function with tridiagonal constraints. n is even.

local peri = require "perigee"

local family = {
  about = "Luksan-Vlcek 5.4: chained Cragg-Levy function, tridiagonal constraints",
  targets = { gradient = 0.5, constraints = 1.2, jacobian = 1.3, hessian = 0.6 },
}

function family.instances(mode)
  local n = ({ full = 1000000, quick = 100000, check = 20 })[mode]
  local all = { { label = ("n = %d, map"):format(n), n = n, map = true } }
  if mode ~= "quick" then
    n = mode == "full" and 100000 or 22
    all[2] = { label = ("n = %d, loop"):format(n), n = n }
  end
  return all
end

local function cragg_levy(x, j)
  local a, b, c, d = x[2 * j - 1], x[2 * j], x[2 * j + 1], x[2 * j + 2]
  return (peri.exp(a) - b)^4 + 100 * (b - c)^6 + peri.tan(c - d)^4 + a^8 + (d - 1)^2
end

local function tridiagonal(x, k)
  return 8 * x[k + 1] * (x[k + 1]^2 - x[k]) - 2 * (1 - x[k + 1]) + 4 * (x[k + 1] - x[k + 2]^2)
end

function family.build(instance)
  local n = instance.n
  local m = peri.model "luksan-vlcek 5.4"
  local start = {}
  for i = 1, n do start[i] = (i == 1 and 1 or 2) + 0.01 * (i % 11) end
  local x = m:var("x", n, { start = peri.array(start) })
  if instance.map then
    m:minimize(peri.map(n // 2 - 1, function(j) return cragg_levy(x, j) end):sum())
    m:subject_to(peri.map(n - 2, function(k) return tridiagonal(x, k) end):eq(0))
  else
    local sum = 0
    for j = 1, n // 2 - 1 do sum = sum + cragg_levy(x, j) end
    m:minimize(sum)
    for k = 1, n - 2 do m:subject_to(tridiagonal(x, k):eq(0)) end
  end
  return m, { n }
end

return family
