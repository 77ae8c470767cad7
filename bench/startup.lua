-- SPDX-License-Identifier: Apache-2.0
-- The script whose run from process start to exit is timed: two variables, solved, one line printed.

local peri = require "perigee"

local m = peri.model "rosenbrock"
local x = m:var("x", 2, { start = { -1.2, 1 } })
m:minimize((1 - x[1])^2 + 100 * (x[2] - x[1]^2)^2)
print(m:solve().objective)
