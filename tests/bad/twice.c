/* SPDX-License-Identifier: Apache-2.0 */
/* twice - an option that is there two times. */
#include "bad.h"

static const peri_option twins[] = {
    PERI_REAL("first", bad_options, first, 0.25, 0, 1, "1", "a number"),
    PERI_INT("first", bad_options, second, 7, 1, 9, "steps", "a whole number"),
};
BAD_CHANGED("twice", p->options = twins; p->n_options = 2;)
