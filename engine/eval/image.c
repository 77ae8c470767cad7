/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.c - the constants of a scatter, an image of all its entries, and how it comes to its place. Where rows of a few constants and of what a kernel stores
 * alternate, as in the columns of collocation's matrices, the kernel writes its rows of the image itself, block by block, before it stores: the
 * memory is passed once. What repeats is read from its first few hundred entries, which stay in the first cache.
 * Invariant: an entry of the image that is written by a kernel is reached by nothing that is not constant.
 */
#include "eval/plan.h"
#include <string.h>

enum { LONGEST_PERIOD = 256, SHORTEST_RANGE = 2048, REPEATED = 512 /* entries that are read again and again */,
       MOST_SINGLE = 64 /* at the beginning of what repeats, tried one by one */ };

static bool repeats(const double *v, int64_t n, int64_t period)
{
    return memcmp(v, v + period, (size_t)(n - period) * sizeof *v) == 0;
}

/* The shortest period of the first n entries, 0: none. */
static int64_t period_of(const double *v, int64_t n)
{
    for (int64_t period = 1; period <= LONGEST_PERIOD; period++)
        if (repeats(v, n, period))
            return period;
    return 0;
}

int64_t eval_image_piece(const double *v, int64_t n, int64_t *repeated)
{
    *repeated = 0;
    for (int64_t at = 0, step = 1; at + SHORTEST_RANGE <= n; at += step, step = at < MOST_SINGLE ? 1 : 2 * step) {
        const int64_t period = period_of(v + at, SHORTEST_RANGE);
        int64_t length = SHORTEST_RANGE;
        if (period == 0)
            continue;
        if (at > 0)
            return at;
        while (length < n && memcmp(&v[length], &v[length - period], sizeof *v) == 0)
            length++;
        *repeated = (REPEATED + period - 1) / period * period;
        return length;
    }
    return n;
}

/* ---- rows that a kernel writes -------------------------------------------------------------------------------------- */

/* Instances of sinks in one kernel with one stride whose first places lie within it: lanes. */
typedef struct {
    int64_t n, stride, lo, hi, lanes;
} row_set;

static bool is_lane(const eval_sink *s)
{
    return s->kind == SINK_SCATTER && s->alone && s->affine && s->stride > 1 && s->woven == 0;
}

static bool belongs(const eval_compiler *c, const eval_sink *s, const row_set *r)
{
    return is_lane(s) && s->stride == r->stride && s->first >= r->lo && s->first < r->lo + r->stride && eval_sink_list(c, s)->n == r->n;
}

/* The lanes from sink k on, which has the lowest place of those that are left; done[k]: taken already */
static row_set find_rows(const eval_compiler *c, int64_t n, eval_sink *const *sinks, int64_t k, unsigned char *done)
{
    row_set r = {eval_sink_list(c, sinks[k])->n, sinks[k]->stride, sinks[k]->first, sinks[k]->first, 0};
    for (int64_t j = 0; j < n; j++) {
        if (done[j] || !belongs(c, sinks[j], &r))
            continue;
        done[j] = 1;
        r.lanes++;
        r.hi = sinks[j]->first > r.hi ? sinks[j]->first : r.hi;
    }
    return r;
}

/* No entry of the rows from `base` on is reached but by the lanes. reach [size] how many that are not constant reach an entry, at most 2 */
static bool is_free(const eval_compiler *c, const row_set *r, int64_t n, eval_sink *const *sinks, int64_t base, int64_t size,
                    const unsigned char *reach)
{
    int64_t reached = 0;
    if (base < 0 || base + r->n * r->stride > size)
        return false;
    for (int64_t j = base; j < base + r->n * r->stride; j++)
        reached += reach[j];
    for (int64_t j = 0; j < n; j++)
        reached -= belongs(c, sinks[j], r) ? r->n : 0;
    return reached == 0; /* a lane's places are reached by it alone */
}

