/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token.c - cutting a stream of bytes into words. Not responsible for any format's meaning. Invariant: line and column are those
 * of buffer[at], and the token in hand is a copy in `word`, so refilling the buffer cannot move it.
 */
#define _POSIX_C_SOURCE 200809L
#include "io/token.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>

enum { BUFFER_SIZE = 1 << 16, SHOWN = 40, NOTHING = -1 };

static const token_rules plain_rules = {0};

static void reset(token_reader *r, peri_context *ctx, const io_ops *ops, const char *name, const token_rules *rules)
{
    *r = (token_reader){.ctx = ctx, .ops = ops != NULL ? ops : &io_system, .name = name, .fd = -1};
    r->rules = rules != NULL ? rules : &plain_rules;
    r->line = r->column = 1;
    r->now.text = "";
}

static peri_status fail_io(token_reader *r, const char *what)
{
    char reason[128] = "";
    const int error = errno;
    if (strerror_r(error, reason, sizeof reason) != 0 || reason[0] == '\0')
        return FAIL(r->ctx, PERI_E_IO, "%s: %s failed, error %d", r->name, what, error);
    return FAIL(r->ctx, PERI_E_IO, "%s: %s failed: %s", r->name, what, reason);
}

peri_status token_open(token_reader *r, peri_context *ctx, const io_ops *ops, const char *path, const token_rules *rules)
{
    reset(r, ctx, ops, path, rules);
    r->fd = r->ops->open(r->ops->ud, path, O_RDONLY, 0);
    if (r->fd < 0)
        return fail_io(r, "opening");
    r->cap = BUFFER_SIZE;
    r->buffer = mem_array(&ctx->mem, r->cap, 1);
    if (r->buffer != NULL)
        return PERI_OK;
    token_close(r);
    return FAIL_NOMEM(ctx);
}

peri_status token_open_memory(token_reader *r, peri_context *ctx, const char *name, const char *data, size_t size,
                              const token_rules *rules)
{
    reset(r, ctx, NULL, name, rules);
    r->ended = true;
    r->cap = size;
    r->buffer = mem_array(&ctx->mem, size, 1);
    if (r->buffer == NULL)
        return FAIL_NOMEM(ctx);
    if (size > 0)
        memcpy(r->buffer, data, size);
    r->filled = size;
    return PERI_OK;
}

void token_close(token_reader *r)
{
    if (r->fd >= 0)
        r->ops->close(r->ops->ud, r->fd);
    mem_array_free(&r->ctx->mem, r->buffer);
    mem_array_free(&r->ctx->mem, r->word);
    r->fd = -1;
    r->buffer = r->word = NULL;
    r->cap = r->at = r->filled = r->word_cap = r->word_n = 0;
    r->ended = true;
}

/* ---- characters ----------------------------------------------------------------------------------------------------- */

static peri_status refill(token_reader *r)
{
    ssize_t got = 0;
    do
        got = r->ops->read(r->ops->ud, r->fd, r->buffer, r->cap);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return fail_io(r, "reading");
    r->at = 0;
    r->filled = (size_t)got;
    r->ended = got == 0;
    return PERI_OK;
}

/* The next character without taking it; NOTHING at the end. */
static peri_status peek(token_reader *r, int *c)
{
    if (r->at == r->filled && !r->ended)
        TRY(refill(r));
    *c = r->at < r->filled ? (unsigned char)r->buffer[r->at] : NOTHING;
    return PERI_OK;
}

static void take(token_reader *r)
{
    if (r->buffer[r->at++] == '\n') {
        r->line++;
        r->column = 1;
    } else {
        r->column++;
    }
}

static peri_status keep(token_reader *r, int c)
{
    if (r->word_n + 1 >= r->word_cap) {
        const size_t cap = r->word_cap != 0 ? r->word_cap * 2 : 64;
        char *bigger = cap < SIZE_MAX / 4 ? mem_array(&r->ctx->mem, cap, 1) : NULL;
        if (bigger == NULL)
            return FAIL_NOMEM(r->ctx);
        if (r->word_n > 0)
            memcpy(bigger, r->word, r->word_n);
        mem_array_free(&r->ctx->mem, r->word);
        r->word = bigger;
        r->word_cap = cap;
    }
    r->word[r->word_n++] = (char)c;
    r->word[r->word_n] = '\0';
    return PERI_OK;
}

static bool is_one_of(int c, const char *set)
{
    return set != NULL && c > 0 && strchr(set, c) != NULL;
}

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* ---- tokens --------------------------------------------------------------------------------------------------------- */

