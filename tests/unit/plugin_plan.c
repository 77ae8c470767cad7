/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_plan - which solver a problem gets, and the reasons: by rank among those that may be chosen, by name, or an
 * error that says what does not fit. The plugins are lines of an index; choosing loads none of them.
 */
#define _GNU_SOURCE
#include "plugin/registry.h"
#include "plugin_folder.h"
#include "tap/tap.h"
#include "unit/text_model.h"

#include <inttypes.h>
#include <sys/stat.h>

typedef struct {
    const char *name;
    uint32_t kind;
    int rank;
    uint64_t needs, refuses, flags, removes, adds;
} line;

#define T(trait) PERI_BIT(PERI_TRAIT_##trait)

static const line lines[] = {
    {"newton", PERI_KIND_SOLVER, 70, T(GRADIENT) | T(HESSIAN) | T(SPARSE_HESSIAN), T(CONSTRAINTS), PERI_FLAG_AUTOMATIC, 0, 0},
    {"gradient", PERI_KIND_SOLVER, 40, T(GRADIENT), T(CONSTRAINTS) | T(INTEGER), PERI_FLAG_AUTOMATIC, 0, 0},
    {"general", PERI_KIND_SOLVER, 20, T(GRADIENT), T(INTEGER), PERI_FLAG_AUTOMATIC, 0, 0},
    {"special", PERI_KIND_SOLVER, 90, 0, 0, 0, 0, 0},
    {"factors", PERI_KIND_LINEAR_SOLVER, 99, 0, 0, PERI_FLAG_AUTOMATIC, 0, 0},
    {"multiply", PERI_KIND_REFORMULATION, 5, 0, T(INTEGER), PERI_FLAG_AUTOMATIC,
     T(CONSTRAINTS) | T(EQUALITIES) | T(NONLINEAR_CONSTRAINTS) | T(LINEAR_OBJECTIVE) | T(QUADRATIC_OBJECTIVE), T(NONLINEAR_OBJECTIVE)},
    {"relax", PERI_KIND_REFORMULATION, 3, T(INTEGER), 0, PERI_FLAG_AUTOMATIC, T(INTEGER), 0},
    {"again", PERI_KIND_REFORMULATION, 95, 0, 0, 0, 0, 0},
};

