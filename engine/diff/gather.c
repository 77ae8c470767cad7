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
    MOST_LEFT_OUT = 64, /* rows at each end */
    LARGEST_COST = 96, /* of an argument for one instance, in additions */
    ADDING = 2,        /* what an addition in memory costs more than one in a register, to neighbours, */
    ADDING_APART = 8   /* and to places in equal steps, one by one */
};

/* What is scattered: entry list[k] gets value[k]. */
typedef struct {
    expr_id value;
    int64_t n;
    expr_list list;
    bool taken;          /* part of lanes; else it stays as it is */
    int64_t begin, end;  /* instances that a lane has taken, */
    unsigned char *used; /* or, where it is there, [n] which lanes have taken */
} argument;

typedef struct {
    uint32_t set;     /* of arguments */
    int64_t n, first, last;
} place_set;

typedef struct {
    uint32_t set;
    int64_t n;
    diff_instances place;
    diff_instances instance[MOST_ARGUMENTS]; /* which instance of the argument reaches the place; n = 0: it is not of the set */
    expr_id value;                           /* the sum of all */
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
    VEC(int64_t) out_lists;
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

static void choose_arguments(gatherer *t)
{
    for (int32_t k = 0; k < t->n_args; k++) {
        argument *a = &t->args[k];
        const int64_t cost = diff_cost(t->g, 1, &a->value);
        a->taken = a->n >= FEWEST && cost >= 0 && cost <= LARGEST_COST && a->list.unique;
    }
}

/* ---- in equal steps ------------------------------------------------------------------------------------------------------ */

/* Rows of stride places, from place `base` on. */
typedef struct {
    int64_t stride, base, begin, end;
} stepped;

/* The rows that all chosen arguments reach, one lane each; false: some do not go in equal steps, or not in the same. */
static bool find_rows(const gatherer *t, stepped *r)
{
    *r = (stepped){.stride = 0, .base = INT64_MAX, .begin = 0, .end = INT64_MAX};
    for (int32_t k = 0; k < t->n_args; k++) {
        const argument *a = &t->args[k];
        if (!a->taken)
            continue;
        if (a->list.stride <= 0 || (r->stride != 0 && a->list.stride != r->stride) || a->list.stride > MOST_LANES)
            return false;
        r->stride = a->list.stride;
        r->base = a->list.first < r->base ? a->list.first : r->base;
    }
    for (int32_t k = 0; k < t->n_args && r->stride > 0; k++) {
        const argument *a = &t->args[k];
        const int64_t row = (a->list.first - r->base) / r->stride;
        if (!a->taken)
            continue;
        r->begin = row > r->begin ? row : r->begin;
        r->end = row + a->n < r->end ? row + a->n : r->end;
    }
    return r->stride > 0;
}

/* Rows that others reach are left out at the ends; false: they are further inside. */
static bool leave_out(const gatherer *t, stepped *r)
{
    for (int32_t k = 0; k < t->n_args; k++)
        for (int64_t i = 0; i < t->args[k].n && !t->args[k].taken; i++) {
            const int64_t place = expr_list_at(&t->args[k].list, i), row = (place - r->base) / r->stride;
            if (place < r->base || row < r->begin || row >= r->end)
                continue;
            if (row - r->begin < MOST_LEFT_OUT)
                r->begin = row + 1;
            else if (r->end - row <= MOST_LEFT_OUT)
                r->end = row;
            else
                return false;
        }
    return r->end - r->begin >= FEWEST;
}

static bool step_lanes(gatherer *t)
{
    stepped r;
    if (!find_rows(t, &r) || !leave_out(t, &r))
        return false;
    const int64_t n = r.end - r.begin;
    bool several = false;
    t->n_lanes = (int32_t)r.stride;
    for (int32_t l = 0; l < t->n_lanes; l++)
        t->lanes[l] = (lane){.n = n, .place = {n, NULL, r.base + r.begin * r.stride + l, r.stride}};
    for (int32_t k = 0; k < t->n_args; k++) {
        argument *a = &t->args[k];
        if (!a->taken)
            continue;
        lane *to = &t->lanes[(a->list.first - r.base) % r.stride];
        a->begin = r.begin - (a->list.first - r.base) / r.stride;
        a->end = a->begin + n;
        several = several || to->set != 0;
        to->set |= 1u << k;
        to->instance[k] = (diff_instances){n, NULL, a->begin, 1};
    }
    int32_t kept = 0; /* lanes that nothing reaches */
    for (int32_t l = 0; l < t->n_lanes; l++)
        if (t->lanes[l].set != 0)
            t->lanes[kept++] = t->lanes[l];
    t->n_lanes = kept;
    return several && 4 * kept * n >= 3 * t->size;
}

/* ---- by lists -------------------------------------------------------------------------------------------------------------- */

static peri_status find_sets(gatherer *t)
{
    t->set_of = arena_array(&t->data, (size_t)t->size, sizeof *t->set_of);
    if (t->set_of == NULL)
        return FAIL_NOMEM(t->g->ctx);
    for (int32_t k = 0; k < t->n_args; k++) {
        argument *a = &t->args[k];
        for (int64_t i = 0; i < a->n; i++)
            t->set_of[expr_list_at(&a->list, i)] |= a->taken ? 1u << k : OTHERS;
    }
    return PERI_OK;
}

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

static peri_status list_places(gatherer *t, int32_t **place)
{
    for (int32_t l = 0; l < t->n_lanes; l++) {
        lane *a = &t->lanes[l];
        int64_t n = 0;
        place[l] = arena_array(&t->data, (size_t)a->n, sizeof *place[l]);
        if (place[l] == NULL)
            return FAIL_NOMEM(t->g->ctx);
        for (int64_t j = 0; j < t->size; j++)
            if (t->set_of[j] == a->set)
                place[l][n++] = (int32_t)j;
        a->place = diff_instances_of(a->n, place[l]);
    }
    return PERI_OK;
}

/* Several lanes are rows of neighbours, the same distance apart: all keep the rows that all have. */
static bool match_rows(gatherer *t, int32_t **place)
{
    const int64_t stride = t->lanes[0].place.stride;
    int64_t begin = 0, end = INT64_MAX;
    if (t->n_lanes == 1)
        return true;
    for (int32_t l = 0; l < t->n_lanes; l++) {
        const lane *a = &t->lanes[l];
        if (a->place.at != NULL || a->place.stride != stride)
            return false;
        const int64_t row = a->place.first / stride;
        begin = row > begin ? row : begin;
        end = row + a->n < end ? row + a->n : end;
    }
    for (int32_t l = 0; l < t->n_lanes && end - begin >= FEWEST; l++) {
        lane *a = &t->lanes[l];
        place[l] += begin - a->place.first / stride;
        a->n = end - begin;
        a->place = diff_instances_of(a->n, place[l]);
    }
    return end - begin >= FEWEST;
}

/* Instances of argument k in the lane's places; inverse [size] */
static bool lane_instances(gatherer *t, int32_t k, lane *to, const int32_t *place, const int32_t *inverse)
{
    int32_t *at = arena_array(&t->data, (size_t)to->n, sizeof *at);
    for (int64_t r = 0; r < to->n && at != NULL; r++) {
        at[r] = inverse[place[r]];
        t->args[k].used[at[r]] = 1;
    }
    if (at != NULL)
        to->instance[k] = diff_instances_of(to->n, at);
    return at != NULL;
}

static peri_status find_instances(gatherer *t, int32_t *const *place)
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
        for (int32_t l = 0; l < t->n_lanes && ok; l++)
            if ((t->lanes[l].set >> k & 1) != 0)
                ok = lane_instances(t, k, &t->lanes[l], place[l], inverse);
    }
    mem_array_free(t->g->m, inverse);
    return ok ? PERI_OK : FAIL_NOMEM(t->g->ctx);
}

