---@meta perigee
-- SPDX-License-Identifier: Apache-2.0
-- Definitions for the Lua language server. tests/lua/dsl_meta.lua compares the names with the binding's.

---@alias perigee.value number|perigee.expr|perigee.array|number[]

---An expression of a model: a scalar, a vector (column) or a matrix.
---@class perigee.expr
---@operator add(perigee.value): perigee.expr
---@operator sub(perigee.value): perigee.expr
---@operator mul(perigee.value): perigee.expr
---@operator div(perigee.value): perigee.expr
---@operator pow(perigee.value): perigee.expr
---@operator mod(perigee.value): perigee.expr
---@operator unm: perigee.expr
---@operator len: integer
---@field [integer] perigee.expr
local expr = {}

---Numbers: dense or sparse, a vector or a matrix.
---@class perigee.array
---@operator add(perigee.value): perigee.array
---@operator sub(perigee.value): perigee.array
---@operator mul(perigee.value): perigee.array
---@operator div(perigee.value): perigee.array
---@operator pow(perigee.value): perigee.array
---@operator mod(perigee.value): perigee.array
---@operator unm: perigee.array
---@operator len: integer
---@field [integer] number|perigee.array
local array = {}

---@class perigee.constraint
---@class perigee.handle
---@class perigee.model
---@field name string
local model = {}

---@class perigee.row
---@field iteration integer
---@field seconds number
---@field objective number?
---@field primal number?
---@field dual number?
---@field complementarity number?
---@field step number?
---@field trust_radius number?
---@field barrier number?
---@field regularization number?
---@field inner_iterations integer? of the problems that a reformulation had solved
---@field tag string?
---@field best boolean

---@alias perigee.status
---| "optimal" | "locally_optimal" | "feasible" | "infeasible" | "unbounded" | "iteration_limit" | "time_limit"
---| "interrupted" | "numerical_error" | "error"

---The engine's options and those of every plugin are in perigee-options.d.lua, which is made from their tables.
---@class perigee.options
---@field callback (fun(row: perigee.row): boolean?)? called after each iteration; true ends the solve
---@field warm_start (perigee.solution|perigee.warm_start|boolean)? where to begin

---@class perigee.solution
---@field status perigee.status
---@field objective number
---@field message string why it stopped, where there is something to say
---@field solver string
---@field plan string
---@field iterations integer
---@field seconds number
---@field certificate { primal: number, dual: number, complementarity: number, kkt: number, lower_gap: number? }
---@field form string? "optimistic" with lower models: of several minima below, the one that is best above
---@field levels { name: string, state: string, convex: boolean, solves: integer, objective: number, best: number, gap: number, residual: number }[] what independent solves of lower models found
---@field evaluations { objective: integer, gradient: integer, constraints: integer, jacobian: integer, hessian: integer, products: integer }
---@field times table<string, number> seconds
---@field history perigee.row[]
---@field optima { objective: number }[] distinct optima of multistart, best first; their points: `sol:value(x, k)`
---@field diagnosis perigee.diagnosis? why it is not solved; nil where it is
---@field path number[][] of a model with two variables: the points of the history's rows
---@field [perigee.expr] number|perigee.array
local solution = {}

---@class perigee
---@field version string
local peri = {}

---element by element (non-smooth)
---@param e perigee.value
---@return perigee.expr
function peri.abs(e) end

---element by element (non-smooth)
---@return perigee.expr
function expr:abs() end

---element by element (non-smooth)
---@return perigee.array|number
function array:abs() end

---element by element
---@param e perigee.value
---@return perigee.expr
function peri.acos(e) end

---element by element
---@return perigee.expr
function expr:acos() end

---element by element
---@return perigee.array|number
function array:acos() end

---element by element
---@param e perigee.value
---@return perigee.expr
function peri.asin(e) end

---element by element
---@return perigee.expr
function expr:asin() end

---element by element
---@return perigee.array|number
function array:asin() end

---element by element
---@param e perigee.value
---@return perigee.expr
function peri.atan(e) end

---element by element
---@return perigee.expr
function expr:atan() end

---element by element
---@return perigee.array|number
function array:atan() end

---element by element
---@param e perigee.value
---@return perigee.expr
function peri.cos(e) end

---element by element
---@return perigee.expr
function expr:cos() end

---element by element
---@return perigee.array|number
function array:cos() end

---element by element
---@param e perigee.value
---@return perigee.expr
function peri.cosh(e) end

---element by element
---@return perigee.expr
function expr:cosh() end

---element by element
---@return perigee.array|number
function array:cosh() end

---@class perigee.acyclic_options
---@field form? "exponential"|"log-determinant"|"polynomial" tr(exp A) - d (the default), d log s - log det(s I - A), tr((I + A/d)^d) - d
---@field of? "square"|"abs" A is W o W, entry by entry (the default), or |W|
---@field s? number of the log-determinant, 1 unless given

--- The constraint that the graph with an edge i -> j wherever W[i][j] is not zero has no cycle. Solvers see the smooth equation h(W) = 0; `topo` and
--- other methods for graphs see the graph.
---@param W perigee.expr a square matrix
---@param opts? perigee.acyclic_options
---@return perigee.constraint
function peri.acyclic(W, opts) end

--- The function h >= 0 of peri.acyclic, which vanishes exactly where the graph of W has no cycle.
---@param W perigee.expr|perigee.array
---@param opts? perigee.acyclic_options
---@return perigee.expr|number
function peri.acyclicity(W, opts) end

--- Nuclear norm: the sum of the singular values of a matrix. Non-smooth where one is zero; projected-gradient and fista know its operator.
---@param e perigee.expr|perigee.array
---@return perigee.expr
function peri.norm_nuclear(e) end


---running sums down each column
---@param e perigee.value
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function peri.cumsum(e, dim) end

---running sums down each column
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function expr:cumsum(dim) end

---running sums down each column
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.array|number
function array:cumsum(dim) end

---diagonal of a matrix; diagonal matrix of a vector
---@param e perigee.value
---@return perigee.expr
function peri.diag(e) end

---diagonal of a matrix; diagonal matrix of a vector
---@return perigee.expr
function expr:diag() end

---diagonal of a matrix; diagonal matrix of a vector
---@return perigee.array|number
function array:diag() end

---element by element
---@param e perigee.value
---@return perigee.expr
function peri.exp(e) end

---element by element
---@return perigee.expr
function expr:exp() end

