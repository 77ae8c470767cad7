/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather.c - a gradient computed place by place. As reverse mode leaves it, each instance of a sum's terms adds to the entries of the variables that it
 * reads: on a grid or a chain, several additions in memory for each entry. Where most entries are reached by the same arguments of the scatter,
 * once by each, their sum is computed for the entry: each argument at the instance that reaches it, so that what instances have in common is
 * one expression and the entry is stored once. Entries lie in lanes, of one set of arguments each: one lane on a grid, two where variables
 * alternate. The function's sums are taken over the same instances first, so that they share the pass; what is left, at borders, stays a scatter.
 * Invariant: value and gradient are what they were, up to the order of additions.
 */
#include "diff/internal.h"
#include <stdlib.h>
#include <string.h>

enum {
    FEWEST = 1024,     /* entries of a lane */
    MOST_ARGUMENTS = 31,
    MOST_SETS = 64,    /* of arguments, that reach an entry */
    MOST_LANES = 4,
    MOST_SUMS = 32,
    LARGEST_COST = 96, /* of an argument for one instance, in additions */
    ADDING = 2         /* what an addition in memory costs more than one in a register */
};

/* What is scattered: entry list[k] gets value[k]. */
typedef struct {
    expr_id value;
    int64_t n;
    expr_list list;
    bool taken;       /* part of lanes; else it stays as it is */
    unsigned char *used; /* [n] instances that lanes have taken */
} argument;

typedef struct {
    uint32_t set;     /* of arguments */
    int64_t n, first, last;
} place_set;

typedef struct {
    uint32_t set;
    int64_t n;
    int32_t *place;                     /* [n] */
    int32_t *instance[MOST_ARGUMENTS];  /* [n] which instance of the argument reaches the place */
    expr_id value;                      /* the sum of all */
} lane;

typedef struct {
    expr_graph *g;
    arena data;
    int64_t size;     /* entries of the gradient */
    int32_t n_args, n_sets, n_lanes;
    argument args[MOST_ARGUMENTS];
    place_set sets[MOST_SETS];
    lane lanes[MOST_LANES];
    uint32_t *set_of; /* [size] */
    int64_t n_sums;
    expr_id sum[MOST_SUMS], new_sum[MOST_SUMS];
    VEC(expr_id) out_args;
    VEC(int32_t *) out_lists;
} gatherer;

static const uint32_t OTHERS = 1u << 31; /* in a set: arguments that stay */

/* ---- arguments --------------------------------------------------------------------------------------------------------- */

static bool add_argument(gatherer *t, expr_id value, const expr_list *list)
{
    if (t->n_args == MOST_ARGUMENTS)
        return false;
    t->args[t->n_args++] = (argument){.value = value, .n = list->n, .list = *list};
    return true;
}

/* The scatters and arrays whose sum e is; false: too many. */
static bool find_arguments(gatherer *t, expr_id e, bool *scatters)
{
    const expr_graph *g = t->g;
    const expr_node node = *expr_at(g, e);
    if (node.op == PERI_OP_ADD)
        return find_arguments(t, node.arg[0], scatters) && find_arguments(t, node.arg[1], scatters);
    if (node.op != PERI_OP_SCATTER) {
        const expr_list all = {.n = t->size, .stride = 1, .unique = true};
        return expr_size(g, e) == t->size && add_argument(t, e, &all);
    }
    *scatters = true;
    for (int32_t k = 0; k < node.many.n; k++)
        if (!add_argument(t, g->args.at[node.many.list + k], &g->lists.at[expr_scatter_ref(g, &node, k)]))
            return false;
    return true;
}

