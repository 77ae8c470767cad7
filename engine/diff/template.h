/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template.h - what repeated structure a graph has: the elementwise expressions over more than one instance, as the grouping left them or the user wrote
 * them, with what each reads.
 */
#ifndef PERI_DIFF_TEMPLATE_H
#define PERI_DIFF_TEMPLATE_H

#include "expr/graph.h"

typedef struct {
    expr_id root;                       /* its last operation */
    int64_t instances, operations;      /* operations an instance: those of templates found before are not counted again */
    int64_t strided, gathered, columns; /* leaves: entries first + k stride of an array; entries by a list of indices; columns of constants */
    int64_t index_bytes, data_bytes;    /* of the lists and columns, each counted once in the graph */
} diff_template;

typedef struct {
    mem *m;
    VEC(diff_template) all; /* most instances times operations first */
    int64_t singles;        /* operations on scalars */
} diff_templates;

peri_status diff_find_templates(expr_graph *g, int64_t n_roots, const expr_id *roots, diff_templates *out);
void diff_templates_release(diff_templates *t);

#endif
