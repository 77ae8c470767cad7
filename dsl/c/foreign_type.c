/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foreign_type.c - C function types as text: double, float, int, int64, size_t, pointers to them, void, and pointers to functions of these. What is
 * not on the list is refused, since nobody can check it. Invariant: a parsed prototype's cifs point into itself.
 */
#include "foreign.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    foreign_base base;
} names[] = {{"double", BASE_DOUBLE}, {"float", BASE_FLOAT},    {"int", BASE_INT},  {"int64_t", BASE_INT64},
             {"int64", BASE_INT64},   {"size_t", BASE_SIZE}, {"void", BASE_VOID}};

static const size_t sizes[BASE_COUNT] = {0, sizeof(double), sizeof(float), sizeof(int), sizeof(int64_t), sizeof(size_t)};

size_t foreign_size(foreign_base base)
{
    return sizes[base];
}

static ffi_type *ffi_of(const foreign_type *t)
{
    if (t->pointer)
        return &ffi_type_pointer;
    switch (t->base) {
    case BASE_DOUBLE: return &ffi_type_double;
    case BASE_FLOAT: return &ffi_type_float;
    case BASE_INT: return &ffi_type_sint;
    case BASE_INT64: return &ffi_type_sint64;
    case BASE_SIZE: return sizeof(size_t) == 8 ? &ffi_type_uint64 : &ffi_type_uint32;
    default: return &ffi_type_void;
    }
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

typedef struct {
    lua_State *L;
    const char *what, *text, *at;
    foreign_prototype *p;
    bool inside; /* of a function pointer */
} reader;

static noreturn void refuse(const reader *r, const char *why)
{
    dsl_raise(r->L,
              "%s: type \"%s\": %s at \"%.20s\"; it is written as in C, \"double(size_t, const double *)\", with double, float, int, int64, size_t, "
              "pointers to them, void, and pointers to functions of these",
              r->what, r->text, why, r->at);
}

static void skip(reader *r)
{
    while (isspace((unsigned char)*r->at))
        r->at++;
}

static bool take(reader *r, char c)
{
    skip(r);
    if (*r->at != c)
        return false;
    r->at++;
    return true;
}

static size_t word_length(const char *at)
{
    size_t n = 0;
    while (isalnum((unsigned char)at[n]) || at[n] == '_')
        n++;
    return n;
}

static bool take_word(reader *r, const char *word)
{
    skip(r);
    const size_t n = word_length(r->at);
    if (n == 0 || n != strlen(word) || strncmp(r->at, word, n) != 0)
        return false;
    r->at += n;
    return true;
}

/* [const] BASE [const] [*] */
static foreign_type read_type(reader *r)
{
    foreign_type t = {.nested = -1};
    bool found = false;
    t.is_const = take_word(r, "const");
    for (size_t k = 0; k < sizeof names / sizeof names[0] && !found; k++) {
        found = take_word(r, names[k].name);
        t.base = names[k].base;
    }
    if (!found)
        refuse(r, "unknown type");
    t.is_const = take_word(r, "const") || t.is_const;
    t.pointer = take(r, '*');
    if (t.pointer && take(r, '*'))
        refuse(r, "pointers to pointers are not on the list");
    (void)take_word(r, "restrict");
    return t;
}

static void read_arguments(reader *r, foreign_signature *s);

/* RET (*[name])(ARGUMENTS), RET read already */
static foreign_type read_function_pointer(reader *r, foreign_type result)
{
    const bool inside = r->inside;
    if (inside)
        refuse(r, "a function pointer inside a function pointer");
    if (r->p->n_nested == FOREIGN_NESTED)
        refuse(r, "too many function pointers");
    const int k = r->p->n_nested++;
    skip(r);
    r->at += word_length(r->at);
    if (!take(r, ')') || !take(r, '('))
        refuse(r, "a function pointer is written double (*)(double)");
    r->p->nested[k].result = result;
    r->inside = true;
    read_arguments(r, &r->p->nested[k]);
    r->inside = inside;
    return (foreign_type){.base = BASE_VOID, .pointer = true, .nested = k};
}

static void read_argument(reader *r, foreign_signature *s)
{
    foreign_type t = read_type(r);
    const char *before = r->at;
    if (take(r, '(')) {
        if (!take(r, '*')) {
            r->at = before;
            refuse(r, "a function pointer is written double (*)(double)");
        }
        t = read_function_pointer(r, t);
    }
    skip(r);
    r->at += word_length(r->at); /* a name */
    if (t.base == BASE_VOID && !t.pointer)
        refuse(r, "an argument cannot be void");
    if (s->n == FOREIGN_ARGS)
        refuse(r, "more than 16 arguments");
    s->arg[s->n++] = t;
}

/* Up to the closing parenthesis; (void) and () are none. */
static void read_arguments(reader *r, foreign_signature *s)
{
    const char *start = r->at;
    if (take(r, ')'))
        return;
    if (take_word(r, "void") && take(r, ')'))
        return;
    r->at = start;
    do
        read_argument(r, s);
    while (take(r, ','));
    if (!take(r, ')'))
        refuse(r, "a comma or ) is missing");
}

static void prepare(reader *r, foreign_signature *s)
{
    for (int k = 0; k < s->n; k++)
        s->types[k] = ffi_of(&s->arg[k]);
    if (ffi_prep_cif(&s->cif, FFI_DEFAULT_ABI, (unsigned)s->n, ffi_of(&s->result), s->types) != FFI_OK)
        refuse(r, "this processor cannot call it");
}

void foreign_parse(lua_State *L, const char *what, const char *text, foreign_prototype *p)
{
    reader r = {.L = L, .what = what, .text = text, .at = text, .p = p};
    memset(p, 0, sizeof *p);
    p->main.result = read_type(&r);
    if (!take(&r, '('))
        refuse(&r, "( is missing");
    if (take(&r, '*') && !(take(&r, ')') && take(&r, '('))) /* the type of a pointer to it means the same */
        refuse(&r, ")( is missing");
    read_arguments(&r, &p->main);
    skip(&r);
    if (*r.at != '\0')
        refuse(&r, "something is left");
    prepare(&r, &p->main);
    for (int k = 0; k < p->n_nested; k++)
        prepare(&r, &p->nested[k]);
}

/* ---- the two shapes that expressions are made of ---------------------------------------------------------------------- */

static bool is_array(const foreign_type *t, bool is_const)
{
    return t->base == BASE_DOUBLE && t->pointer && t->is_const == is_const;
}

static bool is_plain(const foreign_type *t, foreign_base base)
{
    return t->base == base && !t->pointer;
}

bool foreign_is_function(const foreign_signature *s)
{
    return is_plain(&s->result, BASE_DOUBLE) && s->n == 2 && is_plain(&s->arg[0], BASE_SIZE) && is_array(&s->arg[1], true);
}

bool foreign_is_gradient(const foreign_signature *s)
{
    return is_plain(&s->result, BASE_VOID) && s->n == 3 && is_plain(&s->arg[0], BASE_SIZE) && is_array(&s->arg[1], true) &&
           is_array(&s->arg[2], false);
}

/* ---- numbers -------------------------------------------------------------------------------------------------------------- */

bool foreign_store(lua_State *L, int i, foreign_base base, void *to)
{
    int fits = 1;
    if (lua_type(L, i) != LUA_TNUMBER)
        return false;
    if (base == BASE_DOUBLE || base == BASE_FLOAT) {
        const double value = lua_tonumber(L, i);
        const float narrow = (float)value;
        memcpy(to, base == BASE_FLOAT ? (const void *)&narrow : (const void *)&value, sizes[base]);
        return true;
    }
    const int64_t value = lua_tointegerx(L, i, &fits);
    const int narrow = (int)value;
    const size_t size = (size_t)value;
    if (!fits || (base == BASE_INT && narrow != value) || (base == BASE_SIZE && value < 0))
        return false;
    memcpy(to, base == BASE_INT ? (const void *)&narrow : base == BASE_SIZE ? (const void *)&size : (const void *)&value, sizes[base]);
    return true;
}

double foreign_load(foreign_base base, const void *from)
{
    foreign_value v = {0};
    memcpy(&v, from, sizes[base]);
    switch (base) {
    case BASE_DOUBLE: return v.d;
    case BASE_FLOAT: return (double)v.f;
    case BASE_INT: return v.i;
    case BASE_INT64: return (double)v.l;
    default: return (double)v.z;
    }
}
