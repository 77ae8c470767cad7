/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter.c - system calls that a sandbox answers with "operation not permitted": other programs and processes, the network, looking into or
 * stopping other processes, and what administers the machine or has a long history of holes. By libseccomp, opened when it is wanted and where it is
 * there, so that the command does not load it to start. Invariant: what the engine itself calls in a solve (threads, memory, reading files, time)
 * stays allowed; a call that the kernel or the library does not know is left alone.
 */
#define _GNU_SOURCE
#include "cli.h"

#ifdef HAVE_SECCOMP
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    scmp_filter_ctx (*init)(uint32_t default_action);
    void (*release)(scmp_filter_ctx filter);
    int (*load)(const scmp_filter_ctx filter);
    int (*add)(scmp_filter_ctx filter, uint32_t action, int call, unsigned count, const struct scmp_arg_cmp *args);
    int (*resolve)(const char *name);
} library;

static const char *const FORBIDDEN[] = {
    "execve", "execveat", "socket", "connect", "bind", "listen", "accept", "accept4", "sendmmsg",
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "pidfd_send_signal", "kcmp",
    "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_by_handle_at", "fsopen", "move_mount",
    "keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
    "init_module", "finit_module", "delete_module", "kexec_load", "reboot", "swapon", "swapoff", "sethostname", "settimeofday",
    "clock_settime", "personality", "quotactl", "acct", "syslog", "iopl", "ioperm",
};

static bool find(void *from, const char *name, void *place)
{
    void *symbol = dlsym(from, name);
    memcpy(place, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool open_library(library *l)
{
    void *s = dlopen("libseccomp.so.2", RTLD_NOW | RTLD_LOCAL);
    return s != NULL && find(s, "seccomp_init", &l->init) && find(s, "seccomp_release", &l->release) && find(s, "seccomp_load", &l->load) &&
           find(s, "seccomp_rule_add_array", &l->add) && find(s, "seccomp_syscall_resolve_name", &l->resolve);
}

static void forbid(const library *l, scmp_filter_ctx filter, const char *name, int error, const struct scmp_arg_cmp *when)
{
    const int call = l->resolve(name);
    if (call != __NR_SCMP_ERROR)
        (void)l->add(filter, SCMP_ACT_ERRNO((uint32_t)error), call, when != NULL ? 1 : 0, when);
}

/* Threads are made by clone with CLONE_THREAD; of clone3, whose flags a filter cannot see, the C library believes that it is not there. */
static void forbid_processes(const library *l, scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp no_thread = {.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = CLONE_THREAD, .datum_b = 0};
    forbid(l, filter, "fork", EPERM, NULL);
    forbid(l, filter, "vfork", EPERM, NULL);
    forbid(l, filter, "clone", EPERM, &no_thread);
    forbid(l, filter, "clone3", ENOSYS, NULL);
    forbid(l, filter, "socketpair", EPERM, NULL); /* by which an isolated solve and its parent talk */
    forbid(l, filter, "sendmsg", EPERM, NULL);
    forbid(l, filter, "sendto", EPERM, NULL);
}

static void forbid_signals(const library *l, scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp others = {.arg = 0, .op = SCMP_CMP_NE, .datum_a = (scmp_datum_t)getpid()};
    forbid(l, filter, "kill", EPERM, &others);
    forbid(l, filter, "tgkill", EPERM, &others);
    forbid(l, filter, "tkill", EPERM, NULL);
}

void filter_calls(bool processes)
{
    library l;
    if (!open_library(&l))
        return;
    const scmp_filter_ctx filter = l.init(SCMP_ACT_ALLOW);
    if (filter == NULL)
        return;
    for (size_t k = 0; k < sizeof FORBIDDEN / sizeof FORBIDDEN[0]; k++)
        forbid(&l, filter, FORBIDDEN[k], EPERM, NULL);
    if (!processes) {
        forbid_processes(&l, filter);
        forbid_signals(&l, filter);
    }
    (void)l.load(filter);
    l.release(filter);
}

#else

void filter_calls(bool processes)
{
    (void)processes;
}

#endif
