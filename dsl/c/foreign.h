/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.h - inside dsl/c only: signatures of C functions as text, and functions made from Lua that C code can call. */
#ifndef PERI_DSL_FOREIGN_H
#define PERI_DSL_FOREIGN_H

#include "internal.h"
#include <ffi.h>

enum { FOREIGN_ARGS = 16, FOREIGN_NESTED = 4 };

typedef enum { BASE_VOID, BASE_DOUBLE, BASE_FLOAT, BASE_INT, BASE_INT64, BASE_SIZE, BASE_COUNT } foreign_base;

typedef struct {
    foreign_base base;
    bool pointer, is_const;
    int nested; /* a function pointer: which of the type's nested signatures; -1: none */
} foreign_type;

typedef struct {
    foreign_type result, arg[FOREIGN_ARGS];
    int n;
    ffi_type *types[FOREIGN_ARGS]; /* kept, since the cif points to them */
    ffi_cif cif;
} foreign_signature;

/* One C function type and those of the function pointers among its arguments. Not to be moved once it is parsed. */
typedef struct {
    foreign_signature main, nested[FOREIGN_NESTED];
    int n_nested;
} foreign_prototype;

typedef union {
    double d;
    float f;
    int i;
    int64_t l;
    size_t z;
    void *p;
    ffi_arg word; /* integral results fill a whole word */
} foreign_value;

/* "double(size_t, const double *)" into p; raises an error that shows what was not understood */
JUMPS void foreign_parse(lua_State *L, const char *what, const char *text, foreign_prototype *p);
bool foreign_is_function(const foreign_signature *s); /* double(size_t, const double *) */
bool foreign_is_gradient(const foreign_signature *s); /* void(size_t, const double *, double *) */
size_t foreign_size(foreign_base base);

/* Numbers between C's memory and Lua's; false: the number at i does not fit. */
bool foreign_store(lua_State *L, int i, foreign_base base, void *to);
double foreign_load(foreign_base base, const void *from);
JUMPS void foreign_push(lua_State *L, const foreign_type *t, const foreign_value *v); /* a number, or a pointer object */

/*
 * foreign_callback - pushes a callback object: C code of the signature that calls the Lua function at index f. The object owns the code; the
 * signature lives in the object at index owner, which is kept.
 */
JUMPS void *foreign_callback(lua_State *L, int owner, const foreign_signature *s, int f);
JUMPS void *foreign_pointer(lua_State *L, int i, bool *is_pointer); /* of a pointer, callback or foreign object at i */
/* Raises what a callback raised while C code ran. */
JUMPS void foreign_raise_kept(lua_State *L, dsl_call *c);

int foreign_callback_gc(lua_State *L);
int l_callback(lua_State *L);
int l_foreign_pointer_tostring(lua_State *L);

#endif
