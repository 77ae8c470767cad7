/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.c - the file is a header (magic, size and hash of the rest) and named blocks in a fixed order, in this machine's byte order. One
 * function lists what belongs to a run and is used in both directions, so that reading and writing cannot differ. Invariants: the file is
 * replaced whole or not at all; what is read has passed its hash, and is of the same model (fingerprint of its graph, bounds and
 * parameters), method and version; a damaged, cut or foreign file changes nothing.
 */
#include "run/checkpoint.h"
#include "base/clock.h"
#include "base/text.h"
#include "expr/node.h"
#include "io/token.h"
#include "plugin/option.h"
#include "run/inner.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SPARING = 20 }; /* states are taken between two files so rarely that it costs no more than a part in so many of the time */

static const char MAGIC[8] = {'P', 'E', 'R', 'I', 'G', 'C', 'K', '1'};

typedef struct {
    char magic[8];
    uint64_t size, hash; /* of what follows */
} header;

typedef struct {
    uint64_t fingerprint, order;
    uint64_t n, m, options;
    char plugin[64], plugin_version[32], engine_version[32];
} identity;

struct checkpoint {
    const char *path, *from; /* to write; to resume from; NULL: neither */
    double every, written;   /* seconds; when */
    char *data;              /* the file that is resumed from; NULL: none */
    size_t size, at;         /* of it */
    text_buffer out;         /* the last state that was taken: a whole file */
    bool writing, taken;     /* it is being made; it is there and no file has it yet */
    double taken_at, cost;   /* when, and the seconds that it took */
    char told[256];          /* what was last told to have failed */
};

/* ---- whose state it is ------------------------------------------------------------------------------------------------------------- */

static uint64_t hash_doubles(uint64_t h, int64_t n, const double *v)
{
    return hash_join(h, hash_bytes(v, (size_t)n * sizeof *v));
}

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

/* A node by its operation, shape, data and the numbers of its arguments among the nodes that are reached. */
static uint64_t hash_node(const expr_graph *g, expr_id e, const int32_t *place)
{
    const expr_node *node = expr_at(g, e);
    const expr_id *list;
    uint64_t h = hash_join(hash_join(node->op, (uint64_t)node->rows), (uint64_t)node->cols);
    if (node->op == PERI_OP_CONST)
        return hash_join(h, expr_size(g, e) == 1 && !expr_is_sparse(g, e) ? bits_of(node->value) : g->consts.at[node->ref].hash);
    if (node->op == PERI_OP_INPUT)
        return hash_join(hash_join(h, node->class_), (uint64_t)node->ref);
    if (node->op == PERI_OP_GATHER)
        h = hash_join(h, (node->flags & EXPR_AFFINE) ? hash_join((uint64_t)node->first, (uint64_t)node->stride) : g->lists.at[node->index].hash);
    const int32_t n = expr_args(g, e, &list);
    for (int32_t k = 0; k < n; k++)
        h = hash_join(h, (uint64_t)place[list[k]]);
    for (int32_t k = 0; node->op == PERI_OP_SCATTER && k < n; k++)
        h = hash_join(h, g->lists.at[list[n + k]].hash);
    return h;
}

static uint64_t hash_graph(const peri_model *m, const unsigned char *reach, int32_t *place)
{
    const expr_graph *g = m->g;
    uint64_t h = 0;
    int32_t next = 0;
    for (expr_id e = 0; e < g->nodes.n; e++) {
        if (!reach[e])
            continue;
        h = hash_join(h, hash_node(g, e, place));
        place[e] = next++;
    }
    h = hash_join(h, m->objective == PERI_NO_EXPR ? UINT64_MAX : (uint64_t)place[m->objective]);
    for (int64_t k = 0; k < m->nested.n; k++) {
        const peri_model *low = m->nested.at[k];
        h = hash_join(h, low->objective == PERI_NO_EXPR ? UINT64_MAX : (uint64_t)place[low->objective]);
        h = hash_join(h, hash_bytes(low->name, strlen(low->name)) + low->maximize);
        h = hash_join(h, (uint64_t)low->parent * 2 + low->inside);
    }
    for (int64_t k = 0; k < m->cons.n; k++) {
        h = hash_join(h, (uint64_t)place[m->cons.at[k].body]);
        h = hash_join(h, (uint64_t)m->cons.at[k].level);
        h = hash_join(h, hash_bytes(m->cons.at[k].name, strlen(m->cons.at[k].name)));
    }
    return hash_join(h, m->maximize);
}

