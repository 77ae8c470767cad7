-- SPDX-License-Identifier: Apache-2.0
-- dense_hessian.lua - Hessians of models that are dense in a moderate number of variables: those that only products give, as dense matrices; those of dense
-- data, as products of matrices. Values against peri.hessian, which is derived another way, optima by closed forms and certificates, what is refused,
-- and what memory it takes.
local peri = require "perigee"
local t = require "tap"

local function random(rows, cols, seed, lower, upper)
  return peri.random.uniform{ rows = rows, cols = cols, lower = lower or -1, upper = upper or 1, seed = seed }
end

-- The Lagrangian's Hessian as solvers see it, with weight 0.7 for the objective and w for the rows, at the start.
local function seen(m, w)
  local H, why
  local look = peri.plugin{ name = "look", kind = "solver", needs = { "sparse_hessian" }, summary = "looks at the sparse Hessian",
    init = function() end, step = function(_, run)
      local x = run:start()
      H = run:hessian(x, 0.7, w or {})
      run:accept{ x = x }
      return run:finish "stalled"
    end }
  local fine, message = pcall(m.solve, m, look)
  if not fine then why = tostring(message) end
  return H, why
end

-- Largest difference from 0.7 hess f + sum of w hess c, relative to the largest entry.
local function compare(name, m, x, f, w, c)
  local H, why = seen(m, w)
  if not H then t.ok(false, ("%s: %s"):format(name, why)) return end
  local L = 0.7 * f
  for k = 1, #(c or {}) do L = L + w[k] * c[k] end
  local want, worst, size = peri.hessian(L, x):value(), 0, 0
  for i = 1, #want do
    for j = 1, #want do
      worst, size = math.max(worst, math.abs(H[i][j] - want[i][j])), math.max(size, math.abs(want[i][j]))
    end
  end
  t.ok(worst <= 1e-12 * size, ("%s: %.1e of %.1e"):format(name, worst, size))
end

local function lines(m, what) -- of `perigee explain`
  local found = m:explain():match("[^\n]*" .. what .. "[^\n]*")
  return found or ""
end

-- ---- by products with unit vectors ---------------------------------------------------------------------------------------------------------

do
  local B = random(4, 4, 3)
  local S = (B % B:t()) + peri.eye(4)
  local kinds = {
    logdet = function(x) return (S + (x * x):diag()):logdet() end,
    system = function(x) return (S + (x % x:t())):solve(x + 1):sum() end,
    exponential = function(x) return ((x % x:t()) * 0.3):expm():sum() end,
    ["logdet of a kernel"] = function(x) return (x[1]^2 * peri.exp(-(random(9, 1, 4) - random(9, 1, 4):t())^2 / x[2]^2) + x[3]^2 * peri.eye(9)):logdet() end,
  }
  for name, of in pairs(kinds) do
    local m = peri.model "p"
    local x, free = m:var("x", 4, { start = { 0.7, -0.4, 0.5, 0.9 } }), m:var("free", 3, { start = 1 })
    local f, c = of(x) + free:sum(), { of(x * x + 0.1), x:dot(x) * x[1] }
    m:minimize(f)
    m:subject_to(c[1] <= 3, c[2] <= 2, free >= 0)
    compare(name, m, x, f, { 1.3, -0.6, 0, 0, 0 }, c)
    t.ok(lines(m, "second derivatives"):find("dense, by 4 products with vectors (", 1, true), name .. ": explained: " .. lines(m, "second derivatives"))
    t.ok(lines(m, "non%-zeros in the lower"):find(" 10 non-zeros", 1, true), name .. ": variables that enter linearly have no entries")
  end
end

do -- more directions than a program takes: 40 variables, whose products come in three runs
  local n, A = 40, random(6, 40, 5)
  local m = peri.model "p"
  local x = m:var("x", n, { start = random(n, 1, 6) })
  local f = (3 * peri.eye(6) + (A % (x * x):diag()) % A:t()):logdet() + (x^4):sum()
  m:minimize(f)
  compare("40 variables", m, x, f)
  t.ok(lines(m, "second derivatives"):find("by 42 products", 1, true), "rounded up to whole runs")
