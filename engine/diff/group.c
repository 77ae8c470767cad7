/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.c - finding repeated structure, second half: scalar expressions of the same form become one vector expression. The form of an instance is its
 * operations in order of first visit with the leaves abstracted; leaves become columns: index lists into arrays, or data. A leaf that is the same in all
 * instances stays a scalar. Long sums are split into terms, grouped alike, and summed by segments.
 */
#include "diff/roll.h"
#include <string.h>

/* ---- forms ------------------------------------------------------------------------------------------------------------------ */

enum { TOKEN_DATA = 1 << 8, TOKEN_EXPONENT = 2 << 8, TOKEN_ENTRY = 3 << 8 };

/* One local number: an operation on earlier local numbers, or a leaf. */
typedef struct {
    int32_t op;     /* operation, or TOKEN_* */
    int32_t arg[3]; /* operation: local numbers, -1 none; ENTRY: arg[0] is the array's node in `to` */
    double value;   /* EXPONENT: its value, part of the form */
} token;

typedef struct {
    int64_t n_tokens, n; /* tokens of the form; instances so far */
    token *tokens;       /* [n_tokens] */
    bool terms;          /* instances are terms of sums */
    VEC(int32_t) index;  /* [n x entries] in order of instance, then leaf */
    VEC(double) data;    /* [n x data leaves] */
    double factor_of_all;
    VEC(double) factor;  /* terms: [n], empty as long as all have the same */
    int32_t segment_of_all;
    VEC(int32_t) segment;/* terms: [n] which sum; as factor */
    VEC(expr_id) node;   /* others: [n] the old node */
    int32_t entries, datas;
    expr_id vector;      /* the result in `to` */
    int64_t follower;    /* the group that the instance after the last one here belonged to: a guess */
} group;

typedef struct {
    roller *r;
    mem *m;
    VEC(token) tokens;      /* of the instance at hand */
    VEC(expr_id) origin;    /* the node that each came from; -1: not to be shared */
    VEC(int32_t) index;     /* its leaves */
    VEC(double) data;
    VEC(group *) groups;
    int64_t last;           /* the group of the instance before */
    hash_map by_form;       /* hash -> group number; chained by trying hash + 1 */
    VEC(struct visit { expr_id e; int32_t local[3]; int16_t next; bool swapped; }) visits; /* local: of its arguments so far */
    VEC(struct part { expr_id e; bool spine; bool negative; }) parts;
} grouper;

static peri_status nomem(const grouper *p)
{
    return FAIL_NOMEM(p->r->from->ctx);
}

/* ---- reading one instance ---------------------------------------------------------------------------------------------------------- */

static int32_t *local_of(const roller *r, expr_id e)
{
    return roll_is_made(r, e) ? &r->made[r->slot[e]].local : &r->slot[e];
}

static bool is_known(const grouper *p, expr_id e)
{
    const int32_t at = *local_of(p->r, e);
    return at < p->origin.n && p->origin.at[at] == e;
}

static bool push_token(grouper *p, expr_id origin, token t)
{
    if (origin >= 0)
        *local_of(p->r, origin) = (int32_t)p->tokens.n;
    return vec_push(p->m, &p->origin, origin) && vec_push(p->m, &p->tokens, t);
}

/* Constants are leaves of their own wherever they stand: two that happen to be equal in one instance are not in another. */
static bool push_constant(grouper *p, double value, bool exponent)
{
    const token t = {exponent ? TOKEN_EXPONENT : TOKEN_DATA, {-1, -1, -1}, exponent ? value : 0};
    return (exponent || vec_push(p->m, &p->data, value)) && push_token(p, -1, t);
}

static peri_status push_leaf(grouper *p, expr_id e, bool exponent)
{
    roller *r = p->r;
    token t = {TOKEN_ENTRY, {-1, -1, -1}, 0};
    int32_t place;
    if (expr_code(r->from, e) == PERI_OP_CONST)
        return push_constant(p, expr_cell_of(r->from, e)->value, exponent) ? PERI_OK : nomem(p);
    roll_locate(r, e, &t.arg[0], &place);
    return vec_push(p->m, &p->index, place) && push_token(p, e, t) ? PERI_OK : nomem(p);
}