static peri_status fingerprint(peri_run *run, uint64_t *out)
{
    const peri_model *m = run->model;
    const nlp *p = run->p;
    mem *a = &run->ctx->mem;
    unsigned char *reach = mem_array(a, (size_t)m->g->nodes.n, 1);
    int32_t *place = mem_array(a, (size_t)m->g->nodes.n, sizeof *place);
    expr_id_list roots = {0};
    bool ok = reach != NULL && place != NULL;
    if (m->objective != PERI_NO_EXPR)
        ok = vec_push(a, &roots, m->objective) && ok;
    for (int64_t k = 0; k < m->nested.n; k++)
        if (m->nested.at[k]->objective != PERI_NO_EXPR)
            ok = vec_push(a, &roots, m->nested.at[k]->objective) && ok;
    for (int64_t k = 0; k < m->cons.n; k++)
        ok = vec_push(a, &roots, m->cons.at[k].body) && ok;
    if (ok) {
        expr_reach(m->g, roots.n, roots.at, reach);
        uint64_t h = hash_graph(m, reach, place);
        h = hash_doubles(hash_doubles(h, p->n, p->xl), p->n, p->xu);
        h = hash_doubles(hash_doubles(h, p->m, p->cl), p->m, p->cu);
        h = hash_doubles(h, m->g->n_param, m->g->param_value.at);
        for (int64_t k = 0; k < m->vars.n; k++)
            h = hash_join(h, (uint64_t)m->vars.at[k].level + hash_bytes(m->vars.at[k].name, strlen(m->vars.at[k].name)) + m->vars.at[k].integer);
        *out = h;
    }
    vec_free(a, &roots);
    mem_array_free(a, reach);
    mem_array_free(a, place);
    return ok ? PERI_OK : FAIL_NOMEM(run->ctx);
}

/* The method's settings, so that others than those of the checkpoint can be told; texts by what they say. */
static uint64_t hash_options(const peri_run *run)
{
    uint64_t h = 0;
    for (uint32_t k = 0; k < run->plugin->n_options; k++) {
        const peri_option *o = &run->plugin->options[k];
        const char *field = (const char *)run->options + o->offset, *text;
        if (o->type == PERI_OPTION_STRING) {
            memcpy(&text, field, sizeof text);
            h = hash_join(h, text != NULL ? hash_bytes(text, strlen(text)) : 0);
        } else {
            h = hash_join(h, hash_bytes(field, option_field_size(o->type)));
        }
    }
    return h;
}

static peri_status identify(peri_run *run, identity *id)
{
    *id = (identity){.order = UINT64_C(0x0102030405060708), .n = (uint64_t)run->p->n, .m = (uint64_t)run->p->m, .options = hash_options(run)};
    snprintf(id->plugin, sizeof id->plugin, "%s", run->plugin->name);
    snprintf(id->plugin_version, sizeof id->plugin_version, "%s", run->plugin->version != NULL ? run->plugin->version : "");
    snprintf(id->engine_version, sizeof id->engine_version, "%s", peri_version());
    return fingerprint(run, &id->fingerprint);
}

/* ---- blocks ------------------------------------------------------------------------------------------------------------------------ */

static peri_status damaged(peri_run *run, const char *what)
{
    return FAIL(run->ctx, PERI_E_PARSE, "%s: %s", run->checkpoint->from, what);
}

