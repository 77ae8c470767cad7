/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - running a program: pointers to the caller's arrays are set, then the steps follow each other. Nothing is allocated. */
#include "eval/plan.h"
#include <math.h>
#include <string.h>

/* Pointers are set anew only when one of the caller's arrays is elsewhere than last time. */
static peri_status set_bases(eval_program *p, const double *const inputs[EXPR_IN_COUNT], double *const *outputs)
{
    bool moved = false;
    for (int k = 0; k < EXPR_IN_COUNT; k++)
        if (p->base_used[k] && inputs[k] == NULL)
            return FAIL(p->g->ctx, PERI_E_INTERNAL, "an input class has no values");
    for (int k = 0; k < EXPR_IN_COUNT; k++) {
        moved = moved || (p->base_used[k] && p->bases[k] != inputs[k]);
        p->bases[k] = (double *)(uintptr_t)inputs[k];
    }
    for (int64_t k = 0; k < p->n_slots; k++) {
        moved = moved || p->bases[BASE_OUTPUT + k] != outputs[k];
        p->bases[BASE_OUTPUT + k] = outputs[k];
    }
    for (int64_t k = 0; k < p->n_patches && moved; k++) {
        const struct eval_patch *patch = &p->patches[k];
        double *const to = p->bases[patch->base] + patch->offset;
        memcpy(patch->where, &to, sizeof to);
    }
    return PERI_OK;
}

static double first_partial(int32_t op)
{
    return op == PERI_OP_SUM ? 0.0 : op == PERI_OP_MAX ? -INFINITY : INFINITY;
}

static double combined(int32_t op, double a, double b)
{
    if (isnan(a) || isnan(b))
        return NAN;
    return (op == PERI_OP_MAX) == (a > b) ? a : b;
}

/* Pairwise, always in the same order. */
static double added_up(double *lanes)
{
    for (int k = 0; k < 8; k++)
        lanes[k] += lanes[k + 8];
    for (int k = 0; k < 4; k++)
        lanes[k] += lanes[k + 4];
    return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
}

static void finish_sum(const struct eval_acc *s)
{
    _Static_assert(EVAL_LANES == 16, "the sum is written out for sixteen");
    if (s->op == PERI_OP_SUM) {
        *s->out = added_up(s->lanes);
        return;
    }
    for (int width = EVAL_LANES / 2; width > 0; width /= 2)
        for (int k = 0; k < width; k++)
            s->lanes[k] = combined(s->op, s->lanes[k], s->lanes[k + width]);
    *s->out = s->lanes[0];
}

static void start_kernel(const eval_kernel *k)
{
    for (int64_t j = 0; j < k->n_zeros; j++) {
        const size_t bytes = (size_t)k->zeros[j].n * sizeof *k->zeros[j].at;
        if (k->zeros[j].from != NULL)
            memcpy(k->zeros[j].at, k->zeros[j].from, bytes);
        else
            memset(k->zeros[j].at, 0, bytes);
    }
    for (int64_t j = 0; j < k->n_cells; j++)
        for (int l = 0; l < EVAL_LANES && k->cells[j].from != NULL; l++)
            k->cells[j].cell[l] = *k->cells[j].from;
    for (int64_t j = 0; j < k->n_accs; j++)
        for (int l = 0; l < EVAL_LANES; l++)
            k->accs[j].lanes[l] = first_partial(k->accs[j].op);
}

enum { CACHE_LINE = 8 }; /* numbers */

/* Part j of n_ins of what the block that starts at `at` will read and write: the processor's own prefetching does not look across blocks. */
static void fetch(const eval_simd *simd, const eval_kernel *k, int64_t at, int64_t j)
{
    const int64_t lines = k->block / CACHE_LINE, from = j * lines / k->n_ins, to = (j + 1) * lines / k->n_ins;
    if (at + k->block > k->n)
        return;
    for (int64_t s = 0; s < k->n_streams; s++)
        simd->fetch(k->streams[s].at + at + from * CACHE_LINE, to - from, k->streams[s].writes);
}

static void run_kernel(const eval_simd *simd, const eval_kernel *k)
{
    start_kernel(k);
    for (int64_t at = 0; at < k->n; at += k->block) {
        const int64_t n = k->n - at < k->block ? k->n - at : k->block;
        for (int64_t j = 0; j < k->n_ins; j++) {
            if (k->n_streams > 0)
                fetch(simd, k, at + k->block, j);
            k->ins[j].fn(&k->ins[j], at, n);
        }
    }
    for (int64_t j = 0; j < k->n_accs; j++)
        finish_sum(&k->accs[j]);
}

peri_status eval_run(eval_program *p, const double *const inputs[EXPR_IN_COUNT], double *const *outputs)
{
    TRY(set_bases(p, inputs, outputs));
    for (int64_t k = 0; k < p->n_factors; k++)
        p->factors[k].ready = false;
    for (int64_t k = 0; k < p->n_steps; k++) {
        if (p->steps[k].is_array)
            TRY(eval_run_array(p, &p->arrays[p->steps[k].at]));
        else
            run_kernel(p->simd, &p->kernels[p->steps[k].at]);
    }
    return PERI_OK;
}

enum { SHORT_LIST = 32 };

/* The sum of 0 v[k]: 0, or NaN when an entry is not finite. */
bool eval_is_finite(int64_t n, const double *v)
{
    double a = 0, b = 0;
    if (n <= SHORT_LIST) {
        for (int64_t k = 0; k + 1 < n; k += 2) {
            a += 0 * v[k];
            b += 0 * v[k + 1];
        }
        return isfinite(a + b + (n % 2 == 1 ? 0 * v[n - 1] : 0));
    }
    const double zero[EVAL_LANES] = {0};
    double lanes[EVAL_LANES] = {0}, sum = 0;
    const eval_ins ins = {.dst = lanes, .p = {v, zero}, .flags = 1u << 0 | 1u << 8}; /* v moves and steps */
    eval_simd_now()->fn[EVAL_SUM_T1 + EVAL_MUL](&ins, 0, n);
    for (int k = 0; k < EVAL_LANES; k++)
        sum += lanes[k];
    return isfinite(sum);
}
