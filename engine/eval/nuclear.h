/* SPDX-License-Identifier: Apache-2.0 */
/* nuclear.h - the nuclear norm, the sum of the singular values, as a function of a matrix expression. */
#ifndef PERI_EVAL_NUCLEAR_H
#define PERI_EVAL_NUCLEAR_H

#include "expr/graph.h"

/* out: a scalar CALL node, marked non-smooth; PERI_E_UNSUPPORTED where LAPACK is missing */
peri_status eval_norm_nuclear(expr_graph *g, expr_id e, expr_id *out);

#endif
