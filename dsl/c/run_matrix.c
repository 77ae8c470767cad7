/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_matrix.c - sparse matrices and linear systems for plugins in Lua. The engine has columns, Lua's arrays have rows; for each pattern the
 * place of every entry is worked out once and kept with the run. Invariant: entries of a row are in ascending order of their columns.
 */
#include "plugin.h"
#include <stdio.h>
#include <string.h>

static const peri_host *host(void)
{
    return peri_host_functions();
}

/* ---- patterns ------------------------------------------------------------------------------------------------------ */

/* Calls put for each entry of the array that the pattern stands for; a triangle is mirrored. Rows come out in order of columns. */
static void each_entry(const peri_pattern *p, bool symmetric, dsl_array *a, int64_t *place, int64_t *next)
{
    for (int64_t j = 0; j < p->cols; j++)
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++) {
            const int64_t i = p->index[k];
            const int64_t to = next[i]++;
            a->col[to] = j;
            place[to] = k;
            if (symmetric && i != j) {
                const int64_t mirror = next[j]++;
                a->col[mirror] = i;
                place[mirror] = k;
            }
        }
}

dsl_array *matrix_from_csc(lua_State *L, const peri_pattern *p, bool symmetric, const int64_t **place)
{
    int64_t nnz = p->nnz;
    for (int64_t j = 0; symmetric && j < p->cols; j++)
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++)
            nnz += p->index[k] != j;
    dsl_array *a = array_new_sparse(L, p->rows, p->cols, nnz);
    int64_t *to = temporary(L, (size_t)nnz, sizeof *to);
    int64_t *next = temporary(L, (size_t)p->rows + 1, sizeof *next);
    for (int64_t j = 0; j < p->cols; j++)
        for (int64_t k = p->start[j]; k < p->start[j + 1]; k++) {
            a->row_start[p->index[k] + 1]++;
            if (symmetric && p->index[k] != j)
                a->row_start[j + 1]++;
        }
    for (int64_t i = 0; i < p->rows; i++) {
        a->row_start[i + 1] += a->row_start[i];
        next[i] = a->row_start[i];
    }
    each_entry(p, symmetric, a, to, next);
    lua_pop(L, 1);
    *place = to;
    return a;
}

/* ---- matrices of the problem --------------------------------------------------------------------------------------- */

/* In Lua: user value 1 the array whose pattern it is, 2 the places, 3 the values as the engine gives them. */
typedef struct {
    int64_t rows, cols, nnz;
    const int64_t *place;
    double *values; /* [nnz of the engine's pattern] */
} matrix;

enum { MATRIX_ARRAY = 1, MATRIX_PLACE, MATRIX_VALUES };

/* The matrix called `key` in the run's cache, made from the pattern at the first use; pushed. */
static matrix *push_matrix(lua_State *L, dsl_run *r, const char *key, bool symmetric,
                           peri_status (*get)(peri_run *run, peri_pattern *pattern))
{
    peri_pattern pattern;
    lua_getiuservalue(L, 1, RUN_CACHE);
    if (lua_getfield(L, -1, key) == LUA_TUSERDATA) {
        lua_remove(L, -2);
        return lua_touserdata(L, -1);
    }
    lua_pop(L, 1);
    const peri_status status = get(r->run, &pattern);
    if (status != PERI_OK)
        run_raise(L, r, status);
    matrix *q = lua_newuserdatauv(L, sizeof *q, 3);
    const dsl_array *a = matrix_from_csc(L, &pattern, symmetric, &q->place);
    q->rows = a->rows;
    q->cols = a->cols;
    q->nnz = a->nnz;
    lua_setiuservalue(L, -3, MATRIX_PLACE);
    lua_setiuservalue(L, -2, MATRIX_ARRAY);
    q->values = temporary(L, (size_t)pattern.nnz, sizeof *q->values);
    lua_setiuservalue(L, -2, MATRIX_VALUES);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, key);
    lua_remove(L, -2);
    return q;
}

