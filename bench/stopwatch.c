/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stopwatch - a solver plugin that solves nothing: it evaluates what a problem offers at the start point, as any solver would, times that, and
 * stops. With a family's library (family.h) it compares every value with the hand-written function's and times the two in turns;
 * with its complex library it compares the derivatives with complex steps. What it found is a Lua table in the file `report`.
 * Invariant: multipliers and directions are numbers in [0.5, 1.5] from the run's random stream, so that no term drops out.
 */
#include "compare.h"
#include <dlfcn.h>
#include <perigee/plugin.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct {
    const char *library, *complex_library, *data, *report;
    double seconds;
    int64_t directions, calls;
    int32_t products, hessian, wall;
} options;

static const peri_option option_list[] = {
    PERI_STRING("library", options, library, NULL, "shared object of the hand-written functions"),
    PERI_STRING("complex_library", options, complex_library, NULL, "shared object of along.c and the functions, for complex steps"),
    PERI_STRING("data", options, data, NULL, "file of the arrays that the functions are opened with"),
    PERI_STRING("report", options, report, NULL, "file to be written"),
    PERI_REAL("seconds", options, seconds, 0.5, 0, 3600, "s", "time spent on each kind of evaluation; 0: each is done once, for its values"),
    PERI_INT("calls", options, calls, 1, 1, 1e12, "1", "calls of each kind that are timed at least"),
    PERI_INT("directions", options, directions, 5, 0, 1e6, "1", "random directions of complex steps; small problems take all unit vectors"),
    PERI_BOOL("products", options, products, 1, "products with Jacobian and Hessian too"),
    PERI_BOOL("hessian", options, hessian, 1, "Hessian of the Lagrangian too, where there is one"),
    PERI_BOOL("wall", options, wall, 0, "measure by the clock on the wall, not by the processor time of the one thread"),
};

enum { VALUE, GRADIENT, CONSTRAINTS, JACOBIAN, HESSIAN, JV, VJ, HV, KINDS };
static const char *const NAMES[KINDS] = {"value", "gradient", "constraints", "jacobian", "hessian", "jv", "vj", "hv"};
enum { PAGE = 512 }; /* numbers */
enum { MAX_SAMPLES = 400, MIN_SAMPLES = 11, MAX_UNITS = 300 };

typedef struct {
    double f, *out[KINDS]; /* out[VALUE] is &f */
} results;

typedef struct {
    bool is_there, has_reference;
    double seconds, least, reference, reference_least; /* a call's: median and minimum; NaN: not timed */
    double differs, disagrees;                         /* from the reference; from complex steps or the matrix; NaN: not compared */
} finding;

typedef struct {
    const options *opt;
    int64_t n, m, length[KINDS];
    double *x, *v, *w, *zero; /* [n], [n], [m], [n + m] */
    double *product, *size, *want; /* [max(n, m)] */
    peri_pattern jac, hess;
    results mine, theirs;
    finding found[KINDS];
    double sample[2][MAX_SAMPLES];
    family_data *data;
    void *library, *complex_library;
    const family_functions *functions;
    family p;
    bool is_open;
    family_stepper *stepper;
    void (*stepper_close)(family_stepper *s);
    void (*along)(family_stepper *s, const double *x, const double *v, double sigma, const double *w, double *df, double *dc,
                  double *dl);
} state;

/* ---- what there is ------------------------------------------------------------------------------------------------------------ */

static bool wanted(const state *s, int kind)
{
    switch (kind) {
    case CONSTRAINTS: return s->m > 0;
    case JACOBIAN: return s->m > 0;
    case HESSIAN: return s->hess.start != NULL;
    case JV:
    case VJ: return s->m > 0 && s->opt->products;
    case HV: return s->opt->products != 0;
    default: return true;
    }
}

static bool reference_has(const state *s, int kind)
{
    const family_functions *f = s->functions;
    switch (f != NULL ? kind : -1) {
    case VALUE: return true;
    case GRADIENT: return f->gradient != NULL;
    case CONSTRAINTS: return f->constraints != NULL;
    case JACOBIAN: return f->jacobian != NULL;
    case HESSIAN: return f->hessian != NULL;
    case JV: return f->jv != NULL;
    case VJ: return f->vj != NULL;
    case HV: return f->hv != NULL;
    default: return false;
    }
}

/* ---- one evaluation -------------------------------------------------------------------------------------------------------------- */

