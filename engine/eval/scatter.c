/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scatter.c - sums of scatters: which argument may store because it is the first to reach its places, which must add, and what has to be zero
 * beforehand. Kernels run one after the other, and within a kernel all sinks work block by block. So an argument stores when no earlier kernel reaches
 * its places, it reaches none twice, and the other arguments of its kernel either never reach them, or only after it: all reach the same
 * ascending places, shifted, and it is the one furthest ahead. Constant arguments are an image that is copied before, or by
 * the kernels (image.c).
 */
#include "eval/plan.h"
#include <stdlib.h>
#include <string.h>

const expr_list *eval_sink_list(const eval_compiler *c, const eval_sink *s)
{
    const expr_node *node = expr_at(c->g, s->node);
    return &c->g->lists.at[c->g->args.at[node->many.list + node->many.n + s->arg]];
}

/* Places that the sinks of one node do not tell apart are one: of arguments that go to ranges, what lies between their ends. */
typedef struct {
    eval_compiler *c;
    expr_id node;
    int64_t n;              /* places */
    int64_t *cut;           /* [n + 1] where each begins in the node; NULL: every entry is a place */
    unsigned char *touched; /* [n] 255 by earlier kernels, else how many times in this one, at most 2 */
    unsigned char *stored;  /* [n] 0: by nobody; STORED, DIRECT */
    unsigned char *owner;   /* [n] 0, but while one kernel's sinks are looked at; NULL: all arguments go to ranges */
} places;

enum { STORED = 1, DIRECT = 2 /* by an array operation, which may come before all kernels */ };

static peri_status find_stride(const eval_compiler *c, eval_sink *s)
{
    const expr_list *list = eval_sink_list(c, s);
    s->first = expr_list_at(list, 0);
    s->stride = list->n > 1 ? expr_list_at(list, 1) - s->first : 1;
    s->affine = list->stride > 0;
    if (s->affine) /* others are read from memory */
        return PERI_OK;
    const expr_node *node = expr_at(c->g, s->node);
    return expr_list_data(c->g, expr_scatter_ref(c->g, node, s->arg)) != NULL ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}

