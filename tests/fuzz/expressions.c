/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expressions.c - expressions built by a small program of four-byte instructions, operation and arguments: they print, the interpreter, compiled
 * programs at every level of instructions and the grouped graph agree on them, and on their gradients, where values are moderate and do not
 * jump. What cannot be built is refused with one line.
 */
#include "diff/diff.h"
#include "eval/program.h"
#include "fuzz.h"
#include "model/model.h"

#include <math.h>
#include <string.h>

enum { POOL = 60, LARGEST = 64, N = 9, N_P = 3 };

typedef struct {
    peri_context *ctx;
    peri_model *m;
    expr_graph *g;
    double x[N], near[N], p[N_P];
    int n;
    peri_expr at[POOL];
    bool rough[POOL]; /* may jump, or is too large to compare */
} pool;

static const double X[N] = {0.7193, -1.2851, 2.385, 0.3117, -0.4423, 1.1379, 0.9041, -0.2718, 0.5772};

static bool jumps(peri_op op)
{
    return op == PERI_OP_SIGN || op == PERI_OP_STEP || op == PERI_OP_WHERE || op == PERI_OP_ATAN2;
}

static void interpret(pool *p, const double *x, expr_id e, double *out)
{
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = x, [EXPR_IN_PARAM] = p->p};
    FUZZ_CHECK(expr_interpret(p->g, 1, &e, inputs, &out) == PERI_OK, "%s", peri_error(p->ctx));
}

/* All entries are moderate numbers here and hardly other ones nearby. */
static bool is_tame(pool *p, expr_id e)
{
    double v[LARGEST], w[LARGEST];
    interpret(p, p->x, e, v);
    interpret(p, p->near, e, w);
    for (int64_t i = 0; i < expr_size(p->g, e); i++)
        if (!(fabs(v[i]) < 1e4) || !(fabs(v[i] - w[i]) < 1e-9)) /* inputs differ by 1e-13 */
            return false;
    return true;
}

static void keep(pool *p, peri_expr e, bool rough)
{
    int64_t rows = 0, cols = 0;
    peri_expr_shape(p->m, e, &rows, &cols);
    FUZZ_CHECK(rows >= 0 && cols >= 0 && rows * cols == expr_size(p->g, e), "%lld x %lld", (long long)rows, (long long)cols);
    if (rows * cols > LARGEST || rows * cols == 0 || p->n == POOL)
        return;
    p->rough[p->n] = rough || !is_tame(p, e);
    p->at[p->n++] = e;
}

static void check_refusal(pool *p, peri_status status)
{
    FUZZ_CHECK(status == PERI_E_SHAPE || status == PERI_E_INDEX || status == PERI_E_ARGUMENT || status == PERI_E_UNSUPPORTED,
               "%s: %s", peri_status_name(status), peri_error(p->ctx));
    FUZZ_CHECK(peri_error(p->ctx)[0] != '\0' && strchr(peri_error(p->ctx), '\n') == NULL, "%s", peri_error(p->ctx));
}

static int arity(int op)
{
    static const signed char count[] = {
#define PERI_OP(constant, name, arguments, kind) arguments,
#include <perigee/op.def>
#undef PERI_OP
    };
    return count[op];
}

/* One instruction; below PERI_OP_COUNT the operation, above it what has a constructor of its own. */
static void build(pool *p, const uint8_t *code)
{
    const int a = code[1] % p->n, b = code[2] % p->n, c = code[3] % p->n;
    const peri_expr args[] = {p->at[a], p->at[b], p->at[c]};
    const int op = code[0] % (PERI_OP_COUNT + 8);
    const int64_t rows = 1 + code[2] % 6, cols = 1 + code[3] % 6;
    int n = 1;
    peri_expr e = PERI_NO_EXPR;
    peri_status status;
    switch (op - PERI_OP_COUNT) {
    case 0:
        status = peri_expr_number(p->m, ((double)code[1] - 128) / (1 + code[2] % 16), &e);
        break;
    case 1:
        status = peri_expr_reshape(p->m, args[0], rows, cols, &e);
        break;
    case 2:
        status = peri_expr_range(p->m, args[0], rows, 1, (int64_t)code[3] % 20 - 2, 1 + code[3] % 3, &e);
        break;
    case 3:
        status = peri_expr_stack(p->m, 3, args, &e);
        n = 3;
        break;
    case 4:
        status = peri_expr_along(p->m, (peri_op)(code[2] % PERI_OP_COUNT), args[0], 1 + code[3] % 3, &e);
        break;
    case 5:
        status = peri_expr_hstack(p->m, 2, args, &e);
        n = 2;
        break;
    case 6:
        status = peri_expr_kron(p->m, args[0], args[1], &e);
        n = 2;
        break;
    case 7:
        status = peri_expr_bmm(p->m, args[0], args[1], 1 + code[3] % 4, &e);
        n = 2;
        break;
    default:
        n = arity(op) >= 0 ? arity(op) : 1 + code[3] % 3;
        status = peri_expr_op(p->m, (peri_op)op, n, args, &e);
        break;
    }
    if (status != PERI_OK) {
        check_refusal(p, status);
        return;
    }
    keep(p, e, (op < PERI_OP_COUNT && jumps((peri_op)op)) || (op == PERI_OP_COUNT + 4 && jumps((peri_op)(code[2] % PERI_OP_COUNT))) ||
                   p->rough[a] || (n > 1 && p->rough[b]) || (n > 2 && p->rough[c]));
}

