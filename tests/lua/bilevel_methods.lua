-- SPDX-License-Identifier: Apache-2.0
-- lv-hba and penalty-bilevel: options, samples that repeat, functions for projections, and what is refused. Numbers that the methods have to reach
-- are bilevel_cards.lua's, the larger studies bench/bilevel.lua's.

local t = require "tap"
local peri = require "perigee"

local P = dofile(os.getenv "PERIGEE_SOURCE" .. "/bench/bilevel_problems.lua")

-- ---- lv-hba ----------------------------------------------------------------------------------------------------------------------

do
  local up, distance = P.merely_convex(100)
  local long = { r = 100, c0 = 10, p = 0.49, eta = 5, iterations = 1500, polish = 0 }
  local shortened = distance(up:solve("lv-hba", long))
  long.cap_steps = false
  t.ok(shortened <= 0.2 and not (distance(up:solve("lv-hba", long)) <= 1), ("steps that diverge are shortened: error %.1e"):format(shortened))
end

local function waves(start, opts, weaken)
  local up, x, y, low = P.waves(start)
  if weaken then weaken(up, low, x, y) end
  return up:solve("lv-hba", opts), x, y
end

local waves_opts = { r = 10, alpha = 0.02, beta = 0.05, eta = 0.05, c0 = 1, p = 0.3, iterations = 2000, scaling = false, polish = 0 }

do -- the multiplier is 2 x, about 2
  local small = {}
  for k, v in pairs(waves_opts) do small[k] = v end
  small.r, small.scaling = 0.05, false
  local s = waves(1.2, small)
  local raised = false
  for _, row in ipairs(s.history) do raised = raised or row.tag == "r" end
  t.ok(raised, "a multiplier that stays on r raises it")
end

do -- a projection given by the user is the engine's
  local calls = 0
  local s, x = waves(1.2, waves_opts, function(_, low)
    low:projection(function(v)
      calls = calls + 1
      local a, b = math.min(math.max(v[1], 0), 3), v[2]
      if b > a then
        a = math.min(math.max((v[1] + v[2]) / 2, 0), 3)
        b = a
      end
      return { a, b }
    end)
  end)
  local plain, px = waves(1.2, waves_opts)
  t.ok(calls > 2000, "a user's projection is called")
  t.is_close(s:value(x), plain:value(px), 1e-9, 1e-9, "and leads where the engine's does")
  local bad = waves(1.2, waves_opts, function(_, low) low:projection(function() return { 1, 2 } end) end)
  t.is(bad.status, "numerical_error", "a point off the set")
  t.has(tostring(bad.message), "off its set", "is told")
  t.raises(function()
    waves(1.2, waves_opts, function(_, low) low:projection(function() error "no point today" end) end)
  end, "no point today", "an error inside it is raised")
  t.raises(function()
    waves(1.2, waves_opts, function(_, low) low:projection(function() return { 1 } end) end)
  end, "returned 1 numbers", "a wrong number of numbers")
end

-- ---- penalty-bilevel ------------------------------------------------------------------------------------------------------------------

do -- defaults alone
  local up = peri.model "plain"
  local x = up:var("x", { start = -1 })
  local low = up:lower "low"
  local y = low:var("y", { start = 0 })
  up:minimize(0.5 * (y - 1)^2 + 0.5 * x^2)
  low:minimize(0.5 * (y - x)^2)
  local s = up:solve("penalty-bilevel", {})
  t.is_close(s:value(x), 0.5, 0, 0.005, "without options: within half of sigma")
  t.is_close(s:value(y), s:value(x), 0, 1e-6, "and the lower level is solved in the end")
  t.ok(s.certificate.lower_gap <= 1e-8, "which the certificate sees")
end

-- ---- penalty-bilevel: samples ------------------------------------------------------------------------------------------------------------

local function regression(N, more)
  local up, x = P.regression(1, N, 10)
  local opts = P.with(P.sampling, P.with({ iterations = 3000 }, more))
  local s = up:solve("penalty-bilevel", opts)
  local square, v = 0, s:value(x)
  for j = 1, 10 do square = square + ((v[j] - 1) / (1 + opts.sigma) + v[j])^2 end
  return math.sqrt(square), v
