-- SPDX-License-Identifier: Apache-2.0
-- A sum of exponentials, sines and cosines along a chain: sum exp(-x[i]^2) sin x[i+1] + cos(x[i] x[i+1]).

local peri = require "perigee"

local family = { about = "exponentials and sines along a chain", class = "transcendental" }

function family.instances(mode)
  local sizes = { full = { 100000, 1000000 }, quick = { 100000 }, check = { 21 } }
  local all = {}
  for _, n in ipairs(sizes[mode]) do all[#all + 1] = { label = ("n = %d"):format(n), n = n } end
  return all
end

function family.build(instance)
  local n = instance.n
  local m = peri.model "waves"
  local x = m:var("x", n, { start = peri.random.uniform { n = n, seed = 1, lower = -2, upper = 2 } })
  m:minimize(peri.map(n - 1, function(i)
    return peri.exp(-x[i]^2) * peri.sin(x[i + 1]) + peri.cos(x[i] * x[i + 1])
  end):sum())
  return m, { n }
end

return family
