/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - the threads of a context. A job is announced by a new generation in the gate; a thread that comes while the gate is open joins, and
 * the gate counts who has. Each thread has a range of tasks of its own, takes them from its front, and takes from the back of others' when it
 * is empty. Invariant: the job's fields change only while the gate is closed and nobody is joined, so that who has joined may read them.
 */
#define _GNU_SOURCE
#include "base/pool.h"

#include "base/fence.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

enum { LINE = 64, SPINS = 2000, PATIENCE = 200 }; /* pauses before a thread sleeps; before the caller lets others have the processor */

typedef struct {
    _Alignas(LINE) _Atomic uint64_t range; /* tasks that nobody has taken: first | end << 32 */
    atomic_bool asleep;
    thread_pool *pool;
    int32_t index;
    sem_t wake;
    pthread_t id;
} worker;

/* generation << 32 | end of all << 31 | threads of the job << 17 | open << 16 | joined */
enum { JOINED = 0xffff, OPEN = 1 << 16, THREADS_SHIFT = 17, THREADS = 0x3fff, END_SHIFT = 31, GENERATION_SHIFT = 32 };

struct thread_pool {
    _Alignas(LINE) _Atomic uint64_t gate;
    _Alignas(LINE) mem *m;
    worker *workers; /* [room]; the first is the caller */
    int32_t room, started;
    pool_fn fn;
    void *ud;
    fence_fp modes;
};

