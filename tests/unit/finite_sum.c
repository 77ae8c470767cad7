/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view of a sum over data: an index set's value and gradient against the whole program with the set's weights in the parameters' place, for sums
 * written in many ways; each row's term; work that does not grow with the data; what is not such a sum; allocation failures.
 */
#include "base/rng.h"
#include "oracle/finite_sum.h"
#include "tap/tap.h"
#include <math.h>
#include <string.h>

enum { FEATURES = 3, MOST = 400 };

typedef struct {
    peri_context *ctx;
    peri_model *m;
    int64_t N;
    peri_expr x, w, a, b; /* FEATURES + N variables; weights; data N x FEATURES, N x 1 */
    double features[MOST * FEATURES], target[MOST];
    bool failed;
} sum_model;

static void check(sum_model *s, peri_status status)
{
    s->failed = s->failed || status != PERI_OK;
    if (status != PERI_OK && status != PERI_E_NOMEM)
        diag("%s", peri_error(s->ctx));
}

static peri_expr two(sum_model *s, peri_op op, peri_expr a, peri_expr b)
{
    const peri_expr args[2] = {a, b};
    peri_expr e = PERI_NO_EXPR;
    if (!s->failed)
        check(s, peri_expr_op(s->m, op, 2, args, &e));
    return e;
}

static peri_expr one(sum_model *s, peri_op op, peri_expr a)
{
    peri_expr e = PERI_NO_EXPR;
    if (!s->failed)
        check(s, peri_expr_op(s->m, op, 1, &a, &e));
    return e;
}

static peri_expr number(sum_model *s, double v)
{
    peri_expr e = PERI_NO_EXPR;
    if (!s->failed)
        check(s, peri_expr_number(s->m, v, &e));
    return e;
}

static peri_expr range(sum_model *s, peri_expr of, int64_t rows, int64_t cols, int64_t first, int64_t stride)
{
    peri_expr e = PERI_NO_EXPR;
    if (!s->failed)
        check(s, peri_expr_range(s->m, of, rows, cols, first, stride, &e));
    return e;
}

static peri_expr along(sum_model *s, peri_op op, peri_expr a)
{
    peri_expr e = PERI_NO_EXPR;
    if (!s->failed)
        check(s, peri_expr_along(s->m, op, a, 2, &e));
    return e;
}

static peri_expr y_of(sum_model *s)
{
    return range(s, s->x, FEATURES, 1, 0, 1);
}

static peri_expr residual(sum_model *s)
{
    return two(s, PERI_OP_SUB, two(s, PERI_OP_MATMUL, s->a, y_of(s)), s->b);
}

static peri_expr weighted(sum_model *s, peri_expr loss)
{
    return one(s, PERI_OP_SUM, two(s, PERI_OP_MUL, s->w, loss));
}

static peri_expr at(sum_model *s, peri_expr of, int64_t k)
{
    return range(s, of, 1, 1, k, 1);
}

/* ---- sums ---------------------------------------------------------------------------------------------------------------------------- */

static peri_expr squares(sum_model *s)
{
    return weighted(s, one(s, PERI_OP_SQUARE, residual(s)));
}

static peri_expr with_rest(sum_model *s)
{
    const peri_expr norm = one(s, PERI_OP_SUM, one(s, PERI_OP_SQUARE, s->x));
    const peri_expr mean = two(s, PERI_OP_DIV, two(s, PERI_OP_MUL, number(s, 3), squares(s)), number(s, 2));
    return two(s, PERI_OP_SUB, two(s, PERI_OP_MUL, one(s, PERI_OP_EXP, at(s, s->x, 1)), mean), norm);
}

static peri_expr inner_product(sum_model *s)
{
    const peri_expr row = range(s, s->w, 1, s->N, 0, 1);
    return two(s, PERI_OP_MATMUL, row, one(s, PERI_OP_SOFTPLUS, two(s, PERI_OP_MUL, s->b, residual(s))));
}

static peri_expr own_variables(sum_model *s)
{
    const peri_expr own = range(s, s->x, s->N, 1, FEATURES, 1);
    return weighted(s, two(s, PERI_OP_MUL, one(s, PERI_OP_SIGMOID, own), one(s, PERI_OP_SQUARE, residual(s))));
}

