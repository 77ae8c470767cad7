/* SPDX-License-Identifier: Apache-2.0 */
/* random_graph.c - see random_graph.h. Each operation's entry-by-entry meaning is written out again here from its definition. */
#include "unit/random_graph.h"
#include <math.h>
#include <string.h>

double random_number(random_graph *r, double lo, double hi)
{
    return lo + (hi - lo) * rng_uniform(r->seed, 7, r->counter++);
}

int random_below(random_graph *r, int n)
{
    return (int)rng_below(r->seed, 8, r->counter++, n);
}

static random_item *pick(random_graph *r)
{
    /* the newest half of the time, so that expressions grow deep */
    const int recent = r->n > 12 ? 12 : r->n;
    return &r->item[random_below(r, 2) ? r->n - 1 - random_below(r, recent) : random_below(r, r->n)];
}

static bool keep(random_graph *r, const random_item *item)
{
    for (int k = 0; k < item->rows * item->cols; k++)
        if (!(fabs(item->value[k]) < 50))
            return true; /* too large for difference quotients: forgotten */
    if (r->n < RANDOM_POOL)
        r->item[r->n++] = *item;
    return true;
}

static double at(const random_item *a, int i, int j)
{
    return a->value[(a->rows == 1 ? 0 : i) * a->cols + (a->cols == 1 ? 0 : j)];
}

/* ---- elementwise ----------------------------------------------------------------------------------------------------------- */

static double reference(peri_op op, double a, double b, double c)
{
    switch ((int)op) {
    case PERI_OP_NEG: return -a;
    case PERI_OP_ABS: return a < 0 ? -a : a;
    case PERI_OP_SIGN: return a > 0 ? 1 : a < 0 ? -1 : 0;
    case PERI_OP_STEP: return a > 0 ? 1 : 0;
    case PERI_OP_SQUARE: return a * a;
    case PERI_OP_RECIP: return 1 / a;
    case PERI_OP_SQRT: return sqrt(a);
    case PERI_OP_EXP: return exp(a);
    case PERI_OP_EXPM1: return expm1(a);
    case PERI_OP_LOG: return log(a);
    case PERI_OP_LOG1P: return log1p(a);
    case PERI_OP_SIN: return sin(a);
    case PERI_OP_COS: return cos(a);
    case PERI_OP_TAN: return tan(a);
    case PERI_OP_ASIN: return asin(a);
    case PERI_OP_ACOS: return acos(a);
    case PERI_OP_ATAN: return atan(a);
    case PERI_OP_SINH: return sinh(a);
    case PERI_OP_COSH: return cosh(a);
    case PERI_OP_TANH: return tanh(a);
    case PERI_OP_SIGMOID: return 1 / (1 + exp(-a));
    case PERI_OP_SOFTPLUS: return log(1 + exp(a));
    case PERI_OP_RELU: return a > 0 ? a : 0;
    case PERI_OP_ADD: return a + b;
    case PERI_OP_SUB: return a - b;
    case PERI_OP_MUL: return a * b;
    case PERI_OP_DIV: return a / b;
    case PERI_OP_POW: return pow(a, b);
    case PERI_OP_ATAN2: return atan2(a, b);
    case PERI_OP_MIN2: return a < b ? a : b;
    case PERI_OP_MAX2: return a > b ? a : b;
    case PERI_OP_FMA: return fma(a, b, c);
    case PERI_OP_WHERE: return c > 0 ? a : b; /* the condition comes last here */
    default: return NAN;
    }
}

static bool is_kinked(peri_op op)
{
    return op == PERI_OP_ABS || op == PERI_OP_SIGN || op == PERI_OP_STEP || op == PERI_OP_RELU || op == PERI_OP_MIN2 ||
           op == PERI_OP_MAX2 || op == PERI_OP_WHERE;
}

static bool near_zero(const random_item *a)
{
    for (int k = 0; k < a->rows * a->cols; k++)
        if (fabs(a->value[k]) < 1e-6)
            return true; /* rounding would decide the side */
    return false;
}

static bool unary(random_graph *r, peri_op op, const random_item *a, random_item *out)
{
    *out = *a;
    out->smooth = a->smooth && !is_kinked(op);
    for (int k = 0; k < a->rows * a->cols; k++)
        out->value[k] = reference(op, a->value[k], 0, 0);
    r->made[op]++;
    return peri_expr_op(r->m, op, 1, &a->e, &out->e) == PERI_OK;
}

