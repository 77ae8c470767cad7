# SPDX-License-Identifier: Apache-2.0
# docs/local.mk - pages and examples, distributed as they are; tests/lua/docs.lua and tests/lua/examples.lua run them.

docs = \
	docs/architecture.md \
	docs/hosts.md \
	docs/plugins.md \
	docs/plugins-in-lua.md \
	docs/guide/1-first-steps.md \
	docs/guide/2-variables-and-expressions.md \
	docs/guide/3-constraints-and-objectives.md \
	docs/guide/4-solving-and-results.md \
	docs/guide/5-data-and-power.md \
	docs/guide/6-command-line.md \
	docs/guide/7-methods-and-foreign-code.md \
	docs/guide/8-surviving.md \
	docs/guide/9-two-levels.md \
	docs/guide/10-solutions-inside-models.md

examples = \
	examples/01-rosenbrock.lua \
	examples/02-constraints-and-duals.lua \
	examples/03-logistic-regression.lua \
	examples/04-optimal-power-flow.lua \
	examples/05-optimal-control.lua \
	examples/06-parameter-sweep.lua \
	examples/07-which-depends-on-which.lua \
	examples/08-hyperparameters.lua \
	examples/09-tolls.lua \
	examples/10-support-vectors.lua \
	examples/11-implicit-layer.lua \
	examples/12-physics.lua \
	examples/13-sorption.lua \
	examples/14-flow.lua

host_examples = examples/hosts/mpc.c examples/hosts/script.c examples/hosts/small.py

plugin_examples = \
	examples/plugins/complementarity-penalty.lua \
	examples/plugins/log-barrier.lua \
	examples/plugins/spg.c \
	examples/plugins/spg.lua

EXTRA_DIST += $(docs) $(host_examples) $(plugin_examples) examples/plugins/conjugate-gradients.cc $(examples) $(examples:.lua=.expected) examples/03-logistic-regression.csv

# What each line of the command's log has.
dist_pkgdata_DATA = docs/log.schema.json