static peri_expr in_columns(sum_model *s)
{
    double data[MOST * FEATURES];
    for (int64_t i = 0; i < s->N; i++)
        for (int64_t j = 0; j < FEATURES; j++)
            data[j * s->N + i] = s->features[i * FEATURES + j];
    const peri_array array = {.rows = FEATURES, .cols = s->N, .data = data, .nnz = -1};
    const peri_expr weights = range(s, s->x, 2, FEATURES, 0, 1);
    peri_expr columns = PERI_NO_EXPR;
    if (!s->failed)
        check(s, peri_expr_const(s->m, &array, &columns));
    const peri_expr h = one(s, PERI_OP_TANH, two(s, PERI_OP_MATMUL, weights, columns));
    const peri_expr out = two(s, PERI_OP_MATMUL, range(s, s->x, 1, 2, 1, 1), h);
    return weighted(s, one(s, PERI_OP_SQUARE, two(s, PERI_OP_SUB, range(s, out, s->N, 1, 0, 1), s->b)));
}

/* Two layers, largest entries of rows, a row of weights for several losses */
static peri_expr classes(sum_model *s)
{
    const peri_expr scores = two(s, PERI_OP_MATMUL, s->a, range(s, s->x, FEATURES, 2, 0, 1));
    const peri_expr hidden = two(s, PERI_OP_MATMUL, one(s, PERI_OP_TANH, scores), range(s, s->x, 2, 4, 0, 1));
    const peri_expr lse = along(s, PERI_OP_LOGSUMEXP, hidden);
    return weighted(s, two(s, PERI_OP_SUB, lse, two(s, PERI_OP_MUL, s->b, along(s, PERI_OP_SUM, hidden))));
}

static peri_expr several_a_row(sum_model *s)
{
    const peri_expr scores = two(s, PERI_OP_MATMUL, s->a, range(s, s->x, FEATURES, 4, 0, 1));
    return one(s, PERI_OP_SUM, two(s, PERI_OP_MUL, s->w, one(s, PERI_OP_SQUARE, scores)));
}

static peri_expr sparse_rows(sum_model *s)
{
    int64_t start[MOST + 1] = {0}, col[2 * MOST];
    double data[2 * MOST];
    int64_t n = 0;
    for (int64_t i = 0; i < s->N; i++) {
        for (int64_t j = 0; j < FEATURES; j++)
            if ((i + j) % 3 != 0) {
                col[n] = j;
                data[n++] = s->features[i * FEATURES + j];
            }
        start[i + 1] = n;
    }
    const peri_array array = {.rows = s->N, .cols = FEATURES, .nnz = n, .data = data, .row_start = start, .col = col};
    peri_expr sparse = PERI_NO_EXPR;
    if (!s->failed)
        check(s, peri_expr_const(s->m, &array, &sparse));
    return weighted(s, one(s, PERI_OP_SOFTPLUS, two(s, PERI_OP_MATMUL, sparse, range(s, s->x, FEATURES, 1, 1, 1))));
}

/* One scalar term after another, of several forms, with long sums inside */
static peri_expr loops(sum_model *s)
{
    peri_expr sum = number(s, 0);
    for (int64_t i = 0; i < s->N; i++) {
        peri_expr inside = number(s, s->target[i]);
        const int64_t terms = i % 3 == 0 ? 40 : FEATURES;
        for (int64_t j = 0; j < terms; j++)
            inside = two(s, PERI_OP_ADD, inside,
                         two(s, PERI_OP_MUL, number(s, s->features[i * FEATURES + j % FEATURES] + (double)j), at(s, s->x, j % FEATURES)));
        const peri_op loss = i % 2 == 0 ? PERI_OP_SIN : PERI_OP_SOFTPLUS;
        sum = two(s, PERI_OP_ADD, sum, two(s, PERI_OP_MUL, at(s, s->w, i), one(s, loss, inside)));
    }
    return two(s, PERI_OP_ADD, sum, one(s, PERI_OP_SQUARE, at(s, s->x, 0)));
}

/* Ratings: two variables a row, by its data */
static peri_expr ratings(sum_model *s)
{
    int64_t user[MOST], item[MOST];
    peri_expr u = PERI_NO_EXPR, v = PERI_NO_EXPR;
    for (int64_t i = 0; i < s->N; i++) {
        user[i] = (7 * i) % (FEATURES + 2);
        item[i] = FEATURES + (5 * i * i) % (s->N - 1);
    }
    if (!s->failed)
        check(s, peri_expr_gather(s->m, s->x, s->N, 1, user, &u));
    if (!s->failed)
        check(s, peri_expr_gather(s->m, s->x, s->N, 1, item, &v));
    const peri_expr error = two(s, PERI_OP_SUB, two(s, PERI_OP_MUL, u, v), s->b);
    return two(s, PERI_OP_SUB, weighted(s, one(s, PERI_OP_SQUARE, error)), weighted(s, u));
}

