/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cxx_host - both public headers in one C++ translation unit, without a warning; a C++ host that loads a C++ plugin and solves with
 * it; and the plugin of the first interface. The problem: minimize (x1 - 1.25)^2 + 2 (x2 + 0.75)^2, optimum 0 at (1.25, -0.75).
 */
#include <perigee/perigee.h>
#include <perigee/plugin.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <unistd.h>

namespace
{

int tests = 0, failures = 0;

void ok(bool passed, const std::string &name)
{
    tests++;
    failures += !passed;
    std::printf("%sok %d - %s\n", passed ? "" : "not ", tests, name.c_str());
}

bool link_into(const std::string &folder, const char *name)
{
    const char *build = std::getenv("PERIGEE_BUILD");
    const std::string from = std::string(build != nullptr ? build : ".") + "/tests/plugin/" + name;
    return symlink(from.c_str(), (folder + "/" + name).c_str()) == 0;
}

peri_status weighted_square(peri_model *m, peri_expr x, double centre, double weight, peri_expr *out)
{
    peri_expr c = PERI_NO_EXPR, w = PERI_NO_EXPR, d = PERI_NO_EXPR;
    TRY(peri_expr_number(m, centre, &c));
    TRY(peri_expr_number(m, weight, &w));
    const peri_expr difference[] = {x, c};
    TRY(peri_expr_op(m, PERI_OP_SUB, 2, difference, &d));
    const peri_expr square[] = {d, d};
    TRY(peri_expr_op(m, PERI_OP_MUL, 2, square, &d));
    const peri_expr product[] = {w, d};
    return peri_expr_op(m, PERI_OP_MUL, 2, product, out);
}

peri_status build(peri_model *m, peri_expr *x)
{
    peri_expr first = PERI_NO_EXPR, second = PERI_NO_EXPR, f = PERI_NO_EXPR;
    TRY(peri_model_var(m, "x", 2, 1, x));
    TRY(peri_expr_range(m, *x, 1, 1, 0, 1, &first));
    TRY(peri_expr_range(m, *x, 1, 1, 1, 1, &second));
    TRY(weighted_square(m, first, 1.25, 1, &first));
    TRY(weighted_square(m, second, -0.75, 2, &second));
    const peri_expr terms[] = {first, second};
    TRY(peri_expr_op(m, PERI_OP_ADD, 2, terms, &f));
    return peri_model_minimize(m, f);
}

void solve(peri_context *ctx, const char *solver)
{
    const std::string name = solver;
    peri_expr x = PERI_NO_EXPR;
    peri_model *m = peri_model_new(ctx, "quadratic");
    ok(m != nullptr && build(m, &x) == PERI_OK, name + ": the model");
    peri_solve_args args = {};
    args.plan = solver;
    peri_solution *s = nullptr;
    ok(peri_model_solve(m, &args, &s) == PERI_OK, name + ": solved " + peri_error(ctx));
    double at[2] = {0, 0};
    ok(s != nullptr && peri_solution_value(s, x, at) == PERI_OK, name + ": the point");
    /* kkt <= 1e-8 with second derivatives 2 and 4: the point is right to 1e-8 */
    ok(std::fabs(at[0] - 1.25) < 2e-8 && std::fabs(at[1] + 0.75) < 2e-8, name + ": is the optimum");
    ok(s != nullptr && peri_outcome_exit_status(peri_solution_outcome(s)) == 0, name + ": and is certified");
    peri_solution_free(s);
    peri_model_free(m);
}

} // namespace

int main()
{
    const char *tmp = std::getenv("TMPDIR");
    std::string folder = std::string(tmp != nullptr ? tmp : "/tmp") + "/perigee-test-XXXXXX";
    ok(mkdtemp(&folder[0]) != nullptr, "a folder");
    ok(link_into(folder, "cxx_descent.so") && link_into(folder, "abi_1_0.so"), "with the plugins");
    peri_config config = {};
    config.plugin_path = folder.c_str();
    peri_context *ctx = peri_context_new(&config);
    ok(ctx != nullptr && std::strcmp(peri_version(), PERI_VERSION) == 0, "a context");
    solve(ctx, "cxx_descent");
    solve(ctx, "abi_1_0");
    peri_context_free(ctx);
    unlink((folder + "/cxx_descent.so").c_str());
    unlink((folder + "/abi_1_0.so").c_str());
    rmdir(folder.c_str());
    std::printf("1..%d\n", tests);
    return failures != 0;
}
