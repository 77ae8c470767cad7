#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# signals.sh - Control-C and its relatives, and what a terminal sees that a pipe does not.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1
set -m # jobs of their own: INT is not ignored

cat >long.lua <<'END'
local peri = require "perigee"
local n = 5000
local m = peri.model "long"
local x = m:var("x", n, { start = -1 })
m:minimize(peri.map(n - 1, function(i) return (1 - x[i])^2 + 100 * (x[i + 1] - x[i]^2)^2 end):sum())
if arg and arg[1] == "solve" then
  local s = m:solve("lbfgs", { tolerance = 0, iterations = 1000000000 })
  print(s.status, s.objective < 404 * n, s.iterations > 0)
end
return m
END

# started WORDS... - the command in the background, until its solve runs (the log has an iteration)
started()
{
    rm -f log.jsonl
    "$perigee" --log log.jsonl "$@" >out 2>err </dev/null &
    process=$!
    for ((k = 0; k < 500; k++)); do
        [ -s log.jsonl ] && grep -q iteration log.jsonl && return
        sleep 0.02
    done
    say "the solve did not begin"
}

ended_after() # SIGNAL - sends it and waits: $status, $took in milliseconds
{
    local began
    began=$(date +%s%N)
    kill -"$1" "$process"
    wait "$process"
    status=$?
    took=$((($(date +%s%N) - began) / 1000000))
}

limit=100 # milliseconds
[ -z "$sanitizers" ] || limit=1000

for signal in INT TERM XCPU; do
    started run long.lua solve
    ended_after "$signal"
    ended 5 "$signal during a solve of a script: exit status 5"
    is "$(cat out)" $'interrupted\ttrue\ttrue' "the script goes on with the best point so far"
    [ "$took" -lt "$limit" ]
    pass $? "within $limit ms ($took ms)"
done

options=(--solver lbfgs -o tolerance=0 -o iterations=1000000000)
started solve long.lua "${options[@]}" --json result.json
ended_after INT
ended 5 "INT during perigee solve"
lua "the result is written" 'local r = json.file(arg[1]) assert(r.status == "interrupted" and r.iterations > 0)' \
    - "$work/result.json"
started solve long.lua "${options[@]}"
kill -USR1 "$process"
for ((k = 0; k < 100; k++)); do
    [ -s err ] && break
    sleep 0.02
done
has err '^ *iter +objective' "USR1 prints a header"
has err '^ *[0-9]+ .*e[+-][0-9]+' "and the row"
ended_after INT

# ---- without a solve

loop() # NAME CODE
{
    printf '%s\n' 'io.stderr:write "ready" io.stderr:write(string.char(10))' "$2" >loop.lua
    "$perigee" run loop.lua >out 2>err </dev/null &
    process=$!
    for ((k = 0; k < 250; k++)); do
        grep -q ready err && break
        sleep 0.02
    done
    ended_after INT
    sed -i '/^ready$/d' err
    refused 5 'interrupted' "$1"
}
loop "INT in a loop of the script" 'while true do end'
loop "INT in a loop that catches errors" 'while true do pcall(function() while true do end end) end'
loop "INT in a coroutine" 'coroutine.wrap(function() while true do end end)()'
loop "INT in a call that does not end" 'local s = ("a"):rep(40) s:find(("a*"):rep(20) .. "b")'

