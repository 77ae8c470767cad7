/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isolate.c - one run in a child process, seen from the parent; isolate_child.c is the child. What the child may break is its own; what it hands over is
 *   - in shared memory: the run's two points, and which is the best, in two records of which `sequence` names the whole one. A point that counts is
 *     never written over: keep() in event.c writes into the other one, and is published afterwards
 *   - through a socket, as records: iterations, log lines, optima, and last the result. A child that ends without a result has failed, whatever its
 *     exit status: a library that ends the process with status 0 has not succeeded.
 * Invariant: when isolate_work returns, no child is left.
 */
#define _GNU_SOURCE
#include "run/isolate_wire.h"
#include "base/child.h"
#include "base/clock.h"
#include "expr/node.h"
#include "run/inner.h"
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT = 20, PATIENCE = 10 }; /* milliseconds between looks at the clock; graces that even a child which answers has */

/* ---- shared memory -------------------------------------------------------------------------------------------------------- */

peri_status isolate_open(peri_run *run)
{
    const size_t n = (size_t)run->p->n, m = (size_t)run->p->m;
    size_t numbers, bytes;
    struct isolate *s = arena_alloc(&run->memory, sizeof *s);
    const bool fits = mem_mul(3, 2 * n + m, &numbers) && mem_mul(numbers, sizeof(double), &bytes) &&
                      !__builtin_add_overflow(bytes, sizeof(isolate_page), &bytes);
    void *memory = s != NULL && fits ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
    if (memory == MAP_FAILED)
        return FAIL_NOMEM(run->ctx);
    *s = (struct isolate){.shared = memory, .bytes = bytes, .fd = -1, .child = -1, .due = INFINITY};
    s->shared->standing[0] = (isolate_standing){.last = -1, .best = -1};
    double *at = (double *)(s->shared + 1);
    for (int k = 0; k < 2; k++) {
        run->point[k].x = at;
        run->point[k].y = at + n;
        run->point[k].z = at + n + m;
        at += 2 * n + m;
    }
    s->answer[0] = at;
    s->answer[1] = at + n;
    s->answer[2] = at + n + m;
    run->isolate = s;
    return PERI_OK;
}

void isolate_close(peri_run *run)
{
    struct isolate *s = run->isolate;
    if (s == NULL)
        return;
    munmap(s->shared, s->bytes);
    mem_free(&run->ctx->mem, s->input.at, s->input.cap);
    run->isolate = NULL;
}

/* ---- the parent: what it hears ---------------------------------------------------------------------------------------------------- */

static peri_status take_event(peri_run *run, const peri_event *event)
{
    unsigned char stop = 0;
    if (!vec_push(&run->ctx->mem, &run->solution->history, *event))
        return FAIL_NOMEM(run->ctx);
    if (run->args->event != NULL)
        stop = run->args->event(run->args->event_ud, event) != 0;
    (void)isolate_send(run->isolate->fd, &stop, 1);
    return PERI_OK;
}

static peri_status take_optimum(peri_run *run, const unsigned char *data)
{
    peri_solution *s = run->solution;
    solution_optimum o = {.x = mem_array(&run->ctx->mem, (size_t)s->n, sizeof *o.x)};
    if (o.x == NULL)
        return FAIL_NOMEM(run->ctx);
    memcpy(&o.objective, data, sizeof o.objective);
    memcpy(o.x, data + sizeof o.objective, (size_t)s->n * sizeof *o.x);
    if (vec_push(&run->ctx->mem, &s->optima, o))
        return PERI_OK;
    mem_array_free(&run->ctx->mem, o.x);
    return FAIL_NOMEM(run->ctx);
}

/* A record of a size that its type cannot have is a child gone wrong: nothing more of it is read. */
static peri_status take_record(peri_run *run, const isolate_head *head, const unsigned char *data, bool *good)
{
    struct isolate *s = run->isolate;
    int32_t level;
    peri_event event;
    *good = true;
    if (head->type == RECORD_EVENT && head->size == sizeof event) {
        memcpy(&event, data, sizeof event);
        return take_event(run, &event);
    }
    if (head->type == RECORD_OPTIMUM && head->size == (size_t)(run->p->n + 1) * sizeof(double))
        return take_optimum(run, data);
    if (head->type == RECORD_LOG && head->size > sizeof level && data[head->size - 1] == '\0') {
        memcpy(&level, data, sizeof level);
        log_write(run->ctx, level, "%s", (const char *)data + sizeof level);
    } else if (head->type == RECORD_RESULT && head->size == sizeof s->result) {
        memcpy(&s->result, data, sizeof s->result);
        s->result.error[sizeof s->result.error - 1] = '\0';
        s->result.message[sizeof s->result.message - 1] = '\0';
        s->has_result = true;
    } else {
        *good = false;
    }
    return PERI_OK;
}

