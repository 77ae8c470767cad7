/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmath_kernels.h - exp, tan and, on [0, 1], log1p of vectors, where products and sums can be fused and the libraries' functions that stay within two
 * units are slow. Included by vmath.h, after the names that block_kernels.h and vmath.h ask for and
 *     exp_parts          16 or 1: how many parts of a doubling have a power of two of their own
 *     exp_power          (n, k, w): 2^(k / exp_parts) times 1 + w, k as a number and as the low bits of n
 *     exp_argument       where that has no limits of its own: the argument, no larger than need be; else exp_result: the result, once more by the library
 *                        where it is very large or small
 *     one_of             where there is such an instruction: of a table of sixteen numbers those that the lowest four bits of n tell
 *     is_odd             the mask of lanes whose lowest bit is one
 *     near_reciprocal    1 / d up to 2^-26
 * Invariant: a lane's bits do not depend on the other lanes. Polynomials and the quotient are interpolated at Chebyshev's points with 300 bits.
 */

/* Added to a number and taken off again, it rounds that to an integer, which is then in the lowest bits. */
#define ROUNDER spread(0x1.8p52)

#ifdef one_of
static const double exp_powers[16] = {/* 2^(k / 16) */
    0x1.0000000000000p+0, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0, 0x1.306fe0a31b715p+0, 0x1.3dea64c123422p+0,
    0x1.4bfdad5362a27p+0, 0x1.5ab07dd485429p+0, 0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0, 0x1.8ace5422aa0dbp+0, 0x1.9c49182a3f090p+0,
    0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0, 0x1.d5818dcfba487p+0, 0x1.ea4afa2a490dap+0};

/* 1 / (1 + k / 15), nearly, in twelve bits, of which the logarithm is known to 2^-57 and better in one number */
static const double log1p_factors[16] = {0x1.000p+0, 0x1.e0ep-1, 0x1.c4cp-1, 0x1.ac2p-1, 0x1.952p-1, 0x1.7fap-1, 0x1.6d8p-1, 0x1.5e8p-1,
                                         0x1.4dcp-1, 0x1.416p-1, 0x1.330p-1, 0x1.25ep-1, 0x1.1ccp-1, 0x1.13ap-1, 0x1.098p-1, 0x1.fd8p-2};
static const double log1p_parts[16] = {/* the negative logarithms of those */
    0x0.0000000000000p+0, 0x1.00e3d15a21111p-4, 0x1.f7be9fedbfde6p-4, 0x1.6e680f561f609p-3, 0x1.df7f018ce7720p-3, 0x1.27964118a40ebp-2,
    0x1.5925d2b112a59p-2, 0x1.840f1e12667f0p-2, 0x1.b633ea42e0a33p-2, 0x1.dce4a4fc4fb76p-2, 0x1.05e04c1aa2c06p-1, 0x1.1c3f41fa97c6bp-1,
    0x1.2c65a6395f5f5p-1, 0x1.3d12b60622748p-1, 0x1.503c43cd8eb68p-1, 0x1.6565c13e32ae1p-1};

/* For 0 <= a <= 1, log(1 + a) = log(1 + r) - log f with r = (1 + a) f - 1, rounded once; log(1 + r) = r + r^2 q(r) up to 2^-60, |r| < 0.034. */
static inline V log1p_unit(V a)
{
    const V n = multiply_add(a, spread(15), ROUNDER), f = one_of(log1p_factors, n), r = multiply_add(a, f, f - spread(1)), r2 = r * r, r4 = r2 * r2;
    const V q01 = multiply_add(spread(0x1.55555555554e2p-2), r, spread(-0x1.0000000000000p-1));
    const V q23 = multiply_add(spread(0x1.9999999c1309fp-3), r, spread(-0x1.fffffffffff2cp-3));
    const V q45 = multiply_add(spread(0x1.24922bea2e627p-3), r, spread(-0x1.555555579a009p-3));
    const V q67 = multiply_add(spread(0x1.c81c1dfe43cc0p-4), r, spread(-0x1.ffffca69ee359p-4));
    const V q47 = multiply_add(multiply_add(spread(-0x1.9a83f8a466ceap-4), r2, q67), r2, q45), q03 = multiply_add(q23, r2, q01);
    return one_of(log1p_parts, n) + multiply_add(multiply_add(q47, r4, q03), r2, r);
}
#endif

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
