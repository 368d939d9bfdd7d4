/* sample: one token drawn from each row of logits. Contract: ops.h, to the letter.
 *
 * The sets that top-k and top-p keep are {logit >= theta}; theta is found bit by bit, in the order-preserving
 * integers of the floats, from a count or a sum that only grows as theta falls. So no sorting, no scratch memory,
 * and the same sets as any other correct method.
 */
#include "ops/op_checks.h"

#include <math.h>
#include <string.h>

#include "ops/random_unit.h"

pm_tensor *pm_sample(pm_graph *g, const pm_tensor *logits, const pm_tensor *settings)
{
    const pm_tensor *in[] = {logits, settings};
    if (!pm_op_begin(g, PM_OP_SAMPLE, 2, in, 1))
        return NULL;
    if (logits->type != PM_TYPE_F32 || logits->n_dims != 2 || logits->dim[0] > INT32_MAX)
        return pm_op_reject(g, PM_OP_SAMPLE, 2, in, "the logits must be F32 [V, R]");
    if (!pm_op_is_settings_of(settings, logits))
        return pm_op_reject(g, PM_OP_SAMPLE, 2, in, "the settings must be I32 [9, R], counted as the logits");
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_I32, 1, &logits->dim[1], logits->rows, "sample");
    return pm_op_finish(g, PM_OP_SAMPLE, out, 2, in, NULL, 0);
}

pm_run_params pm_row_params(const pm_run_params *params, const int32_t *settings, int64_t row)
{
    pm_run_params own = *params;
    own.draw += (uint32_t)row;
    if (!settings)
        return own;
    struct pm_row_sampling s;
    memcpy(&s, settings + row * PM_ROW_SAMPLING_WORDS, sizeof s);
    own.n_history = s.n_history;
    own.repeat_penalty = s.repeat_penalty;
    own.temperature = s.temperature;
    own.top_k = s.top_k;
    own.top_p = s.top_p;
    own.min_p = s.min_p;
    own.seed_lo = s.seed_lo;
    own.seed_hi = s.seed_hi;
    own.draw = s.draw;
    return own;
}

float pm_random_unit(uint32_t seed_lo, uint32_t seed_hi, uint32_t counter)
{
    return (float)(pm_random_bits(seed_lo, seed_hi, counter) >> 8) * 0x1p-24f;
}

typedef struct sample_row {
    const float *logits;
    int64_t n;
    double highest; /* largest logit */
    uint32_t theta; /* key of the smallest logit that is kept */
} sample_row;

/* An integer that is larger where the logit is larger; -0 and 0 are the same, and NaN is -Inf. */
static uint32_t key_of(float logit)
{
    float value = isnan(logit) ? -INFINITY : logit + 0.0f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static double weight_of(const sample_row *row, int64_t i, double temperature)
{
    double logit = isnan(row->logits[i]) ? -(double)INFINITY : (double)row->logits[i];
    return logit == row->highest ? 1 : exp((logit - row->highest) / temperature);
}

/* How much lies at or above theta: tokens, or their weight among those kept so far. */
static double amount_above(const sample_row *row, uint32_t theta, bool count)
{
    double amount = 0;
    for (int64_t i = 0; i < row->n; i++) {
        uint32_t key = key_of(row->logits[i]);
        if (key >= theta && key >= row->theta)
            amount += count ? 1 : weight_of(row, i, 1);
    }
    return amount;
}

/* The largest theta that still has `wanted` at or above it; 0 where even everything has not. */
static uint32_t largest_theta(const sample_row *row, double wanted, bool count)
{
    uint32_t theta = 0;
    for (int bit = 31; bit >= 0; bit--)
        if (amount_above(row, theta | 1u << bit, count) >= wanted)
            theta |= 1u << bit;
    return theta;
}

static void raise_theta(sample_row *row, uint32_t theta)
{
    uint32_t highest = key_of((float)row->highest); /* the most likely token always stays */
    theta = theta > highest ? highest : theta;
    row->theta = theta > row->theta ? theta : row->theta;
}

static int64_t draw_from(const sample_row *row, const pm_run_params *params)
{
    double sum = 0, running = 0;
    double u = (double)pm_random_unit(params->seed_lo, params->seed_hi, params->draw);
    int64_t last = -1;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < row->n; i++) {
            if (key_of(row->logits[i]) < row->theta || weight_of(row, i, 1) < (double)params->min_p)
                continue;
            double weight = weight_of(row, i, (double)params->temperature);
            if (pass == 0) {
                sum += weight;
                continue;
            }
            running += weight;
            last = weight > 0 ? i : last;
            if (running > u * sum)
                return i;
        }
    }
    return last;
}

static int32_t sample_one(const float *logits, int64_t n, const pm_run_params *params)
{
    sample_row row = {.logits = logits, .n = n, .highest = -INFINITY};
    int64_t first_highest = 0;
    for (int64_t i = 0; i < n; i++) {
        if ((double)logits[i] > row.highest) {
            row.highest = (double)logits[i];
            first_highest = i;
        }
    }
    if (!(params->temperature > 0) || row.highest == -(double)INFINITY)
        return (int32_t)first_highest;
    if (params->top_k > 0 && params->top_k < n)
        raise_theta(&row, largest_theta(&row, params->top_k, true));
    if (params->top_p < 1)
        raise_theta(&row, largest_theta(&row, (double)params->top_p * amount_above(&row, 0, false), false));
    return (int32_t)draw_from(&row, params);
}

void pm_ref_sample(const pm_op_call *call)
{
    const pm_tensor *logits = call->node->in[0];
    int64_t begin, end;
    pm_op_share(call, pm_tensor_rows_now(logits, call->params), &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        pm_run_params params = pm_row_params(call->params, call->in[1], row);
        ((int32_t *)call->out)[row] = sample_one(pm_op_row(call->in[0], logits, row), logits->dim[0], &params);
    }
}
