/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cut.c - models without repetition. Where many expressions have forms of their own, the expressions do not repeat but their pieces do: scalars in them
 * are made by themselves, so that what is left above and below is common. From the leaves upwards, a piece grows until its form becomes rare; then it is
 * cut right below its last operation. Invariant: only marks are set, which cost time or save it, and change no value.
 */
#include "diff/roll.h"
#include <string.h>

enum { COMMON = 64, MANY_OPERATIONS = 4096 }; /* instances of a form that make it common; operations in rare forms that are worth cutting */

typedef struct {
    roller *r;
    uint32_t *form;         /* [nodes] of scalars: a hash of the piece, of which the scalar is the last operation */
    unsigned char *height;  /* [nodes] operations above the deepest leaf of the piece */
    expr_id *order;         /* scalars by height */
    int64_t start[256 + 1]; /* those of height h: order[start[h]] .. order[start[h + 1] - 1] */
    uint32_t *key;          /* [mask + 1] a table of forms; 0: empty */
    int32_t *count;
    uint64_t mask;
} cutter;

/* ---- is it worth it? ---------------------------------------------------------------------------------------------------- */

static bool is_inner(const roller *r, expr_id e)
{
    return (r->flags[e] & (ROLL_SCALAR | ROLL_MATERIAL)) == ROLL_SCALAR && !(r->flags[e] & ROLL_CHAIN);
}

typedef struct {
    const roller *r;
    uint16_t *count;        /* [2^16] scalars of a shape, up to ROLL_RARE */
    expr_id_list todo;
    int64_t all, rare;      /* operations: of all expressions; of those in rare forms */
} survey;

static bool is_rare(const survey *s, expr_id e)
{
    return s->count[s->r->shape[e]] < ROLL_RARE;
}

/* Operations of a root; a rare sum can still be one of common terms. */
static bool add_root(survey *s, expr_id root)
{
    const roller *r = s->r;
    mem *const m = r->from->m;
    bool ok = vec_push(m, &s->todo, root);
    s->all += r->weight[root];
    while (ok && s->todo.n > 0) {
        const expr_id e = s->todo.at[--s->todo.n], *args;
        if ((e != root && !is_inner(r, e)) || !is_rare(s, e))
            continue;
        if (!roll_is_sum(expr_code(r->from, e) & ~EXPR_WIDE)) {
            s->rare += r->weight[e];
            continue;
        }
        const int32_t n = expr_args(r->from, e, &args);
        for (int32_t k = 0; k < n && ok; k++)
            ok = vec_push(m, &s->todo, args[k]);
    }
    return ok;
}

/* What is grouped as a whole: scalars needed by themselves, and terms of long sums. */
static bool add_roots(survey *s)
{
    const roller *r = s->r;
    bool ok = true;
    for (expr_id e = 0; e < r->from->nodes.n && ok; e++) {
        const expr_id *args;
        if (!(r->flags[e] & ROLL_SCALAR))
            continue;
        if (!(r->flags[e] & ROLL_CHAIN)) {
            ok = !(r->flags[e] & ROLL_MATERIAL) || add_root(s, e);
            continue;
        }
        const int32_t n = expr_args(r->from, e, &args);
        for (int32_t k = 0; k < n && ok; k++)
            ok = !is_inner(r, args[k]) || add_root(s, args[k]);
    }
    return ok;
}

static peri_status is_worth_it(const roller *r, bool *worth)
{
    survey s = {.r = r, .count = mem_array(r->from->m, 1 << 16, sizeof *s.count)};
    bool ok = s.count != NULL;
    for (expr_id e = 0; e < r->from->nodes.n && ok; e++)
        if ((r->flags[e] & (ROLL_SCALAR | ROLL_CHAIN)) == ROLL_SCALAR && s.count[r->shape[e]] < ROLL_RARE)
            s.count[r->shape[e]]++;
    ok = ok && add_roots(&s);
    mem_array_free(r->from->m, s.count);
    vec_free(r->from->m, &s.todo);
    *worth = s.rare >= MANY_OPERATIONS && s.rare >= s.all / 8;
    return ok ? PERI_OK : FAIL_NOMEM(r->from->ctx);
}

