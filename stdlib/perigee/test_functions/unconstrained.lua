-- SPDX-License-Identifier: Apache-2.0
--- Unconstrained test functions. Those with an MGH number are from More, Garbow and Hillstrom, "Testing unconstrained
-- optimization software", ACM TOMS 7 (1981), with the starts and minima given there; further digits of minima that
-- are not zero were computed. The others are common knowledge; their source stands at each.

local names, problems = {}, {}

--- Add a problem of fixed size.
local function fixed(name, definition)
  names[#names + 1], problems[name] = name, definition
end

--- Add a problem whose number of variables is open: `n` is its usual one.
local function sized(name, n, smallest, multiple, make)
  names[#names + 1] = name
  problems[name] = { n = n, smallest = smallest, multiple = multiple, sized = make }
end

--- n values of fn(1 ... n)
local function list(n, fn)
  local t = {}
  for i = 1, n do t[i] = type(fn) == "function" and fn(i) or fn end
  return t
end

--- The sum of squares of the m values fn(1 ... m).
local function squares(m, fn)
  local s = fn(1) ^ 2
  for i = 2, m do s = s + fn(i) ^ 2 end
  return s
end

--- The sum of m values.
local function sum(m, fn)
  local s = fn(1)
  for i = 2, m do s = s + fn(i) end
  return s
end

-- ---- two variables ----------------------------------------------------------------------------------------------

fixed("rosenbrock", { -- MGH 1
  start = { -1.2, 1 }, optimum = 0,
  objective = function(x) return 100 * (x[2] - x[1] ^ 2) ^ 2 + (1 - x[1]) ^ 2 end,
})

fixed("freudenstein_roth", { -- MGH 2
  start = { 0.5, -2 }, optimum = 0, local_optima = { 48.98425368 },
  objective = function(x)
    return (-13 + x[1] + ((5 - x[2]) * x[2] - 2) * x[2]) ^ 2 + (-29 + x[1] + ((x[2] + 1) * x[2] - 14) * x[2]) ^ 2
  end,
})

fixed("powell_badly_scaled", { -- MGH 3
  start = { 0, 1 }, optimum = 0,
  objective = function(x, m)
    return (1e4 * x[1] * x[2] - 1) ^ 2 + (m.exp(-x[1]) + m.exp(-x[2]) - 1.0001) ^ 2
  end,
})

fixed("brown_badly_scaled", { -- MGH 4
  start = { 1, 1 }, optimum = 0,
  objective = function(x) return (x[1] - 1e6) ^ 2 + (x[2] - 2e-6) ^ 2 + (x[1] * x[2] - 2) ^ 2 end,
})

fixed("beale", { -- MGH 5
  start = { 1, 1 }, optimum = 0,
  objective = function(x)
    local y = { 1.5, 2.25, 2.625 }
    return squares(3, function(i) return y[i] - x[1] * (1 - x[2] ^ i) end)
  end,
})

fixed("jennrich_sampson", { -- MGH 6
  start = { 0.3, 0.4 }, optimum = 124.36218236,
  objective = function(x, m)
    return squares(10, function(i) return 2 + 2 * i - (m.exp(i * x[1]) + m.exp(i * x[2])) end)
  end,
})

fixed("himmelblau", { -- Himmelblau 1972, "Applied nonlinear programming", problem 29
  start = { 0, 0 }, optimum = 0,
  objective = function(x) return (x[1] ^ 2 + x[2] - 11) ^ 2 + (x[1] + x[2] ^ 2 - 7) ^ 2 end,
})

fixed("booth", { -- two linear equations as least squares
  start = { -10, 10 }, optimum = 0,
  objective = function(x) return (x[1] + 2 * x[2] - 7) ^ 2 + (2 * x[1] + x[2] - 5) ^ 2 end,
})

fixed("six_hump_camel", { -- Dixon and Szego 1978
  start = { -0.5, 1 }, optimum = -1.031628453489877, local_optima = { -0.215463824383720, 2.104250310311 },
  objective = function(x)
    return (4 - 2.1 * x[1] ^ 2 + x[1] ^ 4 / 3) * x[1] ^ 2 + x[1] * x[2] + (4 * x[2] ^ 2 - 4) * x[2] ^ 2
  end,
})

-- ---- three to six variables ---------------------------------------------------------------------------------------

fixed("helical_valley", { -- MGH 7; the angle, in turns, has its cut on the negative x2 axis
  start = { -1, 0, 0 }, optimum = 0,
  objective = function(x, m)
    local theta = (m.atan2(-x[1], x[2]) + math.pi / 2) / (2 * math.pi)
    return (10 * (x[3] - 10 * theta)) ^ 2 + (10 * (m.sqrt(x[1] ^ 2 + x[2] ^ 2) - 1)) ^ 2 + x[3] ^ 2
  end,
})

fixed("bard", { -- MGH 8
  start = { 1, 1, 1 }, optimum = 8.2148773065790e-3, local_optima = { 17.428669 },
  objective = function(x)
    local y = { 0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39 }
    return squares(15, function(u)
      local v = 16 - u
      return y[u] - (x[1] + u / (v * x[2] + math.min(u, v) * x[3]))
    end)
  end,
})

fixed("gaussian", { -- MGH 9
  start = { 0.4, 1, 0 }, optimum = 1.1279327696e-8,
  objective = function(x, m)
    local y = { 0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989 }
    return squares(15, function(i)
      local t = (8 - i) / 2
      return x[1] * m.exp(-0.5 * x[2] * (t - x[3]) ^ 2) - y[math.min(i, 16 - i)]
    end)
  end,
})

fixed("box_three_dimensional", { -- MGH 12
  start = { 0, 10, 20 }, optimum = 0,
  objective = function(x, m)
    return squares(10, function(i)
      local t = 0.1 * i
      return m.exp(-t * x[1]) - m.exp(-t * x[2]) - x[3] * (math.exp(-t) - math.exp(-10 * t))
    end)
  end,
})

fixed("powell_singular", { -- MGH 13
  start = { 3, -1, 0, 1 }, optimum = 0,
  objective = function(x)
    return (x[1] + 10 * x[2]) ^ 2 + 5 * (x[3] - x[4]) ^ 2 + (x[2] - 2 * x[3]) ^ 4 + 10 * (x[1] - x[4]) ^ 4
  end,
})

fixed("wood", { -- MGH 14
  start = { -3, -1, -3, -1 }, optimum = 0,
  objective = function(x)
    return 100 * (x[2] - x[1] ^ 2) ^ 2 + (1 - x[1]) ^ 2 + 90 * (x[4] - x[3] ^ 2) ^ 2 + (1 - x[3]) ^ 2
      + 10 * (x[2] + x[4] - 2) ^ 2 + 0.1 * (x[2] - x[4]) ^ 2
  end,
})

fixed("kowalik_osborne", { -- MGH 15
  start = { 0.25, 0.39, 0.415, 0.39 }, optimum = 3.0750560385e-4, local_optima = { 1.02734e-3 },
  objective = function(x)
    local y = { 0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246 }
    local u = { 4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625 }
    return squares(11, function(i)
      return y[i] - x[1] * (u[i] ^ 2 + u[i] * x[2]) / (u[i] ^ 2 + u[i] * x[3] + x[4])
    end)
  end,
})

fixed("brown_dennis", { -- MGH 16
  start = { 25, 5, -5, -1 }, optimum = 85822.20162635633,
  objective = function(x)
    return squares(20, function(i)
      local t = i / 5
      return (x[1] + t * x[2] - math.exp(t)) ^ 2 + (x[3] + x[4] * math.sin(t) - math.cos(t)) ^ 2
    end)
  end,
})

fixed("biggs_exp6", { -- MGH 18
  start = { 1, 2, 1, 1, 1, 1 }, optimum = 0, local_optima = { 5.6556499255e-3, 0.30636677 },
  objective = function(x, m)
    return squares(13, function(i)
      local t = 0.1 * i
      local y = math.exp(-t) - 5 * math.exp(-10 * t) + 3 * math.exp(-4 * t)
      return x[3] * m.exp(-t * x[1]) - x[4] * m.exp(-t * x[2]) + x[6] * m.exp(-t * x[5]) - y
    end)
  end,
})

fixed("watson", { -- MGH 20 with six variables
  start = list(6, 0), optimum = 2.2876700535523e-3,
  objective = function(x)
    return squares(29, function(i)
      local t = i / 29
      local slope = sum(5, function(j) return j * t ^ (j - 1) * x[j + 1] end)
      local value = sum(6, function(j) return t ^ (j - 1) * x[j] end)
      return slope - value ^ 2 - 1
    end) + x[1] ^ 2 + (x[2] - x[1] ^ 2 - 1) ^ 2
  end,
})

-- ---- any number of variables ----------------------------------------------------------------------------------------

sized("extended_rosenbrock", 10, 2, 2, function(n) -- MGH 21
  return {
    start = list(n, function(i) return i % 2 == 1 and -1.2 or 1 end), optimum = 0,
    objective = function(x)
      return sum(n // 2, function(i)
        return 100 * (x[2 * i] - x[2 * i - 1] ^ 2) ^ 2 + (1 - x[2 * i - 1]) ^ 2
      end)
    end,
  }
end)

sized("chained_rosenbrock", 10, 2, 1, function(n) -- Toint 1978; the second minimum has x1 near -1
  return {
    start = list(n, function(i) return i % 2 == 1 and -1.2 or 1 end), optimum = 0, local_optima = { 3.98658 },
    objective = function(x)
      return sum(n - 1, function(i) return 100 * (x[i + 1] - x[i] ^ 2) ^ 2 + (1 - x[i]) ^ 2 end)
    end,
  }
end)

sized("extended_powell_singular", 12, 4, 4, function(n) -- MGH 22
  return {
    start = list(n, function(i) return ({ 3, -1, 0, 1 })[(i - 1) % 4 + 1] end), optimum = 0,
    objective = function(x)
      return sum(n // 4, function(i)
        local a, b, c, d = x[4 * i - 3], x[4 * i - 2], x[4 * i - 1], x[4 * i]
        return (a + 10 * b) ^ 2 + 5 * (c - d) ^ 2 + (b - 2 * c) ^ 4 + 10 * (a - d) ^ 4
      end)
    end,
  }
end)

fixed("penalty_1", { -- MGH 23 with ten variables
  start = list(10, function(i) return i end), optimum = 7.0876515e-5,
  objective = function(x)
    return 1e-5 * squares(10, function(i) return x[i] - 1 end)
      + (squares(10, function(i) return x[i] end) - 0.25) ^ 2
  end,
})

fixed("penalty_2", { -- MGH 24 with ten variables
  start = list(10, 0.5), optimum = 2.9366054e-4,
  objective = function(x, m)
    return (x[1] - 0.2) ^ 2 + (sum(10, function(j) return (11 - j) * x[j] ^ 2 end) - 1) ^ 2
      + 1e-5 * squares(9, function(i)
        local y = math.exp((i + 1) / 10) + math.exp(i / 10)
        return m.exp(x[i + 1] / 10) + m.exp(x[i] / 10) - y
      end)
      + 1e-5 * squares(9, function(i) return m.exp(x[i + 1] / 10) - math.exp(-0.1) end)
  end,
})

sized("variably_dimensioned", 10, 1, 1, function(n) -- MGH 25
  return {
    start = list(n, function(i) return 1 - i / n end), optimum = 0,
    objective = function(x)
      local s = sum(n, function(j) return j * (x[j] - 1) end)
      return squares(n, function(i) return x[i] - 1 end) + s ^ 2 + s ^ 4
    end,
  }
end)

sized("trigonometric", 10, 1, 1, function(n) -- MGH 26; the minimum that is not zero belongs to n = 10
  return {
    start = list(n, 1 / n), optimum = 0, local_optima = { 2.795056122e-5 },
    objective = function(x, m)
      local cosines = sum(n, function(j) return m.cos(x[j]) end)
      return squares(n, function(i) return n - cosines + i * (1 - m.cos(x[i])) - m.sin(x[i]) end)
    end,
  }
end)

sized("brown_almost_linear", 10, 2, 1, function(n) -- MGH 27
  return {
    start = list(n, 0.5), optimum = 0, local_optima = { 1 },
    objective = function(x)
      local total, product = sum(n, function(j) return x[j] end), x[1]
      for j = 2, n do product = product * x[j] end
      return squares(n - 1, function(i) return x[i] + total - (n + 1) end) + (product - 1) ^ 2
    end,
  }
end)

sized("discrete_boundary_value", 10, 2, 1, function(n) -- MGH 28
  local h = 1 / (n + 1)
  return {
    start = list(n, function(i) return i * h * (i * h - 1) end), optimum = 0,
    objective = function(x)
      return squares(n, function(i)
        local left, right = i > 1 and x[i - 1] or 0, i < n and x[i + 1] or 0
        return 2 * x[i] - left - right + h ^ 2 * (x[i] + i * h + 1) ^ 3 / 2
      end)
    end,
  }
end)

sized("discrete_integral_equation", 10, 2, 1, function(n) -- MGH 29
  local h = 1 / (n + 1)
  return {
    start = list(n, function(i) return i * h * (i * h - 1) end), optimum = 0,
    objective = function(x)
      local cube = {}
      for j = 1, n do cube[j] = (x[j] + j * h + 1) ^ 3 end
      return squares(n, function(i)
        local r = x[i]
        for j = 1, n do
          r = r + h / 2 * (j <= i and (1 - i * h) * j * h or i * h * (1 - j * h)) * cube[j]
        end
        return r
      end)
    end,
  }
end)

sized("broyden_tridiagonal", 10, 2, 1, function(n) -- MGH 30; as least squares it has other minima for large n
  return {
    start = list(n, -1), optimum = 0,
    objective = function(x)
      return squares(n, function(i)
        local left, right = i > 1 and x[i - 1] or 0, i < n and x[i + 1] or 0
        return (3 - 2 * x[i]) * x[i] - left - 2 * right + 1
      end)
    end,
  }
end)

sized("broyden_banded", 10, 2, 1, function(n) -- MGH 31; the minimum that is not zero belongs to n = 10
  return {
    start = list(n, -1), optimum = 0, local_optima = { 3.0572784324 },
    objective = function(x)
      return squares(n, function(i)
        local r = x[i] * (2 + 5 * x[i] ^ 2) + 1
        for j = math.max(1, i - 5), math.min(n, i + 1) do
          if j ~= i then r = r - x[j] * (1 + x[j]) end
        end
        return r
      end)
    end,
  }
end)

sized("linear_full_rank", 10, 1, 1, function(n) -- MGH 32 with 2n residuals
  return {
    start = list(n, 1), optimum = n,
    objective = function(x)
      local mean = sum(n, function(j) return x[j] end) / n
      return squares(2 * n, function(i) return (i <= n and x[i] or 0) - mean - 1 end)
    end,
  }
end)

fixed("chebyquad", { -- MGH 35 with eight variables; T_i the shifted Chebyshev polynomials
  start = list(8, function(j) return j / 9 end), optimum = 3.5168737256779e-3,
  objective = function(x)
    local t = {}
    for j = 1, 8 do
      local y = 2 * x[j] - 1
      t[j] = { y, 2 * y ^ 2 - 1 }
      for i = 3, 8 do t[j][i] = 2 * y * t[j][i - 1] - t[j][i - 2] end
    end
    return squares(8, function(i)
      local integral = i % 2 == 0 and -1 / (i ^ 2 - 1) or 0
      return sum(8, function(j) return t[j][i] end) / 8 - integral
    end)
  end,
})

sized("dixon_price", 10, 2, 1, function(n) -- Dixon and Price 1989; a second minimum, 2/3, for larger n
  return {
    start = list(n, 1), optimum = 0, local_optima = { 2 / 3 },
    objective = function(x)
      return (x[1] - 1) ^ 2 + sum(n - 1, function(i) return (i + 1) * (2 * x[i + 1] ^ 2 - x[i]) ^ 2 end)
    end,
  }
end)

sized("zakharov", 10, 1, 1, function(n)
  return {
    start = list(n, 1), optimum = 0,
    objective = function(x)
      local s = sum(n, function(i) return 0.5 * i * x[i] end)
      return squares(n, function(i) return x[i] end) + s ^ 2 + s ^ 4
    end,
  }
end)

sized("styblinski_tang", 10, 1, 1, function(n) -- Styblinski and Tang 1990; each variable at -2.9035 or at 2.7468
  local other = {}
  for k = 1, n do other[k] = -39.16616570377142 * (n - k) - 25.02945967 * k end
  return {
    start = list(n, -1), optimum = -39.16616570377142 * n, local_optima = other,
    objective = function(x)
      return sum(n, function(i) return x[i] ^ 4 - 16 * x[i] ^ 2 + 5 * x[i] end) / 2
    end,
  }
end)

return { names = names, problems = problems }
