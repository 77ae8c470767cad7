/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.c - whole files through a table of operations. Not responsible for what is in them. Invariant: whatever fails, the file is
 * closed once and memory is freed.
 */
#define _POSIX_C_SOURCE 200809L
#include "io/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int system_open(void *ud, const char *path, int flags, unsigned mode)
{
    (void)ud;
    return open(path, flags | O_CLOEXEC, (mode_t)mode);
}

static ssize_t system_read(void *ud, int fd, void *data, size_t n)
{
    (void)ud;
    return read(fd, data, n);
}

static ssize_t system_write(void *ud, int fd, const void *data, size_t n)
{
    (void)ud;
    return write(fd, data, n);
}

static int system_sync(void *ud, int fd)
{
    (void)ud;
    return fsync(fd);
}

static int system_close(void *ud, int fd)
{
    (void)ud;
    return close(fd);
}

const io_ops io_system = {system_open, system_read, system_write, system_sync, system_close, NULL};

void io_reason(int error, char *text, size_t size)
{
    text[0] = '\0';
    if (strerror_r(error, text, size) != 0 || text[0] == '\0')
        snprintf(text, size, "error %d", error);
}

static peri_status fail_errno(peri_context *ctx, const char *path, const char *what, int error)
{
    char reason[128];
    io_reason(error, reason, sizeof reason);
    return FAIL(ctx, PERI_E_IO, "%s: %s failed: %s", path, what, reason);
}

static peri_status read_some(peri_context *ctx, const io_ops *ops, const char *path, int fd, char *to, size_t n,
                             size_t *got)
{
    for (;;) {
        const ssize_t r = ops->read(ops->ud, fd, to, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return fail_errno(ctx, path, "reading", errno);
        *got = (size_t)r;
        return PERI_OK;
    }
}

/* Reads to the end, whatever the size claimed: pipes have none. */
static peri_status read_growing(peri_context *ctx, const io_ops *ops, const char *path, int fd, char **data, size_t *size)
{
    size_t cap = 1 << 16, n = 0;
    char *text = mem_array(&ctx->mem, cap, 1);
    if (text == NULL)
        return FAIL_NOMEM(ctx);
    for (;;) {
        size_t got = 0;
        const peri_status status = read_some(ctx, ops, path, fd, text + n, cap - n - 1, &got);
        if (status != PERI_OK) {
            mem_array_free(&ctx->mem, text);
            return status;
        }
        n += got;
        if (got == 0)
            break;
        if (n + 1 < cap)
            continue;
        char *bigger = cap < SIZE_MAX / 4 ? mem_array(&ctx->mem, cap * 2, 1) : NULL;
        if (bigger != NULL)
            memcpy(bigger, text, n);
        mem_array_free(&ctx->mem, text);
        if (bigger == NULL)
            return FAIL_NOMEM(ctx);
        text = bigger;
        cap *= 2;
    }
    text[n] = '\0';
    *data = text;
    *size = n;
    return PERI_OK;
}

peri_status io_read_all(peri_context *ctx, const io_ops *ops, const char *path, char **data, size_t *size)
{
    *data = NULL;
    *size = 0;
    if (ops == NULL)
        ops = &io_system;
    const int fd = ops->open(ops->ud, path, O_RDONLY, 0);
    if (fd < 0)
        return fail_errno(ctx, path, "opening", errno);
    const peri_status status = read_growing(ctx, ops, path, fd, data, size);
    ops->close(ops->ud, fd);
    return status;
}

static peri_status write_loop(peri_context *ctx, const io_ops *ops, const char *path, int fd, const char *data, size_t size)
{
    while (size > 0) {
        const ssize_t w = ops->write(ops->ud, fd, data, size);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return fail_errno(ctx, path, "writing", w < 0 ? errno : ENOSPC);
        data += w;
        size -= (size_t)w;
    }
    return PERI_OK;
}

/* To the file `at`, which is called `path` in messages. */
static peri_status write_file(peri_context *ctx, const io_ops *ops, const char *at, const char *path, const char *data, size_t size)
{
    if (ops == NULL)
        ops = &io_system;
    const int fd = ops->open(ops->ud, at, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0)
        return fail_errno(ctx, path, "opening", errno);
    peri_status status = write_loop(ctx, ops, path, fd, data, size);
    if (status == PERI_OK && ops->sync(ops->ud, fd) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP)
        status = fail_errno(ctx, path, "writing", errno); /* pipes and devices have nothing to synchronise */
    if (ops->close(ops->ud, fd) != 0 && status == PERI_OK && errno != EINTR)
        status = fail_errno(ctx, path, "closing", errno);
    return status;
}

peri_status io_write_all(peri_context *ctx, const io_ops *ops, const char *path, const char *data, size_t size)
{
    return write_file(ctx, ops, path, path, data, size);
}

peri_status io_replace(peri_context *ctx, const io_ops *ops, const char *path, const char *data, size_t size)
{
    struct stat info;
    const bool there = stat(path, &info) == 0;
    const size_t room = strlen(path) + 40;
    if (there && !S_ISREG(info.st_mode))
        return io_write_all(ctx, ops, path, data, size);
    char *beside = mem_array(&ctx->mem, room, 1);
    if (beside == NULL)
        return FAIL_NOMEM(ctx);
    snprintf(beside, room, "%s.%ld.new", path, (long)getpid());
    peri_status status = write_file(ctx, ops, beside, path, data, size);
    if (status == PERI_OK && there)
        (void)chmod(beside, info.st_mode & 07777);
    if (status == PERI_OK && rename(beside, path) != 0)
        status = fail_errno(ctx, path, "renaming", errno);
    if (status != PERI_OK)
        (void)unlink(beside);
    mem_array_free(&ctx->mem, beside);
    return status;
}
