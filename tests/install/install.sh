#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# install.sh - an installation in a prefix with a space, under DESTDIR, used where it lies: the command, a plugin and a C host built from
# it with pkg-config, the binding in plain Lua; then removed without a trace.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1
unset MAKEFLAGS MAKELEVEL MAKEOVERRIDES MFLAGS PERIGEE_PLUGIN_PATH LUA_PATH LUA_CPATH

installation=(make -s -C "$build" DESTDIR="$work/stage" prefix="/opt/peri gee")
try "${installation[@]}" install
ended 0 "make install"
root="$work/stage/opt/peri gee"
mv "$work/stage" "$work/moved" # nothing may remember where it was put
root="$work/moved/opt/peri gee"

cat >model.lua <<'END'
local peri = require "perigee"
local m = peri.model "rosenbrock"
local x = m:var("x", 2, { start = { -1.2, 1 } })
m:minimize((1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2)
local sol = m:solve("lbfgs")
print(sol.status, ("%.4f %.4f"):format(sol[x][1], sol[x][2]), peri.power ~= nil)
END
try "$root/bin/perigee" run model.lua
ended 0 "the installed command runs a script"
is "$(cat out)" $'locally_optimal\t1.0000 1.0000\ttrue' "with its plugins and its standard library"
try "$root/bin/perigee" solvers --json
lua "its plugins are its own" '
  for _, e in ipairs(json.file(arg[1])) do assert(e.file:find("moved/opt/peri gee", 1, true), e.file) end' - "$work/out"

# ---- pkg-config

export PKG_CONFIG_PATH="$root/lib/pkgconfig"
pkg_config=${PKG_CONFIG:-pkg-config}
is "$("$pkg_config" --modversion perigee)" "$("$root/bin/perigee" version | sed -n '1s/perigee \([^ ]*\).*/\1/p')" \
    "pkg-config tells the command's version"
variable()
{
    eval "echo $("$pkg_config" --variable="$1" perigee)" # pkg-config quotes spaces
}
[ -f "$(variable plugindir)/index" ]
pass $? "plugindir is where the plugins are"
is "$(variable abi_major).$(variable abi_minor)" "$("$root/bin/perigee" version | sed -n 's/^ *plugin ABI *//p')" "the ABI"

compiler=${CC:-cc}
[ -z "$sanitizers" ] || compiler="$compiler $sanitizers"
eval "$compiler -std=c11 -Wall -Wextra -Wpedantic -Werror $("$pkg_config" --cflags perigee)" \
    "-fPIC -shared -Wl,-z,defs -o descent.so '$source/tests/install/descent.c'" 2>err
pass $? "a plugin is built outside the tree" || say "$(cat err)"
cp descent.so "$(variable plugindir)/"
try "$root/bin/perigee" solvers
has out "^descent +solver +steepest descent" "a plugin that is copied there is found, not yet in the index"
try "$root/bin/perigee" index "$(variable plugindir)"
ended 0 "and noted down"
grep -q descent "$(variable plugindir)/index"
pass $? "in the index"

for kind in solver reformulation linear_solver; do
    try "$root/bin/perigee" new-plugin "fresh-$kind" --kind $kind --folder "fresh $kind"
    ended 0 "new-plugin: a $kind"
    try make -s -C "fresh $kind" CC="$compiler" CFLAGS=-O1 WARNINGS="-Wall -Wextra -Wpedantic -Werror" check
    ended 0 "make check in it builds against the installed headers, finds optima, keeps the contract" || say "$(tail -n 30 out)"
done
try make -s -C "fresh solver" CC="$compiler" CFLAGS=-O1 install
ended 0 "make install in it"
try "$root/bin/perigee" show fresh-solver
has out "^fresh-solver - gradient descent" "puts it where the installed command finds it"
rm -f "$(variable plugindir)/fresh-solver.so"

eval "$compiler -std=c11 -Wall -Wextra -Wpedantic -Werror $("$pkg_config" --cflags perigee)" \
    "-o host '$source/tests/install/host.c' $("$pkg_config" --libs perigee)" 2>err
pass $? "a C host is built outside the tree" || say "$(cat err)"
export LD_LIBRARY_PATH="$root/lib"
try ./host descent
ended 0 "and runs"
is "$(cat out)" "optimal descent 1.0000 -2.0000" "with that plugin" || say "$(cat err)"
try ./host lbfgs
is "$(cat out)" "optimal lbfgs 1.0000 -2.0000" "and with one of the engine's" || say "$(cat err)"

# ---- the examples for hosts, by the installed headers and pkg-config alone

warnings="-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Werror"
eval "$compiler $warnings $("$pkg_config" --cflags perigee) -o mpc '$source/examples/hosts/mpc.c' $("$pkg_config" --libs perigee) -lm" 2>err
pass $? "the control loop is built" || say "$(cat err)"
try ./mpc
ended 0 "and brings the pendulum up"
has out "requests of memory after the first plan: 0" "without a request of memory after the first plan"

eval "$compiler $warnings $("$pkg_config" --cflags perigee-lua) -o script '$source/examples/hosts/script.c'" \
    "$("$pkg_config" --libs perigee-lua)" 2>err
pass $? "the host of scripts is built" || say "$(cat err)"
if [ -z "$sanitizers" ]; then # they need more address space than the host gives
    echo 'local m = perigee.test_functions.rosenbrock and perigee.model "m" local x = m:var("x", 2) m:minimize(perigee.sum((x - 1)^2)) return m:solve()' >good.lua
    echo 'while true do pcall(function() while true do end end) end' >endless.lua
    echo 'return string.find(("a"):rep(100000), (".-"):rep(30) .. "b")' >stuck.lua
    echo 'return io.open("/etc/passwd")' >curious.lua
    try ./script good.lua
    ended 0 "it solves what a script asks"
    has out '^result .*"status":"optimal"' "and has the result"
    try ./script endless.lua
    ended 1 "an endless script"
    has out '^error endless.lua:1: time limit reached' "ends in time"
    try ./script stuck.lua
    has out '^error the script( did not end in time|.s process died)' "one that no hook ends is killed"
    try ./script curious.lua
    has out '^error curious.lua:1: ' "and one that reads files finds none"
fi

printf '#include <perigee/perigee.h>\n#include <perigee/plugin.h>\nint main() { return peri_version()[0] == 0; }\n' >host.cc
eval "${CXX:-c++} $sanitizers -std=c++11 -Wall -Wextra -Wpedantic -Werror $("$pkg_config" --cflags perigee) -o host_cxx host.cc" \
    "$("$pkg_config" --libs perigee)" 2>err && ./host_cxx
pass $? "a C++ host is built and runs" || say "$(cat err)"
eval "$compiler -std=c11 $("$pkg_config" --cflags perigee) -o static '$source/tests/install/host.c' '$root/lib/libperigee.a'" \
    "$("$pkg_config" --libs-only-l --static perigee | sed 's/-lperigee//g')" 2>err
pass $? "a host with the engine inside is built" || say "$(cat err)"
PERIGEE_PLUGIN_PATH="$(variable plugindir)" try ./static lbfgs
is "$(cat out)" "optimal lbfgs 1.0000 -2.0000" "and runs" || say "$(cat err)"

if [ -n "$sanitizers" ] || ! command -v python3 >/dev/null 2>&1 || ! python3 -c 'import ctypes' 2>/dev/null; then
    pass 0 "Python # SKIP there is none, or it cannot load what the sanitizers built"
else
    LIBPERIGEE="$root/lib/libperigee.so.0" try python3 "$source/examples/hosts/small.py"
    is "$(cat out)" "volume 4.0000 of 2.0000 x 2.0000 x 1.0000" "Python through ctypes" || say "$(cat err)"
    [ "$(wc -l <"$source/examples/hosts/small.py")" -le 40 ]
    pass $? "in 40 lines"
fi
unset LD_LIBRARY_PATH

# ---- plain Lua

if [ -z "$sanitizers" ]; then # an interpreter without them cannot load the binding
    LUA_PATH="$(variable luadir)/?.lua;;" LUA_CPATH="$(variable luacdir)/?.so;;" try "${LUA:-lua5.4}" model.lua
    ended 0 "the binding in plain Lua"
    is "$(cat out)" $'locally_optimal\t1.0000 1.0000\ttrue' "gives the same"
fi

# ---- removal

rm -f "$(variable plugindir)/descent.so"
mv "$work/moved" "$work/stage"
try "${installation[@]}" uninstall
ended 0 "make uninstall"
is "$(find stage ! -type d)" "" "leaves no file"
is "$(find stage -type d -name '*perigee*')" "" "and no folder of its own"

done_testing
