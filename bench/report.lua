-- SPDX-License-Identifier: Apache-2.0
-- What the benchmark prints, row by row as they are found, and the JSON file.

local report = {}

local SAME, AGREES = 1e-12, 1e-10 -- relative: the hand-written values; independent differentiation

local KIND = {
  value = "value", gradient = "value and gradient", constraints = "constraints", jacobian = "Jacobian values",
  hessian = "Hessian values", jv = "J v", vj = "J' w", hv = "H v",
}

local function time(s)
  if not s then return "" end
  if s < 1e-6 then return ("%.0f ns"):format(1e9 * s) end
  if s < 1e-3 then return ("%.2f us"):format(1e6 * s) end
  if s < 1 then return ("%.2f ms"):format(1e3 * s) end
  return ("%.3f s"):format(s)
end

local function bytes(b)
  if b < 1e6 then return ("%.0f kB"):format(b / 1e3) end
  return ("%.1f MB"):format(b / 1e6)
end

local function machine()
  local file <close> = io.open "/proc/cpuinfo"
  return file and file:read "a":match "model name%s*:%s*([^\n]+)" or "unknown processor"
end

local FORMAT = "  %-32s %10s %10s %7s %7s %-6s  %-9s %s"

function report.head(mode)
  print(("Perigee against hand-written code: %s, %s run"):format(machine(), mode))
  print(FORMAT:format("", "Perigee", "reference", "ratio", "target", "", "same", "agrees"))
end

function report.family(result)
  print(("\n%s: %s"):format(result.name, result.about))
  if result.reference then print("  reference: " .. result.reference) end
end

local function ratio_text(ratio)
  return ratio and (ratio < 0.1 and "%.4f" or "%.2f"):format(ratio) or ""
end

local function ratio_of(row)
  return row.seconds and row.reference_seconds and row.seconds / row.reference_seconds
end

--- "met", "missed", or nothing where there is no target or no time.
local function verdict(row)
  local ratio = ratio_of(row)
  if row.target and ratio then return ratio <= row.target and "met" or "missed" end
  if row.target_seconds and row.seconds then return row.seconds <= row.target_seconds and "met" or "missed" end
  return ""
end

local function is_wrong(row)
  return (row.differs or 0) > SAME or (row.disagrees or 0) > AGREES
end

local function distance(d, limit)
  if not d then return "-" end
  return ("%.0e%s"):format(d, d > limit and " WRONG" or "")
end

local function line(label, row)
  local ratio = ratio_of(row)
  local target = row.target and ("%.2f"):format(row.target) or row.target_seconds and time(row.target_seconds) or ""
  print((FORMAT:format(label, time(row.seconds), time(row.reference_seconds), ratio_text(ratio), target,
    verdict(row), distance(row.differs, SAME), distance(row.disagrees, AGREES)):gsub("%s+$", "")))
end

function report.instance(found)
  print(("  -- %s: n = %d, m = %d, entries of Jacobian %d, Hessian %d"):format(found.label, found.n, found.m,
    found.jacobian_entries, found.hessian_entries))
  print(("     built in %s, %s; compiled in %s, %s with programs and patterns"):format(time(found.build_seconds),
    bytes(found.model_bytes), time(found.compile_seconds), bytes(found.bytes)))
  for _, row in ipairs(found.rows) do
    line(KIND[row.kind], row)
    if row.overhead_target and row.seconds and row.reference_seconds then
      row.overhead_seconds = row.seconds - row.reference_seconds
      line("  overhead a call", { seconds = row.overhead_seconds, target_seconds = row.overhead_target })
    end
  end
end

function report.rows(rows)
  for k, row in ipairs(rows) do
    if row.text then print("  " .. row.text)
    else line(row.label, row) end
    local following = rows[k + 1]
    if row.reference and not (following and following.reference == row.reference) then
      print(("  %-32s (against %s)"):format("", row.reference))
    end
  end
end

local function each_row(results, fn)
  for _, result in ipairs(results) do
    for _, found in ipairs(result.instances) do
      for _, row in ipairs(found.rows) do fn(row, result, found) end
    end
    for _, row in ipairs(result.rows) do fn(row, result) end
  end
end

--- Ends the table; true: something is wrong.
function report.sum(results)
  local met, missed, wrong = 0, 0, 0
  each_row(results, function(row)
    local v = verdict(row)
    if v == "met" then met = met + 1 elseif v == "missed" then missed = missed + 1 end
    if is_wrong(row) then wrong = wrong + 1 end
  end)
  print(("\n%d targets met, %d missed; %s"):format(met, missed, wrong == 0 and
    "all values are those of the reference, all derivatives agree with independent ones" or wrong .. " rows are WRONG"))
  return wrong > 0
end

-- ---- JSON -----------------------------------------------------------------------------------------------------------------

local encode

local function encode_table(value, indent)
  local parts, inner = {}, indent .. " "
  if #value > 0 or next(value) == nil then
    for k, item in ipairs(value) do parts[k] = inner .. encode(item, inner) end
    return #parts == 0 and "[]" or ("[\n%s\n%s]"):format(table.concat(parts, ",\n"), indent)
  end
  for key, item in pairs(value) do parts[#parts + 1] = ("%q: %s"):format(key, encode(item, inner)) end
  table.sort(parts)
  return "{" .. table.concat(parts, ", ") .. "}"
end

function encode(value, indent)
  if type(value) == "table" then return encode_table(value, indent) end
  if type(value) == "number" then
    if value ~= value or value == math.huge or value == -math.huge then return "null" end
    return math.type(value) == "integer" and tostring(value) or ("%.9g"):format(value)
  end
  if type(value) == "boolean" then return tostring(value) end
  return '"' .. tostring(value):gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

function report.json(path, mode, results)
  each_row(results, function(row)
    row.ratio = ratio_of(row)
    local v = verdict(row)
    if v ~= "" then row.met = v == "met" end
    if row.differs or row.disagrees then row.right = not is_wrong(row) end
  end)
  local file <close> = assert(io.open(path, "w"))
  file:write(encode({ machine = machine(), mode = mode, families = results }, ""), "\n")
end

return report
