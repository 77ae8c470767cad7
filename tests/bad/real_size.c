/* SPDX-License-Identifier: Apache-2.0 */
/* real_size - compiled with another size of real numbers. */
#include "bad.h"

BAD_CHANGED("real_size", p->stamp.size_real = 4;)
