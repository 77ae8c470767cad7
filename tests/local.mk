# SPDX-License-Identifier: Apache-2.0
# tests/local.mk - TAP programs under one driver. A C test is tests/FOLDER/NAME.t from NAME.c, linked with the archive so that it
# sees the engine's inner functions; a Lua test is run by plain lua5.4 with the built binding.

TEST_EXTENSIONS = .t .lua .sh
TAP = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
T_LOG_DRIVER = $(TAP)
LUA_LOG_DRIVER = $(TAP)
LUA_LOG_COMPILER = $(LUA)
SH_LOG_DRIVER = $(TAP)
SH_LOG_COMPILER = $(BASH)

AM_TESTS_ENVIRONMENT = \
	PERIGEE_PLUGIN_PATH='$(abs_top_builddir)/plugins' \
	PERIGEE_BUILD='$(abs_top_builddir)' PERIGEE_SOURCE='$(abs_top_srcdir)' \
	LUA_PATH='$(abs_top_srcdir)/tests/tap/?.lua;;' LUA_CPATH='$(abs_top_builddir)/?.so;;' \
	OPENBLAS_NUM_THREADS=1 LC_ALL=C \
	CC='$(CC)' CXX='$(CXX)' LUA='$(LUA)' PKG_CONFIG='$(PKG_CONFIG)'; \
	export PERIGEE_PLUGIN_PATH PERIGEE_BUILD PERIGEE_SOURCE LUA_PATH LUA_CPATH OPENBLAS_NUM_THREADS LC_ALL \
	CC CXX LUA PKG_CONFIG;

check_LIBRARIES += tests/libtap.a
tests_libtap_a_SOURCES = tests/tap/tap.c tests/tap/tap.h

unit_tests = \
	tests/unit/base_fail.t \
	tests/unit/base_hash.t \
	tests/unit/base_mem.t \
	tests/unit/base_num.t \
	tests/unit/base_rng.t \
	tests/unit/eval_ops.t \
	tests/unit/diff_random.t \
	tests/unit/diff_roll.t \
	tests/unit/expr_build.t \
	tests/unit/io_json.t \
	tests/unit/io_token.t \
	tests/unit/model_classify.t \
	tests/unit/oracle_nlp.t \
	tests/unit/run_certify.t \
	tests/unit/run_outcome.t \
	tests/unit/run_solve.t \
	tests/unit/linear_solvers.t

tests_unit_model_classify_t_SOURCES = tests/unit/model_classify.c tests/unit/text_model.h
tests_unit_oracle_nlp_t_SOURCES = tests/unit/oracle_nlp.c tests/unit/text_model.h
tests_unit_run_certify_t_SOURCES = tests/unit/run_certify.c tests/unit/text_model.h
tests_unit_run_solve_t_SOURCES = tests/unit/run_solve.c tests/unit/text_model.h
tests_unit_diff_roll_t_SOURCES = tests/unit/diff_roll.c tests/unit/random_graph.c tests/unit/random_graph.h
tests_unit_diff_random_t_SOURCES = tests/unit/diff_random.c tests/unit/random_graph.c tests/unit/random_graph.h

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)

EXTRA_DIST += tests/tap/tap.lua
