/* SPDX-License-Identifier: Apache-2.0 */
/* isolate_wire.h - inside isolate.c and isolate_child.c only: what parent and child hand each other, in shared memory and through the socket. */
#ifndef PERI_RUN_ISOLATE_WIRE_H
#define PERI_RUN_ISOLATE_WIRE_H

#include "run/isolate.h"
#include <stdnoreturn.h>
#include <sys/types.h>

enum { RECORD_EVENT = 1, RECORD_LOG, RECORD_OPTIMUM, RECORD_RESULT };

typedef struct {
    int last, best;
    bool has_y[2], has_z[2];
    double objective[2], violation[2];
    int64_t iterations, steps;
    peri_evaluations evaluations;
} isolate_standing;

/* The certificate of a run whose model calls functions of the user's, or has lower models. */
typedef struct {
    peri_status status;
    peri_certificate certificate;
    solution_levels levels;
    double objective;
    peri_outcome outcome;
    char message[256], error[1024];
} isolate_verdict;

/* The shared memory: this, the points' x, y, z twice, then z, y, x of the answer. */
typedef struct {
    context_activity activity;
    _Atomic uint64_t sequence; /* standing[sequence & 1] is whole */
    isolate_standing standing[2];
    isolate_verdict verdict;
} isolate_page;

typedef struct {
    uint32_t type, size; /* bytes that follow */
} isolate_head;

typedef struct {
    peri_status status;
    char error[1024];
    peri_why why;
    peri_outcome stopped_by;
    char message[256];
    int64_t iterations, steps;
    peri_evaluations evaluations;
    peri_times times;
} isolate_result;

struct isolate {
    isolate_page *shared;
    size_t bytes;
    double *answer[3]; /* x, y, z in shared memory */
    peri_solve_args args; /* the child's */
    int fd;
    pid_t parent, child;
    bool in_child, reaped, lost, killed, has_result;
    int wait_status;
    isolate_result result;
    struct {
        unsigned char *at;
        size_t n, cap;
    } input;
    double due, beat_at; /* when the run should have ended, INFINITY: it need not; of the last sign of life */
    uint64_t beats;
};

bool isolate_send(int fd, const void *data, size_t size); /* all of it; false: the other side is gone */
/* The child's whole life, from the fork on: run_work, or run_conclude */
noreturn void isolate_child_work(peri_run *run, int fd);
noreturn void isolate_child_conclude(peri_run *run, int fd);

#endif
