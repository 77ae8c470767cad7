/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nlp view: values and derivatives against closed forms and differences, what is compiled when, counts, domain
 * errors by name, evaluations that allocate nothing, and an allocation failure at every place.
 */
#include "oracle/nlp.h"
#include "tap/tap.h"
#include "unit/text_model.h"

static text_model hs71(peri_context *ctx)
{
    static const double start[] = {1.5, 4.5, 3.5, 1.25};
    text_model t = text_new(ctx, 4, start);
    text_bounds(&t, 1, 5);
    text_minimize(&t, "x1*x4*(x1+x2+x3)+x3");
    text_constrain(&t, "product", 25, "x1*x2*x3*x4", INFINITY);
    text_constrain(&t, "sphere", 40, "x1^2+x2^2+x3^2+x4^2", 40);
    return t;
}

static void test_rosenbrock(peri_context *ctx)
{
    const double x[2] = {-1.2, 1}, v[2] = {0.3, -2};
    const double a = 1 - x[0], b = x[1] - x[0] * x[0];
    const double g_want[2] = {-2 * a - 400 * x[0] * b, 200 * b};
    const double h_want[3] = {2 - 400 * b + 800 * x[0] * x[0], -400 * x[0], 200};
    const double hv_want[2] = {h_want[0] * v[0] + h_want[1] * v[1], h_want[1] * v[0] + h_want[2] * v[1]};
    double f, g[2], h[3], hv[2];
    nlp *p;
    peri_pattern pattern;
    text_model t = text_new(ctx, 2, x);
    text_minimize(&t, "(1-x1)^2+100*(x2-x1^2)^2");
    ok(nlp_of(t.m, &p) == PERI_OK && p->n == 2 && p->m == 0, "Rosenbrock's view");
    ok(nlp_f(p, x, &f) == PERI_OK && is_close(f, a * a + 100 * b * b, 1e-14, 0, "value"), "evaluated");
    ok(nlp_fg(p, x, &f, g) == PERI_OK && all_close(2, g, g_want, 1e-14, 0, "gradient"), "evaluated");
    ok(nlp_hess_pattern(p, &pattern) == PERI_OK && pattern.nnz == 3, "the Hessian is full: 3 entries below");
    ok(nlp_hess(p, x, 1, NULL, h) == PERI_OK && all_close(3, h, h_want, 1e-14, 0, "Hessian"), "evaluated");
    ok(nlp_hv(p, x, 1, NULL, v, hv) == PERI_OK && all_close(2, hv, hv_want, 1e-14, 0, "Hessian times a vector"),
       "evaluated");
    ok(nlp_jac_pattern(p, &pattern) == PERI_OK && pattern.rows == 0 && pattern.cols == 2 && pattern.nnz == 0,
       "without constraints the Jacobian has no rows");
    ok(nlp_vj(p, x, NULL, g) == PERI_OK && g[0] == 0 && g[1] == 0, "and its products are zero");
    is_int(p->count.objective, 2, "objective evaluations are counted, those with gradients too");
    is_int(p->count.gradient, 1, "gradients");
    is_int(p->count.hessian, 1, "Hessians");
    ok(p->seconds.gradient > 0 && p->seconds.hessian > 0 && p->seconds.building > 0, "and timed");
    peri_model_free(t.m);
}

