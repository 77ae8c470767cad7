-- SPDX-License-Identifier: Apache-2.0
-- levels_words.lua - one script, many methods: tolls, the strength of a ridge and of a logistic regression, the weights of a support vector machine's
-- errors, each by every plan that can take it, which is chosen by changing a word. Checks: a closed form, and validation curves swept on their own.

local peri = require "perigee"
local t = require "tap"

local source = os.getenv "PERIGEE_SOURCE" or "."
dofile(source .. "/examples/plugins/complementarity-penalty.lua")

local exact = { "kkt > ipm", "complementarity-penalty > ipm", "implicit > lbfgs", "value-function > augmented-lagrangian > lbfgs" }

local function all(build, best, tolerance, first_order)
  for _, plan in ipairs(exact) do
    local name, up = build()
    local sol = up:solve(plan, { time_limit = 60 })
    local most = plan:find "value" and 1e-3 or tolerance -- a penalty of first order
    t.is_close(sol.objective, best, most, most, ("%s by %s: %s"):format(name, plan, sol.status))
    t.ok(sol.certificate.lower_gap <= 1e-5, "with the lower level optimal")
  end
  for _, setting in ipairs(first_order) do
    local name, up = build()
    local sol = up:solve(setting[1], setting[2])
    t.is_close(sol.objective, best, setting[3], setting[3], ("%s by %s: %s"):format(name, setting[1], sol.status))
    t.ok(sol.certificate.lower_gap <= 1e-5, "with the lower level optimal")
  end
end

-- ---- tolls (see examples/09-tolls.lua): routes of cost free + slope * flow, two with a toll ---------------------------------------------------------

do
  local free, slope, demand = { 4, 6, 10 }, { 0.4, 0.2, 0.3 }, 10
  local function build()
    local owner = peri.model "owner"
    local toll = owner:var("toll", 2, { lower = 0, upper = 12, start = 2 })
    local drivers = owner:lower "drivers"
    local flow = drivers:var("flow", 3, { lower = 0, upper = demand, start = demand / 3 })
    drivers:minimize(toll:dot(flow:slice(1, 2)) + (peri.array(free) * flow + 0.5 * peri.array(slope) * flow^2):sum())
    drivers:subject_to("demand", flow:sum():eq(demand))
    owner:maximize(toll:dot(flow:slice(1, 2)))
    return "tolls", owner
  end
  -- All routes are used at the best tolls, so that flows are linear in them: revenue is quadratic, and its gradient is zero at
  --   [h1 - h1^2 / H, -h1 h2 / H; -h1 h2 / H, h2 - h2^2 / H] 2 toll = (h1 (c - 4), h2 (c - 6)),   h = 1 / slope, H = sum h, c = the cost without tolls
  local h, H, sum = {}, 0, demand
  for i = 1, 3 do
    h[i] = 1 / slope[i]
    H, sum = H + h[i], sum + free[i] / slope[i]
  end
  local c = sum / H
  local b1, b2 = h[1] * (c - 4) / 2, h[2] * (c - 6) / 2
  local m11, m12, m22 = h[1] - h[1]^2 / H, -h[1] * h[2] / H, h[2] - h[2]^2 / H
  local det = m11 * m22 - m12^2
  local t1, t2 = (b1 * m22 - b2 * m12) / det, (b2 * m11 - b1 * m12) / det
  all(build, t1 * b1 + t2 * b2, 1e-5, {
    { "lv-hba", { c0 = 10, p = 0.4, iterations = 20000 }, 1e-3 },
    { "penalty-bilevel", { sigma = 0.002, alpha = 0.02, inner = 60, iterations = 3000 }, 1e-3 },
  })
end

-- ---- the strength of a regularisation, by its logarithm --------------------------------------------------------------------------------------------

--- The least value of a function of one variable: a sweep, then a section that shrinks around the best.
local function sweep(at, first, last)
  local best, where = math.huge, nil
  for k = 0, 60 do
    local v = first + k * (last - first) / 60
    local f = at(v)
    if f < best then best, where = f, v end
  end
  local a, b, ratio = where - (last - first) / 60, where + (last - first) / 60, (5^0.5 - 1) / 2
  while b - a > 1e-6 do
    local l, r = b - ratio * (b - a), a + ratio * (b - a)
    if at(l) < at(r) then b = r else a = l end
  end
  return at((a + b) / 2)
end

