/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zero.c - large ranges that are filled before a kernel adds to them: piece by piece, each before the first chunk that reaches it, so that memory that
 * does not stay in the cache is passed once. Invariant: a piece is filled before any of the kernel's sinks reaches it, and all are once the kernel has ended.
 */
#include "eval/kernel.h"

enum { LARGE = 1 << 17 };

/* Pieces of the range that the chunk reaches and none before it has. */
static void find_pieces(const kernel *k, const struct eval_zero_range *range, int64_t n_sinks, const eval_sink *sinks, int64_t chunk,
                        unsigned char *seen, struct eval_zero *z)
{
    const eval_kernel *out = k->out;
    const int64_t first = range->place.offset - k->c->place[range->node].offset;
    const int64_t end = (chunk + 1) * out->chunk < out->n ? (chunk + 1) * out->chunk : out->n;
    int64_t found = z->upto[chunk];
    for (int64_t s = 0; s < n_sinks; s++) {
        if (sinks[s].kind != SINK_SCATTER || sinks[s].node != range->node)
            continue;
        const expr_list *list = eval_sink_list(k->c, &sinks[s]);
        for (int64_t i = chunk * out->chunk; i < end; i++) {
            const int64_t at = expr_list_at(list, i) - first, piece = at / EVAL_PIECE;
            if (at < 0 || at >= range->n || seen[piece])
                continue;
            seen[piece] = 1;
            z->piece[found++] = (int32_t)piece;
        }
    }
    z->upto[chunk + 1] = (int32_t)found;
}

static peri_status plan_range(const kernel *k, const struct eval_zero_range *range, int64_t n_sinks, const eval_sink *sinks, struct eval_zero *z)
{
    arena *const a = &k->c->program->data;
    const int64_t pieces = (range->n + EVAL_PIECE - 1) / EVAL_PIECE, last = k->out->n_chunks;
    unsigned char *seen = mem_array(k->c->m, (size_t)pieces, 1);
    z->upto = arena_array(a, (size_t)last + 1, sizeof *z->upto);
    z->piece = arena_array(a, (size_t)pieces, sizeof *z->piece);
    const bool all = seen != NULL && z->upto != NULL && z->piece != NULL;
    for (int64_t chunk = 0; chunk < last && all; chunk++)
        find_pieces(k, range, n_sinks, sinks, chunk, seen, z);
    for (int64_t piece = 0; piece < pieces && all; piece++)
        if (!seen[piece])
            z->piece[z->upto[last]++] = (int32_t)piece;
    mem_array_free(k->c->m, seen);
    return all ? PERI_OK : kernel_nomem(k);
}

peri_status eval_plan_zeros(kernel *k, int64_t n_sinks, const eval_sink *sinks)
{
    const eval_group *group = &k->c->groups.at[k->group];
    for (int64_t j = 0; j < group->zeros.n && k->out->n_chunks > 1; j++)
        if (group->zeros.at[j].n >= LARGE)
            TRY(plan_range(k, &group->zeros.at[j], n_sinks, sinks, &k->out->zeros[j]));
    return PERI_OK;
}
