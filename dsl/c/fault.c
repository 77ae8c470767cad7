/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.c - errors as users see them: one line that begins with the file and line of the user's own code, whatever
 * functions of the library lie between, and that names the things involved as the script does.
 */
#include "internal.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- whose line -------------------------------------------------------------------------------------------------- */

static bool is_users(const dsl_state *s, const lua_Debug *ar)
{
    if (ar->currentline <= 0)
        return false;
    const size_t length = s->library != NULL ? strlen(s->library) : 0;
    return length == 0 || ar->source[0] != '@' || strncmp(ar->source + 1, s->library, length) != 0;
}

/* The innermost function with a line that is not the library's. */
static bool users_level(lua_State *L, lua_Debug *ar)
{
    const dsl_state *s = state_of(L);
    for (int level = 0; lua_getstack(L, level, ar); level++) {
        lua_getinfo(L, "Sl", ar);
        if (is_users(s, ar))
            return true;
    }
    return false;
}

void user_line(lua_State *L, char *text, size_t size)
{
    lua_Debug ar;
    if (users_level(L, &ar))
        snprintf(text, size, "%s:%d:", ar.short_src, ar.currentline);
    else
        text[0] = '\0';
}

/* A message is one line, whatever texts of the script it quotes. */
static noreturn void raise_text(lua_State *L, const char *where, char *text)
{
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    lua_pushfstring(L, "%s%s%s", where, where[0] != '\0' ? " " : "", text);
    for (;;)
        lua_error(L); /* does not return */
}

