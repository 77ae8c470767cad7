/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eval_accuracy - the mathematical functions of the instructions against MPFR with 200 bits, at every level that this processor has: dense random
 * arguments, arguments of every magnitude, near zero, near the ends of ranges, large ones, subnormal ones, infinities, NaN, zeros with a sign. Errors
 * are in units of the last place of the exact result; two are allowed. Levels are compared with each other too.
 */
#include "base/rng.h"
#include "eval/block.h"
#include "eval/program.h"
#include "tap/tap.h"
#include <float.h>
#include <math.h>
#include <mpfr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846
enum { BITS = 200, MOST = 1 << 16, LEVELS = 4 };

static const double ALLOWED = 2.0;   /* units of the last place, for each result */
static const double COMPOSED = 2.5;  /* sigmoid and softplus: the error of exp, and of two operations more, across a power of two */
static const double PORTABLE = 2.25; /* the C library's own functions, where there are no vectors: its tanh */
static const double APART = 3.0;     /* units between two levels: they use other functions, each within its bound */

static const char *const levels[LEVELS] = {"portable", "sse2", "avx2", "avx512"};

/* ---- exact values -------------------------------------------------------------------------------------------------------------- */

typedef void (*exact_fn)(mpfr_t out, const mpfr_t a, const mpfr_t b);

#define EXACT1(name)                                                                                                   \
    static void exact_##name(mpfr_t out, const mpfr_t a, const mpfr_t b)                                               \
    {                                                                                                                  \
        (void)b;                                                                                                       \
        mpfr_##name(out, a, MPFR_RNDN);                                                                                \
    }
EXACT1(exp)
EXACT1(expm1)
EXACT1(log)
EXACT1(log1p)
EXACT1(sin)
EXACT1(cos)
EXACT1(tan)
EXACT1(asin)
EXACT1(acos)
EXACT1(atan)
EXACT1(sinh)
EXACT1(cosh)
EXACT1(tanh)

static void exact_sigmoid(mpfr_t out, const mpfr_t a, const mpfr_t b)
{
    (void)b;
    mpfr_neg(out, a, MPFR_RNDN);
    mpfr_exp(out, out, MPFR_RNDN);
    mpfr_add_ui(out, out, 1, MPFR_RNDN);
    mpfr_ui_div(out, 1, out, MPFR_RNDN);
}

static void exact_softplus(mpfr_t out, const mpfr_t a, const mpfr_t b)
{
    (void)b;
    mpfr_exp(out, a, MPFR_RNDN);
    mpfr_log1p(out, out, MPFR_RNDN);
}

static void exact_pow(mpfr_t out, const mpfr_t a, const mpfr_t b)
{
    mpfr_pow(out, a, b, MPFR_RNDN);
}

static void exact_atan2(mpfr_t out, const mpfr_t a, const mpfr_t b)
{
    mpfr_atan2(out, a, b, MPFR_RNDN);
}

/* ---- arguments ------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    int code;
    exact_fn exact;
    int n_args;
    double lo, hi;    /* of the function's domain, and where its result is finite */
    double dense;     /* dense random arguments: within this of the point nearest to 0 */
    double ends[4];   /* points whose neighbourhoods are looked at; NaN: none */
} function;

