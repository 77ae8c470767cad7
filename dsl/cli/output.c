/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.c - results on their way out. Invariant: a result file is whole or not there: it is written beside its place and renamed; what
 * was there before stays until then. What cannot be renamed over (a device, a pipe) is written straight.
 */
#define _GNU_SOURCE
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        const ssize_t n = write(fd, text, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text += n;
        size -= (size_t)n;
    }
    return true;
}

static int failed(const char *path)
{
    return cli_say("%s: writing failed: %s", path, strerror(errno));
}

static int write_straight(const char *path, const char *text, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || !write_all(fd, text, size)) {
        const int status = failed(path);
        if (fd >= 0)
            close(fd);
        return status;
    }
    return close(fd) == 0 ? EXIT_SOLVED : failed(path);
}

/* Opens a file beside `path` that was not there; its name, the caller's to free, in *name. -1: failed, with errno. */
static int open_beside(const char *path, char **name)
{
    for (int k = 0; k < 100; k++) {
        if (asprintf(name, "%s.%ld.%d", path, (long)getpid(), k) < 0) {
            *name = NULL;
            errno = ENOMEM;
            return -1;
        }
        const int fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
        free(*name);
    }
    *name = NULL;
    return -1;
}

/* old: of the file that is replaced, whose permissions stay; NULL: there is none */
static int write_beside(const char *path, const struct stat *old, const char *text, size_t size)
{
    char *name = NULL;
    const int fd = open_beside(path, &name);
    if (fd < 0) {
        const int status = failed(path);
        free(name);
        return status;
    }
    bool written = old == NULL || fchmod(fd, old->st_mode & 07777) == 0;
    written = written && write_all(fd, text, size) && fsync(fd) == 0;
    int status = written ? EXIT_SOLVED : failed(path);
    if (close(fd) != 0 && status == EXIT_SOLVED)
        status = failed(path);
    if (status == EXIT_SOLVED && rename(name, path) != 0)
        status = failed(path);
    if (status != EXIT_SOLVED)
        unlink(name);
    free(name);
    return status;
}

int output_file(const char *path, const char *text, size_t size)
{
    if (strcmp(path, "-") == 0) {
        fwrite(text, 1, size, stdout);
        return EXIT_SOLVED; /* output_finish sees what became of it */
    }
    struct stat info;
    if (stat(path, &info) != 0)
        return write_beside(path, NULL, text, size);
    if (!S_ISREG(info.st_mode))
        return write_straight(path, text, size);
    char *real = realpath(path, NULL); /* a link goes on pointing to the new file */
    const int status = write_beside(real != NULL ? real : path, &info, text, size);
    free(real);
    return status;
}

int output_finish(int status)
{
    errno = 0;
    const bool flushed = fflush(stdout) == 0;
    if (flushed && !ferror(stdout))
        return status;
    const int reason = errno != 0 ? errno : signals_pipe_closed() ? EPIPE : 0;
    if (status == EXIT_ERROR)
        return status; /* one line was printed, and it may have been this one */
    return cli_say("perigee: writing to standard output failed%s%s", reason != 0 ? ": " : "",
                   reason != 0 ? strerror(reason) : "");
}
