/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blocks.c - dense parts of second derivatives as matrix products. Of sum_i w_i a_i' b_i, where a_i and b_i are rows of Jacobians, the instances whose
 * rows have the same columns make a block A' diag(w) B with dense A and B: dense data, or one row that couples many variables, the gradient within a
 * norm or logsumexp. What is constant in it is multiplied here, once. Where rows differ a little, all are one block with zeros. Decided by counted cost,
 * so that sparse rows stay a list of terms. Invariant: a block has the entries that the terms have, no others, and each of their sums.
 */
#include "diff/internal.h"
#include "eval/blas.h"
#include <math.h>
#include <string.h>

enum {
    FEWEST_TERMS = 2048,     /* fewer are left to a scatter, which fuses with what makes the weights */
    MOST_SETS = DIFF_MOST_BLOCKS,
    MOST_GROUPS = 32,        /* of a leaf's Jacobian: more are parts of many forms, which are not dense */
    LARGE_PRODUCT = 1 << 18, /* multiplications from which on OpenBLAS is opened for constants, and symmetric products are made in strips */
    WIDE = 64, STRIPS = 4,   /* the same: columns; 5/8 of the multiplications are left */
    ROW_MAJOR = 101, NO_FLIP = 111, FLIP = 112
};

/* Nanoseconds, of which only ratios matter: a term read by lists and added to memory; one of gram.c's, of constants; a multiplication of a product of
 * matrices; an entry of a factor that is scaled, or of a result that is picked; beginning a product. */
static const double TERM = 1.8, TERM_OF_DATA = 0.8, FLOP = 0.1, ENTRY = 0.8, CALL = 500;

/* ---- the rows of a Jacobian ------------------------------------------------------------------------------------------------------------ */

/* Entries by rows, numbered through all groups, and the sets of columns that rows have. */
typedef struct {
    const struct coo *jac;
    int64_t rows, n;
    int64_t *before; /* [groups + 1] entries of the groups before */
    int64_t *start;  /* [rows + 1] */
    int32_t *entry;  /* [n] by rows */
    int32_t *place;  /* [n] as `entry`: of its column in its row's set */
    int32_t *set_of; /* [rows] */
    VEC(int32_t) cols; /* of all sets */
    int32_t n_sets;
    struct { int64_t first, n; } set[MOST_SETS];
    bool is_union; /* rows differ: the only set has the columns of all */
} form;

static void form_release(mem *m, form *f)
{
    mem_array_free(m, f->before);
    mem_array_free(m, f->start);
    mem_array_free(m, f->entry);
    mem_array_free(m, f->place);
    mem_array_free(m, f->set_of);
    vec_free(m, &f->cols);
}

static int64_t group_of(const form *f, int32_t entry)
{
    int64_t k = 0;
    while (entry >= f->before[k + 1])
        k++;
    return k;
}

static int32_t column_of(const form *f, int32_t entry)
{
    const int64_t k = group_of(f, entry);
    return f->jac->at[k].col[entry - f->before[k]];
}

static peri_status sort_rows(coo_builder *b, const struct coo *jac, int64_t rows, form *f)
{
    mem *const m = b->g->m;
    f->jac = jac;
    f->rows = rows;
    f->before = mem_array(m, (size_t)jac->n + 1, sizeof *f->before);
    f->start = mem_array(m, (size_t)rows + 2, sizeof *f->start);
    if (f->before == NULL || f->start == NULL)
        return FAIL_NOMEM(b->g->ctx);
    for (int64_t k = 0; k < jac->n; k++) {
        f->before[k + 1] = f->before[k] + jac->at[k].n;
        for (int64_t i = 0; i < jac->at[k].n; i++)
            f->start[jac->at[k].row[i] + 2]++;
    }
    f->n = f->before[jac->n];
    f->entry = mem_array(m, (size_t)f->n, sizeof *f->entry);
    f->place = mem_array(m, (size_t)f->n, sizeof *f->place);
    f->set_of = mem_array(m, (size_t)rows, sizeof *f->set_of);
    if (f->entry == NULL || f->place == NULL || f->set_of == NULL)
        return FAIL_NOMEM(b->g->ctx);
    for (int64_t r = 0; r < rows; r++)
        f->start[r + 2] += f->start[r + 1];
    for (int64_t k = 0, at = 0; k < jac->n; k++)
        for (int64_t i = 0; i < jac->at[k].n; i++, at++)
            f->entry[f->start[jac->at[k].row[i] + 1]++] = (int32_t)at;
    return PERI_OK;
}