static peri_status engine_run(state *s, peri_run *run, int kind)
{
    results *r = &s->mine;
    double *const out = r->out[kind];
    switch (kind) {
    case VALUE: return peri_eval_f(run, s->x, &r->f);
    case GRADIENT: return peri_eval_fg(run, s->x, &r->f, out);
    case CONSTRAINTS: return peri_eval_c(run, s->x, out);
    case JACOBIAN: return peri_eval_jac(run, s->x, out);
    case HESSIAN: return peri_eval_hess(run, s->x, 1.0, s->w, out);
    case JV: return peri_eval_jv(run, s->x, s->v, out);
    case VJ: return peri_eval_vj(run, s->x, s->w, out);
    default: return peri_eval_hv(run, s->x, 1.0, s->w, s->v, out);
    }
}

static void reference_run(state *s, int kind)
{
    const family_functions *f = s->functions;
    results *r = &s->theirs;
    double *const out = r->out[kind];
    switch (kind) {
    case VALUE: r->f = f->value(&s->p, s->x); break;
    case GRADIENT: r->f = f->gradient(&s->p, s->x, out); break;
    case CONSTRAINTS: f->constraints(&s->p, s->x, out); break;
    case JACOBIAN: f->jacobian(&s->p, s->x, out); break;
    case HESSIAN: f->hessian(&s->p, s->x, 1.0, s->w, out); break;
    case JV: f->jv(&s->p, s->x, s->v, out); break;
    case VJ: f->vj(&s->p, s->x, s->w, out); break;
    default: f->hv(&s->p, s->x, 1.0, s->w, s->v, out); break;
    }
}

/* ---- timing ------------------------------------------------------------------------------------------------------------------------ */