static const function functions[] = {
    {"exp", PERI_OP_EXP, exact_exp, 1, -746, 709.78, 40, {-708.4, 709.78, -745.1, NAN}},
    {"expm1", PERI_OP_EXPM1, exact_expm1, 1, -DBL_MAX, 709.78, 5, {-37.4, 709.78, -1, NAN}},
    {"log", PERI_OP_LOG, exact_log, 1, 0, DBL_MAX, 10, {1, 2, DBL_MIN, 0.70710678118654757}},
    {"log1p", PERI_OP_LOG1P, exact_log1p, 1, -1, DBL_MAX, 5, {-1, 1, 0x1p1020, -0.29289321881345254}},
    {"sin", PERI_OP_SIN, exact_sin, 1, -DBL_MAX, DBL_MAX, 40, {PI, PI / 2, -2 * PI, 1e5}},
    {"cos", PERI_OP_COS, exact_cos, 1, -DBL_MAX, DBL_MAX, 40, {PI, PI / 2, -1.5 * PI, 1e5}},
    {"tan", PERI_OP_TAN, exact_tan, 1, -DBL_MAX, DBL_MAX, 40, {PI, PI / 2, -PI / 4, 1e5}},
    {"asin", PERI_OP_ASIN, exact_asin, 1, -1, 1, 1, {1, -1, 0.5, -0.5}},
    {"acos", PERI_OP_ACOS, exact_acos, 1, -1, 1, 1, {1, -1, 0.5, -0.5}},
    {"atan", PERI_OP_ATAN, exact_atan, 1, -DBL_MAX, DBL_MAX, 10, {1, -1, 2.4142135623730951, 1e16}},
    {"sinh", PERI_OP_SINH, exact_sinh, 1, -710.47, 710.47, 10, {710.47, -710.47, 0.5, 22}},
    {"cosh", PERI_OP_COSH, exact_cosh, 1, -710.47, 710.47, 10, {710.47, -710.47, 0.34, 22}},
    {"tanh", PERI_OP_TANH, exact_tanh, 1, -DBL_MAX, DBL_MAX, 5, {0.55, -1, 19.06, 22}},
    {"sigmoid", PERI_OP_SIGMOID, exact_sigmoid, 1, -708, DBL_MAX, 40, {37, -37, -708, NAN}},
    {"softplus", PERI_OP_SOFTPLUS, exact_softplus, 1, -708, DBL_MAX, 40, {37, -37, -708, NAN}},
    {"pow", PERI_OP_POW, exact_pow, 2, 0, DBL_MAX, 20, {1, DBL_MIN, NAN, NAN}},
    {"atan2", PERI_OP_ATAN2, exact_atan2, 2, -DBL_MAX, DBL_MAX, 10, {1, -1, NAN, NAN}},
};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

static uint64_t seed = 40961;

static double uniform(double lo, double hi)
{
    static uint64_t counter;
    return lo + (hi - lo) * rng_uniform(seed, 3, counter++);
}

/* Any magnitude between the smallest subnormal and the largest number. */
static double any_magnitude(void)
{
    return ldexp(uniform(1, 2), (int)uniform(-1076, 1023)) * (uniform(0, 1) < 0.5 ? -1 : 1);
}

static double neighbour(double of)
{
    const double away = ldexp(uniform(-1, 1), (int)uniform(-50, -1));
    return of * (1 + away);
}

static double argument(const function *f, int64_t k)
{
    const double middle = f->lo > 0 || f->hi < 0 ? (f->lo + f->hi) / 2 : 0;
    switch (k % 8) {
    case 0:
    case 1:
    case 2: return uniform(fmax(f->lo, middle - f->dense), fmin(f->hi, middle + f->dense));
    case 3: return any_magnitude();
    case 4: return ldexp(uniform(-1, 1), (int)uniform(-60, 2)); /* near zero */
    case 5: {
        const double of = f->ends[(k / 8) % 4];
        return isnan(of) ? uniform(-3, 3) : neighbour(of);
    }
    case 6: return uniform(fmax(f->lo, -800), fmin(f->hi, 800));
    default: return uniform(0, 1) < 0.5 ? round(uniform(-300, 300)) / 4 : uniform(-1e6, 1e6);
    }
}

static double second(const function *f, int64_t k, double a)
{
    if (f->code == PERI_OP_ATAN2)
        return k % 3 == 0 ? a * uniform(-2, 2) : argument(f, k / 3 + 1);
    if (k % 5 == 0)
        return round(uniform(-20, 20)) / 2;
    return k % 5 == 1 ? 700 / log(a) * uniform(-1, 1) : uniform(-8, 8); /* results up to the largest and smallest numbers */
}