static inline void pause_a_little(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint32_t generation(uint64_t gate)
{
    return (uint32_t)(gate >> GENERATION_SHIFT);
}

static int32_t threads_of(uint64_t gate)
{
    return (int32_t)(gate >> THREADS_SHIFT & THREADS);
}

/* ---- tasks --------------------------------------------------------------------------------------------------------- */

/* From its front or, where a thread helps another, from its end. */
static bool take(worker *w, bool end, int64_t *task)
{
    uint64_t now = atomic_load_explicit(&w->range, memory_order_relaxed);
    for (;;) {
        const uint32_t first = (uint32_t)now, last = (uint32_t)(now >> 32);
        if (first >= last)
            return false;
        const uint64_t then = end ? (uint64_t)(last - 1) << 32 | first : (uint64_t)last << 32 | (first + 1);
        if (!atomic_compare_exchange_weak_explicit(&w->range, &now, then, memory_order_relaxed, memory_order_relaxed))
            continue;
        *task = end ? last - 1 : first;
        return true;
    }
}

static void work(thread_pool *p, int32_t threads, int32_t me)
{
    int64_t task;
    for (int32_t k = 0; k < threads; k++)
        while (take(&p->workers[(me + k) % threads], k > 0, &task))
            p->fn(p->ud, me, task);
}

/* ---- workers ------------------------------------------------------------------------------------------------------- */

static void wake(worker *w)
{
    if (atomic_exchange(&w->asleep, false))
        sem_post(&w->wake);
}

/* Worker k wakes 2 k and 2 k + 1, so that a job is known everywhere after few steps. */
static void wake_others(thread_pool *p, int32_t k, int32_t threads)
{
    for (int32_t j = k == 0 ? 1 : 2 * k; j <= (k == 0 ? 1 : 2 * k + 1) && j < threads; j++)
        wake(&p->workers[j]);
}

/* A gate of another generation: looked for a little, then slept for. */
static uint64_t next_job(worker *w, uint32_t seen)
{
    thread_pool *p = w->pool;
    for (;;) {
        for (int k = 0; k < SPINS; k++) {
            const uint64_t gate = atomic_load(&p->gate);
            if (generation(gate) != seen)
                return gate;
            pause_a_little();
        }
        atomic_store(&w->asleep, true);
        /* who changes the gate looks at `asleep` afterwards: one of the two sees the other */
        if (generation(atomic_load(&p->gate)) != seen && atomic_exchange(&w->asleep, false))
            continue;
        while (sem_wait(&w->wake) != 0)
            ;
    }
}

static bool join(thread_pool *p, uint32_t job)
{
    uint64_t gate = atomic_load_explicit(&p->gate, memory_order_relaxed);
    while (generation(gate) == job && (gate & OPEN) != 0)
        if (atomic_compare_exchange_weak_explicit(&p->gate, &gate, gate + 1, memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

static void *worker_main(void *ud)
{
    worker *const w = ud;
    thread_pool *const p = w->pool;
    for (uint32_t seen = 0;;) {
        const uint64_t gate = next_job(w, seen);
        const int32_t threads = threads_of(gate);
        seen = generation(gate);
        wake_others(p, w->index, threads);
        if ((gate >> END_SHIFT & 1) != 0)
            return NULL;
        if (w->index >= threads || !join(p, seen))
            continue;
        fence_fp_restore(&p->modes);
        work(p, threads, w->index);
        atomic_fetch_sub_explicit(&p->gate, 1, memory_order_release);
    }
}

/* ---- the pool ------------------------------------------------------------------------------------------------------ */

thread_pool *pool_new(mem *m, int32_t threads)
{
    thread_pool *p = mem_array(m, 1, sizeof *p);
    worker *workers = mem_array(m, (size_t)threads, sizeof *workers);
    if (p == NULL || workers == NULL) {
        mem_array_free(m, p);
        mem_array_free(m, workers);
        return NULL;
    }
    p->m = m;
    p->workers = workers;
    p->room = threads;
    p->started = 1;
    return p;
}

/* With all signals blocked: they are for the threads of the host. */
static bool start_worker(thread_pool *p, int32_t k)
{
    worker *w = &p->workers[k];
    sigset_t all, before;
    w->pool = p;
    w->index = k;
    if (sem_init(&w->wake, 0, 0) != 0)
        return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool made = pthread_create(&w->id, NULL, worker_main, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!made)
        sem_destroy(&w->wake);
    return made;
}

int32_t pool_start(thread_pool *p, int32_t threads)
{
    while (p->started < threads && p->started < p->room && start_worker(p, p->started))
        p->started++;
    return p->started;
}

void pool_revive(thread_pool *p)
{
    if (p == NULL)
        return;
    const int32_t threads = p->started;
    p->started = 1;
    atomic_store(&p->gate, 0);
    for (int32_t k = 1; k < threads; k++)
        atomic_store(&p->workers[k].asleep, false);
    pool_start(p, threads);
}

static void announce(thread_pool *p, int32_t threads, uint64_t flag)
{
    const uint64_t job = (uint64_t)(generation(atomic_load(&p->gate)) + 1);
    atomic_store(&p->gate, job << GENERATION_SHIFT | (uint64_t)threads << THREADS_SHIFT | flag);
    wake_others(p, 0, threads);
}

void pool_free(thread_pool *p)
{
    if (p == NULL)
        return;
    if (p->started > 1)
        announce(p, p->started, UINT64_C(1) << END_SHIFT);
    for (int32_t k = 1; k < p->started; k++) {
        pthread_join(p->workers[k].id, NULL);
        sem_destroy(&p->workers[k].wake);
    }
    mem *const m = p->m;
    mem_array_free(m, p->workers);
    mem_array_free(m, p);
}

static void wait_for_all(thread_pool *p)
{
    for (int k = 0; (atomic_load_explicit(&p->gate, memory_order_acquire) & JOINED) != 0; k++) {
        if (k < PATIENCE)
            pause_a_little();
        else
            sched_yield();
    }
}

void pool_run(thread_pool *p, int32_t threads, int64_t n, pool_fn fn, void *ud)
{
    const int64_t most = threads < p->started ? threads : p->started, t = n < most ? n : most;
    if (t <= 1) {
        for (int64_t k = 0; k < n; k++)
            fn(ud, 0, k);
        return;
    }
    p->fn = fn;
    p->ud = ud;
    fence_fp_take(&p->modes);
    for (int64_t k = 0; k < t; k++)
        atomic_store_explicit(&p->workers[k].range, (uint64_t)((k + 1) * n / t) << 32 | (uint64_t)(k * n / t), memory_order_relaxed);
    announce(p, (int32_t)t, OPEN);
    work(p, (int32_t)t, 0);
    atomic_fetch_and_explicit(&p->gate, ~(uint64_t)OPEN, memory_order_relaxed);
    wait_for_all(p);
}

/* ---- the machine --------------------------------------------------------------------------------------------------- */

/* The first processor of those that share its core; itself where the system does not tell. */
static unsigned first_sibling(unsigned cpu)
{
    char path[96];
    unsigned first = cpu;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return cpu;
    if (fscanf(f, "%u", &first) != 1)
        first = cpu;
    fclose(f);
    return first;
}

/* A core counts once, by the first of its processors that may be used. */
int32_t pool_cores(void)
{
    cpu_set_t may, seen;
    int32_t cores = 0;
    CPU_ZERO(&seen);
    if (sched_getaffinity(0, sizeof may, &may) != 0)
        return 1;
    for (unsigned k = 0; k < CPU_SETSIZE; k++) {
        if (!CPU_ISSET(k, &may))
            continue;
        const unsigned first = first_sibling(k);
        if (first >= CPU_SETSIZE || CPU_ISSET(first, &seen))
            continue;
        CPU_SET(first, &seen);
        cores++;
    }
    return cores > 0 ? cores : 1;
}
