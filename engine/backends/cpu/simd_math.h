/* What the kernel templates share on top of simd_<isa>.h: parts of vectors at the ends of rows, and exp,
 * tanh, erfc. */
#ifndef PUMICE_SIMD_MATH_H
#define PUMICE_SIMD_MATH_H

/* The first n values at p, n below VF_N; the other lanes are `rest`. */
SIMD vf vf_load_part(const float *p, int64_t n, float rest)
{
    float values[VF_N];
    for (int i = 0; i < VF_N; i++)
        values[i] = i < n ? p[i] : rest;
    return vf_load(values);
}

SIMD void vf_store_part(float *p, vf v, int64_t n)
{
    float values[VF_N];
    vf_store(values, v);
    for (int64_t i = 0; i < n; i++)
        p[i] = values[i];
}

/* e^x, relative error below 3e-7: x = n ln 2 + r, e^r by its series to r^6, |r| <= 0.35. NaN stays; large x give
 * Inf. */
SIMD vf vf_exp(vf x)
{
    x = vf_min(vf_set1(89.0f), vf_max(vf_set1(-105.0f), x));
    vf n = vf_round(x * vf_set1(1.44269504f));
    vf r = vf_fma(n, vf_set1(-0.693359375f), x);
    r = vf_fma(n, vf_set1(2.12194440e-4f), r);
    vf p = vf_set1(1.0f / 720);
    p = vf_fma(p, r, vf_set1(1.0f / 120));
    p = vf_fma(p, r, vf_set1(1.0f / 24));
    p = vf_fma(p, r, vf_set1(1.0f / 6));
    p = vf_fma(p, r, vf_set1(0.5f));
    p = vf_fma(p, r, vf_set1(1.0f));
    p = vf_fma(p, r, vf_set1(1.0f));
    return vf_scale2(p, n);
}

/* tanh x, relative error below 5e-7: by its series where |x| <= 0.3, else by exp. NaN stays. */
SIMD vf vf_tanh(vf x)
{
    vf s = x * x, small = vf_set1(0.3f), one = vf_set1(1.0f), two = vf_set1(2.0f);
    vf p = vf_set1(62.0f / 2835);
    p = vf_fma(p, s, vf_set1(-17.0f / 315));
    p = vf_fma(p, s, vf_set1(2.0f / 15));
    p = vf_fma(p, s, vf_set1(-1.0f / 3));
    vf series = vf_fma(p * s, x, x);
    vf large = one - two / (vf_exp(two * x) + one); /* 1 - 2 / Inf, and 1 - 2 / (0 + 1) */
    return vf_where_le(vf_abs(x), small, series, large);
}

/* erfc z, relative error below 2e-6 for |z| up to 9, where it has come to nothing: Chebyshev's fit in t = 1 / (1 +
 * |z| / 2). Source: Press et al., Numerical Recipes in C, 2nd edition, section 6.2. NaN stays. */
SIMD vf vf_erfc(vf z)
{
    static const float fit[] = {-0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f, -0.18628806f,
                                0.09678418f,  0.37409196f, 1.00002368f,  -1.26551223f};
    vf a = vf_abs(z), t = vf_set1(1.0f) / vf_fma(a, vf_set1(0.5f), vf_set1(1.0f)), p = vf_set1(0.17087277f);
    for (size_t i = 0; i < sizeof fit / sizeof fit[0]; i++)
        p = vf_fma(p, t, vf_set1(fit[i]));
    vf positive = t * vf_exp(p - a * a);
    return vf_where_le(vf_set1(0.0f), z, positive, vf_set1(2.0f) - positive);
}

#endif
