-- SPDX-License-Identifier: Apache-2.0
-- build/perigee run --quiet bench/bilevel.lua [quick]: lv-hba and penalty-bilevel on problems whose answers are known (bilevel_problems.lua), beside the
-- numbers of prototypes written from the methods' descriptions and what must hold; what a sample costs; other methods (bilevel_baselines.lua); how a
-- step of lv-hba grows with the variables.

local peri = require "perigee"
local folder = arg[0]:match "^(.*/)" or ""
local P, B = dofile(folder .. "bilevel_problems.lua"), dofile(folder .. "bilevel_baselines.lua")
local quick = arg[1] == "quick"

local function line(what, got, want) print(("%-66s %18s   %s"):format(what, got, want)) end

local function short(v) return ("%.3g"):format(v) end

local function mean(v)
  local sum, square = 0, 0
  for _, x in ipairs(v) do sum = sum + x end
  for _, x in ipairs(v) do square = square + (x - sum / #v)^2 end
  return sum / #v, math.sqrt(square / math.max(1, #v - 1))
end

local function range(v, form)
  table.sort(v)
  return (form .. " to " .. form):format(v[1], v[#v])
end

io.stdout:setvbuf "line"

if arg[1] == "growth" then
  local n, at = tonumber(arg[2]), {}
  P.merely_convex(n):solve("lv-hba", { r = 100, c0 = 10, p = 0.49, iterations = 50, callback = function()
    at[#at + 1] = os.clock()
    if #at == 23 then
      print((at[23] - at[3]) / 20, (select(2, peri.debug.memory())))
      os.exit(true, false)
    end
  end })
end

line("", "here", "prototype, what must hold")

-- ---- lv-hba: many solutions below ---------------------------------------------------------------------------------------------------

local function error_of(n, opts)
  local up, distance = P.merely_convex(n)
  local s = up:solve("lv-hba", opts)
  return distance(s), s
end

local scaled = { gamma1 = 1, gamma2 = 1, r = 100, c0 = 10, p = 0.49, polish = 0 }
for _, case in ipairs { { 500, "6.0e-2" }, { 1500, "4.3e-3, <= 6e-3" }, { 5000, "1.2e-3" }, { 20000, "6.1e-4, <= 1e-3" } } do
  if not (quick and case[1] > 1500) then
    local e, s = error_of(100, P.with(scaled, { iterations = case[1] }))
    line(("lv-hba, many solutions below, scaled: error of x, %d steps"):format(case[1]), short(e), case[2])
    if case[1] == 20000 then
      line("  objective a variable", ("%.5f"):format(s.objective / 100), "0.04991")
      line("  violation of the row", short(s.certificate.primal), "< 1e-12")
      line("  seconds", short(s.seconds), "about 1.5")
    end
  end
end
local unscaled = { scaling = false, cap_steps = false, adapt_r = false, gamma1 = 10, gamma2 = 1, r = 1, alpha = 5e-3, beta = 2e-3, eta = 3e-2, c0 = 1,
  p = 0.3, start_lambda = 1, start_z = -1, polish = 0 }
line("  unscaled, 1500 steps", short((error_of(100, P.with(unscaled, { iterations = 1500 })))), "1.08e-1 (the formulas in three numbers: 0.115)")
for _, n in ipairs(quick and {} or { 100, 300, 1000 }) do
  line(("  unscaled, %d variables a block, 20000 steps"):format(n), short((error_of(n, P.with(unscaled, { iterations = 20000 })))), "1.46e-2, <= 2e-2")
end
do
  local n = quick and 10 or 100
  local up, distance = P.merely_convex(n)
  local s = up:solve(B["e-aipod"], { inner = 5, y_length = 0.1, iterations = 2000 })
  line(("  e-aipod, %d variables a block: error, rounds, seconds"):format(n), ("%s, %d, %.1f"):format(short(distance(s)), #s.history - 1, s.seconds), "-")
end

-- ---- lv-hba: an inequality -------------------------------------------------------------------------------------------------------------

local function waves(starts, iterations)
  local uniform = P.seeded(3)
  local worst = 0
  for _ = 1, starts do
    local up, x = P.waves(3 * uniform())
    worst = math.max(worst, P.from_waves(up:solve("lv-hba", { r = 10, alpha = 0.02, beta = 0.05, eta = 0.05, c0 = 1, p = 0.3, scaling = false,
      iterations = iterations, polish = 0 }):value(x)))
  end
  return worst
end
for k, m in ipairs(P.waves_minima()) do
  line(k == 1 and "an inequality: its local minima, by golden section" or "", ("%.9f: %.7f"):format(m.x, m.value),
    ({ "0.1489: 2.9685", "0.9862: 1.7219", "2.0197: 2.1561", "2.9908: 2.4457" })[k])
end
line("lv-hba, an inequality: distance to a minimum, 20 starts, 2000 steps", short(waves(20, 2000)), "1.4e-4, <= 1e-3")
if not quick then line("  20000 steps", short(waves(20, 20000)), "5e-6") end

-- ---- lv-hba: weights of a classifier's training errors ------------------------------------------------------------------------------------

local function machines(method, opts, runs)
  local r = { accuracy = {}, before = {}, after = {}, seconds = {}, violation = 0 }
  for k = 1, runs do
    local p = P.machine(77 + k)
    local s = p.up:solve(method, opts)
    r.accuracy[k], r.seconds[k] = p.accuracy(s), s.seconds
    r.before[k], r.after[k] = s.history[1].objective / 15, s.history[#s.history].objective / 15
    r.violation = math.max(r.violation, s.certificate.primal)
  end
  return r
end

do
  local r = machines("lv-hba", P.machine_options, quick and 2 or 10)
  line("lv-hba, support vectors, synthetic: test accuracy", ("%.3f +- %.3f"):format(mean(r.accuracy)), "0.770 +- 0.034, >= 0.74; Bayes 0.808")
  line("  validation loss, sum / 15", ("%.2f -> %.2f"):format(mean(r.before), (mean(r.after))), "2.51 -> 1.24")
  line("  violation", short(r.violation), "< 1e-10")
  line("  seconds a run, certificate included", short((mean(r.seconds))), "0.4")
  r = machines(B.gam, { iterations = quick and 3 or 80, x_length = 0.05 }, quick and 1 or 3)
  line("  gam, 80 steps: test accuracy", ("%.3f +- %.3f"):format(mean(r.accuracy)), "-")
  line("  validation loss; seconds", ("%.2f -> %.2f; %s"):format(mean(r.before), (mean(r.after)), short((mean(r.seconds)))), "-")
end

-- ---- lv-hba: growth: each size in a process that ends after some steps, before the certificate solves the lower level --------------------

do
  local before
  for _, n in ipairs(quick and { 3333, 33333 } or { 3333, 33333, 333333 }) do
    local child <close> = assert(io.popen(("LUA_CPATH='build/?.so;;' lua5.4 '%s' growth %d"):format(arg[0], n)))
    local each, bytes = child:read("n", "n")
    line(("lv-hba, one affine row: seconds a step, %d variables"):format(3 * n), short(each), ("%.0f ns and %.0f bytes a variable%s")
      :format(each / (3 * n) * 1e9, bytes / (3 * n), before and (", %.1f times"):format(each / before) or ""))
    before = each
  end
end

-- ---- penalty-bilevel: the bias ----------------------------------------------------------------------------------------------------------------

local to_the_end = { alpha = 0.3, gamma = 0.2, prox = "on", rho = 1, beta = 1, inner = 50, residual = 1e-10, polish = 0 }

for base = 2, 3 do
  local worst, law, steps, all = 0, {}, {}, {}
  for k, sigma in ipairs { 0.5, 0.2, 0.1, 0.05, 0.02, 0.01 } do
    local up, x = P.bias(base)
    local s = up:solve("penalty-bilevel", P.with(to_the_end, { sigma = sigma, lower_residual = 1e300 }))
    worst = math.max(worst, math.abs(s:value(x) - 1 / (base + sigma)))
    law[k], steps[k] = math.abs(s:value(x) - 1 / base) / sigma, #s.history - 1
    all[k] = #up:solve("penalty-bilevel", P.with(to_the_end, { sigma = sigma })).history - 1
  end
  line(("penalty-bilevel, P%d: distance to the penalty's solution"):format(base - 1), short(worst), "1.4e-10, <= 1e-8")
  line("  bias over sigma, from sigma = 0.5 to 0.01", ("%.3f to %.3f"):format(law[1], law[#law]), base == 2 and "-> 0.249" or "-> 0.111")
  line("  steps of x until it rests", range(steps, "%d"), "40 to 68")
  line("  steps until y rests too", range(all, "%d"), "-")
end

do
  local worst = 0
  for _, sigma in ipairs { 0.2, 0.1, 0.02 } do
    for k = -10, 10 do
      local got, want = P.jump(k / 11, sigma)
      worst = math.max(worst, math.abs(got - want))
    end
  end
  line("penalty-bilevel, where the problem's value jumps: value's error", short(worst), "1e-14, <= 1e-10")
end

do
  local worst, steps = 0, {}
  for k, start in ipairs { -1.5, 0.2, 1.8 } do
    local up, x, y = P.active(start)
    local s = up:solve("penalty-bilevel", { sigma = 0.05, alpha = 0.04, gamma = 0.3, prox = "on", rho = 1, inner = 30, residual = 1e-9, polish = 0 })
    worst = math.max(worst, math.abs(s:value(x) - 1.5), math.abs(s:value(y) - 1), math.abs(s.history[#s.history].complementarity))
    steps[k] = #s.history - 1
  end
  line("penalty-bilevel, active bound below: distance; steps", ("%s; %s"):format(short(worst), range(steps, "%d")), "1e-8; 480 to 520")
end

-- ---- penalty-bilevel: samples ------------------------------------------------------------------------------------------------------------------

do
  local settings = { { "plain, one sample for y and z", { eta_min = 1 }, "0.235 (max 0.240)" },
    { "plain, others for y and z", { eta_min = 1, shared = false }, "2.29" },
    { "momentum 0.01, one", { eta_min = 0.01 }, "0.063 (max 0.067), <= 0.09" }, { "momentum 0.01, others", { eta_min = 0.01, shared = false }, "0.350" },
    { "momentum 0.003, one", { eta_min = 0.003 }, "0.035 (max 0.038), <= 0.055" },
    { "momentum 0.003, others", { eta_min = 0.003, shared = false }, "0.133" } }
  local draws = quick and 1 or 5
  line("penalty-bilevel, 4 of 2000 rows: mean gradient, last 1000 steps", "", "")
  for _, setting in ipairs(settings) do
    local all = {}
    for draw = 1, draws do all[draw] = (P.regression_run(draw, 2000, 10, P.with(P.sampling, P.with(setting[2], { seed = draw })), 1000)) end
    local average = mean(all)
    table.sort(all)
    line("  " .. setting[1], ("%.3f (max %.3f)"):format(average, all[#all]), setting[3])
  end
  local all = {}
  for draw = 1, draws do
    local up, x = P.regression(draw, 2000, 10)
    local v, square = up:solve("penalty-bilevel", P.with(P.falling, { seed = draw })):value(x), 0
    for j = 1, 10 do square = square + (v[j] - 0.5)^2 end
    all[draw] = math.sqrt(square)
  end
  line("  falling sigma, 20000 steps: distance of x", range(all, "%.4f"), "0.016 to 0.021, <= 0.03")
end

do -- the same number of rows, of more and more: seconds of gradients in 3000 steps
  local sizes, seconds = { 500, 5000, 50000 }, {}
  if quick then sizes[3] = nil end
  for k, N in ipairs(sizes) do
    local up = P.regression(1, N, 10)
    local best = math.huge
    for _ = 1, 3 do
      local few = up:solve("penalty-bilevel", P.with(P.sampling, { iterations = 1 })).times.gradient
      best = math.min(best, up:solve("penalty-bilevel", P.with(P.sampling, { iterations = 3001 })).times.gradient - few)
    end
    seconds[k] = best / 3000 / 6 * 1e6
    line(("a sample of 4 of %d rows: microseconds a gradient"):format(N), ("%.2f"):format(seconds[k]), k > 1 and "as before" or "-")
  end
end

-- ---- penalty-bilevel: wrong labels -----------------------------------------------------------------------------------------------------------

do
  local after, auc, loss, seconds, plain, start = {}, {}, {}, {}, {}, {}
  local errors = { {}, {}, {} }
  for k = 1, quick and 1 or 5 do
    local p = P.cleaning(500 + k)
    local s = p.up:solve("penalty-bilevel", P.cleaning_options)
    after[k], auc[k], loss[k], seconds[k] = p.accuracy(s:value(p.w)), p.auc(s:value(p.x)), s.objective, s.seconds
    local e
    e, plain[k], start[k] = P.cleaning_start(500 + k, { 0.1, 0.01, 0.001 })
    for i = 1, 3 do errors[i][k] = e[i] end
  end
  local average = mean(after)
  line("penalty-bilevel, wrong labels: test accuracy without weights", range(plain, "%.3f"), "0.64 to 0.78")
  line("  with them", range(after, "%.3f"), "0.80 to 0.835")
  line("  mean", ("%.3f"):format(average), ">= 0.79")
  line("  area under the curve of the weights", range(auc, "%.2f"), "0.79 to 0.90, >= 0.75 each")
  line("  validation loss without weights", range(start, "%.2f"), "0.53 to 0.65")
  line("  with them", range(loss, "%.2f"), "0.35 to 0.46")
  for i, want in ipairs { "0.12 to 0.155", "0.0135 to 0.019", "0.0014 to 0.0019" } do
    line(("  error of the gradient at 0, sigma = %s"):format(({ "0.1", "0.01", "0.001" })[i]), range(errors[i], "%.2g"), want)
  end
  line("  seconds a run", short((mean(seconds))), "1")
end

-- ---- other methods -------------------------------------------------------------------------------------------------------------------------------

--- Distance to the problem's own solution when the method rests, steps above, gradients of all kinds
local function compare(name, make, own, limit)
  for _, method in ipairs { "penalty-bilevel", "f2sa", "v-pbgd", "bome", "aid" } do
    local up, distance = make()
    local s = up:solve(B[method] or method, P.with({ iterations = 20000, residual = 1e-8 }, own[method]))
    line(("%s by %s: distance; steps, gradients"):format(name, method), short(distance(s)),
      ("%d, %d%s"):format(#s.history - 1, s.evaluations.gradient, limit[method] and "; " .. limit[method] or ""))
  end
end

for base = 2, 3 do
  compare("P" .. base - 1, function()
    local up, x = P.bias(base)
    return up, function(s) return math.abs(s:value(x) - 1 / base) end
  end, { ["penalty-bilevel"] = P.with(to_the_end, { sigma = 0.01, residual = 1e-8, lower_residual = 1e300 }) },
    { ["penalty-bilevel"] = "bias of sigma = 0.01", f2sa = "bias of 1 / lambda = 0.01", ["v-pbgd"] = "the same",
      aid = base == 3 and "the Hessian is singular: it diverges" or nil })
end
compare("an active bound", function()
  local up, x, y = P.active(-1.5)
  return up, function(s) return math.max(math.abs(s:value(x) - 1.5), math.abs(s:value(y) - 1)) end
end, { ["penalty-bilevel"] = { sigma = 0.05, alpha = 0.04, gamma = 0.3, prox = "on", rho = 1, inner = 30, residual = 1e-9, polish = 0 },
  f2sa = { x_length = 0.02 } }, { aid = "does not see the bound" })

for _, method in ipairs { "penalty-bilevel", "f2sa", "v-pbgd", "bome", "aid" } do
  local accuracy, auc, loss, gradients = {}, {}, {}, 0
  local own = { ["penalty-bilevel"] = P.with(P.cleaning_options), f2sa = { lambda = 50, start = 50, y_length = 1, z_length = 1, x_length = 200 },
    ["v-pbgd"] = { lambda = 50, z_length = 1, length = 0.02 }, bome = { z_length = 1, length = 0.5 }, aid = { y_length = 1, x_length = 200 } }
  for k = 1, quick and 1 or 5 do
    local p = P.cleaning(500 + k)
    local s = p.up:solve(B[method] or method, P.with({ iterations = quick and 30 or 300 }, own[method]))
    accuracy[k], auc[k], loss[k], gradients = p.accuracy(s:value(p.w)), p.auc(s:value(p.x)), s.objective, s.evaluations.gradient
  end
  line(("wrong labels by %s, 300 steps: accuracy; area"):format(method), ("%.3f; %.2f"):format(mean(accuracy), (mean(auc))),
    ("validation loss %.2f, %d gradients"):format((mean(loss)), gradients))
end