/* ---- errors ------------------------------------------------------------------------------------------------------------------------ */

static double unit_of(double v)
{
    const double a = fabs(v);
    return a >= DBL_MAX ? DBL_MAX - nextafter(DBL_MAX, 0) : nextafter(a, INFINITY) - a;
}

typedef struct {
    const function *f;
    int64_t n;
    double *a, *b;
    double *near, *rest; /* the exact value is near + rest, as good as it matters */
    double *out[LEVELS];
    bool there[LEVELS];
} table;

/* Results beyond the range are left out: their rounding to infinity is another question, asked by the special values. */
static bool add_exact(table *t, double a, double b)
{
    mpfr_t x, y, exact;
    mpfr_inits2(BITS, x, y, exact, (mpfr_ptr)NULL);
    mpfr_set_d(x, a, MPFR_RNDN);
    mpfr_set_d(y, b, MPFR_RNDN);
    t->f->exact(exact, x, y);
    const double near = mpfr_get_d(exact, MPFR_RNDN);
    const bool good = mpfr_number_p(exact) && isfinite(near);
    if (good) {
        t->a[t->n] = a;
        t->b[t->n] = b;
        t->near[t->n] = near;
        mpfr_sub_d(exact, exact, near, MPFR_RNDN);
        t->rest[t->n++] = mpfr_get_d(exact, MPFR_RNDN);
    }
    mpfr_clears(x, y, exact, (mpfr_ptr)NULL);
    return good;
}

static void fill(table *t, const function *f, int64_t wanted)
{
    t->f = f;
    t->n = 0;
    for (int64_t k = 0; t->n < wanted; k++) {
        const double a = argument(f, k), b = f->n_args > 1 ? second(f, k, a) : 0;
        if (a >= f->lo && a <= f->hi && !isnan(b) && !isinf(b))
            (void)add_exact(t, a, b);
    }
}

static void apply(const eval_simd *simd, int code, int n_args, int32_t imm, int64_t n, const double *a, const double *b, double *out)
{
    eval_ins ins = {.dst = out, .p = {a, b}, .imm = imm, .code = (uint16_t)code};
    ins.flags = (uint16_t)(1u << 0 | 1u << 4 | 1u << 8 | (n_args > 1 ? 1u << 1 | 1u << 9 : 0)); /* arrays of all instances */
    for (int64_t at = 0; at < n; at += EVAL_MAX_BLOCK)
        simd->fn[code](&ins, at, n - at < EVAL_MAX_BLOCK ? n - at : EVAL_MAX_BLOCK);
}

static double worst_error(const table *t, const double *out, int64_t *at)
{
    double worst = 0;
    *at = 0;
    for (int64_t k = 0; k < t->n; k++) {
        const double error = fabs((out[k] - t->near[k]) - t->rest[k]) / unit_of(t->near[k]);
        if (!(error <= worst)) {
            worst = isnan(error) ? INFINITY : error;
            *at = k;
        }
    }
    return worst;
}

static double furthest_apart(const table *t)
{
    double worst = 0;
    for (int l = 0; l < LEVELS; l++)
        for (int m = 0; m < l; m++)
            for (int64_t k = 0; k < t->n && t->there[l] && t->there[m]; k++) {
                const double apart = fabs(t->out[l][k] - t->out[m][k]) / unit_of(t->near[k]);
                worst = apart > worst ? apart : worst;
            }
    return worst;
}

static double allowed(const function *f, int level)
{
    if (f->code == PERI_OP_SIGMOID || f->code == PERI_OP_SOFTPLUS)
        return COMPOSED;
    return level == 0 ? PORTABLE : ALLOWED;
}

