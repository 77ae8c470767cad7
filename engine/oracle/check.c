/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c - derivatives against central differences, at the start point moved a little so that zeros do not hide
 * errors. An error is what exceeds the differences' own rounding, relative to max(1, entry). Large models are checked
 * in evenly spaced columns. Invariant: the entries that the patterns leave out are checked to be zero as well.
 */
#include "base/num.h"
#include "base/rng.h"
#include "base/text.h"
#include "oracle/nlp.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { COLUMNS = 1000 };

static const double SUSPECT = 1e-4; /* an error above it is pointed out */

typedef struct {
    double error, analytic, difference; /* NaN: not checked */
    int64_t row, col;
} worst_entry;

typedef struct {
    nlp *p;
    arena memory;
    peri_pattern jac, hess;
    bool has_jac, has_hess, has_hv;
    double *x, *w, *v; /* point; weights of the rows; direction */
    double f, *g, *c, *jac_val, *hess_val;
    double *plus[2], *minus[2]; /* [m] constraints and [n] Lagrangian gradients on both sides */
    double *scratch, *column;   /* [n]; [max(n, m)] */
    double sigma;
    worst_entry gradient, jacobian, hessian;
    double jv, vj, hv; /* errors of the products; NaN: not checked */
    double largest, smallest;
    int64_t columns;
} checker;

static double *numbers(checker *k, int64_t n)
{
    return arena_array(&k->memory, (size_t)n, sizeof(double));
}

static peri_status allocate(checker *k)
{
    const int64_t n = k->p->n, m = k->p->m, nm = n > m ? n : m;
    double **const list[] = {&k->x, &k->v, &k->g, &k->scratch, &k->plus[1], &k->minus[1]};
    double **const rows[] = {&k->w, &k->c, &k->plus[0], &k->minus[0]};
    bool ok = (k->column = numbers(k, nm)) != NULL;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        ok = (*list[i] = numbers(k, n)) != NULL && ok;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ok = (*rows[i] = numbers(k, m)) != NULL && ok;
    return ok ? PERI_OK : FAIL_NOMEM(k->p->ctx);
}

/* ---- the point
 * ---------------------------------------------------------------------------------------------------------------- */

static void move(checker *k, double size)
{
    const nlp *p = k->p;
    model_gather(p->model, p->model->start.at, k->x);
    for (int64_t j = 0; j < p->n; j++) {
        const double start = k->x[j], at = fmin(fmax(start, p->xl[j]), p->xu[j]);
        const double by = size * (1 + fabs(at)) * (rng_uniform(1, 1, (uint64_t)j) + 0.5);
        k->x[j] = at + by <= p->xu[j] ? at + by : at - by >= p->xl[j] ? at - by : at;
    }
}

/* The largest move at which everything is defined. */
static peri_status find_point(checker *k)
{
    static const double sizes[] = {1e-2, 1e-4, 1e-6, 0};
    peri_status status = PERI_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        move(k, sizes[i]);
        status = nlp_fg(k->p, k->x, &k->f, k->g);
        if (status == PERI_OK)
            status = nlp_c(k->p, k->x, k->c);
        if (status != PERI_E_DOMAIN)
            return status;
    }
    return nlp_explain_domain(k->p, k->x);
}

static peri_status evaluate(checker *k)
{
    nlp *p = k->p;
    k->sigma = 1;
    for (int64_t j = 0; j < p->n; j++)
        k->v[j] = rng_uniform(1, 2, (uint64_t)j) - 0.5;
    for (int64_t i = 0; i < p->m; i++)
        k->w[i] = rng_uniform(1, 3, (uint64_t)i) - 0.5;
    TRY(nlp_jac_pattern(p, &k->jac));
    k->jac_val = numbers(k, k->jac.nnz);
    if (k->jac_val == NULL)
        return FAIL_NOMEM(p->ctx);
    TRY(nlp_jac(p, k->x, k->jac_val));
    k->has_jac = p->m > 0;
    if (!k->has_hess)
        return PERI_OK;
    TRY(nlp_hess_pattern(p, &k->hess));
    k->hess_val = numbers(k, k->hess.nnz);
    if (k->hess_val == NULL)
        return FAIL_NOMEM(p->ctx);
    return nlp_hess(p, k->x, k->sigma, k->w, k->hess_val);
}

