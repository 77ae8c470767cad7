# SPDX-License-Identifier: Apache-2.0
# linear/family.mk - linear solvers, each with the one library that it stands for.

plugin_PROGRAMS += \
	linear/bicgstab.so \
	linear/cg.so \
	linear/cholmod.so \
	linear/gmres.so \
	linear/klu.so \
	linear/lapack.so \
	linear/minres.so \
	linear/mumps.so \
	linear/spqr.so \
	linear/umfpack.so

linear_cholmod_so_SOURCES = linear/cholmod.c linear/blas.h
linear_cholmod_so_LDADD = $(CHOLMOD_LIBS) $(OPENBLAS_LIBS) -lm
linear_lapack_so_SOURCES = linear/lapack.c linear/blas.h
linear_lapack_so_LDADD = $(OPENBLAS_LIBS) -lm
linear_mumps_so_SOURCES = linear/mumps.c linear/blas.h
linear_mumps_so_CPPFLAGS = $(AM_CPPFLAGS) $(MUMPS_CPPFLAGS)
linear_mumps_so_LDADD = $(MUMPS_LIBS) $(OPENBLAS_LIBS) -lm
linear_umfpack_so_SOURCES = linear/umfpack.c linear/blas.h
linear_umfpack_so_LDADD = $(UMFPACK_LIBS) $(OPENBLAS_LIBS) -lm
linear_klu_so_SOURCES = linear/klu.c
linear_klu_so_LDADD = $(KLU_LIBS) -lm
linear_spqr_so_SOURCES = linear/spqr.c linear/blas.h
linear_spqr_so_LDADD = $(SPQR_LIBS) $(OPENBLAS_LIBS) -lm
linear_bicgstab_so_SOURCES = linear/bicgstab.c linear/krylov.h
linear_cg_so_SOURCES = linear/cg.c linear/krylov.h
linear_minres_so_SOURCES = linear/minres.c linear/krylov.h
linear_gmres_so_SOURCES = linear/gmres.c linear/krylov.h

EXTRA_DIST += linear/README.md