void dsl_raise(lua_State *L, const char *format, ...)
{
    char where[LUA_IDSIZE + 16], text[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    user_line(L, where, sizeof where);
    raise_text(L, where, text);
}

void raise_at(lua_State *L, const char *where, const char *format, ...)
{
    char text[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    raise_text(L, where, text);
}

void refuse_sandboxed(lua_State *L, const char *what)
{
    const dsl_state *s = state_of(L);
    if (s->host != NULL && s->host->sandboxed)
        dsl_raise(L, "%s is not available in a sandbox", what);
}

void raise_engine(lua_State *L, const dsl_state *s)
{
    char text[1100];
    snprintf(text, sizeof text, "%s", peri_error(s->ctx));
    dsl_raise(L, "%s", text);
}

void check_status(lua_State *L, peri_status status)
{
    if (status != PERI_OK)
        raise_engine(L, state_of(L));
}

/* ---- what a value is called -------------------------------------------------------------------------------------- */

void shape_text(int64_t rows, int64_t cols, char *text, size_t size)
{
    if (rows == 1 && cols == 1)
        snprintf(text, size, "scalar");
    else if (cols == 1)
        snprintf(text, size, "vector %lld", (long long)rows);
    else
        snprintf(text, size, "matrix %lld x %lld", (long long)rows, (long long)cols);
}

/* Copies a key of the table on the top whose value is the one at index i; the table is popped. */
static bool key_of(lua_State *L, int i, char *text, size_t size)
{
    bool found = false;
    int budget = 2000; /* a message is not worth a walk through a large table */
    lua_pushnil(L);
    while (!found && budget-- > 0 && lua_next(L, -2)) {
        found = lua_rawequal(L, -1, i) && lua_type(L, -2) == LUA_TSTRING;
        if (found)
            snprintf(text, size, "%s", lua_tostring(L, -2));
        lua_pop(L, found || budget == 0 ? 2 : 1);
    }
    lua_pop(L, 1);
    return found;
}

/* The name by which the user's function knows the value at absolute index i: a local, an upvalue or a global. */
static bool script_name(lua_State *L, int i, char *text, size_t size)
{
    lua_Debug ar;
    const char *name;
    if (!users_level(L, &ar))
        return false;
    for (int k = 1; (name = lua_getlocal(L, &ar, k)) != NULL; k++) {
        const bool same = lua_rawequal(L, -1, i) && name[0] != '(';
        lua_pop(L, 1);
        if (same) {
            snprintf(text, size, "%s", name);
            return true;
        }
    }
    lua_getinfo(L, "f", &ar);
    bool found = false;
    for (int k = 1; !found && (name = lua_getupvalue(L, -1, k)) != NULL; k++) {
        if (strcmp(name, "_ENV") == 0 && lua_istable(L, -1)) {
            found = key_of(L, i, text, size);
            continue;
        }
        found = lua_rawequal(L, -1, i);
        if (found)
            snprintf(text, size, "%s", name);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return found;
}

static void describe_expr(lua_State *L, int i, char *text, size_t size)
{
    const dsl_expr *e = lua_touserdata(L, i);
    char shape[64], *name = NULL;
    int64_t rows = e->rows, cols = e->cols;
    if (e->model->obj == NULL) {
        snprintf(text, size, "an expression of the closed model \"%s\"", e->model->name);
        return;
    }
    if (e->frame == 0)
        peri_expr_shape(e->model->obj, e->node, &rows, &cols);
    shape_text(rows, cols, shape, sizeof shape);
    if (rows == 1 && cols == 1 && e->list)
        snprintf(shape, sizeof shape, "vector 1");
    if (e->frame != 0) {
        char own[100] = "expression in peri.map";
        (void)script_name(L, i, own, sizeof own);
        snprintf(text, size, "%s (%s)", own, shape);
        return;
    }
    if (peri_expr_text(e->model->obj, e->node, 40, &name) != PERI_OK) {
        snprintf(text, size, "expression (%s)", shape);
        return;
    }
    snprintf(text, size, "%s (%s)", name, shape); /* no jump until it is freed */
    peri_free_text(peri_model_context(e->model->obj), name);
}

static void describe_array(lua_State *L, int i, char *text, size_t size)
{
    const dsl_array *a = lua_touserdata(L, i);
    char shape[64], name[100] = "array";
    if (a->frame != 0)
        snprintf(name, sizeof name, "index");
    shape_text(a->frame != 0 ? a->item_rows : a->rows, a->frame != 0 ? a->item_cols : a->cols, shape, sizeof shape);
    if (a->frame == 0 && a->rows == 1 && a->cols == 1)
        snprintf(shape, sizeof shape, "vector 1");
    (void)script_name(L, i, name, sizeof name);
    snprintf(text, size, "%s (%s)", name, shape);
}

void describe(lua_State *L, int i, char *text, size_t size)
{
    const dsl_state *s = state_of(L);
    char name[100];
    i = lua_absindex(L, i);
    switch (lua_type(L, i)) {
    case LUA_TNONE:
    case LUA_TNIL:
        snprintf(text, size, "nil");
        return;
    case LUA_TBOOLEAN:
        snprintf(text, size, "%s (a boolean)", lua_toboolean(L, i) ? "true" : "false");
        return;
    case LUA_TNUMBER:
        if (isnan(lua_tonumber(L, i)))
            snprintf(text, size, "NaN");
        else
            snprintf(text, size, "%.14g", lua_tonumber(L, i));
        return;
    case LUA_TSTRING:
        snprintf(text, size, "\"%.40s\" (a string)", lua_tostring(L, i));
        return;
    default:
        break;
    }
    const dsl_type type = type_of(L, s, i);
    if (type == TYPE_EXPR)
        describe_expr(L, i, text, size);
    else if (type == TYPE_ARRAY || type == TYPE_INDEX)
        describe_array(L, i, text, size);
    else if (type == TYPE_ITEM)
        snprintf(text, size, "a table looked up by the index of a peri.map");
    else if (type == TYPE_MODEL)
        snprintf(text, size, "model \"%s\"", ((dsl_model_ud *)lua_touserdata(L, i))->name);
    else if (type == TYPE_CONSTRAINT || type == TYPE_SOLUTION)
        snprintf(text, size, "a %s", type == TYPE_CONSTRAINT ? "constraint" : "solution");
    else if (script_name(L, i, name, sizeof name))
        snprintf(text, size, "%s (a %s)", name, luaL_typename(L, i));
    else
        snprintf(text, size, "a %s", luaL_typename(L, i));
}

/* ---- nearest names ----------------------------------------------------------------------------------------------- */

enum { LONGEST = 48 };

/* Insertions, deletions, changes, and exchanges of neighbours. */
static int edit_distance(const char *a, const char *b)
{
    int rows[3][LONGEST + 1] = {{0}};
    int *before = rows[0], *last = rows[1], *row = rows[2];
    const size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= m; j++)
        last[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            const int change = last[j - 1] + (a[i - 1] != b[j - 1]);
            const int step = 1 + (last[j] < row[j - 1] ? last[j] : row[j - 1]);
            row[j] = change < step ? change : step;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        int *const free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[m];
}

static void consider(const char *word, const char *name, int *best, char *near, size_t size)
{
    const int d = edit_distance(word, name), limit = (int)strlen(name) / 3 > 1 ? (int)strlen(name) / 3 : 1;
    if (d <= limit && (d < *best || (d == *best && strcmp(name, near) < 0))) {
        *best = d;
        snprintf(near, size, "%s", name);
    }
}

static void as_question(int best, const char *near, char *text, size_t size)
{
    if (best < LONGEST)
        snprintf(text, size, " (did you mean \"%s\"?)", near);
    else
        text[0] = '\0';
}

/* ` (did you mean "a"?)`, or all there are */
static void nearest(const char *word, const char *const *names, char *text, size_t size)
{
    char near[LONGEST + 1] = "";
    int best = LONGEST;
    for (int k = 0; names[k] != NULL; k++)
        consider(word, names[k], &best, near, sizeof near);
    as_question(best, near, text, size);
    if (text[0] != '\0')
        return;
    size_t n = (size_t)snprintf(text, size, "; it takes");
    for (int k = 0; names[k] != NULL && n < size; k++)
        n += (size_t)snprintf(text + n, size - n, "%s %s", k > 0 ? "," : "", names[k]);
}

void raise_unknown(lua_State *L, int table, const char *what, const char *word)
{
    char near[LONGEST + 1] = "", question[100];
    int best = LONGEST;
    table = lua_absindex(L, table);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (lua_type(L, -2) == LUA_TSTRING)
            consider(word, lua_tostring(L, -2), &best, near, sizeof near);
        lua_pop(L, 1);
    }
    as_question(best, near, question, sizeof question);
    dsl_raise(L, "%s has no \"%.60s\"%s", what, word, question);
}

void check_options(lua_State *L, int i, const char *what, const char *const *names)
{
    char question[200];
    i = lua_absindex(L, i);
    lua_pushnil(L);
    while (lua_next(L, i)) {
        lua_pop(L, 1);
        int k = 0;
        if (lua_type(L, -1) == LUA_TSTRING) {
            const char *key = lua_tostring(L, -1);
            while (names[k] != NULL && strcmp(names[k], key) != 0)
                k++;
            if (names[k] != NULL)
                continue;
            nearest(key, names, question, sizeof question);
            dsl_raise(L, "%s: unknown option \"%.60s\"%s", what, key, question);
        }
        dsl_raise(L, "%s: options are named, as in { %s = ... }", what, names[0]);
    }
}