/* ---- comparing
 * --------------------------------------------------------------------------------------------------------------------
 */

static double relative(double a, double d, double noise)
{
    const double gap = fabs(a - d) - noise;
    return gap > 0 ? gap / fmax(1, fmax(fabs(a), fabs(d))) : isnan(gap) ? INFINITY : 0;
}

static void compare(worst_entry *worst, int64_t row, int64_t col, double a, double d, double noise)
{
    const double error = relative(a, d, noise);
    if (!(error <= worst->error)) /* the first too: NaN */
        *worst = (worst_entry){error, a, d, row, col};
}

static double rounding(double plus, double minus, double step)
{
    return 16 * DBL_EPSILON * fmax(fabs(plus), fabs(minus)) / step;
}

/* sigma grad f + J'w, with f on the way */
static peri_status lagrangian_gradient(checker *k, const double *x, double *f, double *g)
{
    TRY(nlp_fg(k->p, x, f, g));
    if (k->p->m == 0)
        return PERI_OK;
    TRY(nlp_vj(k->p, x, k->w, k->scratch));
    for (int64_t j = 0; j < k->p->n; j++)
        g[j] += k->scratch[j];
    return PERI_OK;
}

static void scatter(const checker *k, const peri_pattern *a, const double *val, int64_t j)
{
    memset(k->column, 0, (size_t)a->rows * sizeof *k->column);
    for (int64_t i = a->start[j]; i < a->start[j + 1]; i++)
        k->column[a->index[i]] = val[i];
}

/* Everything that one variable tells: f's, c's and the gradient's differences along it. */
static peri_status check_column(checker *k, int64_t j)
{
    const nlp *p = k->p;
    const double at = k->x[j], step = cbrt(DBL_EPSILON) * (1 + fabs(at));
    double f[2];
    k->x[j] = at + step;
    peri_status status = lagrangian_gradient(k, k->x, &f[0], k->plus[1]);
    if (status == PERI_OK)
        status = nlp_c(k->p, k->x, k->plus[0]);
    k->x[j] = at - step;
    if (status == PERI_OK)
        status = lagrangian_gradient(k, k->x, &f[1], k->minus[1]);
    if (status == PERI_OK)
        status = nlp_c(k->p, k->x, k->minus[0]);
    k->x[j] = at;
    if (status != PERI_OK)
        return status == PERI_E_DOMAIN ? PERI_OK : status; /* too close to where it ends */
    k->columns++;
    compare(&k->gradient, 0, j, k->g[j], (f[0] - f[1]) / (2 * step), rounding(f[0], f[1], step));
    if (k->has_jac)
        scatter(k, &k->jac, k->jac_val, j);
    for (int64_t i = 0; k->has_jac && i < p->m; i++)
        compare(&k->jacobian, i, j, k->column[i], (k->plus[0][i] - k->minus[0][i]) / (2 * step),
                rounding(k->plus[0][i], k->minus[0][i], step));
    if (k->has_hess)
        scatter(k, &k->hess, k->hess_val, j);
    for (int64_t i = j; k->has_hess && i < p->n; i++) /* the lower triangle */
        compare(&k->hessian, i, j, k->column[i], (k->plus[1][i] - k->minus[1][i]) / (2 * step),
                rounding(k->plus[1][i], k->minus[1][i], step));
    return PERI_OK;
}

/* ---- products, against the matrices or differences
 * ------------------------------------------------------------------------------------ */

static double apart(int64_t n, const double *a, const double *b)
{
    double most = 0, scale = 1;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs(a[i] - b[i]));
        scale = fmax(scale, fmax(fabs(a[i]), fabs(b[i])));
    }
    return most / scale;
}

