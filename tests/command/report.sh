#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# report.sh - `perigee report`: what the page holds, what is refused, and how it looks in a browser, where there is one: the lines of the
# charts have their colours on the screen, inside the charts.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1

cat >model.lua <<'END'
local peri = require "perigee"
local m = peri.model "disc & <friends>"
local x = m:var("x", 2, { start = { -1.2, 1 }, lower = -2, upper = 2 })
local w = m:var("w", 50, { start = 1 })
m:minimize((1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2 + peri.map(50, function(i) return (w[i] - i)^2 end):sum())
m:subject_to("disc", x[1]^2 + x[2]^2 <= 1.5)
return m
END
try "$perigee" solve model.lua --solver ipm --json run.json
try "$perigee" report run.json -o run.html
ended 0 "a page is made"
is "$(cat out err)" "" "in silence"
has run.html '<h1>disc &amp; &lt;friends&gt;</h1>' "with the model's name, escaped"
has run.html 'locally optimal' "status"
has run.html '<td class="t">complementarity</td><td class="n">[0-9.e-]+</td>' "certificate"
has run.html '<td class="t">hessian</td><td class="n">[0-9]+</td><td class="n">[0-9.]+ (µs|ms|s)</td>' "counts and times"
has run.html 'w\[50\]</td><td class="n">50</td>' "the largest entries of a vector"
has_not run.html 'w\[5\]<' "not all of them"
has run.html '<td class="t">disc</td><td class="n">-0\.038' "multipliers"
is "$(grep -c '<svg class="chart"' run.html)" 3 "three charts"
is "$(grep -oEi 'https?:|src=|href=|url\(|@import|<script|<link' run.html)" "" "nothing comes from elsewhere"
is "$(grep -oE '<(details|table|div|dl|tr|td|svg)[ >]' run.html | grep -oE '[a-z]+' | sort | uniq -c)" \
    "$(grep -oE '</(details|table|div|dl|tr|td|svg)>' run.html | grep -oE '[a-z]+' | sort | uniq -c)" "what is opened is closed"
try "$perigee" report run.json -o -
is "$(cat out)" "$(cat run.html)" "on standard output"
cp run.json other.json
try "$perigee" report other.json
[ -s other.html ]
pass $? "beside the result where no name is given"

# ---- more than a solve has today, and less

cat >rich.json <<'END'
{"status": "infeasible", "message": "no point", "objective": "inf", "iterations": 0, "history": [],
 "certificate": {"primal": 2.5, "dual": "nan", "complementarity": 0, "kkt": 2.5},
 "diagnosis": {"text": "rows a and b\ncannot both hold", "conflict": ["a", "b"], "worst": [{"name": "a", "residual": 2.5}]},
 "front": {"objectives": [[1, 4], [2, 2.5], [4, 1]], "points": [[0], [1], [2]]},
 "optima": [{"objective": -1.25}, {"objective": 0.5}],
 "variables": {"X": [[1, 2], [3, "nan"]], "empty": []}, "duals": {}, "evaluations": {"objective": 3}}
END
try "$perigee" report rich.json -o rich.html
ended 0 "a result with a front, optima and a diagnosis"
has rich.html 'rows a and b<br>cannot both hold' "the diagnosis' text"
has rich.html '<td class="t">a</td><td class="t">2\.5</td>' "and its data"
is "$(grep -c '<circle class="c1"' rich.html)" 3 "the front's points"
has rich.html '<td class="n">2</td><td class="n">0.5</td>' "optima"
has rich.html 'X\[2, 1\]</td><td class="n">3<' "matrices"
echo '{"status": "optimal", "objective": 1}' >poor.json
try "$perigee" report poor.json -o poor.html
ended 0 "a result with almost nothing"

refuse() # TEXT PATTERN NAME
{
    rm -f bad.html
    printf '%s' "$1" >bad.json
    try "$perigee" report bad.json -o bad.html
    refused 1 "$2" "$3"
    [ ! -e bad.html ]
    pass $? "and no page"
}
refuse '{"status": "optimal",
"objective": }' '^bad.json:2: not JSON: a value is missing$' "malformed: the line is named"
refuse "$(head -c 300 run.json)" '^bad.json:1: not JSON: ' "cut off"
refuse '[1, 2]' '^bad.json: not a result of perigee: the key "status" is missing' "another JSON"
refuse '3' '^bad.json: not a result' "a number"
refuse '' '^bad.json:1: not JSON: it ends too early' "an empty file"
refuse '{"status": "optimal", "objective": 1, "history": [3]}' 'row 1 of the history is not an object' "wrong inside"
refuse '{"status": "optimal", "objective": 1, "variables": 7}' 'variables is a number' "wrong type"
refuse "$(printf '[%.0s' {1..5000})" 'nested too deeply' "thousands of brackets"
try "$perigee" report absent.json -o bad.html
refused 1 '^absent.json: opening failed: No such file' "a file that is not there"
try "$perigee" report run.json -o nowhere/bad.html
refused 1 'nowhere/bad.html: ' "a page that cannot be written"

