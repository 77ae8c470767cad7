-- SPDX-License-Identifier: Apache-2.0
--- Problems of Hock and Schittkowski, "Test examples for nonlinear programming codes", LNEMS 187 (1981): minimize f(x),
-- g(x) >= 0, h(x) = 0, with their starts. Optima are theirs with more digits where they were computed; where the book's
-- value is known to be wrong, or belongs to another minimum, the computed one stands. Where the constants in use today
-- (CUTE) differ from the book's, the former are taken.

local inf = math.huge
local sqrt, pi = math.sqrt, math.pi

local names, problems = {}, {}

--- Add problem `number`; f, g, h are the functions of the head.
local function hs(number, p)
  local name = ("hs%03d"):format(number)
  names[#names + 1] = name
  problems[name] = { n = #p.start, start = p.start, lower = p.lower, upper = p.upper, optimum = p.optimum,
    local_optima = p.others, objective = p.f, inequalities = p.g, equalities = p.h }
end

--- n equal values
local function all(n, value)
  local t = {}
  for i = 1, n do t[i] = value end
  return t
end

local function rosenbrock(x) return 100 * (x[2] - x[1] ^ 2) ^ 2 + (1 - x[1]) ^ 2 end

-- ---- 1 to 24: two variables -----------------------------------------------------------------------------------

hs(1, { start = { -2, 1 }, lower = { -inf, -1.5 }, optimum = 0, f = rosenbrock })

hs(2, { start = { -2, 1 }, lower = { -inf, 1.5 }, optimum = 0.0504261879, others = { 4.9412293128 }, f = rosenbrock })

hs(3, { start = { 10, 1 }, lower = { -inf, 0 }, optimum = 0,
  f = function(x) return x[2] + 1e-5 * (x[2] - x[1]) ^ 2 end })

hs(4, { start = { 1.125, 0.125 }, lower = { 1, 0 }, optimum = 8 / 3,
  f = function(x) return (x[1] + 1) ^ 3 / 3 + x[2] end })

hs(5, { start = { 0, 0 }, lower = { -1.5, -3 }, upper = { 4, 3 }, optimum = -sqrt(3) / 2 - pi / 3,
  others = { -sqrt(3) / 2 + 2 * pi / 3 },
  f = function(x, m) return m.sin(x[1] + x[2]) + (x[1] - x[2]) ^ 2 - 1.5 * x[1] + 2.5 * x[2] + 1 end })

hs(6, { start = { -1.2, 1 }, optimum = 0,
  f = function(x) return (1 - x[1]) ^ 2 end,
  h = function(x) return { 10 * (x[2] - x[1] ^ 2) } end })

hs(7, { start = { 2, 2 }, optimum = -sqrt(3),
  f = function(x, m) return m.log(1 + x[1] ^ 2) - x[2] end,
  h = function(x) return { (1 + x[1] ^ 2) ^ 2 + x[2] ^ 2 - 4 } end })

hs(8, { start = { 2, 1 }, optimum = -1,
  f = function(x) return 0 * x[1] - 1 end,
  h = function(x) return { x[1] ^ 2 + x[2] ^ 2 - 25, x[1] * x[2] - 9 } end })

hs(9, { start = { 0, 0 }, optimum = -0.5,
  f = function(x, m) return m.sin(pi * x[1] / 12) * m.cos(pi * x[2] / 16) end,
  h = function(x) return { 4 * x[1] - 3 * x[2] } end })

hs(10, { start = { -10, 10 }, optimum = -1,
  f = function(x) return x[1] - x[2] end,
  g = function(x) return { -3 * x[1] ^ 2 + 2 * x[1] * x[2] - x[2] ^ 2 + 1 } end })

hs(11, { start = { 4.9, 0.1 }, optimum = -8.4984642231,
  f = function(x) return (x[1] - 5) ^ 2 + x[2] ^ 2 - 25 end,
  g = function(x) return { x[2] - x[1] ^ 2 } end })

hs(12, { start = { 0, 0 }, optimum = -30,
  f = function(x) return 0.5 * x[1] ^ 2 + x[2] ^ 2 - x[1] * x[2] - 7 * x[1] - 7 * x[2] end,
  g = function(x) return { 25 - 4 * x[1] ^ 2 - x[2] ^ 2 } end })

hs(14, { start = { 2, 2 }, optimum = 9 - 2.875 * sqrt(7),
  f = function(x) return (x[1] - 2) ^ 2 + (x[2] - 1) ^ 2 end,
  g = function(x) return { 1 - 0.25 * x[1] ^ 2 - x[2] ^ 2 } end,
  h = function(x) return { x[1] - 2 * x[2] + 1 } end })

hs(15, { start = { -2, 1 }, upper = { 0.5, inf }, optimum = 306.5, others = { 360.37976706 }, f = rosenbrock,
  g = function(x) return { x[1] * x[2] - 1, x[1] + x[2] ^ 2 } end })

hs(16, { start = { -2, 1 }, lower = { -0.5, -inf }, upper = { 0.5, 1 }, optimum = 0.25,
  others = { 23.144661069, 3.9820601 }, f = rosenbrock,
  g = function(x) return { x[1] + x[2] ^ 2, x[1] ^ 2 + x[2] } end })

hs(17, { start = { -2, 1 }, lower = { -0.5, -inf }, upper = { 0.5, 1 }, optimum = 1, f = rosenbrock,
  g = function(x) return { x[2] ^ 2 - x[1], x[1] ^ 2 - x[2] } end })

hs(18, { start = { 2, 2 }, lower = { 2, 0 }, upper = 50, optimum = 5,
  f = function(x) return 0.01 * x[1] ^ 2 + x[2] ^ 2 end,
  g = function(x) return { x[1] * x[2] - 25, x[1] ^ 2 + x[2] ^ 2 - 25 } end })

hs(19, { start = { 20.1, 5.84 }, lower = { 13, 0 }, upper = 100, optimum = -6961.8138755802,
  f = function(x) return (x[1] - 10) ^ 3 + (x[2] - 20) ^ 3 end,
  g = function(x)
    return { (x[1] - 5) ^ 2 + (x[2] - 5) ^ 2 - 100, 82.81 - (x[2] - 5) ^ 2 - (x[1] - 6) ^ 2 }
  end })

hs(20, { start = { -2, 1 }, lower = { -0.5, -inf }, upper = { 0.5, inf }, optimum = 81.5 - 25 * sqrt(3),
  others = { 81.5 - 25 * sqrt(3) + 2 }, f = rosenbrock,
  g = function(x) return { x[1] + x[2] ^ 2, x[1] ^ 2 + x[2], x[1] ^ 2 + x[2] ^ 2 - 1 } end })

hs(21, { start = { -1, -1 }, lower = { 2, -50 }, upper = 50, optimum = -99.96,
  f = function(x) return 0.01 * x[1] ^ 2 + x[2] ^ 2 - 100 end,
  g = function(x) return { 10 * x[1] - x[2] - 10 } end })

hs(22, { start = { 2, 2 }, optimum = 1,
  f = function(x) return (x[1] - 2) ^ 2 + (x[2] - 1) ^ 2 end,
  g = function(x) return { 2 - x[1] - x[2], x[2] - x[1] ^ 2 } end })

hs(23, { start = { 3, 1 }, lower = -50, upper = 50, optimum = 2,
  f = function(x) return x[1] ^ 2 + x[2] ^ 2 end,
  g = function(x)
    return { x[1] + x[2] - 1, x[1] ^ 2 + x[2] ^ 2 - 1, 9 * x[1] ^ 2 + x[2] ^ 2 - 9, x[1] ^ 2 - x[2], x[2] ^ 2 - x[1] }
  end })

hs(24, { start = { 1, 0.5 }, lower = 0, optimum = -1,
  f = function(x) return ((x[1] - 3) ^ 2 - 9) * x[2] ^ 3 / (27 * sqrt(3)) end,
  g = function(x)
    return { x[1] / sqrt(3) - x[2], x[1] + sqrt(3) * x[2], 6 - x[1] - sqrt(3) * x[2] }
  end })

-- ---- 26 to 37: three variables --------------------------------------------------------------------------------

hs(26, { start = { -2.6, 2, 2 }, optimum = 0,
  f = function(x) return (x[1] - x[2]) ^ 2 + (x[2] - x[3]) ^ 4 end,
  h = function(x) return { (1 + x[2] ^ 2) * x[1] + x[3] ^ 4 - 3 } end })

hs(27, { start = { 2, 2, 2 }, optimum = 0.04,
  f = function(x) return 0.01 * (x[1] - 1) ^ 2 + (x[2] - x[1] ^ 2) ^ 2 end,
  h = function(x) return { x[1] + x[3] ^ 2 + 1 } end })

hs(28, { start = { -4, 1, 1 }, optimum = 0,
  f = function(x) return (x[1] + x[2]) ^ 2 + (x[2] + x[3]) ^ 2 end,
  h = function(x) return { x[1] + 2 * x[2] + 3 * x[3] - 1 } end })

hs(29, { start = { 1, 1, 1 }, optimum = -16 * sqrt(2),
  f = function(x) return -x[1] * x[2] * x[3] end,
  g = function(x) return { 48 - x[1] ^ 2 - 2 * x[2] ^ 2 - 4 * x[3] ^ 2 } end })

hs(30, { start = { 1, 1, 1 }, lower = { 1, -10, -10 }, upper = 10, optimum = 1,
  f = function(x) return x[1] ^ 2 + x[2] ^ 2 + x[3] ^ 2 end,
  g = function(x) return { x[1] ^ 2 + x[2] ^ 2 - 1 } end })

hs(31, { start = { 1, 1, 1 }, lower = { -10, 1, -10 }, upper = { 10, 10, 1 }, optimum = 6,
  f = function(x) return 9 * x[1] ^ 2 + x[2] ^ 2 + 9 * x[3] ^ 2 end,
  g = function(x) return { x[1] * x[2] - 1 } end })

hs(32, { start = { 0.1, 0.7, 0.2 }, lower = 0, optimum = 1,
  f = function(x) return (x[1] + 3 * x[2] + x[3]) ^ 2 + 4 * (x[1] - x[2]) ^ 2 end,
  g = function(x) return { 6 * x[2] + 4 * x[3] - x[1] ^ 3 - 3 } end,
  h = function(x) return { 1 - x[1] - x[2] - x[3] } end })

hs(33, { start = { 0, 0, 3 }, lower = 0, upper = { inf, inf, 5 }, optimum = sqrt(2) - 6, others = { -4 },
  f = function(x) return (x[1] - 1) * (x[1] - 2) * (x[1] - 3) + x[3] end,
  g = function(x) return { x[3] ^ 2 - x[2] ^ 2 - x[1] ^ 2, x[1] ^ 2 + x[2] ^ 2 + x[3] ^ 2 - 4 } end })

hs(34, { start = { 0, 1.05, 2.9 }, lower = 0, upper = { 100, 100, 10 }, optimum = -math.log(math.log(10)),
  f = function(x) return -x[1] end,
  g = function(x, m) return { x[2] - m.exp(x[1]), x[3] - m.exp(x[2]) } end })

hs(35, { start = { 0.5, 0.5, 0.5 }, lower = 0, optimum = 1 / 9,
  f = function(x)
    return 9 - 8 * x[1] - 6 * x[2] - 4 * x[3] + 2 * x[1] ^ 2 + 2 * x[2] ^ 2 + x[3] ^ 2 + 2 * x[1] * x[2]
      + 2 * x[1] * x[3]
  end,
  g = function(x) return { 3 - x[1] - x[2] - 2 * x[3] } end })

hs(36, { start = { 10, 10, 10 }, lower = 0, upper = { 20, 11, 42 }, optimum = -3300,
  f = function(x) return -x[1] * x[2] * x[3] end,
  g = function(x) return { 72 - x[1] - 2 * x[2] - 2 * x[3] } end })

hs(37, { start = { 10, 10, 10 }, lower = 0, upper = 42, optimum = -3456,
  f = function(x) return -x[1] * x[2] * x[3] end,
  g = function(x)
    local s = x[1] + 2 * x[2] + 2 * x[3]
    return { 72 - s, s }
  end })

-- ---- 38 to 56: four to seven variables ------------------------------------------------------------------------

hs(38, { start = { -3, -1, -3, -1 }, lower = -10, upper = 10, optimum = 0,
  f = function(x)
    return 100 * (x[2] - x[1] ^ 2) ^ 2 + (1 - x[1]) ^ 2 + 90 * (x[4] - x[3] ^ 2) ^ 2 + (1 - x[3]) ^ 2
      + 10.1 * ((x[2] - 1) ^ 2 + (x[4] - 1) ^ 2) + 19.8 * (x[2] - 1) * (x[4] - 1)
  end })

hs(39, { start = { 2, 2, 2, 2 }, optimum = -1,
  f = function(x) return -x[1] end,
  h = function(x) return { x[2] - x[1] ^ 3 - x[3] ^ 2, x[1] ^ 2 - x[2] - x[4] ^ 2 } end })

hs(40, { start = all(4, 0.8), optimum = -0.25,
  f = function(x) return -x[1] * x[2] * x[3] * x[4] end,
  h = function(x) return { x[1] ^ 3 + x[2] ^ 2 - 1, x[1] ^ 2 * x[4] - x[3], x[4] ^ 2 - x[2] } end })

hs(41, { start = { 2, 2, 2, 2 }, lower = 0, upper = { 1, 1, 1, 2 }, optimum = 52 / 27,
  f = function(x) return 2 - x[1] * x[2] * x[3] end,
  h = function(x) return { x[1] + 2 * x[2] + 2 * x[3] - x[4] } end })

hs(42, { start = { 1, 1, 1, 1 }, optimum = 28 - 10 * sqrt(2),
  f = function(x) return (x[1] - 1) ^ 2 + (x[2] - 2) ^ 2 + (x[3] - 3) ^ 2 + (x[4] - 4) ^ 2 end,
  h = function(x) return { x[1] - 2, x[3] ^ 2 + x[4] ^ 2 - 2 } end })

hs(43, { start = { 0, 0, 0, 0 }, optimum = -44,
  f = function(x)
    return x[1] ^ 2 + x[2] ^ 2 + 2 * x[3] ^ 2 + x[4] ^ 2 - 5 * x[1] - 5 * x[2] - 21 * x[3] + 7 * x[4]
  end,
  g = function(x)
    return {
      8 - x[1] ^ 2 - x[2] ^ 2 - x[3] ^ 2 - x[4] ^ 2 - x[1] + x[2] - x[3] + x[4],
      10 - x[1] ^ 2 - 2 * x[2] ^ 2 - x[3] ^ 2 - 2 * x[4] ^ 2 + x[1] + x[4],
      5 - 2 * x[1] ^ 2 - x[2] ^ 2 - x[3] ^ 2 - 2 * x[1] + x[2] + x[4],
    }
  end })

hs(44, { start = { 0, 0, 0, 0 }, lower = 0, optimum = -15, others = { -13 },
  f = function(x) return x[1] - x[2] - x[3] - x[1] * x[3] + x[1] * x[4] + x[2] * x[3] - x[2] * x[4] end,
  g = function(x)
    return { 8 - x[1] - 2 * x[2], 12 - 4 * x[1] - x[2], 12 - 3 * x[1] - 4 * x[2], 8 - 2 * x[3] - x[4],
      8 - x[3] - 2 * x[4], 5 - x[3] - x[4] }
  end })

hs(45, { start = all(5, 2), lower = 0, upper = { 1, 2, 3, 4, 5 }, optimum = 1,
  f = function(x) return 2 - x[1] * x[2] * x[3] * x[4] * x[5] / 120 end })

hs(46, { start = { sqrt(2) / 2, 1.75, 0.5, 2, 2 }, optimum = 0,
  f = function(x) return (x[1] - x[2]) ^ 2 + (x[3] - 1) ^ 2 + (x[4] - 1) ^ 4 + (x[5] - 1) ^ 6 end,
  h = function(x, m)
    return { x[1] ^ 2 * x[4] + m.sin(x[4] - x[5]) - 1, x[2] + x[3] ^ 4 * x[4] ^ 2 - 2 }
  end })

hs(47, { start = { 2, sqrt(2), -1, 2 - sqrt(2), 0.5 }, optimum = 0,
  f = function(x) return (x[1] - x[2]) ^ 2 + (x[2] - x[3]) ^ 3 + (x[3] - x[4]) ^ 4 + (x[4] - x[5]) ^ 4 end,
  h = function(x)
    return { x[1] + x[2] ^ 2 + x[3] ^ 3 - 3, x[2] - x[3] ^ 2 + x[4] - 1, x[1] * x[5] - 1 }
  end })

hs(48, { start = { 3, 5, -3, 2, -2 }, optimum = 0,
  f = function(x) return (x[1] - 1) ^ 2 + (x[2] - x[3]) ^ 2 + (x[4] - x[5]) ^ 2 end,
  h = function(x) return { x[1] + x[2] + x[3] + x[4] + x[5] - 5, x[3] - 2 * (x[4] + x[5]) + 3 } end })

hs(49, { start = { 10, 7, 2, -3, 0.8 }, optimum = 0,
  f = function(x) return (x[1] - x[2]) ^ 2 + (x[3] - 1) ^ 2 + (x[4] - 1) ^ 4 + (x[5] - 1) ^ 6 end,
  h = function(x) return { x[1] + x[2] + x[3] + 4 * x[4] - 7, x[3] + 5 * x[5] - 6 } end })

hs(50, { start = { 35, -31, 11, 5, -5 }, optimum = 0,
  f = function(x) return (x[1] - x[2]) ^ 2 + (x[2] - x[3]) ^ 2 + (x[3] - x[4]) ^ 4 + (x[4] - x[5]) ^ 2 end,
  h = function(x)
    return { x[1] + 2 * x[2] + 3 * x[3] - 6, x[2] + 2 * x[3] + 3 * x[4] - 6, x[3] + 2 * x[4] + 3 * x[5] - 6 }
  end })

--- the constraints of 51 to 53, their first right-hand side being b
local function chain(b)
  return function(x) return { x[1] + 3 * x[2] - b, x[3] + x[4] - 2 * x[5], x[2] - x[5] } end
end

local function chain_objective(a)
  return function(x)
    return (a * x[1] - x[2]) ^ 2 + (x[2] + x[3] - 2) ^ 2 + (x[4] - 1) ^ 2 + (x[5] - 1) ^ 2
  end
end

hs(51, { start = { 2.5, 0.5, 2, -1, 0.5 }, optimum = 0, f = chain_objective(1), h = chain(4) })
hs(52, { start = all(5, 2), optimum = 1859 / 349, f = chain_objective(4), h = chain(0) })
hs(53, { start = all(5, 2), lower = -10, upper = 10, optimum = 176 / 43, f = chain_objective(1), h = chain(0) })

hs(55, { start = { 1, 2, 0, 0, 0, 2 }, lower = 0, upper = { 1, inf, inf, 1, inf, inf }, optimum = 19 / 3,
  others = { 20 / 3 },
  f = function(x, m) return x[1] + 2 * x[2] + 4 * x[5] + m.exp(x[1] * x[4]) end,
  h = function(x)
    return { x[1] + 2 * x[2] + 5 * x[5] - 6, x[1] + x[2] + x[3] - 3, x[4] + x[5] + x[6] - 2, x[1] + x[4] - 1,
      x[2] + x[5] - 2, x[3] + x[6] - 2 }
  end })

do
  local a, b = math.asin(sqrt(1 / 4.2)), math.asin(sqrt(5 / 7.2))
  hs(56, { start = { 1, 1, 1, a, a, a, b }, optimum = -3.456,
    f = function(x) return -x[1] * x[2] * x[3] end,
    h = function(x, m)
      return { x[1] - 4.2 * m.sin(x[4]) ^ 2, x[2] - 4.2 * m.sin(x[5]) ^ 2, x[3] - 4.2 * m.sin(x[6]) ^ 2,
        x[1] + 2 * x[2] + 2 * x[3] - 7.2 * m.sin(x[7]) ^ 2 }
    end })
end

-- ---- 59 to 66: two and three variables ------------------------------------------------------------------------

hs(59, { start = { 90, 10 }, lower = 0, upper = { 75, 65 }, optimum = -7.8027895490, others = { -6.7495053 },
  f = function(x, m)
    local a, b = x[1], x[2]
    return -75.196 + 3.8112 * a + 0.0020567 * a ^ 3 - 1.0345e-5 * a ^ 4 + 6.8306 * b - 0.030234 * a * b
      + 1.28134e-3 * b * a ^ 2 + 2.266e-7 * a ^ 4 * b - 0.25645 * b ^ 2 + 0.0034604 * b ^ 3 - 1.3514e-5 * b ^ 4
      + 28.106 / (b + 1) + 5.2375e-6 * a ^ 2 * b ^ 2 + 6.3e-8 * a ^ 3 * b ^ 2 - 7e-10 * a ^ 3 * b ^ 3
      - 3.405e-4 * a * b ^ 2 + 1.6638e-6 * a * b ^ 3 + 2.8673 * m.exp(0.0005 * a * b) - 3.5256e-5 * a ^ 3 * b
      - 0.12694 * a ^ 2
  end,
  g = function(x) return { x[1] * x[2] - 700, x[2] - x[1] ^ 2 / 125, (x[2] - 50) ^ 2 - 5 * (x[1] - 55) } end })

hs(60, { start = { 2, 2, 2 }, lower = -10, upper = 10, optimum = 0.03256820025,
  f = function(x) return (x[1] - 1) ^ 2 + (x[1] - x[2]) ^ 2 + (x[2] - x[3]) ^ 4 end,
  h = function(x) return { x[1] * (1 + x[2] ^ 2) + x[3] ^ 4 - 4 - 3 * sqrt(2) } end })

hs(61, { start = { 0, 0, 0 }, optimum = -143.64614220, others = { -81.91909603 },
  f = function(x)
    return 4 * x[1] ^ 2 + 2 * x[2] ^ 2 + 2 * x[3] ^ 2 - 33 * x[1] + 16 * x[2] - 24 * x[3]
  end,
  h = function(x) return { 3 * x[1] - 2 * x[2] ^ 2 - 7, 4 * x[1] - x[3] ^ 2 - 11 } end })

hs(62, { start = { 0.7, 0.2, 0.1 }, lower = 0, upper = 1, optimum = -26272.514487,
  f = function(x, m)
    local a, b, c = x[1], x[2], x[3]
    return -32.174 * (255 * m.log((a + b + c + 0.03) / (0.09 * a + b + c + 0.03))
      + 280 * m.log((b + c + 0.03) / (0.07 * b + c + 0.03)) + 290 * m.log((c + 0.03) / (0.13 * c + 0.03)))
  end,
  h = function(x) return { x[1] + x[2] + x[3] - 1 } end })

hs(63, { start = { 2, 2, 2 }, lower = 0, optimum = 961.7151721300,
  f = function(x) return 1000 - x[1] ^ 2 - 2 * x[2] ^ 2 - x[3] ^ 2 - x[1] * x[2] - x[1] * x[3] end,
  h = function(x) return { 8 * x[1] + 14 * x[2] + 7 * x[3] - 56, x[1] ^ 2 + x[2] ^ 2 + x[3] ^ 2 - 25 } end })

hs(64, { start = { 1, 1, 1 }, lower = 1e-5, optimum = 6299.8424282,
  f = function(x) return 5 * x[1] + 50000 / x[1] + 20 * x[2] + 72000 / x[2] + 10 * x[3] + 144000 / x[3] end,
  g = function(x) return { 1 - 4 / x[1] - 32 / x[2] - 120 / x[3] } end })

hs(65, { start = { -5, 5, 0 }, lower = { -4.5, -4.5, -5 }, upper = { 4.5, 4.5, 5 }, optimum = 0.9535288567,
  f = function(x) return (x[1] - x[2]) ^ 2 + (x[1] + x[2] - 10) ^ 2 / 9 + (x[3] - 5) ^ 2 end,
  g = function(x) return { 48 - x[1] ^ 2 - x[2] ^ 2 - x[3] ^ 2 } end })

hs(66, { start = { 0, 1.05, 2.9 }, lower = 0, upper = { 100, 100, 10 }, optimum = 0.5181632741,
  f = function(x) return 0.2 * x[3] - 0.8 * x[1] end,
  g = function(x, m) return { x[2] - m.exp(x[1]), x[3] - m.exp(x[2]) } end })

-- ---- 71 to 86: four and five variables ------------------------------------------------------------------------

hs(71, { start = { 1, 5, 5, 1 }, lower = 1, upper = 5, optimum = 17.0140172892,
  f = function(x) return x[1] * x[4] * (x[1] + x[2] + x[3]) + x[3] end,
  g = function(x) return { x[1] * x[2] * x[3] * x[4] - 25 } end,
  h = function(x) return { x[1] ^ 2 + x[2] ^ 2 + x[3] ^ 2 + x[4] ^ 2 - 40 } end })

hs(72, { start = { 1, 1, 1, 1 }, lower = 0.001, upper = { 4e5, 3e5, 2e5, 1e5 }, optimum = 727.67936,
  f = function(x) return 1 + x[1] + x[2] + x[3] + x[4] end,
  g = function(x)
    return { 0.0401 - 4 / x[1] - 2.25 / x[2] - 1 / x[3] - 0.25 / x[4],
      0.010085 - 0.16 / x[1] - 0.36 / x[2] - 0.64 / x[3] - 0.64 / x[4] }
  end })

hs(73, { start = { 1, 1, 1, 1 }, lower = 0, optimum = 29.894378,
  f = function(x) return 24.55 * x[1] + 26.75 * x[2] + 39 * x[3] + 40.50 * x[4] end,
  g = function(x, m)
    return { 2.3 * x[1] + 5.6 * x[2] + 11.1 * x[3] + 1.3 * x[4] - 5,
      12 * x[1] + 11.9 * x[2] + 41.8 * x[3] + 52.1 * x[4] - 21
      - 1.645 * m.sqrt(0.28 * x[1] ^ 2 + 0.19 * x[2] ^ 2 + 20.5 * x[3] ^ 2 + 0.62 * x[4] ^ 2) }
  end,
  h = function(x) return { x[1] + x[2] + x[3] + x[4] - 1 } end })

--- 74 and 75 differ in one number
local function grid(a, optimum)
  return { start = { 0, 0, 0, 0 }, lower = { 0, 0, -a, -a }, upper = { 1200, 1200, a, a }, optimum = optimum,
    f = function(x) return 3 * x[1] + 1e-6 * x[1] ^ 3 + 2 * x[2] + 2e-6 / 3 * x[2] ^ 3 end,
    g = function(x) return { x[4] - x[3] + a, x[3] - x[4] + a } end,
    h = function(x, m)
      return { 1000 * m.sin(-x[3] - 0.25) + 1000 * m.sin(-x[4] - 0.25) + 894.8 - x[1],
        1000 * m.sin(x[3] - 0.25) + 1000 * m.sin(x[3] - x[4] - 0.25) + 894.8 - x[2],
        1000 * m.sin(x[4] - 0.25) + 1000 * m.sin(x[4] - x[3] - 0.25) + 1294.8 }
    end }
end

hs(74, grid(0.55, 5126.4981096))
hs(75, grid(0.48, 5174.4126968))

hs(76, { start = all(4, 0.5), lower = 0, optimum = -4.6818181818,
  f = function(x)
    return x[1] ^ 2 + 0.5 * x[2] ^ 2 + x[3] ^ 2 + 0.5 * x[4] ^ 2 - x[1] * x[3] + x[3] * x[4] - x[1] - 3 * x[2] + x[3]
      - x[4]
  end,
  g = function(x)
    return { 5 - x[1] - 2 * x[2] - x[3] - x[4], 4 - 3 * x[1] - x[2] - 2 * x[3] + x[4], x[2] + 4 * x[3] - 1.5 }
  end })

hs(77, { start = all(5, 2), optimum = 0.2415051288,
  f = function(x)
    return (x[1] - 1) ^ 2 + (x[1] - x[2]) ^ 2 + (x[3] - 1) ^ 2 + (x[4] - 1) ^ 4 + (x[5] - 1) ^ 6
  end,
  h = function(x, m)
    return { x[1] ^ 2 * x[4] + m.sin(x[4] - x[5]) - 2 * sqrt(2), x[2] + x[3] ^ 4 * x[4] ^ 2 - 8 - sqrt(2) }
  end })

--- the constraints of 78, 80 and 81
local function sphere(x)
  return { x[1] ^ 2 + x[2] ^ 2 + x[3] ^ 2 + x[4] ^ 2 + x[5] ^ 2 - 10, x[2] * x[3] - 5 * x[4] * x[5],
    x[1] ^ 3 + x[2] ^ 3 + 1 }
end

local function product(x) return x[1] * x[2] * x[3] * x[4] * x[5] end

hs(78, { start = { -2, 1.5, 2, -1, -1 }, optimum = -2.9197004090, f = product, h = sphere })

hs(79, { start = all(5, 2), optimum = 0.0787768209634,
  f = function(x)
    return (x[1] - 1) ^ 2 + (x[1] - x[2]) ^ 2 + (x[2] - x[3]) ^ 2 + (x[3] - x[4]) ^ 4 + (x[4] - x[5]) ^ 4
  end,
  h = function(x)
    return { x[1] + x[2] ^ 2 + x[3] ^ 3 - 2 - 3 * sqrt(2), x[2] - x[3] ^ 2 + x[4] + 2 - 2 * sqrt(2),
      x[1] * x[5] - 2 }
  end })

local box80 = { -2.3, -2.3, -3.2, -3.2, -3.2 }

hs(80, { start = { -2, 2, 2, -1, -1 }, lower = box80, upper = { 2.3, 2.3, 3.2, 3.2, 3.2 }, optimum = 0.0539498477659,
  others = { 0.43885, 1, 2.2786 },
  f = function(x, m) return m.exp(product(x)) end, h = sphere })

hs(81, { start = { -2, 2, 2, -1, -1 }, lower = box80, upper = { 2.3, 2.3, 3.2, 3.2, 3.2 }, optimum = 0.0539498477749,
  others = { 0.43885, 1, 2.2786 },
  f = function(x, m) return m.exp(product(x)) - 0.5 * (x[1] ^ 3 + x[2] ^ 3 + 1) ^ 2 end, h = sphere })

hs(83, { start = { 78, 33, 27, 27, 27 }, lower = { 78, 33, 27, 27, 27 }, upper = { 102, 45, 45, 45, 45 },
  optimum = -30665.538672,
  f = function(x) return 5.3578547 * x[3] ^ 2 + 0.8356891 * x[1] * x[5] + 37.293239 * x[1] - 40792.141 end,
  g = function(x)
    local a = 85.334407 + 0.0056858 * x[2] * x[5] + 0.0006262 * x[1] * x[4] - 0.0022053 * x[3] * x[5]
    local b = 80.51249 + 0.0071317 * x[2] * x[5] + 0.0029955 * x[1] * x[2] + 0.0021813 * x[3] ^ 2 - 90
    local c = 9.300961 + 0.0047026 * x[3] * x[5] + 0.0012547 * x[1] * x[3] + 0.0019085 * x[3] * x[4] - 20
    return { a, 92 - a, b, 20 - b, c, 5 - c }
  end })

do
  local rows = { -- coefficients of x1 times 1, x2, x3, x4, x5
    { -145421.402, 2931.1506, -40.427932, 5106.192, 15711.36 },
    { -155011.1084, 4360.53352, 12.9492344, 10236.884, 13176.786 },
    { -326669.5104, 7390.68412, -27.8986976, 16643.076, 30988.146 },
  }
  local function row(k, x)
    local a = rows[k]
    return x[1] * (a[1] + a[2] * x[2] + a[3] * x[3] + a[4] * x[4] + a[5] * x[5])
  end
  hs(84, { start = { 2.52, 2, 37.5, 9.25, 6.8 }, lower = { 0, 1.2, 20, 9, 6.5 }, upper = { 1000, 2.4, 60, 9.3, 7 },
    optimum = -5280335.133,
    f = function(x)
      return 24345 + x[1] * (8720288.849 - 150512.5253 * x[2] + 156.6950325 * x[3] - 476470.3222 * x[4]
        - 729482.8271 * x[5])
    end,
    g = function(x)
      local a, b, c = row(1, x), row(2, x), row(3, x)
      return { a, 294000 - a, b, 294000 - b, c, 277200 - c }
    end })
end

-- Colville's first problem (86) and its dual (117)
local colville = {
  e = { -15, -27, -36, -18, -12 },
  c = { { 30, -20, -10, 32, -10 }, { -20, 39, -6, -31, 32 }, { -10, -6, 10, -6, -10 }, { 32, -31, -6, 39, -20 },
    { -10, 32, -10, -20, 30 } },
  d = { 4, 8, 10, 6, 2 },
  a = { { -16, 2, 0, 1, 0 }, { 0, -2, 0, 4, 2 }, { -3.5, 0, 2, 0, 0 }, { 0, -2, 0, -4, -1 }, { 0, -9, -2, 1, -2.8 },
    { 2, 0, -4, 0, 0 }, { -1, -1, -1, -1, -1 }, { -1, -2, -3, -2, -1 }, { 1, 2, 3, 4, 5 }, { 1, 1, 1, 1, 1 } },
  b = { -40, -2, -0.25, -4, -4, -1, -40, -60, 5, 1 },
}

--- sum over i, j of c_ij x_i x_j
local function colville_quadratic(x)
  local s = 0
  for i = 1, 5 do
    for j = 1, 5 do s = s + colville.c[i][j] * x[i] * x[j] end
  end
  return s
end

hs(86, { start = { 0, 0, 0, 0, 1 }, lower = 0, optimum = -32.3486789657,
  f = function(x)
    local s = colville_quadratic(x)
    for j = 1, 5 do s = s + colville.e[j] * x[j] + colville.d[j] * x[j] ^ 3 end
    return s
  end,
  g = function(x)
    local rows = {}
    for i = 1, 10 do
      rows[i] = -colville.b[i]
      for j = 1, 5 do rows[i] = rows[i] + colville.a[i][j] * x[j] end
    end
    return rows
  end })

-- ---- 93 to 118: six variables and more ------------------------------------------------------------------------

hs(93, { start = { 5.54, 4.4, 12.02, 11.82, 0.702, 0.852 }, lower = 0, optimum = 135.0759635,
  f = function(x)
    local a, b = x[1] * x[4] * (x[1] + x[2] + x[3]), x[2] * x[3] * (x[1] + 1.57 * x[2] + x[4])
    return 0.0204 * a + 0.0187 * b + 0.0607 * a * x[5] ^ 2 + 0.0437 * b * x[6] ^ 2
  end,
  g = function(x)
    local a, b = x[1] * x[4] * (x[1] + x[2] + x[3]), x[2] * x[3] * (x[1] + 1.57 * x[2] + x[4])
    return { 0.001 * x[1] * x[2] * x[3] * x[4] * x[5] * x[6] - 2.07,
      1 - 0.00062 * a * x[5] ^ 2 - 0.00058 * b * x[6] ^ 2 }
  end })

--- 95 to 98 differ in the right-hand sides
local function reactor(b, optimum, others)
  return { start = all(6, 0), lower = 0, upper = { 0.31, 0.046, 0.068, 0.042, 0.028, 0.0134 }, optimum = optimum,
    others = others,
    f = function(x) return 4.3 * x[1] + 31.8 * x[2] + 63.3 * x[3] + 15.8 * x[4] + 68.5 * x[5] + 4.7 * x[6] end,
    g = function(x)
      return {
        17.1 * x[1] + 38.2 * x[2] + 204.2 * x[3] + 212.3 * x[4] + 623.4 * x[5] + 1495.5 * x[6] - 169 * x[1] * x[3]
          - 3580 * x[3] * x[5] - 3810 * x[4] * x[5] - 18500 * x[4] * x[6] - 24300 * x[5] * x[6] - b[1],
        17.9 * x[1] + 36.8 * x[2] + 113.9 * x[3] + 169.7 * x[4] + 337.8 * x[5] + 1385.2 * x[6] - 139 * x[1] * x[3]
          - 2450 * x[4] * x[5] - 16600 * x[4] * x[6] - 17200 * x[5] * x[6] - b[2],
        -273 * x[2] - 70 * x[4] - 819 * x[5] + 26000 * x[4] * x[5] - b[3],
        159.9 * x[1] - 311 * x[2] + 587 * x[4] + 391 * x[5] + 2198 * x[6] - 14000 * x[1] * x[6] - b[4],
      }
    end }
end

hs(95, reactor({ 4.97, -1.88, -29.08, -78.02 }, 0.015619525))
hs(96, reactor({ 4.97, -1.88, -69.08, -118.02 }, 0.015619525))
hs(97, reactor({ 32.97, 25.12, -29.08, -78.02 }, 3.1358057554, { 4.0712464 }))
hs(98, reactor({ 32.97, 25.12, -124.08, -173.02 }, 3.1358057554, { 4.0712464 }))

hs(100, { start = { 1, 2, 0, 4, 0, 1, 1 }, optimum = 680.6300573745,
  f = function(x)
    return (x[1] - 10) ^ 2 + 5 * (x[2] - 12) ^ 2 + x[3] ^ 4 + 3 * (x[4] - 11) ^ 2 + 10 * x[5] ^ 6 + 7 * x[6] ^ 2
      + x[7] ^ 4 - 4 * x[6] * x[7] - 10 * x[6] - 8 * x[7]
  end,
  g = function(x)
    return {
      127 - 2 * x[1] ^ 2 - 3 * x[2] ^ 4 - x[3] - 4 * x[4] ^ 2 - 5 * x[5],
      282 - 7 * x[1] - 3 * x[2] - 10 * x[3] ^ 2 - x[4] + x[5],
      196 - 23 * x[1] - x[2] ^ 2 - 6 * x[6] ^ 2 + 8 * x[7],
      -4 * x[1] ^ 2 - x[2] ^ 2 + 3 * x[1] * x[2] - 2 * x[3] ^ 2 - 5 * x[6] + 11 * x[7],
    }
  end })

--- 101 to 103 differ in one exponent
local function membrane(a, optimum)
  local function f(x)
    return 10 * x[1] * x[4] ^ 2 * x[7] ^ a / (x[2] * x[6] ^ 3)
      + 15 * x[3] * x[4] / (x[1] * x[2] ^ 2 * x[5] * x[7] ^ 0.5) + 20 * x[2] * x[6] / (x[1] ^ 2 * x[4] * x[5] ^ 2)
      + 25 * x[1] ^ 2 * x[2] ^ 2 * x[5] ^ 0.5 * x[7] / (x[3] * x[6] ^ 2)
  end
  return { start = all(7, 6), lower = { 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01 }, upper = 10, optimum = optimum, f = f,
    g = function(x)
      local cost = f(x)
      return {
        1 - 0.5 * x[1] ^ 0.5 * x[7] / (x[3] * x[6] ^ 2) - 0.7 * x[1] ^ 3 * x[2] * x[6] * x[7] ^ 0.5 / x[3] ^ 2
          - 0.2 * x[3] * x[6] ^ (2 / 3) * x[7] ^ 0.25 / (x[2] * x[4] ^ 0.5),
        1 - 1.3 * x[2] * x[6] / (x[1] ^ 0.5 * x[3] * x[5]) - 0.8 * x[3] * x[6] ^ 2 / (x[4] * x[5])
          - 3.1 * x[2] ^ 0.5 * x[6] ^ (1 / 3) / (x[1] * x[4] ^ 2 * x[5]),
        1 - 2 * x[1] * x[5] * x[7] ^ (1 / 3) / (x[3] ^ 1.5 * x[6])
          - 0.1 * x[2] * x[5] / (x[3] ^ 0.5 * x[6] * x[7] ^ 0.5)
          - x[2] * x[3] ^ 0.5 * x[5] / x[1] - 0.65 * x[3] * x[5] * x[7] / (x[2] ^ 2 * x[6]),
        1 - 0.2 * x[2] * x[5] ^ 0.5 * x[7] ^ (1 / 3) / (x[1] ^ 2 * x[4])
          - 0.3 * x[1] ^ 0.5 * x[2] ^ 2 * x[3] * x[4] ^ (1 / 3) * x[7] ^ 0.25 / x[5] ^ (2 / 3)
          - 0.4 * x[3] * x[5] * x[7] ^ 0.75 / (x[1] ^ 3 * x[2] ^ 2) - 0.5 * x[4] * x[7] ^ 0.5 / x[3] ^ 2,
        cost - 100,
        3000 - cost,
      }
    end }
end

hs(101, membrane(-0.25, 1809.76476))
hs(102, membrane(0.125, 911.880571))
hs(103, membrane(0.5, 543.667958))

do
  local function f(x)
    return 0.4 * x[1] ^ 0.67 * x[7] ^ -0.67 + 0.4 * x[2] ^ 0.67 * x[8] ^ -0.67 + 10 - x[1] - x[2]
  end
  hs(104, { start = { 6, 3, 0.4, 0.2, 6, 6, 1, 0.5 }, lower = 0.1, upper = 10, optimum = 3.9511634396, f = f,
    g = function(x)
      local cost = f(x)
      return {
        1 - 0.0588 * x[5] * x[7] - 0.1 * x[1],
        1 - 0.0588 * x[6] * x[8] - 0.1 * x[1] - 0.1 * x[2],
        1 - 4 * x[3] / x[5] - 2 / (x[3] ^ 0.71 * x[5]) - 0.0588 * x[7] / x[3] ^ 1.3,
        1 - 4 * x[4] / x[6] - 2 / (x[4] ^ 0.71 * x[6]) - 0.0588 * x[8] / x[4] ^ 1.3,
        cost - 0.1,
        4.2 - cost,
      }
    end })
end

hs(106, { start = { 5000, 5000, 5000, 200, 350, 150, 225, 425 }, lower = { 100, 1000, 1000, 10, 10, 10, 10, 10 },
  upper = { 10000, 10000, 10000, 1000, 1000, 1000, 1000, 1000 }, optimum = 7049.2480205,
  f = function(x) return x[1] + x[2] + x[3] end,
  g = function(x)
    return {
      1 - 0.0025 * (x[4] + x[6]),
      1 - 0.0025 * (x[5] + x[7] - x[4]),
      1 - 0.01 * (x[8] - x[5]),
      x[1] * x[6] - 833.33252 * x[4] - 100 * x[1] + 83333.333,
      x[2] * x[7] - 1250 * x[5] - x[2] * x[4] + 1250 * x[4],
      x[3] * x[8] - 1250000 - x[3] * x[5] + 2500 * x[5],
    }
  end })

do
  local a = 48.4 / 50.176
  local c, d = a * math.sin(0.25), a * math.cos(0.25)
  hs(107, { start = { 0.8, 0.8, 0.2, 0.2, 1.0454, 1.0454, 0, 0, 0 },
    lower = { 0, 0, -inf, -inf, 0.90909, 0.90909, 0.90909, -inf, -inf },
    upper = { inf, inf, inf, inf, 1.0909, 1.0909, 1.0909, inf, inf }, optimum = 5055.0118030,
    f = function(x) return 3000 * x[1] + 1000 * x[1] ^ 3 + 2000 * x[2] + 666.667 * x[2] ^ 3 end,
    h = function(x, m)
      local y1, y2, y3 = m.sin(x[8]), m.cos(x[8]), m.sin(x[9])
      local y4, y5, y6 = m.cos(x[9]), m.sin(x[8] - x[9]), m.cos(x[8] - x[9])
      local v, w, u = x[5], x[6], x[7]
      return {
        0.4 - x[1] + 2 * c * v ^ 2 - v * w * (d * y1 + c * y2) - v * u * (d * y3 + c * y4),
        0.4 - x[2] + 2 * c * w ^ 2 + v * w * (d * y1 - c * y2) + w * u * (d * y5 - c * y6),
        0.8 + 2 * c * u ^ 2 + v * u * (d * y3 - c * y4) - w * u * (d * y5 + c * y6),
        0.2 - x[3] + 2 * d * v ^ 2 + v * w * (c * y1 - d * y2) + v * u * (c * y3 - d * y4),
        0.2 - x[4] + 2 * d * w ^ 2 - v * w * (c * y1 + d * y2) - w * u * (c * y5 + d * y6),
        -0.337 + 2 * d * u ^ 2 - v * u * (c * y3 + d * y4) + w * u * (c * y5 - d * y6),
      }
    end })
end

hs(108, { start = all(9, 1), lower = { -inf, -inf, -inf, -inf, -inf, -inf, -inf, -inf, 0 }, optimum = -sqrt(3) / 2,
  others = { -0.674981435, -0.5, 0 },
  f = function(x)
    return -0.5 * (x[1] * x[4] - x[2] * x[3] + x[3] * x[9] - x[5] * x[9] + x[5] * x[8] - x[6] * x[7])
  end,
  g = function(x)
    return {
      1 - x[3] ^ 2 - x[4] ^ 2,
      1 - x[9] ^ 2,
      1 - x[5] ^ 2 - x[6] ^ 2,
      1 - x[1] ^ 2 - (x[2] - x[9]) ^ 2,
      1 - (x[1] - x[5]) ^ 2 - (x[2] - x[6]) ^ 2,
      1 - (x[1] - x[7]) ^ 2 - (x[2] - x[8]) ^ 2,
      1 - (x[3] - x[5]) ^ 2 - (x[4] - x[6]) ^ 2,
      1 - (x[3] - x[7]) ^ 2 - (x[4] - x[8]) ^ 2,
      1 - x[7] ^ 2 - (x[8] - x[9]) ^ 2,
      x[1] * x[4] - x[2] * x[3],
      x[3] * x[9],
      -x[5] * x[9],
      x[5] * x[8] - x[6] * x[7],
    }
  end })

hs(110, { start = all(10, 9), lower = 2.001, upper = 9.999, optimum = -45.7784697,
  f = function(x, m)
    local s, p = 0, 1
    for i = 1, 10 do
      s, p = s + m.log(x[i] - 2) ^ 2 + m.log(10 - x[i]) ^ 2, p * x[i]
    end
    return s - p ^ 0.2
  end })

-- chemical equilibrium, in logarithms (111) and directly (112)
local energy = { -6.089, -17.164, -34.054, -5.914, -24.721, -14.986, -24.100, -10.708, -26.662, -22.179 }

local function elements(y)
  return { y[1] + 2 * y[2] + 2 * y[3] + y[6] + y[10] - 2, y[4] + 2 * y[5] + y[6] + y[7] - 1,
    y[3] + y[7] + y[8] + 2 * y[9] + y[10] - 1 }
end

local function gibbs(y, log_y, m)
  local total, s = y[1], 0
  for j = 2, 10 do total = total + y[j] end
  local log_total = m.log(total)
  for j = 1, 10 do s = s + y[j] * (energy[j] + log_y[j] - log_total) end
  return s
end

--- fn of each of ten entries
local function each(x, fn)
  local y = {}
  for j = 1, 10 do y[j] = fn(x[j]) end
  return y
end

hs(111, { start = all(10, -2.3), lower = -100, upper = 100, optimum = -47.76109026,
  f = function(x, m) return gibbs(each(x, m.exp), x, m) end,
  h = function(x, m) return elements(each(x, m.exp)) end })

hs(112, { start = all(10, 0.1), lower = 1e-6, optimum = -47.76109026,
  f = function(x, m) return gibbs(x, each(x, m.log), m) end,
  h = elements })

hs(113, { start = { 2, 3, 5, 5, 1, 2, 7, 3, 6, 10 }, optimum = 24.3062090682,
  f = function(x)
    return x[1] ^ 2 + x[2] ^ 2 + x[1] * x[2] - 14 * x[1] - 16 * x[2] + (x[3] - 10) ^ 2 + 4 * (x[4] - 5) ^ 2
      + (x[5] - 3) ^ 2 + 2 * (x[6] - 1) ^ 2 + 5 * x[7] ^ 2 + 7 * (x[8] - 11) ^ 2 + 2 * (x[9] - 10) ^ 2
      + (x[10] - 7) ^ 2 + 45
  end,
  g = function(x)
    return {
      105 - 4 * x[1] - 5 * x[2] + 3 * x[7] - 9 * x[8],
      -10 * x[1] + 8 * x[2] + 17 * x[7] - 2 * x[8],
      8 * x[1] - 2 * x[2] - 5 * x[9] + 2 * x[10] + 12,
      -3 * (x[1] - 2) ^ 2 - 4 * (x[2] - 3) ^ 2 - 2 * x[3] ^ 2 + 7 * x[4] + 120,
      -5 * x[1] ^ 2 - 8 * x[2] - (x[3] - 6) ^ 2 + 2 * x[4] + 40,
      -0.5 * (x[1] - 8) ^ 2 - 2 * (x[2] - 4) ^ 2 - 3 * x[5] ^ 2 + x[6] + 30,
      -x[1] ^ 2 - 2 * (x[2] - 2) ^ 2 + 2 * x[1] * x[2] - 14 * x[5] + 6 * x[6],
      3 * x[1] - 6 * x[2] - 12 * (x[9] - 8) ^ 2 + 7 * x[10],
    }
  end })

hs(114, { start = { 1745, 12000, 110, 3048, 1974, 89.2, 92.8, 8, 3.6, 145 },
  lower = { 1e-5, 1e-5, 1e-5, 1e-5, 1e-5, 85, 90, 3, 1.2, 145 },
  upper = { 2000, 16000, 120, 5000, 2000, 93, 95, 12, 4, 162 }, optimum = -1768.80696344,
  f = function(x) return 5.04 * x[1] + 0.035 * x[2] + 10 * x[3] + 3.36 * x[5] - 0.063 * x[4] * x[7] end,
  g = function(x)
    local a, b = 0.99, 0.9
    local g1, g2 = 35.82 - 0.222 * x[10] - b * x[9], -133 + 3 * x[7] - a * x[10]
    local g5 = 1.12 * x[1] + 0.13167 * x[1] * x[8] - 0.00667 * x[1] * x[8] ^ 2 - a * x[4]
    local g6 = 57.425 + 1.098 * x[8] - 0.038 * x[8] ^ 2 + 0.325 * x[6] - a * x[7]
    return { g1, g2, -g1 + (1 / b - b) * x[9], -g2 + (1 / a - a) * x[10], g5, g6, -g5 + (1 / a - a) * x[4],
      -g6 + (1 / a - a) * x[7] }
  end,
  h = function(x)
    return { 1.22 * x[4] - x[1] - x[5], 98000 * x[3] / (x[4] * x[9] + 1000 * x[3]) - x[6], (x[2] + x[5]) / x[1] - x[8] }
  end })

do
  local start = all(15, 0.001)
  start[7] = 60
  hs(117, { start = start, lower = 0, optimum = 32.3486789657, -- x = multipliers (10) and primal point (5)
    f = function(x)
      local y, s = { x[11], x[12], x[13], x[14], x[15] }, 0
      for i = 1, 10 do s = s - colville.b[i] * x[i] end
      s = s + colville_quadratic(y)
      for j = 1, 5 do s = s + 2 * colville.d[j] * y[j] ^ 3 end
      return s
    end,
    g = function(x)
      local rows = {}
      for j = 1, 5 do
        local r = 3 * colville.d[j] * x[10 + j] ^ 2 + colville.e[j]
        for k = 1, 5 do r = r + 2 * colville.c[k][j] * x[10 + k] end
        for i = 1, 10 do r = r - colville.a[i][j] * x[i] end
        rows[j] = r
      end
      return rows
    end })
end

do
  local need = { 60, 50, 70, 85, 100 }
  hs(118, { start = { 20, 55, 15, 20, 60, 20, 20, 60, 20, 20, 60, 20, 20, 60, 20 },
    lower = { 8, 43, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    upper = { 21, 57, 16, 90, 120, 60, 90, 120, 60, 90, 120, 60, 90, 120, 60 }, optimum = 664.82045,
    f = function(x)
      local s = 0
      for k = 0, 4 do
        local a, b, c = x[3 * k + 1], x[3 * k + 2], x[3 * k + 3]
        s = s + 2.3 * a + 0.0001 * a ^ 2 + 1.7 * b + 0.0001 * b ^ 2 + 2.2 * c + 0.00015 * c ^ 2
      end
      return s
    end,
    g = function(x)
      local rows, range = {}, { 13, 14, 13 }
      for i = 4, 15 do
        local change = x[i] - x[i - 3] + 7
        rows[#rows + 1], rows[#rows + 2] = change, range[(i - 1) % 3 + 1] - change
      end
      for k = 0, 4 do rows[#rows + 1] = x[3 * k + 1] + x[3 * k + 2] + x[3 * k + 3] - need[k + 1] end
      return rows
    end })
end

return { names = names, problems = problems }
