/* SPDX-License-Identifier: Apache-2.0 */
/* cops_torsion - elastic-plastic torsion: surface.h with the weights that cops_torsion.lua hands over. */
#include "surface.h"

const family_functions family_exported = SURFACE_FAMILY;
