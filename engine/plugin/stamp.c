/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stamp.c - is a table that a shared object offers one that this host can use? The stamp is read first and nothing
 * behind it before it is found good; then the table is copied into ours, so that the rest of the engine never asks for
 * sizes. Invariant: a table that passed has every required field, its operations have every required callback, and all
 * its pointers are to whole objects.
 */
#include "plugin/internal.h"

#include <stdio.h>
#include <string.h>

enum { NAME_LONGEST = 63, TABLE_LARGEST = 1 << 16, OPTIONS_MOST = 10000 };

static bool is_stamp_good(const peri_stamp *s, char *why, size_t size)
{
    if (s->magic != PERI_ABI_MAGIC)
        snprintf(why, size, "stamp.magic is 0x%08x, must be 0x%08x", (unsigned)s->magic, (unsigned)PERI_ABI_MAGIC);
    else if (s->major != PERI_ABI_MAJOR)
        snprintf(why, size, "stamp.major is %u, this host has ABI %d.%d", s->major, PERI_ABI_MAJOR, PERI_ABI_MINOR);
    else if (s->min_host_minor > PERI_ABI_MINOR)
        snprintf(why, size, "stamp.min_host_minor is %u, this host has ABI %d.%d", s->min_host_minor, PERI_ABI_MAJOR,
                 PERI_ABI_MINOR);
    else if (s->size_int != sizeof(int))
        snprintf(why, size, "stamp.size_int is %u, must be %zu", s->size_int, sizeof(int));
    else if (s->size_real != sizeof(double))
        snprintf(why, size, "stamp.size_real is %u, must be %zu", s->size_real, sizeof(double));
    else if (s->size_ptr != sizeof(void *))
        snprintf(why, size, "stamp.size_ptr is %u, must be %zu", s->size_ptr, sizeof(void *));
    else if (s->size_plugin < offsetof(peri_plugin, page) || s->size_plugin > TABLE_LARGEST ||
             s->size_plugin % _Alignof(peri_plugin) != 0)
        snprintf(why, size, "stamp.size_plugin is %u, must be a multiple of %zu in [%zu, %d]", s->size_plugin,
                 _Alignof(peri_plugin), offsetof(peri_plugin, page), TABLE_LARGEST);
    else if (s->size_option < sizeof(peri_option) || s->size_option > TABLE_LARGEST ||
             s->size_option % _Alignof(peri_option) != 0)
        snprintf(why, size, "stamp.size_option is %u, must be a multiple of %zu in [%zu, %d]", s->size_option,
                 _Alignof(peri_option), sizeof(peri_option), TABLE_LARGEST);
    else
        return true;
    return false;
}

static size_t ops_size(uint32_t kind)
{
    return kind == PERI_KIND_SOLVER          ? sizeof(peri_solver_ops)
           : kind == PERI_KIND_REFORMULATION ? sizeof(peri_reformulation_ops)
           : kind == PERI_KIND_LINEAR_SOLVER ? sizeof(peri_linear_solver_ops)
                                             : 0;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Operations of any minor as ours; left alone where there is nothing to copy or the kind is none of ours. */
static bool copy_ops(arena *a, peri_plugin *p)
{
    const size_t size = ops_size(p->kind);
    if (size == 0 || p->ops == NULL)
        return true;
    void *ops = arena_alloc(a, size);
    if (ops == NULL)
        return false;
    memcpy(ops, p->ops, smaller(size, p->size_ops));
    p->ops = ops;
    return true;
}

static bool copy_options(arena *a, peri_plugin *p)
{
    if (p->n_options == 0 || p->options == NULL || p->n_options > OPTIONS_MOST)
        return true;
    peri_option *mine = arena_array(a, p->n_options, sizeof *mine);
    if (mine == NULL)
        return false;
    const unsigned char *theirs = (const unsigned char *)p->options;
    for (uint32_t i = 0; i < p->n_options; i++)
        memcpy(&mine[i], theirs + (size_t)i * p->stamp.size_option, smaller(sizeof *mine, p->stamp.size_option));
    p->options = mine;
    return true;
}

const peri_plugin *stamp_copy(arena *a, const peri_plugin *theirs, char *why, size_t size)
{
    peri_stamp stamp;
    memcpy(&stamp, theirs, sizeof stamp);
    if (!is_stamp_good(&stamp, why, size))
        return NULL;
    why[0] = '\0';
    peri_plugin *p = arena_alloc(a, sizeof *p);
    if (p == NULL)
        return NULL;
    memcpy(p, theirs, smaller(sizeof *p, stamp.size_plugin));
    return copy_ops(a, p) && copy_options(a, p) ? p : NULL;
}

/* ---- the table's fields --------------------------------------------------------------------------------------------
 */

static bool is_name_good(const char *name)
{
    size_t n = 0;
    for (; name[n] != '\0'; n++) {
        const char c = name[n];
        const bool inner = c == '-' || c == '_';
        if (n == NAME_LONGEST || !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (n > 0 && inner)))
            return false;
    }
    return n > 0;
}