static void test_function(table *t, const function *f, int64_t wanted)
{
    fill(t, f, wanted);
    for (int l = 0; l < LEVELS; l++) {
        int64_t at;
        if (!t->there[l]) {
            skip(1, "no %s here", levels[l]);
            continue;
        }
        const eval_simd *simd = eval_simd_named(levels[l]);
        apply(simd, f->code, f->n_args, 0, t->n, t->a, t->b, t->out[l]);
        const double error = worst_error(t, t->out[l], &at);
        if (!ok(error <= allowed(f, l), "%s, %s: %.2f units at the most", f->name, levels[l], error))
            diag("%s(%.17g, %.17g) is %.17g, got %.17g", f->name, t->a[at], t->b[at], t->near[at], t->out[l][at]);
    }
    const double apart = furthest_apart(t);
    ok(apart <= APART, "%s: levels are %.0f units apart at the most", f->name, apart);
}

/* ---- sine and cosine together, integer powers ----------------------------------------------------------------------------------------- */

static void test_sincos(table *t, int64_t wanted)
{
    for (int which = 0; which < 2; which++) {
        const function *f = &functions[4 + which];
        fill(t, f, wanted);
        for (int l = 0; l < LEVELS; l++) {
            int64_t at;
            if (!t->there[l]) {
                skip(1, "no %s here", levels[l]);
                continue;
            }
            const eval_simd *simd = eval_simd_named(levels[l]);
            eval_ins ins = {.dst = which ? t->b : t->out[l], .p = {t->a, NULL, NULL, which ? t->out[l] : t->b}};
            ins.flags = 1u << 0 | 1u << 4 | 1u << 5 | 1u << 8;
            for (int64_t k = 0; k < t->n; k += EVAL_MAX_BLOCK)
                simd->fn[EVAL_SINCOS](&ins, k, t->n - k < EVAL_MAX_BLOCK ? t->n - k : EVAL_MAX_BLOCK);
            const double error = worst_error(t, t->out[l], &at);
            if (!ok(error <= ALLOWED, "sincos, %s of %s: %.2f units at the most", f->name, levels[l], error))
                diag("%s(%.17g) is %.17g, got %.17g", f->name, t->a[at], t->near[at], t->out[l][at]);
        }
    }
}

static void test_powers(table *t, int64_t wanted)
{
    static const int exponents[] = {2, 3, 4, 5, 7, 8, 16, -1, -2, -3, -5};
    function f = functions[15];
    for (size_t e = 0; e < sizeof exponents / sizeof exponents[0]; e++) {
        const int n = exponents[e];
        t->f = &f;
        t->n = 0;
        while (t->n < wanted)
            (void)add_exact(t, ldexp(uniform(-2, 2), (int)uniform(-900, 900) / (abs(n) + 1)), n);
        bool good = true, same = true;
        double worst = 0;
        for (int l = 0; l < LEVELS; l++) {
            int64_t at;
            if (!t->there[l])
                continue;
            const eval_simd *simd = eval_simd_named(levels[l]);
            apply(simd, EVAL_POWI, 1, n, t->n, t->a, t->b, t->out[l]);
            const double error = worst_error(t, t->out[l], &at);
            worst = error > worst ? error : worst;
            good = good && error <= (abs(n) <= 2 ? ALLOWED : abs(n) + 0.5); /* each multiplication adds half a unit, or one across a power of two */
            same = same && memcmp(t->out[l], t->out[0], (size_t)t->n * sizeof(double)) == 0;
        }
        ok(good, "power %d by multiplication: %.2f units at the most", n, worst);
        ok(same, "power %d: the same bits at every level", n);
    }
}

/* ---- special values --------------------------------------------------------------------------------------------------------------------- */

static bool same_special(double got, double want)
{
    return isnan(want) ? isnan(got) : got == want && signbit(got) == signbit(want);
}

static double libm(int code, double a, double b)
{
    switch (code) {
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
    case PERI_OP_SOFTPLUS: return a > 700 ? a : log1p(exp(a));
    case PERI_OP_POW: return pow(a, b);
    default: return atan2(a, b);
    }
}