static bool number(random_graph *r, double v, random_item *out)
{
    memset(out, 0, sizeof *out);
    out->rows = out->cols = 1;
    out->smooth = true;
    out->value[0] = v;
    return peri_expr_number(r->m, v, &out->e) == PERI_OK;
}

static bool fits(const random_item *a, const random_item *b)
{
    return (a->rows == b->rows || a->rows == 1 || b->rows == 1) && (a->cols == b->cols || a->cols == 1 || b->cols == 1) &&
           (a->rows > b->rows ? a->rows : b->rows) * (a->cols > b->cols ? a->cols : b->cols) <= RANDOM_SIZE;
}

static bool binary(random_graph *r, peri_op op, const random_item *a, const random_item *b, random_item *out)
{
    random_item t = {.rows = a->rows > b->rows ? a->rows : b->rows, .cols = a->cols > b->cols ? a->cols : b->cols};
    t.smooth = a->smooth && b->smooth && !is_kinked(op);
    for (int i = 0; i < t.rows; i++)
        for (int j = 0; j < t.cols; j++)
            t.value[i * t.cols + j] = reference(op, at(a, i, j), at(b, i, j), 0);
    const expr_id args[2] = {a->e, b->e};
    r->made[op]++;
    const bool ok = peri_expr_op(r->m, op, 2, args, &t.e) == PERI_OK;
    *out = t;
    return ok;
}

/* lo + (hi - lo) sigmoid(a): between lo and hi */
static bool squashed(random_graph *r, const random_item *a, double lo, double hi, random_item *out)
{
    random_item k, s;
    return unary(r, PERI_OP_SIGMOID, a, &s) && number(r, hi - lo, &k) && binary(r, PERI_OP_MUL, &k, &s, &s) &&
           number(r, lo, &k) && binary(r, PERI_OP_ADD, &s, &k, out);
}

static bool step_unary(random_graph *r, peri_op op)
{
    random_item a = *pick(r), out;
    bool ok = true;
    if (op == PERI_OP_LOG || op == PERI_OP_SQRT || op == PERI_OP_RECIP)
        ok = squashed(r, &a, 0.3, 3, &a);
    else if (op == PERI_OP_LOG1P || op == PERI_OP_ASIN || op == PERI_OP_ACOS)
        ok = squashed(r, &a, -0.8, 0.8, &a);
    else if (op == PERI_OP_TAN || op == PERI_OP_SINH || op == PERI_OP_COSH || op == PERI_OP_EXP || op == PERI_OP_EXPM1)
        ok = squashed(r, &a, -1.2, 1.3, &a);
    if (is_kinked(op) && near_zero(&a))
        return true;
    return ok && unary(r, op, &a, &out) && keep(r, &out);
}

static bool step_binary(random_graph *r, peri_op op)
{
    random_item a = *pick(r), b = *pick(r), out;
    bool ok = true;
    if (!fits(&a, &b))
        return true;
    if (op == PERI_OP_ATAN2 && near_zero(&a))
        return true;
    if (op == PERI_OP_DIV)
        ok = squashed(r, &b, 0.4, 2.5, &b);
    if (op == PERI_OP_POW && random_below(r, 2)) {
        ok = squashed(r, &a, 0.3, 2, &a) && squashed(r, &b, -2, 2, &b);
    } else if (op == PERI_OP_POW) {
        static const double exponents[] = {0, 1, 2, 3, 4, -1, -2, 0.5, 1.5, 7};
        ok = squashed(r, &a, 0.3, 2, &a) && number(r, exponents[random_below(r, 10)], &b);
    }
    return ok && binary(r, op, &a, &b, &out) && keep(r, &out);
}