/* Rows whose constants are all the same: how many of them are enough to read from; 0: they differ. lane [stride] */
static int64_t rows_to_repeat(const row_set *r, const double *image, const unsigned char *lane)
{
    for (int64_t i = 1; i < r->n; i++)
        for (int64_t o = 0; o < r->stride; o++)
            if (!lane[o] && memcmp(&image[i * r->stride + o], &image[o], sizeof *image) != 0)
                return 0;
    const int64_t rows = (REPEATED + r->stride - 1) / r->stride;
    return rows < r->n ? rows : r->n;
}

static peri_status add_fill(eval_compiler *c, expr_id node, const row_set *r, int64_t n, eval_sink *const *sinks, int64_t base,
                            const double *image, unsigned char *stored)
{
    unsigned char *lane = mem_array(c->m, (size_t)r->stride, 1);
    eval_group *group = &c->groups.at[sinks[0]->kernel];
    if (lane == NULL)
        return FAIL_NOMEM(c->g->ctx);
    for (int64_t j = 0; j < n; j++)
        if (belongs(c, sinks[j], r))
            lane[sinks[j]->first - base] = 1;
    struct eval_fill fill = {c->place[node], (int32_t)r->stride, (int32_t)rows_to_repeat(r, image + base, lane), image + base};
    fill.place.offset += base;
    mem_array_free(c->m, lane);
    memset(stored + base, 1, (size_t)(r->n * r->stride));
    return vec_push(c->m, &group->fills, fill) ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}

/* One kernel's sinks */
static peri_status plan_fills(eval_compiler *c, expr_id node, int64_t n, eval_sink *const *sinks, const double *image,
                              const unsigned char *reach, unsigned char *stored)
{
    unsigned char *done = mem_array(c->m, (size_t)n, 1);
    peri_status status = done != NULL ? PERI_OK : FAIL_NOMEM(c->g->ctx);
    while (status == PERI_OK) {
        int64_t k = -1;
        for (int64_t j = 0; j < n; j++)
            if (!done[j] && is_lane(sinks[j]) && (k < 0 || sinks[j]->first < sinks[k]->first))
                k = j;
        if (k < 0)
            break;
        const row_set r = find_rows(c, n, sinks, k, done);
        const int64_t size = eval_size(c, node), ends[2] = {r.lo, r.hi - r.stride + 1}; /* constants behind the lanes, or before them */
        for (int e = 0; e < 2 && r.lanes < r.stride && r.n * r.stride >= SHORTEST_RANGE; e++)
            if (is_free(c, &r, n, sinks, ends[e], size, reach)) {
                status = add_fill(c, node, &r, n, sinks, ends[e], image, stored);
                break;
            }
    }
    mem_array_free(c->m, done);
    return status;
}

peri_status eval_plan_fills(eval_compiler *c, expr_id node, int64_t n, eval_sink *const *sinks, const double *image, unsigned char *stored)
{
    unsigned char *reach = mem_array(c->m, (size_t)eval_size(c, node), 1);
    peri_status status = reach != NULL ? PERI_OK : FAIL_NOMEM(c->g->ctx);
    for (int64_t k = 0; k < n && status == PERI_OK; k++) {
        const expr_list *list = eval_sink_list(c, sinks[k]);
        for (int64_t i = 0; i < list->n; i++) {
            unsigned char *at = &reach[expr_list_at(list, i)];
            *at = (unsigned char)(*at < 2 ? *at + 1 : 2);
        }
    }
    for (int64_t k = 0; k < c->direct.n && status == PERI_OK; k++)
        if (c->direct.at[k].scatter == node)
            memset(reach + c->direct.at[k].first, 2, (size_t)c->direct.at[k].n);
    for (int64_t begin = 0, end = 0; begin < n && status == PERI_OK; begin = end) {
        while (end < n && sinks[end]->kernel == sinks[begin]->kernel)
            end++;
        status = plan_fills(c, node, end - begin, sinks + begin, image, reach, stored);
    }
    mem_array_free(c->m, reach);
    return status;
}
