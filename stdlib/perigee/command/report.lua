-- SPDX-License-Identifier: Apache-2.0
--- `perigee report RUN.json -o OUT.html`: a result as one page that needs nothing else: style and charts are in it, no script, no
--- address. What a result does not hold is left out of the page; what it holds under other names than expected is an error.
--
--   report.page(result, name)     the HTML text

local chart = require "perigee.command.chart"
local json = require "perigee.json"

local report = {}

local LARGEST = 20       -- entries shown of a variable or a multiplier
local MOST_NAMES = 200   -- variables or constraints with a table of their own
local MOST_ROWS = 400    -- of the history

local escape = chart.escape

-- ---- what is read ------------------------------------------------------------------------------------------------

local function wrong(name, what) error(("%s: not a result of perigee: %s"):format(name, what), 0) end

local function check_table(name, result, key)
  local value = result[key]
  if value == json.null then value = nil end
  if value ~= nil and type(value) ~= "table" then wrong(name, ("%s is a %s"):format(key, type(value))) end
  return value
end

--- Is it what sol:json() writes? The keys that every result has, with their types.
local function check(result, name)
  if type(result) ~= "table" then wrong(name, "it is a single value") end
  if result.status == nil then wrong(name, 'the key "status" is missing; sol:save and perigee solve --json write results') end
  if type(result.status) ~= "string" then wrong(name, "status is not a text") end
  if not json.number(result.objective) then wrong(name, "objective is not a number") end
  for _, key in ipairs { "certificate", "evaluations", "times", "variables", "duals", "history", "front", "diagnosis", "optima" } do
    check_table(name, result, key)
  end
  for k, row in ipairs(check_table(name, result, "history") or {}) do
    if type(row) ~= "table" then wrong(name, ("row %d of the history is not an object"):format(k)) end
  end
end

