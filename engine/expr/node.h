/* SPDX-License-Identifier: Apache-2.0 */
/* node.h - inside engine/expr only: making nodes without simplification. */
#ifndef PERI_EXPR_NODE_H
#define PERI_EXPR_NODE_H

#include "expr/graph.h"

expr_node expr_blank(peri_op op, int64_t rows, int64_t cols); /* arguments -1, payload 0 */
/* table.c: the node, made unless there is an equal one */
peri_status expr_intern(expr_graph *g, const expr_node *node, expr_id *out);
/* the same of a node that takes a cell: a scalar constant, an entry, an operation on one scalar or two */
peri_status expr_intern_cell(expr_graph *g, peri_op op, expr_cell cell, expr_id *out);
void expr_release_nodes(expr_graph *g);
bool expr_has_list(int op);                       /* STACK, SCATTER: arguments in graph->args */
int64_t expr_list_length(const expr_node *node);  /* of such a node's part of graph->args */
peri_status expr_intern_list(expr_graph *g, expr_node node, int64_t n, int64_t length, const expr_id *list, expr_id *out);
peri_status expr_intern_const(expr_graph *g, expr_const value, int64_t *ref); /* data copied */
/* the same of a dense array whose data are the graph's already, part of another constant's: not copied */
peri_status expr_intern_part(expr_graph *g, expr_const value, int64_t *ref);
peri_status expr_intern_list_data(expr_graph *g, int64_t n, const int32_t *index, int64_t *ref);

/* fold.c */
peri_status expr_densify(expr_graph *g, expr_id e, expr_id *out); /* a dense CONST from a sparse one; others unchanged */
/* Result of an elementwise op on these arguments without making it, by algebra; *out = -1: nothing to simplify. */
peri_status expr_simplify(expr_graph *g, peri_op op, int n_args, const expr_id *args, expr_id *out);
peri_status expr_fold(expr_graph *g, const expr_node *node, expr_id *out); /* all arguments constant: its value as a CONST */

/* copy.c: a gather or a scatter of `from` on other arguments, in g; node is no pointer into g */
peri_status expr_gather_like(expr_graph *g, const expr_graph *from, const expr_node *node, expr_id arg, expr_id *out);

/* sugar.c: operations made of others; matmul.c's shapes and special cases */
peri_status expr_sugar(expr_graph *g, peri_op op, const expr_id *args, expr_id *out);
peri_status expr_matmul(expr_graph *g, expr_id a, expr_id b, expr_id *out);

/* scalar.c: one entry of an elementwise operation */
double expr_scalar(int op, double a, double b, double c);

#endif
