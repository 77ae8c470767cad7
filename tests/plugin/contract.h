/* SPDX-License-Identifier: Apache-2.0 */
/* contract.h - what every plugin promises, as tests: the parts that contract.c puts together. */
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
        const char *text; /* NULL: no more */
        double lower, upper;
    } rows[3];

    double objective, accuracy; /* at every optimum; relative */
    double x[CONTRACT_MOST];    /* of the only one, NaN: not checked */
    double dual;                /* of the first row, NaN: not checked */
    peri_outcome outcome;       /* PERI_LOCALLY_OPTIMAL stands for any that counts as solved */
} contract_problem;

extern const contract_problem contract_problems[];
extern const int64_t contract_n_problems;

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

#endif
