/* What the kernel templates share on top of simd_<isa>.h: parts of vectors at the ends of rows, and exp. */
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

#endif
