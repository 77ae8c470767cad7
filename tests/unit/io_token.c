/* SPDX-License-Identifier: Apache-2.0 */
/* io_token - words and positions from memory and from a file that reads one byte at a time, is interrupted, fails, fills up. */
#include "io/token.h"
#include "tap/tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const token_rules matpower = {.marks = ";[]=", .quotes = "'", .comment = '%', .line_ends = false};
static const token_rules lines = {.line_ends = true, .comment = '#'};

static const char sample[] = "mpc.bus = [\r\n\t1 3 -0.5;% slack; bus\n 'it''s'\n];\n";

/* ---- a file that misbehaves ---------------------------------------------------------------------------------------------- */

typedef struct {
    const char *data;
    size_t size, at, chunk; /* bytes a call moves at most */
    int calls, fail_at, error; /* the fail_at-th call (from 1) fails with error */
    int opened;
    char written[256];
} fake_file;

static bool fails(fake_file *f)
{
    if (++f->calls != f->fail_at)
        return false;
    errno = f->error;
    return true;
}

static int fake_open(void *ud, const char *path, int flags, unsigned mode)
{
    fake_file *f = ud;
    (void)path;
    (void)flags;
    (void)mode;
    if (fails(f))
        return -1;
    f->opened++;
    return 5;
}

static ssize_t fake_read(void *ud, int fd, void *data, size_t n)
{
    fake_file *f = ud;
    (void)fd;
    if (fails(f))
        return -1;
    size_t take = f->size - f->at;
    take = take < n ? take : n;
    take = take < f->chunk ? take : f->chunk;
    memcpy(data, f->data + f->at, take);
    f->at += take;
    return (ssize_t)take;
}

static ssize_t fake_write(void *ud, int fd, const void *data, size_t n)
{
    fake_file *f = ud;
    (void)fd;
    if (fails(f))
        return -1;
    const size_t take = n < f->chunk ? n : f->chunk;
    memcpy(f->written + f->at, data, take);
    f->at += take;
    return (ssize_t)take;
}

static int fake_sync(void *ud, int fd)
{
    (void)fd;
    return fails(ud) ? -1 : 0;
}

static int fake_close(void *ud, int fd)
{
    fake_file *f = ud;
    (void)fd;
    f->opened--;
    return fails(f) ? -1 : 0;
}

static io_ops fake_ops(fake_file *f)
{
    return (io_ops){fake_open, fake_read, fake_write, fake_sync, fake_close, f};
}

/* ---- tests ------------------------------------------------------------------------------------------------------------------ */

static void expect(token_reader *r, token_kind kind, const char *text, int64_t line, int64_t column)
{
    const peri_status status = token_next(r);
    const bool fine = status == PERI_OK && r->now.kind == kind && strcmp(r->now.text, text) == 0 && r->now.line == line &&
                      r->now.column == column && r->now.n == strlen(text);
    if (!ok(fine, "token \"%s\" at %d:%d", text[0] == '\n' ? "line end" : text, (int)line, (int)column))
        diag("got kind %d \"%s\" at %d:%d, status %d", (int)r->now.kind, r->now.text, (int)r->now.line, (int)r->now.column,
             (int)status);
}

static void expect_sample(token_reader *r)
{
    expect(r, TOKEN_WORD, "mpc.bus", 1, 1);
    ok(token_is(r, "mpc.bus") && !token_is(r, "mpc"), "token_is");
    expect(r, TOKEN_MARK, "=", 1, 9);
    expect(r, TOKEN_MARK, "[", 1, 11);
    expect(r, TOKEN_WORD, "1", 2, 2);
    int64_t i = 0;
    ok(token_integer(r, &i) == PERI_OK && i == 1, "an integer");
    expect(r, TOKEN_WORD, "3", 2, 4);
    expect(r, TOKEN_WORD, "-0.5", 2, 6);
    double x = 0.0;
    ok(token_number(r, &x) == PERI_OK && x == -0.5, "a number");
    is_int(token_integer(r, &i), PERI_E_PARSE, "but no integer");
    expect(r, TOKEN_MARK, ";", 2, 10);
    expect(r, TOKEN_TEXT, "it's", 3, 2);
    is_int(token_number(r, &x), PERI_E_PARSE, "a text is no number");
    expect(r, TOKEN_MARK, "]", 4, 1);
    expect(r, TOKEN_MARK, ";", 4, 2);
    expect(r, TOKEN_END, "", 5, 1);
    expect(r, TOKEN_END, "", 5, 1);
}

