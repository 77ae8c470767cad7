#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Scores of exchanges are shared out to threads: an answer of topo has the same bits for any number of them.
. "${PERIGEE_SOURCE:?}/tests/tap/tap.sh"
cd "$work" || exit 1

cat >learn.lua <<'END'
local peri = require "perigee"
local dag = require "perigee.dag"
local W = dag.random_weights(dag.random_graph { nodes = 50, edges = 200, seed = 2 }, { seed = 2 })
local X = dag.simulate(W, { samples = 200, seed = 2 })
for _, rule in ipairs { "greedy", "best", "first" } do
  local r = dag.topo(X, { seed = 1, s_small = 300, s_large = 1000, s0 = 2, accept_rule = rule })
  print(rule, ("%a"):format(r.solution.objective), r.solution.iterations, table.concat(r.order, " "))
end
END
for n in 1 2 4; do
    "$perigee" run --quiet --threads "$n" learn.lua >"threads$n" 2>&1
    pass $? "with $n threads" || say "$(cat "threads$n")"
done
is "$(wc -l <threads1)" 3 "three answers"
is "$(cat threads2)" "$(cat threads1)" "two threads: the same bits as one"
is "$(cat threads4)" "$(cat threads1)" "four threads: the same bits as one"

done_testing