static peri_status check_jacobian_products(checker *k)
{
    nlp *p = k->p;
    const peri_pattern *a = &k->jac;
    memset(k->plus[0], 0, (size_t)p->m * sizeof(double));
    for (int64_t j = 0; j < p->n; j++) {
        k->plus[1][j] = 0;
        for (int64_t i = a->start[j]; i < a->start[j + 1]; i++) {
            k->plus[0][a->index[i]] += k->jac_val[i] * k->v[j];
            k->plus[1][j] += k->jac_val[i] * k->w[a->index[i]];
        }
    }
    TRY(nlp_jv(p, k->x, k->v, k->minus[0]));
    TRY(nlp_vj(p, k->x, k->w, k->minus[1]));
    k->jv = apart(p->m, k->plus[0], k->minus[0]);
    k->vj = apart(p->n, k->plus[1], k->minus[1]);
    return PERI_OK;
}

static void times_hessian(const checker *k, double *out)
{
    const peri_pattern *a = &k->hess;
    memset(out, 0, (size_t)a->cols * sizeof *out);
    for (int64_t j = 0; j < a->cols; j++)
        for (int64_t i = a->start[j]; i < a->start[j + 1]; i++) {
            out[a->index[i]] += k->hess_val[i] * k->v[j];
            if (a->index[i] != j)
                out[j] += k->hess_val[i] * k->v[a->index[i]];
        }
}

/* By differences of the gradient along v, into plus[1]. */
static peri_status difference_along(checker *k, bool *defined)
{
    const double step = cbrt(DBL_EPSILON);
    double f;
    peri_status status = PERI_OK;
    for (int side = 0; side < 2 && status == PERI_OK; side++) {
        for (int64_t j = 0; j < k->p->n; j++)
            k->column[j] = k->x[j] + (side == 0 ? step : -step) * k->v[j];
        status = lagrangian_gradient(k, k->column, &f, side == 0 ? k->plus[1] : k->minus[1]);
    }
    *defined = status == PERI_OK;
    for (int64_t j = 0; j < k->p->n && *defined; j++)
        k->plus[1][j] = (k->plus[1][j] - k->minus[1][j]) / (2 * step);
    return status == PERI_E_DOMAIN ? PERI_OK : status;
}

static peri_status check_hessian_product(checker *k)
{
    bool defined = true;
    if (k->has_hess)
        times_hessian(k, k->plus[1]);
    else
        TRY(difference_along(k, &defined));
    TRY(nlp_hv(k->p, k->x, k->sigma, k->w, k->v, k->minus[1]));
    if (defined)
        k->hv = apart(k->p->n, k->plus[1], k->minus[1]);
    return PERI_OK;
}

/* ---- scaling
 * ---------------------------------------------------------------------------------------------------------------------------
 */

static void take_magnitudes(checker *k, int64_t n, const double *v)
{
    for (int64_t i = 0; i < n; i++) {
        const double a = fabs(v[i]);
        if (!(a > 0))
            continue;
        k->largest = fmax(k->largest, a);
        k->smallest = fmin(k->smallest, a);
    }
}

/* ---- the report
 * -------------------------------------------------------------------------------------------------------------------------
 */

static void put(text_buffer *t, double v, int digits)
{
    char number[NUM_SIZE];
    text_add(t, "%s", num_print_digits(v, digits, number));
}

static void put_line(const checker *k, text_buffer *t, const char *what, const worst_entry *w, int names)
{
    char a[128], b[128] = "";
    text_add(t, "  %-10s", what);
    if (isnan(w->error)) {
        text_add(t, "not checked\n");
        return;
    }
    put(t, w->error, 3);
    model_variable_name(k->p->model, w->col, a, sizeof a);
    if (names == 1)
        model_row_name(k->p->model, w->row, b, sizeof b);
    if (names == 2)
        model_variable_name(k->p->model, w->row, b, sizeof b);
    text_add(t, ", largest at %s%s%s: ", b, b[0] != '\0' ? ", " : "", a);
    put(t, w->analytic, 8);
    text_add(t, ", by differences ");
    put(t, w->difference, 8);
    text_add(t, "%s\n", w->error > SUSPECT ? "  <- wrong, or not smooth here" : "");
}

static void put_product(text_buffer *t, const char *what, double error)
{
    if (isnan(error))
        return;
    text_add(t, "  %-10s", what);
    put(t, error, 3);
    text_add(t, "%s\n", error > SUSPECT ? "  <- wrong, or not smooth here" : "");
}

