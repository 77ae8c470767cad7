/* SPDX-License-Identifier: Apache-2.0 */
/* products.c - many small matrix products at once, convolutions with batch and channels, Kronecker products, and matrices side by side. */
#include "internal.h"

static void refuse_lifted(lua_State *L, int n, const operand *a, const char *what)
{
    for (int k = 0; k < n; k++)
        if (a[k].frame != 0)
            dsl_raise(L, "%s is not offered for a value that depends on the index of a peri.map; use a plain loop", what);
}

/* Two operands at 1 and 2 as nodes of one model; *at: where the expression is */
static peri_model *two_nodes(lua_State *L, const char *what, operand *a, peri_expr *node, dsl_model_ud **model, int *at)
{
    const int last = check_operands(L, 2, what, a);
    refuse_lifted(L, 2, a, what);
    *model = common_model(L, 2, a);
    peri_model *m = model_or_scratch(L, *model);
    *at = last > 0 ? last : 1;
    for (int k = 0; k < 2; k++)
        node[k] = node_of(L, m, &a[k]);
    return m;
}

static int l_bmm(lua_State *L)
{
    operand a[2];
    peri_expr node[2], out;
    dsl_model_ud *model;
    int at;
    lua_settop(L, 3);
    const int64_t count = check_integer(L, 3, "bmm: the number of products");
    peri_model *m = two_nodes(L, "bmm", a, node, &model, &at);
    check_status(L, peri_expr_bmm(m, node[0], node[1], count, &out));
    return push_node(L, model, at, out, FORM_LIST);
}

/* ---- convolution ------------------------------------------------------------------------------------------------- */

/* One positive integer, or two of them, at the option's name. */
static void read_pair(lua_State *L, const char *key, int64_t least, int64_t out[2])
{
    char text[200];
    bool ok = true;
    if (lua_getfield(L, 3, key) != LUA_TNIL) {
        for (int k = 0; k < 2 && ok; k++) {
            int is_integer = 0;
            if (lua_istable(L, -1))
                lua_geti(L, -1, k + 1);
            else
                lua_pushvalue(L, -1);
            out[k] = lua_tointegerx(L, -1, &is_integer);
            ok = is_integer && out[k] >= least && out[k] <= INT32_MAX;
            lua_pop(L, 1);
        }
        if (!ok) {
            describe(L, -1, text, sizeof text);
            dsl_raise(L, "conv2d: %s must be an integer of at least %d, or two of them, not %s", key, (int)least, text);
        }
    }
    lua_pop(L, 1);
}

/* Rows that are images (with opts.size), or one image as a matrix. */
static peri_conv2d read_convolution(lua_State *L, const operand *a)
{
    static const char *const names[] = {"size", "kernel", "channels", "stride", "padding", NULL};
    peri_conv2d c = {.channels = 1, .size = {0, 0}, .kernel = {0, 0}, .stride = {1, 1}, .padding = {0, 0}};
    int64_t channels[2] = {1, 1};
    if (lua_isnil(L, 3))
        lua_newtable(L), lua_replace(L, 3);
    if (!lua_istable(L, 3)) {
        char text[200];
        describe(L, 3, text, sizeof text);
        dsl_raise(L, "conv2d: options must be a table, not %s", text);
    }
    check_options(L, 3, "conv2d", names);
    read_pair(L, "size", 1, c.size);
    read_pair(L, "kernel", 1, c.kernel);
    read_pair(L, "channels", 1, channels);
    read_pair(L, "stride", 1, c.stride);
    read_pair(L, "padding", 0, c.padding);
    c.channels = channels[0];
    if (c.size[0] == 0 && (c.channels > 1 || c.kernel[0] > 0))
        dsl_raise(L, "conv2d: channels and kernel need size = { height, width }; each row of the image is then one image");
    if (c.size[0] > 0 && c.kernel[0] == 0) /* a square one */
        for (int64_t side = 1; side * side * c.channels <= a[1].cols; side++)
            if (side * side * c.channels == a[1].cols)
                c.kernel[0] = c.kernel[1] = side;
    if (c.size[0] > 0 && c.kernel[0] == 0)
        dsl_raise(L, "conv2d: the kernel's %lld columns are not those of square kernels of %lld channel%s; give kernel = { rows, columns }",
                  (long long)a[1].cols, (long long)c.channels, c.channels == 1 ? "" : "s");
    return c;
}

static int l_conv2d(lua_State *L)
{
    operand a[2];
    peri_expr node[2], out;
    dsl_model_ud *model;
    int at;
    if (lua_gettop(L) > 3)
        dsl_raise(L, "conv2d takes an image, a kernel and a table of options, not %d arguments", lua_gettop(L));
    lua_settop(L, 3);
    peri_model *m = two_nodes(L, "conv2d", a, node, &model, &at);
    const peri_conv2d c = read_convolution(L, a);
    check_status(L, peri_expr_conv2d(m, node[0], node[1], &c, &out));
    return push_node(L, model, at, out, FORM_LIST);
}

/* ---- side by side, Kronecker ------------------------------------------------------------------------------------- */

static int l_hstack(lua_State *L)
{
    const int n = lua_gettop(L);
    if (n < 1)
        dsl_raise(L, "hstack: nothing to stack");
    luaL_checkstack(L, 20, "hstack: too many arguments");
    operand *a = temporary(L, (size_t)n, sizeof *a);
    const int at = check_operands(L, n, "hstack", a);
    refuse_lifted(L, n, a, "hstack");
    dsl_model_ud *model = common_model(L, n, a);
    peri_model *m = model_or_scratch(L, model);
    peri_expr out;
    check_status(L, peri_expr_hstack(m, n, nodes_of(L, m, n, a), &out));
    return push_node(L, model, at, out, FORM_LIST);
}

static int l_kron(lua_State *L)
{
    operand a[2];
    peri_expr node[2], out;
    dsl_model_ud *model;
    int at;
    lua_settop(L, 2);
    peri_model *m = two_nodes(L, "kron", a, node, &model, &at);
    check_status(L, peri_expr_kron(m, node[0], node[1], &out));
    return push_node(L, model, at, out, FORM_LIST);
}

const luaL_Reg product_functions[] = {{"bmm", l_bmm}, {"conv2d", l_conv2d}, {"hstack", l_hstack}, {"kron", l_kron}, {NULL, NULL}};