/* where(c, a, b), or fma(c, a, b) */
static bool step_ternary(random_graph *r)
{
    const random_item c = *pick(r), a = *pick(r), b = *pick(r);
    const bool fused = random_below(r, 2) == 0;
    random_item t = {.rows = 1, .cols = 1};
    const random_item *all[3] = {&c, &a, &b};
    for (int k = 0; k < 3; k++) {
        t.rows = all[k]->rows > t.rows ? all[k]->rows : t.rows;
        t.cols = all[k]->cols > t.cols ? all[k]->cols : t.cols;
    }
    if (!fits(&c, &a) || !fits(&a, &b) || !fits(&c, &b) || t.rows * t.cols > RANDOM_SIZE || (!fused && near_zero(&c)))
        return true;
    t.smooth = fused && a.smooth && b.smooth && c.smooth;
    for (int i = 0; i < t.rows; i++)
        for (int j = 0; j < t.cols; j++)
            t.value[i * t.cols + j] = fused ? reference(PERI_OP_FMA, at(&c, i, j), at(&a, i, j), at(&b, i, j))
                                            : reference(PERI_OP_WHERE, at(&a, i, j), at(&b, i, j), at(&c, i, j));
    const expr_id args[3] = {c.e, a.e, b.e};
    const peri_op op = fused ? PERI_OP_FMA : PERI_OP_WHERE;
    r->made[op]++;
    return peri_expr_op(r->m, op, 3, args, &t.e) == PERI_OK && keep(r, &t);
}

static bool step_constant(random_graph *r)
{
    const int shapes[5][2] = {{1, 1}, {4, 1}, {1, 4}, {4, 4}, {3, 1}};
    const int *shape = shapes[random_below(r, 5)];
    random_item t = {.rows = shape[0], .cols = shape[1], .smooth = true};
    for (int k = 0; k < t.rows * t.cols; k++)
        t.value[k] = random_below(r, 4) ? random_number(r, -2, 2) : random_below(r, 3) - 1;
    const peri_array value = {t.rows, t.cols, t.value, -1, NULL, NULL};
    return peri_expr_const(r->m, &value, &t.e) == PERI_OK && keep(r, &t);
}

/* ---- reductions ------------------------------------------------------------------------------------------------------------ */

static double reduced(peri_op op, const random_item *a)
{
    const int n = a->rows * a->cols;
    double sum = 0, abs_sum = 0, squares = 0, top = -INFINITY, bottom = INFINITY, exps = 0, diagonal = 0;
    for (int k = 0; k < n; k++) {
        const double v = a->value[k];
        sum += v;
        abs_sum += fabs(v);
        squares += v * v;
        top = v > top ? v : top;
        bottom = v < bottom ? v : bottom;
        exps += exp(v);
        if (k / a->cols == k % a->cols)
            diagonal += v;
    }
    switch ((int)op) {
    case PERI_OP_SUM: return sum;
    case PERI_OP_MEAN: return sum / n;
    case PERI_OP_MAX: return top;
    case PERI_OP_MIN: return bottom;
    case PERI_OP_NORM1: return abs_sum;
    case PERI_OP_NORM2: return sqrt(squares);
    case PERI_OP_NORMINF: return top > -bottom ? top : -bottom;
    case PERI_OP_LOGSUMEXP: return log(exps);
    case PERI_OP_TRACE: return diagonal;
    default: return NAN;
    }
}

static bool step_reduce(random_graph *r, peri_op op)
{
    const random_item a = *pick(r);
    if (op == PERI_OP_TRACE && a.rows != a.cols)
        return true;
    random_item t = {.rows = 1, .cols = 1};
    t.smooth = a.smooth && (op == PERI_OP_SUM || op == PERI_OP_MEAN || op == PERI_OP_LOGSUMEXP || op == PERI_OP_TRACE);
    if (op == PERI_OP_NORM2 && reduced(op, &a) > 0.2)
        t.smooth = a.smooth;
    else if (op == PERI_OP_NORM2)
        return true;
    t.value[0] = reduced(op, &a);
    r->made[op]++;
    return peri_expr_op(r->m, op, 1, &a.e, &t.e) == PERI_OK && keep(r, &t);
}

static bool step_dot(random_graph *r)
{
    const random_item a = *pick(r), b = *pick(r);
    if (a.rows != b.rows || a.cols != b.cols)
        return true;
    random_item t = {.rows = 1, .cols = 1, .smooth = a.smooth && b.smooth};
    for (int k = 0; k < a.rows * a.cols; k++)
        t.value[0] += a.value[k] * b.value[k];
    const expr_id args[2] = {a.e, b.e};
    r->made[PERI_OP_DOT]++;
    return peri_expr_op(r->m, PERI_OP_DOT, 2, args, &t.e) == PERI_OK && keep(r, &t);
}

/* ---- arrays ----------------------------------------------------------------------------------------------------------------- */