/* Processor time, which does not count what others do meanwhile; but where several threads work it would count one of them. */
static double seconds_now(const state *s)
{
    struct timespec t;
    if (s->opt->wall || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        return peri_clock();
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static peri_status engine_calls(state *s, peri_run *run, int kind, int64_t calls, double *seconds)
{
    const double started = seconds_now(s);
    for (int64_t k = 0; k < calls; k++)
        TRY(engine_run(s, run, kind));
    *seconds = (seconds_now(s) - started) / (double)calls;
    return PERI_OK;
}

static double reference_calls(state *s, int kind, int64_t calls)
{
    const double started = seconds_now(s);
    for (int64_t k = 0; k < calls; k++)
        reference_run(s, kind);
    return (seconds_now(s) - started) / (double)calls;
}

/* So many that one sample takes long compared with reading the clock, and all samples have the calls that are asked for. */
static int64_t calls_a_sample(const state *s, double seconds)
{
    const double sample = 2e-4;
    const int64_t least = s->opt->calls / MAX_SAMPLES + 1;
    const int64_t calls = seconds >= sample ? 1 : (int64_t)(sample / fmax(seconds, 1e-9)) + 1;
    return calls > least ? calls : least;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void summarize(double *sample, int64_t count, double *median, double *least)
{
    qsort(sample, (size_t)count, sizeof *sample, ascending);
    *least = sample[0];
    *median = 0.5 * (sample[(count - 1) / 2] + sample[count / 2]);
}

/* The engine and the reference in turns, until the time is up. */
static peri_status time_kind(state *s, peri_run *run, int kind)
{
    finding *r = &s->found[kind];
    double once, other = 0.0;
    TRY(engine_calls(s, run, kind, 1, &once));
    TRY(engine_calls(s, run, kind, 1, &once));
    if (r->has_reference)
        other = reference_calls(s, kind, 1);
    const int64_t calls = calls_a_sample(s, once), other_calls = calls_a_sample(s, other);
    const double started = peri_clock();
    int64_t count = 0;
    while (count < MIN_SAMPLES || (count < MAX_SAMPLES && (count * calls < s->opt->calls || peri_clock() - started < s->opt->seconds))) {
        TRY(engine_calls(s, run, kind, calls, &s->sample[0][count]));
        if (r->has_reference)
            s->sample[1][count] = reference_calls(s, kind, other_calls);
        count++;
    }
    summarize(s->sample[0], count, &r->seconds, &r->least);
    if (r->has_reference)
        summarize(s->sample[1], count, &r->reference, &r->reference_least);
    return PERI_OK;
}

/* ---- comparing ---------------------------------------------------------------------------------------------------------------------- */

static sparse_view view_of(const peri_pattern *p, const double *val)
{
    return (sparse_view){p->cols, p->start, p->index, val};
}

static double difference(const state *s, int kind)
{
    const results *a = &s->mine, *b = &s->theirs;
    const double f = compare_arrays(1, &a->f, &b->f);
    const sparse_view jac = view_of(&s->jac, a->out[JACOBIAN]), hess = view_of(&s->hess, a->out[HESSIAN]);
    switch (kind) {
    case VALUE: return f;
    case GRADIENT: return fmax(f, compare_arrays(s->n, a->out[kind], b->out[kind]));
    case JACOBIAN: return compare_sparse(&jac, &(sparse_view){s->n, s->p.jac_start, s->p.jac_index, b->out[kind]});
    case HESSIAN: return compare_sparse(&hess, &(sparse_view){s->n, s->p.hess_start, s->p.hess_index, b->out[kind]});
    default: return compare_arrays(s->length[kind], a->out[kind], b->out[kind]);
    }
}

static void worst(finding *r, double d)
{
    r->disagrees = isnan(r->disagrees) ? d : fmax(r->disagrees, d);
}

/* Gradient, Jacobian and Hessian against complex steps in the direction v. */
static void step_along(state *s, const double *v)
{
    const family_functions *f = s->functions;
    const bool second = s->found[HESSIAN].is_there && f->gradient != NULL && (s->m == 0 || f->jacobian != NULL);
    double df = 0.0, slope = 0.0, size = 0.0;
    s->along(s->stepper, s->x, v, 1.0, s->w, &df, NULL, NULL);
    for (int64_t j = 0; j < s->n; j++) {
        slope += s->mine.out[GRADIENT][j] * v[j];
        size += fabs(s->mine.out[GRADIENT][j] * v[j]);
    }
    worst(&s->found[GRADIENT], slope == df ? 0.0 : fabs(slope - df) / fmax(size, fabs(df)));
    if (s->found[JACOBIAN].is_there && f->constraints != NULL) {
        const sparse_view jac = view_of(&s->jac, s->mine.out[JACOBIAN]);
        s->along(s->stepper, s->x, v, 1.0, s->w, NULL, s->want, NULL);
        worst(&s->found[JACOBIAN], compare_product(&jac, false, v, s->m, s->want, s->product, s->size));
    }
    if (second) {
        const sparse_view hess = view_of(&s->hess, s->mine.out[HESSIAN]);
        s->along(s->stepper, s->x, v, 1.0, s->w, NULL, NULL, s->want);
        worst(&s->found[HESSIAN], compare_product(&hess, true, v, s->n, s->want, s->product, s->size));
    }
}

/* Products that need no second library: against the matrices, or (without a Hessian) against a complex step. */
static void check_products(state *s)
{
    const sparse_view jac = view_of(&s->jac, s->mine.out[JACOBIAN]), hess = view_of(&s->hess, s->mine.out[HESSIAN]);
    if (s->found[JV].is_there)
        worst(&s->found[JV], compare_product(&jac, false, s->v, s->m, s->mine.out[JV], s->product, s->size));
    if (s->found[VJ].is_there) {
        memset(s->want, 0, (size_t)s->n * sizeof *s->want);
        for (int64_t j = 0; j < s->n; j++)
            for (int64_t k = s->jac.start[j]; k < s->jac.start[j + 1]; k++)
                s->want[j] += jac.val[k] * s->w[jac.index[k]];
        worst(&s->found[VJ], compare_arrays(s->n, s->mine.out[VJ], s->want));
    }
    if (!s->found[HV].is_there)
        return;
    if (s->found[HESSIAN].is_there)
        worst(&s->found[HV], compare_product(&hess, true, s->v, s->n, s->mine.out[HV], s->product, s->size));
    else if (s->stepper != NULL && s->functions->gradient != NULL && (s->m == 0 || s->functions->jacobian != NULL)) {
        s->along(s->stepper, s->x, s->v, 1.0, s->w, NULL, NULL, s->want);
        worst(&s->found[HV], compare_arrays(s->n, s->mine.out[HV], s->want));
    }
}

static void step_all(state *s, peri_run *run, double *v)
{
    const bool units = s->n <= MAX_UNITS;
    const int64_t count = units ? s->n : s->opt->directions;
    for (int64_t k = 0; k < count; k++) {
        for (int64_t j = 0; j < s->n; j++)
            v[j] = units ? (double)(j == k) : 2.0 * peri_random_uniform(run, (uint64_t)(2 + k), (uint64_t)j) - 1.0;
        step_along(s, v);
    }
}

/* ---- set-up ----------------------------------------------------------------------------------------------------------------------- */

/* Functions are data here: POSIX promises that the bits are the same. */
static bool find(void *library, const char *name, void *function)
{
    void *const symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static peri_status load(peri_run *run, const char *path, void **library)
{
    *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return *library != NULL ? PERI_OK : peri_fail(run, PERI_E_ARGUMENT, dlerror());
}

static peri_status open_reference(state *s, peri_run *run)
{
    TRY(load(run, s->opt->library, &s->library));
    if (!find(s->library, "family_exported", &s->functions))
        return peri_fail(run, PERI_E_ARGUMENT, "library: it exports no family_exported");
    s->is_open = s->functions->open(s->data, &s->p);
    if (!s->is_open)
        return peri_fail(run, PERI_E_ARGUMENT, "library: open refuses the data");
    if (s->p.n != s->n || s->p.m != s->m)
        return peri_fail(run, PERI_E_ARGUMENT, "library: numbers of variables or constraints are not the model's");
    return PERI_OK;
}

static peri_status open_stepper(state *s, peri_run *run)
{
    family_stepper *(*open)(const family_data *) = NULL;
    TRY(load(run, s->opt->complex_library, &s->complex_library));
    if (!find(s->complex_library, "family_stepper_open", &open) || !find(s->complex_library, "family_stepper_close", &s->stepper_close) ||
        !find(s->complex_library, "family_along", &s->along))
        return peri_fail(run, PERI_E_ARGUMENT, "complex_library: it does not hold along.c");
    s->stepper = open(s->data);
    return s->stepper != NULL ? PERI_OK : peri_fail(run, PERI_E_ARGUMENT, "complex_library: open refuses the data");
}

static peri_status open_all(state *s, peri_run *run)
{
    if (s->opt->library == NULL || s->opt->library[0] == '\0')
        return PERI_OK;
    s->data = data_read(s->opt->data);
    if (s->data == NULL)
        return peri_fail(run, PERI_E_ARGUMENT, "data: the file cannot be read");
    TRY(open_reference(s, run));
    return s->opt->complex_library != NULL && s->opt->complex_library[0] != '\0' ? open_stepper(s, run) : PERI_OK;
}

static void close_all(state *s)
{
    if (s->stepper != NULL)
        s->stepper_close(s->stepper);
    if (s->is_open)
        s->functions->close(&s->p);
    if (s->complex_library != NULL)
        dlclose(s->complex_library);
    if (s->library != NULL)
        dlclose(s->library);
    data_free(s->data);
}

static peri_status patterns(state *s, peri_run *run)
{
    if (s->m > 0)
        TRY(peri_jac_pattern(run, &s->jac));
    if (!s->opt->hessian)
        return PERI_OK;
    const peri_status status = peri_hess_pattern(run, &s->hess);
    if (status == PERI_E_UNSUPPORTED)
        s->hess = (peri_pattern){0};
    return status == PERI_E_UNSUPPORTED ? PERI_OK : status;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static peri_status allocate(state *s, peri_run *run)
{
    const int64_t n = s->n, m = s->m;
    const int64_t length[KINDS] = {1, n, m, s->jac.nnz, s->hess.nnz, m, n, n};
    memcpy(s->length, length, sizeof length);
    TRY(peri_alloc(run, n, &s->x));
    TRY(peri_alloc(run, n, &s->v));
    TRY(peri_alloc(run, m, &s->w));
    TRY(peri_alloc(run, n + m, &s->zero));
    TRY(peri_alloc(run, larger(n, m), &s->product));
    TRY(peri_alloc(run, larger(n, m), &s->size));
    TRY(peri_alloc(run, larger(n, m), &s->want));
    for (int k = GRADIENT; k < KINDS; k++) {
        int64_t theirs = length[k];
        if (s->is_open && k == JACOBIAN && s->p.jac_start != NULL)
            theirs = s->p.jac_start[n];
        if (s->is_open && k == HESSIAN && s->p.hess_start != NULL)
            theirs = s->p.hess_start[n];
        const int64_t apart = (length[k] + PAGE - 1) / PAGE * PAGE; /* equal distances from the point but for whole pages, which stores and loads feel */
        TRY(peri_alloc(run, apart + theirs, &s->mine.out[k]));
        s->theirs.out[k] = s->mine.out[k] + apart;
    }
    for (int64_t j = 0; j < n; j++)
        s->v[j] = 0.5 + peri_random_uniform(run, 0, (uint64_t)j);
    for (int64_t i = 0; i < m; i++)
        s->w[i] = 0.5 + peri_random_uniform(run, 1, (uint64_t)i);
    return peri_start(run, s->x);
}

static peri_status init(void *self, peri_run *run, const void *opt)
{
    state *s = self;
    s->opt = opt;
    s->n = peri_n(run);
    s->m = peri_m(run);
    TRY(patterns(s, run));
    TRY(open_all(s, run));
    TRY(allocate(s, run));
    for (int k = 0; k < KINDS; k++)
        s->found[k] = (finding){wanted(s, k), wanted(s, k) && reference_has(s, k), NAN, NAN, NAN, NAN, NAN, NAN};
    return PERI_OK;
}

/* ---- the one step -------------------------------------------------------------------------------------------------------------------- */

static peri_status evaluate(state *s, peri_run *run)
{
    for (int k = 0; k < KINDS; k++) {
        finding *r = &s->found[k];
        if (!r->is_there)
            continue;
        TRY(engine_run(s, run, k));
        if (r->has_reference) {
            reference_run(s, k);
            r->differs = difference(s, k);
        }
    }
    check_products(s);
    if (s->stepper != NULL)
        step_all(s, run, s->zero);
    return PERI_OK;
}

static peri_status time_all(state *s, peri_run *run)
{
    for (int k = 0; k < KINDS && s->opt->seconds > 0; k++)
        if (s->found[k].is_there)
            TRY(time_kind(s, run, k));
    return PERI_OK;
}

static void print_number(FILE *file, const char *name, double x)
{
    if (isinf(x))
        fprintf(file, ", %s = math.huge", name);
    else if (!isnan(x))
        fprintf(file, ", %s = %.9g", name, x);
}

static peri_status write_report(const state *s, peri_run *run)
{
    FILE *const file = s->opt->report != NULL && s->opt->report[0] != '\0' ? fopen(s->opt->report, "w") : NULL;
    if (file == NULL)
        return peri_fail(run, PERI_E_ARGUMENT, "report: the file cannot be written");
    fprintf(file, "return { n = %lld, m = %lld, jacobian_entries = %lld, hessian_entries = %lld, rows = {\n", (long long)s->n,
            (long long)s->m, (long long)s->jac.nnz, (long long)s->hess.nnz);
    for (int k = 0; k < KINDS; k++) {
        const finding *r = &s->found[k];
        if (!r->is_there)
            continue;
        fprintf(file, "  { kind = \"%s\"", NAMES[k]);
        print_number(file, "seconds", r->seconds);
        print_number(file, "least", r->least);
        print_number(file, "reference_seconds", r->reference);
        print_number(file, "reference_least", r->reference_least);
        print_number(file, "differs", r->differs);
        print_number(file, "disagrees", r->disagrees);
        fprintf(file, " },\n");
    }
    fprintf(file, "} }\n");
    return fclose(file) == 0 ? PERI_OK : peri_fail(run, PERI_E_ARGUMENT, "report: the file cannot be written");
}

static peri_status step(void *self, peri_run *run, peri_step *next)
{
    state *s = self;
    TRY(evaluate(s, run));
    TRY(time_all(s, run));
    TRY(write_report(s, run));
    memset(s->zero, 0, (size_t)(s->n + s->m) * sizeof *s->zero);
    const peri_row row = peri_empty_row();
    TRY(peri_accept(run, s->x, s->zero, s->zero, &row, next));
    return peri_finish(run, PERI_WHY_LIMIT, next);
}

static void fini(void *self, peri_run *run)
{
    (void)run;
    close_all(self);
}

static const peri_solver_ops ops = {.init = init, .step = step, .fini = fini};
static const peri_plugin stopwatch = {
    PERI_SOLVER(state, options, option_list),
    .ops = &ops,
    .name = "stopwatch",
    .family = "bench",
    .version = "2",
    .license = "Apache-2.0",
    .summary = "evaluates at the start point, for timing",
    .page = "Evaluates objective, gradient, constraints, Jacobian, Hessian and products at the start point, in turns with hand-written "
            "functions where a library of them is given, and writes times and differences to a file.",
    .reference = "none",
    .needs = {PERI_NEEDS_GRADIENT},
    .gives = PERI_GIVES_DUALS,
};
static const peri_plugin *const all[] = {&stopwatch, NULL};
PERI_PLUGIN(all)