---element by element
---@return perigee.array|number
function array:exp() end

---matrix exponential
---@param e perigee.value
---@return perigee.expr
function peri.expm(e) end

---matrix exponential
---@return perigee.expr
function expr:expm() end

---matrix exponential
---@return perigee.array|number
function array:expm() end

---exp(e) - 1
---@param e perigee.value
---@return perigee.expr
function peri.expm1(e) end

---exp(e) - 1
---@return perigee.expr
function expr:expm1() end

---exp(e) - 1
---@return perigee.array|number
function array:expm1() end

---natural logarithm, element by element
---@param e perigee.value
---@return perigee.expr
function peri.log(e) end

---natural logarithm, element by element
---@return perigee.expr
function expr:log() end

---natural logarithm, element by element
---@return perigee.array|number
function array:log() end

---log(1 + e)
---@param e perigee.value
---@return perigee.expr
function peri.log1p(e) end

---log(1 + e)
---@return perigee.expr
function expr:log1p() end

---log(1 + e)
---@return perigee.array|number
function array:log1p() end

---log of the determinant
---@param e perigee.value
---@return perigee.expr
function peri.logdet(e) end

---log of the determinant
---@return perigee.expr
function expr:logdet() end

---log of the determinant
---@return perigee.array|number
function array:logdet() end

---log of the sum of exponentials, without overflow
---@param e perigee.value
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function peri.logsumexp(e, dim) end

---log of the sum of exponentials, without overflow
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function expr:logsumexp(dim) end

---log of the sum of exponentials, without overflow
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.array|number
function array:logsumexp(dim) end

---largest entry (non-smooth)
---@param e perigee.value
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function peri.max(e, dim) end

---largest entry (non-smooth)
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function expr:max(dim) end

---largest entry (non-smooth)
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.array|number
function array:max(dim) end

---mean of all entries
---@param e perigee.value
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function peri.mean(e, dim) end

---mean of all entries
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function expr:mean(dim) end

---mean of all entries
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.array|number
function array:mean(dim) end

---smallest entry (non-smooth)
---@param e perigee.value
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function peri.min(e, dim) end

---smallest entry (non-smooth)
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function expr:min(dim) end

---smallest entry (non-smooth)
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.array|number
function array:min(dim) end

---sum of absolute values (non-smooth)
---@param e perigee.value
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function peri.norm1(e, dim) end

---sum of absolute values (non-smooth)
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function expr:norm1(dim) end

---sum of absolute values (non-smooth)
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.array|number
function array:norm1(dim) end

---Euclidean (Frobenius) norm
---@param e perigee.value
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function peri.norm2(e, dim) end

---Euclidean (Frobenius) norm
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function expr:norm2(dim) end

---Euclidean (Frobenius) norm
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.array|number
function array:norm2(dim) end

---largest absolute value (non-smooth)
---@param e perigee.value
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function peri.norminf(e, dim) end

---largest absolute value (non-smooth)
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function expr:norminf(dim) end

---largest absolute value (non-smooth)
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.array|number
function array:norminf(dim) end

---max(e, 0) (non-smooth)
---@param e perigee.value
---@return perigee.expr
function peri.relu(e) end

---max(e, 0) (non-smooth)
---@return perigee.expr
function expr:relu() end

---max(e, 0) (non-smooth)
---@return perigee.array|number
function array:relu() end

---1 / (1 + exp(-e)), without overflow
---@param e perigee.value
---@return perigee.expr
function peri.sigmoid(e) end

---1 / (1 + exp(-e)), without overflow
---@return perigee.expr
function expr:sigmoid() end

---1 / (1 + exp(-e)), without overflow
---@return perigee.array|number
function array:sigmoid() end

---element by element
---@param e perigee.value
---@return perigee.expr
function peri.sin(e) end

---element by element
---@return perigee.expr
function expr:sin() end

---element by element
---@return perigee.array|number
function array:sin() end

---element by element
---@param e perigee.value
---@return perigee.expr
function peri.sinh(e) end

---element by element
---@return perigee.expr
function expr:sinh() end

---element by element
---@return perigee.array|number
function array:sinh() end

---exponentials over their sum, of a vector
---@param e perigee.value
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function peri.softmax(e, dim) end

---exponentials over their sum, of a vector
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function expr:softmax(dim) end

---exponentials over their sum, of a vector
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.array|number
function array:softmax(dim) end

---log(1 + exp(e)), without overflow
---@param e perigee.value
---@return perigee.expr
function peri.softplus(e) end

---log(1 + exp(e)), without overflow
---@return perigee.expr
function expr:softplus() end

---log(1 + exp(e)), without overflow
---@return perigee.array|number
function array:softplus() end

---element by element
---@param e perigee.value
---@return perigee.expr
function peri.sqrt(e) end

---element by element
---@return perigee.expr
function expr:sqrt() end

---element by element
---@return perigee.array|number
function array:sqrt() end

---e without derivatives
---@param e perigee.value
---@return perigee.expr
function peri.stop(e) end

---e without derivatives
---@return perigee.expr
function expr:stop() end

---e without derivatives
---@return perigee.array|number
function array:stop() end

---sum of all entries
---@param e perigee.value
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function peri.sum(e, dim) end

---sum of all entries
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.expr
function expr:sum(dim) end

---sum of all entries
---@param dim integer|nil 1: down the columns, leaves a row; 2: along the rows, leaves a column
---@return perigee.array|number
function array:sum(dim) end

---transpose
---@param e perigee.value
---@return perigee.expr
function peri.t(e) end

---transpose
---@return perigee.expr
function expr:t() end

---transpose
---@return perigee.array|number
function array:t() end

---element by element
---@param e perigee.value
---@return perigee.expr
function peri.tan(e) end

---element by element
---@return perigee.expr
function expr:tan() end

---element by element
---@return perigee.array|number
function array:tan() end

---element by element
---@param e perigee.value
---@return perigee.expr
function peri.tanh(e) end

---element by element
---@return perigee.expr
function expr:tanh() end

---element by element
---@return perigee.array|number
function array:tanh() end

---sum of the diagonal
---@param e perigee.value
---@return perigee.expr
function peri.trace(e) end

---sum of the diagonal
---@return perigee.expr
function expr:trace() end

---sum of the diagonal
---@return perigee.array|number
function array:trace() end

