/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_x86.h - inside engine/eval only: x86-64 instructions written as bytes. Vector instructions are encoded with VEX (128 and 256 bits, 16 registers)
 * or with EVEX (512 bits too, 32 registers), of which a buffer uses one throughout.
 */
#ifndef PERI_EVAL_MACHINE_X86_H
#define PERI_EVAL_MACHINE_X86_H

#include "base/mem.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* What is written so far. Memory that runs out is noted and told once, at the end. */
typedef struct {
    mem *m;
    VEC(unsigned char) bytes;
    bool evex, failed;
} x86_code;

/* A register, or reg < 0: memory at base + index << shift + disp, without index where that is < 0; base X86_HERE: at byte `disp` of the buffer. */
typedef struct {
    int reg, base, index, shift;
    int32_t disp;
} x86_rm;
enum { X86_HERE = -2 };

/* Lengths of vector instructions: of scalars, and of vectors by the power of two. */
enum { X86_SCALAR = -1, X86_128, X86_256, X86_512 };

typedef enum {
    X86_ADD, X86_MUL, X86_SUB, X86_DIV, X86_SQRT,    /* of scalars too */
    X86_LOAD, X86_STORE,                             /* of scalars too; memory only */
    X86_MOVE, X86_AND, X86_XOR,
    X86_UNPACK_LOW, X86_UNPACK_HIGH, X86_SHUFFLE,
    X86_LOAD_HIGH, X86_STORE_HIGH,                   /* the upper of two numbers */
    X86_BROADCAST, X86_FMA231,
    X86_INSERT_128, X86_EXTRACT_128, X86_INSERT_256, X86_EXTRACT_256,
    X86_PERMUTE_256, X86_PERMUTE_HALVES, X86_BLEND,  /* VEX only: four numbers by imm, halves of two vectors; of rm where imm has a bit, else second */
    X86_PERMUTE_TWO, X86_ALIGN,                      /* EVEX only; the first: of two vectors, by the numbers that are in reg */
    X86_BLEND_MASKED                                 /* EVEX only: of rm where the mask has a bit, else second */
} x86_op;

/* reg = op(second, rm); imm only of those that have one. mask 1 .. 7: other entries are not touched in memory, and become 0 in a register (EVEX only). */
void x86_vector(x86_code *c, x86_op op, int length, int reg, int second, x86_rm rm, int imm);
void x86_vector_masked(x86_code *c, x86_op op, int length, int reg, int second, x86_rm rm, int mask);
void x86_vector_merged(x86_code *c, x86_op op, int length, int reg, int second, x86_rm rm, int mask); /* other entries of a register stay */
void x86_mask(x86_code *c, int mask, int from); /* from a general register */
void x86_lowest(x86_code *c, int reg, int of, int n); /* the lowest bits of a general register, as many as another says */
void x86_zero_upper(x86_code *c);

static inline x86_rm x86_reg(int reg)
{
    return (x86_rm){reg, 0, -1, 0, 0};
}

static inline x86_rm x86_mem(int base, int index, int shift, int32_t disp)
{
    return (x86_rm){-1, base, index, shift, disp};
}

void x86_load64(x86_code *c, int reg, x86_rm from);
void x86_store64(x86_code *c, int reg, x86_rm to);
void x86_pointer(x86_code *c, int reg, const void *address);
void x86_load_index(x86_code *c, int reg, x86_rm from); /* 32 bits with their sign */
void x86_address(x86_code *c, int reg, x86_rm of);
void x86_copy(x86_code *c, int to, int from);
void x86_number(x86_code *c, int reg, int32_t value);
void x86_add(x86_code *c, int reg, int32_t value);
void x86_and(x86_code *c, int reg, int32_t value);
void x86_subtract(x86_code *c, int reg, int other);
void x86_multiply(x86_code *c, int reg, int other, int32_t by); /* reg = other * by */
void x86_compare(x86_code *c, int reg, int other);
void x86_push(x86_code *c, int reg);
void x86_pop(x86_code *c, int reg);
void x86_call(x86_code *c, int reg);
void x86_return(x86_code *c);
void x86_entry(x86_code *c); /* where indirect calls may arrive */

enum { X86_ALWAYS = -1, X86_LESS = 0xc, X86_NOT_LESS = 0xd, X86_NOT_GREATER = 0xe, X86_GREATER = 0xf };
int64_t x86_jump(x86_code *c, int when);                    /* forward: to be told where to by x86_land */
void x86_land(x86_code *c, int64_t jump);
void x86_jump_back(x86_code *c, int when, int64_t target);
void x86_align(x86_code *c, int64_t to);                    /* a power of two; filled with no operation */
void x86_data(x86_code *c, const void *data, int64_t bytes);

#endif
