/* SPDX-License-Identifier: Apache-2.0 */
/* major - made for the next major version of the interface. */
#include "bad.h"

BAD_CHANGED("major", p->stamp.major = PERI_ABI_MAJOR + 1;)
