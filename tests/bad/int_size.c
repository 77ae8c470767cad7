/* SPDX-License-Identifier: Apache-2.0 */
/* int_size - compiled with another size of int. */
#include "bad.h"

BAD_CHANGED("int_size", p->stamp.size_int = 2;)
