-- SPDX-License-Identifier: Apache-2.0
-- training.lua - networks trained on samples that change from step to step, for the studies of physics:  local training = dofile "bench/training.lua"
-- A model's first numbers are the samples, `start`; it has a network `net`, whose weights follow, and `u`, what is compared with solutions.

local peri = require "perigee"

local training = {}
local now -- what is trained: see training.run

--- Adam, a batch of its own in each step, which a plugin for models cannot know of; gradients no longer than 1, undefined ones zero and counted.
peri.plugin {
  name = "batches", family = "bench", version = "1", license = "Apache-2.0",
  summary = "adam on the samples of a study", page = "Each step reads new samples, the first numbers of the model.",
  reference = "Kingma and Ba 2015, algorithm 1", needs = { "gradient", "objective" }, refuses = { "constraints", "integer" }, options = {},
  init = function(state, run)
    state.x, state.k = run:start(), 0
    state.g, state.first, state.second = peri.zeros(run.n), peri.zeros(run.n), peri.zeros(run.n)
  end,
  step = function(state, run)
    local k, x, samples = state.k + 1, state.x, now.samples(state.k + 1)
    state.k = k
    for i, v in ipairs(samples) do x[i] = v end
    local f, g = run:fg(x, state.g)
    if f then
      for i = 1, #samples do g[i] = 0 end
      g = g * math.min(1, 1 / math.max(1e-300, g:norm2()))
      state.first, state.second = 0.9 * state.first + 0.1 * g, 0.999 * state.second + 0.001 * g^2
      state.x = x - now.rate(k) * (state.first / (1 - 0.9^k) / (peri.sqrt(state.second / (1 - 0.999^k)) + 1e-8))
      now.loss = f
    else
      now.undefined = now.undefined + 1
    end
    if now.marks[k] then now.points[k] = 1 * state.x end
    run:accept { x = state.x, objective = now.loss }
  end,
}

--- All of a model's numbers at the start.
local function first_point(model)
  local parts = { model.start:value() }
  for _, w in ipairs(model.net.weights) do
    local v = w:value()
    parts[#parts + 1] = v:reshape(v:rows() * v:cols(), 1)
  end
  return peri.stack(parts)
end

--- Values of the model's variables for all its numbers x and other samples.
local function values(model, x, samples)
  local at, from = { [model.start] = samples }, #samples
  for _, w in ipairs(model.net.weights) do
    local size, rows = w:rows() * w:cols(), {}
    for i = 1, size do rows[i] = from + i end
    at[w] = x[rows]:reshape(w:rows(), w:cols())
    from = from + size
  end
  return at
end

--- Mean over tests of |u - solution| / |solution|. tests: of each a list of numbers and a solution; so many at once as the model has samples. Where an
-- expert finds no weights the error is 1, and says which one.
function training.error(model, x, tests)
  local sum, size, count = 0, tests[1][2]:rows(), model.samples
  for first = 1, #tests, count do
    local samples, from = {}, 0
    for k = first, first + count - 1 do table.move(tests[k][1], 1, #tests[k][1], #samples + 1, samples) end
    local found, u = pcall(model.u.value, model.u, values(model, x, samples))
    if not found then print(u) end
    for k = first, first + count - 1 do
      local rows = {}
      for i = 1, size do rows[i] = from + i end
      from = from + size
      sum = sum + (found and (u[rows] - tests[k][2]):norm2() / tests[k][2]:norm2() or 1)
    end
  end
  return sum / #tests
end

--- Trains model.m for o.steps. o.samples(k): numbers of step k; o.rate(k); o.marks: steps after which errors on o.tests are wanted.
-- Returns the errors by step, 0 among them; seconds of processor time a step; gradients that were undefined.
function training.run(model, o)
  now = { samples = o.samples, rate = o.rate, marks = {}, points = { [0] = first_point(model) }, undefined = 0, loss = math.huge }
  for _, k in ipairs(o.marks) do now.marks[k] = true end
  local began = os.clock()
  if o.steps > 0 then model.m:solve("batches", { iterations = o.steps, tolerance = 0 }) end
  local seconds, errors = (os.clock() - began) / math.max(1, o.steps), {}
  for k, x in pairs(now.points) do errors[k] = training.error(model, x, o.tests) end
  return errors, seconds, now.undefined
end

--- "mean (least to greatest)" of a list
function training.range(list)
  local sum = 0
  for _, v in ipairs(list) do sum = sum + v end
  if #list == 1 then return ("%.4f"):format(list[1]) end
  return ("%.4f (%.4f to %.4f)"):format(sum / #list, math.min(table.unpack(list)), math.max(table.unpack(list)))
end

--- Trains what make(seed) makes for all seeds; mean and range of the errors by step.
function training.seeds(seeds, make, o)
  local all, seconds, undefined = {}, 0, 0
  for seed = 1, seeds do
    local errors, time, count = training.run(make(seed), o(seed))
    for k, v in pairs(errors) do
      all[k] = all[k] or {}
      table.insert(all[k], v)
    end
    seconds, undefined = seconds + time / seeds, undefined + count
  end
  return all, seconds, undefined
end

return training
