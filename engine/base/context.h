/* SPDX-License-Identifier: Apache-2.0 */
/* context.h - what a peri_context holds. Everything of a context is used by one thread at a time, but for `interrupt`. */
#ifndef PERI_BASE_CONTEXT_H
#define PERI_BASE_CONTEXT_H

#include "base/fail.h"
#include "base/mem.h"
#include <signal.h>

struct registry; /* plugin/registry.h */

struct peri_context {
    mem mem;
    fail_record error;
    peri_log_fn log;
    void *log_ud;
    int verbosity;
    volatile sig_atomic_t interrupted; /* set by peri_interrupt, from a signal handler too */
    struct registry *registry;         /* made at first use by plugin/registry.c; freed through registry_free */
    void (*registry_free)(struct registry *r);
    char *plugin_path;                 /* colon-separated folders, or NULL for the default; mem_array memory */
    int64_t references;                /* models and solutions alive: the context is freed after the last */
    bool closed;
};

void context_retain(peri_context *ctx);
void context_release(peri_context *ctx);
void log_write(peri_context *ctx, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
