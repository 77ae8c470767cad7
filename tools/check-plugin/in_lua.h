/* SPDX-License-Identifier: Apache-2.0 */
/* in_lua.h - plugins in Lua for the contract: each context has a Lua state of its own. What it offers is in tests/plugin/contract.h. */
#ifndef PERI_CHECK_IN_LUA_H
#define PERI_CHECK_IN_LUA_H

#include "plugin/contract.h"

/* What the binding's calls get where it asks for the host table; the linker puts it in the place of peri_host_functions. */
const struct peri_host *__wrap_peri_host_functions(void);
const struct peri_host *__real_peri_host_functions(void);

#endif
