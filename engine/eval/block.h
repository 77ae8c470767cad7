/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block.h - inside engine/eval only: the instructions of the block machine. An instruction works on `n` instances from `start` on; one function an
 * operation, in several versions of one source (block_kernels.h) for the instruction sets of the processor.
 *
 * Sums and differences and products of up to three operations are one instruction each (a "tile"): the shapes, with o1, o2, o3 of add, sub, rsub
 * (b - a) and mul, are
 *     T1   a o1 b                    o1 without rsub
 *     T2   (a o1 b) o2 c
 *     T3   ((a o1 b) o2 c) o3 d
 *     T4   (a o1 b) o2 (c o3 d)      none with rsub
 * Products and sums are rounded one by one, as if they were separate.
 */
#ifndef PERI_EVAL_BLOCK_H
#define PERI_EVAL_BLOCK_H

#include <perigee/perigee.h>

enum {
    EVAL_LANES = 16,       /* instances treated at a time, whatever the width of the processor's vectors: partial sums */
    EVAL_ROW_LANES = 8, /* partial sums of a row: see EVAL_ADD_GRID */
    EVAL_BLOCK_UNIT = 16,  /* blocks have a multiple of this length */
    EVAL_MAX_BLOCK = 384 /* not a multiple of a page: addresses a page apart are in each other's way */
};

enum { EVAL_ALONE = 1 << 6 }; /* of an instruction's flags */
enum { EVAL_ADD, EVAL_SUB, EVAL_MUL, EVAL_RSUB }; /* o1, o2, o3 */

/* codes: the elementwise operations have their peri_op, then these */
enum {
    EVAL_COPY = 128,
    EVAL_POWI,         /* a ^ imm, an integer */
    EVAL_POWH,         /* a ^ (imm / 2), imm odd */
    EVAL_SINCOS,       /* p[3]: the cosine's place */
    EVAL_LOAD_STRIDED, /* dst[i] = p0[i * imm] */
    EVAL_LOAD_LIST,    /* dst[i] = p0[index[i]] */
    EVAL_LOAD_GRID,    /* dst[i] = p0[i % index[0] * imm + i / index[0] * index[1]]: rows, columns, parts and transposes of matrices */
    EVAL_STORE_STRIDED,/* dst[i * imm] = p0[i] */
    EVAL_ADD_STRIDED,
    EVAL_STORE_LIST,   /* dst[index[i]] = p0[i] */
    EVAL_ADD_LIST,
    EVAL_ADD_RUNS,     /* as ADD_LIST; equal indices follow each other */
    EVAL_ADD_PAIRS,    /* dst[index[2 i + k]] += p[k][i], k = 0, 1: instance by instance */
    EVAL_WEAVE_REST,   /* of a WEAVE, what is behind the last whole vector: of the instances that are left, and what those before add there; its
                          registers begin with the last EVAL_LANES instances of whole vectors */
    EVAL_WEAVE,        /* dst[2 i + lane] = sum over the lane's operands of p[k][i - shift k]: see eval_weave */
    EVAL_STORE_PAIRS,  /* dst[i * imm + k] = p[k][i], k = 0, 1 */
    EVAL_STORE_FOURS,  /* k = 0 .. 3 */
    EVAL_FILL,         /* rows of imm numbers from p0, which has index[0] rows that are read again and again, or, for 0, all of them */
    EVAL_ADD_GRID,     /* dst[i % index[0] * imm + i / index[0] * index[1]] += p0[i]: sums of rows, of columns */
    EVAL_MAX_ACC,      /* dst[16]: partial results */
    EVAL_MIN_ACC,
    EVAL_WATCH,        /* dst[16] += p[k][i] 2^64, k < imm, in any order: not finite when an operand is not, see finite.c */
    EVAL_SUM_ACC,
    EVAL_SUM_T1,       /* + o1 */
    EVAL_SUM_T2 = EVAL_SUM_T1 + 3,   /* + 4 o1 + o2 */
    EVAL_SCALED_ACC = EVAL_SUM_T2 + 12, /* dst[lane] += p[3][0] times the sum of SUM_ACC over the instances of this block */
    EVAL_SCALED_T1,                  /* the same of SUM_T1: + o1 */
    EVAL_T1 = EVAL_SCALED_T1 + 3,    /* + o1 */
    EVAL_T2 = EVAL_T1 + 3,           /* + 4 o1 + o2 */
    EVAL_T3 = EVAL_T2 + 12,          /* + 16 o1 + 4 o2 + o3 */
    EVAL_T4 = EVAL_T3 + 48,          /* + 9 o1 + 3 o2 + o3 */
    EVAL_CODES = EVAL_T4 + 27
};