end

do -- min tr(S X) - log det X is at X = S^-1, also by methods that need a matrix
  local S = peri.array{ { 2, 0.3, 0.1 }, { 0.3, 1, -0.2 }, { 0.1, -0.2, 1.5 } }
  for _, solver in ipairs{ "ipm", "newton" } do
    local m = peri.model "p"
    local d, l = m:var("d", 3, { start = 1 }), m:var("l", 3, { start = 0 })
    local X = peri.stack{ d[1], l[1], l[2], l[1], d[2], l[3], l[2], l[3], d[3] }:reshape(3, 3)
    m:minimize((S % X):trace() - X:logdet())
    local s = m:solve(solver, { tolerance = 1e-10 })
    local inverse, worst = S:solve(peri.eye(3)), 0
    local at = s:value(X)
    for i = 1, 3 do
      for j = 1, 3 do worst = math.max(worst, math.abs(at[i][j] - inverse[i][j])) end
    end
    t.ok(worst < 1e-7, ("%s: the inverse: %.1e, %s"):format(solver, worst, s.status))
  end
end

do -- a model that can only be differentiated by products, and has too many variables
  local function model(n)
    local m = peri.model "p"
    local x = m:var("x", n, { start = 0.1, lower = -1, upper = 1 })
    m:minimize((2 * peri.eye(2) + x:dot(x) * peri.ones(2, 2)):logdet() + x:dot(x))
    return m
  end
  local fine, message = pcall(model(1001).solve, model(1001), "ipm")
  message = tostring(message)
  t.ok(not fine and message:find("ipm: needs second derivatives as a sparse matrix (logdet has no sparse second derivatives here; a dense one is made by "
    .. "products for up to 1000 variables that enter nonlinearly, here are 1001)", 1, true), message)
  t.ok(message:find('; "trust-ncg" fits', 1, true), "what would do is said")
  t.ok(lines(model(1001), "no hessian"):find("here are 1001", 1, true), "and explained")
  local s = model(1000):solve("ipm", { iterations = 30 })
  t.ok(s.status == "locally_optimal" and s.objective < math.log(4) + 1e-6, "1000 are solved: " .. s.status)
end

-- ---- dense data: products of matrices in place of terms ----------------------------------------------------------------------------------------

