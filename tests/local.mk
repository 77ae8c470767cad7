# SPDX-License-Identifier: Apache-2.0
# tests/local.mk - TAP programs under one driver. A C test is tests/FOLDER/NAME.t from NAME.c, linked with the archive so that it
# sees the engine's inner functions; a Lua test is run by plain lua5.4 with the built binding.

TEST_EXTENSIONS = .t .lua .sh
TAP = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
T_LOG_DRIVER = $(TAP)
LUA_LOG_DRIVER = $(TAP)
LUA_LOG_COMPILER = $(lua_preload) $(LUA)
SH_LOG_DRIVER = $(TAP)
SH_LOG_COMPILER = $(BASH)

# A plain lua5.4 that loads sanitized objects needs the sanitizer's library before them.
if SANITIZE
lua_preload = env LD_PRELOAD=`$(CC) -print-file-name=libasan.so`
else
lua_preload =
endif

AM_TESTS_ENVIRONMENT = \
	PERIGEE_PLUGIN_PATH='$(abs_top_builddir)/plugins' \
	PERIGEE_BUILD='$(abs_top_builddir)' PERIGEE_SOURCE='$(abs_top_srcdir)' \
	LUA_PATH='$(abs_top_srcdir)/tests/tap/?.lua;;' LUA_CPATH='$(abs_top_builddir)/?.so;;' \
	OPENBLAS_NUM_THREADS=1 LC_ALL=C \
	CC='$(CC)' CXX='$(CXX)' LUA='$(LUA)' PKG_CONFIG='$(PKG_CONFIG)'; \
	export PERIGEE_PLUGIN_PATH PERIGEE_BUILD PERIGEE_SOURCE LUA_PATH LUA_CPATH OPENBLAS_NUM_THREADS LC_ALL \
	CC CXX LUA PKG_CONFIG;

check_LIBRARIES += tests/libtap.a
tests_libtap_a_SOURCES = tests/tap/checks.c tests/tap/tap.c tests/tap/tap.h tests/tap/crash.h

unit_tests = \
	tests/unit/base_fail.t \
	tests/unit/base_hash.t \
	tests/unit/base_mem.t \
	tests/unit/base_num.t \
	tests/unit/base_rng.t \
	tests/unit/eval_bands.t \
	tests/unit/eval_finite.t \
	tests/unit/eval_image.t \
	tests/unit/eval_machine.t \
	tests/unit/eval_straight.t \
	tests/unit/eval_ops.t \
	tests/unit/eval_program.t \
	tests/unit/eval_sparse.t \
	tests/unit/eval_threads.t \
	tests/unit/diff_align.t \
	tests/unit/diff_condense.t \
	tests/unit/diff_gather.t \
	tests/unit/diff_batch.t \
	tests/unit/diff_random.t \
	tests/unit/diff_blocks.t \
	tests/unit/diff_gram.t \
	tests/unit/diff_cut.t \
	tests/unit/diff_roll.t \
	tests/unit/diff_rows.t \
	tests/unit/expr_build.t \
	tests/unit/io_json.t \
	tests/unit/io_token.t \
	tests/unit/model_classify.t \
	tests/unit/finite_sum.t \
	tests/unit/oracle_nlp.t \
	tests/unit/plugin_bad.t \
	tests/unit/plugin_given.t \
	tests/unit/plugin_option.t \
	tests/unit/plugin_plan.t \
	tests/unit/plugin_registry.t \
	tests/unit/property.t \
	tests/unit/reform_points.t \
	tests/unit/run_again.t \
	tests/unit/run_silent.t \
	tests/unit/acyclic.t \
	tests/unit/run_certify.t \
	tests/unit/run_inner.t \
	tests/unit/run_isolate.t \
	tests/unit/run_implicit.t \
	tests/unit/run_levels.t \
	tests/unit/certify_levels.t \
	tests/unit/run_outcome.t \
	tests/unit/run_project.t \
	tests/unit/run_solve.t \
	tests/unit/threads_contexts.t \
	tests/unit/threads_solve.t \
	tests/unit/linear_solvers.t \
	tests/unit/local_methods.t