/* Files that are no plugins at all, and an index that calls them some. */
static folder with_lines(void)
{
    const folder f = folder_new();
    char index[4096];
    int at = snprintf(index, sizeof index, "perigee-plugins\t2\t%d.%d\n", PERI_ABI_MAJOR, PERI_ABI_MINOR);
    for (size_t k = 0; k < PERI_COUNT(lines); k++) {
        const line *l = &lines[k];
        char name[64], path[600];
        struct stat st;
        snprintf(name, sizeof name, "%s.so", l->name);
        snprintf(path, sizeof path, "%s/%s", f.path, name);
        folder_write(&f, name, "nothing to load", 15);
        stat(path, &st);
        at += snprintf(index + at, sizeof index - (size_t)at,
                       "plugin\t%s\t15\t%lld\t%u\t%s\ttest\tMIT\t%d\t%" PRIx64 "\t%" PRIx64 "\t0\t%" PRIx64
                       "\t%" PRIx64 "\t%" PRIx64 "\t\ta line\n",
                       name, (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec, l->kind, l->name, l->rank,
                       l->needs, l->refuses, l->flags, l->removes, l->adds);
    }
    at += snprintf(index + at, sizeof index - (size_t)at, "end\t%zu\n", PERI_COUNT(lines));
    folder_write(&f, "index", index, (size_t)at);
    return f;
}

static void chooses(peri_model *m, const char *plan, const char *want)
{
    nlp *p = NULL;
    plan_chain c = {0};
    char text[256];
    bool loaded = false;
    is_int(nlp_of(m, &p), PERI_OK, "the view");
    is_int(plan_choose(p, plan, NULL, &c), PERI_OK, "plan \"%s\"", plan != NULL ? plan : "");
    plan_text(&c, text, sizeof text);
    is_text(text, want, "is %s", want);
    for (int64_t k = 0; k < c.n; k++)
        loaded = loaded || c.link[k]->plugin != NULL;
    ok(!loaded, "and is not loaded");
}

static void refuses(peri_model *m, const char *plan, peri_status status, const char *message)
{
    nlp *p = NULL;
    plan_chain c = {0};
    is_int(nlp_of(m, &p), PERI_OK, "the view");
    is_int(plan_choose(p, plan, NULL, &c), status, "plan \"%s\" is refused", plan);
    is_text(peri_error(m->ctx), message, "%s", message);
    is_int(c.n, 0, "and nothing is chosen");
}

static void explains(peri_model *m, const char *plan, const char *want)
{
    char *text = NULL;
    is_int(plan_explain(m, plan, &text), PERI_OK, "an explanation");
    is_text(text != NULL ? text : "", want, "of plan \"%s\"", plan != NULL ? plan : "");
    peri_free_text(m->ctx, text);
}

static void test_free(peri_context *ctx)
{
    text_model t = text_new(ctx, 2, NULL);
    text_minimize(&t, "(x1-1)^4 + x2^2");
    chooses(t.m, NULL, "newton");
    chooses(t.m, "  ", "newton");
    chooses(t.m, "gradient", "gradient");
    chooses(t.m, " special ", "special");
    explains(t.m, NULL,
             "plan: newton\n"
             "  special: fits, used only when named\n"
             "  newton: fits, rank 70; chosen\n"
             "  gradient: fits, rank 40\n"
             "  general: fits, rank 20\n");
    explains(t.m, "gradient", "plan: gradient\n  gradient: named, fits\n");
    refuses(t.m, "gradent", PERI_E_NAME, "no solver \"gradent\" (did you mean \"gradient\"?)");
    refuses(t.m, "factors", PERI_E_NAME, "\"factors\" is a linear solver, not a solver");
    refuses(t.m, "gradient > newton", PERI_E_UNSUPPORTED,
            "plan \"gradient > newton\": \"gradient\" is a solver, must be a reformulation to stand before >");
    refuses(t.m, "penalty > newton", PERI_E_NAME, "plan \"penalty > newton\": no plugin \"penalty\"");
    refuses(t.m, "> newton", PERI_E_NAME,
            "plan \"> newton\": a name is missing, must be \"reformulation > solver\" or \"solver\"");
    peri_model_free(t.m);
}

static void test_constrained(peri_context *ctx)
{
    text_model t = text_new(ctx, 2, NULL);
    text_minimize(&t, "x1^2 + x2^2");
    text_constrain(&t, "c", 1, "x1 + x2", INFINITY);
    chooses(t.m, NULL, "general");
    refuses(t.m, "newton", PERI_E_UNSUPPORTED, "newton: refuses constraints");
    explains(t.m, "newton", "plan: none, no installed solver fits\n  newton: refuses constraints\n");
    explains(t.m, NULL,
             "plan: general\n"
             "  special: fits, used only when named\n"
             "  newton: refuses constraints\n"
             "  gradient: refuses constraints\n"
             "  general: fits, rank 20; chosen\n"
             "  multiply > newton: fits, rank 75, longer than the chosen plan\n");
    chooses(t.m, "multiply > gradient", "multiply > gradient");
    chooses(t.m, "multiply", "multiply > newton");
    chooses(t.m, "again", "again > general");
    chooses(t.m, " again>multiply > special ", "again > multiply > special");
    explains(t.m, "multiply > newton",
             "plan: multiply > newton\n"
             "  step 1, multiply: takes the convex quadratic program and makes problems without constraints and a quadratic objective\n"
             "  step 2, newton: solves the problems made before it\n"
             "  multiply: named, fits\n"
             "  newton: named, fits\n");
    refuses(t.m, "again > newton", PERI_E_UNSUPPORTED, "newton: behind the links before it: refuses constraints; \"again > general\" fits");
    refuses(t.m, "multiply > multiply > newton", PERI_E_UNSUPPORTED,
            "plan \"multiply > multiply > newton\": \"multiply\" stands there twice");
    refuses(t.m, "multiply > nowton", PERI_E_NAME, "no solver \"nowton\" (did you mean \"newton\"?)");
    refuses(t.m, "relax > newton", PERI_E_UNSUPPORTED, "relax: needs integer variables");
    peri_model_free(t.m);
}

/* No solver takes integer variables here: the shortest chain that fits, and of those the one of the highest rank. */
static void test_found(peri_context *ctx)
{
    text_model t = text_new(ctx, 2, NULL);
    text_minimize(&t, "x1^2 + x2^2");
    is_int(peri_model_set_integer(t.m, t.x), PERI_OK, "integer variables");
    chooses(t.m, NULL, "newton"); /* which refuses constraints only */
    text_constrain(&t, "c", 1, "x1 + x2", INFINITY);
    chooses(t.m, NULL, "relax > general");
    explains(t.m, NULL,
             "plan: relax > general\n"
             "  step 1, relax: takes the integer quadratic program and makes problems without integer variables\n"
             "  step 2, general: solves the problems made before it\n"
             "  special: fits, used only when named\n"
             "  newton: refuses constraints\n"
             "  gradient: refuses integer variables and constraints\n"
             "  general: refuses integer variables\n"
             "  multiply: refuses integer variables\n"
             "  relax > general: fits, rank 23\n"
             "  relax > general: the highest rank of the shortest that fit; chosen\n");
    chooses(t.m, "relax > multiply", "relax > multiply > newton");
    peri_model_free(t.m);
}

static int square(void *ud, int64_t n, const double *x, double *f)
{
    (void)ud;
    *f = 0;
    for (int64_t i = 0; i < n; i++)
        *f += x[i] * x[i];
    return 0;
}

static void test_nothing(peri_context *ctx)
{
    static const peri_function fn = {.name = "square", .value = square};
    text_model t = text_new(ctx, 2, NULL);
    peri_expr f = PERI_NO_EXPR;
    is_int(peri_expr_call(t.m, &fn, t.x, &f), PERI_OK, "a function without a gradient");
    is_int(peri_model_minimize(t.m, f), PERI_OK, "as objective");
    refuses(t.m, "gradient", PERI_E_UNSUPPORTED, "gradient: needs first derivatives");
    nlp *p = NULL;
    plan_chain c = {0};
    is_int(nlp_of(t.m, &p), PERI_OK, "the view");
    is_int(plan_choose(p, "", NULL, &c), PERI_E_UNSUPPORTED, "nothing fits");
    has_text(peri_error(ctx), "no installed solver fits this ", "and all reasons are told");
    has_text(peri_error(ctx), "special: fits, used only when named; newton: needs first derivatives", "in one line");
    has_text(peri_error(ctx), "; general: needs first derivatives", "to the last");
    peri_model_free(t.m);
}

static void test_memory(peri_context *ctx)
{
    int64_t k = 1, wrong = 0, leaks = 0;
    for (bool done = false; !done; k++) {
        int64_t before = 0, after = 0;
        char *text = NULL;
        peri_memory(ctx, NULL, NULL, &before);
        text_model t = text_new(ctx, 2, NULL);
        text_minimize(&t, "(x1-1)^4 + x2^2");
        peri_memory_fail_at(ctx, k, k % 2 == 0);
        const peri_status s = plan_explain(t.m, NULL, &text);
        peri_memory_fail_at(ctx, 0, false);
        wrong += s != PERI_OK && s != PERI_E_NOMEM;
        done = s == PERI_OK;
        peri_free_text(ctx, text);
        peri_model_free(t.m);
        peri_memory(ctx, NULL, NULL, &after);
        leaks += before != after;
    }
    is_int(wrong, 0, "out of memory at each of %lld places of an explanation", (long long)k - 2);
    is_int(leaks, 0, "leaks nothing");
}

int main(void)
{
    plan_later();
    const folder f = with_lines();
    peri_context *ctx = context_for(f.path, NULL, 0);
    test_free(ctx);
    test_constrained(ctx);
    test_found(ctx);
    test_nothing(ctx);
    test_memory(ctx);
    peri_context_free(ctx);
    ctx = context_for("/nowhere", NULL, 0);
    text_model t = text_new(ctx, 1, NULL);
    text_minimize(&t, "x1^2");
    refuses(t.m, "", PERI_E_UNSUPPORTED, "no solver is installed");
    peri_model_free(t.m);
    peri_context_free(ctx);
    folder_remove(&f);
    return tap_done();
}