static void test_constraints(peri_context *ctx)
{
    text_model t = hs71(ctx);
    const double x[4] = {1.5, 4, 3, 2}, w[2] = {0.7, -1.1};
    double c[2], jac[8], hess[10], vj[4], jv[2], v[4] = {1, -1, 0.5, 2};
    const double sum = x[0] + x[1] + x[2], product = x[0] * x[1] * x[2] * x[3];
    nlp *p;
    peri_pattern j, h;
    ok(nlp_of(t.m, &p) == PERI_OK && p->m == 2 && p->cl[0] == 25 && p->cu[1] == 40, "a view with constraints");
    ok(nlp_c(p, x, c) == PERI_OK, "constraints");
    is_close(c[0], product, 1e-14, 0, "the product");
    is_close(c[1], 2.25 + 16 + 9 + 4, 1e-14, 0, "the sphere");
    ok(nlp_jac_pattern(p, &j) == PERI_OK && j.rows == 2 && j.cols == 4 && j.nnz == 8, "the Jacobian's pattern");
    ok(nlp_jac(p, x, jac) == PERI_OK, "the Jacobian");
    for (int64_t k = 0; k < 4; k++) {
        is_close(jac[2 * k], product / x[k], 1e-14, 0, "d product / d x%d", (int)k + 1);
        is_close(jac[2 * k + 1], 2 * x[k], 1e-14, 0, "d sphere / d x%d", (int)k + 1);
    }
    ok(nlp_vj(p, x, w, vj) == PERI_OK && nlp_jv(p, x, v, jv) == PERI_OK, "products");
    double both = 0;
    for (int k = 0; k < 4; k++)
        both += vj[k] * v[k];
    is_close(both, jv[0] * w[0] + jv[1] * w[1], 1e-14, 0, "(J'w)'v is w'(J v)");
    is_close(vj[2], w[0] * product / x[2] + w[1] * 2 * x[2], 1e-14, 0, "an entry of J'w");
    ok(nlp_hess_pattern(p, &h) == PERI_OK && h.nnz == 10, "the Lagrangian's Hessian is full");
    ok(nlp_hess(p, x, 2, w, hess) == PERI_OK, "the Hessian");
    is_close(hess[0], 2 * 2 * x[3] + w[1] * 2, 1e-14, 0, "entry 1,1");
    is_close(hess[1], 2 * x[3] + w[0] * x[2] * x[3], 1e-14, 0, "entry 2,1");
    is_close(hess[3], 2 * (sum + x[0]) + w[0] * x[1] * x[2], 1e-14, 0, "entry 4,1");
    peri_model_free(t.m);
}

static void test_sense(peri_context *ctx)
{
    const double x[1] = {3};
    double f = NAN, g = NAN;
    nlp *p;
    text_model t = text_new(ctx, 1, NULL);
    text_maximize(&t, "4*x1-x1^2");
    ok(nlp_of(t.m, &p) == PERI_OK && nlp_fg(p, x, &f, &g) == PERI_OK, "a maximization");
    is_close(f, -3, 0, 0, "is the minimization of the negative");
    is_close(g, 2, 0, 0, "gradient too");
    peri_model_free(t.m);
    t = text_new(ctx, 1, NULL);
    text_constrain(&t, "c", 1, "x1^2", INFINITY);
    ok(nlp_of(t.m, &p) == PERI_OK && nlp_fg(p, x, &f, &g) == PERI_OK, "a feasibility problem");
    ok(f == 0 && g == 0, "has the objective 0");
    peri_model_free(t.m);
}

static void test_changes(peri_context *ctx)
{
    const double x[4] = {1.5, 4, 3, 2};
    double f;
    nlp *p, *again;
    text_model t = text_new(ctx, 4, x);
    text_param(&t, 2);
    text_minimize(&t, "p*x1+x2^2");
    text_constrain(&t, "c", 0, "x1*x2", 1);
    ok(nlp_of(t.m, &p) == PERI_OK && nlp_f(p, x, &f) == PERI_OK && is_close(f, 19, 1e-15, 0, "with p = 2"),
       "evaluated");
    const eval_program *program = p->program[NLP_F];
    const double five = 5, one = 1;
    ok(peri_model_set_param(t.m, t.p, 1, &five) == PERI_OK && peri_model_set_lower(t.m, t.x, 1, &one) == PERI_OK,
       "data change");
    ok(nlp_of(t.m, &again) == PERI_OK && again == p && p->program[NLP_F] == program, "nothing is compiled again");
    ok(p->xl[3] == 1 && nlp_f(p, x, &f) == PERI_OK && is_close(f, 23.5, 1e-15, 0, "with p = 5"),
       "bounds and values are new");
    p->in_use++;
    text_constrain(&t, "d", 0, "x3", 1);
    is_int(nlp_of(t.m, &again), PERI_E_STATE, "a structure that changes while a run holds the view is refused");
    has_text(peri_error(ctx), "changed while it is being solved", "and said");
    p->in_use--;
    ok(nlp_of(t.m, &again) == PERI_OK && again->m == 2, "afterwards the view is made anew");
    peri_model_free(t.m);
}

