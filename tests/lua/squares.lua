-- SPDX-License-Identifier: Apache-2.0
-- levenberg-marquardt: closed forms of linear fits, both linear algebras against each other and against ipm, what counts as a sum of
-- squares, and NIST's certified regression problems.

local t = require "tap"
local peri = require "perigee"

local tight = { tolerance = 1e-10 }

local function option(name, value)
  return { tolerance = 1e-10, [name] = value }
end

-- ---- closed forms -------------------------------------------------------------------------------------------------

do
  local x, y = peri.linspace(0, 1, 11), peri.random.normal { n = 11, seed = 3 }
  local function fit(weight)
    local m = peri.model "line"
    local a, b = m:var "a", m:var "b"
    m:minimize((weight * (a + b * x - y)^2):sum())
    local sol = m:solve("levenberg-marquardt", tight)
    return sol[a], sol[b], sol
  end
  local n, sx, sy, sxx, sxy = 11, 0, 0, 0, 0
  for i = 1, n do sx, sy, sxx, sxy = sx + x[i], sy + y[i], sxx + x[i]^2, sxy + x[i] * y[i] end
  local slope = (n * sxy - sx * sy) / (n * sxx - sx^2)
  local a, b, sol = fit(1)
  t.is_close(b, slope, 1e-8, 0, "a line: the slope of the normal equations")
  t.is_close(a, (sy - slope * sx) / n, 1e-8, 0, "and the intercept")
  t.is(sol.status, "optimal", "a convex problem's solution is optimal")
  local a3, b3 = fit(3)
  t.is_close(b3, b, 1e-8, 0, "a weight for all changes nothing")
  t.is_close(a3, a, 1e-8, 0, "nor the intercept")
end

-- ---- what is recognised ----------------------------------------------------------------------------------------------

local function value_of(write)
  local m = peri.model "m"
  local x = m:var("x", 2, { start = { -1.2, 1 } })
  m:minimize(write(x, m))
  local sol = m:solve("levenberg-marquardt", tight)
  return sol.objective, sol[x]
end

local function rosenbrock(x) return peri.array { 1, 0 } - x[1] * peri.array { 1, 0 } + 10 * (x[2] - x[1]^2) * peri.array { 0, 1 } end

