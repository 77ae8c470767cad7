/* SPDX-License-Identifier: Apache-2.0 */
/*
 * levels.c - which node is computed when: kinds, levels, and the kernels that VALUEs belong to. A VALUE first gets the lowest level that its
 * arguments allow, then the highest that its readers allow, so that it need not be stored; unless more would be stored for that. Whole kernels then join
 * later ones of their size where nothing waits for them.
 */
#include "eval/plan.h"
#include <stdlib.h>
#include <string.h>

/* ---- aliases and needs --------------------------------------------------------------------------------------------------- */

static void find_aliases(eval_compiler *c)
{
    const expr_graph *g = c->g;
    for (expr_id e = 0; e <= c->top; e++) {
        const expr_node *node = expr_at(g, e);
        const bool whole = node->op == PERI_OP_GATHER && (node->flags & EXPR_AFFINE) && node->first == 0 && node->stride == 1 &&
                           expr_size(g, node->arg[0]) == expr_size(g, e);
        const bool same = node->op == PERI_OP_STOP || node->op == PERI_OP_MARK || whole;
        c->alias[e] = same ? c->alias[node->arg[0]] : e;
    }
}

static unsigned char kind_of(int op)
{
    if (expr_is_elementwise(op))
        return KIND_VALUE;
    switch (op) {
    case PERI_OP_CONST:
    case PERI_OP_INPUT: return KIND_SOURCE;
    case PERI_OP_GATHER: return KIND_VIEW;
    case PERI_OP_STACK: return KIND_STACK;
    case PERI_OP_SCATTER: return KIND_SCATTER;
    case PERI_OP_SUM:
    case PERI_OP_MAX:
    case PERI_OP_MIN: return KIND_REDUCED;
    default: return KIND_ARRAY;
    }
}

static void find_needs(eval_compiler *c, int64_t n, const eval_output *outputs)
{
    for (int64_t k = 0; k < n; k++) {
        c->flags[eval_arg(c, outputs[k].node)] |= FLAG_NEED | FLAG_OUTSIDE;
        c->uses[eval_arg(c, outputs[k].node)]++;
    }
    for (expr_id e = c->top; e >= 0; e--) {
        const expr_id *args;
        if (!(c->flags[e] & FLAG_NEED))
            continue;
        const int op = expr_at(c->g, e)->op;
        c->kind[e] = kind_of(op);
        const int32_t n_args = expr_args(c->g, e, &args);
        for (int32_t k = 0; k < n_args; k++) {
            c->flags[eval_arg(c, args[k])] |= FLAG_NEED;
            c->uses[eval_arg(c, args[k])] += op == PERI_OP_SQUARE ? 2 : 1; /* a product with itself reads it twice */
        }
    }
}

/* ---- scalars that come first ----------------------------------------------------------------------------------------------- */

/*
 * Scalars that longer VALUEs read and that depend on nothing computed: a multiplier times a constant, say. They are computed before all else, at
 * level -1, so that their readers need not wait for a level, and what these read need not be stored meanwhile.
 */
static peri_status find_early(eval_compiler *c)
{
    c->early = arena_array(&c->data, (size_t)c->top + 1, sizeof *c->early);
    if (c->early == NULL)
        return FAIL_NOMEM(c->g->ctx);
    for (expr_id e = c->top; e >= 0; e--) { /* wanted */
        const expr_id *args;
        const bool reads = c->kind[e] == KIND_VALUE && (eval_size(c, e) > 1 || c->early[e]);
        const int32_t n = reads || (c->kind[e] == KIND_VIEW && eval_size(c, e) > 1) ? expr_args(c->g, e, &args) : 0;
        for (int32_t k = 0; k < n; k++) {
            const expr_id a = eval_arg(c, args[k]);
            c->early[a] = c->early[a] || (c->kind[a] == KIND_VALUE && eval_size(c, a) == 1);
        }
    }
    for (expr_id e = 0; e <= c->top; e++) { /* and possible */
        const expr_id *args;
        const int32_t n = c->early[e] ? expr_args(c->g, e, &args) : 0;
        for (int32_t k = 0; k < n; k++) {
            const expr_id a = eval_arg(c, args[k]), of = c->kind[a] == KIND_VIEW ? eval_arg(c, *expr_at(c->g, a)->arg) : a;
            c->early[e] = c->early[e] && (c->kind[of] == KIND_SOURCE || c->early[of]);
        }
    }
    return PERI_OK;
}

