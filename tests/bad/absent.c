/* SPDX-License-Identifier: Apache-2.0 */
/* absent - needs a library that is not there when it is loaded. */
#include "bad.h"

int from_absent_library(void);

BAD_CHANGED("absent", p->rank = from_absent_library();)
