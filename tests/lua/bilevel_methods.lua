-- SPDX-License-Identifier: Apache-2.0
-- lv-hba and penalty-bilevel: solutions known in closed form, laws of the penalty's bias, samples that repeat, a classifier's weights, functions
-- for projections, and what is refused. The larger studies are bench/bilevel.lua's.

local t = require "tap"
local peri = require "perigee"

local function seeded(seed)
  local state = seed
  return function()
    state = (state * 1103515245 + 12345) % 2147483648
    return (state + 0.5) / 2147483648
  end
end

local function normals(uniform)
  return function() return math.sqrt(-2 * math.log(uniform())) * math.cos(2 * math.pi * uniform()) end
end

--- The last row of the history with a value gap: polishing adds one without.
local function last(sol)
  local h = sol.history
  return h[#h]
end

-- ---- lv-hba ----------------------------------------------------------------------------------------------------------------------

--- F = |x - y2|^2/2 + |y1 - 1|^2/2 over y in argmin |y1|^2/2 - x'y1 + sum y2 with sum x + sum y = 0: x = -0.3, y1 = 0.7, y2 = -0.4.
local function merely_convex(n, opts)
  local up = peri.model "toy"
  local x = up:var("x", n, { start = 10 })
  local low = up:lower "low"
  local y1 = low:var("y1", n, { start = 10 })
  local y2 = low:var("y2", n, { start = 10 })
  up:minimize(0.5 * ((x - y2)^2):sum() + 0.5 * ((y1 - 1)^2):sum())
  low:minimize(0.5 * (y1^2):sum() - x:dot(y1) + y2:sum())
  low:subject_to(peri.eq(x:sum() + y1:sum() + y2:sum(), 0))
  local s = up:solve("lv-hba", opts)
  local square, sum = 0, 0
  for i = 1, n do
    square = square + (s:value(x)[i] + 0.3)^2
    sum = sum + s:value(x)[i] + s:value(y1)[i] + s:value(y2)[i]
  end
  return math.sqrt(square / n) / 0.3, math.abs(sum), s
end

do
  local error, sum, s = merely_convex(100, { gamma1 = 1, gamma2 = 1, r = 100, c0 = 10, p = 0.49, iterations = 1500, polish = 0 })
  t.ok(error <= 6e-3, ("a lower level with many solutions: relative error %.2e after 1500 steps"):format(error))
  t.ok(sum < 1e-11, ("the constraint holds: %.1e"):format(sum))
  t.is_close(s.objective / 100, 0.05, 0, 3e-3, "objective a variable")
  local unscaled = { scaling = false, cap_steps = false, adapt_r = false, gamma1 = 10, gamma2 = 1, r = 1, alpha = 5e-3, beta = 2e-3, eta = 3e-2,
    c0 = 1, p = 0.3, start_lambda = -1, start_z = 1, iterations = 1500, polish = 0 }
  t.is_close((merely_convex(100, unscaled)), 0.115, 0.02, 0, "the unscaled settings of the literature, after 1500 steps")
  local long = { r = 100, c0 = 10, p = 0.49, eta = 5, iterations = 1500, polish = 0 }
  local shortened = merely_convex(100, long)
  long.cap_steps = false
  t.ok(shortened <= 0.2 and not (merely_convex(100, long) <= 1), ("steps that diverge are shortened: error %.1e"):format(shortened))
end

--- y = x below; local minima of the upper level at 0.1489, 0.9862, 2.0197, 2.9908.
local function waves(start, opts, weaken)
  local up = peri.model "waves"
  local x = up:var("x", { lower = 0, upper = 3, start = start })
  local low = up:lower "low"
  local y = low:var("y", { start = start })
  up:minimize(peri.exp(2 - y) / (2 + peri.cos(6 * x)) + 0.5 * peri.log((4 * x - 2)^2 + 1))
  low:minimize((y - 2 * x)^2)
  low:subject_to(y <= x)
  if weaken then weaken(up, low, x, y) end
  return up:solve("lv-hba", opts), x, y
end

local waves_opts = { r = 10, alpha = 0.02, beta = 0.05, eta = 0.05, c0 = 1, p = 0.3, iterations = 2000, scaling = false, polish = 0 }

do
  local worst, apart = 0, 0
  for k = 0, 9 do
    local s, x, y = waves(0.15 + 0.3 * k, waves_opts)
    local v = s:value(x)
    worst = math.max(worst, math.min(math.abs(v - 0.14886), math.abs(v - 0.98618), math.abs(v - 2.0197), math.abs(v - 2.9908)))
    apart = math.max(apart, math.abs(v - s:value(y)))
  end
  t.ok(worst <= 1e-3, ("an inequality: within %.1e of a local minimum from ten starts"):format(worst))
  t.ok(apart <= 1e-5, ("and on the lower level's solution: %.1e"):format(apart))
end

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

-- ---- support vectors: weights of the training errors ------------------------------------------------------------------------------

--- Two normal clouds in five dimensions, one label in ten flipped.
local function clouds(seed, n)
  local uniform = seeded(seed)
  local normal = normals(uniform)
  local a, label = {}, {}
  for i = 1, n do
    local side = uniform() < 0.5 and -1 or 1
    a[i] = {}
    for j = 1, 5 do a[i][j] = side * 1.2 / math.sqrt(5) + normal() end
    label[i] = uniform() < 0.1 and -side or side
  end
  return a, label, uniform
end

local function part(v, first, last_)
  local out = {}
  for i = first, last_ do out[#out + 1] = v[i] end
  return peri.array(out)
end

local function classifier(seed, opts)
  local a, label, uniform = clouds(seed, 768)
  local c0 = {}
  for i = 1, 500 do c0[i] = -6 + uniform() end
  local up = peri.model "weights"
  local c = up:var("c", 500, { start = c0 })
  local low = up:lower "machine"
  local w, b, xi = low:var("w", 5, { start = 1 }), low:var("b", { start = 0 }), low:var("xi", 500, { start = 1 })
  local A, T = part(a, 1, 500), part(label, 1, 500)
  low:minimize(0.5 * (w^2):sum() + 0.5 * (c:exp() * xi^2):sum())
  low:subject_to(xi + T * (A % w + b) >= 1)
  local margin = part(label, 501, 650) * (part(a, 501, 650) % w + b) / w:norm2()
  local u = 2 / (1 + (5 * margin):exp()) - 1
  up:minimize((u:relu() - 0.01 * (-u):relu()):sum())
  local s = up:solve("lv-hba", opts)
  local right = 0
  for i = 651, 768 do
    local sum = s:value(b)
    for j = 1, 5 do sum = sum + s:value(w)[j] * a[i][j] end
    right = right + (sum * label[i] > 0 and 1 or 0)
  end
  return right / 118, s
end

do
  local sum, violation, runs = 0, 0, 3
  for k = 1, runs do
    local accuracy, s = classifier(1000 + k, { gamma1 = 10, gamma2 = 10, r = 200, alpha = 0.01, beta = 0.1, eta = 0.003, c0 = 1, p = 0.5,
      start_lambda = -1, start_z = -1, iterations = 400, polish = 0, scaling = false, cap_steps = false })
    sum, violation = sum + accuracy, math.max(violation, s.certificate.primal)
  end
  t.ok(sum / runs >= 0.74, ("support vectors: test accuracy %.3f"):format(sum / runs))
  t.ok(violation < 1e-10, ("margins hold: %.1e"):format(violation))
end

-- ---- penalty-bilevel: bias -----------------------------------------------------------------------------------------------------------

local function penalty(opts)
  local out = { alpha = 0.3, gamma = 0.2, prox = "on", rho = 1, inner = 50, residual = 1e-10, polish = 0 }
  for k, v in pairs(opts) do out[k] = v end
  return out
end

for _, case in ipairs { { "one solution below", 2, 1 / 2 }, { "a line of solutions below", 3, 1 / 3 } } do
  local name, base, limit = case[1], case[2], case[3]
  local worst, slope = 0, {}
  for _, sigma in ipairs { 0.5, 0.2, 0.1, 0.05, 0.02, 0.01 } do
    local up = peri.model "bias"
    local x = up:var("x", { start = -1 })
    local low = up:lower "low"
    local y = low:var("y", base - 1, { start = 0 })
    if base == 2 then
      up:minimize(0.5 * (y[1] - 1)^2 + 0.5 * x^2)
      low:minimize(0.5 * (y[1] - x)^2)
    else
      up:minimize(0.5 * (y[1] - 1)^2 + 0.5 * y[2]^2 + 0.5 * x^2)
      low:minimize(0.5 * (y[1] + y[2] - x)^2)
    end
    local s = up:solve("penalty-bilevel", penalty { sigma = sigma })
    worst = math.max(worst, math.abs(s:value(x) - 1 / (base + sigma)))
    slope[#slope + 1] = math.abs(s:value(x) - limit) / sigma
  end
  t.ok(worst <= 1e-8, ("%s: the penalty's own solution, to %.1e"):format(name, worst))
  t.is_close(slope[#slope], limit^2, 0.01, 0, ("%s: off by %.3f sigma"):format(name, slope[#slope]))
end

do -- min over y of x^2 + y^2 where x y is least below: psi jumps at 0, psi_sigma does not
  local worst, sigma = 0, 0.1
  for _, x0 in ipairs { -0.7, -0.2, -0.13, -0.02, 0, 0.07, 0.2, 0.55 } do
    local least = math.huge
    for _, y0 in ipairs { -0.9, 0.9 } do
      local up = peri.model "jump"
      local x = up:var("x", { lower = x0, upper = x0, start = x0 })
      local low = up:lower "low"
      local y = low:var("y", { lower = -1, upper = 1, start = y0 })
      up:minimize(x^2 + y^2)
      low:minimize(x * y)
      local s = up:solve("penalty-bilevel", { sigma = sigma, gamma = 0.5, prox = "on", rho = 2, inner = 200, iterations = 300, residual = 1e-12, polish = 0 })
      local z_least = -math.abs(x0)
      least = math.min(least, s:value(x^2 + y^2) + (s:value(x * y) - z_least) / sigma)
    end
    local want = math.abs(x0) >= 2 * sigma and x0^2 + 1 or x0^2 + math.abs(x0) / sigma - x0^2 / (4 * sigma^2)
    worst = math.max(worst, math.abs(least - want))
  end
  t.ok(worst <= 1e-10, ("values of the penalty where the problem jumps: to %.1e"):format(worst))
end

for _, loop in ipairs { "double", "single" } do
  local worst = 0
  for _, start in ipairs { -1.5, 0.2, 1.8 } do
    local up = peri.model "active"
    local x = up:var("x", { lower = -2, upper = 2, start = start })
    local low = up:lower "low"
    local y = low:var("y", { lower = 0, upper = 1, start = 0.5 })
    up:minimize(0.5 * (y - 2)^2 + 0.5 * (x - 1.5)^2)
    low:minimize(0.5 * (y - x)^2)
    local s = up:solve("penalty-bilevel", { loop = loop, sigma = 0.05, alpha = 0.04, gamma = 0.3, prox = loop == "double" and "on" or "off", rho = 1,
      inner = 30, residual = 1e-10, iterations = 2000, polish = 0 })
    worst = math.max(worst, math.abs(s:value(x) - 1.5), math.abs(s:value(y) - 1))
  end
  t.ok(worst <= 1e-8, ("an active bound below, %s loop: to %.1e"):format(loop, worst))
end

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

--- g = 1/N sum (a_i'(y - x) - b_i)^2 / 2, rows whitened, b without their part; F = |y - 1|^2/2 + |x|^2/2.
local function regression(seed, N, n, opts)
  local normal = normals(seeded(seed))
  local a, b = {}, {}
  for i = 1, N do
    a[i] = {}
    for j = 1, n do a[i][j] = normal() end
    b[i] = 0.5 * normal()
  end
  for j = 1, n do -- columns orthogonal, of squared length N
    for k = 1, j do
      local dot = 0
      for i = 1, N do dot = dot + a[i][j] * a[i][k] end
      local factor = k < j and dot / N or 1 - math.sqrt(N / dot)
      for i = 1, N do a[i][j] = a[i][j] - factor * a[i][k] end
    end
  end
  for j = 1, n do
    local dot = 0
    for i = 1, N do dot = dot + a[i][j] * b[i] end
    for i = 1, N do b[i] = b[i] - dot / N * a[i][j] end
  end
  local up = peri.model "regression"
  local x = up:var("x", n, { start = -1 })
  local low = up:lower "low"
  local y = low:var("y", n, { start = 0 })
  local w = up:param("w", peri.ones(N, 1) / N)
  up:minimize(0.5 * ((y - 1)^2):sum() + 0.5 * (x^2):sum())
  low:minimize(0.5 * (w * (peri.array(a) % (y - x) - peri.array(b))^2):sum())
  low:sampled(w)
  local s = up:solve("penalty-bilevel", opts)
  local square = 0
  for j = 1, n do square = square + ((s:value(x)[j] - 1) / (1 + opts.sigma) + s:value(x)[j])^2 end
  return math.sqrt(square), s, s:value(x)
end

local sampling = { loop = "single", sigma = 0.1, alpha = 0.02, gamma = 0.1, prox = "off", batch = 4, eta_min = 0.01, eta_power = 1, iterations = 3000, polish = 0 }

do
  local function with(more)
    local out = {}
    for k, v in pairs(sampling) do out[k] = v end
    for k, v in pairs(more) do out[k] = v end
    return out
  end
  local momentum, _, first = regression(1, 500, 10, sampling)
  local _, _, again = regression(1, 500, 10, sampling)
  local plain = regression(1, 500, 10, with { eta_min = 1 })
  local apart = regression(1, 500, 10, with { shared = false })
  local other, _, third = regression(1, 500, 10, with { seed = 7 })
  t.ok(momentum <= 0.15, ("samples of four rows with momentum: gradient %.3f"):format(momentum))
  t.ok(plain > momentum, ("without momentum %.3f"):format(plain))
  t.ok(apart > 2 * momentum, ("with other samples for y and z %.3f"):format(apart))
  local same, differs = true, false
  for j = 1, 10 do same, differs = same and first[j] == again[j], differs or first[j] ~= third[j] end
  t.ok(same, "a seed's samples are the same each time, bit for bit")
  t.ok(differs and other <= 0.2, "another seed's are others")
  local exact = regression(1, 200, 10, with { batch = 0, iterations = 2000, residual = 1e-9 })
  t.ok(exact <= 1e-6, ("all rows: gradient %.1e"):format(exact))
  local double = regression(1, 200, 10, with { loop = "double", batch = 20, outer_batch = 200, inner = 30, iterations = 200, alpha = 0.05 })
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

t.done()
