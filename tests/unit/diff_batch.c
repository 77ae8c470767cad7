/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluation at many points, together and one by one, against as many evaluations at one: random expressions over every operation and
 * shape, gradients, the view's functions with undefined points, values of expressions with variables and parameters set; and failures of
 * memory at every place.
 */
#include "diff/batch.h"
#include "diff/diff.h"
#include "oracle/nlp.h"
#include "run/internal.h"
#include "tap/tap.h"
#include "unit/random_graph.h"
#include "unit/text_model.h"

enum { GRAPHS = 40, STEPS = 120, N = 28, MOST = 300 };

/* ---- random graphs ------------------------------------------------------------------------------------------------------------- */

/* The largest error relative to the values; entries that are not finite must agree in that. */
static double largest_error(int64_t n, const double *got, const double *want)
{
    double worst = 0;
    for (int64_t k = 0; k < n; k++) {
        if (!isfinite(want[k]) && !isfinite(got[k]))
            continue;
        const double error = fabs(got[k] - want[k]) / (1 + fabs(want[k]));
        if (!(error <= worst))
            worst = isnan(error) ? INFINITY : error;
    }
    return worst;
}


/* The graph for all points, whether it would be used or not; entries [size x points] are turned. */
static bool run_together(expr_graph *g, expr_id e, int64_t points, const double *x, double *got)
{
    const int64_t size = expr_size(g, e);
    expr_graph *to = expr_graph_new(g->ctx);
    double *turned = calloc((size_t)(points * N), sizeof *turned), *out = calloc((size_t)(points * size), sizeof *out);
    const double *inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = turned};
    eval_program *program = NULL;
    expr_id root;
    for (int64_t k = 0; k < points * N; k++)
        turned[k % N * points + k / N] = x[k];
    bool good = to != NULL && diff_batch(g, 1, &e, points, 1u << EXPR_IN_X, to, &root) == PERI_OK &&
                eval_compile(to, 1, &(eval_output){root, 0, 0}, &program) == PERI_OK && eval_run(program, inputs, &out) == PERI_OK;
    for (int64_t k = 0; k < points * size && good; k++)
        got[k] = out[k % size * points + k / size];
    if (program != NULL)
        eval_free(program);
    if (to != NULL)
        expr_graph_free(to);
    free(turned);
    free(out);
    return good;
}

static bool check_node(expr_graph *g, expr_id e, int64_t points, const double *x, double *worst)
{
    const int64_t size = expr_size(g, e);
    double *got = calloc((size_t)(points * size), sizeof *got), *together = calloc((size_t)(points * size), sizeof *together),
           *want = calloc((size_t)size, sizeof *want);
    batch *b = batch_new(g, 1, &e, 1u << EXPR_IN_X, false);
    const double *inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    bool good = b != NULL && batch_run(b, points, inputs, &got) == PERI_OK && run_together(g, e, points, x, together);
    for (int64_t k = 0; k < points && good; k++) {
        inputs[EXPR_IN_X] = x + k * N;
        good = expr_interpret(g, 1, &e, inputs, &want) == PERI_OK;
        const double error = largest_error(size, got + k * size, want), other = largest_error(size, together + k * size, want);
        *worst = error > *worst ? error : *worst;
        *worst = other > *worst ? other : *worst;
    }
    batch_free(b);
    free(got);
    free(together);
    free(want);
    return good;
}

static bool check_graph(peri_context *ctx, uint64_t seed, int64_t points, double *worst, double *worst_gradient)
{
    random_graph r;
    expr_id root, whole, one, gradient;
    double x[MOST * N], value, start[N];
    bool good = random_graph_make(&r, ctx, seed, STEPS);
    expr_graph *g = r.m->g;
    int at = 0;
    for (int k = 0; k < r.n_vars; k++)
        for (int i = 0; i < r.item[k].rows * r.item[k].cols; i++)
            start[at++] = r.item[k].value[i];
    for (int64_t k = 0; k < points * N; k++)
        x[k] = start[k % N] + random_number(&r, -0.05, 0.05);
    for (int k = r.n - 1; k >= 0 && good; k -= 3)
        good = check_node(g, r.item[k].e, points, x, worst);
    good = good && random_graph_root(&r, false, &root, &value) && expr_input(g, EXPR_IN_X, 0, N, 1, &whole) == PERI_OK &&
           expr_number(g, 1, &one) == PERI_OK && diff_adjoint(g, 1, &root, &one, 1, &whole, &gradient) == PERI_OK &&
           check_node(g, gradient, points, x, worst_gradient);
    if (!good)
        diag("graph %d: %s", (int)seed, peri_error(ctx));
    random_graph_free(&r);
    return good;
}