static void test_domain(peri_context *ctx)
{
    const double x[2] = {-0.5, 2}, zero[2] = {0, 0}, ones[2] = {1, 1};
    double f, c[2], g[2];
    nlp *p;
    text_model t = text_new(ctx, 2, x);
    text_minimize(&t, "log(x1)+x2");
    ok(nlp_of(t.m, &p) == PERI_OK && nlp_f(p, x, &f) == PERI_E_DOMAIN, "log of a negative is a domain error");
    is_int(nlp_explain_domain(p, x), PERI_E_DOMAIN, "explained");
    is_text(peri_error(ctx), "objective: log(-0.5) is not defined", "names the objective and the operation");
    peri_model_free(t.m);
    t = text_new(ctx, 2, x);
    text_minimize(&t, "x2");
    text_constrain(&t, "fine", 0, "x1", 1);
    text_constrain(&t, "root", 0, "sqrt(x1)+x2", 1);
    ok(nlp_of(t.m, &p) == PERI_OK && nlp_c(p, x, c) == PERI_E_DOMAIN, "so is a root in a constraint");
    is_int(nlp_explain_domain(p, x), PERI_E_DOMAIN, "explained");
    is_text(peri_error(ctx), "constraint \"root\": sqrt(-0.5) is not defined", "names the constraint");
    peri_model_free(t.m);
    t = text_new(ctx, 2, x);
    text_minimize(&t, "sqrt(x1)+x2");
    ok(nlp_of(t.m, &p) == PERI_OK && nlp_fg(p, zero, &f, g) == PERI_E_DOMAIN,
       "a gradient may be infinite where the value is not");
    is_int(nlp_explain_domain(p, zero), PERI_E_DOMAIN, "explained");
    has_text(peri_error(ctx), "objective: in its gradient", "as such");
    peri_model_free(t.m);
    t = text_new(ctx, 2, x);
    text_minimize(&t, "x1*sqrt(x1)+x2");
    ok(nlp_of(t.m, &p) == PERI_OK && nlp_hv(p, zero, 1, NULL, ones, g) == PERI_E_DOMAIN,
       "so may a product with the hessian");
    is_int(nlp_explain_domain(p, zero), PERI_E_DOMAIN, "explained");
    has_text(peri_error(ctx), "in a product with their hessian: ", "as such");
    peri_model_free(t.m);
}

static void test_finite(void)
{
    double v[11] = {1, -2, 3, 1e308, -1e308, 0, 7, 8, 9, 10, 11};
    ok(nlp_is_finite(11, v), "numbers are finite, however large");
    for (int k = 0; k < 11; k++) {
        const double keep = v[k];
        v[k] = k % 2 == 0 ? NAN : INFINITY;
        ok(!nlp_is_finite(11, v), "a bad entry %d is seen", k);
        v[k] = keep;
    }
}

/* ---- derivatives against differences
 * ------------------------------------------------------------------------------------------------ */

static int wrong_gradient(void *ud, int64_t n, const double *x, double *g)
{
    (void)ud;
    for (int64_t k = 0; k < n; k++)
        g[k] = k == 1 ? 2.5 * x[k] : 2 * x[k];
    return 0;
}

static int squares(void *ud, int64_t n, const double *x, double *f)
{
    (void)ud;
    *f = 0;
    for (int64_t k = 0; k < n; k++)
        *f += x[k] * x[k];
    return 0;
}

