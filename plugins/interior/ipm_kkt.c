/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipm_kkt.c - the linear systems of both phases, as one matrix whose pattern is analysed once:
 *
 *     [ H + D_w + delta_w I    A'                 ] [dw]   [rw]
 *     [ A                     -(D_y + delta_c I)  ] [dy] = [ry],     A = [J  -E] over w = (x, s)
 *
 * (WB 13, with D_y >= 0 from the restoration problem's own variables). The slacks are always eliminated: with a_k their diagonal,
 * row i gets the diagonal -E_i = -(1/a_k + D_y + delta_c). The condensed form eliminates the inequality rows as well, which puts
 * J_I' E^-1 J_I into the first block and leaves only the equality rows. Both eliminations take out pivots of known signs, so the
 * inertia asked of the rest is (n_x, rows kept, 0).
 */
#include "ipm.h"
#include <math.h>
#include <string.h>

static peri_status alloc_index(peri_run *run, int64_t count, int64_t **out)
{
    return peri_alloc_index(run, count > 0 ? count : 1, out);
}

static peri_status alloc_real(peri_run *run, int64_t count, double **out)
{
    return peri_alloc(run, count > 0 ? count : 1, out);
}

/* ---- patterns ----------------------------------------------------------------------------------------------------------- */

static peri_status transpose_jacobian(const ipm_problem *q, ipm_kkt *kkt, peri_run *run)
{
    TRY(alloc_index(run, q->m + 2, &kkt->by_row));
    TRY(alloc_index(run, q->jac_nnz, &kkt->by_row_col));
    TRY(alloc_index(run, q->jac_nnz, &kkt->by_row_at));
    int64_t *next = kkt->by_row + 1; /* filled one place to the right, so that the starts stand where they belong at the end */
    for (int64_t k = 0; k < q->jac_nnz; k++)
        next[q->jac_row[k] + 1]++;
    for (int64_t i = 0; i < q->m; i++)
        next[i + 1] += next[i];
    for (int64_t j = 0; j < q->n_x; j++)
        for (int64_t k = q->jac_start[j]; k < q->jac_start[j + 1]; k++) {
            const int64_t at = next[q->jac_row[k]]++;
            kkt->by_row_col[at] = j;
            kkt->by_row_at[at] = k;
        }
    return PERI_OK;
}

/* Rows >= j that column j of H + J_I' J_I has, in `list`; mark [n_x] holds the last column that saw a row, plus one. */
static int64_t condensed_column(const ipm_problem *q, const ipm_kkt *kkt, int64_t j, int64_t *mark, int64_t *list)
{
    int64_t count = 0;
    for (int64_t k = q->hess_start[j]; k < q->hess_start[j + 1]; k++) {
        mark[q->hess_row[k]] = j + 1;
        list[count++] = q->hess_row[k];
    }
    for (int64_t k = q->jac_start[j]; k < q->jac_start[j + 1]; k++) {
        const int64_t i = q->jac_row[k];
        if (q->slack[i] < 0)
            continue;
        for (int64_t l = kkt->by_row[i + 1] - 1; l >= kkt->by_row[i] && kkt->by_row_col[l] > j; l--)
            if (mark[kkt->by_row_col[l]] != j + 1) {
                mark[kkt->by_row_col[l]] = j + 1;
                list[count++] = kkt->by_row_col[l];
            }
    }
    return count;
}

static void sort_indices(int64_t n, int64_t *v) /* heap sort: columns may be long */
{
    for (int64_t end = n, root = n / 2; end > 1;) {
        if (root > 0) {
            root--;
        } else {
            end--;
            const int64_t last = v[end];
            v[end] = v[0];
            v[0] = last;
        }
        const int64_t moved = v[root];
        int64_t hole = root;
        for (int64_t child = 2 * hole + 1; child < end; child = 2 * hole + 1) {
            if (child + 1 < end && v[child + 1] > v[child])
                child++;
            if (v[child] <= moved)
                break;
            v[hole] = v[child];
            hole = child;
        }
        v[hole] = moved;
    }
}

/* Entries of H + J_I' J_I's lower triangle; stops counting above `limit`. */
static int64_t count_condensed(const ipm_problem *q, const ipm_kkt *kkt, int64_t limit, int64_t *mark, int64_t *list)
{
    int64_t count = 0;
    memset(mark, 0, (size_t)q->n_x * sizeof *mark);
    for (int64_t j = 0; j < q->n_x && count <= limit; j++)
        count += condensed_column(q, kkt, j, mark, list);
    memset(mark, 0, (size_t)q->n_x * sizeof *mark);
    return count;
}

static void number_kept_rows(const ipm_problem *q, ipm_kkt *kkt)
{
    kkt->n_kept = 0;
    for (int64_t i = 0; i < q->m; i++) {
        const bool is_kept = !kkt->condensed || q->slack[i] < 0;
        kkt->kept[i] = is_kept ? kkt->n_kept : -1;
        if (is_kept)
            kkt->of_kept[kkt->n_kept++] = i;
    }
    kkt->dim = q->n_x + kkt->n_kept;
}

/* Column j: the first block's entries, then the kept rows of the Jacobian; then a diagonal entry for each kept row. */
static void build_pattern(const ipm_problem *q, ipm_kkt *kkt, int64_t *mark, int64_t *list)
{
    int64_t nnz = 0;
    for (int64_t j = 0; j < q->n_x; j++) {
        kkt->diag_at[j] = nnz;
        if (kkt->condensed) {
            const int64_t count = condensed_column(q, kkt, j, mark, list);
            sort_indices(count, list);
            memcpy(kkt->index + nnz, list, (size_t)count * sizeof *list);
            nnz += count;
        } else {
            for (int64_t k = q->hess_start[j]; k < q->hess_start[j + 1]; k++) {
                kkt->hess_at[k] = nnz;
                kkt->index[nnz++] = q->hess_row[k];
            }
        }
        for (int64_t k = q->jac_start[j]; k < q->jac_start[j + 1]; k++) {
            const int64_t i = kkt->kept[q->jac_row[k]];
            kkt->jac_at[k] = i >= 0 ? nnz : -1;
            if (i >= 0)
                kkt->index[nnz++] = q->n_x + i;
        }
        kkt->start[j + 1] = nnz;
    }
    for (int64_t i = 0; i < kkt->n_kept; i++) {
        kkt->diag_at[q->n_x + i] = nnz;
        kkt->index[nnz++] = q->n_x + i;
        kkt->start[q->n_x + i + 1] = nnz;
    }
    kkt->nnz = nnz;
}

/* The condensed form where it does not have more entries than the augmented one (the page's table of measurements). */
static void choose_form(ipm_state *s, int64_t *mark, int64_t *list, int64_t *first_block)
{
    const ipm_problem *q = &s->problem;
    ipm_kkt *kkt = &s->kkt;
    int64_t inequality_entries = q->n_s;
    for (int64_t k = 0; k < q->jac_nnz; k++)
        inequality_entries += q->slack[q->jac_row[k]] >= 0;
    const bool is_asked = s->opt.kkt == IPM_CONDENSED;
    const int64_t limit = is_asked ? INT64_MAX : q->hess_nnz + inequality_entries;
    kkt->condensed = false;
    *first_block = q->hess_nnz;
    if (s->opt.kkt == IPM_AUGMENTED || q->n_s == 0)
        return;
    const int64_t count = count_condensed(q, kkt, limit, mark, list);
    kkt->condensed = is_asked || count <= limit;
    if (kkt->condensed)
        *first_block = count;
}

/* The solver that pivots, for when the first one that does not is at its end; none where the user or the installation has no other. */
static peri_status open_pivoting(ipm_kkt *kkt, peri_run *run, const peri_pattern *pattern)
{
    const peri_status e = peri_factor_open(run, "", pattern, PERI_FLAG_INDEFINITE, &kkt->pivoting);
    if (e == PERI_E_UNSUPPORTED || e == PERI_E_PLUGIN)
        kkt->pivoting = NULL;
    else
        TRY(e);
    if (kkt->pivoting != NULL && strcmp(peri_factor_name(kkt->pivoting), peri_factor_name(kkt->factor)) == 0) {
        peri_factor_close(kkt->pivoting);
        kkt->pivoting = NULL;
    }
    return PERI_OK;
}

/* With regularised rows the matrix has factors without pivoting, which are several times as fast (the family's README). */
static peri_status open_factor(ipm_kkt *kkt, peri_run *run)
{
    if (kkt->dim == 0)
        return PERI_OK;
    const peri_pattern pattern = {kkt->dim, kkt->dim, kkt->nnz, kkt->start, kkt->index};
    const uint64_t needs = kkt->n_kept == 0 ? PERI_FLAG_DEFINITE : PERI_FLAG_QUASIDEFINITE;
    TRY(peri_factor_open(run, "", &pattern, needs, &kkt->factor));
    kkt->pivots = (peri_factor_flags(kkt->factor) & PERI_FLAG_INDEFINITE) != 0;
    return kkt->pivots ? PERI_OK : open_pivoting(kkt, run, &pattern);
}

/* ipm_kkt_switch - from now on the solver that pivots;  ret false: it is in use already, or there is none */
bool ipm_kkt_switch(ipm_state *s)
{
    ipm_kkt *kkt = &s->kkt;
    if (kkt->pivoting == NULL)
        return false;
    kkt->factor = kkt->pivoting;
    kkt->pivoting = NULL;
    kkt->pivots = true;
    return true;
}

peri_status ipm_kkt_open(ipm_state *s, peri_run *run)
{
    const ipm_problem *q = &s->problem;
    ipm_kkt *kkt = &s->kkt;
    int64_t *mark, *list, first_block;
    TRY(alloc_index(run, q->n_x, &mark));
    TRY(alloc_index(run, q->n_x, &list));
    TRY(alloc_index(run, q->m, &kkt->kept));
    TRY(alloc_index(run, q->m, &kkt->of_kept));
    TRY(transpose_jacobian(q, kkt, run));
    choose_form(s, mark, list, &first_block);
    number_kept_rows(q, kkt);
    const int64_t most = first_block + q->jac_nnz + kkt->n_kept;
    TRY(alloc_index(run, kkt->dim + 1, &kkt->start));
    TRY(alloc_index(run, kkt->dim, &kkt->diag_at));
    TRY(alloc_index(run, most, &kkt->index));
    TRY(alloc_index(run, q->hess_nnz, &kkt->hess_at));
    TRY(alloc_index(run, q->jac_nnz, &kkt->jac_at));
    TRY(alloc_real(run, most, &kkt->val));
    TRY(alloc_real(run, q->n_s, &kkt->slack_diag));
    TRY(alloc_real(run, q->m, &kkt->row_diag));
    TRY(alloc_real(run, q->m, &kkt->row_own));
    TRY(alloc_real(run, q->n_s, &kkt->row_w));
    TRY(alloc_real(run, q->m, &kkt->row_y));
    TRY(alloc_real(run, kkt->dim, &kkt->b));
    TRY(alloc_real(run, q->n_x, &kkt->work));
    build_pattern(q, kkt, mark, list);
    return open_factor(kkt, run);
}

/* ---- values --------------------------------------------------------------------------------------------------------------- */

static void eliminate_slacks(const ipm_problem *q, ipm_kkt *kkt, const double *diag_w, const double *diag_row,
                             double delta_w, double delta_c)
{
    for (int64_t i = 0; i < q->m; i++) {
        const int64_t k = q->slack[i];
        kkt->row_own[i] = (diag_row != NULL ? diag_row[i] : 0.0) + delta_c;
        kkt->row_diag[i] = kkt->row_own[i];
        if (k < 0)
            continue;
        kkt->slack_diag[k] = fmax(diag_w[q->n_x + k] + delta_w, 1e-40);
        kkt->row_diag[i] += 1.0 / kkt->slack_diag[k];
    }
}

static void first_block_augmented(const ipm_problem *q, ipm_kkt *kkt, bool with_hess)
{
    for (int64_t k = 0; k < q->hess_nnz; k++)
        kkt->val[kkt->hess_at[k]] = with_hess ? q->hess[k] : 0.0;
}

/* Column by column: H and J_I' E^-1 J_I scattered into work, gathered by the pattern. */
static void first_block_condensed(const ipm_problem *q, ipm_kkt *kkt, bool with_hess)
{
    double *work = kkt->work;
    for (int64_t j = 0; j < q->n_x; j++) {
        for (int64_t k = q->hess_start[j]; with_hess && k < q->hess_start[j + 1]; k++)
            work[q->hess_row[k]] += q->hess[k];
        for (int64_t k = q->jac_start[j]; k < q->jac_start[j + 1]; k++) {
            const int64_t i = q->jac_row[k];
            if (q->slack[i] < 0)
                continue;
            const double factor = q->jac[k] / kkt->row_diag[i];
            for (int64_t l = kkt->by_row[i + 1] - 1; l >= kkt->by_row[i] && kkt->by_row_col[l] >= j; l--)
                work[kkt->by_row_col[l]] += factor * q->jac[kkt->by_row_at[l]];
        }
        for (int64_t k = kkt->start[j]; k < kkt->start[j + 1] && kkt->index[k] < q->n_x; k++) {
            kkt->val[k] = work[kkt->index[k]];
            work[kkt->index[k]] = 0.0;
        }
    }
}

/*
 * ipm_kkt_factor - factorise for the given diagonals
 *   in   diag_w [n], diag_row [m] or NULL for zeros; with_hess false: H = 0
 *   out  inertia  of the matrix; PERI_E_NUMERIC: singular
 */
peri_status ipm_kkt_factor(ipm_state *s, const double *diag_w, const double *diag_row, bool with_hess, double delta_w,
                           double delta_c, peri_inertia *inertia)
{
    const ipm_problem *q = &s->problem;
    ipm_kkt *kkt = &s->kkt;
    eliminate_slacks(q, kkt, diag_w, diag_row, delta_w, delta_c);
    if (kkt->condensed)
        first_block_condensed(q, kkt, with_hess);
    else
        first_block_augmented(q, kkt, with_hess);
    for (int64_t j = 0; j < q->n_x; j++)
        kkt->val[kkt->diag_at[j]] += diag_w[j] + delta_w;
    for (int64_t k = 0; k < q->jac_nnz; k++)
        if (kkt->jac_at[k] >= 0)
            kkt->val[kkt->jac_at[k]] = q->jac[k];
    for (int64_t i = 0; i < kkt->n_kept; i++)
        kkt->val[kkt->diag_at[q->n_x + i]] = -kkt->row_diag[kkt->of_kept[i]];
    *inertia = (peri_inertia){q->n_x, kkt->n_kept, 0};
    if (kkt->factor == NULL)
        return PERI_OK;
    kkt->factorizations++;
    return peri_factor_values(kkt->factor, kkt->val, inertia);
}

/* ---- solution --------------------------------------------------------------------------------------------------------------- */

/* The row's right-hand side once its slack is gone: ry_i + rs_k / a_k. */
static void reduce_rows(const ipm_problem *q, ipm_kkt *kkt, const double *rw, const double *ry)
{
    for (int64_t i = 0; i < q->m; i++) {
        const int64_t k = q->slack[i];
        kkt->row_y[i] = ry[i] + (k >= 0 ? rw[q->n_x + k] / kkt->slack_diag[k] : 0.0);
    }
}

static void reduce_columns(const ipm_problem *q, ipm_kkt *kkt, const double *rw)
{
    for (int64_t j = 0; j < q->n_x; j++) {
        double sum = rw[j];
        for (int64_t k = q->jac_start[j]; kkt->condensed && k < q->jac_start[j + 1]; k++) {
            const int64_t i = q->jac_row[k];
            if (q->slack[i] >= 0)
                sum += q->jac[k] * kkt->row_y[i] / kkt->row_diag[i];
        }
        kkt->b[j] = sum;
    }
    for (int64_t i = 0; i < kkt->n_kept; i++)
        kkt->b[q->n_x + i] = kkt->row_y[kkt->of_kept[i]];
}

/* dy of the eliminated rows, then the slacks, from whichever of their two equations divides by the larger number. */
static void expand(const ipm_problem *q, ipm_kkt *kkt, const double *rw, const double *ry, double *dw, double *dy)
{
    for (int64_t i = 0; i < q->m; i++) {
        const int64_t k = q->slack[i];
        double jdx = 0.0;
        if (kkt->kept[i] >= 0)
            dy[i] = kkt->b[q->n_x + kkt->kept[i]];
        if (k < 0)
            continue;
        for (int64_t l = kkt->by_row[i]; l < kkt->by_row[i + 1]; l++)
            jdx += q->jac[kkt->by_row_at[l]] * dw[kkt->by_row_col[l]];
        if (kkt->kept[i] < 0)
            dy[i] = (jdx - kkt->row_y[i]) / kkt->row_diag[i];
        const double a = kkt->slack_diag[k];
        dw[q->n_x + k] = a >= 1.0 ? (dy[i] + rw[q->n_x + k]) / a : jdx - kkt->row_own[i] * dy[i] - ry[i];
    }
}

/* ipm_kkt_solve - one solve with the present factorisation;  in rw [n], ry [m], out dw [n], dy [m] (may not overlap) */
peri_status ipm_kkt_solve(ipm_state *s, const double *rw, const double *ry, double *dw, double *dy)
{
    const ipm_problem *q = &s->problem;
    ipm_kkt *kkt = &s->kkt;
    reduce_rows(q, kkt, rw, ry);
    reduce_columns(q, kkt, rw);
    if (kkt->factor != NULL)
        TRY(peri_factor_solve(kkt->factor, kkt->b));
    memcpy(dw, kkt->b, (size_t)q->n_x * sizeof *dw);
    expand(q, kkt, rw, ry, dw, dy);
    return PERI_OK;
}