/* ---- levels ---------------------------------------------------------------------------------------------------------------- */

bool eval_is_contiguous(const eval_compiler *c, expr_id view)
{
    const expr_node *node = expr_at(c->g, view);
    return (node->flags & EXPR_AFFINE) && (node->stride == 1 || eval_size(c, view) == 1);
}

int32_t eval_sink_level(const eval_compiler *c, expr_id value)
{
    return c->kind[value] == KIND_VALUE ? c->level[value] : c->level[value] + 1;
}

int32_t eval_located_level(const eval_compiler *c, expr_id e)
{
    return c->kind[e] == KIND_VIEW && !eval_is_contiguous(c, e) ? c->level[e] + 1 : c->level[e];
}

static void demand(eval_compiler *c, expr_id e)
{
    c->flags[e] |= FLAG_DEMAND;
}

static bool is_inside(const eval_compiler *c, expr_id e, expr_id arg)
{
    return c->kind[arg] == KIND_VALUE && eval_size(c, arg) == eval_size(c, e);
}

static int32_t value_level(eval_compiler *c, expr_id e, int32_t n, const expr_id *args)
{
    int32_t level = 0;
    for (int32_t k = 0; k < n; k++) {
        const expr_id a = eval_arg(c, args[k]);
        const int32_t after = is_inside(c, e, a) ? c->level[a] : c->level[a] + 1;
        level = after > level ? after : level;
        if (c->kind[a] == KIND_VALUE && !is_inside(c, e, a))
            demand(c, a);
    }
    return level;
}

static int32_t sunk_level(eval_compiler *c, int32_t n, const expr_id *args)
{
    int32_t level = 0;
    for (int32_t k = 0; k < n; k++) {
        const expr_id a = eval_arg(c, args[k]);
        const int32_t at = eval_sink_level(c, a);
        level = at > level ? at : level;
        c->flags[a] |= FLAG_OUTSIDE;
    }
    return level;
}

static int32_t array_level(eval_compiler *c, expr_id e, int32_t n, const expr_id *args)
{
    int32_t level = -1;
    for (int32_t k = 0; k < n; k++) {
        const expr_id a = eval_array_arg(c, e, k).source;
        const int32_t at = eval_located_level(c, a);
        level = at > level ? at : level;
        demand(c, a);
    }
    (void)args;
    return level + 1;
}

static void find_levels(eval_compiler *c)
{
    for (expr_id e = 0; e <= c->top; e++) {
        const expr_id *args;
        if (!(c->flags[e] & FLAG_NEED))
            continue;
        const int32_t n = expr_args(c->g, e, &args);
        switch (c->kind[e]) {
        case KIND_SOURCE:
            c->level[e] = -1;
            break;
        case KIND_VALUE:
            c->level[e] = value_level(c, e, n, args) - (c->early[e] ? 1 : 0);
            break;
        case KIND_VIEW:
            demand(c, eval_arg(c, args[0]));
            c->level[e] = eval_located_level(c, eval_arg(c, args[0]));
            break;
        case KIND_STACK:
        case KIND_SCATTER:
        case KIND_REDUCED:
            c->level[e] = sunk_level(c, n, args);
            break;
        default:
            c->level[e] = array_level(c, e, n, args);
        }
    }
}

/* ---- later levels for what only later kernels read ------------------------------------------------------------------------------ */

/* As late as its readers allow; what leaves the kernels stays. first_use: levels + 2, 0: not used yet */
static void sink_all(eval_compiler *c, int32_t *first_use)
{
    for (expr_id e = c->top; e >= 0; e--) {
        const expr_id *args;
        if (c->kind[e] != KIND_VALUE)
            continue;
        if (!(c->flags[e] & (FLAG_OUTSIDE | FLAG_DEMAND)) && first_use[e] - 2 > c->level[e])
            c->level[e] = first_use[e] - 2;
        const int32_t n = expr_args(c->g, e, &args);
        for (int32_t k = 0; k < n; k++) {
            const expr_id a = eval_arg(c, args[k]);
            if (is_inside(c, e, a) && (first_use[a] == 0 || first_use[a] > c->level[e] + 2))
                first_use[a] = c->level[e] + 2;
        }
    }
}

