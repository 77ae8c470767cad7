#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sandbox.sh - `perigee run --sandbox`: what a script from somebody else may do, and that every way out that is known, or a way to stay for ever or to
# eat everything, ends in one line, with a status that is not 0, within the limit.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1

# the leak checker looks into its process from outside, which a sandbox does not allow
[ -z "$sanitizers" ] || export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
memory=(--memory-limit 64MiB)
most=5500 # milliseconds: less than the parent waits before it kills, however slow the machine
[ -z "$sanitizers" ] || most=10000

limit=0.4s
script() # CODE - runs it; $status, $took
{
    local began
    printf '%b' "$1" >script.lua
    began=$(date +%s%N)
    try "$perigee" run --sandbox --time-limit "$limit" "${memory[@]}" script.lua
    took=$((($(date +%s%N) - began) / 1000000))
}

# attack STATUS PATTERN NAME CODE
attack()
{
    script "$4"
    refused "$1" "$2" "$3"
    [ "$took" -lt "$most" ]
    pass $? "ends in time ($took ms)"
}

time='time limit of 0\.4 s reached'
none='is not available in a sandbox'
value='attempt to (call|index) a nil value'

# ---- endless

attack 4 "$time" "a loop" 'while true do end'
attack 4 "$time" "a loop of protected calls" 'while true do pcall(function() while true do end end) end'
attack 4 "$time" "with a handler that loops" 'while true do xpcall(function() while true do end end, function() while true do end end) end'
attack 4 "$time" "a coroutine" 'local c = coroutine.wrap(function() while true do pcall(error) end end) while true do c() end'
attack 4 "$time" "a coroutine for each turn" 'while true do pcall(coroutine.wrap(function() while true do end end)) end'
attack 4 "$time" "a value to be closed" 'local x <close> = setmetatable({}, { __close = function() while true do pcall(error) end end })'
attack 4 "$time" "a comparison of table.sort" 'while true do pcall(table.sort, { 3, 1, 2 }, function() while true do end end) end'
attack 4 "$time" "a metamethod" 'local t = setmetatable({}, { __index = function(t, k) while true do end end }) while true do pcall(function() return t.x end) end'
attack 4 "$time" "a pattern that backtracks" 'print(("a"):rep(40):find(("a*"):rep(20) .. "b"))'
attack 4 "$time" "a black box" 'local peri = require "perigee" local m = peri.model "m" local x = m:var("x")
m:minimize(peri.blackbox(function(v) while true do pcall(error) end end, x)) while true do pcall(m.solve, m, "nelder-mead") end'
attack 4 "$time" "solves without end" 'local peri = require "perigee" local m = peri.model "m" local x = m:var("x", 500, { start = -1 })
m:minimize(peri.map(499, function(i) return (1 - x[i])^2 + 100 * (x[i + 1] - x[i]^2)^2 end):sum())
while true do pcall(m.solve, m, "lbfgs", { tolerance = 0, iterations = 1e9 }) end'
attack 1 "setmetatable: __gc $none" "a finaliser" 'setmetatable({}, { __gc = function() while true do end end })'
attack 1 "setmetatable: __mode $none" "a weak table" 'setmetatable({}, { __mode = "k" })'
script 'local mt = {} local t = setmetatable({}, mt) mt.__gc = function() while true do end end t = nil for i = 1, 1e5 do t = {} end'
ended 0 "a finaliser that comes later is none"

# ---- memory

