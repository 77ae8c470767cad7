-- SPDX-License-Identifier: Apache-2.0
-- The Lua code in README.md and docs/guide is executed: the blocks of a page, one after the other, are one script, and
-- what it prints is what the page's text blocks after them show. Blocks in other languages are not run.

local t = require "tap"
local expected = require "expected"

local source = os.getenv "PERIGEE_SOURCE" or "."

--- A page's Lua code, each line where it stands in the page, and the output that the page shows.
local function extract(path)
  local code, output, kind = {}, {}, nil
  for line in io.lines(path) do
    local fence = line:match "^```(.*)$"
    if fence then
      kind = not kind and (fence == "" and "other" or fence) or nil
      code[#code + 1] = ""
    else
      code[#code + 1] = kind == "lua" and line or ""
      if kind == "text" then output[#output + 1] = line end
    end
  end
  return table.concat(code, "\n"), table.concat(output, "\n")
end

--- What a script prints, and its error.
local function run(script, name)
  local printed = {}
  local environment = setmetatable({
    print = function(...)
      local words = table.pack(...)
      for i = 1, words.n do words[i] = tostring(words[i]) end
      printed[#printed + 1] = table.concat(words, "\t")
    end,
  }, { __index = _G })
  local chunk, err = load(script, "@" .. name, "t", environment)
  if not chunk then return "", err end
  local fine, failure = xpcall(chunk, debug.traceback)
  return table.concat(printed, "\n"), not fine and failure or nil
end

local listing <close> = assert(io.popen(("ls '%s'/README.md '%s'/docs/plugins-in-lua.md '%s'/docs/guide/*.md"):format(source, source, source)))
local blocks = 0
for path in listing:lines() do
  local name = path:sub(#source + 2)
  local script, want = extract(path)
  if script:find "%S" then
    blocks = blocks + 1
    local got, err = run(script, name)
    t.is(err, nil, name .. " runs")
    t.is(expected.difference(got, want), nil, name .. " prints what it says")
  end
end
t.ok(blocks >= 5, "pages with code were found")
t.done()
