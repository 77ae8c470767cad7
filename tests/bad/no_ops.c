/* SPDX-License-Identifier: Apache-2.0 */
/* no_ops - a solver without operations. */
#include "bad.h"

BAD_CHANGED("no_ops", p->ops = NULL;)
