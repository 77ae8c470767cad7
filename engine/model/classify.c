/* SPDX-License-Identifier: Apache-2.0 */
/*
 * classify.c - what a problem is: traits, linear rows, and a name. Invariant: a trait that promises something (CONVEX,
 * LEAST_SQUARES, linear) is set only where it is proven; what is not proven is said to be nonlinear. Parameters count
 * with their present values.
 */
#include "model/curvature.h"
#include "model/internal.h"
#include "model/quadratic.h"
#include <stdio.h>
#include <string.h>

/* Single rows whose quadratic form is factorised at the most: each needs a Hessian of its own. */
enum { QUADRATIC_ROWS = 32 };

typedef struct {
    peri_model *m;
    model_class *out;
    curvature_table table;
    const model_levels *levels; /* NULL: there are no lower models */
    int32_t level;          /* classified alone; -1: all that takes part */
    const peri_model *owner; /* of the objective */
    unsigned char *held;    /* [entries of the class X] of other levels; NULL: none */
    int64_t n, m_rows;      /* variables and rows that are looked at */
    curvature objective;    /* of the minimization */
    int64_t quadratic_rows; /* of degree two */
    bool rows_convex;       /* the constraints' set is proven convex */
} classifier;

static void set(classifier *c, peri_trait trait, bool yes)
{
    if (yes)
        c->out->traits |= PERI_BIT(trait);
}

static bool has(const classifier *c, peri_trait trait)
{
    return (c->out->traits & PERI_BIT(trait)) != 0;
}

/* ---- which part of the model
 * ------------------------------------------------------------------------------------------------------- */

static bool takes(const classifier *c, int32_t level)
{
    const int32_t of = c->levels != NULL ? c->levels->level[level] : 0;
    return c->level < 0 ? of != MODEL_LEVEL_NONE : of == c->level;
}

static bool takes_block(const classifier *c, int64_t i)
{
    return takes(c, c->m->cons.at[i].level);
}

static int64_t count_lower(const classifier *c)
{
    return c->levels != NULL && c->level < 0 ? c->levels->n - 1 : 0;
}

/* ---- variables and sides
 * ------------------------------------------------------------------------------------------------------- */

static void look_at_variables(classifier *c)
{
    const peri_model *m = c->m;
    bool bounds = false;
    for (int64_t i = 0; i < m->vars.n; i++) {
        const model_var *v = &m->vars.at[i];
        if (!takes(c, v->level))
            continue;
        for (int64_t j = v->offset - m->vars.at[0].offset, end = j + v->size; j < end; j++) {
            bounds = bounds || isfinite(m->lower.at[j]) || isfinite(m->upper.at[j]);
            c->out->fixed += m->lower.at[j] >= m->upper.at[j];
        }
        c->n += v->size;
        c->out->integers += v->integer ? v->size : 0;
    }
    for (int64_t i = 0; i < m->cons.n; i++) {
        c->m_rows += takes_block(c, i) ? m->cons.at[i].size : 0;
        for (int64_t k = 0; takes_block(c, i) && k < m->cons.at[i].size; k++)
            c->out->equalities += m->cons.at[i].lower[k] >= m->cons.at[i].upper[k];
    }
    set(c, PERI_TRAIT_BOUNDS, bounds);
    set(c, PERI_TRAIT_INTEGER, c->out->integers > 0);
    set(c, PERI_TRAIT_CONSTRAINTS, c->m_rows > 0);
    set(c, PERI_TRAIT_EQUALITIES, c->out->equalities > 0);
    set(c, PERI_TRAIT_OBJECTIVE, c->owner->objective != PERI_NO_EXPR);
    set(c, PERI_TRAIT_LEVELS, count_lower(c) > 0);
    set(c, PERI_TRAIT_MULTILEVEL, count_lower(c) > 1);
    int64_t row;
    const bool plain = c->owner == m && count_lower(c) == 0; /* as far as is seen here: the view finds out */
    set(c, PERI_TRAIT_ACYCLIC, plain && model_acyclic_of(m, &row) != NULL);
}

