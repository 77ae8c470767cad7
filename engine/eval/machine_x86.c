/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_x86.c - the encodings, by the manuals of the processors' makers (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2). Invariant:
 * a call writes one instruction, whole; after memory has run out, none.
 */
#include "eval/machine_x86.h"
#include <string.h>

static void put(x86_code *c, unsigned byte)
{
    if (!c->failed && !vec_push(c->m, &c->bytes, (unsigned char)byte))
        c->failed = true;
}

static void put32(x86_code *c, int32_t value)
{
    for (int k = 0; k < 4; k++)
        put(c, (uint32_t)value >> (8 * k) & 0xff);
}

/* ModRM, SIB, displacement; a short one counts in units of `unit` bytes. `behind`: bytes of the instruction that follow */
static void put_rm(x86_code *c, int reg, const x86_rm *rm, int unit, int behind)
{
    const unsigned field = (unsigned)(reg & 7) << 3;
    if (rm->reg >= 0) {
        put(c, 0xc0 | field | (unsigned)(rm->reg & 7));
        return;
    }
    if (rm->base == X86_HERE) {
        put(c, field | 5);
        put32(c, rm->disp - (int32_t)(c->bytes.n + 4 + behind));
        return;
    }
    const int32_t scaled = rm->disp / unit;
    const bool none = rm->disp == 0 && (rm->base & 7) != RBP, is_short = rm->disp % unit == 0 && scaled >= -128 && scaled <= 127;
    const bool sib = rm->index >= 0 || (rm->base & 7) == RSP;
    put(c, (none ? 0u : is_short ? 0x40u : 0x80u) | field | (unsigned)(sib ? 4 : rm->base & 7));
    if (sib)
        put(c, (unsigned)rm->shift << 6 | (unsigned)(rm->index >= 0 ? rm->index & 7 : 4) << 3 | (unsigned)(rm->base & 7));
    if (!none && is_short)
        put(c, (uint32_t)scaled & 0xff);
    else if (!none)
        put32(c, rm->disp);
}

/* ---- vectors ------------------------------------------------------------------------------------------------------------ */

enum { NO_IMM = 1, HAS_IMM = 2, OF_SCALARS = 4 };

/* map 1: 0F, 2: 0F38, 3: 0F3A; wide: the W bit with VEX, with EVEX it is always set; bytes: of the operand in memory, 0: as long as the vector */
static const struct {
    unsigned char map, op, flags, wide, bytes;
} table[] = {
    [X86_ADD] = {1, 0x58, NO_IMM | OF_SCALARS, 0, 0},
    [X86_MUL] = {1, 0x59, NO_IMM | OF_SCALARS, 0, 0},
    [X86_SUB] = {1, 0x5c, NO_IMM | OF_SCALARS, 0, 0},
    [X86_DIV] = {1, 0x5e, NO_IMM | OF_SCALARS, 0, 0},
    [X86_SQRT] = {1, 0x51, NO_IMM | OF_SCALARS, 0, 0},
    [X86_LOAD] = {1, 0x10, NO_IMM | OF_SCALARS, 0, 0},
    [X86_STORE] = {1, 0x11, NO_IMM | OF_SCALARS, 0, 0},
    [X86_MOVE] = {1, 0x28, NO_IMM, 0, 0},
    [X86_AND] = {1, 0x54, NO_IMM, 0, 0},
    [X86_XOR] = {1, 0x57, NO_IMM, 0, 0},
    [X86_UNPACK_LOW] = {1, 0x14, NO_IMM, 0, 0},
    [X86_UNPACK_HIGH] = {1, 0x15, NO_IMM, 0, 0},
    [X86_SHUFFLE] = {1, 0xc6, HAS_IMM, 0, 0},
    [X86_LOAD_HIGH] = {1, 0x16, NO_IMM, 0, 8},
    [X86_STORE_HIGH] = {1, 0x17, NO_IMM, 0, 8},
    [X86_BROADCAST] = {2, 0x19, NO_IMM, 0, 8},
    [X86_FMA231] = {2, 0xb8, NO_IMM | OF_SCALARS, 1, 0},
    [X86_INSERT_128] = {3, 0x18, HAS_IMM, 0, 16},
    [X86_EXTRACT_128] = {3, 0x19, HAS_IMM, 0, 16},
    [X86_INSERT_256] = {3, 0x1a, HAS_IMM, 1, 32},
    [X86_EXTRACT_256] = {3, 0x1b, HAS_IMM, 1, 32},
    [X86_PERMUTE_256] = {3, 0x01, HAS_IMM, 1, 0},
    [X86_PERMUTE_HALVES] = {3, 0x06, HAS_IMM, 0, 0},
    [X86_PERMUTE_TWO] = {2, 0x77, NO_IMM, 1, 0},
    [X86_ALIGN] = {3, 0x03, HAS_IMM, 1, 0},
    [X86_BLEND] = {3, 0x0d, HAS_IMM, 0, 0},
    [X86_BLEND_MASKED] = {2, 0x65, NO_IMM, 1, 0},
};

