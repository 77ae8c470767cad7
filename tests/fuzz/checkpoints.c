/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoints.c - a checkpoint of a real run, changed by the input, is resumed from: the first byte chooses the method, the second whether the
 * checksum is put right, so that the method's own state is reached, the third how much is cut off; then five bytes a change: where, how, what. A resumed
 * run ends in a result or one line, and a new solve of the same model is right.
 */
#define _GNU_SOURCE
#include "base/hash.h"
#include "fuzz.h"
#include "unit/text_model.h"

#include <unistd.h>

enum { LARGEST = 1 << 16, HEADER = 24, AT_SIZE = 8, AT_HASH = 16 }; /* run/checkpoint.c: magic, size of the rest, its hash */

static const char *const methods[] = {"lbfgs", "ipm", "newton", "trust-ncg", "nelder-mead", "pattern-search", "levenberg-marquardt",
                                      "projected-gradient", "fista"};

typedef struct {
    peri_context *ctx;
    text_model t;
    const char *plan, *path;
    unsigned char data[LARGEST];
    size_t size;
} subject;

static peri_status solve(subject *s, const char *key, double iterations, peri_solution **out)
{
    const peri_setting settings[] = {{.key = "iterations", .type = PERI_VALUE_NUMBER, .number = iterations},
                                     {.key = "time_limit", .type = PERI_VALUE_NUMBER, .number = 5},
                                     {.key = "checkpoint_every", .type = PERI_VALUE_NUMBER, .number = 0},
                                     {.key = key, .type = PERI_VALUE_TEXT, .text = s->path}};
    const peri_solve_args args = {.plan = s->plan, .settings = settings, .n_settings = key != NULL ? 4 : 2};
    *out = NULL;
    return peri_model_solve(s->t.m, &args, out);
}

static void make_subject(subject *s, const char *method)
{
    static const double start[] = {-1, 0.5, 2};
    s->ctx = peri_context_new(NULL);
    s->t = text_new(s->ctx, 3, start);
    text_bounds(&s->t, -3, 4);
    text_minimize(&s->t, "(x1-1)^2 + 3*(x2-x1)^2 + (x3-x2-0.5)^2");
    s->plan = method;
}

/* As the file is after three iterations; false: not with this method */
static bool write_real(subject *s)
{
    peri_solution *solution;
    const peri_status status = solve(s, "checkpoint", 3, &solution);
    FUZZ_CHECK(status == PERI_OK || status == PERI_E_UNSUPPORTED || status == PERI_E_NAME, "%s", peri_error(s->ctx));
    peri_solution_free(solution);
    FILE *file = status == PERI_OK ? fopen(s->path, "rb") : NULL;
    s->size = file != NULL ? fread(s->data, 1, sizeof s->data, file) : 0;
    if (file != NULL)
        fclose(file);
    return s->size > HEADER;
}

static void change(subject *s, const uint8_t *code)
{
    static const double special[] = {0, -1, 1e308, -1e308, INFINITY, NAN, 4e18, 1e-320};
    const size_t at = HEADER + ((size_t)code[0] | (size_t)code[1] << 8) % (s->size - HEADER);
    const double number = special[code[3] % 8];
    const int64_t whole = code[3] < 128 ? (int64_t)code[4] - 128 : (int64_t)(UINT64_C(1) << code[4] % 64);
    switch (code[2] % 4) {
    case 0:
        s->data[at] = code[4];
        break;
    case 1:
        s->data[at] ^= (unsigned char)(1u << code[4] % 8);
        break;
    default:
        if (at + sizeof number <= s->size)
            memcpy(s->data + at, code[2] % 4 == 2 ? (const void *)&number : (const void *)&whole, sizeof number);
    }
}

static void change_all(subject *s, const uint8_t *data, size_t size)
{
    for (size_t at = 3; at + 5 <= size && at < 3 + 5 * 20; at += 5)
        change(s, data + at);
    if (data[2] > 0)
        s->size -= (size_t)data[2] * s->size / 1024;
    if (data[1] % 4 != 0 && s->size > HEADER) {
        const uint64_t rest = s->size - HEADER, hash = hash_bytes(s->data + HEADER, rest);
        memcpy(s->data + AT_SIZE, &rest, sizeof rest);
        memcpy(s->data + AT_HASH, &hash, sizeof hash);
    }
}

static void resume(subject *s)
{
    peri_solution *solution;
    FILE *file = fopen(s->path, "wb");
    FUZZ_CHECK(file != NULL && fwrite(s->data, 1, s->size, file) == s->size && fclose(file) == 0, "%s", s->path);
    const peri_status status = solve(s, "resume", 60, &solution);
    FUZZ_CHECK(status == PERI_OK || (peri_error(s->ctx)[0] != '\0' && strchr(peri_error(s->ctx), '\n') == NULL), "%s: %s",
               peri_status_name(status), peri_error(s->ctx));
    peri_solution_free(solution);
    FUZZ_CHECK(solve(s, NULL, 10000, &solution) == PERI_OK, "the next solve: %s", peri_error(s->ctx));
    FUZZ_CHECK(fabs(peri_solution_objective(solution)) < 1e-5, "the next solve: %g", peri_solution_objective(solution));
    peri_solution_free(solution);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[] = "/tmp/perigee-fuzz-XXXXXX", path[64];
    if (size < 3 || mkdtemp(folder) == NULL)
        return 0;
    subject *s = calloc(1, sizeof *s);
    snprintf(path, sizeof path, "%s/state", folder);
    s->path = path;
    make_subject(s, methods[data[0] % (sizeof methods / sizeof methods[0])]);
    if (write_real(s)) {
        change_all(s, data, size);
        resume(s);
    }
    peri_model_free(s->t.m);
    peri_context_free(s->ctx);
    free(s);
    unlink(path);
    rmdir(folder);
    return 0;
}
