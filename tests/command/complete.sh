#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# complete.sh - completion in shells: what the command proposes, bash driven as the line editor drives it, zsh where it is installed.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1
PATH=$build:$PATH
mkdir folder && touch model.lua case.m run.json other.txt folder/inner.lua

# shellcheck source=/dev/null
. "$source/dsl/completion/perigee"
is "$(complete -p perigee)" "complete -F _perigee perigee" "bash knows who completes"

# completed LINE - by the words that bash would make of it; what it offers, sorted, in one line
completed()
{
    local line=$1 rest word
    COMP_LINE=$line COMP_POINT=${#line} COMP_WORDS=()
    rest=$line
    while [[ $rest =~ ^[[:space:]]*([=:]+|[^[:space:]=:]+)(.*)$ ]]; do
        word=${BASH_REMATCH[1]} rest=${BASH_REMATCH[2]}
        COMP_WORDS+=("$word")
        [ -n "$rest" ] || break
    done
    [[ $line != *[[:space:]] ]] || COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    _perigee
    printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//'
}

is "$(completed 'perigee so')" "solve solvers" "commands"
is "$(completed 'perigee sol')" "solve solvers" "commands that begin alike"
is "$(completed 'perigee mod')" "model.lua" "or a script"
is "$(completed 'perigee solve ')" "case.m folder model.lua" "files that can be solved, and folders"
is "$(completed 'perigee solve folder/')" "folder/inner.lua" "in a folder"
is "$(completed 'perigee report r')" "run.json" "results"
is "$(completed 'perigee run model.lua ')" "case.m folder model.lua other.txt run.json" "a script's words: any file"
is "$(completed 'perigee solve --ti')" "--time-limit" "options of the command"
is "$(completed 'perigee solve --verb')" "--verbose" "and of every command"
is "$(completed 'perigee --mem')" "--memory-limit" "before the command too"
is "$(completed 'perigee show trust')" "trust-ncg" "plugins"
is "$(completed 'perigee show mum')" "mumps" "of every kind"
is "$(completed 'perigee solve --solver mum')" "" "but a solver is asked for here"
is "$(completed 'perigee solve --solver trust')" "trust-ncg" "its name"
is "$(completed 'perigee solve --solver=trust')" "trust-ncg" "also behind ="
is "$(completed 'perigee solvers --kind lin')" "linear_solver" "kinds"
is "$(completed 'perigee help rep')" "repl report" "pages"
is "$(completed 'perigee solve model.lua -s lbfgs -o mem')" "memory= memory_limit=" "options of the chosen solver"
is "$(completed 'perigee solve model.lua -s ipm -o mem')" "memory_limit=" "not of another"
is "$(completed 'perigee solve model.lua -s ipm -o barrier=m')" "monotone" "choices"
is "$(completed 'perigee solve model.lua -s ipm -o scaling=')" "false true" "switches"
is "$(completed 'perigee solve model.lua -o linear_solver=mum')" "mumps" "linear solvers"
is "$(completed 'perigee solve model.lua -o tol')" "tol= tolerance=" "options of the engine"
is "$(completed 'perigee solve "model.lua" -s "augmented-lagrangian > lbfgs" -o memo')" "memory= memory_limit=" "options of a plan's links"

# what is proposed is what there is
"$perigee" complete line 'perigee ' | cut -f 1 | grep -v '^:' | LC_ALL=C sort >proposed
"$perigee" help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' | LC_ALL=C sort >commands
is "$(cat proposed)" "$(cat commands)" "all commands, none that is hidden"
"$perigee" solvers | awk '{ print $1 }' | LC_ALL=C sort >installed
"$perigee" complete words perigee show '' | cut -f 1 | grep -v '^engine$' | LC_ALL=C sort >proposed
is "$(cat proposed)" "$(cat installed)" "all plugins"
try "$perigee" complete nothing
refused 1 'perigee complete: the first word' "a mistake"

if command -v zsh >/dev/null 2>&1; then
    zsh -n "$source/dsl/completion/_perigee" 2>err
    pass $? "the zsh file is zsh" || say "$(cat err)"
    # the completion system, with a listing in place of the menu
    cat >drive.zsh <<'END'
zmodload zsh/zpty
zpty -b shell zsh -f -i
said() { local part all=; while zpty -r -t shell part; do all+=$part; done; print -rn -- $all; }
run() { zpty -w shell "$1"; }
run 'PROMPT="%%"; autoload -Uz compinit; fpath=('"${(q)1}"' $fpath); compinit -u -D; echo re''ady'
for ((k = 0; k < 100; k++)); do out+=$(said); [[ $out == *ready* ]] && break; sleep 0.05; done
zpty -wn shell $'perigee solve --solver trust\t'
out=
for ((k = 0; k < 100; k++)); do out+=$(said); [[ $out == *-ncg* ]] && break; sleep 0.05; done
[[ $out == *-ncg* ]]
result=$?
print -r -- "$out"
zpty -d shell
exit $result
END
    TERM=xterm zsh -f drive.zsh "$source/dsl/completion" >out 2>&1
    pass $? "zsh completes a solver's name" || say "$(cat -v out)"
fi

done_testing