end

do
  local momentum, first = regression(500)
  local _, again = regression(500)
  local plain = regression(500, { eta_min = 1 })
  local apart = regression(500, { shared = false })
  local other, third = regression(500, { seed = 7 })
  t.ok(momentum <= 0.15, ("samples of four rows with momentum: gradient %.3f"):format(momentum))
  t.ok(plain > momentum, ("without momentum %.3f"):format(plain))
  t.ok(apart > 2 * momentum, ("with other samples for y and z %.3f"):format(apart))
  local same, differs = true, false
  for j = 1, 10 do same, differs = same and first[j] == again[j], differs or first[j] ~= third[j] end
  t.ok(same, "a seed's samples are the same each time, bit for bit")
  t.ok(differs and other <= 0.2, "another seed's are others")
  local exact = regression(200, { batch = 0, iterations = 2000, residual = 1e-9 })
  t.ok(exact <= 1e-6, ("all rows: gradient %.1e"):format(exact))
  local double = regression(200, { loop = "double", batch = 20, outer_batch = 200, inner = 30, iterations = 200, alpha = 0.05 })
  t.ok(double <= 0.5, ("the double loop with samples: %.3f"):format(double))
end

-- ---- trouble --------------------------------------------------------------------------------------------------------------------------------

local function two(build)
  local up = peri.model "trouble"
  local x = up:var("x", { lower = 0, upper = 3, start = 1 })
  local low = up:lower "low"
  local y = low:var("y", { start = 0.5 })
  up:minimize((x - 1)^2 + y^2)
  low:minimize((y - x)^2)
  build(up, low, x, y)
  return up
end

t.raises(function()
  two(function(_, low, x, y) low:subject_to(x + y <= 2) end):solve("penalty-bilevel")
end, "lower level has upper variables in it: lv-hba", "a constraint that couples the levels is not penalty-bilevel's")
t.raises(function()
  two(function(up, _, x, y) up:subject_to(x + y <= 2) end):solve("penalty-bilevel")
end, "upper level has lower variables", "nor one above")
t.raises(function()
  two(function() end):solve("penalty-bilevel", { batch = 3 })
end, "batch needs a sum to sample", "samples of what is no sum")
for text, opts in pairs {
  ["sigma\" is -1, must be in"] = { sigma = -1 }, ["sigma\" is 0, must be in"] = { sigma = 0 }, ["batch\" is -1, must be in"] = { batch = -1 },
  ["batch\" is 2.5, must be a whole number"] = { batch = 2.5 }, ["alpha\" is -1, must be in"] = { alpha = -1 },
  ["beta\" is 0, must be in"] = { beta = 0 }, ["rho\" is -1, must be in"] = { rho = -1 }, ["eta_min\" is 2, must be in"] = { eta_min = 2 },
  ["must be one of \"double\", \"single\""] = { loop = "triple" }, ["outer_batch is for samples"] = { outer_batch = 3 },
} do
  t.raises(function() two(function() end):solve("penalty-bilevel", opts) end, text, "penalty-bilevel: " .. text)
end

do
  local function few(opts)
    local up = peri.model "few"
    local x = up:var("x", { start = -1 })
    local low = up:lower "fit"
    local y = low:var "y"
    local w = up:param("w", { 0.25, 0.25, 0.25, 0.25 })
    up:minimize((y - 1)^2 + x^2)
    low:minimize((w * (y - x - peri.array { 0.2, -0.3, 0.4, -0.3 })^2):sum())
    low:sampled(w)
    return up:solve("penalty-bilevel", opts):value(x)
  end
  t.raises(function() few { batch = 5 } end, "batch = 5: the lower level's sum has 4 rows", "a sample larger than the sum")
  t.raises(function() few { batch = 2, outer_batch = 9 } end, "outer_batch = 9: the lower level's sum has 4 rows", "the same for a step of x")
  t.ok(few { batch = 0, iterations = 50 } == few { iterations = 50 }, "batch 0 is no sample")
end

