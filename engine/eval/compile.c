/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile.c - graph to program: the order of kernels and array operations, one piece of memory for all values, and the list of pointers that depend
 * on the caller's arrays.
 */
#include "eval/plan.h"
#include <stdlib.h>
#include <string.h>

/* ---- pointers ------------------------------------------------------------------------------------------------------------------ */

peri_status eval_point(eval_compiler *c, void *where, eval_place place)
{
    if (place.base == BASE_FIXED) {
        memcpy(where, &place.fixed, sizeof place.fixed);
        return PERI_OK;
    }
    const struct eval_patch patch = {where, place.offset, place.base, 0};
    return vec_push(c->m, &c->patches, patch) ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}

static void set_pointer(const struct eval_patch *patch, double *base)
{
    double *const to = base + patch->offset;
    memcpy(patch->where, &to, sizeof to);
}

enum { THREAD_GAP = 16 }; /* numbers: two threads' scratch is never in one pair of cache lines */

static bool is_own(const struct eval_patch *patch)
{
    return patch->base == BASE_MEMORY || patch->base == BASE_SCRATCH;
}

static peri_status reserve(eval_compiler *c)
{
    eval_program *p = c->program;
    int64_t kept = 0;
    for (int64_t k = 0; k < c->patches.n; k++)
        kept += !is_own(&c->patches.at[k]);
    p->memory = c->memory;
    p->per_thread = (c->scratch + 7) / 8 * 8 + THREAD_GAP;
    p->work = mem_array(p->m, (size_t)p->memory, sizeof *p->work);
    p->scratch = mem_array(p->m, (size_t)(p->threads * p->per_thread), sizeof *p->scratch);
    p->patches = arena_array(&p->data, (size_t)kept, sizeof *p->patches);
    p->bases = arena_array(&p->data, (size_t)(BASE_OUTPUT + p->n_slots), sizeof *p->bases);
    p->base_used = arena_array(&p->data, (size_t)(BASE_OUTPUT + p->n_slots), sizeof *p->base_used);
    const bool all = p->work != NULL && p->scratch != NULL && p->patches != NULL && p->bases != NULL && p->base_used != NULL;
    return all ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}

/* Pointers into the program's own memory are set for good, the others kept. Those from `own` on belong to the code for several threads. */
static peri_status set_pointers(eval_compiler *c, int64_t own)
{
    eval_program *p = c->program;
    TRY(reserve(c));
    for (int64_t k = 0; k < c->patches.n; k++) {
        const struct eval_patch *patch = &c->patches.at[k];
        if (is_own(patch)) {
            set_pointer(patch, patch->base == BASE_MEMORY ? p->work : p->scratch + patch->thread * p->per_thread);
            continue;
        }
        p->patches[p->n_patches + p->n_split_patches] = *patch;
        p->n_patches += k < own;
        p->n_split_patches += k >= own;
        p->base_used[patch->base] = true;
    }
    for (int32_t k = 0; k < EXPR_IN_COUNT; k++)
        if (p->base_used[k])
            p->read[p->n_read++] = k;
    return PERI_OK;
}

/* ---- order --------------------------------------------------------------------------------------------------------------------------- */

static int32_t top_level(const eval_compiler *c)
{
    int32_t top = 0;
    for (int64_t k = 0; k < c->groups.n; k++)
        top = c->groups.at[k].level > top ? c->groups.at[k].level : top;
    for (int64_t k = 0; k < c->arrays.n; k++)
        top = c->level[c->arrays.at[k]] > top ? c->level[c->arrays.at[k]] : top;
    return top;
}

static peri_status order_steps(eval_compiler *c)
{
    eval_program *p = c->program;
    const int64_t n_levels = (int64_t)top_level(c) + 2, n = c->groups.n + c->arrays.n;
    int64_t *start = arena_array(&c->data, (size_t)n_levels + 1, sizeof *start);
    p->steps = arena_array(&p->data, (size_t)n, sizeof *p->steps);
    if (start == NULL || p->steps == NULL)
        return FAIL_NOMEM(c->g->ctx);
    for (int64_t k = 0; k < n; k++)
        start[(k < c->groups.n ? c->groups.at[k].level : c->level[c->arrays.at[k - c->groups.n]]) + 2]++;
    for (int64_t l = 0; l < n_levels; l++)
        start[l + 1] += start[l];
    for (int64_t k = 0; k < n; k++) {
        const bool is_array = k >= c->groups.n;
        const int32_t level = is_array ? c->level[c->arrays.at[k - c->groups.n]] : c->groups.at[k].level;
        p->steps[start[level + 1]++] = (eval_step){is_array, (int32_t)(is_array ? k - c->groups.n : k)};
    }
    for (int64_t k = 0; k < n; k++)
        if (!p->steps[k].is_array)
            c->groups.at[p->steps[k].at].order = (int32_t)k;
    p->n_steps = n;
    return PERI_OK;
}

