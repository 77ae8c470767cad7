/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_batch - what a point costs when many are evaluated at once, on one thread, against as many single evaluations, for models of 2 to 1000 variables.
 * Prints nanoseconds a point and the ratio, of the value and of value and gradient: interleaved runs, the smallest of each.
 * usage: eval_batch [points]
 */
#include "base/clock.h"
#include "oracle/nlp.h"
#include "unit/text_model.h"
#include <stdlib.h>

enum { MOST_VARIABLES = 1000, MOST = 1000, ROUNDS = 15, TEXT = 1 << 20 };

static void rosenbrock(int n, char *f, size_t size)
{
    size_t at = 0;
    for (int k = 1; k < n; k++)
        at += (size_t)snprintf(f + at, size - at, "%s100*(x%d-x%d^2)^2+(1-x%d)^2", k > 1 ? "+" : "", k + 1, k, k);
}

static void rastrigin(int n, char *f, size_t size)
{
    size_t at = (size_t)snprintf(f, size, "%d", 10 * n);
    for (int k = 1; k <= n; k++)
        at += (size_t)snprintf(f + at, size - at, "+x%d^2-10*cos(6.283185307179586*x%d)", k, k);
}

static void ackley(int n, char *f, size_t size)
{
    static char squares[TEXT / 4], waves[TEXT / 4];
    size_t a = 0, b = 0;
    for (int k = 1; k <= n; k++) {
        a += (size_t)snprintf(squares + a, sizeof squares - a, "%sx%d^2", k > 1 ? "+" : "", k);
        b += (size_t)snprintf(waves + b, sizeof waves - b, "%scos(6.283185307179586*x%d)", k > 1 ? "+" : "", k);
    }
    snprintf(f, size, "0-20*exp(0-0.2*sqrt((%s)/%d))-exp((%s)/%d)+22.718281828459045", squares, n, waves, n);
}

/* Sums of five exponentials fitted to 40 measurements; with more than ten variables each measurement has some of them. */
static void fit(int n, char *f, size_t size)
{
    size_t at = 0;
    for (int i = 0; i < 40; i++) {
        const double t = 0.1 * i;
        at += (size_t)snprintf(f + at, size - at, "%s(%.3f", i > 0 ? "+" : "", -2 * exp(-t) - exp(-0.3 * t));
        for (int k = 0; k < 5; k++) {
            const int first = 2 * ((i / 8 * 5 + k) % (n / 2)) + 1;
            at += (size_t)snprintf(f + at, size - at, "+x%d*exp(0-x%d*%.2f)", first, first + 1, t);
        }
        at += (size_t)snprintf(f + at, size - at, ")^2");
    }
}

/* Squares of sums of three variables, chosen at random. */
static void sparse(int n, char *f, size_t size)
{
    size_t at = 0;
    uint32_t draw = 12345;
    for (int i = 0; i < n; i++) {
        at += (size_t)snprintf(f + at, size - at, "%s(0.5", i > 0 ? "+" : "");
        for (int k = 0; k < 3; k++) {
            draw = draw * 1103515245u + 12345u;
            at += (size_t)snprintf(f + at, size - at, "+%d.5*x%d", (int)(draw >> 8) % 7, (int)((draw >> 16) % (uint32_t)n) + 1);
        }
        at += (size_t)snprintf(f + at, size - at, ")^2");
    }
}

/* Ten terms no two of which are alike, of ten variables each time. */
static void irregular(int n, char *f, size_t size)
{
    size_t at = 0;
    int x[11];
    for (int i = 0; i < n || i == 0; i += 10) {
        for (int k = 1; k <= 10; k++)
            x[k] = (i + k - 1) % n + 1;
        at += (size_t)snprintf(f + at, size - at, "%sexp(0.1*x%d*x%d)+(x%d-sin(x%d))^2+x%d*log(2+x%d^2)+sqrt(1+x%d^2)*x%d+tanh(x%d-x%d)",
                               i > 0 ? "+" : "", x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9], x[10]);
        at += (size_t)snprintf(f + at, size - at, "+x%d/(1+x%d^2)+(x%d+x%d)^3-cos(x%d*x%d)*x%d+(x%d-2*x%d)^2*x%d+0.3*x%d*x%d", x[1], x[5], x[2],
                               x[6], x[7], x[3], x[10], x[4], x[8], x[9], x[1], x[10]);
    }
}

static double smallest(double a, double b)
{
    return a < b ? a : b;
}

static void measure(const char *name, void (*make)(int n, char *f, size_t size), int n, int64_t points)
{
    static char text[TEXT];
    static double x[MOST * MOST_VARIABLES], f[MOST], g[MOST * MOST_VARIABLES];
    static const double start[MOST_VARIABLES];
    peri_context *ctx = peri_context_new(&(peri_config){.threads = 1});
    text_model t = text_new(ctx, n, start);
    nlp *p;
    double best[4] = {1e9, 1e9, 1e9, 1e9};
    make(n, text, sizeof text);
    text_minimize(&t, text);
    text_check(&t, nlp_of(t.m, &p));
    for (int64_t k = 0; k < points * n; k++)
        x[k] = 0.3 + 0.001 * (double)(k % 97);
    for (int round = 0; round < ROUNDS; round++) {
        double at[5];
        at[0] = clock_seconds();
        for (int64_t k = 0; k < points; k++)
            text_check(&t, nlp_f(p, x + k * n, &f[k]));
        at[1] = clock_seconds();
        text_check(&t, nlp_f_batch(p, points, x, f));
        at[2] = clock_seconds();
        for (int64_t k = 0; k < points; k++)
            text_check(&t, nlp_fg(p, x + k * n, &f[k], g + k * n));
        at[3] = clock_seconds();
        text_check(&t, nlp_fg_batch(p, points, x, f, g));
        at[4] = clock_seconds();
        for (int k = 0; k < 4; k++)
            best[k] = smallest(best[k], (at[k + 1] - at[k]) / (double)points * 1e9);
    }
    printf("%-12s %9d %9.1f %9.1f %7.2f %9.1f %9.1f %7.2f\n", name, n, best[0], best[1], best[0] / best[1], best[2], best[3], best[2] / best[3]);
    peri_model_free(t.m);
    peri_context_free(ctx);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*make)(int n, char *f, size_t size);
    } models[] = {{"rosenbrock", rosenbrock}, {"rastrigin", rastrigin}, {"ackley", ackley}, {"fit", fit}, {"sparse", sparse}, {"irregular", irregular}};
    static const int variables[] = {2, 10, 40, 200, 1000};
    const int64_t points = argc > 1 ? strtoll(argv[1], NULL, 10) : MOST;
    if (points < 1 || points > MOST) {
        fprintf(stderr, "eval_batch: points: from 1 to %d\n", (int)MOST);
        return 1;
    }
    printf("%d points  %s\n", (int)points, "(ns a point)");
    printf("%-12s %9s %9s %9s %7s %9s %9s %7s\n", "model", "variables", "f single", "f batch", "ratio", "fg single", "fg batch", "ratio");
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (size_t k = 0; k < sizeof variables / sizeof *variables; k++)
            measure(models[m].name, models[m].make, variables[k], points);
    return 0;
}