static bool is_inner(const roller *r, expr_id e, expr_id top)
{
    return (r->flags[e] & ROLL_SCALAR) && (e == top || !(r->flags[e] & ROLL_MATERIAL));
}

/* The entry that is read first below e, as far as arguments are in order. */
static int32_t first_place(const roller *r, expr_id e)
{
    expr_id array;
    int32_t place = -1;
    while (is_inner(r, e, -1))
        e = expr_at(r->from, e)->arg[0];
    if (expr_code(r->from, e) != PERI_OP_CONST)
        roll_locate(r, e, &array, &place);
    return place;
}

static uint32_t rank_of(const roller *r, expr_id e)
{
    if (r->flags[e] & ROLL_SCALAR)
        return !(r->flags[e] & ROLL_MATERIAL) ? r->shape[e] : r->cut ? 1u << 31 | (uint32_t)r->made[r->slot[e]].image : 1u << 16;
    return expr_code(r->from, e) == PERI_OP_CONST ? 1u << 18 : 1u << 17;
}

/* Arguments of commutative operations are taken in one order, whatever order they were written in: by form, then by what they read. */
static bool is_swapped(const roller *r, const expr_node *node)
{
    if (!roll_is_commutative(node->op))
        return false;
    const uint32_t a = rank_of(r, node->arg[0]), b = rank_of(r, node->arg[1]);
    if (a != b)
        return a > b;
    return first_place(r, node->arg[0]) > first_place(r, node->arg[1]);
}

static peri_status finish_node(grouper *p, const struct visit *v)
{
    token t = {expr_code(p->r->from, v->e) & ~EXPR_WIDE, {v->local[0], v->local[1], v->local[2]}, 0};
    if (v->swapped) {
        t.arg[0] = v->local[1];
        t.arg[1] = v->local[0];
    }
    if (t.op == PERI_OP_SUB && p->tokens.at[t.arg[1]].op == TOKEN_DATA) { /* a - c is a + (-c), exactly */
        t.op = PERI_OP_ADD;
        p->data.at[p->data.n - 1] = -p->data.at[p->data.n - 1];
    }
    return push_token(p, v->e, t) ? PERI_OK : nomem(p);
}

static bool push_visit(grouper *p, expr_id e)
{
    const struct visit v = {e, {-1, -1, -1}, 0, is_swapped(p->r, expr_at(p->r->from, e))};
    return vec_push(p->m, &p->visits, v);
}

/* Which argument is the k-th to be visited. */
static int argument(const struct visit *v, int k)
{
    return v->swapped && k < 2 ? 1 - k : k;
}

/* One step below the visit on the top: an argument known or read, or its visit begun; or the node itself. */
static peri_status read_on(grouper *p, expr_id top)
{
    const roller *r = p->r;
    struct visit *v = &p->visits.at[p->visits.n - 1];
    const expr_node *node = expr_at(r->from, v->e);
    if (v->next == 3 || node->arg[v->next] < 0) {
        TRY(finish_node(p, v));
        if (--p->visits.n > 0) {
            struct visit *above = &p->visits.at[p->visits.n - 1];
            above->local[argument(above, above->next - 1)] = (int32_t)p->tokens.n - 1;
        }
        return PERI_OK;
    }
    const int k = argument(v, v->next);
    const expr_id below = node->arg[k];
    v->next++;
    if (is_inner(r, below, top)) {
        if (!is_known(p, below))
            return push_visit(p, below) ? PERI_OK : nomem(p);
        v->local[k] = *local_of(r, below);
        return PERI_OK;
    }
    const bool constant = expr_code(r->from, below) == PERI_OP_CONST;
    if (constant || !is_known(p, below))
        TRY(push_leaf(p, below, node->op == PERI_OP_POW && k == 1));
    v->local[k] = constant ? (int32_t)p->tokens.n - 1 : *local_of(r, below);
    return PERI_OK;
}

/* Tokens of the instance with root e, in post-order, without recursion. */
static peri_status read_instance(grouper *p, expr_id root, bool is_term)
{
    p->tokens.n = p->origin.n = p->index.n = p->data.n = p->visits.n = 0;
    const expr_id top = is_term ? -1 : root; /* a term that is material is a leaf */
    if (!is_inner(p->r, root, top))
        return push_leaf(p, root, false);
    if (!push_visit(p, root))
        return nomem(p);
    while (p->visits.n > 0)
        TRY(read_on(p, top));
    return PERI_OK;
}