/* Columns of row r in order of their first entries, behind those of the sets; place: as in form. seen [variables] 1 + place, 0 before and after */
static bool list_columns(mem *m, form *f, int64_t r, int32_t *seen)
{
    const int64_t first = f->cols.n;
    for (int64_t k = f->start[r]; k < f->start[r + 1]; k++) {
        const int32_t col = column_of(f, f->entry[k]);
        if (seen[col] == 0) {
            if (!vec_push(m, &f->cols, col))
                return false;
            seen[col] = (int32_t)(f->cols.n - first);
        }
        f->place[k] = seen[col] - 1;
    }
    for (int64_t k = first; k < f->cols.n; k++)
        seen[f->cols.at[k]] = 0;
    return true;
}

/* The set of the n columns at the end of `cols`, which stay there if it is new; -1: too many */
static int32_t find_set(form *f, int64_t first, int32_t guess)
{
    const int64_t n = f->cols.n - first;
    for (int32_t i = 0; i < f->n_sets; i++) {
        const int32_t k = i == 0 ? guess : i <= guess ? i - 1 : i; /* rows like the one before are frequent */
        if (f->set[k].n != n || (n > 0 && memcmp(f->cols.at + f->set[k].first, f->cols.at + first, (size_t)n * sizeof *f->cols.at) != 0))
            continue;
        f->cols.n = first;
        return k;
    }
    if (f->n_sets == MOST_SETS)
        return -1;
    f->set[f->n_sets].first = first;
    f->set[f->n_sets].n = n;
    return f->n_sets++;
}

/* Rows with the same columns in the same order; *few is false where there are too many sets. */
static peri_status find_sets(coo_builder *b, form *f, int32_t *seen, bool *few)
{
    int32_t last = 0;
    *few = true;
    for (int64_t r = 0; r < f->rows && *few; r++) {
        const int64_t first = f->cols.n;
        if (!list_columns(b->g->m, f, r, seen))
            return FAIL_NOMEM(b->g->ctx);
        last = f->set_of[r] = find_set(f, first, last);
        *few = last >= 0;
    }
    return PERI_OK;
}

/* All columns as one set; *few is false where they are more than `most`. */
static peri_status make_union(coo_builder *b, form *f, int32_t *seen, int64_t most, bool *few)
{
    f->cols.n = 0;
    for (int64_t k = 0; k < f->n && f->cols.n <= most; k++) {
        const int32_t col = column_of(f, f->entry[k]);
        if (seen[col] == 0) {
            if (!vec_push(b->g->m, &f->cols, col))
                return FAIL_NOMEM(b->g->ctx);
            seen[col] = (int32_t)f->cols.n;
        }
        f->place[k] = seen[col] - 1;
    }
    memset(f->set_of, 0, (size_t)f->rows * sizeof *f->set_of);
    f->set[0].first = 0;
    f->set[0].n = f->cols.n;
    f->n_sets = 1;
    *few = f->cols.n <= most;
    return PERI_OK;
}

/* most: columns of rows that differ */
static peri_status make_form(coo_builder *b, expr_id leaf, int64_t most, form *f, bool *made)
{
    const struct coo *jac;
    TRY(coo_jacobian(b, leaf, &jac));
    TRY(sort_rows(b, jac, expr_size(b->g, leaf), f));
    int32_t *seen = mem_array(b->g->m, (size_t)b->n_x, sizeof *seen);
    peri_status status = seen != NULL ? find_sets(b, f, seen, made) : FAIL_NOMEM(b->g->ctx);
    f->is_union = status == PERI_OK && !*made;
    if (f->is_union)
        status = make_union(b, f, seen, most, made);
    mem_array_free(b->g->m, seen);
    return status;
}

/* ---- which blocks there are ---------------------------------------------------------------------------------------------------------- */

