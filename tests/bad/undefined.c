/* SPDX-License-Identifier: Apache-2.0 */
/* undefined - calls a function that nobody has. */
#include "bad.h"

void nowhere_to_be_found(void);

BAD_CHANGED("undefined", nowhere_to_be_found();)
