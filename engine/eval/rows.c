/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.c - instances in rows. The index lists of points on a grid, of pairs i < j, of what belongs to one bus, are made of pieces in which the index
 * stays or goes up by one. Where all lists of a kernel, or most, have such pieces between the same limits, blocks do not cross these limits, and
 * the operands are read and added to in place: neighbours in memory whose address is set when a row begins, or one number for the row.
 * Invariant: in a row, a list that was taken is its first entry + step * instance, with one step, 0 or 1, for all rows.
 */
#include "eval/kernel.h"
#include <string.h>

enum { FEWEST = 1024, SHORTEST_ROW = 32 }; /* instances; instances of a row on average */

/* Where neighbours differ by other than step, a row must end. */
static int32_t step_of(int64_t n, const int32_t *at, int64_t *limits)
{
    int64_t equal = 0, next = 0;
    for (int64_t k = 1; k < n; k++) {
        equal += at[k] == at[k - 1];
        next += at[k] == at[k - 1] + 1;
    }
    *limits = n - 1 - (next > equal ? next : equal);
    return next > equal;
}

/* limit[k]: instance k begins a row; NULL: none does so far */
typedef struct {
    unsigned char *limit;
    int64_t n;
} row_limits;

/* Takes the list if rows do not get too short by it. */
static peri_status try_list(kernel *k, const int32_t *at, row_limits *limits)
{
    int64_t own, more = 0;
    for (int64_t j = 0; j < k->lists.n; j++)
        if (k->lists.at[j].at == at)
            return PERI_OK;
    const int32_t step = step_of(k->n, at, &own);
    if (own * SHORTEST_ROW > k->n)
        return PERI_OK;
    if (limits->limit == NULL)
        limits->limit = mem_array(k->c->m, (size_t)k->n, 1);
    if (limits->limit == NULL)
        return kernel_nomem(k);
    for (int64_t i = 1; i < k->n; i++)
        more += at[i] != at[i - 1] + step && !limits->limit[i];
    if ((limits->n + more) * SHORTEST_ROW > k->n)
        return PERI_OK;
    for (int64_t i = 1; i < k->n; i++)
        limits->limit[i] |= at[i] != at[i - 1] + step;
    limits->n += more;
    const struct row_list item = {at, step, NULL};
    return vec_push(k->c->m, &k->lists, item) ? PERI_OK : kernel_nomem(k);
}

/* ---- the lists of a kernel ----------------------------------------------------------------------------------------- */

static bool is_candidate(const kernel *k, expr_id e)
{
    const eval_compiler *c = k->c;
    return c->kind[e] == KIND_VIEW && !(expr_at(c->g, e)->flags & EXPR_AFFINE) && eval_size(c, e) == k->n && c->place[e].base == BASE_NONE;
}

/* stamp = -stamp of the kernel: seen */
static peri_status visit(kernel *k, expr_id e, expr_id_list *todo)
{
    if (k->c->stamp[e] == -k->stamp)
        return PERI_OK;
    k->c->stamp[e] = -k->stamp;
    return vec_push(k->c->m, todo, e) ? PERI_OK : kernel_nomem(k);
}

static peri_status take_views(kernel *k, expr_id_list *todo, row_limits *limits)
{
    const eval_compiler *c = k->c;
    while (todo->n > 0) {
        const expr_id e = todo->at[--todo->n], *args;
        if (is_candidate(k, e))
            TRY(try_list(k, c->g->lists.at[expr_at(c->g, e)->index].at, limits));
        if (c->kind[e] != KIND_VALUE || c->home[e] != k->group)
            continue;
        const int32_t n = expr_args(c->g, e, &args);
        for (int32_t j = 0; j < n; j++)
            TRY(visit(k, eval_arg(c, args[j]), todo));
    }
    return PERI_OK;
}

static peri_status take_scatters(kernel *k, int64_t n, const eval_sink *sinks, row_limits *limits)
{
    for (int64_t j = 0; j < n; j++)
        if (sinks[j].kind == SINK_SCATTER && !sinks[j].affine)
            TRY(try_list(k, eval_sink_list(k->c, &sinks[j])->at, limits));
    return PERI_OK;
}

