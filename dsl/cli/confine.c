/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine.c - limits that the system keeps. For any script and solve: the size of files. For a sandbox: a child process that has no file but the
 * standard three, may open none for writing nor start a program, may not make the system calls of filter.c, has limits of memory, processor time,
 * file size and open files, and cannot outlive its parent, which kills it should it still run when its time is over.
 * Invariant: whatever the script does, the parent ends with one line at most and a status that is not 0 unless the script came to its end.
 */
#define _GNU_SOURCE
#include "cli.h"

#include <errno.h>
#include <linux/landlock.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 64, LATE = 6 }; /* open files; seconds after the limit, when the child has not ended itself */
static const size_t ROOM = (size_t)256 << 20, ROOM_PER_THREAD = (size_t)64 << 20; /* address space besides: libraries, stacks */

void confine_defaults(cli_args *a)
{
    a->memory = a->memory_limit == NULL ? (size_t)1 << 30 : a->memory;
    a->seconds = a->time_limit == NULL ? 60.0 : a->seconds;
    a->file_size = a->file_size_limit == NULL ? (size_t)16 << 20 : a->file_size;
}

static void limit(unsigned resource, rlim_t most)
{
    struct rlimit now;
    if (getrlimit(resource, &now) != 0)
        return;
    if (now.rlim_max != RLIM_INFINITY && now.rlim_max < most)
        most = now.rlim_max;
    now.rlim_cur = now.rlim_max = most;
    setrlimit(resource, &now);
}

/* A write beyond it is an error that is told, and no signal. */
void confine_files(const cli_args *a)
{
    if (a->file_size == 0)
        return;
    signal(SIGXFSZ, SIG_IGN);
    limit(RLIMIT_FSIZE, (rlim_t)a->file_size);
}

/* ---- the child ------------------------------------------------------------------------------------------------------------------------- */

static size_t address_space(void)
{
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%zu", &pages) != 1)
        pages = 0;
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void close_inherited(void)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0)
        return;
#endif
    const long most = sysconf(_SC_OPEN_MAX);
    for (int fd = 3; fd < most && fd < 65536; fd++)
        close(fd);
}

/* No file is opened for writing, made, renamed or removed, and no program started, where the kernel can see to that. */
static void forbid_writing(void)
{
    const struct landlock_ruleset_attr handled = {
        .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                             LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
                             LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                             LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM};
    const long ruleset = syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    if (ruleset < 0)
        return;
    (void)syscall(SYS_landlock_restrict_self, (int)ruleset, 0);
    close((int)ruleset);
}

void confine_self(const cli *c)
{
    const size_t threads = c->args.threads > 0 ? (size_t)c->args.threads : (size_t)sysconf(_SC_NPROCESSORS_ONLN);
    const size_t space = address_space();
    forbid_writing();
    filter_calls(c->args.isolate);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, FILES);
    if (isfinite(c->args.seconds))
        limit(RLIMIT_CPU, (rlim_t)((c->args.seconds + LATE) * (double)threads) + 1);
    if (c->args.memory != 0 && space != 0)
        limit(RLIMIT_AS, (rlim_t)(space + c->args.memory + ROOM + threads * ROOM_PER_THREAD));
}

/* ---- the parent -------------------------------------------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int pidfd(pid_t child)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, child, 0U);
#else
    (void)child;
    return -1;
#endif
}

/* Until it has ended, or by `until` at the latest; false: it runs still. */
static bool wait_for(pid_t child, double until, int *status)
{
    struct pollfd ended = {.fd = pidfd(child), .events = POLLIN};
    bool gone = false;
    while (!gone && now() < until) {
        const double left = fmin((until - now()) * 1e3 + 1, 1000);
        poll(&ended, ended.fd >= 0 ? 1 : 0, ended.fd >= 0 ? (int)left : 5);
        gone = waitpid(child, status, WNOHANG) == child;
    }
    if (ended.fd >= 0)
        close(ended.fd);
    return gone;
}

static int status_of(const cli *c, int status)
{
    const char *script = c->args.words[0];
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    if (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGALRM) {
        cli_say("%s: processor time is used up; --time-limit allows %g s", script, c->args.seconds);
        return EXIT_LIMIT;
    }
    return cli_say("%s: its process was ended by signal %d (%s)", script, WTERMSIG(status), strsignal(WTERMSIG(status)));
}

static int supervise(const cli *c, pid_t child)
{
    int status = 0;
    signals_forward(child);
    if (wait_for(child, isfinite(c->args.seconds) ? now() + c->args.seconds + LATE : INFINITY, &status))
        return status_of(c, status);
    kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    cli_say("%s: time limit of %g s reached; killed", c->args.words[0], c->args.seconds);
    return EXIT_LIMIT;
}

bool confine_fork(cli *c, int *status)
{
    const pid_t parent = getpid();
    fflush(stdout);
    fflush(stderr);
    const pid_t child = fork();
    if (child < 0) {
        *status = cli_say("perigee: no process could be made: %s", strerror(errno));
        return false;
    }
    if (child > 0) {
        *status = supervise(c, child);
        return false;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (getppid() != parent)
        _exit(EXIT_ERROR);
    close_inherited();
    return true;
}
