/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acopf - AC optimal power flow as stdlib/perigee/power.lua writes it (PGLib-OPF, flows as expressions), by hand. Data: see `input` below. Variables va, vm
 * (buses), pg, qg (generators); rows: active and reactive balance (buses), squared flows at the from and to ends of rated branches, differences of angle.
 * With d = va_f - va_t, c = cos d, s = sin d
 *   p_f =  gff vf^2 + vf vt ( gft c + bft s),  q_f = -bff vf^2 + vf vt ( gft s - bft c)
 *   p_t =  gtt vt^2 + vf vt ( gtf c - btf s),  q_t = -btt vt^2 + vf vt (-gtf s - btf c)
 * Per branch one sine and cosine serve everything, and its Hessian is that of one function, the four flows already weighted:
 *   a vf^2 + b vt^2 + vf vt (C c + S s), plus the outer products of the rated flows' gradients.
 */
#include "pattern.h"

/* The arrays of the data, in this order; buses counted from 0. */
enum input {
    IN_BUSES, IN_FROM, IN_TO, IN_R, IN_X, IN_CHARGING, IN_RATIO, IN_SHIFT, IN_RATED, IN_ANGLES, IN_AT, IN_COST1, IN_COST2, IN_COST0, IN_SHUNT_G,
    IN_SHUNT_B, IN_COUNT
};

typedef struct {
    double gff, bff, gft, bft, gtt, btt, gtf, btf;
    int32_t from, to, rated; /* rated: row among the rated ones, or -1 */
} branch;

enum { JAC_PLACES = 24, HESS_PLACES = 10 };

typedef struct {
    int64_t buses, branches, generators, rated, angles;
    branch *branch;
    const double *cost1, *cost2, *shunt_g, *shunt_b; /* of the data */
    double cost0;
    int32_t *at, *angle;                        /* bus of a generator; branch of an angle's row */
    int32_t *jac_place, *jac_gen, *jac_shunt, *jac_angle; /* places in the values: [branches][24], [2 generators], [2 buses], [2 angles] */
    int32_t *hess_place, *hess_gen, *hess_shunt; /* [branches][10], [generators], [buses] */
    pattern jac, hess;
    double *copy; /* holds what cost1 ... point to */
} opf;

static inline int64_t row_from(const opf *o, int64_t k)
{
    return 2 * o->buses + k;
}

static inline int64_t row_to(const opf *o, int64_t k)
{
    return 2 * o->buses + o->rated + k;
}

