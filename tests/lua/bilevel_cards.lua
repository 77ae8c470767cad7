-- SPDX-License-Identifier: Apache-2.0
-- lv-hba and penalty-bilevel against the numbers that they have to reach: closed forms, laws of the bias, the method's formulas written out here,
-- samples, data with wrong labels, a classifier. bench/bilevel.lua prints the same at greater length.

local t = require "tap"
local peri = require "perigee"
local P = dofile(os.getenv "PERIGEE_SOURCE" .. "/bench/bilevel_problems.lua")

-- ---- lv-hba: the value function --------------------------------------------------------------------------------------------------

local function between(v, low, high) return math.min(math.max(v, low), high) end

--- Steps 1 and 2 with (x, y, z) held, for f = (theta - x)^2/2, g = theta + x - 1, gamma1 = gamma2 = 1, multipliers up to 10: theta, lambda and v there
local function saddle(x, y, z)
  local theta, lambda = y, 0
  for _ = 1, 2000 do
    local d = theta - x + lambda + theta - y
    local e = -(theta + x - 1) + lambda - z
    theta, lambda = theta - 0.2 * d, between(lambda - 0.2 * e, 0, 10)
  end
  local v = 0.5 * (theta - x)^2 + lambda * (theta + x - 1) + 0.5 * (theta - y)^2 - 0.5 * (lambda - z)^2
  return theta, lambda, v
end

do
  local theta, lambda, v = saddle(1, 0.5, 0.3)
  t.is_close(theta, 0.4, 0, 1e-8, "the saddle's theta")
  t.is_close(lambda, 0.7, 0, 1e-8, "its lambda")
  t.is_close(v, 0.385, 0, 1e-8, "the value function")
  local gradient = { -(theta - 1) + lambda, 0.5 - theta, lambda - 0.3 }
  for k, want in ipairs { 1.3, 0.1, 0.4 } do
    local at, h = { 1, 0.5, 0.3 }, 1e-5
    at[k] = at[k] + h
    local above = select(3, saddle(table.unpack(at)))
    at[k] = at[k] - 2 * h
    local below = select(3, saddle(table.unpack(at)))
    t.is_close(gradient[k], want, 0, 1e-8, "its gradient " .. k)
    t.is_close((above - below) / (2 * h), want, 0, 1e-6, "by central differences " .. k)
  end
end

