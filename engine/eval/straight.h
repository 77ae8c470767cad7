/* SPDX-License-Identifier: Apache-2.0 */
/*
 * straight.h - inside engine/eval only: consecutive small kernels as one list of values and effects without loops. straight.c makes the list of kernels,
 * straight_emit.c one function of it. What one kernel stores and the next reads is handed over in registers; the order of whatever meets in memory is the
 * interpreter's.
 */
#ifndef PERI_EVAL_STRAIGHT_H
#define PERI_EVAL_STRAIGHT_H

#include "base/hash.h"
#include "eval/machine_x86.h"
#include "eval/plan.h"

/* Values of `lanes` numbers, 1: a scalar. A scalar's operand may be a vector, of which it is the first number. */
enum {
    STRAIGHT_NUMBER, /* a constant, in as many lanes; `offset`: its bits */
    STRAIGHT_DATA,   /* constants from `data` on, as many as a vector has */
    STRAIGHT_LOAD,   /* neighbours at kind + offset */
    STRAIGHT_GATHER, /* kind + places[imm + lane] */
    STRAIGHT_SPREAD, /* a, in all lanes */
    STRAIGHT_PAIR,   /* lanes 2 imm and 2 imm + 1 of a */
    STRAIGHT_ODD,    /* lane 1 of a */
    STRAIGHT_HALF,   /* lanes 4 .. 7 of a */
    STRAIGHT_ALIGN,  /* lanes imm .. of b, and behind them those of a */
    STRAIGHT_ONLY,   /* the first imm lanes of a, and zeros */
    STRAIGHT_ADD,
    STRAIGHT_SUB,
    STRAIGHT_MUL,
    STRAIGHT_DIV,
    STRAIGHT_SQRT,
    STRAIGHT_NEG,
    STRAIGHT_ABS,
    STRAIGHT_FMA,
    STRAIGHT_CALL,   /* the vector function of instruction code imm; behind SINCOS' there is */
    STRAIGHT_COSINE, /* of the call before */
    STRAIGHT_STORE,  /* an effect: a to kind + offset */
    STRAIGHT_RESULT  /* the last one: a is what the function returns */
};

typedef struct {
    int32_t code, lanes, kind, imm;
    int32_t arg[3];  /* -1: none */
    int64_t offset;  /* bytes */
    int32_t owned;   /* STORE: places that nothing else has stored to since */
    bool wanted;     /* STORE: read from memory afterwards */
    bool live;
    bool watched;    /* in the sum that the function returns */
} straight_item;

typedef struct {
    eval_compiler *c;
    int32_t width;                /* numbers of a vector */
    VEC(straight_item) items;
    VEC(int64_t) places;          /* bytes */
    VEC(double) data;
    hash_map seen, owner;         /* values by their hash; place in memory -> (STORE, lane) */
    bool failed;                  /* out of memory */
    /* the kernel at hand */
    const eval_kernel *k;
    int32_t parts;                /* vectors of all its instances */
    int32_t *reg;                 /* [n_regs x parts] */
    eval_place *place, *cell, *acc, *zero; /* [5 n_ins], [n_cells], [n_accs], [n_zeros] */
    int32_t *sum;                 /* [n_accs x EVAL_LANES / width] or -1 */
} straight;

peri_status straight_open(straight *s, eval_compiler *c, int32_t width);
void straight_release(straight *s);
/* Can the kernel's instructions be values and effects? About how many items it takes, or 0: no */
int64_t straight_size(const eval_compiler *c, const eval_kernel *k, int32_t width);
peri_status straight_append(straight *s, const eval_kernel *k, int64_t first_patch, int64_t last_patch);
/*
 * all: nothing else reads the program's own memory afterwards; watched: the function returns 0, or NaN where a number in an output is not finite, and perhaps
 * where they are so large that their sum is not
 */
peri_status straight_close(straight *s, bool all, bool watched);
/* straight_emit.c: one function, double (const double *const *inputs, double *const *outputs): where it begins; -1: no code, the buffer is as before */
int64_t straight_emit(x86_code *x, const straight *s, arena *data);

static inline const straight_item *straight_at(const straight *s, int32_t v)
{
    return &s->items.at[v];
}

#endif
