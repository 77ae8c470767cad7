-- SPDX-License-Identifier: Apache-2.0
--- Directed graphs as matrices of weights: orders, cycles, how far one graph is from another, pictures.

local peri = require "perigee"
local usage = require "perigee.usage"

local graph = {}

--- The number of nodes of a square matrix; `read(i, j)` is then a number.
function graph.check(where, W)
  if type(W) == "table" then W = peri.array(W) end
  local known, rows, cols = pcall(function() return W:rows(), W:cols() end)
  if not known then usage.fail("%s: a square matrix of weights is needed, not a %s", where, type(W)) end
  if rows ~= cols then usage.fail("%s: the matrix of weights is %d x %d, not square", where, rows, cols) end
  local size = peri.abs(W):max()
  if size ~= size or size == math.huge then usage.fail("%s: a weight is not finite", where) end
  return rows
end

--- A list of all d nodes, each once.
function graph.check_order(where, order, d)
  local seen = {}
  if #order ~= d then usage.fail("%s: order lists %d nodes, the data have %d columns", where, #order, d) end
  for a, j in ipairs(order) do
    if math.type(j) ~= "integer" or j < 1 or j > d then usage.fail("%s: order[%d] is %s, not a node of 1 .. %d", where, a, tostring(j), d) end
    if seen[j] then usage.fail("%s: order is no permutation: node %d is there twice", where, j) end
    seen[j] = true
  end
end

--- A copy of W by rows: Lua tables, which loops read fastest.
local function rows_of(where, W)
  local d, rows = graph.check(where, W), {}
  for i = 1, d do
    rows[i] = {}
    for j = 1, d do rows[i][j] = W[i][j] end
  end
  return rows, d
end

