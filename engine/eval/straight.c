/* SPDX-License-Identifier: Apache-2.0 */
/*
 * straight.c - from small kernels to values and effects. Each instruction is taken for all instances before the next, as the interpreter does. Invariant: the
 * same operations in the same order as there, but that 0 + sum is added once, at a sum's end, where that makes no difference: a sum that began with 0
 * is never -0.
 */
#include "eval/machine_math.h"
#include "eval/straight.h"
#include "eval/machine_run.h"
#include <math.h>
#include <string.h>

enum { DST = RUN_DST, SIZE = sizeof(double), MOST_ZEROS = 64 };

void straight_release(straight *s)
{
    vec_free(s->c->m, &s->items);
    vec_free(s->c->m, &s->places);
    vec_free(s->c->m, &s->data);
    hash_release(&s->seen);
    hash_release(&s->owner);
}

/* ---- items ------------------------------------------------------------------------------------------------------------------- */

static straight_item item_of(int32_t code, int32_t lanes)
{
    return (straight_item){.code = code, .lanes = lanes, .kind = BASE_NONE, .arg = {-1, -1, -1}};
}

/* Its number; where memory has run out, another's: there is at least one. */
static int32_t append(straight *s, straight_item i)
{
    if (!vec_push(s->c->m, &s->items, i)) {
        s->failed = true;
        return 0;
    }
    return (int32_t)s->items.n - 1;
}

static uint64_t hash_of(const straight_item *i)
{
    uint64_t h = hash_join((uint64_t)i->code << 32 | (uint32_t)i->lanes, (uint64_t)(uint32_t)i->kind << 32 | (uint32_t)i->imm);
    h = hash_join(h, (uint64_t)i->offset);
    return hash_join(hash_join(h, (uint64_t)(uint32_t)i->arg[0] << 32 | (uint32_t)i->arg[1]), (uint64_t)(uint32_t)i->arg[2]);
}

static bool is_same(const straight_item *a, const straight_item *b)
{
    return a->code == b->code && a->lanes == b->lanes && a->kind == b->kind && a->imm == b->imm && a->offset == b->offset &&
           memcmp(a->arg, b->arg, sizeof a->arg) == 0;
}

/* Equal values are computed once. */
static int32_t value(straight *s, straight_item i)
{
    const uint64_t h = hash_of(&i);
    int64_t known;
    if (hash_get(&s->seen, h, &known) && is_same(straight_at(s, (int32_t)known), &i))
        return (int32_t)known;
    const int32_t v = append(s, i);
    s->failed = s->failed || !hash_put(&s->seen, h, v);
    return v;
}

static int32_t operation(straight *s, int32_t code, int32_t lanes, int32_t a, int32_t b)
{
    straight_item i = item_of(code, lanes);
    i.arg[0] = a;
    i.arg[1] = b;
    return value(s, i);
}

static int32_t part_of(straight *s, int32_t code, int32_t lanes, int32_t a, int32_t imm)
{
    straight_item i = item_of(code, lanes);
    i.arg[0] = a;
    i.imm = imm;
    return value(s, i);
}

static int32_t number(straight *s, double v, int32_t lanes)
{
    straight_item i = item_of(STRAIGHT_NUMBER, lanes > 1 ? s->width : 1);
    memcpy(&i.offset, &v, sizeof v);
    return value(s, i);
}

peri_status straight_open(straight *s, eval_compiler *c, int32_t width)
{
    *s = (straight){.c = c, .width = width};
    hash_init(&s->seen, c->m);
    hash_init(&s->owner, c->m);
    (void)number(s, 0, 1); /* the first item */
    return s->failed ? FAIL_NOMEM(c->g->ctx) : PERI_OK;
}

/* Constants from[places[lane]]. */
static int32_t numbers(straight *s, const double *from, const int64_t *places, int32_t lanes)
{
    straight_item i = item_of(STRAIGHT_DATA, lanes);
    bool same = true;
    for (int32_t l = 1; l < lanes; l++)
        same = same && memcmp(&from[places[l]], &from[places[0]], sizeof *from) == 0;
    if (same)
        return number(s, from[places[0]], lanes);
    i.imm = (int32_t)s->data.n;
    for (int32_t l = 0; l < s->width; l++)
        s->failed = s->failed || !vec_push(s->c->m, &s->data, l < lanes ? from[places[l]] : 1.0);
    return append(s, i);
}

