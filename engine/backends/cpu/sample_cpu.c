/* sample on the cpu backend. Contract: ops.h.
 *
 * The tokens that top-k and top-p keep are those with a logit of at least theta. theta is found in the order-preserving
 * integers of the logits, 11, 11 and 10 bits at a time: a histogram of counts or of probability shows in which bin the
 * limit is crossed from above, and only the tokens of that bin go into the next one. So no sorting.
 */
#include "backends/cpu/cpu_backend.h"

#include <math.h>
#include <string.h>

enum { DIGIT_BITS = 11, BINS = 1 << DIGIT_BITS };

typedef struct sample_row {
    const float *logits;
    int64_t n;
    float highest;
    float *weights; /* exp(logit - highest) */
    int32_t *kept, *bin; /* tokens kept so far, in order; those of the bin being looked into */
    int64_t n_kept;
} sample_row;

/* An integer that is larger where the logit is larger; -0 and 0 are the same, and NaN is -Inf. */
static uint32_t key_of(float logit)
{
    float value = isnan(logit) ? -INFINITY : logit + 0.0f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* The largest theta such that the tokens kept so far with key >= theta amount to `wanted`, each counting as one or by
 * its weight; 0 where they never do. */
static uint32_t largest_theta(sample_row *row, double wanted, bool count)
{
    static const int shifts[] = {21, 10, 0}, widths[] = {DIGIT_BITS, DIGIT_BITS, 10};
    const int32_t *from = row->kept;
    int64_t n = row->n_kept;
    double above = 0;
    uint32_t theta = 0;
    for (int digit = 0; digit < 3; digit++) {
        double bins[BINS] = {0};
        uint32_t mask = (1u << widths[digit]) - 1;
        for (int64_t i = 0; i < n; i++)
            bins[key_of(row->logits[from[i]]) >> shifts[digit] & mask] += count ? 1 : (double)row->weights[from[i]];
        int64_t chosen = mask;
        while (chosen > 0 && above + bins[chosen] < wanted)
            above += bins[chosen--];
        if (above + bins[chosen] < wanted) /* not even all of them: rounding, or the top bin of zero weights */
            return theta;
        theta |= (uint32_t)chosen << shifts[digit];
        int64_t left = 0;
        for (int64_t i = 0; i < n; i++)
            if ((key_of(row->logits[from[i]]) >> shifts[digit] & mask) == (uint32_t)chosen)
                row->bin[left++] = from[i];
        from = row->bin;
        n = left;
    }
    return theta;
}

static void keep_from(sample_row *row, uint32_t theta)
{
    uint32_t highest = key_of(row->highest); /* the most likely token always stays */
    int64_t left = 0;
    theta = theta > highest ? highest : theta;
    for (int64_t i = 0; i < row->n_kept; i++)
        if (key_of(row->logits[row->kept[i]]) >= theta)
            row->kept[left++] = row->kept[i];
    row->n_kept = left;
}

static double weight_of(const sample_row *row, int32_t token, double temperature)
{
    double logit = isnan(row->logits[token]) ? -(double)INFINITY : (double)row->logits[token];
    return logit == (double)row->highest ? 1 : exp((logit - (double)row->highest) / temperature);
}

static int32_t draw_from(const sample_row *row, const pm_run_params *params, uint32_t index)
{
    double sum = 0, running = 0, temperature = (double)params->temperature;
    double u = (double)pm_random_unit(params->seed_lo, params->seed_hi, params->draw + index);
    int32_t last = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < row->n_kept; i++) {
        int32_t token = row->kept[i];
        if (params->min_p > 0 && weight_of(row, token, 1) < (double)params->min_p)
            continue;
        double weight = weight_of(row, token, temperature);
        row->weights[n] = (float)weight;
        row->bin[n++] = token;
        sum += weight;
    }
    for (int64_t i = 0; i < n; i++) {
        double weight = weight_of(row, row->bin[i], temperature);
        running += weight;
        last = weight > 0 ? row->bin[i] : last;
        if (running > u * sum)
            return row->bin[i];
    }
    return last;
}

static int32_t first_of(const float *logits, int64_t n, float value)
{
    for (int64_t i = 0; i < n; i++)
        if (logits[i] == value)
            return (int32_t)i;
    return 0;
}

static int32_t sample_one(sample_row *row, const pm_cpu_context *context, uint32_t index)
{
    const pm_run_params *params = context->params;
    row->highest = context->kernels->highest(row->logits, row->n);
    if (!(params->temperature > 0) || row->highest == -INFINITY)
        return row->highest == -INFINITY ? 0 : first_of(row->logits, row->n, row->highest);
    row->n_kept = row->n;
    for (int64_t i = 0; i < row->n; i++)
        row->kept[i] = (int32_t)i;
    if (params->top_k > 0 && params->top_k < row->n)
        keep_from(row, largest_theta(row, params->top_k, true));
    if (params->top_p < 1) {
        double sum = 0;
        for (int64_t i = 0; i < row->n_kept; i++) {
            int32_t token = row->kept[i];
            row->weights[token] = (float)weight_of(row, token, 1);
            sum += (double)row->weights[token];
        }
        keep_from(row, largest_theta(row, (double)params->top_p * sum, false));
    }
    return draw_from(row, params, index);
}

static void run(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    int64_t n = step->node->in[0]->dim[0];
    for (int64_t i = begin; i < end; i++) {
        sample_row row = {.logits = (const float *)step->in[0] + i * n, .n = n, .weights = context->scratch};
        row.kept = (int32_t *)(void *)(context->scratch + n);
        row.bin = row.kept + n;
        ((int32_t *)step->out)[i] = sample_one(&row, context, (uint32_t)i);
    }
}

static size_t scratch(const pm_cpu_step *step)
{
    return 3 * (size_t)step->node->in[0]->dim[0];
}

const pm_cpu_step_kind pm_cpu_step_sample = {
    .name = "sample", .items = pm_cpu_rows_of_in, .run = run, .grain = pm_cpu_grain_one, .scratch = scratch};