static size_t largest_record(const peri_run *run)
{
    const size_t optimum = ((size_t)run->p->n + 1) * sizeof(double);
    return optimum > sizeof(isolate_result) ? optimum : sizeof(isolate_result);
}

/* All whole records of the input. */
static peri_status take_records(peri_run *run, bool *good)
{
    struct isolate *s = run->isolate;
    size_t at = 0;
    isolate_head head;
    peri_status status = PERI_OK;
    while (status == PERI_OK && *good && s->input.n - at >= sizeof head) {
        memcpy(&head, s->input.at + at, sizeof head);
        *good = head.size <= largest_record(run);
        if (!*good || s->input.n - at - sizeof head < head.size)
            break;
        status = take_record(run, &head, s->input.at + at + sizeof head, good);
        at += sizeof head + head.size;
    }
    memmove(s->input.at, s->input.at + at, s->input.n - at);
    s->input.n -= at;
    return status;
}

/* What has come by now; *open: more may come. */
static peri_status listen_to(peri_run *run, bool *open)
{
    struct isolate *s = run->isolate;
    const size_t room = sizeof(isolate_head) + largest_record(run);
    while (*open && !s->has_result) {
        if (s->input.cap < 2 * room) {
            void *more = mem_resize(&run->ctx->mem, s->input.at, s->input.cap, 2 * room);
            if (more == NULL)
                return FAIL_NOMEM(run->ctx);
            s->input.at = more;
            s->input.cap = 2 * room;
        }
        const ssize_t n = recv(s->fd, s->input.at + s->input.n, s->input.cap - s->input.n, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return PERI_OK;
        *open = n > 0;
        if (n <= 0)
            return PERI_OK;
        s->input.n += (size_t)n;
        TRY(take_records(run, open));
    }
    return PERI_OK;
}

/* ---- the parent: life and death of the child -------------------------------------------------------------------------------------- */

static void reap(struct isolate *s, bool wait)
{
    pid_t ended;
    if (s->reaped)
        return;
    do
        ended = waitpid(s->child, &s->wait_status, wait ? 0 : WNOHANG);
    while (ended < 0 && errno == EINTR);
    s->lost = ended < 0; /* the host waits for all its children, or ignores SIGCHLD */
    s->reaped = ended != 0;
}

static void end_child(struct isolate *s)
{
    if (!s->reaped)
        kill(s->child, SIGKILL);
    reap(s, true);
}

/* A limit that has passed is the child's to notice; without a sign of life for `grace` seconds it is killed. */
static void watch(peri_run *run)
{
    struct isolate *s = run->isolate;
    const double now = clock_seconds();
    const uint64_t beats = s->shared->activity.beats;
    if (beats != s->beats || s->beat_at == 0) {
        s->beats = beats;
        s->beat_at = now;
    }
    if (run->ctx->interrupted && !s->shared->activity.stop) {
        s->shared->activity.stop = true;
        s->due = fmin(s->due, now);
    }
    if (now < s->due)
        return;
    const double quiet = now - fmax(s->beat_at, s->due);
    if (quiet <= run->grace && now - s->due <= PATIENCE * run->grace)
        return;
    s->killed = true;
    end_child(s);
}

static peri_status supervise(peri_run *run)
{
    struct isolate *s = run->isolate;
    bool open = true;
    peri_status status = PERI_OK;
    s->due = run->started + run->limits.time_limit;
    while (open && !s->has_result && status == PERI_OK) {
        struct pollfd input = {.fd = s->fd, .events = POLLIN};
        const int ready = poll(&input, 1, WAIT);
        if (ready > 0)
            status = listen_to(run, &open);
        watch(run);
        if (ready == 0)
            reap(s, false);
        if (!s->reaped)
            continue;
        if (status == PERI_OK)
            status = listen_to(run, &open); /* what it had sent before */
        break;
    }
    if (open || s->has_result)
        end_child(s);
    reap(s, true);
    return status;
}

/* The child's end of the socket closes with it: it may take a moment to be gone. */
static peri_status start(peri_run *run, void (*work)(peri_run *run, int fd))
{
    struct isolate *s = run->isolate;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return FAIL(run->ctx, PERI_E_INTERNAL, "isolate: no socket could be made: %s", strerror(errno));
    s->parent = getpid();
    s->reaped = s->lost = s->killed = false;
    fflush(stdout);
    fflush(stderr);
    s->child = fork();
    if (s->child == 0) {
        run->ctx->progress = NULL; /* the host's, whose threads are not here */
        close(pair[0]);
        work(run, pair[1]); /* does not return */
        _exit(1);
    }
    close(pair[1]);
    s->fd = pair[0];
    if (s->child > 0)
        return PERI_OK;
    close(pair[0]);
    return FAIL(run->ctx, PERI_E_INTERNAL, "isolate: no process could be made: %s", strerror(errno));
}

/* ---- what came of it ------------------------------------------------------------------------------------------------------------------- */

/* Who was at work, and when: "plugin lbfgs", " in step 37". */
static void name_culprit(const context_activity *a, char *who, size_t size, char *when, size_t size_when)
{
    if (a->function[0] != '\0')
        snprintf(who, size, "function \"%.63s\"", a->function);
    else if (a->plugin[0] != '\0')
        snprintf(who, size, "plugin %.63s", a->plugin);
    else
        snprintf(who, size, "the isolated process");
    if (a->plugin[0] == '\0')
        when[0] = '\0';
    else if (a->step == ACTIVITY_INIT || a->step == ACTIVITY_FINI)
        snprintf(when, size_when, " at %s", a->step == ACTIVITY_INIT ? "its start" : "its end");
    else
        snprintf(when, size_when, " in step %lld", (long long)a->step);
    if (a->function[0] != '\0') {
        const size_t n = strlen(when);
        snprintf(when + n, size_when - n, " of %.63s", a->plugin);
    }
}

static void describe_end(const struct isolate *s, char *text, size_t size)
{
    char name[32];
    const int status = s->wait_status;
    if (s->lost)
        snprintf(text, size, "ended without a result");
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        snprintf(text, size, "was killed (SIGKILL, as the system does when memory is out)");
    else if (WIFSIGNALED(status))
        snprintf(text, size, "crashed (%s)", child_signal(WTERMSIG(status), name, sizeof name));
    else
        snprintf(text, size, "ended its process (exit status %d)", WEXITSTATUS(status));
}

/* No result: the engine's words for it, and the kind of end that it is. */
static void tell_failure(peri_run *run)
{
    const struct isolate *s = run->isolate;
    char who[96], when[128], end[96];
    const bool cpu = !s->lost && WIFSIGNALED(s->wait_status) && WTERMSIG(s->wait_status) == SIGXCPU;
    name_culprit(&s->shared->activity, who, sizeof who, when, sizeof when);
    describe_end(s, end, sizeof end);
    run->why = PERI_WHY_CONTINUE;
    if (s->killed && run->ctx->interrupted) {
        run->stopped_by = PERI_INTERRUPTED;
        snprintf(end, sizeof end, "did not stop when interrupted and was killed");
    } else if (s->killed) {
        run->stopped_by = PERI_TIME_LIMIT;
        snprintf(end, sizeof end, "did not stop at the time limit and was killed");
    } else {
        run->stopped_by = cpu ? PERI_TIME_LIMIT : PERI_ERROR;
    }
    snprintf(run->message, sizeof run->message, "%.100s %.100s%.50s", who, end, when);
    log_write(run->ctx, 0, "%s", run->message);
}

static bool is_finite_point(const nlp *p, const run_point *point)
{
    return nlp_is_finite(p->n, point->x) && (!point->has_y || nlp_is_finite(p->m, point->y)) &&
           (!point->has_z || nlp_is_finite(p->n, point->z));
}

/* The points, from the record that is whole. What a broken child may have written is not taken on trust. */
static void take_standing(peri_run *run)
{
    const isolate_page *shared = run->isolate->shared;
    const isolate_standing *now = &shared->standing[atomic_load_explicit(&shared->sequence, memory_order_acquire) & 1];
    run->last = now->last == 0 || now->last == 1 ? now->last : -1;
    run->best = now->best == 0 || now->best == 1 ? now->best : -1;
    for (int k = 0; k < 2; k++) {
        run->point[k].has_y = now->has_y[k];
        run->point[k].has_z = now->has_z[k];
        run->point[k].objective = now->objective[k];
        run->point[k].violation = now->violation[k];
        if (is_finite_point(run->p, &run->point[k]))
            continue;
        run->last = run->last == k ? -1 : run->last;
        run->best = run->best == k ? -1 : run->best;
    }
    run->iterations = now->iterations;
    run->steps = now->steps;
    run->solution->iterations = now->iterations;
    run->solution->evaluations = now->evaluations;
    run->solution->times = (peri_times){.building = run->built, .total = run->built + clock_seconds() - run->started};
}

static peri_status take_result(peri_run *run)
{
    const isolate_result *r = &run->isolate->result;
    run->why = r->why;
    run->stopped_by = r->stopped_by;
    memcpy(run->message, r->message, sizeof run->message);
    run->iterations = run->solution->iterations = r->iterations;
    run->steps = r->steps;
    run->solution->evaluations = r->evaluations;
    run->solution->times = r->times;
    if (r->status == PERI_OK)
        return PERI_OK;
    return r->error[0] != '\0' ? FAIL(run->ctx, r->status, "%s", r->error)
                               : FAIL(run->ctx, r->status, "%s", peri_status_text(r->status));
}

peri_status isolate_work(peri_run *run)
{
    struct isolate *s = run->isolate;
    TRY(start(run, isolate_child_work));
    const peri_status status = supervise(run);
    close(s->fd);
    TRY(status);
    take_standing(run);
    if (s->has_result)
        return take_result(run);
    tell_failure(run);
    return PERI_OK;
}

/* ---- the answer ----------------------------------------------------------------------------------------------------------------------------- */

/* The point as it is, and no evidence for anything. */
static void conclude_blindly(peri_run *run)
{
    peri_solution *s = run->solution;
    const bool sure = run->stopped_by != PERI_OPTIMAL;
    memcpy(s->x, run->best >= 0 ? run->point[run->best].x : run->start, (size_t)s->n * sizeof *s->x);
    s->certificate = (peri_certificate){INFINITY, INFINITY, INFINITY, INFINITY, NAN};
    s->objective = NAN;
    s->why = run->why;
    s->outcome = sure ? run->stopped_by : PERI_ERROR;
    if (!sure)
        tell_failure(run);
    snprintf(s->message, sizeof s->message, "%s", run->message);
}

static peri_status take_verdict(peri_run *run)
{
    const isolate_verdict *v = &run->isolate->shared->verdict;
    peri_solution *s = run->solution;
    if (v->status != PERI_OK)
        return FAIL(run->ctx, v->status, "%.1000s", v->error);
    s->certificate = v->certificate;
    s->levels = v->levels;
    s->objective = v->objective;
    s->why = run->why;
    s->outcome = v->outcome;
    memcpy(s->message, v->message, sizeof s->message);
    memcpy(s->x, run->isolate->answer[0], (size_t)s->n * sizeof *s->x);
    if (s->m > 0)
        memcpy(s->y, run->isolate->answer[1], (size_t)s->m * sizeof *s->y);
    memcpy(s->z, run->isolate->answer[2], (size_t)s->n * sizeof *s->z);
    return PERI_OK;
}

peri_status isolate_conclude(peri_run *run)
{
    struct isolate *s = run->isolate;
    if (run->model->g->calls.n == 0 && (run->traits & PERI_BIT(PERI_TRAIT_LEVELS)) == 0) /* with levels methods are called again */
        return run_conclude(run);
    s->has_result = false;
    s->input.n = 0;
    memset(&s->shared->activity, 0, sizeof s->shared->activity);
    TRY(start(run, isolate_child_conclude));
    const double limit = run->limits.time_limit; /* as long again as the whole run */
    run->limits.time_limit = limit + (clock_seconds() - run->started);
    const peri_status status = supervise(run);
    run->limits.time_limit = limit;
    close(s->fd);
    TRY(status);
    if (s->has_result)
        return take_verdict(run);
    conclude_blindly(run);
    return PERI_OK;
}