static bool is_one_line(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ')
            return false;
    return true;
}

static bool check_texts(const peri_plugin *p, char *why, size_t size)
{
    if (p->name == NULL || p->name[0] == '\0')
        snprintf(why, size, "name is missing");
    else if (!is_name_good(p->name))
        snprintf(why, size, "name is \"%.80s\", must be at most %d lower-case letters, digits, - and _", p->name,
                 NAME_LONGEST);
    else if (p->summary == NULL || p->summary[0] == '\0')
        snprintf(why, size, "%s: summary is missing", p->name);
    else if (!is_one_line(p->summary) || (p->family != NULL && !is_one_line(p->family)) ||
             (p->license != NULL && !is_one_line(p->license)))
        snprintf(why, size, "%s: summary, family and license must be one line each", p->name);
    else
        return true;
    return false;
}

/* The first required callback that is NULL, or NULL. fini may be: the arena frees what most methods have. */
static const char *missing_callback(const peri_plugin *p)
{
    if (p->ops == NULL)
        return "ops";
    if (p->kind == PERI_KIND_SOLVER || p->kind == PERI_KIND_REFORMULATION) {
        const peri_solver_ops *ops = p->ops;
        return ops->init == NULL ? "ops.init" : ops->step == NULL ? "ops.step" : NULL;
    }
    const peri_linear_solver_ops *ops = p->ops;
    return ops->analyse == NULL && ops->analyse_general == NULL ? "ops.analyse"
           : ops->factor == NULL ? "ops.factor"
           : ops->solve == NULL  ? "ops.solve"
                                 : NULL;
}

static bool check_traits(const peri_plugin *p, char *why, size_t size)
{
    const uint64_t known = PERI_BIT(PERI_TRAIT_COUNT) - 1, both = p->needs[0] & p->refuses[0];
    if ((p->needs[0] & ~known) != 0 || p->needs[1] != 0 || p->needs[2] != 0 || p->needs[3] != 0)
        snprintf(why, size, "%s: needs holds traits that this host does not know (0x%llx, known are 0x%llx)", p->name,
                 (unsigned long long)p->needs[0], (unsigned long long)known);
    else if (both != 0)
        snprintf(why, size, "%s: needs and refuses share traits 0x%llx", p->name, (unsigned long long)both);
    else if ((p->adds[0] & ~known) != 0 || p->adds[1] != 0 || p->adds[2] != 0 || p->adds[3] != 0)
        snprintf(why, size, "%s: adds holds traits that this host does not know (0x%llx, known are 0x%llx)", p->name,
                 (unsigned long long)p->adds[0], (unsigned long long)known);
    else
        return true;
    return false;
}

bool table_check(const peri_plugin *p, char *why, size_t size)
{
    if (!check_texts(p, why, size))
        return false;
    if (ops_size(p->kind) == 0) {
        snprintf(why, size, "%s: kind is %u (%s), this host takes %d (solver), %d (reformulation) and %d (linear solver)",
                 p->name, p->kind, kind_words(p->kind), PERI_KIND_SOLVER, PERI_KIND_REFORMULATION, PERI_KIND_LINEAR_SOLVER);
        return false;
    }
    const char *missing = missing_callback(p);
    if (missing != NULL) {
        snprintf(why, size, "%s: %s is missing", p->name, missing);
        return false;
    }
    if (p->n_options > OPTIONS_MOST) {
        snprintf(why, size, "%s: n_options is %u, must be at most %d", p->name, p->n_options, OPTIONS_MOST);
        return false;
    }
    return check_traits(p, why, size) && option_table_check(p, why, size);
}