static void write_report(const checker *k, text_buffer *t)
{
    text_add(t, "derivatives near the start point against central differences, relative errors\n");
    put_line(k, t, "gradient", &k->gradient, 0);
    put_line(k, t, "jacobian", &k->jacobian, 1);
    put_line(k, t, "hessian", &k->hessian, 2);
    put_product(t, "J v", k->jv);
    put_product(t, "J'w", k->vj);
    put_product(t, "H v", k->hv);
    if (k->columns < k->p->n)
        text_add(t, "  in %lld of %lld variables\n", (long long)k->columns, (long long)k->p->n);
    if (!(k->largest > 0))
        return;
    text_add(t, "scaling: first derivatives other than 0 from ");
    put(t, k->smallest, 3);
    text_add(t, " to ");
    put(t, k->largest, 3);
    text_add(t, "%s\n", k->largest / k->smallest > 1e8 ? "; wide, other units may help" : "");
}

/* ---- all of it
 * --------------------------------------------------------------------------------------------------------------------------
 */

static peri_status perform(checker *k)
{
    nlp *p = k->p;
    uint64_t traits;
    TRY(nlp_traits(p, UINT64_MAX, &traits));
    if (!(traits & PERI_BIT(PERI_TRAIT_GRADIENT)))
        return FAIL(p->ctx, PERI_E_UNSUPPORTED, "check: no derivatives, %s", p->class_.why_blackbox);
    k->has_hess = (traits & PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN)) != 0;
    k->has_hv = (traits & PERI_BIT(PERI_TRAIT_HESSIAN)) != 0;
    TRY(allocate(k));
    TRY(find_point(k));
    TRY(evaluate(k));
    const int64_t step = (p->n + COLUMNS - 1) / COLUMNS;
    for (int64_t j = 0; j < p->n; j += step)
        TRY(check_column(k, j));
    if (k->has_jac)
        TRY(check_jacobian_products(k));
    if (k->has_hv)
        TRY(check_hessian_product(k));
    take_magnitudes(k, p->n, k->g);
    take_magnitudes(k, k->jac.nnz, k->jac_val);
    return PERI_OK;
}

static void fill(const checker *k, peri_derivative_check *out)
{
    *out = (peri_derivative_check){
        .gradient = k->gradient.error,
        .jacobian = k->jacobian.error,
        .hessian = k->hessian.error,
        .gradient_at = {k->gradient.col},
        .jacobian_at = {k->jacobian.row, k->jacobian.col},
        .hessian_at = {k->hessian.row, k->hessian.col},
        .largest = k->largest,
        .smallest = k->largest > 0 ? k->smallest : 0,
    };
}

/* One problem: its report goes into `text`. */
static peri_status check_problem(peri_model *m, peri_derivative_check *check, text_buffer *text)
{
    const worst_entry none = {NAN, 0, 0, 0, 0};
    checker k = {
        .gradient = none, .jacobian = none, .hessian = none, .jv = NAN, .vj = NAN, .hv = NAN, .smallest = INFINITY};
    TRY(nlp_of(m, &k.p));
    if (k.p->in_use > 0)
        return FAIL(m->ctx, PERI_E_STATE, "model \"%s\" is being solved", m->name);
    arena_init(&k.memory, &m->ctx->mem);
    const peri_status status = perform(&k);
    nlp_reset_counts(k.p);
    arena_release(&k.memory);
    if (status != PERI_OK)
        return status;
    fill(&k, check);
    write_report(&k, text);
    return PERI_OK;
}

/* ---- lower levels
 * --------------------------------------------------------------------------------------------------------------------------
 */

static peri_status copy_variables(nlp *p, peri_model *to)
{
    const peri_model *m = p->model;
    for (int64_t i = 0; i < m->vars.n; i++) {
        const model_var *v = &m->vars.at[i];
        const expr_node *node = expr_at(m->g, v->node);
        const int64_t slot = v->offset - m->vars.at[0].offset;
        peri_expr x;
        if (v->at < 0)
            continue;
        TRY(peri_model_var(to, v->name, node->rows, node->cols, &x));
        TRY(peri_model_set_lower(to, x, v->size, m->lower.at + slot));
        TRY(peri_model_set_upper(to, x, v->size, m->upper.at + slot));
        TRY(peri_model_set_start(to, x, v->size, m->start.at + slot));
    }
    return PERI_OK;
}

