/* SPDX-License-Identifier: Apache-2.0 */
/* blas.c - OpenBLAS, opened only when a program has a large enough array operation: loading it takes longer than a small solve. */
#include "eval/blas.h"
#include "base/context.h"
#include <dlfcn.h>
#include <string.h>

static bool find(void *library, const char *name, void *function)
{
    void *const address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

bool eval_blas_open(const peri_context *ctx, eval_blas *blas)
{
    static const char *const names[] = {"libopenblas.so.0", "libopenblas.so"};
    void *library = NULL;
    for (size_t k = 0; k < 2 && library == NULL; k++)
        library = dlopen(names[k], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return false;
    void (*set_threads)(int) = NULL;
    if (find(library, "openblas_set_num_threads", &set_threads))
        set_threads(ctx->blas_threads);
    return find(library, "cblas_dgemm", &blas->gemm) && find(library, "cblas_dgemv", &blas->gemv) && find(library, "dgetrf_", &blas->getrf) &&
           find(library, "dgetrs_", &blas->getrs) && find(library, "dgesdd_", &blas->gesdd);
}
