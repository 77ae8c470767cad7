-- SPDX-License-Identifier: Apache-2.0
-- png.lua - PNG pictures for tests (RFC 1951, RFC 2083): png.file(path) gives { width, height, at = function(x, y) -> r, g, b }, x and y
-- from 0 in the upper left corner. Eight bits a sample or a palette, no interlacing: what browsers and gnuplot write.

local png = {}

-- ---- inflate -----------------------------------------------------------------------------------------------------

local length_base, length_bits = {}, {}
local distance_base, distance_bits = {}, {}
do
  local base = 3
  for code = 0, 27 do
    local bits = code < 8 and 0 or (code - 4) // 4
    length_base[257 + code], length_bits[257 + code] = base, bits
    base = base + (1 << bits)
  end
  length_base[285], length_bits[285] = 258, 0
  base = 1
  for code = 0, 29 do
    local bits = code < 4 and 0 or (code - 2) // 2
    distance_base[code], distance_bits[code] = base, bits
    base = base + (1 << bits)
  end
end

--- Codes by length and value: tree[length][code] = symbol.
local function make_tree(lengths, n)
  local count, next_code, tree = {}, {}, {}
  for bits = 0, 15 do count[bits], tree[bits] = 0, {} end
  for k = 0, n - 1 do count[lengths[k] or 0] = count[lengths[k] or 0] + 1 end
  count[0] = 0
  local code = 0
  for bits = 1, 15 do
    code = (code + count[bits - 1]) << 1
    next_code[bits] = code
  end
  for k = 0, n - 1 do
    local bits = lengths[k] or 0
    if bits > 0 then
      tree[bits][next_code[bits]] = k
      next_code[bits] = next_code[bits] + 1
    end
  end
  return tree
end

--- The bytes of a deflated text, as a list of numbers.
local function inflate(text, at)
  local out, n = {}, 0
  local hold, have = 0, 0
  local byte = string.byte
  local function bits(want)
    while have < want do
      hold = hold | byte(text, at) << have
      at, have = at + 1, have + 8
    end
    local value = hold & ((1 << want) - 1)
    hold, have = hold >> want, have - want
    return value
  end
  local function symbol(tree)
    local code = 0
    for length = 1, 15 do
      if have == 0 then
        hold, have, at = byte(text, at), 8, at + 1
      end
      code = code << 1 | hold & 1
      hold, have = hold >> 1, have - 1
      local found = tree[length][code]
      if found then return found end
    end
    error "a code that is none"
  end
  local function lengths_of(count, tree)
    local lengths, k = {}, 0
    while k < count do
      local s = symbol(tree)
      local value, times = s, 1
      if s == 16 then value, times = lengths[k - 1], 3 + bits(2)
      elseif s == 17 then value, times = 0, 3 + bits(3)
      elseif s == 18 then value, times = 0, 11 + bits(7) end
      for _ = 1, times do lengths[k], k = value, k + 1 end
    end
    return lengths
  end
  local function dynamic()
    local literals, distances, codes = bits(5) + 257, bits(5) + 1, bits(4) + 4
    local order = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 }
    local lengths = {}
    for k = 1, codes do lengths[order[k]] = bits(3) end
    local all = lengths_of(literals + distances, make_tree(lengths, 19))
    local rest = {}
    for k = 0, distances - 1 do rest[k] = all[literals + k] end
    return make_tree(all, literals), make_tree(rest, distances)
  end
  local function fixed()
    local lengths, five = {}, {}
    for k = 0, 287 do lengths[k] = k < 144 and 8 or k < 256 and 9 or k < 280 and 7 or 8 end
    for k = 0, 29 do five[k] = 5 end
    return make_tree(lengths, 288), make_tree(five, 30)
  end
  local last
  repeat
    last = bits(1)
    local kind = bits(2)
    if kind == 0 then
      hold, have = 0, 0
      local size = byte(text, at) | byte(text, at + 1) << 8
      for k = at + 4, at + 3 + size do n = n + 1; out[n] = byte(text, k) end
      at = at + 4 + size
    else
      local literal, distance
      if kind == 1 then literal, distance = fixed() else literal, distance = dynamic() end
      while true do
        local s = symbol(literal)
        if s < 256 then
          n = n + 1
          out[n] = s
        elseif s == 256 then
          break
        else
          local length = length_base[s] + bits(length_bits[s])
          local d = symbol(distance)
          local from = n - distance_base[d] - bits(distance_bits[d])
          table.move(out, from + 1, from + math.min(length, n - from), n + 1)
          for k = n - from + 1, length do out[n + k] = out[from + k] end
          n = n + length
        end
      end
    end
  until last == 1
  return out
