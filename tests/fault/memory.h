/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - one counting allocator for an engine and a Lua state, which fails at a chosen call, and the state's libraries. */
#ifndef PERI_TESTS_FAULT_MEMORY_H
#define PERI_TESTS_FAULT_MEMORY_H

#include "../../dsl/c/host.h"
#include <stdbool.h>

/* Memory of engine and Lua together; the countdown is of both. */
typedef struct {
    int64_t countdown; /* 0: none fails */
    int64_t blocks, calls;
    bool persistent, failed;
} memory;

void *memory_allocate(void *ud, void *ptr, size_t old_size, size_t new_size); /* lua_Alloc, and the context's */
void memory_open_libraries(lua_State *L); /* Lua's and perigee, for the host's record (light) at index 1; may raise */

#endif
