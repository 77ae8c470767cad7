/* SPDX-License-Identifier: Apache-2.0 */
/* samples.c - a library as users have them, for the tests of peri.foreign and peri.callback: it knows nothing of the engine. */
#include <math.h>
#include <stdint.h>
#include <stddef.h>
#include <stdlib.h>

double rosenbrock(size_t n, const double *x);
void rosenbrock_gradient(size_t n, const double *x, double *g);
void wrong_gradient(size_t n, const double *x, double *g);
double root_sum(size_t n, const double *x);
double absolute(size_t n, const double *x);
void absolute_gradient(size_t n, const double *x, double *g);
int add_int(int a, int b);
int64_t add_int64(int64_t a, int64_t b);
size_t count_positive(size_t n, const float *x);
float halve(float x);
void scale(size_t n, double *x, double by);
void square_ints(int n, int *x);
double integrate(double (*f)(double), double from, double to, int steps);
double descend(size_t n, double *x, double (*f)(size_t, const double *), void (*g)(size_t, const double *, double *), int steps);
void *new_counter(void);
int next_of(void *counter);
void free_counter(void *counter);
int call_twice(int (*f)(int), int x);

double rosenbrock(size_t n, const double *x)
{
    double sum = 0;
    for (size_t i = 0; i + 1 < n; i++)
        sum += 100 * (x[i + 1] - x[i] * x[i]) * (x[i + 1] - x[i] * x[i]) + (1 - x[i]) * (1 - x[i]);
    return sum;
}

void rosenbrock_gradient(size_t n, const double *x, double *g)
{
    for (size_t i = 0; i < n; i++)
        g[i] = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        const double a = x[i + 1] - x[i] * x[i];
        g[i] += -400 * a * x[i] - 2 * (1 - x[i]);
        g[i + 1] += 200 * a;
    }
}

void wrong_gradient(size_t n, const double *x, double *g)
{
    rosenbrock_gradient(n, x, g);
    g[1] += 7;
}

double root_sum(size_t n, const double *x) /* undefined for negative entries */
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] - sqrt(x[i]);
    return sum;
}

double absolute(size_t n, const double *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += fabs(x[i]);
    return sum;
}

void absolute_gradient(size_t n, const double *x, double *g)
{
    for (size_t i = 0; i < n; i++)
        g[i] = x[i] > 0 ? 1 : -1;
}

int add_int(int a, int b)
{
    return a + b;
}

int64_t add_int64(int64_t a, int64_t b)
{
    return a + b;
}

size_t count_positive(size_t n, const float *x)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += x[i] > 0;
    return count;
}

float halve(float x)
{
    return x / 2;
}

void scale(size_t n, double *x, double by)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= by;
}

void square_ints(int n, int *x)
{
    for (int i = 0; i < n; i++)
        x[i] *= x[i];
}

double integrate(double (*f)(double), double from, double to, int steps) /* Simpson's rule */
{
    const double h = (to - from) / steps;
    double sum = 0;
    for (int k = 0; k < steps; k++)
        sum += h / 6 * (f(from + k * h) + 4 * f(from + (k + 0.5) * h) + f(from + (k + 1) * h));
    return sum;
}

double descend(size_t n, double *x, double (*f)(size_t, const double *), void (*g)(size_t, const double *, double *), int steps)
{
    double *d = malloc(n * sizeof *d);
    for (int k = 0; k < steps && d != NULL; k++) {
        g(n, x, d);
        for (size_t i = 0; i < n; i++)
            x[i] -= 0.1 * d[i];
    }
    free(d);
    return f(n, x);
}

void *new_counter(void)
{
    return calloc(1, sizeof(int));
}

int next_of(void *counter)
{
    return ++*(int *)counter;
}

void free_counter(void *counter)
{
    free(counter);
}

int call_twice(int (*f)(int), int x)
{
    return f(f(x));
}