/* Where the C library's result is infinite, NaN, or a zero, so is ours, with its sign; elsewhere ours is as near as always. */
static void test_special(const function *f, const bool *there)
{
    static const double special[] = {INFINITY, -INFINITY, NAN, 0.0, -0.0, 5e-324, -5e-324, 1e-310, -1e-310, DBL_MAX, -DBL_MAX, 1.0, -1.0, 2.0, -2.0,
                                     0.5, -0.5, 3.0, -3.0, 1e3, -1e3, 2.5, -2.5};
    enum { N = sizeof special / sizeof special[0] };
    double a[N * N], b[N * N], out[N * N];
    const int64_t n = f->n_args > 1 ? N * N : N;
    for (int64_t k = 0; k < n; k++) {
        a[k] = special[k % N];
        b[k] = special[k / N];
    }
    for (int l = 0; l < LEVELS; l++) {
        if (!there[l]) {
            skip(1, "no %s here", levels[l]);
            continue;
        }
        const eval_simd *simd = eval_simd_named(levels[l]);
        apply(simd, f->code, f->n_args, 0, n, a, b, out);
        int bad = 0;
        for (int64_t k = 0; k < n; k++) {
            const double want = libm(f->code, a[k], b[k]);
            const bool exact = !isfinite(want) || want == 0;
            if (exact ? same_special(out[k], want) : fabs(out[k] - want) <= 4 * unit_of(want))
                continue;
            if (bad++ < 5)
                diag("%s(%g, %g) is %.17g, got %.17g", f->name, a[k], b[k], want, out[k]);
        }
        ok(bad == 0, "%s, %s: infinities, NaN, zeros, subnormals", f->name, levels[l]);
    }
}

/* Parts of vectors: entries behind the end do not matter and are not written. */
static void test_parts(const function *f, const bool *there)
{
    for (int l = 0; l < LEVELS; l++) {
        double a[24], b[24], whole[24], part[24];
        if (!there[l])
            continue;
        const eval_simd *simd = eval_simd_named(levels[l]);
        for (int k = 0; k < 24; k++) {
            a[k] = 0.02 + 0.04 * k;
            b[k] = 0.3 + 0.1 * k;
        }
        apply(simd, f->code, f->n_args, 0, 24, a, b, whole);
        bool good = true;
        for (int n = 1; n < 24; n++) {
            memset(part, 0x41, sizeof part);
            const double before = part[n];
            apply(simd, f->code, f->n_args, 0, n, a, b, part);
            good = good && memcmp(part, whole, (size_t)n * sizeof *part) == 0 && memcmp(&part[n], &before, sizeof before) == 0;
        }
        ok(good, "%s, %s: parts of vectors", f->name, levels[l]);
    }
}

int main(void)
{
    const int64_t wanted = tap_long() ? MOST : 12000;
    table t = {.n = 0};
    const char *given = getenv("PERI_TEST_SEED");
    seed = given != NULL ? strtoull(given, NULL, 10) : seed;
    diag("seed %llu, %d arguments", (unsigned long long)seed, (int)wanted);
    plan_later();
    t.a = calloc(MOST, sizeof *t.a);
    t.b = calloc(MOST, sizeof *t.b);
    t.near = calloc(MOST, sizeof *t.near);
    t.rest = calloc(MOST, sizeof *t.rest);
    for (int l = 0; l < LEVELS; l++) {
        t.there[l] = eval_simd_named(levels[l]) != NULL;
        t.out[l] = calloc(MOST, sizeof **t.out);
    }
    for (int k = 0; k < FUNCTIONS; k++) {
        test_function(&t, &functions[k], wanted);
        test_special(&functions[k], t.there);
        test_parts(&functions[k], t.there);
    }
    test_sincos(&t, wanted / 2);
    test_powers(&t, wanted / 8);
    for (int l = 0; l < LEVELS; l++)
        free(t.out[l]);
    free(t.a);
    free(t.b);
    free(t.near);
    free(t.rest);
    mpfr_free_cache();
    return tap_done();
}