---angle of (b, e)
---@param e perigee.value
---@param b perigee.value
---@return perigee.expr
function peri.atan2(e, b) end

---angle of (b, e)
---@param b perigee.value
---@return perigee.expr
function expr:atan2(b) end

---angle of (b, e)
---@param b perigee.value
---@return perigee.array|number
function array:atan2(b) end

---cross-correlation of an image with a kernel; with size, each row of e is an image and each row of kernel a filter
---@param e perigee.value
---@param kernel perigee.value
---@param options? {size: integer|integer[]|nil, kernel: integer|integer[]|nil, channels: integer|nil, stride: integer|integer[]|nil, padding: integer|integer[]|nil}
---@return perigee.expr
function peri.conv2d(e, kernel, options) end

---cross-correlation of an image with a kernel; with size, each row of e is an image and each row of kernel a filter
---@param kernel perigee.value
---@param options? {size: integer|integer[]|nil, kernel: integer|integer[]|nil, channels: integer|nil, stride: integer|integer[]|nil, padding: integer|integer[]|nil}
---@return perigee.expr
function expr:conv2d(kernel, options) end

---cross-correlation of an image with a kernel; with size, each row of e is an image and each row of kernel a filter
---@param kernel perigee.value
---@param options? {size: integer|integer[]|nil, kernel: integer|integer[]|nil, channels: integer|nil, stride: integer|integer[]|nil, padding: integer|integer[]|nil}
---@return perigee.array|number
function array:conv2d(kernel, options) end

---x with A x = b for a square matrix A; b may have several columns
---@param e perigee.value
---@param b perigee.value
---@return perigee.expr
function peri.solve(e, b) end

---x with A x = b for a square matrix A; b may have several columns
---@param b perigee.value
---@return perigee.expr
function expr:solve(b) end

---x with A x = b for a square matrix A; b may have several columns
---@param b perigee.value
---@return perigee.array|number
function array:solve(b) end

---count matrix products at once: matrices below each other in e and b, products below each other
---@param e perigee.value
---@param b perigee.value
---@param count integer
---@return perigee.expr
function peri.bmm(e, b, count) end

---count matrix products at once: matrices below each other in e and b, products below each other
---@param b perigee.value
---@param count integer
---@return perigee.expr
function expr:bmm(b, count) end

---count matrix products at once: matrices below each other in e and b, products below each other
---@param b perigee.value
---@param count integer
---@return perigee.array|number
function array:bmm(b, count) end

---the Kronecker product
---@param e perigee.value
---@param b perigee.value
---@return perigee.expr
function peri.kron(e, b) end

---the Kronecker product
---@param b perigee.value
---@return perigee.expr
function expr:kron(b) end

---the Kronecker product
---@param b perigee.value
---@return perigee.array|number
function array:kron(b) end

---side by side; same number of rows
---@param ... perigee.value
---@return perigee.expr
function peri.hstack(...) end

---side by side; same number of rows
---@param ... perigee.value
---@return perigee.expr
function expr:hstack(...) end

---side by side; same number of rows
---@param ... perigee.value
---@return perigee.array|number
function array:hstack(...) end

---sum of products of entries
---@param e perigee.value
---@param b perigee.value
---@return perigee.expr
function peri.dot(e, b) end

---sum of products of entries
---@param b perigee.value
---@return perigee.expr
function expr:dot(b) end

---sum of products of entries
---@param b perigee.value
---@return perigee.array|number
function array:dot(b) end

---larger of two, element by element (non-smooth)
---@param e perigee.value
---@param b perigee.value
---@return perigee.expr
function peri.max2(e, b) end

---larger of two, element by element (non-smooth)
---@param b perigee.value
---@return perigee.expr
function expr:max2(b) end

---larger of two, element by element (non-smooth)
---@param b perigee.value
---@return perigee.array|number
function array:max2(b) end

---smaller of two, element by element (non-smooth)
---@param e perigee.value
---@param b perigee.value
---@return perigee.expr
function peri.min2(e, b) end

---smaller of two, element by element (non-smooth)
---@param b perigee.value
---@return perigee.expr
function expr:min2(b) end

---smaller of two, element by element (non-smooth)
---@param b perigee.value
---@return perigee.array|number
function array:min2(b) end

---element by element, as ^
---@param e perigee.value
---@param b perigee.value
---@return perigee.expr
function peri.pow(e, b) end

---element by element, as ^
---@param b perigee.value
---@return perigee.expr
function expr:pow(b) end

---element by element, as ^
---@param b perigee.value
---@return perigee.array|number
function array:pow(b) end

---e a + b, rounded once
---@param e perigee.value
---@param a perigee.value
---@param b perigee.value
---@return perigee.expr
function peri.fma(e, a, b) end

---e a + b, rounded once
---@param a perigee.value
---@param b perigee.value
---@return perigee.expr
function expr:fma(a, b) end

---e a + b, rounded once
---@param a perigee.value
---@param b perigee.value
---@return perigee.array|number
function array:fma(a, b) end

---a where e > 0, else b
---@param e perigee.value
---@param a perigee.value
---@param b perigee.value
---@return perigee.expr
function peri.where(e, a, b) end

---a where e > 0, else b
---@param a perigee.value
---@param b perigee.value
---@return perigee.expr
function expr:where(a, b) end

---a where e > 0, else b
---@param a perigee.value
---@param b perigee.value
---@return perigee.array|number
function array:where(a, b) end

---arguments below each other; also stack{ a, b, ... }
---@param e perigee.value
---@param ... perigee.value
---@return perigee.expr
function peri.stack(e, ...) end

---arguments below each other; also stack{ a, b, ... }
---@param ... perigee.value
---@return perigee.expr
function expr:stack(...) end

---arguments below each other; also stack{ a, b, ... }
---@param ... perigee.value
---@return perigee.array|number
function array:stack(...) end

---the same entries, row by row, in another shape
---@param e perigee.value
---@param rows integer|integer[]
---@param cols? integer
---@return perigee.expr
function peri.reshape(e, rows, cols) end

---the same entries, row by row, in another shape
---@param rows integer|integer[]
---@param cols? integer
---@return perigee.expr
function expr:reshape(rows, cols) end

---the same entries, row by row, in another shape
---@param rows integer|integer[]
---@param cols? integer
---@return perigee.array|number
function array:reshape(rows, cols) end

---e with a name, to be found and replaced
---@param e perigee.value
---@param name string
---@return perigee.expr
function peri.mark(e, name) end