/* Instances whose rows have the sets left and right. */
typedef struct {
    int32_t left, right;
    int64_t n;
    int32_t *instance; /* [n] ascending */
} block;

typedef struct {
    coo_builder *b;
    expr_graph *g;
    const diff_pair_terms *p;
    bool same;         /* one leaf: unordered pairs */
    form of[2];        /* [1] only where there are two leaves */
    const form *left, *right;
    int64_t n_blocks;
    block at[MOST_SETS];
    int32_t *memory;   /* the blocks' instances */
} blocks;

static void blocks_release(blocks *t)
{
    form_release(t->g->m, &t->of[0]);
    form_release(t->g->m, &t->of[1]);
    mem_array_free(t->g->m, t->memory);
}

static bool is_scalar(const blocks *t, const form *f)
{
    return f->rows == 1 && t->p->n > 1;
}

static int32_t set_at(const form *f, int64_t i)
{
    return f->set_of[f->rows == 1 ? 0 : i];
}

static int64_t width(const form *f, int32_t set)
{
    return f->set[set].n;
}

static int64_t find_block(blocks *t, int32_t left, int32_t right)
{
    for (int64_t k = 0; k < t->n_blocks; k++)
        if (t->at[k].left == left && t->at[k].right == right)
            return k;
    if (t->n_blocks == MOST_SETS)
        return -1;
    t->at[t->n_blocks] = (block){.left = left, .right = right};
    return t->n_blocks++;
}

/* *few: there are not too many blocks */
static peri_status share_out(blocks *t, bool *few)
{
    const int64_t n = t->p->n;
    int64_t before = 0;
    *few = true;
    t->memory = mem_array(t->g->m, (size_t)n, 2 * sizeof *t->memory);
    if (t->memory == NULL)
        return FAIL_NOMEM(t->g->ctx);
    int32_t *const of = t->memory + n; /* block of an instance */
    for (int64_t i = 0; i < n && *few; i++) {
        const int32_t left = set_at(t->left, i), right = set_at(t->right, i);
        of[i] = -1;
        if (width(t->left, left) == 0 || width(t->right, right) == 0)
            continue;
        of[i] = (int32_t)find_block(t, left, right);
        *few = of[i] >= 0;
        if (*few)
            t->at[of[i]].n++;
    }
    for (int64_t k = 0; k < t->n_blocks && *few; k++) {
        t->at[k].instance = t->memory + before;
        before += t->at[k].n;
        t->at[k].n = 0;
    }
    for (int64_t i = 0; i < n && *few; i++)
        if (of[i] >= 0)
            t->at[of[i]].instance[t->at[of[i]].n++] = (int32_t)i;
    return PERI_OK;
}

/* Nanoseconds of the products, roughly. */
static double cost_of(const blocks *t)
{
    double cost = 0;
    for (int64_t k = 0; k < t->n_blocks; k++) {
        const block *at = &t->at[k];
        const double a = (double)width(t->left, at->left), c = (double)width(t->right, at->right), n = (double)at->n;
        const bool outer = is_scalar(t, t->left) || is_scalar(t, t->right);
        cost += CALL + ENTRY * (n * (a + c) + a * c) + (outer ? 0 : FLOP * n * a * c);
    }
    return cost;
}

/* A column as a row is the same leaf. */
static expr_id unshaped(const expr_graph *g, expr_id e)
{
    const expr_node *node = expr_at(g, e);
    const bool same = node->op == PERI_OP_GATHER && (node->flags & EXPR_AFFINE) && node->first == 0 && node->stride == 1;
    return same && expr_size(g, node->arg[0]) == expr_size(g, e) ? node->arg[0] : e;
}

static bool is_constant(const expr_graph *g, const struct coo *jac)
{
    for (int64_t k = 0; k < jac->n; k++)
        if (jac->at[k].n > 0 && !coo_is_numbers(g, jac->at[k].value))
            return false;
    return true;
}