/* Over blanks, comments and, where they mean nothing, line ends; c is the character that stopped it. */
static peri_status skip(token_reader *r, int *c)
{
    bool in_comment = false;
    for (;; take(r)) {
        TRY(peek(r, c));
        if (*c == NOTHING)
            return PERI_OK;
        if (*c == '\n') {
            if (r->rules->line_ends)
                return PERI_OK;
            in_comment = false;
        } else if (r->rules->comment != '\0' && *c == (unsigned char)r->rules->comment) {
            in_comment = true;
        } else if (!in_comment && !is_blank(*c)) {
            return PERI_OK;
        }
    }
}

static peri_status read_quoted(token_reader *r, int quote)
{
    take(r);
    for (;;) {
        int c = NOTHING;
        TRY(peek(r, &c));
        if (c == NOTHING || c == '\n')
            return FAIL(r->ctx, PERI_E_PARSE, "%s:%lld:%lld: text without a closing %c", r->name, (long long)r->now.line,
                        (long long)r->now.column, quote);
        take(r);
        if (c == quote) {
            TRY(peek(r, &c));
            if (c != quote)
                return PERI_OK;
            take(r);
        }
        TRY(keep(r, c));
    }
}

static bool ends_word(const token_rules *rules, int c)
{
    return c == NOTHING || c == '\n' || is_blank(c) || is_one_of(c, rules->marks) || is_one_of(c, rules->quotes) ||
           (rules->comment != '\0' && c == (unsigned char)rules->comment);
}

static peri_status read_word(token_reader *r, int c)
{
    while (!ends_word(r->rules, c)) {
        if (c == 0)
            return FAIL(r->ctx, PERI_E_PARSE, "%s:%lld:%lld: a zero byte, not text", r->name, (long long)r->line,
                        (long long)r->column);
        TRY(keep(r, c));
        take(r);
        TRY(peek(r, &c));
    }
    return PERI_OK;
}

static peri_status read_token(token_reader *r, int c)
{
    if (c == NOTHING) {
        r->now.kind = TOKEN_END;
        return PERI_OK;
    }
    if (c == '\n' || is_one_of(c, r->rules->marks)) {
        r->now.kind = c == '\n' ? TOKEN_LINE_END : TOKEN_MARK;
        take(r);
        return keep(r, c);
    }
    if (is_one_of(c, r->rules->quotes)) {
        r->now.kind = TOKEN_TEXT;
        return read_quoted(r, c);
    }
    r->now.kind = TOKEN_WORD;
    return read_word(r, c);
}

peri_status token_next(token_reader *r)
{
    int c = NOTHING;
    r->word_n = 0;
    if (r->word != NULL)
        r->word[0] = '\0';
    r->now = (token){.kind = TOKEN_END, .text = ""};
    TRY(skip(r, &c));
    r->now.line = r->line;
    r->now.column = r->column;
    TRY(read_token(r, c));
    r->now.text = r->word != NULL ? r->word : "";
    r->now.n = r->word_n;
    return PERI_OK;
}

bool token_is(const token_reader *r, const char *text)
{
    return (r->now.kind == TOKEN_WORD || r->now.kind == TOKEN_MARK) && strcmp(r->now.text, text) == 0;
}

peri_status token_expected(const token_reader *r, const char *what)
{
    const char *name = r->name;
    const long long line = r->now.line, column = r->now.column;
    if (r->now.kind == TOKEN_END)
        return FAIL(r->ctx, PERI_E_PARSE, "%s:%lld:%lld: expected %s, found the end", name, line, column, what);
    if (r->now.kind == TOKEN_LINE_END)
        return FAIL(r->ctx, PERI_E_PARSE, "%s:%lld:%lld: expected %s, found the end of the line", name, line, column, what);
    return FAIL(r->ctx, PERI_E_PARSE, "%s:%lld:%lld: expected %s, found \"%.*s\"", name, line, column, what, SHOWN,
                r->now.text);
}

peri_status token_number(const token_reader *r, double *x)
{
    const char *end = NULL;
    if (r->now.kind != TOKEN_WORD || !num_parse(r->now.text, &end, x) || end != r->now.text + r->now.n)
        return token_expected(r, "a number");
    return PERI_OK;
}

peri_status token_integer(const token_reader *r, int64_t *i)
{
    double x = 0.0;
    const char *end = NULL;
    const bool is_number = r->now.kind == TOKEN_WORD && num_parse(r->now.text, &end, &x) && end == r->now.text + r->now.n;
    if (!is_number || !(fabs(x) <= 0x1p53) || x != trunc(x))
        return token_expected(r, "an integer");
    *i = (int64_t)x;
    return PERI_OK;
}
