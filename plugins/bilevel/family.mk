# SPDX-License-Identifier: Apache-2.0
# bilevel/family.mk - methods for problems with two levels.

plugin_PROGRAMS += \
	bilevel/lv-hba.so \
	bilevel/penalty-bilevel.so

bilevel_lv_hba_so_SOURCES = bilevel/lv-hba.c bilevel/two_level.c bilevel/two_level.h
bilevel_penalty_bilevel_so_SOURCES = bilevel/penalty-bilevel.c bilevel/penalty_loops.c bilevel/penalty-bilevel.h bilevel/two_level.c bilevel/two_level.h

EXTRA_DIST += bilevel/README.md
