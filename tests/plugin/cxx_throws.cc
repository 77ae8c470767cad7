/* SPDX-License-Identifier: Apache-2.0 */
/* cxx_throws - a plugin in C++ that lets an exception out of its third step, which no plugin may: the process ends by std::terminate. */
#include <perigee/plugin.h>

#include <stdexcept>

namespace
{

struct options {
    double unused;
};

const peri_option option_list[] = {PERI_REAL("unused", options, unused, 1, 0, 2, "1", "nothing")};

struct state {
    double *x;
    int steps;
};

} // namespace

extern "C" {

static peri_status throw_init(void *self, peri_run *run, const void *)
{
    state *s = static_cast<state *>(self);
    TRY(peri_alloc(run, peri_n(run), &s->x));
    return peri_start(run, s->x);
}

static peri_status throw_step(void *self, peri_run *run, peri_step *next)
{
    state *s = static_cast<state *>(self);
    peri_row row = peri_empty_row();
    if (++s->steps == 3)
        throw std::runtime_error("out of the step");
    s->x[0] *= 0.5;
    TRY(peri_eval_f(run, s->x, &row.objective));
    return peri_accept(run, s->x, nullptr, nullptr, &row, next);
}

static void throw_fini(void *, peri_run *) {}
}

static const peri_plugin *make_table()
{
    static const peri_solver_ops ops = {throw_init, throw_step, throw_fini, nullptr, nullptr};
    static peri_plugin p = {};
    const peri_stamp stamp = PERI_STAMP;
    p.stamp = stamp;
    p.kind = PERI_KIND_SOLVER;
    p.size_ops = sizeof ops;
    p.ops = &ops;
    p.name = "cxx_throws";
    p.family = "test";
    p.version = "1.0";
    p.license = "Apache-2.0";
    p.summary = "lets an exception out of its third step";
    p.size_state = sizeof(state);
    p.size_options = sizeof(options);
    p.n_options = static_cast<uint32_t>(PERI_COUNT(option_list));
    p.options = option_list;
    return &p;
}

static const peri_plugin *const *list_of_tables()
{
    static const peri_plugin *const list[] = {make_table(), nullptr};
    return list;
}

PERI_PLUGIN(list_of_tables())
