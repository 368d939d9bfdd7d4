/* The angles of RoPE as a table of cosines and sines, made once for a model in double precision.
 *
 * Every scaling form comes down to one angular frequency a pair of values and one magnitude, so the angle is
 * linear in the position and two short lists (fine and coarse steps) give any position by the angle addition
 * formula. The magnitude is in the coarse entries. Sources: Su et al. 2021, arXiv:2104.09864; linear: Chen et al.
 * 2023, arXiv:2306.15595; YaRN: Peng et al. 2023, arXiv:2309.00071; LLaMA 3: Meta's llama-models, apply_scaling.
 */
#include "ops/ops.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

#define PI 3.14159265358979323846

/* LLaMA 3: long wavelengths are stretched by the factor, short ones kept, those between blended. */
static double scale_llama3(const pm_rope_scaling *s, double frequency)
{
    double wavelength = 2 * PI / frequency, context = s->n_ctx_original;
    double low = (double)s->low_freq_factor, high = (double)s->high_freq_factor;
    if (wavelength > context / low)
        return frequency / (double)s->factor;
    if (wavelength < context / high)
        return frequency;
    double blend = (context / wavelength - low) / (high - low);
    return (1 - blend) * frequency / (double)s->factor + blend * frequency;
}

/* The (fractional) pair that turns n_turns times over the original context. */
static double pair_of_turns(const pm_rope_scaling *s, double n_turns)
{
    return s->n_rot * log(s->n_ctx_original / (n_turns * 2 * PI)) / (2 * log((double)s->base));
}

/* YaRN: pairs that turn more than beta_fast times keep their frequency, those below beta_slow are stretched, a
 * ramp between them. */
static double scale_yarn(const pm_rope_scaling *s, int64_t pair, double frequency)
{
    double low = fmax(floor(pair_of_turns(s, (double)s->beta_fast)), 0);
    double high = fmin(ceil(pair_of_turns(s, (double)s->beta_slow)), s->n_rot - 1);
    double ramp = ((double)pair - low) / fmax(high - low, 0.001);
    ramp = fmin(fmax(ramp, 0), 1);
    return ramp * frequency / (double)s->factor + (1 - ramp) * frequency;
}

static double frequency_of(const pm_rope_scaling *s, int64_t pair)
{
    double frequency = pow((double)s->base, -2.0 * (double)pair / s->n_rot);
    if (s->freq_factors)
        frequency /= (double)s->freq_factors[pair];
    switch (s->form) {
    case PM_ROPE_LINEAR:
        return frequency / (double)s->factor;
    case PM_ROPE_LLAMA3:
        return scale_llama3(s, frequency);
    case PM_ROPE_YARN:
        return scale_yarn(s, pair, frequency);
    case PM_ROPE_NONE:
        break;
    }
    return frequency;
}

static double magnitude_of(const pm_rope_scaling *s)
{
    if (s->form != PM_ROPE_YARN)
        return 1;
    double factor = (double)s->factor;
    return (factor > 1 ? 0.1 * log(factor) + 1 : 1) * (s->attn_factor != 0 ? (double)s->attn_factor : 1);
}

static bool positive(float value)
{
    return value > 0 && value < INFINITY;
}

static pm_status check_scaling(const pm_rope_scaling *s, int64_t max_position, pm_error *err)
{
    if (s->n_rot < 2 || s->n_rot % 2 || s->n_rot > 1 << 16 || max_position < 1 || max_position > INT32_MAX)
        return pm_fail(err, PM_ERR_ARGUMENT, "RoPE table of %d values a head and %lld positions", s->n_rot,
                       (long long)max_position);
    if (!positive(s->base) || (s->form != PM_ROPE_NONE && !positive(s->factor)))
        return pm_fail(err, PM_ERR_ARGUMENT, "RoPE: base %g and factor %g must be positive", (double)s->base,
                       (double)s->factor);
    if ((s->form == PM_ROPE_LLAMA3 || s->form == PM_ROPE_YARN) && s->n_ctx_original < 1)
        return pm_fail(err, PM_ERR_ARGUMENT, "RoPE scaling needs the original context length, not %d",
                       s->n_ctx_original);
    if (s->form == PM_ROPE_LLAMA3 &&
        (!positive(s->low_freq_factor) || !(s->high_freq_factor > s->low_freq_factor)))
        return pm_fail(err, PM_ERR_ARGUMENT, "RoPE scaling: frequency factors %g (low) and %g (high)",
                       (double)s->low_freq_factor, (double)s->high_freq_factor);
    if (s->form == PM_ROPE_YARN && (!positive(s->beta_fast) || !positive(s->beta_slow) || s->base == 1.0f ||
                                    !(s->attn_factor >= 0 && s->attn_factor < INFINITY)))
        return pm_fail(err, PM_ERR_ARGUMENT, "RoPE scaling: YaRN with base %g, betas %g and %g, magnitude %g",
                       (double)s->base, (double)s->beta_fast, (double)s->beta_slow, (double)s->attn_factor);
    for (int32_t i = 0; s->freq_factors && i < s->n_rot / 2; i++)
        if (!positive(s->freq_factors[i]))
            return pm_fail(err, PM_ERR_FORMAT, "RoPE: frequency factor %d is %g; it must be positive", i,
                           (double)s->freq_factors[i]);
    return PM_OK;
}

pm_status pm_rope_table(const pm_rope_scaling *scaling, int64_t max_position, float **table, int64_t dims[3],
                        pm_error *err)
{
    *table = NULL;
    PM_TRY(check_scaling(scaling, max_position, err));
    int64_t n_pairs = scaling->n_rot / 2;
    int64_t n_coarse = (max_position + PM_ROPE_FINE - 1) / PM_ROPE_FINE;
    dims[0] = 2;
    dims[1] = n_pairs;
    dims[2] = PM_ROPE_FINE + n_coarse;
    size_t bytes = sizeof(float) * (size_t)(dims[0] * dims[1] * dims[2]); /* below 2^44: checked above */
    float *made = malloc(bytes);
    if (!made)
        return pm_fail_memory(err, bytes, "the RoPE table");
    double magnitude = magnitude_of(scaling);
    for (int64_t pair = 0; pair < n_pairs; pair++) {
        double frequency = frequency_of(scaling, pair);
        for (int64_t entry = 0; entry < dims[2]; entry++) {
            bool coarse = entry >= PM_ROPE_FINE;
            double position = (double)(coarse ? (entry - PM_ROPE_FINE) * PM_ROPE_FINE : entry);
            float *pair_at = made + 2 * (entry * n_pairs + pair);
            pair_at[0] = (float)((coarse ? magnitude : 1) * cos(position * frequency));
            pair_at[1] = (float)((coarse ? magnitude : 1) * sin(position * frequency));
        }
    }
    *table = made;
    return PM_OK;
}
