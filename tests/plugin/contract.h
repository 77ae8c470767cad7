/* SPDX-License-Identifier: Apache-2.0 */
/* contract.h - what every plugin promises, as tests: parts, run by contract_all.c and by tools/check-plugin. */
#ifndef PERI_TESTS_CONTRACT_H
#define PERI_TESTS_CONTRACT_H

#include "plugin/registry.h"

enum { CONTRACT_MOST = 4 }; /* variables of the largest problem */

/* A tiny problem with a known end. */
typedef struct {
    const char *name;
    int64_t n;
    double start[CONTRACT_MOST], lower[CONTRACT_MOST], upper[CONTRACT_MOST];
    const char *minimize, *maximize; /* one of them, or neither: a feasibility problem */

    struct {
        const char *text; /* NULL: no more; "acyclic": the four variables are the weights of a graph with two nodes */
        double lower, upper;
    } rows[3];

    double objective, accuracy; /* at every optimum; relative */
    double x[CONTRACT_MOST];    /* of the only one, NaN: not checked */
    double dual;                /* of the first row, NaN: not checked */
    peri_outcome outcome;       /* PERI_LOCALLY_OPTIMAL stands for any that counts as solved */
    const char *below;          /* NULL, or the objective of a lower model, whose variable is the last */
} contract_problem;

extern const contract_problem contract_problems[];
extern const int64_t contract_n_problems;

bool contract_is_graph(const contract_problem *p);
peri_model *contract_model(peri_context *ctx, const contract_problem *p); /* NULL: out of memory */

/* What a solve came to, for comparing runs bit for bit. */
typedef struct {
    peri_status status;
    peri_outcome outcome;
    int64_t iterations, n;
    double objective, x[CONTRACT_MOST];
} contract_result;

contract_result contract_solve(peri_model *m, const peri_solve_args *args);
bool contract_same(const contract_result *a, const contract_result *b);

void contract_faults(peri_context *ctx, const registry_entry *e, const contract_problem *p); /* contract_faults.c */
void contract_user_faults(peri_context *ctx, const registry_entry *e);                       /* contract_user.c */
void contract_linear(peri_context *ctx, const registry_entry *e);                            /* contract_linear.c */
void contract_general(peri_run *run, const registry_entry *e); /* contract_general.c; from inside a run */

/* One part of the contract, for the kinds of plugins in a set of bits 1 << kind. */
typedef struct {
    const char *name;
    int kinds;
    bool on_problems; /* needs a problem of the catalogue that the plugin takes */
    void (*run)(peri_context *ctx, const registry_entry *e, const peri_plugin *plugin);
} contract_part;

bool contract_is_shared_object(const registry_entry *e);
int64_t contract_leaks(const registry_entry *e, int64_t uneven, int64_t grown); /* runs with another number of blocks after than before; blocks */
extern const contract_part contract_parts[];
extern const int64_t contract_n_parts;
/* false: it does not concern the plugin */
bool contract_run_part(peri_context *ctx, const contract_part *part, registry_entry *e, const peri_plugin *p);

/* ---- what the program that asks has: contract_all.c, tools/check-plugin */

extern const bool contract_strict; /* all that is taken must be solved; false: by plugins that are chosen automatically only */
void contract_at(const char *format, ...) __attribute__((format(printf, 1, 2))); /* what comes next, should it crash or hang */
peri_context *contract_context(const peri_config *config);                      /* one that finds the plugin; config may be NULL */
int64_t contract_blocks(peri_context *ctx);                                     /* in use, garbage collected */
bool contract_give_host(const registry_entry *e, const peri_host *host); /* to a plugin that no shared object holds; false: cannot */

#endif
