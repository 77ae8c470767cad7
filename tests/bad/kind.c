/* SPDX-License-Identifier: Apache-2.0 */
/* kind - a kind of plugin that this host does not know. */
#include "bad.h"

BAD_CHANGED("kind", p->kind = 99;)