static void test_random(peri_context *ctx)
{
    static const int64_t points[] = {2, 5, 16, 41, 64, 100, 17, 300};
    double worst = 0, gradients = 0;
    bool all = true;
    for (int k = 0; k < GRAPHS; k++) {
        double one = 0, gradient = 0;
        all = check_graph(ctx, 700 + (uint64_t)k, points[k % 8], &one, &gradient) && all;
        if (one > 1e-12 || gradient > 1e-9)
            diag("graph %d at %d points: %g, gradient %g", 700 + k, (int)points[k % 8], one, gradient);
        worst = one > worst ? one : worst;
        gradients = gradient > gradients ? gradient : gradients;
    }
    ok(all, "%d random graphs are evaluated at many points", (int)GRAPHS);
    ok(worst <= 1e-12, "with the values of single evaluations: %.1e", worst); /* sums in another order */
    ok(gradients <= 1e-9, "and their gradients: %.1e", gradients); /* of deep chains, up to some thousands in size */
}

/* ---- the view -------------------------------------------------------------------------------------------------------------------- */

static void test_view(peri_context *ctx)
{
    enum { POINTS = 90 };
    double x[2 * POINTS], f[POINTS], g[2 * POINTS], c[2 * POINTS], one, gradient[2], rows[2];
    nlp *p;
    text_model t = text_new(ctx, 2, (double[]){1, 1});
    text_minimize(&t, "log(x1)*x2+x2^2");
    text_constrain(&t, "first", -1, "x1+sqrt(x2)", 4);
    text_constrain(&t, "second", -1, "x1*x2", 4);
    for (int k = 0; k < POINTS; k++) {
        x[2 * k] = k % 7 == 3 ? -0.5 : 0.3 + 0.02 * k; /* log: undefined */
        x[2 * k + 1] = k % 11 == 5 ? -1 : 2 - 0.01 * k;
    }
    ok(nlp_of(t.m, &p) == PERI_OK && nlp_f_batch(p, POINTS, x, f) == PERI_OK, "values at %d points", (int)POINTS);
    is_int(p->count.objective, POINTS, "as many evaluations are counted");
    bool good = true;
    for (int k = 0; k < POINTS; k++) {
        const peri_status status = nlp_f(p, x + 2 * k, &one);
        good = good && (status == PERI_OK ? fabs(f[k] - one) <= 1e-14 * fabs(one) : status == PERI_E_DOMAIN && isnan(f[k]));
    }
    ok(good && isnan(f[3]) && isfinite(f[4]), "undefined points are NaN, the others as one by one");
    ok(nlp_fg_batch(p, POINTS, x, f, g) == PERI_OK, "gradients");
    good = true;
    for (int k = 0; k < POINTS; k++) {
        const peri_status status = nlp_fg(p, x + 2 * k, &one, gradient);
        good = good && (status == PERI_OK ? largest_error(2, g + 2 * k, gradient) < 1e-14 : isnan(f[k]));
    }
    ok(good, "as one by one");
    ok(nlp_c_batch(p, POINTS, x, c) == PERI_OK, "constraints");
    good = true;
    for (int k = 0; k < POINTS; k++) {
        const peri_status status = nlp_c(p, x + 2 * k, rows);
        good = good && (status == PERI_OK ? largest_error(2, c + 2 * k, rows) < 1e-14 : isnan(c[2 * k]) && isfinite(c[2 * k + 1]));
    }
    ok(good, "as one by one, NaN where one is undefined");
    ok(nlp_f_batch(p, 0, x, f) == PERI_OK, "no points are none");
    peri_model_free(t.m);
}

