-- SPDX-License-Identifier: Apache-2.0
-- build/perigee run --quiet bench/bilevel.lua [quick]: lv-hba and penalty-bilevel on problems whose answers are known, beside the numbers of
-- prototypes written from the methods' descriptions, and how a step of lv-hba grows with the variables.

local peri = require "perigee"
local quick = arg[1] == "quick"

local function seeded(seed)
  local state = seed
  local function uniform()
    state = (state * 1103515245 + 12345) % 2147483648
    return (state + 0.5) / 2147483648
  end
  local function normal() return math.sqrt(-2 * math.log(uniform())) * math.cos(2 * math.pi * uniform()) end
  return uniform, normal
end

local function line(what, got, want) print(("%-66s %14s   %s"):format(what, got, want)) end

local function short(v) return ("%.3g"):format(v) end

local function mean(v)
  local sum, square = 0, 0
  for _, x in ipairs(v) do sum = sum + x end
  for _, x in ipairs(v) do square = square + (x - sum / #v)^2 end
  return sum / #v, math.sqrt(square / math.max(1, #v - 1))
end

local function with(base, more)
  local out = {}
  for k, v in pairs(base) do out[k] = v end
  for k, v in pairs(more or {}) do out[k] = v end
  return out
end

io.stdout:setvbuf "line"

-- ---- lv-hba: many solutions below ---------------------------------------------------------------------------------------------------

local function merely_convex(n)
  local up = peri.model "toy"
  local x = up:var("x", n, { start = 10 })
  local low = up:lower "low"
  local y1, y2 = low:var("y1", n, { start = 10 }), low:var("y2", n, { start = 10 })
  up:minimize(0.5 * ((x - y2)^2):sum() + 0.5 * ((y1 - 1)^2):sum())
  low:minimize(0.5 * (y1^2):sum() - x:dot(y1) + y2:sum())
  low:subject_to(peri.eq(x:sum() + y1:sum() + y2:sum(), 0))
  return up, x
end

if arg[1] == "growth" then
  local n, at = tonumber(arg[2]), {}
  merely_convex(n):solve("lv-hba", { r = 100, c0 = 10, p = 0.49, iterations = 50, callback = function()
    at[#at + 1] = os.clock()
    if #at == 23 then
      print((at[23] - at[3]) / 20, (select(2, peri.debug.memory())))
      os.exit(true, false)
    end
  end })
end

line("", "here", "prototype, what must hold")

local function error_of(n, opts)
  local up, x = merely_convex(n)
  local s = up:solve("lv-hba", opts)
  local square, v = 0, s:value(x)
  for i = 1, n do square = square + (v[i] + 0.3)^2 end
  return math.sqrt(square / n) / 0.3, s
end

local scaled = { gamma1 = 1, gamma2 = 1, r = 100, c0 = 10, p = 0.49, polish = 0 }
for _, case in ipairs { { 500, "6.0e-2" }, { 1500, "4.3e-3, <= 6e-3" }, { 5000, "1.2e-3" }, { 20000, "6.1e-4, <= 1e-3" } } do
  if not (quick and case[1] > 1500) then
    local e, s = error_of(100, with(scaled, { iterations = case[1] }))
    line(("lv-hba, many solutions below, scaled: error of x, %d steps"):format(case[1]), short(e), case[2])
    if case[1] == 20000 then
      line("  objective a variable", ("%.5f"):format(s.objective / 100), "0.04991")
      line("  seconds", short(s.seconds), "about 1.5")
    end
  end
end
local unscaled = { scaling = false, cap_steps = false, adapt_r = false, gamma1 = 10, gamma2 = 1, r = 1, alpha = 5e-3, beta = 2e-3, eta = 3e-2, c0 = 1,
  p = 0.3, start_lambda = 1, start_z = -1, polish = 0 }
line("  unscaled, 1500 steps", short((error_of(100, with(unscaled, { iterations = 1500 })))), "1.08e-1")
for _, n in ipairs(quick and {} or { 100, 300, 1000 }) do
  line(("  unscaled, %d variables a block, 20000 steps"):format(n), short((error_of(n, with(unscaled, { iterations = 20000 })))), "1.46e-2, <= 2e-2")
end

-- ---- lv-hba: an inequality -------------------------------------------------------------------------------------------------------------

local function waves(starts, iterations)
  local worst, uniform = 0, seeded(3)
  for _ = 1, starts do
    local at = 3 * uniform()
    local up = peri.model "waves"
    local x = up:var("x", { lower = 0, upper = 3, start = at })
    local low = up:lower "low"
    local y = low:var("y", { start = at })
    up:minimize(peri.exp(2 - y) / (2 + peri.cos(6 * x)) + 0.5 * peri.log((4 * x - 2)^2 + 1))
    low:minimize((y - 2 * x)^2)
    low:subject_to(y <= x)
    local s = up:solve("lv-hba", { r = 10, alpha = 0.02, beta = 0.05, eta = 0.05, c0 = 1, p = 0.3, scaling = false, iterations = iterations, polish = 0 })
    local v = s:value(x)
    worst = math.max(worst, math.min(math.abs(v - 0.148896), math.abs(v - 0.986175)))
  end
  return worst
end
line("lv-hba, an inequality: distance to a minimum, 20 starts, 2000 steps", short(waves(20, 2000)), "1.4e-4, <= 1e-3")
if not quick then line("  20000 steps", short(waves(20, 20000)), "5e-6") end

-- ---- lv-hba: weights of a classifier's training errors ------------------------------------------------------------------------------------

local function part(v, first, last)
  local out = {}
  for i = first, last do out[#out + 1] = v[i] end
  return peri.array(out)
end

local function classifier(seed, opts)
  local uniform, normal = seeded(seed)
  local a, label, c0 = {}, {}, {}
  for i = 1, 768 do
    local side = uniform() < 0.5 and -1 or 1
    a[i] = {}
    for j = 1, 5 do a[i][j] = side * 1.2 / math.sqrt(5) + normal() end
    label[i] = uniform() < 0.1 and -side or side
  end
  for i = 1, 500 do c0[i] = -6 + uniform() end
  local up = peri.model "weights"
  local c = up:var("c", 500, { start = c0 })
  local low = up:lower "machine"
  local w, b, xi = low:var("w", 5, { start = 1 }), low:var("b", { start = 0 }), low:var("xi", 500, { start = 1 })
  local T = part(label, 1, 500)
  low:minimize(0.5 * (w^2):sum() + 0.5 * (c:exp() * xi^2):sum())
  low:subject_to(xi + T * (part(a, 1, 500) % w + b) >= 1)
  local u = 2 / (1 + (5 * part(label, 501, 650) * (part(a, 501, 650) % w + b) / w:norm2()):exp()) - 1
  local loss = (u:relu() - 0.01 * (-u):relu()):sum()
  up:minimize(loss)
  local s = up:solve("lv-hba", opts)
  local right, at, bias = 0, s:value(w), s:value(b)
  for i = 651, 768 do
    local sum = bias
    for j = 1, 5 do sum = sum + at[j] * a[i][j] end
    right = right + (sum * label[i] > 0 and 1 or 0)
  end
  return right / 118, s.history[1].objective / 15, s.history[#s.history].objective / 15, s.certificate.primal, s.seconds
end

do
  local accuracy, before, after, worst, seconds = {}, {}, {}, 0, {}
  for k = 1, quick and 2 or 10 do
    local violation
    accuracy[k], before[k], after[k], violation, seconds[k] = classifier(77 + k, { gamma1 = 10, gamma2 = 10, r = 200, alpha = 0.01, beta = 0.1,
      eta = 0.003, c0 = 1, p = 0.5, start_lambda = -1, start_z = -1, iterations = 400, polish = 0, scaling = false, cap_steps = false })
    worst = math.max(worst, violation)
  end
  line("lv-hba, support vectors, synthetic: test accuracy", ("%.3f +- %.3f"):format(mean(accuracy)), "0.770 +- 0.034, >= 0.74")
  line("  validation loss, sum / 15", ("%.2f -> %.2f"):format(mean(before), (mean(after))), "2.51 -> 1.24")
  line("  violation", short(worst), "< 1e-10")
  line("  seconds a run, certificate included", short((mean(seconds))), "0.4")
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

-- ---- penalty-bilevel ----------------------------------------------------------------------------------------------------------------------------

for base = 2, 3 do
  local worst, slope, most = 0, 0, 0
  for _, sigma in ipairs { 0.5, 0.2, 0.1, 0.05, 0.02, 0.01 } do
    local up = peri.model "bias"
    local x = up:var("x", { start = -1 })
    local low = up:lower "low"
    local y = low:var("y", base - 1, { start = 0 })
    local rest = base == 3 and y[2] or 0
    up:minimize(0.5 * (y[1] - 1)^2 + 0.5 * rest^2 + 0.5 * x^2)
    low:minimize(0.5 * (y[1] + rest - x)^2)
    local s = up:solve("penalty-bilevel", { sigma = sigma, alpha = 0.3, gamma = 0.2, prox = "on", rho = 1, inner = 50, residual = 1e-10, polish = 0 })
    worst = math.max(worst, math.abs(s:value(x) - 1 / (base + sigma)))
    slope, most = math.abs(s:value(x) - 1 / base) / sigma, math.max(most, #s.history - 1)
  end
  line(("penalty-bilevel, P%d: distance to the penalty's solution"):format(base - 1), short(worst), "1.4e-10, <= 1e-8")
  line("  bias over sigma; most steps", ("%.3f; %d"):format(slope, most), base == 2 and "0.249; 40 to 68" or "0.111; 40 to 68")
end

do
  local worst, steps = 0, 0
  for _, start in ipairs { -1.5, 0.2, 1.8 } do
    local up = peri.model "active"
    local x = up:var("x", { lower = -2, upper = 2, start = start })
    local low = up:lower "low"
    local y = low:var("y", { lower = 0, upper = 1, start = 0.5 })
    up:minimize(0.5 * (y - 2)^2 + 0.5 * (x - 1.5)^2)
    low:minimize(0.5 * (y - x)^2)
    local s = up:solve("penalty-bilevel", { sigma = 0.05, alpha = 0.04, gamma = 0.3, prox = "on", rho = 1, inner = 30, residual = 1e-8, polish = 0 })
    worst = math.max(worst, math.abs(s:value(x) - 1.5), math.abs(s:value(y) - 1))
    steps = math.max(steps, #s.history - 1)
  end
  line("penalty-bilevel, active bound below: distance; steps", ("%s; %d"):format(short(worst), steps), "1e-8; 480 to 520")
end

--- A model with a sum below that can be sampled, of rows that are whitened.
local function regression(seed, N, n, start)
  local _, normal = seeded(seed)
  local a, b = {}, {}
  for i = 1, N do
    a[i] = {}
    for j = 1, n do a[i][j] = normal() end
    b[i] = 0.5 * normal()
  end
  for j = 1, n do
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
  local x = up:var("x", n, { start = start })
  local low = up:lower "low"
  local y = low:var("y", n, { start = 0 })
  local w = up:param("w", peri.ones(N, 1) / N)
  up:minimize(0.5 * ((y - 1)^2):sum() + 0.5 * (x^2):sum())
  low:minimize(0.5 * (w * (peri.array(a) % (y - x) - peri.array(b))^2):sum())
  low:sampled(w)
  return up, x
end

do
  local settings = { { "plain, shared samples", { eta_min = 1 }, "0.235" }, { "plain, others for y and z", { eta_min = 1, shared = false }, "2.29" },
    { "momentum 0.01, shared", { eta_min = 0.01 }, "0.063, <= 0.09" }, { "momentum 0.01, others", { eta_min = 0.01, shared = false }, "0.350" },
    { "momentum 0.003, shared", { eta_min = 0.003 }, "0.035, <= 0.055" }, { "momentum 0.003, others", { eta_min = 0.003, shared = false }, "0.133" } }
  local N, steps, draws = quick and 500 or 2000, quick and 2000 or 10000, quick and 1 or 5
  for _, setting in ipairs(settings) do
    local all = {}
    for draw = 1, draws do
      local up, x = regression(draw, N, 10, -1)
      local s = up:solve("penalty-bilevel", with({ loop = "single", sigma = 0.1, alpha = 0.02, gamma = 0.1, prox = "off", batch = 4, eta_power = 1,
        iterations = steps, polish = 0, seed = draw }, setting[2]))
      local square, v = 0, s:value(x)
      for j = 1, 10 do square = square + ((v[j] - 1) / 1.1 + v[j])^2 end
      all[draw] = math.sqrt(square)
    end
    line(("penalty-bilevel, samples of 4: last gradient, %s"):format(setting[1]), short((mean(all))), setting[3])
  end
  local all = {}
  for draw = 1, draws do
    local up, x = regression(draw, N, 10, -1)
    local s = up:solve("penalty-bilevel", { loop = "single", sigma = 0.02, sigma_start = 0.5, alpha_per_sigma = 0.2, gamma = 0.1, prox = "off", batch = 4,
      eta_min = 1e-6, iterations = 2 * steps, polish = 0, seed = draw })
    local square, v = 0, s:value(x)
    for j = 1, 10 do square = square + (v[j] - 0.5)^2 end
    all[draw] = math.sqrt(square)
  end
  table.sort(all)
  line("  falling sigma: distance of x", ("%s to %s"):format(short(all[1]), short(all[#all])), "0.016 to 0.021, <= 0.03")
end

--- Labels of which three in ten are flipped, found by weights that make a clean validation set likely.
local function cleaning(seed, iterations)
  local uniform, normal = seeded(seed)
  local d, true_w, length = 10, {}, 0
  for j = 1, d do true_w[j] = normal(); length = length + true_w[j]^2 end
  for j = 1, d do true_w[j] = 3 * true_w[j] / math.sqrt(length) end
  local a, label, clean = {}, {}, {}
  for i = 1, 1300 do
    a[i] = {}
    local sum = 0
    for j = 1, d do a[i][j] = normal(); sum = sum + a[i][j] * true_w[j] end
    label[i] = uniform() < 1 / (1 + math.exp(-sum)) and 1 or -1
    clean[i] = not (i <= 200 and uniform() < 0.3)
    if not clean[i] then label[i] = -label[i] end
  end
  local up = peri.model "cleaning"
  local x = up:var("x", 200, { lower = -10, upper = 10, start = 0 })
  local low = up:lower "fit"
  local w = low:var("w", d, { start = 0 })
  low:minimize((x:sigmoid() * (-(part(label, 1, 200) * (part(a, 1, 200) % w))):softplus()):mean() + 0.025 * (w^2):sum())
  up:minimize((-(part(label, 201, 300) * (part(a, 201, 300) % w))):softplus():mean())
  local s = up:solve("penalty-bilevel", { sigma = 0.02, alpha = 200, gamma = 1, prox = "on", rho = 1, inner = 20, iterations = iterations, polish = 0 })
  local right, at, v, order, above = 0, s:value(w), s:value(x), 0, 0
  for i = 301, 1300 do
    local sum = 0
    for j = 1, d do sum = sum + at[j] * a[i][j] end
    right = right + (sum * label[i] > 0 and 1 or 0)
  end
  for i = 1, 200 do
    for k = 1, 200 do
      if clean[i] and not clean[k] then
        order, above = order + 1, above + (v[i] > v[k] and 1 or v[i] == v[k] and 0.5 or 0)
      end
    end
  end
  return right / 1000, above / order, s.objective, s.seconds
end

do
  local accuracy, auc, loss, seconds = {}, {}, {}, {}
  for k = 1, quick and 1 or 5 do accuracy[k], auc[k], loss[k], seconds[k] = cleaning(500 + k, 300) end
  table.sort(auc)
  line("penalty-bilevel, cleaning of labels: test accuracy", ("%.3f"):format(mean(accuracy)), "0.80 to 0.835, mean >= 0.79")
  line("  area under the curve of the weights", ("%.2f to %.2f"):format(auc[1], auc[#auc]), "0.79 to 0.90, >= 0.75 each")
  line("  validation loss", ("%.2f"):format(mean(loss)), "0.35 to 0.46")
  line("  seconds a run", short((mean(seconds))), "1")
end
