/* SPDX-License-Identifier: Apache-2.0 */
/* cops_bearing - the journal bearing: surface.h with the weights that cops_bearing.lua hands over. */
#include "surface.h"

const family_functions family_exported = SURFACE_FAMILY;