/* Nanoseconds of a term of the pair; *few: the leaves are of few forms, each of which has a group. */
static peri_status price_of_term(blocks *t, double *price, bool *few)
{
    const struct coo *a, *b;
    TRY(coo_jacobian(t->b, t->p->a, &a));
    TRY(coo_jacobian(t->b, t->p->b, &b));
    *few = a->n <= MOST_GROUPS && b->n <= MOST_GROUPS;
    *price = *few && is_constant(t->g, a) && is_constant(t->g, b) ? TERM_OF_DATA : TERM;
    return PERI_OK;
}

/* Worth more than `terms` terms? Also where they are too many for a list. */
static peri_status find_blocks(blocks *t, double terms, bool *found)
{
    const diff_pair_terms *p = t->p;
    double price;
    *found = terms >= FEWEST_TERMS;
    if (!*found)
        return PERI_OK;
    TRY(price_of_term(t, &price, found));
    const double most = terms * price / 2;
    t->same = unshaped(t->g, p->a) == unshaped(t->g, p->b);
    const int64_t columns = (int64_t)sqrt(most / (FLOP * (double)p->n)); /* of a union, squared times n, that are still worth it */
    for (int k = 0; k < (t->same ? 1 : 2) && *found; k++)
        TRY(make_form(t->b, k == 0 ? p->a : p->b, columns, &t->of[k], found));
    t->left = &t->of[0];
    t->right = &t->of[t->same ? 0 : 1];
    if (*found)
        TRY(share_out(t, found));
    *found = *found && cost_of(t) < most;
    return PERI_OK;
}

peri_status diff_has_blocks(coo_builder *b, const diff_pair_terms *p, double terms, int64_t *widest, bool *has)
{
    blocks t = {.b = b, .g = b->g, .p = p};
    const peri_status status = find_blocks(&t, terms, has);
    *widest = 0;
    for (int64_t k = 0; k < t.n_blocks && status == PERI_OK; k++) {
        const int64_t left = width(t.left, t.at[k].left), right = width(t.right, t.at[k].right), wide = left > right ? left : right;
        *widest = wide > *widest ? wide : *widest;
    }
    blocks_release(&t);
    return status;
}

/* ---- a block's factors ------------------------------------------------------------------------------------------------------------------ */

/* rows x cols of one leaf's Jacobian: a node, or numbers where it is constant (then no node yet). */
typedef struct {
    int64_t rows, cols;
    expr_id node;
    double *number; /* [rows x cols] */
} factor;

static int64_t row_of(const form *f, const block *at, int64_t i)
{
    return f->rows == 1 ? 0 : at->instance[i];
}

static peri_status constant_factor(const blocks *t, const form *f, const block *at, factor *out)
{
    out->number = mem_array(t->g->m, (size_t)(out->rows * out->cols), sizeof *out->number);
    if (out->number == NULL)
        return FAIL_NOMEM(t->g->ctx);
    for (int64_t i = 0; i < out->rows; i++) {
        const int64_t r = row_of(f, at, i);
        for (int64_t k = f->start[r]; k < f->start[r + 1]; k++) {
            const int64_t group = group_of(f, f->entry[k]);
            out->number[i * out->cols + f->place[k]] += coo_number_at(t->g, f->jac->at[group].value, f->entry[k] - f->before[group]);
        }
    }
    return PERI_OK;
}

/* Entries of one group in the block's rows, and their places in it. */
static int64_t list_entries(const form *f, const block *at, const factor *of, int64_t group, int32_t *pick, int32_t *place)
{
    int64_t n = 0;
    for (int64_t i = 0; i < of->rows; i++) {
        const int64_t r = row_of(f, at, i);
        for (int64_t k = f->start[r]; k < f->start[r + 1]; k++) {
            if (f->entry[k] < f->before[group] || f->entry[k] >= f->before[group + 1])
                continue;
            pick[n] = (int32_t)(f->entry[k] - f->before[group]);
            place[n++] = (int32_t)(i * of->cols + f->place[k]);
        }
    }
    return n;
}

static bool is_counting(int64_t n, const int32_t *list, int64_t size)
{
    for (int64_t k = 0; k < n; k++)
        if (list[k] != k)
            return false;
    return n == size;
}