/* ---- forms of pieces -------------------------------------------------------------------------------------------------------- */

static uint32_t mixed(uint64_t a, uint64_t b)
{
    return (uint32_t)(hash_join(a, b) >> 32);
}

/* Argument k of a node as its form sees it; cut: as a scalar made by itself. */
static uint32_t form_of_argument(const cutter *c, int op, int k, expr_id a, bool cut)
{
    const roller *r = c->r;
    if (cut || (r->flags[a] & ROLL_MATERIAL))
        return mixed(2, (uint64_t)(r->slot[a] + (r->flags[a] & ROLL_MATERIAL ? 0 : 1)));
    if (r->flags[a] & ROLL_SCALAR)
        return c->form[a];
    const expr_node *node = expr_at(r->from, a);
    if (node->op == PERI_OP_CONST)
        return op == PERI_OP_POW && k == 1 ? (uint32_t)hash_bytes(&node->value, sizeof node->value) : 1;
    const expr_node *source = expr_at(r->from, node->op == PERI_OP_GATHER ? node->arg[0] : a);
    return source->op == PERI_OP_INPUT ? 4u + source->class_ : mixed(3, (uint64_t)node->arg[0]);
}

/* cut: a bit for each argument */
static uint32_t form_of(const cutter *c, expr_id e, unsigned cut)
{
    const int op = expr_code(c->r->from, e) & ~EXPR_WIDE;
    const expr_id *args;
    const int32_t n = expr_args(c->r->from, e, &args);
    uint32_t f[3] = {0, 0, 0};
    for (int32_t k = 0; k < n; k++)
        f[k] = form_of_argument(c, op, k, args[k], (cut >> k & 1) != 0);
    if (roll_is_commutative(op) && f[0] > f[1]) {
        const uint32_t first = f[0];
        f[0] = f[1];
        f[1] = first;
    }
    const uint32_t form = mixed((uint64_t)f[0] << 32 | f[1], (uint64_t)f[2] << 8 | (uint64_t)op);
    return form != 0 ? form : 1;
}

/* Arguments that can be cut off, the one with most operations alone where `all` is not set. */
static unsigned parts_of(const cutter *c, expr_id e, bool all)
{
    const expr_id *args;
    const int32_t n = expr_args(c->r->from, e, &args);
    unsigned every = 0, heaviest = 0;
    int most = 0;
    for (int32_t k = 0; k < n; k++) {
        if (!is_inner(c->r, args[k]))
            continue;
        every |= 1u << k;
        if (c->r->weight[args[k]] > most) {
            most = c->r->weight[args[k]];
            heaviest = 1u << k;
        }
    }
    return all ? every : heaviest;
}

static int32_t *count_of(const cutter *c, uint32_t form)
{
    uint64_t at = form & c->mask;
    while (c->key[at] != 0 && c->key[at] != form)
        at = (at + 1) & c->mask;
    c->key[at] = form;
    return &c->count[at];
}

/* ---- cutting ------------------------------------------------------------------------------------------------------------------ */

static void cut_off(cutter *c, expr_id e, unsigned cut)
{
    roller *r = c->r;
    const expr_id *args;
    const int32_t n = expr_args(r->from, e, &args);
    int32_t depth = 0;
    for (int32_t k = 0; k < n; k++) {
        if ((cut >> k & 1) != 0 && is_inner(r, args[k])) {
            r->flags[args[k]] |= ROLL_MATERIAL;
            r->slot[args[k]]++;
        }
        depth = r->slot[args[k]] > depth ? r->slot[args[k]] : depth;
    }
    r->slot[e] = depth + (r->flags[e] & ROLL_MATERIAL ? 1 : 0);
}

/* Of a table with room for the forms of n scalars: each has three at the most. */
static uint64_t mask_for(int64_t n)
{
    uint64_t mask = 15;
    while ((int64_t)mask + 1 < 4 * n)
        mask = 2 * mask + 1;
    return mask;
}