#define EVAL_VOUCHED 0x1p64 /* what EVAL_WATCH multiplies by */

typedef struct eval_ins eval_ins;
typedef void (*eval_fn)(const eval_ins *c, int64_t start, int64_t n);

/*
 * Operand k is read at p[k] + (moves k ? start : 0) + (steps k ? i : 0) for i = 0 .. n - 1: an array of all instances moves and steps, a register
 * steps, a scalar does neither and its value is there EVAL_LANES times. The destination moves (bit 4), or not.
 */
struct eval_ins {
    eval_fn fn;
    double *dst;
    const double *p[4];
    const int32_t *index; /* of all instances */
    int32_t imm;
    uint16_t flags; /* bit k: p[k] moves; bit 4: dst moves; bit 5: SINCOS' second destination moves; bit 8 + k: p[k] steps;
                        bit 6: nothing else in the kernel reaches the scatter's places;
                        bit 12: p[1] is p[0], 13: p[2] is p[0], 14: p[3] is p[2], arrays all */
    uint16_t code;
};

/* A product of dense matrices, rows x inner and inner x cols; the distances of neighbouring rows, of a also of neighbouring columns. */
typedef struct {
    int64_t rows, inner, cols, a_row, a_col, b_row, out_row;
    const double *a, *b;
    double *out;
    bool adds; /* to what is there */
} eval_product;

/* A product of compressed rows and a dense matrix of so many columns; each entry is a sum in the order of its row. */
typedef struct {
    int64_t rows, cols, step; /* step: of the values, 0 where all are the same */
    const int32_t *row_start, *col;
    const double *value, *b;
    double *out;
} eval_rows_product;

/*
 * The index of a WEAVE. Operands of a lane are neighbours, larger shifts first: those reach a place in an earlier block, or in this one. Where `adds` is
 * 0, who reaches a place first stores there.
 */
/* operands; those of lane 0; adds; largest shift; shifts */
enum { WEAVE_TERMS, WEAVE_EVEN, WEAVE_ADDS, WEAVE_REACH, WEAVE_SHIFT, WEAVE_SIZE = WEAVE_SHIFT + 4 };

typedef void (*eval_vector_fn)(void); /* really of vectors: V (V), V (V, V), V (V, V, V) */

typedef struct eval_simd {
    const char *name;
    bool (*is_there)(void); /* on this processor */
    const eval_fn *fn;      /* [EVAL_CODES]; NULL: not compiled in */
    void (*fetch)(const double *at, int64_t lines, bool writes); /* cache lines from `at` on, soon to be read, or written */
    void (*product)(const eval_product *t);
    double (*dot)(int64_t n, const double *a, const double *b);
    bool (*is_finite)(int64_t n, const double *v); /* no entry is infinite or NaN */
    void (*rows_product)(const eval_rows_product *t);
    const eval_vector_fn *vector; /* [EVAL_CODES] of one vector, for machine code; NULL: none; SINCOS: V (V, V *cosine) */
} eval_simd;

extern const eval_simd eval_portable, eval_sse2, eval_avx2, eval_avx512;
const eval_simd *eval_simd_best(void);
const eval_simd *eval_simd_named(const char *name); /* NULL: not on this machine */
const eval_simd *eval_simd_of(const peri_context *ctx); /* that which was asked for with eval_force_simd, or the best */
extern const eval_fn eval_one[EVAL_CODES]; /* for kernels of one instance; NULL: as for many */

#endif
