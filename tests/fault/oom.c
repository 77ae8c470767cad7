/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oom.c - the k-th allocation fails, once or it and all later ones, of Lua and of the engine counted together, for k = 1, 2, ... until a script
 * of each kind of problem runs through: each run ends in an error that says that memory is out or in the right result, the same script
 * in the same state then gives the undisturbed result, and nothing is left once the state is closed. Without PERI_TEST_LONG the
 * step from one k to the next grows with k.
 */
#include "harness.h"
#include "tap/tap.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    int64_t tried, leaks, wrong, other, after;
    char example[400];
} tally;

static void note(tally *t, int64_t k, const char *text)
{
    if (t->example[0] == '\0')
        snprintf(t->example, sizeof t->example, "k = %lld: %.360s", (long long)k, text);
}

/* false: the script was through before the k-th allocation */
static bool attempt(const char *problem, double want, int64_t k, bool persistent, tally *t)
{
    char message[400];
    double result = 0;
    world w = {.mem = {.countdown = k, .persistent = persistent}};
    world_open(&w);
    const bool opened = w.L != NULL;
    const run_end end = world_run(&w, problem, want, &result, message, sizeof message);
    const bool reached = w.mem.calls >= k;
    t->tried += w.mem.failed; /* not where the k-th call makes a block smaller */
    t->wrong += end == RUN_WRONG;
    if (end == RUN_WRONG)
        note(t, k, "a wrong result");
    if (end == RUN_ERROR && opened && strstr(message, "memory") == NULL) {
        t->other++;
        note(t, k, message);
    }
    w.mem.countdown = 0;
    world_end_script(&w);
    if (opened && world_run(&w, problem, want, &result, message, sizeof message) != RUN_RIGHT) {
        t->after++;
        note(t, k, message[0] != '\0' ? message : "afterwards a wrong result");
    }
    world_close(&w);
    t->leaks += w.mem.blocks != 0;
    if (w.mem.blocks != 0)
        note(t, k, "a leak");
    return reached;
}

static void inject(const char *problem, double want, bool persistent)
{
    const char *name = persistent ? "from then on" : "once";
    tally t = {0};
    for (int64_t k = 1, more = 1; more; k += tap_long() ? 1 : 1 + k / 24)
        more = attempt(problem, want, k, persistent, &t);
    ok(t.tried > 60, "%s: memory fails %s at %lld places", problem, name, (long long)t.tried);
    is_int(t.leaks, 0, "%s: %s: nothing leaks", problem, name);
    is_int(t.wrong, 0, "%s: %s: no result is wrong", problem, name);
    is_int(t.other, 0, "%s: %s: every error says that memory is out", problem, name);
    is_int(t.after, 0, "%s: %s: the same script then runs", problem, name);
    if (t.example[0] != '\0')
        diag("%s", t.example);
}

int main(void)
{
    plan_later();
    for (const char *const *p = problem_names; *p != NULL; p++) {
        char message[400];
        double want = NAN;
        world keep = {0}; /* its libraries stay loaded, so that later worlds open them fast */
        world_open(&keep);
        world_run(&keep, *p, 0, &want, message, sizeof message);
        if (ok(isfinite(want), "%s: runs", *p)) {
            inject(*p, want, false);
            inject(*p, want, true);
        } else {
            diag("%s", message);
        }
        world_close(&keep);
    }
    return tap_done();
}