static void test_check(peri_context *ctx)
{
    static const char *const objectives[] = {"x1*x4*(x1+x2+x3)+x3", "exp(x1/x2)+sin(x3)*cos(x4)",
                                             "log(x1+x2^2)/x3+x4^3", "sqrt(x1*x2)+tanh(x3-x4)^2",
                                             "(x1-x2)^2*(x3-x4)^4+atan(x1)"};
    const double start[4] = {1.1, 2.2, 0.7, 1.4}, half[3] = {2, 0.5, 3};
    peri_derivative_check check;
    char *report;
    for (size_t k = 0; k < sizeof objectives / sizeof objectives[0]; k++) {
        text_model t = text_new(ctx, 4, start);
        text_minimize(&t, objectives[k]);
        text_constrain(&t, "c", 0, "x1*x2*x3", 1);
        text_constrain(&t, "d", 0, "exp(x4)-x1/x3", 1);
        ok(peri_model_check(t.m, &check, &report) == PERI_OK, "check of %s", objectives[k]);
        ok(check.gradient < 1e-7 && check.jacobian < 1e-7 && check.hessian < 1e-7, "agrees with differences (%g %g %g)",
           check.gradient, check.jacobian, check.hessian);
        ok(check.smallest > 0 && check.largest >= check.smallest, "and tells the scale");
        has_text(report, "gradient", "and reports");
        peri_free_text(ctx, report);
        peri_model_free(t.m);
    }
    const peri_function fn = {.name = "bowl", .value = squares, .gradient = wrong_gradient};
    text_model t = text_new(ctx, 3, half);
    peri_expr call;
    ok(peri_expr_call(t.m, &fn, t.x, &call) == PERI_OK && peri_model_minimize(t.m, call) == PERI_OK,
       "a function with a wrong gradient");
    ok(peri_model_check(t.m, &check, &report) == PERI_OK && check.gradient > 0.1, "is seen");
    is_int(check.gradient_at[0], 1, "where it is wrong");
    has_text(report, "x[2]", "by name");
    has_text(report, "wrong", "and pointed out");
    ok(isnan(check.jacobian) && isnan(check.hessian), "what is not there is not checked");
    peri_free_text(ctx, report);
    peri_model_free(t.m);
}

static void test_info(peri_context *ctx)
{
    text_model t = hs71(ctx);
    peri_model_info info;
    ok(peri_model_get_info(t.m, &info) == PERI_OK, "information");
    is_int(info.variables, 4, "variables");
    is_int(info.constraints, 2, "constraints");
    is_int(info.equalities, 1, "equalities");
    is_int(info.linear_rows, 0, "linear rows");
    is_int(info.nonzeros_jacobian, 8, "Jacobian entries");
    is_int(info.nonzeros_hessian, 10, "Hessian entries");
    is_text(info.class_name, "nonlinear program", "class");
    ok((info.traits & PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN)) != 0, "with a sparse Hessian");
    peri_model_free(t.m);
}

/* log(sum exp x) couples all variables: its Hessian at 0, (1/n) (I - 11'/n), is a matrix for few of them and products for many. */
static void test_density(peri_context *ctx)
{
    for (int64_t n = 2000; n <= 2001; n++) {
        text_model t = text_new(ctx, n, NULL);
        peri_expr e = PERI_NO_EXPR;
        text_check(&t, peri_expr_op(t.m, PERI_OP_EXP, 1, &t.x, &e));
        text_check(&t, peri_expr_op(t.m, PERI_OP_SUM, 1, &e, &e));
        text_check(&t, peri_expr_op(t.m, PERI_OP_LOG, 1, &e, &e));
        text_check(&t, peri_model_minimize(t.m, e));
        peri_model_info info;
        char *explained = NULL;
        ok(peri_model_get_info(t.m, &info) == PERI_OK && peri_model_explain(t.m, NULL, &explained) == PERI_OK, "%d variables", (int)n);
        ok(((info.traits & PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN)) != 0) == (n == 2000), "a matrix up to 2000");
        ok((info.traits & PERI_BIT(PERI_TRAIT_HESSIAN)) != 0, "products always");
        ok((strstr(explained, "dense in 2001 variables at once, formed up to 2000") != NULL) == (n == 2001), "explained");
        peri_free_text(ctx, explained);
        nlp *p = NULL;
        double *x = calloc((size_t)n, sizeof *x), *v = calloc((size_t)n, sizeof *v), *hv = calloc((size_t)n, sizeof *hv), worst = 0;
        v[0] = 1;
        ok(nlp_of(t.m, &p) == PERI_OK && nlp_hv(p, x, 1, NULL, v, hv) == PERI_OK, "a product");
        for (int64_t k = 0; k < n; k++)
            worst = fmax(worst, fabs(hv[k] - (v[k] - 1 / (double)n) / (double)n));
        ok(worst < 1e-17, "is right (%g)", worst);
        free(x);
        free(v);
        free(hv);
        peri_model_free(t.m);
    }
}

