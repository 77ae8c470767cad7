/* SPDX-License-Identifier: Apache-2.0 */
/* simd.c - which version of the instructions is used: the best that the processor has, or the one that a test asks for. */
#include "eval/block.h"
#include "eval/program.h"
#include <string.h>

static const eval_simd *const versions[] = {&eval_avx512, &eval_avx2, &eval_sse2, &eval_portable};
enum { N_VERSIONS = sizeof versions / sizeof versions[0] };

static bool is_usable(const eval_simd *v)
{
    return v->fn != NULL && v->is_there();
}

/* The version asked for; the one state of this library that is not in a context: a test's switch. */
static const eval_simd **forced(void)
{
    static const eval_simd *version;
    return &version;
}

const eval_simd *eval_simd_now(void)
{
    if (*forced() != NULL)
        return *forced();
    for (int k = 0; k < N_VERSIONS; k++)
        if (is_usable(versions[k]))
            return versions[k];
    return &eval_portable;
}

const char *eval_simd_name(void)
{
    return eval_simd_now()->name;
}

bool eval_force_simd(const char *name)
{
    if (name == NULL) {
        *forced() = NULL;
        return true;
    }
    for (int k = 0; k < N_VERSIONS; k++)
        if (strcmp(versions[k]->name, name) == 0 && is_usable(versions[k])) {
            *forced() = versions[k];
            return true;
        }
    return false;
}