for _, method in ipairs { "lv-hba", "penalty-bilevel" } do -- what makes a lower level none
  local s = two(function(_, low, x, y) low:minimize(-y^2 + x) end):solve(method)
  t.is(s.status, "unbounded", method .. ": a lower level without a least value")
  t.has(s.message, "lower model \"low\" is unbounded", "is told by name")
  t.ok(s.iterations < 1000, ("and after %d steps"):format(s.iterations))
  t.raises(function() two(function(_, low, x, y) low:minimize(peri.log(y - 5) + x) end):solve(method) end, "lower model \"low\": log(-4.5) is not defined",
    method .. ": undefined at the start")
  t.raises(function() two(function(_, low, x, y) low:minimize((y - x * math.huge)^2) end):solve(method) end, "lower model \"low\": a constant is inf",
    method .. ": data that are not finite")
  t.raises(function()
    local whole = peri.model "whole"
    local x = whole:var("x", { integer = true, lower = 0, upper = 3 })
    local low = whole:lower "low"
    local y = low:var "y"
    low:minimize((y - x)^2)
    whole:minimize(y^2)
    whole:solve(method)
  end, "refuses integer variables", method .. ": integer variables")
end

t.raises(function() two(function() end):solve("lv-hba", { p = 1.5 }) end, "p", "a step out of its range")
t.raises(function() two(function() end):solve("lv-hba", { gamma1 = -1 }) end, "gamma1", "a negative radius")
t.raises(function() two(function(up, low, x) low:sampled(x) end) end, "not a parameter", "weights must be a parameter")
t.raises(function()
  local up = two(function(_, low) local inside = low:lower "inside"; local u = inside:var("u"); inside:minimize(u^2) end)
  up:solve("lv-hba")
end, "lower model", "three levels are refused")

do
  local s = two(function(_, low, x, y)
    low:subject_to("far", x + y >= 5)
    low:subject_to(y <= 1)
  end):solve("lv-hba")
  t.is(s.status, "infeasible", "an infeasible lower level")
  t.has(s.message, 'lower model "low" has no feasible point', "is told with its name")
  t.has(s.message, "of \"trouble\": \"", "is told with the constraint's name")
end

do -- undefined for x > 1.2: steps are shortened
  local s = two(function(up, low, x, y) up:minimize((x - 1)^2 - 0.1 * peri.log(1.2 - y)); low:subject_to(y <= 2 * x) end)
    :solve("lv-hba", { iterations = 500 })
  t.ok(s.objective == s.objective, "an upper level that is undefined in places: " .. s.status)
  local p = two(function(up, _, x, y) up:minimize((x - 2)^2 - 0.1 * peri.log(1.2 - y)) end):solve("penalty-bilevel", { iterations = 500, alpha = 0.1 })
  t.ok(p.objective == p.objective, "the same for penalty-bilevel: " .. p.status)
end

for _, method in ipairs { "lv-hba", "penalty-bilevel" } do
  local up = two(function(up, _, x, y) up:minimize((x - 1)^2 + peri.blackbox(function(v) return v[1] end, peri.stack(y))) end)
  t.raises(function() up:solve(method) end, "", method .. " without derivatives is refused")
  local one = peri.model "one"
  local x = one:var("x")
  one:minimize(x^2)
  t.raises(function() one:solve(method) end, "lower model", method .. " needs two levels")
  local s = two(function() end):solve(method, { iterations = 0 })
  t.ok(s.status ~= "optimal", method .. " without steps: " .. s.status)
end

for _, power in ipairs { 0.5, 1 } do -- sigma_k = sigma_start k^-power
  local up = peri.model "falling"
  local x = up:var("x", { start = -1 })
  local low = up:lower "low"
  local y = low:var("y", { start = 0 })
  low:minimize((y - x)^2 / 2)
  up:minimize((y - 1)^2 / 2 + x^2 / 2)
  local sol = up:solve("penalty-bilevel", { sigma = 1e-3, sigma_start = 0.5, sigma_power = power, iterations = 60 })
  t.is_close(sol.history[#sol.history].barrier, 0.5 * 60^-power, 1e-12, 0, ("sigma falls by the power %g"):format(power))
end

t.done()
