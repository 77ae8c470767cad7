-- SPDX-License-Identifier: Apache-2.0
--- Readers of data files. Each one checks all that it reads; a mistake in a file ends in one line
-- "file:line: what was expected". NaN is refused everywhere.
--
--   peri.data.libsvm(path, opts)          classification and regression data, LIBSVM text format
--   peri.data.csv(path, opts)             a table with named columns
--   peri.data.matpower(path)              a power grid, MATPOWER case format version 2
--   peri.data.matpower_case(tables)       the same from Lua tables
--   peri.data.matrix_market(path)         a matrix, Matrix Market exchange format
--   peri.data.nist(path)                  a nonlinear regression problem with certified values, NIST StRD format
--   peri.data.bolib(path)                 a two-level problem with known values, tables of the library BOLIB
--
-- A reader's file is loaded when it is first used.

local readers = {
  libsvm = "perigee.data.libsvm",
  csv = "perigee.data.csv",
  matpower = "perigee.data.matpower",
  matpower_case = "perigee.data.matpower",
  matrix_market = "perigee.data.matrix_market",
  nist = "perigee.data.nist",
  bolib = "perigee.data.bolib",
}

return setmetatable({}, {
  __index = function(data, name)
    local file = readers[name]
    if not file then return nil end
    local reader = require(file)[name]
    rawset(data, name, reader)
    return reader
  end,
})
