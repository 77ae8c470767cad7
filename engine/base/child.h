/* SPDX-License-Identifier: Apache-2.0 */
/* child.h - processes of this program's own code: what a child does first, and how an end by a signal is called. */
#ifndef PERI_BASE_CHILD_H
#define PERI_BASE_CHILD_H

#include <stddef.h>
#include <sys/types.h>

/* In the child: it dies with its parent, has none of the host's signal handlers, and leaves what the host wants done at exit undone. */
void child_begin(pid_t parent);
/* "SIGSEGV", or "signal 99" in `text` */
const char *child_signal(int number, char *text, size_t size);

#endif
