# SPDX-License-Identifier: Apache-2.0
# bench/local.mk - bench/run compiles what it needs itself; here are the benchmarks of the engine's inner parts, built by
# `make bench-programs` only.

bench_programs = bench/eval_rosenbrock bench/eval_batch bench/resolve bench/threads
EXTRA_PROGRAMS += $(bench_programs)
if HAVE_MPFR
if HAVE_MVEC
bench_programs += bench/vmath
bench_vmath_SOURCES = bench/vmath.c
bench_vmath_CFLAGS = $(AM_CFLAGS) -std=gnu11
bench_vmath_LDADD = $(SLEEF_LIBS) $(MVEC_LIBS) $(MPFR_LIBS) -lm
endif
endif
bench_eval_rosenbrock_LDADD = bench/eval_loops.o libperigee.a $(engine_libs)
bench_threads_LDADD = libperigee.a $(engine_libs)
bench_resolve_SOURCES = bench/resolve.c tests/unit/text_model.h
bench_resolve_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests
bench_resolve_LDADD = libperigee.a $(engine_libs)
bench_eval_batch_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests
bench_eval_batch_LDADD = libperigee.a $(engine_libs)
EXTRA_DIST += bench/README.md bench/building bench/building.lua bench/once.c bench/vmath.c bench/vmath.md bench/along.c bench/compare.c bench/compare.h bench/eval_loops.c bench/eval_loops.h bench/families bench/graphs.lua bench/bilevel.lua bench/bilevel_baselines.lua bench/bilevel_problems.lua bench/bolib.lua bench/implicit.lua bench/physics.lua bench/sorption.lua bench/flow.lua bench/training.lua \
	bench/family.h bench/ipopt.c bench/main.lua bench/report.lua bench/run bench/spawn.c bench/startup.lua bench/stopwatch.c
CLEANFILES += bench/eval_loops.o $(bench_programs)

# The loops that the engine is measured against get every chance.
bench/eval_loops.o: bench/eval_loops.c bench/eval_loops.h
	$(AM_V_CC)$(MKDIR_P) bench && $(CC) -std=c11 -O3 -march=native -I$(srcdir)/bench -c -o $@ $(srcdir)/bench/eval_loops.c

bench-programs: $(bench_programs)
.PHONY: bench-programs