/* *found: there are lanes */
static peri_status list_lanes(gatherer *t, bool *found)
{
    int32_t *place[MOST_LANES] = {NULL};
    TRY(find_sets(t));
    *found = count_sets(t) && choose_lanes(t);
    if (!*found)
        return PERI_OK;
    TRY(list_places(t, place));
    *found = match_rows(t, place);
    return *found ? find_instances(t, place) : PERI_OK;
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
    for (int32_t k = 0; k < t->n_args; k++)
        if (a->instance[k].n > 0)
            TRY(diff_restrict(t->g, t->args[k].value, &a->instance[k], &part[n++]));
    TRY(sum_parts(t->g, n, part, &a->value));
    return expr_broadcast(t->g, a->value, a->n, 1, &a->value);
}

static peri_status out_push(gatherer *t, expr_id value, const diff_instances *place)
{
    mem *const m = t->g->m;
    int64_t ref;
    TRY(place->at == NULL ? expr_list_steps(t->g, place->n, place->first, place->stride, &ref)
                          : expr_list_ref(t->g, place->n, place->at, &ref));
    return vec_push(m, &t->out_args, value) && vec_push(m, &t->out_lists, ref) ? PERI_OK : FAIL_NOMEM(t->g->ctx);
}

/* at [*count]: the instances of n that are not in [begin, end), or, where it is there, of `used`; arena memory */
static peri_status unused_instances(gatherer *t, int64_t n, int64_t begin, int64_t end, const unsigned char *used, int32_t **at, int64_t *count)
{
    int64_t kept = 0;
    *count = n - (end - begin);
    for (int64_t i = 0; i < n && used != NULL; i++)
        kept += !used[i];
    *count = used != NULL ? kept : *count;
    *at = arena_array(&t->data, (size_t)*count, sizeof **at);
    if (*at == NULL)
        return FAIL_NOMEM(t->g->ctx);
    kept = 0;
    for (int64_t i = 0; i < n && kept < *count; i++) {
        if (used == NULL && i == begin)
            i = end;
        if (i < n && (used == NULL || !used[i]))
            (*at)[kept++] = (int32_t)i;
    }
    return PERI_OK;
}

