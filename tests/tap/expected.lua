-- SPDX-License-Identifier: Apache-2.0
-- expected.lua - compares printed text with what was expected of it, so that rounding does not matter: words must
-- agree, white space counts as one blank, a number may differ by one unit of the last digit that the expected one
-- states, and ... in the expected text stands for any number.

local expected = {}

local number = "[+-]?%d+%.?%d*[eE]?[+-]?%d*"

--- The pieces of a line: words and numbers, in order.
local function pieces(line)
  local list, at = {}, 1
  line = line:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")
  while at <= #line do
    local first, last = line:find(number, at)
    if first and line:sub(first, last):find("[eE][+-]?$") then -- "3 e" is no exponent
      last = first + #line:sub(first, last):match("^[+-]?%d+%.?%d*") - 1
    end
    local dots = line:find("...", at, true)
    if dots and (not first or dots < first) then first, last = dots, dots + 2 end
    first, last = first or #line + 1, last or #line
    if first > at then list[#list + 1] = line:sub(at, first - 1) end
    if first <= #line then list[#list + 1] = line:sub(first, last) end
    at = last + 1
  end
  return list
end

--- One unit of the last digit of a number's text.
local function unit(text)
  local mantissa, exponent = text:match("^[+-]?([%d%.]+)[eE]([+-]?%d+)$")
  mantissa = mantissa or text
  local decimals = mantissa:match("%.(%d*)$")
  return 10.0 ^ (tonumber(exponent or 0) - (decimals and #decimals or 0))
end

local function agrees(got, want)
  if got == want then return true end
  local a, b = tonumber(got), tonumber(want)
  if want == "..." then return a ~= nil end
  if not (a and b) then return got:gsub("%s", "") == want:gsub("%s", "") end
  return want:find("[%.eE]") ~= nil and math.abs(a - b) <= 1.000001 * unit(want)
end

local function lines(text)
  local list = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do
    if line:find("%S") then list[#list + 1] = line end
  end
  return list
end

--- nil when `got` is as expected, otherwise the first difference in words. Empty lines do not count.
function expected.difference(got, want)
  local a, b = lines(got), lines(want)
  for k = 1, math.max(#a, #b) do
    local x, y = pieces(a[k] or ""), pieces(b[k] or "")
    local same = #x == #y
    for i = 1, same and #x or 0 do same = same and agrees(x[i], y[i]) end
    if not same then
      return ("line %d\ngot  %s\nwant %s"):format(k, a[k] or "(nothing)", b[k] or "(nothing)")
    end
  end
  return nil
end

return expected
