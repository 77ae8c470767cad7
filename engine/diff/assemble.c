/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assemble.c - groups of entries to one CSC matrix whose values are one node, a sum of scatters. Entries that are constants are added up here, and so
 * are those that are constants times one scalar (the Hessian of a quadratic objective: all of them times sigma), so that each such part is one
 * array when it is evaluated. Invariant: the sum of all arguments is what the groups say, up to the order of additions.
 */
#include "diff/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the pattern ------------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t n;
    int64_t *place; /* [n] position in CSC order of each entry, groups one after the other */
} placing;

/* CSC pattern of all entries without duplicates; place[k] of every entry. Two counting sorts: by row, then by column. */
static peri_status sort_entries(expr_graph *g, int64_t rows, int64_t cols, int64_t n, const coo_group *groups, diff_sparse *out,
                                placing *p)
{
    p->n = 0;
    for (int64_t k = 0; k < n; k++)
        p->n += groups[k].n;
    int64_t *by_row_start = mem_array(g->m, (size_t)rows + 2, sizeof *by_row_start);
    int64_t *order = mem_array(g->m, (size_t)p->n, sizeof *order), *sorted = mem_array(g->m, (size_t)p->n, sizeof *sorted);
    int32_t *row = mem_array(g->m, (size_t)p->n, sizeof *row), *col = mem_array(g->m, (size_t)p->n, sizeof *col);
    p->place = mem_array(g->m, (size_t)p->n, sizeof *p->place);
    out->start = mem_array(g->m, (size_t)cols + 2, sizeof *out->start);
    out->index = mem_array(g->m, (size_t)p->n, sizeof *out->index);
    bool ok = by_row_start != NULL && order != NULL && sorted != NULL && row != NULL && col != NULL && p->place != NULL &&
              out->start != NULL && out->index != NULL;
    if (ok) {
        int64_t at = 0;
        for (int64_t k = 0; k < n; k++)
            for (int64_t i = 0; i < groups[k].n; i++, at++) {
                row[at] = groups[k].row[i];
                col[at] = groups[k].col[i];
                by_row_start[row[at] + 2]++;
                out->start[col[at] + 1]++;
            }
        for (int64_t r = 0; r < rows; r++)
            by_row_start[r + 2] += by_row_start[r + 1];
        for (int64_t k = 0; k < p->n; k++)
            order[by_row_start[row[k] + 1]++] = k;
        for (int64_t c = 0; c < cols; c++)
            out->start[c + 1] += out->start[c];
        memmove(out->start + 1, out->start, (size_t)cols * sizeof *out->start); /* start[c + 1]: next free place of column c */
        out->start[0] = 0;
        for (int64_t k = 0; k < p->n; k++)
            sorted[out->start[col[order[k]] + 1]++] = order[k];
        int64_t nnz = 0, done = 0;
        for (int64_t c = 0; c < cols; c++) { /* merge equal neighbours */
            const int64_t end = out->start[c + 1], begin = nnz;
            for (; done < end; done++) {
                const int64_t k = sorted[done];
                if (nnz == begin || out->index[nnz - 1] != row[k])
                    out->index[nnz++] = row[k];
                p->place[k] = nnz - 1;
            }
            out->start[c] = begin;
        }
        out->start[cols] = nnz;
        out->nnz = nnz;
    }
    mem_array_free(g->m, by_row_start);
    mem_array_free(g->m, order);
    mem_array_free(g->m, sorted);
    mem_array_free(g->m, row);
    mem_array_free(g->m, col);
    return ok ? PERI_OK : FAIL_NOMEM(g->ctx);
}

/* ---- multiples of one scalar ------------------------------------------------------------------------------------------------------------ */

enum { DEEPEST = 12, SMALLEST = 16 }; /* SMALLEST: entries of a group that are worth the search */

bool coo_is_numbers(const expr_graph *g, expr_id e)
{
    double value;
    const expr_node *node = expr_at(g, e);
    if (expr_constant_value(g, e, &value))
        return true;
    return node->op == PERI_OP_CONST && (expr_size(g, e) == 1 || g->consts.at[node->ref].col == NULL);
}

double coo_number_at(const expr_graph *g, expr_id e, int64_t k)
{
    double value;
    return expr_constant_value(g, e, &value) ? value : expr_const_data(g, e)[k];
}

static bool factor_out(expr_graph *g, expr_id e, int depth, expr_id *root, double *coef);

