# SPDX-License-Identifier: Apache-2.0
plugin_PROGRAMS += interior/ipm.so
interior_ipm_so_SOURCES = \
	interior/ipm.c \
	interior/ipm.h \
	interior/ipm_barrier.c \
	interior/ipm_direction.c \
	interior/ipm_kkt.c \
	interior/ipm_problem.c \
	interior/ipm_checkpoint.c \
	interior/ipm_restore.c \
	interior/ipm_search.c
EXTRA_DIST += interior/README.md
