-- SPDX-License-Identifier: Apache-2.0
--- Line and point charts as SVG that stands in an HTML page: colours come from the page's style by class, so that they follow its
--- light and dark scheme.
--
--   chart.lines { title =, x =, series = { { name =, class =, values = {...} } }, log = bool }     a line for each series over x
--   chart.points { title =, xlabel =, ylabel =, x =, y = }                                          a cloud of points
--
-- What is not finite, or not positive on a logarithmic axis, leaves a gap. Invariant: nothing is drawn outside the frame.

local chart = {}

local WIDTH, HEIGHT = 460, 270
local LEFT, RIGHT, TOP, BOTTOM = 62, 12, 34, 34
local MOST_POINTS = 800 -- of a line: more than that cannot be told apart

local function escape(text)
  return (tostring(text):gsub("[&<>\"']", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }))
end
chart.escape = escape

local function is_finite(v) return v ~= nil and v == v and v ~= math.huge and v ~= -math.huge end

--- A number as people write it: few digits, no blanks.
local function short(v)
  if v == math.tointeger(v) and math.abs(v) < 1e6 then return ("%d"):format(v) end
  return (("%.4g"):format(v):gsub("e([+-])0*(%d)", "e%1%2"):gsub("e%+", "e"))
end
chart.short = short

