#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""small.py - Perigee from Python through ctypes: the largest box from 12 square metres of cardboard, without a lid. LIBPERIGEE names the library."""
import ctypes as c, os

lib = c.CDLL(os.environ.get("LIBPERIGEE", "libperigee.so.0"))
P, I64, D = c.c_void_p, c.c_int64, c.c_double
for name, types in {"peri_context_new": [P], "peri_model_new": [P, c.c_char_p], "peri_error": [P], "peri_op_find": [c.c_char_p],
                    "peri_model_free": [P], "peri_context_free": [P], "peri_solution_free": [P], "peri_solution_objective": [P],
                    "peri_expr_range": [P, c.c_int32, I64, I64, I64, I64, P], "peri_expr_op": [P, c.c_int, c.c_int, P, P],
                    "peri_expr_number": [P, D, P], "peri_model_var": [P, c.c_char_p, I64, I64, P],
                    "peri_model_set_lower": [P, c.c_int32, I64, P], "peri_model_set_start": [P, c.c_int32, I64, P],
                    "peri_model_maximize": [P, c.c_int32], "peri_model_constrain": [P, c.c_char_p, c.c_int32, I64, P, P, P],
                    "peri_model_solve": [P, P, P], "peri_solution_value": [P, c.c_int32, P]}.items():
    getattr(lib, name).argtypes = types
lib.peri_context_new.restype = lib.peri_model_new.restype = P
lib.peri_error.restype, lib.peri_solution_objective.restype = c.c_char_p, D
ctx = lib.peri_context_new(None); model = lib.peri_model_new(ctx, b"box")

def call(name, *args, out=c.c_int32):
    result = out(-1)
    if getattr(lib, name)(model, *args, c.byref(result)) != 0:
        raise RuntimeError(lib.peri_error(ctx).decode())
    return result.value

def op(name, a, b):
    return call("peri_expr_op", lib.peri_op_find(name), 2, (c.c_int32 * 2)(a, b))

size = call("peri_model_var", b"size", 3, 1)
lib.peri_model_set_lower(model, size, 1, c.byref(D(0))), lib.peri_model_set_start(model, size, 1, c.byref(D(1)))
x, y, z = (call("peri_expr_range", size, 1, 1, k, 1) for k in range(3))
sides = op(b"mul", call("peri_expr_number", 2.0), op(b"mul", z, op(b"add", x, y)))
call("peri_model_constrain", b"cardboard", op(b"add", op(b"mul", x, y), sides), 1, c.byref(D(-float("inf"))), c.byref(D(12)))
lib.peri_model_maximize(model, op(b"mul", x, op(b"mul", y, z)))
solution = call("peri_model_solve", None, out=P)
best = (D * 3)()
lib.peri_solution_value(solution, size, best)
print("volume %.4f of %.4f x %.4f x %.4f" % (lib.peri_solution_objective(solution), *best))
for free, what in (("solution", solution), ("model", model), ("context", ctx)):
    getattr(lib, f"peri_{free}_free")(what)