/* ---- memory
 * -----------------------------------------------------------------------------------------------------------------------------
 */

static void test_no_allocation(peri_context *ctx)
{
    text_model t = hs71(ctx);
    const double x[4] = {1.5, 4, 3, 2}, w[2] = {0.7, -1.1};
    double f, g[4], c[2], jac[8], hess[10];
    nlp *p;
    ok(nlp_of(t.m, &p) == PERI_OK && nlp_prepare(p) == PERI_OK && nlp_compile(p, NLP_HV) == PERI_OK &&
           nlp_compile(p, NLP_VJ) == PERI_OK && nlp_compile(p, NLP_JV) == PERI_OK,
       "everything compiled");
    peri_memory_fail_at(ctx, 1, true);
    peri_status status = nlp_f(p, x, &f);
    status = status == PERI_OK ? nlp_fg(p, x, &f, g) : status;
    status = status == PERI_OK ? nlp_c(p, x, c) : status;
    status = status == PERI_OK ? nlp_jac(p, x, jac) : status;
    status = status == PERI_OK ? nlp_hess(p, x, 1, w, hess) : status;
    status = status == PERI_OK ? nlp_hv(p, x, 1, w, x, g) : status;
    status = status == PERI_OK ? nlp_vj(p, x, w, g) : status;
    status = status == PERI_OK ? nlp_jv(p, x, x, c) : status;
    peri_memory_fail_at(ctx, 0, false);
    is_int(status, PERI_OK, "evaluations allocate nothing");
    peri_model_free(t.m);
}

static peri_status whole(peri_context *ctx, int64_t k)
{
    nlp *p;
    peri_derivative_check check;
    char *report = NULL;
    text_model t = hs71(ctx);
    peri_memory_fail_at(ctx, k, false);
    peri_status status = nlp_of(t.m, &p);
    if (status == PERI_OK)
        status = nlp_prepare(p);
    if (status == PERI_OK)
        status = peri_model_check(t.m, &check, &report);
    peri_memory_fail_at(ctx, 0, false);
    double f;
    const double x[4] = {1, 5, 5, 1};
    if (status == PERI_E_NOMEM && (nlp_of(t.m, &p) != PERI_OK || nlp_prepare(p) != PERI_OK ||
                                   nlp_f(p, x, &f) != PERI_OK || !(fabs(f - 16) < 1e-12)))
        status = PERI_E_INTERNAL; /* the next call works */
    peri_free_text(ctx, report);
    peri_model_free(t.m);
    return status;
}

