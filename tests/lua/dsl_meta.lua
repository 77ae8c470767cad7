-- SPDX-License-Identifier: Apache-2.0
-- The definitions for editors name what the binding has, no more and no less.
local t = require "tap"
local peri = require "perigee"

local path = (os.getenv "PERIGEE_SOURCE" or ".") .. "/dsl/meta/perigee.d.lua"
local file = assert(io.open(path))
local text = file:read "a"
file:close()

local defined = {}
for owner, name in text:gmatch "\nfunction ([%w_.]+)[.:]([%w_]+)%(" do
  defined[owner] = defined[owner] or {}
  defined[owner][name] = true
end
t.ok(load(text, "@" .. path), "the file is Lua")

local m = peri.model "names"
local x = m:var("x", 2)
m:minimize(x:dot(x))
local values = { expr = x, array = peri.zeros(2), model = m, solution = m:solve "ipm" }
values.warm_start = values.solution:warm_start()

local function check()
  -- each defined name exists
  for owner, names in pairs(defined) do
    local missing = {}
    for name in pairs(names) do
      local object = owner == "peri" and peri or values[owner] or peri[owner:match "^peri%.(.+)$"]
      local fine, value = pcall(function() return object[name] end)
      if not fine or type(value) ~= "function" then missing[#missing + 1] = name end
    end
    t.is(table.concat(missing, " "), "", owner .. ": defined names exist")
  end

  -- each name of the module is defined
  for owner, object in pairs { peri = peri, ["peri.random"] = peri.random, ["peri.debug"] = peri.debug } do
    local missing = {}
    for name, value in pairs(object) do
      if type(value) == "function" and not defined[owner][name] then missing[#missing + 1] = name end
    end
    t.is(table.concat(missing, " "), "", owner .. ": existing names are defined")
  end

  -- and what is not defined is refused, by its own name with a typo
  for owner, names in pairs(defined) do
    if values[owner] then
      local count = 0
      for name in pairs(names) do
        local _, err = pcall(function() return values[owner][name .. "_"] end)
        if tostring(err):find('"' .. name .. '_"', 1, true) then count = count + 1 end
      end
      local all = 0
      for _ in pairs(names) do all = all + 1 end
      t.is(count, all, owner .. ": a typo in any name is refused")
    end
  end
end

-- what plugins have exists while they run
values.plugin = peri.plugin {
  name = "names", kind = "reformulation", summary = "looks at names",
  init = function(_, run)
    values.run, values.inner = run, run:inner()
    values.system = run:factor(peri.eye(2), "definite")
    check()
  end,
  step = function() return "failed" end,
}
m:solve("names > lbfgs")
t.done()
