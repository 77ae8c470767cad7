/* SPDX-License-Identifier: Apache-2.0 */
/*
 * warm.c - portable warm starts: what a solution knows, by name, in the user's sense, so that it means the same to another solver and to another
 * model with the same names. Files are JSON with a version; a result file (sol:save, --json) is one too. Invariant: values that are used are
 * finite and have the shape of what they are for; all else is left out and told.
 */
#include "run/warm.h"
#include "io/json.h"
#include "io/json_read.h"
#include "io/token.h"
#include <math.h>
#include <string.h>

static const char FORMAT[] = "perigee warm start";
enum { LAYOUT = 1, PARTS = 3 };
static const char *const part_name[PARTS] = {"variables", "duals", "reduced_costs"};

typedef struct {
    const char *name;
    int64_t rows, cols;
    double *value; /* [rows * cols] */
} warm_entry;

struct peri_warm_start {
    peri_context *ctx;
    arena memory;
    const char *model;
    VEC(warm_entry) part[PARTS];
    hash_map place[PARTS]; /* hash of a name -> entry */
};

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

static peri_status make(peri_context *ctx, peri_warm_start **out)
{
    peri_warm_start *ws = mem_alloc(&ctx->mem, sizeof *ws);
    *out = ws;
    if (ws == NULL)
        return FAIL_NOMEM(ctx);
    ws->ctx = ctx;
    arena_init(&ws->memory, &ctx->mem);
    for (int k = 0; k < PARTS; k++)
        hash_init(&ws->place[k], &ctx->mem);
    context_retain(ctx);
    return PERI_OK;
}

void peri_warm_start_free(peri_warm_start *ws)
{
    if (ws == NULL)
        return;
    peri_context *ctx = ws->ctx;
    for (int k = 0; k < PARTS; k++) {
        vec_free(&ctx->mem, &ws->part[k]);
        hash_release(&ws->place[k]);
    }
    arena_release(&ws->memory);
    mem_free(&ctx->mem, ws, sizeof *ws);
    context_release(ctx);
}

/* A new entry of zeros; a name that is there already is replaced. */
static peri_status add(peri_warm_start *ws, int part, const char *name, int64_t rows, int64_t cols, double **value)
{
    const warm_entry e = {arena_string(&ws->memory, name), rows, cols, arena_array(&ws->memory, (size_t)(rows * cols), sizeof **value)};
    *value = e.value;
    if (e.name == NULL || e.value == NULL || !vec_push(&ws->ctx->mem, &ws->part[part], e) ||
        !hash_put(&ws->place[part], hash_bytes(name, strlen(name)), ws->part[part].n - 1))
        return FAIL_NOMEM(ws->ctx);
    return PERI_OK;
}

static const warm_entry *find(const peri_warm_start *ws, int part, const char *name)
{
    int64_t k;
    if (!hash_get(&ws->place[part], hash_bytes(name, strlen(name)), &k) || strcmp(ws->part[part].at[k].name, name) != 0)
        return NULL;
    return &ws->part[part].at[k];
}

/* ---- from a solution ------------------------------------------------------------------------------------------------------------ */

static void copy(double *to, const double *from, int64_t n, double sign)
{
    for (int64_t k = 0; k < n; k++)
        to[k] = from[k] != 0 ? sign * from[k] : from[k];
}

