-- SPDX-License-Identifier: Apache-2.0
-- @NAME@ - dense LDL' without pivoting, for symmetric matrices that have that factorisation in every order: definite and
-- quasi-definite ones (Golub and Van Loan 2013, section 4.1.2; Vanderbei 1995). After factor: state.l[j] is column j of the unit
-- triangle L below the diagonal, state.d the diagonal.

local peri = require "perigee"

-- analyse: once for a pattern
local function analyse(state, _, options, A)
  state.options, state.n = options, #A
end

-- A row of a matrix of one column is a number.
local function entry(A, i, j)
  local row = A[i]
  return type(row) == "number" and row or row[j]
end

-- The lower triangle by columns, and its largest entry.
local function columns(A, n)
  local a, most = {}, 0
  for j = 1, n do
    a[j] = {}
    for i = j, n do
      a[j][i] = entry(A, i, j)
      most = math.max(most, math.abs(a[j][i]))
    end
  end
  return a, most
end

-- factor: for each set of values. false: singular; else true and the numbers of positive, negative, zero eigenvalues
local function factor(state, _, A)
  local n, positive, negative = state.n, 0, 0
  local a, most = columns(A, n)
  state.l, state.d = a, {}
  for j = 1, n do
    local pivot = a[j][j]
    if not (math.abs(pivot) > state.options.singular * most) then return false end
    state.d[j] = pivot
    if pivot > 0 then positive = positive + 1 else negative = negative + 1 end
    for k = j + 1, n do
      local share = a[j][k] / pivot
      for i = k, n do a[k][i] = a[k][i] - share * a[j][i] end
    end
    for i = j + 1, n do a[j][i] = a[j][i] / pivot end
  end
  return true, positive, negative, 0
end

-- solve: for each right-hand side
local function solve(state, _, b)
  local n, l = state.n, state.l
  for j = 1, n do
    for i = j + 1, n do b[i] = b[i] - l[j][i] * b[j] end
  end
  for j = 1, n do b[j] = b[j] / state.d[j] end
  for j = n, 1, -1 do
    for i = j + 1, n do b[j] = b[j] - l[j][i] * b[i] end
  end
  return b
end

peri.plugin {
  name = "@NAME@",
  kind = "linear_solver",
  family = "linear",
  version = "0.1",
  license = "Apache-2.0",
  summary = "dense LDL' without pivoting, for definite and quasi-definite systems",
  page = [[
Factorises a symmetric matrix as L D L' in the order of the unknowns, for systems of some dozens of unknowns. Definite and
quasi-definite matrices have this factorisation; for indefinite ones a solver that pivots is needed. The inertia is that of D.
A pivot up to "singular" times the largest entry counts as zero.]],
  reference = "Golub and Van Loan 2013, Matrix Computations, 4th ed., section 4.1.2; Vanderbei 1995, SIAM J. Optim. 5:100",
  solves = { "definite", "quasidefinite", "dense" },
  gives = "inertia",
  options = {
    { name = "singular", type = "real", default = 1e-15, lower = 0, upper = 1e-3, help = "pivots up to this share of the largest entry are zero" },
  },
  analyse = analyse,
  factor = factor,
  solve = solve,
}
