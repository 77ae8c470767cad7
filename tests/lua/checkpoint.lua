-- SPDX-License-Identifier: Apache-2.0
-- Checkpoints: for each method that can, a run cut at several iterations and resumed has bit for bit the history, point and multipliers of one that was
-- not cut; files that are cut, damaged or of something else are refused in a line; a disk that is full costs nothing but the checkpoint.
local peri = require "perigee"
local t = require "tap"

local function rosenbrock(n, bounded)
  local m = peri.model "rosenbrock"
  local x = m:var("x", n, { start = -1.2, upper = bounded and 0.8 or math.huge })
  local f = 0
  for i = 1, n - 1 do f = f + 100 * (x[i + 1] - x[i]^2)^2 + (1 - x[i])^2 end
  m:minimize(f)
  return m, x
end
local function lasso()
  local m = peri.model "lasso"
  local x = m:var("x", 12)
  local f = 0
  for i = 1, 20 do
    local r = (i % 7) - 3.1
    for j = 1, 12 do r = r + ((i * j * 5) % 11 - 5) / 4 * x[j] end
    f = f + r^2
  end
  m:minimize(0.5 * f + 3 * x:norm1())
  return m, x
end
local function fit()
  local m = peri.model "fit"
  local b = m:var("b", 3, { start = { 100, 0.1, 0.5 } })
  local f = 0
  for i = 1, 14 do f = f + (b[1] * (1 - peri.exp(-b[2] * i)) + b[3] * i - (40 * (1 - math.exp(-0.37 * i)) + 0.2 * i + (i * 7) % 3 - 1))^2 end
  m:minimize(f)
  return m, b
end
local function program()
  local m = peri.model "program"
  local x = m:var("x", 10, { lower = -3, upper = 3, start = 0.7 })
  m:minimize(peri.exp(x[1] * 0.3) + x:dot(x) - peri.sin(2 * x[2]) * x[3])
  m:subject_to("sum", (x:sum()):eq(4))
  m:subject_to("ring", x[1]^2 + x[2]^2 >= 3)
  for i = 1, 8 do m:subject_to("step" .. i, x[i + 1] * x[i] - 0.5 * x[i + 2] <= 1) end
  return m, x
end
local function restoring() -- comes into the restoration phase
  local m = peri.model "restoring"
  local x = m:var("x", 2, { start = { 3, -3 }, lower = -4 })
  m:minimize(x[1])
  m:subject_to("circle", (x[1]^2 + x[2]^2):eq(1))
  m:subject_to("curve", (x[1]^3 - x[2] - 2.5):eq(0))
  return m, x
end

local dag = require "perigee.dag"
local function graph(loss, d, edges) -- loss: a regression on one Gram matrix, or fits by another method
  local B = dag.random_graph { nodes = d, edges = edges, seed = 4 }
  local X = dag.simulate(dag.random_weights(B, { seed = 4 }), { samples = 200, seed = 4, model = loss })
  return function()
    local m, W = dag.model(X, { loss = loss, l1 = loss == "logistic" and 0.01 or 0 })
    return m, peri.reshape(W, d * d, 1)
  end
end