local forms = {
  { "two squares", 0, function(x) return (1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2 end },
  { "the sum of a squared vector", 0, function(x) return (rosenbrock(x)^2):sum() end },
  { "dot", 0, function(x) return rosenbrock(x):dot(rosenbrock(x)) end },
  { "the square of a norm", 0, function(x) return peri.norm2(rosenbrock(x))^2 end },
  { "a constant beside it", 7, function(x) return 7 + (rosenbrock(x)^2):sum() end },
  { "a constant subtracted, halves", -2, function(x) return 0.5 * (rosenbrock(x)^2):sum() / 4 - 2 end },
  { "a parameter as weight", 0, function(x, m)
    return (m:param("w", { 2, 3 }) * rosenbrock(x)^2):sum()
  end },
  { "fourth powers", 0, function(x) return (1 - x[1])^4 + (x[2] - x[1]^2)^2 end },
  { "a loop", 0, function(x)
    local sum = 0
    for k = 1, 5 do sum = sum + k * (k - k * x[1])^2 + (x[2] - x[1]^2)^2 / k end
    return sum
  end },
  { "a mapped sum", 0, function(x)
    return peri.map(5, function(k) return k * (1 - x[1])^2 end):sum() + (x[2] - x[1]^2)^2
  end },
}
for _, form in ipairs(forms) do
  local f, x = value_of(form[3])
  t.is_close(f, form[2], 1e-12, 1e-12, form[1] .. ": objective")
  t.is_close(x[2], 1, 0, form[1] == "fourth powers" and 1e-2 or 1e-6, form[1] .. ": point")
end

for name, write in pairs {
  ["a difference of squares"] = function(x) return (x[1] - 1)^2 - 0.1 * (x[2] - 1)^2 end,
  ["an exponential"] = function(x) return peri.exp(x[1]) + x[2]^2 end,
  ["a linear function"] = function(x) return x[1] + x[2]^2 end,
} do
  t.raises(function() value_of(write) end, "levenberg-marquardt", name .. " is refused")
end

-- ---- both ways through the linear algebra -----------------------------------------------------------------------------

do
  local function chain(bounded)
    local m = peri.model "chain"
    local x = m:var("x", 40, { start = 0.3, lower = bounded and -0.5 or nil, upper = bounded and 0.8 or nil })
    m:minimize(peri.map(39, function(i) return (1 - x[i])^2 + 100 * (x[i + 1] - x[i]^2)^2 + (peri.sin(3 * x[i]) - 0.2)^2 end):sum())
    return m, x
  end
  for _, bounded in ipairs { false, true } do
    local name = bounded and "bounds: " or "no bounds: "
    local m, x = chain(bounded)
    local qr = m:solve("levenberg-marquardt", option("linear", "dense_qr"))
    t.ok(qr.certificate.kkt < 1e-8, name .. "dense QR: certified")
    for _, linear in ipairs { "normal", "sparse_qr" } do
      local sol = m:solve("levenberg-marquardt", option("linear", linear))
      t.all_close(sol[x]:totable(), qr[x]:totable(), 1e-7, 1e-9, name .. linear .. " ends at the same point")
      t.ok(sol.certificate.kkt < 1e-8, name .. linear .. ": certified")
    end
    local other = m:solve("ipm", { tolerance = 1e-9 })
    t.is_close(qr.objective, other.objective, 1e-7, 0, name .. "the optimum that ipm finds")
  end
end

do -- a variable that no residual sees, one that is fixed, more variables than residuals
  local m = peri.model "loose"
  local x = m:var("x", 4, { start = 2, lower = { -9, -9, 1, -9 }, upper = { 9, 9, 1, 9 } })
  m:minimize((x[1] * x[3] - 3)^2 + (x[1] + x[2] - 4)^2)
  local sol = m:solve("levenberg-marquardt", tight)
  t.is_close(sol.objective, 0, 0, 1e-18, "more variables than residuals")
  t.all_close(sol[x]:totable(), { 3, 1, 1, 2 }, 1e-8, 1e-8, "fixed and unseen ones stay")
end

do -- undefined on the way: the step is shortened
  local m = peri.model "logarithm"
  local x = m:var("x", { start = 5 })
  m:minimize((peri.log(x) + 3)^2)
  t.is_close(m:solve("levenberg-marquardt", tight)[x], math.exp(-3), 1e-8, 0, "steps into the undefined are shortened")
end

-- ---- NIST -----------------------------------------------------------------------------------------------------------------

local text = [[
Dataset Name:  Small            (Small.dat)
Model:         Exponential Class
               2 Parameters (b1 and b2)

               y = b1*exp[-b2*x**2]
                   + 0  +  e

          Starting values                  Certified Values
        Start 1     Start 2           Parameter     Standard Deviation
  b1 =   1           1.9          2.0000000000E+00  0.0E+00
  b2 =   0.1         0.45         5.0000000000E-01  0.0E+00

Residual Sum of Squares:                    0.0E+00

Data:   y          x
]]
for k = 0, 6 do text = text .. ("  %.17g  %.17g\n"):format(2 * math.exp(-0.5 * (k / 4)^2), k / 4) end

local function read(changed)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(changed)
  file:close()
  local ok, result = pcall(peri.data.nist, path)
  os.remove(path)
  if not ok then error(result, 0) end
  return result
end

do
  local data = read(text)
  t.is(#data.y, 7, "the reader: observations")
  t.is(data.formula, "y = b1*exp[-b2*x**2] + 0 ", "the reader: formula")
  for start = 1, 2 do
    local m, b = data.model(start)
    local sol = m:solve("levenberg-marquardt", tight)
    t.is_close(sol[b[2]], 0.5, 1e-8, 0, ("the reader: fit from start %d"):format(start))
  end
  t.all_close(data.predict { 2, 0.5 }:value():totable(), data.y:totable(), 1e-15, 0, "predict with numbers")
  t.raises(function() data.model(3) end, "the start must be 1, 2 or a list of 2 numbers", "a start that is not there")
  local faults = {
    { "b2%*x", "os*x", "unknown name os", "a name that is not in the table" },
    { "exp%[", "exp{", "cannot be read", "a formula that is no formula" },
    { "1.9 ", "abc ", "expected start 1, start 2", "a parameter that is no number" },
    { "Data:", "Date:", "ends without its table of data", "no data" },
    { "Residual Sum", "Residual", "ends without its residual sum of squares", "no sum of squares" },
    { "\n$", " 3\n", "expected 2 numbers", "a row too long" },
  }
  for _, f in ipairs(faults) do
    t.raises(function() read((text:gsub(f[1], f[2]))) end, f[3], "refused: " .. f[4])
  end
  t.raises(function() peri.data.nist "/nowhere.dat" end, "cannot open /nowhere.dat", "no file")
end

local folder = (os.getenv "PERIGEE_SOURCE" or ".") .. "/../shared/data/nist-strd/"
local list = io.open(folder .. "optima.tsv")
if not list then
  t.skip(1, "no ../shared/data/nist-strd")
else
  local first, count = 0, 0
  for line in list:lines() do
    local name = line:match "^(%S+)\t"
    if name ~= "instance" then
      local data = peri.data.nist(folder .. name .. ".dat")
      for start = 1, 2 do
        local m, b = data.model(start)
        local sol = m:solve("levenberg-marquardt", { iterations = 1000 })
        local digits = math.huge
        for k = 1, #b do
          digits = math.min(digits, -math.log(math.abs(sol[b[k]] / data.certified[k] - 1) + 1e-16, 10))
        end
        if start == 2 then
          t.ok(digits >= 6, ("%s from the second start: %.1f digits"):format(name, digits))
        else
          count, first = count + 1, first + (digits >= 6 and 1 or 0)
          t.diag("%s from the first start: %.1f digits, %d iterations", name, digits, sol.iterations)
        end
      end
    end
  end
  list:close()
  t.ok(first >= 0.9 * count, ("from the first start %d of %d to 6 digits"):format(first, count))
end

t.done()