--- Nodes that can be placed, parents first, of several the lowest; the others are true in `left`.
local function place(rows, d)
  local order, left, into = {}, {}, {}
  for j = 1, d do
    left[j], into[j] = true, 0
    for i = 1, d do if rows[i][j] ~= 0 then into[j] = into[j] + 1 end end
  end
  local found = true
  while found do
    found = false
    for j = 1, d do
      if left[j] and into[j] == 0 then
        left[j], found = nil, true
        order[#order + 1] = j
        for k = 1, d do if rows[j][k] ~= 0 then into[k] = into[k] - 1 end end
        break
      end
    end
  end
  return order, left
end

--- Nodes of `left` without an edge to another of them are on no cycle.
local function drop_sinks(rows, d, left)
  local found = true
  while found do
    found = false
    for i = 1, d do
      if left[i] then
        local out = false
        for j = 1, d do out = out or (left[j] and rows[i][j] ~= 0) end
        if not out then left[i], found = nil, true end
      end
    end
  end
end

--- "1 -> 3 -> 1": every node that is left has an edge to another one.
local function cycle_of(rows, d, left)
  local at, seen, path = next(left), {}, {}
  while not seen[at] do
    path[#path + 1] = at
    seen[at] = #path
    for j = 1, d do
      if left[j] and rows[at][j] ~= 0 then
        at = j
        break
      end
    end
  end
  path[#path + 1] = at
  return table.concat(path, " -> ", seen[at])
end

function graph.is_acyclic(W)
  local rows, d = rows_of("is_acyclic", W)
  return #place(rows, d) == d
end

--- The nodes, parents first; of several possible ones the lowest number. A cycle is an error that names it.
function graph.order(W)
  local rows, d = rows_of("order", W)
  local order, left = place(rows, d)
  if #order < d then
    drop_sinks(rows, d, left)
    usage.fail("order: the graph has the cycle %s; dag.prune takes away the lightest edges of cycles", cycle_of(rows, d, left))
  end
  return order
end

--- Weights smaller than `t` in size become zero.
function graph.threshold(W, t)
  local rows, d = rows_of("threshold", W)
  if type(t) ~= "number" or t ~= t or t < 0 then usage.fail("threshold: a number of at least 0 is needed, not %s", tostring(t)) end
  for i = 1, d do
    for j = 1, d do if math.abs(rows[i][j]) < t then rows[i][j] = 0 end end
  end
  return peri.array(rows)
end

--- The same, and then the lightest edge between nodes of cycles goes until there is none. Second result: how many went.
function graph.prune(W, t)
  local rows, d = rows_of("prune", graph.threshold(W, t or 0))
  local gone = 0
  for i = 1, d do rows[i][i] = 0 end
  while true do
    local order, left = place(rows, d)
    if #order == d then return peri.array(rows), gone end
    drop_sinks(rows, d, left)
    local a, b
    for i = 1, d do
      for j = 1, d do
        if left[i] and left[j] and rows[i][j] ~= 0 and (not a or math.abs(rows[i][j]) < math.abs(rows[a][b])) then a, b = i, j end
      end
    end
    rows[a][b], gone = 0, gone + 1
  end
end

--- How the edges of W, its entries that are not zero, differ from those of `truth`:
-- shd  edges that are missing, too many, or turned round (one each)
-- tpr  share of the true edges that are there;  fdr  share of those found that are wrong or turned round;  fpr  the same as a share
-- of the pairs without an edge;  edges  found
function graph.metrics(W, truth)
  local found, d = rows_of("metrics", W)
  local true_, size = rows_of("metrics", truth)
  if d ~= size then usage.fail("metrics: a graph of %d nodes and one of %d cannot be compared", d, size) end
  local r = { shd = 0, edges = 0 }
  local edges, right, wrong = 0, 0, 0
  for i = 1, d do
    for j = 1, d do
      local is, should = found[i][j] ~= 0, true_[i][j] ~= 0
      if should then edges = edges + 1 end
      if is then r.edges = r.edges + 1 end
      if is and should then right = right + 1 elseif is then wrong = wrong + 1 end
      if i <= j and (is ~= should or (found[j][i] ~= 0) ~= (true_[j][i] ~= 0)) then r.shd = r.shd + 1 end
    end
  end
  r.tpr = right / math.max(edges, 1)
  r.fdr = wrong / math.max(r.edges, 1)
  r.fpr = wrong / math.max(d * (d - 1) / 2 - edges, 1)
  return r
end

local function escape(text) return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" })) end

--- A picture as SVG: nodes around an ellipse in their order, edges as arrows, wider for larger weights, dashed for negative ones.
-- names: the nodes'; path: file to write; ret the text.
function graph.draw(W, names, path)
  local rows, d = rows_of("draw", W)
  local order, left = place(rows, d)
  for j in pairs(left) do order[#order + 1] = j end
  local at, most, out = {}, 0, {}
  for k, j in ipairs(order) do
    local angle = 2 * math.pi * (k - 1) / d - math.pi / 2
    at[j] = { 320 + 250 * math.cos(angle), 240 + 190 * math.sin(angle) }
    for i = 1, d do most = math.max(most, math.abs(rows[i][j])) end
  end
  out[1] = '<svg xmlns="http://www.w3.org/2000/svg" width="640" height="480" font-family="sans-serif" font-size="13">\n'
    .. '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" '
    .. 'orient="auto"><path d="M0 0L8 4L0 8z" fill="#456"/></marker></defs>\n<rect width="640" height="480" fill="white"/>'
  for i = 1, d do
    for j = 1, d do
      if rows[i][j] ~= 0 and i ~= j then
        local p, q = at[i], at[j]
        local length = math.sqrt((q[1] - p[1])^2 + (q[2] - p[2])^2)
        local x, y = (q[1] - p[1]) / length * 22, (q[2] - p[2]) / length * 22
        out[#out + 1] = ('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#456" stroke-width="%.2f"%s marker-end="url(#a)"/>')
          :format(p[1] + x, p[2] + y, q[1] - x, q[2] - y, 0.7 + 2 * math.abs(rows[i][j]) / most,
            rows[i][j] < 0 and ' stroke-dasharray="6 4"' or "")
      end
    end
  end
  for j = 1, d do
    out[#out + 1] = ('<circle cx="%.1f" cy="%.1f" r="21" fill="#eef3f8" stroke="#456"/>'
      .. '<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>')
      :format(at[j][1], at[j][2], at[j][1], at[j][2] + 4.5, escape(names and names[j] or tostring(j)))
  end
  out[#out + 1] = "</svg>\n"
  local text = table.concat(out, "\n")
  if path then
    local file, why = io.open(path, "w")
    if not file then usage.fail("draw: cannot write %s", why) end
    file:write(text)
    file:close()
  end
  return text
end

return graph
