# SPDX-License-Identifier: Apache-2.0
# local/family.mk - local methods for smooth problems whose only constraints are bounds.

plugin_PROGRAMS += \
	local/lbfgs.so \
	local/newton.so \
	local/trust-ncg.so

local_lbfgs_so_SOURCES = \
	local/lbfgs.c \
	local/line_search.c \
	local/line_search.h \
	local/local.h \
	local/pairs.c \
	local/pairs.h
local_newton_so_SOURCES = local/newton.c local/local.h
local_trust_ncg_so_SOURCES = local/trust-ncg.c local/local.h

EXTRA_DIST += local/README.md
