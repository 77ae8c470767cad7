/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conjugate-gradients - a plugin in C++: nonlinear conjugate gradients for smooth functions without bounds and constraints, Polak and
 * Ribiere's factor kept from being negative, with backtracking (Nocedal and Wright 2006, section 5.2). Between steps f and g are finite and
 * belong to x, and d is a direction of descent.
 *
 *     c++ -std=c++11 -O2 -fPIC -shared $(pkg-config --cflags perigee) -o conjugate-gradients.so conjugate-gradients.cc
 *
 * What C++ asks for: the operations are extern "C" and noexcept, and catch all that their bodies throw, because the engine is C; objects with
 * destructors are made in init and deleted in fini, which is called whatever happened; a step makes none.
 */
#include <perigee/plugin.h>

#include <algorithm>
#include <cmath>
#include <new>
#include <numeric>
#include <vector>

namespace
{

struct options {
    double decrease, shrink;
};

const peri_option option_list[] = {
    PERI_REAL("decrease", options, decrease, 1e-4, 0, 0.4, "1", "share of the predicted decrease that a step must bring"),
    PERI_REAL("shrink", options, shrink, 0.5, 0.01, 0.99, "1", "factor on the length of a refused step"),
};

using vector = std::vector<double>;

double dot(const vector &a, const vector &b)
{
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double largest(const vector &v)
{
    double most = 0;
    for (double e : v)
        most = std::fmax(most, std::fabs(e));
    return most;
}

class method
{
  public:
    method(peri_run *run, const options &o) : opt(o), x(size(run)), g(x), trial(x), trial_g(x), d(x) {}

    peri_status start(peri_run *run)
    {
        TRY(peri_start(run, x.data()));
        TRY(peri_eval_fg(run, x.data(), &f, g.data()));
        restart();
        length = 1 / std::fmax(1, largest(g));
        return PERI_OK;
    }

    peri_status step(peri_run *run, peri_step *next)
    {
        bool found = false;
        peri_row row = peri_empty_row();
        if (largest(g) <= peri_get_limits(run)->tolerance)
            return peri_finish(run, PERI_WHY_CONVERGED, next);
        TRY(search(run, &row.step, &found));
        if (!found && !peri_should_stop(run)) { /* the direction may be to blame */
            row.tag = 'r';
            restart();
            length = 1 / std::fmax(1, largest(g));
            TRY(search(run, &row.step, &found));
        }
        if (!found)
            return peri_finish(run, peri_should_stop(run) ? PERI_WHY_LIMIT : PERI_WHY_STALLED, next);
        turn(row.step);
        row.objective = f;
        row.dual = largest(g);
        return peri_accept(run, x.data(), nullptr, nullptr, &row, next);
    }

  private:
    const options opt;
    vector x, g, trial, trial_g, d;
    double f = 0, trial_f = 0, length = 1; /* length: what the next search tries first */

    static std::size_t size(const peri_run *run)
    {
        return static_cast<std::size_t>(peri_n(run));
    }

    void restart()
    {
        std::transform(g.begin(), g.end(), d.begin(), [](double e) { return -e; });
    }

    /* A point that is low enough into trial, with its f and gradient. */
    peri_status search(peri_run *run, double *taken, bool *found)
    {
        const double slope = dot(g, d);
        const double reach = largest(d), least = 1e-16 * (1 + largest(x));
        for (double t = length; t * reach > least && !peri_should_stop(run); t *= opt.shrink) {
            for (std::size_t i = 0; i < x.size(); i++)
                trial[i] = x[i] + t * d[i];
            const peri_status status = peri_eval_fg(run, trial.data(), &trial_f, trial_g.data());
            if (status == PERI_E_DOMAIN)
                continue; /* undefined there: a shorter step */
            TRY(status);
            if (trial_f <= f + opt.decrease * t * slope) {
                *taken = t;
                *found = true;
                return PERI_OK;
            }
        }
        return PERI_OK;
    }

    /* From x to trial by t d; the next direction, and the length at which its slope vanishes if curvature stays what it was along d. */
    void turn(double t)
    {
        const double curvature = (dot(trial_g, d) - dot(g, d)) / (t * dot(d, d));
        const double beta = std::fmax(0, (dot(trial_g, trial_g) - dot(trial_g, g)) / dot(g, g));
        std::swap(x, trial); /* vectors change hands, nothing is copied */
        std::swap(g, trial_g);
        f = trial_f;
        for (std::size_t i = 0; i < x.size(); i++)
            d[i] = beta * d[i] - g[i];
        if (!(dot(g, d) < 0))
            restart();
        length = curvature > 0 ? -dot(g, d) / (curvature * dot(d, d)) : 2 * t;
        length = std::fmin(std::fmax(length, 1e-10), 1e10);
    }
};

} // namespace

extern "C" {

/* The state that the engine keeps is a pointer; NULL until init has come that far. */
static peri_status init(void *self, peri_run *run, const void *opt) noexcept
{
    try {
        method *m = new method(run, *static_cast<const options *>(opt));
        *static_cast<method **>(self) = m;
        return m->start(run);
    } catch (const std::bad_alloc &) {
        return PERI_E_NOMEM;
    } catch (...) {
        return peri_fail(run, PERI_E_INTERNAL, "conjugate-gradients: an exception in init");
    }
}

static peri_status step(void *self, peri_run *run, peri_step *next) noexcept
{
    try {
        return (*static_cast<method **>(self))->step(run, next);
    } catch (...) {
        return peri_fail(run, PERI_E_INTERNAL, "conjugate-gradients: an exception in a step");
    }
}

static void fini(void *self, peri_run *) noexcept
{
    delete *static_cast<method **>(self);
}
}

static const char page[] =
    "Minimises a smooth function without bounds and constraints by nonlinear conjugate gradients, with Polak and Ribiere's factor where that is "
    "positive and steepest descent where it is not. Little memory, for many variables; lbfgs needs fewer iterations as a rule.\n\n"
    "The run ends when no entry of the gradient exceeds the tolerance (converged), or when no step along the negative gradient is low enough "
    "(stalled). History: objective, dual (the gradient's largest entry), step; letter r: the direction was given up for the "
    "negative gradient.";

static const peri_plugin *table()
{
    static const peri_solver_ops ops = {init, step, fini, nullptr, nullptr};
    static const peri_plugin plugin = [] { /* what is not set is zero, which means "not offered" */
        peri_plugin p = {};
        p.stamp = PERI_STAMP;
        p.kind = PERI_KIND_SOLVER;
        p.size_ops = sizeof ops;
        p.ops = &ops;
        p.name = "conjugate-gradients";
        p.family = "local";
        p.version = "1";
        p.license = "Apache-2.0";
        p.summary = "nonlinear conjugate gradients, an example in C++";
        p.page = page;
        p.reference = "Polak and Ribiere 1969, RIRO 3:35; Nocedal and Wright 2006, Numerical Optimization, section 5.2";
        p.needs[0] = PERI_NEEDS_GRADIENT;
        p.refuses[0] = PERI_REFUSES_CONSTRAINTS | PERI_REFUSES_BOUNDS | PERI_REFUSES_INTEGER | PERI_REFUSES_NONSMOOTH;
        p.size_state = sizeof(method *);
        p.size_options = sizeof(options);
        p.n_options = static_cast<uint32_t>(PERI_COUNT(option_list));
        p.options = option_list;
        return p;
    }();
    return &plugin;
}

static const peri_plugin *const *list()
{
    static const peri_plugin *const all[] = {table(), nullptr};
    return all;
}

PERI_PLUGIN(list())
