/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network - mean softmax cross-entropy of Z = act(X W1 + b1) W2 + b2 over a minibatch, by the rows of X and Y (ones where the class is right):
 * five matrix products by OpenBLAS, biases as what products are added to, the rest in one pass over each array.
 * link: -lopenblas
 */
#include "family.h"
#include <string.h>
#ifndef FAMILY_COMPLEX
#include <cblas.h>
#endif

typedef struct {
    int batch, inputs, hidden, classes;
    bool relu;
    const double *x, *y;    /* [batch x inputs], [batch x classes] */
    real *a, *z, *da;       /* [batch x hidden], [batch x classes], [batch x hidden] */
} network;

/* c = a b + beta c, with a or b transposed */
static void multiply(bool flip_a, bool flip_b, int rows, int cols, int inner, const real *a, const real *b, double beta, real *c)
{
#ifndef FAMILY_COMPLEX
    cblas_dgemm(CblasRowMajor, flip_a ? CblasTrans : CblasNoTrans, flip_b ? CblasTrans : CblasNoTrans, rows, cols, inner, 1.0, a,
                flip_a ? rows : inner, b, flip_b ? inner : cols, beta, c, cols);
#else
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++) {
            real sum = beta > 0.0 ? c[i * cols + j] : 0.0;
            for (int k = 0; k < inner; k++)
                sum += a[flip_a ? k * rows + i : i * inner + k] * b[flip_b ? j * inner + k : k * cols + j];
            c[i * cols + j] = sum;
        }
#endif
}

static const real *as_real(const double *v, int64_t n, real **own)
{
#ifndef FAMILY_COMPLEX
    (void)n;
    *own = NULL;
    return v;
#else
    *own = malloc((size_t)n * sizeof **own);
    for (int64_t k = 0; k < n && *own != NULL; k++)
        (*own)[k] = v[k];
    return *own;
#endif
}

static void shut(family *p)
{
    network *t = p->own;
    if (t != NULL) {
        free((void *)t->x);
        free((void *)t->y);
        free(t->a);
        free(t->z);
        free(t->da);
    }
    free(t);
}

static double *copy(const double *from, int64_t n)
{
    double *to = aligned_alloc(64, (size_t)(n + 8) / 8 * 64);
    if (to != NULL)
        memcpy(to, from, (size_t)n * sizeof *to);
    return to;
}

static real *room(int64_t n)
{
    return aligned_alloc(64, ((size_t)n * sizeof(real) + 63) / 64 * 64);
}

static bool open(const family_data *data, family *p)
{
    if (data->count != 7)
        return false;
    network *t = calloc(1, sizeof *t);
    *p = (family){.own = t};
    if (t == NULL)
        return false;
    t->batch = (int)data->at[0][0];
    t->inputs = (int)data->at[1][0];
    t->hidden = (int)data->at[2][0];
    t->classes = (int)data->at[3][0];
    t->relu = data->at[4][0] > 0.0;
    p->n = (int64_t)(t->inputs + 1) * t->hidden + (int64_t)(t->hidden + 1) * t->classes;
    t->x = copy(data->at[5], (int64_t)t->batch * t->inputs);
    t->y = copy(data->at[6], (int64_t)t->batch * t->classes);
    t->a = room((int64_t)t->batch * t->hidden);
    t->z = room((int64_t)t->batch * t->classes);
    t->da = room((int64_t)t->batch * t->hidden);
    if (t->x != NULL && t->y != NULL && t->a != NULL && t->z != NULL && t->da != NULL)
        return true;
    shut(p);
    return false;
}

static void spread(int rows, int cols, const real *bias, real *to)
{
    for (int i = 0; i < rows; i++)
        memcpy(to + (size_t)i * (size_t)cols, bias, (size_t)cols * sizeof *to);
}

/* a and z */
static void forward(const network *t, const real *w)
{
    const int n = t->batch, d = t->inputs, h = t->hidden, k = t->classes;
    const real *b1 = w + (size_t)d * (size_t)h, *w2 = b1 + h, *b2 = w2 + (size_t)h * (size_t)k;
    real *own;
    const real *x = as_real(t->x, (int64_t)n * d, &own);
    spread(n, h, b1, t->a);
    multiply(false, false, n, h, d, x, w, 1.0, t->a);
    if (t->relu)
        for (int i = 0; i < n * h; i++)
            t->a[i] = REAL_PART(t->a[i]) > 0.0 ? t->a[i] : 0.0;
    else
        for (int i = 0; i < n * h; i++)
            t->a[i] = tanh(t->a[i]);
    spread(n, k, b2, t->z);
    multiply(false, false, n, k, h, t->a, w2, 1.0, t->z);
    free(own);
}

/* The loss; z becomes its derivative. */
static real cross_entropy(const network *t)
{
    const int k = t->classes;
    const double scale = 1.0 / t->batch;
    real f = 0.0;
    for (int i = 0; i < t->batch; i++) {
        real *z = t->z + (size_t)i * (size_t)k, sum = 0.0, right = 0.0;
        const double *y = t->y + (size_t)i * (size_t)k;
        double top = REAL_PART(z[0]);
        for (int j = 1; j < k; j++)
            top = REAL_PART(z[j]) > top ? REAL_PART(z[j]) : top;
        for (int j = 0; j < k; j++) {
            right += y[j] * z[j];
            sum += z[j] = exp(z[j] - top);
        }
        f += log(sum) + top - right;
        for (int j = 0; j < k; j++)
            z[j] = (z[j] / sum - y[j]) * scale;
    }
    return f * scale;
}

static real value(const family *p, const real *w)
{
    forward(p->own, w);
    return cross_entropy(p->own);
}

static void add_rows(int rows, int cols, const real *a, real *sum)
{
    for (int j = 0; j < cols; j++)
        sum[j] = 0.0;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++)
            sum[j] += a[(size_t)i * (size_t)cols + (size_t)j];
}

static real gradient(const family *p, const real *w, real *g)
{
    const network *t = p->own;
    const int n = t->batch, d = t->inputs, h = t->hidden, k = t->classes;
    const real *w2 = w + (size_t)(d + 1) * (size_t)h;
    real *gb1 = g + (size_t)d * (size_t)h, *g2 = gb1 + h, *gb2 = g2 + (size_t)h * (size_t)k, *own;
    const real *x = as_real(t->x, (int64_t)n * d, &own);
    forward(t, w);
    const real f = cross_entropy(t);
    multiply(true, false, h, k, n, t->a, t->z, 0.0, g2);
    add_rows(n, k, t->z, gb2);
    multiply(false, true, n, h, k, t->z, w2, 0.0, t->da);
    for (int i = 0; i < n * h; i++)
        t->da[i] *= t->relu ? (REAL_PART(t->a[i]) > 0.0 ? 1.0 : 0.0) : 1.0 - t->a[i] * t->a[i];
    add_rows(n, h, t->da, gb1);
    multiply(true, false, d, h, n, x, t->da, 0.0, g);
    free(own);
    return f;
}

const family_functions family_exported = {.open = open, .close = shut, .value = value, .gradient = gradient};