# A second one has the default action: a solver that does not come back is left.
cat >stuck.lua <<'END'
local peri = require "perigee"
local m = peri.model "stuck"
local x = m:var("x", 2, { start = { -1.2, 1 } })
m:minimize((1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2)
m:solve("lbfgs", { callback = function() io.stderr:write "ready\n" while true do end end })
END
"$perigee" run stuck.lua >out 2>err </dev/null &
process=$!
for ((k = 0; k < 250; k++)); do
    grep -q ready err && break
    sleep 0.02
done
kill -INT "$process"
sleep 0.1
ended_after INT
is "$status" 130 "a second INT ends the process"

# ---- terminals

set +m
words="solve long.lua --solver lbfgs -o tolerance=0 -o iterations=1000000000 --time-limit 700ms"
if command -v script >/dev/null 2>&1 && [ -e /dev/pts/ptmx ]; then # the command, and pseudo-terminals for it
    TERM=xterm NO_COLOR='' script -qec "'$perigee' $words" /dev/null >typed </dev/null
    tr '\r' '\n' <typed >lines
    grep -Eq 'long: iteration [0-9]+ .*objective' lines
    pass $? "a terminal gets a progress line"
    shown=$(grep -c 'long: iteration' lines)
    [ "$shown" -ge 1 ] && [ "$shown" -le 8 ]
    pass $? "at most ten times a second ($shown times in 0.7 s)"
    grep -q $'\033\\[2m' typed
    pass $? "dimmed"
    # After the last progress line comes its erasure, a line of blanks.
    last=$(grep -n 'long: iteration' lines | tail -n 1 | cut -d: -f1)
    is "$(sed -n "$((last + 1))p" lines | tr -d ' ')" "" "and erased at the end"
    TERM=xterm NO_COLOR=1 script -qec "'$perigee' $words" /dev/null >typed </dev/null
    ! grep -q $'\033' typed
    pass $? "NO_COLOR: no colour"
    script -qec "'$perigee' --quiet $words" /dev/null >typed </dev/null
    ! grep -q 'iteration [0-9]' typed
    pass $? "--quiet: no progress"

    # shown_lines COMMAND - what a terminal shows of it, one progress line a line of the file lines
    shown_lines()
    {
        TERM=xterm NO_COLOR=1 timeout 60 script -qec "$1" /dev/null >typed </dev/null
        tr '\r' '\n' <typed >lines
    }
    shown_lines "stty cols 120; '$perigee' $words"
    grep -Eq 'long: iteration [0-9]+  objective .*feas .*opt .*rate [0-9.]+  [0-9.]+s *$' lines
    pass $? "a wide terminal gets residuals, rate and time" || say "$(cat lines)"
    shown_lines "stty cols 34; '$perigee' $words"
    grep -Eq '^objective [0-9.e+]+  [0-9.]+s *$|^long: iteration [0-9]+ +objective' lines
    pass $? "a narrow one what matters most" || say "$(cat lines)"
    [ "$(grep -E '^long:|^objective [0-9]' lines | awk '{ if (length($0) > most) most = length($0) } END { print most + 0 }')" -le 33 ]
    pass $? "in its width" || say "$(cat lines)"

    cat >slow.lua <<'END'
local peri = require "perigee"
local n = 400000
local m = peri.model "slow"
local x = m:var("x", n, { start = 0.5 })
local sum = 0
local began = os.clock()
for i = 1, n - 1 do
  sum = sum + 100 * (x[i + 1] - x[i]^2)^2 + (1 - x[i])^2
  if i == n // 2 then while os.clock() < began + 2.5 do end end
end
m:minimize(sum)
m:solve("lbfgs", { iterations = 1, callback = function() local t = os.clock() while os.clock() < t + 1.5 do end end })
print "done"
END
    shown_lines "stty cols 100; '$perigee' run slow.lua"
    grep -Eq '^building  [0-9]+ expressions  [0-9.]+s *$' lines
    pass $? "a model that takes its time: how far it is" || say "$(cat lines)"
    grep -Eq '^slow:  (preparing|grouping|derivatives|compiling)  [0-9.]+s *$|^slow: iteration 0 ' lines
    pass $? "then what the engine does, or how long an iteration has taken" || say "$(cat lines)"
    is "$(grep -c '^done$' lines)" 1 "what the script prints stands alone"

    cat >inside.lua <<'END'
local peri = require "perigee"
local n = 3000
local m = peri.model "outer"
local x = m:var("x", n, { start = -1 })
m:minimize(peri.map(n - 1, function(i) return (1 - x[i])^2 + 100 * (x[i + 1] - x[i]^2)^2 end):sum())
m:subject_to(x:sum():eq(n / 2))
return m
END
    shown_lines "stty cols 140; '$perigee' solve inside.lua --solver 'penalty > lbfgs' -o tolerance=0 -o lbfgs.tolerance=0 --time-limit 2s"
    grep -Eq '^outer: iteration [0-9]+ .*lbfgs: [0-9]+, ' lines
    pass $? "of a plan, the inner solve" || say "$(cat lines)"
fi
# shellcheck disable=SC2086 # words
try "$perigee" $words
is "$(cat err)" "" "a pipe gets no progress"
try "$perigee" --verbose solve long.lua --solver lbfgs -o iterations=45
is "$(grep -c '^ iter ' err)" 3 "--verbose: a header each 20 rows"
is "$(grep -Ec '^ +[0-9]+ ' err)" 46 "a row for each iteration"
has err '^ iteration_limit +f = .*kkt = .*45 iterations' "and how it ended"

done_testing
