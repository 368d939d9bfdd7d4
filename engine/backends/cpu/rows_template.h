/* Kernels that go along rows, written once in the vectors of simd_<isa>.h; kernels_<isa>.c includes this file.
 *
 * Sums are of VF_N partial sums in float, good to a relative 1e-6 on the lengths of models. */
#include "backends/cpu/cpu_kernels.h"

/* Plain loop over all values: `one` maps vectors a (and b) to a vector. */
#define ROWS_LOOP(n, one)                                                                                         \
    do {                                                                                                          \
        int64_t at = 0;                                                                                           \
        for (; at + VF_N <= (n); at += VF_N)                                                                      \
            one(at, vf_load, vf_store);                                                                           \
        if (at < (n))                                                                                             \
            one(at, LOAD_REST, STORE_REST);                                                                       \
    } while (0)
#define LOAD_REST(p)     vf_load_part(p, rest, 0)
#define STORE_REST(p, v) vf_store_part(p, v, rest)

static void rows_add(const float *a, const float *b, int64_t n, float *out)
{
    int64_t rest = n % VF_N;
#define ONE(at, load, store) store(out + (at), load(a + (at)) + load(b + (at)))
    ROWS_LOOP(n, ONE);
#undef ONE
}

SIMD vf silu_of(vf x)
{
    return x / (vf_set1(1.0f) + vf_exp(vf_set1(0.0f) - x));
}

static void rows_silu(const float *x, int64_t n, float *out)
{
    int64_t rest = n % VF_N;
#define ONE(at, load, store) store(out + (at), silu_of(load(x + (at))))
    ROWS_LOOP(n, ONE);
#undef ONE
}

static void rows_swiglu(const float *gate, const float *up, int64_t n, float *out)
{
    int64_t rest = n % VF_N;
#define ONE(at, load, store) store(out + (at), silu_of(load(gate + (at))) * load(up + (at)))
    ROWS_LOOP(n, ONE);
#undef ONE
}

static void rows_mul(const float *a, const float *b, int64_t n, float *out)
{
    int64_t rest = n % VF_N;
#define ONE(at, load, store) store(out + (at), load(a + (at)) * load(b + (at)))
    ROWS_LOOP(n, ONE);
#undef ONE
}

static void rows_scale(const float *x, int64_t n, float factor, float *out)
{
    int64_t rest = n % VF_N;
    vf by = vf_set1(factor);
#define ONE(at, load, store) store(out + (at), load(x + (at)) * by)
    ROWS_LOOP(n, ONE);
#undef ONE
}

static void rows_relu(const float *x, int64_t n, float *out)
{
    int64_t rest = n % VF_N;
    vf zero = vf_set1(0);
#define ONE(at, load, store) store(out + (at), vf_max(zero, load(x + (at))))
    ROWS_LOOP(n, ONE);
#undef ONE
}

/* 0.5 x (2 - erfc(x / sqrt 2)), and x / (1 + exp(-2 u)), which is 0.5 x (1 + tanh u). */
static void rows_gelu(const float *x, int64_t n, bool exact, float *out)
{
    int64_t rest = n % VF_N;
    vf one = vf_set1(1.0f), half = vf_set1(0.5f), root = vf_set1(-0.70710678f);
    vf linear = vf_set1(-1.59576912f), cubic = vf_set1(-1.59576912f * 0.044715f), lowest = vf_set1(-3e38f);
#define EXACT(at, load, store)                                                                                    \
    do {                                                                                                          \
        vf v = vf_max(lowest, load(x + (at)));                                                                    \
        store(out + (at), half * v * vf_erfc(v * root));                                                          \
    } while (0)
#define BY_TANH(at, load, store)                                                                                  \
    do {                                                                                                          \
        vf v = vf_max(lowest, load(x + (at)));                                                                    \
        store(out + (at), v / (one + vf_exp(v * vf_fma(cubic, v * v, linear))));                                  \
    } while (0)
    if (exact)
        ROWS_LOOP(n, EXACT);
    else
        ROWS_LOOP(n, BY_TANH);
#undef EXACT
#undef BY_TANH
}

static void rows_softcap(const float *x, int64_t n, float cap, float *out)
{
    int64_t rest = n % VF_N;
    vf by = vf_set1(cap), inverse = vf_set1(1.0f / cap);
#define ONE(at, load, store) store(out + (at), by * vf_tanh(load(x + (at)) * inverse))
    ROWS_LOOP(n, ONE);
#undef ONE
}

static void rows_exp_scaled(const float *x, int64_t n, float highest, float factor, float *out)
{
    int64_t rest = n % VF_N;
    vf top = vf_set1(highest), by = vf_set1(factor);
#define ONE(at, load, store) store(out + (at), vf_exp((load(x + (at)) - top) * by))
    ROWS_LOOP(n, ONE);
#undef ONE
}

