# SPDX-License-Identifier: Apache-2.0
# tools/local.mk - checks of the source itself, run as tests.
# They have no ending, so that a newcomer can type tools/check-style; the suffix-less tests have a driver of their own.

source_checks = tools/check-includes tools/check-style
TESTS += $(source_checks)
LOG_DRIVER = $(TAP)
LOG_COMPILER = $(BASH)
EXTRA_DIST += $(source_checks)

# ---- what `perigee check-plugin` runs: the contract of tests/plugin, with a reporter and processes of its own

checkerdir = $(libexecdir)/perigee
checker_PROGRAMS = perigee-check-plugin
perigee_check_plugin_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/dsl/c $(LUA_CFLAGS)
perigee_check_plugin_SOURCES = tools/check-plugin/main.c tools/check-plugin/in_lua.c tools/check-plugin/in_lua.h \
	tools/check-plugin/report.c tools/check-plugin/report.h tests/tap/checks.c $(contract_sources)
perigee_check_plugin_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=peri_host_functions
perigee_check_plugin_LDADD = $(dsl_library) libperigee.a $(LUA_COMMAND_LIBS) $(FFI_LIBS) $(engine_libs)

# ---- what `perigee new-plugin` makes folders of

templatedir = $(pkgdatadir)/new-plugin
dist_template_DATA = \
	tools/new-plugin/linear_solver-test.lua \
	tools/new-plugin/linear_solver.c \
	tools/new-plugin/linear_solver.lua \
	tools/new-plugin/make-c \
	tools/new-plugin/make-lua \
	tools/new-plugin/readme-c \
	tools/new-plugin/readme-lua \
	tools/new-plugin/reformulation-test.lua \
	tools/new-plugin/reformulation.c \
	tools/new-plugin/reformulation.lua \
	tools/new-plugin/solver-test.lua \
	tools/new-plugin/solver.c \
	tools/new-plugin/solver.lua

# In a build tree they lie beside the command, as a link to the source.
new-plugin:
	$(AM_V_GEN)rm -f $@ && $(LN_S) '$(top_srcdir)/tools/new-plugin' $@
all-local: new-plugin
CLEANFILES += new-plugin
