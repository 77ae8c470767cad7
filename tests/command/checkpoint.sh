#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checkpoints of the command: killed at random times and resumed until it ends, the result is that of a run that was left alone. The log's lines
# of each kind of run fit the installed schema.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1

lua() # NAME PROGRAM ARGS...
{
    name=$1
    shift
    printf 'local json = require "json"\n%s\n' "$1" >check.lua
    shift
    LUA_PATH="$source/tests/tap/?.lua;;" "${LUA:-lua5.4}" check.lua "$@" >lua.out 2>&1
    pass $? "$name" || say "$(cat lua.out)"
}

cat >slow.lua <<'END'
local peri = require "perigee"
local m = peri.model "slow"
local x = m:var("x", 40, { start = -1.2 })
local f = 0
for i = 1, 39 do f = f + 100 * (x[i + 1] - x[i]^2)^2 + (1 - x[i])^2 end
m:minimize(f)
return m
END
RANDOM=${PERI_TEST_SEED:-20261}
for solver in lbfgs nelder-mead; do
    limit="-o iterations=150"
    try "$perigee" solve slow.lua --solver $solver $limit --json alone.json
    rm -f state
    kills=0
    resume=
    for ((k = 0; k < 12; k++)); do
        # shellcheck disable=SC2086 # lists of words
        "$perigee" solve slow.lua --solver $solver $limit --checkpoint state --checkpoint-every 0 $resume --json end.json >/dev/null 2>err &
        pid=$!
        sleep "0.$((RANDOM % 25 + 5))"
        if kill -9 $pid 2>/dev/null; then kills=$((kills + 1)); fi
        wait $pid 2>/dev/null
        [ -f state ] && resume="--resume state"
        [ -f end.json ] && break
    done
    if [ ! -f end.json ]; then
        # shellcheck disable=SC2086
        try "$perigee" solve slow.lua --solver $solver $limit $resume --json end.json
    fi
    say "$solver: killed $kills times, seed ${PERI_TEST_SEED:-20261}"
    lua "$solver: killed and resumed, the same answer" 'local a, b = json.file(arg[1]), json.file(arg[2])
      assert(a.status == b.status and a.iterations == b.iterations, a.iterations .. " " .. b.iterations)
      assert(a.objective == b.objective and #a.history == #b.history)
      for k, v in ipairs(a.variables.x) do assert(v == b.variables.x[k]) end
      for k, row in ipairs(a.history) do assert(row.objective == b.history[k].objective) end' "$work/alone.json" "$work/end.json"
    rm -f end.json ./state.*.new
done

try "$perigee" solve slow.lua --solver lbfgs -o iterations=5 --checkpoint state
ended 4 "stopped at a limit, with a checkpoint"
try "$perigee" solve slow.lua --solver lbfgs --resume state --json end.json
ended 0 "and resumed without it"
head -c 100 state >cut
try "$perigee" solve slow.lua --solver lbfgs --resume cut
refused 1 'cut: the checkpoint is cut' "a checkpoint that is cut"
try "$perigee" solve slow.lua --solver trust-ncg --resume state
refused 1 'state: made by lbfgs' "a checkpoint of another solver"
if [ "$sanitizers" = "" ]; then
    cp state before
    (
        ulimit -f 1
        trap '' XFSZ
        "$perigee" solve slow.lua --solver lbfgs -o iterations=20 --checkpoint state --checkpoint-every 0 >/dev/null 2>err
    )
    is "$?" 4 "no room for checkpoints: the solve goes on"
    has err "checkpoint: .*writing failed" "and says so"
    cmp -s state before
    pass $? "the checkpoint of before stays"
fi

# ---- the log's schema

schema=$source/docs/log.schema.json
validate='local schema = json.file(arg[1])
local kinds = {}
for _, s in ipairs(schema.oneOf) do kinds[s.properties.event.const] = s end
local function is(v, types)
  if type(types) ~= "table" then types = { types } end
  for _, t in ipairs(types) do
    if (t == "number" and type(v) == "number") or (t == "integer" and math.type(v) and v == math.floor(v)) or (t == "string" and type(v) == "string")
      or (t == "boolean" and type(v) == "boolean") then return true end
  end
end
local function has(list, v)
  for _, e in ipairs(list) do if e == v then return true end end
end
local count, lines = {}, json.lines(arg[2])
for n, line in ipairs(lines) do
  local s = assert(kinds[line.event], n .. ": unknown event " .. tostring(line.event))
  count[line.event] = (count[line.event] or 0) + 1
  for _, key in ipairs(s.required) do assert(line[key] ~= nil, n .. ": " .. line.event .. " lacks " .. key) end
  for key, value in pairs(line) do
    local p = assert(s.properties[key], n .. ": " .. line.event .. " has unknown " .. key)
    if p["$ref"] then p = schema["$defs"][p["$ref"]:match "[^/]+$"] end
    local found = false
    for _, q in ipairs(p.anyOf or { p }) do
      found = found or (q.const or value) == value and (q.type == nil or is(value, q.type)) and (q.enum == nil or has(q.enum, value))
    end
    assert(found, n .. ": " .. key .. " is " .. tostring(value))
  end
end
for k = 3, #arg do assert(count[arg[k]], "no " .. arg[k]) end'
logged() # NAME EVENTS COMMAND...
{
    name=$1
    events=$2
    shift 2
    rm -f run.jsonl
    try "$@"
    # shellcheck disable=SC2086
    lua "the log of $name fits the schema" "$validate" "$schema" "$work/run.jsonl" $events
}
logged "a solve" "start iteration end" "$perigee" solve slow.lua --log run.jsonl
logged "a limit" "start iteration end" "$perigee" solve slow.lua --solver ipm -o iterations=3 --log run.jsonl
logged "a warning" "start iteration warning end" "$perigee" solve slow.lua --solver lbfgs --checkpoint /nowhere/c --checkpoint-every 0 --log run.jsonl
printf 'local peri = require "perigee"\nlocal m = peri.model "m"\nlocal x = m:var("x", 2)\nm:minimize(peri.log(x[1]) + x[2])\nreturn m\n' >bad.lua
logged "an error" "start end" "$perigee" solve bad.lua --log run.jsonl
printf 'local peri = require "perigee"\nlocal m = peri.model "m"\nlocal x = m:var("x", 2)\nm:minimize(x:dot(x)) m:subject_to(x:sum() <= -1, x[1] >= 1, x[2] >= 1)\nreturn m\n' >infeasible.lua
logged "an infeasible model" "start iteration end" "$perigee" solve infeasible.lua --log run.jsonl
logged "a plan of two links" "start iteration end" "$perigee" solve infeasible.lua --solver "augmented-lagrangian > lbfgs" --log run.jsonl
logged "several solves of a script" "start iteration end" "$perigee" --log run.jsonl run "$source/examples/06-parameter-sweep.lua"
printf 'local json = require "json"\n%s\n' "$validate" >check.lua
for line in '{"event": "iteration", "iteration": 1}' '{"event": "stop"}' '{"event": "end", "status": "fine", "message": ""}' \
    '{"event": "iteration", "iteration": 1, "seconds": 0, "objective": "much", "best": true}'; do
    echo "$line" >wrong.jsonl
    LUA_PATH="$source/tests/tap/?.lua;;" "${LUA:-lua5.4}" check.lua "$schema" wrong.jsonl >/dev/null 2>&1
    is "$?" 1 "does not fit: $line"
done

done_testing