static bool step_gather(random_graph *r)
{
    const random_item a = *pick(r);
    const int size = a.rows * a.cols, rows = 1 + random_below(r, 5), cols = random_below(r, 3) ? 1 : 1 + random_below(r, 4);
    random_item t = {.rows = rows, .cols = cols, .smooth = a.smooth};
    int64_t index[RANDOM_SIZE];
    const bool affine = random_below(r, 3) == 0;
    const int64_t first = random_below(r, size), stride = size > rows * cols ? random_below(r, 3) - 1 : 0;
    for (int k = 0; k < rows * cols; k++) {
        index[k] = affine ? first + k * stride : random_below(r, size);
        if (index[k] < 0 || index[k] >= size)
            return true;
        t.value[k] = a.value[index[k]];
    }
    r->made[PERI_OP_GATHER]++;
    const peri_status status = affine ? peri_expr_range(r->m, a.e, rows, cols, first, stride, &t.e)
                                      : peri_expr_gather(r->m, a.e, rows, cols, index, &t.e);
    return status == PERI_OK && keep(r, &t);
}

static bool step_scatter(random_graph *r)
{
    const random_item a = *pick(r);
    random_item t = {.rows = 1 + random_below(r, 5), .cols = 1 + random_below(r, 3), .smooth = a.smooth};
    int64_t index[RANDOM_SIZE];
    for (int k = 0; k < a.rows * a.cols; k++) {
        index[k] = random_below(r, t.rows * t.cols);
        t.value[index[k]] += a.value[k];
    }
    r->made[PERI_OP_SCATTER]++;
    return peri_expr_scatter(r->m, a.e, t.rows, t.cols, index, &t.e) == PERI_OK && keep(r, &t);
}

static bool step_stack(random_graph *r)
{
    expr_id args[3];
    random_item t = {.smooth = true};
    for (int k = 0; k < 3; k++) {
        const random_item *a = pick(r);
        if (k == 0)
            t.cols = a->cols;
        if (a->cols != t.cols || (t.rows + a->rows) * t.cols > RANDOM_SIZE)
            return true;
        memcpy(t.value + t.rows * t.cols, a->value, sizeof(double) * (size_t)(a->rows * a->cols));
        t.rows += a->rows;
        t.smooth = t.smooth && a->smooth;
        args[k] = a->e;
    }
    r->made[PERI_OP_STACK]++;
    return peri_expr_stack(r->m, 3, args, &t.e) == PERI_OK && keep(r, &t);
}

static bool step_reshape(random_graph *r)
{
    random_item t = *pick(r);
    const int rows = t.rows;
    t.rows = t.cols;
    t.cols = rows;
    return peri_expr_reshape(r->m, t.e, t.rows, t.cols, &t.e) == PERI_OK && keep(r, &t);
}

static bool transposed(random_graph *r, const random_item *a, random_item *out)
{
    random_item t = {.rows = a->cols, .cols = a->rows, .smooth = a->smooth};
    for (int i = 0; i < t.rows; i++)
        for (int j = 0; j < t.cols; j++)
            t.value[i * t.cols + j] = a->value[j * a->cols + i];
    r->made[PERI_OP_TRANSPOSE]++;
    const bool ok = peri_expr_op(r->m, PERI_OP_TRANSPOSE, 1, &a->e, &t.e) == PERI_OK;
    *out = t;
    return ok;
}

static bool step_transpose(random_graph *r)
{
    random_item a = *pick(r);
    return transposed(r, &a, &a) && keep(r, &a);
}

static bool product(random_graph *r, const random_item *a, const random_item *b, random_item *out)
{
    random_item t = {.rows = a->rows, .cols = b->cols, .smooth = a->smooth && b->smooth};
    for (int i = 0; i < t.rows; i++)
        for (int j = 0; j < t.cols; j++)
            for (int p = 0; p < a->cols; p++)
                t.value[i * t.cols + j] += a->value[i * a->cols + p] * b->value[p * b->cols + j];
    const expr_id args[2] = {a->e, b->e};
    r->made[PERI_OP_MATMUL]++;
    const bool ok = peri_expr_op(r->m, PERI_OP_MATMUL, 2, args, &t.e) == PERI_OK;
    *out = t;
    return ok;
}

static bool step_matmul(random_graph *r)
{
    random_item a = *pick(r), b = *pick(r);
    if (a.cols != b.rows || a.rows * b.cols > RANDOM_SIZE)
        return true;
    return product(r, &a, &b, &a) && keep(r, &a);
}

