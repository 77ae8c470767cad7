-- SPDX-License-Identifier: Apache-2.0
-- What bench/run measures, from inside `perigee run main.lua MODE JSON FAMILY...`: it builds each family's instances, hands them to the
-- stopwatch plugin, prints one table and writes the same numbers as JSON. Exit status 1 where a value or a derivative is wrong.

local peri = require "perigee"
local report = dofile "bench/report.lua"

local mode, json_path = arg[1], arg[2]
local work, families = assert(os.getenv "BENCH_WORK"), assert(os.getenv "BENCH_FAMILIES")

-- Ratios to hand-written C that a family of a class must reach.
local TARGETS = {
  polynomial = { gradient = 1.2, constraints = 1.2, jacobian = 1.3, hessian = 1.3 },
  transcendental = { gradient = 0.5, constraints = 0.5, jacobian = 0.6, hessian = 0.6 },
}
local SECONDS = { full = 0.5, quick = 0.1, check = 0 } -- for each kind of evaluation
local DIRECTIONS = { full = 3, quick = 3, check = 20 }

-- ---- data for the hand-written functions ---------------------------------------------------------------------------------

local function exists(path)
  local file <close> = io.open(path)
  return file ~= nil
end

local function numbers(value)
  if type(value) == "number" then return { value } end
  return type(value) == "table" and value or value:totable()
end

--- The arrays of `data` as compare.c reads them: a count, then each one's length and entries.
local function write_data(path, data)
  local file <close> = assert(io.open(path, "wb"))
  file:write(string.pack("<i8", #data))
  for _, value in ipairs(data) do
    local list = numbers(value)
    file:write(string.pack("<i8", #list))
    for first = 1, #list, 128 do
      local last = math.min(first + 127, #list)
      file:write(string.pack("<" .. ("d"):rep(last - first + 1), table.unpack(list, first, last)))
    end
  end
end

-- ---- one instance -----------------------------------------------------------------------------------------------------------

local function target_of(family, instance, kind)
  local targets = instance.targets or family.targets or TARGETS[instance.class or family.class]
  return targets and targets[kind]
end

--- Bytes the engine holds once everything that can be thrown away was.
local function memory()
  collectgarbage()
  collectgarbage()
  peri.debug.forget()
  return (peri.debug.memory())
end

--- Functions that the family wrote for this instance alone: compiled like those in files.
local function compile(name, source)
  local stem = ("%s/%s-generated"):format(work, name)
  local file <close> = assert(io.open(stem .. ".c", "w"))
  file:write(source)
  file:flush()
  for _, line in ipairs {
    ("%s -shared %s.c -o %s.so -lm"):format(os.getenv "BENCH_COMPILE", stem, stem),
    ("%s -shared %s.c bench/along.c -o %s-complex.so -lm"):format(os.getenv "BENCH_COMPILE_COMPLEX", stem, stem),
  } do assert(os.execute(line), "a generated file does not compile") end
  return stem
end

local function options_of(name, instance, data, source)
  local options = {
    report = work .. "/report.lua", seconds = instance.seconds or SECONDS[mode], directions = DIRECTIONS[mode],
    products = instance.products ~= false, hessian = instance.hessian ~= false, calls = instance.calls or 1,
  }
  if mode == "check" then options.seconds = 0 end
  if mode ~= "full" then options.calls = 1 end
  local stem = source and compile(name, source) or ("%s/%s"):format(work, name)
  if exists(stem .. ".so") then
    options.library, options.complex_library = stem .. ".so", stem .. "-complex.so"
    options.data = work .. "/data"
    write_data(options.data, data or {})
  end
  return options
end

local function measure(name, family, instance)
  local base = memory()
  local started = os.clock()
  local model, data, source, seconds = family.build(instance)
  local build_seconds = seconds or os.clock() - started
  local options = options_of(name, instance, data, source)
  local model_bytes = memory() - base
  local compile_seconds = model:solve("stopwatch", options).times.building
  local bytes = memory() - base
  model:close()
  local found = dofile(options.report)
  found.label, found.build_seconds, found.compile_seconds = instance.label, build_seconds, compile_seconds
  found.model_bytes, found.bytes = model_bytes, bytes
  for _, row in ipairs(found.rows) do
    row.target = target_of(family, instance, row.kind)
    if row.kind == "gradient" and instance.overhead then row.overhead_target = instance.overhead end
  end
  return found
end

-- ---- all ----------------------------------------------------------------------------------------------------------------------

--- What a family's own `rows` function works with.
local function tools(rows)
  local bench = { mode = mode, work = work, build = os.getenv "BENCH_BUILD" }

  --- Add a line: fields key, label, seconds; reference_seconds and reference (a name), target (a ratio or, as target_seconds, a time).
  function bench.row(fields) rows[#rows + 1] = fields end

  --- The number that a command prints.
  function bench.command(command)
    local pipe <close> = assert(io.popen(command .. " 2>/dev/null"))
    return assert(tonumber(pipe:read "l"), command)
  end

  --- Seconds of processor time for one call, the least of `repeats`, and what the last call returned.
  function bench.clock(repeats, fn)
    local best, result = math.huge, nil
    for _ = 1, repeats do
      collectgarbage()
      local started = os.clock()
      result = table.pack(fn())
      best = math.min(best, os.clock() - started)
    end
    return best, table.unpack(result)
  end

  return bench
end

local function run_family(name)
  local family = dofile(("%s/%s.lua"):format(families, name))
  local result = { name = name, about = family.about, instances = {}, rows = {} }
  if exists(("%s/%s.so"):format(work, name)) then result.reference = family.reference or "C, -O3 -march=native" end
  report.family(result)
  for _, instance in ipairs(family.instances and family.instances(mode) or {}) do
    local found = measure(name, family, instance)
    result.instances[#result.instances + 1] = found
    report.instance(found)
  end
  if family.rows then
    family.rows(tools(result.rows))
    report.rows(result.rows)
  end
  return result
end

local results, failed = {}, false
report.head(mode)
for k = 3, #arg do
  local ok, result = pcall(run_family, arg[k])
  if ok then results[#results + 1] = result
  else
    failed = true
    io.stderr:write(("bench/run: %s: %s\n"):format(arg[k], result))
  end
end
failed = report.sum(results) or failed
if mode ~= "check" then report.json(json_path, mode, results) end
os.exit(not failed, true)