static void put_block(struct checkpoint *c, const char *name, const void *data, size_t bytes)
{
    const uint32_t length = (uint32_t)strlen(name);
    const uint64_t size = bytes;
    text_put(&c->out, (const char *)&length, sizeof length);
    text_put(&c->out, name, length);
    text_put(&c->out, (const char *)&size, sizeof size);
    if (bytes > 0)
        text_put(&c->out, data, bytes);
}

static peri_status get_block(peri_run *run, const char *name, void *data, size_t bytes)
{
    struct checkpoint *c = run->checkpoint;
    uint32_t length = 0;
    uint64_t size = 0;
    const size_t wanted = strlen(name);
    const size_t need = sizeof length + wanted + sizeof size;
    if (c->size - c->at >= need) {
        memcpy(&length, c->data + c->at, sizeof length);
        memcpy(&size, c->data + c->at + sizeof length + wanted, sizeof size);
    }
    if (length != wanted || memcmp(c->data + c->at + sizeof length, name, wanted) != 0)
        return FAIL(run->ctx, PERI_E_PARSE, "%s: the state of %s does not fit: \"%s\" is not in its place", c->from, run->plugin->name, name);
    if (size != bytes || c->size - c->at - need < size)
        return FAIL(run->ctx, PERI_E_PARSE, "%s: the state of %s does not fit: \"%s\" has %" PRIu64 " bytes, not %zu", c->from,
                    run->plugin->name, name, size, bytes);
    if (bytes > 0)
        memcpy(data, c->data + c->at + need, bytes);
    c->at += need + bytes;
    return PERI_OK;
}

peri_status checkpoint_transfer(peri_run *run, const char *name, void *data, size_t bytes)
{
    if (run->checkpoint == NULL)
        return FAIL(run->ctx, PERI_E_STATE, "%s: state is transferred in save and load only", run->plugin->name);
    if (!run->checkpoint->writing)
        return get_block(run, name, data, bytes);
    put_block(run->checkpoint, name, data, bytes);
    return PERI_OK;
}

#define BLOCK(name, object) TRY(checkpoint_transfer(run, name, &(object), sizeof(object)))

static peri_status transfer_point(peri_run *run, run_point *point)
{
    const size_t n = (size_t)run->p->n * sizeof(double), m = (size_t)run->p->m * sizeof(double);
    TRY(checkpoint_transfer(run, "x", point->x, n));
    TRY(checkpoint_transfer(run, "y", point->y, m));
    TRY(checkpoint_transfer(run, "z", point->z, n));
    BLOCK("has_y", point->has_y);
    BLOCK("has_z", point->has_z);
    BLOCK("objective", point->objective);
    BLOCK("violation", point->violation);
    return PERI_OK;
}

static peri_status transfer_history(peri_run *run)
{
    peri_solution *s = run->solution;
    int64_t n = s->history.n;
    BLOCK("rows", n);
    if (!run->checkpoint->writing && (n < 0 || (size_t)n > (run->checkpoint->size - run->checkpoint->at) / sizeof *s->history.at))
        return damaged(run, "the number of the history's rows is none");
    if (!vec_reserve(&run->ctx->mem, &s->history, n + 2))
        return FAIL_NOMEM(run->ctx);
    s->history.n = n;
    return checkpoint_transfer(run, "history", s->history.at, (size_t)n * sizeof *s->history.at);
}