/* An array of that pattern to write to: the one at index i, or a new one; pushed. */
static dsl_array *matrix_output(lua_State *L, int i, int box, const matrix *q, const char *what)
{
    char text[200];
    if (!lua_isnoneornil(L, i)) {
        dsl_array *given = to_array(L, i);
        if (given == NULL || given->nnz != q->nnz || given->rows != q->rows || given->cols != q->cols) {
            describe(L, i, text, sizeof text);
            dsl_raise(L, "%s must be an array that an earlier call gave, not %s", what, text);
        }
        lua_pushvalue(L, i);
        return given;
    }
    lua_getiuservalue(L, box, MATRIX_ARRAY);
    const dsl_array *form = lua_touserdata(L, -1);
    dsl_array *a = array_new_sparse(L, q->rows, q->cols, q->nnz);
    memcpy(a->row_start, form->row_start, (size_t)(q->rows + 1) * sizeof *a->row_start);
    memcpy(a->col, form->col, (size_t)q->nnz * sizeof *a->col);
    lua_remove(L, -2);
    return a;
}

static void spread(const matrix *q, dsl_array *a)
{
    for (int64_t k = 0; k < q->nnz; k++)
        a->data[k] = q->values[q->place[k]];
}

/* With the result on the top: it, or nil where undefined. */
static int give(lua_State *L, dsl_run *r, dsl_call *call, peri_status status, const matrix *q, dsl_array *out)
{
    if (!run_leave(L, r, call, status)) {
        lua_pushnil(L);
        return 1;
    }
    spread(q, out);
    return 1;
}

/* run:jacobian(x, J): m x n, sparse; nil where there are no constraints */
static int l_jacobian(lua_State *L)
{
    dsl_call call;
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 3);
    if (r->m == 0)
        return 0;
    const double *x = run_vector(L, 2, r->n, "jacobian: x");
    const matrix *q = push_matrix(L, r, "jacobian", false, host()->jac_pattern);
    dsl_array *out = matrix_output(L, 3, lua_gettop(L), q, "jacobian: J");
    call_enter(&call, L, NULL, 0);
    return give(L, r, &call, host()->eval_jac(r->run, x, q->values), q, out);
}

/* run:hessian(x, sigma, w, H): sigma hess f + sum of w_i hess c_i, n x n, sparse, both triangles */
static int l_hessian(lua_State *L)
{
    dsl_call call;
    char text[200];
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 5);
    const double *x = run_vector(L, 2, r->n, "hessian: x");
    if (!lua_isnil(L, 3) && lua_type(L, 3) != LUA_TNUMBER) {
        describe(L, 3, text, sizeof text);
        dsl_raise(L, "hessian: sigma must be a number, not %s", text);
    }
    const double sigma = lua_isnil(L, 3) ? 1 : lua_tonumber(L, 3);
    const double *w = run_vector(L, 4, r->m, "hessian: w");
    const matrix *q = push_matrix(L, r, "hessian", true, host()->hess_pattern);
    dsl_array *out = matrix_output(L, 5, lua_gettop(L), q, "hessian: H");
    call_enter(&call, L, NULL, 0);
    return give(L, r, &call, host()->eval_hess(r->run, x, sigma, w, q->values), q, out);
}

/* run:residual_jacobian(x, J) */
static int l_residual_jacobian(lua_State *L)
{
    dsl_call call;
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 3);
    const double *x = run_vector(L, 2, r->n, "residual_jacobian: x");
    const matrix *q = push_matrix(L, r, "residual_jacobian", false, host()->residual_jac_pattern);
    dsl_array *out = matrix_output(L, 3, lua_gettop(L), q, "residual_jacobian: J");
    call_enter(&call, L, NULL, 0);
    return give(L, r, &call, host()->eval_residual_jac(r->run, x, q->values), q, out);
}

/* ---- linear systems ------------------------------------------------------------------------------------------------ */

/* User values: 1 the run, 2 a table with the blocks and functions that it needs. */
typedef struct {
    peri_factor *f; /* NULL: closed */
    dsl_run *run;
    int64_t rows, cols, nnz; /* nnz: of the arrays that are its matrices; of an operator -1 */
    int64_t n_values;
    const int64_t *from; /* [n_values] entry of the array, or -1 */
    const int64_t *diagonal; /* [cols] place of the diagonal entries among the values, where symmetric */
    double *values, *b;  /* b: [max(rows, cols)] */
    bool symmetric, factorised;
} factor;