/* ---- the group of a form -------------------------------------------------------------------------------------------------------------- */

static uint64_t form_hash(const grouper *p, bool terms)
{
    uint64_t h = terms ? 7 : 3;
    for (int64_t k = 0; k < p->tokens.n; k++) {
        const token *t = &p->tokens.at[k];
        uint64_t bits;
        memcpy(&bits, &t->value, sizeof bits);
        h = hash_join(h, (uint64_t)(uint32_t)t->op | (uint64_t)(uint32_t)t->arg[0] << 32);
        h = hash_join(h ^ bits, (uint64_t)(uint32_t)t->arg[1] | (uint64_t)(uint32_t)t->arg[2] << 32);
    }
    return h;
}

static bool same_form(const grouper *p, const group *q, bool terms)
{
    return q->terms == terms && q->n_tokens == p->tokens.n &&
           memcmp(q->tokens, p->tokens.at, (size_t)q->n_tokens * sizeof *q->tokens) == 0;
}

static peri_status new_form(grouper *p, bool terms, uint64_t h, group **out)
{
    group *q = arena_alloc(&p->r->data, sizeof *q);
    if (q == NULL)
        return nomem(p);
    q->tokens = arena_array(&p->r->data, (size_t)p->tokens.n, sizeof *q->tokens);
    if (q->tokens == NULL || !vec_push(p->m, &p->groups, q) || !hash_put(&p->by_form, h, p->groups.n - 1))
        return nomem(p);
    memcpy(q->tokens, p->tokens.at, (size_t)p->tokens.n * sizeof *q->tokens);
    q->n_tokens = p->tokens.n;
    q->terms = terms;
    q->entries = (int32_t)p->index.n;
    q->datas = (int32_t)p->data.n;
    *out = q;
    return PERI_OK;
}

/* The instance's group by its form; new where there is none. */
static peri_status look_up_form(grouper *p, bool terms, int64_t *at)
{
    group *q;
    uint64_t h = form_hash(p, terms);
    while (hash_get(&p->by_form, h, at)) {
        if (same_form(p, p->groups.at[*at], terms))
            return PERI_OK;
        h++;
    }
    TRY(new_form(p, terms, h, &q));
    *at = p->groups.n - 1;
    return PERI_OK;
}

/* Loops repeat: what followed last time is tried first. */
static peri_status find_form(grouper *p, bool terms, group **out)
{
    int64_t at = p->groups.n > 0 ? p->groups.at[p->last]->follower : 0;
    if (p->groups.n == 0 || !same_form(p, p->groups.at[at], terms))
        TRY(look_up_form(p, terms, &at));
    p->groups.at[p->last]->follower = at;
    p->last = at;
    *out = p->groups.at[at];
    return PERI_OK;
}

static bool append(grouper *p, group *q)
{
    bool ok = vec_reserve(p->m, &q->index, q->index.n + p->index.n) && vec_reserve(p->m, &q->data, q->data.n + p->data.n);
    for (int64_t k = 0; k < p->index.n && ok; k++)
        q->index.at[q->index.n++] = p->index.at[k];
    for (int64_t k = 0; k < p->data.n && ok; k++)
        q->data.at[q->data.n++] = p->data.at[k];
    q->n++;
    return ok;
}

static peri_status add_plain(grouper *p, expr_id e)
{
    group *q;
    TRY(read_instance(p, e, false));
    TRY(find_form(p, false, &q));
    return append(p, q) && vec_push(p->m, &q->node, e) ? PERI_OK : nomem(p);
}

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* The factor and the sum of the group's newest instance: columns only where they differ. */
static bool append_factor(grouper *p, group *q, double factor)
{
    if (q->n == 1)
        q->factor_of_all = factor;
    if (q->factor.n == 0 && same_bits(factor, q->factor_of_all))
        return true;
    if (!vec_reserve(p->m, &q->factor, q->n))
        return false;
    while (q->factor.n < q->n - 1)
        q->factor.at[q->factor.n++] = q->factor_of_all;
    q->factor.at[q->factor.n++] = factor;
    return true;
}

