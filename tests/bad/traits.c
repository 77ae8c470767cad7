/* SPDX-License-Identifier: Apache-2.0 */
/* traits - needs a trait that this host does not know. */
#include "bad.h"

BAD_CHANGED("traits", p->needs[0] = PERI_BIT(PERI_TRAIT_COUNT);)