tests_unit_eval_threads_t_LDADD = $(LDADD) -lpthread
tests_unit_threads_contexts_t_LDADD = $(LDADD) -lpthread
tests_unit_threads_solve_t_LDADD = $(LDADD) -lpthread
tests_unit_model_classify_t_SOURCES = tests/unit/model_classify.c tests/unit/text_model.h
tests_unit_oracle_nlp_t_SOURCES = tests/unit/oracle_nlp.c tests/unit/text_model.h
tests_unit_acyclic_t_SOURCES = tests/unit/acyclic.c tests/unit/text_model.h
tests_unit_run_certify_t_SOURCES = tests/unit/run_certify.c tests/unit/text_model.h
tests_unit_run_inner_t_SOURCES = tests/unit/run_inner.c tests/unit/installed.h tests/unit/text_model.h
tests_unit_run_project_t_SOURCES = tests/unit/run_project.c tests/unit/installed.h tests/unit/text_model.h
tests_unit_certify_levels_t_SOURCES = tests/unit/certify_levels.c tests/unit/installed.h tests/unit/text_model.h
tests_unit_run_levels_t_SOURCES = tests/unit/run_levels.c tests/unit/installed.h tests/unit/text_model.h
tests_unit_run_solve_t_SOURCES = tests/unit/run_solve.c tests/unit/text_model.h
eval_graph = tests/unit/eval_graph.c tests/unit/eval_graph.h
eval_random = tests/unit/eval_random.c tests/unit/eval_random.h $(eval_graph)
tests_unit_diff_align_t_SOURCES = tests/unit/diff_align.c $(eval_graph)
tests_unit_diff_condense_t_SOURCES = tests/unit/diff_condense.c $(eval_graph)
tests_unit_diff_gather_t_SOURCES = tests/unit/diff_gather.c $(eval_graph)
tests_unit_eval_bands_t_SOURCES = tests/unit/eval_bands.c $(eval_graph)
tests_unit_eval_finite_t_SOURCES = tests/unit/eval_finite.c $(eval_random)
tests_unit_eval_image_t_SOURCES = tests/unit/eval_image.c $(eval_graph)
tests_unit_eval_machine_t_SOURCES = tests/unit/eval_machine.c $(eval_random)
tests_unit_eval_straight_t_SOURCES = tests/unit/eval_straight.c $(eval_graph)
tests_unit_eval_ops_t_SOURCES = tests/unit/eval_ops.c $(eval_graph)
tests_unit_eval_program_t_SOURCES = tests/unit/eval_program.c $(eval_graph)
tests_unit_eval_sparse_t_SOURCES = tests/unit/eval_sparse.c $(eval_graph)
tests_unit_eval_threads_t_SOURCES = tests/unit/eval_threads.c $(eval_graph)
tests_unit_diff_roll_t_SOURCES = tests/unit/diff_roll.c tests/unit/random_graph.c tests/unit/random_graph.h
tests_unit_diff_batch_t_SOURCES = tests/unit/diff_batch.c tests/unit/random_graph.c tests/unit/random_graph.h \
	tests/unit/text_model.h
tests_unit_property_t_SOURCES = tests/unit/property.c tests/unit/complex_graph.c tests/unit/complex_graph.h \
	tests/unit/random_graph.c tests/unit/random_graph.h
tests_unit_diff_rows_t_SOURCES = tests/unit/diff_rows.c tests/unit/complex_graph.c tests/unit/complex_graph.h $(eval_graph)
tests_unit_diff_blocks_t_SOURCES = tests/unit/diff_blocks.c $(eval_graph)
tests_unit_diff_gram_t_SOURCES = tests/unit/diff_gram.c $(eval_graph)
tests_unit_diff_random_t_SOURCES = tests/unit/diff_random.c tests/unit/random_graph.c tests/unit/random_graph.h

tests_unit_run_isolate_t_SOURCES = tests/unit/run_isolate.c tests/unit/text_model.h $(folder_helpers)
folder_helpers = tests/unit/plugin_folder.c tests/unit/plugin_folder.h
tests_unit_plugin_bad_t_SOURCES = tests/unit/plugin_bad.c tests/unit/text_model.h $(folder_helpers)
tests_unit_plugin_option_t_SOURCES = tests/unit/plugin_option.c tests/unit/text_model.h
tests_unit_plugin_plan_t_SOURCES = tests/unit/plugin_plan.c tests/unit/text_model.h $(folder_helpers)
tests_unit_plugin_given_t_SOURCES = tests/unit/plugin_given.c $(folder_helpers)
tests_unit_plugin_registry_t_SOURCES = tests/unit/plugin_registry.c $(folder_helpers)

# ---- plugins: what all of them promise; a host and a plugin in C++