static inline int64_t row_angle(const opf *o, int64_t k)
{
    return 2 * (o->buses + o->rated) + k;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------------- */

static void set_branch(branch *b, const family_data *data, int64_t e)
{
    const double r = data->at[IN_R][e], x = data->at[IN_X][e], z2 = r * r + x * x, g = r / z2, y = -x / z2;
    const double half = 0.5 * data->at[IN_CHARGING][e], ratio = data->at[IN_RATIO][e];
    const double c = cos(data->at[IN_SHIFT][e]) / ratio, s = sin(data->at[IN_SHIFT][e]) / ratio;
    *b = (branch){
        .gff = g / (ratio * ratio), .bff = (y + half) / (ratio * ratio), .gft = -(g * c - y * s), .bft = -(g * s + y * c),
        .gtt = g, .btt = y + half, .gtf = -(g * c + y * s), .btf = -(y * c - g * s),
        .from = (int32_t)data->at[IN_FROM][e], .to = (int32_t)data->at[IN_TO][e], .rated = -1,
    };
}

typedef struct {
    pattern_pair *pairs;
    int64_t count;
} list;

static void put(list *l, int64_t row, int64_t col)
{
    l->pairs[l->count] = (pattern_pair){row, col, l->count};
    l->count++;
}

/* Columns of a branch in the order va_f, va_t, vm_f, vm_t. */
static void columns_of(const opf *o, const branch *b, int64_t col[4])
{
    col[0] = b->from;
    col[1] = b->to;
    col[2] = o->buses + b->from;
    col[3] = o->buses + b->to;
}

static bool jacobian_pattern(opf *o, int64_t n)
{
    const int64_t room = JAC_PLACES * o->branches + 2 * (o->generators + o->buses + o->angles);
    list l = {malloc((size_t)room * sizeof *l.pairs), 0};
    o->jac_place = malloc((size_t)room * sizeof *o->jac_place);
    if (l.pairs == NULL || o->jac_place == NULL) {
        free(l.pairs);
        return false;
    }
    for (int64_t e = 0; e < o->branches; e++) {
        const branch *b = &o->branch[e];
        int64_t col[4];
        columns_of(o, b, col);
        const int64_t rows[6] = {b->from, o->buses + b->from, b->to, o->buses + b->to, row_from(o, b->rated), row_to(o, b->rated)};
        for (int r = 0; r < 6; r++)
            for (int k = 0; k < 4; k++)
                put(&l, r < 4 || b->rated >= 0 ? rows[r] : rows[0], col[k]); /* no rating: any place, never written */
    }
    for (int64_t g = 0; g < 2 * o->generators; g++)
        put(&l, g < o->generators ? o->at[g] : o->buses + o->at[g - o->generators], 2 * o->buses + g);
    for (int64_t i = 0; i < 2 * o->buses; i++)
        put(&l, i, o->buses + i % o->buses);
    for (int64_t k = 0; k < 2 * o->angles; k++) {
        const branch *b = &o->branch[o->angle[k / 2]];
        put(&l, row_angle(o, k / 2), k % 2 == 0 ? b->from : b->to);
    }
    pattern_from_pairs(&o->jac, n, l.count, l.pairs, o->jac_place);
    o->jac_gen = o->jac_place + JAC_PLACES * o->branches;
    o->jac_shunt = o->jac_gen + 2 * o->generators;
    o->jac_angle = o->jac_shunt + 2 * o->buses;
    free(l.pairs);
    return !o->jac.failed;
}

/* Pairs of a branch's columns in the order of hess_place. */
static const int hess_pairs[HESS_PLACES][2] = {{0, 0}, {1, 1}, {0, 1}, {0, 2}, {1, 2}, {0, 3}, {1, 3}, {2, 2}, {3, 3}, {2, 3}};

static bool hessian_pattern(opf *o, int64_t n)
{
    const int64_t room = HESS_PLACES * o->branches + o->generators + o->buses;
    list l = {malloc((size_t)room * sizeof *l.pairs), 0};
    o->hess_place = malloc((size_t)room * sizeof *o->hess_place);
    if (l.pairs == NULL || o->hess_place == NULL) {
        free(l.pairs);
        return false;
    }
    for (int64_t e = 0; e < o->branches; e++) {
        int64_t col[4];
        columns_of(o, &o->branch[e], col);
        for (int k = 0; k < HESS_PLACES; k++) {
            const int64_t a = col[hess_pairs[k][0]], b = col[hess_pairs[k][1]];
            put(&l, a > b ? a : b, a > b ? b : a);
        }
    }
    for (int64_t g = 0; g < o->generators; g++)
        put(&l, 2 * o->buses + g, 2 * o->buses + g);
    for (int64_t i = 0; i < o->buses; i++)
        put(&l, o->buses + i, o->buses + i);
    pattern_from_pairs(&o->hess, n, l.count, l.pairs, o->hess_place);
    o->hess_gen = o->hess_place + HESS_PLACES * o->branches;
    o->hess_shunt = o->hess_gen + o->generators;
    free(l.pairs);
    return !o->hess.failed;
}

static void opf_close(family *p)
{
    opf *o = p->own;
    pattern_free(&o->jac);
    pattern_free(&o->hess);
    free(o->branch);
    free(o->at);
    free(o->angle);
    free(o->jac_place);
    free(o->hess_place);
    free(o->copy);
    free(o);
}

/* Copies of the data that the functions read. */
static bool set_data(opf *o, const family_data *data)
{
    o->branch = calloc((size_t)o->branches + 1, sizeof *o->branch);
    o->at = calloc((size_t)o->generators + 1, sizeof *o->at);
    o->angle = calloc((size_t)o->angles + 1, sizeof *o->angle);
    o->copy = calloc((size_t)(2 * (o->generators + o->buses)), sizeof *o->copy);
    if (o->branch == NULL || o->at == NULL || o->angle == NULL || o->copy == NULL)
        return false;
    double *to = o->copy;
    const double **wanted[] = {&o->cost1, &o->cost2, &o->shunt_g, &o->shunt_b};
    static const enum input from[] = {IN_COST1, IN_COST2, IN_SHUNT_G, IN_SHUNT_B};
    for (int k = 0; k < 4; k++) {
        *wanted[k] = memcpy(to, data->at[from[k]], (size_t)data->length[from[k]] * sizeof *to);
        to += data->length[from[k]];
    }
    o->cost0 = data->at[IN_COST0][0];
    for (int64_t e = 0; e < o->branches; e++)
        set_branch(&o->branch[e], data, e);
    for (int64_t k = 0; k < o->rated; k++)
        o->branch[(int64_t)data->at[IN_RATED][k]].rated = (int32_t)k;
    for (int64_t k = 0; k < o->angles; k++)
        o->angle[k] = (int32_t)data->at[IN_ANGLES][k];
    for (int64_t g = 0; g < o->generators; g++)
        o->at[g] = (int32_t)data->at[IN_AT][g];
    return true;
}

static bool opf_open(const family_data *data, family *p)
{
    opf *o = data->count == IN_COUNT ? calloc(1, sizeof *o) : NULL;
    if (o == NULL)
        return false;
    o->buses = (int64_t)data->at[IN_BUSES][0];
    o->branches = data->length[IN_FROM];
    o->generators = data->length[IN_AT];
    o->rated = data->length[IN_RATED];
    o->angles = data->length[IN_ANGLES];
    p->own = o;
    p->n = 2 * (o->buses + o->generators);
    p->m = row_angle(o, o->angles);
    if (!set_data(o, data) || !jacobian_pattern(o, p->n) || !hessian_pattern(o, p->n)) {
        opf_close(p);
        return false;
    }
    p->jac_start = o->jac.start;
    p->jac_index = o->jac.index;
    p->hess_start = o->hess.start;
    p->hess_index = o->hess.index;
    return true;
}

/* ---- functions ----------------------------------------------------------------------------------------------------------------------- */

static real opf_value(const family *p, const real *x)
{
    const opf *o = p->own;
    const real *pg = x + 2 * o->buses;
    real f = o->cost0;
    for (int64_t g = 0; g < o->generators; g++)
        f += (o->cost2[g] * pg[g] + o->cost1[g]) * pg[g];
    return f;
}

static real opf_gradient(const family *p, const real *x, real *restrict grad)
{
    const opf *o = p->own;
    const real *pg = x + 2 * o->buses;
    real f = o->cost0;
    memset(grad, 0, (size_t)p->n * sizeof *grad);
    for (int64_t g = 0; g < o->generators; g++) {
        f += (o->cost2[g] * pg[g] + o->cost1[g]) * pg[g];
        grad[2 * o->buses + g] = 2.0 * o->cost2[g] * pg[g] + o->cost1[g];
    }
    return f;
}

static void opf_constraints(const family *p, const real *restrict x, real *restrict out)
{
    const opf *o = p->own;
    const real *va = x, *vm = x + o->buses, *pg = x + 2 * o->buses, *qg = pg + o->generators;
    real *restrict active = out, *restrict reactive = out + o->buses;
    for (int64_t i = 0; i < o->buses; i++) {
        active[i] = -o->shunt_g[i] * vm[i] * vm[i];
        reactive[i] = o->shunt_b[i] * vm[i] * vm[i];
    }
    for (int64_t g = 0; g < o->generators; g++) {
        active[o->at[g]] += pg[g];
        reactive[o->at[g]] += qg[g];
    }
    for (int64_t e = 0; e < o->branches; e++) {
        const branch *b = &o->branch[e];
        const real vf = vm[b->from], vt = vm[b->to], d = va[b->from] - va[b->to], v = vf * vt, c = v * cos(d), s = v * sin(d);
        const real pf = b->gff * vf * vf + b->gft * c + b->bft * s, qf = b->gft * s - b->bff * vf * vf - b->bft * c;
        const real pt = b->gtt * vt * vt + b->gtf * c - b->btf * s, qt = -(b->btt * vt * vt + b->gtf * s + b->btf * c);
        active[b->from] -= pf;
        reactive[b->from] -= qf;
        active[b->to] -= pt;
        reactive[b->to] -= qt;
        if (b->rated >= 0) {
            out[row_from(o, b->rated)] = pf * pf + qf * qf;
            out[row_to(o, b->rated)] = pt * pt + qt * qt;
        }
    }
    for (int64_t k = 0; k < o->angles; k++) {
        const branch *b = &o->branch[o->angle[k]];
        out[row_angle(o, k)] = va[b->from] - va[b->to];
    }
}

/* The four flows of a branch and their derivatives by d, vf, vt; c and s are its cosine and sine. */
typedef struct {
    real flow, d, f, t;
} slope;

static inline void slopes(const branch *b, real vf, real vt, real c, real s, slope out[4])
{
    const real v = vf * vt;
    const real pf = b->gft * c + b->bft * s, qf = b->gft * s - b->bft * c; /* and their derivatives by d: -qf, pf */
    const real pt = b->gtf * c - b->btf * s, qt = -b->gtf * s - b->btf * c; /* qt, -pt */
    out[0] = (slope){b->gff * vf * vf + v * pf, -v * qf, 2.0 * b->gff * vf + vt * pf, vf * pf};
    out[1] = (slope){-b->bff * vf * vf + v * qf, v * pf, -2.0 * b->bff * vf + vt * qf, vf * qf};
    out[2] = (slope){b->gtt * vt * vt + v * pt, v * qt, vt * pt, 2.0 * b->gtt * vt + vf * pt};
    out[3] = (slope){-b->btt * vt * vt + v * qt, -v * pt, vt * qt, -2.0 * b->btt * vt + vf * qt};
}

/* A row's entries in va_f, va_t, vm_f, vm_t: sums in the balances, alone in the squared flows. */
static inline void subtract(real *restrict val, const int32_t *place, const slope *k)
{
    val[place[0]] -= k->d;
    val[place[1]] += k->d;
    val[place[2]] -= k->f;
    val[place[3]] -= k->t;
}

static inline void squared(real *restrict val, const int32_t *place, const slope *p, const slope *q)
{
    const real d = 2.0 * (p->flow * p->d + q->flow * q->d);
    val[place[0]] = d;
    val[place[1]] = -d;
    val[place[2]] = 2.0 * (p->flow * p->f + q->flow * q->f);
    val[place[3]] = 2.0 * (p->flow * p->t + q->flow * q->t);
}

static void opf_jacobian(const family *p, const real *restrict x, real *restrict val)
{
    const opf *o = p->own;
    const real *va = x, *vm = x + o->buses;
    memset(val, 0, (size_t)o->jac.used * sizeof *val);
    for (int64_t e = 0; e < o->branches; e++) {
        const branch *b = &o->branch[e];
        const int32_t *place = o->jac_place + JAC_PLACES * e;
        slope k[4];
        const real d = va[b->from] - va[b->to];
        slopes(b, vm[b->from], vm[b->to], cos(d), sin(d), k);
        for (int r = 0; r < 4; r++)
            subtract(val, place + 4 * r, &k[r]);
        if (b->rated >= 0) {
            squared(val, place + 16, &k[0], &k[1]);
            squared(val, place + 20, &k[2], &k[3]);
        }
    }
    for (int64_t g = 0; g < 2 * o->generators; g++)
        val[o->jac_gen[g]] = 1.0;
    for (int64_t i = 0; i < o->buses; i++) {
        val[o->jac_shunt[i]] -= 2.0 * o->shunt_g[i] * vm[i];
        val[o->jac_shunt[o->buses + i]] += 2.0 * o->shunt_b[i] * vm[i];
    }
    for (int64_t k = 0; k < o->angles; k++) {
        val[o->jac_angle[2 * k]] = 1.0;
        val[o->jac_angle[2 * k + 1]] = -1.0;
    }
}

#ifndef FAMILY_COMPLEX /* slopes are numbers there, and nobody asks for the Hessian */
/* The lower triangle of a branch's second derivatives by d, vf, vt. */
typedef struct {
    double dd, df, dt, ff, ft, tt;
} curvature;

/* 2 m (grad p grad p' + grad q grad q') */
static inline void add_outer(curvature *h, double m, const slope *p, const slope *q)
{
    const double a = 2.0 * m;
    h->dd += a * (p->d * p->d + q->d * q->d);
    h->df += a * (p->d * p->f + q->d * q->f);
    h->dt += a * (p->d * p->t + q->d * q->t);
    h->ff += a * (p->f * p->f + q->f * q->f);
    h->ft += a * (p->f * p->t + q->f * q->t);
    h->tt += a * (p->t * p->t + q->t * q->t);
}

static inline curvature branch_curvature(const opf *o, const branch *b, double vf, double vt, double d, const double *w)
{
    double a_pf = -w[b->from], a_qf = -w[o->buses + b->from], a_pt = -w[b->to], a_qt = -w[o->buses + b->to];
    const double c = cos(d), s = sin(d), v = vf * vt;
    curvature h = {0};
    if (b->rated >= 0) {
        const double mf = w[row_from(o, b->rated)], mt = w[row_to(o, b->rated)];
        slope k[4];
        slopes(b, vf, vt, c, s, k);
        add_outer(&h, mf, &k[0], &k[1]);
        add_outer(&h, mt, &k[2], &k[3]);
        a_pf += 2.0 * mf * k[0].flow;
        a_qf += 2.0 * mf * k[1].flow;
        a_pt += 2.0 * mt * k[2].flow;
        a_qt += 2.0 * mt * k[3].flow;
    }
    const double C = a_pf * b->gft - a_qf * b->bft + a_pt * b->gtf - a_qt * b->btf;
    const double S = a_pf * b->bft + a_qf * b->gft - a_pt * b->btf - a_qt * b->gtf;
    const double k = C * c + S * s, by_d = S * c - C * s;
    h.dd -= v * k;
    h.df += vt * by_d;
    h.dt += vf * by_d;
    h.ff += 2.0 * (a_pf * b->gff - a_qf * b->bff);
    h.ft += k;
    h.tt += 2.0 * (a_pt * b->gtt - a_qt * b->btt);
    return h;
}

static void opf_hessian(const family *p, const double *restrict x, double sigma, const double *restrict w, double *restrict val)
{
    const opf *o = p->own;
    const double *va = x, *vm = x + o->buses;
    memset(val, 0, (size_t)o->hess.used * sizeof *val);
    for (int64_t e = 0; e < o->branches; e++) {
        const branch *b = &o->branch[e];
        const int32_t *place = o->hess_place + HESS_PLACES * e;
        const curvature h = branch_curvature(o, b, vm[b->from], vm[b->to], va[b->from] - va[b->to], w);
        val[place[0]] += h.dd;
        val[place[1]] += h.dd;
        val[place[2]] -= h.dd;
        val[place[3]] += h.df;
        val[place[4]] -= h.df;
        val[place[5]] += h.dt;
        val[place[6]] -= h.dt;
        val[place[7]] += h.ff;
        val[place[8]] += h.tt;
        val[place[9]] += h.ft;
    }
    for (int64_t g = 0; g < o->generators; g++)
        val[o->hess_gen[g]] = 2.0 * sigma * o->cost2[g];
    for (int64_t i = 0; i < o->buses; i++)
        val[o->hess_shunt[i]] += 2.0 * (w[o->buses + i] * o->shunt_b[i] - w[i] * o->shunt_g[i]);
}
#endif

const family_functions family_exported = {.open = opf_open, .close = opf_close, .value = opf_value, .gradient = opf_gradient,
    .constraints = opf_constraints, .jacobian = opf_jacobian,
#ifndef FAMILY_COMPLEX
    .hessian = opf_hessian
#endif
};