lack='out of memory; --memory-limit allows'
limit=60s
most=20000
attack 1 "$lack" "a string" 'local s = "x" while true do s = s .. s end'
attack 1 "$lack" "string.rep" 'local s = ("x"):rep(1e9)'
attack 1 'resulting string too large' "string.rep beyond everything" 'local s = ("x"):rep(1 << 62)'
attack 1 "$lack" "tables in protected calls" 'local t, s = {}, ("x"):rep(1e6) while true do pcall(function() while true do t[#t + 1] = s .. #t end end) end'
attack 1 "$lack" "models in protected calls" 'local m = require("perigee").model "m" local n = 0
while true do n = n + 1 pcall(m.var, m, "x" .. n, 100000) end'
script 'local m = require("perigee").model "m" pcall(string.rep, "x", 1e9) local ok, why = pcall(m.var, m, "x", 1e4) print(ok, why) while true do end'
[ "$status" -eq 1 ]
pass $? "after memory is out nothing goes on" || say "$(cat out err)"
attack 1 'stack overflow|out of memory' "recursion" 'local function f() return 1 + f() end f()'
attack 1 'stack overflow|out of memory' "recursion through a metamethod" 'local t = {} setmetatable(t, { __index = function(t, k) return t[k .. ""] end }) print(t.x)'
attack 1 'C stack overflow' "parentheses without end" 'local c = ("("):rep(300) error(c .. " C stack overflow")'
attack 1 'stack overflow|\.\.\.$' "coroutines that close each other" 'local function f() local co = coroutine.wrap(function()
local x <close> = setmetatable({}, { __close = f }) coroutine.yield() end) co() co() end f()'

# ---- code and files

limit=20s

printf 'return string.dump(function() return 1 end)' >dump.lua
"${LUA:-lua5.4}" -e 'io.open("bytes.luac", "wb"):write(string.dump(function() print "in" end)):close()'
try "$perigee" run --sandbox bytes.luac
refused 1 'attempt to load a binary chunk' "bytecode as the script"
for name in load loadfile dofile collectgarbage io os debug package; do
    attack 1 "$value" "no $name" "local f = $name f(1) f.x()"
done
attack 1 "$value" "no string.dump" 'print(string.dump(print))'
attack 1 "$value" "nor as a string's method" 'print((""):dump())'
for module in io os debug package ffi perigee/../x perigee..x; do
    attack 1 "require: module '.*' $none" "no module $module" "require '$module'"
done
attack 1 "foreign $none" "foreign functions" 'require("perigee").foreign { symbol = "abort" }'
attack 1 "io.open $none" "the readers of data" 'require("perigee").data.csv("/etc/passwd")'
attack 1 "save $none" "saving" 'local peri = require "perigee" local m = peri.model "m" local x = m:var("x") m:minimize(x^2) m:solve():save("x")'
attack 1 "attempt to index a string value" "the metatable of strings" 'getmetatable("").__index = nil'
script 'string.format = nil table.insert = nil math.floor = nil print(("%d"):format(3), getmetatable(""))'
is "$(cat out)" $'3\tstring' "is locked"
script 'string.format = nil require("perigee").format = nil print(("%d"):format(3))'
is "$(cat out)" 3 "what the script does to a library stays with the script"
[ ! -e x ]
pass $? "no file was written"
script 'getmetatable(require("perigee").array { 1 }).__index = nil'
refused 1 'attempt to index a string value' "metatables of the binding are locked"
script 'require "perigee" getmetatable(true).__lt = nil'
refused 1 'attempt to index a string value' "and that of booleans"
script 'error(("x"):rep(1e6))'
refused 1 'x \.\.\.$' "a line of a megabyte is cut"
[ "$(wc -c <err)" -lt 1000 ]
pass $? "to something readable"

# ---- what it is for

cat >good.lua <<'END'
local peri = require "perigee"
local m = peri.model "good"
local x = m:var("x", 2, { start = 3 })
m:minimize((x[1] - 1)^4 + x[2]^2)
m:subject_to(x[1] + x[2] >= 1)
local seen = 0
local s = m:solve("ipm", { callback = function() seen = seen + 1 end })
print(s.status, seen > 0, arg[0], arg[1], ..., peri.test_functions ~= nil)
END
try "$perigee" run --sandbox good.lua word
ended 0 "a model is solved"
has out $'^optimal\ttrue\tgood\\.lua\tword\tword\ttrue$' "with the words and the standard library"
try "$perigee" run --sandbox --isolate good.lua word
ended 0 "in a child of the child too"
is "$(echo 'print("from a pipe")' | "$perigee" run --sandbox -)" "from a pipe" "a script from standard input"
echo 'error "no luck"' >fails.lua
try "$perigee" run --sandbox fails.lua
refused 1 '^fails\.lua:1: no luck$' "an error is told as ever"
printf 'for i = 1, 1e6 do print(("x"):rep(100)) end' >long.lua
"$perigee" run --sandbox --file-size-limit 100kB long.lua >long.out 2>err </dev/null
status=$?
refused 1 'writing to standard output failed: File too large' "a file that is too large"
[ "$(wc -c <long.out)" -le 100000 ]
pass $? "is not written further"