/* The bits 3 and 4 of registers, inverted, at their places in a prefix: of `reg` R and R', of `rm` X and B */
static unsigned extensions(int reg, const x86_rm *rm)
{
    unsigned bits = (unsigned)(~reg >> 3 & 1) << 7 | (unsigned)(~reg >> 4 & 1) << 4;
    if (rm->reg >= 0)
        return bits | (unsigned)(~rm->reg >> 4 & 1) << 6 | (unsigned)(~rm->reg >> 3 & 1) << 5;
    bits |= (rm->index < 0 || rm->index < 8 ? 1u : 0u) << 6;
    return bits | (rm->base < 8 ? 1u : 0u) << 5;
}

/* mask 0: none; zeroes: other entries of a register become 0 */
static void put_vector(x86_code *c, x86_op op, int length, int reg, int second, const x86_rm *rm, int imm, int mask, bool zeroes)
{
    const bool scalar = length == X86_SCALAR, is_fma = op == X86_FMA231;
    const unsigned pp = scalar && !is_fma ? 3 : 1, l = scalar ? 0 : (unsigned)length, bits = extensions(reg, rm);
    const unsigned code = table[op].op | (scalar && is_fma ? 1u : 0u);
    const int unit = table[op].bytes != 0 ? table[op].bytes : scalar ? 8 : 16 << l;
    if (c->evex) {
        put(c, 0x62);
        put(c, bits | table[op].map);
        put(c, 0x84 | (unsigned)(~second & 15) << 3 | pp);
        put(c, (zeroes ? 0x80u : 0u) | l << 5 | (unsigned)(~second >> 4 & 1) << 3 | (unsigned)mask);
    } else {
        put(c, 0xc4);
        put(c, (bits & 0xe0) | table[op].map);
        put(c, (unsigned)table[op].wide << 7 | (unsigned)(~second & 15) << 3 | l << 2 | pp);
    }
    put(c, code);
    put_rm(c, reg, rm, c->evex ? unit : 1, (table[op].flags & HAS_IMM) != 0);
    if ((table[op].flags & HAS_IMM) != 0)
        put(c, (unsigned)imm);
}

void x86_vector(x86_code *c, x86_op op, int length, int reg, int second, x86_rm rm, int imm)
{
    put_vector(c, op, length, reg, second, &rm, imm, 0, false);
}

void x86_vector_masked(x86_code *c, x86_op op, int length, int reg, int second, x86_rm rm, int mask)
{
    put_vector(c, op, length, reg, second, &rm, 0, mask, op != X86_STORE);
}

void x86_vector_merged(x86_code *c, x86_op op, int length, int reg, int second, x86_rm rm, int mask)
{
    put_vector(c, op, length, reg, second, &rm, 0, mask, false);
}

/* KMOVB */
void x86_mask(x86_code *c, int mask, int from)
{
    put(c, 0xc4);
    put(c, 0xc1 | (from < 8 ? 0x20u : 0u));
    put(c, 0x79);
    put(c, 0x92);
    put(c, 0xc0 | (unsigned)mask << 3 | (unsigned)(from & 7));
}

/* BZHI */
void x86_lowest(x86_code *c, int reg, int of, int n)
{
    const x86_rm rm = x86_reg(of);
    put(c, 0xc4);
    put(c, (extensions(reg, &rm) & 0xe0) | 2);
    put(c, 0x80 | (unsigned)(~n & 15) << 3);
    put(c, 0xf5);
    put_rm(c, reg, &rm, 1, 0);
}

void x86_zero_upper(x86_code *c)
{
    put(c, 0xc5);
    put(c, 0xf8);
    put(c, 0x77);
}

/* ---- general registers ---------------------------------------------------------------------------------------------------- */

static void put_general(x86_code *c, unsigned op, int reg, const x86_rm *rm, int behind)
{
    const int b = rm->reg >= 0 ? rm->reg : rm->base;
    put(c, 0x48 | (reg >= 8 ? 4u : 0u) | (rm->reg < 0 && rm->index >= 8 ? 2u : 0u) | (b >= 8 ? 1u : 0u));
    put(c, op);
    put_rm(c, reg, rm, 1, behind);
}

void x86_load64(x86_code *c, int reg, x86_rm from)
{
    put_general(c, 0x8b, reg, &from, 0);
}

void x86_store64(x86_code *c, int reg, x86_rm to)
{
    put_general(c, 0x89, reg, &to, 0);
}