# ---- in a browser

browser=
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    [ -n "$browser" ] || browser=$(command -v "$name") || browser=
done
if [ -z "$browser" ]; then
    echo "ok $((tests += 1)) # SKIP no browser is installed (chromium)"
    done_testing
fi

see() # WORDS... - the browser without a window, its own profile, no network
{
    HOME=$work timeout 60 "$browser" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
        --force-device-scale-factor=1 --user-data-dir="$work/profile" "$@" 2>browser.log
}

# A copy that tells where its charts are; a script can ask for that, the page itself has none.
tell='<pre id="places"></pre><script>const p = document.getElementById("places"); p.style.display = "none";
p.textContent = "[" + [...document.querySelectorAll("svg.chart .frame")].map(f => { const r = f.getBoundingClientRect();
return "[" + [r.left, r.top, r.right, r.bottom].map(Math.round).join(",") + "]" }).join(",") + "]";
p.title = Math.max(...[...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll")).map(e => e.getBoundingClientRect().right))
</script>'
{ cat run.html; echo "$tell"; } >told.html
see --window-size=760,900 --dump-dom "file://$work/told.html" | grep -o '<pre id="places"[^>]*>[^<]*' >places
sed 's/.*>//' places >places.json
is "$(tr -dc '[' <places.json | wc -c)" 4 "a browser lays out three charts" || say "$(cat browser.log)"
see --window-size=760,900 --screenshot="$work/light.png" "file://$work/run.html" >/dev/null
[ -s light.png ]
pass $? "it takes a picture of the page" || say "$(cat browser.log)"
lua "the lines of each chart are drawn in its frame, across it" '
  local png, places, page = require "png", json.file(arg[1]), require "png".file(arg[2])
  local want = { { "#1f5fd0" }, { "#15803d", "#7e22ce" }, { "#1f5fd0", "#7e22ce" } }
  for k, frame in ipairs(places) do
    local left, top, right, bottom = table.unpack(frame)
    for _, colour in ipairs(want[k]) do
      -- a level stretch may lie between two rows of pixels, too faint to count
      local n, x0, x1 = png.count(page, colour, left + 2, top + 2, right - 2, bottom - 2)
      assert(n > 60, ("chart %d: %d pixels of %s"):format(k, n, colour))
      assert(x1 - x0 > 0.6 * (right - left), ("chart %d: %s from %g to %g"):format(k, colour, x0, x1))
    end
    assert(png.count(page, "#b91c1c", left, top, right, bottom, 10) == 0, "no other colour")
  end
  local r, g, b = page.at(3, 3)
  assert(r == 255 and g == 255 and b == 255, "paper")' - "$work/places.json" "$work/light.png"
see --window-size=760,900 --blink-settings=preferredColorScheme=0 --screenshot="$work/dark.png" "file://$work/run.html" >/dev/null
lua "dark paper and other inks where the reader prefers that" '
  local png, places, page = require "png", json.file(arg[1]), require "png".file(arg[2])
  local r, g, b = page.at(3, 3)
  assert(r == 0x14 and g == 0x18 and b == 0x1f, ("paper #%02x%02x%02x"):format(r, g, b))
  local left, top, right, bottom = table.unpack(places[1])
  assert(png.count(page, "#6ea8ff", left, top, right, bottom) > 60)' - "$work/places.json" "$work/dark.png"
sed 's/<html lang="en">/<html lang="en" style="width:360px">/' told.html >phone.html
see --window-size=760,900 --dump-dom "file://$work/phone.html" | grep -o '<pre id="places" [^>]*' >places
right=$(sed -n 's/.*title="\([0-9]*\).*/\1/p' places)
[ "${right:-1000}" -le 360 ]
pass $? "on a screen of 360 pixels nothing stands out at the side (right edge: $right)"

done_testing