end

-- ---- rows --------------------------------------------------------------------------------------------------------

local function paeth(a, b, c)
  local p = a + b - c
  local x, y, z = math.abs(p - a), math.abs(p - b), math.abs(p - c)
  if x <= y and x <= z then return a end
  return y <= z and b or c
end

--- Undoes the filters in place; row y begins behind its filter's byte.
local function unfilter(data, height, stride, unit)
  for y = 0, height - 1 do
    local row = y * (stride + 1) + 1
    local filter, above = data[row], row - stride - 1
    for k = 1, stride do
      local left = k > unit and data[row + k - unit] or 0
      local up = y > 0 and data[above + k] or 0
      local add = 0
      if filter == 1 then add = left
      elseif filter == 2 then add = up
      elseif filter == 3 then add = (left + up) // 2
      elseif filter == 4 then add = paeth(left, up, k > unit and y > 0 and data[above + k - unit] or 0) end
      if filter ~= 0 then data[row + k] = (data[row + k] + add) & 255 end
    end
  end
end

function png.read(text)
  assert(text:sub(1, 8) == "\137PNG\r\n\26\n", "not a PNG")
  local at, parts, width, height, depth, colour, palette = 9, {}, nil, nil, nil, nil, nil
  while at < #text do
    local size, kind = (">I4c4"):unpack(text, at)
    local body = text:sub(at + 8, at + 7 + size)
    if kind == "IHDR" then
      width, height, depth, colour = (">I4I4BB"):unpack(body)
      assert(body:byte(13) == 0, "interlaced")
    elseif kind == "PLTE" then palette = body
    elseif kind == "IDAT" then parts[#parts + 1] = body end
    at = at + 12 + size
  end
  local samples = ({ [0] = 1, [2] = 3, [3] = 1, [4] = 2, [6] = 4 })[colour]
  assert(depth == 8 or colour == 3, "not eight bits a sample")
  local stride = (width * samples * depth + 7) // 8
  local data = inflate(table.concat(parts), 3)
  unfilter(data, height, stride, math.max(1, samples * depth // 8))
  return { width = width, height = height, at = function(x, y)
    local row = y * (stride + 1) + 1
    if colour == 3 then
      local per = 8 // depth
      local index = data[row + 1 + x // per] >> (8 - depth * (x % per + 1)) & ((1 << depth) - 1)
      return palette:byte(3 * index + 1, 3 * index + 3)
    end
    local k = row + 1 + x * samples
    if samples < 3 then return data[k], data[k], data[k] end
    return data[k], data[k + 1], data[k + 2]
  end }
end

function png.file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return png.read(text)
end

--- Pixels near a colour ("#1f5fd0") in a rectangle: their number, and how far they reach: left, right, top, bottom.
function png.count(picture, colour, left, top, right, bottom, near)
  local r, g, b = colour:match "#(%x%x)(%x%x)(%x%x)"
  r, g, b, near = tonumber(r, 16), tonumber(g, 16), tonumber(b, 16), near or 40
  local n, x0, x1, y0, y1 = 0, math.huge, -math.huge, math.huge, -math.huge
  for y = math.max(0, top), math.min(picture.height - 1, bottom) do
    for x = math.max(0, left), math.min(picture.width - 1, right) do
      local u, v, w = picture.at(x, y)
      if math.abs(u - r) <= near and math.abs(v - g) <= near and math.abs(w - b) <= near then
        n, x0, x1, y0, y1 = n + 1, math.min(x0, x), math.max(x1, x), math.min(y0, y), math.max(y1, y)
      end
    end
  end
  return n, x0, x1, y0, y1
end

return png
