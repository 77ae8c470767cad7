/* SPDX-License-Identifier: Apache-2.0 */
/* match.h - traits in words, for pages and reasons. */
#ifndef PERI_PLUGIN_MATCH_H
#define PERI_PLUGIN_MATCH_H

#include <perigee/plugin.h>

const char *trait_words(peri_trait trait); /* "equality constraints" */
/* A set of traits as "a, b and c"; "" for none. */
void match_words(uint64_t set, char *out, size_t size);

#endif