/* later[a]: how many VALUEs of later levels read a, for which it has to be stored */
static void count_later(const eval_compiler *c, int32_t *later)
{
    for (expr_id e = 0; e <= c->top; e++) {
        const expr_id *args;
        if (c->kind[e] != KIND_VALUE)
            continue;
        const int32_t n = expr_args(c->g, e, &args);
        for (int32_t k = 0; k < n; k++) {
            const expr_id a = eval_arg(c, args[k]);
            later[a] += is_inside(c, e, a) && c->level[a] < c->level[e];
        }
    }
}

/* The lowest level at which e could be, and how many arguments are stored for it alone. */
static int32_t lowest_level(const eval_compiler *c, expr_id e, const int32_t *later, int32_t *alone)
{
    const expr_id *args;
    const int32_t n = expr_args(c->g, e, &args);
    int32_t level = 0;
    *alone = 0;
    for (int32_t k = 0; k < n; k++) {
        const expr_id a = eval_arg(c, args[k]);
        const int32_t at = is_inside(c, e, a) ? c->level[a] : c->level[a] + 1;
        level = at > level ? at : level;
        *alone += is_inside(c, e, a) && c->level[a] < c->level[e] && later[a] == 1 && !(c->flags[a] & FLAG_DEMAND) &&
                  !(k > 0 && eval_arg(c, args[k - 1]) == a);
    }
    return level;
}

/* Where two stored arguments serve one VALUE, it is better computed early and stored itself. */
static void raise_some(eval_compiler *c, int32_t *later)
{
    for (expr_id e = 0; e <= c->top; e++) {
        const expr_id *args;
        int32_t alone;
        if (c->kind[e] != KIND_VALUE || (c->flags[e] & FLAG_OUTSIDE))
            continue;
        const int32_t level = lowest_level(c, e, later, &alone), n = expr_args(c->g, e, &args);
        if (alone < 2 || level >= c->level[e])
            continue;
        for (int32_t k = 0; k < n; k++) {
            const expr_id a = eval_arg(c, args[k]);
            later[a] -= is_inside(c, e, a) && c->level[a] < c->level[e] && c->level[a] >= level;
        }
        c->level[e] = level;
        later[e] = c->uses[e]; /* its readers stay where they are */
    }
}

static peri_status sink_values(eval_compiler *c)
{
    int32_t *first_use = arena_array(&c->data, (size_t)c->top + 1, sizeof *first_use);
    int32_t *later = arena_array(&c->data, (size_t)c->top + 1, sizeof *later);
    if (first_use == NULL || later == NULL)
        return FAIL_NOMEM(c->g->ctx);
    sink_all(c, first_use);
    count_later(c, later);
    raise_some(c, later);
    return PERI_OK;
}

/* ---- kernels -------------------------------------------------------------------------------------------------------------------------- */

peri_status eval_group_at(eval_compiler *c, int64_t size, int32_t level, int32_t *out)
{
    int64_t at;
    const uint64_t key = (uint64_t)size << 32 | (uint32_t)level;
    if (!hash_get(&c->group_of, key, &at)) {
        const eval_group group = {.size = size, .level = level};
        at = c->groups.n;
        if (!vec_push(c->m, &c->groups, group) || !hash_put(&c->group_of, key, at))
            return FAIL_NOMEM(c->g->ctx);
    }
    *out = (int32_t)at;
    return PERI_OK;
}

static bool is_put_together(const eval_compiler *c, expr_id e)
{
    return c->kind[e] == KIND_SCATTER || c->kind[e] == KIND_STACK;
}

/* Of all VALUEs, and of what is copied to its place in a scatter or stack: `home` too. */
static peri_status group_all(eval_compiler *c)
{
    for (expr_id e = 0; e <= c->top; e++) {
        const expr_id *args;
        if (c->kind[e] == KIND_VALUE)
            TRY(eval_group_at(c, eval_size(c, e), c->level[e], &c->home[e]));
        const int32_t n = is_put_together(c, e) ? expr_args(c->g, e, &args) : 0;
        for (int32_t k = 0; k < n; k++) {
            const expr_id a = eval_arg(c, args[k]);
            if (c->kind[a] == KIND_VIEW)
                TRY(eval_group_at(c, eval_size(c, a), eval_sink_level(c, a), &c->home[a]));
        }
    }
    return PERI_OK;
}

