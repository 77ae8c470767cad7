#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# repl.sh - the interactive session: chunks from a pipe, and on a pseudo-terminal editing, completion, history and Control-C.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1

piped() # TEXT - the session reads it from a pipe
{
    printf '%s' "$1" | "$perigee" repl >out 2>err
    status=$?
}

piped $'1 + 1\n_ * 21\n"text"\n{ 1, { b = 2 }, a = "c" }\nnil\n_.a\n'
ended 0 "a pipe of expressions"
is "$(cat out)" $'2\n42\ntext\n{ 1, { b = 2 }, a = "c" }\nnil\nc' "each is printed; _ is the last result that is not nil"
is "$(cat err)" "" "no prompt, no banner"
piped $'for i = 1, 2 do\n  print(i)\nend\nf = function(a)\n  return a * 3\nend\nf(\n2)\ns = [[one\ntwo]]\ns\n'
is "$(cat out)" $'1\n2\n6\none\ntwo' "a chunk that is not complete goes on"
piped $'x x\n1\nerror "mine"\nerror{}\n2\n'
ended 1 "chunks that fail: exit status 1"
is "$(cat out)" $'1\n2' "the others run"
is "$(cat err)" $'stdin:1: syntax error near \'x\'\nstdin:1: mine\nstdin: error object is a table value' "an error is one line"
piped $'f(1,\n'
refused 1 'stdin:1: .* near <eof>' "input that ends within a chunk"
piped $'m = peri.model "a"\nx = m:var("x", 2)\nx[1] <= 2\nm:minimize((x[1] - 3)^2 + x[2]^2)\nc = m:subject_to(x[1] <= 2)\nsol = m:solve "ipm"\n("%.4f"):format(sol[x][1])\n'
is "$(cat out)" "2.0000" "a model and its solution"
refused 1 'stdin:1: this comparison .* subject_to' "a comparison that nothing takes is an error, and does not stay"
piped $'m = peri.model "a"\nx = m:var "x"\nerror(x <= 1)\nx + 1\n'
is "$(wc -l <err)" 1 "nor after another error" || say "$(cat err)"
piped ''
ended 0 "nothing"

# ---- on a terminal

if ! command -v script >/dev/null 2>&1 || [ ! -e /dev/pts/ptmx ]; then
    echo "# the rest needs script and pseudo-terminals"
    done_testing
fi

mkfifo keys
begin() # - a session on a terminal; what it writes goes to the file typed
{
    : >typed
    seen=0
    TERM=xterm LC_ALL=C.UTF-8 XDG_STATE_HOME="$work/state" timeout -k 1 300 script -qfec "exec '$perigee' repl" typed <keys >/dev/null 2>&1 &
    process=$!
    exec 7>keys
    prompted
}

# until_it COMMAND... - waits for it, as long as the session lives
until_it()
{
    while ! "$@"; do
        kill -0 "$process" 2>/dev/null || return 1
        sleep 0.02
    done
}

new() # TEXT - the terminal has it behind what was there at the last `press`
{
    grep -qF -e "$1" <(tail -c "+$((seen + 1))" typed)
}

at_prompt() # - a prompt is the last thing that came: keys go to the editor
{
    [ "$(wc -c <typed)" -gt "$seen" ] && [[ $(tail -c 8 typed) =~ $'\n'\>+' '$ ]]
}

shown() # TEXT
{
    until_it new "$1"
}

prompted()
{
    until_it at_prompt
}

press() # KEYS - and from here on `shown` and `prompted` look
{
    seen=$(wc -c <typed)
    printf '%b' "$1" >&7
}

enter() # LINE - and waits until what it says is done
{
    press "$1\n"
    prompted
}

leave()
{
    press '\x04'
    exec 7>&-
    wait "$process"
}

begin
grep -q "peri is there" typed
pass $? "a terminal gets a banner"
press 'peri.logsum\t\n'
shown 'function:' && prompted
pass $? "Tab completes a name that is the only one"
enter 'm = peri.model "a"; x = m:var("x", 2)'
enter 'm:mini\t(x[1]^2 + x[2]^2)'
enter 's = m:solve("trust\t", { ite\t = 50 })'
press 's.sta\t, s.solver\n'
shown $'optimal\ttrust-ncg' && prompted
pass $? "methods, solvers, options and fields too" || say "$(cat typed)"
enter 'sol = s'
press 'sol:\t\t'
shown 'reduced_cost'
pass $? "a second Tab shows the names" || say "$(cat typed)"
press '\x03'
prompted
press 'if true then\n'
shown '>> ' && prompted
pass $? "another prompt within a chunk"
press '\x03'
prompted
press '"after" .. 1\n'
shown 'after1' && prompted
pass $? "Control-C drops the chunk"
press '("\xc3\xa4"):byte(1, -1)\n'
shown $'195\t164' && prompted
pass $? "characters beyond ASCII arrive"
press 'print "on" while true do end\n'
shown $'\non'
press '\x03'
shown 'interrupted' && prompted
pass $? "Control-C ends a loop"
enter 'n = 2000; q = peri.model "long"; y = q:var("y", n, { start = -1 })'
enter 'q:minimize(peri.map(n - 1, function(i) return (1 - y[i])^2 + 100 * (y[i + 1] - y[i]^2)^2 end):sum())'
press 's = q:solve("lbfgs", { tolerance = 0, iterations = 1000000000 }) print(s.status, "end")\n'
shown 'long: iteration'
pass $? "a solve shows its progress"
press '\x03'
shown 'interrupted' && shown 'end' && prompted
pass $? "Control-C ends it with the best point so far" || say "$(tail -c 500 typed)"
enter 's = q:solve("lbfgs", { iterations = 3 })'
press 's.iterations * 1000 + 7\n'
shown 3007 && prompted
pass $? "and the next solve runs" || say "$(tail -c 500 typed)"
leave
pass $? "Control-D ends the session with exit status 0" || say "$(tail -c 500 typed)"

begin
press '\x1b[A\n'
shown 's.iterations' && prompted
pass $? "the arrow brings back the last line of the session before" || say "$(cat typed)"
leave
is "$(grep -c '' state/perigee/history | tr -d ' ')" "$(grep -vc '^$' state/perigee/history)" "a line of the history for each that was typed"
is "$(stat -c %a state/perigee/history)" 600 "which is the person's alone"

begin
press 'print "busy" while not io.open "go" do end\n'
shown $'\nbusy'
press '\x0412345 * 2\n'
shown 12345 # the keys are there
: >go
exec 7>&-
wait "$process"
pass $? "Control-D typed while a chunk runs ends the session after it"
has_not typed 24690 "and nothing that follows is run"

done_testing