do
  local X, Xv = peri.random.normal{ rows = 12, cols = 6, seed = 1 }, peri.random.normal{ rows = 30, cols = 6, seed = 2 }
  local w0 = peri.array{ 1, -0.5, 0, 0, 0.3, 0 }
  local y = X % w0 + 0.8 * peri.random.normal{ rows = 12, cols = 1, seed = 3 }
  local yv = Xv % w0 + 0.8 * peri.random.normal{ rows = 30, cols = 1, seed = 4 }
  local function build()
    local up = peri.model "ridge"
    local lambda = up:var("lambda", { lower = -6, upper = 6, start = 0 })
    local low = up:lower "fit"
    local w = low:var("w", 6)
    low:minimize((0.5 * ((X % w - y)^2):sum() + 0.5 * peri.exp(lambda) * (w^2):sum()) / 12)
    up:minimize(0.5 * ((Xv % w - yv)^2):mean())
    return "ridge", up
  end
  local K, Xy = X:t() % X, X:t() % y
  local best = sweep(function(l) return 0.5 * ((Xv % peri.solve(K + math.exp(l) * peri.eye(6), Xy) - yv)^2):mean() end, -6, 6)
  all(build, best, 1e-5, {
    { "lv-hba", { c0 = 10, p = 0.3, alpha = 0.02, beta = 0.02, eta = 0.02, iterations = 30000 }, 4e-2 },
    { "penalty-bilevel", { sigma = 0.01, alpha = 0.05, iterations = 5000 }, 5e-3 },
  })
end

do -- two species of iris, examples/03-logistic-regression.csv
  local flowers = peri.data.csv(source .. "/examples/03-logistic-regression.csv")
  local lengths, label = flowers:matrix{ "sepal_length", "sepal_width", "petal_length", "petal_width" }, {}
  for i, species in ipairs(flowers.columns.species) do label[i] = species == "virginica" and 1 or -1 end
  local fitted, held = {}, {}
  for i = 1, #label do
    local list = i % 10 < 3 and fitted or held
    list[#list + 1] = i
  end
  local function loss(list, w, b) return peri.mean(peri.softplus(-peri.array(label)[list] * (lengths[list] % w + b))) end
  local function build()
    local up = peri.model "strength"
    local lambda = up:var("lambda", { lower = -12, upper = 4, start = -4 })
    local low = up:lower "fit"
    local w, b = low:var("w", 4), low:var "intercept"
    low:minimize(loss(fitted, w, b) + 0.5 * peri.exp(lambda) * w:dot(w))
    up:minimize(loss(held, w, b))
    return "logistic", up
  end
  local m = peri.model "swept"
  local at, w, b = m:param("at", 0), m:var("w", 4), m:var "b"
  m:minimize(loss(fitted, w, b) + 0.5 * peri.exp(at) * w:dot(w))
  local best = sweep(function(l)
    at:set(l)
    return m:solve("trust-ncg"):value(loss(held, w, b))
  end, -12, 4)
  all(build, best, 1e-4, {})
end

-- ---- weights of a machine's errors: rows below, an objective that is not convex above ----------------------------------------------------------------

do
  local n = 12
  local A, B = peri.random.normal{ rows = n, cols = 2, seed = 5 }, peri.random.normal{ rows = n, cols = 2, seed = 6 }
  local T, S = {}, {}
  for i = 1, n do
    T[i] = A[i][1] + 0.5 * A[i][2] + (i % 4 == 0 and -2 or 0) > 0 and 1 or -1
    S[i] = B[i][1] + 0.5 * B[i][2] > 0 and 1 or -1
  end
  T, S = peri.array(T), peri.array(S)
  local function build()
    local up = peri.model "weights"
    local c = up:var("c", n, { lower = -4, upper = 2, start = 0 })
    local low = up:lower "machine"
    local w, b, xi = low:var("w", 2, { start = 1 }), low:var("b", { start = 0 }), low:var("xi", n, { start = 1 })
    low:minimize(0.5 * (w^2):sum() + 0.005 * b^2 + 0.5 * (peri.exp(c) * xi^2):sum())
    low:subject_to("margin", xi + T * (A % w + b) >= 1)
    up:minimize((-2 * S * (B % w + b)):sigmoid():mean() + 0.001 * (c^2):sum())
    return up
  end
  local reached = {}
  for _, plan in ipairs { "kkt > ipm", "complementarity-penalty > ipm", "implicit > lbfgs", "lv-hba" } do
    local sol = build():solve(plan, plan == "lv-hba" and { alpha = 0.02, beta = 0.02, eta = 0.05, c0 = 2, p = 0.4, iterations = 5000 }
      or { time_limit = 60, ["kkt.complementarity"] = plan == "kkt > ipm" and "relaxation" or nil })
    t.ok(sol.certificate.lower_gap <= 1e-5, ("support vectors by %s: %.4f, %s"):format(plan, sol.objective, sol.status))
    reached[#reached + 1] = sol.objective
  end
  for k = 2, #reached do t.ok(reached[k] <= reached[1] + (k == 4 and 0.2 or 1e-5), "as far as the others, up to local optima: " .. reached[k]) end
end

t.done()