local function column(history, key)
  local list = { n = #history }
  for k, row in ipairs(history) do list[k] = json.number(row[key]) end
  return list
end

local function sorted_keys(object)
  local keys = {}
  for key in pairs(object) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

-- ---- pieces ------------------------------------------------------------------------------------------------------

local function number(value)
  local v = json.number(value)
  if not v then return "-" end
  if v ~= v or v == math.huge or v == -math.huge then return tostring(value) end
  return (("%.9g"):format(v):gsub("e([+-])0*(%d)", "e%1%2"))
end

local function few(value)
  local v = json.number(value)
  return v and v == v and math.abs(v) < math.huge and chart.short(v) or number(value)
end

--- A table; the cells are HTML. The class of a column: "n" for numbers.
local function rows(out, head, classes, body)
  out[#out + 1] = '<div class="scroll"><table><thead><tr>'
  for k, text in ipairs(head) do out[#out + 1] = ('<th class="%s">%s</th>'):format(classes:sub(k, k), escape(text)) end
  out[#out + 1] = "</tr></thead><tbody>"
  for _, row in ipairs(body) do
    local cells = {}
    for k, cell in ipairs(row) do cells[k] = ('<td class="%s">%s</td>'):format(classes:sub(k, k), cell) end
    out[#out + 1] = "<tr>" .. table.concat(cells) .. "</tr>"
  end
  out[#out + 1] = "</tbody></table></div>"
end

local function section(out, title) out[#out + 1] = ("<h2>%s</h2>"):format(escape(title)) end

local function fold(out, title, open) out[#out + 1] = ("<details%s><summary>%s</summary>"):format(open and " open" or "", title) end

-- ---- the head ----------------------------------------------------------------------------------------------------

local good = { optimal = true, locally_optimal = true, feasible = true }
local bad = { error = true, numerical_error = true, infeasible = true, unbounded = true }

local function seconds(value)
  local v = json.number(value)
  if not v then return "-" end
  if v < 1e-3 then return ("%.3g µs"):format(1e6 * v) end
  if v < 1 then return ("%.3g ms"):format(1e3 * v) end
  return ("%.4g s"):format(v)
end

local function head(out, result, name)
  local class = good[result.status] and "good" or bad[result.status] and "bad" or "other"
  out[#out + 1] = ("<h1>%s</h1>"):format(escape(type(result.model) == "string" and result.model or name))
  out[#out + 1] = ('<p><span class="status %s">%s</span> %s</p>'):format(class, escape((result.status:gsub("_", " "))),
    escape(type(result.message) == "string" and result.message or ""))
  out[#out + 1] = '<div class="facts">'
  local function fact(what, value)
    out[#out + 1] = ("<div><span>%s</span><b>%s</b></div>"):format(what, value)
  end
  fact("objective", number(result.objective))
  if type(result.solver) == "string" then fact("solver", escape(result.solver)) end
  if type(result.plan) == "string" and result.plan ~= result.solver then fact("plan", escape(result.plan)) end
  if result.iterations then fact("iterations", number(result.iterations)) end
  if result.seconds then fact("time", seconds(result.seconds)) end
  if result.certificate then fact("kkt", few(result.certificate.kkt)) end
  out[#out + 1] = "</div>"
end

-- ---- convergence -------------------------------------------------------------------------------------------------

--- An objective that falls over orders of magnitude is shown on a logarithmic axis.
local function spans_orders(list)
  local lower, upper
  for i = 1, list.n do
    local v = list[i]
    if v and v == v and math.abs(v) < math.huge then
      lower, upper = math.min(lower or v, v), math.max(upper or v, v)
    end
  end
  return lower ~= nil and lower > 0 and upper / lower > 300
end

local function convergence(out, history)
  if #history == 0 then return end
  section(out, "Convergence")
  out[#out + 1] = '<div class="charts">'
  local x = column(history, "iteration")
  for k = 1, x.n do x[k] = x[k] or k - 1 end
  local f = column(history, "objective")
  local function add(spec)
    spec.x = x
    out[#out + 1] = chart.lines(spec)
  end
  add { title = "objective", log = spans_orders(f), series = { { name = "objective", class = "c1", values = f } } }
  add { title = "residuals", log = true, series = {
    { name = "primal", class = "c2", values = column(history, "primal") },
    { name = "dual", class = "c3", values = column(history, "dual") },
    { name = "complementarity", class = "c4", values = column(history, "complementarity") },
  } }
  add { title = "steps", log = true, series = {
    { name = "step", class = "c1", values = column(history, "step") },
    { name = "radius", class = "c3", values = column(history, "trust_radius") },
    { name = "barrier", class = "c4", values = column(history, "barrier") },
    { name = "regularization", class = "c2", values = column(history, "regularization") },
  } }
  out[#out + 1] = "</div>"
end

local history_columns = { "iteration", "objective", "primal", "dual", "complementarity", "step", "trust_radius", "barrier",
  "regularization", "inner_iterations", "seconds", "tag" }

local function history_table(out, history)
  if #history == 0 then return end
  local used, head = {}, {}
  for _, key in ipairs(history_columns) do
    for _, row in ipairs(history) do
      if row[key] ~= nil then
        used[#used + 1], head[#head + 1] = key, (key:gsub("_", " "))
        break
      end
    end
  end
  local body, stride = {}, math.max(1, math.ceil(#history / MOST_ROWS))
  for k = 1, #history do
    if (k - 1) % stride == 0 or k == #history then
      local cells = {}
      for c, key in ipairs(used) do
        local v = history[k][key]
        cells[c] = v == nil and "" or key == "tag" and escape(v) or key == "objective" and number(v) or few(v)
      end
      body[#body + 1] = cells
    end
  end
  fold(out, ("History, %d rows%s"):format(#history, stride > 1 and (", each %dth shown"):format(stride) or ""))
  rows(out, head, ("n"):rep(#used), body)
  out[#out + 1] = "</details>"
end

-- ---- certificate, counts -----------------------------------------------------------------------------------------

local residuals = {
  { "primal", "largest violation of a bound or constraint, in the model's units" },
  { "dual", "gradient of the Lagrangian and wrong signs of multipliers, relative" },
  { "complementarity", "products of slacks and multipliers, relative" },
  { "kkt", "the largest of these" },
  { "lower_gap", "objectives of lower models above the best that independent solves found, relative" },
}

local function certificate(out, c)
  if not c then return end
  section(out, "Certificate")
  out[#out + 1] = "<p>Computed by the engine from the model at the returned point, whatever the method claimed.</p>"
  local body, known = {}, {}
  for _, r in ipairs(residuals) do
    known[r[1]] = true
    if c[r[1]] ~= nil then body[#body + 1] = { r[1], few(c[r[1]]), r[2] } end
  end
  for _, key in ipairs(sorted_keys(c)) do
    if not known[key] and json.number(c[key]) then body[#body + 1] = { escape(key), few(c[key]), "" } end
  end
  rows(out, { "residual", "value", "what it is" }, "tnt", body)
end

local work = { "objective", "gradient", "constraints", "jacobian", "hessian", "products" }
local parts = { "building", "linear_algebra", "method" }

--- Shares of the total as bars behind the seconds.
local function bar(part, total)
  local share = part and total and total > 0 and math.min(1, part / total) or 0
  return ('<span class="bar"><i style="width:%.1f%%"></i></span>'):format(100 * share)
end

local function counts(out, evaluations, times)
  if not (evaluations or times) then return end
  section(out, "Evaluations and time")
  local e, t, body = evaluations or {}, times or {}, {}
  local total = json.number(t.total)
  local function add(name, count)
    local part = json.number(t[name])
    if (count or 0) > 0 or (part or 0) > 0 then
      body[#body + 1] = { (name:gsub("_", " ")), count and number(count) or "", part and seconds(part) or "", bar(part, total) }
    end
  end
  for _, name in ipairs(work) do add(name, json.number(e[name]) or 0) end
  for _, name in ipairs(parts) do add(name) end
  if total then body[#body + 1] = { "total", "", seconds(total), bar(total, total) } end
  rows(out, { "what", "number", "time", "" }, "tnnt", body)
end

-- ---- values ------------------------------------------------------------------------------------------------------

--- Numbers of a value with their indices: { text, number } each; `shape` in words.
local function entries(value)
  local v = json.number(value)
  if v then return { { "", v } }, "" end
  local list = {}
  if type(value) ~= "table" then return list, "" end
  local columns
  for i, row in ipairs(value) do
    if type(row) == "table" then
      columns = #row
      for j, entry in ipairs(row) do list[#list + 1] = { ("[%d, %d]"):format(i, j), json.number(entry) or 0 / 0 } end
    else
      list[#list + 1] = { ("[%d]"):format(i), json.number(row) or 0 / 0 }
    end
  end
  return list, columns and ("%d × %d"):format(#value, columns) or ("%d entries"):format(#value)
end

local function magnitude(entry)
  local v = math.abs(entry[2])
  return v == v and v or math.huge
end

local function values(out, title, object, open)
  if not object or next(object) == nil then return end
  fold(out, title, open)
  local single, names = {}, 0
  for _, name in ipairs(sorted_keys(object)) do
    local list, shape = entries(object[name])
    if #list == 1 and shape == "" then
      single[#single + 1] = { escape(name), number(list[1][2]) }
    elseif names < MOST_NAMES then
      names = names + 1
      local order = {}
      for k = 1, #list do order[k] = k end
      if #list > LARGEST then
        table.sort(order, function(a, b)
          local x, y = magnitude(list[a]), magnitude(list[b])
          return x > y or (x == y and a < b)
        end)
      end
      local body = {}
      for k = 1, math.min(#list, LARGEST) do
        local entry = list[order[k]]
        body[k] = { escape(name) .. entry[1], number(entry[2]) }
      end
      fold(out, ("<b>%s</b> %s%s"):format(escape(name), shape,
        #list > LARGEST and (", the %d largest"):format(LARGEST) or ""), #list <= 6)
      rows(out, { "entry", "value" }, "tn", body)
      out[#out + 1] = "</details>"
    end
  end
  if #single > 0 then rows(out, { "name", "value" }, "tn", single) end
  out[#out + 1] = "</details>"
end

-- ---- several objectives, several optima --------------------------------------------------------------------------

--- The objectives' values of each point: rows of numbers.
local function front(out, f)
  local list = f and f.objectives
  if type(list) ~= "table" or type(list[1]) ~= "table" then return end
  local names = type(f.names) == "table" and f.names or {}
  local width = #list[1]
  section(out, ("Front, %d points"):format(#list))
  local function label(k) return type(names[k]) == "string" and names[k] or ("objective %d"):format(k) end
  local function of(k)
    local values_of = { n = #list }
    for i, row in ipairs(list) do values_of[i] = type(row) == "table" and json.number(row[k]) or nil end
    return values_of
  end
  out[#out + 1] = '<div class="charts">'
  for k = 2, math.min(width, 4) do
    out[#out + 1] = chart.points { title = ("%s over %s"):format(label(k), label(1)), xlabel = label(1), x = of(1), y = of(k) }
  end
  out[#out + 1] = "</div>"
  local heads, body = { "" }, {}
  for k = 1, width do heads[k + 1] = label(k) end
  for i = 1, math.min(#list, MOST_ROWS) do
    body[i] = { tostring(i) }
    for k = 1, width do body[i][k + 1] = number(type(list[i]) == "table" and list[i][k] or nil) end
  end
  fold(out, "Points")
  rows(out, heads, ("n"):rep(width + 1), body)
  out[#out + 1] = "</details>"
end

local function optima(out, list)
  if not list or #list == 0 then return end
  section(out, ("Optima, %d distinct"):format(#list))
  local body = {}
  for k, o in ipairs(list) do
    if k > MOST_ROWS then break end
    body[k] = { tostring(k), number(type(o) == "table" and o.objective or nil) }
  end
  rows(out, { "", "objective" }, "nn", body)
end

-- ---- diagnosis ---------------------------------------------------------------------------------------------------

local function is_list(value) return #value > 0 or next(value) == nil end

--- Objects in a list with plain values only are a table; other data nest.
local function is_records(list)
  for _, record in ipairs(list) do
    if type(record) ~= "table" or record == json.null or is_list(record) then return false end
    for _, value in pairs(record) do
      if type(value) == "table" and value ~= json.null then return false end
    end
  end
  return #list > 0
end

local function cell(value)
  if value == nil or value == json.null then return "" end
  if type(value) == "number" then return few(value) end
  return escape(value)
end

local function records(out, list)
  local keys, seen, body = {}, {}, {}
  for _, record in ipairs(list) do
    for _, key in ipairs(sorted_keys(record)) do
      if not seen[key] then seen[key], keys[#keys + 1] = true, key end
    end
  end
  for i, record in ipairs(list) do
    body[i] = {}
    for k, key in ipairs(keys) do body[i][k] = cell(record[key]) end
  end
  rows(out, keys, ("t"):rep(#keys), body)
end

local function data(out, value, depth)
  if type(value) ~= "table" or value == json.null then
    out[#out + 1] = ("<p>%s</p>"):format(cell(value))
  elseif depth > 6 or next(value) == nil then
    out[#out + 1] = "<p>-</p>"
  elseif is_records(value) then
    records(out, value)
  elseif is_list(value) then
    local plain = {}
    for i, v in ipairs(value) do plain[i] = type(v) ~= "table" and cell(v) or nil end
    if #plain == #value then
      out[#out + 1] = ("<p>%s</p>"):format(table.concat(plain, ", "))
    else
      for _, v in ipairs(value) do data(out, v, depth + 1) end
    end
  else
    out[#out + 1] = "<dl>"
    for _, key in ipairs(sorted_keys(value)) do
      out[#out + 1] = ("<dt>%s</dt><dd>"):format(escape((tostring(key):gsub("_", " "))))
      data(out, value[key], depth + 1)
      out[#out + 1] = "</dd>"
    end
    out[#out + 1] = "</dl>"
  end
end

--- The text first, then the data that it was made from.
local function diagnosis(out, d)
  if not d or next(d) == nil then return end
  section(out, "Diagnosis")
  local rest = {}
  for key, value in pairs(d) do rest[key] = value end
  if type(d.text) == "string" then
    rest.text = nil
    out[#out + 1] = ('<p class="text">%s</p>'):format((escape(d.text):gsub("\n", "<br>")))
  end
  data(out, rest, 1)
end

-- ---- the page ----------------------------------------------------------------------------------------------------

local style = [[
:root{color-scheme:light dark;--paper:#ffffff;--ink:#1c2430;--soft:#5b6675;--rule:#dfe3e9;--tint:#f4f6f9;
--c1:#1f5fd0;--c2:#c2410c;--c3:#15803d;--c4:#7e22ce;--good:#15803d;--bad:#b91c1c;--other:#92600a}
@media (prefers-color-scheme:dark){:root{--paper:#14181f;--ink:#e6eaf0;--soft:#9aa6b5;--rule:#313a47;--tint:#1d232c;
--c1:#6ea8ff;--c2:#fb923c;--c3:#4ade80;--c4:#c690ff;--good:#4ade80;--bad:#f87171;--other:#fbbf24}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.2rem 1rem 3rem;max-width:1080px;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:1.5rem;margin:.2rem 0 .3rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:1.8rem 0 .5rem;padding-top:.7rem;border-top:1px solid var(--rule)}
p{margin:.4rem 0;color:var(--soft)}
p.text{color:var(--ink)}
.status{display:inline-block;padding:.1rem .6rem;border-radius:1rem;border:1.5px solid;font-weight:600}
.good{color:var(--good)}.bad{color:var(--bad)}.other{color:var(--other)}
.facts{display:flex;flex-wrap:wrap;gap:.6rem;margin:.8rem 0}
.facts div{background:var(--tint);border-radius:.5rem;padding:.45rem .8rem;min-width:6.5rem}
.facts span{display:block;font-size:.78rem;color:var(--soft)}
.facts b{font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:1rem}
svg.chart{width:100%;height:auto;max-width:640px;font:12px system-ui,"DejaVu Sans",sans-serif}
svg .title{fill:var(--ink);font-weight:600;font-size:13px}
svg .tick{fill:var(--soft)}
svg .grid{stroke:var(--rule);stroke-width:1;fill:none}
svg .frame{stroke:var(--soft);stroke-width:1;fill:none}
svg .line{fill:none;stroke-width:2;stroke-linejoin:round}
svg path.c1{stroke:var(--c1)}svg path.c2{stroke:var(--c2)}svg path.c3{stroke:var(--c3)}svg path.c4{stroke:var(--c4)}
svg circle.c1{fill:var(--c1)}svg circle.c2{fill:var(--c2)}svg circle.c3{fill:var(--c3)}svg circle.c4{fill:var(--c4)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.22rem .7rem .22rem 0;text-align:left;border-bottom:1px solid var(--rule);white-space:nowrap;vertical-align:top}
th{color:var(--soft);font-weight:500;font-size:.85rem}
th.n,td.n{text-align:right;padding-left:.6rem}
td:last-child{white-space:normal}
.bar{display:inline-block;width:7rem;height:.6rem;background:var(--tint);border-radius:.3rem;overflow:hidden}
.bar i{display:block;height:100%;background:var(--c1)}
details{margin:.5rem 0}
details details{margin-left:1rem}
summary{cursor:pointer;padding:.15rem 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:.3rem 0}
dt{color:var(--soft)}dd{margin:0;min-width:0}dd p{margin:0;color:var(--ink);overflow-wrap:anywhere}
footer{margin-top:2.5rem;color:var(--soft);font-size:.85rem}
@media (max-width:480px){dl{grid-template-columns:1fr}body{padding:.8rem .7rem 2rem}}
]]

--- `result` as JSON reads it; `name` for messages and as the title of a result without a model's name.
function report.page(result, name, version)
  check(result, name)
  local history = check_table(name, result, "history") or {}
  local title = type(result.model) == "string" and result.model or name
  local out = {
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    ("<title>%s: %s</title>"):format(escape(title), escape((result.status:gsub("_", " ")))),
    "<style>\n" .. style .. "</style>\n</head>\n<body>",
  }
  head(out, result, name)
  diagnosis(out, check_table(name, result, "diagnosis"))
  convergence(out, history)
  history_table(out, history)
  front(out, check_table(name, result, "front"))
  optima(out, check_table(name, result, "optima"))
  certificate(out, check_table(name, result, "certificate"))
  counts(out, check_table(name, result, "evaluations"), check_table(name, result, "times"))
  section(out, "Solution")
  values(out, "Variables", check_table(name, result, "variables"), true)
  values(out, "Multipliers", check_table(name, result, "duals"), false)
  out[#out + 1] = ("<footer>%s · perigee %s</footer>\n</body>\n</html>\n"):format(escape(name), escape(version or ""))
  return table.concat(out, "\n")
end

--- What the command calls.
function report.main(command)
  local path = command.words[1]
  local out = command.out or (path:gsub("%.json$", "") .. ".html")
  command.write(out, report.page(json.file(path), path, command.version))
end

return report
