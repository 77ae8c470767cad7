-- SPDX-License-Identifier: Apache-2.0
-- problems.lua - one small script of each kind of problem, for tests that make something fail at every place in turn: a table of functions that
-- build, solve and return one number that depends on all of it. `fault()`, given by the test or absent, is called where user code is.

local peri = require "perigee"

local P = {}

-- The status is part of the answer: a run that only seems to end well is seen.
local function answer(sol, ...)
  local ended = { optimal = true, locally_optimal = true, feasible = true } -- without derivatives nothing is certified
  if not ended[sol.status] then error("ended " .. sol.status .. ": " .. sol.message, 0) end
  local sum = sol.objective
  for k, v in ipairs { ... } do
    for i, x in ipairs(type(v) == "number" and { v } or v:totable()) do sum = sum + x * (k + 0.1 * i) end
  end
  return sum
end

local function fault(value, x)
  if _G.fault then return _G.fault(value, x) end
  return value
end

local function quadratic(x) return fault((x[1] - 0.3)^2 + 2 * (x[2] + 0.6)^2 + 0.5 * x[1] * x[2], x) end

function P.lp()
  local m = peri.model "lp"
  local x = m:var("x", 3, { lower = 0, upper = { 4, 5, 6 } })
  m:maximize(3 * x[1] + 2 * x[2] + x[3])
  local cap = m:subject_to("cap", x:sum() <= 7, 2 * x[1] + x[2] <= 9, peri.between(-1, x[2] - x[3], 3))
  return answer(m:solve { tolerance = 1e-9 }, #cap)
end

function P.qp()
  local m = peri.model "qp"
  local x = m:var("x", 4, { start = 1 })
  local Q = peri.array { { 4, 1, 0, 0 }, { 1, 3, 1, 0 }, { 0, 1, 5, 1 }, { 0, 0, 1, 2 } }
  m:minimize(0.5 * x:dot(Q % x) - x:sum())
  m:subject_to("budget", x:sum():eq(1))
  local sol = m:solve "ipm"
  return answer(sol, sol[x])
end

function P.nlp()
  local m = peri.model "nlp"
  local x = m:var("x", 4, { lower = 1, upper = 5, start = { 1, 5, 5, 1 } })
  m:minimize(x[1] * x[4] * (x[1] + x[2] + x[3]) + x[3])
  m:subject_to("product", x[1] * x[2] * x[3] * x[4] >= 25)
  local sphere = m:subject_to("sphere", x:dot(x):eq(40))
  local sol = m:solve()
  return answer(sol, sol[x], sol:dual(sphere))
end

function P.least_squares()
  local m = peri.model "fit"
  local t, y = peri.linspace(0, 2, 9), peri.array { 2.4, 2.0, 1.6, 1.35, 1.1, 0.9, 0.75, 0.6, 0.5 }
  local a, k = m:var("a", { start = 1 }), m:var("k", { start = 0.5 })
  m:minimize(((a * peri.exp(-k * t) - y)^2):sum())
  local sol = m:solve "levenberg-marquardt"
  return answer(sol, sol[a], sol[k])
end

function P.composite()
  local m = peri.model "lasso"
  local A = {}
  for i = 1, 8 do A[i] = peri.random.normal { n = 5, seed = i } end
  local x = m:var("x", 5)
  m:minimize(0.5 * ((peri.array(A) % x - peri.array { 1, -1, 2, 0, 0.5, 1, 3, -2 })^2):sum() + 0.4 * x:norm1())
  local sol = m:solve("fista", { iterations = 5000 })
  return answer(sol, sol[x])
end

function P.black_box()
  local m = peri.model "black box"
  local x = m:var("x", 2, { start = { 1, 1 } })
  m:minimize(peri.blackbox(quadratic, x))
  local sol = m:solve("nelder-mead", { tolerance = 1e-5 })
  return answer(sol, sol[x])
end

function P.search()
  local m = peri.model "search"
  local x = m:var("x", 2, { lower = -1, upper = 1, start = 0.75 })
  m:minimize(peri.blackbox(quadratic, x))
  local sol = m:solve("pattern-search", { tolerance = 1e-4 })
  return answer(sol, sol[x])
end

function P.foreign()
  local build = os.getenv "PERIGEE_BUILD" or "."
  local f = peri.foreign { library = build .. "/tests/foreign/samples.so", symbol = "rosenbrock",
                           type = "double(size_t, const double *)", gradient = "rosenbrock_gradient" }
  local m = peri.model "foreign"
  local x = m:var("x", 2, { start = { 0.5, 1 } })
  m:minimize(f(x))
  local sol = m:solve("lbfgs")
  return answer(sol, sol[x])
end

function P.chain()
  local m = peri.model "chain"
  local x = m:var("x", 2, { lower = 0, start = 1 })
  m:maximize(x[1] * x[2])
  local sum = m:subject_to(x[1] + 2 * x[2] <= 8)
  local sol = m:solve "augmented-lagrangian > lbfgs"
  return answer(sol, sol[x], sol:dual(sum))
end

function P.penalty()
  local m = peri.model "penalty"
  local x = m:var("x", 2, { start = { 1, 2 } })
  m:minimize(x:sum())
  m:subject_to(x:dot(x) <= 2)
  local sol = m:solve "penalty > trust-ncg"
  return answer(sol, sol[x])
end

function P.multistart()
  local m = peri.model "starts"
  local x = m:var("x", 2, { lower = -2, upper = 2, start = 1 })
  m:minimize(((x^2 - 1)^2):sum() + 0.2 * x:sum())
  local sol = m:solve("multistart > lbfgs", { ["multistart.starts"] = 4 })
  return answer(sol, sol[x])
end

function P.batch()
  local m = peri.model "batch"
  local x = m:var("x", 2, { start = { 0.1, 0.2 } })
  local e = peri.exp(x[1]) * x[2] - peri.sin(x):sum()
  local points = peri.array { { 0.1, 0.2 }, { 1, -1 }, { 2, 0.5 } }
  local sum = 0
  for i = 1, 3 do
    local point = peri.array { points[i][1], points[i][2] }
    sum = sum + i * e:value { [x] = point } + peri.grad(e, x):value { [x] = point }:sum()
  end
  return sum
end

function P.again()
  local m = peri.model "again"
  local p = m:param("p", { 1, 2 })
  local x = m:var("x", 2, { start = 0 })
  m:minimize(((x - p)^2):sum() + (x[1] * x[2])^2)
  m:subject_to(x:sum() <= p:sum() - 1)
  local sum = 0
  for k = 1, 3 do
    p:set { k, 2 + 0.5 * k }
    sum = sum + k * answer(m:solve("ipm"))
  end
  return sum
end

function P.maps()
  local n = 12
  local m = peri.model "maps"
  local x = m:var("x", n, { start = 0.3 })
  local c, order = {}, {}
  for i = 1, n do c[i], order[i] = math.sin(i), n + 1 - i end
  m:minimize(peri.map(n, function(i) return (x[i] - c[i])^2 + 0.1 * peri.cos(x[order[i]]) end):sum())
  for i = 1, n - 1 do m:subject_to("step", x[i + 1] - x[i] <= 0.5) end
  local sol = m:solve "ipm"
  local text = tostring(sol)
  return answer(sol, sol[x], #text > 50 and 1 or 0)
end

function P.matrices()
  local m = peri.model "matrices"
  local X = m:var("X", { 3, 3 }, { start = peri.eye(3) })
  local A = peri.array { { 2, 0.3, 0 }, { 0.3, 1, 0.1 }, { 0, 0.1, 3 } }
  m:minimize((A % X):trace() - peri.logdet(X) + 0.01 * (X - X:t()):dot(X - X:t()))
  local sol = m:solve "lbfgs"
  return answer(sol, sol[X]:trace())
end

function P.undecided() -- what is not solved says so, with its message and report
  local m = peri.model "infeasible"
  local x = m:var("x", 2, { start = 1 })
  m:minimize(x:dot(x))
  m:subject_to("low", x:sum() <= -1)
  m:subject_to("high", x:sum() >= 1)
  local sol = m:solve()
  return (sol.status == "infeasible" and 7 or 0) + (#tostring(sol) > 0 and 1 or 0)
end

function P.implicit() -- a root, and the solution of a lower problem, in the objective of another
  local m = peri.model "implicit"
  local x = m:var("x", 2, { start = 0.5 })
  local y = peri.implicit { residual = function(u) return peri.stack { u[1]^3 + u[1] - x[1], u[2] - 0.5 * peri.sin(u[2]) - x[2] * u[1] } end, start = { 0, 0 } }
  local low = m:lower "low"
  local w = low:var("w", 2, { lower = 0 })
  low:minimize((w - x):dot(w - x) + w[1] * y[2])
  low:subject_to("link", (w[1] + w[2]):le(0.8))
  local s = low:argmin { solver = "ipm" }
  m:minimize(quadratic(s) + (y[1] - 0.2)^2)
  local sol = m:solve("lbfgs", { tolerance = 1e-9 })
  return answer(sol, sol[x], sol[w], sol:value(y))
end

function P.instances() -- a batch of least squares in the objective of another problem
  local m = peri.model "instances"
  local x = m:var("x", 2, { start = 0.5 })
  local w = peri.implicit { batch = { "one", "two" }, arguments = { x }, start = { 0, 0 },
    least_squares = function(u, own) return peri.stack { u[1] - own, peri.sin(u[2]) - own * u[1], 0.1 * u } end }
  m:minimize(quadratic(x) + (w^2):sum())
  local sol = m:solve("lbfgs", { tolerance = 1e-9 })
  return answer(sol, sol[x], sol:value(w))
end

return P
