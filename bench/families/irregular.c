/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irregular - an ordinary tape interpreter: each expression is a list of instructions, whose values are kept for the reverse sweep; expression by
 * expression, so that they stay in the cache. data: n, m, start of each expression in the tape, op, a, b; the last m expressions are
 * constraints, the others are summed. With COMPILED it supplies opening and patterns to generated functions all_value, all_gradient,
 * all_constraints, all_jacobian.
 */
#include "family.h"

enum { VAR, CONST, ADD, SUB, MUL, SIN, COS, EXP, SQRT, LOG, RECIP, LONGEST = 256 };

typedef struct {
    int32_t op, a, b; /* arguments: instructions of the same expression */
    int32_t place;    /* VAR in a constraint: in the Jacobian's values */
    double constant;
} instruction;

typedef struct {
    int64_t count, objective; /* expressions; the first of them, of the objective */
    int64_t *start;
    instruction *tape;
} tapes;

static void shut(family *p)
{
    tapes *t = p->own;
    if (t != NULL) {
        free(t->start);
        free(t->tape);
    }
    free(t);
    free((void *)p->jac_start);
    free((void *)p->jac_index);
}

static bool read_tape(tapes *t, const family_data *data)
{
    const int64_t length = data->length[3];
    t->start = malloc((size_t)(t->count + 1) * sizeof *t->start);
    t->tape = calloc((size_t)length, sizeof *t->tape);
    if (t->start == NULL || t->tape == NULL)
        return false;
    for (int64_t e = 0; e <= t->count; e++)
        t->start[e] = (int64_t)data->at[2][e];
    for (int64_t k = 0; k < length; k++) {
        instruction *i = &t->tape[k];
        i->op = (int32_t)data->at[3][k];
        i->constant = data->at[4][k];
        i->a = (int32_t)data->at[4][k];
        i->b = (int32_t)data->at[5][k];
    }
    for (int64_t e = 0; e < t->count; e++)
        if (t->start[e + 1] - t->start[e] > LONGEST)
            return false;
    return true;
}

/* Counts columns, then places each (row, variable) once: rows ascend, since expressions do. last[j]: the row that j was met in. */
static void place_all(const family *p, tapes *t, int64_t *start, int64_t *index, int64_t *last, int64_t *next)
{
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t j = 0; j < p->n; j++)
            last[j] = -1;
        for (int64_t e = t->objective; e < t->count; e++)
            for (int64_t k = t->start[e]; k < t->start[e + 1]; k++) {
                instruction *i = &t->tape[k];
                if (i->op != VAR)
                    continue;
                if (last[i->a] != e && pass == 0)
                    start[i->a + 1]++;
                else if (last[i->a] != e)
                    index[next[i->a]++] = e - t->objective;
                last[i->a] = e;
                if (pass == 1)
                    i->place = (int32_t)next[i->a] - 1;
            }
        for (int64_t j = 0; j < p->n && pass == 0; j++) {
            start[j + 1] += start[j];
            next[j] = start[j];
        }
    }
}

static bool pattern(family *p, tapes *t, int64_t length)
{
    int64_t *start = calloc((size_t)p->n + 1, sizeof *start), *index = malloc((size_t)length * sizeof *index);
    int64_t *last = malloc((size_t)p->n * sizeof *last), *next = malloc((size_t)p->n * sizeof *next);
    const bool ok = start != NULL && index != NULL && last != NULL && next != NULL;
    p->jac_start = start;
    p->jac_index = index;
    if (ok)
        place_all(p, t, start, index, last, next);
    free(last);
    free(next);
    return ok;
}

static bool open(const family_data *data, family *p)
{
    if (data->count != 6)
        return false;
    tapes *t = calloc(1, sizeof *t);
    *p = (family){.n = (int64_t)data->at[0][0], .m = (int64_t)data->at[1][0], .own = t};
    if (t == NULL)
        return false;
    t->count = data->length[2] - 1;
    t->objective = t->count - p->m;
    if (read_tape(t, data) && pattern(p, t, data->length[3]))
        return true;
    shut(p);
    return false;
}

#ifdef COMPILED
static real all_value(const real *restrict x, real *restrict g);
static real all_gradient(const real *restrict x, real *restrict g);
static real all_constraints(const real *restrict x, real *restrict g);
static real all_jacobian(const real *restrict x, real *restrict g);

