-- SPDX-License-Identifier: Apache-2.0
-- Ten variables, evaluated a million times: what a call costs beyond its arithmetic.

local peri = require "perigee"

local family = { about = "ten variables, a million calls", targets = { gradient = 3 } }

function family.instances()
  return {
    { label = "vector form (chained Rosenbrock)", which = 0, calls = 1000000, overhead = 0.3e-6 },
    { label = "ten scalar terms, all different", which = 1, calls = 1000000, overhead = 0.3e-6 },
  }
end

local function vector_form(x)
  local a, b = x:slice(1, 9), x:slice(2, 10)
  return (100 * (b - a^2)^2 + (1 - a)^2):sum()
end

local function ten_terms(x)
  return peri.exp(x[1] - x[2]) + peri.sin(x[2] * x[3]) + (x[3] - x[4]^2)^2 + peri.log(1 + x[4]^2) + x[5] * x[6] * x[7]
    + peri.sqrt(1 + x[6]^2) + peri.cos(x[7]) * x[8] + (x[8] - 1)^4 + peri.exp(-x[9]^2) + x[10]^2 / (1 + x[9]^2)
end

function family.build(instance)
  local m = peri.model "tiny"
  local x = m:var("x", 10, { start = { -1.2, 1, 0.7, -0.3, 0.4, 1.1, -0.8, 0.2, 0.6, 0.9 } })
  m:minimize((instance.which == 0 and vector_form or ten_terms)(x))
  return m, { instance.which }
end

return family