/* The level's objective and rows over all variables as a model of its own, whose names are those of the user. */
static peri_status copy_level(nlp *p, int32_t level, peri_model *to)
{
    const peri_model *m = p->model;
    expr_id roots[2], out[2], input[EXPR_IN_COUNT];
    const double infinite[2] = {-INFINITY, INFINITY};
    peri_constraint handle;
    int64_t row = 0;
    for (int k = 0; k < EXPR_IN_COUNT; k++)
        input[k] = PERI_NO_EXPR;
    TRY(nlp_level_problem(p, level, &roots[0], &roots[1]));
    TRY(copy_variables(p, to));
    TRY(expr_input(to->g, EXPR_IN_X, 0, p->n, 1, &input[EXPR_IN_X]));
    if (m->g->n_param > 0)
        TRY(peri_model_param(to, "parameters", m->g->n_param, 1, m->g->n_param, m->g->param_value.at, &input[EXPR_IN_PARAM]));
    TRY(expr_transplant(p->g, roots[1] != PERI_NO_EXPR ? 2 : 1, roots, to->g, input, out));
    TRY(peri_model_minimize(to, out[0]));
    for (int64_t i = 0; i < m->cons.n; i++) {
        const model_constraint *c = &m->cons.at[i];
        if (p->levels->of.level[c->level] != level)
            continue;
        expr_id rows;
        TRY(expr_gather_affine(to->g, out[1], expr_at(m->g, c->body)->rows, expr_at(m->g, c->body)->cols, row, 1, &rows));
        TRY(peri_model_constrain(to, c->name, rows, 1, &infinite[0], &infinite[1], &handle));
        row += c->size;
    }
    return PERI_OK;
}

static void take_worse(double *error, double other, int64_t *at, const int64_t *other_at, int n)
{
    if (!(other > *error) && !isnan(*error))
        return;
    *error = other;
    for (int k = 0; k < n; k++)
        at[k] = other_at[k];
}

/* Places in the Jacobian are then rows of that level. */
static peri_status check_level(nlp *p, int32_t level, peri_derivative_check *check, text_buffer *text)
{
    peri_derivative_check own;
    peri_model *m = peri_model_new(p->ctx, p->levels->info[level].name);
    if (m == NULL)
        return PERI_E_NOMEM;
    peri_status status = copy_level(p, level, m);
    text_add(text, "lower model \"%s\": ", m->name);
    if (status == PERI_OK)
        status = check_problem(m, &own, text);
    peri_model_free(m);
    TRY(status);
    take_worse(&check->gradient, own.gradient, check->gradient_at, own.gradient_at, 1);
    take_worse(&check->jacobian, own.jacobian, check->jacobian_at, own.jacobian_at, 2);
    take_worse(&check->hessian, own.hessian, check->hessian_at, own.hessian_at, 2);
    return PERI_OK;
}

static peri_status check_levels(peri_model *m, peri_derivative_check *check, text_buffer *text)
{
    nlp *p;
    const nlp_levels *all;
    if (model_count_levels(m) == 1)
        return PERI_OK;
    TRY(nlp_of(m, &p));
    TRY(nlp_get_levels(p, &all));
    for (int32_t k = 1; k < all->of.n; k++)
        TRY(check_level(p, k, check, text));
    return PERI_OK;
}

peri_status peri_model_check(peri_model *m, peri_derivative_check *check, char **report)
{
    text_buffer text;
    *report = NULL;
    text_init(&text, &m->ctx->mem);
    peri_status status = check_problem(m, check, &text);
    if (status == PERI_OK)
        status = check_levels(m, check, &text);
    if (status != PERI_OK) {
        text_release(&text);
        return status;
    }
    *report = text_take(&text);
    return *report != NULL ? PERI_OK : FAIL_NOMEM(m->ctx);
}