static void rows_to_f16(const float *x, int64_t n, uint16_t *out)
{
    int64_t i = 0;
    for (; i + VF_N <= n; i += VF_N)
        vf_store_f16(out + i, vf_load(x + i));
    if (i < n) {
        uint16_t last[VF_N];
        vf_store_f16(last, vf_load_part(x + i, n - i, 0));
        for (int64_t j = i; j < n; j++)
            out[j] = last[j - i];
    }
}

/* The sum of squares in double, for rows whose squares leave the range of floats. */
static double square_sum_double(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

static void rows_rms_norm(const float *x, const float *weight, int64_t n, float eps, float *out)
{
    int64_t rest = n % VF_N, i = 0;
    vf sum0 = vf_set1(0), sum1 = vf_set1(0);
    for (; i + 2 * VF_N <= n; i += 2 * VF_N) {
        vf a = vf_load(x + i), b = vf_load(x + i + VF_N);
        sum0 = vf_fma(a, a, sum0);
        sum1 = vf_fma(b, b, sum1);
    }
    for (; i < n; i += VF_N) {
        vf a = i + VF_N <= n ? vf_load(x + i) : vf_load_part(x + i, rest, 0);
        sum0 = vf_fma(a, a, sum0);
    }
    double sum = (double)vf_sum(sum0 + sum1);
    if (!(sum < 1e37) || sum < 1e-20)
        sum = square_sum_double(x, n);
    double inverse = 1.0 / sqrt(sum / (double)n + (double)eps);
    if (!(inverse < 1e38)) { /* out of the range of floats, Inf or NaN: plainly */
        for (i = 0; i < n; i++)
            out[i] = (float)((double)x[i] * inverse * (weight ? (double)weight[i] : 1.0));
        return;
    }
    vf scale = vf_set1((float)inverse);
#define ONE(at, load, store) store(out + (at), load(x + (at)) * scale * load(weight + (at)))
    if (weight)
        ROWS_LOOP(n, ONE);
#undef ONE
#define ONE(at, load, store) store(out + (at), load(x + (at)) * scale)
    if (!weight)
        ROWS_LOOP(n, ONE);
#undef ONE
}

/* Two passes: a sum of squares less the squared mean would lose all digits where the mean is large. */
static void rows_layer_norm(const float *x, const float *weight, const float *bias, int64_t n, float eps,
                            float *out)
{
    int64_t i = 0;
    vf sums = vf_set1(0), squares = vf_set1(0);
    for (; i + VF_N <= n; i += VF_N)
        sums = sums + vf_load(x + i);
    double sum = (double)vf_sum(sums), square_sum = 0;
    for (int64_t j = i; j < n; j++)
        sum += (double)x[j];
    float mean = (float)(sum / (double)n);
    vf means = vf_set1(mean);
    for (i = 0; i + VF_N <= n; i += VF_N) {
        vf d = vf_load(x + i) - means;
        squares = vf_fma(d, d, squares);
    }
    for (; i < n; i++)
        square_sum += ((double)x[i] - (double)mean) * ((double)x[i] - (double)mean);
    square_sum += (double)vf_sum(squares);
    if (!(square_sum < 1e37) || square_sum < 1e-20) { /* out of the range of floats, or Inf or NaN: once more */
        square_sum = 0;
        for (int64_t j = 0; j < n; j++)
            square_sum += ((double)x[j] - (double)mean) * ((double)x[j] - (double)mean);
    }
    double inverse = 1.0 / sqrt(square_sum / (double)n + (double)eps);
    vf scale = vf_set1((float)inverse);
    for (i = 0; i + VF_N <= n; i += VF_N) {
        vf y = (vf_load(x + i) - means) * scale;
        if (weight)
            y = y * vf_load(weight + i);
        if (bias)
            y = y + vf_load(bias + i);
        vf_store(out + i, y);
    }
    for (; i < n; i++)
        out[i] = (x[i] - mean) * (float)inverse * (weight ? weight[i] : 1.0f) + (bias ? bias[i] : 0.0f);
}

static float rows_highest(const float *x, int64_t n)
{
    vf top = vf_set1(-INFINITY);
    int64_t i = 0;
    for (; i + VF_N <= n; i += VF_N)
        top = vf_max(vf_load(x + i), top);
    if (i < n)
        top = vf_max(vf_load_part(x + i, n - i, -INFINITY), top);
    return vf_highest(top);
}

static void rows_softmax(const float *x, int64_t n, float *out)
{
    vf top = vf_set1(rows_highest(x, n)), sum = vf_set1(0);
    int64_t i = 0, rest = n % VF_N;
    for (; i + VF_N <= n; i += VF_N) {
        vf e = vf_exp(vf_load(x + i) - top);
        vf_store(out + i, e);
        sum = sum + e;
    }
    if (i < n) { /* the lanes that are not there add exp(-Inf) = 0, unless everything is NaN anyway */
        vf e = vf_exp(vf_load_part(x + i, rest, -INFINITY) - top);
        vf_store_part(out + i, e, rest);
        sum = sum + e;
    }
    vf inverse = vf_set1(1.0f / vf_sum(sum));
#define ONE(at, load, store) store(out + (at), load(out + (at)) * inverse)
    ROWS_LOOP(n, ONE);
#undef ONE
}

static void rows_quantize(const float *x, int64_t n, pm_cpu_act_block *blocks, int64_t stride)
{
    enum { VECTORS = PM_CPU_BLOCK / VF_N };
    for (int64_t b = 0; b < n / PM_CPU_BLOCK; b++, x += PM_CPU_BLOCK, blocks += stride) {
        vf v[VECTORS], largest = vf_set1(0);
        for (int i = 0; i < VECTORS; i++) {
            v[i] = vf_load(x + i * VF_N);
            largest = vf_max_abs(vf_abs(v[i]), largest);
        }
        float top = vf_highest_abs(largest);
        if (!(top > 1e-35f && top <= 3e38f)) { /* all but zero, not finite, or beyond what 1 / top can express */
            float none = top <= 1e-35f ? 0 : NAN;
            *blocks = (pm_cpu_act_block){.d = none, .ds = none};
            continue;
        }
        vf inverse = vf_set1(127.0f / top), sum = vf_set1(0), sum_hi = vf_set1(0);
        for (int i = 0; i < VECTORS; i++) {
            vf rounded = vf_round(v[i] * inverse);
            vf_store_i8(blocks->q + i * VF_N, rounded);
            if (i < VECTORS / 2)
                sum = sum + rounded;
            else
                sum_hi = sum_hi + rounded;
        }
        float whole_hi = vf_sum(sum_hi), whole = vf_sum(sum) + whole_hi, d = top / 127.0f;
        blocks->d = d;
        blocks->ds = d * whole;
        blocks->minus_sum = (int32_t)-whole;
        blocks->minus_sum_hi = (int32_t)-whole_hi;
    }
}

static void rows_rope(const float *x, const float *cos2, const float *sin2, int64_t n_rot, bool interleaved,
                      float *out)
{
    int64_t half = n_rot / 2, i = 0;
    if (interleaved) { /* sin2 has the signs: -sin for the first of a pair, sin for the second */
        for (; i + VF_N <= n_rot; i += VF_N) {
            vf v = vf_load(x + i);
            vf_store(out + i, vf_fma(v, vf_load(cos2 + i), vf_swap_pairs(v) * vf_load(sin2 + i)));
        }
        for (; i < n_rot; i += 2) {
            float a = x[i], b = x[i + 1];
            out[i] = a * cos2[i] + b * sin2[i];
            out[i + 1] = b * cos2[i + 1] + a * sin2[i + 1];
        }
        return;
    }
    for (; i + VF_N <= half; i += VF_N) {
        vf a = vf_load(x + i), b = vf_load(x + half + i);
        vf_store(out + i, vf_fma(a, vf_load(cos2 + i), b * vf_load(sin2 + i)));
        vf_store(out + half + i, vf_fma(b, vf_load(cos2 + half + i), a * vf_load(sin2 + half + i)));
    }
    for (; i < half; i++) {
        float a = x[i], b = x[half + i];
        out[i] = a * cos2[i] + b * sin2[i];
        out[half + i] = b * cos2[half + i] + a * sin2[half + i];
    }
}

/* ---- what the processor can do at most ---------------------------------------------------------------------- */

static float rows_measure_read(const float *data, int64_t n)
{
    vf sum0 = vf_set1(0), sum1 = vf_set1(0), sum2 = vf_set1(0), sum3 = vf_set1(0);
    for (int64_t i = 0; i + 4 * VF_N <= n; i += 4 * VF_N) {
        sum0 = sum0 + vf_load(data + i);
        sum1 = sum1 + vf_load(data + i + VF_N);
        sum2 = sum2 + vf_load(data + i + 2 * VF_N);
        sum3 = sum3 + vf_load(data + i + 3 * VF_N);
    }
    return vf_sum(sum0 + sum1 + sum2 + sum3);
}

static float rows_measure_fma(int64_t n, double *flops)
{
    enum { CHAINS = 10 };
    vf chain[CHAINS], sum = vf_set1(0), by = vf_set1(0.999f), plus = vf_set1((float)(n % 7));
    for (int i = 0; i < CHAINS; i++)
        chain[i] = vf_set1((float)i);
    for (int64_t at = 0; at < n; at++)
        for (int i = 0; i < CHAINS; i++)
            chain[i] = vf_fma(chain[i], by, plus);
    for (int i = 0; i < CHAINS; i++)
        sum = sum + chain[i];
    *flops = 2.0 * CHAINS * VF_N * (double)n;
    return vf_sum(sum);
}
