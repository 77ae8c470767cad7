-- SPDX-License-Identifier: Apache-2.0
--- Power grids of any size for trying and measuring: rows of buses in line, connections between the rows, some longer lines;
-- as in real grids three branches for two buses. A grid is feasible by construction: a state (voltages) is drawn first, the
-- loads and the generation are what the lines' flows in that state ask for, and all limits are set around it.

local peri = require "perigee"
local usage = require "perigee.usage"

local BASE = 100 -- MVA

--- Draws n numbers between low and high; each call another stream of the seed.
local function drawer(seed)
  local stream = 0
  return function(n, low, high)
    stream = stream + 1
    if n == 0 then return {} end
    return peri.random.uniform { n = n, lower = low, upper = high, seed = seed * 4096 + stream }:totable()
  end
end

--- Branches { from, to }: the buses of a row in a line, as many connections between rows as real grids have (about half
-- of the buses, and always the first of a row), and some lines to buses not far away.
local function lines(n, cols, draw)
  local list, vertical = {}, draw(n, 0, 1)
  for i = 1, n do
    if i % cols ~= 0 and i < n then list[#list + 1] = { i, i + 1 } end
    if i + cols <= n and (vertical[i] < 0.45 or i % cols == 1) then list[#list + 1] = { i, i + cols } end
  end
  local extra = n // 50
  local at, down, right = draw(extra, 1, n + 1), draw(extra, 0, 3), draw(extra, 2, 4)
  for k = 1, extra do
    local from, across = math.floor(at[k]), math.floor(right[k])
    local to = from + math.floor(down[k]) * cols + across
    if to <= n and (from - 1) % cols + across < cols then list[#list + 1] = { from, to } end
  end
  return list
end

-- Angle of a bus by its distance from the next source in its row, in shares of the source's: power flows outwards, and
-- less of it at each bus.
local LEAD = { [0] = 1, 0.4, 0.1, 0.1, 0.4 }

--- Angles and magnitudes of the state. Every fifth bus of a row is a source; two rows' sources are shifted by two.
local function state(n, cols, draw)
  local va, vm = draw(n, -0.001, 0.001), draw(n, 0.99, 1.01)
  local lead = draw(n, 0.03, 0.06)
  for i = 1, n do
    local row, col = (i - 1) // cols, (i - 1) % cols
    local behind = (col - 2 * row) % 5
    va[i] = va[i] + LEAD[behind] * lead[(i - (behind < 3 and behind or behind - 5) - 1) % n + 1]
  end
  local first = va[1]
  for i = 1, n do va[i] = va[i] - first end
  return va, vm
end

--- Power into a pi section with impedance r + jx and charging b at its end with voltage v, angle d ahead of the other's.
local function flow(r, x, b, v, other, d)
  local z2 = r * r + x * x
  local g, y = r / z2, -x / z2
  local c, s = v * other * math.cos(d), v * other * math.sin(d)
  return g * v * v - g * c - y * s, -(y + b / 2) * v * v - g * s + y * c
end

--- Rows of the case's branches, and the power that leaves each bus. A twentieth are transformers.
local function branches(n, cols, va, vm, draw)
  local list = lines(n, cols, draw)
  local x, share, charging = draw(#list, 0.02, 0.1), draw(#list, 0.1, 0.4), draw(#list, 0, 0.05)
  local ratio, transformer, room = draw(#list, 0.98, 1.02), draw(#list, 0, 1), draw(#list, 1.2, 2)
  local p, q, rows = {}, {}, {}
  for i = 1, n do p[i], q[i] = 0, 0 end
  for k, line in ipairs(list) do
    local from, to = line[1], line[2]
    local r, tap = share[k] * x[k], transformer[k] < 0.05 and ratio[k] or 1
    local vf, vt, d = vm[from] / tap, vm[to], va[from] - va[to]
    local pf, qf = flow(r, x[k], charging[k], vf, vt, d)
    local pt, qt = flow(r, x[k], charging[k], vt, vf, -d)
    p[from], q[from], p[to], q[to] = p[from] + pf, q[from] + qf, p[to] + pt, q[to] + qt
    local largest = math.sqrt(math.max(pf * pf + qf * qf, pt * pt + qt * qt))
    rows[k] = { from, to, r, x[k], charging[k], BASE * (room[k] * largest + 0.05), 0, 0, tap == 1 and 0 or tap, 0, 1,
      -30, 30 }
  end
  return rows, p, q
end

--- Where power enters there is a generator, elsewhere a load. Bus 1 is the reference, and always has a generator.
local function injections(n, va, vm, p, q, draw)
  local bus, gen, gencost = {}, {}, {}
  local own, linear, square = draw(n, 0.05, 0.3), draw(n, 10, 40), draw(n, 0.005, 0.05)
  for i = 1, n do
    local source = p[i] > 0 or i == 1
    local pd, qd = -p[i], -q[i]
    if source then
      pd, qd = own[i], 0.3 * own[i]
      local pg, qg = p[i] + pd, q[i] + qd
      local span = math.abs(qg) + 0.5
      gen[#gen + 1] = { i, BASE * pg, BASE * qg, BASE * (qg + span), BASE * (qg - span), vm[i], BASE, 1,
        BASE * (1.5 * math.abs(pg) + 0.2), BASE * math.min(0, pg) }
      gencost[#gen] = { 2, 0, 0, 3, square[i], linear[i], 0 }
    end
    bus[i] = { i, i == 1 and 3 or source and 2 or 1, BASE * pd, BASE * qd, 0, 0, 1, vm[i], math.deg(va[i]), 230, 1,
      1.06, 0.94 }
  end
  return bus, gen, gencost
end

--- peri.power.synthetic(n, opts): a case of n buses.
--   opts.seed   another grid for each, 1 unless given
return function(n, opts)
  opts = usage.only("synthetic", opts, { "seed" })
  local seed = usage.option("synthetic", opts, "seed", "number", 1)
  if math.type(n) ~= "integer" or n < 2 then
    usage.fail("synthetic: the number of buses is an integer from 2, not %s", tostring(n))
  end
  local draw = drawer(seed)
  local cols = math.ceil(math.sqrt(n))
  local va, vm = state(n, cols, draw)
  local branch, p, q = branches(n, cols, va, vm, draw)
  local bus, gen, gencost = injections(n, va, vm, p, q, draw)
  return peri.data.matpower_case { name = ("synthetic%d"):format(n), base_mva = BASE, bus = bus, gen = gen,
    gencost = gencost, branch = branch }
end