/* coef of argument `arg` as the n entries of an elementwise node take it */
static bool factor_argument(expr_graph *g, expr_id arg, int64_t n, int depth, expr_id *root, double *coef)
{
    if (!factor_out(g, arg, depth, root, coef))
        return false;
    for (int64_t k = 1; k < n && expr_size(g, arg) == 1; k++)
        coef[k] = coef[0];
    return true;
}

static bool factor_product(expr_graph *g, const expr_node *node, int64_t n, int depth, expr_id *root, double *coef)
{
    const int side = coo_is_numbers(g, node->arg[1]) ? 0 : 1;
    const expr_id numbers = node->arg[1 - side];
    if ((node->op == PERI_OP_DIV && side == 1) || !coo_is_numbers(g, numbers) || !factor_argument(g, node->arg[side], n, depth, root, coef))
        return false;
    for (int64_t k = 0; k < n; k++)
        coef[k] = node->op == PERI_OP_DIV ? coef[k] / coo_number_at(g, numbers, k) : coef[k] * coo_number_at(g, numbers, k);
    return true;
}

static bool factor_sum(expr_graph *g, const expr_node *node, int64_t n, int depth, expr_id *root, double *coef)
{
    double *other = mem_array(g->m, (size_t)n, sizeof *other);
    const bool both = other != NULL && factor_argument(g, node->arg[0], n, depth, root, coef) &&
                      factor_argument(g, node->arg[1], n, depth, root, other);
    for (int64_t k = 0; k < n && both; k++)
        coef[k] += node->op == PERI_OP_ADD ? other[k] : -other[k];
    mem_array_free(g->m, other);
    return both;
}

static bool factor_gather(expr_graph *g, const expr_node *node, int64_t n, int depth, expr_id *root, double *coef)
{
    const expr_id from = node->arg[0];
    if (expr_size(g, from) == 1)
        return factor_argument(g, from, n, depth, root, coef);
    double *all = mem_array(g->m, (size_t)expr_size(g, from), sizeof *all);
    const bool done = all != NULL && factor_out(g, from, depth, root, all);
    for (int64_t k = 0; k < n && done; k++)
        coef[k] = all[expr_gather_at(g, node, k)];
    mem_array_free(g->m, all);
    return done;
}

/* e = coef * root with coef [size of e] constants and root a scalar, which is found when it is < 0; false: not seen to be so, or memory is out. */
static bool factor_out(expr_graph *g, expr_id e, int depth, expr_id *root, double *coef)
{
    const expr_node node = *expr_at(g, e);
    const int64_t n = expr_size(g, e);
    if (coo_is_numbers(g, e) || depth == DEEPEST)
        return false;
    const expr_id before = *root;
    bool done = false;
    switch (node.op) {
    case PERI_OP_STOP:
    case PERI_OP_MARK: return factor_out(g, node.arg[0], depth + 1, root, coef);
    case PERI_OP_NEG:
        done = factor_out(g, node.arg[0], depth + 1, root, coef);
        for (int64_t k = 0; k < n && done; k++)
            coef[k] = -coef[k];
        break;
    case PERI_OP_MUL:
    case PERI_OP_DIV: done = factor_product(g, &node, n, depth + 1, root, coef); break;
    case PERI_OP_ADD:
    case PERI_OP_SUB: done = factor_sum(g, &node, n, depth + 1, root, coef); break;
    case PERI_OP_GATHER: done = n > 1 && factor_gather(g, &node, n, depth + 1, root, coef); break;
    default: break;
    }
    if (done || n > 1)
        return done;
    *root = before < 0 ? e : before;
    coef[0] = 1;
    return *root == e;
}

bool coo_factor_out(expr_graph *g, expr_id e, expr_id *root, double *coef)
{
    bool finite = factor_out(g, e, 0, root, coef);
    const int64_t n = finite ? expr_size(g, e) : 0;
    for (int64_t i = 0; i < n && finite; i++)
        finite = isfinite(coef[i]);
    return finite;
}

/* ---- constants and multiples, added up ---------------------------------------------------------------------------------------------- */

/* One argument of the scatter: root (or 1, when it is < 0) times the sum of what the groups have at each place. */
typedef struct {
    expr_id root;
    int64_t n, cap;     /* its groups */
    int64_t *group;
} part;

