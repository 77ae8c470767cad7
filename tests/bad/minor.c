/* SPDX-License-Identifier: Apache-2.0 */
/* minor - needs a host that does not exist yet. */
#include "bad.h"

BAD_CHANGED("minor", p->stamp.min_host_minor = PERI_ABI_MINOR + 3;)