--- Round steps of 1, 2 or 5 times a power of ten, about `count` of them in lower .. upper.
local function linear_ticks(lower, upper, count)
  local rough = (upper - lower) / count
  local power = 10.0 ^ math.floor(math.log(rough, 10))
  local step = power * (rough / power > 5 and 10 or rough / power > 2 and 5 or rough / power > 1 and 2 or 1)
  local ticks = {}
  for k = math.ceil(lower / step - 1e-9), math.floor(upper / step + 1e-9) do
    ticks[#ticks + 1] = { k * step, short(tonumber(("%.10g"):format(k * step))) }
  end
  return ticks
end

local function log_ticks(lower, upper)
  local ticks, stride = {}, math.max(1, math.ceil((upper - lower) / 6))
  for k = math.ceil(lower - 1e-9), math.floor(upper + 1e-9) do
    if k % stride == 0 then
      ticks[#ticks + 1] = { k, ('10<tspan dy="-5" font-size="9">%d</tspan>'):format(k) }
    end
  end
  return ticks
end

local function padded(lower, upper, share)
  if lower == upper then
    local room = math.max(math.abs(lower) * 0.1, 1e-12, lower == 0 and 1 or 0)
    return lower - room, upper + room
  end
  return lower - share * (upper - lower), upper + share * (upper - lower)
end

--- Lowest and highest of the finite values; nil where there is none.
local function extent(lists)
  local lower, upper
  for _, list in ipairs(lists) do
    for i = 1, list.n do
      local v = list[i]
      if is_finite(v) then
        lower, upper = math.min(lower or v, v), math.max(upper or v, v)
      end
    end
  end
  return lower, upper
end

--- x for column, y for row: functions from values to places in the picture.
local function scales(x0, x1, y0, y1)
  local width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
  return function(v) return LEFT + (v - x0) / (x1 - x0) * width end, function(v) return TOP + (y1 - v) / (y1 - y0) * height end
end

local function frame(out, spec, xticks, yticks, px, py)
  out[#out + 1] = ('<svg class="chart" viewBox="0 0 %d %d" role="img" aria-label="%s">'):format(WIDTH, HEIGHT, escape(spec.title))
  out[#out + 1] = ('<text class="title" x="%d" y="18">%s</text>'):format(LEFT, escape(spec.title))
  for _, t in ipairs(yticks) do
    out[#out + 1] = ('<path class="grid" d="M%d %.1fH%d"/><text class="tick" x="%d" y="%.1f" text-anchor="end">%s</text>'):format(
      LEFT, py(t[1]), WIDTH - RIGHT, LEFT - 6, py(t[1]) + 4, t[2])
  end
  for _, t in ipairs(xticks) do
    out[#out + 1] = ('<path class="grid" d="M%.1f %dV%d"/><text class="tick" x="%.1f" y="%d" text-anchor="middle">%s</text>'):format(
      px(t[1]), TOP, HEIGHT - BOTTOM, px(t[1]), HEIGHT - BOTTOM + 15, t[2])
  end
  out[#out + 1] = ('<rect class="frame" x="%d" y="%d" width="%d" height="%d"/>'):format(
    LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)
  out[#out + 1] = ('<text class="tick" x="%d" y="%d" text-anchor="end">%s</text>'):format(
    WIDTH - RIGHT, HEIGHT - 4, escape(spec.xlabel or "iteration"))
end

--- Indices of the points that are drawn: all, or of each stretch its lowest and highest, so that no peak is lost.
local function chosen(values)
  local list = {}
  if values.n <= MOST_POINTS then
    for i = 1, values.n do list[i] = i end
    return list
  end
  local stretch = values.n / (MOST_POINTS / 2)
  for s = 0, MOST_POINTS // 2 - 1 do
    local lowest, highest
    for i = math.floor(s * stretch) + 1, math.min(values.n, math.floor((s + 1) * stretch)) do
      if is_finite(values[i]) then
        if not lowest or values[i] < values[lowest] then lowest = i end
        if not highest or values[i] > values[highest] then highest = i end
      end
    end
    if lowest then
      list[#list + 1] = math.min(lowest, highest)
      if lowest ~= highest then list[#list + 1] = math.max(lowest, highest) end
    end
  end
  return list
end

--- A polyline, interrupted at gaps; a point alone between two gaps is a dot.
local function line(out, class, xs, values, px, py)
  local path, count, dots = {}, 0, {}
  local last_x, last_y
  local function close()
    if count == 1 then dots[#dots + 1] = ('<circle class="%s" cx="%.1f" cy="%.1f" r="2.5"/>'):format(class, last_x, last_y) end
    count = 0
  end
  for _, i in ipairs(chosen(values)) do
    if is_finite(values[i]) and is_finite(xs[i]) then
      last_x, last_y = px(xs[i]), py(values[i])
      path[#path + 1] = ("%s%.1f %.1f"):format(count == 0 and "M" or "L", last_x, last_y)
      count = count + 1
    else
      close()
    end
  end
  close()
  out[#out + 1] = ('<path class="line %s" d="%s"/>%s'):format(class, table.concat(path), table.concat(dots))
end

--- Names with their colours, in the upper right corner.
local function legend(out, series)
  if #series < 2 then return end
  local at = WIDTH - RIGHT
  for k = #series, 1, -1 do
    at = at - 6.4 * #series[k].name - 26
    out[#out + 1] = ('<path class="line %s" d="M%.1f 14h14"/><text class="tick" x="%.1f" y="18">%s</text>'):format(
      series[k].class, at, at + 18, escape(series[k].name))
  end
end

local function on_axis(series, log)
  local shown = {}
  for _, s in ipairs(series) do
    local list, any = { n = s.values.n }, false
    for i = 1, s.values.n do
      local v = s.values[i]
      if is_finite(v) and (not log or v > 0) then
        list[i] = log and math.log(v, 10) or v
        any = true
      end
    end
    if any then shown[#shown + 1] = { name = s.name, class = s.class, values = list } end
  end
  return shown
end

--- The SVG text, or nil where no series has anything to show.
function chart.lines(spec)
  local shown = on_axis(spec.series, spec.log)
  if #shown == 0 then return nil end
  local lists = {}
  for k, s in ipairs(shown) do lists[k] = s.values end
  local low, high = extent(lists)
  local y0, y1 = padded(low, high, 0.06)
  local x0, x1 = extent { spec.x }
  if x0 == x1 then x0, x1 = x0 - 0.5, x1 + 0.5 end
  local px, py = scales(x0, x1, y0, y1)
  local yticks = spec.log and y1 - y0 > 1.2 and log_ticks(y0, y1) or linear_ticks(y0, y1, 5)
  if spec.log and y1 - y0 <= 1.2 then
    for _, t in ipairs(yticks) do t[2] = short(tonumber(("%.3g"):format(10.0 ^ t[1]))) end
  end
  local out = {}
  frame(out, spec, linear_ticks(x0, x1, 6), yticks, px, py)
  legend(out, shown)
  for _, s in ipairs(shown) do line(out, s.class, spec.x, s.values, px, py) end
  out[#out + 1] = "</svg>"
  return table.concat(out, "\n")
end

function chart.points(spec)
  local x0, x1 = extent { spec.x }
  local y0, y1 = extent { spec.y }
  if not (x0 and y0) then return nil end
  x0, x1 = padded(x0, x1, 0.04)
  y0, y1 = padded(y0, y1, 0.06)
  local px, py = scales(x0, x1, y0, y1)
  local out = {}
  frame(out, spec, linear_ticks(x0, x1, 6), linear_ticks(y0, y1, 5), px, py)
  for i = 1, spec.x.n do
    if is_finite(spec.x[i]) and is_finite(spec.y[i]) then
      out[#out + 1] = ('<circle class="c1" cx="%.1f" cy="%.1f" r="3.5"><title>%s, %s</title></circle>'):format(
        px(spec.x[i]), py(spec.y[i]), short(spec.x[i]), short(spec.y[i]))
    end
  end
  out[#out + 1] = "</svg>"
  return table.concat(out, "\n")
end

return chart
