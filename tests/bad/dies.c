/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dies - halves its point in each step and accepts it; in step `at` it does what `how` says: crash, hang, poll for ever, leave the process, eat
 * memory, write outside its arrays, change the process.
 */
#define _POSIX_C_SOURCE 200809L
#include "bad.h"
#include "../tap/crash.h"
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { NOT, CRASH, HANG, DEAF, EXIT, ABORT, MEMORY, PAST, BEFORE, STATE, BOUNDS, INIT, CHANGE, KILL, WRITE, LOCALE };

static const char *const HOW[] = {"not",    "crash", "hang",   "deaf", "exit",   "abort", "memory",
                                  "past", "before", "state", "bounds", "init", "change", "kill", "write", "locale", NULL};

typedef struct {
    int32_t how;
    int64_t at;
} options;

static const peri_option dies_list[] = {
    PERI_ENUM("how", options, how, NOT, HOW, "what it does"),
    PERI_INT("at", options, at, 5, 1, 1000000, "1", "step in which it does it"),
};

typedef struct {
    const options *o;
    double *x;
    int64_t n, steps;
} state;

static void sleep_a_little(void)
{
    const struct timespec t = {0, 1000000};
    nanosleep(&t, NULL);
}

static void eat_memory(void)
{
    for (;;) {
        volatile char *block = malloc(16 << 20);
        for (size_t k = 0; k < (size_t)16 << 20; k += 4096)
            block[k] = 1; /* a crash once malloc gives none */
    }
}

static void change_process(void)
{
    sigset_t set;
    fesetround(FE_UPWARD);
    setlocale(LC_ALL, "C.UTF-8");
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    setvbuf(stdout, NULL, _IONBF, 0);
}

/* And tells how many files are open beyond the first three, but for what the kernel's folder of them needs itself. */
static void write_file(void)
{
    int inherited = 0;
    FILE *f = fopen("dies-was-here", "w");
    if (f != NULL)
        fclose(f);
    for (int fd = 3; fd < 64; fd++)
        inherited += fcntl(fd, F_GETFD) != -1;
    printf("inherited %d\n", inherited);
}

static void write_outside(state *s, peri_run *run)
{
    const double *xl;
    peri_bounds(run, &xl, NULL, NULL, NULL);
    volatile double *x = s->x, *bound = (double *)(uintptr_t)xl;
    switch (s->o->how) {
    case PAST:
        x[s->n] = 1;
        break;
    case BEFORE:
        x[-1] = 1;
        break;
    case STATE:
        ((volatile char *)(s + 1))[3] = 1;
        break;
    default:
        bound[0] = 3;
    }
}

static void misbehave(state *s, peri_run *run)
{
    switch (s->o->how) {
    case CRASH:
    case INIT:
        crash();
        break;
    case HANG:
        for (;;)
            sleep_a_little();
    case DEAF:
        for (;;) {
            (void)peri_should_stop(run);
            sleep_a_little();
        }
    case EXIT:
        exit(0);
    case ABORT:
        abort();
    case KILL:
        raise(SIGKILL);
        break;
    case MEMORY:
        eat_memory();
        break;
    case WRITE:
        write_file();
        break;
    case LOCALE:
        setlocale(LC_ALL, "C.UTF-8");
        break;
    case CHANGE:
        change_process();
        break;
    default:
        write_outside(s, run);
    }
}

static peri_status die_init(void *self, peri_run *run, const void *given)
{
    state *s = self;
    s->o = given;
    s->n = peri_n(run);
    TRY(peri_alloc(run, s->n, &s->x));
    if (s->o->how == INIT)
        misbehave(s, run);
    return peri_start(run, s->x);
}

static peri_status die_step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    peri_row row = peri_empty_row();
    if (++s->steps == s->o->at && s->o->how != NOT)
        misbehave(s, run);
    for (int64_t k = 0; k < s->n; k++)
        s->x[k] *= 0.5;
    TRY(peri_eval_f(run, s->x, &row.objective));
    TRY(peri_accept(run, s->x, NULL, NULL, &row, next));
    return s->steps == 40 ? peri_finish(run, PERI_WHY_CONVERGED, next) : PERI_OK;
}

static const peri_solver_ops ops = {.init = die_init, .step = die_step, .fini = bad_fini};
BAD_CHANGED("dies", {
    p->ops = &ops;
    p->size_state = (uint32_t)sizeof(state);
    p->size_options = (uint32_t)sizeof(options);
    p->options = dies_list;
    p->n_options = (uint32_t)(sizeof dies_list / sizeof dies_list[0]);
})
