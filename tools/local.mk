# SPDX-License-Identifier: Apache-2.0
# tools/local.mk - checks of the source itself, run as tests.