static void test_memory(peri_context *ctx)
{
    token_reader r;
    is_int(token_open_memory(&r, ctx, "case.m", sample, strlen(sample), &matpower), PERI_OK, "open memory");
    expect_sample(&r);
    (void)token_expected(&r, "mpc.gen");
    is_text(peri_error(ctx), "case.m:5:1: expected mpc.gen, found the end", "what was expected");
    token_close(&r);

    is_int(token_open_memory(&r, ctx, "a.txt", "1:2 # x\n\nlast", 13, &lines), PERI_OK, "with line ends");
    expect(&r, TOKEN_WORD, "1:2", 1, 1);
    expect(&r, TOKEN_LINE_END, "\n", 1, 8);
    (void)token_expected(&r, "a row");
    is_text(peri_error(ctx), "a.txt:1:8: expected a row, found the end of the line", "a row that ends too early");
    expect(&r, TOKEN_LINE_END, "\n", 2, 1);
    expect(&r, TOKEN_WORD, "last", 3, 1);
    double x = 0.0;
    is_int(token_number(&r, &x), PERI_E_PARSE, "no number");
    is_text(peri_error(ctx), "a.txt:3:1: expected a number, found \"last\"", "its message");
    expect(&r, TOKEN_END, "", 3, 5);
    token_close(&r);

    is_int(token_open_memory(&r, ctx, "q", "x 'open\nend'", 12, &matpower), PERI_OK, "a text without end");
    expect(&r, TOKEN_WORD, "x", 1, 1);
    is_int(token_next(&r), PERI_E_PARSE, "is refused");
    is_text(peri_error(ctx), "q:1:3: text without a closing '", "where it began");
    token_close(&r);
    is_int(token_open_memory(&r, ctx, "z", "a\0b", 3, NULL), PERI_OK, "a zero byte");
    is_int(token_next(&r), PERI_E_PARSE, "is refused too");
    is_text(peri_error(ctx), "z:1:2: a zero byte, not text", "with its place");
    token_close(&r);
    is_int(token_open_memory(&r, ctx, "e", "", 0, NULL), PERI_OK, "nothing at all");
    expect(&r, TOKEN_END, "", 1, 1);
    token_close(&r);
}

static void test_file(peri_context *ctx)
{
    fake_file f = {.data = sample, .size = strlen(sample), .chunk = 1};
    io_ops ops = fake_ops(&f);
    token_reader r;
    is_int(token_open(&r, ctx, &ops, "case.m", &matpower), PERI_OK, "a file of one byte a call");
    expect_sample(&r);
    token_close(&r);
    is_int(f.opened, 0, "is closed");
    f = (fake_file){.data = sample, .size = strlen(sample), .chunk = 3, .fail_at = 4, .error = EINTR};
    is_int(token_open(&r, ctx, &ops, "case.m", &matpower), PERI_OK, "an interrupted file");
    expect_sample(&r);
    token_close(&r);
    f = (fake_file){.data = sample, .size = strlen(sample), .chunk = 3, .fail_at = 4, .error = EIO};
    is_int(token_open(&r, ctx, &ops, "case.m", &matpower), PERI_OK, "a broken file");
    peri_status status = PERI_OK;
    while (status == PERI_OK && r.now.line < 5)
        status = token_next(&r);
    is_int(status, PERI_E_IO, "tells");
    has_text(peri_error(ctx), "case.m: reading failed: ", "what failed");
    token_close(&r);
    is_int(f.opened, 0, "is closed too");
    is_int(token_open(&r, ctx, NULL, "/nonexistent/case.m", NULL), PERI_E_IO, "a missing file");
    is_text(peri_error(ctx), "/nonexistent/case.m: opening failed: No such file or directory", "is named");
}