plugin_tests = tests/plugin/abi.t tests/plugin/contract.t tests/plugin/cxx_host.t
tests_plugin_abi_t_SOURCES = tests/plugin/abi.c tests/unit/text_model.h $(folder_helpers)
contract_sources = tests/plugin/contract.c tests/plugin/contract.h tests/plugin/contract_faults.c \
	tests/plugin/contract_general.c tests/plugin/contract_linear.c tests/plugin/contract_problems.c tests/plugin/contract_user.c \
	tests/tap/tap.h tests/unit/text_model.h
tests_plugin_contract_t_SOURCES = tests/plugin/contract_all.c $(contract_sources)
tests_plugin_contract_t_LDADD = $(LDADD) -lpthread
tests_plugin_cxx_host_t_SOURCES = tests/plugin/cxx_host.cc
tests_plugin_cxx_host_t_LDADD = libperigee.a $(engine_libs)

# Against MPFR, where that is there.
if HAVE_MPFR
unit_tests += tests/unit/eval_accuracy.t
tests_unit_eval_accuracy_t_SOURCES = tests/unit/eval_accuracy.c
tests_unit_eval_accuracy_t_CPPFLAGS = $(AM_CPPFLAGS) $(MPFR_CFLAGS)
tests_unit_eval_accuracy_t_LDADD = $(LDADD) $(MPFR_LIBS)
else
EXTRA_DIST += tests/unit/eval_accuracy.c
endif

# The binding in a Lua state of the test's own.
unit_tests += tests/unit/dsl_faults.t
tests_unit_dsl_faults_t_SOURCES = tests/unit/dsl_faults.c tests/fault/memory.c tests/fault/memory.h
tests_unit_dsl_faults_t_CPPFLAGS = $(AM_CPPFLAGS) $(LUA_CFLAGS)
tests_unit_dsl_faults_t_LDADD = dsl/libdsl.a $(LDADD) $(LUA_LIBS) $(FFI_LIBS)

# The same as hosts have it.
unit_tests += tests/unit/dsl_embed.t
tests_unit_dsl_embed_t_SOURCES = tests/unit/dsl_embed.c
tests_unit_dsl_embed_t_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/dsl/include $(LUA_CFLAGS)
tests_unit_dsl_embed_t_LDADD = libperigee-lua.a $(LDADD) $(LUA_LIBS) $(FFI_LIBS)

check_PROGRAMS += $(unit_tests) $(plugin_tests)
TESTS += $(unit_tests) $(plugin_tests)

# ---- plugins made for the tests, most of them with one fault. absent needs a library that is gone afterwards.

bad_plugins = absent callback copy dies duplicate empty escapes falls fp_mode good int_size kind liar longer magic major minor misnamed nameless nan \
	no_entry no_ops no_options offset option_size pointer_size process range real_size shorter summary table_size traits twice \
	type undefined
test_plugins = $(bad_plugins:%=tests/bad/%.so) tests/foreign/samples.so tests/plugin/abi_1_0.so tests/plugin/abi_1_0_linear.so tests/plugin/cxx_descent.so \
	tests/plugin/cxx_throws.so \
	tests/plugin/spg.so
test_plugin_flags = -I$(top_srcdir)/engine/include $(CPPFLAGS)
CXX_WARNINGS = -std=c++11 -Wall -Wextra -Wpedantic -Werror -fPIC

tests/bad/%.so: tests/bad/%.c tests/bad/bad.h engine/include/perigee/plugin.h
	$(AM_V_CCLD)$(MKDIR_P) tests/bad && $(CC) $(test_plugin_flags) $(AM_CFLAGS) $(CFLAGS) $(AM_LDFLAGS) $(LDFLAGS) -shared -o $@ $<

tests/bad/dies.so: tests/tap/crash.h

# A library as users have them, for foreign functions.
tests/foreign/samples.so: tests/foreign/samples.c
	$(AM_V_CCLD)$(MKDIR_P) tests/foreign && $(CC) -fPIC $(AM_CFLAGS) $(CFLAGS) -fvisibility=default $(AM_LDFLAGS) $(LDFLAGS) -shared -o $@ $(srcdir)/tests/foreign/samples.c -lm

tests/bad/absent.so: tests/bad/absent.c tests/bad/libabsent.c tests/bad/bad.h engine/include/perigee/plugin.h
	$(AM_V_CCLD)$(MKDIR_P) tests/bad && absent=tests/bad/libperigee-absent.so.3 && \
	$(CC) $(AM_CFLAGS) $(CFLAGS) $(AM_LDFLAGS) $(LDFLAGS) -shared -Wl,-soname,libperigee-absent.so.3 -o $$absent \
	    $(srcdir)/tests/bad/libabsent.c && \
	$(CC) $(test_plugin_flags) $(AM_CFLAGS) $(CFLAGS) $(AM_LDFLAGS) $(LDFLAGS) -shared -o $@ $< $$absent && rm -f $$absent

