#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# solve.sh - `perigee solve`, `explain` and `check`: the exit status of every outcome, the result file read back, files that are not
# what they should be.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1

# minimize (x1 - 1)^2 + (x2 - 2.5)^2 subject to x1 + x2 <= 2.5: x = (0.5, 2), f = 0.5, multiplier -1.
cat >good.lua <<'END'
local peri = require "perigee"
local m = peri.model "good"
local x = m:var("x", 2)
m:minimize((x[1] - 1)^2 + (x[2] - 2.5)^2)
m:subject_to("budget", x:sum() <= 2.5)
return m
END
try "$perigee" solve good.lua
ended 0 "solve"
has out "optimal" "prints a report with the status"
is "$(wc -c <err)" 0 "and nothing on standard error, which is no terminal"

try "$perigee" solve good.lua --solver ipm -o tolerance=1e-9 -o iterations=50 --json good.json
ended 0 "with a solver, options and a result file"
check_json='
  local r = json.file(arg[1])
  for key in ("status objective solver plan iterations evaluations seconds certificate variables duals front history")
      :gmatch "%a+" do assert(r[key] ~= nil or key == "front", key) end
  assert(r.status == "optimal" and r.solver == "ipm", r.status)
  assert(math.abs(r.objective - 0.5) < 1e-7 and r.certificate.kkt <= 1e-8)
  local x = r.variables.x
  assert(math.abs(x[1] - 0.5) < 1e-7 and math.abs(x[2] - 2) < 1e-7)
  assert(math.abs(r.duals.budget + 1) < 1e-6, r.duals.budget)
  assert(#r.history >= r.iterations and r.iterations > 0 and r.seconds > 0)'
lua "which holds the solution" "$check_json" - "$work/good.json"
"$perigee" solve good.lua --solver ipm --json - 2>err >alone.json
lua "--json - is the result alone" "$check_json" - "$work/alone.json"

# ---- result files

echo old >old.json
chmod 640 old.json
try "$perigee" solve good.lua --json old.json
is "$(stat -c %a old.json) $(head -c 1 old.json)" "640 {" "an old result is replaced and keeps its permissions"
ln -s old.json link.json
try "$perigee" solve good.lua --json link.json
is "$(readlink link.json)" "old.json" "a link stays one"
echo old >old.json
try "$perigee" solve good.lua --json no/such/folder.json
ended 1 "a folder that is not there"
has err 'no/such/folder\.json: writing failed: No such file' "is named"
try "$perigee" solve good.lua --json /dev/full
ended 1 "a full disk"
has err '^/dev/full: writing failed: No space left on device' "is told"
"$perigee" solve good.lua --json - >/dev/full 2>err
status=$?
refused 1 'writing to standard output failed: No space left' "a full disk on standard output"
(
    ulimit -f 0
    trap '' XFSZ
    "$perigee" solve good.lua --json old.json >/dev/null 2>err
)
is "$? $(cat old.json)" "1 old" "a file too large leaves the old result"
is "$(find . -name 'old.json.*')" "" "and nothing half-written"

# ---- every exit status

model() # FILE LINES
{
    printf 'local peri = require "perigee"\nlocal m = peri.model "m"\n%s\nreturn m\n' "$2" >"$1"
}
model infeasible.lua 'local x = m:var("x", 2) m:minimize(x:dot(x)) m:subject_to(x:sum() <= -1, x[1] >= 1, x[2] >= 1)'
try "$perigee" solve infeasible.lua
ended 3 "infeasible"
has out infeasible "says so"
model unbounded.lua 'local x = m:var("x", 2) m:minimize(x[1] + x[2]) m:subject_to(x[1] - x[2] <= 1)'
try "$perigee" solve unbounded.lua
ended 3 "unbounded"
model rosenbrock.lua 'local x = m:var("x", 2, { start = { -1.2, 1 } })
m:minimize((1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2)'
try "$perigee" solve rosenbrock.lua -o iterations=3 --json limit.json
ended 4 "an iteration limit"
lua "is the status of the result" 'local r = json.file(arg[1]) assert(r.status == "iteration_limit" and r.iterations == 3)' \
    - "$work/limit.json"
model large.lua 'local n = 100000
local x = m:var("x", n, { start = -1 })
m:minimize(peri.map(n - 1, function(i) return (1 - x[i])^2 + 100 * (x[i + 1] - x[i]^2)^2 end):sum())'
began=$(date +%s%N)
try "$perigee" solve large.lua --solver lbfgs --time-limit 300ms -o tolerance=0 -o iterations=1000000000 --json time.json
took=$((($(date +%s%N) - began) / 1000000))
ended 4 "a time limit"
lua "is the status of the result" 'local r = json.file(arg[1]) assert(r.status == "time_limit", r.status)' - "$work/time.json"
[ "$took" -lt 5000 ]
pass $? "and is kept ($took ms)"

# ---- warm starts

try "$perigee" solve rosenbrock.lua --solver ipm --save-warm-start start.json --json run.json
ended 0 "a warm start is written"
lua "by names, with a version" 'local r = json.file(arg[1]) assert(r.version == 1 and math.abs(r.variables.x[2] - 1) < 1e-6)' - "$work/start.json"
for file in start.json run.json; do
    try "$perigee" solve rosenbrock.lua --solver ipm --warm-start "$file" --json again.json
    ended 0 "and taken: $file"
    lua "fewer iterations" 'assert(json.file(arg[1]).iterations < json.file(arg[2]).iterations)' - "$work/again.json" "$work/run.json"
done
head -c 60 start.json >cut.json
try "$perigee" solve rosenbrock.lua --warm-start cut.json
refused 1 'cut\.json:[0-9]*:[0-9]*: expected' "a warm start that is cut"
try "$perigee" solve infeasible.lua
has out "conflict .*these 3 cannot hold together" "an infeasible model's conflict is in the report"

# ---- wrong words

try "$perigee" solve good.lua --solver imp
ended 2 "a solver that does not exist"
has err 'did you mean "ipm"' "the nearest is named"
try "$perigee" solve good.lua --solver ipm -o tolerence=1
ended 2 "an option that does not exist"
has err 'did you mean "tolerance"' "the nearest is named"
try "$perigee" solve good.lua -o tolerance=much
ended 2 "an option's value that is no number"
one_line err "is one line"
try "$perigee" solve good.lua -o iterations=-1
ended 2 "a value outside its range"
one_line err "is one line"

# ---- files that are not what they should be

try "$perigee" solve absent.lua
refused 1 '^absent\.lua: opening failed: No such file' "no such file"
echo 'local x = 3' >nothing.lua
try "$perigee" solve nothing.lua
refused 1 '^nothing\.lua: has to return a model \(return m\), not a nil value' "a script without a model"
echo 'return {' >cut.lua
try "$perigee" solve cut.lua
refused 1 '^cut\.lua:2: ' "a script that is cut"
try "$perigee" solve model.xyz
refused 1 '^model\.xyz: .*\.lua.*\.m' "a file of a kind that is not known"
model empty.lua 'm:var("x")'
try "$perigee" solve empty.lua
refused 1 'm.*objective' "a model without an objective and constraints"

# ---- a grid: two generators of different price, one line with a limit

cat >grid.m <<'END'
function mpc = grid
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
	1	3	0	0	0	0	1	1	0	230	1	1.1	0.9;
	2	2	100	30	0	0	1	1	0	230	1	1.1	0.9;
];
mpc.gen = [
	1	50	0	100	-100	1	100	1	200	0;
	2	50	0	100	-100	1	100	1	200	0;
];
mpc.branch = [
	1	2	0.01	0.1	0.02	60	60	60	0	0	1	-30	30;
];
mpc.gencost = [
	2	0	0	3	0	10	0;
	2	0	0	3	0	30	0;
];
END
try "$perigee" solve grid.m --json grid.json
ended 0 "a MATPOWER case"
# The cheap generator is held back by the line: 60 MVA arrive at most, the other gives at least 40 MW.
lua "is its optimal power flow" 'local r = json.file(arg[1])
  assert(r.certificate.kkt <= 1e-6 and r.objective > 10 * 60 + 30 * 40 and r.objective < 10 * 60 + 30 * 43, r.objective)' \
    - "$work/grid.json"
try "$perigee" solve absent.m
refused 1 'absent\.m: .*No such file' "no such case"
bad=
for ((n = 1; n < $(wc -l <grid.m); n++)); do
    head -n "$n" grid.m >cut.m
    try "$perigee" solve cut.m
    [ "$status" -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q '^cut\.m' err || bad="$bad $n"
done
is "$bad" "" "a case cut at any line is one clear line"

# ---- explain, check

try "$perigee" explain good.lua
ended 0 "explain"
has out "quadratic" "names the class"
has out "ipm" "names the plan"
try "$perigee" --no-machine-code explain good.lua
ended 0 "explain without machine code"
has_not out "machine code" "has none"
try "$perigee" explain good.lua --solver lbfgs
ended 0 "explain a solver that does not fit"
has out "lbfgs: refuses constraints" "says why"
try "$perigee" check grid.m
ended 0 "check"
has out "[Jj]acobian" "looks at the Jacobian"
try "$perigee" explain absent.lua
refused 1 '^absent\.lua: opening failed' "explain: no such file"
try "$perigee" check nothing.lua
refused 1 'has to return a model' "check: no model"

done_testing