/* As the interpreter's, up to what functions of two libraries and sums in another order may differ by. */
static void compare(pool *p, expr_graph *g, expr_id e, const double *want, bool checked, const char *what)
{
    static const char *const levels[] = {"portable", "sse2", "avx2", "avx512"};
    const double *const inputs[EXPR_IN_COUNT] = {[EXPR_IN_X] = p->x, [EXPR_IN_PARAM] = p->p};
    const eval_output output = {e, 0, 0};
    double got[LARGEST], *out = got;
    for (size_t l = 0; l < sizeof levels / sizeof levels[0]; l++) {
        eval_program *program = NULL;
        if (!eval_force_simd(p->ctx, levels[l]))
            continue;
        FUZZ_CHECK(eval_compile(g, 1, &output, &program) == PERI_OK, "%s", peri_error(p->ctx));
        FUZZ_CHECK(eval_run(program, inputs, &out) == PERI_OK, "%s", peri_error(p->ctx));
        eval_free(program);
        for (int64_t i = 0; i < expr_size(g, e) && checked; i++)
            FUZZ_CHECK(fabs(got[i] - want[i]) <= 1e-6 * (1 + fabs(want[i])), "%s, %s, entry %lld: %.17g, the interpreter says %.17g",
                       what, levels[l], (long long)i, got[i], want[i]);
    }
}

static void check(pool *p, expr_id e, bool rough, const char *what)
{
    double want[LARGEST];
    expr_id rolled = -1;
    char *text = NULL;
    FUZZ_CHECK(peri_expr_text(p->m, e, 2000, &text) == PERI_OK && text[0] != '\0', "%s", peri_error(p->ctx));
    peri_free_text(p->ctx, text);
    interpret(p, p->x, e, want);
    compare(p, p->g, e, want, !rough, what);
    peri_model *other = peri_model_new(p->ctx, "rolled");
    FUZZ_CHECK(other != NULL && diff_roll(p->g, 1, &e, other->g, &rolled) == PERI_OK, "%s", peri_error(p->ctx));
    compare(p, other->g, rolled, want, !rough, what);
    peri_model_free(other);
}

/* The sum of an expression's entries, and its gradient. */
static void differentiate(pool *p, expr_id e, bool rough)
{
    expr_id sum = -1, gradient = -1;
    if (expr_unary(p->g, PERI_OP_SUM, e, &sum) != PERI_OK)
        return;
    const peri_status status = peri_expr_gradient(p->m, sum, p->at[0], &gradient);
    if (status != PERI_OK) {
        check_refusal(p, status);
        return;
    }
    check(p, gradient, rough || !is_tame(p, gradient), "the gradient");
}

/* A vector, a matrix and a scalar of variables, a parameter, two numbers. */
static void make_leaves(pool *p)
{
    static const double parameter[N_P] = {1.3, -0.9, 2.2};
    peri_expr e[6];
    memcpy(p->p, parameter, sizeof parameter);
    const bool made = peri_model_var(p->m, "x", 3, 1, &e[0]) == PERI_OK && peri_model_var(p->m, "X", 2, 2, &e[1]) == PERI_OK &&
                      peri_model_var(p->m, "row", 1, 2, &e[2]) == PERI_OK &&
                      peri_model_param(p->m, "p", N_P, 1, N_P, parameter, &e[3]) == PERI_OK &&
                      peri_expr_range(p->m, e[0], 1, 1, 1, 1, &e[4]) == PERI_OK && peri_expr_number(p->m, 2, &e[5]) == PERI_OK;
    FUZZ_CHECK(made, "%s", peri_error(p->ctx));
    for (int i = 0; i < 6; i++)
        keep(p, e[i], false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pool p = {.ctx = peri_context_new(NULL)};
    p.m = peri_model_new(p.ctx, "fuzz");
    FUZZ_CHECK(p.m != NULL, "no model");
    p.g = p.m->g;
    for (int i = 0; i < N; i++) {
        p.x[i] = X[i];
        p.near[i] = X[i] * (1 + 1e-13);
    }
    make_leaves(&p);
    for (size_t at = 0; at + 4 <= size && at < 4 * 48; at += 4)
        build(&p, data + at);
    for (int k = p.n - 1; k >= 0 && k >= p.n - 6; k--) {
        check(&p, p.at[k], p.rough[k], "an expression");
        differentiate(&p, p.at[k], p.rough[k]);
    }
    peri_model_free(p.m);
    peri_context_free(p.ctx);
    return 0;
}
