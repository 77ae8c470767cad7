# SPDX-License-Identifier: Apache-2.0
# tools/local.mk - checks of the source itself, run as tests.
# They have no ending, so that a newcomer can type tools/check-style; the suffix-less tests have a driver of their own.

source_checks = tools/check-includes tools/check-style
TESTS += $(source_checks)
LOG_DRIVER = $(TAP)
LOG_COMPILER = $(BASH)
EXTRA_DIST += $(source_checks)