/* The engine's part of a run. Both ways. */
static peri_status transfer_run(peri_run *run)
{
    double elapsed = clock_seconds() - run->started;
    TRY(transfer_point(run, &run->point[0]));
    TRY(transfer_point(run, &run->point[1]));
    BLOCK("last", run->last);
    BLOCK("best", run->best);
    BLOCK("iterations", run->iterations);
    BLOCK("steps", run->steps);
    BLOCK("evaluations", run->p->count);
    inner_collect_all(run);
    BLOCK("evaluations of inner problems", run->inner_count);
    BLOCK("inner_iterations", run->inner_iterations);
    BLOCK("was_undefined", run->was_undefined);
    TRY(checkpoint_transfer(run, "undefined_at", run->undefined_at, (size_t)run->p->n * sizeof(double)));
    BLOCK("elapsed", elapsed);
    run->started = clock_seconds() - elapsed;
    const int64_t counts[] = {run->iterations, run->steps, run->inner_iterations, run->p->count.objective, run->p->count.gradient,
                              run->p->count.constraints, run->p->count.jacobian, run->p->count.hessian, run->p->count.products,
                              run->inner_count.objective, run->inner_count.gradient, run->inner_count.constraints, run->inner_count.jacobian,
                              run->inner_count.hessian, run->inner_count.products};
    for (size_t k = 0; k < PERI_COUNT(counts); k++)
        if (counts[k] < 0 || counts[k] > INT64_C(1) << 53)
            return damaged(run, "a counter is none");
    if (run->last < -1 || run->last > 1 || run->best < -1 || run->best > 1)
        return damaged(run, "a point's place is none");
    return transfer_history(run);
}

/* ---- writing --------------------------------------------------------------------------------------------------------------------------- */

static peri_status collect(peri_run *run)
{
    const peri_solver_ops *ops = run->plugin->ops;
    identity id;
    header head = {.size = 0};
    TRY(identify(run, &id));
    text_put(&run->checkpoint->out, (const char *)&head, sizeof head);
    BLOCK("identity", id);
    TRY(checkpoint_transfer(run, "start", run->start, (size_t)run->p->n * sizeof(double)));
    TRY(ops->save(run->state, run));
    return transfer_run(run);
}

static void tell_failure(peri_run *run)
{
    struct checkpoint *c = run->checkpoint;
    if (strncmp(c->told, peri_error(run->ctx), sizeof c->told - 1) == 0)
        return;
    snprintf(c->told, sizeof c->told, "%s", peri_error(run->ctx));
    log_write(run->ctx, 0, "checkpoint: %s; the one before stays", c->told);
}

static peri_status write_file(peri_run *run)
{
    struct checkpoint *c = run->checkpoint;
    const peri_status status = io_replace(run->ctx, NULL, c->path, c->out.at, c->out.n);
    c->taken = false;
    c->written = clock_seconds();
    if (status != PERI_E_IO)
        return status;
    tell_failure(run);
    return PERI_OK;
}

/* The state of now, as a file in memory. */
static peri_status take(peri_run *run)
{
    struct checkpoint *c = run->checkpoint;
    const double began = clock_seconds();
    header head;
    c->taken = false;
    c->out.n = 0;
    c->writing = true;
    const peri_status status = collect(run);
    c->writing = false;
    if (status != PERI_OK || c->out.failed)
        return status != PERI_OK ? status : FAIL_NOMEM(run->ctx);
    memcpy(head.magic, MAGIC, sizeof head.magic);
    head.size = c->out.n - sizeof head;
    head.hash = hash_bytes(c->out.at + sizeof head, c->out.n - sizeof head);
    memcpy(c->out.at, &head, sizeof head);
    c->taken = true;
    c->taken_at = clock_seconds();
    c->cost = c->taken_at - began;
    return PERI_OK;
}

peri_status checkpoint_offer(peri_run *run, bool last)
{
    struct checkpoint *c = run->checkpoint;
    if (c == NULL || c->path == NULL)
        return PERI_OK;
    const double now = clock_seconds();
    const bool due = last || now - c->written >= c->every;
    if (!due && now - c->taken_at < SPARING * c->cost)
        return PERI_OK;
    TRY(take(run));
    return due ? write_file(run) : PERI_OK;
}