/* The first place that begins at or after entry `at`. */
static int64_t place_from(const places *p, int64_t at)
{
    int64_t low = 0, high = p->n;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (p->cut[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The sink's list, of places. */
static expr_list places_of(const places *p, const eval_sink *s)
{
    expr_list list = *eval_sink_list(p->c, s);
    if (p->cut != NULL) {
        const int64_t begin = place_from(p, list.first), end = place_from(p, list.first + list.n);
        list.first = (int32_t)begin;
        list.n = end - begin;
        list.at = NULL;
    }
    return list;
}

static void count_touches(const places *p, int64_t n, eval_sink *const *sinks)
{
    for (int64_t k = 0; k < n; k++) {
        const expr_list list = places_of(p, sinks[k]);
        for (int64_t i = 0; i < list.n; i++)
            if (p->touched[expr_list_at(&list, i)] < 2)
                p->touched[expr_list_at(&list, i)]++;
    }
}

static void mark(const places *p, const eval_sink *s, unsigned char *marks, unsigned char value)
{
    const expr_list list = places_of(p, s);
    for (int64_t i = 0; i < list.n; i++)
        marks[expr_list_at(&list, i)] = value;
}

static bool reaches_first(const places *p, const eval_sink *s, unsigned char most)
{
    const expr_list list = places_of(p, s);
    for (int64_t i = 0; i < list.n; i++)
        if (p->touched[expr_list_at(&list, i)] > most)
            return false;
    return true;
}

/* Ascending places, and those of the first one moved by a number. */
static bool is_shifted(const expr_list *list, const expr_list *first)
{
    if (list->stride != 0 || first->stride != 0)
        return list->n == first->n && list->stride == first->stride && list->stride > 0;
    const int32_t by = list->at[0] - first->at[0];
    bool is = list->n == first->n;
    for (int64_t i = 0; i < list->n && is; i++)
        is = list->at[i] - first->at[i] == by && (i == 0 || list->at[i] > list->at[i - 1]);
    return is;
}

static void find_shifts(const eval_compiler *c, int64_t n, eval_sink *const *sinks)
{
    bool all = true;
    for (int64_t k = 0; k < n && all; k++)
        all = is_shifted(eval_sink_list(c, sinks[k]), eval_sink_list(c, sinks[0]));
    for (int64_t k = 0; k < n; k++)
        sinks[k]->shifted = all;
}

/* The one furthest ahead, when all are shifted; -1: none. */
static int64_t leading(int64_t n, eval_sink *const *sinks)
{
    int64_t best = 0;
    for (int64_t k = 0; k < n; k++) {
        if (!sinks[k]->shifted)
            return -1;
        if (sinks[k]->first > sinks[best]->first)
            best = k;
    }
    return best;
}

static int further_ahead(const void *a, const void *b)
{
    const eval_sink *x = *(eval_sink *const *)a, *y = *(eval_sink *const *)b;
    const bool ahead_x = x->affine || x->shifted, ahead_y = y->affine || y->shifted;
    if (ahead_x != ahead_y)
        return ahead_x ? -1 : 1;
    if (ahead_x && x->first != y->first)
        return x->first > y->first ? -1 : 1;
    return (x->arg > y->arg) - (x->arg < y->arg);
}

/* Those that are further ahead come first in the kernel, so that the one that stores is the very first at a place. Reorders the sinks. */
static void rank_sinks(int64_t n, eval_sink **sinks)
{
    qsort(sinks, (size_t)n, sizeof *sinks, further_ahead);
    for (int64_t k = 0; k < n; k++)
        sinks[k]->rank = sinks[k]->affine || sinks[k]->shifted ? (int32_t)k + 1 : 1;
}

/* ---- who meets whom ------------------------------------------------------------------------------------------------------------- */

enum { MOST_MEETING = 254 };

static int32_t first_of(const int32_t *company, int32_t k)
{
    while (company[k] != k)
        k = company[k];
    return k;
}

/* company[k]: sinks that reach a place in common, directly or by way of others, have the same first one */
static void find_companies(const places *p, int64_t n, eval_sink *const *sinks, int32_t *company)
{
    for (int32_t k = 0; k < n; k++) {
        const expr_list list = places_of(p, sinks[k]);
        company[k] = k;
        for (int64_t i = 0; i < list.n; i++) {
            unsigned char *owner = &p->owner[expr_list_at(&list, i)];
            if (*owner == 0)
                *owner = (unsigned char)(k + 1);
            const int32_t a = first_of(company, *owner - 1), b = first_of(company, k);
            company[a < b ? b : a] = a < b ? a : b;
        }
    }
    for (int64_t k = 0; k < n; k++)
        mark(p, sinks[k], p->owner, 0);
}

static bool adds_by_list(const eval_sink *s)
{
    return !s->affine && !s->stores;
}

/*
 * What goes by lists may be done in any order where no other argument of the kernel reaches its places; two that meet each other only become one
 * instruction, so that the order in which they do does not depend on how many instances are worked on at a time.
 */
static void find_partners(const places *p, int64_t n, eval_sink *const *sinks)
{
    int32_t company[MOST_MEETING], size[MOST_MEETING] = {0};
    bool lists = false;
    for (int64_t k = 0; k < n; k++)
        lists = lists || !sinks[k]->affine;
    if (!lists || n > MOST_MEETING || p->owner == NULL)
        return;
    find_companies(p, n, sinks, company);
    for (int32_t k = 0; k < n; k++)
        size[first_of(company, k)]++;
    for (int32_t k = 0; k < n; k++) {
        const int32_t first = first_of(company, k);
        sinks[k]->apart = !sinks[k]->affine && size[first] == 1;
        if (first == k || size[first] != 2 || !adds_by_list(sinks[first]) || !adds_by_list(sinks[k]))
            continue;
        sinks[k]->partner = sinks[first]->arg + 1;
        sinks[first]->partner = sinks[k]->arg + 1;
    }
}

/* ---- pairs of neighbouring places --------------------------------------------------------------------------------------------- */

enum { MOST_WOVEN = 4, FARTHEST = 8 };

/* Sequences with stride 2 that fall on even and on odd places alike: banded matrices by columns. */
static bool is_weave(const eval_compiler *c, int64_t n, eval_sink *const *sinks)
{
    int32_t lo = sinks[0]->first, hi = lo;
    bool odd = false;
    for (int64_t k = 0; k < n; k++) {
        if (n > MOST_WOVEN || !sinks[k]->affine || sinks[k]->stride != 2 || eval_sink_list(c, sinks[k])->n < 2)
            return false;
        odd = odd || (sinks[k]->first - sinks[0]->first) % 2 != 0;
        lo = sinks[k]->first < lo ? sinks[k]->first : lo;
        hi = sinks[k]->first > hi ? sinks[k]->first : hi;
    }
    return odd && hi - lo <= FARTHEST;
}

/* All of them store, who comes first where, or all add. */
static void plan_weave(const places *p, int64_t n, eval_sink **sinks)
{
    bool stores = true;
    for (int64_t k = 0; k < n; k++)
        stores = stores && reaches_first(p, sinks[k], 2);
    for (int64_t k = 0; k < n; k++) {
        sinks[k]->stores = stores;
        sinks[k]->rank = 1;
        mark(p, sinks[k], p->touched, 255);
        if (stores)
            mark(p, sinks[k], p->stored, STORED);
    }
    sinks[0]->woven = (int32_t)n;
    for (int64_t k = 1; k < n; k++)
        sinks[k]->woven = -1;
}

static void plan_kernel(const places *p, int64_t n, eval_sink **sinks)
{
    count_touches(p, n, sinks);
    if (n > 1 && is_weave(p->c, n, sinks)) {
        plan_weave(p, n, sinks);
        return;
    }
    find_shifts(p->c, n, sinks);
    const int64_t lead = leading(n, sinks);
    for (int64_t k = 0; k < n; k++) {
        sinks[k]->stores = reaches_first(p, sinks[k], k == lead ? 2 : 1);
        sinks[k]->alone = sinks[k]->stores && (k != lead || reaches_first(p, sinks[k], 1));
        if (sinks[k]->stores)
            mark(p, sinks[k], p->stored, STORED);
    }
    find_partners(p, n, sinks);
    rank_sinks(n, sinks);
    for (int64_t k = 0; k < n; k++)
        mark(p, sinks[k], p->touched, 255);
}

enum { MOST_RANGES = 8, ENTRIES_A_RANGE = 64 }; /* more are kept when they are rare */
enum { LARGE_IMAGE = 1 << 17 };

static int64_t count_ranges(const places *p)
{
    int64_t n = 0;
    for (int64_t j = 0; j < p->n; j++)
        n += !p->stored[j] && (j == 0 || p->stored[j - 1]);
    return n;
}

static int64_t entry_of(const places *p, int64_t place)
{
    return p->cut != NULL ? p->cut[place] : place;
}

/* What a range without a store begins with. */
typedef struct {
    int64_t n;
    eval_sink *const *sinks; /* [n] those that are not constant, in the kernels' order; sinks[0] is there in any case */
    const double *image;     /* NULL: zeros, */
    struct eval_set set;     /* and these constants, of ranges that are still to come */
} filling;

/* Of a set of all places, those of [begin, end), which come first; they are taken from it. */
static struct eval_set part_of(struct eval_set *rest, int64_t begin, int64_t end)
{
    struct eval_set part = {0, begin, rest->place, rest->value};
    while (part.n < rest->n && part.place[part.n] < end)
        part.n++;
    rest->n -= part.n;
    rest->place += part.n;
    rest->value += part.n;
    return part;
}

static bool reaches(const places *p, const eval_sink *s, int64_t begin, int64_t end)
{
    const expr_list list = *eval_sink_list(p->c, s);
    if (list.hi < begin || list.lo >= end)
        return false;
    for (int64_t i = 0; i < list.n; i++)
        if (expr_list_at(&list, i) >= begin && expr_list_at(&list, i) < end)
            return true;
    return false;
}

/*
 * The kernel that must find entries [begin, end) filled: of large ranges the first that reaches them; of others, and of an image, of which kernels write
 * parts themselves, the first of all.
 */
static int32_t first_kernel(const places *p, const filling *f, int64_t begin, int64_t end)
{
    for (int64_t k = 0; k < p->c->direct.n; k++)
        if (p->c->direct.at[k].scatter == p->node)
            return f->sinks[0]->kernel;
    for (int64_t k = 0; k < f->n && f->image == NULL && end - begin >= LARGE_IMAGE; k++)
        if (reaches(p, f->sinks[k], begin, end))
            return f->sinks[k]->kernel;
    return f->sinks[0]->kernel;
}

enum { MOST_PIECES = 64 };

/* Entries [begin, end), from the image where there is one: in pieces, most of which repeat. */
static peri_status zero_range(const places *p, filling *f, int64_t begin, int64_t end)
{
    eval_group *group = &p->c->groups.at[first_kernel(p, f, begin, end)];
    for (int64_t at = begin, n, pieces = 1; at < end; at += n, pieces++) {
        struct eval_zero_range range = {p->c->place[p->node], end - at, 0, NULL, p->node, {0, 0, NULL, NULL}};
        range.place.offset += at;
        if (f->image != NULL) {
            range.from = f->image + at;
            range.n = pieces < MOST_PIECES ? eval_image_piece(range.from, end - at, &range.period) : end - at;
        } else
            range.set = part_of(&f->set, at, end);
        n = range.n;
        if (!vec_push(p->c->m, &group->zeros, range))
            return FAIL_NOMEM(p->c->g->ctx);
    }
    return PERI_OK;
}

/* The places that nothing stores to; where there are too many ranges, the last goes on to the end, or to what is there already. */
static peri_status zero_rest(const places *p, filling *f)
{
    const int64_t size = eval_size(p->c, p->node), all = count_ranges(p);
    const int64_t most = all * ENTRIES_A_RANGE <= size ? all : MOST_RANGES;
    int64_t ranges = 0, last = p->n;
    while (last > 0 && p->stored[last - 1])
        last--;
    for (int64_t j = 0, end; j < last; j = end) {
        if (p->stored[j]) {
            end = j + 1;
            continue;
        }
        for (end = j + 1; end < last && !p->stored[end];)
            end++;
        for (ranges++; ranges >= most && end < last && p->stored[end] != DIRECT;)
            end++;
        TRY(zero_range(p, f, entry_of(p, j), entry_of(p, end)));
    }
    return PERI_OK;
}

/* ---- constants -------------------------------------------------------------------------------------------------------------- */

static bool is_constant(const eval_compiler *c, const eval_sink *s)
{
    return expr_is_const(c->g, s->value);
}

static void add_to_image(const eval_compiler *c, const eval_sink *s, double *image)
{
    const expr_list *list = eval_sink_list(c, s);
    double value = 0;
    const bool same = expr_constant_value(c->g, s->value, &value);
    for (int64_t i = 0; i < list->n; i++)
        image[expr_list_at(list, i)] += same ? value : expr_const_data(c->g, s->value)[i];
}

enum { IMAGE_SHARE = 8 };

static void remove_constants(eval_compiler *c, int64_t n, eval_sink **sinks, double *image)
{
    for (int64_t k = 0; k < n; k++)
        if (is_constant(c, sinks[k])) {
            add_to_image(c, sinks[k], image);
            sinks[k]->kind = SINK_NONE;
        }
}

/* A few constants of a large scatter, whose zeros are written piece by piece: those of a piece are written with it, while it is in the cache. */
static peri_status make_set(eval_compiler *c, expr_id e, int64_t entries, int64_t n, eval_sink **sinks, struct eval_set *set)
{
    const int64_t size = eval_size(c, e);
    int32_t *place = arena_array(&c->program->data, (size_t)entries, sizeof *place);
    double *value = arena_array(&c->program->data, (size_t)entries, sizeof *value), *sum = mem_array(c->m, (size_t)size, sizeof *sum);
    const bool all = place != NULL && value != NULL && sum != NULL;
    if (all)
        remove_constants(c, n, sinks, sum);
    for (int64_t p = 0; p < size && all; p++)
        if (!(sum[p] <= 0 && sum[p] >= 0)) {
            place[set->n] = (int32_t)p;
            value[set->n++] = sum[p];
        }
    set->place = place;
    set->value = value;
    mem_array_free(c->m, sum);
    return all ? PERI_OK : FAIL_NOMEM(c->g->ctx);
}

/* Constants are summed up now, when they are more than a few: the scatter starts from a copy. Removes their sinks. */
static peri_status make_image(eval_compiler *c, expr_id e, int64_t n, eval_sink **sinks, double **image, struct eval_set *set)
{
    const int64_t size = eval_size(c, e);
    int64_t entries = 0;
    for (int64_t k = 0; k < n; k++)
        entries += is_constant(c, sinks[k]) ? eval_sink_list(c, sinks[k])->n : 0;
    *image = NULL;
    if (IMAGE_SHARE * entries <= size)
        return entries > 0 && size >= LARGE_IMAGE ? make_set(c, e, entries, n, sinks, set) : PERI_OK;
    *image = arena_array(&c->program->data, (size_t)size, sizeof **image);
    if (*image == NULL)
        return FAIL_NOMEM(c->g->ctx);
    remove_constants(c, n, sinks, *image);
    return PERI_OK;
}

/* The others may store where no constant is. */
static int64_t drop_constants(const places *p, int64_t n, eval_sink **sinks)
{
    int64_t kept = 0;
    for (int64_t k = 0; k < n; k++) {
        if (sinks[k]->kind == SINK_NONE)
            mark(p, sinks[k], p->touched, 255);
        else
            sinks[kept++] = sinks[k];
    }
    return kept;
}

static int ascending(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Where all arguments go to ranges: p->cut, from the ends of all, and of what is put there directly. */
static peri_status find_places(places *p, int64_t n, eval_sink *const *sinks)
{
    int64_t kept = 2;
    p->n = eval_size(p->c, p->node);
    for (int64_t k = 0; k < n; k++)
        if (eval_sink_list(p->c, sinks[k])->stride != 1)
            return PERI_OK;
    int64_t *cut = mem_array(p->c->m, 2 * (size_t)(n + p->c->direct.n + 1), sizeof *cut);
    if (cut == NULL)
        return FAIL_NOMEM(p->c->g->ctx);
    cut[1] = p->n;
    for (int64_t k = 0; k < n; k++) {
        cut[kept++] = eval_sink_list(p->c, sinks[k])->first;
        cut[kept++] = eval_sink_list(p->c, sinks[k])->first + eval_sink_list(p->c, sinks[k])->n;
    }
    for (int64_t k = 0; k < p->c->direct.n; k++)
        if (p->c->direct.at[k].scatter == p->node) {
            cut[kept++] = p->c->direct.at[k].first;
            cut[kept++] = p->c->direct.at[k].first + p->c->direct.at[k].n;
        }
    qsort(cut, (size_t)kept, sizeof *cut, ascending);
    p->n = 0;
    for (int64_t k = 1; k < kept; k++)
        if (cut[k] != cut[p->n])
            cut[++p->n] = cut[k];
    p->cut = cut;
    return PERI_OK;
}

static void mark_direct(const places *p)
{
    for (int64_t k = 0; k < p->c->direct.n; k++) {
        const struct eval_direct *d = &p->c->direct.at[k];
        if (d->scatter != p->node)
            continue;
        const int64_t begin = p->cut != NULL ? place_from(p, d->first) : d->first;
        const int64_t end = p->cut != NULL ? place_from(p, d->first + d->n) : d->first + d->n;
        memset(p->stored + begin, DIRECT, (size_t)(end - begin));
    }
}

static peri_status plan_sinks(places *p, int64_t n, eval_sink **sinks)
{
    struct eval_set set = {0};
    double *image;
    mark_direct(p);
    TRY(make_image(p->c, p->node, n, sinks, &image, &set));
    if (image != NULL || set.place != NULL)
        n = drop_constants(p, n, sinks);
    for (int64_t begin = 0, end = 0; begin < n; begin = end) {
        while (end < n && sinks[end]->kernel == sinks[begin]->kernel)
            TRY(find_stride(p->c, sinks[end++]));
        plan_kernel(p, end - begin, sinks + begin);
    }
    if (image != NULL && p->cut == NULL)
        TRY(eval_plan_fills(p->c, p->node, n, sinks, image, p->stored));
    filling f = {n, sinks, image, set};
    return zero_rest(p, &f);
}

static peri_status plan_node(eval_compiler *c, expr_id e, int64_t n, eval_sink **sinks)
{
    places p = {.c = c, .node = e};
    peri_status status = find_places(&p, n, sinks);
    p.touched = mem_array(c->m, (size_t)p.n, 1);
    p.stored = mem_array(c->m, (size_t)p.n, 1);
    p.owner = p.cut == NULL ? mem_array(c->m, (size_t)p.n, 1) : NULL;
    if (status == PERI_OK) {
        const bool all = p.touched != NULL && p.stored != NULL && (p.owner != NULL || p.cut != NULL);
        status = all ? plan_sinks(&p, n, sinks) : FAIL_NOMEM(c->g->ctx);
    }
    mem_array_free(c->m, p.touched);
    mem_array_free(c->m, p.stored);
    mem_array_free(c->m, p.owner);
    mem_array_free(c->m, p.cut);
    return status;
}

static int by_kernel(const void *a, const void *b)
{
    const eval_sink *x = *(eval_sink *const *)a, *y = *(eval_sink *const *)b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return (x->arg > y->arg) - (x->arg < y->arg);
}

static void sort_by_kernel(const eval_compiler *c, int64_t n, eval_sink **sinks)
{
    for (int64_t k = 0; k < n; k++)
        sinks[k]->order = c->groups.at[sinks[k]->kernel].order;
    qsort(sinks, (size_t)n, sizeof *sinks, by_kernel);
}

peri_status eval_plan_scatters(eval_compiler *c)
{
    eval_sink **some = arena_array(&c->data, (size_t)c->sinks.n, sizeof *some);
    if (some == NULL)
        return FAIL_NOMEM(c->g->ctx);
    for (int64_t k = 0; k < c->sinks.n;) { /* the sinks of one scatter are neighbours */
        int64_t n = 0;
        const expr_id node = c->sinks.at[k].node;
        if (c->sinks.at[k].kind != SINK_SCATTER) {
            k++;
            continue;
        }
        while (k < c->sinks.n && c->sinks.at[k].kind == SINK_SCATTER && c->sinks.at[k].node == node)
            some[n++] = &c->sinks.at[k++];
        sort_by_kernel(c, n, some);
        TRY(plan_node(c, node, n, some));
    }
    return PERI_OK;
}
