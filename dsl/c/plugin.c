/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.c - peri.plugin: definitions come from a script, which registers them with the context, or from a file in a plugin folder, which the
 * registry asks for when it needs one of its plugins. Invariant: the registry knows no plugin whose Lua state is gone.
 */
#include "plugin.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FILE_LARGEST = 1 << 24 };

/* ---- defining ------------------------------------------------------------------------------------------------------ */

/* The definition at 1 as a box on the top, its table in *out with what that points to left on the stack below. */
static dsl_plugin *define(lua_State *L, peri_plugin *out)
{
    char text[200];
    dsl_state *s = state_of(L);
    if (!lua_istable(L, 1)) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "plugin: a table is needed, as in { name = \"my-method\", summary = ..., step = function(state, run) ... end }, not %s",
                  text);
    }
    dsl_plugin *p = box_new(L, TYPE_PLUGIN, sizeof *p, PLUGIN_USER_VALUES);
    const int box = lua_gettop(L);
    p->state = s;
    plugin_read(L, 1, p, box, out);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, box, PLUGIN_DEFINITION);
    lua_getiuservalue(L, lua_upvalueindex(1), UV_PLUGINS);
    lua_pushvalue(L, box);
    lua_rawsetp(L, -2, p);
    lua_pushvalue(L, box);
    return p;
}

/* One of this state's scripts that bears the name gives way to a new one. */
static void replace_registered(lua_State *L, const dsl_plugin *p)
{
    const dsl_state *s = state_of(L);
    lua_getiuservalue(L, lua_upvalueindex(1), UV_PLUGINS);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        dsl_plugin *other = lua_touserdata(L, -1);
        lua_pop(L, 1);
        if (other == p || !other->registered || strcmp(other->name, p->name) != 0)
            continue;
        if (other->runs > 0)
            dsl_raise(L, "plugin \"%s\": a run of it is under way, so it cannot be defined anew", p->name);
        check_status(L, peri_context_unregister(s->ctx, p->name));
        other->registered = false;
        lua_pushnil(L); /* a field that is there may be cleared while a table is walked through */
        lua_rawset(L, -3);
        break;
    }
}

/* peri.plugin { ... }: in a script it is registered, in a plugin file handed to the registry */
static int l_plugin(lua_State *L)
{
    char where[LUA_IDSIZE + 16];
    peri_plugin table;
    dsl_state *s = state_of(L);
    lua_settop(L, 1);
    dsl_plugin *p = define(L, &table);
    table.initial_state = &(plugin_state){.plugin = p};
    if (s->loading != NULL) {
        check_status(L, peri_loading_add(s->loading, &table));
        return 1;
    }
    const int box = lua_gettop(L);
    replace_registered(L, p);
    user_line(L, where, sizeof where);
    if (where[0] != '\0')
        where[strlen(where) - 1] = '\0'; /* the colon */
    check_status(L, peri_context_register(s->ctx, &table, where[0] != '\0' ? where : "a script"));
    p->registered = true;
    lua_settop(L, box);
    return 1;
}

void plugin_name_of(lua_State *L, int i)
{
    if (lua_istable(L, i)) {
        lua_getiuservalue(L, lua_upvalueindex(1), UV_PLUGINS); /* a definition that was used before is the same plugin */
        lua_pushnil(L);
        while (lua_next(L, -2)) {
            const dsl_plugin *p = lua_touserdata(L, -1);
            lua_getiuservalue(L, -1, PLUGIN_DEFINITION);
            const bool same = p->registered && lua_rawequal(L, -1, i);
            lua_pop(L, 1);
            if (same)
                break;
            lua_pop(L, 1);
        }
        if (type_of(L, state_of(L), -1) != TYPE_PLUGIN) {
            lua_pushvalue(L, lua_upvalueindex(1));
            lua_pushcclosure(L, l_plugin, 1);
            lua_pushvalue(L, i);
            lua_call(L, 1, 1);
        }
        lua_replace(L, i);
    }
    lua_pushstring(L, ((const dsl_plugin *)lua_touserdata(L, i))->name);
    lua_replace(L, i);
}

/* ---- handles ------------------------------------------------------------------------------------------------------- */

static const char *name_at(lua_State *L, int i)
{
    return type_of(L, state_of(L), i) == TYPE_PLUGIN ? ((const dsl_plugin *)lua_touserdata(L, i))->name : lua_tostring(L, i);
}

static int l_tostring(lua_State *L)
{
    lua_pushstring(L, name_at(L, 1));
    return 1;
}

/* "augmented-lagrangian > " .. my_method */
static int l_concat(lua_State *L)
{
    const char *a = name_at(L, 1), *b = name_at(L, 2);
    if (a == NULL || b == NULL)
        dsl_raise(L, "a plugin's name can be joined with strings only");
    lua_pushfstring(L, "%s%s", a, b);
    return 1;
}

typedef struct {
    peri_context *ctx;
    const char *name;
} page;

static peri_status make_page(void *ud, char **text)
{
    const page *p = ud;
    return peri_plugin_page(p->ctx, p->name, false, text);
}

