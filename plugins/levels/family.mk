# SPDX-License-Identifier: Apache-2.0
# levels/family.mk - reformulations that take lower levels away.

plugin_PROGRAMS += levels/levels.so

levels_levels_so_SOURCES = \
	levels/candidates.c \
	levels/candidates.h \
	levels/implicit.c \
	levels/kkt.c \
	levels/levels.c \
	levels/program.c \
	levels/program.h \
	levels/value-function.c

EXTRA_DIST += levels/README.md