static peri_status find_sets(gatherer *t)
{
    t->set_of = arena_array(&t->data, (size_t)t->size, sizeof *t->set_of);
    if (t->set_of == NULL)
        return FAIL_NOMEM(t->g->ctx);
    for (int32_t k = 0; k < t->n_args; k++) {
        argument *a = &t->args[k];
        const int64_t cost = diff_cost(t->g, 1, &a->value);
        a->taken = a->n >= FEWEST && cost >= 0 && cost <= LARGEST_COST && a->list.unique;
        for (int64_t i = 0; i < a->n; i++)
            t->set_of[expr_list_at(&a->list, i)] |= a->taken ? 1u << k : OTHERS;
    }
    return PERI_OK;
}

/* ---- lanes ----------------------------------------------------------------------------------------------------------- */

static bool count_sets(gatherer *t)
{
    int32_t last = 0;
    for (int64_t j = 0; j < t->size; j++) {
        const uint32_t set = t->set_of[j];
        if (last >= t->n_sets || t->sets[last].set != set)
            for (last = 0; last < t->n_sets && t->sets[last].set != set;)
                last++;
        if (last == MOST_SETS)
            return false;
        if (last == t->n_sets)
            t->sets[t->n_sets++] = (place_set){.set = set, .first = j};
        t->sets[last].n++;
        t->sets[last].last = j;
    }
    return true;
}