static real value(const family *p, const real *x)
{
    (void)p;
    return all_value(x, NULL);
}

static real gradient(const family *p, const real *x, real *g)
{
    (void)p;
    return all_gradient(x, g);
}

static void constraints(const family *p, const real *x, real *c)
{
    (void)p;
    (void)all_constraints(x, c);
}

static void jacobian(const family *p, const real *x, real *val)
{
    (void)p;
    (void)all_jacobian(x, val);
}

#else

static real forward(const instruction *restrict i, int64_t length, const real *restrict x, real *restrict v)
{
    for (int64_t k = 0; k < length; k++, i++)
        switch (i->op) {
        case VAR: v[k] = x[i->a]; break;
        case CONST: v[k] = i->constant; break;
        case ADD: v[k] = v[i->a] + v[i->b]; break;
        case SUB: v[k] = v[i->a] - v[i->b]; break;
        case MUL: v[k] = v[i->a] * v[i->b]; break;
        case SIN: v[k] = sin(v[i->a]); break;
        case COS: v[k] = cos(v[i->a]); break;
        case EXP: v[k] = exp(v[i->a]); break;
        case SQRT: v[k] = sqrt(v[i->a]); break;
        case LOG: v[k] = log(v[i->a]); break;
        default: v[k] = 1.0 / v[i->a]; break;
        }
    return v[length - 1];
}

static void reverse(const instruction *restrict tape, int64_t length, const real *restrict v, real *restrict d, real *restrict g, bool places)
{
    for (int64_t k = 0; k < length - 1; k++)
        d[k] = 0.0;
    d[length - 1] = 1.0;
    for (int64_t k = length - 1; k >= 0; k--) {
        const instruction *i = tape + k;
        const real dk = d[k];
        switch (i->op) {
        case VAR: g[places ? i->place : i->a] += dk; break;
        case CONST: break;
        case ADD:
            d[i->a] += dk;
            d[i->b] += dk;
            break;
        case SUB:
            d[i->a] += dk;
            d[i->b] -= dk;
            break;
        case MUL:
            d[i->a] += dk * v[i->b];
            d[i->b] += dk * v[i->a];
            break;
        case SIN: d[i->a] += dk * cos(v[i->a]); break;
        case COS: d[i->a] -= dk * sin(v[i->a]); break;
        case EXP: d[i->a] += dk * v[k]; break;
        case SQRT: d[i->a] += dk * 0.5 / v[k]; break;
        case LOG: d[i->a] += dk / v[i->a]; break;
        default: d[i->a] -= dk * v[k] * v[k]; break;
        }
    }
}

static real value(const family *p, const real *x)
{
    const tapes *t = p->own;
    real v[LONGEST], f = 0.0;
    for (int64_t e = 0; e < t->objective; e++)
        f += forward(t->tape + t->start[e], t->start[e + 1] - t->start[e], x, v);
    return f;
}

static real gradient(const family *p, const real *x, real *g)
{
    const tapes *t = p->own;
    real v[LONGEST], d[LONGEST], f = 0.0;
    for (int64_t j = 0; j < p->n; j++)
        g[j] = 0.0;
    for (int64_t e = 0; e < t->objective; e++) {
        const instruction *tape = t->tape + t->start[e];
        const int64_t length = t->start[e + 1] - t->start[e];
        f += forward(tape, length, x, v);
        reverse(tape, length, v, d, g, false);
    }
    return f;
}

static void constraints(const family *p, const real *x, real *c)
{
    const tapes *t = p->own;
    real v[LONGEST];
    for (int64_t e = t->objective; e < t->count; e++)
        c[e - t->objective] = forward(t->tape + t->start[e], t->start[e + 1] - t->start[e], x, v);
}

static void jacobian(const family *p, const real *x, real *val)
{
    const tapes *t = p->own;
    real v[LONGEST], d[LONGEST];
    for (int64_t k = 0; k < p->jac_start[p->n]; k++)
        val[k] = 0.0;
    for (int64_t e = t->objective; e < t->count; e++) {
        const instruction *tape = t->tape + t->start[e];
        const int64_t length = t->start[e + 1] - t->start[e];
        (void)forward(tape, length, x, v);
        reverse(tape, length, v, d, val, true);
    }
}
#endif

const family_functions family_exported = {.open = open,
                                          .close = shut,
                                          .value = value,
                                          .gradient = gradient,
                                          .constraints = constraints,
                                          .jacobian = jacobian};