static factor *check_factor(lua_State *L)
{
    char text[200];
    if (type_of(L, state_of(L), 1) != TYPE_FACTOR) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "%s is not a linear system; methods are called as F:method(...)", text);
    }
    factor *f = lua_touserdata(L, 1);
    if (f->f == NULL || f->run->run == NULL || f->run->owner->run == NULL)
        dsl_raise(L, "this linear system is closed");
    return f;
}

/* Blocks that the pattern lies in while it is being made; all on the stack. */
typedef struct {
    int64_t *start, *index, *from, *diagonal;
    int64_t nnz;
} columns;

/* The numbers of the dense or sparse array's row i: columns and places of the data. */
static int64_t row_entry(const dsl_array *a, int64_t i, int64_t k, int64_t *place)
{
    *place = a->nnz < 0 ? i * a->cols + k : a->row_start[i] + k;
    return a->nnz < 0 ? k : a->col[*place];
}

static int64_t row_length(const dsl_array *a, int64_t i)
{
    return a->nnz < 0 ? a->cols : a->row_start[i + 1] - a->row_start[i];
}

static void check_order(lua_State *L, const dsl_array *a)
{
    for (int64_t i = 0; a->nnz >= 0 && i < a->rows; i++)
        for (int64_t k = a->row_start[i] + 1; k < a->row_start[i + 1]; k++)
            if (a->col[k - 1] >= a->col[k])
                dsl_raise(L, "factor: the entries of row %lld of the matrix must be in ascending order, each once", (long long)i + 1);
}

/* Row i of the upper triangle is column i of the lower one; a diagonal entry that is missing is made. */
static columns lower_triangle(lua_State *L, const dsl_array *a)
{
    int64_t most = a->rows;
    for (int64_t i = 0; i < a->rows; i++)
        most += row_length(a, i);
    columns c = {.start = temporary(L, (size_t)a->cols + 1, sizeof(int64_t)),
                 .index = temporary(L, (size_t)most, sizeof(int64_t)),
                 .from = temporary(L, (size_t)most, sizeof(int64_t)),
                 .diagonal = temporary(L, (size_t)a->cols, sizeof(int64_t))};
    for (int64_t i = 0; i < a->rows; i++) {
        c.start[i] = c.diagonal[i] = c.nnz;
        c.index[c.nnz] = i;
        c.from[c.nnz++] = -1;
        for (int64_t k = 0, place; k < row_length(a, i); k++) {
            const int64_t j = row_entry(a, i, k, &place);
            if (j == i) {
                c.from[c.diagonal[i]] = place;
            } else if (j > i) {
                c.index[c.nnz] = j;
                c.from[c.nnz++] = place;
            }
        }
    }
    c.start[a->rows] = c.nnz;
    return c;
}

static columns all_columns(lua_State *L, const dsl_array *a)
{
    columns c = {.nnz = 0};
    for (int64_t i = 0; i < a->rows; i++)
        c.nnz += row_length(a, i);
    c.start = temporary(L, (size_t)a->cols + 2, sizeof(int64_t));
    c.index = temporary(L, (size_t)c.nnz, sizeof(int64_t));
    c.from = temporary(L, (size_t)c.nnz, sizeof(int64_t));
    int64_t place;
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t k = 0; k < row_length(a, i); k++)
            c.start[row_entry(a, i, k, &place) + 2]++;
    for (int64_t j = 0; j < a->cols; j++)
        c.start[j + 2] += c.start[j + 1];
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t k = 0; k < row_length(a, i); k++) {
            const int64_t to = c.start[row_entry(a, i, k, &place) + 1]++;
            c.index[to] = i;
            c.from[to] = place;
        }
    return c; /* start[j + 1] has moved to the end of column j */
}

