/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quadratic.c - is a quadratic function convex? Its Hessian is constant: it is derived in a graph of its own,
 * evaluated, and split into the connected parts of its pattern. A part is positive semidefinite when it is diagonally
 * dominant, or when a Cholesky factorisation with diagonal pivoting goes through (Higham, Accuracy and Stability of
 * Numerical Algorithms, 2002, ch. 10). Semidefinite means up to rounding: what is left when no pivot exceeds n eps
 * max|h| must itself be that small. A model that is solved again with other parameters asks again: answers that no parameter can
 * change are kept, and of small forms the derived Hessian. Nodes are immutable, so that what is kept is never stale.
 */
#include "model/quadratic.h"
#include "diff/diff.h"
#include <float.h>
#include <math.h>

enum { ENTRIES_LIMIT = 1 << 20, DENSE_LIMIT = 300, FORMS = 64, KEPT_ENTRIES = 1 << 14 };

/* Entry k of node e, looked at before. */
typedef struct {
    expr_id e;
    int64_t k;
    int32_t part;        /* the variables' choice */
    bool constant;       /* no parameter is in the Hessian: the answers below hold for good */
    bool varies;         /* a variable is in it: nothing is known */
    bool known[2], convex[2]; /* with sign -1, 1 */
    expr_graph *g;       /* holds h; NULL: not kept */
    diff_sparse h;
} form;

struct quadratic_forms {
    int64_t n;
    form list[FORMS];
};

/* ---- the matrix
 * ---------------------------------------------------------------------------------------------------------------- */

static peri_status hessian_values(peri_model *m, expr_graph *g, const diff_sparse *h, double *val)
{
    double *x = mem_array(g->m, (size_t)m->g->n_x, sizeof *x);
    if (x == NULL)
        return FAIL_NOMEM(m->ctx);
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x, [EXPR_IN_PARAM] = m->g->param_value.at};
    const peri_status status = h->nnz > 0 ? expr_interpret(g, 1, &h->values, inputs, &val) : PERI_OK;
    mem_array_free(g->m, x);
    return status;
}

static peri_status derive(peri_model *m, expr_graph *g, expr_id e, int64_t k, diff_sparse *h)
{
    expr_id entry, rolled;
    TRY(diff_roll(m->g, 1, &e, g, &rolled));
    TRY(expr_gather_affine(g, rolled, 1, 1, k, 1, &entry));
    return diff_hessian(g, entry, 0, m->g->n_x, ENTRIES_LIMIT, h);
}

/* ---- connected parts
 * ------------------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t n;
    const diff_sparse *h; /* lower triangle */
    const double *val;
    double sign;
    int64_t *part;  /* [n] representative, then number within the part */
    int64_t *place; /* [n] */
} matrix;

static int64_t find_root(int64_t *part, int64_t j)
{
    while (part[j] != j) {
        part[j] = part[part[j]];
        j = part[j];
    }
    return j;
}

static void connect(const matrix *a)
{
    for (int64_t j = 0; j < a->n; j++)
        a->part[j] = j;
    for (int64_t j = 0; j < a->n; j++)
        for (int64_t k = a->h->start[j]; k < a->h->start[j + 1]; k++) {
            const int64_t r = find_root(a->part, a->h->index[k]), s = find_root(a->part, j);
            if (a->val[k] < 0 || a->val[k] > 0)
                a->part[r > s ? r : s] = r < s ? r : s; /* the smallest index represents its part */
        }
    for (int64_t j = 0; j < a->n; j++)
        a->part[j] = find_root(a->part, j);
}

/* ---- proofs
 * --------------------------------------------------------------------------------------------------------------------
 */

/* slack[j] = h_jj - sum of |h_jk|, k != j: all >= 0 proves it (Gershgorin). A rounding margin is not taken: sums of
 * squares written out, such as differences of neighbours, have slack 0 and are exact in small integers. */
static bool is_dominant(const matrix *a, double *slack)
{
    for (int64_t j = 0; j < a->n; j++)
        slack[j] = 0;
    for (int64_t j = 0; j < a->n; j++)
        for (int64_t k = a->h->start[j]; k < a->h->start[j + 1]; k++) {
            const int64_t i = a->h->index[k];
            slack[j] += i == j ? a->sign * a->val[k] : -fabs(a->val[k]);
            if (i != j)
                slack[i] -= fabs(a->val[k]);
        }
    for (int64_t j = 0; j < a->n; j++)
        if (!(slack[j] >= 0))
            return false;
    return true;
}

