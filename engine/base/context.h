/* SPDX-License-Identifier: Apache-2.0 */
/* context.h - what a peri_context holds. Everything of a context is used by one thread at a time, but for `interrupt` and what a pool's task reads. */
#ifndef PERI_BASE_CONTEXT_H
#define PERI_BASE_CONTEXT_H

#include "base/fail.h"
#include "base/mem.h"
#include "base/pool.h"
#include <math.h>
#include <stdatomic.h>

struct registry;  /* plugin/registry.h */
struct eval_simd; /* eval/block.h */

/* What foreign code is at work: kept in the child process of an isolated solve where its parent sees it, so that its death can be told. */
typedef struct {
    char plugin[64], function[64]; /* "": none */
    int64_t step;                  /* of the plugin's run; ACTIVITY_INIT, ACTIVITY_FINI */
    _Atomic uint64_t beats;        /* signs of life: a run has looked at its limits, or is between parts of a long evaluation */
    atomic_bool stop;              /* the parent asks for the end */
} context_activity;

enum { ACTIVITY_INIT = 0, ACTIVITY_FINI = -1 };

struct peri_context {
    mem mem;
    fail_record error;
    peri_log_fn log;
    void *log_ud;
    int verbosity;
    peri_progress_fn progress;         /* NULL: nobody */
    void *progress_ud;
    atomic_int interrupted;            /* set by peri_interrupt, from a signal handler or another thread too */
    struct registry *registry;         /* made at first use by plugin/registry.c; freed through registry_free */
    void (*registry_free)(struct registry *r);
    peri_loader_fn loader;             /* of plugin files that are no shared objects; NULL: none */
    void *loader_ud;
    char loader_suffix[16];
    char *plugin_path;                 /* colon-separated folders, or NULL for the default; mem_array memory */
    int32_t threads, blas_threads;     /* most that evaluations use; 0: the physical cores, not counted yet */
    int32_t threads_wanted;            /* for now, at most `threads`; 0: all */
    thread_pool *pool;                        /* made when a program is large enough */
    const struct eval_simd *simd;      /* the instructions that a test asked for; NULL: the best */
    bool no_machine_code;              /* programs that are compiled from now on are interpreted */
    char callback_text[256];           /* ": why" of a callback that is failing, or "" */
    context_activity *activity;        /* NULL: nobody watches */
    bool cautious;                     /* a shared object is tried in a child process before it is loaded */
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

/* How many can work now on so many tasks. */
static inline int32_t context_threads_for(peri_context *ctx, int64_t tasks)
{
    const int32_t all = context_threads(ctx);
    return tasks > 1 ? context_threads_now(ctx, (int32_t)(tasks < all ? tasks : all)) : 1;
}

/* Around a call of a plugin; leaving restores what was at work before it. Nothing where nobody watches. */
typedef struct {
    char plugin[64];
    int64_t step;
} activity_mark;
void activity_enter(peri_context *ctx, activity_mark *before, const char *plugin, int64_t step);
void activity_leave(peri_context *ctx, const activity_mark *before);
/* What is said of a function of that name that has failed. PERI_E_CALLBACK */
peri_status fail_callback(peri_context *ctx, const char *name);
/* Around a call of a user's function; NULL afterwards */
void activity_function(peri_context *ctx, const char *name);
/* activity_beat - a sign of life. ret: a stop was asked for */
bool activity_beat(peri_context *ctx);

/* Tells the host that a part of the work begins; a call that nobody listens to costs a comparison. */
static inline void context_tell(peri_context *ctx, const char *phase, int64_t count)
{
    if (ctx->progress != NULL)
        ctx->progress(ctx->progress_ud, &(peri_progress){.phase = phase, .count = count, .objective = NAN});
}

void log_write(peri_context *ctx, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