static int32_t lane_of(straight *s, int32_t v, int32_t lane)
{
    if (straight_at(s, v)->lanes == 1 || straight_at(s, v)->code == STRAIGHT_NUMBER || lane == 0)
        return v;
    if (straight_at(s, v)->code == STRAIGHT_SPREAD)
        return straight_at(s, v)->arg[0];
    const int32_t pair = lane < 2 ? v : part_of(s, STRAIGHT_PAIR, 2, v, lane / 2);
    return lane % 2 == 0 ? pair : part_of(s, STRAIGHT_ODD, 1, pair, 0);
}

static int32_t spread(straight *s, int32_t v, int32_t lanes)
{
    return lanes == 1 ? v : part_of(s, STRAIGHT_SPREAD, s->width, v, 0);
}

/* ---- memory ------------------------------------------------------------------------------------------------------------------ */

enum { OWNER_LANES = 8 };

static bool is_input(int32_t kind)
{
    return kind < BASE_MEMORY;
}

static uint64_t cell_key(int32_t kind, int64_t offset)
{
    return (uint64_t)kind << 48 ^ (uint64_t)(offset / SIZE);
}

/* Who stored last to a place: a STORE, or -1. */
static int32_t owner_of(const straight *s, int32_t kind, int64_t offset, int32_t *lane)
{
    int64_t known;
    if (!hash_get(&s->owner, cell_key(kind, offset), &known))
        return -1;
    *lane = (int32_t)(known % OWNER_LANES);
    return (int32_t)(known / OWNER_LANES);
}

static void want(straight *s, int32_t kind, int64_t offset)
{
    int32_t lane;
    const int32_t o = is_input(kind) ? -1 : owner_of(s, kind, offset, &lane);
    if (o >= 0)
        s->items.at[o].wanted = true;
}

static int32_t load(straight *s, int32_t kind, int64_t offset, int32_t lanes)
{
    straight_item i = item_of(STRAIGHT_LOAD, lanes);
    i.kind = kind;
    i.offset = offset;
    for (int32_t l = 0; l < lanes; l++)
        want(s, kind, offset + l * SIZE);
    return is_input(kind) ? value(s, i) : append(s, i);
}

/* Who stored the lanes [from, to): one STORE's neighbours, from `first` on? */
static bool are_neighbours(const straight *s, int32_t kind, int64_t offset, int32_t from, int32_t to, int32_t *by, int32_t *first)
{
    *by = owner_of(s, kind, offset + from * SIZE, first);
    for (int32_t l = from + 1; l < to && *by >= 0; l++) {
        int32_t lane = 0;
        if (owner_of(s, kind, offset + l * SIZE, &lane) != *by || lane != *first + l - from)
            return false;
    }
    return *by >= 0;
}

/* The last d lanes of a value, at the end of a vector; -1: they are elsewhere */
static int32_t at_end(straight *s, int32_t v, int32_t first, int32_t d)
{
    if (d == 1)
        return spread(s, lane_of(s, v, first), s->width);
    return first + d == s->width && straight_at(s, v)->lanes == s->width ? v : -1;
}

/* What was stored is not read again, where its lanes are where they are wanted, or can be moved there: the last of one store, then the first of another. */
static int32_t handed_over(straight *s, int32_t kind, int64_t offset, int32_t lanes)
{
    int32_t by, first, next, begin;
    if (are_neighbours(s, kind, offset, 0, lanes, &by, &first)) {
        const int32_t v = straight_at(s, by)->arg[0];
        if (lanes == 1 || first == 0)
            return first == 0 ? v : lane_of(s, v, first);
    }
    for (int32_t d = 1; d < lanes && s->width == 8; d++)
        if (are_neighbours(s, kind, offset, 0, d, &by, &first) && are_neighbours(s, kind, offset, d, lanes, &next, &begin) && begin == 0) {
            const int32_t before = at_end(s, straight_at(s, by)->arg[0], first, d);
            if (before < 0)
                continue;
            straight_item i = item_of(STRAIGHT_ALIGN, s->width);
            i.arg[0] = straight_at(s, next)->arg[0];
            i.arg[1] = before;
            i.imm = s->width - d;
            return value(s, i);
        }
    return -1;
}

static int32_t read_at(straight *s, eval_place at, int64_t numbers_behind, int32_t lanes)
{
    const int64_t offset = at.offset + numbers_behind * SIZE;
    static const int64_t order[] = {0, 1, 2, 3, 4, 5, 6, 7};
    if (at.base == BASE_FIXED)
        return numbers(s, at.fixed + numbers_behind, order, lanes);
    const int32_t v = is_input(at.base) ? -1 : handed_over(s, at.base, offset, lanes);
    return v >= 0 ? v : load(s, at.base, offset, lanes);
}

