#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# bench.sh - the benchmark's families at small sizes: values are those of the hand-written functions, derivatives agree with complex steps; and a
# family whose hand-written functions are wrong is found out.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1

# section NAME - what the last run printed of a family
section()
{
    awk -v name="$1:" '/^[^ ]/ { inside = $1 == name } inside' out
}

try "$source/bench/run" --check
ended 0 "all families"
for path in "$source"/bench/families/*.lua; do
    name=$(basename "$path" .lua)
    [ -n "$(section "$name")" ] && ! section "$name" | grep -q WRONG && ! grep -q "^bench/run: $name:" err
    pass $? "family $name" || say "$(section "$name"; cat err)"
done

# ---- wrong families

spoil() # SED-COMMAND NAME - the Rosenbrock family with a mistake in C
{
    mkdir -p wrong
    cp "$source/bench/families/rosenbrock.lua" wrong/
    sed "$1" "$source/bench/families/rosenbrock.c" >wrong/rosenbrock.c
    ! cmp -s wrong/rosenbrock.c "$source/bench/families/rosenbrock.c"
    pass $? "$2: there is a mistake"
    try "$source/bench/run" --check --families wrong rosenbrock
    ended 1 "$2 fails"
    has out "$3" "  and says where"
}
spoil 's/return 100.0 \* a \* a + b/return 100.0000001 * a * a + b/' "a wrong value" '^  value .*WRONG'
spoil 's/200.0 \* before/200.001 * before/' "a wrong gradient" '^  value and gradient .*WRONG'
spoil 's/c1200 = 1200.0/c1200 = 1200.0001/' "a wrong Hessian" '^  Hessian values .*WRONG'
spoil 's/\.n = n,/.n = n + 1,/' "a wrong size" 'reference'

try "$source/bench/run" --check nosuch
refused 1 'no family is called nosuch; there are: ' "an unknown family"
try "$source/bench/run" --nosuch
ended 2 "an unknown option"
done_testing