---e with a name, to be found and replaced
---@param name string
---@return perigee.expr
function expr:mark(name) end

---e with a name, to be found and replaced
---@param name string
---@return perigee.array|number
function array:mark(name) end

---entries (rows of a matrix) first .. last
---@param e perigee.value
---@param first integer
---@param last integer
---@return perigee.expr
function peri.slice(e, first, last) end

---entries (rows of a matrix) first .. last
---@param first integer
---@param last integer
---@return perigee.expr
function expr:slice(first, last) end

---entries (rows of a matrix) first .. last
---@param first integer
---@param last integer
---@return perigee.array|number
function array:slice(first, last) end

---number of rows
---@param e perigee.value
---@return integer
function peri.rows(e) end

---number of rows
---@return integer
function expr:rows() end

---number of rows
---@return integer
function array:rows() end

---number of columns
---@param e perigee.value
---@return integer
function peri.cols(e) end

---number of columns
---@return integer
function expr:cols() end

---number of columns
---@return integer
function array:cols() end

---e <= b
---@param e perigee.value
---@param b perigee.value
---@return perigee.constraint
function peri.le(e, b) end

---e <= b
---@param b perigee.value
---@return perigee.constraint
function expr:le(b) end

---e <= b
---@param b perigee.value
---@return perigee.constraint
function array:le(b) end

---e >= b
---@param e perigee.value
---@param b perigee.value
---@return perigee.constraint
function peri.ge(e, b) end

---e >= b
---@param b perigee.value
---@return perigee.constraint
function expr:ge(b) end

---e >= b
---@param b perigee.value
---@return perigee.constraint
function array:ge(b) end

---e == b
---@param e perigee.value
---@param b perigee.value
---@return perigee.constraint
function peri.eq(e, b) end

---e == b
---@param b perigee.value
---@return perigee.constraint
function expr:eq(b) end

---e == b
---@param b perigee.value
---@return perigee.constraint
function array:eq(b) end

---e <= b <= c: in the middle is what is bounded
---@param e perigee.value
---@param b perigee.value
---@param c perigee.value
---@return perigee.constraint
function peri.between(e, b, c) end

---e <= b <= c: in the middle is what is bounded
---@param b perigee.value
---@param c perigee.value
---@return perigee.constraint
function expr:between(b, c) end

---e <= b <= c: in the middle is what is bounded
---@param b perigee.value
---@param c perigee.value
---@return perigee.constraint
function array:between(b, c) end

---derivative of a scalar, shaped as x
---@param e perigee.value
---@param x perigee.expr
---@return perigee.expr
function peri.grad(e, x) end

---derivative of a scalar, shaped as x
---@param x perigee.expr
---@return perigee.expr
function expr:grad(x) end

---derivative of a scalar, shaped as x
---@param x perigee.expr
---@return perigee.array|number
function array:grad(x) end

---entries of e by entries of x
---@param e perigee.value
---@param x perigee.expr
---@return perigee.expr
function peri.jacobian(e, x) end

---entries of e by entries of x
---@param x perigee.expr
---@return perigee.expr
function expr:jacobian(x) end

---entries of e by entries of x
---@param x perigee.expr
---@return perigee.array|number
function array:jacobian(x) end

---the derivative of e, of any shape, along v, shaped as x: forward mode
---@param e perigee.value
---@param x perigee.expr
---@param v perigee.value
---@return perigee.expr
function peri.jv(e, x, v) end

---the derivative of e, of any shape, along v, shaped as x: forward mode
---@param x perigee.expr
---@param v perigee.value
---@return perigee.expr
function expr:jv(x, v) end

---the derivative of e, of any shape, along v, shaped as x: forward mode
---@param x perigee.expr
---@param v perigee.value
---@return perigee.array|number
function array:jv(x, v) end

---the gradient by x of the sum of w * e, w shaped as e: reverse mode
---@param e perigee.value
---@param x perigee.expr
---@param w perigee.value
---@return perigee.expr
function peri.vj(e, x, w) end

---the gradient by x of the sum of w * e, w shaped as e: reverse mode
---@param x perigee.expr
---@param w perigee.value
---@return perigee.expr
function expr:vj(x, w) end

---the gradient by x of the sum of w * e, w shaped as e: reverse mode
---@param x perigee.expr
---@param w perigee.value
---@return perigee.array|number
function array:vj(x, w) end

---second derivatives of a scalar
---@param e perigee.value
---@param x perigee.expr
---@return perigee.expr
function peri.hessian(e, x) end

---second derivatives of a scalar
---@param x perigee.expr
---@return perigee.expr
function expr:hessian(x) end

---second derivatives of a scalar
---@param x perigee.expr
---@return perigee.array|number
function array:hessian(x) end

---e with nodes replaced everywhere
---@param e perigee.value
---@param by table<perigee.expr, perigee.value>
---@return perigee.expr
function peri.substitute(e, by) end

---e with nodes replaced everywhere
---@param by table<perigee.expr, perigee.value>
---@return perigee.expr
function expr:substitute(by) end

---e with nodes replaced everywhere
---@param by table<perigee.expr, perigee.value>
---@return perigee.array|number
function array:substitute(by) end

---value at the start point, or with variables set
---@param e perigee.value
---@param at? table<perigee.expr, number|number[]|perigee.array>
---@return number|perigee.array
function peri.value(e, at) end

---value at the start point, or with variables set
---@param at? table<perigee.expr, number|number[]|perigee.array>
---@return number|perigee.array
function expr:value(at) end

---value at the start point, or with variables set
---@param at? table<perigee.expr, number|number[]|perigee.array>
---@return number|perigee.array
function array:value(at) end

---values at many points at once: each row of what is given is a point; a single point given counts for all
---@param e perigee.value
---@param at table<perigee.expr, number|number[]|perigee.array>
---@return perigee.array
function peri.values(e, at) end

---values at many points at once: each row of what is given is a point; a single point given counts for all
---@param at table<perigee.expr, number|number[]|perigee.array>
---@return perigee.array
function expr:values(at) end

---values at many points at once: each row of what is given is a point; a single point given counts for all
---@param at table<perigee.expr, number|number[]|perigee.array>
---@return perigee.array
function array:values(at) end

---New data for a parameter, between solves.
---@param value number|number[]|perigee.array
function expr:set(value) end

