/* SPDX-License-Identifier: Apache-2.0 */
/* eval_random.c - see eval_random.h. */
#include "unit/eval_random.h"
#include "unit/eval_graph.h"

void fixture_init(fixture *f, const char *simd, uint64_t seed, int64_t n, int64_t size, int32_t threads)
{
    const peri_config config = {.threads = threads};
    *f = (fixture){.ctx = peri_context_new(&config), .seed = seed, .n = n, .size = size};
    eval_force_simd(f->ctx, simd);
    f->g = expr_graph_new(f->ctx);
    check(expr_new_var(f->g, "x", f->size, 1, &f->x));
}

void fixture_release(fixture *f)
{
    expr_graph_free(f->g);
    peri_context_free(f->ctx);
}

int64_t below(fixture *f, int64_t n)
{
    return (int64_t)uniform(&f->seed, 0, (double)n);
}

void add_output(fixture *f, expr_id e)
{
    f->output[f->n_outputs] = (eval_output){e, f->n_outputs, 0};
    f->length[f->n_outputs++] = expr_size(f->g, e);
}
