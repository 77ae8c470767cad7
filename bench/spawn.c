/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn N COMMAND... - the median, in seconds, of N runs of a command from process start to exit, its output thrown away. One run goes
 * before, so that files are in memory.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds, or a negative number when the command failed. */
static double run(char **argv)
{
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    pid_t child = 0;
    int status = 1;
    const double start = now();
    if (posix_spawnp(&child, argv[0], &quiet, NULL, argv, environ) == 0)
        waitpid(child, &status, 0);
    const double seconds = now() - start;
    posix_spawn_file_actions_destroy(&quiet);
    return status == 0 ? seconds : -1.0;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    const int n = argc > 2 ? (int)strtol(argv[1], NULL, 10) : 0;
    if (n < 1) {
        fprintf(stderr, "usage: spawn N COMMAND...\n");
        return 2;
    }
    double *seconds = calloc((size_t)n, sizeof *seconds);
    for (int i = -1; seconds != NULL && i < n; i++) {
        const double s = run(argv + 2);
        if (s < 0) {
            fprintf(stderr, "spawn: %s failed\n", argv[2]);
            free(seconds);
            return 1;
        }
        if (i >= 0)
            seconds[i] = s;
    }
    if (seconds == NULL)
        return 1;
    qsort(seconds, (size_t)n, sizeof *seconds, ascending);
    printf("%.6f\n", seconds[n / 2]);
    free(seconds);
    return 0;
}
