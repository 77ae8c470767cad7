/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_batch - what a point costs when many are evaluated at once, against as many single evaluations, for small models with ten variables.
 * Prints nanoseconds a point and the ratio, of the value and of value and gradient: interleaved runs, the smallest of each.
 */
#include "base/clock.h"
#include "oracle/nlp.h"
#include "unit/text_model.h"

enum { N = 10, MOST = 1000, ROUNDS = 15 };

static void rosenbrock(char *f, size_t size)
{
    size_t at = 0;
    for (int k = 1; k < N; k++)
        at += (size_t)snprintf(f + at, size - at, "%s100*(x%d-x%d^2)^2+(1-x%d)^2", k > 1 ? "+" : "", k + 1, k, k);
}

static void rastrigin(char *f, size_t size)
{
    size_t at = (size_t)snprintf(f, size, "%d", 10 * N);
    for (int k = 1; k <= N; k++)
        at += (size_t)snprintf(f + at, size - at, "+x%d^2-10*cos(6.283185307179586*x%d)", k, k);
}

static void ackley(char *f, size_t size)
{
    char squares[400], waves[600];
    size_t a = 0, b = 0;
    for (int k = 1; k <= N; k++) {
        a += (size_t)snprintf(squares + a, sizeof squares - a, "%sx%d^2", k > 1 ? "+" : "", k);
        b += (size_t)snprintf(waves + b, sizeof waves - b, "%scos(6.283185307179586*x%d)", k > 1 ? "+" : "", k);
    }
    snprintf(f, size, "0-20*exp(0-0.2*sqrt((%s)/%d))-exp((%s)/%d)+22.718281828459045", squares, N, waves, N);
}

/* A sum of exponentials fitted to 40 measurements. */
static void fit(char *f, size_t size)
{
    size_t at = 0;
    for (int i = 0; i < 40; i++) {
        const double t = 0.1 * i;
        at += (size_t)snprintf(f + at, size - at, "%s(%.3f", i > 0 ? "+" : "", -2 * exp(-t) - exp(-0.3 * t));
        for (int k = 1; k < N; k += 2)
            at += (size_t)snprintf(f + at, size - at, "+x%d*exp(0-x%d*%.2f)", k, k + 1, t);
        at += (size_t)snprintf(f + at, size - at, ")^2");
    }
}

/* No two terms alike. */
static void irregular(char *f, size_t size)
{
    snprintf(f, size,
             "exp(x1*x2)+(x3-sin(x4))^2+x5*log(2+x6^2)+sqrt(1+x7^2)*x8+tanh(x9-x10)+x1/(1+x5^2)+(x2+x6)^3-cos(x7*x3)*x10+"
             "(x4-2*x8)^2*x9+0.3*x1*x10");
}

static double smallest(double a, double b)
{
    return a < b ? a : b;
}

static void measure(const char *name, void (*make)(char *f, size_t size), int64_t points)
{
    static char text[20000];
    static double x[MOST * N], f[MOST], g[MOST * N];
    peri_context *ctx = peri_context_new(NULL);
    const double start[N] = {0};
    text_model t = text_new(ctx, N, start);
    nlp *p;
    double best[4] = {1e9, 1e9, 1e9, 1e9};
    make(text, sizeof text);
    text_minimize(&t, text);
    text_check(&t, nlp_of(t.m, &p));
    for (int64_t k = 0; k < points * N; k++)
        x[k] = 0.3 + 0.001 * (double)(k % 97);
    for (int round = 0; round < ROUNDS; round++) {
        double at[5];
        at[0] = clock_seconds();
        for (int64_t k = 0; k < points; k++)
            text_check(&t, nlp_f(p, x + k * N, &f[k]));
        at[1] = clock_seconds();
        text_check(&t, nlp_f_batch(p, points, x, f));
        at[2] = clock_seconds();
        for (int64_t k = 0; k < points; k++)
            text_check(&t, nlp_fg(p, x + k * N, &f[k], g + k * N));
        at[3] = clock_seconds();
        text_check(&t, nlp_fg_batch(p, points, x, f, g));
        at[4] = clock_seconds();
        for (int k = 0; k < 4; k++)
            best[k] = smallest(best[k], (at[k + 1] - at[k]) / (double)points * 1e9);
    }
    printf("%-12s %6d %9.1f %9.1f %7.1f %9.1f %9.1f %7.1f\n", name, (int)points, best[0], best[1], best[0] / best[1], best[2], best[3],
           best[2] / best[3]);
    peri_model_free(t.m);
    peri_context_free(ctx);
}

int main(void)
{
    static const int64_t points[] = {10, 30, 100, 1000};
    printf("%-12s %6s %9s %9s %7s %9s %9s %7s   (ns a point)\n", "model", "points", "f single", "f batch", "ratio", "fg single", "fg batch",
           "ratio");
    for (int k = 0; k < 4; k++) {
        measure("rosenbrock", rosenbrock, points[k]);
        measure("rastrigin", rastrigin, points[k]);
        measure("ackley", ackley, points[k]);
        measure("fit", fit, points[k]);
        measure("irregular", irregular, points[k]);
    }
    return 0;
}