/* What no lane has taken. */
static peri_status push_rest(gatherer *t, const argument *a)
{
    int64_t n;
    int32_t *at;
    expr_id value = a->value;
    TRY(unused_instances(t, a->n, a->begin, a->end, a->used, &at, &n));
    if (n == 0)
        return PERI_OK;
    if (n < a->n) {
        const diff_instances w = diff_instances_of(n, at);
        TRY(diff_restrict(t->g, a->value, &w, &value));
        TRY(expr_broadcast(t->g, value, n, 1, &value));
    }
    for (int64_t i = 0; i < n; i++)
        at[i] = expr_list_at(&a->list, at[i]);
    const diff_instances place = {.n = n, .at = at};
    return out_push(t, value, &place);
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

/* All lanes' values and up to two more, PERI_NO_EXPR for none: the cost for one instance. */
static int64_t cost_with(const gatherer *t, expr_id more, expr_id other)
{
    expr_id roots[MOST_LANES + 2];
    int64_t n = 0;
    for (int32_t l = 0; l < t->n_lanes; l++)
        roots[n++] = t->lanes[l].value;
    if (more != PERI_NO_EXPR)
        roots[n++] = more;
    if (other != PERI_NO_EXPR)
        roots[n++] = other;
    return diff_cost(t->g, n, roots);
}

/* The instances of some argument of a lane at which `value` is cheapest beside the lanes and `other`; none: no argument has as many instances. */
static peri_status choose_instances(gatherer *t, expr_id value, expr_id other, diff_instances *which, expr_id *first)
{
    int64_t least = INT64_MAX;
    which->n = 0;
    for (int32_t l = 0; l < t->n_lanes; l++)
        for (int32_t k = 0; k < t->n_args; k++) {
            const lane *a = &t->lanes[l];
            expr_id part;
            if (a->instance[k].n == 0 || t->args[k].n != expr_size(t->g, value))
                continue;
            TRY(diff_restrict(t->g, value, &a->instance[k], &part));
            TRY(expr_broadcast(t->g, part, a->n, 1, &part));
            const int64_t cost = cost_with(t, part, other);
            if (cost < 0)
                return FAIL_NOMEM(t->g->ctx);
            if (cost < least) {
                least = cost;
                *which = a->instance[k];
                *first = part;
            }
        }
    return PERI_OK;
}

/* at [*count]: the others of n instances; arena memory */
static peri_status other_instances(gatherer *t, int64_t n, const diff_instances *which, int32_t **at, int64_t *count)
{
    if (which->at == NULL && which->stride == 1)
        return unused_instances(t, n, which->first, which->first + which->n, NULL, at, count);
    unsigned char *used = mem_array(t->g->m, (size_t)n, 1);
    if (used == NULL)
        return FAIL_NOMEM(t->g->ctx);
    for (int64_t r = 0; r < which->n; r++)
        used[which->at != NULL ? which->at[r] : which->first + r * which->stride] = 1;
    const peri_status status = unused_instances(t, n, 0, 0, used, at, count);
    mem_array_free(t->g->m, used);
    return status;
}

/* The sum of `value` at all instances but those; PERI_NO_EXPR: there are no others. */
static peri_status sum_of_others(gatherer *t, expr_id value, const diff_instances *which, expr_id *out)
{
    int64_t left;
    int32_t *rest;
    *out = PERI_NO_EXPR;
    TRY(other_instances(t, expr_size(t->g, value), which, &rest, &left));
    if (left == 0)
        return PERI_OK;
    const diff_instances w = diff_instances_of(left, rest);
    TRY(diff_restrict(t->g, value, &w, out));
    TRY(expr_broadcast(t->g, *out, left, 1, out));
    return expr_unary(t->g, PERI_OP_SUM, *out, out);
}

/* ---- sums term by term ------------------------------------------------------------------------------------------------- */

enum { MOST_TERMS = 16 };

/* part: at the instances at which it is taken */
typedef struct {
    expr_id value, part;
    diff_instances which;
    bool minus, done;
} term;

/* false: there are too many, or a number among them */
static bool find_terms(const expr_graph *g, expr_id e, int64_t size, bool minus, term *terms, int32_t *n)
{
    const expr_node node = *expr_at(g, e);
    if (expr_size(g, e) != size || *n == MOST_TERMS)
        return false;
    switch (node.op) {
    case PERI_OP_MARK: return find_terms(g, node.arg[0], size, minus, terms, n);
    case PERI_OP_NEG: return find_terms(g, node.arg[0], size, !minus, terms, n);
    case PERI_OP_ADD:
    case PERI_OP_SUB:
        return find_terms(g, node.arg[0], size, minus, terms, n) && find_terms(g, node.arg[1], size, minus != (node.op == PERI_OP_SUB), terms, n);
    default: terms[(*n)++] = (term){.value = e, .minus = minus}; return true;
    }
}

static peri_status add_signed(expr_graph *g, expr_id to, expr_id e, bool minus, expr_id *out)
{
    *out = e;
    if (to != PERI_NO_EXPR)
        return expr_binary(g, minus ? PERI_OP_SUB : PERI_OP_ADD, to, e, out);
    return minus ? expr_unary(g, PERI_OP_NEG, e, out) : PERI_OK;
}

static bool are_same(const diff_instances *a, const diff_instances *b)
{
    return a->n == b->n && a->at == b->at && a->first == b->first && a->stride == b->stride;
}

/* Each term at the instances at which it is cheapest; *whole PERI_NO_EXPR: that cannot be, or gains nothing over `together`. */
static peri_status choose_for_terms(gatherer *t, expr_id value, expr_id together, term *terms, int32_t *n, expr_id *whole)
{
    expr_id sum = PERI_NO_EXPR;
    *n = 0;
    *whole = PERI_NO_EXPR;
    if (!find_terms(t->g, value, expr_size(t->g, value), false, terms, n) || *n < 2)
        return PERI_OK;
    for (int32_t k = 0; k < *n; k++) {
        TRY(choose_instances(t, terms[k].value, sum, &terms[k].which, &terms[k].part));
        if (terms[k].which.n == 0 || terms[k].which.n != terms[0].which.n)
            return PERI_OK;
        TRY(add_signed(t->g, sum, terms[k].part, terms[k].minus, &sum));
    }
    const int64_t apart = cost_with(t, sum, PERI_NO_EXPR), as_one = cost_with(t, together, PERI_NO_EXPR);
    if (apart < 0 || as_one < 0)
        return FAIL_NOMEM(t->g->ctx);
    if (apart < as_one)
        *whole = sum;
    return PERI_OK;
}

/* What the terms' instances have left out: terms of the same instances together. */
static peri_status rest_of_terms(gatherer *t, int32_t n, term *terms, expr_id *out)
{
    *out = PERI_NO_EXPR;
    for (int32_t k = 0; k < n; k++) {
        expr_id sum = PERI_NO_EXPR, rest;
        for (int32_t i = k; i < n && !terms[k].done; i++)
            if (!terms[i].done && are_same(&terms[i].which, &terms[k].which)) {
                TRY(add_signed(t->g, sum, terms[i].value, terms[i].minus, &sum));
                terms[i].done = i > k;
            }
        if (sum == PERI_NO_EXPR)
            continue;
        TRY(sum_of_others(t, sum, &terms[k].which, &rest));
        if (rest != PERI_NO_EXPR)
            TRY(diff_add(t->g, *out, rest, out));
    }
    return PERI_OK;
}

static peri_status split_sum(gatherer *t, expr_id e, expr_id *out)
{
    expr_graph *g = t->g;
    const expr_id value = expr_at(g, e)->arg[0];
    diff_instances which;
    expr_id part = PERI_NO_EXPR, apart, rest;
    term terms[MOST_TERMS];
    int32_t n;
    *out = e;
    if (diff_cost(g, 1, &value) > LARGEST_COST)
        return PERI_OK;
    TRY(choose_instances(t, value, PERI_NO_EXPR, &which, &part));
    if (which.n == 0)
        return PERI_OK;
    TRY(choose_for_terms(t, value, part, terms, &n, &apart));
    TRY(expr_unary(g, PERI_OP_SUM, apart != PERI_NO_EXPR ? apart : part, out)); /* before the rest, so that it is the first argument */
    if (apart != PERI_NO_EXPR)
        TRY(rest_of_terms(t, n, terms, &rest));
    else
        TRY(sum_of_others(t, value, &which, &rest));
    return rest != PERI_NO_EXPR ? expr_binary(g, PERI_OP_ADD, *out, rest, out) : PERI_OK;
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
            adding += t->args[k].list.stride > 1 ? ADDING_APART : ADDING;
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
        if (expr_at(t->g, sum)->op == PERI_OP_SUM) /* else it became a number, or a single term */
            roots[n++] = expr_at(t->g, sum)->arg[0];
    }
    const int64_t after = diff_cost(t->g, n, roots) + ADDING * t->n_lanes;
    return after >= 0 && after <= before;
}