typedef struct {
    expr_graph *g;
    int64_t n, nnz;
    const coo_group *groups;
    const placing *p;
    int64_t *first;     /* [n] of each group's entries in p */
    double **coef;      /* [n] NULL: the group's own value stays; shared with none */
    VEC(part) parts;
    hash_map part_of;   /* root + 1 -> part */
    double *sum;        /* [nnz] 0 between parts */
    unsigned char *has; /* [nnz] likewise */
} adder;

static bool find_coefficients(adder *a, int64_t k, expr_id *root)
{
    expr_graph *g = a->g;
    const expr_id value = a->groups[k].value;
    const int64_t n = a->groups[k].n, size = expr_size(g, value);
    *root = -1;
    if (n == 0 || (!coo_is_numbers(g, value) && n < SMALLEST))
        return true;
    double *coef = mem_array(g->m, (size_t)n, sizeof *coef);
    if (coef == NULL)
        return false;
    const bool found = coo_is_numbers(g, value) || coo_factor_out(g, value, root, coef);
    if (coo_is_numbers(g, value))
        for (int64_t i = 0; i < n; i++)
            coef[i] = coo_number_at(g, value, i);
    else
        for (int64_t i = 1; i < n && size == 1; i++)
            coef[i] = coef[0];
    if (found)
        a->coef[k] = coef;
    else
        mem_array_free(g->m, coef);
    return true;
}

static bool note_group(adder *a, int64_t k, expr_id root)
{
    int64_t at;
    mem *const m = a->g->m;
    if (!hash_get(&a->part_of, (uint64_t)(root + 1), &at)) {
        const part fresh = {.root = root};
        at = a->parts.n;
        if (!vec_push(m, &a->parts, fresh) || !hash_put(&a->part_of, (uint64_t)(root + 1), at))
            return false;
    }
    part *const t = &a->parts.at[at];
    if (t->n == t->cap) {
        const int64_t cap = t->cap == 0 ? 4 : 2 * t->cap;
        int64_t *more = mem_array(m, (size_t)cap, sizeof *more);
        if (more == NULL)
            return false;
        if (t->n > 0)
            memcpy(more, t->group, (size_t)t->n * sizeof *more);
        mem_array_free(m, t->group);
        t->group = more;
        t->cap = cap;
    }
    t->group[t->n++] = k;
    return true;
}