static void swap_rows(double *d, int64_t n, int64_t i, int64_t j)
{
    for (int64_t k = 0; k < n && i != j; k++) {
        const double t = d[i * n + k];
        d[i * n + k] = d[j * n + k];
        d[j * n + k] = t;
    }
    for (int64_t k = 0; k < n && i != j; k++) {
        const double t = d[k * n + i];
        d[k * n + i] = d[k * n + j];
        d[k * n + j] = t;
    }
}

/* d [n * n] symmetric, destroyed. */
static bool is_semidefinite(int64_t n, double *d)
{
    double largest = 0;
    for (int64_t k = 0; k < n * n; k++)
        largest = fmax(largest, fabs(d[k]));
    const double tiny = (double)n * DBL_EPSILON * largest;
    for (int64_t s = 0; s < n; s++) {
        int64_t top = s;
        for (int64_t j = s + 1; j < n; j++)
            top = d[j * n + j] > d[top * n + top] ? j : top;
        if (!(d[top * n + top] > tiny)) {
            double rest = 0;
            for (int64_t i = s; i < n; i++)
                for (int64_t j = s; j < n; j++)
                    rest = fmax(rest, fabs(d[i * n + j]));
            return rest <= tiny;
        }
        swap_rows(d, n, s, top);
        for (int64_t i = s + 1; i < n; i++) {
            const double l = d[i * n + s] / d[s * n + s];
            for (int64_t j = s + 1; j < n; j++)
                d[i * n + j] -= l * d[s * n + j];
        }
    }
    return true;
}

/* The part that `root` represents: column by column into d; all its entries lie in its own columns. */
static bool part_is_semidefinite(const matrix *a, const int64_t *member, int64_t size, double *d)
{
    for (int64_t k = 0; k < size * size; k++)
        d[k] = 0;
    for (int64_t c = 0; c < size; c++) {
        const int64_t j = member[c];
        for (int64_t k = a->h->start[j]; k < a->h->start[j + 1]; k++) {
            const int64_t i = a->h->index[k];
            if (a->part[i] != a->part[j])
                continue; /* a zero */
            d[c * size + a->place[i]] = d[a->place[i] * size + c] = a->sign * a->val[k];
        }
    }
    return is_semidefinite(size, d);
}

/* Members of each part one after another: a counting sort by representative. */
static void sort_members(const matrix *a, int64_t *start, int64_t *member)
{
    for (int64_t j = 0; j < a->n; j++)
        a->place[j] = start[a->part[j] + 1]++;
    for (int64_t j = 0; j < a->n; j++)
        start[j + 1] += start[j];
    for (int64_t j = 0; j < a->n; j++)
        member[start[a->part[j]] + a->place[j]] = j;
}

static peri_status factorise_parts(peri_model *m, const matrix *a, arena *memory, bool *convex)
{
    int64_t *start = arena_array(memory, (size_t)a->n + 1, sizeof *start);
    int64_t *member = arena_array(memory, (size_t)a->n, sizeof *member);
    if (start == NULL || member == NULL)
        return FAIL_NOMEM(m->ctx);
    connect(a);
    sort_members(a, start, member);
    int64_t largest = 0;
    for (int64_t j = 0; j < a->n; j++)
        largest = start[j + 1] - start[j] > largest ? start[j + 1] - start[j] : largest;
    *convex = largest <= DENSE_LIMIT;
    if (!*convex)
        return PERI_OK;
    double *d = arena_array(memory, (size_t)(largest * largest), sizeof *d);
    if (d == NULL)
        return FAIL_NOMEM(m->ctx);
    for (int64_t j = 0; j < a->n && *convex; j++)
        *convex = part_is_semidefinite(a, member + start[j], start[j + 1] - start[j], d);
    return PERI_OK;
}

/* Entries of rows and columns that are held count for none. */
static void leave_out(const diff_sparse *h, const unsigned char *held, double *val)
{
    for (int64_t j = 0; held != NULL && j < h->cols; j++)
        for (int64_t k = h->start[j]; k < h->start[j + 1]; k++)
            if (held[j] || held[h->index[k]])
                val[k] = 0;
}

