# SPDX-License-Identifier: Apache-2.0
# gradient/family.mk - first-order methods with steps that need no search.

plugin_PROGRAMS += gradient/adam.so

gradient_adam_so_SOURCES = gradient/adam.c

EXTRA_DIST += gradient/README.md
