/* SPDX-License-Identifier: Apache-2.0 */
/* range - an option whose default lies outside its range. */
#include "bad.h"

static const peri_option outside[] = {
    PERI_REAL("first", bad_options, first, 2.5, 0, 1, "1", "a number"),
};
BAD_CHANGED("range", p->options = outside; p->n_options = 1;)