static peri_status scattered_factor(const blocks *t, const form *f, const block *at, factor *out)
{
    expr_graph *g = t->g;
    const int64_t size = out->rows * out->cols, groups = f->jac->n;
    int32_t *memory = mem_array(g->m, (size_t)f->n, 2 * sizeof *memory), *pick = memory, *place = memory + f->n;
    expr_id *args = mem_array(g->m, (size_t)groups, sizeof *args);
    const int32_t **lists = mem_array(g->m, (size_t)groups, sizeof *lists);
    peri_status status = memory != NULL && args != NULL && lists != NULL ? PERI_OK : FAIL_NOMEM(g->ctx);
    int64_t kept = 0, n = 0;
    for (int64_t k = 0; k < groups && status == PERI_OK; k++) {
        n = list_entries(f, at, out, k, pick, place);
        if (n == 0)
            continue;
        status = coo_pick(g, f->jac->at[k].value, n, pick, &args[kept]);
        if (status == PERI_OK)
            status = expr_reshape(g, args[kept], expr_size(g, args[kept]), 1, &args[kept]);
        if (status == PERI_OK)
            status = expr_broadcast(g, args[kept], n, 1, &args[kept]);
        lists[kept++] = place;
        pick += n;
        place += n;
    }
    if (status == PERI_OK && kept == 1 && is_counting(n, lists[0], size))
        status = expr_reshape(g, args[0], out->rows, out->cols, &out->node);
    else if (status == PERI_OK)
        status = expr_scatter_sum(g, out->rows, out->cols, kept, args, lists, &out->node);
    mem_array_free(g->m, memory);
    mem_array_free(g->m, args);
    mem_array_free(g->m, lists);
    return status;
}

static peri_status make_factor(const blocks *t, const form *f, const block *at, int32_t set, factor *out)
{
    *out = (factor){.rows = f->rows == 1 ? 1 : at->n, .cols = width(f, set), .node = PERI_NO_EXPR};
    return is_constant(t->g, f->jac) ? constant_factor(t, f, at, out) : scattered_factor(t, f, at, out);
}

static peri_status node_of(expr_graph *g, factor *f)
{
    return f->node != PERI_NO_EXPR ? PERI_OK : expr_dense(g, f->rows, f->cols, f->number, &f->node);
}

/* ---- a block's entries ------------------------------------------------------------------------------------------------------------------- */

/* Entry k is left column row[k] times right column col[k]; product: the place of it in the product of the factors. */
typedef struct {
    int64_t n;
    int32_t *left, *right, *product; /* [n] */
} cells;

static void cells_release(mem *m, cells *c)
{
    mem_array_free(m, c->left);
}

/* has [left x right]: some instance has both columns; NULL where all are there */
static peri_status mark_cells(const blocks *t, const block *at, unsigned char **has)
{
    const int64_t cols = width(t->right, at->right);
    *has = NULL;
    if (!t->left->is_union && !t->right->is_union)
        return PERI_OK;
    *has = mem_array(t->g->m, (size_t)(width(t->left, at->left) * cols), 1);
    if (*has == NULL)
        return FAIL_NOMEM(t->g->ctx);
    for (int64_t i = 0; i < at->n; i++) {
        const int64_t r = row_of(t->left, at, i), s = row_of(t->right, at, i);
        for (int64_t k = t->left->start[r]; k < t->left->start[r + 1]; k++)
            for (int64_t j = t->right->start[s]; j < t->right->start[s + 1]; j++)
                (*has)[t->left->place[k] * cols + t->right->place[j]] = 1;
    }
    return PERI_OK;
}

