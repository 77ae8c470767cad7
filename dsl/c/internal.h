/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h - inside dsl/c only: the userdata, the state they share, and the functions of each file.
 *
 * Rules that hold everywhere here
 *   JUMPS marks a function that may leave by a Lua error (longjmp). Nothing may be owned by a C variable while one is
 * called: memory and engine objects belong to a userdata from the moment they exist (closed first, filled then). No
 * engine frame is below a JUMPS call: what the engine calls back goes through callback.c, under lua_pcall. Every C
 * function of the module has the state as its first upvalue.
 */
#ifndef PERI_DSL_INTERNAL_H
#define PERI_DSL_INTERNAL_H

#include "host.h"
#include <lauxlib.h>
#include <stdnoreturn.h>

#define JUMPS

/* ---- userdata ---------------------------------------------------------------------------------------------------- */

typedef enum {
    TYPE_EXPR,       /* user value 1: its model */
    TYPE_ARRAY,      /* user value 1: the array that it is a view of, or nil */
    TYPE_INDEX,      /* an array with one row an instance of a peri.map, while that is traced */
    TYPE_ITEM,       /* one Lua table an instance of a peri.map; user value 1: the list of them */
    TYPE_MODEL,      /* user value 1: of a lower model, the one that all expressions belong to; 2: list of its black boxes */
    TYPE_CONSTRAINT, /* user values 1 .. 3: operands */
    TYPE_HANDLE,     /* user value 1: its model */
    TYPE_SOLUTION,   /* user value 1: its model; 2: fields made so far */
    TYPE_BLACKBOX,   /* user value 1: the Lua function; held by its model */
    TYPE_FOREIGN,    /* a compiled function; kept by the models that call it */
    TYPE_CALLBACK,   /* C code that calls Lua; user value 1: the function; 2: whose type it borrows */
    TYPE_POINTER,    /* an address that C handed out */
    TYPE_PLUGIN,     /* a plugin in Lua; user values in plugin.h */
    TYPE_RUN,        /* what such a plugin has of a run */
    TYPE_FACTOR,     /* a linear system of a run; user value 1: the run; 2: what it needs to live */
    TYPE_TEXT,       /* a text of the engine's on its way to a Lua string */
    TYPE_WARM,       /* a portable warm start */
    TYPE_COUNT,
    TYPE_NONE = TYPE_COUNT
} dsl_type;

enum { UV_PARENT = 1, UV_BLACKBOXES = 2 };

/* User values of the state: the metatables come first, at 1 + type. METHODS: of expressions; PENDING: the queue of
 * comparisons; TABLE_META: what Lua tables have while a peri.map is traced; CALLEES: light userdata -> black box, weak;
 * PLUGINS: light userdata -> plugin; RUNS: state of a run -> its box; ERROR: what a callback raised. */
enum {
    UV_METHODS = TYPE_COUNT + 1,
    UV_ARRAY_METHODS,
    UV_PENDING,
    UV_TABLE_META,
    UV_PLUGINS,
    UV_RUNS,
    UV_CALLEES,
    UV_ERROR,
    UV_STATE_COUNT = UV_ERROR
};

typedef struct dsl_model_ud {
    peri_model *obj; /* NULL: closed, or not yet made */
    struct dsl_model_ud *root; /* the outermost model, which owns expressions and is solved: itself, but for lower models */
    struct dsl_state *state;
    int busy;      /* the engine is at work on it, so callbacks may not touch it */
    char name[48]; /* for messages once it is closed; cut */
    struct peri_inner *inner;       /* an inner problem of a run, which owns obj; NULL: a model of the user's */
    struct dsl_run *run;            /* then whose it is */
    struct dsl_run *view;           /* and the run that evaluates it, or NULL */
    struct dsl_model_ud *next_inner; /* of the same run */
} dsl_model_ud;

/* A frame is one peri.map being traced; values that depend on its index have one row for each of its instances. */
typedef struct dsl_frame {
    struct dsl_frame *up;
    uint32_t id;
    int64_t n, total; /* own count; instances: n times those of the frames above. The innermost index runs fastest */
} dsl_frame;

