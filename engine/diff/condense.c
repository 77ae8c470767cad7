/* SPDX-License-Identifier: Apache-2.0 */
/*
 * condense.c - arguments of a scatter that bring many instances to few places of a large array, as what all pairs of points add to the diagonal of a
 * Hessian. They are added up in an array of their own first, in which these places lie side by side, and which stays in the first cache; each sum goes to
 * its place once. Where the instances lie in rows, what was scattered becomes neighbours that way. Arguments that share places share an array.
 * Places that are neighbours as it is stay where they are.
 * Invariant: the sum at each place is what it was, up to the order of additions.
 */
#include "diff/condense.h"

enum { FEWEST_INSTANCES = 4096, INSTANCES_A_PLACE = 8, RANGE_A_PLACE = 2 };

typedef struct {
    expr_graph *g;
    expr_node node;
    int64_t size;
    int32_t *owner;       /* [size] 1 + the first argument that brings something there, of those that are condensed; 0: none */
    int32_t *rank;        /* [size] of those places: number in their array */
    int32_t *first;       /* [arguments] an earlier argument, or the same one, whose array it shares; -1: stays as it is */
    int64_t *count;       /* [arguments] places of the array, where the argument is the first one of it */
    bool any;
} condenser;

static int64_t ref_of(const condenser *t, int32_t k)
{
    return expr_scatter_ref(t->g, &t->node, k);
}

static const expr_list *list_of(const condenser *t, int32_t k)
{
    return &t->g->lists.at[ref_of(t, k)];
}

static expr_id value_of(const condenser *t, int32_t k)
{
    return t->g->args.at[t->node.many.list + k];
}

static bool may_be(const condenser *t, int32_t k)
{
    const expr_list *list = list_of(t, k);
    return list->at != NULL && !list->unique && list->n >= FEWEST_INSTANCES && !expr_is_const(t->g, value_of(t, k));
}

static int32_t array_of(const condenser *t, int32_t k)
{
    while (t->first[k] != k)
        k = t->first[k];
    return k;
}

/* rank: 1 + the last argument that was looked at, so far */
static bool has_few_places(const condenser *t, int32_t k)
{
    const expr_list *list = list_of(t, k);
    int64_t places = 0;
    for (int64_t i = 0; i < list->n; i++) {
        places += t->rank[list->at[i]] != k + 1;
        t->rank[list->at[i]] = k + 1;
    }
    return INSTANCES_A_PLACE * places <= list->n && RANGE_A_PLACE * places <= (int64_t)list->hi - list->lo + 1;
}

static void take(condenser *t, int32_t k)
{
    const expr_list *list = list_of(t, k);
    t->first[k] = k;
    t->any = true;
    for (int64_t i = 0; i < list->n; i++) {
        int32_t *owner = &t->owner[list->at[i]];
        *owner = *owner == 0 ? k + 1 : *owner;
        const int32_t a = array_of(t, *owner - 1), b = array_of(t, k);
        t->first[a < b ? b : a] = a < b ? a : b;
    }
}

static void number_places(condenser *t)
{
    for (int64_t p = 0; p < t->size; p++)
        if (t->owner[p] != 0)
            t->rank[p] = (int32_t)t->count[array_of(t, t->owner[p] - 1)]++;
}

/* ---- the new nodes --------------------------------------------------------------------------------------------------- */

/* Arguments of the array number `array`, in args, with their lists in ref; returns how many. */
static peri_status add_members(const condenser *t, int32_t array, expr_id *args, int64_t *ref, int64_t *n)
{
    *n = 0;
    for (int32_t k = array; k < t->node.many.n; k++) {
        if (t->first[k] < 0 || array_of(t, k) != array)
            continue;
        const int64_t entries = list_of(t, k)->n;
        const int32_t *const at = list_of(t, k)->at;
        int32_t *list = mem_array(t->g->m, (size_t)entries, sizeof *list);
        if (list == NULL)
            return FAIL_NOMEM(t->g->ctx);
        for (int64_t i = 0; i < entries; i++)
            list[i] = t->rank[at[i]];
        args[*n] = value_of(t, k);
        const peri_status status = expr_list_ref(t->g, entries, list, &ref[(*n)++]);
        mem_array_free(t->g->m, list);
        TRY(status);
    }
    return PERI_OK;
}

static peri_status places_of(const condenser *t, int32_t array, int64_t *ref)
{
    int32_t *list = mem_array(t->g->m, (size_t)t->count[array], sizeof *list);
    int64_t n = 0;
    if (list == NULL)
        return FAIL_NOMEM(t->g->ctx);
    for (int64_t p = 0; p < t->size; p++)
        if (t->owner[p] != 0 && array_of(t, t->owner[p] - 1) == array)
            list[n++] = (int32_t)p;
    const peri_status status = expr_list_ref(t->g, n, list, ref);
    mem_array_free(t->g->m, list);
    return status;
}

/* args, ref: room for all arguments twice; the first half is the new scatter's */
static peri_status make_scatter(const condenser *t, expr_id *args, int64_t *ref, expr_id *out)
{
    const int32_t all = t->node.many.n;
    int64_t n = 0, members;
    for (int32_t k = 0; k < all; k++) {
        if (t->first[k] >= 0 && t->first[k] != k)
            continue;
        if (t->first[k] < 0) {
            args[n] = value_of(t, k);
            ref[n++] = ref_of(t, k);
            continue;
        }
        TRY(add_members(t, k, args + all, ref + all, &members));
        TRY(expr_scatter_lists(t->g, t->count[k], 1, members, args + all, ref + all, &args[n]));
        TRY(places_of(t, k, &ref[n++]));
    }
    return expr_scatter_lists(t->g, t->node.rows, t->node.cols, n, args, ref, out);
}

static peri_status condense(condenser *t, expr_id *out)
{
    const size_t n = (size_t)t->node.many.n;
    expr_id *args = mem_array(t->g->m, 2 * n, sizeof *args);
    int64_t *ref = mem_array(t->g->m, 2 * n, sizeof *ref);
    t->owner = mem_array(t->g->m, (size_t)t->size, sizeof *t->owner);
    t->rank = mem_array(t->g->m, (size_t)t->size, sizeof *t->rank);
    t->first = mem_array(t->g->m, n, sizeof *t->first);
    t->count = mem_array(t->g->m, n, sizeof *t->count);
    peri_status status = FAIL_NOMEM(t->g->ctx);
    if (args != NULL && ref != NULL && t->owner != NULL && t->rank != NULL && t->first != NULL && t->count != NULL) {
        status = PERI_OK;
        for (int32_t k = 0; k < t->node.many.n; k++)
            t->first[k] = may_be(t, k) && has_few_places(t, k) ? k : -1;
        for (int32_t k = 0; k < t->node.many.n; k++)
            if (t->first[k] >= 0)
                take(t, k);
        number_places(t);
        if (t->any)
            status = make_scatter(t, args, ref, out);
    }
    mem_array_free(t->g->m, args);
    mem_array_free(t->g->m, ref);
    mem_array_free(t->g->m, t->owner);
    mem_array_free(t->g->m, t->rank);
    mem_array_free(t->g->m, t->first);
    mem_array_free(t->g->m, t->count);
    return status;
}

peri_status condense_scatter(expr_graph *g, expr_id e, expr_id *out)
{
    condenser t = {.g = g, .node = *expr_at(g, e), .size = expr_size(g, e)};
    bool any = false;
    *out = e;
    for (int32_t k = 0; k < t.node.many.n; k++)
        any = any || may_be(&t, k);
    return any ? condense(&t, out) : PERI_OK;
}
