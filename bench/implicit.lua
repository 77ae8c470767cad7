-- SPDX-License-Identifier: Apache-2.0
-- implicit.lua - implicit differentiation at sizes that the tests leave out, beside the numbers of a prototype (NumPy, SciPy):
--   build/perigee run --quiet bench/implicit.lua
-- Dataset distillation in miniature; the memory and time of a hypergradient as its number of hyperparameters grows.
-- Blondel et al. 2022, NeurIPS 35.

local peri = require "perigee"

local function normal(rows, cols, seed) return peri.random.normal{ rows = rows, cols = cols, seed = seed } end

-- ---- distillation: ten points, one a class, such that logistic regression on them alone classifies the real data ----------------------------------

local classes, features, train, test, l2 = 10, 64, 2000, 1000, 0.1

local function gaussian_classes()
  local centre = normal(classes, features, 1)
  centre = centre * (2.5 / peri.norm2(centre, 2))
  local function sample(n, seed)
    local which, labels = {}, {}
    for i = 1, n do
      which[i] = (i - 1) % classes + 1
      labels[i] = {}
      for c = 1, classes do labels[i][c] = c == which[i] and 1 or 0 end
    end
    return centre[which] + normal(n, features, seed), peri.array(labels), which
  end
  return { sample(train, 2) }, { sample(test, 3) }
end

local function cross_entropy(X, Y, W)
  local logits = X % W
  return (peri.logsumexp(logits, 2):sum() - (Y * logits):sum()) / Y:rows()
end

local function accuracy(data, W)
  local logits, right = data[1] % W, 0
  for i = 1, #data[3] do
    local best = 1
    for c = 2, classes do
      if logits[i][c] > logits[i][best] then best = c end
    end
    if best == data[3][i] then right = right + 1 end
  end
  return right / #data[3]
end

local learned, held = gaussian_classes()

local function distil()
  local up = peri.model "distillation"
  local start = 0.1 * normal(classes, features, 4)
  local P = up:var("images", { classes, features }, { start = start })
  local low = up:lower "training"
  local W = low:var("W", { features, classes })
  low:minimize(cross_entropy(P, peri.eye(classes), W) + 0.5 * l2 * (W^2):sum())
  local star = low:argmin{ solver = "lbfgs", linear_solver = "cg" }
  local loss = cross_entropy(learned[1], learned[2], star)
  local gradient = peri.grad(loss, P)
  local began = os.clock()
  local x, speed = start, peri.zeros(classes, features)
  local first = loss:value{ [P] = x }
  for _ = 1, 300 do
    speed = 0.9 * speed - gradient:value{ [P] = x }
    x = x + speed
  end
  local seconds = os.clock() - began
  local last = loss:value{ [P] = x }
  local direction, h = normal(classes, features, 5), 1e-5
  local along = peri.sum(gradient:value{ [P] = start } * direction) -- where the gradient is not yet small
  local d = (loss:value{ [P] = start + h * direction } - loss:value{ [P] = start - h * direction }) / (2 * h)
  return first, last, accuracy(held, star:value{ [P] = x }), math.abs(along - d) / math.abs(d), seconds
end

local function all_data()
  local m = peri.model "all"
  local W = m:var("W", { features, classes })
  m:minimize(cross_entropy(learned[1], learned[2], W) + 0.5 * l2 / 10 * (W^2):sum())
  return accuracy(held, m:solve("lbfgs")[W])
end

local first, last, right, check, seconds = distil()
print(("distillation   outer loss %.2f -> %.2f (2.30 -> 1.03)   test accuracy %.3f (0.78 .. 0.79, at least 0.75)   all data %.3f (0.74 .. 0.76)"):format(
  first, last, right, all_data()))
print(("               directional check %.1e (8e-10, at most 1e-6)   %.1f s of processor time (2 .. 4 s)"):format(check, seconds))

-- ---- one weight a feature: the hypergradient costs one system, whatever their number ----------------------------------------------------------------

print "weights   seconds of a solution   of its hypergradient besides"
for _, n in ipairs{ 50, 200, 800 } do
  local X, y = normal(2 * n, n, 6), normal(2 * n, 1, 7)
  local Xv, yv = normal(n, n, 8), normal(n, 1, 9)
  local up = peri.model "weights"
  local lambda = up:var("lambda", n)
  local low = up:lower "fit"
  local w = low:var("w", n)
  low:minimize(0.5 * ((X % w - y)^2):sum() + 0.5 * (peri.exp(lambda) * w^2):sum())
  local star = low:argmin{ solver = "lbfgs", linear_solver = "cg" }
  local loss = 0.5 * ((Xv % star - yv)^2):sum()
  local gradient = peri.grad(loss, lambda)
  local began = os.clock()
  loss:value()
  local solved = os.clock()
  gradient:value()
  print(("%7d   %.3f                   %.3f"):format(n, solved - began, os.clock() - solved))
end
