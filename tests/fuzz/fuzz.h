/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - what a fuzzing target is: one function of some bytes that may end in any way but a crash, a leak or FUZZ_CHECK. tools/fuzz links it
 * with libFuzzer; `make check` links it with replay.c, which gives it the committed corpus.
 */
#ifndef PERI_TESTS_FUZZ_H
#define PERI_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition, ...)                                                                                       \
    do {                                                                                                                 \
        if (!(condition)) {                                                                                              \
            fprintf(stderr, __VA_ARGS__);                                                                                \
            fprintf(stderr, "\n%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                              \
            abort();                                                                                                     \
        }                                                                                                                \
    } while (0)

#endif