peri_status checkpoint_keep(peri_run *run)
{
    const struct checkpoint *c = run->checkpoint;
    return c != NULL && c->taken ? write_file(run) : PERI_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------------------- */

static peri_status check_header(peri_run *run)
{
    struct checkpoint *c = run->checkpoint;
    header head;
    if (c->size < sizeof head || memcmp(c->data, MAGIC, sizeof MAGIC) != 0)
        return damaged(run, "not a checkpoint of perigee");
    memcpy(&head, c->data, sizeof head);
    if (head.size > c->size - sizeof head)
        return FAIL(run->ctx, PERI_E_PARSE, "%s: the checkpoint is cut: %zu bytes of %" PRIu64, c->from, c->size - sizeof head, head.size);
    if (head.size < c->size - sizeof head || hash_bytes(c->data + sizeof head, head.size) != head.hash)
        return damaged(run, "the checkpoint is damaged: its checksum is wrong");
    c->at = sizeof head;
    return PERI_OK;
}

static peri_status check_identity(peri_run *run)
{
    identity id, ours;
    TRY(identify(run, &ours));
    BLOCK("identity", id);
    id.plugin[sizeof id.plugin - 1] = id.plugin_version[sizeof id.plugin_version - 1] = id.engine_version[sizeof id.engine_version - 1] = '\0';
    if (id.order != ours.order || strcmp(id.engine_version, ours.engine_version) != 0)
        return FAIL(run->ctx, PERI_E_STATE, "%s: made by another perigee, version \"%s\"", run->checkpoint->from, id.engine_version);
    if (strcmp(id.plugin, ours.plugin) != 0 || strcmp(id.plugin_version, ours.plugin_version) != 0)
        return FAIL(run->ctx, PERI_E_STATE, "%s: made by %s %s, not by %s %s: resume with that solver", run->checkpoint->from, id.plugin,
                    id.plugin_version, ours.plugin, ours.plugin_version);
    if (id.fingerprint != ours.fingerprint || id.n != ours.n || id.m != ours.m)
        return FAIL(run->ctx, PERI_E_STATE, "%s: of another model (%" PRIu64 " variables, %" PRIu64 " constraints), or this one with other data",
                    run->checkpoint->from, id.n, id.m);
    if (id.options != ours.options)
        log_write(run->ctx, 0, "resume: options of %s are not those of the checkpoint; it goes on with those of now", ours.plugin);
    return PERI_OK;
}

static const char *named(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

peri_status checkpoint_open(peri_run *run, const run_options *o)
{
    const peri_solver_ops *ops = run->plugin->ops;
    if (named(o->checkpoint) == NULL && named(o->resume) == NULL)
        return PERI_OK;
    if (ops->save == NULL || ops->load == NULL)
        return FAIL(run->ctx, PERI_E_UNSUPPORTED, "%s: cannot save its state; checkpoints are for methods whose page says so, as lbfgs and ipm",
                    run->plugin->name);
    struct checkpoint *c = arena_alloc(&run->memory, sizeof *c);
    if (c == NULL)
        return FAIL_NOMEM(run->ctx);
    c->path = named(o->checkpoint);
    c->from = named(o->resume);
    c->every = o->checkpoint_every;
    c->written = clock_seconds();
    text_init(&c->out, &run->ctx->mem);
    run->checkpoint = c;
    if (c->from == NULL)
        return PERI_OK;
    TRY(io_read_all(run->ctx, NULL, c->from, &c->data, &c->size));
    TRY(check_header(run));
    TRY(check_identity(run));
    return checkpoint_transfer(run, "start", run->start, (size_t)run->p->n * sizeof(double));
}

bool checkpoint_resumes(const peri_run *run)
{
    return run->checkpoint != NULL && run->checkpoint->data != NULL;
}

peri_status checkpoint_resume(peri_run *run)
{
    const peri_solver_ops *ops = run->plugin->ops;
    if (!checkpoint_resumes(run))
        return PERI_OK;
    TRY(ops->load(run->state, run));
    TRY(transfer_run(run));
    run->why = PERI_WHY_CONTINUE;
    run->stopped_by = PERI_OPTIMAL;
    run->message[0] = '\0';
    return PERI_OK;
}

void checkpoint_close(peri_run *run)
{
    if (run->checkpoint == NULL)
        return;
    mem_array_free(&run->ctx->mem, run->checkpoint->data);
    text_release(&run->checkpoint->out);
    run->checkpoint = NULL;
}
