-- SPDX-License-Identifier: Apache-2.0
--- The Matrix Market exchange format (Boisvert, Pozo, Remington 1996): coordinate and array matrices,
-- real, integer, pattern and complex, general, symmetric, skew-symmetric and Hermitian.

local peri = require "perigee"
local usage = require "perigee.usage"

local matrix_market = {}

local formats = { coordinate = true, array = true }
local fields = { real = 1, double = 1, integer = 1, pattern = 0, complex = 2 }
-- sign of the mirrored entry's real and imaginary parts
local symmetries = {
  general = false,
  symmetric = { 1, 1 },
  ["skew-symmetric"] = { -1, -1 },
  hermitian = { 1, -1 },
}

--- The banner line: "%%MatrixMarket matrix FORMAT FIELD SYMMETRY".
local function read_banner(path, number, line)
  local word = {}
  for text in (line or ""):lower():gmatch("%S+") do word[#word + 1] = text end
  if word[1] ~= "%%matrixmarket" or word[2] ~= "matrix" then
    usage.malformed(path, number, "expected the banner %s", "%%MatrixMarket matrix ...")
  end
  if not formats[word[3]] then
    usage.malformed(path, number, "expected coordinate or array, found %q", word[3] or "")
  end
  if not fields[word[4]] then
    usage.malformed(path, number, "expected real, integer, pattern or complex, found %q", word[4] or "")
  end
  if symmetries[word[5]] == nil then
    usage.malformed(path, number, "expected general, symmetric, skew-symmetric or hermitian, found %q",
      word[5] or "")
  end
  if word[3] == "array" and word[4] == "pattern" then
    usage.malformed(path, number, "an array of pattern entries has no values")
  end
  return { format = word[3], values = fields[word[4]], mirror = symmetries[word[5]],
    complex = word[4] == "complex", skew = word[5] == "skew-symmetric" }
end

--- The numbers on a line, exactly `count` of them.
local function numbers(path, number, line, count, what)
  local list = {}
  for text in line:gmatch("%S+") do
    local value = usage.number(text)
    if not value or value - value ~= 0 then
      usage.malformed(path, number, "expected %s, found %q", what, text)
    end
    list[#list + 1] = value
  end
  if #list ~= count then
    usage.malformed(path, number, "expected %s (%d numbers), found %d", what, count, #list)
  end
  return list
end

--- A size or an index: an integer in [low, high].
local function whole(path, number, value, low, high, what)
  local k = math.tointeger(value)
  if not k or k < low or k > high then
    usage.malformed(path, number, "expected %s between %d and %d, found %g", what, low, high, value)
  end
  return k
end

local largest = 2 ^ 31 - 1

--- The line of sizes.
local function read_sizes(path, number, line, kind)
  local count = kind.format == "array" and 2 or 3
  local size = numbers(path, number, line, count, "the matrix' sizes")
  kind.rows = whole(path, number, size[1], 1, largest, "a number of rows")
  kind.cols = whole(path, number, size[2], 1, largest, "a number of columns")
  if kind.mirror and kind.rows ~= kind.cols then
    usage.malformed(path, number, "a symmetric matrix is square, not %d x %d", kind.rows, kind.cols)
  end
  if count == 3 then
    kind.nnz = whole(path, number, size[3], 0, largest, "a number of entries")
  elseif not kind.mirror then
    kind.nnz = kind.rows * kind.cols
  else
    kind.nnz = kind.rows * (kind.rows + 1) // 2 - (kind.skew and kind.rows or 0)
  end
end

--- Append entry (i, j), and its mirror image when the matrix is symmetric.
local function store(out, kind, i, j, re, im)
  local k = #out.i + 1
  out.i[k], out.j[k], out.re[k], out.im[k] = i, j, re, im
  if kind.mirror and i ~= j then
    k = k + 1
    out.i[k], out.j[k] = j, i
    out.re[k], out.im[k] = kind.mirror[1] * re, kind.mirror[2] * im
  end
end

--- One line of a coordinate matrix: row, column and values.
local function read_coordinate(path, number, line, kind, out)
  local e = numbers(path, number, line, 2 + kind.values, "row, column and value")
  local i = whole(path, number, e[1], 1, kind.rows, "a row")
  local j = whole(path, number, e[2], 1, kind.cols, "a column")
  if kind.mirror and i < j then
    usage.malformed(path, number, "entry (%d, %d): only the lower triangle is stored", i, j)
  end
  if kind.skew and i == j then
    usage.malformed(path, number, "entry (%d, %d): a skew-symmetric diagonal is zero", i, j)
  end
  store(out, kind, i, j, e[3] or 1, e[4] or 0)
end

--- One line of an array: the next entry, column by column.
local function read_array(path, number, line, kind, out)
  local e = numbers(path, number, line, kind.values, "a value")
  local first = kind.skew and 1 or 0
  if not out.row then out.row, out.col = 1 + first, 1 end
  store(out, kind, out.row, out.col, e[1], e[2] or 0)
  out.row = out.row + 1
  if out.row > kind.rows then
    out.col = out.col + 1
    out.row = kind.mirror and out.col + first or 1
  end
end

--- A dense array from triplets.
local function dense(kind, out, values)
  local rows = {}
  for i = 1, kind.rows do
    rows[i] = {}
    for j = 1, kind.cols do rows[i][j] = 0 end
  end
  for k, i in ipairs(out.i) do rows[i][out.j[k]] = values[k] end
  return peri.array(rows)
end

local function build(kind, out, values)
  if kind.format == "array" then return dense(kind, out, values) end
  return peri.sparse { rows = kind.rows, cols = kind.cols, i = out.i, j = out.j, v = values }
end

--- Read a Matrix Market file: a sparse array (coordinate) or a dense one (array). A complex matrix gives
-- two arrays, its real and its imaginary part. A pattern's entries are 1.
function matrix_market.matrix_market(path)
  local kind
  local out = { i = {}, j = {}, re = {}, im = {} }
  local count, last = 0, 1
  for number, line in usage.lines(usage.read_file("matrix_market", path)) do
    last = number
    if not kind then
      kind = read_banner(path, number, line)
    elseif line:find("%S") and not line:find("^%%") then -- neither empty nor a comment
      if not kind.rows then
        read_sizes(path, number, line, kind)
      elseif count == kind.nnz then
        usage.malformed(path, number, "expected the end of the file after %d entries", kind.nnz)
      else
        count = count + 1
        local read = kind.format == "array" and read_array or read_coordinate
        read(path, number, line, kind, out)
      end
    end
  end
  if not kind then usage.malformed(path, last, "expected the banner %s", "%%MatrixMarket matrix ...") end
  if not kind.rows then usage.malformed(path, last, "the file ends before the matrix' sizes") end
  if count < kind.nnz then
    usage.malformed(path, last, "the file ends after %d of %d entries", count, kind.nnz)
  end
  local real = build(kind, out, out.re)
  if not kind.complex then return real end
  return real, build(kind, out, out.im)
end

return matrix_market
