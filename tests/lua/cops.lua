-- SPDX-License-Identifier: Apache-2.0
-- The COPS problems are solved by ipm to the published objectives; discretizations of one problem agree with each other.

local t = require "tap"
local peri = require "perigee"
local cops = peri.cops

local function solve(name, ...)
  local m, v = cops[name](...)
  local sol = m:solve("ipm", { tolerance = 1e-9, iterations = 1500 })
  if not t.ok(sol.certificate.kkt <= 1e-6, ("%s %s: certificate"):format(name, table.concat({ ... }, " "))) then
    t.diag("%s, kkt %.1e, %d iterations", sol.status, sol.certificate.kkt, sol.iterations)
  end
  return sol, v
end

-- The published digits, six for most, are cut off for some and come from solvers of lower accuracy for some:
-- two units of the last one. The electrons' energy is any of several close local minima.
for _, name in ipairs(cops.names) do
  for _, row in ipairs(cops.about(name).published) do
    if row[1] <= 200 or t.long() then
      local sol = solve(name, table.unpack(row))
      local unit = 10.0 ^ (math.floor(math.log(math.abs(row.objective), 10)) + 1 - (row.digits or 6))
      local tolerance = name == "elec" and 1e-3 * row.objective or 2 * unit
      t.is_close(sol.objective, row.objective, 0, tolerance, ("%s %s: published objective"):format(name,
        table.concat(row, " ")))
    end
  end
end

-- ---- known solutions ---------------------------------------------------------------------------------------------------

t.is_close(solve("elec", 2).objective, 0.5, 1e-7, 0, "two electrons: opposite points")
t.is_close(solve("elec", 4).objective, 6 / math.sqrt(8 / 3), 1e-7, 0, "four electrons: a tetrahedron")
t.is_close(solve("elec", 6).objective, 12 / math.sqrt(2) + 3 / 2, 1e-7, 0, "six electrons: an octahedron")
t.is_close(solve("polygon", 5).objective, 5 / 8 * math.sin(2 * math.pi / 5) / math.cos(math.pi / 10) ^ 2, 1e-6, 0,
  "the regular pentagon is the largest (Reinhardt 1922)")

-- The trapezoidal rule's error falls as nh^-2; collocation with three stages has hardly any.
local coarse, fine = solve("steering", 100).objective, solve("steering", 200).objective
local limit = (4 * fine - coarse) / 3
t.is_close(solve("particle", 10).objective, limit, 2e-8, 0, "particle steering: collocation and the trapezoidal rule")
t.ok(math.abs(limit - fine) > 1e-6, "and the rule's error was there")

-- The channel's flow at the middle, by two grids.
local middle = {}
for k, nh in ipairs { 20, 40 } do
  local sol, v = solve("channel", nh)
  middle[k] = { sol:value(v.v[nh // 2 + 1][1]), sol:value(v.v[nh // 2 + 1][2]) }
end
t.all_close(middle[1], middle[2], 1e-8, 0, "channel: two grids give one flow")

-- The chain: its energy is that of the curve itself, and the curve is a catenary.
local sol, chain = solve("chain", 400)
local y, energy = sol[chain.x1], 0
for k = 1, 400 do
  local rise = 400 * (y[k + 1] - y[k])
  energy = energy + 0.5 * (y[k] + y[k + 1]) * math.sqrt(1 + rise ^ 2) / 400
end
t.is_close(energy, sol.objective, 1e-4, 0, "chain: the energy of the curve")
local curvature = {} -- y'' / sqrt(1 + y'^2) is constant along a catenary
for _, k in ipairs { 50, 200, 350 } do
  local slope = 200 * (y[k + 2] - y[k])
  curvature[#curvature + 1] = 160000 * (y[k + 2] - 2 * y[k + 1] + y[k]) / math.sqrt(1 + slope ^ 2)
end
t.all_close(curvature, { curvature[1], curvature[1], curvature[1] }, 2e-3, 0, "chain: a catenary")

-- ---- moved starts --------------------------------------------------------------------------------------------------------

do
  local function start(...)
    local _, v = cops.steering(10, ...)
    return v.x3:value():totable()
  end
  local plain, moved = start(), start { spread = 0.1, seed = 4 }
  local apart, within = 0, true
  for k = 1, 11 do
    local d = math.abs(plain[k] - moved[k])
    apart = math.max(apart, d)
    within = within and d <= 0.1 * math.max(1, math.abs(plain[k]))
  end
  t.ok(within and apart > 0.1, "a start is moved by at most its spread")
  t.all_close(start { spread = 0.1, seed = 4 }, moved, 0, 0, "the same seed, the same start")
  local m = cops.steering(50, { spread = 0.1, seed = 4 })
  t.is_close(m:solve("ipm").objective, 0.554668, 0, 2e-6, "and the same solution from there")
end

-- ---- names and sizes --------------------------------------------------------------------------------------------------

t.is(#cops.names, 18, "eighteen problems")
for _, name in ipairs(cops.names) do
  local about = cops.about(name)
  t.ok(type(cops[name]) == "function" and #about.title > 0 and #about.sizes >= 1, name .. ": described")
end
t.is(cops.nothing, nil, "no such field")
t.raises(cops.about, "cops: no problem is called rockt (did you mean rocket?)", "an unknown name", "rockt")
t.raises(cops.rocket, "cops.rocket: nh is an integer from 2, not 1", "a size that is too small", 1)
t.raises(cops.rocket, "cops.rocket: nh is an integer from 2, not 2.5", "a size that is no integer", 2.5)
t.raises(cops.rocket, "cops.rocket: unknown option spred (did you mean spread?)", "an unknown option", 10, { spred = 1 })
t.raises(cops.bearing, "cops.bearing: takes nx, ny, not 1 numbers", "a size is missing", 10)
t.done()