static peri_status prove(peri_model *m, expr_graph *g, const diff_sparse *h, double sign, const unsigned char *held, bool *convex)
{
    arena memory;
    arena_init(&memory, g->m);
    double *val = arena_array(&memory, (size_t)h->nnz, sizeof *val);
    matrix a = {.n = m->g->n_x, .h = h, .val = val, .sign = sign};
    double *slack = arena_array(&memory, (size_t)a.n, sizeof *slack);
    a.part = arena_array(&memory, (size_t)a.n, sizeof *a.part);
    a.place = arena_array(&memory, (size_t)a.n, sizeof *a.place);
    const bool ok = val != NULL && slack != NULL && a.part != NULL && a.place != NULL;
    peri_status status = ok ? hessian_values(m, g, h, val) : FAIL_NOMEM(m->ctx);
    bool finite = true;
    if (status == PERI_OK)
        leave_out(h, held, val);
    for (int64_t k = 0; k < h->nnz && status == PERI_OK; k++)
        finite = finite && isfinite(val[k]);
    *convex = false;
    if (status == PERI_OK && finite) {
        *convex = is_dominant(&a, slack);
        if (!*convex)
            status = factorise_parts(m, &a, &memory, convex);
    }
    arena_release(&memory);
    return status;
}

/* ---- what is kept
 * -------------------------------------------------------------------------------------------------------------- */

static void drop_graph(form *f)
{
    if (f->g == NULL)
        return;
    diff_sparse_free(f->g, &f->h);
    expr_graph_free(f->g);
    f->g = NULL;
}

static void drop_all(struct quadratic_forms *all)
{
    for (int64_t i = 0; i < all->n; i++)
        drop_graph(&all->list[i]);
    all->n = 0;
}

void quadratic_forget(peri_model *m)
{
    if (m->forms == NULL)
        return;
    drop_all(m->forms);
    mem_free(&m->ctx->mem, m->forms, sizeof *m->forms);
    m->forms = NULL;
}

static peri_status find_form(peri_model *m, expr_id e, int64_t k, int32_t part, form **out)
{
    if (m->forms == NULL)
        m->forms = mem_alloc(&m->ctx->mem, sizeof *m->forms);
    struct quadratic_forms *all = m->forms;
    if (all == NULL)
        return FAIL_NOMEM(m->ctx);
    for (int64_t i = 0; i < all->n; i++)
        if (all->list[i].e == e && all->list[i].k == k && all->list[i].part == part) {
            *out = &all->list[i];
            return PERI_OK;
        }
    if (all->n == FORMS)
        drop_all(all);
    *out = &all->list[all->n++];
    **out = (form){.e = e, .k = k, .part = part};
    return PERI_OK;
}

static peri_status reads_class(const expr_graph *g, expr_id e, int class_, bool *yes)
{
    unsigned char *reach = mem_array(g->m, (size_t)e + 1, 1);
    if (reach == NULL)
        return FAIL_NOMEM(g->ctx);
    expr_reach(g, 1, &e, reach);
    *yes = false;
    for (expr_id i = 0; i <= e && !*yes; i++)
        *yes = reach[i] && expr_code(g, i) != PERI_OP_CONST && expr_at(g, i)->op == PERI_OP_INPUT && expr_at(g, i)->class_ == class_;
    mem_array_free(g->m, reach);
    return PERI_OK;
}

/* f->g and f->h; PERI_E_UNSUPPORTED: there is no sparse Hessian, whatever the parameters. */
static peri_status derive_form(peri_model *m, form *f)
{
    bool varies = false;
    expr_graph *g = expr_graph_new(m->ctx);
    if (g == NULL)
        return FAIL_NOMEM(m->ctx);
    peri_status status = derive(m, g, f->e, f->k, &f->h);
    if (status != PERI_OK) {
        f->constant = status == PERI_E_UNSUPPORTED;
        expr_graph_free(g);
        return status;
    }
    f->g = g;
    if (f->h.nnz > 0)
        status = reads_class(g, f->h.values, EXPR_IN_PARAM, &varies);
    if (f->h.nnz > 0 && status == PERI_OK)
        status = reads_class(g, f->h.values, EXPR_IN_X, &f->varies);
    f->constant = status == PERI_OK && !varies;
    return status;
}

peri_status quadratic_is_convex(peri_model *m, expr_id e, int64_t k, double sign, const quadratic_part *part, bool *convex)
{
    form *f = NULL;
    *convex = false;
    TRY(find_form(m, e, k, part->number, &f));
    const int way = sign > 0;
    if (f->constant && f->known[way]) {
        *convex = f->convex[way];
        return PERI_OK;
    }
    peri_status status = f->g == NULL ? derive_form(m, f) : PERI_OK;
    if (status == PERI_OK && !f->varies)
        status = prove(m, f->g, &f->h, sign, part->held, convex);
    if (status == PERI_E_UNSUPPORTED)
        status = PERI_OK;
    f->known[way] = status == PERI_OK;
    f->convex[way] = *convex;
    if (status != PERI_OK || f->constant || f->h.nnz > KEPT_ENTRIES)
        drop_graph(f);
    return status;
}