static void test_whole(peri_context *ctx)
{
    char *data = NULL;
    size_t size = 0;
    fake_file f = {.data = sample, .size = strlen(sample), .chunk = 7, .fail_at = 3, .error = EINTR};
    io_ops ops = fake_ops(&f);
    ok(io_read_all(ctx, &ops, "f", &data, &size) == PERI_OK && size == strlen(sample) && strcmp(data, sample) == 0,
       "short and interrupted reads give the whole file");
    mem_array_free(&ctx->mem, data);
    f = (fake_file){.data = sample, .size = strlen(sample), .chunk = 7, .fail_at = 3, .error = EISDIR};
    ok(io_read_all(ctx, &ops, "f", &data, &size) == PERI_E_IO && data == NULL && f.opened == 0, "a failing read");
    f = (fake_file){.chunk = 2, .fail_at = 2, .error = EINTR};
    ok(io_write_all(ctx, &ops, "f", "perigee", 7) == PERI_OK && strcmp(f.written, "perigee") == 0 && f.opened == 0,
       "short and interrupted writes");
    for (int k = 1; k <= 7; k++) { /* open, four writes, sync, close */
        f = (fake_file){.chunk = 2, .fail_at = k, .error = ENOSPC};
        const peri_status status = io_write_all(ctx, &ops, "out.json", "perigee", 7);
        ok(status == PERI_E_IO && strncmp(peri_error(ctx), "out.json: ", 10) == 0 && f.opened == 0,
           "disk full at call %d: %s", k, peri_error(ctx));
    }
    if (io_write_all(ctx, NULL, "/dev/full", "perigee", 7) == PERI_E_IO)
        has_text(peri_error(ctx), "No space left on device", "a full device");
    else
        skip(1, "no /dev/full here");
}

static void test_memory_faults(peri_context *ctx)
{
    int64_t before = 0, after = 0;
    peri_memory(ctx, NULL, NULL, &before);
    char *text = mem_array(&ctx->mem, 200001, 1);
    if (text == NULL)
        return;
    memset(text, 'w', 200000); /* one long word: the reader's buffers grow */
    peri_status status = PERI_E_NOMEM;
    int64_t k = 0;
    bool clean = true;
    while (status == PERI_E_NOMEM && k < 100) {
        fake_file f = {.data = text, .size = 200000, .chunk = 100000};
        io_ops ops = fake_ops(&f);
        token_reader r;
        k++;
        peri_memory_fail_at(ctx, k, k % 2 == 0);
        status = token_open(&r, ctx, &ops, "long", NULL);
        if (status == PERI_OK) {
            status = token_next(&r);
            token_close(&r);
        }
        char *data = NULL;
        size_t size = 0;
        f.at = 0;
        if (status == PERI_OK)
            status = io_read_all(ctx, &ops, "long", &data, &size);
        mem_array_free(&ctx->mem, data);
        peri_memory_fail_at(ctx, 0, false);
        peri_memory(ctx, NULL, NULL, &after);
        clean = clean && after == before + 1 && f.opened == 0;
    }
    ok(status == PERI_OK && k > 10 && clean, "each of %d allocations may fail, nothing is left", (int)k - 1);
    mem_array_free(&ctx->mem, text);
}

int main(void)
{
    plan_later();
    peri_context *ctx = peri_context_new(NULL);
    if (ctx == NULL)
        return 1;
    test_memory(ctx);
    test_file(ctx);
    test_whole(ctx);
    test_memory_faults(ctx);
    peri_context_free(ctx);
    return tap_done();
}