---Lists of numbers, nested for a matrix.
---@return table
function array:totable() end

---Stored entries.
---@return integer
function array:nnz() end

---A vector of n entries; f is called once, with an index that stands for 1 .. n.
---@param n integer
---@param f fun(i: integer): perigee.value
---@return perigee.expr
function peri.map(n, f) end

--- A compiled function from a shared library, called through libffi. Of type "double(size_t, const double *)", the default, it is a function of an
--- array: f(x) of an expression is an expression, with derivatives where `gradient` names a function of type "void(size_t, const double *, double
--- *)", compared with differences at its first use unless check = false. NaN says that it is undefined there. Other types bind plain C functions,
--- called with numbers and arrays: double, float, int, int64, size_t, pointers to them, void, and pointers to functions of these, for which a Lua
--- function may be passed. That the type is right is a promise nobody can check. The library stays open.
---@param what { library: string?, symbol: string, type: string?, gradient: string?, check: boolean? } no library: the program itself
---@return fun(...): perigee.expr|number|perigee.pointer|nil
function peri.foreign(what) end

--- C code that calls a Lua function, or evaluates an expression of one variable, to be passed to foreign functions that keep it; it lives as long as
--- what is returned. Arrays that follow their length come as arrays; those that are not const are written back.
---@param type string for an expression "double(size_t, const double *)", "void(size_t, const double *, double *)" or "double(double)"
---@param fn fun(...): number|perigee.expr
---@param x perigee.expr? the variable, where an expression is given
---@return perigee.callback
function peri.callback(type, fn, x) end


---A Lua function of an array as a scalar expression without derivatives.
---@param fn fun(x: perigee.array): number
---@param x perigee.expr
---@return perigee.expr
function peri.blackbox(fn, x) end

---@class perigee.implicit_options
---@field residual? fun(y: perigee.expr, ...: perigee.expr): perigee.expr|perigee.array|number|number[] F(y, ...), zero at the solution; or fixed_point
---@field fixed_point? fun(y: perigee.expr, ...: perigee.expr): perigee.expr|perigee.array|number|number[] T(y, ...), y at the solution
---@field least_squares? fun(y: perigee.expr, ...: perigee.expr): perigee.expr|perigee.array|number|number[] r(y, ...), 1/2 |r|^2 least at the solution
---@field batch? integer|string[] how many instances, or their names: the functions are those of one, arguments and result those of all below each other
---@field mode? "exact"|"root" of least_squares: with second derivatives of r, or as if r were zero
---@field polish? boolean of least_squares: Newton's steps behind the others; default true
---@field start perigee.expr|perigee.array|number|number[] start values, which tell the unknown's shape; an expression may vary and has no part in derivatives
---@field arguments? perigee.expr|perigee.array|number|number[][] what the functions get after the unknown
---@field solver? "newton"|"fixed-point"|string|fun(start: number|perigee.array, ...: number|perigee.array): number|number[]|perigee.array|nil
---@field options? table<string, number|string|boolean> of the plan that `solver` names; of least_squares rule ("jaxopt" or "optimistix"), tolerance, iterations
---@field tolerance? number largest entry of F at the solution, relative; default 1e-10
---@field iterations? integer of newton (100) and fixed-point (10000)
---@field warm? boolean begin at the last solution
---@field linear_solver? "lu"|"normal-cg"|string a linear-solver plugin; default: factors of small or sparse Jacobians, else gmres
---@field linear_tolerance? number relative residual of iterative ones; default 1e-10
---@field linear_iterations? integer most products of iterative ones
---@field ridge? number added to the diagonal of the systems' matrix; default 0: a singular one is an error
---@field name? string for messages
---@field model? perigee.model where the equations read no expression
---@field unroll? integer so many steps of the fixed point instead, as expressions

---y(theta) with F(y, theta) = 0, as an expression with derivatives of all orders by the implicit function theorem
---@param options perigee.implicit_options
---@return perigee.expr
function peri.implicit(options) end

---@class perigee.instance
---@field name? string
---@field solved boolean
---@field iterations integer steps of its solver
---@field polished integer Newton's steps behind those of least squares
---@field objective number 1/2 |r|^2 of least squares, else 0
---@field residual number largest entry of the gradient, or of the equations

---What became of the instances of a batch when they were last solved
---@param batch perigee.expr what peri.implicit{ batch = ... } gave
---@return perigee.instance[]
function peri.instances(batch) end

---@param name string?
---@return perigee.model
function peri.model(name) end

---@param numbers number[]|number[][]|perigee.array
---@return perigee.array
function peri.array(numbers) end

---@param rows integer|integer[]
---@param cols integer?
---@return perigee.array
function peri.zeros(rows, cols) end

---@param rows integer|integer[]
---@param cols integer?
---@return perigee.array
function peri.ones(rows, cols) end

---@param n integer
---@return perigee.array
function peri.eye(n) end

---@param first number
---@param last number
---@param n integer
---@return perigee.array
function peri.linspace(first, last, n) end

---@param entries { rows: integer, cols: integer, i: integer[], j: integer[], v: number[] }
---@return perigee.array
function peri.sparse(entries) end

---Random numbers from a seeded stream: with a seed always the same, without one the next of the script's own.
peri.random = {}

---@param opts { n: integer?, rows: integer?, cols: integer?, seed: integer?, mean: number?, sd: number? }
---@return perigee.array
function peri.random.normal(opts) end

---@param opts { n: integer?, rows: integer?, cols: integer?, seed: integer?, lower: number?, upper: number? }
---@return perigee.array
function peri.random.uniform(opts) end

---lower (1 where absent) .. upper, both included
---@param opts { n: integer?, rows: integer?, cols: integer?, seed: integer?, lower: integer?, upper: integer }
---@return perigee.array
function peri.random.integers(opts) end

---The seed of the calls without one.
---@param seed integer
function peri.random.seed(seed) end

---The engine's memory, for tests.
peri.debug = {}

---@return integer bytes, integer peak, integer blocks
function peri.debug.memory() end

function peri.debug.forget() end

---@param k integer
---@param persistent boolean?
function peri.debug.fail_at(k, persistent) end

---@class perigee.var_options
---@field lower number|number[]|perigee.array|nil
---@field upper number|number[]|perigee.array|nil
---@field start number|number[]|perigee.array|nil
---@field integer boolean?
---@field binary boolean?

