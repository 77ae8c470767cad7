/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.h - inside engine/run only: a run's state in a file, between two steps, from which another process goes on. The engine's part
 * (points, history, counters) is written here, the method's by its own save and load through checkpoint_transfer.
 */
#ifndef PERI_RUN_CHECKPOINT_H
#define PERI_RUN_CHECKPOINT_H

#include "run/internal.h"

/*
 * checkpoint_open - from the run's options; nothing where they name no file. In set-up, before init.
 *   err  PERI_E_UNSUPPORTED: the method cannot; PERI_E_IO, PERI_E_PARSE, PERI_E_STATE: the file to resume from cannot be read, is damaged, or is of
 *        another model or method; PERI_E_NOMEM
 */
peri_status checkpoint_open(peri_run *run, const run_options *o);
bool checkpoint_resumes(const peri_run *run);
/* checkpoint_resume - after init: the state of the file takes the place of what init made */
peri_status checkpoint_resume(peri_run *run);
/* checkpoint_offer - after a step: takes the state now and then, writes it when it is time, and where the run stops at a limit (`last`). That
 * writing failed is told in the log, once for each reason; the file of before stays, the run goes on. err PERI_E_NOMEM, and what the method's save gives */
peri_status checkpoint_offer(peri_run *run, bool last);
/* checkpoint_keep - where a step was stopped inside, whose state is none to go on from: the last one that was taken before it becomes the file */
peri_status checkpoint_keep(peri_run *run);
void checkpoint_close(peri_run *run);
/* The host table's slot. */
peri_status checkpoint_transfer(peri_run *run, const char *name, void *data, size_t bytes);

#endif
