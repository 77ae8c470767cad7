-- SPDX-License-Identifier: Apache-2.0
-- Samples of a level's sum as methods see them: random and chosen rows, each row by itself, products with second derivatives, what cannot be told apart.

local t = require "tap"
local peri = require "perigee"

local N = 9

--- Calls `look` with the view of the lower level in a run, and the start.
local function with_view(look, loss, level)
  local probe = peri.plugin {
    name = "probe", summary = "looks at a level", page = "looks at a level", needs = { "levels" },
    init = function(self, run) self.view, self.x = run:level(level or 1), run:start() end,
    step = function(self, run)
      look(self.view, self.x, run)
      run:accept { x = self.x, objective = run:f(self.x) }
      return "stalled"
    end,
  }
  local up = peri.model "fit"
  local x = up:var("x", 2, { start = { 0.3, -0.4 } })
  local low = up:lower "low"
  local y = low:var("y", 2, { start = { 1, 2 } })
  local rows, target, weights = {}, {}, {}
  for i = 1, N do rows[i], target[i], weights[i] = { math.sin(i), math.cos(2 * i) }, i % 4 - 1.5, 1 / (N + i) end
  local w = up:param("w", weights)
  up:minimize(((x - y)^2):sum())
  low:minimize((loss or function(r, weight) return (weight * r:softplus()):sum() end)(peri.array(rows) % (y - x) - peri.array(target), w, y, low) + 0.1 * (y^2):sum())
  low:sampled(w)
  up:solve(probe, { lower_starts = 1 })
  return up
end

with_view(function(view, x)
  t.is(view:sample_rows(), N, "rows by the weights")
  local all, grad = view:fg(x)
  view:sample(5, 4)
  local f, g = view:fg(x)
  view:sample(6, 4)
  local other = view:fg(x)
  view:sample(5, 4)
  local again, same = view:fg(x)
  t.ok(f == again and g[1] == same[1] and g[4] == same[4], "a key's sample is the same again, bit for bit")
  t.ok(other ~= f, "another key's is another")
  view:sample(0, 0)
  local whole, slope = view:fg(x)
  t.ok(whole == all and slope[3] == grad[3], "all rows again")

  local sum = 0
  for i = 1, N do
    view:sample_set { i }
    sum = sum + (view:fg(x) - 0.5) / N
  end
  t.is_close(sum + 0.5, all, 1e-13, 0, "samples of one row are right on average")

  view:sample_set { 2, 7, 7 }
  f, g = view:fg(x)
  local terms, gradients = view:terms(x)
  t.is(terms:rows(), 3, "a term for each row")
  t.is_close(terms[1] + terms[2] + terms[3] + 0.5, f, 1e-13, 0, "with the rest they are the sample")
  t.ok(terms[2] == terms[3], "a row that is there twice")
  local worst = 0
  for j = 1, 4 do
    local rest = j > 2 and 0.2 * x[j] or 0
    worst = math.max(worst, math.abs(gradients[1][j] + gradients[2][j] + gradients[3][j] + rest - g[j]))
  end
  t.ok(worst < 1e-13, ("and their gradients: %.1e"):format(worst))

  local v, h = { 0.3, -1, 0.5, 2 }, 1e-6
  local Hv = view:hv(x, 1, nil, v)
  local there, here = {}, {}
  for j = 1, 4 do there[j], here[j] = x[j] + h * v[j], x[j] - h * v[j] end
  local above, below = view:gradient(there), view:gradient(here)
  worst = 0
  for j = 1, 4 do worst = math.max(worst, math.abs((above[j] - below[j]) / (2 * h) - Hv[j])) end
  t.ok(worst < 1e-8, ("second derivatives are the sample's too: %.1e"):format(worst))
  t.is(view:fg(x), f, "and its value stays what it was")
end)

local function refused(what, look, part, ...)
  local more = { ... }
  t.raises(function() with_view(look, table.unpack(more)) end, part, what)
