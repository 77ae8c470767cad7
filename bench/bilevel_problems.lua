-- SPDX-License-Identifier: Apache-2.0
-- Two-level problems whose answers are known, and data that are drawn, of the studies in bench/bilevel.lua and of the tests. Each function makes a new
-- model; data depend on their seed alone.

local peri = require "perigee"
local P = {}

--- Uniform and normal numbers.
function P.seeded(seed)
  local state = seed
  local function uniform()
    state = (state * 1103515245 + 12345) % 2147483648
    return (state + 0.5) / 2147483648
  end
  return uniform, function() return math.sqrt(-2 * math.log(uniform())) * math.cos(2 * math.pi * uniform()) end
end

function P.with(base, more)
  local out = {}
  for k, v in pairs(base) do out[k] = v end
  for k, v in pairs(more or {}) do out[k] = v end
  return out
end

local function part(v, first, last)
  local out = {}
  for i = first, last do out[#out + 1] = v[i] end
  return peri.array(out)
end

-- ---- closed forms -----------------------------------------------------------------------------------------------------------------

--- F = |x - y2|^2/2 + |y1 - 1|^2/2 over y in argmin |y1|^2/2 - x'y1 + sum y2 with sum x + sum y = 0: x = -0.3, y1 = 0.7, y2 = -0.4, F = 0.05 n.
function P.merely_convex(n)
  local up = peri.model "toy"
  local x = up:var("x", n, { start = 10 })
  local low = up:lower "low"
  local y1, y2 = low:var("y1", n, { start = 10 }), low:var("y2", n, { start = 10 })
  up:minimize(0.5 * ((x - y2)^2):sum() + 0.5 * ((y1 - 1)^2):sum())
  low:minimize(0.5 * (y1^2):sum() - x:dot(y1) + y2:sum())
  low:subject_to(peri.eq(x:sum() + y1:sum() + y2:sum(), 0))
  local function distance(sol)
    local square, v = 0, sol:value(x)
    for i = 1, n do square = square + (v[i] + 0.3)^2 end
    return math.sqrt(square / n) / 0.3
  end
  return up, distance, x, y1, y2
end

--- y = x below; P.waves_minima are the local minima of what is left, to 12 digits.
function P.waves(start)
  local up = peri.model "waves"
  local x = up:var("x", { lower = 0, upper = 3, start = start })
  local low = up:lower "low"
  local y = low:var("y", { start = start })
  up:minimize(peri.exp(2 - y) / (2 + peri.cos(6 * x)) + 0.5 * peri.log((4 * x - 2)^2 + 1))
  low:minimize((y - 2 * x)^2)
  low:subject_to(y <= x)
  return up, x, y, low
end

--- Golden section on the objective with y = x, then Newton steps on its derivative by differences of the closed form.
local function waves_objective(x) return math.exp(2 - x) / (2 + math.cos(6 * x)) + 0.5 * math.log((4 * x - 2)^2 + 1) end

local function waves_slope(x)
  local a = 2 + math.cos(6 * x)
  return math.exp(2 - x) * (6 * math.sin(6 * x) / a - 1) / a + 4 * (4 * x - 2) / ((4 * x - 2)^2 + 1)
end

local function waves_minimum(lo, hi)
  local ratio = (math.sqrt(5) - 1) / 2
  while hi - lo > 1e-4 do
    local a, b = hi - ratio * (hi - lo), lo + ratio * (hi - lo)
    if waves_objective(a) < waves_objective(b) then hi = b else lo = a end
  end
  for _ = 1, 60 do -- the slope's zero, by halves: golden section ends where values no longer differ
    local mid = (lo + hi) / 2
    if waves_slope(mid) > 0 then hi = mid else lo = mid end
  end
  return (lo + hi) / 2
end

--- x and value of each of the four
function P.waves_minima()
  local out = {}
  for _, around in ipairs { 0.1489, 0.9862, 2.0197, 2.9908 } do
    local x = waves_minimum(around - 0.05, math.min(3, around + 0.05))
    out[#out + 1] = { x = x, value = waves_objective(x) }
  end
  return out
end

--- The distance to the nearest of the two minima to which the method comes
function P.from_waves(v)
  local minima = P.waves_minima()
  return math.min(math.abs(v - minima[1].x), math.abs(v - minima[2].x))
end

--- base 2: one solution below; 3: a line of them. The penalty's solution is 1 / (base + sigma), the problem's 1 / base.
function P.bias(base)
  local up = peri.model "bias"
  local x = up:var("x", { start = -1 })
  local low = up:lower "low"
  local y = low:var("y", base - 1, { start = 0 })
  local rest = base == 3 and y[2] or 0
  up:minimize(0.5 * (y[1] - 1)^2 + 0.5 * rest^2 + 0.5 * x^2)
  low:minimize(0.5 * (y[1] + rest - x)^2)
  return up, x, y
end

--- The lower variable ends on its bound: x = 1.5, y = 1.
function P.active(start)
  local up = peri.model "active"
  local x = up:var("x", { lower = -2, upper = 2, start = start })
  local low = up:lower "low"
  local y = low:var("y", { lower = 0, upper = 1, start = 0.5 })
  up:minimize(0.5 * (y - 2)^2 + 0.5 * (x - 1.5)^2)
  low:minimize(0.5 * (y - x)^2)
  return up, x, y
end

--- x y is least below: the problem's value jumps at x = 0, the penalty's does not. Its value at x, by the method from both ends, and in closed form.
function P.jump(at, sigma)
  local least = math.huge
  for _, start in ipairs { -0.9, 0.9 } do
    local up = peri.model "jump"
    local x = up:var("x", { lower = at, upper = at, start = at })
    local low = up:lower "low"
    local y = low:var("y", { lower = -1, upper = 1, start = start })
    up:minimize(x^2 + y^2)
    low:minimize(x * y)
    local s = up:solve("penalty-bilevel", { sigma = sigma, gamma = 0.5, prox = "on", rho = 2, inner = 200, iterations = 300, residual = 1e-12, polish = 0 })
    least = math.min(least, s:value(x^2 + y^2) + (s:value(x * y) + math.abs(at)) / sigma)
  end
  local a = math.abs(at)
  return least, a >= 2 * sigma and a^2 + 1 or a^2 + a / sigma - a^2 / (4 * sigma^2)
end

-- ---- a sum below, in samples ------------------------------------------------------------------------------------------------------------

local drawn = {} -- by seed and sizes

--- N rows of n normal numbers, whitened, and targets without their part: sum a_i a_i' = N I, sum a_i b_i = 0
local function white_rows(seed, N, n)
  local _, normal = P.seeded(seed)
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
  return peri.array(a), peri.array(b)
end

--- g = 1/N sum (a_i'(y - x) - b_i)^2 / 2; F = |y - 1|^2/2 + |x|^2/2: x = 1/2.
function P.regression(seed, N, n)
  local key = ("%d %d %d"):format(seed, N, n)
  drawn[key] = drawn[key] or table.pack(white_rows(seed, N, n))
  local a, b = table.unpack(drawn[key])
  local up = peri.model "regression"
  local x = up:var("x", n, { start = -1 })
  local low = up:lower "low"
  local y = low:var("y", n, { start = 0 })
  local w = up:param("w", peri.ones(N, 1) / N)
  up:minimize(0.5 * ((y - 1)^2):sum() + 0.5 * (x^2):sum())
  low:minimize(0.5 * (w * (a % (y - x) - b)^2):sum())
  low:sampled(w)
  return up, x
end

--- Solves it; gives the mean of |grad psi_sigma| over the last `tail` iterates, the solution and x. The iterates are seen by a projection onto a set that
--- has them all.
function P.regression_run(seed, N, n, opts, tail)
  local up, x = P.regression(seed, N, n)
  local norms = {}
  up:subject_to(x:sum() <= 1e9)
  up:projection(function(v)
    local square = 0
    for j = 1, n do square = square + ((v[j] - 1) / (1 + opts.sigma) + v[j])^2 end
    norms[#norms + 1] = math.sqrt(square)
    return v
  end)
  local s = up:solve("penalty-bilevel", opts)
  local sum = 0
  for k = #norms - tail + 1, #norms do sum = sum + norms[k] end
  return sum / tail, s, s:value(x)
end

P.sampling = { loop = "single", sigma = 0.1, alpha = 0.02, gamma = 0.1, prox = "off", batch = 4, eta_min = 0.01, eta_power = 1, iterations = 10000,
  polish = 0 }
P.falling = { loop = "single", sigma = 0.02, sigma_start = 0.5, alpha_per_sigma = 0.2, gamma = 0.1, prox = "off", batch = 4, eta_min = 1e-6,
  iterations = 20000, polish = 0 }

-- ---- labels of which three in ten are flipped ----------------------------------------------------------------------------------------------

--- 200 rows to fit with weights s(x_i), 100 clean ones to validate, 1000 to test. Gives the model and functions of it.
function P.cleaning(seed, fit)
  local uniform, normal = P.seeded(seed)
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
  local function loss(w, first, last) return (-(part(label, first, last) * (part(a, first, last) % w))):softplus() end
  local up = peri.model "cleaning"
  local x = up:var("x", 200, { lower = -10, upper = 10, start = 0 })
  local low = up:lower "fit"
  local w = low:var("w", d, { start = 0 })
  local g, F = (x:sigmoid() * loss(w, 1, 200)):mean() + 0.025 * (w^2):sum(), loss(w, 201, 300):mean()
  low:minimize(fit and fit(F, g) or g)
  up:minimize(F)
  local p = { up = up, low = low, x = x, w = w, F = F, g = g }
  function p.accuracy(at)
    local right = 0
    for i = 301, 1300 do
      local sum = 0
      for j = 1, d do sum = sum + at[j] * a[i][j] end
      right = right + (sum * label[i] > 0 and 1 or 0)
    end
    return right / 1000
  end
  --- area under the curve of the weights v as a test for clean rows
  function p.auc(v)
    local pairs_, above = 0, 0
    for i = 1, 200 do
      for k = 1, 200 do
        if clean[i] and not clean[k] then pairs_, above = pairs_ + 1, above + (v[i] > v[k] and 1 or v[i] == v[k] and 0.5 or 0) end
      end
    end
    return above / pairs_
  end
  return p
end

P.cleaning_options = { sigma = 0.02, alpha = 200, gamma = 1, prox = "on", rho = 1, inner = 20, iterations = 300, polish = 0 }

local function fitted(seed, fit)
  local p = P.cleaning(seed, fit)
  return p, p.low:argmin { solver = "ipm", options = { tolerance = 1e-13 } }
end

--- At x = 0: the relative error of the penalty's gradient against the implicit one, for each sigma; accuracy and loss of the fit without weights.
function P.cleaning_start(seed, sigmas)
  local p, w = fitted(seed)
  local F = peri.substitute(p.F, { [p.w] = w })
  local exact, z = peri.grad(F, p.x):value(), w:value()
  local errors, along = {}, peri.grad(p.g, p.x)
  for _, sigma in ipairs(sigmas) do
    local h, y = fitted(seed, function(f, g) return sigma * f + g end)
    local error, size = 0, 0
    local of_y, of_z = along:value { [p.w] = y:value() }, along:value { [p.w] = z }
    for i = 1, 200 do
      error, size = error + ((of_y[i] - of_z[i]) / sigma - exact[i])^2, size + exact[i]^2
    end
    errors[#errors + 1] = math.sqrt(error / size)
    h.low = nil
  end
  return errors, p.accuracy(z), F:value()
end

-- ---- weights of a classifier's training errors ----------------------------------------------------------------------------------------------

--- Two normal clouds in five dimensions, one label in ten flipped: 500 rows to fit, 150 to validate, 118 to test.
function P.machine(seed)
  local uniform, normal = P.seeded(seed)
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
  low:subject_to("margins", xi + T * (part(a, 1, 500) % w + b) >= 1)
  local u = 2 / (1 + (5 * part(label, 501, 650) * (part(a, 501, 650) % w + b) / w:norm2()):exp()) - 1
  up:minimize((u:relu() - 0.01 * (-u):relu()):sum())
  local p = { up = up, low = low, c = c, w = w, b = b, xi = xi, a = a, label = label }
  function p.accuracy(sol)
    local right, at, bias = 0, sol:value(w), sol:value(b)
    for i = 651, 768 do
      local sum = bias
      for j = 1, 5 do sum = sum + at[j] * a[i][j] end
      right = right + (sum * label[i] > 0 and 1 or 0)
    end
    return right / 118
  end
  return p
end

P.machine_options = { gamma1 = 10, gamma2 = 10, r = 200, alpha = 0.01, beta = 0.1, eta = 0.003, c0 = 1, p = 0.5, start_lambda = -1, start_z = -1,
  iterations = 400, polish = 0, scaling = false, cap_steps = false }

local function solve_small(A, b) -- Gaussian elimination of a positive definite system
  local n = #b
  for k = 1, n do
    for i = k + 1, n do
      local f = A[i][k] / A[k][k]
      for j = k, n do A[i][j] = A[i][j] - f * A[k][j] end
      b[i] = b[i] - f * b[k]
    end
  end
  for i = n, 1, -1 do
    for j = i + 1, n do b[i] = b[i] - A[i][j] * b[j] end
    b[i] = b[i] / A[i][i]
  end
  return b
end

--- The nearest point of the margins' set: c stays; (w, b) by semismooth Newton steps in six variables, xi from them.
function P.machine_projection(p)
  local rows = {}
  for i = 1, 500 do
    local row, t = { table.unpack(p.a[i]) }, p.label[i]
    row[6] = 1
    for j = 1, 6 do row[j] = t * row[j] end
    rows[i] = row
  end
  local function value(v, u)
    local sum = 0
    for j = 1, 6 do sum = sum + 0.5 * (u[j] - v[500 + j])^2 end
    for i = 1, 500 do
      local s = 1 - v[506 + i]
      for j = 1, 6 do s = s - rows[i][j] * u[j] end
      if s > 0 then sum = sum + 0.5 * s * s end
    end
    return sum
  end
  return function(v)
    local u = {}
    for j = 1, 6 do u[j] = v[500 + j] end
    for _ = 1, 100 do
      local g, H = {}, {}
      for j = 1, 6 do
        g[j], H[j] = u[j] - v[500 + j], {}
        for k = 1, 6 do H[j][k] = j == k and 1 or 0 end
      end
      for i = 1, 500 do
        local r, s = rows[i], 1 - v[506 + i]
        for j = 1, 6 do s = s - r[j] * u[j] end
        if s > 0 then
          for j = 1, 6 do
            g[j] = g[j] - s * r[j]
            for k = 1, 6 do H[j][k] = H[j][k] + r[j] * r[k] end
          end
        end
      end
      local size = 0
      for j = 1, 6 do size = math.max(size, math.abs(g[j])) end
      if size < 1e-13 then break end
      local d, t, f, to = solve_small(H, g), 1, value(v, u), {}
      repeat
        for j = 1, 6 do to[j] = u[j] - t * d[j] end
        t = t / 2
      until value(v, to) <= f or t < 1e-12
      u = to
    end
    local out = {}
    for i = 1, 500 do out[i] = v[i] end
    for j = 1, 6 do out[500 + j] = u[j] end
    for i = 1, 500 do
      local s = 1
      for j = 1, 6 do s = s - rows[i][j] * u[j] end
      out[506 + i] = math.max(v[506 + i], s)
    end
    return out
  end
end

return P