/* As entries of the Hessian's lower triangle: of one leaf each unordered pair once; of two, both orders, which on the diagonal are two. */
static peri_status list_cells(const blocks *t, const block *at, coo_group *group, cells *out)
{
    const int64_t rows = width(t->left, at->left), cols = width(t->right, at->right), most = t->same ? rows * (rows + 1) / 2 : rows * cols + rows;
    const int32_t *x = t->left->cols.at + t->left->set[at->left].first, *y = t->right->cols.at + t->right->set[at->right].first;
    unsigned char *has;
    TRY(mark_cells(t, at, &has));
    out->left = mem_array(t->g->m, (size_t)most, 3 * sizeof *out->left);
    group->row = arena_array(&t->b->data, (size_t)most, sizeof *group->row);
    group->col = arena_array(&t->b->data, (size_t)most, sizeof *group->col);
    const bool ok = out->left != NULL && group->row != NULL && group->col != NULL;
    out->right = out->left + most;
    out->product = out->right + most;
    for (int64_t i = 0; i < rows && ok; i++)
        for (int64_t j = t->same ? i : 0; j < cols; j++)
            for (int twice = 0; twice < 1 + (!t->same && x[i] == y[j]) && (has == NULL || has[i * cols + j]); twice++) {
                group->row[out->n] = x[i] > y[j] ? x[i] : y[j];
                group->col[out->n] = x[i] > y[j] ? y[j] : x[i];
                out->left[out->n] = (int32_t)i;
                out->right[out->n] = (int32_t)j;
                out->product[out->n++] = (int32_t)(i * cols + j);
            }
    mem_array_free(t->g->m, has);
    group->n = out->n;
    return ok ? PERI_OK : FAIL_NOMEM(t->g->ctx);
}

/* ---- constant products ----------------------------------------------------------------------------------------------------------------- */

/* to = c from, row by row; c NULL: 1 */
static void scale_rows(const factor *from, const double *c, double *to)
{
    for (int64_t i = 0; i < from->rows; i++)
        for (int64_t j = 0; j < from->cols; j++)
            to[i * from->cols + j] = c != NULL ? c[i] * from->number[i * from->cols + j] : from->number[i * from->cols + j];
}

/* out [a->cols x b->cols] = a' diag(c) b */
static peri_status multiply(const blocks *t, const factor *a, const factor *b, const double *c, double *out)
{
    const int64_t n = a->rows, rows = a->cols, cols = b->cols;
    eval_blas blas;
    double *scaled = mem_array(t->g->m, (size_t)(n * cols), sizeof *scaled);
    if (scaled == NULL)
        return FAIL_NOMEM(t->g->ctx);
    scale_rows(b, c, scaled);
    if (n * rows * cols >= LARGE_PRODUCT && eval_blas_open(t->g->ctx, &blas)) {
        blas.gemm(ROW_MAJOR, FLIP, NO_FLIP, (int)rows, (int)cols, (int)n, 1, a->number, (int)rows, scaled, (int)cols, 0, out, (int)cols);
    } else {
        for (int64_t i = 0; i < n; i++)
            for (int64_t p = 0; p < rows; p++)
                for (int64_t q = 0; q < cols; q++)
                    out[p * cols + q] += a->number[i * rows + p] * scaled[i * cols + q];
    }
    mem_array_free(t->g->m, scaled);
    return PERI_OK;
}

/* w as numbers c [n] times a scalar, which w becomes; *c NULL: w is a scalar already, or (*constant false) neither */
static peri_status split_weight(const blocks *t, int64_t n, expr_id *w, double **c, bool *constant)
{
    expr_graph *g = t->g;
    expr_id root = -1;
    *c = NULL;
    *constant = expr_size(g, *w) == 1;
    if (*constant)
        return PERI_OK;
    *c = mem_array(g->m, (size_t)n, sizeof **c);
    if (*c == NULL)
        return FAIL_NOMEM(g->ctx);
    *constant = coo_is_numbers(g, *w);
    for (int64_t i = 0; i < n && *constant; i++)
        (*c)[i] = coo_number_at(g, *w, i);
    if (*constant)
        return expr_number(g, 1, w);
    *constant = coo_factor_out(g, *w, &root, *c);
    if (*constant)
        *w = root;
    return PERI_OK;
}

/* *value is none where the weights vary: then nothing is constant */
static peri_status constant_block(const blocks *t, const factor *a, const factor *b, expr_id w, const cells *at, expr_id *value)
{
    expr_graph *g = t->g;
    double *c, *product = NULL, *picked = NULL;
    bool constant;
    peri_status status = split_weight(t, a->rows, &w, &c, &constant);
    *value = PERI_NO_EXPR;
    if (status == PERI_OK && constant) {
        product = mem_array(g->m, (size_t)(a->cols * b->cols), sizeof *product);
        picked = mem_array(g->m, (size_t)at->n, sizeof *picked);
        status = product != NULL && picked != NULL ? multiply(t, a, b, c, product) : FAIL_NOMEM(g->ctx);
        for (int64_t k = 0; k < at->n && status == PERI_OK; k++)
            picked[k] = product[at->product[k]];
        if (status == PERI_OK)
            status = expr_dense(g, at->n, 1, picked, value);
        if (status == PERI_OK)
            status = diff_times(g, *value, w, value);
    }
    mem_array_free(g->m, c);
    mem_array_free(g->m, product);
    mem_array_free(g->m, picked);
    return status;
}