static bool append_segment(grouper *p, group *q, int32_t segment)
{
    if (q->n == 1)
        q->segment_of_all = segment;
    if (q->segment.n == 0 && segment == q->segment_of_all)
        return true;
    if (!vec_reserve(p->m, &q->segment, q->n))
        return false;
    while (q->segment.n < q->n - 1)
        q->segment.at[q->segment.n++] = q->segment_of_all;
    q->segment.at[q->segment.n++] = segment;
    return true;
}

static peri_status add_term(grouper *p, expr_id e, double factor, int32_t segment)
{
    group *q;
    TRY(read_instance(p, e, true));
    TRY(find_form(p, true, &q));
    return append(p, q) && append_factor(p, q, factor) && append_segment(p, q, segment) ? PERI_OK : nomem(p);
}

/* c t and t c with a constant c: the factor goes outside. */
static void split_factor(const roller *r, expr_id *e, double *factor)
{
    for (;;) {
        const expr_node *node = expr_at(r->from, *e);
        if (!(r->flags[*e] & ROLL_SCALAR) || (r->flags[*e] & ROLL_MATERIAL))
            return;
        if (node->op == PERI_OP_NEG) {
            *factor = -*factor;
            *e = node->arg[0];
        } else if (node->op == PERI_OP_MUL && expr_at(r->from, node->arg[1])->op == PERI_OP_CONST) {
            *factor *= expr_at(r->from, node->arg[1])->value;
            *e = node->arg[0];
        } else {
            return;
        }
    }
}

static int32_t terms_of(const roller *r, expr_id e)
{
    return e >= 0 && (r->flags[e] & ROLL_SCALAR) ? r->terms[e] : 1;
}

/* The next term of a sum of fewer than ROLL_LONG terms that are still to be visited. */
static expr_id next_term(const roller *r, expr_id *todo, int *n)
{
    for (;;) {
        const expr_id e = todo[--*n];
        if (!(r->flags[e] & ROLL_SCALAR) || (r->flags[e] & ROLL_MATERIAL) || !roll_is_sum(expr_code(r->from, e) & ~EXPR_WIDE))
            return e;
        const expr_node *node = expr_at(r->from, e);
        todo[(*n)++] = node->arg[0];
        if (node->arg[1] >= 0)
            todo[(*n)++] = node->arg[1];
    }
}

/* A sum of several terms of few forms: an inner loop's, to be taken apart as the outer one is. */
static bool is_repetitive(const roller *r, expr_id e)
{
    expr_id todo[ROLL_LONG + 2] = {e};
    uint32_t forms[ROLL_LONG / ROLL_ALIKE + 1];
    int n = 1, n_forms = 0, k;
    if ((r->flags[e] & (ROLL_SCALAR | ROLL_MATERIAL)) != ROLL_SCALAR || r->terms[e] < 2 * ROLL_ALIKE || r->terms[e] > ROLL_LONG)
        return false;
    while (n > 0) {
        const uint32_t form = rank_of(r, next_term(r, todo, &n));
        for (k = 0; k < n_forms && forms[k] != form; k++) {
        }
        if (k == n_forms && ROLL_ALIKE * (n_forms + 1) > r->terms[e])
            return false;
        forms[k] = form;
        n_forms += k == n_forms;
    }
    return true;
}

/* Is this part split further? Long sums are, and the short beginning of one: what was added up before it became long. The differences that a user wrote
 * as terms are left whole, so that what cancels in a term still does. */
static bool is_split(const roller *r, const struct part *top, expr_id head)
{
    const int op = expr_at(r->from, top->e)->op;
    if (top->e == head || roll_is_chain(r, top->e) || is_repetitive(r, top->e))
        return true;
    return top->spine && (r->flags[top->e] & (ROLL_SCALAR | ROLL_MATERIAL)) == ROLL_SCALAR && roll_is_sum(op);
}

/* The two sides of a sum, the shorter one on the top. */
static bool push_sides(grouper *p, const struct part *top, const expr_node *node)
{
    const int32_t n0 = terms_of(p->r, node->arg[0]), n1 = node->arg[1] >= 0 ? terms_of(p->r, node->arg[1]) : 0;
    const struct part a = {node->arg[0], n0 > n1, node->op == PERI_OP_NEG ? !top->negative : top->negative};
    const struct part b = {node->arg[1], n1 > n0, node->op == PERI_OP_SUB ? !top->negative : top->negative};
    if (node->arg[1] < 0)
        return vec_push(p->m, &p->parts, a);
    return n1 > n0 ? vec_push(p->m, &p->parts, b) && vec_push(p->m, &p->parts, a) : vec_push(p->m, &p->parts, a) && vec_push(p->m, &p->parts, b);
}