static peri_status take(peri_warm_start *ws, const peri_solution *s)
{
    const peri_model *m = s->model;
    const double sign = m->maximize ? -1 : 1;
    double *value;
    ws->model = arena_string(&ws->memory, m->name);
    if (ws->model == NULL)
        return FAIL_NOMEM(ws->ctx);
    for (int64_t i = 0; i < m->vars.n; i++) {
        const model_var *v = &m->vars.at[i];
        const int64_t at = v->at, rows = expr_at(m->g, v->node)->rows, cols = expr_at(m->g, v->node)->cols;
        if (at < 0 || at >= s->n)
            continue;
        TRY(add(ws, PERI_WARM_VARIABLES, v->name, rows, cols, &value));
        copy(value, s->x + at, v->size, 1);
        TRY(add(ws, PERI_WARM_REDUCED_COSTS, v->name, rows, cols, &value));
        copy(value, s->z + at, v->size, sign);
    }
    for (int64_t i = 0; i < m->cons.n && m->cons.at[i].row < s->m; i++) {
        const model_constraint *c = &m->cons.at[i];
        if (!model_takes_part(m, c->level))
            continue;
        TRY(add(ws, PERI_WARM_DUALS, c->name, expr_at(m->g, c->body)->rows, expr_at(m->g, c->body)->cols, &value));
        copy(value, s->y + c->row, c->size, sign);
    }
    return PERI_OK;
}

static peri_status finish(peri_warm_start *ws, peri_status status, peri_warm_start **out)
{
    *out = status == PERI_OK ? ws : NULL;
    if (status != PERI_OK)
        peri_warm_start_free(ws);
    return status;
}

peri_status peri_solution_warm_start(peri_solution *s, peri_warm_start **out)
{
    peri_warm_start *ws;
    *out = NULL;
    TRY(make(s->ctx, &ws));
    return finish(ws, take(ws, s), out);
}

/* ---- as text ---------------------------------------------------------------------------------------------------------------------- */

static void write_entry(json_writer *w, const warm_entry *e)
{
    json_key(w, e->name);
    if (e->rows == 1 && e->cols == 1) {
        json_number(w, e->value[0]);
        return;
    }
    if (e->cols == 1) {
        json_numbers(w, e->rows, e->value);
        return;
    }
    json_open_array(w);
    for (int64_t i = 0; i < e->rows; i++)
        json_numbers(w, e->cols, e->value + i * e->cols);
    json_close(w);
}

peri_status peri_warm_start_json(peri_warm_start *ws, char **out)
{
    json_writer w;
    json_init(&w, &ws->ctx->mem);
    json_open_object(&w);
    json_key(&w, "format");
    json_text(&w, FORMAT);
    json_key(&w, "version");
    json_integer(&w, LAYOUT);
    json_key(&w, "model");
    json_text(&w, ws->model);
    for (int k = 0; k < PARTS; k++) {
        json_key(&w, part_name[k]);
        json_open_object(&w);
        for (int64_t i = 0; i < ws->part[k].n; i++)
            write_entry(&w, &ws->part[k].at[i]);
        json_close(&w);
    }
    json_close(&w);
    return json_finish(&w, ws->ctx, out);
}

peri_status peri_warm_start_save(peri_warm_start *ws, const char *path)
{
    char *text;
    TRY(peri_warm_start_json(ws, &text));
    const peri_status status = io_replace(ws->ctx, NULL, path, text, strlen(text));
    mem_array_free(&ws->ctx->mem, text);
    return status;
}

/* ---- from text ---------------------------------------------------------------------------------------------------------------------- */

static peri_status not_an_array(const peri_warm_start *ws, const char *file, int part, const json_value *v)
{
    return FAIL(ws->ctx, PERI_E_PARSE, "%s: %s.%s must be a number, a list of numbers or a list of rows of the same length", file,
                part_name[part], v->key);
}

/* Rows and columns of what is a number, a list of numbers or a list of such; false: something else */
static bool shape_of(const json_value *v, int64_t *rows, int64_t *cols)
{
    double x;
    *rows = *cols = 1;
    if (json_to_number(v, &x))
        return true;
    if (v->type != JSON_ARRAY || v->n == 0)
        return false;
    *rows = v->n;
    if (v->first->type == JSON_ARRAY)
        *cols = v->first->n;
    for (const json_value *r = v->first; r != NULL; r = r->next) {
        if (r->type != v->first->type && (r->type == JSON_ARRAY || v->first->type == JSON_ARRAY))
            return false;
        if (r->type == JSON_ARRAY ? r->n != *cols : !json_to_number(r, &x))
            return false;
        for (const json_value *e = r->type == JSON_ARRAY ? r->first : NULL; e != NULL; e = e->next)
            if (!json_to_number(e, &x))
                return false;
    }
    return *cols > 0;
}

