/* SPDX-License-Identifier: Apache-2.0 */
/* option.h - what the files about options share: sizes, bounds of whole numbers, units that a text may carry. */
#ifndef PERI_PLUGIN_OPTION_H
#define PERI_PLUGIN_OPTION_H

#include "base/num.h"
#include <perigee/plugin.h>

#define OPTION_INT_LARGEST 9007199254740992.0 /* 2^53: whole numbers up to here are exact as doubles */

size_t option_field_size(uint32_t type);     /* bytes of the field in the options struct */
bool option_has_units(const peri_option *o); /* a text may carry a unit: 10s, 2GiB */

#endif
