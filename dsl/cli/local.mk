# SPDX-License-Identifier: Apache-2.0
# dsl/cli/local.mk - the command. It contains the engine, the binding and Lua, so that it starts fast and finds what belongs to it
# from where it lies; Lua's functions are exported for modules written in C.

bin_PROGRAMS = perigee

perigee_CPPFLAGS = -I$(top_srcdir)/engine/include -I$(top_builddir) $(LUA_CFLAGS) $(EDIT_CFLAGS) $(SECCOMP_CFLAGS) $(SECCOMP_CPPFLAGS) \
	-DPERI_BIN_DIR='"$(bindir)"' -DPERI_LUA_DIR='"$(luadir)"' -DPERI_PLUGIN_DIR='"$(plugindir)"' \
	-DPERI_CHECK_DIR='"$(checkerdir)"' -DPERI_TEMPLATE_DIR='"$(templatedir)"'
perigee_SOURCES = \
	dsl/cli/args.c \
	dsl/cli/cli.h \
	dsl/cli/cmd_lua.c \
	dsl/cli/cmd_model.c \
	dsl/cli/cmd_new_plugin.c \
	dsl/cli/cmd_plugin.c \
	dsl/cli/cmd_repl.c \
	dsl/cli/cmd_run.c \
	dsl/cli/cmd_show.c \
	dsl/cli/cmd_solve.c \
	dsl/cli/cmd_version.c \
	dsl/cli/confine.c \
	dsl/cli/edit.c \
	dsl/cli/filter.c \
	dsl/cli/help.c \
	dsl/cli/log.c \
	dsl/cli/main.c \
	dsl/cli/output.c \
	dsl/cli/sandbox.c \
	dsl/cli/signals.c \
	dsl/cli/watch.c \
	dsl/cli/world.c
nodist_perigee_SOURCES = dsl/cli/build-info.h
perigee_LDFLAGS = $(AM_LDFLAGS) -Wl,-E
perigee_LDADD = $(dsl_library) libperigee.a $(LUA_COMMAND_LIBS) $(FFI_LIBS) $(engine_libs)

# What `perigee version` says of the build: made anew when it has changed.
BUILT_SOURCES += dsl/cli/build-info.h
CLEANFILES += dsl/cli/build-info.h
dsl/cli/build-info.h: build-info-always
	@$(MKDIR_P) dsl/cli
	@commit=; test ! -e '$(top_srcdir)/.git' || \
	  commit=`git -C '$(top_srcdir)' describe --always --dirty --exclude '*' 2>/dev/null`; \
	{ echo "#define BUILD_COMMIT \"$${commit:+ ($$commit)}\""; \
	  echo '#define BUILD_CFLAGS "'`echo '$(SANITIZE_CFLAGS) $(CFLAGS) $(CPPFLAGS)' | $(SED) 's/^ *//; s/["\\]/\\&/g'`'"'; } >$@.new
	@if cmp -s $@.new $@; then rm -f $@.new; else mv -f $@.new $@; fi
.PHONY: build-info-always
build-info-always:

# The Lua files of a build tree lie beside the command, as a link to the source.
lua/perigee:
	$(AM_V_GEN)$(MKDIR_P) lua && rm -f $@ && \
	case '$(top_srcdir)' in \
	/*) $(LN_S) '$(top_srcdir)/stdlib/perigee' $@ ;; \
	*) $(LN_S) '../$(top_srcdir)/stdlib/perigee' $@ ;; \
	esac
all-local: lua/perigee
CLEANFILES += lua/perigee

# The index of the plugin folder is written when a plugin has changed or gone.
all-local: plugins-index
.PHONY: plugins-index
plugins-index: perigee
	@find plugins -name '*.so' | LC_ALL=C sort >plugins/list.new; \
	if test -f plugins/index && cmp -s plugins/list.new plugins/list && \
	  test -z "`find plugins perigee -newer plugins/index \( -name '*.so' -o -name perigee \)`"; then \
	  rm -f plugins/list.new; \
	else \
	  ./perigee index plugins && mv -f plugins/list.new plugins/list; \
	fi
CLEANFILES += plugins/index plugins/list plugins/list.new

# Manual pages and definitions for editors, from the tables of the command and the plugins, when one of these has changed.
all-local: pages
.PHONY: pages
pages: plugins-index lua/perigee
	@if test ! -f pages/stamp || test plugins/index -nt pages/stamp || test perigee -nt pages/stamp || \
	  test '$(srcdir)/stdlib/perigee/command/pages.lua' -nt pages/stamp; then \
	  rm -rf pages && $(MKDIR_P) pages/man1 pages/man7 && PERIGEE_PLUGIN_PATH= ./perigee pages pages && echo >pages/stamp; \
	fi
clean-local: clean-pages
.PHONY: clean-pages
clean-pages:
	rm -rf pages

man1dir = $(mandir)/man1
man7dir = $(mandir)/man7

install-data-local: install-pages
.PHONY: install-pages uninstall-pages
install-pages: pages
	$(MKDIR_P) "$(DESTDIR)$(man1dir)" "$(DESTDIR)$(man7dir)" "$(DESTDIR)$(perigeemetadir)"
	$(INSTALL_DATA) pages/man1/*.1 "$(DESTDIR)$(man1dir)"
	$(INSTALL_DATA) pages/man7/*.7 "$(DESTDIR)$(man7dir)"
	$(INSTALL_DATA) pages/perigee-options.d.lua "$(DESTDIR)$(perigeemetadir)"
uninstall-local: uninstall-pages
uninstall-pages:
	rm -f "$(DESTDIR)$(man1dir)/perigee.1" "$(DESTDIR)$(man1dir)"/perigee-*.1 "$(DESTDIR)$(man7dir)"/perigee-*.7 \
	  "$(DESTDIR)$(perigeemetadir)/perigee-options.d.lua"

# Completion in shells: the files ask the command.
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = dsl/completion/perigee
zshcompletiondir = $(datadir)/zsh/site-functions
dist_zshcompletion_DATA = dsl/completion/_perigee
