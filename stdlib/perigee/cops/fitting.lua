-- SPDX-License-Identifier: Apache-2.0
--- Parameter estimation and the boundary value problem of COPS 3.0: sections 5 to 7, 12 and 13 of the report, by
-- collocation on nh steps. Each entry has title, sizes, smallest (of a size), published and build; see perigee.cops.

local peri = require "perigee"
local collocation = require "perigee.cops.collocation"

local fitting = {}

--- Least squares of states against measurements z[k][s] at times tau[k], from time 0 to the last:
--   minimize sum_k sum_s (x[s](tau[k]) - z[k][s])^2,   x' = rates(x)
-- opts: tau, z, stages, rates, first (fixes x(0)) or nil, start(i, s) or nil for the measurement of step i's interval.
local function fit(m, nh, opts)
  local tau, z = opts.tau, opts.z
  local h = tau[#tau] / nh
  local at = {} -- the step that holds measurement k
  for k = 1, #tau do at[k] = math.min(nh, math.floor(tau[k] / h) + 1) end
  local function measured(i, s)
    for k = 1, #tau do
      if i <= at[k] then return k == 1 and opts.first and opts.first[s] or z[k][s] end
    end
    return z[#tau][s]
  end
  local set = { nh = nh, states = #z[1], stages = opts.stages, step = h, first = opts.first,
    start = opts.start or measured, rates = opts.rates }
  local c = collocation.states(m, set)
  collocation.rates(m, c, set)
  local sum = 0
  for k = 1, #tau do
    local within = (tau[k] - (at[k] - 1) * h) / h
    for s = 1, #z[1] do sum = sum + (c.value(at[k], s, within) - z[k][s]) ^ 2 end
  end
  m:minimize(sum)
  return c
end

-- ---- 5 pinene -------------------------------------------------------------------------------------------------------

--- Reaction coefficients of the isomerization of alpha-pinene (Box et al. 1973), a linear system of five states:
--   x1' = -(p1 + p2) x1,  x2' = p1 x1,  x3' = p2 x1 - (p3 + p4) x3 + p5 x5,  x4' = p3 x3,  x5' = p4 x3 - p5 x5
fitting.pinene = {
  title = "isomerization of alpha-pinene", sizes = { "nh" }, smallest = 2,
  published = { { 100, objective = 19.8721 } },
  build = function(m, nh)
    local p = m:var("p", 5, { lower = 0, start = 0 })
    local c = fit(m, nh, { stages = 3, first = { 100, 0, 0, 0, 0 },
      tau = { 1230, 3060, 4920, 7800, 10680, 15030, 22620, 36420 },
      z = {
        { 88.35, 7.3, 2.3, 0.4, 1.75 }, { 76.4, 15.6, 4.5, 0.7, 2.8 }, { 65.1, 23.1, 5.3, 1.1, 5.8 },
        { 50.4, 32.9, 6.0, 1.5, 9.3 }, { 37.5, 42.7, 6.0, 1.9, 12.0 }, { 25.9, 49.1, 5.9, 2.2, 17.0 },
        { 14.0, 57.4, 5.1, 2.6, 21.0 }, { 4.5, 63.1, 3.8, 2.9, 25.7 },
      },
      rates = {
        function(x) return -(p[1] + p[2]) * x(1) end,
        function(x) return p[1] * x(1) end,
        function(x) return p[2] * x(1) - (p[3] + p[4]) * x(3) + p[5] * x(5) end,
        function(x) return p[3] * x(3) end,
        function(x) return p[4] * x(3) - p[5] * x(5) end,
      } })
    return { p = p, v = c.v, w = c.w, x = c.x, dx = c.dx }
  end,
}

-- ---- 6 marine -------------------------------------------------------------------------------------------------------

local population = {
  { 20000, 17000, 10000, 15000, 12000, 9000, 7000, 3000 }, { 12445, 15411, 13040, 13338, 13484, 8426, 6615, 4022 },
  { 7705, 13074, 14623, 11976, 12453, 9272, 6891, 5020 }, { 4664, 8579, 12434, 12603, 11738, 9710, 6821, 5722 },
  { 2977, 7053, 11219, 11340, 13665, 8534, 6242, 5695 }, { 1769, 5054, 10065, 11232, 12112, 9600, 6647, 7034 },
  { 943, 3907, 9473, 10334, 11115, 8826, 6842, 7348 }, { 581, 2624, 7421, 10297, 12427, 8747, 7199, 7684 },
  { 355, 1744, 5369, 7748, 10057, 8698, 6542, 7410 }, { 223, 1272, 4713, 6869, 9564, 8766, 6810, 6961 },
  { 137, 821, 3451, 6050, 8671, 8291, 6827, 7525 }, { 87, 577, 2649, 5454, 8430, 7411, 6423, 8388 },
  { 49, 337, 2058, 4115, 7435, 7627, 6268, 7189 }, { 32, 228, 1440, 3790, 6474, 6658, 5859, 7467 },
  { 17, 168, 1178, 3087, 6524, 5880, 5562, 7144 }, { 11, 99, 919, 2596, 5360, 5762, 4480, 7256 },
  { 7, 65, 647, 1873, 4556, 5058, 4944, 7538 }, { 4, 44, 509, 1571, 4009, 4527, 4233, 6649 },
  { 2, 27, 345, 1227, 3677, 4229, 3805, 6378 }, { 1, 20, 231, 934, 3197, 3695, 3159, 6454 },
  { 1, 12, 198, 707, 2562, 3163, 3232, 5566 },
}

--- Growth g and mortality d of eight stages of a marine species (Rothschild et al. 1997):
--   x[s]' = g[s-1] x[s-1] - (d[s] + g[s]) x[s],   g[0] = g[8] = 0
fitting.marine = {
  title = "marine population dynamics", sizes = { "nh" }, smallest = 2,
  published = { { 100, objective = 1.97462e7 } },
  build = function(m, nh)
    local tau, rates = {}, {}
    local g = m:var("g", 7, { lower = 0, start = 0 })
    local d = m:var("d", 8, { lower = 0, start = 0 })
    for k = 1, 21 do tau[k] = 0.5 * (k - 1) end
    for s = 1, 8 do
      rates[s] = function(x)
        local gone = (s < 8 and d[s] + g[s] or d[s]) * x(s)
        return s > 1 and g[s - 1] * x(s - 1) - gone or -gone
      end
    end
    local c = fit(m, nh, { stages = 1, tau = tau, z = population, rates = rates })
    return { g = g, d = d, v = c.v, w = c.w, x = c.x, dx = c.dx }
  end,
}

-- ---- 12 gas oil -----------------------------------------------------------------------------------------------------

--- Reaction coefficients of the catalytic cracking of gas oil (Tjoa and Biegler 1991):
--   x1' = -(p1 + p3) x1^2,   x2' = p1 x1^2 - p2 x2
fitting.gasoil = {
  title = "catalytic cracking of gas oil", sizes = { "nh" }, smallest = 2,
  published = { { 100, objective = 5.2366e-3, digits = 5 } },
  build = function(m, nh)
    local p = m:var("p", 3, { lower = 0, start = 0 })
    local c = fit(m, nh, { stages = 4, first = { 1, 0 },
      tau = { 0, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.225, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.65,
        0.75, 0.85, 0.95 },
      z = {
        { 1, 0 }, { 0.8105, 0.2 }, { 0.6208, 0.2886 }, { 0.5258, 0.301 }, { 0.4345, 0.3215 }, { 0.3903, 0.3123 },
        { 0.3342, 0.2716 }, { 0.3034, 0.2551 }, { 0.2735, 0.2258 }, { 0.2405, 0.1959 }, { 0.2283, 0.1789 },
        { 0.2071, 0.1457 }, { 0.1669, 0.1198 }, { 0.153, 0.0909 }, { 0.1339, 0.0719 }, { 0.1265, 0.0561 },
        { 0.12, 0.046 }, { 0.099, 0.028 }, { 0.087, 0.019 }, { 0.077, 0.014 }, { 0.069, 0.01 },
      },
      rates = {
        function(x) return -(p[1] + p[3]) * x(1) ^ 2 end,
        function(x) return p[1] * x(1) ^ 2 - p[2] * x(2) end,
      } })
    return { p = p, v = c.v, w = c.w, x = c.x, dx = c.dx }
  end,
}

-- ---- 13 methanol ----------------------------------------------------------------------------------------------------

--- Reaction coefficients of the conversion of methanol to hydrocarbons (Maria 1989; Floudas et al. 1999): with
-- q = (p2 + p5) x1 + x2,
--   x1' = -(2 p2 - p1 x2 / q + p3 + p4) x1
--   x2' = p1 x1 (p2 x1 - x2) / q + p3 x1
--   x3' = p1 x1 (x2 + p5 x1) / q + p4 x1
fitting.methanol = {
  title = "methanol to hydrocarbons", sizes = { "nh" }, smallest = 2,
  published = { { 100, objective = 9.02229e-3 } },
  build = function(m, nh)
    local p = m:var("p", 5, { lower = 0, start = 1 })
    local function q(x) return (p[2] + p[5]) * x(1) + x(2) end
    local c = fit(m, nh, { stages = 3, first = { 1, 0, 0 }, start = function() return 0.001 end,
      tau = { 0, 0.05, 0.065, 0.08, 0.123, 0.233, 0.273, 0.354, 0.397, 0.418, 0.502, 0.553, 0.681, 0.75, 0.916, 0.937,
        1.122 },
      z = {
        { 1, 0, 0 }, { 0.7085, 0.1621, 0.0811 }, { 0.5971, 0.1855, 0.0965 }, { 0.5537, 0.1989, 0.1198 },
        { 0.3684, 0.2845, 0.1535 }, { 0.1712, 0.3491, 0.2097 }, { 0.1198, 0.3098, 0.2628 },
        { 0.0747, 0.3576, 0.2467 }, { 0.0529, 0.3347, 0.2884 }, { 0.0415, 0.3388, 0.2757 },
        { 0.0261, 0.3557, 0.3167 }, { 0.0208, 0.3483, 0.2954 }, { 0.0085, 0.3836, 0.295 },
        { 0.0053, 0.3611, 0.2937 }, { 0.0019, 0.3609, 0.2831 }, { 0.0018, 0.3485, 0.2846 },
        { 0.0006, 0.3698, 0.2899 },
      },
      rates = {
        function(x) return -(2 * p[2] - p[1] * x(2) / q(x) + p[3] + p[4]) * x(1) end,
        function(x) return p[1] * x(1) * (p[2] * x(1) - x(2)) / q(x) + p[3] * x(1) end,
        function(x) return p[1] * x(1) * (x(2) + p[5] * x(1)) / q(x) + p[4] * x(1) end,
      } })
    return { p = p, v = c.v, w = c.w, x = c.x, dx = c.dx }
  end,
}

-- ---- 7 channel --------------------------------------------------------------------------------------------------------

--- Flow through a channel with porous walls at Reynolds number R = 10, a boundary value problem without an objective:
--   u'''' = R (u' u'' - u u'''),   u(0) = u'(0) = u'(1) = 0,   u(1) = 1
-- by collocation with four stages: on step i, with derivatives s = 0 ... 3 at its start in v[i],
--   u^(s)(t_i + tau h) = sum_{k>=s} v[i][k] (tau h)^(k-s) / (k-s)! + h^(4-s) sum_j w[i][j] tau^(j+3-s) / (j+3-s)!
fitting.channel = {
  title = "flow in a channel", sizes = { "nh" }, smallest = 2,
  build = function(m, nh)
    local R, h = 10, 1 / nh
    local factorial, inf = collocation.factorial, math.huge
    local function first(i, s)
      local t = (i - 1) * h
      return ({ t ^ 2 * (3 - 2 * t), 6 * t * (1 - t), 6 * (1 - 2 * t), -12 })[s]
    end
    local function bound(free)
      return collocation.matrix(nh, 4, function(i, s) return i == 1 and s <= 2 and 0 or free end)
    end
    local v = m:var("v", { nh, 4 }, { lower = bound(-inf), upper = bound(inf),
      start = collocation.matrix(nh, 4, first) })
    local w = m:var("w", { nh, 4 }, { start = 0 })
    local function derivative(i, s, tau)
      local e = 0
      for k = s, 3 do e = e + (tau * h) ^ (k - s) / factorial[k - s] * v[i][k + 1] end
      for j = 1, 4 do e = e + h ^ (4 - s) * tau ^ (j + 3 - s) / factorial[j + 3 - s] * w[i][j] end
      return e
    end
    for j, tau in ipairs(collocation.gauss(4)) do
      m:subject_to("equation_" .. j, peri.map(nh, function(i)
        local highest = 0
        for k = 1, 4 do highest = highest + tau ^ (k - 1) / factorial[k - 1] * w[i][k] end
        local d = function(s) return derivative(i, s, tau) end
        return highest - R * (d(1) * d(2) - d(0) * d(3))
      end):eq(0))
    end
    for s = 0, 3 do
      m:subject_to("continuity_" .. s, peri.map(nh - 1, function(i)
        return v[i + 1][s + 1] - derivative(i, s, 1)
      end):eq(0))
    end
    m:subject_to("end_value", derivative(nh, 0, 1):eq(1))
    m:subject_to("end_slope", derivative(nh, 1, 1):eq(0))
    m:minimize(0)
    return { v = v, w = w }
  end,
}

return fitting
