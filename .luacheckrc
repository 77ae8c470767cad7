-- SPDX-License-Identifier: Apache-2.0
std = "lua54"
max_line_length = 140
exclude_files = { "build*/**", "dsl/meta/**" } -- definitions for editors have no bodies
files["examples"] = { globals = { "arg" } }
files["tests/lua/dsl_errors.lua"] = { ignore = { "221" } } -- a variable that is never set is what it is about
files["tests/lua/dsl_memory.lua"] = { ignore = { "582" } } -- the comparison of expressions, not of numbers