/* What a plugin calls, of this host and of one of ABI 1.0, which is asked point by point: the same results. */
static void test_host(peri_context *ctx)
{
    enum { POINTS = 25 };
    static const peri_host *hosts[2];
    double x[2 * POINTS], f[2][POINTS], g[2][2 * POINTS], c[2][2 * POINTS], undefined[2] = {0, 0};
    peri_host older = *host_table();
    nlp *p;
    text_model t = text_new(ctx, 2, (double[]){1, 1});
    text_minimize(&t, "log(x1)*x2+x2^2");
    text_constrain(&t, "first", -1, "x1+sqrt(x2)", 4);
    text_constrain(&t, "second", -1, "x1*x2", 4);
    for (int k = 0; k < POINTS; k++) {
        x[2 * k] = k % 7 == 3 ? -0.5 : 0.3 + 0.1 * k;
        x[2 * k + 1] = k % 11 == 5 ? -1 : 2 - 0.05 * k;
    }
    older.minor = 0;
    older.size = (uint32_t)offsetof(peri_host, residual_count);
    hosts[0] = host_table();
    hosts[1] = &older;
    bool good = nlp_of(t.m, &p) == PERI_OK;
    peri_run run = {.p = p, .ctx = ctx, .undefined_at = undefined};
    for (int h = 0; h < 2; h++) {
        peri_host_table = hosts[h];
        run.was_undefined = false;
        good = good && peri_eval_f_batch(&run, POINTS, x, f[h]) == PERI_OK && peri_eval_fg_batch(&run, POINTS, x, f[h], g[h]) == PERI_OK &&
               peri_eval_c_batch(&run, POINTS, x, c[h]) == PERI_OK;
        ok(good && run.was_undefined, "%s host: values, gradients and constraints; undefined points are remembered", h ? "an older" : "this");
    }
    bool same = true;
    for (int k = 0; k < POINTS; k++) {
        same = same && (isnan(f[0][k]) ? isnan(f[1][k]) : largest_error(2, g[0] + 2 * k, g[1] + 2 * k) < 1e-14);
        for (int i = 0; i < 2; i++)
            same = same && (isnan(c[0][2 * k + i]) ? isnan(c[1][2 * k + i]) : fabs(c[0][2 * k + i] - c[1][2 * k + i]) < 1e-14);
    }
    ok(same && isnan(f[0][3]) && isnan(c[0][10]), "both hosts say the same");
    is_int(p->count.objective, 4 * POINTS, "each point is an evaluation");
    peri_model_free(t.m);
}

/* A function that is undefined for negative arguments, and calls itself undefined there. */
static int root_value(void *ud, int64_t n, const double *x, double *f)
{
    (void)ud, (void)n;
    if (x[0] < 0)
        return 1;
    *f = sqrt(x[0]);
    return 0;
}

static void test_undefined_call(peri_context *ctx)
{
    enum { POINTS = 40 };
    const peri_function fn = {.name = "root", .value = root_value};
    peri_model *m = peri_model_new(ctx, "call");
    peri_expr x, f = PERI_NO_EXPR;
    double at[POINTS], out[POINTS];
    const double *values[1] = {at};
    for (int k = 0; k < POINTS; k++)
        at[k] = k % 9 == 4 ? -1 : k;
    ok(peri_model_var(m, "x", 1, 1, &x) == PERI_OK && peri_expr_call(m, &fn, x, &f) == PERI_OK, "a foreign function");
    ok(peri_expr_value_batch(m, f, POINTS, 1, &x, values, out) == PERI_OK, "is evaluated at many points");
    bool good = true;
    for (int k = 0; k < POINTS; k++)
        good = good && (at[k] < 0 ? isnan(out[k]) : out[k] == sqrt(at[k])); /* one rounding, the same one */
    ok(good, "its undefined points are NaN and spoil no others");
    peri_model_free(m);
}

/* ---- values of expressions -------------------------------------------------------------------------------------------------------- */

static void test_values(peri_context *ctx)
{
    enum { POINTS = 2500 }; /* more than are put together at a time */
    static double x[3 * POINTS], p[POINTS], out[3 * POINTS];
    peri_model *m = peri_model_new(ctx, "values");
    peri_expr v, w, par, e;
    bool good = peri_model_var(m, "v", 3, 1, &v) == PERI_OK && peri_model_var(m, "w", 1, 1, &w) == PERI_OK &&
                peri_model_param(m, "p", 1, 1, 1, (double[]){5}, &par) == PERI_OK &&
                peri_model_set_start(m, w, 1, (double[]){0.25}) == PERI_OK;
    good = good && peri_expr_op(m, PERI_OP_MUL, 2, (peri_expr[]){v, par}, &e) == PERI_OK &&
           peri_expr_op(m, PERI_OP_ADD, 2, (peri_expr[]){e, w}, &e) == PERI_OK;
    for (int k = 0; k < 3 * POINTS; k++)
        x[k] = 0.01 * k;
    for (int k = 0; k < POINTS; k++)
        p[k] = 1 + k % 5;
    ok(good && peri_expr_value_batch(m, e, POINTS, 1, &v, (const double *const[]){x}, out) == PERI_OK, "a variable set");
    good = true;
    for (int k = 0; k < 3 * POINTS; k++)
        good = good && fabs(out[k] - (x[k] * 5 + 0.25)) < 1e-13 * (1 + x[k]);
    ok(good, "parameter and other variable as they are");
    const peri_status status = peri_model_set_param(m, par, 1, (double[]){-2});
    ok(status == PERI_OK && peri_expr_value_batch(m, e, POINTS, 1, &v, (const double *const[]){x}, out) == PERI_OK &&
           fabs(out[7] - (x[7] * -2 + 0.25)) < 1e-14,
       "a parameter's new value");
    ok(peri_expr_value_batch(m, e, POINTS, 2, (peri_expr[]){v, par}, (const double *const[]){x, p}, out) == PERI_OK, "both set");
    good = true;
    for (int k = 0; k < 3 * POINTS; k++)
        good = good && fabs(out[k] - (x[k] * p[k / 3] + 0.25)) < 1e-13 * (1 + x[k] * 5);
    ok(good, "point by point");
    ok(peri_expr_value_batch(m, e, 4, 1, &e, (const double *const[]){x}, out) == PERI_E_ARGUMENT, "only variables and parameters can be set");
    has_text(peri_error(ctx), "neither a variable nor a parameter", "says why");
    peri_model_free(m);
}

