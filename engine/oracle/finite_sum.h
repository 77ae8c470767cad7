/* SPDX-License-Identifier: Apache-2.0 */
/*
 * finite_sum.h - the view of an objective that is a sum over data: f(x) = rest(x) + sum_i w_i L_i(x), with the weights w a range of the model's
 * parameters. It evaluates an index set of rows, with repetitions: rest(x) + factor sum_k w_{i_k} L_{i_k}(x), and each row's term by itself. What that
 * costs depends on the number of rows in the set, not on that of all rows. Clients, batches and samples are index sets.
 */
#ifndef PERI_ORACLE_FINITE_SUM_H
#define PERI_ORACLE_FINITE_SUM_H

#include "oracle/nlp.h"

typedef struct finite_sum finite_sum;

/*
 * finite_sum_of - the view's sum over the weights first .. first + n - 1 of the class PARAM; made once, the view's own
 *   out  sum  borrowed
 *   err  PERI_E_UNSUPPORTED  the objective is not such a sum, as far as is seen; the message says why
 *        PERI_E_ARGUMENT     it has no weights
 */
peri_status finite_sum_of(nlp *p, int64_t first, int64_t n, finite_sum **sum);
void finite_sum_free(finite_sum *s);

/* Something that the terms read is evaluated for all rows, whichever are asked for. */
bool finite_sum_is_whole(const finite_sum *s);
/* For tests: instances of all kernels that an evaluation of the rows at hand runs */
int64_t finite_sum_instances(const finite_sum *s);

/*
 * finite_sum_choose - evaluations from now on are of these rows; parameters are read at the next one
 *   in   rows  [n] of the sum's, counted from 0, copied
 *   err  PERI_E_NOMEM
 */
peri_status finite_sum_choose(finite_sum *s, int64_t n, const int64_t *rows, double factor);
/*
 * finite_sum_fg - value and gradient [variables] of the rows at hand
 *   err  PERI_E_DOMAIN  not finite
 */
peri_status finite_sum_fg(finite_sum *s, const double *x, double *f, double *g);
/* finite_sum_terms - of each row by itself, without the rest: f [rows at hand], g [rows at hand x variables] or NULL;  err as above */
peri_status finite_sum_terms(finite_sum *s, const double *x, double *f, double *g);

#endif
