/* SPDX-License-Identifier: Apache-2.0 */
/* summary - a plugin that does not say what it is. */
#include "bad.h"

BAD_CHANGED("summary", p->summary = NULL;)
