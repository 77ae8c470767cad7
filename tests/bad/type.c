/* SPDX-License-Identifier: Apache-2.0 */
/* type - an option of an unknown type. */
#include "bad.h"

static const peri_option odd[] = {
    {"first", "1", "a number", NULL, NULL, 0.25, 0, 1, 17, 0},
};
BAD_CHANGED("type", p->options = odd; p->n_options = 1;)