/* ---- constraints
 * ------------------------------------------------------------------------------------------------------------------ */

/* Whether { lower <= row <= upper } is convex; affine rows are. */
static peri_status row_is_convex(classifier *c, const model_constraint *block, int64_t k, curvature row, bool *convex)
{
    const bool below = isfinite(block->lower[k]), above = isfinite(block->upper[k]);
    *convex = (!below || (row.marks & CURV_CONCAVE)) && (!above || (row.marks & CURV_CONVEX));
    if (*convex || row.degree != 2 || (below && above) || c->quadratic_rows > QUADRATIC_ROWS)
        return PERI_OK;
    return quadratic_is_convex(c->m, block->body, k, above ? 1 : -1, &(quadratic_part){c->level, c->held}, convex);
}

static peri_status look_at_block(classifier *c, const model_constraint *block, int64_t first)
{
    const bool linear = curvature_at(&c->table, block->body).degree <= 1;
    for (int64_t k = 0; k < block->size; k++) {
        const curvature row = linear ? curvature_at(&c->table, block->body) : curvature_of_entry(&c->table, block->body, k);
        c->out->linear_row[first + k] = row.degree <= 1;
        c->out->linear_rows += row.degree <= 1;
        if (row.degree <= 1)
            continue;
        c->quadratic_rows += row.degree == 2;
        if (c->rows_convex)
            TRY(row_is_convex(c, block, k, row, &c->rows_convex));
    }
    return PERI_OK;
}

static peri_status look_at_constraints(classifier *c)
{
    int64_t row = 0;
    c->rows_convex = true;
    for (int64_t i = 0; i < c->m->cons.n; i++) {
        if (!takes_block(c, i))
            continue;
        TRY(look_at_block(c, &c->m->cons.at[i], row));
        row += c->m->cons.at[i].size;
    }
    set(c, PERI_TRAIT_NONLINEAR_CONSTRAINTS, c->out->linear_rows < c->m_rows);
    return PERI_OK;
}

/* ---- the objective
 * --------------------------------------------------------------------------------------------------------------- */

static peri_status look_at_objective(classifier *c)
{
    const peri_model *m = c->owner;
    bool convex = true;
    if (m->objective == PERI_NO_EXPR) {
        set(c, PERI_TRAIT_LINEAR_OBJECTIVE, true);
    } else {
        c->objective = curvature_at(&c->table, m->objective);
        if (m->maximize)
            c->objective = curvature_negated(c->objective);
        convex = (c->objective.marks & CURV_CONVEX) != 0 || c->objective.degree <= 1;
        set(c, PERI_TRAIT_LINEAR_OBJECTIVE, c->objective.degree <= 1);
        set(c, PERI_TRAIT_QUADRATIC_OBJECTIVE, c->objective.degree == 2);
        set(c, PERI_TRAIT_NONLINEAR_OBJECTIVE, c->objective.degree > 2);
        set(c, PERI_TRAIT_LEAST_SQUARES, c->objective.degree > 0 && (c->objective.marks & CURV_SQUARES));
    }
    if (!convex && c->rows_convex && c->objective.degree == 2)
        TRY(quadratic_is_convex(c->m, m->objective, 0, m->maximize ? -1 : 1, &(quadratic_part){c->level, c->held}, &convex));
    set(c, PERI_TRAIT_CONVEX, convex && c->rows_convex && c->out->integers == 0 && count_lower(c) == 0);
    return PERI_OK;
}

/* ---- operations without derivatives
 * -------------------------------------------------------------------------------------------------- */

static bool reads_variables(const classifier *c, expr_id e)
{
    const expr_id *args;
    const int32_t n = expr_args(c->m->g, e, &args);
    for (int32_t k = 0; k < n; k++)
        if (curvature_at(&c->table, args[k]).degree > 0)
            return true;
    return false;
}

