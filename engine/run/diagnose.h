/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diagnose.h - inside engine/run only: why a solution is none. A solve that does not end solved leaves a trail in its solution, copies of
 * what would be gone; all else is computed when first asked for. Each part writes its own fields of the diagnosis and knows nothing of the
 * others; what it leaves out for its size it says in a note.
 */
#ifndef PERI_RUN_DIAGNOSE_H
#define PERI_RUN_DIAGNOSE_H

#include "io/json.h"
#include "run/internal.h"

/* Limits of the costly parts: states them in the guide too. */
enum { DIAGNOSE_SHOWN = 5, DIAGNOSE_RANK_ROWS = 1000, DIAGNOSE_LINEAR_ROWS = 1000, DIAGNOSE_LINEAR_SIZE = 20000 };
#define DIAGNOSE_RANK_WORK 1e9  /* rows^2 * columns */
#define DIAGNOSE_SECONDS 3.0    /* of the search for a conflict */

struct solution_trail {
    double *start;              /* [n] */
    double *undefined_at;       /* [n] where an evaluation was last undefined, or NULL */
    double *xl, *xu, *cl, *cu;  /* bounds as they were */
    uint64_t structure;         /* of the model */
    double tolerance;
    bool isolated;              /* the run was, and the model has functions of the user's: not to be called here */
    struct diagnosis *diagnosis; /* NULL until asked for */
};

struct diagnosis {
    arena memory;
    peri_diagnosis data;
};

/* While one is made. */
typedef struct {
    peri_solution *s;
    nlp *p;
    const struct solution_trail *trail;
    peri_diagnosis *out;
    arena *keep, *work;        /* what lives as long as the diagnosis; what does not */
    bool nomem;                /* memory ran out in a place that does not tell */
    double *c, f, *g, *jac;    /* at the point; has_... where they are all finite */
    bool has_c, has_f, has_g, has_jac;
    peri_pattern pattern;
    VEC(const char *) notes;   /* work's memory is the context's */
    double deadline;
} diagnose_work;

peri_status diagnose_keep(peri_run *run);
void diagnose_free(peri_solution *s);

/* Names in the diagnosis' memory. */
const char *diagnose_row(diagnose_work *w, int64_t i);
const char *diagnose_variable(diagnose_work *w, int64_t j);
const char *diagnose_print(diagnose_work *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void diagnose_note(diagnose_work *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* diagnose_point.c */
peri_status diagnose_evaluate(diagnose_work *w);
peri_status diagnose_nonfinite(diagnose_work *w);
peri_status diagnose_residuals(diagnose_work *w);
peri_status diagnose_scaling(diagnose_work *w);
peri_status diagnose_ray(diagnose_work *w);
/* diagnose_rank.c */
peri_status diagnose_rank(diagnose_work *w);
/* diagnose_conflict.c */
peri_status diagnose_conflict(diagnose_work *w);
/* diagnose_steps.c */
peri_status diagnose_steps(diagnose_work *w);
/* diagnose_levels.c */
void diagnose_levels(diagnose_work *w);
/* diagnose_text.c */
void diagnose_write(const peri_diagnosis *d, text_buffer *t);
void diagnose_json(const peri_diagnosis *d, json_writer *w); /* an object */

#endif
