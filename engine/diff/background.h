/* SPDX-License-Identifier: Apache-2.0 */
/* background.h - constants of a scatter, and constants times one number, as layers over its places: for align.c. */
#ifndef PERI_DIFF_BACKGROUND_H
#define PERI_DIFF_BACKGROUND_H

#include "diff/internal.h"

enum { BACKGROUND_LAYERS = 4 };

typedef struct {
    expr_id root;       /* a scalar; PERI_NO_EXPR: 1 */
    double *value;      /* [size] 0 where there is none */
    unsigned char *has; /* [size] */
} background_layer;

typedef struct {
    expr_graph *g;
    arena data;
    int64_t size;
    int32_t n_layers;
    background_layer layers[BACKGROUND_LAYERS];
    unsigned char *reach; /* [size] places that something else reaches; NULL: none */
    bool changed;
} background;

bool background_is_part(const expr_graph *g, expr_id value);
void background_init(background *b, expr_graph *g, int64_t size);
void background_release(background *b);
bool background_add(background *b, expr_id value, const expr_list *list); /* false: it is none, or there is no room for another number */
bool background_reach(background *b, const expr_list *list);              /* places of what varies; false: memory is out */
bool background_same(const background *b, int64_t i, int64_t j); /* both places have the same of all layers */
/* What all places first + i stride, i < n, have in common is added to the value that they get, and is no longer theirs. */
peri_status background_lane(background *b, int64_t first, int64_t stride, int64_t n, expr_id *value);
/* The same where nothing else reaches them, as a value of its own, if it is more than constants; else PERI_NO_EXPR. */
peri_status background_gap(background *b, int64_t first, int64_t stride, int64_t n, expr_id *value);
/* The next long stretch from *at on that repeats: n places from `first` on; PERI_NO_EXPR: no more. */
peri_status background_stretch(background *b, int64_t *at, expr_id *value, int64_t *first, int64_t *n);
/* What is left of a layer, with its places, which the caller owns; PERI_NO_EXPR: nothing. */
peri_status background_rest(background *b, int32_t layer, expr_id *value, int32_t **list);

#endif