/* owner 1: the objective; 2 + i: constraint block i; after those a lower level's objective */
static void describe(const classifier *c, const char *what, int32_t owner, char *text, size_t size)
{
    if (text[0] != '\0')
        return;
    if (owner == 1)
        snprintf(text, size, "%s in the objective", what);
    else if (owner >= c->m->cons.n + 2)
        snprintf(text, size, "%s in the objective of \"%.60s\"", what, c->levels->model[owner - c->m->cons.n - 1]->name);
    else
        snprintf(text, size, "%s in constraint \"%s\"", what, c->m->cons.at[owner - 2].name);
}

static bool look_at_operation(classifier *c, expr_id e, int32_t owner)
{
    const expr_graph *g = c->m->g;
    const int op = expr_at(g, e)->op;
    model_class *out = c->out;
    char what[96];
    if (!expr_is_nonsmooth(op) && op != PERI_OP_CALL && op != PERI_OP_CALLGRAD && op != PERI_OP_RULE)
        return false;
    if (!reads_variables(c, e))
        return false;
    if (expr_is_nonsmooth(op)) {
        describe(c, peri_op_name((peri_op)op), owner, out->why_nonsmooth, sizeof out->why_nonsmooth);
        set(c, PERI_TRAIT_NONSMOOTH, true);
        return false;
    }
    if (op == PERI_OP_RULE) {
        const expr_rule *rule = g->rules.at[expr_at(g, e)->ref];
        if (rule->nonsmooth) {
            describe(c, rule->name, owner, out->why_nonsmooth, sizeof out->why_nonsmooth);
            set(c, PERI_TRAIT_NONSMOOTH, true);
        }
        return false;
    }
    const peri_function *fn = &g->calls.at[expr_at(g, e)->ref];
    if (fn->nonsmooth) {
        snprintf(what, sizeof what, "%.60s", fn->name);
        describe(c, what, owner, out->why_nonsmooth, sizeof out->why_nonsmooth);
        set(c, PERI_TRAIT_NONSMOOTH, true);
    }
    if (op == PERI_OP_CALLGRAD || fn->gradient == NULL) {
        snprintf(what, sizeof what, "function \"%.60s\" without a gradient", fn->name);
        describe(c, what, owner, out->why_blackbox, sizeof out->why_blackbox);
        set(c, PERI_TRAIT_BLACKBOX, true);
    }
    return true;
}

/* max(a, 0)^2 has a derivative everywhere, although max(a, 0) has not: penalties are made of it. */
static bool squared_hinge(const expr_graph *g, expr_id e)
{
    const expr_node *node = expr_at(g, e);
    return node->op == PERI_OP_SQUARE && expr_at(g, node->arg[0])->op == PERI_OP_RELU;
}

/* From the roots down, but not through STOP: what is below has no part in derivatives. Each node belongs to the first
 * root above it. */
