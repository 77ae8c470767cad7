/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abi - binaries of past minor versions of the interface (tests/plugin/abi) are loaded and solve: what their tables do not have is
 * zero in ours, what they say is kept, and the answers are right. Known optimum: (x1 - 1.25)^2 + 2 (x2 + 0.75)^2 is 0 at
 * (1.25, -0.75); on x1 + x2 = 1 it is 1/6 at (19/12, -7/12), multiplier 2/3.
 */
#include "plugin/registry.h"
#include "tap/tap.h"
#include "unit/plugin_folder.h"
#include "unit/text_model.h"

static const char *const FILES[] = {"abi_1_0", "abi_1_0_linear"};

static peri_context *context_of(const folder *f)
{
    char path[2048], target[1024], name[64];
    const char *source = getenv("PERIGEE_SOURCE");
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
        snprintf(name, sizeof name, "%s.so", FILES[i]);
        snprintf(target, sizeof target, "%s/tests/plugin/abi/%s-x86_64-linux.so", source != NULL ? source : ".", FILES[i]);
        folder_link(f, name, target);
    }
    snprintf(path, sizeof path, "%s:%s", f->path, built("plugins"));
    return context_for(path, NULL, 0);
}

static bool all_zero(const uint64_t *words)
{
    return (words[0] | words[1] | words[2] | words[3]) == 0;
}

static const peri_plugin *loaded(peri_context *ctx, const char *name, uint32_t kind)
{
    registry *r = NULL;
    registry_entry *e = NULL;
    const peri_plugin *p = NULL;
    const bool good = registry_get(ctx, &r) == PERI_OK && registry_find(r, name, kind, &e) == PERI_OK &&
                      registry_load(r, e, &p) == PERI_OK;
    if (!ok(good, "%s: is loaded", name))
        diag("%s", peri_error(ctx));
    return good ? p : NULL;
}

static void test_solver_table(peri_context *ctx)
{
    const peri_plugin *p = loaded(ctx, "abi_1_0", PERI_KIND_SOLVER);
    if (p == NULL)
        return;
    is_int(p->stamp.major, 1, "the solver is of ABI 1");
    is_int(p->stamp.minor, 0, "minor 0");
    ok(p->stamp.size_plugin < sizeof *p, "its table ends before ours: %u of %zu bytes", p->stamp.size_plugin, sizeof *p);
    ok(all_zero(p->removes) && all_zero(p->adds), "what it does not have is zero");
    for (size_t k = p->stamp.size_plugin; k < sizeof *p; k++)
        if (((const unsigned char *)p)[k] != 0)
            ok(false, "byte %zu behind its table is zero", k);
    is_int(p->n_options, 6, "its options are there");
    is_text(p->options[5].text, "descent", "to the last field");
    is_int((int64_t)p->gives, PERI_GIVES_DUALS, "and what it gives");
}

static void test_linear_table(peri_context *ctx)
{
    const peri_plugin *p = loaded(ctx, "abi_1_0_linear", PERI_KIND_LINEAR_SOLVER);
    if (p == NULL)
        return;
    const peri_linear_solver_ops *ops = p->ops;
    is_int(p->stamp.minor, 0, "the linear solver is of minor 0");
    ok(p->size_ops < sizeof *ops, "its operations end before ours: %u of %zu bytes", p->size_ops, sizeof *ops);
    ok(ops->analyse != NULL && ops->factor != NULL && ops->solve != NULL && ops->strengthen == NULL, "its own are there");
    ok(ops->analyse_general == NULL && ops->solve_transposed == NULL && ops->attach == NULL && ops->iterations == NULL,
       "those it does not know are NULL");
}

static void test_solve(peri_context *ctx, bool constrained, const char *plan, const char *linear_solver)
{
    const double start[] = {0, 0};
    const peri_setting setting = {.key = "linear_solver", .type = PERI_VALUE_TEXT, .text = linear_solver};
    const peri_solve_args args = {.plan = plan, .n_settings = linear_solver != NULL, .settings = &setting};
    const char *name = linear_solver != NULL ? linear_solver : plan;
    double x[2] = {NAN, NAN}, y = NAN;
    peri_constraint row = -1;
    peri_solution *s = NULL;
    text_model t = text_new(ctx, 2, start);
    text_minimize(&t, "(x1-1.25)^2 + 2*(x2+0.75)^2");
    if (constrained)
        row = text_constrain(&t, "line", 1, "x1 + x2", 1);
    if (!is_int(peri_model_solve(t.m, &args, &s), PERI_OK, "%s: solves", name))
        diag("%s", peri_error(ctx));
    if (s == NULL) {
        peri_model_free(t.m);
        return;
    }
    is_int(peri_outcome_exit_status(peri_solution_outcome(s)), 0, "%s: is certified", name);
    is_int(peri_solution_value(s, t.x, x), PERI_OK, "%s: the point", name);
    is_close(x[0], constrained ? 19.0 / 12 : 1.25, 1e-7, 1e-7, "%s: x1", name);
    is_close(x[1], constrained ? -7.0 / 12 : -0.75, 1e-7, 1e-7, "%s: x2", name);
    if (constrained && is_int(peri_solution_dual(s, row, &y), PERI_OK, "%s: the multiplier", name))
        is_close(y, 2.0 / 3, 1e-6, 1e-6, "%s: its value", name);
    peri_solution_free(s);
    peri_model_free(t.m);
}

int main(void)
{
#if !defined(__x86_64__) || !defined(__linux__)
    skip_all("the binaries are for x86-64 Linux");
#else
    plan_later();
    const folder f = folder_new();
    peri_context *ctx = context_of(&f);
    test_solver_table(ctx);
    test_linear_table(ctx);
    test_solve(ctx, false, "abi_1_0", NULL);
    test_solve(ctx, true, "ipm", "abi_1_0_linear");
    peri_context_free(ctx);
    folder_remove(&f);
    return tap_done();
#endif
}
