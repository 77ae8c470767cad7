/* SPDX-License-Identifier: Apache-2.0 */
/* no_options - options are announced, but there is no table of them. */
#include "bad.h"

BAD_CHANGED("no_options", p->options = NULL;)
