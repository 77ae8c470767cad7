/* SPDX-License-Identifier: Apache-2.0 */
/* match.c - does a problem fit a plugin? A comparison of bit sets; the work is to say no in the words of whoever wrote
 * the problem. */
#include "plugin/match.h"
#include "plugin/registry.h"

#include <stdio.h>
#include <string.h>

/* What a problem with the trait has; behind "needs" or "refuses". */
const char *trait_words(peri_trait trait)
{
    static const char *const words[] = {
        [PERI_TRAIT_BOUNDS] = "bounds on variables",
        [PERI_TRAIT_INTEGER] = "integer variables",
        [PERI_TRAIT_CONSTRAINTS] = "constraints",
        [PERI_TRAIT_EQUALITIES] = "equality constraints",
        [PERI_TRAIT_NONLINEAR_CONSTRAINTS] = "nonlinear constraints",
        [PERI_TRAIT_LINEAR_OBJECTIVE] = "a linear objective",
        [PERI_TRAIT_QUADRATIC_OBJECTIVE] = "a quadratic objective",
        [PERI_TRAIT_NONLINEAR_OBJECTIVE] = "a nonlinear objective",
        [PERI_TRAIT_CONVEX] = "a problem proven convex",
        [PERI_TRAIT_LEAST_SQUARES] = "a sum of squares",
        [PERI_TRAIT_NONSMOOTH] = "non-smooth functions",
        [PERI_TRAIT_BLACKBOX] = "functions without a gradient",
        [PERI_TRAIT_GRADIENT] = "first derivatives",
        [PERI_TRAIT_HESSIAN] = "second derivatives",
        [PERI_TRAIT_SPARSE_HESSIAN] = "second derivatives as a sparse matrix",
        [PERI_TRAIT_OBJECTIVE] = "an objective",
        [PERI_TRAIT_PROX] = "a smooth function with norms and sets whose proximal operators are known",
        [PERI_TRAIT_COMPACT] = "bounded simple sets (finite bounds, simplices, balls) around every variable and no norm in the objective",
        [PERI_TRAIT_LEVELS] = "lower models",
        [PERI_TRAIT_MULTILEVEL] = "more than one lower model",
        [PERI_TRAIT_ACYCLIC] = "one constraint peri.acyclic(W) on weights that have variables of their own",
    };
    return words[trait];
}

/* "VERB a, b and c" behind what is there. */
static void add_traits(char *out, size_t size, const char *verb, uint64_t set)
{
    bool first = true;
    for (int t = 0; t < PERI_TRAIT_COUNT; t++) {
        if ((set & PERI_BIT(t)) == 0)
            continue;
        const size_t at = strlen(out);
        const bool last = (set >> (t + 1)) == 0;
        if (first)
            snprintf(out + at, size - at, "%s%s %s", at > 0 ? "; " : "", verb, trait_words((peri_trait)t));
        else
            snprintf(out + at, size - at, "%s %s", last ? " and" : ",", trait_words((peri_trait)t));
        first = false;
    }
}

/* Without what follows from another trait of the set and would only repeat it. */
static uint64_t without_repeats(uint64_t set)
{
    const uint64_t kinds = PERI_BIT(PERI_TRAIT_EQUALITIES) | PERI_BIT(PERI_TRAIT_NONLINEAR_CONSTRAINTS);
    const uint64_t sparse = PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN), second = PERI_BIT(PERI_TRAIT_HESSIAN) | sparse;
    if ((set & PERI_BIT(PERI_TRAIT_CONSTRAINTS)) != 0)
        set &= ~kinds;
    if ((set & PERI_BIT(PERI_TRAIT_GRADIENT)) != 0)
        return set & ~second;
    return (set & PERI_BIT(PERI_TRAIT_HESSIAN)) != 0 ? set & ~sparse : set;
}

bool match_traits(uint64_t traits, uint64_t needs, uint64_t refuses, char *why, size_t size)
{
    const uint64_t known = PERI_BIT(PERI_TRAIT_COUNT) - 1, levels = PERI_BIT(PERI_TRAIT_LEVELS);
    const bool ignores = (traits & ~needs & levels) != 0; /* a method that does not ask for lower models would solve another problem */
    const uint64_t missing = ignores ? 0 : needs & ~traits & known, present = ignores ? levels : traits & refuses & known;
    if (size > 0)
        why[0] = '\0';
    if (missing == 0 && present == 0)
        return true;
    if (size > 0) {
        add_traits(why, size, "refuses", without_repeats(present));
        add_traits(why, size, "needs", without_repeats(missing));
    }
    return false;
}

void match_words(uint64_t set, char *out, size_t size)
{
    const uint64_t known = PERI_BIT(PERI_TRAIT_COUNT) - 1;
    out[0] = '\0';
    add_traits(out, size, "", set & known);
    if (out[0] == ' ')
        memmove(out, out + 1, strlen(out));
}