/* row: a 1 x c array that came from a row (X[i], v:t()), so that [j] is its entry j and not its row j
 * list: no scalar though it has one entry, as a vector whose size happens to be 1; its value is an array */
typedef struct {
    dsl_model_ud *model;
    peri_expr node;
    unsigned row : 1, list : 1, frame : 30; /* frame 0: plain */
    int32_t rows, cols;           /* of one item; meaningful where frame > 0: node is then instances x (rows * cols) */
} dsl_expr;

typedef struct {
    int64_t rows, cols;
    double *data;             /* [rows * cols], or [nnz] when sparse; in this block or in the array it is a view of */
    int64_t nnz;              /* -1: dense */
    int64_t *row_start, *col; /* sparse */
    unsigned row : 1, ramp : 1, frame : 30;
    int32_t item_rows, item_cols; /* where frame > 0: rows = instances, cols = item_rows * item_cols */
    double first, step;           /* ramp: an index in equal steps, whose data are written out when asked for (ramp.c) */
} dsl_array;

typedef struct {
    int kind; /* LE, GE, EQ, BETWEEN */
    int line;
    char where[LUA_IDSIZE + 16]; /* "file:line:" of the user's line */
} dsl_constraint;

enum { CONSTRAINT_LE, CONSTRAINT_GE, CONSTRAINT_EQ, CONSTRAINT_BETWEEN };

/* Blocks of one subject_to: part k is block[k] with rows[k] rows, plus block2[k] where a part needed two (-1: none). */
typedef struct {
    int64_t n;

    struct dsl_part {
        peri_constraint block, block2;
        int64_t rows, cols;
        bool list;
    } part[];
} dsl_handle;

typedef struct {
    peri_solution *obj;
    dsl_model_ud *model;
} dsl_solution;

typedef struct {
    peri_warm_start *obj;
} dsl_warm;

/* One entry from Lua into the engine under which callbacks may run. */
typedef struct dsl_call {
    struct dsl_call *up;
    lua_State *L;
    dsl_model_ud *model;
    int event;   /* absolute stack index of the callback of iterations, 0: none */
    bool failed; /* a callback raised: the object is the state's UV_ERROR */
} dsl_call;

typedef struct dsl_state {
    peri_context *ctx;
    bool owns_context;
    const void *type[TYPE_COUNT]; /* addresses of the metatables */
    peri_model *scratch;          /* where arrays alone are computed; NULL: none now */
    int64_t scratch_load;         /* entries put into it */
    dsl_frame *frame;             /* innermost peri.map being traced; lives on the C stack of map.c */
    uint32_t last_frame;
    int64_t pending; /* length of the queue of comparisons */
    dsl_call *call;
    lua_State *main;              /* where the engine calls while no call from Lua is under way */
    struct peri_run *running;     /* whose plugin, written in Lua, is at work */
    struct peri_loading *loading; /* of the plugin file being read */
    const dsl_host *host; /* NULL: none */
    size_t memory_seen;   /* the engine's memory at the last hint to the collector */
    uint64_t random_seed, random_counter;
    char *library; /* folder of the Lua files; "" looked for and not found; NULL: not looked for */
    char library_text[1024];
} dsl_state;

static inline dsl_state *state_of(lua_State *L)
{
    return (dsl_state *)lua_touserdata(L, lua_upvalueindex(1));
}

/* ---- box.c: types ------------------------------------------------------------------------------------------------ */

