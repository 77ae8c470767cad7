/* SPDX-License-Identifier: Apache-2.0 */
/*
 * line_search.h - the search of More and Thuente (1994) for a step with
 *     f(t) <= f(0) + decrease t f'(0)   and   |f'(t)| <= curvature |f'(0)|
 * by reverse communication: the caller evaluates at `step` and tells.
 */
#ifndef PERI_PLUGIN_LINE_SEARCH_H
#define PERI_PLUGIN_LINE_SEARCH_H

#include <stdbool.h>

typedef enum {
    LINE_MORE,     /* evaluate at `step` */
    LINE_FOUND,    /* both conditions hold at `step` */
    LINE_AT_MOST,  /* sufficient decrease at the longest step allowed, and still falling */
    LINE_EXHAUSTED /* the bracket has shrunk to rounding error; best_step is the lowest seen */
} line_state;

typedef struct {
    double decrease, curvature;              /* 0 < decrease < curvature < 1 */
    double step, most;                       /* to be evaluated; longest allowed */
    double start_f, start_slope;             /* at 0 */
    double best_step, best_f, best_slope;    /* the end of the interval with the lower (modified) value */
    double other_step, other_f, other_slope; /* the other end */
    double low, high;                        /* range of the next step */
    double width, last_width;
    bool bracketed, modified; /* a minimum lies between the ends; still the first stage */
} line_search;

/* slope < 0, 0 < step <= most */
void line_begin(line_search *s, double f, double slope, double step, double most);
line_state line_next(line_search *s, double f, double slope);
/* The function is undefined at `step`: shorter ones only. */
void line_undefined(line_search *s);

#endif