static peri_status make_rows(kernel *k, const row_limits *limits)
{
    arena *const a = &k->c->program->data;
    eval_rows *r = arena_alloc(a, sizeof *r);
    int32_t *start = arena_array(a, (size_t)limits->n + 2, sizeof *start);
    if (r == NULL || start == NULL)
        return kernel_nomem(k);
    r->n = 1;
    for (int64_t i = 1; i < k->n; i++)
        if (limits->limit[i])
            start[r->n++] = (int32_t)i;
    start[r->n] = (int32_t)k->n;
    r->start = start;
    r->period = start[1];
    for (int64_t j = 1; j < r->n; j++)
        if (start[j + 1] - start[j] != r->period && (j + 1 < r->n || start[j + 1] - start[j] > r->period))
            r->period = 0;
    k->rows = r;
    return PERI_OK;
}

peri_status eval_find_rows(kernel *k, int64_t n_sinks, const eval_sink *sinks)
{
    expr_id_list todo = {0};
    row_limits limits = {NULL, 0};
    peri_status status = PERI_OK;
    if (k->n < FEWEST || k->n > INT32_MAX - 1)
        return PERI_OK;
    for (int64_t j = 0; j < n_sinks; j++)
        if (sinks[j].woven != 0)
            return PERI_OK;
    for (int64_t j = 0; j < n_sinks && status == PERI_OK; j++)
        status = visit(k, sinks[j].value, &todo);
    if (status == PERI_OK)
        status = take_views(k, &todo, &limits);
    if (status == PERI_OK)
        status = take_scatters(k, n_sinks, sinks, &limits);
    if (status == PERI_OK && k->lists.n > 0)
        status = make_rows(k, &limits);
    vec_free(k->c->m, &todo);
    mem_array_free(k->c->m, limits.limit);
    return status;
}

/* ---- what is known of a row ------------------------------------------------------------------------------------------ */

int32_t eval_row_list(const kernel *k, const int32_t *at)
{
    for (int64_t j = 0; j < k->lists.n; j++)
        if (k->lists.at[j].at == at)
            return (int32_t)j;
    return -1;
}

peri_status eval_row_offsets(kernel *k, int32_t list, const int32_t **by)
{
    struct row_list *l = &k->lists.at[list];
    const eval_rows *r = k->rows;
    if (l->by == NULL) {
        int32_t *offset = arena_array(&k->c->program->data, (size_t)r->n, sizeof *offset);
        if (offset == NULL)
            return kernel_nomem(k);
        for (int64_t j = 0; j < r->n; j++)
            offset[j] = l->at[r->start[j]] - l->step * r->start[j];
        l->by = offset;
    }
    *by = l->by;
    return PERI_OK;
}

/* A number for each row: source[at[row]]. */
peri_status eval_row_cell(kernel *k, eval_place source, const int32_t *at, int32_t *number)
{
    const struct row_cell item = {source, at};
    for (int64_t j = 0; j < k->row_cells.n; j++)
        if (k->row_cells.at[j].index == at && eval_same_place(&k->row_cells.at[j].source, &source)) {
            *number = (int32_t)j;
            return PERI_OK;
        }
    *number = (int32_t)k->row_cells.n;
    return vec_push(k->c->m, &k->row_cells, item) ? PERI_OK : kernel_nomem(k);
}

bool eval_same_in_rows(const eval_rows *r, const double *v)
{
    for (int64_t j = 0; j < r->n; j++)
        for (int64_t i = r->start[j] + 1; i < r->start[j + 1]; i++)
            if (memcmp(&v[i], &v[i - 1], sizeof *v) != 0)
                return false;
    return true;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------------ */

int64_t eval_row_at(const eval_rows *r, int64_t at)
{
    int64_t low = 0, high = r->n - 1;
    if (r->period > 0)
        return at / r->period < high ? at / r->period : high;
    while (low < high) {
        const int64_t middle = (low + high + 1) / 2;
        if (r->start[middle] <= at)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}