local function bits(sol, x)
  local parts = { sol.status, ("%a"):format(sol.objective), sol.iterations, sol.evaluations.objective }
  local v = sol[x]
  for k = 1, #v do parts[#parts + 1] = ("%a"):format(v[k]) end
  for _, row in ipairs(sol.history) do
    for _, key in ipairs { "iteration", "objective", "primal", "dual", "step", "barrier", "regularization", "trust_radius", "tag" } do
      local value = row[key]
      parts[#parts + 1] = type(value) == "number" and ("%a"):format(value) or tostring(value)
    end
  end
  return table.concat(parts, " ")
end

local path = os.tmpname()
local function compare(solver, build, options)
  local m, x = build()
  local function with(more)
    local o = { seed = 3 }
    for k, v in pairs(options or {}) do o[k] = v end
    for k, v in pairs(more) do o[k] = v end
    return o
  end
  local whole = m:solve(solver, with {})
  local want = bits(whole, x)
  local n = whole.iterations
  for _, cut in ipairs { 1, n // 3, n // 2, n - 1 } do
    if cut >= 1 and cut < n then
      local part = m:solve(solver, with { iterations = cut, checkpoint = path, checkpoint_every = 1e9 })
      t.is(part.iterations, cut, ("%s: cut after %d of %d iterations"):format(solver, cut, n))
      local other, y = build() -- as in another process: a model of its own
      t.is(bits(other:solve(solver, with { resume = path }), y), want, ("%s: resumed from %d"):format(solver, cut))
    end
  end
  -- written after every step, resumed from the last before the end
  m:solve(solver, with { checkpoint = path, checkpoint_every = 0 })
  local other, y = build()
  t.is(bits(other:solve(solver, with { resume = path }), y), want, solver .. ": resumed from the last step's checkpoint")
end

local two = function() return rosenbrock(2) end
local ten, bounded = function() return rosenbrock(10) end, function() return rosenbrock(10, true) end
compare("lbfgs", ten)
compare("lbfgs", bounded)
compare("trust-ncg", ten)
compare("trust-ncg", bounded)
compare("newton", ten)
compare("levenberg-marquardt", fit)
compare("nelder-mead", two)
compare("pattern-search", two, { iterations = 200 })
compare("projected-gradient", lasso, { tolerance = 1e-6 })
compare("fista", lasso, { tolerance = 1e-6 })
compare("topo", graph("linear", 14, 28), { starts = 3, order = "random", s_small = 20, s_large = 60, s0 = 2 })
compare("topo", graph("logistic", 7, 14), { order = "random", accept_rule = "first", starts = 2, inner = "lbfgs" })
compare("ipm", program)
compare("ipm", program, { kkt = "augmented" })
compare("ipm", restoring)

-- a limit that a step meets inside: the state before that step is the file
do
  local function valley(wait_at)
    local calls, model = 0, peri.model "valley"
    local x = model:var("x", 2, { start = { -1.2, 1 } })
    model:minimize(peri.blackbox(function(v)
      calls = calls + 1
      local began = os.clock()
      while calls == wait_at and os.clock() - began < 1.1 do end -- longer than the limit below
      return 100 * (v[2] - v[1]^2)^2 + (1 - v[1])^2
    end, x))
    return model, x, function() return calls end
  end
  for _, solver in ipairs { "pattern-search", "nelder-mead" } do
    local whole, x, all = valley()
    local want = bits(whole:solve(solver, { iterations = 60 }), x)
    local cut = valley(90)
    os.remove(path)
    t.is(cut:solve(solver, { iterations = 60, time_limit = 1, checkpoint = path }).status, "time_limit", solver .. ": a time limit")
    local rest, y, again = valley()
    t.is(bits(rest:solve(solver, { iterations = 60, resume = path }), y), want, solver .. ": goes on as if there had been none")
    t.ok(again() < all(), ("%s: from where it was: %d of %d evaluations"):format(solver, again(), all()))
  end
end

-- wrong files
local m = rosenbrock(10)
m:solve("lbfgs", { iterations = 5, checkpoint = path })
local f = assert(io.open(path, "rb"))
local good = f:read "a"
f:close()
local function refused(text, message, name, model, solver)
  local g = assert(io.open(path, "wb"))
  g:write(text)
  g:close()
  t.raises(function() (model or m):solve(solver or "lbfgs", { resume = path }) end, message, name)
end
refused("", "not a checkpoint", "an empty file")
refused("PERIGEE", "not a checkpoint", "another file")
for _, n in ipairs { 10, 23, 24, 100, #good // 2, #good - 1 } do
  refused(good:sub(1, n), n < 24 and "not a checkpoint" or "is cut", ("cut after %d of %d bytes"):format(n, #good))
end
for _, at in ipairs { 20, 30, 200, #good // 2, #good } do
  refused(good:sub(1, at - 1) .. string.char(good:byte(at) ~ 16) .. good:sub(at + 1), "checksum is wrong", "a bit is wrong at " .. at)
end
refused(good .. "x", "checksum is wrong", "a byte too many")
refused(good, "of another model", "another size", (rosenbrock(11)))
refused(good, "of another model", "other bounds", (rosenbrock(10, true)))
do
  local other = peri.model "other"
  local x = other:var("x", 10, { start = -1.2 })
  local e = 0
  for i = 1, 9 do e = e + 100 * (x[i + 1] - x[i]^2)^2 + (1 - 1.0001 * x[i])^2 end
  other:minimize(e)
  refused(good, "of another model", "another constant in the objective", other)
end
refused(good, "made by lbfgs", "another solver", nil, "newton")
t.raises(function() m:solve("lbfgs", { resume = "/nowhere/c" }) end, "/nowhere/c: opening failed", "no such file")
t.raises(function() program():solve("augmented-lagrangian > lbfgs", { checkpoint = path }) end, "cannot save its state", "a method that cannot")

-- a disk that is full: the solve goes on, the file of before stays
local probe = io.open("/dev/full", "w")
if probe then
  probe:close()
  t.ok(m:solve("lbfgs", { checkpoint = "/dev/full", checkpoint_every = 0 }).status ~= "error", "a full disk costs the checkpoint only")
else
  t.skip(1, "no /dev/full")
end
t.ok(m:solve("lbfgs", { checkpoint = "/nowhere/c", checkpoint_every = 0 }).iterations > 5, "nor does a folder that is not there end the solve")
os.remove(path)
t.done()
