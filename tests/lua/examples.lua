-- SPDX-License-Identifier: Apache-2.0
-- Every example runs by `perigee run` and prints what its .expected file says.

local t = require "tap"
local expected = require "expected"

local source, build = os.getenv "PERIGEE_SOURCE" or ".", os.getenv "PERIGEE_BUILD" or "build"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- the comparison itself can fail
t.is(expected.difference("x 1.25  y\n\n", "x   1.2 y"), nil, "a number may differ by one unit of its last digit")
t.has(expected.difference("x 1.35 y", "x 1.2 y"), "line 1", "but not by more")
t.has(expected.difference("status ok", "status infeasible"), "line 1", "words must agree")
t.has(expected.difference("a", "a\nb"), "line 2", "nothing may be missing")
t.has(expected.difference("100 of 7", "100 of 8"), "line 1", "whole numbers are exact")
t.is(expected.difference("kkt 3e-09 (1)", "kkt ... (1)"), nil, "... is any number")

local listing <close> = assert(io.popen(("ls '%s'/examples/[0-9]*.lua"):format(source)))
local count = 0
for path in listing:lines() do
  count = count + 1
  local name = path:match "([^/]+)%.lua$"
  local output <close> = assert(io.popen(("'%s/perigee' run '%s' 2>&1"):format(build, path)))
  local difference = expected.difference(output:read "a", read(path:gsub("%.lua$", ".expected")))
  t.is(difference, nil, name)
end
t.is(count, 6, "number of examples")
t.done()
