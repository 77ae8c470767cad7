# SPDX-License-Identifier: Apache-2.0
# dsl/local.mk - the Lua binding. Its objects are an archive, of which the command takes what it needs and perigee.so is the whole.

dsl_library = dsl/libdsl.a
noinst_LIBRARIES += dsl/libdsl.a
dsl_libdsl_a_CPPFLAGS = -I$(top_srcdir)/engine/include $(LUA_CFLAGS) $(FFI_CFLAGS) -DPERI_LUA_DIR='"$(luadir)"'
dsl_libdsl_a_SOURCES = \
	dsl/c/acyclic.c \
	dsl/c/array.c \
	dsl/c/array_inplace.c \
	dsl/c/array_make.c \
	dsl/c/box.c \
	dsl/c/callback.c \
	dsl/c/constraint.c \
	dsl/c/debug.c \
	dsl/c/derive.c \
	dsl/c/diagnosis.c \
	dsl/c/expr.c \
	dsl/c/fault.c \
	dsl/c/foreign.c \
	dsl/c/foreign.h \
	dsl/c/foreign_callback.c \
	dsl/c/implicit.c \
	dsl/c/foreign_type.c \
	dsl/c/host.h \
	dsl/c/index.c \
	dsl/c/inner.c \
	dsl/c/internal.h \
	dsl/c/library.c \
	dsl/c/lift.c \
	dsl/c/lookup.c \
	dsl/c/map.c \
	dsl/c/model.c \
	dsl/c/module.c \
	dsl/c/operand.c \
	dsl/c/plugin.c \
	dsl/c/plugin.h \
	dsl/c/plugin_call.c \
	dsl/c/plugin_linear.c \
	dsl/c/plugin_table.c \
	dsl/c/ramp.c \
	dsl/c/random.c \
	dsl/c/sandbox.c \
	dsl/c/sandbox.h \
	dsl/c/products.c \
	dsl/c/run.c \
	dsl/c/run_eval.c \
	dsl/c/run_levels.c \
	dsl/c/run_matrix.c \
	dsl/c/shapes.c \
	dsl/c/solution.c \
	dsl/c/warm.c \
	dsl/c/solve.c

# What `require "perigee"` finds in package.cpath. Lua's own functions stay undefined: they are the interpreter's.
perigeeluacdir = $(luacdir)
perigeeluac_PROGRAMS = perigee.so
perigee_so_SOURCES =
perigee_so_DEPENDENCIES = dsl/libdsl.a libperigee.so.0
perigee_so_LDFLAGS = $(AM_LDFLAGS) -shared -Wl,-rpath,'$$ORIGIN:$$ORIGIN/../..'
perigee_so_LDADD = $(WHOLE_ARCHIVE) dsl/libdsl.a $(NO_WHOLE_ARCHIVE) libperigee.so.0 $(FFI_LIBS) -ldl -lm

# Definitions for editors.
perigeemetadir = $(pkgdatadir)/meta
dist_perigeemeta_DATA = dsl/meta/perigee.d.lua

# For hosts that link liblua: the binding and perigee/lua.h.
lib_LIBRARIES += libperigee-lua.a
libperigee_lua_a_CPPFLAGS = $(dsl_libdsl_a_CPPFLAGS) -I$(top_srcdir)/dsl/include
libperigee_lua_a_SOURCES = dsl/c/embed.c
libperigee_lua_a_LIBADD = $(dsl_libdsl_a_OBJECTS)
pkginclude_HEADERS += dsl/include/perigee/lua.h
pkgconfig_DATA += perigee-lua.pc
