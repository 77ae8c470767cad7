# SPDX-License-Identifier: Apache-2.0
# perigee.m4 - how configure looks for what Perigee needs. Written for Perigee.
#
# Everything that is missing is collected and named at the end in one message, with the Debian packages to install, so that nobody
# has to run configure once per package.

# PERI_MISSING(PACKAGE, WHAT) - note that WHAT is not there and that Debian has it in PACKAGE.
AC_DEFUN([PERI_MISSING], [
  peri_missing_packages="$peri_missing_packages $1"
  peri_missing_what="$peri_missing_what
    $2 (Debian: $1)"
])

# PERI_LIBRARY(VARIABLE, WHAT, PACKAGE, HEADER, CPPFLAGS, LIBS, FUNCTION) - a library without a pkg-config file of its own.
# Sets VARIABLE_CPPFLAGS and VARIABLE_LIBS.
AC_DEFUN([PERI_LIBRARY], [
  AC_MSG_CHECKING([for $2])
  peri_save_CPPFLAGS=$CPPFLAGS
  peri_save_LIBS=$LIBS
  CPPFLAGS="$CPPFLAGS $5"
  LIBS="$6 $LIBS"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stddef.h>
#include <$4>]], [[static void (*volatile address)(void) = (void (*)(void))&$7;
return address == NULL;]])],
    [peri_found_$1=yes], [peri_found_$1=no])
  CPPFLAGS=$peri_save_CPPFLAGS
  LIBS=$peri_save_LIBS
  AC_MSG_RESULT([$peri_found_$1])
  AS_IF([test "x$peri_found_$1" = xyes], [$1_CPPFLAGS="$5"; $1_LIBS="$6"], [PERI_MISSING([$3], [$2])])
  AC_SUBST([$1_CPPFLAGS])
  AC_SUBST([$1_LIBS])
])

# PERI_FLAG(VARIABLE, FLAG) - append FLAG to VARIABLE if the compiler takes it.
AC_DEFUN([PERI_FLAG], [
  AC_MSG_CHECKING([whether $CC takes $2])
  peri_save_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS -Werror $2"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
    [AC_MSG_RESULT([yes]); $1="$$1 $2"], [AC_MSG_RESULT([no])])
  CFLAGS=$peri_save_CFLAGS
])

# PERI_STOP_IF_MISSING - one error for all that PERI_MISSING has noted.
AC_DEFUN([PERI_STOP_IF_MISSING], [
  AS_IF([test -n "$peri_missing_packages"],
    [AC_MSG_ERROR([not found:$peri_missing_what

  On Debian:  apt-get install$peri_missing_packages])])
])
