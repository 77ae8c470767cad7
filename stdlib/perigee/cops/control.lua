-- SPDX-License-Identifier: Apache-2.0
--- Optimal control problems of COPS 3.0: sections 8 to 11 and 14 of the report, by the trapezoidal rule on nh steps where
-- nothing else is said. Each entry has title, sizes, smallest (of a size), published and build; see perigee.cops.

local peri = require "perigee"
local collocation = require "perigee.cops.collocation"

local control = {}

local pi, inf = math.pi, math.huge

--- Values fn(t) at the nh + 1 points t = 0 ... 1.
local function along(nh, fn)
  local values = {}
  for k = 0, nh do values[k + 1] = fn(k / nh) end
  return peri.array(values)
end

--- A state at nh + 1 points: opts.first and opts.last fix its ends, opts.lower and opts.upper bound it, opts.start is a
-- number or a function of t.
local function state(m, nh, name, opts)
  local function bound(free)
    return along(nh, function(t) return t == 0 and opts.first or t == 1 and opts.last or free end)
  end
  local start = opts.start or 0
  return m:var(name, nh + 1, { lower = bound(opts.lower or -inf), upper = bound(opts.upper or inf),
    start = type(start) == "function" and along(nh, start) or start })
end

--- x[k + 1] - x[k] = step (rate[k] + rate[k + 1]) / 2 for all steps.
local function trapezoid(m, name, x, step, rate)
  local n = #x
  m:subject_to(name, (x:slice(2, n) - x:slice(1, n - 1) -
    0.5 * step * (rate:slice(2, n) + rate:slice(1, n - 1))):eq(0))
end

-- ---- 8 robot arm --------------------------------------------------------------------------------------------------------

--- Least time for a robot arm of length L = 5 between two positions, in spherical coordinates (rho, theta, phi):
--   L rho'' = u_rho,   I_theta theta'' = u_theta,   I_phi phi'' = u_phi,   |u| <= 1
--   I_phi = ((L - rho)^3 + rho^3) / 3,   I_theta = I_phi sin(phi)^2
control.robot = {
  title = "robot arm", sizes = { "nh" }, smallest = 2,
  published = { { 200, objective = 9.14138 } },
  build = function(m, nh)
    local L = 5
    local far = 2 * pi / 3
    local rho = state(m, nh, "rho", { first = 4.5, last = 4.5, lower = 0, upper = L, start = 4.5 })
    local theta = state(m, nh, "theta", { first = 0, last = far, lower = -pi, upper = pi,
      start = function(t) return far * t ^ 2 end })
    local phi = state(m, nh, "phi", { first = pi / 4, last = pi / 4, lower = 0, upper = pi, start = pi / 4 })
    local rho_rate = state(m, nh, "rho_rate", { first = 0, last = 0 })
    local theta_rate = state(m, nh, "theta_rate", { first = 0, last = 0, start = function(t) return 2 * far * t end })
    local phi_rate = state(m, nh, "phi_rate", { first = 0, last = 0 })
    local u_rho = state(m, nh, "u_rho", { lower = -1, upper = 1 })
    local u_theta = state(m, nh, "u_theta", { lower = -1, upper = 1 })
    local u_phi = state(m, nh, "u_phi", { lower = -1, upper = 1 })
    local tf = m:var("tf", nil, { lower = 0, start = 1 })
    local step = tf / nh
    local i_phi = ((L - rho) ^ 3 + rho ^ 3) / 3
    local i_theta = i_phi * peri.sin(phi) ^ 2
    m:minimize(tf)
    trapezoid(m, "rho_equation", rho, step, rho_rate)
    trapezoid(m, "theta_equation", theta, step, theta_rate)
    trapezoid(m, "phi_equation", phi, step, phi_rate)
    trapezoid(m, "rho_rate_equation", rho_rate, step, u_rho / L)
    trapezoid(m, "theta_rate_equation", theta_rate, step, u_theta / i_theta)
    trapezoid(m, "phi_rate_equation", phi_rate, step, u_phi / i_phi)
    return { rho = rho, theta = theta, phi = phi, rho_rate = rho_rate, theta_rate = theta_rate,
      phi_rate = phi_rate, u_rho = u_rho, u_theta = u_theta, u_phi = u_phi, tf = tf }
  end,
}