static int by_kernel_and_rank(const void *a, const void *b)
{
    const eval_sink *x = *(eval_sink *const *)a, *y = *(eval_sink *const *)b;
    if (x->kernel != y->kernel)
        return x->kernel < y->kernel ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return (x > y) - (x < y); /* as they came */
}

/* Sinks by kernel and rank; the order of the others is kept. */
static peri_status sort_sinks(eval_compiler *c, eval_sink **sorted, int64_t **start)
{
    eval_sink **order = arena_array(&c->data, (size_t)c->sinks.n, sizeof *order);
    *sorted = arena_array(&c->data, (size_t)c->sinks.n, sizeof **sorted);
    *start = arena_array(&c->data, (size_t)c->groups.n + 1, sizeof **start);
    if (order == NULL || *sorted == NULL || *start == NULL)
        return FAIL_NOMEM(c->g->ctx);
    int64_t n = 0;
    for (int64_t k = 0; k < c->sinks.n; k++)
        if (c->sinks.at[k].kind != SINK_NONE)
            order[n++] = &c->sinks.at[k];
    qsort(order, (size_t)n, sizeof *order, by_kernel_and_rank);
    for (int64_t k = 0; k < n; k++) {
        (*sorted)[k] = *order[k];
        (*start)[order[k]->kernel + 1]++;
    }
    for (int64_t k = 0; k < c->groups.n; k++)
        (*start)[k + 1] += (*start)[k];
    return PERI_OK;
}

/* ---- all together ------------------------------------------------------------------------------------------------------------------------ */

static peri_status compile_steps(eval_compiler *c)
{
    eval_program *p = c->program;
    eval_sink *sinks;
    int64_t *start;
    TRY(sort_sinks(c, &sinks, &start));
    p->n_kernels = c->groups.n;
    p->n_arrays = c->arrays.n;
    p->kernels = arena_array(&p->data, (size_t)p->n_kernels, sizeof *p->kernels);
    p->arrays = arena_array(&p->data, (size_t)p->n_arrays, sizeof *p->arrays);
    p->factors = arena_array(&p->data, (size_t)p->n_arrays, sizeof *p->factors);
    c->patch_start = arena_array(&c->data, (size_t)(p->n_kernels + p->n_arrays) + 1, sizeof *c->patch_start);
    if (p->kernels == NULL || p->arrays == NULL || p->factors == NULL || c->patch_start == NULL)
        return FAIL_NOMEM(c->g->ctx);
    for (int64_t k = 0; k < p->n_kernels; k++) {
        TRY(eval_compile_kernel(c, (int32_t)k, start[k + 1] - start[k], sinks + start[k], &p->kernels[k]));
        c->patch_start[k + 1] = c->patches.n;
    }
    for (int64_t k = 0; k < p->n_arrays; k++) {
        TRY(eval_compile_array(c, c->arrays.at[k], &p->arrays[k]));
        c->patch_start[p->n_kernels + k + 1] = c->patches.n;
    }
    return PERI_OK;
}

static peri_status start(eval_compiler *c, int64_t n, const eval_output *outputs)
{
    c->top = -1;
    for (int64_t k = 0; k < n; k++) {
        c->top = outputs[k].node > c->top ? outputs[k].node : c->top;
        c->program->n_slots = outputs[k].slot >= c->program->n_slots ? outputs[k].slot + 1 : c->program->n_slots;
    }
    const size_t size = (size_t)c->top + 1;
    c->alias = arena_array(&c->data, size, sizeof *c->alias);
    c->kind = arena_array(&c->data, size, 1);
    c->flags = arena_array(&c->data, size, 1);
    c->level = arena_array(&c->data, size, sizeof *c->level);
    c->uses = arena_array(&c->data, size, sizeof *c->uses);
    c->home = arena_array(&c->data, size, sizeof *c->home);
    c->sine = arena_array(&c->data, size, sizeof *c->sine);
    c->cosine = arena_array(&c->data, size, sizeof *c->cosine);
    c->place = arena_array(&c->data, size, sizeof *c->place);
    c->stamp = arena_array(&c->data, size, sizeof *c->stamp);
    c->reg = arena_array(&c->data, size, sizeof *c->reg);
    if (c->alias == NULL || c->kind == NULL || c->flags == NULL || c->level == NULL || c->uses == NULL || c->home == NULL ||
        c->sine == NULL || c->cosine == NULL || c->place == NULL || c->stamp == NULL || c->reg == NULL)
        return FAIL_NOMEM(c->g->ctx);
    for (size_t k = 0; k < size; k++) {
        c->home[k] = c->sine[k] = c->cosine[k] = -1;
        c->place[k].base = BASE_NONE;
    }
    return PERI_OK;
}

