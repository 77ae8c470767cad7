# SPDX-License-Identifier: Apache-2.0
# squares/family.mk - nonlinear least squares.

plugin_PROGRAMS += squares/levenberg-marquardt.so

squares_levenberg_marquardt_so_SOURCES = \
	squares/dense.c \
	squares/levenberg-marquardt.c \
	squares/sparse.c \
	squares/squares.h
squares_levenberg_marquardt_so_LDADD = $(OPENBLAS_LIBS) -lm

EXTRA_DIST += squares/README.md
