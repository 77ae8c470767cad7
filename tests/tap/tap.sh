# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# tap.sh - tests of the command in bash that speak TAP. A test sources it, calls `try` for each run of the command and looks at what
# came out, and ends with `done_testing`. Files go to the folder $work, which is kept when something failed.
set -u
# Signals that whoever started the tests ignores, as nohup does, would be ignored by the command too.
if [ -z "${tap_signals-}" ] && env --default-signal=HUP,INT,QUIT,PIPE,TERM true 2>/dev/null; then
    tap_signals=default exec env --default-signal=HUP,INT,QUIT,PIPE,TERM bash "$0" "$@"
fi
build=${PERIGEE_BUILD:?is the build folder}
source=${PERIGEE_SOURCE:?is the source folder}
perigee=$build/perigee
sanitizers=$("$perigee" version 2>/dev/null | sed -n 's/^  flags.* \(-fsanitize=[^ ]*\).*/\1/p') # of the build, or nothing
work=$(mktemp -d "${TMPDIR:-/tmp}/perigee-test.XXXXXX") || exit 1
tests=0
failed=0
status=0

say() # TEXT - as diagnostics
{
    printf '%s\n' "$1" | head -n 20 | sed 's/^/# /'
}

pass() # CONDITION-STATUS NAME
{
    tests=$((tests + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $tests - ${2//#/ }"
        return 0
    fi
    failed=$((failed + 1))
    echo "not ok $tests - ${2//#/ }"
    return 1
}

# try COMMAND... - runs it; $status, and the files $work/out and $work/err
try()
{
    "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
}

ended() # STATUS NAME - how the last `try` ended
{
    [ "$status" -eq "$1" ]
    pass $? "$2" || say "exit status $status, want $1; standard error: $(cat "$work/err")"
}

is() # GOT WANT NAME
{
    [ "$1" = "$2" ]
    pass $? "$3" || { say "got  $1"; say "want $2"; }
}

has() # FILE PATTERN NAME - a line of $work/FILE matches the extended regular expression
{
    grep -Eq -e "$2" "$work/$1"
    pass $? "$3" || { say "no line matches: $2"; say "$(cat "$work/$1")"; }
}

has_not() # FILE PATTERN NAME
{
    ! grep -Eq -e "$2" "$work/$1"
    pass $? "$3" || say "$(cat "$work/$1")"
}

one_line() # FILE NAME
{
    [ "$(wc -l <"$work/$1")" -eq 1 ]
    pass $? "$2" || say "$(cat "$work/$1")"
}

# refused STATUS PATTERN NAME - the last `try` ended with the status and one line on standard error that matches
refused()
{
    [ "$status" -eq "$1" ] && [ "$(wc -l <"$work/err")" -eq 1 ] && grep -Eq -e "$2" "$work/err"
    pass $? "$3" || { say "exit status $status, want $1 and one line with: $2"; say "$(cat "$work/err")"; }
}

lua() # NAME CODE ARGS... - a test in Lua: its last value must be true
{
    local name=$1 code=$2 said
    shift 2
    said=$(LUA_PATH="$source/tests/tap/?.lua;;" "${LUA:-lua5.4}" -e "local json = require 'json' $code" "$@" 2>&1 </dev/null)
    pass $? "$name" || say "$said"
}

done_testing()
{
    echo "1..$tests"
    if [ "$failed" -eq 0 ]; then
        rm -rf "$work"
        exit 0
    fi
    echo "# files are kept in $work"
    exit 1
}
