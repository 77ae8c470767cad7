/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text_model.h - for tests: models written as text. One vector variable x, its entries x1, x2, ...; one scalar
 * parameter p where given;
 * + - * / ^ (right to left), parentheses, numbers, and functions of one argument by name. A mistake ends the program:
 * it is the test's.
 */
#ifndef PERI_TEXT_MODEL_H
#define PERI_TEXT_MODEL_H

#include "base/num.h"
#include "model/model.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    peri_context *ctx;
    peri_model *m;
    peri_expr x, p;
    bool failed; /* of PERI_E_NOMEM: everything later is left out */
} text_model;

typedef struct {
    text_model *t;
    const char *at;
} text_reader;

static peri_expr text_sum(text_reader *r);

static void text_check(text_model *t, peri_status status)
{
    if (status == PERI_OK)
        return;
    t->failed = true;
    if (status == PERI_E_NOMEM)
        return;
    fprintf(stderr, "%s\n", peri_error(t->ctx));
    exit(2);
}

static void text_blank(text_reader *r)
{
    while (*r->at == ' ')
        r->at++;
}

static peri_expr text_op(text_reader *r, peri_op op, int n, peri_expr a, peri_expr b)
{
    const peri_expr args[2] = {a, b};
    peri_expr e = PERI_NO_EXPR;
    if (!r->t->failed)
        text_check(r->t, peri_expr_op(r->t->m, op, n, args, &e));
    return e;
}

static peri_expr text_name(text_reader *r)
{
    char name[32];
    size_t n = 0;
    peri_expr e = PERI_NO_EXPR;
    while (isalpha((unsigned char)*r->at) && n + 1 < sizeof name)
        name[n++] = *r->at++;
    name[n] = '\0';
    if (strcmp(name, "p") == 0)
        return r->t->p;
    if (strcmp(name, "x") == 0) {
        char *end;
        const long i = strtol(r->at, &end, 10);
        r->at = end;
        if (!r->t->failed)
            text_check(r->t, peri_expr_range(r->t->m, r->t->x, 1, 1, i - 1, 1, &e));
        return e;
    }
    r->at++; /* ( */
    e = text_sum(r);
    r->at++; /* ) */
    return text_op(r, peri_op_find(name), 1, e, PERI_NO_EXPR);
}

static peri_expr text_atom(text_reader *r)
{
    double value = 0;
    peri_expr e = PERI_NO_EXPR;
    text_blank(r);
    if (*r->at == '(') {
        r->at++;
        e = text_sum(r);
        r->at++;
    } else if (isalpha((unsigned char)*r->at)) {
        e = text_name(r);
    } else if (num_parse(r->at, &r->at, &value)) {
        if (!r->t->failed)
            text_check(r->t, peri_expr_number(r->t->m, value, &e));
    } else {
        fprintf(stderr, "not understood: %s\n", r->at);
        exit(2);
    }
    text_blank(r);
    return e;
}

static peri_expr text_power(text_reader *r)
{
    text_blank(r);
    if (*r->at == '-') {
        r->at++;
        return text_op(r, PERI_OP_NEG, 1, text_power(r), PERI_NO_EXPR);
    }
    const peri_expr base = text_atom(r);
    if (*r->at != '^')
        return base;
    r->at++;
    return text_op(r, PERI_OP_POW, 2, base, text_power(r));
}

static peri_expr text_product(text_reader *r)
{
    peri_expr e = text_power(r);
    while (*r->at == '*' || *r->at == '/') {
        const peri_op op = *r->at++ == '*' ? PERI_OP_MUL : PERI_OP_DIV;
        e = text_op(r, op, 2, e, text_power(r));
    }
    return e;
}

static peri_expr text_sum(text_reader *r)
{
    peri_expr e = text_product(r);
    while (*r->at == '+' || *r->at == '-') {
        const peri_op op = *r->at++ == '+' ? PERI_OP_ADD : PERI_OP_SUB;
        e = text_op(r, op, 2, e, text_product(r));
    }
    return e;
}

static inline peri_expr text_expr(text_model *t, const char *text)
{
    text_reader r = {t, text};
    const peri_expr e = text_sum(&r);
    if (*r.at != '\0') {
        fprintf(stderr, "not understood: %s\n", r.at);
        exit(2);
    }
    return e;
}

/* n variables; start NULL: zeros */
static inline text_model text_new(peri_context *ctx, int64_t n, const double *start)
{
    text_model t = {ctx, peri_model_new(ctx, "test"), PERI_NO_EXPR, PERI_NO_EXPR, false};
    t.failed = t.m == NULL;
    if (!t.failed)
        text_check(&t, peri_model_var(t.m, "x", n, 1, &t.x));
    if (!t.failed && start != NULL)
        text_check(&t, peri_model_set_start(t.m, t.x, n, start));
    return t;
}

static inline void text_bounds(text_model *t, double lower, double upper)
{
    if (t->failed)
        return;
    text_check(t, peri_model_set_lower(t->m, t->x, 1, &lower));
    text_check(t, peri_model_set_upper(t->m, t->x, 1, &upper));
}

static inline void text_param(text_model *t, double value)
{
    if (!t->failed)
        text_check(t, peri_model_param(t->m, "p", 1, 1, 1, &value, &t->p));
}

static inline void text_minimize(text_model *t, const char *f)
{
    const peri_expr e = text_expr(t, f);
    if (!t->failed)
        text_check(t, peri_model_minimize(t->m, e));
}

static inline void text_maximize(text_model *t, const char *f)
{
    const peri_expr e = text_expr(t, f);
    if (!t->failed)
        text_check(t, peri_model_maximize(t->m, e));
}

static inline peri_constraint text_constrain(text_model *t, const char *name, double lower, const char *c, double upper)
{
    peri_constraint handle = -1;
    const peri_expr e = text_expr(t, c);
    if (!t->failed)
        text_check(t, peri_model_constrain(t->m, name, e, 1, &lower, &upper, &handle));
    return handle;
}

#endif
