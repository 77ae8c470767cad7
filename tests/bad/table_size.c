/* SPDX-License-Identifier: Apache-2.0 */
/* table_size - a table too short to hold a summary. */
#include "bad.h"

BAD_CHANGED("table_size", p->stamp.size_plugin = (uint32_t)sizeof(peri_stamp);)
