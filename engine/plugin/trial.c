/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trial.c - loading a shared object in a child process first, for runs that are to be isolated: a constructor or an entry function that crashes,
 * ends its process or does not return takes nothing with it. Invariant: when trial_load returns, no child is left.
 */
#define _GNU_SOURCE
#include "base/child.h"
#include "base/clock.h"
#include "plugin/internal.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE = 10, CAME_BACK = 'k' }; /* seconds */

/* Whether it can be loaded at all is found out, and said, by the loading that follows: here it is only asked to come back. */
static noreturn void try_it(const char *path, pid_t parent, int fd)
{
    const char word = CAME_BACK;
    peri_entry_fn entry = NULL;
    child_begin(parent);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = handle != NULL ? dlsym(handle, "peri_plugins") : NULL;
    memcpy(&entry, &symbol, sizeof entry);
    if (entry != NULL)
        (void)entry(host_table());
    while (write(fd, &word, 1) < 0 && errno == EINTR)
        continue;
    _exit(0);
}

/* One byte comes, or the end, or neither within the time. */
static bool wait_for(int fd, double until, char *word)
{
    for (;;) {
        struct pollfd input = {.fd = fd, .events = POLLIN};
        const double left = until - clock_seconds();
        const int ready = poll(&input, 1, left > 0 ? (int)(1000 * left) + 1 : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return false;
        const ssize_t n = read(fd, word, 1);
        if (n >= 0 || errno != EINTR)
            return true;
    }
}

static void tell_end(int status, bool lost, char *why, size_t size)
{
    char name[32];
    if (!lost && WIFSIGNALED(status))
        snprintf(why, size, "crashed (%s) while it was loaded", child_signal(WTERMSIG(status), name, sizeof name));
    else
        snprintf(why, size, "ended its process while it was loaded");
}

bool trial_load(const char *path, char *why, size_t size)
{
    int pair[2], status = 0;
    char word = 0;
    pid_t ended;
    const pid_t parent = getpid();
    if (pipe2(pair, O_CLOEXEC) != 0) {
        snprintf(why, size, "no pipe for a child process that loads it: %s", strerror(errno));
        return false;
    }
    fflush(stdout);
    fflush(stderr);
    const pid_t child = fork();
    if (child == 0)
        try_it(path, parent, pair[1]);
    close(pair[1]);
    const bool in_time = child > 0 && wait_for(pair[0], clock_seconds() + PATIENCE, &word);
    close(pair[0]);
    if (child < 0) {
        snprintf(why, size, "no child process to load it in: %s", strerror(errno));
        return false;
    }
    if (!in_time)
        kill(child, SIGKILL);
    do
        ended = waitpid(child, &status, 0);
    while (ended < 0 && errno == EINTR);
    if (word == CAME_BACK)
        return true;
    if (in_time)
        tell_end(status, ended < 0, why, size);
    else
        snprintf(why, size, "was not loaded within %d s", PATIENCE);
    return false;
}
