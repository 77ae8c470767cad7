/* SPDX-License-Identifier: Apache-2.0 */
/*
 * constraints.c - the objective and the constraint blocks. Invariant: blocks' rows follow each other, every side is a number or an infinity that can
 * be met, lower <= upper, and names are unique.
 */
#include "model/internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the objective ------------------------------------------------------------------------------------------------------------ */

static peri_status set_objective(peri_model *m, peri_expr f, bool maximize)
{
    char text[128];
    if (m->inside)
        return FAIL(m->ctx, PERI_E_STATE, "objective: the solution of model \"%s\" is an expression already", m->name);
    TRY(model_check_expr(m, "objective", f));
    if (expr_size(m->g, f) != 1) {
        model_describe(m, f, text, sizeof text);
        return FAIL(m->ctx, PERI_E_SHAPE, "objective: %s is not a scalar", text);
    }
    TRY(model_check_level(m, NULL, f));
    TRY(model_put_solved(m, &f));
    TRY(expr_reshape(m->g, f, 1, 1, &f));
    m->objective = f;
    m->maximize = maximize;
    m->root->structure++;
    m->root->data++; /* it may have become a level */
    return PERI_OK;
}

peri_status peri_model_minimize(peri_model *m, peri_expr f)
{
    return set_objective(m, f, false);
}

peri_status peri_model_maximize(peri_model *m, peri_expr f)
{
    return set_objective(m, f, true);
}

/* ---- names: a taken one gets a number, so that constraints made in a loop may share one ------------------------------------------ */

static bool con_name_taken(const peri_model *m, const char *name)
{
    int64_t at;
    if (!hash_get(&m->con_names, hash_bytes(name, strlen(name)), &at))
        return false;
    if (at < m->cons.n && strcmp(m->cons.at[at].name, name) == 0)
        return true;
    for (int64_t i = 0; i < m->cons.n; i++)
        if (strcmp(m->cons.at[i].name, name) == 0)
            return true;
    return false;
}

/* `base`, or base_2, base_3 ... The search starts where the last one for this base ended, so that a loop stays linear. */
static peri_status unique_name(peri_model *m, const char *base, char **out)
{
    const size_t size = strlen(base) + 24;
    char *name = mem_array(m->g->m, size, 1);
    if (name == NULL)
        return FAIL_NOMEM(m->ctx);
    snprintf(name, size, "%s", base);
    const uint64_t counter = hash_join(hash_bytes(base, strlen(base)), 1);
    int64_t number = 1;
    if (con_name_taken(m, name)) {
        (void)hash_get(&m->con_names, counter, &number);
        do
            snprintf(name, size, "%s_%lld", base, (long long)++number);
        while (con_name_taken(m, name));
        if (!hash_put(&m->con_names, counter, number)) {
            mem_array_free(m->g->m, name);
            return FAIL_NOMEM(m->ctx);
        }
    }
    *out = name;
    return PERI_OK;
}

/* ---- constraints ------------------------------------------------------------------------------------------------------------------ */

static void row_label(int64_t k, int64_t size, int64_t cols, char *text, size_t length)
{
    text[0] = '\0';
    if (size > 1 && cols == 1)
        snprintf(text, length, " row %lld", (long long)k + 1);
    else if (size > 1)
        snprintf(text, length, " entry [%lld][%lld]", (long long)(k / cols) + 1, (long long)(k % cols) + 1);
}

static peri_status check_sides(peri_model *m, const char *name, expr_id e, int64_t n, const double *lower, const double *upper)
{
    char row[64];
    for (int64_t k = 0; k < n; k++) {
        const double lo = lower[k], up = upper[k];
        row_label(k, n, expr_at(m->g, e)->cols, row, sizeof row);
        if (isnan(lo) || isnan(up))
            return FAIL(m->ctx, PERI_E_ARGUMENT, "constraint \"%s\"%s: %s side is NaN", name, row,
                        isnan(lo) ? "lower" : "upper");
        if (lo > up)
            return FAIL(m->ctx, PERI_E_ARGUMENT, "constraint \"%s\"%s: lower side %.12g is above upper side %.12g", name, row,
                        lo, up);
        if ((isinf(lo) && lo > 0) || (isinf(up) && up < 0))
            return FAIL(m->ctx, PERI_E_ARGUMENT, "constraint \"%s\"%s: %s can never be met", name, row,
                        lo > 0 ? "a lower side of +infinity" : "an upper side of -infinity");
    }
    return PERI_OK;
}

static double *spread(peri_model *m, int64_t size, int64_t n, const double *value)
{
    double *out = mem_array(m->g->m, (size_t)size, sizeof *out);
    for (int64_t k = 0; out != NULL && k < size; k++)
        out[k] = value[n == 1 ? 0 : k];
    return out;
}

static peri_status add_block(peri_model *m, model_constraint c, int64_t n, const double *lower, const double *upper)
{
    mem *a = m->g->m;
    c.lower = spread(m, c.size, n, lower);
    c.upper = spread(m, c.size, n, upper);
    if (c.lower == NULL || c.upper == NULL || !vec_reserve(a, &m->cons, m->cons.n + 1) ||
        !hash_put(&m->con_names, hash_bytes(c.name, strlen(c.name)), m->cons.n)) {
        mem_array_free(a, c.lower);
        mem_array_free(a, c.upper);
        return FAIL_NOMEM(m->ctx);
    }
    m->cons.at[m->cons.n++] = c;
    m->m += c.size;
    m->structure++;
    return PERI_OK;
}

peri_status peri_model_constrain(peri_model *m, const char *name, peri_expr e, int64_t n, const double *lower,
                                 const double *upper, peri_constraint *handle)
{
    char own[32];
    *handle = -1;
    if (name == NULL || name[0] == '\0') {
        snprintf(own, sizeof own, "c%lld", (long long)m->root->cons.n + 1);
        name = own;
    }
    TRY(model_check_expr(m, "constraint", e));
    TRY(model_check_level(m, name, e));
    if (m->inside)
        return FAIL(m->ctx, PERI_E_STATE, "constraint \"%.100s\": the solution of model \"%s\" is an expression already", name, m->name);
    TRY(model_put_solved(m, &e));
    const int32_t level = m->level;
    m = m->root;
    TRY(expr_reshape(m->g, e, expr_at(m->g, e)->rows, expr_at(m->g, e)->cols, &e)); /* a sparse constant becomes dense */
    model_constraint c = {.body = e, .row = m->m, .size = expr_size(m->g, e), .level = level};
    if (n != 1 && n != c.size)
        return FAIL(m->ctx, PERI_E_SHAPE, "constraint \"%s\": %lld sides for %lld row%s", name, (long long)n,
                    (long long)c.size, c.size == 1 ? "" : "s");
    TRY(check_sides(m, name, e, n, lower, upper));
    if (m->cons.n >= INT32_MAX || m->m > INT32_MAX - c.size)
        return FAIL(m->ctx, PERI_E_SHAPE, "model \"%s\": more than 2^31 - 1 constraint rows", m->name);
    TRY(unique_name(m, name, &c.name));
    const peri_status status = add_block(m, c, n, lower, upper);
    if (status != PERI_OK)
        mem_array_free(m->g->m, c.name);
    else
        *handle = (peri_constraint)(m->cons.n - 1);
    return status;
}