enum { SHARED_POINTS = 24 * 256 + 40, FEWER = 10, MORE = 40, SHARED_ENTRIES = 40 };

/*
 * Value and gradient of sum exp(sin(x) x) of n entries at many points, twice: the second time it is known what a chunk takes. Did threads have a part in it?
 * single: of the program for one point. cost: a point's, alone and with 255 others
 */
static bool run_on_threads(int32_t threads, int64_t n, const double *x, double *f, double *gradient, double *single, double cost[2])
{
    peri_context *ctx = peri_context_new(&(peri_config){.threads = threads});
    peri_model *m = peri_model_new(ctx, "shared");
    peri_expr v, e, root[2] = {PERI_NO_EXPR, PERI_NO_EXPR};
    double *outs[2] = {f, gradient};
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x};
    bool good = peri_model_var(m, "x", n, 1, &v) == PERI_OK && peri_expr_op(m, PERI_OP_SIN, 1, &v, &e) == PERI_OK &&
                peri_expr_op(m, PERI_OP_MUL, 2, (peri_expr[]){e, v}, &e) == PERI_OK && peri_expr_op(m, PERI_OP_EXP, 1, &e, &e) == PERI_OK &&
                peri_expr_op(m, PERI_OP_SUM, 1, &e, &root[0]) == PERI_OK && peri_expr_gradient(m, root[0], v, &root[1]) == PERI_OK;
    batch *b = good ? batch_new(m->g, 2, root, 1u << EXPR_IN_X, false) : NULL;
    good = b != NULL && batch_run(b, SHARED_POINTS, inputs, outs) == PERI_OK && batch_run(b, SHARED_POINTS, inputs, outs) == PERI_OK;
    good = good && (threads == 1) == (ctx->pool == NULL);
    for (int64_t k = 0; k < SHARED_POINTS && good; k++) {
        double *const one[2] = {single + k, gradient + k * n};
        const double *const at[EXPR_IN_COUNT] = {[EXPR_IN_X] = x + k * n};
        good = batch_run(b, 1, at, one) == PERI_OK;
    }
    good = good && batch_run(b, SHARED_POINTS, inputs, outs) == PERI_OK;
    good = good && diff_batch_cost(m->g, 2, root, 1u << EXPR_IN_X, 1, &cost[0]) == PERI_OK &&
           diff_batch_cost(m->g, 2, root, 1u << EXPR_IN_X, 256, &cost[1]) == PERI_OK;
    batch_free(b);
    peri_model_free(m);
    peri_context_free(ctx);
    return good;
}

/* Few entries are done together, where sums have another order; entries that fill vectors point by point. */
static void test_threads(int64_t n)
{
    static double x[SHARED_POINTS * SHARED_ENTRIES], f[2][SHARED_POINTS], gradient[2][SHARED_POINTS * SHARED_ENTRIES], single[SHARED_POINTS];
    double cost[2];
    for (int64_t k = 0; k < SHARED_POINTS * n; k++)
        x[k] = sin((double)k) * 3;
    ok(run_on_threads(1, n, x, f[0], gradient[0], single, cost), "%d entries: one thread makes no pool", (int)n);
    ok(run_on_threads(3, n, x, f[1], gradient[1], single, cost), "three share out what takes long enough");
    ok(memcmp(f[0], f[1], sizeof f[0]) == 0 && memcmp(gradient[0], gradient[1], sizeof gradient[0]) == 0, "the bits are the same");
    ok((cost[1] / 256 < cost[0]) == (n == FEWER), "estimated %.0f ns alone, %.0f together", cost[0], cost[1] / 256);
    ok((memcmp(f[1], single, sizeof single) == 0) == (n == MORE), "%s", n == MORE ? "points are done one by one" : "points are done together");
    bool good = true;
    for (int64_t k = 0; k < SHARED_POINTS; k++) {
        double want = 0;
        for (int64_t i = 0; i < n; i++)
            want += exp(sin(x[k * n + i]) * x[k * n + i]);
        good = good && fabs(f[1][k] - want) <= 1e-13 * want;
    }
    ok(good, "and the values right");
}