extern const char *const dsl_type_name[TYPE_COUNT];
dsl_type type_of(lua_State *L, const dsl_state *s, int i);
JUMPS void *box_new(lua_State *L, dsl_type type, size_t size, int user_values); /* zeroed: closed */
JUMPS dsl_model_ud *check_model(lua_State *L, int i);
JUMPS dsl_solution *check_solution(lua_State *L, int i);
JUMPS void *temporary(lua_State *L, size_t count, size_t size); /* a zeroed block on the stack */
/* Pushes the text that make(ud, &text) hands over. */
JUMPS void push_text(lua_State *L, peri_context *ctx, peri_status (*make)(void *ud, char **text), void *ud);
int text_gc(lua_State *L);
JUMPS void collector_hint(lua_State *L, dsl_state *s);
/* Fields of the table on the top. */
JUMPS void put_number(lua_State *L, const char *key, double v);
JUMPS void put_integer(lua_State *L, const char *key, int64_t v);
JUMPS void put_text(lua_State *L, const char *key, const char *v);
JUMPS void put_flag(lua_State *L, const char *key, bool v);
JUMPS void put_all(lua_State *L); /* those of the table on the top, which is popped, into the one below */
JUMPS dsl_state *state_push(lua_State *L, bool *fresh); /* from the registry, made if need be */

/* ---- fault.c: errors with the user's line ------------------------------------------------------------------------ */

