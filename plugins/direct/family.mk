# SPDX-License-Identifier: Apache-2.0
# direct/family.mk - methods that need values alone.

plugin_PROGRAMS += \
	direct/nelder-mead.so \
	direct/pattern-search.so

direct_nelder_mead_so_SOURCES = direct/nelder-mead.c direct/direct.h
direct_pattern_search_so_SOURCES = direct/pattern-search.c direct/direct.h

EXTRA_DIST += direct/README.md
