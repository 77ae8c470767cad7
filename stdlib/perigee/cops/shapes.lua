-- SPDX-License-Identifier: Apache-2.0
--- Problems of COPS 3.0 on shapes: sections 1 to 4 and 15 to 17 of the report. Each entry has title, sizes, smallest (of
-- a size), published and build; see perigee.cops.

local peri = require "perigee"

local shapes = {}

local pi = math.pi

--- n values fn(1 ... n) as an array
local function array(n, fn)
  local values = {}
  for i = 1, n do values[i] = fn(i) end
  return peri.array(values)
end

--- The pairs i < j of 1 ... n as two arrays.
local function pairs_of(n)
  local first, second = {}, {}
  for i = 1, n - 1 do
    for j = i + 1, n do first[#first + 1], second[#second + 1] = i, j end
  end
  return peri.array(first), peri.array(second)
end

-- ---- 1 polygon ----------------------------------------------------------------------------------------------------

--- Maximize the area of a polygon of diameter 1 in polar coordinates (r, theta) seen from its last vertex:
--   sum_i r[i] r[i+1] sin(theta[i+1] - theta[i]) / 2
--   r[i]^2 + r[j]^2 - 2 r[i] r[j] cos(theta[i] - theta[j]) <= 1 for i < j;  theta ascends;  theta[nv] = pi, r[nv] = 0
-- Graham 1975 (nv = 6); Audet, Hansen, Messine and Xiong 2002 (nv = 8).
shapes.polygon = {
  title = "largest small polygon", sizes = { "nv" }, smallest = 3,
  published = { { 6, objective = 0.674981 }, { 8, objective = 0.726868 } },
  build = function(m, nv)
    local last = function(value, other) return array(nv, function(i) return i == nv and value or other end) end
    local r = m:var("r", nv, { lower = 0, upper = last(0, 1),
      start = array(nv, function(i) return 4 * i * (nv + 1 - i) / (nv + 1) ^ 2 end) })
    local theta = m:var("theta", nv, { lower = last(pi, 0), upper = pi,
      start = array(nv, function(i) return pi * i / nv end) })
    local i, j = pairs_of(nv)
    m:maximize(0.5 * (r:slice(2, nv) * r:slice(1, nv - 1) *
      peri.sin(theta:slice(2, nv) - theta:slice(1, nv - 1))):sum())
    m:subject_to("diameter", r[i] ^ 2 + r[j] ^ 2 - 2 * r[i] * r[j] * peri.cos(theta[i] - theta[j]) <= 1)
    m:subject_to("ascending", theta:slice(2, nv) - theta:slice(1, nv - 1) >= 0)
    return { r = r, theta = theta }
  end,
}

-- ---- 2 electrons ---------------------------------------------------------------------------------------------------

--- Thomson's problem: np electrons on the unit sphere with least Coulomb energy,
--   sum_{i<j} 1 / |p[i] - p[j]|,   |p[i]|^2 = 1
-- from points that are drawn with a fixed seed. There are many local minima, close together.
shapes.elec = {
  title = "electrons on a sphere", sizes = { "np" }, smallest = 2,
  published = { { 25, objective = 243.813 }, { 50, objective = 1055.18 },
    { 100, objective = 4448.35 } },
  build = function(m, np)
    local theta = 2 * pi * peri.random.uniform { n = np, seed = 2 }
    local phi = pi * peri.random.uniform { n = np, seed = 3 }
    local x = m:var("x", np, { start = theta:cos() * phi:sin() })
    local y = m:var("y", np, { start = theta:sin() * phi:sin() })
    local z = m:var("z", np, { start = phi:cos() })
    local i, j = pairs_of(np)
    m:minimize(((x[i] - x[j]) ^ 2 + (y[i] - y[j]) ^ 2 + (z[i] - z[j]) ^ 2):pow(-0.5):sum())
    m:subject_to("sphere", (x ^ 2 + y ^ 2 + z ^ 2):eq(1))
    return { x = x, y = y, z = z }
  end,
}

-- ---- 3 cam ----------------------------------------------------------------------------------------------------------

--- Maximize the area of the valve opening for one rotation of a convex cam with radii r between 1 and 2:
--   pi / n sum r,    d = 2 pi / (5 (n + 1)),   |r[i+1] - r[i]| <= 1.5 d
--   2 r[i-1] r[i+1] cos d <= r[i] (r[i-1] + r[i+1])    convexity
-- with r[-1] = r[0] = 1 and r[n+1] = r[n+2] = 2, where r[n+1]'s own row reads 2 r[n]^2 cos d <= 4 r[n] in the report.
shapes.camshape = {
  title = "shape of a cam", sizes = { "n" }, smallest = 3,
  published = { { 100, objective = 4.28414 }, { 400, objective = 4.27569 } },
  build = function(m, n)
    local r = m:var("r", n, { lower = 1, upper = 2, start = 1.5 })
    local d = 2 * pi / (5 * (n + 1))
    local bend, slope = 2 * math.cos(d), 1.5 * d
    local before, at, after = r:slice(1, n - 2), r:slice(2, n - 1), r:slice(3, n)
    m:maximize(pi / n * r:sum())
    m:subject_to("convexity", bend * before * after - at * (before + after) <= 0)
    m:subject_to("convexity_low", (bend - 1) * r[1] <= 1, bend * r[2] - r[1] * (1 + r[2]) <= 0)
    m:subject_to("convexity_high", 2 * bend * r[n - 1] - r[n] * (r[n - 1] + 2) <= 0, bend * r[n] ^ 2 - 4 * r[n] <= 0)
    m:subject_to("curvature", peri.between(-slope, r:slice(2, n) - r:slice(1, n - 1), slope))
    m:subject_to("curvature_ends", peri.between(-slope, r[1] - 1, slope), peri.between(-slope, 2 - r[n], slope))
    return { r = r }
  end,
}

-- ---- 4 chain ---------------------------------------------------------------------------------------------------------

--- A chain of length 4 that hangs between heights 1 and 3, with least potential energy: with x1' = u, by the trapezoidal
-- rule on nh steps,
--   x2' = x1 sqrt(1 + u^2)  (energy),   x3' = sqrt(1 + u^2)  (length)
shapes.chain = {
  title = "hanging chain", sizes = { "nh" }, smallest = 2,
  published = { { 50, objective = 5.07226 }, { 200, objective = 5.06892 } },
  build = function(m, nh)
    local n = nh + 1
    local height = function(i) local t = (i - 1) / nh; return 8 * t * (t / 2 - 0.25) + 1 end
    local ends = function(low, high, free)
      return array(n, function(i) return i == 1 and low or i == n and high or free end)
    end
    local slope = array(n, function(i) return 8 * ((i - 1) / nh - 0.25) end)
    local inf = math.huge
    local u = m:var("u", n, { start = slope })
    local x1 = m:var("x1", n, { lower = ends(1, 3, -inf), upper = ends(1, 3, inf), start = array(n, height) })
    local x2 = m:var("x2", n, { lower = ends(0, -inf, -inf), upper = ends(0, inf, inf),
      start = array(n, height) * slope })
    local x3 = m:var("x3", n, { lower = ends(0, 4, -inf), upper = ends(0, 4, inf), start = slope })
    local length = peri.sqrt(1 + u ^ 2)
    m:minimize(x2[n])
    for k, row in ipairs { { x1, u }, { x2, x1 * length }, { x3, length } } do
      local x, rate = row[1], row[2]
      m:subject_to("x" .. k .. "_equation", (x:slice(2, n) - x:slice(1, nh) -
        0.5 / nh * (rate:slice(2, n) + rate:slice(1, nh))):eq(0))
    end
    return { u = u, x1 = x1, x2 = x2, x3 = x3 }
  end,
}

-- ---- 15, 16, 17: surfaces over a grid ---------------------------------------------------------------------------------

--- A variable on the grid of (nx + 2) x (ny + 2) points, row i along x; bound(i, j) is low, high; first(i, j) the start.
local function surface(m, nx, ny, bound, first)
  local low, high, start = {}, {}, {}
  for i = 1, nx + 2 do
    low[i], high[i], start[i] = {}, {}, {}
    for j = 1, ny + 2 do
      low[i][j], high[i][j] = bound(i - 1, j - 1)
      start[i][j] = first(i - 1, j - 1)
    end
  end
  return m:var("v", { nx + 2, ny + 2 }, { lower = peri.array(low), upper = peri.array(high),
    start = peri.array(start) })
end

--- The values at the corners of the grid's (nx + 1)(ny + 1) cells, row by row: at (i, j), at (i + 1, j), at (i, j + 1)
-- and at (i + 1, j + 1). A cell is a lower triangle of the first three and an upper one of the last three.
local function cells(v, nx, ny)
  local all = v:reshape((nx + 2) * (ny + 2), 1)
  local function corner(down, right)
    local index = {}
    for i = 1, nx + 1 do
      for j = 1, ny + 1 do index[#index + 1] = (i + down - 1) * (ny + 2) + j + right end
    end
    return all[peri.array(index)]
  end
  return corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1)
end

--- Elastic-plastic torsion of a bar of unit square section with c = 5:
--   minimize the integral of |grad v|^2 / 2 - c v,   |v| <= distance to the boundary
-- with linear elements on the triangles of the grid.
shapes.torsion = {
  title = "elastic-plastic torsion", sizes = { "nx", "ny" }, smallest = 1,
  published = { { 50, 25, objective = -0.417510 }, { 50, 50, objective = -0.418087 } },
  build = function(m, nx, ny)
    local c = 5
    local hx, hy = 1 / (nx + 1), 1 / (ny + 1)
    local distance = function(i, j) return math.min(i * hx, (nx + 1 - i) * hx, j * hy, (ny + 1 - j) * hy) end
    local v = surface(m, nx, ny, function(i, j) return -distance(i, j), distance(i, j) end, distance)
    local a, down, right, far = cells(v, nx, ny)
    local energy = ((down - a) ^ 2 + (far - right) ^ 2) / hx ^ 2 + ((right - a) ^ 2 + (far - down) ^ 2) / hy ^ 2
    m:minimize(hx * hy / 2 * (energy:sum() / 2 - c / 3 * (a + 2 * down + 2 * right + far):sum()))
    return { v = v }
  end,
}

--- Pressure in the lubricant of a journal bearing of eccentricity e = 0.1 on (0, 2 pi) x (0, 2 b), b = 10:
--   minimize the integral of w_q |grad v|^2 / 2 - w_l v,   v >= 0,   w_q = (1 + e cos x)^3,   w_l = e sin x
-- with linear elements on the triangles of the grid, v = 0 on the boundary. w_q's weights in the triangles are the
-- collection's: (w[i] + 2 w[i+1]) / 3 in the lower one, (2 w[i+1] + 2 w[i]) / 3 in the upper one.
shapes.bearing = {
  title = "journal bearing", sizes = { "nx", "ny" }, smallest = 1,
  published = { { 50, 50, objective = -0.15482, digits = 5 } },
  build = function(m, nx, ny)
    local b, e = 10, 0.1
    local hx, hy = 2 * pi / (nx + 1), 2 * b / (ny + 1)
    local v = surface(m, nx, ny, function(i, j)
      return 0, (i == 0 or j == 0 or i == nx + 1 or j == ny + 1) and 0 or math.huge
    end, function(i, j) return (j == 0 or j == ny + 1) and 0 or math.max(math.sin(i * hx), 0) end)
    local lower, upper, load = {}, {}, {}
    local weight = function(i) return (1 + e * math.cos(i * hx)) ^ 3 end
    for i = 0, nx + 1 do
      for j = 0, ny + 1 do
        load[#load + 1] = hx * hy * e * math.sin(i * hx)
        if i <= nx and j <= ny then
          lower[#lower + 1] = hx * hy / 12 * (weight(i) + 2 * weight(i + 1))
          upper[#upper + 1] = hx * hy / 12 * (2 * weight(i + 1) + 2 * weight(i))
        end
      end
    end
    local a, down, right, far = cells(v, nx, ny)
    m:minimize((peri.array(lower) * (((down - a) / hx) ^ 2 + ((right - a) / hy) ^ 2)):sum() +
      (peri.array(upper) * (((far - right) / hx) ^ 2 + ((far - down) / hy) ^ 2)):sum() -
      peri.array(load):dot(v:reshape((nx + 2) * (ny + 2), 1)))
    return { v = v }
  end,
}

--- The surface of least area over the unit square with v = 1 - (2 x - 1)^2 where y is 0 or 1, v = 0 where x is 0 or 1,
-- v >= 0, and v >= 1 for 1/4 <= x, y <= 3/4 (on grid points between the floor and the ceiling of these limits):
--   minimize the integral of sqrt(1 + |grad v|^2), with linear elements on the triangles of the grid.
shapes.minsurf = {
  title = "minimal surface with obstacle", sizes = { "nx", "ny" }, smallest = 1,
  published = { { 50, 25, objective = 2.51948 }, { 50, 50, objective = 2.51488 } },
  build = function(m, nx, ny)
    local hx, hy = 1 / (nx + 1), 1 / (ny + 1)
    local arc = function(i) return 1 - (2 * i * hx - 1) ^ 2 end
    local above = function(k, h) return k >= math.floor(0.25 / h) and k <= math.ceil(0.75 / h) end
    local v = surface(m, nx, ny, function(i, j)
      if i == 0 or i == nx + 1 then return 0, 0 end
      if j == 0 or j == ny + 1 then return arc(i), arc(i) end
      return above(i, hx) and above(j, hy) and 1 or 0, math.huge
    end, arc)
    local a, down, right, far = cells(v, nx, ny)
    m:minimize(hx * hy / 2 * (peri.sqrt(1 + ((down - a) / hx) ^ 2 + ((right - a) / hy) ^ 2) +
      peri.sqrt(1 + ((far - right) / hx) ^ 2 + ((far - down) / hy) ^ 2)):sum())
    return { v = v }
  end,
}

return shapes