/* A sparse constant times an expression, from either side. */
static bool step_sparse(random_graph *r)
{
    random_item a = *pick(r), s = {.smooth = true};
    const bool left = random_below(r, 2) != 0;
    s.rows = left ? 1 + random_below(r, 5) : a.cols;
    s.cols = left ? a.rows : 1 + random_below(r, 5);
    int64_t start[RANDOM_SIZE + 1] = {0}, col[RANDOM_SIZE], nnz = 0;
    double data[RANDOM_SIZE];
    if ((left ? s.rows * a.cols : a.rows * s.cols) > RANDOM_SIZE || s.rows * s.cols > RANDOM_SIZE)
        return true;
    for (int i = 0; i < s.rows; i++) {
        for (int j = 0; j < s.cols; j++)
            if (random_below(r, 2)) {
                col[nnz] = j;
                s.value[i * s.cols + j] = data[nnz++] = random_number(r, -1, 1);
            }
        start[i + 1] = nnz;
    }
    const peri_array array = {s.rows, s.cols, data, nnz, start, col};
    random_item t;
    return peri_expr_const(r->m, &array, &s.e) == PERI_OK && (left ? product(r, &s, &a, &t) : product(r, &a, &s, &t)) && keep(r, &t);
}

static bool step_diag(random_graph *r)
{
    const random_item a = *pick(r);
    random_item t = {.smooth = a.smooth};
    const bool build = a.cols == 1 && a.rows > 1;
    if (a.rows * a.cols == 1 || (build && a.rows > 7))
        return true;
    t.rows = a.rows < a.cols || build ? a.rows : a.cols;
    t.cols = build ? a.rows : 1;
    for (int i = 0; i < t.rows; i++)
        t.value[build ? i * (t.cols + 1) : i] = a.value[build ? i : i * (a.cols + 1)];
    r->made[PERI_OP_DIAG]++;
    return peri_expr_op(r->m, PERI_OP_DIAG, 1, &a.e, &t.e) == PERI_OK && keep(r, &t);
}

static bool step_cumsum(random_graph *r)
{
    random_item t = *pick(r);
    for (int i = 1; i < t.rows; i++)
        for (int j = 0; j < t.cols; j++)
            t.value[i * t.cols + j] += t.value[(i - 1) * t.cols + j];
    r->made[PERI_OP_CUMSUM]++;
    return peri_expr_op(r->m, PERI_OP_CUMSUM, 1, &t.e, &t.e) == PERI_OK && keep(r, &t);
}

/* One row or column of `a`, and where its result is. */
static void reduce_line(peri_op op, int n, const double *v, double *out)
{
    double sum = 0, top = v[0], low = v[0];
    for (int k = 0; k < n; k++) {
        sum += op == PERI_OP_LOGSUMEXP ? exp(v[k]) : v[k];
        top = v[k] > top ? v[k] : top;
        low = v[k] < low ? v[k] : low;
    }
    *out = op == PERI_OP_MAX ? top : op == PERI_OP_MIN ? low : op == PERI_OP_LOGSUMEXP ? log(sum) : op == PERI_OP_MEAN ? sum / n : sum;
}

static bool step_along(random_graph *r)
{
    static const peri_op ops[] = {PERI_OP_SUM, PERI_OP_MEAN, PERI_OP_LOGSUMEXP, PERI_OP_MAX, PERI_OP_MIN};
    const random_item a = *pick(r);
    const peri_op op = ops[random_below(r, 5)];
    const int dim = 1 + random_below(r, 2), lines = dim == 1 ? a.cols : a.rows, n = dim == 1 ? a.rows : a.cols;
    random_item t = {.rows = dim == 1 ? 1 : a.rows, .cols = dim == 1 ? a.cols : 1};
    t.smooth = a.smooth && op != PERI_OP_MAX && op != PERI_OP_MIN;
    for (int j = 0; j < lines; j++) {
        double line[RANDOM_SIZE] = {0};
        for (int k = 0; k < n; k++)
            line[k] = a.value[dim == 1 ? k * a.cols + j : j * a.cols + k];
        reduce_line(op, n, line, &t.value[j]);
    }
    if (peri_expr_along(r->m, op, a.e, dim, &t.e) != PERI_OK)
        return false;
    r->made[PERI_OP_ROWMAX] += !t.smooth && lines > 1 && n > 1;
    return keep(r, &t);
}

