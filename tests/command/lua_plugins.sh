#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# lua_plugins.sh - plugins in Lua in a plugin folder: found, listed, indexed without being run, refused with the reason, and the same method in C
# and in Lua, whose steps agree to the last bit.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1

mkdir folder
cp "$source/examples/plugins/spg.lua" "$source/examples/plugins/log-barrier.lua" folder
cp "$build/tests/plugin/spg.so" folder
echo 'print "this must not run"' >folder/notes.lua
printf 'local peri = require "perigee"\nperi.plugin { name = "broken", summry = 1, step = print }\n' >folder/broken.lua
printf 'local peri = require "perigee"\nperi.plugin { name = "unread"\n' >folder/unread.lua
export PERIGEE_PLUGIN_PATH=$work/folder:$build/plugins

try "$perigee" solvers
ended 0 "solvers, without an index"
has out "^spg  " "the plugin in Lua is listed"
has out "^log-barrier +reformulation" "the reformulation too"
has_not out "must not run" "a file without a plugin is not run"
has err "broken.lua: line 2: .*summry.*did you mean .summary" "what is refused is told with its line"
has err "unread.lua: line [23]: .*expected" "and what is no Lua"

try "$perigee" index folder
ended 0 "index"
echo 'print "run" error "run"' >>folder/spg.lua # of another size: read again, and now refused
try "$perigee" solvers
has_not out "^spg  " "a file that changed is read again"
cp "$source/examples/plugins/spg.lua" folder
"$perigee" index folder 2>err
printf '%s\n' 'local peri = require "perigee"' 'print "was run"' 'peri.plugin { name = "loud", summary = "s", step = print }' >folder/loud.lua
try "$perigee" index folder
has out "was run" "an index runs the files"
try "$perigee" solvers --kind solver --json
ended 0 "solvers, with an index"
has_not out "was run" "and spares running them"
has out '"name": "loud"' "but knows them"
try "$perigee" show loud
has out "was run" "which showing one does"
rm folder/loud.lua

try "$perigee" show spg
ended 0 "show"
has out "Birgin" "the page"
has out "memory = 10 +whole, \[1, 1000\]" "with the options"
try "$perigee" show log-barrier --json
ended 0 "show --json"
has out '"kind": ?"reformulation"' "as data"

for example in spg log-barrier complementarity-penalty; do
    try env PERIGEE_PLUGIN_PATH="$build/plugins" "$perigee" check-plugin "$source/examples/plugins/$example.lua"
    ended 0 "$example.lua keeps the contract of plugins"
    has out "all [0-9]{3,} checks passed" "in all that is asked"
done

cat >twins.lua <<'END'
local peri = require "perigee"
for _, n in ipairs { 2, 9, 300 } do
  local m = peri.model("twins" .. n)
  local x = m:var("x", n, { start = -1.2, lower = -3, upper = 0.9 })
  m:minimize(peri.map(n - 1, function(i) return 100 * (x[i + 1] - x[i] ^ 2) ^ 2 + (1 - x[i]) ^ 2 end):sum())
  local a, b = m:solve("spg", { iterations = 3000 }), m:solve("spg-c", { iterations = 3000 })
  local same = #a.history == #b.history and a.objective == b.objective
  for k, row in ipairs(a.history) do
    same = same and row.objective == b.history[k].objective and row.step == b.history[k].step
  end
  for j = 1, n do same = same and a[x][j] == b[x][j] end
  print(n, a.status, same, a.evaluations.objective == b.evaluations.objective)
end
END
try "$perigee" run twins.lua
ended 0 "a method in Lua beside its twin in C"
has out "^2	locally_optimal	true	true$" "the same steps, of 2 variables"
has out "^9	locally_optimal	true	true$" "of 9"
has out "^300	[a-z_]+	true	true$" "of 300"

cat >spin.lua <<'END'
local peri = require "perigee"
peri.plugin { name = "spin", summary = "never ends", step = function() while true do end end }
local m = peri.model "spin"
local x = m:var("x", 1)
m:minimize(x[1] ^ 2)
io.stdout:setvbuf "no"
print "ready"
print(m:solve("spin").status)
END
"$perigee" run spin.lua >out 2>err &
job=$!
for _ in $(seq 100); do grep -q ready out && break; sleep 0.05; done
sleep 0.2
kill -TERM $job
( sleep 20; kill -KILL $job 2>/dev/null ) &
guard=$!
wait $job
status=$?
kill $guard 2>/dev/null
ended 5 "interrupted inside a step in Lua that does not end"
has out "^interrupted$" "which is the solve's status"

printf 'local peri = require "perigee"\nlocal m = peri.model "m"\nlocal x = m:var("x", 2, { start = 1 })\nm:minimize(x:dot(x))\nm:subject_to(x[1] + x[2] >= 1)\nreturn m\n' >file.lua
try "$perigee" solve file.lua --solver "log-barrier > lbfgs"
ended 0 "a reformulation in Lua by the command"
has out "log-barrier > lbfgs" "in its plan"
try "$perigee" explain file.lua
ended 0 "explain"
has out "spg: .*refuses constraints" "tells why a plugin in Lua does not fit"
done_testing
