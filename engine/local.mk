# SPDX-License-Identifier: Apache-2.0
# engine/local.mk - the sources of libperigee, one file a line, by folder from the bottom up.
#
# Nothing here may link OpenBLAS or LAPACKE: loading them takes as long as a small solve. Code of the engine that needs them opens
# them when it first calls one; plugins that need them link them.

engine_headers = \
	engine/include/perigee/op.def \
	engine/include/perigee/perigee.h \
	engine/include/perigee/plugin.h \
	engine/include/perigee/status.def \
	engine/include/perigee/status.h

pkginclude_HEADERS = $(engine_headers)

engine_sources = \
	engine/base/arena.c \
	engine/base/clock.c \
	engine/base/clock.h \
	engine/base/context.c \
	engine/base/context.h \
	engine/base/fail.c \
	engine/base/fail.h \
	engine/base/child.c \
	engine/base/child.h \
	engine/base/fence.c \
	engine/base/fence.h \
	engine/base/hash.c \
	engine/base/hash.h \
	engine/base/mem.c \
	engine/base/mem.h \
	engine/base/num.c \
	engine/base/num.h \
	engine/base/pool.c \
	engine/base/pool.h \
	engine/base/rng.c \
	engine/base/rng.h \
	engine/base/status.c \
	engine/base/text.c \
	engine/base/text.h \
	engine/eval/array.c \
	engine/eval/blas.c \
	engine/eval/blas.h \
	engine/eval/bilinear.c \
	engine/eval/block.h \
	engine/eval/block_kernels.h \
	engine/eval/block_one.c \
	engine/eval/block_tiles.h \
	engine/eval/block_portable.c \
	engine/eval/block_sse2.c \
	engine/eval/compile.c \
	engine/eval/describe.c \
	engine/eval/factor.c \
	engine/eval/finish.c \
	engine/eval/image.c \
	engine/eval/kernel.c \
	engine/eval/rows.c \
	engine/eval/levels.c \
	engine/eval/lu.c \
	engine/eval/lu.h \
	engine/eval/machine.c \
	engine/eval/machine_emit.c \
	engine/eval/machine_run.c \
	engine/eval/machine_run.h \
	engine/eval/machine_x86.c \
	engine/eval/machine_x86.h \
	engine/eval/memory.c \
	engine/eval/nuclear.c \
	engine/eval/nuclear.h \
	engine/eval/place.c \
	engine/eval/plan.h \
	engine/eval/product.c \
	engine/eval/product_kernels.h \
	engine/eval/program.h \
	engine/eval/run.c \
	engine/eval/scatter.c \
	engine/eval/simd.c \
	engine/eval/split.c \
	engine/eval/vmath.h \
	engine/eval/weave_kernels.h engine/eval/lane_kernels.h \
	engine/expr/along.c \
	engine/expr/bilinear.c \
	engine/expr/bilinear.h \
	engine/expr/build.c \
	engine/expr/copy.c \
	engine/expr/dense.c \
	engine/expr/dense.h \
	engine/expr/fold.c \
	engine/expr/graph.h \
	engine/expr/interp.c \
	engine/expr/node.c \
	engine/expr/table.c \
	engine/expr/node.h \
	engine/expr/part.c \
	engine/expr/print.c \
	engine/expr/reads.c \
	engine/expr/scalar.c \
	engine/expr/substitute.c \
	engine/expr/sugar.c \
	engine/expr/transplant.c \
	engine/model/acyclic.c \
	engine/model/api.c \
	engine/model/batch.c \
	engine/model/classify.c \
	engine/model/constraints.c \
	engine/model/curvature.c \
	engine/model/curvature.h \
	engine/model/derive.c \
	engine/model/describe.c \
	engine/model/internal.h \
	engine/model/interval.c \
	engine/model/levels.c \
	engine/model/interval.h \
	engine/model/model.c \
	engine/model/model.h \
	engine/model/patterns.c \
	engine/model/quadratic.c \
	engine/model/quadratic.h \
	engine/model/shapes.c \
	engine/model/shapes.h \
	engine/model/vars.c \
	engine/diff/adjoint.c \
	engine/diff/batch.c \
	engine/diff/batch.h \
	engine/diff/batch_eval.c \
	engine/diff/align.c \
	engine/diff/background.c \
	engine/diff/gather.c \
	engine/diff/instances.c \
	engine/diff/merge.c \
	engine/diff/assemble.c \
	engine/diff/coo.c \
	engine/diff/diff.h \
	engine/diff/group.c \
	engine/diff/hessian.c \
	engine/diff/internal.h engine/diff/background.h \
	engine/diff/local.c \
	engine/diff/partial.c \
	engine/diff/product.c \
	engine/diff/roll.c \
	engine/diff/roll.h \
	engine/diff/squares.c \
	engine/diff/tangent.c \
	engine/diff/template.c \
	engine/diff/template.h \
	engine/diff/terms.c \
	engine/diff/terms.h \
	engine/diff/terms_image.c \
	engine/diff/terms_product.c \
	engine/diff/terms_rules.c \
	engine/oracle/acyclic.c \
	engine/oracle/acyclic.h \
	engine/oracle/batch.c \
	engine/oracle/check.c \
	engine/oracle/evaluate.c \
	engine/oracle/finite_sum.c \
	engine/oracle/finite_sum.h \
	engine/oracle/guard.c \
	engine/oracle/info.c \
	engine/oracle/levels.c \
	engine/oracle/nlp.c \
	engine/oracle/nlp.h \
	engine/oracle/prox.c \
	engine/oracle/prox.h \
	engine/oracle/prox_sets.c \
	engine/oracle/prox_terms.c \
	engine/oracle/residual.c \
	engine/oracle/watch.c \
	engine/plugin/given.c \
	engine/plugin/index.c \
	engine/plugin/internal.h \
	engine/plugin/load.c \
	engine/plugin/match.c \
	engine/plugin/match.h \
	engine/plugin/option.c \
	engine/plugin/option.h \
	engine/plugin/option_check.c \
	engine/plugin/option_doc.c \
	engine/plugin/plan.c \
	engine/plugin/registry.c \
	engine/plugin/registry.h \
	engine/plugin/scan.c \
	engine/plugin/stamp.c \
	engine/plugin/trial.c \
	engine/run/again.c \
	engine/run/certify.c \
	engine/run/certify_held.c \
	engine/run/certify_levels.c \
	engine/run/certify_levels.h \
	engine/run/certify_stationary.c \
	engine/run/chain.c \
	engine/run/checkpoint.c \
	engine/run/checkpoint.h \
	engine/run/diagnose.c \
	engine/run/diagnose.h \
	engine/run/diagnose_conflict.c \
	engine/run/diagnose_levels.c \
	engine/run/diagnose_point.c \
	engine/run/diagnose_rank.c \
	engine/run/diagnose_steps.c \
	engine/run/diagnose_text.c \
	engine/run/estimate.c \
	engine/run/draw.c \
	engine/run/draw.h \
	engine/run/event.c \
	engine/run/explain.c \
	engine/run/factor.c \
	engine/run/factor.h \
	engine/run/guards.c \
	engine/run/guards.h \
	engine/run/host.c \
	engine/run/implicit.c \
	engine/run/implicit.h \
	engine/run/implicit_argmin.c \
	engine/run/implicit_batch.c \
	engine/run/implicit_batch.h \
	engine/run/implicit_batch_rules.c \
	engine/run/implicit_batch_solve.c \
	engine/run/implicit_batch_steps.c \
	engine/run/implicit_linear.c \
	engine/run/implicit_root.c \
	engine/run/implicit_rules.c \
	engine/run/inner.c \
	engine/run/inner.h \
	engine/run/inner_expr.c \
	engine/run/internal.h \
	engine/run/isolate.c \
	engine/run/isolate.h \
	engine/run/isolate_child.c \
	engine/run/isolate_wire.h \
	engine/run/levels.c \
	engine/run/levels.h \
	engine/run/limits.c \
	engine/run/outcome.c \
	engine/run/phase_one.c \
	engine/run/phase_one.h \
	engine/run/project.c \
	engine/run/project.h \
	engine/run/project_polyhedron.c \
	engine/run/project_system.c \
	engine/run/report.c \
	engine/run/result.c \
	engine/run/run.c \
	engine/run/sample.c \
	engine/run/run.h \
	engine/run/signed_fit.c \
	engine/run/signed_fit.h \
	engine/run/warm.c \
	engine/run/warm.h \
	engine/io/file.c \
	engine/io/json.c \
	engine/io/json.h \
	engine/io/json_read.c \
	engine/io/json_read.h \
	engine/io/token.c \
	engine/io/token.h

# The evaluator's instructions for newer processors: archives of their own for the flags, their objects part of libperigee.
noinst_LIBRARIES += engine/libblock_avx2.a engine/libblock_avx512.a
engine_libblock_avx2_a_SOURCES = engine/eval/block_avx2.c
engine_libblock_avx2_a_CPPFLAGS = $(ENGINE_CPPFLAGS) $(SLEEF_CFLAGS) $(MVEC_CPPFLAGS)
engine_libblock_avx2_a_CFLAGS = $(AM_CFLAGS) $(AVX2_CFLAGS) $(BLOCK_CFLAGS)
engine_libblock_avx512_a_SOURCES = engine/eval/block_avx512.c
engine_libblock_avx512_a_CPPFLAGS = $(ENGINE_CPPFLAGS) $(SLEEF_CFLAGS) $(MVEC_CPPFLAGS)
engine_libblock_avx512_a_CFLAGS = $(AM_CFLAGS) $(AVX512_CFLAGS) $(BLOCK_CFLAGS)
BLOCK_CFLAGS = -funroll-loops
engine_block_objects = $(engine_libblock_avx2_a_OBJECTS) $(engine_libblock_avx512_a_OBJECTS)