static void cut_height(cutter *c, int64_t n, const expr_id *scalars)
{
    if (n == 0)
        return;
    c->mask = mask_for(n);
    memset(c->key, 0, (c->mask + 1) * sizeof *c->key);
    memset(c->count, 0, (c->mask + 1) * sizeof *c->count);
    for (int64_t i = 0; i < n; i++) {
        cut_off(c, scalars[i], 0);
        c->form[scalars[i]] = form_of(c, scalars[i], 0);
        ++*count_of(c, c->form[scalars[i]]);
    }
    for (int64_t i = 0; i < n; i++) /* the negative: counted once more below, as what it would be */
        if (*count_of(c, c->form[scalars[i]]) < COMMON)
            ++*count_of(c, form_of(c, scalars[i], parts_of(c, scalars[i], false)));
    for (int64_t i = 0; i < n; i++) {
        const expr_id e = scalars[i];
        unsigned cut = parts_of(c, e, false);
        if (cut == 0 || *count_of(c, c->form[e]) >= COMMON)
            continue;
        if (*count_of(c, form_of(c, e, cut)) < COMMON)
            cut = parts_of(c, e, true);
        cut_off(c, e, cut);
        c->form[e] = form_of(c, e, 0);
    }
}

static void find_heights(cutter *c)
{
    const roller *r = c->r;
    for (expr_id e = 0; e < r->from->nodes.n; e++) {
        const expr_id *args;
        if ((r->flags[e] & (ROLL_SCALAR | ROLL_CHAIN)) != ROLL_SCALAR)
            continue;
        const int32_t n = expr_args(r->from, e, &args);
        int height = 0;
        for (int32_t k = 0; k < n; k++)
            if (is_inner(r, args[k]) && c->height[args[k]] > height)
                height = c->height[args[k]];
        c->height[e] = (unsigned char)(height < 255 ? height + 1 : 255);
        c->start[c->height[e]]++;
    }
    int64_t at = 0;
    for (int h = 0; h <= 256; h++) {
        const int64_t n = c->start[h];
        c->start[h] = at;
        at += n;
    }
}

static void sort_by_height(cutter *c)
{
    const roller *r = c->r;
    for (expr_id e = 0; e < r->from->nodes.n; e++)
        if ((r->flags[e] & (ROLL_SCALAR | ROLL_CHAIN)) == ROLL_SCALAR)
            c->order[c->start[c->height[e]]++] = e;
    for (int h = 256; h > 0; h--)
        c->start[h] = c->start[h - 1];
    c->start[0] = 0;
}

static peri_status cut_all(cutter *c)
{
    mem *const m = c->r->from->m;
    int64_t most = 0;
    find_heights(c);
    for (int h = 0; h < 256; h++)
        most = c->start[h + 1] - c->start[h] > most ? c->start[h + 1] - c->start[h] : most;
    c->mask = mask_for(most);
    c->order = mem_array(m, (size_t)c->start[256], sizeof *c->order);
    c->key = mem_array(m, c->mask + 1, sizeof *c->key);
    c->count = mem_array(m, c->mask + 1, sizeof *c->count);
    if (c->order == NULL || c->key == NULL || c->count == NULL)
        return FAIL_NOMEM(c->r->from->ctx);
    sort_by_height(c);
    for (int h = 1; h < 256; h++)
        cut_height(c, c->start[h + 1] - c->start[h], c->order + c->start[h]);
    return PERI_OK;
}

peri_status roll_cut(roller *r, bool *cut)
{
    mem *const m = r->from->m;
    TRY(is_worth_it(r, cut));
    if (!*cut)
        return PERI_OK;
    cutter c = {.r = r};
    c.form = mem_array(m, (size_t)r->from->nodes.n, sizeof *c.form);
    c.height = mem_array(m, (size_t)r->from->nodes.n, 1);
    const peri_status status = c.form != NULL && c.height != NULL ? cut_all(&c) : FAIL_NOMEM(r->from->ctx);
    mem_array_free(m, c.form);
    mem_array_free(m, c.height);
    mem_array_free(m, c.order);
    mem_array_free(m, c.key);
    mem_array_free(m, c.count);
    return status;
}
