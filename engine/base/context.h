/* SPDX-License-Identifier: Apache-2.0 */
/* context.h - what a peri_context holds. Everything of a context is used by one thread at a time, but for `interrupt` and what a pool's task reads. */
#ifndef PERI_BASE_CONTEXT_H
#define PERI_BASE_CONTEXT_H

#include "base/fail.h"
#include "base/mem.h"
#include "base/pool.h"
#include <stdatomic.h>

struct registry;  /* plugin/registry.h */
struct eval_simd; /* eval/block.h */

struct peri_context {
    mem mem;
    fail_record error;
    peri_log_fn log;
    void *log_ud;
    int verbosity;
    atomic_int interrupted;            /* set by peri_interrupt, from a signal handler or another thread too */
    struct registry *registry;         /* made at first use by plugin/registry.c; freed through registry_free */
    void (*registry_free)(struct registry *r);
    char *plugin_path;                 /* colon-separated folders, or NULL for the default; mem_array memory */
    int32_t threads, blas_threads;     /* most that evaluations use; 0: the physical cores, not counted yet */
    int32_t threads_wanted;            /* for now, at most `threads`; 0: all */
    thread_pool *pool;                        /* made when a program is large enough */
    const struct eval_simd *simd;      /* the instructions that a test asked for; NULL: the best */
    int64_t references;                /* models and solutions alive: the context is freed after the last */
    bool closed;
};

void context_retain(peri_context *ctx);
void context_release(peri_context *ctx);
/* Threads that evaluations may use: counted when first asked for. */
int32_t context_threads(peri_context *ctx);
/* So many of them are there to work, fewer where the system has no more. PERI_E_NOMEM */
peri_status context_start_threads(peri_context *ctx, int32_t threads);
/* How many of at most so many can work now. */
static inline int32_t context_threads_now(const peri_context *ctx, int32_t most)
{
    return ctx->threads_wanted > 0 && ctx->threads_wanted < most ? ctx->threads_wanted : most;
}
void log_write(peri_context *ctx, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
