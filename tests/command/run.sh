#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh - `perigee run`: a script's words, its errors, its exit status, its output when that cannot be written, its memory.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1

cat >words.lua <<'END'
print(arg[0], #arg, arg[1], arg[2], select("#", ...), ...)
END
try "$perigee" run words.lua -v "b c"
ended 0 "a script with words"
is "$(cat out)" $'words.lua\t2\t-v\tb c\t2\t-v\tb c' "has them in arg and in ..."
cp out words
try "$perigee" words.lua -v "b c"
is "$(cat out)" "$(cat words)" "run may be left out"
is "$("$perigee" run - x <words.lua)" $'-\t1\tx\tnil\t1\tx' "- is standard input"
is "$("$perigee" - x <words.lua)" $'-\t1\tx\tnil\t1\tx' "and without run"

# ---- errors

wrong() # PATTERN CODE
{
    printf '%b' "$2" >script.lua
    try "$perigee" run script.lua
    refused 1 "$1" "error: $1"
}
wrong '^script\.lua:2: unexpected symbol' 'local x = 1\nlocal y = )\n'
wrong '^script\.lua:3: attempt to perform arithmetic on a nil value' '\nlocal x\nlocal y = x + 1\n'
wrong '^script\.lua:2: no luck$' '\nerror "no luck"\n'
wrong '^script\.lua: no luck$' 'error("no luck", 0)'
wrong '^script\.lua: error object is a table value' 'error {}'
wrong '^script\.lua: told$' 'error(setmetatable({}, { __tostring = function() return "told" end }))'
wrong "^script\.lua:1: module 'nowhere' not found" 'require "nowhere"'
echo 'x = =' >broken.lua
wrong "^script\.lua: error loading module 'broken' from file '\./broken\.lua': \./broken\.lua:1: unexpected symbol" 'require "broken"'
wrong '^script\.lua:2: .*[Xx]' 'local m = require("perigee").model "m"\nm:var("x", -3)\n'
wrong '^script\.lua:3: this comparison of expressions was not passed to subject_to' \
    'local m = require("perigee").model "m"\nlocal x = m:var("x")\nif x <= 0 then print(1) end\n'
try "$perigee" run absent.lua
refused 1 '^absent\.lua: opening failed: No such file' "no such script"
try "$perigee" absent.lua
refused 1 '^absent\.lua: opening failed: No such file' "without run too"
try "$perigee" run .
refused 1 '^\.: reading failed: it is a folder' "a folder"
printf 'local function f() error "deep" end\nf()\n' >script.lua
try "$perigee" run script.lua
refused 1 '^script\.lua:1: deep$' "an error in a function"
try "$perigee" --verbose run script.lua
has err '^stack traceback:' "--verbose shows the traceback"
has err 'script\.lua:2: in main chunk' "with the line of the call"
is "$(echo 'error "x"' | "$perigee" - 2>&1)" "stdin:1: x" "an error on standard input"

# ---- the script's own exit status

echo 'io.write "kept" os.exit(7)' >script.lua
try "$perigee" run script.lua
ended 7 "os.exit's number"
is "$(cat out)" "kept" "after what was written"
echo 'os.exit(false, true)' >script.lua
try "$perigee" run script.lua
ended 1 "os.exit(false, true)"

# ---- output that nobody takes

echo 'for i = 1, 1e5 do print(i) end' >long.lua
echo 'print "short"' >short.lua
echo 'print "short" os.exit(0)' >leave.lua
echo 'io.write(("x"):rep(1e6))' >raw.lua
for script in long short leave raw; do
    "$perigee" run "$script.lua" >/dev/full 2>"$work/err"
    status=$?
    reason=': No space left on device'
    [ $script != raw ] || reason= # io.write gave it to the script, which did not look
    refused 1 "writing to standard output failed$reason" "full disk: $script"
done
echo 'while true do io.write("more", string.char(10)) end' >endless.lua
for script in long endless; do
    "$perigee" run "$script.lua" 2>"$work/err" | head -n 1 >"$work/out"
    status=${PIPESTATUS[0]}
    refused 1 'closed pipe|Broken pipe' "closed pipe: $script"
    one_line out "and what was read is there"
done

# ---- memory

echo 'local t = {} for i = 1, 1e9 do t[i] = i end' >greedy.lua
try "$perigee" --memory-limit 30MB run greedy.lua
refused 1 '^greedy\.lua: out of memory; --memory-limit allows 30000000 bytes' "a script over the limit"
cat >greedy.lua <<'END'
local peri = require "perigee"
local m = peri.model "greedy"
local x = m:var("x", 200)
local e = 0
for k = 1, 1e6 do e = e + peri.exp(k * x):sum() end
END
try "$perigee" --memory-limit 30MB run greedy.lua
refused 1 'greedy\.lua:.*out of memory' "a model over the limit"
bad=0
for k in 1 3 9 17 24 31 43 60 90 130 180 300; do
    try "$perigee" --memory-limit "${k}kB" run short.lua
    [ "$status" -eq 0 ] || { [ "$status" -eq 1 ] && [ "$(grep -c 'out of memory' err)" -eq 1 ]; } || bad=$k
done
is "$bad" 0 "every limit from too small to enough is a clear line"

# ---- the log

cat >solve.lua <<'END'
local peri = require "perigee"
local m = peri.model "two wells"
local x = m:var("x", 2, { start = { -1.2, 1 } })
m:minimize((1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2)
local s = m:solve("lbfgs")
print(s.iterations, #s.history)
END
try "$perigee" --log run.jsonl run solve.lua
ended 0 "--log"
lua "holds start, each iteration, and the end" '
  local rows = json.lines(arg[1])
  local n = tonumber(io.lines(arg[2])():match "^%d+")
  assert(rows[1].event == "start" and rows[1].model == "two wells" and rows[1].variables == 2)
  local last = rows[#rows]
  assert(last.event == "end" and last.solver == "lbfgs" and last.iterations == n and last.kkt <= 1e-6, last.status)
  local count, best = 0, math.huge
  for k = 2, #rows - 1 do
    assert(rows[k].event == "iteration" and rows[k].iteration == count)
    count = count + 1
  end
  assert(count == n + 1, count)' - "$work/run.jsonl" "$work/out"
try "$perigee" --log /dev/full run solve.lua
refused 1 '/dev/full: writing failed: No space left on device' "a log on a full disk"
try "$perigee" --log no/where.jsonl run solve.lua
refused 1 'no/where.jsonl: opening failed' "a log that cannot be opened"

done_testing
