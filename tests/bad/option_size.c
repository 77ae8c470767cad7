/* SPDX-License-Identifier: Apache-2.0 */
/* option_size - options of a size that no version has had. */
#include "bad.h"

BAD_CHANGED("option_size", p->stamp.size_option = 8;)