static void read_numbers(const json_value *v, double *value)
{
    if (v->type != JSON_ARRAY) {
        (void)json_to_number(v, value);
        return;
    }
    for (const json_value *r = v->first; r != NULL; r = r->next) {
        if (r->type != JSON_ARRAY) {
            (void)json_to_number(r, value++);
            continue;
        }
        for (const json_value *e = r->first; e != NULL; e = e->next)
            (void)json_to_number(e, value++);
    }
}

static peri_status read_part(peri_warm_start *ws, const char *file, int part, const json_value *root)
{
    const json_value *object = json_member(root, part_name[part]);
    if (object == NULL || object->type == JSON_NULL)
        return PERI_OK;
    if (object->type != JSON_OBJECT)
        return FAIL(ws->ctx, PERI_E_PARSE, "%s: %s must be an object, from names to values", file, part_name[part]);
    for (const json_value *v = object->first; v != NULL; v = v->next) {
        int64_t rows, cols;
        double *value;
        if (!shape_of(v, &rows, &cols))
            return not_an_array(ws, file, part, v);
        TRY(add(ws, part, v->key, rows, cols, &value));
        read_numbers(v, value);
    }
    return PERI_OK;
}

static peri_status check_header(const peri_warm_start *ws, const char *file, const json_value *root)
{
    const json_value *format = json_member(root, "format"), *version = json_member(root, "version");
    const bool is_result = json_member(root, "status") != NULL;
    const bool is_ours = format != NULL && format->type == JSON_TEXT && strcmp(format->text, FORMAT) == 0;
    if (!is_result && !is_ours)
        return FAIL(ws->ctx, PERI_E_PARSE, "%s: neither a warm start (\"format\": \"%s\") nor a result of perigee", file, FORMAT);
    if (is_ours && (version == NULL || version->type != JSON_NUMBER || version->number < 1))
        return FAIL(ws->ctx, PERI_E_PARSE, "%s: a warm start needs its \"version\"", file);
    if (is_ours && version->number > LAYOUT)
        return FAIL(ws->ctx, PERI_E_UNSUPPORTED, "%s: version %g of a warm start; this perigee reads up to version %d", file,
                    version->number, LAYOUT);
    if (json_member(root, "variables") == NULL)
        return FAIL(ws->ctx, PERI_E_PARSE, "%s: has no \"variables\"", file);
    return PERI_OK;
}

static peri_status read_all(peri_warm_start *ws, const char *file, const char *text, size_t size)
{
    const json_value *root;
    TRY(json_parse(ws->ctx, &ws->memory, file, text, size, &root));
    TRY(check_header(ws, file, root));
    const json_value *model = json_member(root, "model");
    ws->model = model != NULL && model->type == JSON_TEXT ? model->text : "";
    for (int k = 0; k < PARTS; k++)
        TRY(read_part(ws, file, k, root));
    return PERI_OK;
}

peri_status peri_warm_start_parse(peri_context *ctx, const char *name, const char *text, size_t size, peri_warm_start **out)
{
    peri_warm_start *ws;
    *out = NULL;
    TRY(make(ctx, &ws));
    return finish(ws, read_all(ws, name, text, size), out);
}

peri_status peri_warm_start_read(peri_context *ctx, const char *path, peri_warm_start **out)
{
    char *text;
    size_t size;
    *out = NULL;
    TRY(io_read_all(ctx, NULL, path, &text, &size));
    const peri_status status = peri_warm_start_parse(ctx, path, text, size, out);
    mem_array_free(&ctx->mem, text);
    return status;
}

/* ---- asking ---------------------------------------------------------------------------------------------------------------------------- */

