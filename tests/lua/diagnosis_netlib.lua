-- SPDX-License-Identifier: Apache-2.0
-- Infeasible linear programs of the Netlib collection: the diagnosis finds the linear part infeasible and a conflict of few members, which is
-- checked by solving: its members alone are infeasible, and without any one of them feasible.
local peri = require "perigee"
local t = require "tap"

local folder = (os.getenv "PERIGEE_SOURCE" or ".") .. "/../shared/data/netlib-lp-infeasible/"
local probe = io.open(folder .. "galenet.mps")
if not probe then t.skip_all("../shared/data/netlib-lp-infeasible is not there") end
probe:close()

-- Free-format reading of RHS, RANGES and BOUNDS as the format's description has them; enough for the files below.
local function read(path)
  local lp = { rows = {}, row = {}, cols = {}, col = {}, objective = nil }
  local section
  for line in io.lines(path) do
    local w = {}
    for word in line:gmatch "%S+" do w[#w + 1] = word end
    if line:sub(1, 1) == "*" or #w == 0 then -- a comment
    elseif line:sub(1, 1) ~= " " then
      section = w[1]
    elseif section == "ROWS" then
      local r = { kind = w[1], name = w[2], rhs = 0, terms = {} }
      lp.row[w[2]] = r
      if w[1] ~= "N" then lp.rows[#lp.rows + 1] = r elseif not lp.objective then lp.objective = r end
    elseif section == "COLUMNS" then
      local c = lp.col[w[1]]
      if not c then
        c = { name = w[1], lower = 0, upper = math.huge, at = #lp.cols + 1 }
        lp.cols[c.at], lp.col[w[1]] = c, c
      end
      for k = 2, #w, 2 do
        local r = lp.row[w[k]]
        r.terms[#r.terms + 1] = { c.at, tonumber(w[k + 1]) }
      end
    elseif section == "RHS" or section == "RANGES" then
      for k = #w % 2 == 1 and 2 or 1, #w, 2 do
        lp.row[w[k]][section == "RHS" and "rhs" or "range"] = tonumber(w[k + 1])
      end
    elseif section == "BOUNDS" then
      local c, v = lp.col[w[3]] or lp.col[w[2]], tonumber(w[4] or w[3])
      if w[1] == "UP" then c.upper = v elseif w[1] == "LO" then c.lower = v
      elseif w[1] == "FX" then c.lower, c.upper = v, v
      elseif w[1] == "FR" then c.lower = -math.huge elseif w[1] == "MI" then c.lower = -math.huge end
    end
  end
  for _, r in ipairs(lp.rows) do
    local range = r.range
    r.lower = (r.kind == "L" and (range and r.rhs - math.abs(range) or -math.huge)) or (r.kind == "E" and range and math.min(r.rhs, r.rhs + range)) or r.rhs
    r.upper = (r.kind == "G" and (range and r.rhs + math.abs(range) or math.huge)) or (r.kind == "E" and range and math.max(r.rhs, r.rhs + range)) or r.rhs
  end
  return lp
end

local function sum(x, terms)
  local e = 0
  for _, term in ipairs(terms) do e = e + term[2] * x[term[1]] end
  return e
end

-- keep(kind, name, side): which sides are in the model; nil: all
local function build(lp, keep)
  local m = peri.model "lp"
  local lower, upper = {}, {}
  for k, c in ipairs(lp.cols) do
    local name = ("x[%d]"):format(k)
    lower[k] = (not keep or keep("bound", name, "lower")) and c.lower or -math.huge
    upper[k] = (not keep or keep("bound", name, "upper")) and c.upper or math.huge
  end
  local x = m:var("x", #lp.cols, { lower = lower, upper = upper })
  m:minimize(keep and 0 * x[1] + peri.sum(1e-9 * x * x) or sum(x, lp.objective.terms))
  for _, r in ipairs(lp.rows) do
    local low = (not keep or keep("constraint", r.name, "lower")) and r.lower or -math.huge
    local high = (not keep or keep("constraint", r.name, "upper")) and r.upper or math.huge
    if #r.terms > 0 and low == high then
      m:subject_to(r.name, (sum(x, r.terms)):eq(low))
    elseif #r.terms > 0 and (low > -math.huge or high < math.huge) then
      m:subject_to(r.name, peri.between(low, sum(x, r.terms), high))
    end
  end
  return m
end

for _, name in ipairs { "galenet", "itest2", "itest6", "woodinfe", "bgdbg1", "forest6", "box1", "chemcom", "ex73a" } do
  local lp = read(folder .. name .. ".mps")
  local began = os.clock()
  local d = build(lp):solve("ipm", { iterations = 60 }).diagnosis
  if t.ok(d and d.linear_part == "infeasible", name .. ": infeasible") then
    t.diag("%s: %d rows, %d columns: %d in conflict, %s, %.2f s", name, #lp.rows, #lp.cols, #d.conflict, d.minimal, os.clock() - began)
    t.ok(d.minimal, name .. ": the conflict is minimal")
    local function without(k)
      local member = {}
      for i, s in ipairs(d.conflict) do member[s.kind .. s.name .. s.side] = i ~= k end
      return build(lp, function(kind, n, side) return member[kind .. n .. side] end):solve("ipm", { iterations = 300 })
    end
    local whole = without(0)
    t.ok(whole.diagnosis and whole.diagnosis.linear_part == "infeasible", name .. ": its members alone are infeasible: " .. whole.status)
    for k = 1, math.min(#d.conflict, 4) do
      local rest = without(k)
      t.ok(rest.diagnosis == nil or rest.diagnosis.linear_part == "feasible" or rest.certificate.primal < 1e-6,
        ("%s: without %s it is feasible: %s"):format(name, d.conflict[k].name, rest.status))
    end
  end
end

t.done()