void x86_pointer(x86_code *c, int reg, const void *address)
{
    const uint64_t value = (uint64_t)(uintptr_t)address;
    put(c, 0x48 | (reg >= 8 ? 1u : 0u));
    put(c, 0xb8 | (unsigned)(reg & 7));
    put32(c, (int32_t)(uint32_t)value);
    put32(c, (int32_t)(uint32_t)(value >> 32));
}

void x86_load_index(x86_code *c, int reg, x86_rm from)
{
    put_general(c, 0x63, reg, &from, 0);
}

void x86_address(x86_code *c, int reg, x86_rm of)
{
    put_general(c, 0x8d, reg, &of, 0);
}

void x86_copy(x86_code *c, int to, int from)
{
    const x86_rm rm = x86_reg(from);
    put_general(c, 0x8b, to, &rm, 0);
}

void x86_number(x86_code *c, int reg, int32_t value)
{
    const x86_rm rm = x86_reg(reg);
    put_general(c, 0xc7, 0, &rm, 4);
    put32(c, value);
}

static void with_number(x86_code *c, int field, int reg, int32_t value)
{
    const x86_rm rm = x86_reg(reg);
    const bool is_short = value >= -128 && value <= 127;
    put_general(c, is_short ? 0x83 : 0x81, field, &rm, 0);
    if (is_short)
        put(c, (uint32_t)value & 0xff);
    else
        put32(c, value);
}

void x86_add(x86_code *c, int reg, int32_t value)
{
    with_number(c, 0, reg, value);
}

void x86_and(x86_code *c, int reg, int32_t value)
{
    with_number(c, 4, reg, value);
}

void x86_subtract(x86_code *c, int reg, int other)
{
    const x86_rm rm = x86_reg(other);
    put_general(c, 0x2b, reg, &rm, 0);
}

void x86_multiply(x86_code *c, int reg, int other, int32_t by)
{
    const x86_rm rm = x86_reg(other);
    put_general(c, 0x69, reg, &rm, 4);
    put32(c, by);
}

void x86_compare(x86_code *c, int reg, int other)
{
    const x86_rm rm = x86_reg(other);
    put_general(c, 0x3b, reg, &rm, 0);
}

void x86_push(x86_code *c, int reg)
{
    if (reg >= 8)
        put(c, 0x41);
    put(c, 0x50 | (unsigned)(reg & 7));
}

void x86_pop(x86_code *c, int reg)
{
    if (reg >= 8)
        put(c, 0x41);
    put(c, 0x58 | (unsigned)(reg & 7));
}

void x86_call(x86_code *c, int reg)
{
    if (reg >= 8)
        put(c, 0x41);
    put(c, 0xff);
    put(c, 0xd0 | (unsigned)(reg & 7));
}

void x86_return(x86_code *c)
{
    put(c, 0xc3);
}

void x86_entry(x86_code *c)
{
    put(c, 0xf3);
    put(c, 0x0f);
    put(c, 0x1e);
    put(c, 0xfa);
}

/* ---- jumps ------------------------------------------------------------------------------------------------------------------ */

static void put_jump(x86_code *c, int when, int32_t distance)
{
    if (when == X86_ALWAYS)
        put(c, 0xe9);
    else {
        put(c, 0x0f);
        put(c, 0x80 | (unsigned)when);
    }
    put32(c, distance);
}

int64_t x86_jump(x86_code *c, int when)
{
    put_jump(c, when, 0);
    return c->bytes.n;
}

void x86_land(x86_code *c, int64_t jump)
{
    const int32_t distance = (int32_t)(c->bytes.n - jump);
    for (int k = 0; k < 4 && !c->failed; k++)
        c->bytes.at[jump - 4 + k] = (unsigned char)((uint32_t)distance >> (8 * k) & 0xff);
}

void x86_jump_back(x86_code *c, int when, int64_t target)
{
    const int length = when == X86_ALWAYS ? 5 : 6;
    put_jump(c, when, (int32_t)(target - c->bytes.n - length));
}

void x86_align(x86_code *c, int64_t to)
{
    static const unsigned char nothing[8][8] = {
        {0x90}, {0x66, 0x90}, {0x0f, 0x1f, 0x00}, {0x0f, 0x1f, 0x40, 0}, {0x0f, 0x1f, 0x44, 0, 0}, {0x66, 0x0f, 0x1f, 0x44, 0, 0},
        {0x0f, 0x1f, 0x80, 0, 0, 0, 0}, {0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}};
    while (c->bytes.n % to != 0 && !c->failed) {
        const int64_t left = to - c->bytes.n % to, n = left < 8 ? left : 8;
        x86_data(c, nothing[n - 1], n);
    }
}

void x86_data(x86_code *c, const void *data, int64_t bytes)
{
    if (c->failed || !vec_reserve(c->m, &c->bytes, c->bytes.n + bytes)) {
        c->failed = true;
        return;
    }
    memcpy(c->bytes.at + c->bytes.n, data, (size_t)bytes);
    c->bytes.n += bytes;
}
