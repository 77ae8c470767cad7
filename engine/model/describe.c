/* SPDX-License-Identifier: Apache-2.0 */
/* describe.c - expressions and shapes in words, and the checks of arguments that all entry points share. */
#include "model/internal.h"
#include <stdio.h>

void model_shape_text(int64_t rows, int64_t cols, char *text, size_t size)
{
    if (rows == 1 && cols == 1)
        snprintf(text, size, "scalar");
    else if (cols == 1)
        snprintf(text, size, "vector %lld", (long long)rows);
    else
        snprintf(text, size, "matrix %lld x %lld", (long long)rows, (long long)cols);
}

void model_describe(peri_model *m, peri_expr e, char *text, size_t size)
{
    char shape[48], *name = NULL;
    const expr_node *node = expr_at(m->g, e);
    model_shape_text(node->rows, node->cols, shape, sizeof shape);
    if (node->op == PERI_OP_CONST && expr_size(m->g, e) > 1) {
        snprintf(text, size, "array (%s)", shape);
        return;
    }
    if (expr_text(m->g, e, 40, &name) != PERI_OK) {
        snprintf(text, size, "expression (%s)", shape);
        return;
    }
    snprintf(text, size, "%s (%s)", name, shape);
    mem_array_free(m->g->m, name);
}

peri_status model_check_expr(peri_model *m, const char *what, peri_expr e)
{
    if (e >= 0 && e < m->g->nodes.n)
        return PERI_OK;
    return FAIL(m->ctx, PERI_E_ARGUMENT, "%s: not an expression of model \"%s\"", what, m->name);
}

peri_status model_check_count(peri_model *m, const char *name, const char *what, int64_t n, int64_t entries)
{
    if (n == 1 || n == entries)
        return PERI_OK;
    return FAIL(m->ctx, PERI_E_SHAPE, "%s: %lld %s for %lld entr%s", name, (long long)n, what, (long long)entries,
                entries == 1 ? "y" : "ies");
}

peri_status model_check_shape(peri_model *m, const char *what, const char *name, int64_t rows, int64_t cols)
{
    char shape[48];
    if (rows >= 1 && cols >= 1 && rows <= INT32_MAX / cols)
        return PERI_OK;
    model_shape_text(rows, cols, shape, sizeof shape);
    return FAIL(m->ctx, PERI_E_SHAPE, "%s \"%s\": a %s is not possible", what, name, shape);
}