/* log det(2 I + x'x 11') + x'x: a Hessian that only products give. det = 4 (1 + s), s = x'x: (2 + 2 / (1 + s)) I - 4 x x' / (1 + s)^2 */
static text_model determinant(peri_context *ctx, int n)
{
    const double two[4] = {2, 0, 0, 2}, ones[4] = {1, 1, 1, 1};
    text_model t = text_new(ctx, n, NULL);
    peri_expr s = PERI_NO_EXPR, a = PERI_NO_EXPR, b = PERI_NO_EXPR;
    text_check(&t, peri_expr_op(t.m, PERI_OP_SQUARE, 1, &t.x, &s));
    text_check(&t, peri_expr_op(t.m, PERI_OP_SUM, 1, &s, &s));
    text_check(&t, peri_expr_const(t.m, &(peri_array){2, 2, two, -1, NULL, NULL}, &a));
    text_check(&t, peri_expr_const(t.m, &(peri_array){2, 2, ones, -1, NULL, NULL}, &b));
    text_check(&t, peri_expr_op(t.m, PERI_OP_MUL, 2, (const peri_expr[]){b, s}, &b));
    text_check(&t, peri_expr_op(t.m, PERI_OP_ADD, 2, (const peri_expr[]){a, b}, &a));
    text_check(&t, peri_expr_op(t.m, PERI_OP_LOGDET, 1, &a, &a));
    text_check(&t, peri_expr_op(t.m, PERI_OP_ADD, 2, (const peri_expr[]){a, s}, &a));
    text_check(&t, peri_model_minimize(t.m, a));
    return t;
}

static bool is_hessian_of_determinant(int n, const double *x, const double *h)
{
    double s = 1;
    for (int j = 0; j < n; j++)
        s += x[j] * x[j];
    for (int j = 0, at = 0; j < n; j++)
        for (int i = j; i < n; i++, at++)
            if (!(fabs(h[at] - ((i == j ? 2 + 2 / s : 0) - 4 * x[i] * x[j] / (s * s))) <= 1e-14))
                return false;
    return true;
}

/* As a matrix, at every failure of an allocation. */
static peri_status whole_dense(peri_context *ctx, int64_t k)
{
    const double x[3] = {0.3, -0.2, 0.5};
    double h[6] = {0}, again[6] = {0};
    text_model t = determinant(ctx, 3);
    nlp *p = NULL;
    peri_pattern pattern;
    peri_memory_fail_at(ctx, k, false);
    peri_status status = nlp_of(t.m, &p);
    status = status == PERI_OK ? nlp_hess(p, x, 1, NULL, h) : status;
    peri_memory_fail_at(ctx, 0, false);
    if (nlp_of(t.m, &p) != PERI_OK || nlp_hess_pattern(p, &pattern) != PERI_OK || pattern.nnz != 6 || nlp_hess(p, x, 1, NULL, again) != PERI_OK)
        status = PERI_E_INTERNAL; /* the next call works */
    if (!is_hessian_of_determinant(3, x, again))
        status = PERI_E_INTERNAL;
    peri_model_free(t.m);
    return status;
}

static void test_dense_memory(void)
{
    peri_context *ctx = peri_context_new(NULL);
    int64_t before, after, k = 0, others = 0, leaks = 0;
    peri_status status;
    peri_memory(ctx, NULL, NULL, &before);
    do {
        status = whole_dense(ctx, ++k);
        peri_memory(ctx, NULL, NULL, &after);
        leaks += after != before;
        others += status != PERI_OK && status != PERI_E_NOMEM;
    } while (status != PERI_OK && k < 100000);
    ok(status == PERI_OK && k > 50, "by products: %d failures of an allocation, then success", (int)k - 1);
    is_int(others, 0, "each is reported as out of memory, and the next call has the Hessian");
    is_int(leaks, 0, "and leaks nothing");
    peri_context_free(ctx);
}

/* Of 20 variables, whose products come in two runs. */
static void test_dense_interrupted(peri_context *ctx)
{
    double x[20], h[210];
    text_model t = determinant(ctx, 20);
    nlp *p;
    for (int j = 0; j < 20; j++)
        x[j] = 0.1 * (j % 7) - 0.2;
    ok(nlp_of(t.m, &p) == PERI_OK && nlp_hess(p, x, 1, NULL, h) == PERI_OK && is_hessian_of_determinant(20, x, h), "a Hessian by products");
    peri_interrupt(ctx);
    is_int(nlp_hess(p, x, 1, NULL, h), PERI_E_CANCELLED, "an interruption is noticed between products");
    peri_clear_interrupt(ctx);
    memset(h, 0, sizeof h);
    ok(nlp_hess(p, x, 1, NULL, h) == PERI_OK && is_hessian_of_determinant(20, x, h), "the next one is whole");
    peri_model_free(t.m);
}