---@param name string
---@param shape integer|integer[]|nil nothing: a scalar
---@param opts perigee.var_options?
---@return perigee.expr
function model:var(name, shape, opts) end

---@param name string
---@param value number|number[]|perigee.array
---@return perigee.expr
function model:param(name, value) end

---A model inside this one: its variables are to be optimal for its own objective and constraints, whatever values the variables around it
---have. It has `var`, `param`, `minimize`, `maximize`, `subject_to` and `lower`; it is solved with the outermost model.
---@param name string
---@return perigee.model
function model:lower(name) end

---The objective of this model is a sum whose terms are weighted by the entries of a parameter: stochastic methods evaluate random parts of
---it, by other weights.
---@param weights perigee.expr a parameter
function model:sampled(weights) end

---A function that projects onto the set of this model's bounds and constraints, in the place of the engine's own projection. It gets an
---array of all variables of the outermost model, in order of making, and returns the nearest point of the set, or nil where it is empty.
---@param project fun(v: perigee.array): perigee.array|number[]|nil
function model:projection(project) end
---@class perigee.argmin_options
---@field solver? string a plan for the lower problem
---@field options? table<string, number|string|boolean> of the plan
---@field mapping? "stationary"|"kkt" the conditions that are differentiated; default: the one that fits
---@field fixed_point? fun(...: perigee.expr): perigee.expr conditions of one's own over the model's variables (perigee.mappings)
---@field residual? fun(...: perigee.expr): perigee.expr
---@field unroll? integer so many steps of fixed_point instead, from the start values, as expressions; or of y - step * gradient within the bounds
---@field step? number of unroll
---@field warm? boolean begin at the last solution
---@field tolerance? number
---@field iterations? integer of the polishing by Newton
---@field linear_solver? "lu"|"normal-cg"|string
---@field linear_tolerance? number
---@field linear_iterations? integer
---@field ridge? number
---@field name? string for messages


--- The solution of a lower model as an expression, one a variable; the model is then no level of the problem any more.
---@param options perigee.argmin_options?
---@return perigee.expr ...
function model:argmin(options) end

---@param e perigee.value
function model:minimize(e) end

---@param e perigee.value
function model:maximize(e) end

---An optional name, then constraints and lists of them.
---@param ... string|perigee.constraint|boolean|table
---@return perigee.handle
function model:subject_to(...) end

---What the model is and how it would be solved, as `perigee explain` prints it: class, sizes, the repeated expressions that were found, plan.
---@param plan? string a solver or plan instead of the engine's choice
---@return string
function model:explain(plan) end

---@param solver (perigee.solver|string)? a method, or a plan of several links, as "augmented-lagrangian > lbfgs"; the engine picks where absent
---@param options perigee.options?
---@return perigee.solution
function model:solve(solver, options) end

function model:close() end

---@param e perigee.expr
---@param k integer? at number k of `optima` instead of the solution itself
---@return number|perigee.array
function solution:value(e, k) end

---Derivative of the optimal objective with respect to the right-hand side.
---@param handle perigee.handle
---@return number|perigee.array
function solution:dual(handle) end

---Multipliers of a variable's bounds.
---@param x perigee.expr
---@return number|perigee.array
function solution:reduced_cost(x) end

---@return string
function solution:json() end

---The JSON text in a file.
---@param path string
function solution:save(path) end

---@class perigee.side
---@field name string
---@field kind "constraint"|"bound"
---@field side "lower"|"upper"
---@field value number

---Why a solution is none; keys that do not apply are absent.
---@class perigee.diagnosis
---@field text string the same as lines of text
---@field nonfinite { where: string, row: string?, operation: string, expression: string?, text: string, at: table<string, number> }?
---@field residuals { name: string, kind: "constraint"|"bound", value: number, lower: number, upper: number, violation: number }[]
---@field linear_part "unknown"|"feasible"|"infeasible"
---@field conflict perigee.side[]
---@field minimal boolean?
---@field ray { direction: table<string, number>, slope: number, confirmed: boolean }?
---@field dependent { name: string, of: table<string, number> }[]
---@field rows { ratio: number, largest: table<string, number>, smallest: table<string, number> }?
---@field columns { ratio: number, largest: table<string, number>, smallest: table<string, number> }?
---@field steps { what: string, iterations: integer, value: number, text: string }[]
---@field notes string[]

---A picture by gnuplot: convergence, and for two variables the landscape with the path of the iterates. True, or false and what is missing.
---@param path string ends in .svg, .png or .pdf
---@param what ("convergence"|"contour")? only this
---@return boolean, string?
function solution:plot(path, what) end

---The objective, and the largest violation of bounds and constraints (negative inside), at other points.
---@param points number[][] each with as many numbers as the model has variables
---@return perigee.array objective, perigee.array violation
function solution:sample(points) end

---Point and multipliers by the names of variables and constraints: for another solver, another model with the same names, a file.
---@class perigee.warm_start
---@field model string the model's name
---@field variables table<string, number|perigee.array>
---@field duals table<string, number|perigee.array>
---@field reduced_costs table<string, number|perigee.array>
local warm_start = {}

---@param path string a JSON file, for `peri.warm_start` or `perigee solve --warm-start`
function warm_start:save(path) end

---@return string
function warm_start:json() end

---@return perigee.warm_start
function solution:warm_start() end

---What `sol:warm_start():save(path)`, `sol:save(path)` or the command wrote.
---@param path string
---@return perigee.warm_start
function peri.warm_start(path) end

---In place: the array becomes a copy of x; it is given back, as by the next four.
---@param x perigee.array|number[]
---@return perigee.array
function array:assign(x) end

---In place: t x is added.
---@param t number
---@param x perigee.array|number[]
---@return perigee.array
function array:axpy(t, x) end

---In place: multiplied by t.
---@param t number
---@return perigee.array
function array:scale(t) end

---In place: every entry becomes t.
---@param t number
---@return perigee.array
function array:fill(t) end

---In place: into the box between lower and upper.
---@param lower perigee.array|number[]
---@param upper perigee.array|number[]
---@return perigee.array
function array:clip(lower, upper) end

---The sum of the products, added from the first entry to the last.
---@param y perigee.array|number[]
---@return number
function array:inner(y) end

-- ---- plugins --------------------------------------------------------------------------------------------------------

