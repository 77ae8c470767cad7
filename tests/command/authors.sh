#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# authors.sh - for plugin authors: new-plugin makes folders that build and pass in the build tree, of each kind; check-plugin passes
# what is right and finds what is wrong, crashes, hangs and exits included, with the place.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1
unset MAKEFLAGS MAKELEVEL MAKEOVERRIDES MFLAGS PERIGEE_PLUGIN_PATH LUA_PATH LUA_CPATH
export PKG_CONFIG_PATH="$build"
strict="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"
making=(make -s CC="${CC:-cc} $sanitizers" WARNINGS="$strict" CFLAGS=-O1)

# ---- what new-plugin refuses

try "$perigee" new-plugin My-Method
refused 2 '"My-Method" is no name for a plugin' "a name that the registry would refuse"
try "$perigee" new-plugin x --kind linear-solver
refused 2 'no template is for the kind "linear-solver" .did you mean "linear_solver"' "an unknown kind"
mkdir there
try "$perigee" new-plugin there
refused 2 "there: is there already" "a folder that is there"
is "$(ls there)" "" "and it is left alone"
try "$perigee" new-plugin x --folder nowhere/x
refused 1 "nowhere/x: making it failed: No such file" "a folder that cannot be made"
try "$perigee" new-plugin lbfgs --folder taken
ended 0 "a name that an installed plugin has is taken all the same"
has err 'warning: the name "lbfgs" is that of a solver in ' "with a warning"
rm -rf taken

# ---- each kind, with a space in the folder's name

for kind in solver reformulation linear_solver; do
    try "$perigee" new-plugin "my-$kind" --kind $kind --folder "a $kind"
    ended 0 "new-plugin: $kind"
    try "${making[@]}" -C "a $kind" check
    ended 0 "$kind: builds without a warning, finds the optima, keeps the contract" || say "$(tail -n 30 out)"
    has out "^plugin/my-$kind.so: all [0-9]+ checks passed" "$kind: all checks"
    ! grep -q '@NAME@' "a $kind"/*
    pass $? "$kind: no mark is left over"
done
try "$perigee" check-plugin "a solver/plugin/my-solver.so" --tap
ended 0 "check-plugin --tap"
has_not out '^not ok' "has no failure"
is "$(tail -n 1 out)" "1..$(grep -cE '^(not )?ok' out)" "and its plan"
PERIGEE_PLUGIN_PATH="$work/a solver/plugin:$build/plugins" try "$perigee" show my-solver
has out "^Minimises a smooth function without bounds and constraints" "its page is shown"
PERIGEE_PLUGIN_PATH="$work/a\\ solver/plugin:$build/plugins" try "$perigee" show my-solver
ended 0 "from a folder as pkg-config tells it, with a backslash before its space"

# ---- in Lua

for kind in solver reformulation linear_solver; do
    try "$perigee" new-plugin "lua-$kind" --kind $kind --lua
    ended 0 "new-plugin --lua: $kind"
    try "${making[@]}" -C "lua-$kind" check
    ended 0 "$kind in Lua: finds the optima, keeps the contract" || say "$(tail -n 30 out)"
    has out "^plugin/lua-$kind.lua: all [0-9]+ checks passed" "$kind in Lua: all checks"
done
mkdir slips
sed 's/"lua-solver"/"slips"/; s/or run:should_stop() and "limit" or/or/; s/if f and f <= reference/if f <= reference/' \
    lua-solver/plugin/lua-solver.lua >slips/slips.lua
try "$perigee" check-plugin slips/slips.lua
ended 1 "one that forgets that a function may be undefined"
has out 'slips: .*a domain error ends as it should|slips: an undefined value ends as it should' "is found"
echo 'return {}' >slips/none.lua
try "$perigee" check-plugin slips/none.lua
ended 1 "a Lua file without a plugin"
has out 'it cannot be used' "is told"

# ---- what check-plugin finds: the solver with one fault each

# broken NAME LINE CODE - the solver, CODE put before the line of its step that has LINE
broken()
{
    mkdir -p "$1/plugin"
    sed "/^static peri_status step(/,/^}/ { /$2/ i $3
}
1,/^#include/ s/^#include.*/&\n#include <signal.h>\n#include <stdlib.h>/" "a solver/my-solver.c" |
        sed "s/\"my-solver\"/\"$1\"/" >"$1/$1.c"
    sed "s/my-solver/$1/" "a solver/Makefile" >"$1/Makefile"
    "${making[@]}" -C "$1" "plugin/$1.so" 2>err || say "$(cat err)"
}

broken crash 'bool found' 'if (s->iteration == 2) raise(SIGSEGV);'
try "$perigee" check-plugin crash/plugin/crash.so
ended 1 "a crash"
has out '^  known problems +(crashed .Segmentation fault.|ended the process .exit status 1.) at: one variable, infinite bounds' \
    "is told with the place"
has out '^  (table, options and page) +ok' "and the other parts are looked at"
has out '^  limits' "before and after it"

broken leaves 'bool found' 'if (s->iteration == 2) exit(0);'
try "$perigee" check-plugin leaves/plugin/leaves.so --only known
ended 1 "a plugin that ends the process"
has out '^  known problems +ended the process .exit status 0. at: one variable' "is told"

broken hangs 'bool found' 'while (s->iteration == 2) s->opt.shrink = 0.5;'
try "$perigee" check-plugin hangs/plugin/hangs.so --only known --time-limit 1s
ended 1 "an endless loop"
has out '^  known problems +took more than 1 s and was stopped at: one variable' "is stopped and told"

broken remembers 'bool found' 'static int calls; s->length *= 1 + 1e-3 * ++calls;'
try "$perigee" check-plugin remembers/plugin/remembers.so --only repeated
ended 1 "a static variable"
has out 'the same seed twice is the same run to the last bit' "is found by the second run"

broken claims 'bool found' 'if (s->iteration == 0) return peri_finish(run, PERI_WHY_CONVERGED, next);'
try "$perigee" check-plugin claims/plugin/claims.so
ended 1 "a method that only claims"
has out 'claims: solves some of those that it takes' "is found by the certificate"

broken allocates 'bool found' 'if (peri_alloc_bytes(run, 1000, 1000) == NULL) return PERI_E_NOMEM;'
try "$perigee" check-plugin allocates/plugin/allocates.so --only allocate
ended 1 "a step that allocates"
has out 'allocates: one variable, infinite bounds: no step allocates|allocates: Rosenbrock.s function: no step allocates' "is found"

mkdir signs
sed 's/"my-linear_solver"/"signs"/; /inertia->negative +=/d' "a linear_solver/my-linear_solver.c" >signs/signs.c
sed 's/my-linear_solver/signs/' "a linear_solver/Makefile" >signs/Makefile
"${making[@]}" -C signs plugin/signs.so
try "$perigee" check-plugin signs/plugin/signs.so
ended 1 "a linear solver whose inertia is wrong"
has out 'signs: quasi-definite: inertia' "is found"

# ---- files that are none

try "$perigee" check-plugin nothing.so
refused 2 'nothing.so: No such file' "no file"
try "$perigee" check-plugin model.lua
refused 2 'model.lua: No such file' "no Lua file"
echo text >text.so
try "$perigee" check-plugin text.so
ended 1 "a file that is no shared object"
has out 'refused: not a shared object' "is refused by the loader"
try "$perigee" check-plugin "$build/tests/bad/major.so"
ended 1 "a plugin of another ABI"
has out 'refused: stamp.major is 2, this host has ABI 1' "is refused by its stamp"

done_testing
