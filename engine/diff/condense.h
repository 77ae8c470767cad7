/* SPDX-License-Identifier: Apache-2.0 */
/* condense.h - scatters that bring many instances to few places, in two steps: for align.c. */
#ifndef PERI_DIFF_CONDENSE_H
#define PERI_DIFF_CONDENSE_H

#include "diff/internal.h"

/* The scatter e, or one of fewer entries, some of whose arguments are scatters into smaller arrays. */
peri_status condense_scatter(expr_graph *g, expr_id e, expr_id *out);

#endif