static peri_status look_at_operations(classifier *c)
{
    const expr_graph *g = c->m->g;
    const peri_model *m = c->m;
    const expr_id top = c->table.top;
    bool calls = false;
    c->out->has_norm = c->table.has_norm;
    set(c, PERI_TRAIT_GRADIENT, !c->table.has_special);
    set(c, PERI_TRAIT_HESSIAN, !c->table.has_special);
    set(c, PERI_TRAIT_SPARSE_HESSIAN, !c->table.has_special);
    set(c, PERI_TRAIT_PROX, !c->table.has_special && count_lower(c) == 0);
    set(c, PERI_TRAIT_COMPACT, !c->table.has_special && count_lower(c) == 0);
    if (!c->table.has_special)
        return PERI_OK;
    int32_t *owner = mem_array(g->m, (size_t)top + 1, sizeof *owner);
    if (owner == NULL)
        return FAIL_NOMEM(m->ctx);
    for (int64_t k = count_lower(c); k > 0; k--)
        owner[c->levels->model[k]->objective] = (int32_t)(m->cons.n + 1 + k);
    for (int64_t i = m->cons.n; i-- > 0;)
        if (takes_block(c, i))
            owner[m->cons.at[i].body] = (int32_t)i + 2;
    if (c->owner->objective != PERI_NO_EXPR)
        owner[c->owner->objective] = 1;
    for (expr_id e = top; e >= 0; e--) {
        const expr_id *args;
        if (owner[e] == 0 || expr_at(g, e)->op == PERI_OP_STOP)
            continue;
        calls = look_at_operation(c, e, owner[e]) || calls;
        const int32_t n = expr_args(g, e, &args);
        for (int32_t k = 0; k < n; k++) {
            const expr_id arg = squared_hinge(g, e) ? expr_at(g, args[k])->arg[0] : args[k];
            if (owner[arg] == 0 || owner[arg] > owner[e])
                owner[arg] = owner[e];
        }
    }
    mem_array_free(g->m, owner);
    const bool gradient = !has(c, PERI_TRAIT_BLACKBOX);
    set(c, PERI_TRAIT_GRADIENT, gradient);
    set(c, PERI_TRAIT_HESSIAN, gradient && !calls);
    set(c, PERI_TRAIT_SPARSE_HESSIAN, gradient && !calls);
    set(c, PERI_TRAIT_PROX, gradient && count_lower(c) == 0); /* as far as is seen here: the view finds out */
    set(c, PERI_TRAIT_COMPACT, gradient && count_lower(c) == 0);
    return PERI_OK;
}

/* ---- the name
 * ------------------------------------------------------------------------------------------------------------------------
 */

enum {
    NAME_LINEAR,
    NAME_QUADRATIC,
    NAME_CONVEX_QUADRATIC,
    NAME_QCQP,
    NAME_CONVEX_QCQP,
    NAME_LINEAR_SQUARES,
    NAME_SQUARES,
    NAME_CONVEX,
    NAME_NONLINEAR,
    NAME_CONVEX_NONSMOOTH,
    NAME_NONSMOOTH,
    NAME_BLACKBOX,
    NAME_LINEAR_SYSTEM,
    NAME_CONVEX_SYSTEM,
    NAME_SYSTEM,
    NAMES
};

#define NAMES_WITH(prefix)                                                                                             \
    {                                                                                                                  \
        prefix "linear program", prefix "quadratic program", prefix "convex quadratic program",                        \
            prefix "quadratically constrained program", prefix "convex quadratically constrained program",             \
            prefix "linear least-squares problem", prefix "least-squares problem", prefix "convex program",            \
            prefix "nonlinear program", prefix "convex non-smooth program", prefix "non-smooth program",               \
            prefix "black-box program", prefix "linear feasibility problem", prefix "convex feasibility problem",      \
            prefix "nonlinear feasibility problem"                                                                     \
    }

static int kind_of(const classifier *c)
{
    const bool convex = has(c, PERI_TRAIT_CONVEX), linear_rows = !has(c, PERI_TRAIT_NONLINEAR_CONSTRAINTS);
    const bool quadratic_rows = c->out->linear_rows + c->quadratic_rows == c->m_rows;
    const bool squares = has(c, PERI_TRAIT_LEAST_SQUARES) && c->m_rows == 0;
    if (has(c, PERI_TRAIT_BLACKBOX))
        return NAME_BLACKBOX;
    if (has(c, PERI_TRAIT_NONSMOOTH))
        return convex ? NAME_CONVEX_NONSMOOTH : NAME_NONSMOOTH;
    if (!has(c, PERI_TRAIT_OBJECTIVE))
        return linear_rows ? NAME_LINEAR_SYSTEM : convex ? NAME_CONVEX_SYSTEM : NAME_SYSTEM;
    if (squares)
        return c->objective.degree == 2 ? NAME_LINEAR_SQUARES : NAME_SQUARES;
    if (has(c, PERI_TRAIT_LINEAR_OBJECTIVE) && linear_rows)
        return NAME_LINEAR;
    if (has(c, PERI_TRAIT_QUADRATIC_OBJECTIVE) && linear_rows)
        return convex ? NAME_CONVEX_QUADRATIC : NAME_QUADRATIC;
    if (!has(c, PERI_TRAIT_NONLINEAR_OBJECTIVE) && quadratic_rows)
        return convex ? NAME_CONVEX_QCQP : NAME_QCQP;
    return convex ? NAME_CONVEX : NAME_NONLINEAR;
}

