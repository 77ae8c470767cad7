-- SPDX-License-Identifier: Apache-2.0
-- Problem 5.2 of Luksan and Vlcek, report V-767, ICS Prague, 1999: chained Wood function with Broyden banded constraints. n is even.

local peri = require "perigee"

local family = { about = "Luksan-Vlcek 5.2: chained Wood function, Broyden banded constraints", class = "polynomial" }

function family.instances(mode)
  local n = ({ full = 1000000, quick = 100000, check = 26 })[mode]
  local all = { { label = ("n = %d, map"):format(n), n = n, map = true } }
  if mode == "full" then all[2] = { label = "n = 100000, loop", n = 100000 } end
  if mode == "check" then all[2] = { label = "n = 20, loop", n = 20 } end
  return all
end

local function wood(x, j)
  local a, b, c, d = x[2 * j - 1], x[2 * j], x[2 * j + 1], x[2 * j + 2]
  return 100 * (a^2 - b)^2 + (a - 1)^2 + 90 * (c^2 - d)^2 + (c - 1)^2 + 10 * (b + d - 2)^2 + (b - d)^2 / 10
end

--- Row k: the sum is over i = first .. last.
local function banded(x, k, first, last)
  local sum = (2 + 5 * x[k + 5]^2) * x[k + 5] + 1
  for d = first, last do sum = sum + x[k + d] * (1 + x[k + d]) end
  return sum
end

function family.build(instance)
  local n = instance.n
  local m = peri.model "luksan-vlcek 5.2"
  local start = {}
  for i = 1, n do start[i] = (i % 2 == 1 and -2 or 1) + 0.001 * (i % 7) end
  local x = m:var("x", n, { start = peri.array(start) })
  for k = 1, 5 do m:subject_to(banded(x, k, 1 - k, 1):eq(0)) end
  if instance.map then
    m:minimize(peri.map(n // 2 - 1, function(j) return wood(x, j) end):sum())
    m:subject_to(peri.map(n - 12, function(k) return banded(x, k + 5, -5, 1) end):eq(0))
  else
    local sum = 0
    for j = 1, n // 2 - 1 do sum = sum + wood(x, j) end
    m:minimize(sum)
    for k = 6, n - 7 do m:subject_to(banded(x, k, -5, 1):eq(0)) end
  end
  return m, { n }
end

return family