--- The whole method on that lower level with F = (x - 2)^2/2 + y^2, written out; C = {x + y <= 1}.
local function written_out(x, y, z, steps, o)
  local theta, lambda = y, between(o.start_lambda, 0, 10)
  local rows = {}
  for k = 0, steps - 1 do
    local c = o.c0 * (k + 1)^o.p
    local d, e = theta - x + lambda + (theta - y) / o.gamma1, -(theta + x - 1) + (lambda - z) / o.gamma2
    theta, lambda = theta - o.eta * d, between(lambda - o.eta * e, 0, 10)
    local v = 0.5 * (theta - x)^2 + lambda * (theta + x - 1) + (theta - y)^2 / (2 * o.gamma1) - (lambda - z)^2 / (2 * o.gamma2)
    local gap = 0.5 * (y - x)^2 - v
    local dx, dy = (x - 2) / c + (x - y) - (x - theta) - lambda, 2 * y / c + (y - x) - (y - theta) / o.gamma1
    x, y = x - o.alpha * dx, y - o.alpha * dy
    local over = math.max(0, x + y - 1) / 2
    x, y = x - over, y - over
    z = between(z + o.beta * (lambda - z) / o.gamma2, 0, 10)
    rows[#rows + 1] = { gap = gap, objective = 0.5 * (x - 2)^2 + y^2, c = c }
  end
  return x, y, rows
end

do
  local o = { gamma1 = 0.8, gamma2 = 1.3, r = 10, alpha = 0.11, beta = 0.07, eta = 0.13, c0 = 0.7, p = 0.4, start_lambda = 0.2, start_z = 0.3, scaling = false,
    cap_steps = false, iterations = 60, polish = 0, residual = 0, gap = 0 }
  local up = peri.model "one by one"
  local x = up:var("x", { start = 0.4 })
  local low = up:lower "low"
  local y = low:var("y", { start = 0.5 })
  up:minimize(0.5 * (x - 2)^2 + y^2)
  low:minimize(0.5 * (y - x)^2)
  low:subject_to(x + y <= 1)
  local s = up:solve("lv-hba", o)
  local want_x, want_y, rows = written_out(0.4, 0.5, 0.3, 60, o)
  t.is_close(s:value(x), want_x, 0, 1e-12, "sixty steps are those of the formulas: x")
  t.is_close(s:value(y), want_y, 0, 1e-12, "and y")
  local worst = 0
  for k, row in ipairs(rows) do
    local got = s.history[k + 1]
    worst = math.max(worst, math.abs(got.complementarity - row.gap), math.abs(got.objective - row.objective), math.abs(got.barrier - row.c))
  end
  t.ok(worst < 1e-12, ("value gaps, objectives and penalties of all of them: %.1e"):format(worst))
end

-- ---- lv-hba: many solutions below ---------------------------------------------------------------------------------------------------

do
  local up, distance, x, y1, y2 = P.merely_convex(100)
  local scaled = { gamma1 = 1, gamma2 = 1, r = 100, c0 = 10, p = 0.49, polish = 0 }
  local s = up:solve("lv-hba", P.with(scaled, { iterations = 1500 }))
  local error = distance(s)
  t.ok(error <= 6e-3, ("a lower level with many solutions: error %.2e after 1500 steps"):format(error))
  t.is_close(s.objective / 100, 0.05, 0, 3e-3, "objective a variable")
  s = up:solve("lv-hba", P.with(scaled, { iterations = 20000 }))
  error = distance(s)
  t.ok(error <= 1e-3, ("after 20000 steps %.2e"):format(error))
  t.is_close(s.objective / 100, 0.04991, 0, 2e-5, "objective a variable")
  local row = 0
  for i = 1, 100 do row = row + s:value(x)[i] + s:value(y1)[i] + s:value(y2)[i] end
  t.ok(math.abs(row) < 1e-12 * 300, ("the row holds: %.1e"):format(row))
end

--- The settings of the literature, whose entries are all alike, in three numbers
local function alike(steps, n)
  local x, y1, y2, a, b, l, z = 0, 0, 0, 0, 0, 1, -1
  for k = 0, steps - 1 do
    local c, g = (k + 1)^0.3, n * (x + a + b)
    local da, db, dl = a - x + l + (a - y1) / 10, 1 + l + (b - y2) / 10, -g + l - z
    a, b, l = a - 0.03 * da, b - 0.03 * db, between(l - 0.03 * dl, -1, 1)
    local dx, dy1, dy2 = (x - y2) / c - y1 + a - l, (y1 - 1) / c + y1 - x - (y1 - a) / 10, (y2 - x) / c + 1 - (y2 - b) / 10
    x, y1, y2 = x - 0.005 * dx, y1 - 0.005 * dy1, y2 - 0.005 * dy2
    local mean = (x + y1 + y2) / 3
    x, y1, y2, z = x - mean, y1 - mean, y2 - mean, between(z + 0.002 * (l - z), -1, 1)
  end
  return math.abs(x + 0.3) / 0.3
end

do
  local up, distance = P.merely_convex(100)
  local unscaled = { scaling = false, cap_steps = false, adapt_r = false, gamma1 = 10, gamma2 = 1, r = 1, alpha = 5e-3, beta = 2e-3, eta = 3e-2, c0 = 1,
    p = 0.3, start_lambda = 1, start_z = -1, polish = 0 }
  for _, steps in ipairs { 1500, 20000 } do
    local error = distance(up:solve("lv-hba", P.with(unscaled, { iterations = steps })))
    t.is_close(error, alike(steps, 100), 1e-6, 0, ("unscaled settings, %d steps, are those of the formulas: error %.3e"):format(steps, error))
    if steps == 20000 then t.ok(error <= 2e-2, "and come near enough") end
  end
end

-- ---- lv-hba: an inequality --------------------------------------------------------------------------------------------------------------

do
  local opts = { r = 10, alpha = 0.02, beta = 0.05, eta = 0.05, c0 = 1, p = 0.3, scaling = false, polish = 0 }
  local uniform = P.seeded(3)
  local worst, long, apart = 0, 0, 0
  for k = 1, 20 do
    local up, x, y = P.waves(3 * uniform())
    local s = up:solve("lv-hba", P.with(opts, { iterations = 2000 }))
    worst, apart = math.max(worst, P.from_waves(s:value(x))), math.max(apart, math.abs(s:value(x) - s:value(y)))
    if k <= 2 then long = math.max(long, P.from_waves(up:solve("lv-hba", P.with(opts, { iterations = 20000 })):value(x))) end
  end
  t.ok(worst <= 1e-3, ("twenty starts: within %.1e of a minimum after 2000 steps"):format(worst))
  t.ok(apart <= 1e-15, ("on the lower level's solution up to rounding: %.1e"):format(apart))
  t.ok(long <= 2e-5, ("two of them after 20000: %.1e"):format(long))
end

-- ---- lv-hba: support vectors -----------------------------------------------------------------------------------------------------------------

do
  local sum, violation, runs = 0, 0, 2
  for k = 1, runs do
    local p = P.machine(1000 + k)
    local s = p.up:solve("lv-hba", P.machine_options)
    sum, violation = sum + p.accuracy(s), math.max(violation, s.certificate.primal)
  end
  t.ok(sum / runs >= 0.74, ("support vectors: test accuracy %.3f"):format(sum / runs))
  t.ok(violation < 1e-10, ("margins hold: %.1e"):format(violation))
  local p, q = P.machine(1001), P.machine(1001)
  local calls, project = 0, P.machine_projection(q)
  q.low:projection(function(v)
    calls = calls + 1
    return project(v)
  end)
  local few = P.with(P.machine_options, { iterations = 30 })
  local own, cheap = p.up:solve("lv-hba", few), q.up:solve("lv-hba", few)
  local worst = 0
  for j = 1, 5 do worst = math.max(worst, math.abs(own:value(p.w)[j] - cheap:value(q.w)[j])) end
  for i = 1, 500 do
    worst = math.max(worst, math.abs(own:value(p.xi)[i] - cheap:value(q.xi)[i]), math.abs(own:value(p.c)[i] - cheap:value(q.c)[i]))
  end
  t.ok(calls > 30 and worst < 1e-8, ("the closed form of the projection is what the engine finds: %.1e"):format(worst))
end

-- ---- penalty-bilevel: the bias ---------------------------------------------------------------------------------------------------------------

local to_the_end = { alpha = 0.3, gamma = 0.2, prox = "on", rho = 1, beta = 1, inner = 50, residual = 1e-10, polish = 0 }

for base = 2, 3 do
  local worst, law, least, most = 0, 0, math.huge, 0
  for _, sigma in ipairs { 0.5, 0.2, 0.1, 0.05, 0.02, 0.01 } do
    local up, x = P.bias(base)
    local s = up:solve("penalty-bilevel", P.with(to_the_end, { sigma = sigma, lower_residual = 1e300 }))
    local v = s:value(x)
    worst = math.max(worst, math.abs(v - 1 / (base + sigma)))
    law = math.max(law, math.abs(math.abs(v - 1 / base) / sigma - 1 / (base * (base + sigma))))
    least, most = math.min(least, #s.history - 1), math.max(most, #s.history - 1)
  end
  t.ok(worst <= 1e-8, ("P%d: the penalty's solution, to %.1e"):format(base - 1, worst))
  t.ok(law <= 1e-7, ("off the problem's by sigma / (%d (%d + sigma)), to %.1e of sigma"):format(base, base, law))
  t.ok(least >= 35 and most <= 72, ("in %d to %d steps of x"):format(least, most))
end

do -- along the line of solutions y is slow, and by default the run waits for it
  local up, x, y = P.bias(3)
  local s = up:solve("penalty-bilevel", P.with(to_the_end, { sigma = 0.05 }))
  local v = s:value(x)
  t.is_close(v, 1 / 3.05, 0, 1e-8, "x where y is waited for")
  t.is_close(s:value(y)[1] - s:value(y)[2], 1, 0, 1e-8, "and y is the upper level's choice on the line")
end

do
  local worst = 0
  for _, sigma in ipairs { 0.1, 0.02 } do
    for _, x0 in ipairs { -0.7, -0.2, -0.13, -0.02, 0, 0.07, 0.2, 0.55 } do
      local got, want = P.jump(x0, sigma)
      worst = math.max(worst, math.abs(got - want))
    end
  end
  t.ok(worst <= 1e-10, ("values of the penalty where the problem's jump: to %.1e"):format(worst))
end

for _, loop in ipairs { "double", "single" } do
  local worst, least, most, below = 0, math.huge, 0, 0
  for _, start in ipairs { -1.5, 0.2, 1.8 } do
    local up, x, y = P.active(start)
    local s = up:solve("penalty-bilevel", { loop = loop, sigma = 0.05, alpha = 0.04, gamma = 0.3, prox = loop == "double" and "on" or "off", rho = 1,
      inner = 30, residual = 1e-9, iterations = 2000, polish = 0 })
    worst = math.max(worst, math.abs(s:value(x) - 1.5), math.abs(s:value(y) - 1))
    below = math.max(below, math.abs(s.history[#s.history].complementarity))
    least, most = math.min(least, #s.history - 1), math.max(most, #s.history - 1)
  end
  t.ok(worst <= 1e-8 and below <= 1e-9, ("an active bound below, %s loop: to %.1e, z there too, in %d to %d steps"):format(loop, worst, least, most))
end

-- ---- penalty-bilevel: samples of four rows of 2000, ten variables a level ------------------------------------------------------------------------

do
  local worst = { 0, 0 }
  for draw = 1, 2 do
    for k, eta in ipairs { 0.01, 0.003 } do
      worst[k] = math.max(worst[k], (P.regression_run(draw, 2000, 10, P.with(P.sampling, { eta_min = eta, seed = draw }), 1000)))
    end
  end
  t.ok(worst[1] <= 0.09, ("momentum 0.01: mean gradient of the last 1000 steps %.3f"):format(worst[1]))
  t.ok(worst[2] <= 0.055, ("momentum 0.003: %.3f"):format(worst[2]))
  local plain = P.regression_run(1, 2000, 10, P.with(P.sampling, { eta_min = 1 }), 1000)
  local apart = P.regression_run(1, 2000, 10, P.with(P.sampling, { eta_min = 1, shared = false }), 1000)
  t.ok(plain <= 0.3 and apart >= 5 * plain, ("without momentum %.3f, with other samples for y and z %.2f"):format(plain, apart))
  local up, x = P.regression(1, 2000, 10)
  local v, square = up:solve("penalty-bilevel", P.falling):value(x), 0
  for j = 1, 10 do square = square + (v[j] - 0.5)^2 end
  t.ok(math.sqrt(square) <= 0.03, ("falling sigma: distance %.4f"):format(math.sqrt(square)))
end

-- ---- penalty-bilevel: wrong labels -----------------------------------------------------------------------------------------------------------

do
  local accuracy, least_auc, least_slope, most_slope, before, loss, draws = 0, 1, math.huge, 0, 0, 0, 5
  for k = 1, draws do
    local p = P.cleaning(500 + k)
    local s = p.up:solve("penalty-bilevel", P.cleaning_options)
    accuracy, loss = accuracy + p.accuracy(s:value(p.w)) / draws, math.max(loss, s.objective)
    least_auc = math.min(least_auc, p.auc(s:value(p.x)))
    local errors, plain = P.cleaning_start(500 + k, { 0.1, 0.01, 0.001 })
    before = before + plain / draws
    for i = 1, 2 do
      local slope = math.log(errors[i] / errors[i + 1], 10)
      least_slope, most_slope = math.min(least_slope, slope), math.max(most_slope, slope)
    end
  end
  t.ok(accuracy >= 0.79, ("wrong labels: mean test accuracy %.3f, without weights %.3f"):format(accuracy, before))
  t.ok(least_auc >= 0.75, ("the weights tell wrong ones: area %.2f at least"):format(least_auc))
  t.ok(loss <= 0.5, ("validation loss %.2f at most"):format(loss))
  t.ok(least_slope >= 0.9 and most_slope <= 1.1, ("the gradient's error falls like sigma^%.2f to sigma^%.2f"):format(least_slope, most_slope))
end

t.done()
