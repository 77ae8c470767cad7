-- SPDX-License-Identifier: Apache-2.0
-- The same function written in other ways: values, gradients and curvature agree to rounding whatever the order of terms, whether they come from a
-- loop, from peri.map or from vectors, and however the variables are scaled, permuted and cut into pieces.
local t = require "tap"
local peri = require "perigee"

local N = 60
math.randomseed(4711, 17)
local a, b, at, dir = {}, {}, {}, {}
for i = 1, N do
  a[i], b[i] = 0.5 + math.random(), math.random() - 0.5
  at[i], dir[i] = 0.3 + 0.9 * math.random(), math.random() - 0.5
end

-- term i of u = x[i] and v = x[i + 1]
local function term(u, v, p, q)
  return p * (v - u^2)^2 + (q - u):exp() * v + (u * v):sin() / (1 + u^2) + (p + v):log() * q
end

local function order(seed)
  math.randomseed(seed, 3)
  local list = {}
  for i = 1, N - 1 do list[i] = i end
  for i = N - 1, 2, -1 do
    local j = math.random(i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end

-- each writes the function of a variable x of model m
local ways = {
  loop = function(_, x)
    local f = 0
    for i = 1, N - 1 do f = f + term(x[i], x[i + 1], a[i], b[i]) end
    return f
  end,
  backwards = function(_, x)
    local f = 0
    for i = N - 1, 1, -1 do f = term(x[i], x[i + 1], a[i], b[i]) + f end
    return f
  end,
  shuffled = function(_, x)
    local f = 0
    for _, i in ipairs(order(99)) do f = f + term(x[i], x[i + 1], a[i], b[i]) end
    return f
  end,
  ["pair by pair"] = function(_, x)
    local list = {}
    for k, i in ipairs(order(5)) do list[k] = term(x[i], x[i + 1], a[i], b[i]) end
    while #list > 1 do
      local next = {}
      for k = 1, #list, 2 do next[#next + 1] = list[k + 1] and list[k] + list[k + 1] or list[k] end
      list = next
    end
    return list[1]
  end,
  stacked = function(_, x)
    local list = {}
    for k, i in ipairs(order(6)) do list[k] = term(x[i], x[i + 1], a[i], b[i]) end
    return peri.stack(table.unpack(list)):sum()
  end,
  vectors = function(_, x)
    local p, q = peri.array(a):slice(1, N - 1), peri.array(b):slice(1, N - 1)
    return term(x:slice(1, N - 1), x:slice(2, N), p, q):sum()
  end,
  map = function(_, x)
    local p, q = peri.array(a), peri.array(b)
    return peri.map(N - 1, function(i) return term(x[i], x[i + 1], p[i], q[i]) end):sum()
  end,
  ["kinds of terms apart"] = function(_, x)
    local f, g, h = 0, 0, 0
    for i = 1, N - 1 do
      local u, v = x[i], x[i + 1]
      f = f + (v - u * u) * a[i] * (v - u^2)
      g = g + v * peri.exp(-u + b[i])
      h = h + peri.sin(v * u) * (u^2 + 1)^-1 + b[i] * peri.log(v + a[i])
    end
    return h + (g + f)
  end,
  parameters = function(m, x)
    local p, q = m:param("p", a), m:param("q", b)
    return term(x:slice(1, N - 1), x:slice(2, N), p:slice(1, N - 1), q:slice(1, N - 1)):sum()
  end,
  ["a matrix of rows"] = function(_, x)
    local f, X = 0, x:reshape(N // 4, 4)
    local function entry(k) return X[(k - 1) // 4 + 1][(k - 1) % 4 + 1] end
    for i = 1, N - 1 do f = f + term(entry(i), entry(i + 1), a[i], b[i]) end
    return f
  end,
  ["a shuffled copy"] = function(_, x)
    local from, to = {}, {} -- y[k] = x[from[k]], so x[i] = y[to[i]]
    for k, i in ipairs(order(12)) do from[k] = i end
    from[N] = N
    for k, i in ipairs(from) do to[i] = k end
    local y, f = x[from], 0
    for i = 1, N - 1 do f = f + term(y[to[i]], y[to[i + 1]], a[i], b[i]) end
    return f
  end,
  ["scaled to and fro"] = function(_, x)
    local y = x * 3 - 1
    local z, f = (y + 1) / 3, 0
    for i = 1, N - 1 do f = f + term(z[i], z[i + 1], a[i], b[i]) end
    return f
  end,
}

-- value, gradient and Hessian times a direction at one point, both by the interpreter and as compiled for many points
local function results(name)
  local m = peri.model(name)
  local x = m:var("x", N)
  local f = ways[name](m, x)
  local g = peri.grad(f, x)
  local hd = peri.grad(g:dot(peri.array(dir)), x)
  local points = {}
  for k = 1, 20 do points[k] = at end
  local all = peri.stack(f, g, hd)
  return all:value { [x] = at }, all:values { [x] = points }[13]
end

local function apart(u, v)
  local worst, top = 0, 0
  for k = 1, #u do
    if not (math.abs(u[k] - v[k]) < math.huge) then return math.huge end -- NaN too
    worst, top = math.max(worst, math.abs(u[k] - v[k])), math.max(top, math.abs(u[k]))
  end
  return worst / top
end

local want = results "vectors"
local names = {}
for name in pairs(ways) do names[#names + 1] = name end
table.sort(names)
for _, name in ipairs(names) do
  local plain, many = results(name)
  t.ok(apart(want, plain) < 1e-13, name .. ": value, gradient and curvature: " .. apart(want, plain))
  t.ok(apart(want, many) < 1e-13, name .. ": at many points: " .. apart(want, many))
end

-- as a solver sees it: the same optimum from the same start
local function solved(name)
  local m = peri.model(name)
  local x = m:var("x", N, { lower = 0.05, start = at })
  m:minimize(ways[name](m, x) + x:dot(x))
  return m:solve("ipm", { tolerance = 1e-10 })
end

local first = solved "vectors"
for _, name in ipairs { "loop", "shuffled", "map", "kinds of terms apart", "scaled to and fro" } do
  local sol = solved(name)
  t.is(sol.status, first.status, name .. ": the same status")
  t.is_close(sol.objective, first.objective, 1e-9, 0, name .. ": the same optimum")
end

-- f(x) in units of s: the gradient by y = x / s is s times as large, the curvature s^2 times
do
  local m = peri.model "units"
  local x, y = m:var("x", N), m:var("y", N)
  local s = 8
  local f, g = ways.loop(m, x), ways.loop(m, y * s)
  local scaled = {}
  for i = 1, N do scaled[i] = at[i] / s end
  t.is_close(g:value { [y] = scaled }, f:value { [x] = at }, 1e-14, 0, "other units: the value")
  local df, dg = peri.grad(f, x):value { [x] = at }, peri.grad(g, y):value { [y] = scaled }
  local worst = 0
  for i = 1, N do worst = math.max(worst, math.abs(dg[i] - s * df[i]) / (1 + math.abs(dg[i]))) end
  t.ok(worst < 1e-13, "other units: the gradient")
end

t.done()
