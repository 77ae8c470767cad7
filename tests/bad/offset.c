/* SPDX-License-Identifier: Apache-2.0 */
/* offset - an option that would be written behind the options struct. */
#include "bad.h"

BAD_CHANGED("offset", p->size_options = 12;)
