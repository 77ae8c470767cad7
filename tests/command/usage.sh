#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage.sh - what may be typed: every sub-command's help, and every wrong word with the right one that is nearest to it.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1

try "$perigee" help
ended 0 "help"
for command in run solve solvers show explain check version help; do
    has out "^  $command " "the overview has $command"
done
cp out overview
try "$perigee" --help
is "$(cat out)" "$(cat overview)" "--help is help"
try "$perigee"
ended 2 "no command"
is "$(cat out err)" "$(cat overview)" "shows the overview on standard error"

for command in run solve solvers show explain check version help; do
    try "$perigee" help "$command"
    ended 0 "help $command"
    is "$(head -n 2 out | grep -c '^  \$ perigee ')" 2 "begins with two examples"
    cp out page
    try "$perigee" "$command" --help
    is "$(cat out)" "$(cat page)" "$command --help is the same"
done

try "$perigee" version
ended 0 "version"
has out "^perigee [0-9]+\.[0-9]+\.[0-9]+" "tells the version"
has out "^  Lua +Lua 5\.4\.[0-9]" "Lua's release"
has out "^  plugin ABI +[0-9]+\.[0-9]+" "the ABI"
has out "^  compiler +(gcc|clang) " "the compiler"
cp out version
try "$perigee" --version
is "$(cat out)" "$(cat version)" "--version is the same"

wrong() # PATTERN WORDS... - wrong usage, one line
{
    local pattern=$1
    shift
    try "$perigee" "$@"
    refused 2 "$pattern" "perigee $*"
}
wrong 'perigee: "slove" is neither a command nor a script \(did you mean "solve"\?\)' slove x.lua
wrong 'perigee: "qqqqqqq" is neither .*perigee help' qqqqqqq
wrong 'unknown option "--verbos" \(did you mean "--verbose"\?\)' --verbos run x.lua
wrong 'perigee solve: unknown option "--jsn" \(did you mean "--json"\?\)' solve x.lua --jsn out
wrong 'unknown option "-z"$' solve -z x.lua
wrong 'option "--json": OUT is missing' solve x.lua --json
wrong '"--quiet=3": --quiet takes no value' --quiet=3 run x.lua
wrong 'option "-o tol": must be KEY=VALUE' solve x.lua -o tol
wrong 'perigee run: SCRIPT.lua \[ARGS...\] is missing' run
wrong 'perigee solve: FILE is missing' solve
wrong 'perigee solve: one word too many: "b.lua"' solve a.lua b.lua
wrong 'perigee version: one word too many: "3"' version 3
wrong 'no command is called "shwo" \(did you mean "show"\?\)' help shwo
wrong 'no kind of plugin is called "linear-solver" \(did you mean "linear_solver"\?\)' solvers --kind linear-solver
wrong '--time-limit "10q": must be a time' solve a.lua --time-limit 10q
wrong '--time-limit "-1": must be a time' solve a.lua --time-limit -1
wrong '--time-limit "nan": must be a time' solve a.lua --time-limit=nan
wrong '--threads "0": must be a number of threads from 1 to 1024' --threads 0 run a.lua
wrong '--blas-threads "two": must be a number of threads' --blas-threads two run a.lua
wrong '--memory-limit "much": must be a size' --memory-limit much run a.lua
wrong '"imp"' show imp
has err 'did you mean "ipm"' "a plugin's name that is nearly right"

# ---- what is installed

try "$perigee" solvers
ended 0 "solvers"
for name in ipm lbfgs trust-ncg cholmod mumps lapack; do
    has out "^$name +(solver|linear_solver) +[^ ]" "a line for $name"
done
try "$perigee" solvers --kind linear_solver --json
ended 0 "solvers --kind --json"
lua "is JSON and holds that kind only" '
  local list = json.file(arg[1])
  assert(#list >= 3)
  for _, e in ipairs(list) do
    assert(e.kind == "linear_solver" and #e.name > 0 and #e.summary > 0 and #e.license > 0 and #e.file > 0)
  end' - "$work/out"
for name in ipm lbfgs trust-ncg; do
    try "$perigee" show "$name"
    ended 0 "show $name"
    has out "^  [a-z_]+ = " "has its options"
    try "$perigee" show "$name" --json
    lua "and as JSON" 'local p = json.file(arg[1]) assert(p.name == arg[2] and #p.options > 0)' - "$work/out" "$name"
done

done_testing