/* What the options at index 3 ask for; the solver's name stays on the stack. */
static uint64_t read_needs(lua_State *L, const char **solver)
{
    static const struct {
        const char *name;
        uint64_t flag;
    } words[] = {{"definite", PERI_FLAG_DEFINITE},
                 {"quasidefinite", PERI_FLAG_QUASIDEFINITE},
                 {"indefinite", PERI_FLAG_INDEFINITE},
                 {"general", PERI_FLAG_GENERAL},
                 {"least_squares", PERI_FLAG_LEAST_SQUARES}};
    static const char *const keys[] = {"needs", "solver", NULL};
    char text[200];
    *solver = NULL;
    if (lua_type(L, 3) == LUA_TSTRING) {
        lua_pushvalue(L, 3);
    } else {
        if (!lua_istable(L, 3))
            dsl_raise(L, "factor: what is needed is \"definite\", \"indefinite\" ..., or { needs = ..., solver = ... }");
        check_options(L, 3, "factor", keys);
        lua_getfield(L, 3, "solver");
        *solver = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        lua_getfield(L, 3, "needs");
    }
    for (size_t k = 0; lua_type(L, -1) == LUA_TSTRING && k < sizeof words / sizeof words[0]; k++)
        if (strcmp(words[k].name, lua_tostring(L, -1)) == 0)
            return words[k].flag;
    describe(L, -1, text, sizeof text);
    dsl_raise(L, "factor: needs is one of definite, quasidefinite, indefinite, general, least_squares, not %s", text);
}

static factor *new_factor(lua_State *L, dsl_run *r)
{
    factor *f = box_new(L, TYPE_FACTOR, sizeof *f, 2);
    f->run = r;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_newtable(L);
    lua_setiuservalue(L, -2, 2);
    return f;
}

/* The factor at `box` keeps the value at index i. */
static void keep(lua_State *L, int box, int i)
{
    lua_getiuservalue(L, box, 2);
    lua_pushvalue(L, i);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
}

static double *kept_numbers(lua_State *L, int box, int64_t n)
{
    double *numbers = temporary(L, (size_t)n, sizeof *numbers);
    keep(L, box, lua_gettop(L));
    lua_pop(L, 1);
    return numbers;
}

/* run:factor(A, needs): a linear system with matrices of A's pattern */
static int l_factor(lua_State *L)
{
    const char *solver;
    char text[200];
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 3);
    luaL_checkstack(L, 40, "factor");
    const dsl_array *a = to_array(L, 2);
    const uint64_t needs = read_needs(L, &solver);
    const bool symmetric = (needs & (PERI_FLAG_GENERAL | PERI_FLAG_LEAST_SQUARES)) == 0;
    if (a == NULL || (!(needs & PERI_FLAG_LEAST_SQUARES) && a->rows != a->cols)) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "factor: the matrix must be a %sarray, not %s", needs & PERI_FLAG_LEAST_SQUARES ? "" : "square ", text);
    }
    check_order(L, a);
    factor *f = new_factor(L, r);
    const int box = lua_gettop(L);
    const columns c = symmetric ? lower_triangle(L, a) : all_columns(L, a);
    for (int i = box + 1, last = lua_gettop(L); i <= last; i++)
        keep(L, box, i);
    f->rows = a->rows;
    f->cols = a->cols;
    f->nnz = a->nnz < 0 ? a->rows * a->cols : a->nnz;
    f->n_values = c.nnz;
    f->from = c.from;
    f->diagonal = c.diagonal;
    f->symmetric = symmetric;
    f->values = kept_numbers(L, box, c.nnz);
    f->b = kept_numbers(L, box, a->rows > a->cols ? a->rows : a->cols);
    const peri_pattern pattern = {a->rows, a->cols, c.nnz, c.start, c.index};
    dsl_call call;
    call_enter(&call, L, NULL, 0);
    (void)run_leave(L, r, &call, host()->factor_open(r->run, solver, &pattern, needs, &f->f));
    lua_settop(L, box);
    return 1;
}