mkdir plugins
ln -s "$build/tests/bad/dies.so" plugins/
exec 7<"$PERIGEE_SOURCE/README.md"
cat >files.lua <<'END'
local m = require("perigee").model "m"
local x = m:var("x", { start = 8 })
m:minimize(x^2)
print(m:solve("dies", { how = "write", at = 2 }).status)
END
PERIGEE_PLUGIN_PATH=$work/plugins try "$perigee" run --sandbox files.lua
ended 0 "a plugin that opens files"
if [ -e dies-was-here ]; then
    grep -q landlock /sys/kernel/security/lsm 2>/dev/null
    [ $? -ne 0 ]
    pass $? "writes one only where the kernel has no Landlock"
    has out 'inherited 0' "and has none that it inherited"
else
    pass 0 "writes none"
    has out 'inherited 0' "and has none that it inherited"
fi
rm -f dies-was-here
PERIGEE_PLUGIN_PATH=$work/plugins try "$perigee" run files.lua
[ -e dies-was-here ]
pass $? "as it does outside a sandbox"

ln -s "$build/tests/bad/escapes.so" plugins/
printf 'local m = require("perigee").model "m" local x = m:var("x", { start = 8 }) m:minimize(x^2) m:solve "escapes"' >escapes.lua
PERIGEE_PLUGIN_PATH=$work/plugins try "$perigee" run escapes.lua
refused 1 'did: process program socket signal$' "outside, a plugin may do all that its user may"
if ldconfig -p 2>/dev/null | grep -q 'libseccomp\.so\.2' && grep -q '^Seccomp_filters:' /proc/self/status; then
    PERIGEE_PLUGIN_PATH=$work/plugins try "$perigee" run --sandbox escapes.lua
    refused 1 'did:$' "inside, no process, no program, no socket, no signal to another"
    try "$perigee" run --sandbox --threads 2 good.lua word
    ended 0 "threads are there"
else
    say "no libseccomp, or a kernel without filters: system calls are not filtered here"
fi

printf 'local m = require("perigee").model "m" local x = m:var("x", { start = 8 }) m:minimize(x^2) m:solve("dies", { how = "crash" })' >crash.lua
PERIGEE_PLUGIN_PATH=$work/plugins try "$perigee" run --sandbox crash.lua
refused 1 'crash\.lua: its process was ended by signal 11' "a crash is a line"

# ---- limits without a sandbox

printf 'while true do end' >loop.lua
try "$perigee" run --time-limit 200ms loop.lua
refused 4 '^loop\.lua:1: time limit of 0\.2 s reached$' "--time-limit ends a script"
printf 'coroutine.wrap(function() while true do end end)()' >loop.lua
try "$perigee" run --time-limit 200ms loop.lua
refused 4 '^perigee: time limit of 0\.2 s reached$' "one in a coroutine a second later"
printf 'print "short"' >short.lua
try "$perigee" run --time-limit 10s short.lua
ended 0 "one that ends before does not notice"
printf 'assert(io.open("big", "w")):write(("x"):rep(1e6)):close()' >big.lua
try "$perigee" run --file-size-limit 100K big.lua
ended 1 "--file-size-limit"
is "$(wc -c <big)" 102400 "ends a file at its limit"
cat >model.lua <<'END'
local m = require("perigee").model "m"
local x = m:var("x", 100, { start = 1 })
m:minimize(x:dot(x))
return m
END
try "$perigee" solve model.lua --json result.json --file-size-limit 100
ended 1 "for a result too"
has err 'result\.json: writing failed: File too large' "which is told"
[ ! -e result.json ]
pass $? "and is whole or not there"
done_testing
