/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.h - what a script from somebody else finds, for the command and for hosts. */
#ifndef PERI_DSL_SANDBOX_H
#define PERI_DSL_SANDBOX_H

#include <lua.h>

/* Pushes the script's environment; what it must not have is gone from the state. The standard libraries are open. May raise. */
void sandbox_push(lua_State *L);

#endif
