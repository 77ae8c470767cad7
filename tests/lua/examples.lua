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
t.is(count, 14, "number of examples")

-- with a user's data, where there are some
local sachs = source .. "/../shared/data/sachs/"
local there = io.open(sachs .. "sachs_obs853.csv")
if there then
  there:close()
  local picture = os.tmpname()
  local output <close> = assert(io.popen(("'%s/perigee' run '%s/examples/07-which-depends-on-which.lua' '%s' '%s' '%s' 2>&1"):format(build,
    source, sachs .. "sachs_obs853.csv", sachs .. "consensus_edges.csv", picture)))
  local text = output:read "a"
  local shd = tonumber(text:match "then topo +%S+ +%d+ +(%d+)")
  t.ok(shd and shd <= 22, "the protein network, 18 edges: SHD " .. tostring(shd))
  local before, after = text:match "notears +(%S+)", text:match "then topo +(%S+)"
  t.ok(before and after and tonumber(after) <= tonumber(before), "topo lowers the loss of NOTEARS")
  t.has(read(picture), "<svg", "and a picture is written")
  os.remove(picture)
else
  print "# SKIP the protein data are not here"
end
t.done()
