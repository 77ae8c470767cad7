/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asl STUB - AMPL's solver library on STUB.nl, for comparison where it is installed: seconds of processor time for value and gradient,
 * constraints, Jacobian, Hessian of the Lagrangian (medians; each after what it needs was evaluated at the same point), then the sum of
 * the constraints' values at the start point, one a line.
 */
#include "asl_pfgh.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REPEATS = 31, KINDS = 4 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    ASL *asl = ASL_alloc(ASL_read_pfgh);
    FILE *nl = argc == 2 && asl != NULL ? jac0dim(argv[1], (fint)strlen(argv[1])) : NULL;
    if (nl == NULL)
        return 1;
    X0 = calloc((size_t)n_var, sizeof(real));
    if (X0 == NULL || pfgh_read(nl, 0) != 0)
        return 1;
    const fint nnz = sphsetup(-1, 1, n_con > 0, 1);
    real *x = X0, *g = calloc((size_t)n_var, sizeof *g), *c = calloc((size_t)n_con + 1, sizeof *c), *y = calloc((size_t)n_con + 1, sizeof *y);
    real *jac = calloc((size_t)nzc + 1, sizeof *jac), *hess = calloc((size_t)nnz + 1, sizeof *hess), one = 1.0, sum = 0.0;
    static double seconds[KINDS][REPEATS];
    fint failed = 0;
    if (g == NULL || c == NULL || y == NULL || jac == NULL || hess == NULL)
        return 1;
    for (int i = 0; i < n_con; i++)
        y[i] = 1.0 + 0.001 * (i % 100);
    conval(x, c, &failed);
    for (int i = 0; i < n_con; i++)
        sum += c[i];
    for (int k = 0; k < REPEATS; k++) {
        x[k % n_var] += 1e-9; /* nothing is known at this point */
        const double t0 = now();
        (void)objval(0, x, &failed);
        objgrd(0, x, g, &failed);
        const double t1 = now();
        conval(x, c, &failed);
        const double t2 = now();
        jacval(x, jac, &failed);
        const double t3 = now();
        sphes(hess, -1, &one, n_con > 0 ? y : NULL);
        const double at[KINDS + 1] = {t0, t1, t2, t3, now()};
        for (int i = 0; i < KINDS; i++)
            seconds[i][k] = at[i + 1] - at[i];
    }
    for (int i = 0; i < KINDS; i++) {
        qsort(seconds[i], REPEATS, sizeof(double), ascending);
        printf("%.9g\n", seconds[i][REPEATS / 2]);
    }
    printf("%.17g\n", sum);
    return failed != 0;
}
