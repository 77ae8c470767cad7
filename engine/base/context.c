/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context.c - life of a context, its log, its public accessors. Invariant: the context is freed once, when it is closed and the
 * last model or solution that retained it has gone, in whatever order a host lets go of them.
 */
#include "base/context.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int32_t in_range(int32_t threads, int32_t least)
{
    return threads < least ? least : threads > POOL_MOST_THREADS ? POOL_MOST_THREADS : threads;
}

peri_context *peri_context_new(const peri_config *config)
{
    const peri_config none = {0};
    const peri_config *c = config != NULL ? config : &none;
    mem m;
    mem_init(&m, c->alloc, c->alloc_ud);
    m.limit = c->memory_limit;
    peri_context *ctx = mem_alloc(&m, sizeof *ctx);
    if (ctx == NULL)
        return NULL;
    ctx->mem = m;
    ctx->log = c->log;
    ctx->log_ud = c->log_ud;
    ctx->verbosity = c->verbosity;
    ctx->threads = in_range(c->threads, 0);
    ctx->blas_threads = in_range(c->blas_threads, 1);
    ctx->no_machine_code = c->no_machine_code;
    if (c->plugin_path != NULL) {
        ctx->plugin_path = mem_string(&ctx->mem, c->plugin_path);
        if (ctx->plugin_path == NULL) {
            peri_context_free(ctx);
            return NULL;
        }
    }
    return ctx;
}

static void destroy(peri_context *ctx)
{
    pool_free(ctx->pool);
    if (ctx->registry != NULL && ctx->registry_free != NULL)
        ctx->registry_free(ctx->registry);
    mem_array_free(&ctx->mem, ctx->plugin_path);
    mem_keep_none(&ctx->mem);
    mem m = ctx->mem; /* it lies inside the block that it frees */
    mem_free(&m, ctx, sizeof *ctx);
}

void peri_context_free(peri_context *ctx)
{
    if (ctx == NULL || ctx->closed)
        return;
    ctx->closed = true;
    if (ctx->references == 0)
        destroy(ctx);
}

void context_retain(peri_context *ctx)
{
    ctx->references++;
}

void context_release(peri_context *ctx)
{
    if (--ctx->references > 0)
        return;
    mem_keep_none(&ctx->mem); /* nobody is left who solves again */
    if (ctx->closed)
        destroy(ctx);
}

int32_t context_threads(peri_context *ctx)
{
    if (ctx->threads == 0)
        ctx->threads = in_range(pool_cores(), 1);
    return ctx->threads;
}

peri_status context_start_threads(peri_context *ctx, int32_t threads)
{
    if (ctx->pool == NULL)
        ctx->pool = pool_new(&ctx->mem, context_threads(ctx));
    if (ctx->pool == NULL)
        return FAIL_NOMEM(ctx);
    pool_start(ctx->pool, threads);
    return PERI_OK;
}

/* ---- what is at work -------------------------------------------------------------------------------------------------- */

void activity_enter(peri_context *ctx, activity_mark *before, const char *plugin, int64_t step)
{
    context_activity *a = ctx->activity;
    if (a == NULL)
        return;
    memcpy(before->plugin, a->plugin, sizeof before->plugin);
    before->step = a->step;
    snprintf(a->plugin, sizeof a->plugin, "%s", plugin);
    a->step = step;
}

void activity_leave(peri_context *ctx, const activity_mark *before)
{
    context_activity *a = ctx->activity;
    if (a == NULL)
        return;
    memcpy(a->plugin, before->plugin, sizeof a->plugin);
    a->step = before->step;
}

void activity_function(peri_context *ctx, const char *name)
{
    if (ctx->activity != NULL)
        snprintf(ctx->activity->function, sizeof ctx->activity->function, "%s", name != NULL ? name : "");
}

bool activity_beat(peri_context *ctx)
{
    if (ctx->activity != NULL) {
        ctx->activity->beats++;
        ctx->interrupted = ctx->interrupted || ctx->activity->stop;
    }
    return ctx->interrupted != 0;
}

void peri_callback_text(peri_context *ctx, const char *why)
{
    snprintf(ctx->callback_text, sizeof ctx->callback_text, "%s%s", why != NULL ? ": " : "", why != NULL ? why : "");
}

peri_status fail_callback(peri_context *ctx, const char *name)
{
    const peri_status status = FAIL(ctx, PERI_E_CALLBACK, "function \"%.63s\" failed%s", name, ctx->callback_text);
    ctx->callback_text[0] = '\0';
    return status;
}

/* ---- the log ------------------------------------------------------------------------------------------------------------ */

void log_write(peri_context *ctx, int level, const char *format, ...)
{
    if (ctx->log == NULL || level > ctx->verbosity)
        return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ctx->log(ctx->log_ud, level, text);
}

peri_status peri_error_set(peri_context *ctx, peri_status code, const char *text)
{
    return FAIL(ctx, code, "%s", text);
}

const char *peri_error(const peri_context *ctx)
{
    return ctx->error.text;
}

peri_status peri_error_code(const peri_context *ctx)
{
    return ctx->error.code;
}

const char *peri_error_origin(peri_context *ctx)
{
    fail_record *r = &ctx->error;
    if (r->function == NULL)
        return "";
    snprintf(r->origin, sizeof r->origin, "%s (%s:%d)", r->function, r->file, r->line);
    return r->origin;
}

void peri_context_set_progress(peri_context *ctx, peri_progress_fn fn, void *ud)
{
    ctx->progress = fn;
    ctx->progress_ud = ud;
}

void peri_interrupt(peri_context *ctx)
{
    ctx->interrupted = 1;
}

void peri_clear_interrupt(peri_context *ctx)
{
    ctx->interrupted = 0;
}

bool peri_interrupted(const peri_context *ctx)
{
    return ctx->interrupted != 0;
}

void peri_memory(const peri_context *ctx, size_t *used, size_t *peak, int64_t *blocks)
{
    if (used != NULL)
        *used = ctx->mem.used;
    if (peak != NULL)
        *peak = ctx->mem.peak;
    if (blocks != NULL)
        *blocks = ctx->mem.live;
}

void peri_memory_fail_at(peri_context *ctx, int64_t k, bool persistent)
{
    ctx->mem.countdown = k > 0 ? k : 0;
    ctx->mem.persistent = persistent;
}

void peri_free_text(peri_context *ctx, char *text)
{
    mem_array_free(&ctx->mem, text);
}