/* The terms of the long sum that ends at `head`, the last one first: so that a chain of any length needs no room to be walked. */
static peri_status add_sum(grouper *p, expr_id head, int32_t segment, double *constant)
{
    const roller *r = p->r;
    const struct part first = {head, true, false};
    p->parts.n = 0;
    if (!vec_push(p->m, &p->parts, first))
        return nomem(p);
    while (p->parts.n > 0) {
        struct part top = p->parts.at[--p->parts.n];
        if (is_split(r, &top, head)) {
            if (!push_sides(p, &top, expr_at(r->from, top.e)))
                return nomem(p);
            continue;
        }
        double factor = top.negative ? -1 : 1;
        split_factor(r, &top.e, &factor);
        if (expr_code(r->from, top.e) == PERI_OP_CONST)
            *constant += factor * expr_cell_of(r->from, top.e)->value;
        else
            TRY(add_term(p, top.e, factor, segment));
    }
    return PERI_OK;
}

static void reverse(int64_t n, size_t width, void *data)
{
    unsigned char *lo = data, *hi = lo + (size_t)(n > 0 ? n - 1 : 0) * width, held[64];
    for (; lo < hi && width > 0; lo += width, hi -= width)
        for (size_t at = 0; at < width; at += sizeof held) {
            const size_t part = width - at < sizeof held ? width - at : sizeof held;
            memcpy(held, lo + at, part);
            memcpy(lo + at, hi + at, part);
            memcpy(hi + at, held, part);
        }
}

/* Terms that were read from the last to the first, in the order in which they were added. */
static void reverse_terms(grouper *p)
{
    for (int64_t k = 0; k < p->groups.n; k++) {
        group *q = p->groups.at[k];
        if (!q->terms)
            continue;
        reverse(q->n, (size_t)q->entries * sizeof *q->index.at, q->index.at);
        reverse(q->n, (size_t)q->datas * sizeof *q->data.at, q->data.at);
        reverse(q->factor.n, sizeof *q->factor.at, q->factor.at);
        reverse(q->segment.n, sizeof *q->segment.at, q->segment.at);
    }
}

/* ---- a group's vector ---------------------------------------------------------------------------------------------------------------------- */

static bool same_column(int64_t n, const double *data, int64_t stride)
{
    for (int64_t i = 1; i < n; i++)
        if (memcmp(&data[i * stride], &data[0], sizeof *data) != 0)
            return false;
    return true;
}

static peri_status data_column(grouper *p, const group *q, int32_t leaf, expr_id *out)
{
    const double *first = q->data.at + leaf;
    if (same_column(q->n, first, q->datas))
        return expr_number(p->r->to, *first, out);
    double *column = mem_array(p->m, (size_t)q->n, sizeof *column);
    if (column == NULL)
        return nomem(p);
    for (int64_t i = 0; i < q->n; i++)
        column[i] = first[i * q->datas];
    const peri_status status = expr_dense(p->r->to, q->n, 1, column, out);
    mem_array_free(p->m, column);
    return status;
}

static peri_status entry_column(grouper *p, const group *q, int32_t leaf, expr_id array, expr_id *out)
{
    const int32_t *first = q->index.at + leaf;
    bool same = true;
    for (int64_t i = 1; i < q->n && same; i++)
        same = first[i * q->entries] == *first;
    if (same)
        return expr_gather_affine(p->r->to, array, 1, 1, *first, 1, out);
    int32_t *column = mem_array(p->m, (size_t)q->n, sizeof *column);
    if (column == NULL)
        return nomem(p);
    for (int64_t i = 0; i < q->n; i++)
        column[i] = first[i * q->entries];
    const peri_status status = expr_gather_list(p->r->to, array, q->n, 1, q->n, column, out);
    mem_array_free(p->m, column);
    return status;
}