static int most_first(const void *a, const void *b)
{
    const place_set *x = a, *y = b;
    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

static bool has_several(uint32_t set)
{
    return (set & (set - 1)) != 0;
}

/* The sets that most places have, about as many each; false: there are none, or they are not worth it. */
static bool choose_lanes(gatherer *t)
{
    int64_t reached = 0;
    bool several = false;
    qsort(t->sets, (size_t)t->n_sets, sizeof *t->sets, most_first);
    for (int32_t k = 0; k < t->n_sets && t->n_lanes < MOST_LANES; k++) {
        const place_set *s = &t->sets[k];
        if (s->set == 0 || (s->set & OTHERS) != 0)
            continue;
        if (s->n < FEWEST || (t->n_lanes > 0 && 10 * s->n < 9 * t->lanes[0].n))
            break;
        t->lanes[t->n_lanes++] = (lane){.set = s->set, .n = s->n};
        reached += s->n;
        several = several || has_several(s->set);
    }
    return several && 4 * reached >= 3 * t->size;
}

static peri_status list_places(gatherer *t)
{
    for (int32_t l = 0; l < t->n_lanes; l++) {
        lane *a = &t->lanes[l];
        int64_t n = 0;
        a->place = arena_array(&t->data, (size_t)a->n, sizeof *a->place);
        if (a->place == NULL)
            return FAIL_NOMEM(t->g->ctx);
        for (int64_t j = 0; j < t->size; j++)
            if (t->set_of[j] == a->set)
                a->place[n++] = (int32_t)j;
    }
    return PERI_OK;
}

/* Several lanes are rows of neighbours, the same distance apart: all keep the rows that all have. */
static bool match_rows(gatherer *t)
{
    const int64_t stride = (int64_t)t->lanes[0].place[1] - t->lanes[0].place[0];
    int64_t begin = 0, end = INT64_MAX;
    for (int32_t l = 0; l < t->n_lanes && t->n_lanes > 1; l++) {
        const lane *a = &t->lanes[l];
        const diff_instances w = diff_instances_of(a->n, a->place);
        if (w.at != NULL || w.stride != stride)
            return false;
        const int64_t row = w.first / stride;
        begin = row > begin ? row : begin;
        end = row + a->n < end ? row + a->n : end;
    }
    if (t->n_lanes == 1)
        return true;
    for (int32_t l = 0; l < t->n_lanes && end - begin >= FEWEST; l++) {
        lane *a = &t->lanes[l];
        a->place += begin - a->place[0] / stride;
        a->n = end - begin;
    }
    return end - begin >= FEWEST;
}

static peri_status find_instances(gatherer *t)
{
    int32_t *inverse = mem_array(t->g->m, (size_t)t->size, sizeof *inverse);
    bool ok = inverse != NULL;
    for (int32_t k = 0; k < t->n_args && ok; k++) {
        argument *a = &t->args[k];
        bool wanted = false;
        for (int32_t l = 0; l < t->n_lanes; l++)
            wanted = wanted || (t->lanes[l].set >> k & 1) != 0;
        a->taken = a->taken && wanted;
        if (!a->taken)
            continue;
        a->used = arena_array(&t->data, (size_t)a->n, 1);
        ok = a->used != NULL;
        for (int64_t i = 0; i < a->n && ok; i++)
            inverse[expr_list_at(&a->list, i)] = (int32_t)i;
        for (int32_t l = 0; l < t->n_lanes && ok; l++) {
            lane *to = &t->lanes[l];
            if ((to->set >> k & 1) == 0)
                continue;
            to->instance[k] = arena_array(&t->data, (size_t)to->n, sizeof *to->instance[k]);
            ok = to->instance[k] != NULL;
            for (int64_t r = 0; r < to->n && ok; r++) {
                to->instance[k][r] = inverse[to->place[r]];
                a->used[to->instance[k][r]] = 1;
            }
        }
    }
    mem_array_free(t->g->m, inverse);
    return ok ? PERI_OK : FAIL_NOMEM(t->g->ctx);
}

/* ---- values ------------------------------------------------------------------------------------------------------------ */

/* The sum of some values, those with a factor in common first. */
static peri_status sum_parts(expr_graph *g, int32_t n, const expr_id *part, expr_id *out)
{
    expr_id sum[MOST_ARGUMENTS];
    int32_t kept = 0;
    for (int32_t k = 0; k < n; k++) {
        int32_t with = 0;
        while (with < kept && !diff_share_factor(g, sum[with], part[k]))
            with++;
        if (with < kept)
            TRY(diff_sum(g, sum[with], part[k], &sum[with]));
        else
            sum[kept++] = part[k];
    }
    *out = sum[0];
    for (int32_t k = 1; k < kept; k++)
        TRY(expr_binary(g, PERI_OP_ADD, *out, sum[k], out));
    return PERI_OK;
}

static peri_status sum_lane(gatherer *t, lane *a)
{
    expr_id part[MOST_ARGUMENTS];
    int32_t n = 0;
    for (int32_t k = 0; k < t->n_args; k++) {
        if (a->instance[k] == NULL)
            continue;
        const diff_instances w = diff_instances_of(a->n, a->instance[k]);
        TRY(diff_restrict(t->g, t->args[k].value, &w, &part[n++]));
    }
    TRY(sum_parts(t->g, n, part, &a->value));
    return expr_broadcast(t->g, a->value, a->n, 1, &a->value);
}

static peri_status out_push(gatherer *t, expr_id value, int32_t *list)
{
    mem *const m = t->g->m;
    return vec_push(m, &t->out_args, value) && vec_push(m, &t->out_lists, list) ? PERI_OK : FAIL_NOMEM(t->g->ctx);
}

/* at [count]: the instances of `used` [n] that are not; arena memory */
static peri_status unused_instances(gatherer *t, int64_t n, const unsigned char *used, int32_t **at, int64_t *count)
{
    *count = 0;
    for (int64_t i = 0; i < n; i++)
        *count += used == NULL || !used[i];
    *at = arena_array(&t->data, (size_t)*count, sizeof **at);
    if (*at == NULL)
        return FAIL_NOMEM(t->g->ctx);
    for (int64_t i = 0, kept = 0; i < n; i++)
        if (used == NULL || !used[i])
            (*at)[kept++] = (int32_t)i;
    return PERI_OK;
}

/* What no lane has taken. */
static peri_status push_rest(gatherer *t, const argument *a)
{
    int64_t n;
    int32_t *at;
    expr_id value = a->value;
    TRY(unused_instances(t, a->n, a->used, &at, &n));
    if (n == 0)
        return PERI_OK;
    if (n < a->n) {
        const diff_instances w = diff_instances_of(n, at);
        TRY(diff_restrict(t->g, a->value, &w, &value));
        TRY(expr_broadcast(t->g, value, n, 1, &value));
    }
    for (int64_t i = 0; i < n; i++)
        at[i] = expr_list_at(&a->list, at[i]);
    return out_push(t, value, at);
}

/* ---- sums -------------------------------------------------------------------------------------------------------------- */

static bool is_long_sum(const expr_graph *g, expr_id e)
{
    return expr_at(g, e)->op == PERI_OP_SUM && expr_size(g, expr_at(g, e)->arg[0]) >= FEWEST;
}

/* The long sums that f is made of, and the gradient does not read. */
static peri_status find_function_sums(gatherer *t, expr_id f, expr_id gradient)
{
    expr_part of_f, of_gradient;
    TRY(expr_part_make(&of_f, t->g, 1, &f, NULL, NULL));
    const peri_status status = expr_part_make(&of_gradient, t->g, 1, &gradient, NULL, NULL);
    for (int64_t k = 0; k < of_f.nodes.n && status == PERI_OK && t->n_sums < MOST_SUMS; k++) {
        const expr_id e = of_f.nodes.at[k];
        if (is_long_sum(t->g, e) && expr_part_at(&of_gradient, e) < 0)
            t->sum[t->n_sums++] = e;
    }
    expr_part_release(&of_f);
    if (status == PERI_OK)
        expr_part_release(&of_gradient);
    return status;
}

/* All lanes' values and one more: the cost for one instance. */
static int64_t cost_with(const gatherer *t, expr_id more)
{
    expr_id roots[MOST_LANES + 1];
    for (int32_t l = 0; l < t->n_lanes; l++)
        roots[l] = t->lanes[l].value;
    roots[t->n_lanes] = more;
    return diff_cost(t->g, t->n_lanes + 1, roots);
}

/* The instances of some argument of a lane at which `value` is cheapest beside the lanes; NULL: no argument has as many instances. */
static peri_status choose_instances(gatherer *t, expr_id value, int64_t *n, int32_t **at, expr_id *first)
{
    int64_t least = INT64_MAX;
    *at = NULL;
    for (int32_t l = 0; l < t->n_lanes; l++)
        for (int32_t k = 0; k < t->n_args; k++) {
            const lane *a = &t->lanes[l];
            expr_id part;
            if (a->instance[k] == NULL || t->args[k].n != expr_size(t->g, value))
                continue;
            const diff_instances w = diff_instances_of(a->n, a->instance[k]);
            TRY(diff_restrict(t->g, value, &w, &part));
            TRY(expr_broadcast(t->g, part, a->n, 1, &part));
            const int64_t cost = cost_with(t, part);
            if (cost < 0)
                return FAIL_NOMEM(t->g->ctx);
            if (cost < least) {
                least = cost;
                *n = a->n;
                *at = a->instance[k];
                *first = part;
            }
        }
    return PERI_OK;
}

static peri_status split_sum(gatherer *t, expr_id e, expr_id *out)
{
    expr_graph *g = t->g;
    const expr_id value = expr_at(g, e)->arg[0];
    int64_t n = 0, left;
    int32_t *at, *rest;
    expr_id part = PERI_NO_EXPR;
    *out = e;
    if (diff_cost(g, 1, &value) > LARGEST_COST)
        return PERI_OK;
    TRY(choose_instances(t, value, &n, &at, &part));
    if (at == NULL)
        return PERI_OK;
    unsigned char *used = mem_array(g->m, (size_t)expr_size(g, value), 1);
    if (used == NULL)
        return FAIL_NOMEM(g->ctx);
    for (int64_t r = 0; r < n; r++)
        used[at[r]] = 1;
    const peri_status status = unused_instances(t, expr_size(g, value), used, &rest, &left);
    mem_array_free(g->m, used);
    TRY(status);
    TRY(expr_unary(g, PERI_OP_SUM, part, out));
    if (left == 0)
        return PERI_OK;
    const diff_instances w = diff_instances_of(left, rest);
    TRY(diff_restrict(g, value, &w, &part));
    TRY(expr_broadcast(g, part, left, 1, &part));
    TRY(expr_unary(g, PERI_OP_SUM, part, &part));
    return expr_binary(g, PERI_OP_ADD, *out, part, out);
}

/* ---- all together ------------------------------------------------------------------------------------------------------ */

/* What arguments and sums cost for one instance as they were, and as they would be. */
static bool is_cheaper(gatherer *t)
{
    expr_id roots[MOST_ARGUMENTS + MOST_SUMS + MOST_LANES];
    int64_t n = 0, adding = 0;
    for (int32_t k = 0; k < t->n_args; k++)
        if (t->args[k].taken) {
            roots[n++] = t->args[k].value;
            adding += ADDING;
        }
    for (int64_t k = 0; k < t->n_sums; k++)
        roots[n++] = expr_at(t->g, t->sum[k])->arg[0];
    const int64_t before = diff_cost(t->g, n, roots) + adding;
    n = 0;
    for (int32_t l = 0; l < t->n_lanes; l++)
        roots[n++] = t->lanes[l].value;
    for (int64_t k = 0; k < t->n_sums; k++) {
        const expr_node node = *expr_at(t->g, t->new_sum[k]);
        const expr_id sum = node.op == PERI_OP_ADD ? node.arg[0] : t->new_sum[k];
        roots[n++] = expr_at(t->g, sum)->arg[0];
    }
    const int64_t after = diff_cost(t->g, n, roots) + ADDING * t->n_lanes;
    return after >= 0 && after <= before;
}

static peri_status gather_lanes(gatherer *t, expr_id f, expr_id gradient, expr_id *f_out, expr_id *gradient_out)
{
    TRY(list_places(t));
    if (!match_rows(t))
        return PERI_OK;
    TRY(find_instances(t));
    for (int32_t l = 0; l < t->n_lanes; l++)
        TRY(sum_lane(t, &t->lanes[l]));
    TRY(find_function_sums(t, f, gradient));
    for (int64_t k = 0; k < t->n_sums; k++)
        TRY(split_sum(t, t->sum[k], &t->new_sum[k]));
    if (!is_cheaper(t))
        return PERI_OK;
    for (int32_t l = 0; l < t->n_lanes; l++)
        TRY(out_push(t, t->lanes[l].value, t->lanes[l].place));
    for (int32_t k = 0; k < t->n_args; k++)
        TRY(push_rest(t, &t->args[k]));
    TRY(expr_scatter_sum(t->g, t->size, 1, t->out_args.n, t->out_args.at, (const int32_t *const *)t->out_lists.at, gradient_out));
    return expr_substitute(t->g, 1, &f, t->n_sums, t->sum, t->new_sum, f_out);
}

static peri_status gather(gatherer *t, expr_id f, expr_id gradient, expr_id *f_out, expr_id *gradient_out)
{
    bool scatters = false;
    if (t->size < FEWEST || expr_at(t->g, gradient)->cols != 1 || !find_arguments(t, gradient, &scatters) || !scatters)
        return PERI_OK;
    TRY(find_sets(t));
    return count_sets(t) && choose_lanes(t) ? gather_lanes(t, f, gradient, f_out, gradient_out) : PERI_OK;
}

peri_status diff_gather(expr_graph *g, expr_id f, expr_id gradient, expr_id *f_out, expr_id *gradient_out)
{
    gatherer *t = mem_alloc(g->m, sizeof *t);
    *f_out = f;
    *gradient_out = gradient;
    if (t == NULL)
        return FAIL_NOMEM(g->ctx);
    t->g = g;
    t->size = expr_size(g, gradient);
    arena_init(&t->data, g->m);
    const peri_status status = gather(t, f, gradient, f_out, gradient_out);
    vec_free(g->m, &t->out_args);
    vec_free(g->m, &t->out_lists);
    arena_release(&t->data);
    mem_free(g->m, t, sizeof *t);
    return status;
}