-- ---- 9 steering -----------------------------------------------------------------------------------------------------------

--- Least time for a particle under a thrust of constant size a = 100 and angle u, |u| <= pi / 2, from rest at (0, 0) to
-- height 5 with velocity (45, 0):
--   x1'' = a cos u,   x2'' = a sin u
control.steering = {
  title = "particle steering", sizes = { "nh" }, smallest = 2,
  published = { { 50, objective = 0.554669 }, { 100, objective = 0.554595 },
    { 200, objective = 0.554577 } },
  build = function(m, nh)
    local a = 100
    local u = state(m, nh, "u", { lower = -pi / 2, upper = pi / 2 })
    local x1 = state(m, nh, "x1", { first = 0 })
    local x2 = state(m, nh, "x2", { first = 0, last = 5, start = function(t) return 5 * t end })
    local x3 = state(m, nh, "x3", { first = 0, last = 45, start = function(t) return 45 * t end })
    local x4 = state(m, nh, "x4", { first = 0, last = 0 })
    local tf = m:var("tf", nil, { lower = 0, start = 1 })
    local step = tf / nh
    m:minimize(tf)
    trapezoid(m, "x1_equation", x1, step, x3)
    trapezoid(m, "x2_equation", x2, step, x4)
    trapezoid(m, "x3_equation", x3, step, a * peri.cos(u))
    trapezoid(m, "x4_equation", x4, step, a * peri.sin(u))
    return { u = u, x1 = x1, x2 = x2, x3 = x3, x4 = x4, tf = tf }
  end,
}

-- ---- 10 rocket --------------------------------------------------------------------------------------------------------------

--- Goddard's rocket: the greatest final height h for thrust T <= 3.5 while mass m falls from 1 to 0.6, in unknown time,
--   h' = v,   m v' = T - D - m g,   m' = -T / c
--   D = 310 v^2 exp(-500 (h - 1)),   g = 1 / h^2,   c = 1/2
control.rocket = {
  title = "Goddard rocket", sizes = { "nh" }, smallest = 2,
  published = { { 100, objective = 1.01283 }, { 400, objective = 1.01283 } },
  build = function(p, nh)
    local h = state(p, nh, "h", { first = 1, lower = 1, start = 1 })
    local v = state(p, nh, "v", { first = 0, lower = 0, start = function(t) return t * (1 - t) end })
    local m = state(p, nh, "m", { first = 1, last = 0.6, lower = 0.6, upper = 1,
      start = function(t) return 1 - 0.4 * t end })
    local T = state(p, nh, "T", { lower = 0, upper = 3.5, start = 1.75 })
    local step = p:var("step", nil, { lower = 0, start = 1 / nh })
    local drag = 310 * v ^ 2 * peri.exp(500 * (1 - h))
    p:maximize(h[nh + 1])
    trapezoid(p, "h_equation", h, step, v)
    trapezoid(p, "v_equation", v, step, (T - drag) / m - 1 / h ^ 2)
    trapezoid(p, "m_equation", m, step, -2 * T)
    return { h = h, v = v, m = m, T = T, step = step }
  end,
}

-- ---- 11 hang glider ------------------------------------------------------------------------------------------------------------

