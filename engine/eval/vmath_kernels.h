/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmath_kernels.h - exp and tan of vectors, where products and sums can be fused and the libraries' functions that stay within two units are slow.
 * Included by vmath.h, after the names that block_kernels.h and vmath.h ask for and
 *     exp_parts          how many parts of a doubling have a power of two of their own, and exp_degree, of the polynomial between
 *     exp_power          (n, k, w): 2^(k / exp_parts) times 1 + w, k as a number and as the low bits of n
 *     exp_argument       where that has no limits of its own: the argument, no larger than need be; else exp_result: the result, once more by the library
 *                        where it is very large or small
 *     is_odd             the mask of lanes whose lowest bit is one
 *     near_reciprocal    1 / d up to 2^-26
 * Invariant: a lane's bits do not depend on the other lanes. Polynomials and the quotient are interpolated at Chebyshev's points with 300 bits.
 */

/* Added to a number and taken off again, it rounds that to an integer, which is then in the lowest bits. */
#define ROUNDER spread(0x1.8p52)

/* k log 2 / exp_parts is taken off in two parts, the first exactly; e^r = 1 + r + r^2 q(r). */
static inline V exp_near(V of)
{
    const V a = exp_argument(of);
    const V n = multiply_add(a, spread(exp_parts * 0x1.71547652b82fep+0), ROUNDER), k = n - ROUNDER;
    V r = multiply_add(-k, spread(0x1.62e42fefa39efp-1 / exp_parts), a);
    r = multiply_add(-k, spread(0x1.abc9e3b39803fp-56 / exp_parts), r);
    const V r2 = r * r;
#if exp_parts == 16 /* |r| < 0.022: 2^-55 */
    const V low = multiply_add(spread(0x1.55555554dd388p-3), r, spread(0x1.0000000000000p-1));
    const V high = multiply_add(spread(0x1.11120b03cd855p-7), r, spread(0x1.555555551946fp-5));
    const V q = multiply_add(multiply_add(spread(0x1.6c17bb5ebddb4p-10), r2, high), r2, low);
#else /* |r| < 0.347: 2^-55.8 */
    const V r4 = r2 * r2;
    const V q01 = multiply_add(spread(0x1.5555555555556p-3), r, spread(0x1.0000000000001p-1));
    const V q23 = multiply_add(spread(0x1.11111111109b3p-7), r, spread(0x1.5555555553d63p-5));
    const V q45 = multiply_add(spread(0x1.a01a01a7c41d5p-13), r, spread(0x1.6c16c1788bd90p-10));
    const V q67 = multiply_add(spread(0x1.71de0dae63bb3p-19), r, spread(0x1.a019b90d2ae7ap-16));
    const V q89 = multiply_add(spread(0x1.af38a9b0ec855p-26), r, spread(0x1.289185613a3d6p-22));
    const V q03 = multiply_add(q23, r2, q01), q47 = multiply_add(q67, r2, q45);
    const V q = multiply_add(multiply_add(q89, r4, q47), r4, q03);
#endif
    return exp_result(exp_power(n, k, multiply_add(q, r2, r)), a);
}

/*
 * With n multiples of pi / 2 = A + B + ... taken off, r = |a| - n A without rounding, and then h + l; tan h = h (Q + z P) / Q, z = h^2, up to 2^-55 for
 * |h| <= pi / 4, and for odd n the negative reciprocal. h (Q + z P) is kept with what its rounding lost and l adds, and the quotient corrected by its
 * remainder. Beyond 2^18, and where r is so small that B is not small beside it, the library's function.
 */
static inline V tan_near(V a)
{
    const V size = magnitude(a), m = multiply_add(size, spread(0x1.45f306dc9c883p-1), ROUNDER), n = m - ROUNDER;
    const V r = multiply_add(-n, spread(0x1.921fb54442d18p+0), size), part = spread(0x1.1a62633145c07p-54);
    const V h = multiply_add(-n, part, r), l = multiply_add(-n, part, r - h), z = h * h, z2 = z * z;
    const V p = multiply_add(spread(0x1.fd8fbadc08efbp-13), z2, multiply_add(spread(-0x1.5ecdcd43f1469p-6), z, spread(0x1.5555555555555p-2)));
    const V q34 = multiply_add(spread(-0x1.3e45d08227d8cp-26), z, spread(-0x1.0a3611669980ep-12));
    const V q12 = multiply_add(spread(0x1.91b32e2d14812p-6), z, spread(-0x1.db60301656d6cp-2));
    const V q = multiply_add(multiply_add(q34, z2, q12), z, spread(1)), s = multiply_add(z, p, q);
    const V t = h * s, rest = multiply_add(l, s, multiply_add(h, s, -t));
    const V above_line = pick(is_odd(m), -q, t), below = pick(is_odd(m), t, q), y = near_reciprocal(below), f = above_line * y;
    const V remainder = multiply_add(pick(is_odd(m), -f, spread(1)), rest, multiply_add(-f, below, above_line));
    V result = signed_as(multiply_add(remainder, y, f), a);
    const V good = pick(above(spread(0x1p18), size), magnitude(r), spread(-1)), least = n * spread(0x1p-36);
    if (any(above(least, good)))
        result = pick(above(least, good), SLEEF_U10(tan)(a), result);
    return result;
}
#undef ROUNDER