/* F:values(A, shift): true and the numbers of positive, negative and zero eigenvalues (negative -1: not told); false: singular */
static int l_values(lua_State *L)
{
    char text[200];
    dsl_call call;
    peri_inertia inertia = {0, -1, 0};
    lua_settop(L, 3);
    factor *f = check_factor(L);
    const dsl_array *a = to_array(L, 2);
    if (f->nnz < 0)
        dsl_raise(L, "values: an operator has none; solve at once");
    if (a == NULL || a->rows != f->rows || a->cols != f->cols || (a->nnz < 0 ? a->rows * a->cols : a->nnz) != f->nnz) {
        describe(L, 2, text, sizeof text);
        dsl_raise(L, "values: a matrix of the pattern that the system was opened with is needed, not %s", text);
    }
    if (!lua_isnil(L, 3) && lua_type(L, 3) != LUA_TNUMBER) {
        describe(L, 3, text, sizeof text);
        dsl_raise(L, "values: the shift must be a number, not %s", text);
    }
    const double shift = lua_isnil(L, 3) ? 0 : lua_tonumber(L, 3);
    for (int64_t k = 0; k < f->n_values; k++)
        f->values[k] = f->from[k] >= 0 ? a->data[f->from[k]] : 0;
    for (int64_t j = 0; f->symmetric && j < f->cols; j++)
        f->values[f->diagonal[j]] += shift;
    call_enter(&call, L, NULL, 0);
    peri_status status = host()->factor_values(f->f, f->values, f->symmetric ? &inertia : NULL);
    f->factorised = status == PERI_OK;
    const bool singular = status == PERI_E_NUMERIC && !call.failed;
    (void)run_leave(L, f->run, &call, singular ? PERI_OK : status);
    lua_pushboolean(L, !singular);
    if (singular || !f->symmetric)
        return 1;
    lua_pushinteger(L, inertia.positive);
    lua_pushinteger(L, inertia.negative);
    lua_pushinteger(L, inertia.zero);
    return 4;
}

/* F:solve(b, x): the solution, or nil where there is none */
static int solve(lua_State *L, const char *what, bool transposed)
{
    dsl_call call;
    lua_settop(L, 3);
    factor *f = check_factor(L);
    const int64_t n_in = transposed ? f->cols : f->rows, n_out = transposed ? f->rows : f->cols;
    if (f->nnz >= 0 && !f->factorised)
        dsl_raise(L, "%s: the system has no values yet, or singular ones; call F:values first", what);
    const double *b = run_vector(L, 2, n_in, what);
    double *x = run_output(L, 3, n_out, 1, what);
    memcpy(f->b, b, (size_t)n_in * sizeof *b);
    call_enter(&call, L, NULL, 0);
    const peri_status status = transposed ? host()->factor_solve_transposed(f->f, f->b) : host()->factor_solve(f->f, f->b);
    const bool none = status == PERI_E_NUMERIC && !call.failed;
    (void)run_leave(L, f->run, &call, none ? PERI_OK : status);
    if (none) {
        lua_pushnil(L);
        return 1;
    }
    memcpy(x, f->b, (size_t)n_out * sizeof *x);
    return 1;
}

static int l_solve(lua_State *L)
{
    return solve(L, "solve: b", false);
}

static int l_solve_transposed(lua_State *L)
{
    return solve(L, "solve_transposed: b", true);
}

/* F:strengthen(): false: there is no more pivoting to be had */
static int l_strengthen(lua_State *L)
{
    factor *f = check_factor(L);
    const peri_status status = host()->factor_strengthen(f->f);
    if (status != PERI_OK && status != PERI_E_UNSUPPORTED)
        run_raise(L, f->run, status);
    lua_pushboolean(L, status == PERI_OK);
    return 1;
}

static int l_name(lua_State *L)
{
    lua_pushstring(L, host()->factor_name(check_factor(L)->f));
    return 1;
}

static int l_iterations(lua_State *L)
{
    lua_pushinteger(L, host()->factor_iterations(check_factor(L)->f));
    return 1;
}

/* close(), __gc and __close: what the run has not closed yet */
static int l_close(lua_State *L)
{
    factor *f = lua_touserdata(L, 1);
    peri_factor *open = f->f;
    f->f = NULL;
    if (open != NULL && f->run->run != NULL && f->run->owner->run != NULL)
        host()->factor_close(open);
    return 0;
}

static int l_close_method(lua_State *L)
{
    (void)check_factor(L);
    return l_close(L);
}

/* ---- operators ----------------------------------------------------------------------------------------------------- */

typedef struct {
    factor *f;
    const double *v;
    double *av;
    const char *name; /* of the function */
} product;

/* Under lua_pcall. 1: the product (light) */
static int protected_product(lua_State *L)
{
    char what[60];
    const product *p = lua_touserdata(L, 1);
    const int64_t n = p->f->cols;
    lua_getiuservalue(L, lua_upvalueindex(1), UV_CALLEES);
    lua_rawgetp(L, -1, p->f);
    lua_getiuservalue(L, -1, 2);
    lua_getfield(L, -1, p->name);
    run_push_copy(L, p->v, n);
    lua_call(L, 1, 1);
    snprintf(what, sizeof what, "operator: the result of %s", p->name);
    memcpy(p->av, run_vector(L, lua_gettop(L), n, what), (size_t)n * sizeof *p->av);
    return 0;
}