/* Columns beside each other, of which each row reads its two, and the largest */
static peri_expr beside(sum_model *s)
{
    const peri_expr pair[2] = {residual(s), one(s, PERI_OP_TANH, range(s, s->x, s->N, 1, FEATURES, 1))};
    peri_expr both = PERI_NO_EXPR;
    if (!s->failed)
        check(s, peri_expr_hstack(s->m, 2, pair, &both));
    const peri_expr mixed = two(s, PERI_OP_MATMUL, both, range(s, s->x, 2, 1, 1, 1));
    return weighted(s, two(s, PERI_OP_ADD, one(s, PERI_OP_SQUARE, mixed), along(s, PERI_OP_MAX, both)));
}

/* A convolution of each row, two filters; one of the four results and the sum of all */
static peri_expr images(sum_model *s)
{
    const peri_conv2d shape = {.channels = 1, .size = {1, FEATURES}, .kernel = {1, 2}, .stride = {1, 1}, .padding = {0, 0}};
    peri_expr all = PERI_NO_EXPR;
    const peri_expr filters = range(s, s->x, 2, 2, 0, 1);
    if (!s->failed)
        check(s, peri_expr_conv2d(s->m, s->a, filters, &shape, &all));
    const peri_expr second = range(s, all, s->N, 1, 1, 4);
    return two(s, PERI_OP_ADD, weighted(s, one(s, PERI_OP_TANH, second)), weighted(s, one(s, PERI_OP_SQUARE, along(s, PERI_OP_SUM, all))));
}

static peri_expr kernel(sum_model *s)
{
    const peri_expr gram = two(s, PERI_OP_MATMUL, s->a, one(s, PERI_OP_TRANSPOSE, s->a));
    return weighted(s, one(s, PERI_OP_SQUARE, two(s, PERI_OP_SUB, two(s, PERI_OP_MATMUL, gram, range(s, s->x, s->N, 1, FEATURES, 1)), s->b)));
}

/* What is added up along the rows is evaluated for all of them. */
static peri_expr running(sum_model *s)
{
    return weighted(s, one(s, PERI_OP_SQUARE, one(s, PERI_OP_CUMSUM, residual(s))));
}

static peri_expr root(sum_model *s)
{
    return one(s, PERI_OP_SQRT, squares(s));
}

static peri_expr squared_weights(sum_model *s)
{
    return one(s, PERI_OP_SUM, two(s, PERI_OP_MUL, one(s, PERI_OP_SQUARE, s->w), one(s, PERI_OP_SQUARE, residual(s))));
}

static const struct form {
    const char *name;
    peri_expr (*make)(sum_model *s);
    bool whole, refused;
} FORMS[] = {
    {"squares", squares, false, false},
    {"a sum with factors and a rest", with_rest, false, false},
    {"weights times losses as a product", inner_product, false, false},
    {"rows with variables of their own", own_variables, false, false},
    {"data in columns", in_columns, false, false},
    {"two layers and classes", classes, false, false},
    {"several entries a row", several_a_row, false, false},
    {"sparse data", sparse_rows, false, false},
    {"scalar terms of several forms", loops, false, false},
    {"entries of variables by data", ratings, false, false},
    {"columns beside each other", beside, false, false},
    {"images", images, false, false},
    {"a Gram matrix", kernel, false, false},
    {"running sums", running, true, false},
    {"the root of a sum", root, false, true},
    {"squares of weights", squared_weights, false, true},
};
enum { N_FORMS = sizeof FORMS / sizeof FORMS[0] };

/* ---- models ------------------------------------------------------------------------------------------------------------------------------ */

static double noise(int64_t k)
{
    return rng_normal(11, 3, (uint64_t)k);
}

