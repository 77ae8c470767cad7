# SPDX-License-Identifier: Apache-2.0
# proximal/family.mk - methods that work by proximal operators, projections and linear minimisation.

plugin_PROGRAMS += \
	proximal/fista.so \
	proximal/frank-wolfe.so \
	proximal/projected-gradient.so

proximal_fista_so_SOURCES = proximal/fista.c proximal/proximal.h
proximal_frank_wolfe_so_SOURCES = proximal/frank-wolfe.c proximal/proximal.h
proximal_projected_gradient_so_SOURCES = proximal/projected-gradient.c proximal/proximal.h

EXTRA_DIST += proximal/README.md
