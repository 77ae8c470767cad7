#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# isolate.sh - `--isolate`: what plugins and compiled functions do to their process ends the solve with a result, and the script goes on; and an
# interruption reaches what does not listen.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1
mkdir plugins
ln -s "$build/tests/bad/dies.so" "$build/tests/plugin/cxx_throws.so" plugins/
export PERIGEE_PLUGIN_PATH=$work/plugins:$build/plugins

cat >model.lua <<'END'
local m = require("perigee").model "m"
local x = m:var("x", 2, { start = 8 })
m:minimize(x[1]^2 + x[2]^2)
return m
END

# died STATUS OUTCOME MESSAGE HOW... - perigee solve with the plugin that dies
died()
{
    local status_wanted=$1 outcome=$2 message=$3 how=$4
    shift 4
    try "$perigee" solve model.lua --solver dies -o how="$how" --isolate --json result.json "$@"
    refused "$status_wanted" "$message" "$how: exit status and one line"
    has out "^status +$outcome \($message" "$how: the report"
    lua "$how: the best point and its certificate" 'local r = json.file(arg[1])
        assert(r.status == arg[2] and r.iterations == 4 and r.variables.x[1] == 0.5 and r.certificate.primal == 0)' - result.json "$outcome"
}
died 1 error 'plugin dies crashed \(SIGSEGV\) in step 5' crash
died 1 error 'plugin dies crashed \(SIGABRT\) in step 5' abort
died 1 error 'plugin dies ended its process \(exit status 0\) in step 5' exit
died 4 time_limit 'plugin dies did not stop at the time limit and was killed in step 5' hang --time-limit 200ms -o grace=0.1
if [ -z "$sanitizers" ]; then
    ulimit -S -v 4000000 # should the limit not work, the machine goes on
    died 1 error 'plugin dies crashed \(SIGSEGV\) in step 5' memory --memory-limit 100MiB
    ulimit -S -v unlimited
fi
try "$perigee" solve model.lua --solver cxx_throws --isolate
[ "$status" -eq 1 ]
pass $? "an exception that leaves a C++ plugin"
has out '^status +error \(plugin cxx_throws crashed \(SIGABRT\) in step 3' "ends the solve"
try "$perigee" solve model.lua --solver dies -o how=not --isolate --quiet
ended 0 "a solve in a child"
cp out isolated
try "$perigee" solve model.lua --solver dies -o how=not --quiet
is "$(grep -v '^solver' out)" "$(grep -v '^solver' isolated)" "tells what it tells without"

# What the child inherits unwritten is written once.
cat >twice.lua <<'END'
io.write("begin ")
local m = require("perigee").model "m"
local x = m:var("x", { start = 8 })
m:minimize(x^2)
local s = m:solve("dies", { how = "exit", isolate = true })
io.write(s.status, " ", s.message, "\n")
s = m:solve("dies", { how = "not" })
print(s.iterations)
END
try "$perigee" run twice.lua
ended 0 "a script goes on after a plugin has left"
is "$(cat out)" $'begin error plugin dies ended its process (exit status 0) in step 5\n40' "and its output is there once"

cat >callback.lua <<'END'
local peri = require "perigee"
local m = peri.model "m"
local x = m:var("x", { start = 8 })
local rows, calls = 0, 0
m:minimize(peri.blackbox(function(v) calls = calls + 1 return v^2 end, x))
local s = m:solve("dies", { how = "not", callback = function(row) rows = row.iteration return rows < 6 end })
print(s.status, rows, calls > 0)
print(pcall(m.solve, m, "dies", { how = "not", callback = function() error "enough" end }))
m:minimize(peri.blackbox(function(v) if v < 1 then error "too small" end return v^2 end, x))
print(pcall(m.solve, m, "dies", { how = "not" }))
END
try "$perigee" run --isolate callback.lua
ended 0 "functions of the script"
has out '^interrupted	6	false$' "the callback of iterations is the script's own; a black box works on a copy"
has out '^false	callback\.lua:8: enough$' "an error in a callback is raised"
has out '^false	callback\.lua:10: function "blackbox" failed: callback\.lua:9: too small$' "and one in a black box told"

# ---- compiled functions

cat >fragile.c <<'END'
#include <stddef.h>
#include <stdlib.h>
double fragile(size_t n, const double *x);
double fragile(size_t n, const double *x)
{
    if (x[0] < 1)
        abort();
    return n > 1 ? x[0] * x[0] + x[1] : x[0] * x[0];
}
END
cat >foreign.lua <<'END'
local peri = require "perigee"
local f = peri.foreign { library = "./fragile.so", symbol = "fragile" }
local m = peri.model "m"
local x = m:var("x", 1, { start = 8 })
m:minimize(f(x))
local s = m:solve("dies", { how = "not", isolate = true })
print(s.status, s.message, s.objective, s:value(x)[1])
END
# shellcheck disable=SC2086
if $CC $([ -z "$sanitizers" ] || echo "$sanitizers") -shared -fPIC -o fragile.so fragile.c 2>cc.log && "$perigee" run - <<<'require("perigee").foreign { symbol = "pow", type = "double(double, double)" }' 2>/dev/null; then
    try "$perigee" run foreign.lua
    ended 0 "a compiled function that crashes ends the solve, not the script"
    has out '^error	function "fragile" crashed \(SIGABRT\) in step 4 of dies	1\.0	1\.0$' "and is told by its name, with the best point so far"
else
    echo "ok $((++tests)) # skip no foreign functions here"
fi

# ---- interruption

set -m
cat >hang.lua <<'END'
local m = require("perigee").model "m"
local x = m:var("x", { start = 8 })
m:minimize(x^2)
local s = m:solve("dies", { how = "hang", isolate = true, grace = 0.1, callback = function(row) if row.iteration == 4 then io.open("begun", "w"):close() end end })
print(s.status, s.message, s.iterations)
END
hang() # SIGNALS... - the script in the background; they are sent one after the other
{
    rm -f begun
    "$perigee" run hang.lua >out 2>err </dev/null &
    process=$!
    for ((k = 0; k < 500; k++)); do
        [ -e begun ] && break
        sleep 0.02
    done
    sleep 0.05
    read -r child _ <"/proc/$process/task/$process/children"
    for signal in "$@"; do
        kill -"$signal" "$process"
    done
    wait "$process"
    status=$?
}
hang INT
ended 5 "INT while a plugin hangs"
has out '^interrupted	plugin dies did not stop when interrupted and was killed in step 5	4$' "the script has the best point"
hang KILL
is_alive() # one that has ended may wait for a parent that never asks
{
    kill -0 "$child" 2>/dev/null && ! grep -q '^State:[[:space:]]*Z' "/proc/$child/status" 2>/dev/null
}
for ((k = 0; k < 500; k++)); do
    is_alive || break
    sleep 0.02
done
[ -n "$child" ] && ! is_alive
pass $? "a child does not outlive the program"
done_testing