/* ---- products of nodes ------------------------------------------------------------------------------------------------------------------- */

/* left[i] right[j] w, of two rows */
static peri_status outer_block(expr_graph *g, expr_id left, expr_id right, expr_id w, const cells *at, expr_id *value)
{
    TRY(diff_times(g, right, w, &right));
    TRY(expr_reshape(g, left, expr_size(g, left), 1, &left));
    TRY(expr_reshape(g, right, expr_size(g, right), 1, &right));
    TRY(coo_pick(g, left, at->n, at->left, &left));
    TRY(coo_pick(g, right, at->n, at->right, &right));
    return diff_times(g, left, right, value);
}

/* A' w, where the other factor is one row for all instances */
static peri_status weighted_sum(expr_graph *g, expr_id a, expr_id w, expr_id *out)
{
    TRY(expr_broadcast(g, w, expr_at(g, a)->rows, 1, &w));
    TRY(diff_transpose(g, a, &a));
    return expr_binary(g, PERI_OP_MATMUL, a, w, out);
}

/* Columns first .. end of b */
static peri_status columns_of(expr_graph *g, expr_id b, int64_t first, int64_t end, expr_id *out)
{
    const int64_t rows = expr_at(g, b)->rows, cols = expr_at(g, b)->cols, n = rows * (end - first);
    int32_t *list = mem_array(g->m, (size_t)n, sizeof *list);
    if (list == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t i = 0, k = 0; i < rows; i++)
        for (int64_t j = first; j < end; j++)
            list[k++] = (int32_t)(i * cols + j);
    const peri_status status = expr_gather_list(g, b, rows, end - first, n, list, out);
    mem_array_free(g->m, list);
    return status;
}

/* Where cell (i, j), i <= j, of a symmetric product stands when strips of `width` columns, from the diagonal down, lie one after another. */
static int64_t place_in_strips(int64_t cols, int64_t width, int64_t i, int64_t j)
{
    const int64_t strip = i / width, first = strip * width, own = first + width < cols ? width : cols - first;
    const int64_t before = strip * cols * width - width * width * strip * (strip - 1) / 2; /* sum of (cols - s width) width, s < strip */
    return before + (j - first) * own + i - first;
}

/* The cells of turned b, which is symmetric: strips of columns, of which only what is on and below the diagonal is multiplied. turned: constants */
static peri_status half_product(expr_graph *g, expr_id turned, expr_id b, const cells *at, expr_id *value)
{
    const int64_t cols = expr_at(g, b)->cols, inner = expr_at(g, b)->rows, width = (cols + STRIPS - 1) / STRIPS;
    expr_id strip[STRIPS], rows, part;
    int64_t n = 0;
    for (int64_t first = 0; first < cols; first += width) {
        TRY(expr_gather_affine(g, turned, cols - first, inner, first * inner, 1, &rows));
        TRY(columns_of(g, b, first, first + width < cols ? first + width : cols, &part));
        TRY(expr_binary(g, PERI_OP_MATMUL, rows, part, &part));
        TRY(expr_reshape(g, part, expr_size(g, part), 1, &strip[n++]));
    }
    TRY(expr_stack(g, n, strip, value));
    for (int64_t k = 0; k < at->n; k++)
        at->product[k] = (int32_t)place_in_strips(cols, width, at->left[k], at->right[k]);
    return coo_pick(g, *value, at->n, at->product, value);
}

