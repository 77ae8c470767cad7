-- SPDX-License-Identifier: Apache-2.0
-- The readers of perigee.data: what they return, and one clear line "file:line: ..." for each kind of mistake.

local t = require "tap"
local peri = require "perigee"

local folder = os.tmpname()
os.remove(folder)
assert(os.execute("mkdir " .. folder))

--- The path of a new file with this text.
local function written(name, text)
  local path = folder .. "/" .. name
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

--- The error of a reader on a text, without its folder; nil when there is none.
local function failure(reader, text, ...)
  local path = written("file", text)
  local fine, err = pcall(reader, path, ...)
  if fine then return nil end
  return (tostring(err):gsub(folder:gsub("%p", "%%%0") .. "/", ""))
end

--- Each { text, expected message } must fail with exactly that line.
local function all_fail(reader, name, list)
  for k, case in ipairs(list) do
    t.is(failure(reader, case[1], case[3]), case[2], ("%s: bad input %d"):format(name, k))
  end
end

local function shared(path)
  local full = (os.getenv "PERIGEE_SOURCE" or ".") .. "/../shared/data/" .. path
  local file = io.open(full)
  if file then file:close() end
  return file and full
end

-- ---- LIBSVM -----------------------------------------------------------------------------------------------------

local libsvm = peri.data.libsvm
local small = libsvm(written("small", "+1 1:0.5 3:-2e1  # comment\n\n-1 2:7\r\n3 \n"))
t.is(small.features:rows(), 3, "libsvm: rows")
t.is(small.features:cols(), 3, "libsvm: columns")
t.all_close(small.labels, { 1, -1, 3 }, 0, 0, "libsvm: labels")
t.all_close((small.features % peri.array { 1, 10, 100 }), { -1999.5, 70, 0 }, 0, 0, "libsvm: features")
local signed = libsvm(folder .. "/small", { columns = 5, positive = 3 })
t.all_close(signed.labels, { -1, -1, 1 }, 0, 0, "libsvm: labels made +1 and -1")
t.is(signed.features:cols(), 5, "libsvm: columns that no line shows")

all_fail(libsvm, "libsvm", {
  { "", "file:0: the file ends without a sample" },
  { "# nothing\n\n", "file:2: the file ends without a sample" },
  { "1 1:2\nx 1:2\n", 'file:2: expected the sample\'s label, a number, found "x"' },
  { "nan 1:2\n", 'file:1: expected the sample\'s label, a number, found "nan"' },
  { "1 1:2\n1 1:nan\n", 'file:2: expected index:value with a finite value, found "1:nan"' },
  { "1 1:inf\n", 'file:1: expected index:value with a finite value, found "1:inf"' },
  { "1 1:1e999\n", 'file:1: expected index:value with a finite value, found "1:1e999"' },
  { "1 1:\n", 'file:1: expected index:value with a finite value, found "1:"' },
  { "1 1:0x10\n", 'file:1: expected index:value with a finite value, found "1:0x10"' },
  { "1 0:4\n", "file:1: index 0 after 0: indices start at 1 and ascend" },
  { "1 2:4 2:5\n", "file:1: index 2 after 2: indices start at 1 and ascend" },
  { "1 1.5:4\n", 'file:1: expected index:value with a finite value, found "1.5:4"' },
  { "1 2:4 9:5\n", "file:1: index 9, but 8 columns were asked for", { columns = 8 } },
})
t.raises(libsvm, "libsvm: cannot open " .. folder .. "/none", "libsvm: a missing file", folder .. "/none")
t.raises(function() return #libsvm(folder .. "/none") end, "data.lua:70: libsvm:",
  "libsvm: a missing file is an error of the script's line")
t.raises(libsvm, "unknown option column (did you mean columns?)", "libsvm: an unknown option", folder .. "/small",
  { column = 3 })
