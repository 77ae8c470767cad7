# SPDX-License-Identifier: Apache-2.0
# reform/family.mk - reformulations: problems made into others that the rest of a plan solves.

plugin_PROGRAMS += reform/constraints.so
reform_constraints_so_SOURCES = \
	reform/augmented-lagrangian.c \
	reform/constraints.c \
	reform/rows.c \
	reform/rows.h
