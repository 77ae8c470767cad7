/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.h - graph to program: fused elementwise kernels on blocks of instances, array kernels between them, all memory planned
 * when the program is made. Running allocates nothing and is deterministic: the bits do not depend on the number of threads.
 */
#ifndef PERI_EVAL_PROGRAM_H
#define PERI_EVAL_PROGRAM_H

#include "expr/graph.h"

typedef struct eval_program eval_program;

/* Node `node` is written, dense and row-major, to outputs[slot] + offset. */
typedef struct {
    expr_id node;
    int32_t slot;
    int64_t offset;
} eval_output;

/*
 * eval_compile - a program for some nodes of g (not a copy of g: constants and index lists are borrowed, g must outlive it)
 *   in   outputs  [n]
 *   out  program  owned by the caller
 *   err  PERI_E_NOMEM
 */
peri_status eval_compile(expr_graph *g, int64_t n, const eval_output *outputs, eval_program **program);
/* The same, planned for eval_run_alone: own loops instead of BLAS, one thread's memory. */
peri_status eval_compile_alone(expr_graph *g, int64_t n, const eval_output *outputs, eval_program **program);
/* Entries [begin, end) of an output */
typedef struct {
    int32_t slot;
    int64_t begin, end;
} eval_range;

/* The same as eval_compile; while it runs, the program notices whether the watched entries [n_watched] can all be vouched for (finite.c). */
peri_status eval_compile_watched(expr_graph *g, int64_t n, const eval_output *outputs, int64_t n_watched, const eval_range *watched,
                                 eval_program **program);
void eval_free(eval_program *program);

/*
 * eval_run - evaluate
 *   in   inputs   [EXPR_IN_COUNT] pointers to the classes' arrays, NULL where the program does not read one
 *   out  outputs  by slot; they overlap neither each other nor what is read
 *   err  PERI_E_CALLBACK from CALL nodes; PERI_E_DOMAIN where a CALL says so. NaN and infinities are values, not errors.
 *   cost allocates nothing
 */
peri_status eval_run(eval_program *program, const double *const inputs[EXPR_IN_COUNT], double *const *outputs);

/* The same on the calling thread alone: for programs that run on several threads at once, each its own. Bits are the same. */
peri_status eval_run_alone(eval_program *program, const double *const inputs[EXPR_IN_COUNT], double *const *outputs);
/* May it run on any thread? It calls no function of a user's, no rule, and no BLAS. */
bool eval_is_self_contained(const eval_program *program);

/*
 * After eval_run, of the outputs that it was given: no watched entry is infinite or NaN. Entries that kernels have vouched for are not read again, but
 * where one of them, or a sum of them, may have become too large.
 */
bool eval_watched_is_finite(const eval_program *program, double *const *outputs);

/* No entry of v [n] is infinite or NaN: one pass, as fast as it can be read. */
bool eval_is_finite(int64_t n, const double *v);

/* What a program consists of, for `explain`. */
typedef struct {
    int64_t kernels, instructions, instances; /* fused kernels; their instructions; instances of all kernels */
    int64_t array_calls;                      /* matrix products and the like */
    int64_t bytes;                            /* planned memory, index lists not counted */
    int64_t in_machine_code, code_bytes;      /* instructions that became machine code, and the bytes of that */
} eval_stats;
void eval_get_stats(const eval_program *program, eval_stats *stats);
/* One line a kernel: count, operations, index kinds, bytes. own: mem_array memory of g */
peri_status eval_describe(const eval_program *program, char **text);

/* "sse2", "avx2", "avx512" or "portable": what programs of the context are compiled for. */
const char *eval_simd_name(const peri_context *ctx);
/* For tests: programs that are compiled from now on use those; NULL: the best. false: not on this machine */
bool eval_force_simd(peri_context *ctx, const char *name);
/* For tests: may programs that are compiled from now on have machine code? As peri_config says at first. */
void eval_allow_machine_code(peri_context *ctx, bool allowed);

#endif
