/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rosenbrock N REPEATS - seconds for one value and gradient of the chained Rosenbrock sum, as one would write it in C:
 *     f = sum 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2
 * The median of REPEATS evaluations. To be compiled with -O3 -march=native.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double value_and_gradient(size_t n, const double *restrict x, double *restrict g)
{
    double f = 0.0;
    memset(g, 0, n * sizeof *g);
    for (size_t i = 0; i + 1 < n; i++) {
        const double a = x[i + 1] - x[i] * x[i], b = 1.0 - x[i];
        f += 100.0 * a * a + b * b;
        g[i] += -400.0 * a * x[i] - 2.0 * b;
        g[i + 1] += 200.0 * a;
    }
    return f;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    const size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    const size_t repeats = argc > 2 ? strtoul(argv[2], NULL, 10) : 50;
    double *x = calloc(n, sizeof *x), *g = calloc(n, sizeof *g), *seconds = calloc(repeats, sizeof *seconds);
    if (x == NULL || g == NULL || seconds == NULL || repeats == 0)
        return 1;
    for (size_t i = 0; i < n; i++)
        x[i] = i % 2 == 0 ? -1.2 : 1.0;
    double f = 0.0;
    for (size_t k = 0; k < repeats; k++) {
        const double start = now();
        f = value_and_gradient(n, x, g);
        seconds[k] = now() - start;
        x[k % n] += 1e-9; /* so that no call can be left out */
    }
    qsort(seconds, repeats, sizeof *seconds, ascending);
    fprintf(stderr, "f = %.17g, g[0] = %.17g\n", f, g[0]);
    printf("%.9f\n", seconds[repeats / 2]);
    free(x);
    free(g);
    free(seconds);
    return 0;
}
