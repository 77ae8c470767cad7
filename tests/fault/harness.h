/* SPDX-License-Identifier: Apache-2.0 */
/* harness.h - the scripts of problems.lua in a state and a context of the test's own, which share one counting allocator. */
#ifndef PERI_TESTS_FAULT_HARNESS_H
#define PERI_TESTS_FAULT_HARNESS_H

#include "memory.h"

typedef struct {
    memory mem;
    dsl_host host;
    lua_State *L; /* NULL: could not be made */
} world;

typedef enum { RUN_RIGHT, RUN_WRONG, RUN_ERROR } run_end;

extern const char *const problem_names[]; /* NULL-terminated; those of problems.lua */

/* Each opens a context and a state; none of them fails the test. world_close gives everything back: mem.blocks is then 0, or leaked. */
void world_open(world *w);
void world_close(world *w);
/* One script; *result its number. message [size]: the error's, "" without. */
run_end world_run(world *w, const char *problem, double want, double *result, char *message, size_t size);
/* What a host does when a script has ended, in an error too: a comparison that was left over is forgotten. */
void world_end_script(world *w);

#endif