static peri_status build_vector(grouper *p, group *q)
{
    expr_graph *to = p->r->to;
    expr_id *made = mem_array(p->m, (size_t)q->n_tokens, sizeof *made);
    peri_status status = made != NULL ? PERI_OK : nomem(p);
    int32_t entry = 0, data = 0;
    for (int64_t k = 0; k < q->n_tokens && status == PERI_OK; k++) {
        const token *t = &q->tokens[k];
        expr_id args[3];
        int n = 0;
        if (t->op == TOKEN_DATA) {
            status = data_column(p, q, data++, &made[k]);
        } else if (t->op == TOKEN_EXPONENT) {
            status = expr_number(to, t->value, &made[k]);
        } else if (t->op == TOKEN_ENTRY) {
            status = entry_column(p, q, entry++, t->arg[0], &made[k]);
        } else {
            for (; n < 3 && t->arg[n] >= 0; n++)
                args[n] = made[t->arg[n]];
            status = expr_op(to, (peri_op)t->op, n, args, &made[k]);
        }
    }
    if (status == PERI_OK)
        status = expr_broadcast(to, made[q->n_tokens - 1], q->n, 1, &q->vector);
    mem_array_free(p->m, made);
    return status;
}

/* ---- sums --------------------------------------------------------------------------------------------------------------------------------------- */

static peri_status weighted(grouper *p, const group *q, expr_id *out)
{
    expr_id factor;
    if (q->factor.n == 0)
        TRY(expr_number(p->r->to, q->factor_of_all, &factor));
    else
        TRY(expr_dense(p->r->to, q->n, 1, q->factor.at, &factor));
    return expr_binary(p->r->to, PERI_OP_MUL, q->vector, factor, out);
}

/* All terms belong to one sum: factors that are the same go outside of it. */
static peri_status one_sum(grouper *p, double constant, expr_id *out)
{
    expr_graph *to = p->r->to;
    expr_id part, factor;
    TRY(expr_number(to, constant, out));
    for (int64_t k = 0; k < p->groups.n; k++) {
        const group *q = p->groups.at[k];
        if (!q->terms)
            continue;
        if (q->factor.n == 0) {
            TRY(expr_unary(to, PERI_OP_SUM, q->vector, &part));
            TRY(expr_number(to, q->factor_of_all, &factor));
            TRY(expr_binary(to, PERI_OP_MUL, part, factor, &part));
        } else {
            TRY(weighted(p, q, &part));
            TRY(expr_unary(to, PERI_OP_SUM, part, &part));
        }
        TRY(expr_binary(to, PERI_OP_ADD, *out, part, out));
    }
    return PERI_OK;
}

/* All terms' segments, where they were the same so far. */
static bool spread_segment(grouper *p, group *q)
{
    if (q->segment.n == q->n)
        return true;
    if (!vec_reserve(p->m, &q->segment, q->n))
        return false;
    while (q->segment.n < q->n)
        q->segment.at[q->segment.n++] = q->segment_of_all;
    return true;
}

static peri_status many_sums(grouper *p, int64_t n, const double *constant, expr_id *out)
{
    expr_graph *to = p->r->to;
    expr_id *args = mem_array(p->m, (size_t)p->groups.n, sizeof *args), base;
    const int32_t **lists = mem_array(p->m, (size_t)p->groups.n, sizeof *lists);
    peri_status status = args != NULL && lists != NULL ? PERI_OK : nomem(p);
    int64_t kept = 0;
    for (int64_t k = 0; k < p->groups.n && status == PERI_OK; k++) {
        group *q = p->groups.at[k];
        if (!q->terms)
            continue;
        status = spread_segment(p, q) ? weighted(p, q, &args[kept]) : nomem(p);
        lists[kept++] = q->segment.at;
    }
    if (status == PERI_OK)
        status = expr_scatter_sum(to, n, 1, kept, args, lists, out);
    if (status == PERI_OK)
        status = expr_dense(to, n, 1, constant, &base);
    if (status == PERI_OK)
        status = expr_binary(to, PERI_OP_ADD, *out, base, out);
    mem_array_free(p->m, args);
    mem_array_free(p->m, lists);
    return status;
}

static void set_image(roller *r, expr_id e, expr_id vector, int64_t place)
{
    r->made[r->slot[e]].image = vector;
    r->made[r->slot[e]].place = (int32_t)place;
}

