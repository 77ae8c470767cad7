-- SPDX-License-Identifier: Apache-2.0
-- Building a model by Lua loops and by peri.map, each in a process of its own (bench/building): seconds up to first derivatives, and the peak of
-- the process's memory a term.

local family = { about = "building a model of a million terms" }

function family.rows(bench)
  if bench.mode == "check" then return end
  local numbers = bench.work .. "/building"
  local n = bench.mode == "quick" and 50000 or 1000000
  assert(os.execute(("PERIGEE_BUILD=%s bench/building %d %s >/dev/null"):format(bench.build, n, numbers)), "bench/building failed")
  for line in io.lines(numbers) do
    local key, peak = line:match '"([%w_]+)"', tonumber(line:match '"peak_bytes_per_term": ([%d.e+]+)')
    bench.row { key = key, label = ("%s, %.0f bytes a term"):format(key:gsub("^building_", ""), peak),
      seconds = tonumber(line:match '"total_seconds": ([%d.e+-]+)'), bytes_per_term = peak }
  end
end

return family