static void test_memory(void)
{
    peri_context *ctx = peri_context_new(NULL);
    int64_t before, after, k = 0, others = 0, leaks = 0;
    peri_status status;
    peri_memory(ctx, NULL, NULL, &before);
    do {
        status = whole(ctx, ++k);
        peri_memory(ctx, NULL, NULL, &after);
        leaks += after != before;
        others += status != PERI_OK && status != PERI_E_NOMEM;
    } while (status != PERI_OK && k < 100000);
    ok(status == PERI_OK && k > 50, "%d failures of an allocation, then success", (int)k - 1);
    is_int(others, 0, "each is reported as out of memory, and the next call works");
    is_int(leaks, 0, "and leaks nothing");
    peri_context_free(ctx);
}

/* A sum of squares with weights 1 .. 40: its Hessian is constants times sigma, of which the guard looks at the largest only; one more term varies. */
static void test_watched(peri_context *ctx)
{
    double x[40], h[79], g[40];
    char text[1200];
    int at = snprintf(text, sizeof text, "x1^4");
    nlp *p;
    peri_pattern pattern;
    for (int k = 0; k < 40; k++) {
        x[k] = 1 + k;
        at += snprintf(text + at, sizeof text - (size_t)at, "+%d*x%d^2", k + 1, k + 1);
        if (k > 0)
            at += snprintf(text + at, sizeof text - (size_t)at, "+x%d*x%d", k, k + 1);
    }
    text_model t = text_new(ctx, 40, x);
    text_minimize(&t, text);
    ok(nlp_of(t.m, &p) == PERI_OK && nlp_hess_pattern(p, &pattern) == PERI_OK && pattern.nnz == 79, "a quadratic and a power");
    ok(nlp_hess(p, x, 0.5, NULL, h) == PERI_OK, "its Hessian");
    for (int k = 0; k < 40; k++)
        is_close(h[2 * k], 0.5 * (2 * (k + 1) + (k == 0 ? 12 : 0)), 1e-15, 0, "diagonal");
    for (int k = 0; k < 39; k++)
        is_close(h[2 * k + 1], 0.5, 1e-15, 0, "beside it");
    ok(nlp_hess(p, x, NAN, NULL, h) == PERI_E_DOMAIN, "a multiplier that is not a number");
    ok(nlp_hess(p, x, 1e308, NULL, h) == PERI_E_DOMAIN, "the largest of the multiples overflows");
    x[0] = 1e200;
    ok(nlp_hess(p, x, 1, NULL, h) == PERI_E_DOMAIN, "the entry that varies overflows");
    x[0] = 1;
    peri_model_free(t.m);
    t = text_new(ctx, 40, x);
    at = snprintf(text, sizeof text, "exp(x20)");
    for (int k = 0; k < 40; k++)
        at += snprintf(text + at, sizeof text - (size_t)at, "+%d*x%d", k + 1, k + 1);
    text_minimize(&t, text);
    double f;
    ok(nlp_of(t.m, &p) == PERI_OK && nlp_fg(p, x, &f, g) == PERI_OK, "a linear function and an exponential");
    for (int k = 0; k < 40; k++)
        is_close(g[k], k + 1 + (k == 19 ? exp(20) : 0), 1e-14, 0, "gradient");
    x[19] = 800;
    ok(nlp_fg(p, x, &f, g) == PERI_E_DOMAIN, "the exponential overflows");
    peri_model_free(t.m);
}

int main(void)
{
    plan_later();
    peri_context *ctx = peri_context_new(NULL);
    test_rosenbrock(ctx);
    test_constraints(ctx);
    test_sense(ctx);
    test_changes(ctx);
    test_domain(ctx);
    test_finite();
    test_check(ctx);
    test_info(ctx);
    test_density(ctx);
    test_watched(ctx);
    test_no_allocation(ctx);
    test_dense_interrupted(ctx);
    peri_context_free(ctx);
    test_memory();
    test_dense_memory();
    return tap_done();
}
