/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isolate_child.c - the child of isolate.c: it forgets what is the host's, does its work, publishes its points and sends the rest. Invariant: it
 * ends here, by _exit, and what is in shared memory is whole at any instruction.
 */
#define _GNU_SOURCE
#include "run/isolate_wire.h"
#include "base/child.h"
#include "run/inner.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Address space that a child may take beyond what is left of the context's memory limit: stacks, libraries. */
static const size_t SLACK = (size_t)256 << 20;

/* ---- shared memory -------------------------------------------------------------------------------------------------------- */

void isolate_publish(peri_run *run)
{
    struct isolate *s = run->isolate;
    if (s == NULL || !s->in_child)
        return;
    const uint64_t next = s->shared->sequence + 1;
    isolate_standing *to = &s->shared->standing[next & 1];
    *to = (isolate_standing){.last = run->last, .best = run->best, .iterations = run->iterations, .steps = run->steps, .evaluations = run->p->count};
    inner_add_count(&to->evaluations, &run->inner_count);
    for (int k = 0; k < 2; k++) {
        to->has_y[k] = run->point[k].has_y;
        to->has_z[k] = run->point[k].has_z;
        to->objective[k] = run->point[k].objective;
        to->violation[k] = run->point[k].violation;
    }
    atomic_store_explicit(&s->shared->sequence, next, memory_order_release);
}

/* ---- the child: what it sends ------------------------------------------------------------------------------------------------- */

bool isolate_send(int fd, const void *data, size_t size)
{
    const unsigned char *at = data;
    while (size > 0) {
        const ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static bool send_record(const struct isolate *s, uint32_t type, const void *a, size_t size_a, const void *b, size_t size_b)
{
    const isolate_head head = {type, (uint32_t)(size_a + size_b)};
    return isolate_send(s->fd, &head, sizeof head) && isolate_send(s->fd, a, size_a) && isolate_send(s->fd, b, size_b);
}

/* Waits for what the host's function says to it, so that a run is the same step by step. */
static int relay_event(void *ud, const peri_event *event)
{
    const struct isolate *s = ud;
    unsigned char stop = 0;
    ssize_t n;
    if (!send_record(s, RECORD_EVENT, event, sizeof *event, NULL, 0))
        return 1;
    do
        n = recv(s->fd, &stop, 1, 0);
    while (n < 0 && errno == EINTR);
    return n != 1 || stop != 0;
}

static void relay_log(void *ud, int level, const char *text)
{
    const int32_t number = level;
    (void)send_record(ud, RECORD_LOG, &number, sizeof number, text, strlen(text) + 1);
}

static void send_optima(const peri_run *run)
{
    const peri_solution *s = run->solution;
    for (int64_t k = 0; k < s->optima.n; k++)
        (void)send_record(run->isolate, RECORD_OPTIMUM, &s->optima.at[k].objective, sizeof(double), s->optima.at[k].x,
                          (size_t)s->n * sizeof(double));
}

static void send_result(const peri_run *run, peri_status status)
{
    isolate_result r = {.status = status,
                .why = run->why,
                .stopped_by = run->stopped_by,
                .iterations = run->iterations,
                .steps = run->steps,
                .evaluations = run->solution->evaluations,
                .times = run->solution->times};
    snprintf(r.error, sizeof r.error, "%s", peri_error(run->ctx));
    memcpy(r.message, run->message, sizeof r.message);
    (void)send_record(run->isolate, RECORD_RESULT, &r, sizeof r, NULL, 0);
}

/* ---- the child: its life -------------------------------------------------------------------------------------------------------- */

static void limit_memory(const peri_run *run)
{
    const peri_context *ctx = run->ctx;
    size_t pages = 0;
    struct rlimit limit;
    if (ctx->mem.limit == 0 && run->memory_limit == 0)
        return;
    FILE *f = fopen("/proc/self/statm", "re");
    const bool known = f != NULL && fscanf(f, "%zu", &pages) == 1;
    if (f != NULL)
        fclose(f);
    if (!known || getrlimit(RLIMIT_AS, &limit) != 0)
        return;
    size_t left = ctx->mem.limit > ctx->mem.used ? ctx->mem.limit - ctx->mem.used : 0;
    left = run->memory_limit > 0 ? (size_t)run->memory_limit : left;
    const rlim_t most = (rlim_t)(pages * (size_t)sysconf(_SC_PAGESIZE) + left + SLACK);
    if (limit.rlim_cur == RLIM_INFINITY || most < limit.rlim_cur)
        limit.rlim_cur = most;
    setrlimit(RLIMIT_AS, &limit);
}

static void become_child(peri_run *run, int fd)
{
    struct isolate *s = run->isolate;
    child_begin(s->parent);
    limit_memory(run);
    s->in_child = true;
    s->fd = fd;
    run->ctx->activity = &s->shared->activity;
    if (run->ctx->log != NULL) {
        run->ctx->log = relay_log;
        run->ctx->log_ud = s;
    }
    pool_revive(run->ctx->pool);
}

noreturn void isolate_child_work(peri_run *run, int fd)
{
    struct isolate *s = run->isolate;
    become_child(run, fd);
    s->args = *run->args;
    s->args.event = relay_event;
    s->args.event_ud = s;
    run->args = &s->args;
    const peri_status status = run_work(run);
    fflush(stdout);
    isolate_publish(run);
    send_optima(run);
    send_result(run, status);
    _exit(0);
}

noreturn void isolate_child_conclude(peri_run *run, int fd)
{
    isolate_verdict *v = &run->isolate->shared->verdict;
    peri_solution *s = run->solution;
    const size_t n = (size_t)run->p->n * sizeof(double), m = (size_t)run->p->m * sizeof(double);
    become_child(run, fd);
    v->status = run_conclude(run);
    v->certificate = s->certificate;
    v->levels = s->levels;
    v->objective = s->objective;
    v->outcome = s->outcome;
    memcpy(v->message, s->message, sizeof v->message);
    snprintf(v->error, sizeof v->error, "%s", peri_error(run->ctx));
    memcpy(run->isolate->answer[0], s->x, n);
    memcpy(run->isolate->answer[1], s->y, m);
    memcpy(run->isolate->answer[2], s->z, n);
    const isolate_result done = {.status = v->status};
    (void)send_record(run->isolate, RECORD_RESULT, &done, sizeof done, NULL, 0);
    _exit(0);
}