static void store_at(straight *s, eval_place at, int64_t numbers_behind, int32_t lanes, int32_t v)
{
    straight_item i = item_of(STRAIGHT_STORE, lanes);
    i.kind = at.base;
    i.offset = at.offset + numbers_behind * SIZE;
    i.arg[0] = v;
    i.owned = lanes;
    const int32_t store = append(s, i);
    for (int32_t l = 0; l < lanes && !s->failed; l++) {
        int32_t lane;
        const int32_t before = owner_of(s, i.kind, i.offset + l * SIZE, &lane);
        if (before >= 0)
            s->items.at[before].owned--;
        s->failed = s->failed || !hash_put(&s->owner, cell_key(i.kind, i.offset + l * SIZE), (int64_t)store * OWNER_LANES + l);
    }
}

/* Numbers at places [lanes] behind `at`. */
static int32_t gathered(straight *s, eval_place at, const int64_t *places, int32_t lanes)
{
    bool near = true, same = true;
    for (int32_t l = 1; l < lanes; l++) {
        near = near && places[l] == places[0] + l;
        same = same && places[l] == places[0];
    }
    if (at.base == BASE_FIXED)
        return numbers(s, at.fixed, places, lanes);
    if (near)
        return read_at(s, at, places[0], lanes);
    if (same)
        return spread(s, read_at(s, at, places[0], 1), lanes);
    straight_item i = item_of(STRAIGHT_GATHER, lanes);
    i.kind = at.base;
    i.imm = (int32_t)s->places.n;
    for (int32_t l = 0; l < lanes; l++) {
        want(s, at.base, at.offset + places[l] * SIZE);
        s->failed = s->failed || !vec_push(s->c->m, &s->places, at.offset + places[l] * SIZE);
    }
    return append(s, i);
}

/* ---- operands ---------------------------------------------------------------------------------------------------------------- */

static bool steps(const eval_ins *i, int q)
{
    return (i->flags >> (8 + q) & 1) != 0;
}

static bool is_array(const eval_ins *i, int q)
{
    return steps(i, q) && (i->flags >> q & 1) != 0;
}

static int32_t lanes_of(const straight *s, int32_t part)
{
    const int64_t left = s->k->n - (int64_t)part * s->width;
    return left < s->width ? (int32_t)left : s->width;
}

static eval_place place_of(const straight *s, int64_t j, int q)
{
    return s->place[RUN_FIELDS * j + q];
}

static int32_t *register_at(straight *s, int64_t j, int q, int32_t part)
{
    const int64_t stride = (s->k->block + EVAL_REGISTER_GAP) * SIZE;
    return &s->reg[place_of(s, j, q).offset / stride * s->parts + part];
}

static int32_t cell_at(straight *s, const double *at, int32_t lanes)
{
    const int64_t cell = (at - s->k->cells[0].cell) / EVAL_LANES;
    if (s->cell[cell].base == BASE_NONE)
        return number(s, *s->k->cells[cell].cell, lanes);
    return spread(s, read_at(s, s->cell[cell], 0, 1), lanes);
}

static int32_t operand(straight *s, int64_t j, int q, int32_t part)
{
    const eval_ins *i = &s->k->ins[j];
    const int32_t lanes = lanes_of(s, part);
    if (is_array(i, q))
        return read_at(s, place_of(s, j, q), (int64_t)part * s->width, lanes);
    if (steps(i, q))
        return *register_at(s, j, q, part);
    return cell_at(s, i->p[q], lanes);
}

/* Of one instance. */
static int32_t single(straight *s, int64_t j, int q, int64_t instance)
{
    if (is_array(&s->k->ins[j], q))
        return read_at(s, place_of(s, j, q), instance, 1);
    return lane_of(s, operand(s, j, q, (int32_t)(instance / s->width)), (int32_t)(instance % s->width));
}

