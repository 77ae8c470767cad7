/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - threads that share out the tasks of one job. The caller of pool_run takes part and never waits for a thread that has not
 * begun: one that sleeps costs a wake-up call, not the time until it is awake.
 */
#ifndef PERI_BASE_POOL_H
#define PERI_BASE_POOL_H

#include "base/mem.h"

typedef struct thread_pool thread_pool;
/* thread: 0 is the caller of pool_run; no two tasks of one thread run at once */
typedef void (*pool_fn)(void *ud, int32_t thread, int64_t task);

enum { POOL_MOST_THREADS = 1024 };

int32_t pool_cores(void); /* physical cores that this process may run on, at least 1 */

/* Room for so many threads, the caller among them; none is started. NULL: out of memory */
thread_pool *pool_new(mem *m, int32_t threads);
/* As many threads as are wanted, at most those that there is room for; fewer where the system gives no more. Returns how many there are. */
int32_t pool_start(thread_pool *p, int32_t threads);
/* In a child process after fork, where no thread but the caller lives on: the others are started anew. NULL allowed */
void pool_revive(thread_pool *p);
void pool_free(thread_pool *p); /* ends and joins them; NULL allowed */

/*
 * Runs fn for the tasks 0 .. n - 1 (n < 2^31), each once, on at most so many of the started threads; returns when all have ended. Which thread takes
 * which is not determined: neighbours tend to be together. The workers compute with the caller's floating-point modes.
 */
void pool_run(thread_pool *p, int32_t threads, int64_t n, pool_fn fn, void *ud);

#endif
