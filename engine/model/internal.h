/* SPDX-License-Identifier: Apache-2.0 */
/* internal.h - inside engine/model only. */
#ifndef PERI_MODEL_INTERNAL_H
#define PERI_MODEL_INTERNAL_H

#include "model/model.h"

bool model_name_taken(const peri_model *m, const char *name); /* by a variable or a parameter */
/* PERI_E_ARGUMENT unless e is a node of the model; `what` names the thing in the message */
peri_status model_check_expr(peri_model *m, const char *what, peri_expr e);
/* "x (vector 3)", "array (matrix 2 x 3)", "sin(x) (scalar)" */
void model_describe(peri_model *m, peri_expr e, char *text, size_t size);
/* "vector 3", "matrix 2 x 3", "scalar" */
void model_shape_text(int64_t rows, int64_t cols, char *text, size_t size);
peri_status model_check_shape(peri_model *m, const char *what, const char *name, int64_t rows, int64_t cols);
/* Data for `entries` entries: n values, 1 or all; `name: 3 <what> for 4 entries` otherwise. */
peri_status model_check_count(peri_model *m, const char *name, const char *what, int64_t n, int64_t entries);

#endif