static void open_model(sum_model *s, peri_context *ctx, int64_t N, const struct form *form)
{
    static double weights[MOST];
    memset(s, 0, sizeof *s);
    s->ctx = ctx;
    s->N = N;
    s->m = peri_model_new(ctx, "sum");
    s->failed = s->m == NULL;
    for (int64_t k = 0; k < N * FEATURES; k++)
        s->features[k] = noise(k);
    for (int64_t i = 0; i < N; i++) {
        s->target[i] = noise(5000 + i);
        weights[i] = (1 + 0.5 * sin((double)i)) / (double)N;
    }
    const peri_array a = {.rows = N, .cols = FEATURES, .data = s->features, .nnz = -1}, b = {.rows = N, .cols = 1, .data = s->target, .nnz = -1};
    const double before[2] = {2, 3};
    peri_expr ignored;
    if (!s->failed)
        check(s, peri_model_var(s->m, "x", FEATURES + N + 20, 1, &s->x));
    if (!s->failed)
        check(s, peri_model_param(s->m, "before", 2, 1, 2, before, &ignored));
    if (!s->failed)
        check(s, peri_model_param(s->m, "w", N, 1, N, weights, &s->w));
    if (!s->failed)
        check(s, form == &FORMS[0] ? peri_model_param(s->m, "b", N, 1, N, s->target, &s->b) : peri_expr_const(s->m, &b, &s->b));
    if (!s->failed)
        check(s, peri_expr_const(s->m, &a, &s->a));
    const peri_expr f = s->failed ? PERI_NO_EXPR : form->make(s);
    if (!s->failed)
        check(s, peri_model_minimize(s->m, f));
}

static void point(const nlp *p, double *x)
{
    for (int64_t j = 0; j < p->n; j++)
        x[j] = 0.3 * noise(9000 + j);
}

/* The whole program with the weights of an index set */
static bool whole(sum_model *s, nlp *p, int64_t n, const int64_t *rows, double factor, const double *x, double *f, double *g)
{
    double *w = s->m->g->param_value.at + 2, own[MOST];
    memcpy(own, w, (size_t)s->N * sizeof *w);
    memset(w, 0, (size_t)s->N * sizeof *w);
    for (int64_t k = 0; k < n; k++)
        w[rows[k]] += factor * own[rows[k]];
    const bool good = nlp_fg(p, x, f, g) == PERI_OK;
    memcpy(w, own, (size_t)s->N * sizeof *w);
    return good;
}

static void test_form(peri_context *ctx, const struct form *form)
{
    static sum_model s;
    static double x[2 * MOST], g[2 * MOST], want_g[2 * MOST], terms[7 * 2 * MOST];
    const int64_t sets[] = {1, 4, 7, 37};
    int64_t rows[37];
    double f, want_f;
    nlp *p;
    finite_sum *sum;
    open_model(&s, ctx, 37, form);
    if (!ok(!s.failed && nlp_of(s.m, &p) == PERI_OK, "%s: a model", form->name)) {
        peri_model_free(s.m);
        return;
    }
    const peri_status status = finite_sum_of(p, 2, s.N, &sum);
    if (form->refused) {
        ok(status == PERI_E_UNSUPPORTED, "%s: not linear in the weights", form->name);
        has_text(peri_error(ctx), "weighted sum", "and told");
        peri_model_free(s.m);
        return;
    }
    if (!ok(status == PERI_OK, "%s: seen as a sum", form->name)) {
        diag("%s", peri_error(ctx));
        peri_model_free(s.m);
        return;
    }
    ok(finite_sum_is_whole(sum) == form->whole, "%s: %s", form->name, form->whole ? "needs all rows" : "needs its rows alone");
    point(p, x);
    for (size_t set = 0; set < sizeof sets / sizeof sets[0]; set++) {
        for (int64_t k = 0; k < sets[set]; k++)
            rows[k] = sets[set] == s.N ? k : (5 * k * k + 11 * k + 2) % s.N;
        ok(finite_sum_choose(sum, sets[set], rows, 1.5) == PERI_OK && finite_sum_fg(sum, x, &f, g) == PERI_OK, "%s: %d rows", form->name, (int)sets[set]);
        ok(whole(&s, p, sets[set], rows, 1.5, x, &want_f, want_g), "the whole program");
        is_close(f, want_f, 1e-12, 1e-13, "%s: value of %d rows", form->name, (int)sets[set]);
        all_close(p->n, g, want_g, 1e-11, 1e-13, "%s: gradient of %d rows", form->name, (int)sets[set]);
    }
    const int64_t three[3] = {30, 1, 30};
    double each[3], none, alone_g[2 * MOST];
    ok(finite_sum_choose(sum, 3, three, 2) == PERI_OK && finite_sum_terms(sum, x, each, terms) == PERI_OK, "%s: each row", form->name);
    ok(whole(&s, p, 0, three, 2, x, &none, want_g) && whole(&s, p, 1, three + 1, 2, x, &want_f, alone_g), "without any, and one alone");
    is_close(each[1], want_f - none, 1e-12, 1e-13, "%s: a row's term", form->name);
    for (int64_t j = 0; j < p->n; j++)
        alone_g[j] -= want_g[j];
    all_close(p->n, terms + p->n, alone_g, 1e-11, 1e-13, "%s: and its gradient", form->name);
    ok(memcmp(terms, terms + 2 * p->n, (size_t)p->n * sizeof *terms) == 0, "%s: the same row, the same bits", form->name);
    peri_model_free(s.m);
}