static peri_status watch(eval_compiler *c, int64_t n, const eval_range *watched)
{
    eval_program *p = c->program;
    p->finite = arena_alloc(&p->data, sizeof *p->finite);
    if (p->finite == NULL)
        return FAIL_NOMEM(c->g->ctx);
    p->finite->watched = arena_array(&p->data, (size_t)n, sizeof *watched);
    p->finite->left = arena_array(&p->data, (size_t)n + EVAL_MOST_LEFT + 1, sizeof *watched);
    if (p->finite->watched == NULL || p->finite->left == NULL)
        return FAIL_NOMEM(c->g->ctx);
    if (n > 0)
        memcpy(p->finite->watched, watched, (size_t)n * sizeof *watched);
    p->finite->n_watched = n;
    return PERI_OK;
}

static peri_status compile(eval_compiler *c, int64_t n, const eval_output *outputs, int64_t n_watched, const eval_range *watched)
{
    TRY(start(c, n, outputs));
    TRY(watch(c, n_watched, watched));
    TRY(eval_analyse(c, n, outputs));
    TRY(eval_place_all(c, n, outputs));
    TRY(order_steps(c));
    TRY(eval_plan_scatters(c));
    TRY(compile_steps(c));
    const int64_t own = c->patches.n;
    TRY(eval_plan_threads(c));
    TRY(eval_share_memory(c));
    TRY(set_pointers(c, own));
    TRY(eval_plan_chains(c));
    return eval_emit_machine(c);
}

static void compiler_release(eval_compiler *c)
{
    for (int64_t k = 0; k < c->groups.n; k++) {
        vec_free(c->m, &c->groups.at[k].zeros);
        vec_free(c->m, &c->groups.at[k].fills);
    }
    vec_free(c->m, &c->groups);
    vec_free(c->m, &c->sinks);
    vec_free(c->m, &c->direct);
    vec_free(c->m, &c->arrays);
    vec_free(c->m, &c->patches);
    vec_free(c->m, &c->buffers);
    hash_release(&c->group_of);
    arena_release(&c->data);
}

static peri_status compile_for(bool alone, expr_graph *g, int64_t n, const eval_output *outputs, int64_t n_watched, const eval_range *watched,
                               eval_program **program)
{
    eval_program *p = mem_alloc(g->m, sizeof *p);
    *program = NULL;
    if (p == NULL)
        return FAIL_NOMEM(g->ctx);
    p->g = g;
    p->m = g->m;
    p->simd = eval_simd_of(g->ctx);
    p->threads = 1;
    arena_init(&p->data, g->m);
    eval_compiler c;
    memset(&c, 0, sizeof c);
    c.g = g;
    c.m = g->m;
    c.program = p;
    c.alone = alone;
    arena_init(&c.data, g->m);
    hash_init(&c.group_of, g->m);
    const peri_status status = compile(&c, n, outputs, n_watched, watched);
    compiler_release(&c);
    if (status != PERI_OK) {
        eval_free(p);
        return status;
    }
    *program = p;
    return PERI_OK;
}

peri_status eval_compile(expr_graph *g, int64_t n, const eval_output *outputs, eval_program **program)
{
    return compile_for(false, g, n, outputs, 0, NULL, program);
}

peri_status eval_compile_alone(expr_graph *g, int64_t n, const eval_output *outputs, eval_program **program)
{
    return compile_for(true, g, n, outputs, 0, NULL, program);
}

peri_status eval_compile_watched(expr_graph *g, int64_t n, const eval_output *outputs, int64_t n_watched, const eval_range *watched,
                                 eval_program **program)
{
    return compile_for(false, g, n, outputs, n_watched, watched, program);
}

void eval_free(eval_program *p)
{
    if (p == NULL)
        return;
    mem *const m = p->m;
    eval_free_machine(p);
    mem_array_free(m, p->work);
    mem_array_free(m, p->scratch);
    arena_release(&p->data);
    mem_free(m, p, sizeof *p);
}