---@alias perigee.trait
---| "bounds" | "integer" | "constraints" | "equalities" | "nonlinear_constraints" | "linear_objective" | "quadratic_objective"
---| "nonlinear_objective" | "convex" | "least_squares" | "nonsmooth" | "blackbox" | "gradient" | "hessian" | "sparse_hessian"
---| "objective" | "prox" | "compact" | "levels" | "multilevel" | "acyclic"
---@alias perigee.why "converged"|"stalled"|"infeasible"|"unbounded"|"limit"|"failed"
---@alias perigee.vector perigee.array|number[]
---@alias perigee.needs "definite"|"quasidefinite"|"indefinite"|"general"|"least_squares"

---@class perigee.option
---@field name string lower-case words joined by _
---@field type "real"|"int"|"bool"|"enum"|"string"
---@field default number|boolean|string?
---@field lower number? of a real or an int
---@field upper number?
---@field unit string? "1" unless given
---@field choices string[]? of an enum
---@field help string one line, not starting with "the"

---What peri.plugin takes. See docs/plugins.md.
---@class perigee.definition
---@field name string
---@field kind "solver"|"reformulation"|"linear_solver"|nil a solver unless given
---@field summary string one line
---@field family string?
---@field version string?
---@field license string?
---@field page string?
---@field reference string?
---@field needs perigee.trait|perigee.trait[]|nil
---@field refuses perigee.trait|perigee.trait[]|nil
---@field removes perigee.trait|perigee.trait[]|nil of a reformulation
---@field adds perigee.trait|perigee.trait[]|nil of a reformulation
---@field gives "duals"|"inertia"|nil
---@field flags string|string[]|nil automatic, random, global, whole_run
---@field solves string|string[]|nil of a linear solver: definite, quasidefinite, indefinite, general, least_squares, dense, iterative
---@field rank integer?
---@field options perigee.option[]?
---@field init nil|fun(state: table, run: perigee.run, options: table)
---@field step nil|fun(state: table, run: perigee.run): perigee.why?
---@field fini nil|fun(state: table, run: perigee.run)
---@field save nil|fun(state: table, run: perigee.run)
---@field load nil|fun(state: table, run: perigee.run)
---@field analyse nil|fun(state: table, run: perigee.run, options: table, A: perigee.array, kind: "symmetric"|"general"|"least_squares")
---@field factor nil|fun(state: table, run: perigee.run, A: perigee.array): boolean?, integer?, integer?, integer?
---@field attach nil|fun(state: table, run: perigee.run, options: table, op: perigee.operator_table) in place of analyse and factor, for an operator
---@field solve nil|fun(state: table, run: perigee.run, b: perigee.array): perigee.vector?, integer?
---@field solve_transposed nil|fun(state: table, run: perigee.run, b: perigee.array): perigee.vector?

---An operator as a linear solver in Lua sees it; each function writes to its second argument, if that is given.
---@class perigee.operator_table
---@field n integer
---@field apply fun(v: perigee.vector, out: perigee.array?): perigee.array
---@field apply_transposed nil|fun(v: perigee.vector, out: perigee.array?): perigee.array
---@field precondition nil|fun(v: perigee.vector, out: perigee.array?): perigee.array

---A plugin that was defined in Lua; joins with strings to plans.
---@class perigee.plugin
---@field name string
---@operator concat(string|perigee.plugin): string
local plugin = {}

---The page that `perigee show` prints.
---@return string
function plugin:page() end

---Defines a plugin: in a script it can be used from then on; in a file of a plugin folder it is found by its name.
---@param definition perigee.definition
---@return perigee.plugin
function peri.plugin(definition) end

---A run as its plugin sees it. The problem is: minimize f(x), cl <= c(x) <= cu, xl <= x <= xu. What would have m entries is nil where m = 0.
---@class perigee.run
---@field n integer
---@field m integer
---@field xl perigee.array
---@field xu perigee.array
---@field cl perigee.array?
---@field cu perigee.array?
---@field tolerance number
---@field limits { tolerance: number, time: number, iterations: integer, evaluations: integer, seed: integer, warm_start: boolean }
local run = {}

---@param trait perigee.trait
---@return boolean
function run:has(trait) end

---The levels of the problem by their numbers: 0 is the problem itself, 1, 2, ... are its lower models in order of making. `variables` and `rows` are the
---places of the level's own, from 1; `parent` is the level it lies in.
---@return table<integer, { name: string, parent: integer?, convex: boolean, variables: integer[], rows: integer[] }>
function run:levels() end

---A run that evaluates one level: its objective and its own rows, over the variables of all levels. In init.
---@param level integer
---@return perigee.run
function run:level(level) end

---Solves a lower level with the variables of other levels held at x; points and multipliers are of its own variables and rows.
---@param level integer
---@param x perigee.vector of all levels
---@param request { x: perigee.vector?, y: perigee.vector?, z: perigee.vector?, tolerance: number?, iterations: integer?, plan: string? }?
---@return table result as of `inner:solve`
function run:solve_level(level, x, request) end

---Of a level's view: how many rows its objective's sum has by its weights; 0 where none were told.
---@return integer
function run:sample_rows() end

---Evaluations of the view are of so many random rows from now on; the same key gives the same rows. 0 rows: all.
---@param key integer
---@param rows integer
function run:sample(key, rows) end

---Evaluations of the view are of these rows from now on, from 1, with repetitions. None: all.
---@param rows integer[]
function run:sample_set(rows) end

---Each row of the sample by itself, weighed as in it: values, and gradients by rows; nil where one is undefined.
---@param x perigee.vector
---@return perigee.array? f
---@return perigee.array? g rows x variables
function run:terms(x) end

---@return boolean[]?
function run:linear_rows() end

---The start point, within the bounds.
---@param x perigee.array? to write to
---@return perigee.array
function run:start(x) end

---Multipliers of a warm start, or nothing.
---@return perigee.array? y
---@return perigee.array? z
function run:start_duals() end

---nil where f is undefined, as all evaluations.
---@param x perigee.vector
---@return number?
function run:f(x) end

---@param x perigee.vector
---@param g perigee.array? to write to
---@return number? f
---@return perigee.array g
function run:fg(x, g) end

---@param x perigee.vector
---@param g perigee.array? to write to
---@return perigee.array?
function run:gradient(x, g) end

---@param x perigee.vector
---@param c perigee.array? to write to
---@return perigee.array?
function run:constraints(x, c) end