JUMPS noreturn void dsl_raise(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3)));
JUMPS noreturn void raise_at(lua_State *L, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Raises "WHAT is not available in a sandbox" where the host wants that. */
JUMPS void refuse_sandboxed(lua_State *L, const char *what);
JUMPS noreturn void raise_engine(lua_State *L, const dsl_state *s); /* the engine's last message */
void user_line(lua_State *L, char *text, size_t size);              /* "file:line:" or "" */
void shape_text(int64_t rows, int64_t cols, char *text, size_t size);
/* What is at stack index i, for messages: `x (vector 3)`, `nil`, `"3" (a string)`. */
JUMPS void describe(lua_State *L, int i, char *text, size_t size);
JUMPS noreturn void raise_unknown(lua_State *L, int table, const char *what,
                                  const char *word); /* nearest of its string keys */
/* Refuses keys of the table at i that are not in `names` (NULL-terminated). */
JUMPS void check_options(lua_State *L, int i, const char *what, const char *const *names);

/* ---- operand.c: values that take part in expressions ------------------------------------------------------------- */

typedef enum { OPERAND_NUMBER, OPERAND_ARRAY, OPERAND_EXPR } operand_kind;

typedef struct {
    operand_kind kind;
    int at; /* absolute stack index */
    double number;
    dsl_array *array;
    dsl_model_ud *model;
    peri_expr node;
    uint32_t frame;
    bool row, list;
    int64_t rows, cols; /* of an item where frame > 0 */
} operand;

JUMPS bool read_operand(lua_State *L, int i, operand *a); /* false: no operand. A table is replaced by an array at i */
JUMPS void check_operand(lua_State *L, int i, const char *what, operand *a);
JUMPS int check_operands(lua_State *L, int n, const char *what, operand *a); /* at 1 .. n; where the last expression is, 0: none */
JUMPS dsl_model_ud *common_model(lua_State *L, int n, const operand *a); /* NULL: numbers and arrays only */
JUMPS dsl_frame *common_frame(lua_State *L, int n, const operand *a);    /* NULL: all plain */
JUMPS dsl_frame *frame_of(lua_State *L, uint32_t id);
JUMPS peri_model *model_or_scratch(lua_State *L, dsl_model_ud *model);
JUMPS peri_expr node_of(lua_State *L, peri_model *m, const operand *a);
JUMPS peri_expr *nodes_of(lua_State *L, peri_model *m, int n, const operand *a); /* a block on the stack */
JUMPS int apply(lua_State *L, peri_op op, int n, operand *a); /* pushes the result */
bool can_go_along(peri_op op);                                  /* has a form along one dimension */
JUMPS int apply_along(lua_State *L, peri_op op, int dim, operand *a);
JUMPS bool apply_plain(lua_State *L, peri_op op);             /* of 1 and 2, the short way; false: take the other */
JUMPS bool apply_plain_unary(lua_State *L, peri_op op);
JUMPS bool index_plain(lua_State *L);

/* ramp.c: indices of a peri.map in equal steps */
JUMPS void push_ramp(lua_State *L, uint32_t frame, int64_t n, double first, double step);
JUMPS void write_ramp(lua_State *L, int i, dsl_array *a); /* the numbers of the one at i */
JUMPS bool apply_ramp(lua_State *L, peri_op op);
JUMPS bool index_ramp(lua_State *L, const operand *a);
/* Pushes node: an expression of model, or where model is NULL its value. `at`: index of an expression of the model, or
 * of it. */
enum { FORM_ROW = 1, FORM_LIST = 2, FORM_SCALAR = 0 };
void push_root(lua_State *L, int at); /* the userdata of the outermost model that the model or expression at `at` belongs to */
JUMPS int push_node(lua_State *L, dsl_model_ud *model, int at, peri_expr node, unsigned form);
JUMPS int push_lifted(lua_State *L, dsl_model_ud *model, int at, peri_expr node, uint32_t frame, int64_t rows,
                      int64_t cols, bool row);
JUMPS void check_status(lua_State *L, peri_status status); /* raises the engine's message unless PERI_OK */
JUMPS int64_t check_integer(lua_State *L, int i, const char *what);
JUMPS const char *optional_text(lua_State *L, int i, const char *what, const char *absent);

/* ---- lift.c: operations on values with one row an instance ------------------------------------------------------- */

typedef struct {
    peri_model *m;
    const dsl_frame *frame;
    dsl_state *s;
} lift_ctx;

typedef struct {
    peri_expr node; /* lifted: total x (rows * cols); else rows x cols */
    bool lifted;
    int64_t rows, cols; /* of one item */
} lift_value;

JUMPS lift_value lift_read(lua_State *L, const lift_ctx *c,
                           const operand *a); /* raised to the frame c->frame where lifted */
JUMPS lift_value lift_all(lua_State *L, const lift_ctx *c, lift_value v); /* lifted in any case */
JUMPS lift_value lift_gather(lua_State *L, const lift_ctx *c, lift_value v, int64_t rows, int64_t cols,
                             int64_t (*at)(int64_t q, const int64_t *data), const int64_t *data);
JUMPS lift_value lift_elementwise(lua_State *L, const lift_ctx *c, peri_op op, int n, const lift_value *args);
JUMPS lift_value lift_op(lua_State *L, const lift_ctx *c, peri_op op, int n, const lift_value *args);
JUMPS lift_value lift_along(lua_State *L, const lift_ctx *c, peri_op op, int dim, lift_value v);
JUMPS lift_value lift_stack(lua_State *L, const lift_ctx *c, int64_t n, const lift_value *args);

/* ---- index.c ----------------------------------------------------------------------------------------------------- */

JUMPS int index_value(lua_State *L); /* __index of expressions, arrays and indices: methods, entries, rows, gathers */
int l_slice(lua_State *L);

/* ---- array.c, array_make.c --------------------------------------------------------------------------------------- */

JUMPS dsl_array *array_new(lua_State *L, int64_t rows, int64_t cols); /* dense, zeros */
JUMPS dsl_array *array_new_sparse(lua_State *L, int64_t rows, int64_t cols, int64_t nnz);
JUMPS dsl_array *array_view(lua_State *L, int parent, double *data, int64_t rows, int64_t cols);
JUMPS dsl_array *array_from_table(lua_State *L, int i, const char *what); /* pushes it; numbers, or rows of numbers */
dsl_array *to_array(lua_State *L, int i);                                 /* NULL: not a plain array */
double array_entry(const dsl_array *a, int64_t i, int64_t j);             /* from 0 */
peri_array array_image(const dsl_array *a);                               /* as the engine takes it */
JUMPS bool array_sparse_op(lua_State *L, peri_op op, int n, const operand *a); /* false: not one that keeps sparsity */
JUMPS void read_shape(lua_State *L, int first, const char *what, int64_t *rows, int64_t *cols);
/* Numbers for an option or a parameter: a number, a table or an array; pushes a block that holds them. */
JUMPS const double *read_numbers(lua_State *L, int i, const char *what, int64_t *rows, int64_t *cols);
int l_newindex(lua_State *L);
int l_array_tostring(lua_State *L);

/* ---- others ------------------------------------------------------------------------------------------------------ */

JUMPS void pending_push(lua_State *L);            /* the comparison 1 <= 2 on the stack */
JUMPS void pending_check(lua_State *L);           /* raises when a comparison is left over */
JUMPS void pending_take(lua_State *L, int64_t k); /* pushes the k-th's constraint */
JUMPS void pending_clear(lua_State *L);
JUMPS void boolean_hint(lua_State *L); /* booleans' metatable: 1 <= x <= 2 */
JUMPS void push_constraint(lua_State *L, int kind, const char *where, int a, int b, int c);
int subject_to(lua_State *L);

JUMPS int64_t read_engine_settings(lua_State *L, int i, const char *what, const peri_setting **out); /* of the table at i; its texts stay on the stack */

void call_enter(dsl_call *c, lua_State *L, dsl_model_ud *model, int event);
JUMPS void call_finish(lua_State *L, dsl_call *c,
                       peri_status status); /* leaves; raises the callback's error or the engine's */
/* f(ud) in Lua under protection, from C code; false: an error was raised, and is kept for call_finish. main: where no call is under way. */
bool callback_call(dsl_state *s, lua_State *main, lua_CFunction f, void *ud);
/* f(ud) under lua_pcall: its result, with the error object on the stack unless it is LUA_OK; -1: no room on the stack */
int callback_protect(lua_State *L, lua_CFunction f, void *ud);
void callback_keep_error(lua_State *L, dsl_state *s); /* pops the error object; the first one is kept for call_finish */
void callback_fail(dsl_state *s, lua_CFunction f, void *ud); /* f raises; kept */
/* The function at index f becomes that of the object on the top, which the list of callees finds by its address; the main thread. */
JUMPS lua_State *callback_bind(lua_State *L, int f);
JUMPS void callback_keep(lua_State *L, int model, int object); /* the model keeps the object at that index */
JUMPS int model_projection_method(lua_State *L); /* m:projection(f) */
JUMPS void push_diagnosis(lua_State *L, dsl_solution *sol); /* a table, or nil; diagnosis.c */
dsl_warm *to_warm(lua_State *L, int i); /* NULL: not a warm start */
JUMPS int l_solution_warm_start(lua_State *L);
int call_event(void *state, const peri_event *event);
JUMPS void push_event(lua_State *L, const peri_event *event); /* as a table */

/* plugin.c */
void plugin_forget_all(lua_State *L, int state); /* the registry loses what is this state's; never jumps */
JUMPS void plugin_install(lua_State *L);         /* becomes the context's loader of .lua files */
JUMPS void plugin_name_of(lua_State *L, int i);  /* a plugin or its definition at i becomes its name */
JUMPS int inner_solve(lua_State *L);             /* m:solve of an inner problem */

const char *library_folder(dsl_state *s); /* "" where it is not found */
int l_searcher(lua_State *L);             /* of package.searchers, for perigee.* */
JUMPS void library_names(lua_State *L);   /* pushes a table with the modules' names as keys */

/* Functions of each file, added to tables. */
void solution_names(lua_State *L); /* pushes a table with the fields of a solution as keys */
extern const luaL_Reg acyclic_functions[], expr_metamethods[], expr_functions[], product_functions[], shape_functions[], derive_functions[],
    array_metamethods[], array_methods[], array_makers[], index_metamethods[], item_metamethods[], table_metamethods[], model_makers[],
    model_metamethods[], model_methods[], param_methods[], solve_methods[], constraint_metamethods[],
    constraint_functions[], handle_metamethods[], solution_metamethods[], solution_methods[], map_functions[],
    random_functions[], debug_functions[], blackbox_functions[], implicit_functions[], argmin_methods[], foreign_functions[], foreign_metamethods[],
    callback_metamethods[], pointer_metamethods[], plugin_makers[], plugin_metamethods[], run_methods[], run_eval_methods[],
    run_matrix_methods[], run_inner_methods[], run_levels_methods[], run_metamethods[], factor_methods[], factor_metamethods[], inner_methods[],
    array_inplace_methods[], warm_metamethods[], warm_functions[];
JUMPS void add_operations(lua_State *L, int table); /* sum, exp ...: one closure an operation */

#endif