static peri_status gather_lanes(gatherer *t, expr_id f, expr_id gradient, expr_id *f_out, expr_id *gradient_out)
{
    for (int32_t l = 0; l < t->n_lanes; l++)
        TRY(sum_lane(t, &t->lanes[l]));
    TRY(find_function_sums(t, f, gradient));
    for (int64_t k = 0; k < t->n_sums; k++)
        TRY(split_sum(t, t->sum[k], &t->new_sum[k]));
    if (!is_cheaper(t))
        return PERI_OK;
    for (int32_t l = 0; l < t->n_lanes; l++)
        TRY(out_push(t, t->lanes[l].value, &t->lanes[l].place));
    for (int32_t k = 0; k < t->n_args; k++)
        TRY(push_rest(t, &t->args[k]));
    TRY(expr_scatter_lists(t->g, t->size, 1, t->out_args.n, t->out_args.at, t->out_lists.at, gradient_out));
    return expr_substitute(t->g, 1, &f, t->n_sums, t->sum, t->new_sum, f_out);
}

static peri_status gather(gatherer *t, expr_id f, expr_id gradient, expr_id *f_out, expr_id *gradient_out)
{
    bool scatters = false;
    if (t->size < FEWEST || expr_at(t->g, gradient)->cols != 1 || !find_arguments(t, gradient, &scatters) || !scatters)
        return PERI_OK;
    choose_arguments(t);
    bool found = step_lanes(t);
    if (!found) {
        t->n_lanes = 0;
        memset(t->lanes, 0, sizeof t->lanes);
        for (int32_t k = 0; k < t->n_args; k++)
            t->args[k].begin = t->args[k].end = 0;
        TRY(list_lanes(t, &found));
    }
    return found ? gather_lanes(t, f, gradient, f_out, gradient_out) : PERI_OK;
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