---The constraints' Jacobian, sparse, m x n.
---@param x perigee.vector
---@param J perigee.array? of an earlier call, to write to
---@return perigee.array?
function run:jacobian(x, J) end

---sigma times the objective's Hessian and w_i times the i-th constraint's, sparse, both triangles. Where it can only be made of products with vectors, it is
---dense among the variables that enter nonlinearly, up to 1000 of them.
---@param x perigee.vector
---@param sigma number? 1 unless given
---@param w perigee.vector?
---@param H perigee.array? of an earlier call, to write to
---@return perigee.array?
function run:hessian(x, sigma, w, H) end

---J v
---@param x perigee.vector
---@param v perigee.vector
---@param out perigee.array? to write to
---@return perigee.array?
function run:jv(x, v, out) end

---J' w
---@param x perigee.vector
---@param w perigee.vector
---@param out perigee.array? to write to
---@return perigee.array?
function run:vj(x, w, out) end

---The matrix of run:hessian times v.
---@param x perigee.vector
---@param sigma number
---@param w perigee.vector?
---@param v perigee.vector
---@param out perigee.array? to write to
---@return perigee.array?
function run:hv(x, sigma, w, v, out) end

---@return integer
function run:residual_count() end

---f is a constant and the sum of their squares.
---@param x perigee.vector
---@param r perigee.array? to write to
---@return perigee.array?
function run:residuals(x, r) end

---@param x perigee.vector
---@param J perigee.array? of an earlier call, to write to
---@return perigee.array?
function run:residual_jacobian(x, J) end

---The smooth part of a problem with proximal operators, and its gradient.
---@param x perigee.vector
---@param g perigee.array? to write to
---@return number? f
---@return perigee.array g
function run:smooth(x, g) end

---argmin of h(u) + |u - v|^2 / (2 t), and h there.
---@param t number
---@param v perigee.vector
---@param x perigee.array? to write to
---@return perigee.array x
---@return number h
function run:prox(t, v, x) end

---argmin of g'x over the sets.
---@param g perigee.vector
---@param x perigee.array? to write to
---@return perigee.array
function run:prox_linear(g, x) end

---At the rows of X; NaN where undefined.
---@param X perigee.array
---@param f perigee.array? to write to
---@return perigee.array
function run:f_batch(X, f) end

---@param X perigee.array
---@param f perigee.array? to write to
---@param G perigee.array? to write to
---@return perigee.array f
---@return perigee.array G a gradient a row
function run:fg_batch(X, f, G) end

---@param X perigee.array
---@param C perigee.array? to write to
---@return perigee.array?
function run:constraints_batch(X, C) end

---A linear system with matrices of A's pattern, solved by a linear-solver plugin.
---@param A perigee.array
---@param needs perigee.needs|{ needs: perigee.needs, solver: string? }
---@return perigee.system
function run:factor(A, needs) end

---A linear system whose matrix is known by its products, for an iterative solver.
---@param op { n: integer?, apply: function, apply_transposed: function?, precondition: function? }
---@param needs perigee.needs|{ needs: perigee.needs, solver: string? }
---@return perigee.system
function run:operator(op, needs) end

---Ends an iteration.
---@param row { x: perigee.vector, y: perigee.vector?, z: perigee.vector?, objective: number?, primal: number?, dual: number?, complementarity: number?, step: number?, trust_radius: number?, barrier: number?, regularization: number?, tag: string? }
function run:accept(row) end

---Ends the run; a step may return the word instead.
---@param why perigee.why
function run:finish(why) end

---@return boolean
function run:should_stop() end

---A line for the log; level 0 warning, 1 information, 2 detail.
---@param level integer
---@param text string
---@overload fun(self: perigee.run, text: string)
function run:note(level, text) end

---Ends the run as a numerical breakdown.
---@param text string
function run:fail(text) end

---Ends the run because a function is undefined where it is needed; the message says which.
function run:undefined() end

---Keeps a point as one of several optima.
---@param x perigee.vector
---@param objective number
function run:keep(x, objective) end

---In [0, 1): a function of the run's seed, stream and counter alone.
---@param stream integer
---@param counter integer
---@return number
function run:uniform(stream, counter) end

---@param stream integer
---@param counter integer
---@return number
function run:normal(stream, counter) end

---Monotonic seconds.
---@return number
function run:clock() end

---An empty inner problem of a reformulation, for the rest of the plan to solve.
---@param name string?
---@return perigee.inner
function run:inner(name) end

---@class perigee.system
local system = {}

---false: singular; otherwise true and, where symmetric, the numbers of positive, negative and zero eigenvalues (negative -1: not told).
---@param A perigee.array
---@param shift number? added to the diagonal of a symmetric matrix
---@return boolean
---@return integer? positive
---@return integer? negative
---@return integer? zero
function system:values(A, shift) end

---@param b perigee.vector
---@param x perigee.array? to write to
---@return perigee.array?
function system:solve(b, x) end

---@param b perigee.vector
---@param x perigee.array? to write to
---@return perigee.array?
function system:solve_transposed(b, x) end

---More pivoting for the next values; false: there is no more.
---@return boolean
function system:strengthen() end

---The linear solver's name.
---@return string
function system:name() end

---Of the last solution by an iterative solver.
---@return integer
function system:iterations() end

function system:close() end

---A model that a reformulation makes: variables, parameters, objective, constraints as in scripts.
---@class perigee.inner : perigee.model
local inner = {}

---The variables of the run's problem, a column; once, and before others.
---@return perigee.expr
function inner:variables() end

---The run's objective, as a minimization, and constraints at x.
---@param x perigee.expr
---@param level integer? 0 unless given; 1 the lower level
---@return perigee.expr f
---@return perigee.expr? c
function inner:problem(x, level) end

---@param x perigee.expr
---@param lower perigee.vector?
---@param upper perigee.vector?
function inner:set_bounds(x, lower, upper) end

---@param x perigee.expr
---@param start perigee.vector
function inner:set_start(x, start) end

---A run that evaluates it as it is now.
---@return perigee.run
function inner:view() end

---Without a start, from where the last solve ended.
---@param options { x: perigee.vector?, y: perigee.vector?, z: perigee.vector?, tolerance: number?, iterations: integer?, plan: string? }?
---@return { why: perigee.why, objective: number, x: perigee.array, y: perigee.array?, z: perigee.array, primal: number, dual: number, complementarity: number, kkt: number, iterations: integer, message: string }
function inner:solve(options) end

return peri