/* half: a' b is symmetric, a constant */
static peri_status product_block(expr_graph *g, expr_id a, expr_id b, expr_id w, bool half, const cells *at, expr_id *value)
{
    const int64_t rows = expr_at(g, b)->rows, cols = expr_at(g, b)->cols;
    const bool weighted = expr_size(g, w) > 1;
    if (weighted) {
        TRY(expr_broadcast(g, w, rows, cols, &w));
        TRY(expr_binary(g, PERI_OP_MUL, b, w, &b));
    }
    TRY(diff_transpose(g, a, &a));
    if (half && cols >= WIDE && rows * cols * cols >= LARGE_PRODUCT)
        return half_product(g, a, b, at, value);
    TRY(expr_binary(g, PERI_OP_MATMUL, a, b, value));
    TRY(expr_reshape(g, *value, expr_size(g, *value), 1, value));
    TRY(coo_pick(g, *value, at->n, at->product, value));
    return weighted ? PERI_OK : diff_times(g, *value, w, value);
}

static peri_status node_block(const blocks *t, factor *a, factor *b, expr_id w, const cells *at, expr_id *value)
{
    expr_graph *g = t->g;
    expr_id one, sum;
    TRY(node_of(g, a));
    TRY(node_of(g, b));
    if (a->rows == 1 && b->rows == 1)
        return outer_block(g, a->node, b->node, w, at, value);
    if (a->rows > 1 && b->rows > 1)
        return product_block(g, a->node, b->node, w, t->same && a->number != NULL && expr_size(g, w) > 1, at, value);
    TRY(expr_number(g, 1, &one));
    TRY(weighted_sum(g, a->rows > 1 ? a->node : b->node, w, &sum));
    return a->rows > 1 ? outer_block(g, sum, b->node, one, at, value) : outer_block(g, a->node, sum, one, at, value);
}

/* The block's weights: a column, or a scalar, which is the sum of all where both leaves are scalars. */
static peri_status block_weight(const blocks *t, const block *at, expr_id *w)
{
    expr_graph *g = t->g;
    expr_id n;
    *w = t->p->w;
    TRY(expr_reshape(g, *w, expr_size(g, *w), 1, w));
    TRY(coo_pick(g, *w, at->n, at->instance, w));
    if (unshaped(g, t->p->a) == unshaped(g, t->p->b) && t->p->a != t->p->b) /* a' a has both orders */
        TRY(diff_twice(g, *w, w));
    if (at->n == 1 || t->left->rows > 1 || t->right->rows > 1)
        return PERI_OK;
    if (expr_size(g, *w) > 1)
        return expr_unary(g, PERI_OP_SUM, *w, w);
    TRY(expr_number(g, (double)at->n, &n));
    return diff_times(g, *w, n, w);
}

static peri_status make_block(const blocks *t, const block *at, coo_group *group)
{
    factor a = {.number = NULL}, b = {.number = NULL};
    cells of = {.n = 0};
    expr_id w;
    group->value = PERI_NO_EXPR;
    peri_status status = block_weight(t, at, &w);
    if (status == PERI_OK)
        status = list_cells(t, at, group, &of);
    if (status == PERI_OK)
        status = make_factor(t, t->left, at, at->left, &a);
    if (status == PERI_OK && !t->same)
        status = make_factor(t, t->right, at, at->right, &b);
    factor *const right = t->same ? &a : &b;
    if (status == PERI_OK && a.number != NULL && right->number != NULL && a.rows == right->rows)
        status = constant_block(t, &a, right, w, &of, &group->value);
    if (status == PERI_OK && group->value == PERI_NO_EXPR)
        status = node_block(t, &a, right, w, &of, &group->value);
    cells_release(t->g->m, &of);
    mem_array_free(t->g->m, a.number);
    mem_array_free(t->g->m, b.number);
    return status;
}

peri_status diff_make_blocks(coo_builder *b, const diff_pair_terms *p, double terms, coo_group groups[DIFF_MOST_BLOCKS], int64_t *n)
{
    blocks t = {.b = b, .g = b->g, .p = p};
    bool found;
    peri_status status = find_blocks(&t, terms, &found);
    *n = 0;
    for (int64_t k = 0; k < t.n_blocks && status == PERI_OK; k++)
        status = make_block(&t, &t.at[k], &groups[(*n)++]);
    blocks_release(&t);
    return status;
}
