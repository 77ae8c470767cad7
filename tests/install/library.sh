#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# library.sh - what the library and the plugins are made of: no variable that can be written, but for what is listed here with its reason; nothing
# of Lua in the engine; no function that prints, ends the process or changes its settings, but for what is listed.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1

if [ -n "$sanitizers" ]; then
    say "the objects hold the sanitizers' own variables"
    pass 0 "not looked at # SKIP under sanitizers"
    done_testing
    exit
fi

# Symbols in sections that stay writable; what the compiler puts into every shared object is left out.
writable()
{
    objdump -t "$1" | awk '/ \.(data|bss|tdata|tbss|ldata|lbss)\t/ && $NF !~ /^\./ { print $NF }' |
        grep -vxE 'completed\.[0-9]+|__dso_handle|__TMC_END__|__cpu_model|__cpu_features2' | sort -u
}

# loading: the lock that lets one shared object be loaded at a time, as its constructors may do anything
is "$(writable "$build/libperigee.so.0" | tr '\n' ' ')" "loading " "libperigee has no variables but one lock"

# peri_host_table: where a plugin keeps the address of the engine's functions, the same for every context
# one_at_a_time: MUMPS keeps the call under way in variables of its own
unexpected=
while read -r file; do
    for name in $(writable "$file"); do
        case $name:$(basename "$file") in
        peri_host_table:*.so | one_at_a_time:mumps.so) ;;
        *) unexpected="$unexpected $name($(basename "$file"))" ;;
        esac
    done
done < <(find "$build/plugins" -name '*.so')
is "$unexpected" "" "plugins have none but the address of the engine's functions and MUMPS's lock"
is "$(writable "$build/perigee.so" | tr '\n' ' ')" "" "the Lua binding has none"

imports()
{
    nm -D --undefined-only "$1" | awk '{ print $2 }' | sed 's/@.*//'
}
is "$(imports "$build/libperigee.so.0" | grep '^lua')" "" "the engine needs nothing of Lua"
is "$(ldd "$build/libperigee.so.0" | grep -icE 'lua|ffi|blas|lapack|cholmod|mumps')" 0 "and no library of it, of foreign functions or of linear algebra"

# _exit, signal, write: the child process of an isolated solve. setlocale, stdout, stderr: put back as they were after foreign code
is "$(imports "$build/libperigee.so.0" |
    grep -xE 'printf|vprintf|puts|putchar|fprintf|vfprintf|fputs|fputc|fwrite|perror|write|stdout|stderr|abort|exit|_exit|setlocale|signal|sigaction|srand|rand|atexit' |
    tr '\n' ' ')" "_exit setlocale signal stderr stdout write " "it calls nothing that prints, ends the process or changes its settings"

done_testing
