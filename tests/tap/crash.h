/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash.h - a store to nowhere that ends the process by SIGSEGV in every build: the sanitizers, which would report it and end the process by
 * themselves, are left out here. Their findings elsewhere stay findings.
 */
#ifndef PERI_TEST_CRASH_H
#define PERI_TEST_CRASH_H

#include <signal.h>

__attribute__((no_sanitize("address", "undefined"))) static void crash(void)
{
    volatile int *volatile nowhere = (volatile int *)0;
    signal(SIGSEGV, SIG_DFL);
    *nowhere = 1;
}

#endif