--- The greatest final range x of a hang glider over a thermal, controlled by its lift coefficient c, 0 <= c <= 1.4:
--   x' = vx,   y' = vy,   mass vx' = -(L sin e + D cos e),   mass vy' = L cos e - D sin e - mass g
--   w = vy - 2.5 (1 - r) exp(-r),   r = (x / 100 - 2.5)^2,   s^2 = vx^2 + w^2,   sin e = w / s,   cos e = vx / s
--   D = (c0 + c1 c^2) rho S s^2 / 2,   L = c rho S s^2 / 2
control.glider = {
  title = "hang glider", sizes = { "nh" }, smallest = 2,
  published = { { 100, objective = 1255.05 } },
  build = function(m, nh)
    local mass, gravity, half = 100, 9.81, 0.5 * 1.13 * 14
    local tf = m:var("tf", nil, { lower = 0, start = 1 })
    local x = state(m, nh, "x", { first = 0, lower = 0, start = function(t) return 13.23 * t end })
    local y = state(m, nh, "y", { first = 1000, last = 900, start = function(t) return 1000 - 100 * t end })
    local vx = state(m, nh, "vx", { first = 13.23, last = 13.23, lower = 0, start = 13.23 })
    local vy = state(m, nh, "vy", { first = -1.288, last = -1.288, start = -1.288 })
    local c = state(m, nh, "c", { lower = 0, upper = 1.4, start = 0.7 })
    local step = tf / nh
    local r = (x / 100 - 2.5) ^ 2
    local w = vy - 2.5 * (1 - r) * peri.exp(-r)
    local s = peri.sqrt(vx ^ 2 + w ^ 2)
    local lift, drag = half * c * s, half * (0.034 + 0.069662 * c ^ 2) * s -- over the speed s
    m:maximize(x[nh + 1])
    trapezoid(m, "x_equation", x, step, vx)
    trapezoid(m, "y_equation", y, step, vy)
    trapezoid(m, "vx_equation", vx, step, -(lift * w + drag * vx) / mass)
    trapezoid(m, "vy_equation", vy, step, (lift * vx - drag * w) / mass - gravity)
    return { tf = tf, x = x, y = y, vx = vx, vy = vy, c = c }
  end,
}

-- ---- 14 catalyst mixing, and 9 by collocation -------------------------------------------------------------------------------

--- Three stages of collocation, with the states at the end as variables of their own.
local function collocate(m, opts)
  opts.stages = 3
  local low, high, inf_last = {}, {}, opts.last or {}
  for s = 1, opts.states do low[s], high[s] = inf_last[s] or -inf, inf_last[s] or inf end
  local c = collocation.states(m, opts)
  c.final = m:var("final", opts.states, { lower = low, upper = high,
    start = peri.array(collocation.matrix(1, opts.states, opts.start)[1]:totable()) })
  for s = 1, opts.states do
    m:subject_to("final_" .. s, (c.final[s] - c.value(opts.nh, s, 1)):eq(0))
  end
  collocation.rates(m, c, opts)
  return c
end

--- The best mixture u of two catalysts along a reactor, 0 <= u <= 1, for A -> B and B <-> C, by collocation:
--   minimize x1(1) + x2(1) - 1,   x1' = u (10 x2 - x1),   x2' = u (x1 - 10 x2) - (1 - u) x2
control.catmix = {
  title = "catalyst mixing", sizes = { "nh" }, smallest = 2,
  published = { { 100, objective = -0.0480556 } },
  build = function(m, nh)
    local u = m:var("u", { nh, 3 }, { lower = 0, upper = 1, start = 0 })
    local c = collocate(m, { nh = nh, states = 2, step = 1 / nh, first = { 1, 0 },
      start = function(_, s) return s == 1 and 1 or 0 end,
      rates = {
        function(x, i, j) return u[i][j] * (10 * x(2) - x(1)) end,
        function(x, i, j) return u[i][j] * (x(1) - 10 * x(2)) - (1 - u[i][j]) * x(2) end,
      } })
    m:minimize(c.final[1] + c.final[2] - 1)
    return { u = u, v = c.v, w = c.w, x = c.x, dx = c.dx, final = c.final }
  end,
}

--- Particle steering (section 9) in the collocation form of the report's other problems: the same trajectory as
-- `steering`, of higher order. The objective tends to the continuous problem's, 0.5545709, much sooner.
control.particle = {
  title = "particle steering by collocation", sizes = { "nh" }, smallest = 2,
  build = function(m, nh)
    local a = 100
    local tf = m:var("tf", nil, { lower = 0, start = 1 })
    local u = m:var("u", { nh, 3 }, { lower = -pi / 2, upper = pi / 2, start = 0 })
    local c = collocate(m, { nh = nh, states = 4, step = tf / nh, first = { 0, 0, 0, 0 },
      last = { [2] = 5, [3] = 45, [4] = 0 }, start = function() return 0 end,
      rates = {
        function(x) return x(3) end,
        function(x) return x(4) end,
        function(_, i, j) return a * peri.cos(u[i][j]) end,
        function(_, i, j) return a * peri.sin(u[i][j]) end,
      } })
    m:minimize(tf)
    return { tf = tf, u = u, v = c.v, w = c.w, x = c.x, dx = c.dx, final = c.final }
  end,
}

return control