t.raises(libsvm, "no sample of " .. folder .. "/small has the label 4", "libsvm: no positive sample",
  folder .. "/small", { positive = 4 })
t.raises(libsvm, "a file's path is needed, not a nil", "libsvm: no path")

-- ---- CSV --------------------------------------------------------------------------------------------------------

local csv = peri.data.csv
local flowers = csv(written("flowers", 'length,"the ""kind""", width \n1.5,a,2\n\n-3, "b,c" ,4e-1\n'))
t.is(table.concat(flowers.names, "|"), 'length|the "kind"|width', "csv: names")
t.is(flowers.rows, 2, "csv: rows")
t.all_close(flowers.columns.length, { 1.5, -3 }, 0, 0, "csv: a column of numbers")
t.is(table.concat(flowers.columns['the "kind"'], "|"), "a|b,c", "csv: a column of text")
local both = flowers:matrix { "width", "length" }
t.is(both:rows() * 10 + both:cols(), 22, "csv: a matrix of columns")
t.all_close(both[2], { 0.4, -3 }, 0, 0, "csv: a row of it")
local bare = csv(written("bare", "1;2\n3;4\n"), { header = false, separator = ";" })
t.all_close(bare.columns.c2, { 2, 4 }, 0, 0, "csv: no header, another separator")
t.raises(flowers.matrix, "csv: no column is called lenght (did you mean length?)", "csv: an unknown column", flowers,
  { "lenght" })
t.raises(flowers.matrix, 'csv: column the "kind" holds text, not numbers', "csv: a matrix of text", flowers,
  { 'the "kind"' })

all_fail(csv, "csv", {
  { "", "file:0: the file ends without a row of values" },
  { "a,b\n", "file:1: the file ends without a row of values" },
  { "a,a\n1,2\n", 'file:1: two columns are called "a"' },
  { "a,\n1,2\n", "file:1: expected a name for column 2" },
  { "a,b\n1,2\n1\n", "file:3: expected 2 values, found 1" },
  { "a,b\n1,2\n1,2,3\n", "file:3: expected 2 values, found 3" },
  { "a,b\n1,2\n1,x\n", 'file:3: expected a finite number for column b, found "x"' },
  { "a,b\n1,2\n1,nan\n", 'file:3: expected a finite number for column b, found "nan"' },
  { "a,b\n1,NaN\n", 'file:2: expected a value for column b, found "NaN"' },
  { "a,b\n1,\n", "file:2: expected a value for column b" },
  { 'a,b\n1,"x\n', 'file:2: expected a closing " before the line ends' },
  { 'a,b\n1,"x"y\n', 'file:2: expected "," after the closing quote' },
})

-- ---- Matrix Market ------------------------------------------------------------------------------------------------

local mtx = peri.data.matrix_market
local banner = "%%MatrixMarket matrix "

--- A sparse or dense matrix as its rows.
local function rows(a)
  local list = {}
  for j = 1, a:cols() do
    local unit = {}
    for k = 1, a:cols() do unit[k] = k == j and 1 or 0 end
    local column = a % peri.array(unit)
    for i = 1, a:rows() do
      list[i] = list[i] or {}
      list[i][j] = column[i]
    end
  end
  return list
end

