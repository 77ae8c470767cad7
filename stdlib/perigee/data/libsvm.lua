-- SPDX-License-Identifier: Apache-2.0
--- LIBSVM text: one sample a line, "label index:value index:value ...", indices from 1 and ascending;
-- what is not written is zero. Empty lines and what follows a # are skipped.

local peri = require "perigee"
local usage = require "perigee.usage"

local libsvm = {}

local LARGEST = 2147483647 -- columns that a matrix may have

--- A finite number or nil.
local function finite(word)
  local value = usage.number(word)
  if value and value - value == 0 then return value end
end

--- Append the sample on one line to the columns of `out`.
local function read_sample(path, number, line, out)
  local words = line:gmatch("%S+")
  local first = words()
  if not first then return end
  local label = finite(first)
  if not label then
    usage.malformed(path, number, "expected the sample's label, a number, found %q", first)
  end
  local row, last, k = out.rows + 1, 0, #out.v
  for word in words do
    local index, text = word:match("^(%d+):(.+)$")
    local value = text and finite(text)
    local column = index and math.tointeger(tonumber(index))
    if not value or not column then
      usage.malformed(path, number, "expected index:value with a finite value, found %q", word)
    end
    if column <= last then
      usage.malformed(path, number, "index %d after %d: indices start at 1 and ascend", column, last)
    end
    if column > LARGEST then usage.malformed(path, number, "index %d is larger than %d", column, LARGEST) end
    last = column
    if value ~= 0 then
      k = k + 1
      out.i[k], out.j[k], out.v[k] = row, column, value
    end
  end
  if last > out.cols then out.cols, out.widest = last, number end
  out.rows, out.labels[row] = row, label
end

--- Labels mapped to +1 and -1 when the caller said which one is positive.
local function signed(path, labels, positive)
  local count = 0
  for i, label in ipairs(labels) do
    labels[i] = label == positive and 1 or -1
    if label == positive then count = count + 1 end
  end
  if count == 0 then usage.fail("libsvm: no sample of %s has the label %g", path, positive) end
  return labels
end

--- Read a LIBSVM file.
--   opts.columns   number of features, when the file does not show the last ones
--   opts.positive  the label that becomes +1; every other becomes -1
--   returns { features = sparse samples x features, labels = vector }
function libsvm.libsvm(path, opts)
  opts = usage.only("libsvm", opts, { "columns", "positive" })
  local columns = usage.option("libsvm", opts, "columns", "number")
  local positive = usage.option("libsvm", opts, "positive", "number")
  local out = { i = {}, j = {}, v = {}, labels = {}, rows = 0, cols = 0, widest = 0 }
  local last = 0
  for number, line in usage.lines(usage.read_file("libsvm", path)) do
    last = number
    local comment = line:find("#", 1, true)
    read_sample(path, number, comment and line:sub(1, comment - 1) or line, out)
  end
  if out.rows == 0 then usage.malformed(path, last, "the file ends without a sample") end
  if out.cols == 0 and not columns then usage.malformed(path, last, "no sample has a feature; say how many there are with columns") end
  if columns and columns < out.cols then
    usage.malformed(path, out.widest, "index %d, but %d columns were asked for", out.cols, columns)
  end
  local labels = positive and signed(path, out.labels, positive) or out.labels
  return {
    features = peri.sparse { rows = out.rows, cols = math.tointeger(columns) or out.cols,
      i = out.i, j = out.j, v = out.v },
    labels = peri.array(labels),
  }
end

return libsvm