# The twin of an example in Lua.
tests/plugin/spg.so: examples/plugins/spg.c engine/include/perigee/plugin.h
	$(AM_V_CCLD)$(MKDIR_P) tests/plugin && \
	$(CC) $(test_plugin_flags) $(AM_CFLAGS) $(CFLAGS) $(AM_LDFLAGS) $(LDFLAGS) -shared -Wl,-z,defs -o $@ $(srcdir)/examples/plugins/spg.c -lm

tests/plugin/%.so: tests/plugin/%.c engine/include/perigee/plugin.h
	$(AM_V_CCLD)$(MKDIR_P) tests/plugin && \
	$(CC) $(test_plugin_flags) $(AM_CFLAGS) $(CFLAGS) $(AM_LDFLAGS) $(LDFLAGS) -shared -Wl,-z,defs -o $@ $< -lm

tests/plugin/%.so: tests/plugin/%.cc engine/include/perigee/plugin.h
	$(AM_V_CXXLD)$(MKDIR_P) tests/plugin && $(CXX) $(test_plugin_flags) $(CXX_WARNINGS) $(SANITIZE_CFLAGS) $(CXXFLAGS) \
	    $(AM_LDFLAGS) $(LDFLAGS) -shared -o $@ $<

AM_CXXFLAGS = $(CXX_WARNINGS) $(SANITIZE_CFLAGS)
check_DATA = $(test_plugins)
CLEANFILES += $(test_plugins)

EXTRA_DIST += tests/tap/tap.lua tests/foreign/samples.c tests/bad/bad.h tests/bad/libabsent.c $(bad_plugins:%=tests/bad/%.c) \
	tests/plugin/abi_1_0.c tests/plugin/abi_1_0_linear.c tests/plugin/cxx_descent.cc tests/plugin/cxx_throws.cc \
	tests/plugin/abi/README.md tests/plugin/abi/make-1.0 \
	tests/plugin/abi/abi_1_0-x86_64-linux.so tests/plugin/abi/abi_1_0_linear-x86_64-linux.so

# The command and the installation, in bash.
shell_tests = \
	tests/command/authors.sh \
	tests/command/bench.sh \
	tests/command/checkpoint.sh \
	tests/command/graphs.sh \
	tests/command/plugins-page.sh \
	tests/command/complete.sh \
	tests/command/pages.sh \
	tests/command/repl.sh \
	tests/command/report.sh \
	tests/command/lua_plugins.sh \
	tests/command/usage.sh \
	tests/command/isolate.sh \
	tests/command/run.sh \
	tests/command/solve.sh \
	tests/command/sandbox.sh \
	tests/command/signals.sh \
	tests/install/install.sh \
	tests/install/library.sh \
	tests/install/start.sh
TESTS += $(shell_tests)
EXTRA_DIST += $(shell_tests) tests/tap/tap.sh tests/tap/json.lua tests/tap/png.lua tests/install/descent.c tests/install/host.c

lua_tests = \
	tests/lua/after_faults.lua \
	tests/lua/array_operations.lua \
	tests/lua/checkpoint.lua \
	tests/lua/dag.lua \
	tests/lua/dag_methods.lua \
	tests/lua/data.lua \
	tests/lua/diagnosis.lua \
	tests/lua/diagnosis_netlib.lua \
	tests/lua/docs.lua \
	tests/lua/dsl_arrays.lua \
	tests/lua/dsl_constraints.lua \
	tests/lua/dsl_errors.lua \
	tests/lua/dsl_expressions.lua \
	tests/lua/dsl_map.lua \
	tests/lua/structure.lua \
	tests/lua/dsl_memory.lua \
	tests/lua/dsl_meta.lua \
	tests/lua/dsl_solve.lua \
	tests/lua/examples.lua \
	tests/lua/hard_constraints.lua \
	tests/lua/hard_constraints_physics.lua \
	tests/lua/dense_hessian.lua \
	tests/lua/implicit.lua \
	tests/lua/implicit_batch.lua \
	tests/lua/implicit_card.lua \
	tests/lua/levels.lua \
	tests/lua/invariance.lua \
	tests/lua/io_faults.lua \
	tests/lua/ipm.lua \
	tests/lua/libsvm_fit.lua \
	tests/lua/direct.lua \
	tests/lua/foreign.lua \
	tests/lua/bilevel_cards.lua \
	tests/lua/bilevel_methods.lua \
	tests/lua/samples.lua \
	tests/lua/projections.lua \
	tests/lua/proximal.lua \
	tests/lua/levels_plans.lua \
	tests/lua/levels_trouble.lua \
	tests/lua/levels_words.lua \
	tests/lua/mappings.lua \
	tests/lua/networks.lua \
	tests/lua/squares.lua \
	tests/lua/outcomes.lua \
	tests/lua/reformulations.lua \
	tests/lua/cops.lua \
	tests/lua/plots.lua \
	tests/lua/plugins.lua \
	tests/lua/power.lua \
	tests/lua/test_functions.lua \
	tests/lua/warm_start.lua
