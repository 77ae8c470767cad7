/* SPDX-License-Identifier: Apache-2.0 */
/* simd.c - which version of the instructions is used: the best that the processor has, or the one that a test asks its context for. */
#include "base/context.h"
#include "eval/block.h"
#include "eval/program.h"
#include <string.h>

static const eval_simd *const versions[] = {&eval_avx512, &eval_avx2, &eval_sse2, &eval_portable};
enum { N_VERSIONS = sizeof versions / sizeof versions[0] };

static bool is_usable(const eval_simd *v)
{
    return v->fn != NULL && v->is_there();
}

const eval_simd *eval_simd_best(void)
{
    for (int k = 0; k < N_VERSIONS; k++)
        if (is_usable(versions[k]))
            return versions[k];
    return &eval_portable;
}

const eval_simd *eval_simd_of(const peri_context *ctx)
{
    return ctx->simd != NULL ? ctx->simd : eval_simd_best();
}

const char *eval_simd_name(const peri_context *ctx)
{
    return eval_simd_of(ctx)->name;
}

const eval_simd *eval_simd_named(const char *name)
{
    for (int k = 0; k < N_VERSIONS; k++)
        if (strcmp(versions[k]->name, name) == 0 && is_usable(versions[k]))
            return versions[k];
    return NULL;
}

void eval_allow_machine_code(peri_context *ctx, bool allowed)
{
    ctx->no_machine_code = !allowed;
}

bool eval_force_simd(peri_context *ctx, const char *name)
{
    ctx->simd = name != NULL ? eval_simd_named(name) : NULL;
    return name == NULL || ctx->simd != NULL;
}
