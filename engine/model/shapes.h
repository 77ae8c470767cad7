/* SPDX-License-Identifier: Apache-2.0 */
/* shapes.h - how functions of one number bend and rise over a range. */
#ifndef PERI_MODEL_SHAPES_H
#define PERI_MODEL_SHAPES_H

#include "model/interval.h"
#include <perigee/perigee.h>

typedef struct {
    bool convex, concave, increasing, decreasing;
} shape;

shape shape_of(int op, interval range);          /* an elementwise operation of one argument */
shape shape_of_power(double p, interval range);  /* a^p, p not 0 or 1 */
shape shape_of_exponential(double base);         /* base^a */

#endif