TESTS += $(lua_tests)
EXTRA_DIST += $(lua_tests) tests/tap/expected.lua

# ---- what several threads do, for the thread sanitizer: ./quickstart check-threads

thread_tests = tests/unit/eval_threads.t tests/unit/threads_contexts.t tests/unit/threads_solve.t
check-threads: $(thread_tests)
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) TSAN_OPTIONS=halt_on_error=1; export TSAN_OPTIONS; \
	for t in $(thread_tests); do echo "$$t"; ./$$t >$$t.out 2>&1 || { grep -v '^ok' $$t.out; exit 1; }; done; echo "no races"
.PHONY: check-threads
CLEANFILES += $(thread_tests:%=%.out)

# ---- something fails at every place in turn: the scripts of problems.lua

fault_tests = tests/fault/evaluate.t tests/fault/io.t tests/fault/oom.t
fault_harness = tests/fault/harness.c tests/fault/harness.h tests/fault/memory.c tests/fault/memory.h
fault_cppflags = $(AM_CPPFLAGS) $(LUA_CFLAGS)
fault_ldadd = dsl/libdsl.a $(LDADD) $(LUA_LIBS) $(FFI_LIBS)
tests_fault_evaluate_t_SOURCES = tests/fault/evaluate.c $(fault_harness)
tests_fault_evaluate_t_CPPFLAGS = $(fault_cppflags)
tests_fault_evaluate_t_LDADD = $(fault_ldadd)
tests_fault_io_t_SOURCES = tests/fault/io.c $(fault_harness)
tests_fault_io_t_CPPFLAGS = $(fault_cppflags)
tests_fault_io_t_LDADD = $(fault_ldadd)
tests_fault_io_t_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=open,--wrap=read,--wrap=write,--wrap=fsync,--wrap=close,--wrap=rename
tests_fault_oom_t_SOURCES = tests/fault/oom.c $(fault_harness)
tests_fault_oom_t_CPPFLAGS = $(fault_cppflags)
tests_fault_oom_t_LDADD = $(fault_ldadd)
check_PROGRAMS += $(fault_tests)
TESTS += $(fault_tests)
EXTRA_DIST += tests/fault/problems.lua

# ---- fuzzing targets: with their committed inputs as tests; with libFuzzer by tools/fuzz, in a build of its own

fuzz_tests = tests/fuzz/checkpoints.t tests/fuzz/expressions.t tests/fuzz/index.t tests/fuzz/readers.t \
	tests/fuzz/scripts.t tests/fuzz/settings.t tests/fuzz/tokens.t tests/fuzz/warm.t