static int ascending(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Adds up the part's groups; index [entries of all]: the places, ascending. Returns how many there are. */
static int64_t sum_groups(adder *a, const part *t, int32_t *index)
{
    int64_t kept = 0;
    bool sorted = true;
    for (int64_t q = 0; q < t->n; q++) {
        const int64_t k = t->group[q];
        const int64_t *place = a->p->place + a->first[k];
        for (int64_t i = 0; i < a->groups[k].n; i++) {
            a->sum[place[i]] += a->coef[k][i];
            if (a->has[place[i]])
                continue;
            a->has[place[i]] = 1;
            sorted = sorted && (kept == 0 || index[kept - 1] < place[i]);
            index[kept++] = (int32_t)place[i];
        }
    }
    if (!sorted)
        qsort(index, (size_t)kept, sizeof *index, ascending);
    return kept;
}

/* The part's sum at the places that it has: value, and their index, which the caller owns. */
static peri_status add_part(adder *a, const part *t, expr_id *value, int32_t **index)
{
    expr_graph *g = a->g;
    int64_t entries = 0;
    for (int64_t q = 0; q < t->n; q++)
        entries += a->groups[t->group[q]].n;
    double *sum = mem_array(g->m, (size_t)entries, sizeof *sum);
    *index = mem_array(g->m, (size_t)entries, sizeof **index);
    if (sum == NULL || *index == NULL) {
        mem_array_free(g->m, sum);
        return FAIL_NOMEM(g->ctx);
    }
    const int64_t kept = sum_groups(a, t, *index);
    for (int64_t i = 0; i < kept; i++) {
        sum[i] = a->sum[(*index)[i]];
        a->sum[(*index)[i]] = a->has[(*index)[i]] = 0;
    }
    peri_status status = expr_dense(g, kept, 1, sum, value);
    if (status == PERI_OK && t->root >= 0)
        status = expr_binary(g, PERI_OP_MUL, *value, t->root, value);
    mem_array_free(g->m, sum);
    return status;
}

static peri_status add_group(adder *a, int64_t k, expr_id *value, int32_t **index)
{
    expr_graph *g = a->g;
    const coo_group *group = &a->groups[k];
    TRY(expr_size(g, group->value) == 1 ? expr_broadcast(g, group->value, group->n, 1, value)
                                        : expr_reshape(g, group->value, expr_size(g, group->value), 1, value));
    *index = mem_array(g->m, (size_t)group->n, sizeof **index);
    if (*index == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t i = 0; i < group->n; i++)
        (*index)[i] = (int32_t)a->p->place[a->first[k] + i];
    return PERI_OK;
}

static peri_status sort_out(adder *a)
{
    for (int64_t k = 0; k < a->n; k++) {
        expr_id root;
        if (k > 0)
            a->first[k] = a->first[k - 1] + a->groups[k - 1].n;
        if (!find_coefficients(a, k, &root) || (a->coef[k] != NULL && !note_group(a, k, root)))
            return FAIL_NOMEM(a->g->ctx);
    }
    return PERI_OK;
}

/* args, lists [n + parts]; *kept of them are made */
static peri_status make_arguments(adder *a, expr_id *args, int32_t **lists, int64_t *kept)
{
    for (int64_t q = 0; q < a->parts.n; q++, ++*kept)
        TRY(add_part(a, &a->parts.at[q], &args[*kept], &lists[*kept]));
    for (int64_t k = 0; k < a->n; k++) {
        if (a->groups[k].n == 0 || a->coef[k] != NULL)
            continue;
        TRY(add_group(a, k, &args[*kept], &lists[*kept]));
        ++*kept;
    }
    return PERI_OK;
}

static void adder_release(adder *a)
{
    mem *const m = a->g->m;
    for (int64_t k = 0; k < a->n && a->coef != NULL; k++)
        mem_array_free(m, a->coef[k]);
    for (int64_t q = 0; q < a->parts.n; q++)
        mem_array_free(m, a->parts.at[q].group);
    vec_free(m, &a->parts);
    hash_release(&a->part_of);
    mem_array_free(m, a->first);
    mem_array_free(m, a->coef);
    mem_array_free(m, a->sum);
    mem_array_free(m, a->has);
}

static peri_status place_values(expr_graph *g, int64_t n, const coo_group *groups, const placing *p, diff_sparse *out)
{
    adder a = {.g = g, .n = n, .nnz = out->nnz, .groups = groups, .p = p};
    int64_t kept = 0;
    hash_init(&a.part_of, g->m);
    a.first = mem_array(g->m, (size_t)n, sizeof *a.first);
    a.coef = mem_array(g->m, (size_t)n, sizeof *a.coef);
    a.sum = mem_array(g->m, (size_t)out->nnz, sizeof *a.sum);
    a.has = mem_array(g->m, (size_t)out->nnz, 1);
    peri_status status = a.first != NULL && a.coef != NULL && a.sum != NULL && a.has != NULL ? sort_out(&a) : FAIL_NOMEM(g->ctx);
    const int64_t most = n + a.parts.n;
    expr_id *args = mem_array(g->m, (size_t)most, sizeof *args);
    int32_t **lists = mem_array(g->m, (size_t)most, sizeof *lists);
    if (status == PERI_OK)
        status = args != NULL && lists != NULL ? make_arguments(&a, args, lists, &kept) : FAIL_NOMEM(g->ctx);
    if (status == PERI_OK)
        status = expr_scatter_sum(g, out->nnz, 1, kept, args, (const int32_t *const *)lists, &out->values);
    for (int64_t k = 0; k < most && lists != NULL; k++)
        mem_array_free(g->m, lists[k]);
    mem_array_free(g->m, args);
    mem_array_free(g->m, lists);
    adder_release(&a);
    return status;
}

/* ---- all together ------------------------------------------------------------------------------------------------------------------------ */

peri_status coo_assemble(expr_graph *g, int64_t rows, int64_t cols, int64_t n, const coo_group *groups, diff_sparse *out)
{
    placing p = {0, NULL};
    memset(out, 0, sizeof *out);
    out->rows = rows;
    out->cols = cols;
    out->values = PERI_NO_EXPR;
    peri_status status = sort_entries(g, rows, cols, n, groups, out, &p);
    if (status == PERI_OK && out->nnz > 0)
        status = place_values(g, n, groups, &p, out);
    mem_array_free(g->m, p.place);
    if (status != PERI_OK)
        diff_sparse_free(g, out);
    return status;
}
