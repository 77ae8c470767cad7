#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# pages.sh - manual pages and editors' definitions that are made from the tables: every command, plugin and option is there.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1

mkdir -p pages/man1 pages/man7
try "$perigee" pages pages
ended 0 "the pages are made"
is "$(cat err)" "" "of every plugin"

"$perigee" help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' >commands
missing=
while read -r name; do
    [ -s "pages/man1/perigee-$name.1" ] || missing="$missing $name"
    grep -qF "fBperigee ${name//-/\\-}\\fR" "pages/man1/perigee-$name.1" || missing="$missing $name:usage"
    for option in $("$perigee" help "$name" | sed -n 's/^  \(-., \|    \)--\([a-z-]*\).*/\2/p'); do
        grep -qF -e "\\-\\-${option//-/\\-}\\fR" "pages/man1/perigee-$name.1" || missing="$missing $name:$option"
    done
done <commands
is "$missing" "" "a page for each of $(wc -l <commands) commands, with all its options"

"$perigee" solvers | awk '{ print $1 }' >plugins
echo engine >>plugins
missing=
count=0
while read -r name; do
    "$perigee" show "$name" --json >facts.json
    LUA_PATH="$source/tests/tap/?.lua;;" "${LUA:-lua5.4}" - facts.json >options <<'END'
for _, o in ipairs(require "json".file(arg[1]).options) do print(o.name) end
END
    while read -r option; do
        count=$((count + 1))
        grep -qF -e "\\fB$option\\fR = " "pages/man7/perigee-$name.7" || missing="$missing $name:$option"
        awk -v class="perigee.options.${name//-/_}" -v field="$option?" '
            $1 == "---@class" { inside = $2 == class }
            $1 == "---@field" && inside && $2 == field { found = 1 }
            END { exit !found }' pages/perigee-options.d.lua || missing="$missing $name:$option:definition"
    done <options
done <plugins
is "$missing" "" "each of $count options of $(wc -l <plugins) pages, with its default, and in the definitions"
[ "$count" -gt 40 ]
pass $? "which are not few"

lua "the definitions are Lua" 'assert(loadfile(arg[1]))' - "$work/pages/perigee-options.d.lua"
if command -v man >/dev/null 2>&1; then
    for page in pages/man?/*; do
        LC_ALL=C.UTF-8 man --warnings -l -Tutf8 -Z "$page" 2>&1 >/dev/null
    done | head -n 5 >warnings
    is "$(cat warnings)" "" "man has nothing to complain about"
    LC_ALL=C.UTF-8 MANWIDTH=90 man -l pages/man7/perigee-ipm.7 2>/dev/null | col -b >shown 2>/dev/null
    has shown 'barrier_start = 0.1' "and shows an option with its default"
fi
for f in "$build"/pages/man?/* "$build"/pages/*.lua; do
    cmp -s "$f" "pages/${f#"$build"/pages/}" || echo "$f"
done >different
is "$(cat different)" "" "the build's own pages are these"

done_testing
