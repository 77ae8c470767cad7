-- SPDX-License-Identifier: Apache-2.0
-- Dense data and geometric programs, as users write them. No reference: what is looked at is that compiling takes no list of terms, and that a Hessian
-- takes the time of its products of matrices.

local peri = require "perigee"

local function random(rows, cols, seed)
  return peri.random.uniform{ rows = rows, cols = cols, lower = -1, upper = 1, seed = seed }
end

local kinds = {
  ["least squares"] = function(x, rows, n)
    local r = random(rows, n, 1) % x - random(rows, 1, 2)
    return r:dot(r)
  end,
  portfolio = function(x, rows, n)
    local r = random(rows, n, 1) % x
    return r:dot(r) / rows, function(k) return k == 1 and x:sum():eq(1) or nil end
  end,
  logistic = function(x, rows, n) return peri.softplus(random(rows, 1, 2) * (random(rows, n, 1) % x)):mean() end,
  poisson = function(x, rows, n)
    local z = random(rows, n, 1) % x
    return peri.exp(z):sum() - (random(rows, 1, 2) + 1):dot(z)
  end,
  exponential = function(x, rows, n)
    local r = peri.exp(0.1 * (random(rows, n, 1) % x)) - random(rows, 1, 2)
    return r:dot(r)
  end,
  ["softmax, 5 classes"] = function(x, rows, n)
    local Z = random(rows, n // 5, 1) % x:reshape(n // 5, 5)
    return peri.map(rows, function(i) return Z[i]:logsumexp() - Z[i][1] end):mean()
  end,
  ["geometric program"] = function(x, rows, n)
    return (random(50, n, 1) % x):logsumexp(), function(k) return (random(20, n, k + 1) % x):logsumexp() <= 5 end
  end,
}

local sizes = { -- rows, columns
  { "least squares", 10000, 100 }, { "portfolio", 1000, 500 }, { "logistic", 10000, 100 }, { "poisson", 5000, 30 }, { "exponential", 1000, 100 },
  { "softmax, 5 classes", 1000, 100 }, { "geometric program", 50, 100 },
}

local family = { about = "dense data, geometric programs" }

function family.instances(mode)
  local list = {}
  for k, size in ipairs(sizes) do
    local rows, n = size[2], size[3]
    if mode == "quick" then rows = rows // 5 end
    if mode == "check" then rows, n = rows // 20 + 8, n // 5 + 5 - n // 5 % 5 end
    list[k] = { label = ("%s, %d x %d"):format(size[1], rows, n), kind = size[1], rows = rows, n = n }
  end
  return list
end

function family.build(instance)
  local m = peri.model "dense"
  local x = m:var("x", instance.n, { start = random(instance.n, 1, 7) * 0.1 })
  local f, c = kinds[instance.kind](x, instance.rows, instance.n)
  m:minimize(f)
  for k = 1, instance.rows do
    local row = c and c(k)
    if row then m:subject_to(row) end
  end
  return m, { 1 }
end

return family