end
refused("a row that is not there", function(view) view:sample_set { 1, N + 1 } end, "row 10 is outside 1 .. 9")
refused("a row of number zero", function(view) view:sample_set { 0 } end, "row 0 is outside 1 .. 9")
refused("a row that is no number", function(view) view:sample_set { "two" } end, "sample_set: a row")
refused("terms before there is a sample", function(view, x) view:terms(x) end, "before there is one")
refused("a level without weights", function(view) view:sample(1, 2) end, "has no weights to sample by", nil, 0)
refused("weights that are not in the objective", function(view) view:sample(1, 2) end, "does not have the weights in it",
  function(r) return (r^2):sum() end)
refused("rows below zero", function(view) view:sample(1, -2) end, "a sample of -2 rows")

do -- a derivative of a weighted sum is one too, scattered to the variables' places
  local worst, rows
  with_view(function(view, x)
    local all, sum = view:fg(x), 0
    for i = 1, N do
      view:sample_set { i }
      sum = sum + view:fg(x) / N
    end
    rows = view:terms(x):rows()
    worst = math.abs(sum / all - 1)
  end, function(_, weight, y)
    return peri.grad(peri.map(N, function(i) return weight[i] * (y[1] * i - 1)^3 end):sum(), y):sum()
  end)
  t.ok(worst < 1e-13, ("samples of a derivative are right on average: %.1e"):format(worst))
  t.is(rows, 1, "and have terms")
end

do -- and below something that is applied to its entries, places in equal steps
  local worst
  with_view(function(view, x)
    local all, sum = view:fg(x), 0
    for i = 1, N do
      view:sample_set { i }
      sum = sum + view:fg(x) / N
    end
    worst = math.abs(sum / all - 1)
  end, function(_, weight, y, low)
    local z = low:var("z", N + 1, { start = peri.linspace(0.1, 1, N + 1) })
    local slope = peri.grad(peri.sum((z:slice(2, N + 1) - z:slice(1, N))^4), z)
    return peri.sum(weight * (slope:slice(1, N) + y[1])^2)
  end)
  t.ok(worst < 1e-13, ("samples of squares of a derivative are right on average: %.1e"):format(worst))
end

do -- in a loop the first terms may have forms of their own, here y for 1 y: they are rows like the others
  local many, all, sum, rows = 2500, 0, 0, 0
  local look = peri.plugin {
    name = "look", summary = "looks at a level", needs = { "levels" },
    step = function(_, run)
      local view, x = run:level(1), run:start()
      all = view:fg(x)
      for _, k in ipairs { 1, 1250, many } do
        view:sample_set { k }
        rows = rows + view:terms(x):rows()
        sum = sum + view:fg(x)
      end
      return "failed"
    end,
  }
  local up = peri.model "loop"
  local x, low = up:var("x", 1), up:lower "low"
  local y = low:var("y", 1, { start = 0.5 })
  local weights = {}
  for i = 1, many do weights[i] = (i == 1 or i == 1250 or i == many) and 1 or 0 end
  local w, loss = up:param("w", weights), 0
  for i = 1, many do loss = loss + w[i] * (y[1] * i - math.sin(i))^2 end
  up:minimize((x - y):norm2()^2)
  low:minimize(loss)
  low:sampled(w)
  up:solve(look, { lower_starts = 1 })
  t.is(rows, 3, "a term for the first row, too")
  t.is_close(sum / many, all, 1e-12, 0, "with its value")
end

do -- not linear in the weights: all rows are evaluated, with the sample's weights
  local said = {}
  with_view(function(view, x)
    view:sample_set { 3, 3, 8 }
    local f = view:fg(x)
    said.f = f
    local ok, why = pcall(view.terms, view, x)
    said.ok, said.why = ok, why
  end, function(r, weight) return (1 + (weight * r^2):sum()):log() end)
  local sum, shift = 0, { 0.7, 2.4 }
  for _, i in ipairs { 3, 3, 8 } do
    local r = math.sin(i) * shift[1] + math.cos(2 * i) * shift[2] - (i % 4 - 1.5)
    sum = sum + N / 3 / (N + i) * r^2
  end
  t.is_close(said.f, math.log(1 + sum) + 0.5, 1e-13, 0, "the logarithm of a sum")
  t.ok(not said.ok, "has no terms")
  t.has(tostring(said.why), "terms can be told apart", "which is said")
end

t.done()