static bool step_softmax(random_graph *r)
{
    random_item t = *pick(r);
    double sum = 0;
    if (t.rows != 1 && t.cols != 1)
        return true;
    for (int k = 0; k < t.rows * t.cols; k++)
        sum += exp(t.value[k]);
    for (int k = 0; k < t.rows * t.cols; k++)
        t.value[k] = exp(t.value[k]) / sum;
    r->made[PERI_OP_SOFTMAX]++;
    return peri_expr_op(r->m, PERI_OP_SOFTMAX, 1, &t.e, &t.e) == PERI_OK && keep(r, &t);
}

static bool step_conv2d(random_graph *r)
{
    const random_item a = *pick(r), k = *pick(r);
    random_item t = {.rows = a.rows - k.rows + 1, .cols = a.cols - k.cols + 1, .smooth = a.smooth && k.smooth};
    if (t.rows < 1 || t.cols < 1)
        return true;
    for (int i = 0; i < t.rows; i++)
        for (int j = 0; j < t.cols; j++)
            for (int p = 0; p < k.rows; p++)
                for (int q = 0; q < k.cols; q++)
                    t.value[i * t.cols + j] += a.value[(i + p) * a.cols + j + q] * k.value[p * k.cols + q];
    const expr_id args[2] = {a.e, k.e};
    r->made[PERI_OP_CONV2D]++;
    return peri_expr_op(r->m, PERI_OP_CONV2D, 2, args, &t.e) == PERI_OK && keep(r, &t);
}

/* Two or three products at once, of matrices that lie below each other. */
static bool step_bmm(random_graph *r)
{
    const random_item a = *pick(r), b = *pick(r);
    const int count = 2 + random_below(r, 2), rows = a.rows / count, inner = a.cols;
    random_item t = {.rows = a.rows, .cols = b.cols, .smooth = a.smooth && b.smooth};
    if (a.rows % count != 0 || b.rows != count * inner || t.rows * t.cols > RANDOM_SIZE)
        return true;
    for (int m = 0; m < count; m++)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < b.cols; j++)
                for (int k = 0; k < inner; k++)
                    t.value[(m * rows + i) * b.cols + j] += a.value[(m * rows + i) * inner + k] * b.value[(m * inner + k) * b.cols + j];
    r->made[PERI_OP_BMM]++;
    return peri_expr_bmm(r->m, a.e, b.e, count, &t.e) == PERI_OK && keep(r, &t);
}

/* The rows of `a` as images of two channels, each of one row or one column, with padding and strides. */
static bool step_conv(random_graph *r)
{
    const random_item a = *pick(r), k = *pick(r);
    const int width = a.cols / 2, taps = k.cols / 2, stride = 1 + random_below(r, 2), padding = random_below(r, 2);
    const int out = width + 2 * padding < taps ? 0 : (width + 2 * padding - taps) / stride + 1;
    random_item t = {.rows = a.rows, .cols = k.rows * out, .smooth = a.smooth && k.smooth};
    if (a.cols % 2 != 0 || k.cols % 2 != 0 || out < 1 || t.rows * t.cols > RANDOM_SIZE)
        return true;
    for (int n = 0; n < a.rows; n++)
        for (int f = 0; f < k.rows; f++)
            for (int q = 0; q < out; q++)
                for (int j = 0; j < taps; j++) {
                    const int x = q * stride - padding + j;
                    for (int c = 0; c < 2 && x >= 0 && x < width; c++)
                        t.value[n * t.cols + f * out + q] += a.value[n * a.cols + c * width + x] * k.value[f * k.cols + c * taps + j];
                }
    const bool down = random_below(r, 2) != 0;
    const peri_conv2d o = {2, {down ? width : 1, down ? 1 : width}, {down ? taps : 1, down ? 1 : taps}, {down ? stride : 1, down ? 1 : stride},
                           {down ? padding : 0, down ? 0 : padding}};
    r->made[PERI_OP_CONV]++;
    return peri_expr_conv2d(r->m, a.e, k.e, &o, &t.e) == PERI_OK && keep(r, &t);
}

/* ---- functions of a square matrix ----------------------------------------------------------------------------------------------- */