/* p.name, p:page() */
static int l_page(lua_State *L)
{
    char text[200];
    const dsl_state *s = state_of(L);
    if (type_of(L, s, 1) != TYPE_PLUGIN) {
        describe(L, 1, text, sizeof text);
        dsl_raise(L, "page: %s is not a plugin", text);
    }
    page p = {s->ctx, name_at(L, 1)};
    push_text(L, s->ctx, make_page, &p);
    return 1;
}

static int l_index(lua_State *L)
{
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, "name") == 0) {
        lua_pushstring(L, name_at(L, 1));
        return 1;
    }
    if (strcmp(key, "page") == 0) {
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_pushcclosure(L, l_page, 1);
        return 1;
    }
    dsl_raise(L, "plugin %s has no \"%.60s\", only name and page()", name_at(L, 1), key);
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

/* The file's text, a block on the stack; NULL: it is no plugin's. */
static const char *read_file(lua_State *L, const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        dsl_raise(L, "%s: cannot be read: %s", path, strerror(errno));
    const bool told = fseek(f, 0, SEEK_END) == 0;
    const long end = told ? ftell(f) : -1;
    rewind(f);
    if (end < 0 || end > FILE_LARGEST) {
        fclose(f);
        dsl_raise(L, "%s: %s", path, end < 0 ? "cannot be read" : "too long for a plugin");
    }
    fclose(f);
    char *text = temporary(L, (size_t)end + 1, 1); /* while no file is open: it may jump */
    f = fopen(path, "rb");
    *size = f != NULL ? fread(text, 1, (size_t)end, f) : 0;
    if (f != NULL)
        fclose(f);
    return strstr(text, ".plugin") != NULL ? text : NULL;
}

typedef struct {
    const char *path;
} reading;

/* Under lua_pcall. 1: the reading (light) */
static int protected_load(lua_State *L)
{
    const reading *r = lua_touserdata(L, 1);
    size_t size;
    const char *text = read_file(L, r->path, &size);
    if (text == NULL)
        return 0;
    const char *code = text;
    while (text[0] == '#' && *code != '\0' && *code != '\n') /* the first line may name an interpreter */
        code++;
    lua_pushfstring(L, "@%s", r->path);
    if (luaL_loadbufferx(L, code, size - (size_t)(code - text), lua_tostring(L, -1), "t") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

static peri_status load(void *ud, const char *path, peri_loading *to)
{
    dsl_state *s = ud;
    reading r = {path};
    lua_State *L = s->call != NULL ? s->call->L : s->main;
    peri_loading *before = s->loading;
    char text[600];
    s->loading = to;
    const int code = callback_protect(L, protected_load, &r);
    s->loading = before;
    if (code == LUA_OK)
        return PERI_OK;
    snprintf(text, sizeof text, "%s", code > 0 && lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "its error is not a text");
    if (code > 0)
        lua_pop(L, 1);
    const bool memory = code < 0 || code == LUA_ERRMEM || peri_error_code(s->ctx) == PERI_E_NOMEM;
    return peri_error_set(s->ctx, memory ? PERI_E_NOMEM : PERI_E_PLUGIN, memory ? "out of memory" : text);
}

void plugin_install(lua_State *L)
{
    dsl_state *s = state_of(L);
    check_status(L, peri_context_set_loader(s->ctx, ".lua", load, s));
}

/* Under lua_pcall: the binding is opened, as require does. */
static int open_binding(lua_State *L)
{
    luaL_requiref(L, "perigee", luaopen_perigee, 0);
    return 0;
}

peri_status dsl_load_plugin(lua_State *L, const char *path, peri_loading *to)
{
    if (!lua_checkstack(L, 10))
        return PERI_E_NOMEM;
    lua_pushcfunction(L, open_binding);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        lua_pop(L, 1);
        return PERI_E_NOMEM;
    }
    lua_getfield(L, LUA_REGISTRYINDEX, "perigee.state");
    dsl_state *s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s != NULL ? load(s, path, to) : PERI_E_NOMEM;
}

void plugin_forget_all(lua_State *L, int state)
{
    dsl_state *s = lua_touserdata(L, state);
    lua_getiuservalue(L, state, UV_PLUGINS);
    if (lua_istable(L, -1)) {
        lua_pushnil(L);
        while (lua_next(L, -2)) {
            dsl_plugin *p = lua_touserdata(L, -1);
            if (p->registered && peri_context_unregister(s->ctx, p->name) == PERI_OK)
                p->registered = false;
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    const peri_status gone = s->ctx != NULL ? peri_context_set_loader(s->ctx, NULL, NULL, s) : PERI_OK;
    (void)gone; /* taking a loader away does not fail */
}

const luaL_Reg plugin_makers[] = {{"plugin", l_plugin}, {NULL, NULL}};
const luaL_Reg plugin_metamethods[] = {{"__index", l_index}, {"__tostring", l_tostring}, {"__concat", l_concat}, {NULL, NULL}};
