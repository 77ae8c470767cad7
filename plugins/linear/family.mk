# SPDX-License-Identifier: Apache-2.0
# linear/family.mk - linear solvers, each with the one library that it stands for.

plugin_PROGRAMS += \
	linear/cholmod.so \
	linear/lapack.so \
	linear/mumps.so

linear_cholmod_so_SOURCES = linear/cholmod.c linear/blas.h
linear_cholmod_so_LDADD = $(CHOLMOD_LIBS) $(OPENBLAS_LIBS) -lm
linear_lapack_so_SOURCES = linear/lapack.c linear/blas.h
linear_lapack_so_LDADD = $(OPENBLAS_LIBS) -lm
linear_mumps_so_SOURCES = linear/mumps.c linear/blas.h
linear_mumps_so_CPPFLAGS = $(AM_CPPFLAGS) $(MUMPS_CPPFLAGS)
linear_mumps_so_LDADD = $(MUMPS_LIBS) $(OPENBLAS_LIBS) -lm

EXTRA_DIST += linear/README.md
