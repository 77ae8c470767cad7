/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.h - inside dsl/c only: plugins written in Lua. The binding is a host program that registers plugins: a definition in Lua becomes a
 * table of perigee/plugin.h whose operations are the same C functions for all of them; the first bytes of a run's state say which definition
 * they act for. What a step calls is the host table that plugins in C have.
 */
#ifndef PERI_DSL_PLUGIN_H
#define PERI_DSL_PLUGIN_H

#include "internal.h"
#include <perigee/plugin.h>

/* A definition. User value 1: the table that the user gave. */
typedef struct dsl_plugin {
    dsl_state *state;
    uint32_t kind, n_options;
    bool registered; /* here, and not by a file that the registry reads */
    int runs;        /* of it, under way */
    char name[64];
    peri_option *options; /* [n_options] in a block that the definition's box keeps: user value 2 */
} dsl_plugin;

/* What a run has in Lua. User values: below. */
typedef struct dsl_run {
    dsl_plugin *plugin; /* NULL: a view of an inner problem */
    struct dsl_run *owner; /* itself, or whose inner problem it is a view of */
    peri_run *run;      /* NULL: over */
    peri_step *next;    /* of the step under way, else NULL */
    int64_t n, m;
    int64_t sampled;    /* rows of the sample at hand */
    dsl_model_ud *inners; /* the inner problems that it made; alive as long as this box */
    peri_status raised;   /* with raised_text: the engine's code behind the Lua error that a method raised */
    char raised_text[240];
} dsl_run;

enum { RUN_STATE = 1, RUN_OPTIONS, RUN_DEFINITION, RUN_CACHE, RUN_USER_VALUES = RUN_CACHE };
enum { PLUGIN_DEFINITION = 1, PLUGIN_BLOCK, PLUGIN_USER_VALUES = PLUGIN_BLOCK };

/* The engine's memory of a run. */
typedef struct {
    dsl_plugin *plugin;
    dsl_run *run; /* NULL: there is none yet */
    int64_t iterations; /* of a linear solver's last solution */
} plugin_state;

/* plugin_table.c: the definition at index i as a table, whose texts lie in Lua strings and blocks left on the stack */
JUMPS void plugin_read(lua_State *L, int i, dsl_plugin *p, int box, peri_plugin *out);

JUMPS peri_trait plugin_trait(lua_State *L, int i); /* by its name at i */

/* plugin_call.c */
extern const peri_solver_ops plugin_solver_ops;
/* f(args) in Lua for a plugin, watched for interruption; the status of an error, which is kept for whoever called the engine */
peri_status plugin_protect(plugin_state *key, peri_run *run, lua_CFunction f, void *args);
JUMPS void plugin_push_options(lua_State *L, const dsl_plugin *p, const void *options); /* as a table */
/* Makes and pushes the box of a run, anchored under `key` until plugin_close; *slot points to it from then on. */
JUMPS dsl_run *plugin_open(lua_State *L, dsl_plugin *p, peri_run *run, plugin_state *key);
void plugin_close(plugin_state *key); /* what was made for the run is closed */
JUMPS bool plugin_push_function(lua_State *L, const plugin_state *key, const char *name); /* pushes the run, then it; false: nothing */
/* plugin_linear.c */
extern const peri_linear_solver_ops plugin_linear_ops;

/* run.c: methods of a run */
JUMPS dsl_run *check_run(lua_State *L, int i); /* one that is not over */
JUMPS noreturn void run_raise(lua_State *L, dsl_run *r, peri_status status); /* the engine's message */
/* After an evaluation that was entered by call_enter: true: it is there; false: undefined; else raised. */
JUMPS bool run_leave(lua_State *L, dsl_run *r, dsl_call *call, peri_status status);
/* [n] numbers at index i, an array or a table, which an array then replaces; NULL where n = 0 */
JUMPS const double *run_vector(lua_State *L, int i, int64_t n, const char *what);
/* Field `key` of the table at 2 as such, left on the stack, in a call of the method `what`; NULL: not given */
JUMPS const double *run_field(lua_State *L, const char *what, const char *key, int64_t n);
/* A dense array to be written to, rows x cols: the one at index i, or a new one; pushed. NULL, with nil pushed, where it would be empty. */
JUMPS double *run_output(lua_State *L, int i, int64_t rows, int64_t cols, const char *what);
JUMPS void run_push_copy(lua_State *L, const double *v, int64_t n); /* as an array; nil where n = 0 */
JUMPS dsl_run *run_new(lua_State *L); /* pushes the box */
/* The request that the table at 2 makes, of a problem of n variables and m rows; its vectors stay on the stack. */
JUMPS void run_read_request(lua_State *L, int64_t n, int64_t m, peri_inner_request *q);
JUMPS void run_push_result(lua_State *L, const peri_inner_result *r, int64_t n, int64_t m); /* as a table */
JUMPS peri_why run_why(lua_State *L, int i, const char *what);
const char *run_why_name(peri_why why);
void run_over(dsl_run *r); /* closes it and its inner problems */

/* run_matrix.c: a pattern (CSC; lower triangle where symmetric) as a sparse array and the place of each of its entries: pushes both */
JUMPS dsl_array *matrix_from_csc(lua_State *L, const peri_pattern *pattern, bool symmetric, const int64_t **place);
extern const char plugin_cancelled; /* its address is the error object of an interruption */

#endif
