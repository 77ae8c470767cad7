/* SPDX-License-Identifier: Apache-2.0 */
/* child.c - what a forked child must undo before it runs code that may fail. Invariant: nothing of the host's is flushed or tidied up by it. */
#define _GNU_SOURCE
#include "base/child.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The host's handlers and what it wants done at exit are not for the child; a stop comes from the parent. */
static void reset_signals(void)
{
    static const int ours[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, SIGALRM, SIGXCPU, SIGUSR1, SIGUSR2};
    sigset_t none;
    for (size_t k = 0; k < sizeof ours / sizeof ours[0]; k++)
        signal(ours[k], SIG_DFL);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

#ifdef __GLIBC__
static void leave_at_once(int status, void *unused)
{
    (void)unused;
    _exit(status);
}
#else
static void leave_at_once(void)
{
    _exit(0);
}
#endif

/* What a plugin ends the process with is not to flush what the host had not yet written, nor to tidy up after it. */
static void forget_host_exit(void)
{
#ifdef __GLIBC__
    (void)on_exit(leave_at_once, NULL);
#else
    (void)atexit(leave_at_once);
#endif
}

void child_begin(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    reset_signals();
    forget_host_exit();
}

const char *child_signal(int number, char *text, size_t size)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {{SIGSEGV, "SIGSEGV"}, {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},   {SIGILL, "SIGILL"},
                 {SIGTRAP, "SIGTRAP"}, {SIGSYS, "SIGSYS"},   {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"}, {SIGPIPE, "SIGPIPE"}};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
        if (names[k].number == number)
            return names[k].name;
    snprintf(text, size, "signal %d", number);
    return text;
}
