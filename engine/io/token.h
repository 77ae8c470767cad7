/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token.h - what readers share: words of a file or of memory with the line and column where each begins. All reading and writing
 * goes through a table of file operations, so that tests can give short reads, interrupted calls and full disks.
 */
#ifndef PERI_IO_TOKEN_H
#define PERI_IO_TOKEN_H

#include "base/context.h"

#include <sys/types.h>

/* As the POSIX calls of the same names; -1 with errno on failure. */
typedef struct {
    int (*open)(void *ud, const char *path, int flags, unsigned mode);
    ssize_t (*read)(void *ud, int fd, void *data, size_t n);
    ssize_t (*write)(void *ud, int fd, const void *data, size_t n);
    int (*sync)(void *ud, int fd);
    int (*close)(void *ud, int fd);
    void *ud;
} io_ops;

extern const io_ops io_system; /* the operating system's */

void io_reason(int error, char *text, size_t size); /* an errno in words; "error 5" where there are none */
/*
 * io_read_all - a whole file;  ops NULL: io_system
 *   own  data  [size + 1], zero at the end; mem_array memory
 *   err  PERI_E_IO with path and reason; PERI_E_NOMEM
 */
peri_status io_read_all(peri_context *ctx, const io_ops *ops, const char *path, char **data, size_t *size);
/* io_write_all - replaces the file; PERI_E_IO when anything, closing included, failed (the file may then be cut) */
peri_status io_write_all(peri_context *ctx, const io_ops *ops, const char *path, const char *data, size_t size);

/* io_replace - as io_write_all, but the file is written beside its place and renamed: it is whole, or what was there before. What is no plain file
 * is written straight. */
peri_status io_replace(peri_context *ctx, const io_ops *ops, const char *path, const char *data, size_t size);

typedef enum { TOKEN_END, TOKEN_WORD, TOKEN_TEXT, TOKEN_MARK, TOKEN_LINE_END } token_kind;

/* How words are cut. Blanks (space, tab, carriage return) always separate. */
typedef struct {
    const char *marks;  /* characters that are tokens by themselves, as ";[]=" ; NULL: none */
    const char *quotes; /* characters that enclose a text, doubled inside it for themselves; NULL: none */
    char comment;       /* from here to the end of the line nothing counts; 0: none */
    bool line_ends;     /* the end of a line is a token */
} token_rules;

/* The token in hand. `text` [n] lies in the reader's memory until the next call, and is followed by a zero. */
typedef struct {
    token_kind kind;
    const char *text;
    size_t n;
    int64_t line, column; /* of its first character, from 1 */
} token;

typedef struct {
    peri_context *ctx;
    const io_ops *ops;
    const token_rules *rules;
    const char *name; /* in messages; borrowed */
    int fd;           /* -1: memory only */
    bool ended;       /* the file gave its last byte */
    char *buffer;     /* [cap] what is read and not yet used: at .. filled */
    size_t cap, at, filled;
    int64_t line, column; /* of the next character */
    char *word;           /* [word_cap] the token in hand */
    size_t word_cap, word_n;
    token now;
} token_reader;

/* Each makes a reader that token_close must end; after an error it is closed already. `rules` and `name` are borrowed. */
peri_status token_open(token_reader *r, peri_context *ctx, const io_ops *ops, const char *path, const token_rules *rules);
peri_status token_open_memory(token_reader *r, peri_context *ctx, const char *name, const char *data, size_t size,
                              const token_rules *rules);
void token_close(token_reader *r);

/* token_next - r->now becomes the next token;  err PERI_E_IO, PERI_E_NOMEM, PERI_E_PARSE (text without end, zero byte) */
peri_status token_next(token_reader *r);
bool token_is(const token_reader *r, const char *text); /* a word or mark, not a quoted text */
/* The token in hand as a number; PERI_E_PARSE names position and what was found. */
peri_status token_number(const token_reader *r, double *x);
peri_status token_integer(const token_reader *r, int64_t *i);
/* token_expected - PERI_E_PARSE "name:line:column: expected WHAT, found ..." */
peri_status token_expected(const token_reader *r, const char *what);

#endif
