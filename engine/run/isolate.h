/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isolate.h - a run in a child process: what its plugin, or a function that the model calls, does to its process ends the solve and not the host.
 * The child is forked once the model is compiled. Accepted points lie in memory that both share, so that a dead child leaves its best one;
 * iterations and log lines are sent, and the host's functions for them are called in the parent, as if nothing were different.
 */
#ifndef PERI_RUN_ISOLATE_H
#define PERI_RUN_ISOLATE_H

#include "run/internal.h"

/* isolate_open - the shared memory; the run's points move into it. PERI_E_NOMEM */
peri_status isolate_open(peri_run *run);
/* isolate_work - run_work in a child; however that ends, the run holds what came of it. err as run_work; PERI_E_INTERNAL: no child could be made */
peri_status isolate_work(peri_run *run);
/* isolate_conclude - run_conclude; in a child too where it calls functions of the user, which may crash again */
peri_status isolate_conclude(peri_run *run);
void isolate_close(peri_run *run); /* nothing where it was not opened */
/* isolate_publish - in the child: the points and counts of now are what a parent finds. Nothing in a run that is not isolated */
void isolate_publish(peri_run *run);

#endif