static peri_status build_sums(grouper *p, int64_t n, const expr_id *heads, const double *constant)
{
    expr_id vector;
    if (n == 0)
        return PERI_OK;
    TRY(n == 1 ? one_sum(p, constant[0], &vector) : many_sums(p, n, constant, &vector));
    for (int64_t k = 0; k < n; k++)
        set_image(p->r, heads[k], vector, k);
    return PERI_OK;
}

/* ---- all together ----------------------------------------------------------------------------------------------------------------------------------- */

static void grouper_release(grouper *p)
{
    for (int64_t k = 0; k < p->groups.n; k++) {
        group *q = p->groups.at[k];
        vec_free(p->m, &q->index);
        vec_free(p->m, &q->data);
        vec_free(p->m, &q->factor);
        vec_free(p->m, &q->segment);
        vec_free(p->m, &q->node);
    }
    vec_free(p->m, &p->groups);
    vec_free(p->m, &p->tokens);
    vec_free(p->m, &p->origin);
    vec_free(p->m, &p->index);
    vec_free(p->m, &p->data);
    vec_free(p->m, &p->visits);
    vec_free(p->m, &p->parts);
    hash_release(&p->by_form);
}

/* The first leaf that is not the same in all instances; -1: none, or it ascends already. */
static int32_t disordered_leaf(const group *q)
{
    for (int32_t leaf = 0; leaf < q->entries; leaf++) {
        const int32_t *first = q->index.at + leaf;
        bool same = true, ascends = true;
        for (int64_t i = 1; i < q->n; i++) {
            same = same && first[i * q->entries] == *first;
            ascends = ascends && first[i * q->entries] >= first[(i - 1) * q->entries];
        }
        if (!same)
            return ascends ? -1 : leaf;
    }
    return -1;
}

/* order[i]: the instance with the i-th smallest index in this leaf; equal ones keep their order. Counting sort; start [largest index + 2], 0. */
static void order_by(const group *q, int32_t leaf, int32_t *start, int32_t *order)
{
    int32_t top = 0;
    for (int64_t i = 0; i < q->n; i++) {
        const int32_t at = q->index.at[i * q->entries + leaf];
        start[at + 1]++;
        top = at > top ? at : top;
    }
    for (int32_t k = 0; k < top; k++)
        start[k + 1] += start[k];
    for (int64_t i = 0; i < q->n; i++)
        order[start[q->index.at[i * q->entries + leaf]]++] = (int32_t)i;
}

static void permute(int64_t n, size_t width, const int32_t *order, void *data, void *copy)
{
    if (n > 0 && width > 0)
        memcpy(copy, data, (size_t)n * width);
    for (int64_t i = 0; i < n && width > 0; i++)
        memcpy((char *)data + (size_t)i * width, (const char *)copy + (size_t)order[i] * width, width);
}

/* The terms of a single sum in ascending order of what they read: runs of neighbours are then read, and their derivatives written, as such. */
static peri_status sort_terms(grouper *p, group *q)
{
    const int32_t leaf = disordered_leaf(q);
    int32_t top = 0;
    if (leaf < 0)
        return PERI_OK;
    for (int64_t i = 0; i < q->n; i++)
        top = q->index.at[i * q->entries + leaf] > top ? q->index.at[i * q->entries + leaf] : top;
    const size_t index = (size_t)q->entries * sizeof *q->index.at, data = (size_t)(q->datas > 0 ? q->datas : 1) * sizeof *q->data.at;
    const size_t widest = index > data ? index : data;
    int32_t *start = mem_array(p->m, (size_t)top + 2, sizeof *start), *order = mem_array(p->m, (size_t)q->n, sizeof *order);
    void *copy = mem_array(p->m, (size_t)q->n, widest);
    const peri_status status = start != NULL && order != NULL && copy != NULL ? PERI_OK : nomem(p);
    if (status == PERI_OK) {
        order_by(q, leaf, start, order);
        permute(q->n, (size_t)q->entries * sizeof *q->index.at, order, q->index.at, copy);
        permute(q->n, (size_t)q->datas * sizeof *q->data.at, order, q->data.at, copy);
        permute(q->factor.n, sizeof *q->factor.at, order, q->factor.at, copy);
    }
    mem_array_free(p->m, start);
    mem_array_free(p->m, order);
    mem_array_free(p->m, copy);
    return status;
}