static peri_status multiply(factor *f, const char *name, const double *v, double *av)
{
    product p = {f, v, av, name};
    dsl_state *s = f->run->owner->plugin->state;
    return callback_call(s, s->main, protected_product, &p) ? PERI_OK : PERI_E_CALLBACK;
}

static peri_status apply_operator(void *ud, const double *v, double *av)
{
    return multiply(ud, "apply", v, av);
}

static peri_status apply_transposed(void *ud, const double *v, double *av)
{
    return multiply(ud, "apply_transposed", v, av);
}

static peri_status precondition(void *ud, const double *v, double *av)
{
    return multiply(ud, "precondition", v, av);
}

static bool take_function(lua_State *L, const char *key)
{
    char text[200];
    const int type = lua_getfield(L, 2, key);
    if (type != LUA_TNIL && type != LUA_TFUNCTION) {
        describe(L, -1, text, sizeof text);
        dsl_raise(L, "operator: %s must be a function, not %s", key, text);
    }
    lua_setfield(L, -2, key);
    return type == LUA_TFUNCTION;
}

/* run:operator({ n =, apply =, apply_transposed =, precondition = }, needs): a system with a matrix that is known by its products */
static int l_operator(lua_State *L)
{
    static const char *const keys[] = {"n", "apply", "apply_transposed", "precondition", NULL};
    const char *solver;
    dsl_call call;
    dsl_run *r = check_run(L, 1);
    lua_settop(L, 3);
    if (!lua_istable(L, 2))
        dsl_raise(L, "operator: a table is needed, { n =, apply = function(v) ... end }");
    check_options(L, 2, "operator", keys);
    const uint64_t needs = read_needs(L, &solver);
    lua_getfield(L, 2, "n");
    const int64_t n = lua_isnil(L, -1) ? r->n : check_integer(L, -1, "operator: n");
    if (n < 1)
        dsl_raise(L, "operator: n must be at least 1");
    factor *f = new_factor(L, r);
    const int box = lua_gettop(L);
    lua_getiuservalue(L, box, 2);
    peri_operator op = {.n = n, .ud = f};
    if (!take_function(L, "apply"))
        dsl_raise(L, "operator: apply is missing, a function of v that gives A v");
    op.apply = apply_operator;
    op.apply_transposed = take_function(L, "apply_transposed") ? apply_transposed : NULL;
    op.precondition = take_function(L, "precondition") ? precondition : NULL;
    lua_settop(L, box);
    f->rows = f->cols = n;
    f->nnz = -1;
    f->b = kept_numbers(L, box, n);
    lua_getiuservalue(L, lua_upvalueindex(1), UV_CALLEES);
    lua_pushvalue(L, box);
    lua_rawsetp(L, -2, f);
    call_enter(&call, L, NULL, 0);
    (void)run_leave(L, r, &call, host()->factor_open_operator(r->run, solver, &op, needs, &f->f));
    lua_settop(L, box);
    return 1;
}

/* F:method(...). The second upvalue has the methods. */
static int l_index(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL)
        return 1;
    if (lua_type(L, 2) != LUA_TSTRING)
        dsl_raise(L, "linear system: its methods have names");
    raise_unknown(L, lua_upvalueindex(2), "linear system", lua_tostring(L, 2));
}

const luaL_Reg run_matrix_methods[] = {{"jacobian", l_jacobian}, {"hessian", l_hessian},   {"residual_jacobian", l_residual_jacobian},
                                       {"factor", l_factor},     {"operator", l_operator}, {NULL, NULL}};
const luaL_Reg factor_methods[] = {{"values", l_values},         {"solve", l_solve}, {"solve_transposed", l_solve_transposed},
                                   {"strengthen", l_strengthen}, {"name", l_name},   {"iterations", l_iterations},
                                   {"close", l_close_method},    {NULL, NULL}};
const luaL_Reg factor_metamethods[] = {{"__index", l_index}, {"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
