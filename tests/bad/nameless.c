/* SPDX-License-Identifier: Apache-2.0 */
/* nameless - a plugin without a name. */
#include "bad.h"

BAD_CHANGED("nameless", p->name = NULL;)
