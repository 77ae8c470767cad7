/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.c - the engine's own options, and when a run must end. The engine's options have a table like a plugin's, so
 * that texts, parsing and ranges are the same; a key that is not in it belongs to the solver.
 */
#include "base/clock.h"
#include "run/factor.h"
#include "run/internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- options
 * -------------------------------------------------------------------------------------------------------------- */

/* Integers are told as doubles: up to 2^53 each has its own. */
static const double MOST = 9007199254740992.0;

static const char *const FORMS[] = {"optimistic", "pessimistic", NULL};

static const peri_option ENGINE_LIST[] = {
    PERI_REAL("tolerance", run_options, tolerance, 1e-8, 0, 1, "1",
              "certificate's kkt at which a point counts as solved"),
    PERI_REAL("tol", run_options, tolerance, 1e-8, 0, 1, "1", "short for tolerance"),
    PERI_REAL("time_limit", run_options, time_limit, INFINITY, 0, INFINITY, "s", "wall-clock seconds of the solve"),
    PERI_INT("iterations", run_options, iterations, 10000, 0, MOST, "1", "most iterations"),
    PERI_INT("evaluations", run_options, evaluations, MOST, 0, MOST, "1", "most evaluations of the objective"),
    PERI_INT("seed", run_options, seed, 1, 0, MOST, "1", "seed of the random streams"),
    PERI_INT("threads", run_options, threads, 0, 0, 1024, "1", "most threads that evaluate; 0: as many as the context has"),
    PERI_BOOL("warm_start", run_options, warm_start, 1, "use an earlier solution's multipliers where one is given"),
    PERI_BOOL("isolate", run_options, isolate, 0, "solve in a child process: a crash ends the solve, and the best point so far is kept"),
    PERI_REAL("grace", run_options, grace, 1, 0, INFINITY, "s", "time that an isolated solve has to end after a limit, before it is killed"),
    PERI_INT("memory_limit", run_options, memory_limit, 0, 0, MOST, "bytes", "memory that an isolated solve may take; 0: the context's limit"),
    PERI_STRING("checkpoint", run_options, checkpoint, "", "file that the solve's state is written to, for resume; empty: none"),
    PERI_REAL("checkpoint_every", run_options, checkpoint_every, 60, 0, INFINITY, "s", "time between two checkpoints; 0: after every step"),
    PERI_STRING("resume", run_options, resume, "", "checkpoint to go on from, of the same model and solver; empty: none"),
    PERI_INT("lower_starts", run_options, lower_starts, 8, 1, 10000, "1",
             "points from which the certificate solves a lower level that is not proven convex"),
    PERI_REAL("lower_time", run_options, lower_time, 30, 0, INFINITY, "s", "time that the certificate may take for solving lower levels"),
    PERI_ENUM("form", run_options, form, 0, FORMS, "of problems with lower models: which of several minima below is meant, the best or the worst above"),
    PERI_STRING("linear_solver", run_options, linear_solver, "", "linear-solver plugin; empty: the engine's choice"),
};

static const peri_plugin ENGINE_TABLE = {
    .stamp = PERI_STAMP,
    .kind = PERI_KIND_SOLVER,
    .name = "engine",
    .family = "engine",
    .summary = "options that every solve has",
    .page = "Limits, tolerance and choices that belong to the engine, not to a method: they can be given with any solver.",
    .size_options = (uint32_t)sizeof(run_options),
    .n_options = (uint32_t)PERI_COUNT(ENGINE_LIST),
    .options = ENGINE_LIST,
};

/* "engine" is not a plugin, but has a page as these have. */
peri_status peri_plugin_page(peri_context *ctx, const char *name, bool json, char **out)
{
    static const registry_entry itself = {.name = "engine", .license = "Apache-2.0"};
    if (strcmp(name, "engine") == 0)
        return option_page(ctx, &itself, &ENGINE_TABLE, json, out);
    return registry_page(ctx, name, json, out);
}

bool limits_is_option(const char *key)
{
    for (size_t k = 0; k < PERI_COUNT(ENGINE_LIST); k++)
        if (strcmp(ENGINE_LIST[k].name, key) == 0)
            return true;
    return false;
}

peri_status limits_default(peri_context *ctx, run_options *out)
{
    return option_defaults(ctx, &ENGINE_TABLE, out);
}

peri_status limits_set(peri_context *ctx, const peri_setting *s, run_options *out, arena *strings)
{
    return option_set(ctx, &ENGINE_TABLE, s, out, strings);
}

/* ---- the end
 * ---------------------------------------------------------------------------------------------------------------- */

static void stop(peri_run *run, peri_outcome by, const char *message)
{
    run->stopped_by = by;
    snprintf(run->message, sizeof run->message, "%s", message);
}

bool limits_reached(peri_run *run)
{
    const peri_limits *l = &run->limits;
    const bool interrupted = activity_beat(run->ctx);
    if (run->stopped_by != PERI_OPTIMAL)
        return true;
    if (interrupted || run->user_stop)
        stop(run, PERI_INTERRUPTED, run->user_stop ? "stopped by the event function" : "interrupted");
    else if (run->iterations >= l->iterations || run->steps >= l->iterations)
        stop(run, PERI_ITERATION_LIMIT, "iteration limit reached");
    else if (run->p->count.objective + run->inner_count.objective >= l->evaluations)
        stop(run, PERI_ITERATION_LIMIT, "limit of objective evaluations reached");
    else if (isfinite(l->time_limit) && clock_seconds() - run->started >= l->time_limit)
        stop(run, PERI_TIME_LIMIT, "time limit reached");
    return run->stopped_by != PERI_OPTIMAL;
}