static const char *class_name(const classifier *c)
{
    static const char *const names[3][3][NAMES] = {
        {NAMES_WITH(""), NAMES_WITH("unconstrained "), NAMES_WITH("bound-constrained ")},
        {NAMES_WITH("mixed-integer "), NAMES_WITH("mixed-integer unconstrained "),
         NAMES_WITH("mixed-integer bound-constrained ")},
        {NAMES_WITH("integer "), NAMES_WITH("integer unconstrained "), NAMES_WITH("integer bound-constrained ")}};
    static const char *const with_levels[2][2] = {{"two-level program", "multilevel program"},
                                                  {"mixed-integer two-level program", "mixed-integer multilevel program"}};
    if (has(c, PERI_TRAIT_LEVELS))
        return with_levels[c->out->integers > 0][has(c, PERI_TRAIT_MULTILEVEL)];
    const int integer = c->out->integers == 0 ? 0 : c->out->integers < c->n ? 1 : 2;
    const int region = c->m_rows > 0 ? 0 : has(c, PERI_TRAIT_BOUNDS) ? 2 : 1;
    return names[integer][region][kind_of(c)];
}

/* ---- all of it
 * ------------------------------------------------------------------------------------------------------------------------
 */

static peri_status init_table(classifier *c)
{
    const peri_model *m = c->m;
    int64_t n = 0;
    expr_id *roots = mem_array(m->g->m, (size_t)(m->cons.n + 1 + count_lower(c)), sizeof *roots);
    if (roots == NULL)
        return FAIL_NOMEM(m->ctx);
    for (int64_t i = 0; i < m->cons.n; i++)
        if (takes_block(c, i))
            roots[n++] = m->cons.at[i].body;
    if (c->owner->objective != PERI_NO_EXPR)
        roots[n++] = c->owner->objective;
    for (int64_t k = 1; k <= count_lower(c); k++)
        roots[n++] = c->levels->model[k]->objective;
    const peri_status status = curvature_init(&c->table, m, c->held, n, roots);
    mem_array_free(m->g->m, roots);
    return status;
}

static peri_status classify(classifier *c, unsigned char *linear_row)
{
    *c->out = (model_class){.linear_row = linear_row};
    TRY(init_table(c));
    look_at_variables(c);
    peri_status status = look_at_constraints(c);
    if (status == PERI_OK)
        status = look_at_objective(c);
    if (status == PERI_OK)
        status = look_at_operations(c);
    if (status == PERI_OK)
        c->out->class_name = class_name(c);
    curvature_release(&c->table);
    return status;
}

peri_status model_classify(peri_model *m, unsigned char *linear_row, model_class *out)
{
    model_levels levels;
    classifier c = {.m = m, .out = out, .level = -1, .owner = m};
    if (m->nested.n == 0)
        return classify(&c, linear_row);
    TRY(model_levels_of(m, &levels));
    c.levels = &levels;
    const peri_status status = classify(&c, linear_row);
    model_levels_free(m, &levels);
    return status;
}

peri_status model_classify_level(peri_model *m, const model_levels *levels, int32_t k, unsigned char *linear_row, model_class *out)
{
    classifier c = {.m = m, .out = out, .levels = levels, .level = k, .owner = levels->model[k]};
    c.held = mem_array(m->g->m, (size_t)m->g->n_x, 1);
    if (c.held == NULL)
        return FAIL_NOMEM(m->ctx);
    for (int64_t i = 0; i < m->vars.n; i++)
        if (levels->level[m->vars.at[i].level] != k)
            memset(c.held + m->vars.at[i].offset, 1, (size_t)m->vars.at[i].size);
    const peri_status status = classify(&c, linear_row);
    mem_array_free(m->g->m, c.held);
    return status;
}
