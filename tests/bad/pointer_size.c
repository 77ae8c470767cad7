/* SPDX-License-Identifier: Apache-2.0 */
/* pointer_size - compiled with another size of pointers. */
#include "bad.h"

BAD_CHANGED("pointer_size", p->stamp.size_ptr = 4;)