static void set_target(straight *s, int64_t j, int q, bool moves, int32_t part, int32_t v)
{
    if (moves)
        store_at(s, place_of(s, j, q), (int64_t)part * s->width, lanes_of(s, part), v);
    else
        *register_at(s, j, q, part) = v;
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------------------- */

static int32_t written(void *to, int op, int32_t lanes, int32_t a, int32_t b)
{
    static const int32_t code[] = {
        [MATH_ADD] = STRAIGHT_ADD, [MATH_SUB] = STRAIGHT_SUB, [MATH_MUL] = STRAIGHT_MUL, [MATH_DIV] = STRAIGHT_DIV, [MATH_SQRT] = STRAIGHT_SQRT};
    return operation(to, code[op], lanes, a, b);
}

static int32_t written_number(void *to, double v, int32_t lanes)
{
    return number(to, v, lanes);
}

static math_writer writer(straight *s, int32_t lanes)
{
    return (math_writer){s, lanes, written, written_number};
}

static int arity(int code)
{
    switch (code) {
    case PERI_OP_WHERE: return 3;
    case PERI_OP_POW:
    case PERI_OP_ATAN2:
    case PERI_OP_MIN2:
    case PERI_OP_MAX2: return 2;
    default: return 1;
    }
}

static int32_t called(straight *s, int64_t j, int32_t part)
{
    straight_item i = item_of(STRAIGHT_CALL, lanes_of(s, part));
    i.imm = s->k->ins[j].code;
    for (int q = 0; q < arity(i.imm); q++)
        i.arg[q] = operand(s, j, q, part);
    return value(s, i);
}

static void both(straight *s, int64_t j, int32_t part)
{
    const int32_t sine = called(s, j, part), cosine = part_of(s, STRAIGHT_COSINE, lanes_of(s, part), sine, 0);
    const eval_ins *i = &s->k->ins[j];
    set_target(s, j, DST, (i->flags & 1u << DST) != 0, part, sine);
    set_target(s, j, 3, (i->flags & 1u << 5) != 0, part, cosine);
}

static int32_t tile(straight *s, int64_t j, int code, int32_t part)
{
    const math_writer w = writer(s, lanes_of(s, part));
    int32_t at[4] = {-1, -1, -1, -1};
    for (int q = 0; q < math_tile_operands(code); q++)
        at[q] = operand(s, j, q, part);
    return math_tile(&w, code, at);
}

static int32_t fused(straight *s, int64_t j, int32_t part)
{
    straight_item i = item_of(STRAIGHT_FMA, lanes_of(s, part));
    for (int q = 0; q < 3; q++)
        i.arg[q] = operand(s, j, q, part);
    return value(s, i);
}

static int32_t map_value(straight *s, int64_t j, int32_t part)
{
    const eval_ins *i = &s->k->ins[j];
    const int32_t lanes = lanes_of(s, part);
    if (i->code >= EVAL_T1)
        return tile(s, j, i->code, part);
    if (i->code == PERI_OP_FMA)
        return fused(s, j, part);
    if (s->c->program->simd->vector[i->code] != NULL)
        return called(s, j, part);
    const math_writer w = writer(s, lanes);
    const int32_t a = operand(s, j, 0, part);
    switch (i->code) {
    case EVAL_POWI: return math_power(&w, a, i->imm);
    case EVAL_POWH: return math_half_power(&w, a, i->imm);
    case PERI_OP_NEG: return operation(s, STRAIGHT_NEG, lanes, a, number(s, -0.0, s->width));
    case PERI_OP_ABS: {
        const uint64_t size = UINT64_MAX >> 1;
        double bits;
        memcpy(&bits, &size, sizeof bits);
        return operation(s, STRAIGHT_ABS, lanes, a, number(s, bits, s->width));
    }
    case PERI_OP_SQRT: return operation(s, STRAIGHT_SQRT, lanes, a, -1);
    case PERI_OP_SQUARE: return operation(s, STRAIGHT_MUL, lanes, a, a);
    case PERI_OP_RECIP: return math_inverse(&w, a);
    case PERI_OP_DIV: return operation(s, STRAIGHT_DIV, lanes, a, operand(s, j, 1, part));
    default: return a; /* COPY */
    }
}

/* ---- data that moves --------------------------------------------------------------------------------------------------------- */

/* The place of instance i, in numbers from where an instruction points to. */
static int64_t instance_place(const eval_ins *i, int64_t instance)
{
    switch (i->code) {
    case EVAL_LOAD_LIST:
    case EVAL_STORE_LIST:
    case EVAL_ADD_LIST: return i->index[instance];
    case EVAL_LOAD_GRID: return instance % i->index[0] * i->imm + instance / i->index[0] * i->index[1];
    default: return instance * i->imm;
    }
}

static void load_part(straight *s, int64_t j, int32_t part)
{
    int64_t places[OWNER_LANES];
    const int32_t lanes = lanes_of(s, part);
    for (int32_t l = 0; l < lanes; l++)
        places[l] = instance_place(&s->k->ins[j], (int64_t)part * s->width + l);
    set_target(s, j, DST, (s->k->ins[j].flags & 1u << DST) != 0, part, gathered(s, place_of(s, j, 0), places, lanes));
}

static void scatter(straight *s, int64_t j)
{
    const eval_ins *i = &s->k->ins[j];
    const int values = i->code == EVAL_STORE_FOURS ? 4 : i->code == EVAL_STORE_PAIRS ? 2 : 1;
    const bool adds = i->code == EVAL_ADD_STRIDED || i->code == EVAL_ADD_LIST;
    const bool whole = i->imm == 1 && (i->code == EVAL_STORE_STRIDED || i->code == EVAL_ADD_STRIDED);
    const eval_place to = place_of(s, j, DST);
    for (int32_t part = 0; part < s->parts && whole; part++) {
        const int32_t lanes = lanes_of(s, part), v = operand(s, j, 0, part);
        const int64_t at = (int64_t)part * s->width;
        store_at(s, to, at, lanes, adds ? operation(s, STRAIGHT_ADD, lanes, v, read_at(s, to, at, lanes)) : v);
    }
    for (int64_t k = 0; k < s->k->n && !whole; k++)
        for (int q = 0; q < values; q++) {
            const int32_t v = single(s, j, q, k);
            const int64_t at = instance_place(i, k) + q;
            store_at(s, to, at, 1, adds ? operation(s, STRAIGHT_ADD, 1, v, read_at(s, to, at, 1)) : v);
        }
}

/* Each place by itself: see weave_at. */
static void weave(straight *s, int64_t j)
{
    const int32_t *const t = s->k->ins[j].index;
    const eval_place to = place_of(s, j, DST);
    for (int64_t r = 0; r < s->k->n + t[WEAVE_REACH]; r++)
        for (int lane = 0; lane < 2; lane++) {
            int32_t sum = -1;
            for (int32_t q = lane == 0 ? 0 : t[WEAVE_EVEN]; q < (lane == 0 ? t[WEAVE_EVEN] : t[WEAVE_TERMS]); q++) {
                const int64_t i = r - t[WEAVE_SHIFT + q];
                if (i < 0 || i >= s->k->n)
                    continue;
                const int32_t v = single(s, j, q, i);
                sum = sum < 0 ? v : operation(s, STRAIGHT_ADD, 1, sum, v);
            }
            if (sum >= 0)
                store_at(s, to, 2 * r + lane, 1, t[WEAVE_ADDS] != 0 ? operation(s, STRAIGHT_ADD, 1, read_at(s, to, 2 * r + lane, 1), sum) : sum);
        }
}

/* ---- sums -------------------------------------------------------------------------------------------------------------------- */

static int32_t only(straight *s, int32_t v, int32_t lanes)
{
    return lanes == s->width ? v : part_of(s, STRAIGHT_ONLY, s->width, v, lanes);
}

static void add_to_sum(straight *s, int64_t j, int32_t part)
{
    const int code = s->k->ins[j].code, vectors = EVAL_LANES / s->width;
    const int64_t acc = (place_of(s, j, DST).offset / SIZE - s->k->lanes_at) / EVAL_LANES;
    const int32_t v = code == EVAL_SUM_ACC ? operand(s, j, 0, part) : tile(s, j, code - EVAL_SUM_T1 + EVAL_T1, part);
    int32_t *const sum = &s->sum[acc * vectors + part % vectors];
    *sum = *sum < 0 ? only(s, v, lanes_of(s, part)) : operation(s, STRAIGHT_ADD, s->width, *sum, only(s, v, lanes_of(s, part)));
}

/* As run.c joins the lanes. */
static int32_t joined(straight *s, const int32_t *sum)
{
    int32_t v[EVAL_LANES];
    for (int k = 0; k < EVAL_LANES / s->width; k++)
        v[k] = sum[k];
    for (int n = EVAL_LANES / s->width / 2; n > 0; n /= 2)
        for (int k = 0; k < n; k++)
            v[k] = v[k + n] < 0 ? v[k] : operation(s, STRAIGHT_ADD, s->width, v[k], v[k + n]);
    const int32_t four = s->width == 4 || s->k->n <= 4 ? v[0] : operation(s, STRAIGHT_ADD, 4, v[0], part_of(s, STRAIGHT_HALF, 4, v[0], 0));
    const int32_t two = s->k->n <= 2 ? four : operation(s, STRAIGHT_ADD, 2, four, part_of(s, STRAIGHT_PAIR, 2, four, 1));
    const int32_t one = s->k->n == 1 ? two : operation(s, STRAIGHT_ADD, 1, two, part_of(s, STRAIGHT_ODD, 1, two, 0));
    return operation(s, STRAIGHT_ADD, 1, one, number(s, 0, 1));
}

static void finish_sums(straight *s)
{
    for (int64_t j = 0; j < s->k->n_accs; j++) {
        const int32_t sum = joined(s, s->sum + j * (EVAL_LANES / s->width));
        const double *scale = s->k->accs[j].scale;
        store_at(s, s->acc[j], 0, 1, scale != NULL ? operation(s, STRAIGHT_MUL, 1, sum, cell_at(s, scale, 1)) : sum);
    }
}

/* ---- what can be ------------------------------------------------------------------------------------------------------------- */

static bool is_sum(int code)
{
    return code >= EVAL_SUM_ACC && code < EVAL_SCALED_ACC;
}

static bool can_be(const eval_compiler *c, const eval_ins *i)
{
    if (i->code >= EVAL_T1 || is_sum(i->code) || c->program->simd->vector[i->code] != NULL)
        return true;
    switch (i->code) {
    case EVAL_COPY:
    case EVAL_POWH:
    case EVAL_LOAD_STRIDED:
    case EVAL_LOAD_LIST:
    case EVAL_LOAD_GRID:
    case EVAL_STORE_STRIDED:
    case EVAL_ADD_STRIDED:
    case EVAL_STORE_LIST:
    case EVAL_ADD_LIST:
    case EVAL_STORE_PAIRS:
    case EVAL_STORE_FOURS:
    case EVAL_WEAVE:
    case PERI_OP_NEG:
    case PERI_OP_ABS:
    case PERI_OP_SQRT:
    case PERI_OP_SQUARE:
    case PERI_OP_RECIP:
    case PERI_OP_DIV:
    case PERI_OP_FMA: return true;
    case EVAL_POWI: return i->imm != 0;
    default: return false;
    }
}

enum { MOST_PARTS = 8, ITEMS_OF_INSTRUCTION = 4 };

int64_t straight_size(const eval_compiler *c, const eval_kernel *k, int32_t width)
{
    int64_t sums = 0, size = 0;
    if (k->n > MOST_PARTS * width || k->rows != NULL || k->n_chunks != 1 || k->n > k->block || c->program->simd->vector == NULL)
        return 0;
    for (int64_t j = 0; j < k->n_ins; j++) {
        const int code = k->ins[j].code;
        if (!can_be(c, &k->ins[j]))
            return 0;
        const bool singly = code >= EVAL_STORE_STRIDED && code <= EVAL_ADD_GRID;
        size += ITEMS_OF_INSTRUCTION * (singly ? k->n : (k->n + width - 1) / width);
        sums += is_sum(code);
    }
    for (int64_t j = 0; j < k->n_zeros; j++) {
        if (k->zeros[j].n > MOST_ZEROS || k->zeros[j].set.n > 0)
            return 0;
        size += k->zeros[j].n / width + 1;
    }
    return sums == k->n_accs ? size + 1 : 0; /* one instruction each */
}

/* ---- a kernel ---------------------------------------------------------------------------------------------------------------- */

/* What `now` points to, unless a patch says otherwise: the program's memory, in bytes, or constants. */
static eval_place own_place(const straight *s, const double *now)
{
    const eval_program *p = s->c->program;
    if ((uintptr_t)now >= (uintptr_t)p->work && (uintptr_t)now < (uintptr_t)(p->work + p->memory))
        return (eval_place){BASE_MEMORY, (now - p->work) * SIZE, NULL};
    return (eval_place){BASE_FIXED, 0, now};
}

/* Which of n records of `size` bytes from `first` on holds the pointer; -1: none */
static int64_t record_of(const void *where, const void *first, int64_t n, size_t size)
{
    const uintptr_t at = (uintptr_t)where - (uintptr_t)first;
    return n > 0 && (uintptr_t)where >= (uintptr_t)first && at < (uintptr_t)n * size ? (int64_t)(at / size) : -1;
}

static void find_places(straight *s, const run_kernel *open, int64_t first_patch, int64_t last_patch)
{
    const eval_kernel *k = s->k;
    for (int64_t j = 0; j < RUN_FIELDS * k->n_ins; j++)
        s->place[j] = open->place[j].base == BASE_FIXED ? own_place(s, (const double *)(uintptr_t)open->place[j].offset) : open->place[j];
    for (int64_t j = 0; j < k->n_cells; j++)
        s->cell[j] = k->cells[j].from != NULL ? own_place(s, k->cells[j].from) : (eval_place){BASE_NONE, 0, NULL};
    for (int64_t j = 0; j < k->n_accs; j++)
        s->acc[j] = own_place(s, k->accs[j].out);
    for (int64_t j = 0; j < k->n_zeros; j++)
        s->zero[j] = own_place(s, k->zeros[j].at);
    for (int64_t j = first_patch; j < last_patch; j++) {
        const struct eval_patch *patch = &s->c->patches.at[j];
        const eval_place place = {patch->base, patch->offset * SIZE, NULL};
        const int64_t cell = record_of(patch->where, k->cells, k->n_cells, sizeof *k->cells);
        const int64_t acc = record_of(patch->where, k->accs, k->n_accs, sizeof *k->accs);
        const int64_t zero = record_of(patch->where, k->zeros, k->n_zeros, sizeof *k->zeros);
        if (patch->base == BASE_MEMORY || patch->base == BASE_SCRATCH)
            continue;
        if (cell >= 0)
            s->cell[cell] = place;
        else if (acc >= 0)
            s->acc[acc] = place;
        else if (zero >= 0)
            s->zero[zero] = place;
    }
}

static peri_status open_kernel(straight *s, const eval_kernel *k, int64_t first_patch, int64_t last_patch)
{
    arena *a = &s->c->data;
    const int64_t sums = k->n_accs * EVAL_LANES / s->width;
    run_kernel open;
    TRY(run_open_kernel(s->c, k, first_patch, last_patch, s->width, &open));
    s->k = k;
    s->parts = (int32_t)((k->n + s->width - 1) / s->width);
    s->reg = arena_array(a, (size_t)(k->n_regs * s->parts), sizeof *s->reg);
    s->place = arena_array(a, (size_t)(RUN_FIELDS * k->n_ins), sizeof *s->place);
    s->cell = arena_array(a, (size_t)k->n_cells, sizeof *s->cell);
    s->acc = arena_array(a, (size_t)k->n_accs, sizeof *s->acc);
    s->zero = arena_array(a, (size_t)k->n_zeros, sizeof *s->zero);
    s->sum = arena_array(a, (size_t)sums, sizeof *s->sum);
    if (s->reg == NULL || s->place == NULL || s->cell == NULL || s->acc == NULL || s->zero == NULL || s->sum == NULL)
        return FAIL_NOMEM(s->c->g->ctx);
    for (int64_t j = 0; j < sums; j++)
        s->sum[j] = -1;
    find_places(s, &open, first_patch, last_patch);
    return PERI_OK;
}

static void fill_in(straight *s)
{
    for (int64_t j = 0; j < s->k->n_zeros; j++) {
        const struct eval_zero *z = &s->k->zeros[j];
        for (int64_t at = 0; at < z->n; at += s->width) {
            const int32_t lanes = z->n - at < s->width ? (int32_t)(z->n - at) : s->width;
            int64_t places[OWNER_LANES];
            for (int32_t l = 0; l < lanes; l++)
                places[l] = z->period > 0 ? (at + l) % z->period : at + l;
            store_at(s, s->zero[j], at, lanes, z->from == NULL ? number(s, 0, lanes) : numbers(s, z->from, places, lanes));
        }
    }
}

static void append_instruction(straight *s, int64_t j)
{
    const eval_ins *i = &s->k->ins[j];
    if (i->code == EVAL_WEAVE) {
        weave(s, j);
        return;
    }
    if (i->code >= EVAL_STORE_STRIDED && i->code <= EVAL_ADD_GRID) {
        scatter(s, j);
        return;
    }
    for (int32_t part = 0; part < s->parts; part++) {
        if (is_sum(i->code))
            add_to_sum(s, j, part);
        else if (i->code == EVAL_SINCOS)
            both(s, j, part);
        else if (i->code >= EVAL_LOAD_STRIDED && i->code <= EVAL_LOAD_GRID)
            load_part(s, j, part);
        else
            set_target(s, j, DST, (i->flags & 1u << DST) != 0, part, map_value(s, j, part));
    }
}

peri_status straight_append(straight *s, const eval_kernel *k, int64_t first_patch, int64_t last_patch)
{
    TRY(open_kernel(s, k, first_patch, last_patch));
    fill_in(s);
    for (int64_t j = 0; j < k->n_ins; j++)
        append_instruction(s, j);
    finish_sums(s);
    return s->failed ? FAIL_NOMEM(s->c->g->ctx) : PERI_OK;
}

/* ---- the end ----------------------------------------------------------------------------------------------------------------- */

static bool is_finite_constant(const straight *s, int32_t v)
{
    double value;
    memcpy(&value, &straight_at(s, v)->offset, sizeof value);
    return straight_at(s, v)->code == STRAIGHT_NUMBER && isfinite(value);
}

/* A value's own lanes: what is taken from a vector is the vector's. */
static int32_t origin_of(const straight *s, int32_t v)
{
    while (straight_at(s, v)->code == STRAIGHT_PAIR || straight_at(s, v)->code == STRAIGHT_ODD || straight_at(s, v)->code == STRAIGHT_SPREAD)
        v = straight_at(s, v)->arg[0];
    return v;
}

enum { SIZES = 4, CHAINS = 4 }; /* sums of 1, 2, 4, 8 numbers; of each so many that need not wait for each other */

static int32_t added(straight *s, int32_t lanes, int32_t a, int32_t b)
{
    return a < 0 ? b : b < 0 ? a : operation(s, STRAIGHT_ADD, lanes, a, b);
}

static int32_t folded(straight *s, int32_t sum[SIZES][CHAINS])
{
    static const int halves[SIZES] = {0, STRAIGHT_ODD, STRAIGHT_PAIR, STRAIGHT_HALF};
    int32_t upper = -1;
    for (int size = SIZES - 1; size >= 0; size--) {
        const int32_t lanes = 1 << size;
        for (int n = CHAINS / 2; n > 0; n /= 2)
            for (int k = 0; k < n; k++)
                sum[size][k] = added(s, lanes, sum[size][k], sum[size][k + n]);
        upper = added(s, lanes, sum[size][0], upper);
        if (upper >= 0 && size > 0)
            upper = operation(s, STRAIGHT_ADD, lanes / 2, upper, part_of(s, halves[size], lanes / 2, upper, size == 2));
    }
    return upper;
}

/* 0 times the sum of all that stays in outputs. */
static void watch(straight *s)
{
    int32_t sum[SIZES][CHAINS], count[SIZES] = {0};
    const int64_t n = s->items.n;
    memset(sum, -1, sizeof sum);
    for (int64_t k = 0; k < n; k++)
        s->items.at[k].watched = false;
    for (int64_t k = 0; k < n; k++) {
        const straight_item i = s->items.at[k];
        const int32_t v = i.code == STRAIGHT_STORE ? origin_of(s, i.arg[0]) : -1;
        if (v < 0 || i.kind < BASE_OUTPUT || i.owned == 0 || is_finite_constant(s, v) || straight_at(s, v)->watched)
            continue;
        const int32_t lanes = v == i.arg[0] ? i.lanes : straight_at(s, v)->lanes;
        const int size = lanes == 1 ? 0 : lanes == 2 ? 1 : lanes <= 4 ? 2 : 3;
        int32_t *const chain = &sum[size][count[size]++ % CHAINS];
        s->items.at[v].watched = lanes == straight_at(s, v)->lanes;
        *chain = added(s, 1 << size, *chain, lanes == 1 << size ? v : only(s, v, lanes));
    }
    const int32_t all = folded(s, sum);
    straight_item result = item_of(STRAIGHT_RESULT, 1);
    result.arg[0] = all < 0 ? number(s, 0, 1) : operation(s, STRAIGHT_MUL, 1, all, number(s, 0, 1));
    append(s, result);
}

static void find_live(straight *s, bool all)
{
    for (int64_t v = s->items.n - 1; v >= 0; v--) {
        straight_item *i = &s->items.at[v];
        if (i->code == STRAIGHT_STORE)
            i->live = i->wanted || (i->owned > 0 && !(all && i->kind == BASE_MEMORY));
        i->live = i->live || i->code == STRAIGHT_RESULT;
        for (int q = 0; q < 3 && i->live; q++)
            if (i->arg[q] >= 0)
                s->items.at[i->arg[q]].live = true;
    }
}

peri_status straight_close(straight *s, bool all, bool watched)
{
    if (watched)
        watch(s);
    find_live(s, all);
    return s->failed ? FAIL_NOMEM(s->c->g->ctx) : PERI_OK;
}