/* Gauss-Jordan: a [n x n] becomes its inverse; returns the determinant. */
static double invert(int n, double *a)
{
    double det = 1, inverse[RANDOM_SIZE] = {0};
    for (int i = 0; i < n; i++)
        inverse[i * n + i] = 1;
    for (int p = 0; p < n; p++) {
        const double pivot = a[p * n + p];
        det *= pivot;
        for (int j = 0; j < n; j++) {
            a[p * n + j] /= pivot;
            inverse[p * n + j] /= pivot;
        }
        for (int i = 0; i < n; i++) {
            const double f = a[i * n + p];
            for (int j = 0; j < n && i != p; j++) {
                a[i * n + j] -= f * a[p * n + j];
                inverse[i * n + j] -= f * inverse[p * n + j];
            }
        }
    }
    memcpy(a, inverse, sizeof(double) * (size_t)(n * n));
    return det;
}

static void exponential(int n, double *a) /* Taylor's series: the matrices here are small */
{
    double term[RANDOM_SIZE] = {0}, sum[RANDOM_SIZE] = {0}, next[RANDOM_SIZE];
    for (int i = 0; i < n; i++)
        term[i * n + i] = sum[i * n + i] = 1;
    for (int k = 1; k < 40; k++) {
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                double s = 0;
                for (int p = 0; p < n; p++)
                    s += term[i * n + p] * a[p * n + j];
                next[i * n + j] = s / k;
            }
        for (int i = 0; i < n * n; i++)
            sum[i] += term[i] = next[i];
    }
    memcpy(a, sum, sizeof(double) * (size_t)(n * n));
}

/* tanh(a) tanh(a)' + 2 I: well conditioned, positive definite */
static bool step_square_matrix(random_graph *r, peri_op op)
{
    random_item a = *pick(r), b, eye = {.smooth = true};
    if (a.rows > 4 || a.rows == 1)
        return true;
    bool ok = unary(r, PERI_OP_TANH, &a, &a) && transposed(r, &a, &b) && product(r, &a, &b, &a);
    const int n = eye.rows = eye.cols = a.rows;
    for (int i = 0; i < n; i++)
        eye.value[i * n + i] = op == PERI_OP_EXPM ? -1 : 2;
    const peri_array array = {n, n, eye.value, -1, NULL, NULL};
    ok = ok && peri_expr_const(r->m, &array, &eye.e) == PERI_OK && binary(r, PERI_OP_ADD, &a, &eye, &a);
    random_item t = a;
    if (op == PERI_OP_EXPM) {
        exponential(n, t.value);
    } else if (op == PERI_OP_SOLVE) { /* with the matrix itself squashed on the right */
        random_item right;
        invert(n, t.value);
        ok = ok && unary(r, PERI_OP_SIN, &b, &right) && right.rows * n <= RANDOM_SIZE;
        if (right.rows != n)
            return ok;
        random_item x = {.rows = n, .cols = right.cols, .smooth = t.smooth};
        for (int i = 0; i < n; i++)
            for (int j = 0; j < x.cols; j++)
                for (int k = 0; k < n; k++)
                    x.value[i * x.cols + j] += t.value[i * n + k] * right.value[k * x.cols + j];
        const expr_id args[2] = {a.e, right.e};
        r->made[op]++;
        return ok && peri_expr_op(r->m, op, 2, args, &x.e) == PERI_OK && keep(r, &x);
    } else {
        const double det = invert(n, t.value);
        if (op == PERI_OP_LOGDET) {
            t.rows = t.cols = 1;
            t.value[0] = log(det);
        }
    }
    r->made[op]++;
    return ok && peri_expr_op(r->m, op, 1, &a.e, &t.e) == PERI_OK && keep(r, &t);
}

static int call_value(void *ud, int64_t n, const double *x, double *f)
{
    (void)ud;
    *f = 0;
    for (int64_t k = 0; k < n; k++)
        *f += sin(x[k]) * (double)(k + 1);
    return 0;
}

static int call_gradient(void *ud, int64_t n, const double *x, double *g)
{
    (void)ud;
    for (int64_t k = 0; k < n; k++)
        g[k] = cos(x[k]) * (double)(k + 1);
    return 0;
}

static bool step_call(random_graph *r)
{
    const random_item a = *pick(r);
    random_item t = {.rows = 1, .cols = 1}; /* no second derivatives: not among the smooth ones */
    const peri_function fn = {.name = "weighted_sine", .value = call_value, .gradient = call_gradient};
    call_value(NULL, a.rows * a.cols, a.value, t.value);
    r->made[PERI_OP_CALL]++;
    return peri_expr_call(r->m, &fn, a.e, &t.e) == PERI_OK && keep(r, &t);
}

