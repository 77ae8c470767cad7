/* SPDX-License-Identifier: Apache-2.0 */
/*
 * library.c - where the Lua files perigee/ *.lua are: beside what this code, or the engine, was loaded from (lua/ in a build tree;
 * share/lua/5.4 below the prefix of an installed module, library or command), else in the folder configured. Looked for when the
 * first of them is asked for, not at start.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr, realpath */
#endif
#include "internal.h"
#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has_library(const char *folder, char *out, size_t size)
{
    char probe[PATH_MAX + 32], real[PATH_MAX];
    snprintf(probe, sizeof probe, "%s/perigee/data.lua", folder);
    if (access(probe, R_OK) != 0 || realpath(folder, real) == NULL || strlen(real) + 10 > size)
        return false;
    snprintf(out, size, "%s/perigee/", real);
    return true;
}

/* `file` is the object or program that holds this code. */
static bool near_file(const char *file, char *out, size_t size)
{
    static const char *const places[] = {"lua", "../../../share/lua/5.4", "../share/lua/5.4"};
    char real[PATH_MAX], folder[PATH_MAX + 32];
    char *slash;
    if (realpath(file, real) == NULL || (slash = strrchr(real, '/')) == NULL)
        return false;
    *slash = '\0';
    for (size_t k = 0; k < sizeof places / sizeof places[0]; k++) {
        snprintf(folder, sizeof folder, "%s/%s", real, places[k]);
        if (has_library(folder, out, size))
            return true;
    }
    return false;
}

/* Of a host program the engine's library tells where the installation is. */
static bool near_engine(char *out, size_t size)
{
    Dl_info info;

    union {
        const char *(*function)(void);
        void *address;
    } engine = {peri_version};

    return dladdr(engine.address, &info) != 0 && info.dli_fname != NULL && near_file(info.dli_fname, out, size);
}

const char *library_folder(dsl_state *s)
{
    Dl_info info;
    if (s->library != NULL)
        return s->library;
    s->library = s->library_text;
    s->library_text[0] = '\0';

    union {
        int (*function)(lua_State *L);
        void *address;
    } self = {luaopen_perigee};

    const bool known = dladdr(self.address, &info) != 0 && info.dli_fname != NULL;
    if (!(known && near_file(info.dli_fname, s->library_text, sizeof s->library_text)) &&
        !near_engine(s->library_text, sizeof s->library_text) && !near_file("/proc/self/exe", s->library_text, sizeof s->library_text))
        (void)has_library(PERI_LUA_DIR, s->library_text, sizeof s->library_text);
    return s->library;
}

/* package.searchers: perigee.data.csv is data/csv.lua in the folder */
int l_searcher(lua_State *L)
{
    char path[PATH_MAX];
    const char *name = luaL_checkstring(L, 1);
    if (strncmp(name, "perigee.", 8) != 0)
        return 0;
    const char *folder = library_folder(state_of(L));
    const int n = snprintf(path, sizeof path, "%s%s", folder, name + 8);
    for (char *c = path + strlen(folder); *c != '\0'; c++)
        *c = *c == '.' ? '/' : *c;
    if (n < 0 || (size_t)n + 5 > sizeof path || folder[0] == '\0')
        return 0;
    memcpy(path + n, ".lua", 5);
    if (access(path, R_OK) != 0) {
        lua_pushfstring(L, "no file '%s'", path);
        return 1;
    }
    if (luaL_loadfile(L, path) != LUA_OK)
        return luaL_error(L, "%s", lua_tostring(L, -1));
    lua_pushstring(L, path);
    return 2;
}

/* No jump while the folder is open: at most some names, of bounded length, are copied first. */
void library_names(lua_State *L)
{
    enum { MOST = 200, LENGTH = 48 };

    char(*names)[LENGTH] = temporary(L, MOST, LENGTH);
    size_t n = 0;
    const char *folder = library_folder(state_of(L));
    DIR *dir = folder[0] != '\0' ? opendir(folder) : NULL;
    for (struct dirent *e = NULL; dir != NULL && (e = readdir(dir)) != NULL && n < MOST;) {
        const char *dot = strrchr(e->d_name, '.');
        if (dot != NULL && strcmp(dot, ".lua") == 0 && dot - e->d_name < LENGTH)
            snprintf(names[n++], LENGTH, "%.*s", (int)(dot - e->d_name), e->d_name);
    }
    if (dir != NULL)
        closedir(dir);
    lua_newtable(L);
    for (size_t k = 0; k < n; k++) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, names[k]);
    }
    lua_remove(L, -2);
}
