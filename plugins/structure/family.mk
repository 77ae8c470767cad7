# SPDX-License-Identifier: Apache-2.0
# structure/family.mk - methods for graphs: weights of edges under the constraint that there is no cycle.

plugin_PROGRAMS += structure/topo.so

structure_topo_so_SOURCES = \
	structure/gram.c \
	structure/inner.c \
	structure/order.c \
	structure/topo.c \
	structure/topo.h

EXTRA_DIST += structure/README.md
