#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# plugins-page.sh - docs/plugins.md followed to the letter in an empty folder: a block that is headed by a file's name goes into that file,
# below the one before; a block of shell is run. And the page's table has every function of perigee/plugin.h, its links exist.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1
unset MAKEFLAGS MAKELEVEL MAKEOVERRIDES MFLAGS PERIGEE_PLUGIN_PATH LUA_PATH LUA_CPATH
export PKG_CONFIG_PATH="$build" PATH="$build:$PATH" CC="${CC:-cc} $sanitizers" MAKEFLAGS="-s"
page=$source/docs/plugins.md

# The page as a script: what a reader does.
awk '
/^```/ && !inside { inside = 1; kind = $1; file = $2
    if (file != "") { print (file in seen ? "cat >>" : "cat >") file " <<\047END-OF-BLOCK\047"; seen[file] = 1 } next }
/^```/ { if (file != "") print "END-OF-BLOCK"; inside = 0; file = ""; next }
inside && (file != "" || kind == "```sh") { print }' "$page" >steps

mkdir empty
cd empty || exit 1
try bash -e ../steps
ended 0 "every step of the page works" || say "$(tail -n 20 "$work/out")"
has out "^damped - Newton's method with a regularised Hessian" "its method is shown"
has out "^plugin/damped.so: all [0-9]+ checks passed" "and keeps the contract"
has out "^plugin/my-walls.so: all [0-9]+ checks passed" "as does the reformulation"
has out "^plugin/my-ldl.so: all [0-9]+ checks passed" "and the linear solver"
has out "^plugin/my-lua.lua: all [0-9]+ checks passed" "and the plugin in Lua"
has_not out "note: .*not solved" "and solves all that they take"
has out "^optimal" "the test's problem is solved"
eval "$CC -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror $(pkg-config --cflags perigee)" \
    "-fPIC -shared -Wl,-z,defs -o strict.so damped/damped.c -lm" 2>"$work/err"
pass $? "its code compiles without a warning" || say "$(cat "$work/err")"

eval "${CXX:-c++} $sanitizers -std=c++11 -Wall -Wextra -Wpedantic -Werror -O1 $(pkg-config --cflags perigee)" \
    "-fPIC -shared -o conjugate-gradients.so '$source/examples/plugins/conjugate-gradients.cc'" 2>"$work/err"
pass $? "the example in C++ compiles without a warning" || say "$(cat "$work/err")"
try perigee check-plugin conjugate-gradients.so
ended 0 "and keeps the contract" || say "$(cat "$work/out")"

missing=
for name in $(sed -n 's/^PERI_.*PERI_INLINE.* \**\(peri_[a-z_]*\)(.*/\1/p; s/^PERI_INLINE.*[ *]\(peri_[a-z_]*\)(.*/\1/p' \
    "$source/engine/include/perigee/plugin.h" | sort -u); do
    sed -n '/^# Every function/,$p' "$page" | grep -q "\`$name(\|, \`$name(" || missing="$missing $name"
done
is "$missing" "" "the table has every function of the header"
absent=
for link in $(sed -n 's/.*](\([^)#:]*\)).*/\1/p' "$page"); do
    [ -e "$source/docs/$link" ] || absent="$absent $link"
done
is "$absent" "" "what it links to is there"

done_testing
