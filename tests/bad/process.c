/* SPDX-License-Identifier: Apache-2.0 */
/* process - changes the locale and the signal mask when loaded, and the rounding and the signal mask in each step. */
#define _POSIX_C_SOURCE 200809L
#include "bad.h"
#include <fenv.h>
#include <locale.h>
#include <signal.h>

static void block(int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

__attribute__((constructor)) static void change(void)
{
    block(SIGUSR1);
    setlocale(LC_ALL, "C.UTF-8");
}

static peri_status rounding_step(void *self, peri_run *run, peri_step *next)
{
    fesetround(FE_UPWARD);
    block(SIGUSR2);
    return bad_step(self, run, next);
}

static const peri_solver_ops ops = {.init = bad_init, .step = rounding_step, .fini = bad_fini};
BAD_CHANGED("process", p->ops = &ops;)
