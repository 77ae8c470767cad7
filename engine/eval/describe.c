/* SPDX-License-Identifier: Apache-2.0 */
/* describe.c - what a program consists of, in numbers and in words. */
#include "base/text.h"
#include "eval/plan.h"
#include <stdio.h>

static int64_t in_machine_code(const eval_kernel *k)
{
    int64_t n = k->is_straight ? k->n_ins : 0;
    for (int64_t j = 0; j < k->n_calls; j++)
        if (k->calls[j].at >= 0)
            n += (j + 1 < k->n_calls ? k->calls[j + 1].ins : k->n_ins) - k->calls[j].ins;
    return n;
}

void eval_get_stats(const eval_program *p, eval_stats *stats)
{
    *stats = (eval_stats){.kernels = p->n_kernels, .array_calls = p->n_arrays, .bytes = (p->memory + p->threads * p->per_thread) * (int64_t)sizeof(double)};
    for (int64_t k = 0; k < p->n_kernels; k++) {
        stats->instructions += p->kernels[k].n_ins;
        stats->instances += p->kernels[k].n;
        stats->in_machine_code += in_machine_code(&p->kernels[k]);
    }
    stats->code_bytes = p->machine.bytes;
}

static const char *code_name(int code)
{
    switch (code) {
    case EVAL_COPY: return "copy";
    case EVAL_POWI:
    case EVAL_POWH: return "power";
    case EVAL_SINCOS: return "sincos";
    case EVAL_LOAD_STRIDED: return "load strided";
    case EVAL_LOAD_LIST: return "load indexed";
    case EVAL_LOAD_GRID: return "load rows";
    case EVAL_STORE_STRIDED: return "store strided";
    case EVAL_ADD_STRIDED: return "add strided";
    case EVAL_STORE_LIST: return "store indexed";
    case EVAL_STORE_PAIRS:
    case EVAL_STORE_FOURS:
    case EVAL_WEAVE: return "store interleaved";
    case EVAL_FILL: return "fill rows";
    case EVAL_ADD_RUNS:
    case EVAL_ADD_PAIRS:
    case EVAL_ADD_LIST: return "add indexed";
    case EVAL_ADD_GRID: return "add rows";
    case EVAL_MAX_ACC: return "max";
    case EVAL_MIN_ACC: return "min";
    case EVAL_WATCH: return "watch";
    default: break;
    }
    if (code < PERI_OP_COUNT)
        return peri_op_name((peri_op)code);
    return code < EVAL_T1 ? "sum" : code < EVAL_T2 ? "operation" : code < EVAL_T3 ? "pair of operations" : "triple of operations";
}

/* Contiguous reads and writes of arrays outside of registers. */
static int64_t contiguous(const eval_kernel *k)
{
    int64_t n = 0;
    for (int64_t j = 0; j < k->n_ins; j++)
        for (int bit = 0; bit < 6; bit++)
            n += k->ins[j].flags >> bit & 1;
    return n;
}

static void describe_kernel(const eval_kernel *k, text_buffer *t)
{
    int32_t count[EVAL_CODES] = {0};
    for (int64_t j = 0; j < k->n_ins; j++)
        count[k->ins[j].code]++;
    text_add(t, "kernel, level %d: %lld instances, blocks of %lld, %lld registers, %.3g bytes:", (int)k->level, (long long)k->n,
             (long long)k->block, (long long)k->n_regs, k->bytes);
    if (k->rows != NULL && k->rows->period > 0)
        text_add(t, " rows of %lld,", (long long)k->rows->period);
    else if (k->rows != NULL)
        text_add(t, " %lld rows,", (long long)k->rows->n);
    const char *separator = " ";
    for (int code = 0; code < EVAL_CODES; code++) {
        int32_t same = count[code];
        while (code + 1 < EVAL_CODES && code_name(code + 1) == code_name(code))
            same += count[++code];
        if (same == 0)
            continue;
        text_add(t, "%s%d x %s", separator, (int)same, code_name(code));
        separator = ", ";
    }
    if (contiguous(k) > 0)
        text_add(t, "%s%lld contiguous operands", separator, (long long)contiguous(k));
    if (k->n_calls > 0)
        text_add(t, "; %lld of %lld as machine code, %lld calls a block", (long long)in_machine_code(k), (long long)k->n_ins, (long long)k->n_calls);
    if (k->is_straight)
        text_add(t, "; straight code");
    text_add(t, "\n");
}

static void describe_array(const eval_array *a, text_buffer *t)
{
    text_add(t, "%s: %lld x %lld", peri_op_name((peri_op)a->op), (long long)a->rows, (long long)(a->op == PERI_OP_MATMUL ? a->inner : a->cols));
    if (a->op == PERI_OP_MATMUL)
        text_add(t, " by %lld x %lld%s", (long long)a->inner, (long long)a->cols, a->is_sparse ? ", sparse" : "");
    text_add(t, a->blas != NULL ? ", OpenBLAS\n" : "\n");
}

peri_status eval_describe(const eval_program *p, char **text)
{
    text_buffer t;
    text_init(&t, p->m);
    for (int64_t k = 0; k < p->n_steps; k++) {
        if (p->steps[k].is_array)
            describe_array(&p->arrays[p->steps[k].at], &t);
        else
            describe_kernel(&p->kernels[p->steps[k].at], &t);
    }
    if (p->machine.bytes > 0)
        text_add(&t, "machine code: %lld bytes\n", (long long)p->machine.bytes);
    if (p->machine.refused)
        text_add(&t, "machine code: refused by the system, so that all is interpreted\n");
    *text = text_take(&t);
    return *text != NULL ? PERI_OK : FAIL_NOMEM(p->g->ctx);
}