fuzz_replay = tests/fuzz/replay.c tests/fuzz/fuzz.h
tests_fuzz_checkpoints_t_SOURCES = tests/fuzz/checkpoints.c $(fuzz_replay) tests/unit/text_model.h
tests_fuzz_checkpoints_SOURCES = tests/fuzz/checkpoints.c tests/fuzz/fuzz.h tests/unit/text_model.h
tests_fuzz_checkpoints_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_checkpoints_CPPFLAGS = $(AM_CPPFLAGS)
tests_fuzz_expressions_t_SOURCES = tests/fuzz/expressions.c $(fuzz_replay)
tests_fuzz_expressions_SOURCES = tests/fuzz/expressions.c tests/fuzz/fuzz.h
tests_fuzz_expressions_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_expressions_CPPFLAGS = $(AM_CPPFLAGS)
tests_fuzz_index_t_SOURCES = tests/fuzz/index.c $(fuzz_replay)
tests_fuzz_index_SOURCES = tests/fuzz/index.c tests/fuzz/fuzz.h
tests_fuzz_index_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_index_CPPFLAGS = $(AM_CPPFLAGS)
tests_fuzz_readers_t_SOURCES = tests/fuzz/readers.c $(fuzz_replay)
tests_fuzz_readers_SOURCES = tests/fuzz/readers.c tests/fuzz/fuzz.h
tests_fuzz_readers_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_readers_t_CPPFLAGS = $(AM_CPPFLAGS) $(LUA_CFLAGS)
tests_fuzz_readers_t_LDADD = dsl/libdsl.a $(LDADD) $(LUA_LIBS) $(FFI_LIBS)
tests_fuzz_readers_CPPFLAGS = $(AM_CPPFLAGS) $(LUA_CFLAGS)
tests_fuzz_readers_LDADD = dsl/libdsl.a $(LDADD) $(LUA_LIBS) $(FFI_LIBS)
tests_fuzz_scripts_t_SOURCES = tests/fuzz/scripts.c $(fuzz_replay)
tests_fuzz_scripts_SOURCES = tests/fuzz/scripts.c tests/fuzz/fuzz.h
tests_fuzz_scripts_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_scripts_t_CPPFLAGS = $(AM_CPPFLAGS) $(LUA_CFLAGS)
tests_fuzz_scripts_t_LDADD = dsl/libdsl.a $(LDADD) $(LUA_LIBS) $(FFI_LIBS)
tests_fuzz_scripts_CPPFLAGS = $(AM_CPPFLAGS) $(LUA_CFLAGS)
tests_fuzz_scripts_LDADD = dsl/libdsl.a $(LDADD) $(LUA_LIBS) $(FFI_LIBS)
tests_fuzz_settings_t_SOURCES = tests/fuzz/settings.c $(fuzz_replay) tests/unit/text_model.h
tests_fuzz_settings_SOURCES = tests/fuzz/settings.c tests/fuzz/fuzz.h tests/unit/text_model.h
tests_fuzz_settings_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_settings_CPPFLAGS = $(AM_CPPFLAGS)
tests_fuzz_tokens_t_SOURCES = tests/fuzz/tokens.c $(fuzz_replay)
tests_fuzz_tokens_SOURCES = tests/fuzz/tokens.c tests/fuzz/fuzz.h
tests_fuzz_tokens_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_tokens_CPPFLAGS = $(AM_CPPFLAGS)
tests_fuzz_warm_t_SOURCES = tests/fuzz/warm.c $(fuzz_replay) tests/unit/text_model.h
tests_fuzz_warm_SOURCES = tests/fuzz/warm.c tests/fuzz/fuzz.h tests/unit/text_model.h
tests_fuzz_warm_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_warm_CPPFLAGS = $(AM_CPPFLAGS)
EXTRA_PROGRAMS += tests/fuzz/checkpoints tests/fuzz/expressions tests/fuzz/index tests/fuzz/readers \
	tests/fuzz/scripts tests/fuzz/settings tests/fuzz/tokens tests/fuzz/warm
EXTRA_DIST += tests/fuzz/calls.lua
check_PROGRAMS += $(fuzz_tests)
TESTS += $(fuzz_tests)
dist-hook: # a folder of many small files
	cp -R "$(srcdir)/tests/fuzz/corpus" "$(distdir)/tests/fuzz/"

# ---- a core subset under valgrind: make check-valgrind. It has no AVX-512, so the kernels for smaller processors run.

valgrind_tests = tests/unit/base_mem.t tests/unit/expr_build.t tests/unit/io_json.t tests/unit/io_token.t tests/unit/model_classify.t \
	tests/unit/plugin_option.t tests/unit/plugin_registry.t tests/unit/run_certify.t tests/unit/run_inner.t tests/unit/run_levels.t \
	tests/unit/run_outcome.t tests/unit/run_solve.t tests/fault/io.t $(fuzz_tests)
VALGRIND = valgrind
check-valgrind: $(valgrind_tests)
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) for t in $(valgrind_tests); do echo "$$t"; \
	$(VALGRIND) --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
	    --num-callers=25 --suppressions=$(srcdir)/tests/valgrind.supp ./$$t >$$t.out 2>&1 || { grep -v '^ok' $$t.out; exit 1; }; done; echo "clean"
.PHONY: check-valgrind
CLEANFILES += $(valgrind_tests:%=%.out)
EXTRA_DIST += tests/valgrind.supp
