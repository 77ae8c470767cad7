#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# start.sh - the cost of starting does not grow with what is installed: with a hundred more plugins a run loads the one that it uses,
# and no library of linear algebra.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1

mkdir plugins
find "$build/plugins" -name '*.so' -exec cp {} plugins/ \;
# shellcheck disable=SC2086 # a list of words
${CC:-cc} $sanitizers -std=c11 -O1 -I"$source/engine/include" -fPIC -shared -o descent.so "$source/tests/install/descent.c" 2>err
pass $? "a plugin to copy" || say "$(cat err)"
for ((k = 100; k < 200; k++)); do
    LC_ALL=C sed "s/descent/desc$k/g" descent.so >"plugins/desc$k.so" # a name of the same length
done
export PERIGEE_PLUGIN_PATH="$work/plugins"
try "$perigee" index plugins
ended 0 "the index of a hundred more"
try "$perigee" solvers
is "$(grep -c '^desc1[0-9][0-9] ' out)" 100 "all are listed"

cat >model.lua <<'END'
local peri = require "perigee"
local m = peri.model "rosenbrock"
local x = m:var("x", 2, { start = { -1.2, 1 } })
m:minimize((1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2)
print(m:solve().status)
END
LD_DEBUG=files LD_DEBUG_OUTPUT="$work/loaded" try "$perigee" run model.lua
is "$(cat out)" "locally_optimal" "a run"
cat loaded.* >loaded
has_not loaded 'desc1' "loads none of them"
is "$(grep -c 'plugins/.*\.so.*generating link map' loaded)" 1 "but the one that it uses"
has_not loaded 'openblas|lapack|cholmod|mumps' "and no linear algebra"

done_testing