/* The latest level, at most `latest`, at which e can be computed while a node that reads it stays where it is. */
static int32_t latest_for(const eval_compiler *c, expr_id e, expr_id reader, int32_t latest)
{
    int32_t limit = c->level[e]; /* of views, sums, arrays: their readers' levels follow from it */
    if (is_put_together(c, reader))
        limit = c->level[reader];
    else if (c->kind[reader] == KIND_VALUE && is_inside(c, reader, e))
        limit = c->level[reader] > c->level[e] ? c->level[reader] : latest;
    return limit < latest ? limit : latest;
}

/* latest [groups]: at which all that leaves it may be computed */
static void find_latest(const eval_compiler *c, int32_t *latest)
{
    for (int64_t k = 0; k < c->groups.n; k++)
        latest[k] = INT32_MAX;
    for (expr_id e = 0; e <= c->top; e++) {
        const expr_id *args;
        const int32_t n = (c->flags[e] & FLAG_NEED) != 0 ? expr_args(c->g, e, &args) : 0;
        for (int32_t k = 0; k < n; k++) {
            const expr_id a = eval_arg(c, args[k]);
            if (c->kind[a] == KIND_VALUE)
                latest[c->home[a]] = latest_for(c, a, e, latest[c->home[a]]);
            else if (c->kind[a] == KIND_VIEW && is_put_together(c, e))
                latest[c->home[a]] = c->groups.at[c->home[a]].level; /* it is made as soon as it can be */
        }
    }
}

/* By size, the later level first. */
static int later_first(const void *a, const void *b)
{
    const eval_group *x = *(eval_group *const *)a, *y = *(eval_group *const *)b;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return (x->level < y->level) - (x->level > y->level);
}

/*
 * A kernel that nothing waits for, but what is put together at the end, joins the next one of its size: what both read is read once, and lanes that both
 * store may be rows. joined [groups]: the level
 */
static peri_status join_groups(eval_compiler *c)
{
    const size_t n = (size_t)c->groups.n;
    int32_t *latest = arena_array(&c->data, n, sizeof *latest), *joined = arena_array(&c->data, n, sizeof *joined);
    eval_group **order = arena_array(&c->data, n, sizeof *order);
    if (latest == NULL || joined == NULL || order == NULL)
        return FAIL_NOMEM(c->g->ctx);
    find_latest(c, latest);
    for (size_t k = 0; k < n; k++)
        order[k] = &c->groups.at[k];
    qsort(order, n, sizeof *order, later_first);
    for (size_t k = 0; k < n; k++) {
        const int64_t at = order[k] - c->groups.at, next = k > 0 ? order[k - 1] - c->groups.at : at;
        joined[at] = order[k]->level;
        if (k > 0 && order[k - 1]->size == order[k]->size && joined[next] <= latest[at])
            joined[at] = joined[next];
    }
    for (expr_id e = 0; e <= c->top; e++)
        if (c->kind[e] == KIND_VALUE)
            c->level[e] = joined[c->home[e]];
    c->groups.n = 0;
    hash_release(&c->group_of);
    hash_init(&c->group_of, c->m);
    return PERI_OK;
}

static peri_status find_homes(eval_compiler *c)
{
    memset(c->home, -1, ((size_t)c->top + 1) * sizeof *c->home);
    for (expr_id e = 0; e <= c->top; e++) {
        const expr_id *args;
        if (c->kind[e] != KIND_VALUE)
            continue;
        TRY(eval_group_at(c, eval_size(c, e), c->level[e], &c->home[e]));
        const int32_t n = expr_args(c->g, e, &args);
        for (int32_t k = 0; k < n; k++) {
            const expr_id a = eval_arg(c, args[k]);
            if (is_inside(c, e, a) && c->level[a] != c->level[e])
                demand(c, a);
        }
        const int op = expr_at(c->g, e)->op;
        if (op == PERI_OP_SIN)
            c->sine[eval_arg(c, args[0])] = e;
        if (op == PERI_OP_COS)
            c->cosine[eval_arg(c, args[0])] = e;
    }
    return PERI_OK;
}

peri_status eval_analyse(eval_compiler *c, int64_t n, const eval_output *outputs)
{
    find_aliases(c);
    find_needs(c, n, outputs);
    TRY(find_early(c));
    find_levels(c);
    TRY(sink_values(c));
    TRY(group_all(c));
    TRY(join_groups(c));
    return find_homes(c);
}
