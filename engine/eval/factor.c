/* SPDX-License-Identifier: Apache-2.0 */
/*
 * factor.c - determinant, inverse and solution of linear systems from triangular factors, which all operations on one matrix, or its transpose, share.
 * Small matrices are factorized by own loops, large ones by LAPACK where it is installed.
 *
 * LAPACK sees a row-major matrix as its transpose. An inverse is then the transpose of the inverse, by columns: what is wanted, by rows; so is
 * the solution of Q X = P when P and Q commute. Right-hand sides with several columns are turned.
 */
#include "eval/blas.h"
#include "eval/lu.h"
#include "eval/plan.h"
#include <math.h>
#include <string.h>

/* ---- either way ------------------------------------------------------------------------------------------------------------------------ */

void eval_factorize(const eval_blas *blas, int64_t n, double *a, int32_t *pivots)
{
    int info;
    const int size = (int)n;
    if (blas != NULL)
        blas->getrf(&size, &size, a, &size, pivots, &info);
    else
        eval_lu_factor(n, a, pivots);
}

void eval_solve_commuting(const eval_blas *blas, int64_t n, const double *lu, const int32_t *pivots, double *b)
{
    int info;
    const int size = (int)n;
    if (blas != NULL)
        blas->getrs("N", &size, &size, lu, &size, pivots, b, &size, &info, 1);
    else
        eval_lu_solve(n, n, lu, pivots, b);
}

static void make_ready(eval_factor *f)
{
    if (f->ready)
        return;
    memcpy(f->lu, f->a, (size_t)(f->n * f->n) * sizeof *f->lu);
    eval_factorize(f->blas, f->n, f->lu, f->pivots);
    f->ready = true;
}

static bool is_singular(const eval_factor *f)
{
    for (int64_t k = 0; k < f->n; k++)
        if (!(fabs(f->lu[k * f->n + k]) > 0))
            return true;
    return false;
}

static void fill(int64_t n, double value, double *out)
{
    for (int64_t k = 0; k < n; k++)
        out[k] = value;
}

static void log_determinant(const eval_factor *f, double *out)
{
    double sum = 0;
    int sign = 1;
    for (int64_t k = 0; k < f->n; k++) {
        const double d = f->lu[k * f->n + k];
        sign = (f->pivots[k] != k + 1) == (d < 0) ? sign : -sign;
        sum += log(fabs(d));
    }
    *out = sign > 0 && isfinite(sum) ? sum : NAN;
}

static void inverse(const eval_factor *f, double *out)
{
    const int64_t n = f->n;
    memset(out, 0, (size_t)(n * n) * sizeof *out);
    for (int64_t k = 0; k < n; k++)
        out[k * n + k] = 1;
    eval_solve_commuting(f->blas, n, f->lu, f->pivots, out);
}

/* to [cols x rows] = from' */
static void turn(int64_t rows, int64_t cols, const double *from, double *to)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            to[j * rows + i] = from[i * cols + j];
}

static void large_solve(const eval_array *t)
{
    const eval_factor *f = t->factor;
    const int n = (int)f->n, m = (int)t->cols;
    double *const columns = m > 1 ? t->work : t->out;
    int info;
    turn(n, m, t->b, columns);
    f->blas->getrs(t->va.flip ? "N" : "T", &n, &m, f->lu, &n, f->pivots, columns, &n, &info, 1);
    if (m > 1)
        turn(m, n, columns, t->out);
}

static void linear_solve(const eval_array *t)
{
    const eval_factor *f = t->factor;
    if (f->blas != NULL) {
        large_solve(t);
        return;
    }
    memcpy(t->out, t->b, (size_t)(f->n * t->cols) * sizeof *t->out);
    if (t->va.flip)
        eval_lu_solve_turned(f->n, t->cols, f->lu, f->pivots, t->out);
    else
        eval_lu_solve(f->n, t->cols, f->lu, f->pivots, t->out);
}

void eval_run_factored(const eval_array *t)
{
    eval_factor *f = t->factor;
    make_ready(f);
    if (t->op == PERI_OP_LOGDET)
        log_determinant(f, t->out);
    else if (is_singular(f))
        fill(f->n * t->cols, NAN, t->out);
    else if (t->op == PERI_OP_INV)
        inverse(f, t->out);
    else
        linear_solve(t);
}

/* ---- compilation ------------------------------------------------------------------------------------------------------------------------ */

static bool same_place(const eval_place *a, const eval_place *b)
{
    return a->base == b->base && a->offset == b->offset && a->fixed == b->fixed;
}

static peri_status find_factor(eval_compiler *c, const eval_matrix *m, eval_array *out)
{
    eval_program *p = c->program;
    eval_place place = c->place[m->source];
    if (place.base == BASE_FIXED)
        place.fixed += m->first;
    else
        place.offset += m->first;
    for (int64_t k = 0; k < p->n_factors; k++)
        if (same_place(&p->factors[k].place, &place) && p->factors[k].n == out->rows) {
            out->factor = &p->factors[k];
            return eval_point(c, &out->factor->a, place); /* whichever of them runs first reads it */
        }
    eval_factor *f = out->factor = &p->factors[p->n_factors++];
    f->n = out->rows;
    f->place = place;
    f->lu = arena_array(&p->data, (size_t)(f->n * f->n), sizeof *f->lu);
    f->pivots = arena_array(&p->data, (size_t)f->n, sizeof *f->pivots);
    if (f->lu == NULL || f->pivots == NULL)
        return FAIL_NOMEM(c->g->ctx);
    if (f->n >= EVAL_LARGE_MATRIX)
        TRY(eval_open_blas(c, out));
    f->blas = out->blas;
    return eval_point(c, &f->a, place);
}

peri_status eval_compile_factored(eval_compiler *c, expr_id e, eval_array *out)
{
    const expr_node *node = expr_at(c->g, e);
    out->va = eval_array_arg(c, e, 0);
    TRY(find_factor(c, &out->va, out));
    out->blas = out->factor->blas;
    if (node->op != PERI_OP_SOLVE)
        return PERI_OK;
    out->cols = node->cols;
    TRY(eval_point(c, &out->b, c->place[eval_arg(c, node->arg[1])]));
    if (out->blas == NULL || out->cols == 1)
        return PERI_OK;
    out->work = arena_array(&c->program->data, (size_t)(out->rows * out->cols), sizeof *out->work);
    return out->work != NULL ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}
