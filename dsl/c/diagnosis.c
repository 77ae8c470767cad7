/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diagnosis.c - sol.diagnosis: the engine's data as a plain Lua table, with the lines of text under `text`. Keys and nesting are those of
 * the JSON result. What does not apply is absent, lists are empty.
 */
#include "internal.h"
#include <math.h>

/* { ["x[1]"] = 2, ... } */
static void put_named(lua_State *L, const char *key, const peri_named_list *list)
{
    lua_createtable(L, 0, (int)list->n);
    for (int64_t k = 0; k < list->n; k++)
        put_number(L, list->at[k].name, list->at[k].value);
    lua_setfield(L, -2, key);
}

static void put_nonfinite(lua_State *L, const peri_nonfinite *f)
{
    if (f->operation == NULL)
        return;
    lua_createtable(L, 0, 6);
    put_text(L, "where", f->where);
    if (f->row != NULL)
        put_text(L, "row", f->row);
    put_text(L, "operation", f->operation);
    if (f->expression != NULL)
        put_text(L, "expression", f->expression);
    put_text(L, "text", f->text);
    put_named(L, "at", &f->at);
    lua_setfield(L, -2, "nonfinite");
}

static void put_residuals(lua_State *L, const peri_residual_list *r)
{
    lua_createtable(L, (int)r->n, 0);
    for (int64_t k = 0; k < r->n; k++) {
        lua_createtable(L, 0, 6);
        put_text(L, "name", r->at[k].name);
        put_text(L, "kind", r->at[k].is_bound ? "bound" : "constraint");
        put_number(L, "value", r->at[k].value);
        put_number(L, "lower", r->at[k].lower);
        put_number(L, "upper", r->at[k].upper);
        put_number(L, "violation", r->at[k].violation);
        lua_rawseti(L, -2, k + 1);
    }
    lua_setfield(L, -2, "residuals");
}

static void put_dependent(lua_State *L, const peri_diagnosis *d)
{
    lua_createtable(L, (int)d->n_dependent, 0);
    for (int64_t k = 0; k < d->n_dependent; k++) {
        lua_createtable(L, 0, 2);
        put_text(L, "name", d->dependent[k].name);
        put_named(L, "of", &d->dependent[k].of);
        lua_rawseti(L, -2, k + 1);
    }
    lua_setfield(L, -2, "dependent");
}

static void put_ray(lua_State *L, const peri_diagnosis *d)
{
    if (d->ray.n == 0)
        return;
    lua_createtable(L, 0, 3);
    put_named(L, "direction", &d->ray);
    put_number(L, "slope", d->ray_slope);
    put_flag(L, "confirmed", d->ray_confirmed);
    lua_setfield(L, -2, "ray");
}

static void put_conflict(lua_State *L, const peri_diagnosis *d)
{
    static const char *const parts[] = {"unknown", "feasible", "infeasible"};
    put_text(L, "linear_part", parts[d->linear_part]);
    lua_createtable(L, (int)d->n_conflict, 0);
    for (int64_t k = 0; k < d->n_conflict; k++) {
        lua_createtable(L, 0, 4);
        put_text(L, "name", d->conflict[k].name);
        put_text(L, "kind", d->conflict[k].is_bound ? "bound" : "constraint");
        put_text(L, "side", d->conflict[k].is_upper ? "upper" : "lower");
        put_number(L, "value", d->conflict[k].value);
        lua_rawseti(L, -2, k + 1);
    }
    lua_setfield(L, -2, "conflict");
    if (d->n_conflict > 0)
        put_flag(L, "minimal", d->is_minimal);
}

static void put_scaling(lua_State *L, const char *key, const peri_scaling *s)
{
    if (isnan(s->ratio))
        return;
    lua_createtable(L, 0, 3);
    put_number(L, "ratio", s->ratio);
    put_named(L, "largest", &s->largest);
    put_named(L, "smallest", &s->smallest);
    lua_setfield(L, -2, key);
}

static void put_steps(lua_State *L, const peri_diagnosis *d)
{
    lua_createtable(L, (int)d->n_steps, 0);
    for (int64_t k = 0; k < d->n_steps; k++) {
        lua_createtable(L, 0, 4);
        put_text(L, "what", d->steps[k].what);
        put_integer(L, "iterations", d->steps[k].iterations);
        put_number(L, "value", d->steps[k].value);
        put_text(L, "text", d->steps[k].text);
        lua_rawseti(L, -2, k + 1);
    }
    lua_setfield(L, -2, "steps");
}

static void put_notes(lua_State *L, const peri_diagnosis *d)
{
    lua_createtable(L, (int)d->n_notes, 0);
    for (int64_t k = 0; k < d->n_notes; k++) {
        lua_pushstring(L, d->notes[k]);
        lua_rawseti(L, -2, k + 1);
    }
    lua_setfield(L, -2, "notes");
}

static peri_status make_text(void *ud, char **text)
{
    const peri_diagnosis *d;
    return peri_solution_diagnosis(ud, &d, text);
}

void push_diagnosis(lua_State *L, dsl_solution *sol)
{
    dsl_call call;
    const peri_diagnosis *d;
    call_enter(&call, L, sol->model, 0);
    call_finish(L, &call, peri_solution_diagnosis(sol->obj, &d, NULL));
    if (d == NULL) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 12);
    put_nonfinite(L, &d->nonfinite);
    put_residuals(L, &d->residuals);
    put_conflict(L, d);
    put_ray(L, d);
    put_dependent(L, d);
    put_scaling(L, "rows", &d->rows);
    put_scaling(L, "columns", &d->columns);
    put_steps(L, d);
    put_notes(L, d);
    push_text(L, state_of(L)->ctx, make_text, sol->obj);
    lua_setfield(L, -2, "text");
}
