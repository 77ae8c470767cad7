/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cxx_descent - a plugin in C++: callbacks are extern "C" and noexcept, their body catches everything, memory of its own is freed in
 * fini. Gradient descent of fixed length, for problems whose gradient has a Lipschitz constant below 1 / length.
 */
#include <perigee/plugin.h>

#include <cmath>
#include <exception>
#include <vector>

namespace
{

struct options {
    double length;
};

const peri_option option_list[] = {
    PERI_REAL("length", options, length, 0.1, 1e-9, 10, "1", "length of each step"),
};

struct state {
    std::vector<double> *x, *g;
    double length;
};

double largest(const std::vector<double> &v)
{
    double most = 0.0;
    for (double e : v)
        most = std::fmax(most, std::fabs(e));
    return most;
}

peri_status start(state &s, peri_run *run, const options &o)
{
    const auto n = static_cast<std::size_t>(peri_n(run));
    s.length = o.length;
    s.x = new std::vector<double>(n);
    s.g = new std::vector<double>(n);
    return peri_start(run, s.x->data());
}

peri_status advance(state &s, peri_run *run, peri_step *next)
{
    peri_row row = peri_empty_row();
    TRY(peri_eval_fg(run, s.x->data(), &row.objective, s.g->data()));
    row.dual = largest(*s.g);
    TRY(peri_accept(run, s.x->data(), nullptr, nullptr, &row, next));
    if (row.dual <= peri_get_limits(run)->tolerance)
        return peri_finish(run, PERI_WHY_CONVERGED, next);
    for (std::size_t i = 0; i < s.x->size(); i++)
        (*s.x)[i] -= s.length * (*s.g)[i];
    return PERI_OK;
}

} // namespace

extern "C" {

static peri_status init(void *self, peri_run *run, const void *opt) noexcept
{
    try {
        return start(*static_cast<state *>(self), run, *static_cast<const options *>(opt));
    } catch (const std::bad_alloc &) {
        return PERI_E_NOMEM;
    } catch (...) {
        return peri_fail(run, PERI_E_INTERNAL, "cxx_descent: unexpected exception");
    }
}

static peri_status step(void *self, peri_run *run, peri_step *next) noexcept
{
    try {
        return advance(*static_cast<state *>(self), run, next);
    } catch (...) {
        return peri_fail(run, PERI_E_INTERNAL, "cxx_descent: unexpected exception");
    }
}

static void fini(void *self, peri_run *) noexcept
{
    state *s = static_cast<state *>(self);
    delete s->x;
    delete s->g;
}
}

static const peri_plugin *make_table()
{
    static const peri_solver_ops ops = {init, step, fini, nullptr, nullptr};
    static peri_plugin p = {};
    const peri_stamp stamp = PERI_STAMP;
    p.stamp = stamp;
    p.kind = PERI_KIND_SOLVER;
    p.size_ops = sizeof ops;
    p.ops = &ops;
    p.name = "cxx_descent";
    p.family = "test";
    p.version = "1.0";
    p.license = "Apache-2.0";
    p.summary = "gradient descent of fixed length, written in C++";
    p.needs[0] = PERI_NEEDS_GRADIENT;
    p.refuses[0] = PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_BOUNDS | PERI_REFUSES_INTEGER | PERI_REFUSES_NONSMOOTH;
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
