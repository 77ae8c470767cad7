# SPDX-License-Identifier: Apache-2.0
# reform/family.mk - reformulations: problems made into others that the rest of a plan solves.

plugin_PROGRAMS += \
	reform/constraints.so \
	reform/multistart.so

reform_constraints_so_SOURCES = \
	reform/augmented-lagrangian.c \
	reform/constraints.c \
	reform/penalty.c \
	reform/rows.c \
	reform/rows.h
reform_multistart_so_SOURCES = \
	reform/multistart.c \
	reform/points.c \
	reform/points.h \
	reform/sobol_numbers.h

EXTRA_DIST += reform/README.md