static bool step_mark(random_graph *r)
{
    random_item t = *pick(r);
    r->made[PERI_OP_MARK]++;
    return peri_expr_mark(r->m, t.e, "target", &t.e) == PERI_OK && keep(r, &t);
}

/* ---- all together ----------------------------------------------------------------------------------------------------------------- */

static bool step(random_graph *r)
{
    const int what = random_below(r, 66);
    if (what < PERI_OP_ADD - PERI_OP_NEG)
        return step_unary(r, (peri_op)(PERI_OP_NEG + what));
    if (what < 40) {
        static const peri_op ops[] = {PERI_OP_ADD, PERI_OP_SUB, PERI_OP_MUL, PERI_OP_DIV, PERI_OP_POW, PERI_OP_ATAN2, PERI_OP_MIN2, PERI_OP_MAX2};
        return step_binary(r, ops[random_below(r, 8)]);
    }
    if (what < 46) {
        static const peri_op ops[] = {PERI_OP_SUM, PERI_OP_MEAN, PERI_OP_MAX, PERI_OP_MIN, PERI_OP_NORM1, PERI_OP_NORM2, PERI_OP_NORMINF,
                                      PERI_OP_LOGSUMEXP, PERI_OP_TRACE};
        return step_reduce(r, ops[random_below(r, 9)]);
    }
    switch (what) {
    case 46: return step_ternary(r);
    case 47: return step_constant(r);
    case 48: return step_dot(r);
    case 49: return step_gather(r);
    case 50: return step_scatter(r);
    case 51: return step_stack(r);
    case 52: return step_reshape(r);
    case 53: return step_transpose(r);
    case 54: return step_matmul(r);
    case 55: return step_sparse(r);
    case 56: return step_diag(r);
    case 57: return step_cumsum(r);
    case 58: return step_softmax(r);
    case 59: return step_conv2d(r);
    case 60: {
        static const peri_op ops[] = {PERI_OP_LOGDET, PERI_OP_INV, PERI_OP_EXPM, PERI_OP_SOLVE};
        return step_square_matrix(r, ops[random_below(r, 4)]);
    }
    case 61:
    case 62: return step_along(r);
    case 63: return step_bmm(r);
    case 64: return step_conv(r);
    default: return random_below(r, 2) ? step_call(r) : step_mark(r);
    }
}

static bool add_variable(random_graph *r, const char *name, int rows, int cols)
{
    random_item t = {.rows = rows, .cols = cols, .smooth = true};
    for (int k = 0; k < rows * cols; k++)
        t.value[k] = random_number(r, -1.5, 1.5);
    if (peri_model_var(r->m, name, rows, cols, &t.e) != PERI_OK || peri_model_set_start(r->m, t.e, rows * cols, t.value) != PERI_OK)
        return false;
    r->item[r->n++] = t;
    r->n_vars = r->n;
    return true;
}

bool random_graph_make(random_graph *r, peri_context *ctx, uint64_t seed, int steps)
{
    memset(r, 0, sizeof *r);
    r->ctx = ctx;
    r->seed = seed;
    r->m = peri_model_new(ctx, "random");
    bool ok = r->m != NULL && add_variable(r, "s", 1, 1) && add_variable(r, "x", 4, 1) && add_variable(r, "row", 1, 4) &&
              add_variable(r, "X", 4, 4) && add_variable(r, "y", 3, 1);
    for (int k = 0; k < steps && ok; k++)
        ok = step(r);
    return ok;
}

void random_graph_free(random_graph *r)
{
    peri_model_free(r->m);
}

bool random_graph_root(random_graph *r, bool smooth_only, expr_id *root, double *value)
{
    random_item total, part;
    bool ok = number(r, 0, &total);
    int used = 0;
    for (int k = r->n - 1; k >= 0 && used < 12 && ok; k--) {
        if (smooth_only && !r->item[k].smooth)
            continue;
        used++;
        part = r->item[k];
        ok = unary(r, PERI_OP_TANH, &part, &part);
        double sum = 0;
        for (int i = 0; i < part.rows * part.cols; i++)
            sum += part.value[i];
        ok = ok && peri_expr_op(r->m, PERI_OP_SUM, 1, &part.e, &part.e) == PERI_OK;
        part.rows = part.cols = 1;
        part.value[0] = sum;
        ok = ok && binary(r, PERI_OP_ADD, &total, &part, &total);
    }
    *root = total.e;
    *value = total.value[0];
    return ok;
}
