/* SPDX-License-Identifier: Apache-2.0 */
/* escapes - tries what a sandbox forbids, and tells which of it was done in a line of the log. */
#define _GNU_SOURCE
#include "bad.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bool makes_process(void)
{
    const pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid(child, NULL, 0);
    return child > 0;
}

static bool starts_program(void)
{
    char *const words[] = {"true", NULL}, *const none[] = {NULL};
    int status = 1;
    const pid_t child = vfork();
    if (child == 0) {
        execve("/bin/true", words, none);
        _exit(1);
    }
    if (child > 0)
        waitpid(child, &status, 0);
    return child > 0 && status == 0;
}

static bool opens_socket(void)
{
    const int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s >= 0)
        close(s);
    return s >= 0;
}

static peri_status try_all(void *self, peri_run *run, peri_step *next)
{
    char text[128];
    snprintf(text, sizeof text, "did:%s%s%s%s", makes_process() ? " process" : "", starts_program() ? " program" : "",
             opens_socket() ? " socket" : "", kill(getppid(), 0) == 0 ? " signal" : "");
    (void)self;
    (void)next;
    return peri_fail(run, PERI_E_UNSUPPORTED, text);
}

static const peri_solver_ops ops = {.init = bad_init, .step = try_all, .fini = bad_fini};
BAD_CHANGED("escapes", p->ops = &ops;)
