# SPDX-License-Identifier: Apache-2.0
# stdlib/local.mk - the standard library: Lua files that are installed as they are.

perigeeluadir = $(luadir)/perigee
dist_perigeelua_DATA = \
	stdlib/perigee/cops.lua \
	stdlib/perigee/dag.lua \
	stdlib/perigee/data.lua \
	stdlib/perigee/hard_constraints.lua \
	stdlib/perigee/json.lua \
	stdlib/perigee/mappings.lua \
	stdlib/perigee/nn.lua \
	stdlib/perigee/plots.lua \
	stdlib/perigee/power.lua \
	stdlib/perigee/proximal.lua \
	stdlib/perigee/test_functions.lua \
	stdlib/perigee/usage.lua

perigeeluadagdir = $(perigeeluadir)/dag
dist_perigeeluadag_DATA = \
	stdlib/perigee/dag/graph.lua \
	stdlib/perigee/dag/methods.lua \
	stdlib/perigee/dag/model.lua \
	stdlib/perigee/dag/orders.lua \
	stdlib/perigee/dag/simulate.lua

perigeeluacopsdir = $(perigeeluadir)/cops
dist_perigeeluacops_DATA = \
	stdlib/perigee/cops/collocation.lua \
	stdlib/perigee/cops/control.lua \
	stdlib/perigee/cops/fitting.lua \
	stdlib/perigee/cops/shapes.lua

perigeeluadatadir = $(perigeeluadir)/data
dist_perigeeluadata_DATA = \
	stdlib/perigee/data/bolib.lua \
	stdlib/perigee/data/csv.lua \
	stdlib/perigee/data/libsvm.lua \
	stdlib/perigee/data/matpower.lua \
	stdlib/perigee/data/matrix_market.lua \
	stdlib/perigee/data/nist.lua

perigeeluapowerdir = $(perigeeluadir)/power
dist_perigeeluapower_DATA = stdlib/perigee/power/synthetic.lua

perigeeluatestdir = $(perigeeluadir)/test_functions
dist_perigeeluatest_DATA = \
	stdlib/perigee/test_functions/hock_schittkowski.lua \
	stdlib/perigee/test_functions/unconstrained.lua

# Commands that are written in Lua.
perigeeluacommanddir = $(perigeeluadir)/command
dist_perigeeluacommand_DATA = \
	stdlib/perigee/command/chart.lua \
	stdlib/perigee/command/complete.lua \
	stdlib/perigee/command/pages.lua \
	stdlib/perigee/command/repl.lua \
	stdlib/perigee/command/report.lua