/* Where pieces of many forms are read by the next depth, they are parts of one vector, so that what reads them has few forms. */
static peri_status stack_vectors(grouper *p)
{
    expr_id *parts = mem_array(p->m, (size_t)p->groups.n, sizeof *parts), stack;
    peri_status status = parts != NULL ? PERI_OK : nomem(p);
    int64_t n = 0, begin = 0;
    for (int64_t k = 0; k < p->groups.n && status == PERI_OK; k++)
        if (p->groups.at[k]->node.n > 0)
            parts[n++] = p->groups.at[k]->vector;
    if (status == PERI_OK && n > 1)
        status = expr_stack(p->r->to, n, parts, &stack);
    for (int64_t k = 0; k < p->groups.n && status == PERI_OK && n > 1; k++) {
        const group *q = p->groups.at[k];
        for (int64_t i = 0; i < q->node.n; i++)
            set_image(p->r, q->node.at[i], stack, begin + i);
        begin += q->node.n;
    }
    mem_array_free(p->m, parts);
    return status;
}

static peri_status build_all(grouper *p, bool one_sum_only)
{
    for (int64_t k = 0; k < p->groups.n; k++) {
        group *q = p->groups.at[k];
        if (q->n == 0)
            continue;
        if (q->terms && one_sum_only) /* the segments are all the same */
            TRY(sort_terms(p, q));
        TRY(build_vector(p, q));
        for (int64_t i = 0; i < q->node.n; i++)
            set_image(p->r, q->node.at[i], q->vector, i);
    }
    return PERI_OK;
}

/* A form with few instances that is a sum: its terms may be common where the whole is not, as the rows of a network's balances are. */
static bool is_rare_sum(const roller *r, const group *q)
{
    return !q->terms && q->n > 0 && q->n < ROLL_RARE && roll_is_sum(expr_at(r->from, q->node.at[0])->op) && r->terms[q->node.at[0]] > 1;
}

/* Where rare sums come in many forms, they are added up from their terms; heads and constant have room for all. */
static peri_status split_rare(grouper *p, expr_id *heads, double *constant, int64_t *n_heads)
{
    const int64_t n = p->groups.n;
    int64_t rare = 0;
    for (int64_t k = 0; k < n; k++)
        rare += is_rare_sum(p->r, p->groups.at[k]);
    for (int64_t k = 0; k < n && rare > ROLL_FORMS; k++) {
        group *q = p->groups.at[k];
        if (!is_rare_sum(p->r, q))
            continue;
        for (int64_t i = 0; i < q->n; i++) {
            TRY(add_sum(p, q->node.at[i], (int32_t)*n_heads, &constant[*n_heads]));
            heads[(*n_heads)++] = q->node.at[i];
        }
        q->n = q->node.n = 0;
    }
    return PERI_OK;
}

peri_status roll_group(roller *r, int64_t n, const expr_id *scalars)
{
    grouper p;
    memset(&p, 0, sizeof p);
    p.r = r;
    p.m = r->from->m;
    hash_init(&p.by_form, p.m);
    expr_id *heads = mem_array(p.m, (size_t)n, sizeof *heads);
    double *constant = mem_array(p.m, (size_t)n, sizeof *constant);
    peri_status status = heads != NULL && constant != NULL ? PERI_OK : nomem(&p);
    int64_t n_heads = 0;
    for (int64_t k = 0; k < n && status == PERI_OK; k++) {
        if (r->flags[scalars[k]] & ROLL_CHAIN)
            heads[n_heads++] = scalars[k];
        else
            status = add_plain(&p, scalars[k]);
    }
    for (int64_t k = n_heads - 1; k >= 0 && status == PERI_OK; k--)
        status = add_sum(&p, heads[k], (int32_t)k, &constant[k]);
    if (status == PERI_OK)
        reverse_terms(&p);
    if (status == PERI_OK)
        status = split_rare(&p, heads, constant, &n_heads);
    if (status == PERI_OK)
        status = build_all(&p, n_heads == 1);
    if (status == PERI_OK && r->cut)
        status = stack_vectors(&p);
    if (status == PERI_OK)
        status = build_sums(&p, n_heads, heads, constant);
    mem_array_free(p.m, heads);
    mem_array_free(p.m, constant);
    grouper_release(&p);
    return status;
}