local function flat(a)
  local out = {}
  for _, row in ipairs(rows(a)) do
    for _, v in ipairs(row) do out[#out + 1] = v end
  end
  return out
end

local general = mtx(written("general", banner .. "coordinate real general\n% c\n2 3 2\n1 3 -1.5\n2 1 4\n"))
t.all_close(flat(general), { 0, 0, -1.5, 4, 0, 0 }, 0, 0, "mtx: coordinate real general")
t.all_close(flat(mtx(written("s", banner .. "coordinate integer symmetric\n2 2 2\n1 1 3\n2 1 4\n"))),
  { 3, 4, 4, 0 }, 0, 0, "mtx: symmetric")
t.all_close(flat(mtx(written("k", banner .. "coordinate real skew-symmetric\n2 2 1\n2 1 4\n"))), { 0, -4, 4, 0 }, 0, 0,
  "mtx: skew-symmetric")
t.all_close(flat(mtx(written("p", banner .. "coordinate pattern general\n2 2 1\n1 2\n"))), { 0, 1, 0, 0 }, 0, 0,
  "mtx: pattern")
t.all_close(flat(mtx(written("a", banner .. "array real general\n2 2\n1\n2\n3\n4\n"))), { 1, 3, 2, 4 }, 0, 0,
  "mtx: array")
t.all_close(flat(mtx(written("as", banner .. "array real symmetric\n2 2\n1\n2\n3\n"))), { 1, 2, 2, 3 }, 0, 0,
  "mtx: symmetric array")
local real, imaginary = mtx(written("h", banner .. "coordinate complex hermitian\n2 2 2\n1 1 3 0\n2 1 4 5\n"))
t.all_close(flat(real), { 3, 4, 4, 0 }, 0, 0, "mtx: hermitian, real part")
t.all_close(flat(imaginary), { 0, -5, 5, 0 }, 0, 0, "mtx: hermitian, imaginary part")

all_fail(mtx, "mtx", {
  { "", "file:1: expected the banner %%MatrixMarket matrix ..." },
  { "1 1 1\n", "file:1: expected the banner %%MatrixMarket matrix ..." },
  { banner .. "sparse real general\n", 'file:1: expected coordinate or array, found "sparse"' },
  { banner .. "array text general\n", 'file:1: expected real, integer, pattern or complex, found "text"' },
  { banner .. "array real diagonal\n",
    'file:1: expected general, symmetric, skew-symmetric or hermitian, found "diagonal"' },
  { banner .. "array pattern general\n", "file:1: an array of pattern entries has no values" },
  { banner .. "coordinate real general\n", "file:1: the file ends before the matrix' sizes" },
  { banner .. "coordinate real general\n2 2\n", "file:2: expected the matrix' sizes (3 numbers), found 2" },
  { banner .. "coordinate real general\n2 x 1\n", 'file:2: expected the matrix\' sizes, found "x"' },
  { banner .. "coordinate real symmetric\n2 3 1\n", "file:2: a symmetric matrix is square, not 2 x 3" },
  { banner .. "coordinate real general\n2 2 2\n1 1 1\n", "file:3: the file ends after 1 of 2 entries" },
  { banner .. "coordinate real general\n2 2 1\n1 1 1\n1 2 1\n",
    "file:4: expected the end of the file after 1 entries" },
  { banner .. "coordinate real general\n2 2 1\n3 1 1\n", "file:3: expected a row between 1 and 2, found 3" },
  { banner .. "coordinate real general\n2 2 1\n1 1.5 1\n", "file:3: expected a column between 1 and 2, found 1.5" },
  { banner .. "coordinate real general\n2 2 1\n1 1 nan\n", 'file:3: expected row, column and value, found "nan"' },
  { banner .. "coordinate real symmetric\n2 2 1\n1 2 1\n", "file:3: entry (1, 2): only the lower triangle is stored" },
  { banner .. "coordinate real skew-symmetric\n2 2 1\n1 1 1\n",
    "file:3: entry (1, 1): a skew-symmetric diagonal is zero" },
})

-- ---- MATPOWER -----------------------------------------------------------------------------------------------------

local matpower = peri.data.matpower
local text = [[
function mpc = two
mpc.version = '2';
mpc.baseMVA = 100.0;
%% bus data
mpc.bus = [
  1  3  0.0  0.0  0.0 0.0  1  1.0  0.0  230.0  1  1.1  0.9;
  7  1  50 20  0.0 5.0  1  1.0  0.0  230.0  1  1.1  0.9; % load
];
mpc.gen = [
  1  50.0  0.0  100.0  -100.0  1.0  100.0  1  200.0  0.0;
];
mpc.gencost = [
  2  0.0  0.0  3  0.01  20  5;
];
mpc.branch = [
  1  7  0.01  0.1  0.02  100  0  0  0  0.0  1  -30  30;
];
mpc.bus_name = {
  'one % two';
};
]]
local case = matpower(written("two.m", text))
t.is(case.name, "two", "matpower: name")
t.is(case.base_mva, 100, "matpower: base power")
t.is(case.bus.n * 100 + case.gen.n * 10 + case.branch.n, 211, "matpower: sizes")
t.is(case.bus.row[7], 2, "matpower: rows by bus number")
t.is(case.bus.bs[2] + case.bus.pd[2], 55, "matpower: a bus")
t.all_close(case.gencost.cost[1], { 0.01, 20, 5 }, 0, 0, "matpower: a cost")
t.is(case.branch.line[1], 16, "matpower: lines")

--- The case with one piece of its text replaced.
local function changed(from, to)
  local at, stop = text:find(from, 1, true)
  return text:sub(1, at - 1) .. to .. text:sub(stop + 1)
end

all_fail(matpower, "matpower", {
  { changed("'2'", "'1'"), "file:2: expected case format version 2, found 1" },
  { changed("100.0;\n%%", "-1;\n%%"), "file:3: expected mpc.baseMVA, a positive number" },
  { changed("100.0;\n%%", "many;\n%%"), "file:3: expected a number, a text or a matrix for mpc.baseMVA" },
  { changed("mpc.baseMVA = 100.0;", ""), "file:20: the file ends without mpc.baseMVA" },
  { changed("mpc.baseMVA", "mpc.version"), "file:3: mpc.version is given twice, first in line 2" },
  { changed("7  1  50 20", "7  1  nan 20"), 'file:7: expected a number in mpc.bus, found "nan"' },
  { changed("7  1  50 20", "7  1  Inf 20"), "file:7: bus 2: expected a finite pd, found inf" },
  { changed("7  1  50 20", "7  1  50"), "file:7: expected 13 numbers in this row of mpc.bus, found 12" },
  { changed("7  1  50", "1  1  50"), "file:7: bus 2: bus number 1 is taken by row 1" },
  { changed("7  1  50", "7.5  1  50"), "file:7: bus 2: expected a positive bus number, found 7.5" },
  { changed("7  1  50", "7  5  50"), "file:7: bus 2: expected a type 1, 2, 3 or 4, found 5" },
  { changed("1.1  0.9;\n  7", "0.8  0.9;\n  7"), "file:6: bus 1: vmin 0.9 is above vmax 0.8" },
  { changed("1  50.0  0.0", "2  50.0  0.0"), "file:10: gen 1: bus 2 is not a bus" },
  { changed("200.0  0.0;", "200.0  300;"), "file:10: gen 1: pmin 300 is above pmax 200" },
  { changed("1  7  0.01  0.1", "1  8  0.01  0.1"), "file:16: branch 1: tbus 8 is not a bus" },
  { changed("1  7  0.01  0.1", "1  7  0  0"),
    "file:16: branch 1: a branch without resistance and reactance cannot be modelled" },
  { changed("-30  30", "30  -30"), "file:16: branch 1: angmin 30 is above angmax -30" },
  { changed("2  0.0  0.0  3", "3  0.0  0.0  3"), "file:13: gencost 1: expected model 1 or 2, found 3" },
  { changed("2  0.0  0.0  3", "2  0.0  0.0  4"), "file:13: gencost 1: expected 4 cost values, found 3" },
  { changed("mpc.gen =", "mpc.generator ="), "file:20: the file ends without mpc.gen" },
  { changed("mpc.bus_name", "if x == 3\nmpc.bus_name"), 'file:18: expected mpc.NAME = value, found "if x == 3"' },
  { changed("mpc.bus_name = {", "mpc.dcline = [1 2 3];\nmpc.bus_name = {"),
    "file:18: mpc.dcline: direct-current lines are not modelled" },
})
t.raises(matpower, "cannot open", "matpower: a missing file", folder .. "/none.m")

local tables = {
  name = "tables", base_mva = 100,
  bus = { { 1, 3, 0, 0, 0, 0, 1, 1, 0, 230, 1, 1.1, 0.9 } },
  gen = { { 1, 50, 0, 100, -100, 1, 100, 1, 200, 0 } },
  branch = { { 1, 1, 0.01, 0.1, 0.02, 100, 0, 0, 0, 0, 1 } },
}
t.is(peri.data.matpower_case(tables).branch.angmax[1], 360, "matpower_case: missing columns have their defaults")
tables.gen[1][2] = 0 / 0
t.raises(peri.data.matpower_case, "matpower_case: gen 1: expected a finite pg, found", "matpower_case: NaN", tables)

--- Cut after every line: either one clear line, or (at the end) a case as before.
local function truncations(whole)
  local lines, bad = {}, nil
  for line in whole:gmatch("[^\n]*\n") do lines[#lines + 1] = line end
  local refused = 0
  for k = 0, #lines do
    local message = failure(matpower, table.concat(lines, "", 1, k))
    if message then
      refused = refused + 1
      if not message:find("^file:%d+: [^\n]+$") then bad = bad or message end
    end
  end
  return bad, refused, #lines
end

local bad, refused, lines = truncations(text)
t.is(bad, nil, "matpower: truncated after every line, one clear line each")
t.is(refused, lines - 1, "matpower: only what lacks nothing is accepted")
local pglib = shared "pglib-opf/pglib_opf_case14_ieee.m"
if pglib then
  local file <close> = assert(io.open(pglib, "rb"))
  bad, refused, lines = truncations(file:read "a")
  t.is(bad, nil, "matpower: a PGLib case truncated after every line")
  t.ok(refused > 50 and refused < lines, "matpower: most of these are refused, the whole is not")
else
  t.skip(2, "no ../shared/data")
end

-- ---- what public files hold ---------------------------------------------------------------------------------------

local large = shared "pglib-opf/pglib_opf_case1354_pegase.m"
if large then
  local start = os.clock()
  local pegase = matpower(large)
  t.is(pegase.bus.n .. " " .. pegase.branch.n .. " " .. pegase.gen.n, "1354 1991 260", "matpower: 1354pegase")
  t.ok(os.clock() - start < 5, "matpower: a large case is read in seconds")
else
  t.skip(2, "no ../shared/data")
end

--- name -> fields of a table of published values
local function published(path)
  local list = {}
  for line in io.lines(path) do
    local fields = {}
    for field in (line .. "\t"):gmatch("([^\t]*)\t") do fields[#fields + 1] = field end
    list[#list + 1] = fields
  end
  return list
end

local sets = shared "libsvm/optima.tsv"
for k, row in ipairs(sets and published(sets) or {}) do
  if k > 1 then
    local data = libsvm(shared("libsvm/" .. row[1]))
    local sizes = ("%d %d %d"):format(#data.labels, data.features:rows(), data.features:cols())
    t.is(sizes, row[3] .. " " .. row[3] .. " " .. row[4], "libsvm: sizes of " .. row[1])
  end
end
if not sets then t.skip(1, "no ../shared/data") end

local matrices = shared "suitesparse-mtx/optima.tsv"
for k, row in ipairs(matrices and published(matrices) or {}) do
  if k > 1 then
    local a = mtx(shared("suitesparse-mtx/" .. row[1] .. ".mtx"))
    t.is(("%d %d"):format(a:rows(), a:cols()), row[3] .. " " .. row[4], "mtx: sizes of " .. row[1])
  end
end
if not matrices then t.skip(1, "no ../shared/data") end

os.execute("rm -r " .. folder)
t.done()
