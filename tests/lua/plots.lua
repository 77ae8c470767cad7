-- SPDX-License-Identifier: Apache-2.0
-- Pictures by gnuplot: the path of the iterates, the model at other points, and what is drawn of both.
local t = require "tap"
local png = require "png"
local peri = require "perigee"

local m = peri.model "valley"
local x = m:var("x", 2, { start = { -1.2, 1 }, lower = -2, upper = 2 })
m:minimize((1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2)
m:subject_to("disc", x[1]^2 + x[2]^2 <= 1.5)
local sol = m:solve "ipm"

-- ---- the path, other points

t.is(#sol.path, #sol.history, "a point for each row of the history")
local last = sol.path[#sol.path]
t.ok(math.abs(last[1] - sol[x][1]) < 1e-6 and math.abs(last[2] - sol[x][2]) < 1e-6, "which ends at the solution")
local exact = true
for k, p in ipairs(sol.path) do
  local f = (1 - p[1])^2 + 100 * (p[2] - p[1]^2)^2
  exact = exact and math.abs(f - sol.history[k].objective) <= 1e-9 * (1 + math.abs(f))
end
t.ok(exact, "at each the row's objective")

local f, v = sol:sample { { 0, 0 }, { 1, 1 }, { 0.5, -3 } }
t.ok(f[1] == 1 and f[2] == 0 and math.abs(f[3] - (0.25 + 100 * 3.25^2)) < 1e-9, "the objective at other points")
t.ok(math.abs(v[1] + 1.5) < 1e-12, "the largest violation, negative inside")
t.ok(math.abs(v[2] - 0.5) < 1e-12 and math.abs(v[3] - 7.75) < 1e-12, "of constraints and bounds")

local up = peri.model "up"
local a, b = up:var("a", { start = 0.5 }), up:var("b", { start = 0.5 })
up:maximize(peri.log(a) - b^2)
local top = up:solve("ipm", { iterations = 3 })
f, v = top:sample { { 1, 2 }, { -1, 0 } }
t.ok(f[1] == -4 and f[2] ~= f[2], "in the sense of the user; NaN where it is undefined")
t.is(v[1], -math.huge, "no bounds, no constraints")
t.raises(function() sol:sample { { 1 } } end, "sample: point 1 is not a list of 2 numbers", "a point that is none")
t.raises(function() sol:sample(3) end, "sample: a list of points is needed", "no list")

local three = peri.model "three"
local y = three:var("y", 3)
three:minimize(y:dot(y))
local other = three:solve "lbfgs"
t.is(#other.path, 0, "three variables: no path")
t.raises(function() other:plot("a.png", "contour") end, "plots.lua:", "nor a contour; the error names the user's line")
t.raises(function() sol:plot("a.png", "contours") end, '"convergence" or "contour", not contours', "another word")

-- ---- pictures

if os.getenv "LD_PRELOAD" then -- a sanitizer's library would judge gnuplot
  t.skip(1, "gnuplot is not run under a sanitizer")
  return t.done()
end

local stem = os.tmpname()
local function read(name)
  local file = io.open(name, "rb")
  local text = file and file:read "a"
  if file then file:close() end
  return text
end

-- Without gnuplot: a script with the same calls, where nothing is found.
local script = stem .. ".lua"
local file = assert(io.open(script, "w"))
file:write(([[
local peri = require "perigee"
local m = peri.model "a"
local x = m:var("x", 2)
m:minimize((x[1] - 1)^2 + x[2]^2)
local made, why = m:solve("lbfgs"):plot("%s.png")
io.write(tostring(made), " ", why)
]]):format(stem))
file:close()
local lua = arg[-1] or "lua5.4"
local pipe = assert(io.popen(("interpreter=$(command -v '%s'); PATH=/nonexistent \"$interpreter\" '%s' 2>&1"):format(lua, script)))
t.is(pipe:read "a", ("false gnuplot is not installed: %s.dat and %s.gp are written"):format(stem, stem), "without gnuplot a line that says so")
pipe:close()
os.remove(script)

if not os.execute "command -v gnuplot >/dev/null 2>&1" then
  t.skip(1, "gnuplot is not installed")
  return t.done()
end

t.ok(sol:plot(stem .. ".png", "contour"), "a contour")
local picture = png.read(read(stem .. ".png"))
t.is(picture.width, 800, "a picture of one panel")
local n, x0, x1, y0, y1 = png.count(picture, "#c2410c", 0, 0, 799, 499, 60)
t.ok(n > 300 and x1 - x0 > 200 and y1 - y0 > 50, ("the path crosses it (%d pixels)"):format(n))
n, x0, x1 = png.count(picture, "#8aa4c8", 0, 0, 799, 499, 40)
t.ok(n > 1000 and x1 - x0 > 500, ("contours fill it (%d pixels)"):format(n))
n = png.count(picture, "#e2e6ec", 0, 0, 799, 499, 6)
t.ok(n > 5000, ("what is not feasible is shaded (%d pixels)"):format(n))
t.ok(png.count(picture, "#ffffff", 80, 20, 780, 450, 3) > 20000, "what is feasible is not")

t.ok(sol:plot(stem .. ".png"), "both panels")
picture = png.read(read(stem .. ".png"))
t.is(picture.width, 1400, "side by side")
t.ok(png.count(picture, "#c2410c", 700, 0, 1399, 499, 60) > 300, "the path on the right")
local colours = 0
for px = 60, 640, 2 do
  for py = 40, 440, 2 do
    local r, g, bl = picture.at(px, py)
    if math.max(r, g, bl) - math.min(r, g, bl) > 80 then colours = colours + 1 end
  end
end
t.ok(colours > 200, ("curves on the left (%d pixels)"):format(colours))

t.ok(sol:plot(stem .. ".svg", "contour"), "as SVG")
local svg = read(stem .. ".svg")
t.ok(svg:find "<svg" and svg:find "</svg>" and select(2, svg:gsub("<path", "")) > 20, "with its lines")
t.ok(sol:plot(stem .. ".pdf"), "as PDF")
t.is(read(stem .. ".pdf"):sub(1, 5), "%PDF-", "which is one")
t.ok(top:plot(stem .. ".png", "contour"), "scalars, a maximum, an objective that is undefined in places")
t.has(read(stem .. ".gp"), "set xlabel 'a' noenhanced", "axes have the variables' names")

for _, kind in ipairs { "", ".png", ".svg", ".pdf", ".dat", ".gp" } do os.remove(stem .. kind) end
t.done()