/* What four rows cost, of 40 or 400 */
static void test_work(peri_context *ctx)
{
    static sum_model s;
    const int64_t rows[4] = {3, 1, 4, 1};
    for (int k = 0; k < N_FORMS; k++) {
        int64_t instances[2] = {0, 0};
        if (FORMS[k].whole || FORMS[k].refused || FORMS[k].make == kernel) /* a kernel's row has an entry for each row */
            continue;
        for (int large = 0; large < 2; large++) {
            nlp *p;
            finite_sum *sum;
            open_model(&s, ctx, large ? MOST : 40, &FORMS[k]);
            if (ok(!s.failed && nlp_of(s.m, &p) == PERI_OK && finite_sum_of(p, 2, s.N, &sum) == PERI_OK &&
                   finite_sum_choose(sum, 4, rows, 1) == PERI_OK, "%s: four of %d rows", FORMS[k].name, (int)s.N))
                instances[large] = finite_sum_instances(sum);
            peri_model_free(s.m);
        }
        /* the gradient of all variables is written, of which there are as many more; loops over rows are not */
        ok(instances[1] - instances[0] <= 2 * (MOST - 40), "%s: work does not grow with the rows: %d and %d", FORMS[k].name, (int)instances[0],
           (int)instances[1]);
    }
}

static void test_domain(peri_context *ctx)
{
    static sum_model s;
    static double x[2 * MOST], g[2 * MOST];
    const int64_t rows[2] = {0, 1};
    double f;
    nlp *p;
    finite_sum *sum;
    open_model(&s, ctx, 20, &FORMS[0]);
    if (!ok(!s.failed && nlp_of(s.m, &p) == PERI_OK && finite_sum_of(p, 2, s.N, &sum) == PERI_OK, "squares"))
        return;
    for (int64_t j = 0; j < p->n; j++)
        x[j] = 1e200;
    ok(finite_sum_choose(sum, 2, rows, 1) == PERI_OK && finite_sum_fg(sum, x, &f, g) == PERI_E_DOMAIN, "not finite there");
    has_text(peri_error(ctx), "not finite", "and said so");
    ok(finite_sum_choose(sum, 0, rows, 1) == PERI_OK && finite_sum_fg(sum, g, &f, g + MOST) == PERI_OK && !(fabs(f) > 0), "no rows: no sum");
    peri_model_free(s.m);
}

static bool all_of(peri_context *ctx, const struct form *form)
{
    static sum_model s;
    static double x[2 * MOST], g[2 * MOST];
    const int64_t rows[5] = {3, 1, 4, 1, 5};
    double f;
    nlp *p;
    finite_sum *sum;
    open_model(&s, ctx, 12, form);
    bool good = !s.failed && nlp_of(s.m, &p) == PERI_OK && finite_sum_of(p, 2, s.N, &sum) == PERI_OK &&
                finite_sum_choose(sum, 5, rows, 1) == PERI_OK;
    if (good) {
        point(p, x);
        good = finite_sum_fg(sum, x, &f, g) == PERI_OK;
    }
    peri_model_free(s.m);
    return good;
}

static void test_memory(const struct form *form)
{
    peri_context *ctx = peri_context_new(NULL);
    int64_t before, after, k = 0, others = 0, leaks = 0;
    bool good = false;
    peri_memory(ctx, NULL, NULL, &before);
    while (!good && k < 100000) {
        ctx->mem.countdown = ++k;
        good = all_of(ctx, form);
        ctx->mem.countdown = 0;
        others += !good && peri_error_code(ctx) != PERI_E_NOMEM;
        peri_memory(ctx, NULL, NULL, &after);
        leaks += after != before;
    }
    ok(good && k > 50, "%s: %d failures of an allocation, then success", form->name, (int)k - 1);
    is_int(others, 0, "each is reported as out of memory");
    is_int(leaks, 0, "and leaks nothing");
    peri_context_free(ctx);
}

int main(void)
{
    plan_later();
    peri_context *ctx = peri_context_new(NULL);
    for (int k = 0; k < N_FORMS; k++)
        test_form(ctx, &FORMS[k]);
    test_work(ctx);
    test_domain(ctx);
    peri_context_free(ctx);
    test_memory(&FORMS[1]);
    test_memory(&FORMS[5]);
    test_memory(&FORMS[7]);
    test_memory(&FORMS[8]);
    test_memory(&FORMS[11]);
    return tap_done();
}