const char *peri_warm_start_model(const peri_warm_start *ws)
{
    return ws->model;
}

int64_t peri_warm_start_count(const peri_warm_start *ws, peri_warm_part part)
{
    return (unsigned)part < PARTS ? ws->part[part].n : 0;
}

const char *peri_warm_start_get(const peri_warm_start *ws, peri_warm_part part, int64_t k, peri_array *value)
{
    if ((unsigned)part >= PARTS || k < 0 || k >= ws->part[part].n)
        return NULL;
    const warm_entry *e = &ws->part[part].at[k];
    *value = (peri_array){.rows = e->rows, .cols = e->cols, .data = e->value, .nnz = -1};
    return e->name;
}

/* ---- use ---------------------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const peri_warm_start *ws;
    peri_model *m;
    int64_t used, all;
    const char *first; /* name that was not used, and why */
    const char *why;
} fitting;

static void leave_out(fitting *f, const char *name, const char *why)
{
    if (f->first == NULL) {
        f->first = name;
        f->why = why;
    }
}

/* Copies an entry that fits; true: it did. */
static bool fit(fitting *f, int part, const char *name, expr_id node, double sign, double *to)
{
    const warm_entry *e = find(f->ws, part, name);
    const int64_t rows = expr_at(f->m->g, node)->rows, cols = expr_at(f->m->g, node)->cols;
    f->all++;
    if (e == NULL)
        leave_out(f, name, "is not in it");
    else if (e->rows != rows || e->cols != cols)
        leave_out(f, name, "has another shape there");
    else if (!nlp_is_finite(rows * cols, e->value))
        leave_out(f, name, "is not finite there");
    else {
        copy(to, e->value, rows * cols, sign);
        f->used++;
        return true;
    }
    return false;
}

static void tell(peri_run *run, const fitting *f, const char *what)
{
    if (f->first != NULL)
        log_write(run->ctx, 0, "warm start: %lld of %lld %s used; \"%s\" %s", (long long)f->used, (long long)f->all, what, f->first, f->why);
}

static peri_status apply(peri_run *run, const peri_warm_start *ws, double *x, double *y, double *z, bool *has_duals)
{
    peri_model *m = run->model;
    fitting vars = {ws, m, 0, 0, NULL, NULL}, costs = vars, cons = vars;
    const double sign = m->maximize ? -1 : 1;
    for (int64_t i = 0; i < m->vars.n; i++) {
        const model_var *v = &m->vars.at[i];
        const int64_t at = v->at;
        if (at < 0)
            continue;
        (void)fit(&vars, PERI_WARM_VARIABLES, v->name, v->node, 1, x + at);
        (void)fit(&costs, PERI_WARM_REDUCED_COSTS, v->name, v->node, sign, z + at);
    }
    for (int64_t i = 0; i < m->cons.n; i++)
        if (model_takes_part(m, m->cons.at[i].level))
            (void)fit(&cons, PERI_WARM_DUALS, m->cons.at[i].name, m->cons.at[i].body, sign, y + m->cons.at[i].row);
    if (vars.used == 0)
        return FAIL(run->ctx, PERI_E_ARGUMENT, "warm start: no variable of model \"%s\" can be used: \"%s\" %s", m->name, vars.first, vars.why);
    *has_duals = cons.used > 0 || costs.used > 0;
    tell(run, &vars, "variables");
    if (*has_duals)
        tell(run, &cons, "constraints' multipliers");
    return PERI_OK;
}

peri_status warm_apply(peri_run *run, const peri_warm_start *ws, peri_solution *from, double *x, double *y, double *z, bool *has_duals)
{
    peri_warm_start *made = NULL;
    if (ws == NULL)
        TRY(peri_solution_warm_start(from, &made));
    const peri_status status = apply(run, ws != NULL ? ws : made, x, y, z, has_duals);
    peri_warm_start_free(made);
    return status;
}