local function holes(rows, cols, seed, share) -- a sparse array with a share of its entries, the first row and column whole
  local r = random(rows, cols, seed, 0, 1)
  local at = { rows = rows, cols = cols, i = {}, j = {}, v = {} }
  for i = 1, rows do
    for j = 1, cols do
      if r[i][j] < share or i == 1 or j == 1 then
        at.i[#at.i + 1], at.j[#at.j + 1], at.v[#at.v + 1] = i, j, r[i][j] - 0.5
      end
    end
  end
  return peri.sparse(at)
end

do
  local n, rows = 24, 150
  local A, C, b = random(rows, n, 1), random(rows, n, 2), peri.random.uniform{ n = rows, lower = -1, upper = 1, seed = 3 }
  local S = holes(rows, n, 4, 0.9)
  local kinds = {
    ["inner product"] = function(x) local r = A % x - b return r:dot(r) end,
    ["inner product of two"] = function(x) return (A % x - b):dot(C % x + b) end,
    ["inner product of nonlinear ones"] = function(x) local r = peri.exp(0.3 * (A % x)) - b return r:dot(r) end,
    ["sum of squares"] = function(x) return ((A % x - b)^2):sum() end,
    ["weighted squares"] = function(x) return (b * (A % x - b)^2):sum() end,
    poisson = function(x) return peri.exp(A % x):sum() - b:dot(A % x) end,
    logistic = function(x) return peri.softplus(b * (A % x)):mean() end,
    ["two leaves"] = function(x) return ((A % x) * peri.sin(C % x) + (C % x)^3):sum() end,
    ["a leaf that is a scalar"] = function(x) return peri.exp(A % x - 0.1 * (C % x):sum()):sum() end,
    ["a scalar twice"] = function(x) return ((A % x)^2 * peri.sin((C % x):dot(b))):sum() end,
    logsumexp = function(x) return (A % x):logsumexp() end,
    ["norm"] = function(x) return (A % x - b):norm2() + (C % x):norm2()^3 end,
    softmax = function(x) return (A % x):softmax():dot(b) end,
    ["rows with holes"] = function(x) return peri.exp(S % x):sum() + ((S % x) - b):dot(S % x) end,
    ["some of the rows"] = function(x) return peri.exp((A % x):slice(11, 140)):sum() + ((C % x):slice(1, 99)^4):sum() end,
    ["different columns"] = function(x)
      return peri.exp(random(90, 15, 7) % x:slice(1, 15)):sum() + ((random(90, 15, 8) % x:slice(10, 24)) * peri.exp(random(90, 15, 9) % x:slice(1, 15))):sum()
    end,
    ["computed rows"] = function(x) return peri.sqrt(1 + (peri.exp(random(n, n, 5) * 0.2) % peri.sin(x))^2):sum() end,
    ["quadratic form"] = function(x) return x:dot((A:t() % A) % x) end,
    ["a matrix of variables"] = function(x) return peri.exp((random(200, 4, 6) % x:reshape(4, 6)):tanh()):sum() end,
    ["regression of classes"] = function(x)
      local Z = random(200, 4, 6) % x:reshape(4, 6)
      return peri.map(200, function(i) return Z[i]:logsumexp() - Z[i][1] end):mean()
    end,
  }
  local names = {}
  for name in pairs(kinds) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    for _, constrained in ipairs{ false, true } do
      local m = peri.model "p"
      local x = m:var("x", n, { start = peri.random.uniform{ n = n, lower = -0.5, upper = 0.5, seed = 11 } })
      local f, c = kinds[name](x), {}
      if constrained then
        c = { f, kinds[name](x * x + 0.1) }
        f = (x^4):sum()
        m:subject_to(c[1] <= 1e3, c[2] <= 1e4)
      end
      m:minimize(f)
      compare(name .. (constrained and ", a constraint" or ""), m, x, f, { -0.8, 1.7 }, c)
    end
  end
end

-- ---- solved by ipm -----------------------------------------------------------------------------------------------------------------------------

local function megabytes() -- at the peak
  local _, peak = peri.debug.memory()
  return peak / 2^20
end

do -- 300 columns and 1000 rows, 45 million terms, of which the data are 2.3 MB
  local n, rows = 300, 1000
  local F, b = random(rows, n, 21), peri.random.uniform{ n = rows, lower = -1, upper = 1, seed = 22 }
  for _, kind in ipairs{ "least squares", "poisson" } do
    local m = peri.model "p"
    local x = m:var("x", n, { start = 0.01 })
    m:minimize(kind == "poisson" and peri.exp(0.1 * (F % x)):sum() - b:dot(F % x) + 20 * x:dot(x) or (F % x - b):dot(F % x - b))
    local s = m:solve("ipm", { tolerance = 1e-9 })
    t.ok(s.status == "optimal" and s.certificate.kkt < 1e-8, ("%s, 300 x 1000: %s, %.1e"):format(kind, s.status, s.certificate.kkt))
    t.ok(megabytes() < 200, ("in %.0f MB at the peak"):format(megabytes()))
    if kind == "least squares" then -- closed form
      local want, worst = (F:t() % F):solve(F:t() % b), 0
      for i = 1, n do worst = math.max(worst, math.abs(s[x][i] - want[i])) end
      t.ok(worst < 1e-8, ("the normal equations' solution: %.1e"):format(worst))
    end
  end
end

do -- logsumexp of B x and -B x is least at 0, where it is log(number of rows); constraints of the same form hold there
  local n = 40
  local function even(rows, seed, x)
    local B = random(rows, n, seed)
    return peri.stack{ B % x, -(B % x) }:logsumexp()
  end
  local m = peri.model "p"
  local x = m:var("x", n, { start = 0.2, lower = -10, upper = 10 })
  m:minimize(even(30, 31, x))
  local c = {}
  for k = 1, 12 do c[k] = even(15, 31 + k, x) <= 5 end
  m:subject_to(c)
  local s = m:solve("ipm", { tolerance = 1e-9 })
  t.is_close(s.objective, math.log(60), 1e-9, 0, "a geometric program: " .. s.status)
end

do -- the same geometric program in other variables, x = D P y: same optimum, rows active
  local n, scale = 30, random(30, 1, 61, 0.5, 2)
  local function solved(changed)
    local m = peri.model "p"
    local y = m:var("y", n, { start = 0.1, lower = changed and -40 or -10, upper = changed and 40 or 10 })
    local parts = {}
    for i = 1, n do parts[i] = changed and scale[i] * y[n + 1 - i] or y[i] end
    local x = peri.stack(parts)
    m:minimize((random(40, n, 62) % x):logsumexp())
    local c = { x <= 10, x >= -10 }
    for k = 1, 10 do c[#c + 1] = (random(20, n, 62 + k) % x):logsumexp() <= 3.2 end
    m:subject_to(c)
    return m:solve("ipm", { tolerance = 1e-9 })
  end
  local one, other = solved(false), solved(true)
  t.ok(one.status == "optimal" and one.certificate.kkt < 1e-7, "rows active: " .. one.status)
  t.is_close(one.objective, other.objective, 1e-7, 1e-7, "the optimum does not depend on the variables")
end

do -- many sums over dense data, each of variables of its own: memory in proportion to the entries, not to variables times sums
  local function bytes(n)
    local m = peri.model "p"
    local x = m:var("x", 40 * n, { start = 0.01 })
    for i = 1, n do m:subject_to(peri.exp(random(32, 40, i) % x:slice(40 * i - 39, 40 * i)):sum() <= 100) end
    m:minimize(x:dot(x))
    return tonumber(lines(m, "jacobian    %d"):match("(%d+) bytes;"))
  end
  local few, many = bytes(50), bytes(200)
  t.ok(many <= 6 * few and many < 2e6, ("the Jacobian of 200 sums takes %d bytes, of 50 %d"):format(many, few))
end

do -- the same for their Hessian while it is derived: too small to be blocks, and with columns that most rows have
  for _, shape in ipairs{ { n = 1500, rows = 8, cols = 12 }, { n = 1500, rows = 70, cols = 3 } } do
    local m = peri.model "p"
    local x = m:var("x", shape.n * shape.cols, { start = 0.01 })
    for i = 1, shape.n do
      m:subject_to(peri.exp(random(shape.rows, shape.cols, i) % x:slice(shape.cols * (i - 1) + 1, shape.cols * i)):sum() <= 100)
    end
    m:minimize(x:dot(x))
    t.ok(lines(m, "non%-zeros in the lower"):find((" %d non-zeros"):format(shape.n * shape.cols * (shape.cols + 1) // 2), 1, true), "many small sums")
    t.ok(megabytes() < 200, ("%d of %d x %d in %.0f MB at the peak"):format(shape.n, shape.rows, shape.cols, megabytes()))
  end
end

do -- a coupling of too many variables at once is refused, a square of a norm among them
  local m = peri.model "p"
  local x = m:var("x", 2001, { start = 0.1 })
  m:minimize((random(3, 2001, 71) % x):logsumexp() + x:dot(x))
  local _, why = seen(m)
  t.ok(why and why:find("dense in 2001 variables at once, formed up to 2000", 1, true) and why:find("; \"trust-ncg\" fits", 1, true), why)
end

t.done()