/* Of a point's entries, on whatever thread, one is undefined or its derivative infinite: f is NaN there, and nowhere else. */
static void test_spoilt(int64_t n)
{
    enum { POINTS = 2000 };
    static double x[POINTS * MORE], f[POINTS], g[POINTS * MORE];
    static const double start[MORE];
    static char text[MORE * 32];
    peri_context *ctx = peri_context_new(&(peri_config){.threads = 3});
    text_model t = text_new(ctx, (int)n, start);
    nlp *p;
    size_t at = 0;
    bool good = true;
    for (int64_t k = 1; k <= n; k++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%sx%d*sqrt(x%d)-x%d", k > 1 ? "+" : "", (int)k, (int)(k % n + 1), (int)k);
    text_minimize(&t, text);
    for (int64_t k = 0; k < POINTS * n; k++)
        x[k] = 1 + cos((double)k) / 2;
    good = nlp_of(t.m, &p) == PERI_OK;
    for (int64_t bad = 3; bad < POINTS && good; bad += 59) {
        double *const entry = &x[bad * n + n / 2], kept = *entry;
        for (int kind = 0; kind < 2; kind++) {
            *entry = kind - 1; /* the value is NaN; the value is finite, its derivative is not */
            good = good && nlp_fg_batch(p, POINTS, x, f, g) == PERI_OK;
            for (int64_t k = 0; k < POINTS; k++)
                good = good && isnan(f[k]) == (k == bad);
        }
        *entry = kept;
    }
    ok(good && nlp_fg_batch(p, POINTS, x, f, g) == PERI_OK, "%d variables: a spoilt point is found", (int)n);
    for (int64_t k = 0; k < POINTS; k++)
        good = good && isfinite(f[k]);
    ok(good, "and forgotten");
    peri_model_free(t.m);
    peri_context_free(ctx);
}

/* Every allocation fails once: an error, no leak, and the next call works. */
static void test_faults(peri_context *ctx)
{
    enum { POINTS = 70 };
    double x[2 * POINTS], f[POINTS], g[2 * POINTS];
    int64_t failures = 0;
    bool good = true;
    for (int k = 0; k < 2 * POINTS; k++)
        x[k] = 1 + 0.01 * k;
    text_model t = text_new(ctx, 2, (double[]){1, 1});
    text_minimize(&t, "exp(x1)*x2+x2^3");
    for (int64_t k = 1; good; k++) {
        nlp *p;
        if (nlp_of(t.m, &p) != PERI_OK) {
            good = false;
            break;
        }
        peri_memory_fail_at(ctx, k, false);
        const peri_status status = nlp_fg_batch(p, POINTS, x, f, g);
        peri_memory_fail_at(ctx, 0, false);
        if (status == PERI_OK)
            break;
        failures++;
        good = status == PERI_E_NOMEM && nlp_fg_batch(p, POINTS, x, f, g) == PERI_OK && isfinite(f[POINTS - 1]);
        nlp_free(p);
        t.m->nlp = NULL;
    }
    ok(good && failures > 20, "memory fails at %d places, and the next call works", (int)failures);
    peri_model_free(t.m);
}

int main(void)
{
    size_t used, peak;
    int64_t before, after;
    plan_later();
    const peri_config config = {.threads = 1}; /* a pool of threads would be kept */
    peri_context *ctx = peri_context_new(&config);
    peri_memory(ctx, &used, &peak, &before);
    test_random(ctx);
    test_view(ctx);
    test_host(ctx);
    test_undefined_call(ctx);
    test_values(ctx);
    test_threads(FEWER);
    test_threads(MORE);
    test_spoilt(2);
    test_spoilt(MORE);
    test_faults(ctx);
    peri_memory(ctx, &used, &peak, &after);
    is_int(after, before, "no memory is left behind");
    peri_context_free(ctx);
    return tap_done();
}
