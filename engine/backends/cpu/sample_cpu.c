/* sample on the cpu backend. Contract: ops.h.
 *
 * The tokens that top-k and top-p keep are those with a logit of at least theta. First a bound below theta that
 * costs little (find_floor) leaves some hundred tokens of the vocabulary. Then theta is found in the
 * order-preserving integers of their logits, 11, 11 and 10 bits at a time: a histogram of counts or of probability
 * shows in which bin the limit is crossed from above, and only the tokens of that bin go into the next one. So no
 * sorting.
 */
#include "backends/cpu/cpu_backend.h"

#include <math.h>
#include <string.h>

enum { DIGIT_BITS = 11, BINS = 1 << DIGIT_BITS, BLOCK = 64 };

typedef struct sample_row {
    const float *logits;
    int64_t n;
    float highest;
    int32_t *kept;  /* tokens kept so far, in order */
    float *weights; /* of kept[i] */
    int32_t *bin;   /* the places in kept of the tokens of the bin that is being looked into */
    int64_t n_kept;
    float *tops; /* the highest logit of each block of BLOCK */
    int64_t n_tops;
    pm_run_params params; /* this row's settings */
    double top_p_sum;     /* of all weights before top-p; 0: not known */
} sample_row;

/* An integer that is larger where the logit is larger; -0 and 0 are the same, and NaN is -Inf. */
static uint32_t key_of(float logit)
{
    float value = isnan(logit) ? -INFINITY : logit + 0.0f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* The largest theta such that the tokens kept so far with key >= theta amount to `wanted`, each counting as one or
 * by its weight; 0 where they never do. */
static uint32_t largest_theta(sample_row *row, double wanted, bool count)
{
    static const int shifts[] = {21, 10, 0}, widths[] = {DIGIT_BITS, DIGIT_BITS, 10};
    int64_t n = row->n_kept;
    double above = 0;
    uint32_t theta = 0;
    for (int digit = 0; digit < 3; digit++) {
        double bins[BINS] = {0};
        uint32_t mask = (1u << widths[digit]) - 1;
        for (int64_t i = 0; i < n; i++) { /* at first all that are kept, then those of the bin */
            int64_t at = digit == 0 ? i : row->bin[i];
            uint32_t key = key_of(row->logits[row->kept[at]]);
            bins[key >> shifts[digit] & mask] += count ? 1 : (double)row->weights[at];
        }
        int64_t chosen = mask;
        while (chosen > 0 && above + bins[chosen] < wanted)
            above += bins[chosen--];
        if (above + bins[chosen] < wanted) /* not even all of them: rounding, or the top bin of zero weights */
            return theta;
        theta |= (uint32_t)chosen << shifts[digit];
        int64_t left = 0;
        for (int64_t i = 0; i < n; i++) {
            int32_t at = digit == 0 ? (int32_t)i : row->bin[i];
            if ((key_of(row->logits[row->kept[at]]) >> shifts[digit] & mask) == (uint32_t)chosen)
                row->bin[left++] = at;
        }
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

static double sum_of(const float *x, int64_t n)
{
    double sums[8] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++)
            sums[j] += (double)x[i + j];
    for (; i < n; i++)
        sum += (double)x[i];
    for (int j = 0; j < 8; j++)
        sum += sums[j];
    return sum;
}

/* Weights exp((logit - highest) / temperature) of the kept tokens, side by side in row->weights; their sum. */
static double weigh(const sample_row *row, const pm_cpu_context *context, float temperature)
{
    float *w = row->weights, factor = 1 / temperature;
    factor = factor < 1e30f ? factor : 1e30f;
    for (int64_t i = 0; i < row->n_kept; i++) {
        float logit = row->logits[row->kept[i]];
        w[i] = isnan(logit) ? -INFINITY : logit;
    }
    if (row->highest < INFINITY)
        context->kernels->exp_scaled(w, row->n_kept, row->highest, factor, w);
    else /* Inf - Inf is no number: those at Inf share everything */
        for (int64_t i = 0; i < row->n_kept; i++)
            w[i] = w[i] == INFINITY;
    return sum_of(w, row->n_kept);
}

static void drop_below(sample_row *row, float weight)
{
    int64_t left = 0;
    for (int64_t i = 0; i < row->n_kept; i++) {
        row->kept[left] = row->kept[i];
        row->weights[left] = row->weights[i];
        left += row->weights[i] >= weight; /* no branch: the order is random */
    }
    row->n_kept = left;
}

/* The top_k-th highest of the blocks' tops: as many logits at least are as high, so theta is too. */
static float floor_of_top_k(const sample_row *row, int64_t top_k)
{
    sample_row tops = {
        .logits = row->tops, .n = row->n_tops, .kept = row->kept, .bin = row->bin, .n_kept = row->n_tops};
    for (int64_t i = 0; i < tops.n; i++)
        tops.kept[i] = (int32_t)i;
    uint32_t key = largest_theta(&tops, (double)top_k, true), bits = key & 0x80000000u ? key & 0x7fffffffu : ~key;
    float floor;
    memcpy(&floor, &bits, sizeof floor);
    return floor;
}

/* Of n tokens, those lighter than (1 - top_p) / n of the whole cannot amount to 1 - top_p, so top-p keeps none of
 * them (half of that, to be beyond rounding). */
static float floor_of_top_p(sample_row *row, const pm_cpu_context *context, double top_p)
{
    context->kernels->exp_scaled(row->logits, row->n, row->highest, 1, row->weights);
    double sum = sum_of(row->weights, row->n), least = (1 - top_p) * sum / (double)row->n * 0.5;
    if (!(sum < INFINITY) || !(least > 0)) /* there is NaN or Inf among the logits */
        return -INFINITY;
    row->top_p_sum = sum;
    return row->highest + (float)log(least);
}

/* A logit below which no token is kept in the end. */
static float find_floor(sample_row *row, const pm_cpu_context *context)
{
    const pm_run_params *params = &row->params;
    float floor = -INFINITY;
    if (params->top_k > 0 && params->top_k < row->n)
        floor = params->top_k <= row->n_tops ? floor_of_top_k(row, params->top_k) : -INFINITY;
    else if (params->top_p < 1)
        floor = floor_of_top_p(row, context, (double)params->top_p);
    return floor < row->highest ? floor : -INFINITY;
}

static void keep_above(sample_row *row, float floor)
{
    row->n_kept = 0;
    for (int64_t b = 0; b < row->n_tops; b++) {
        int64_t end = row->n - b * BLOCK < BLOCK ? row->n : (b + 1) * BLOCK;
        if (row->tops[b] < floor)
            continue;
        for (int64_t i = b * BLOCK; i < end; i++) {
            row->kept[row->n_kept] = (int32_t)i;
            row->n_kept += floor == -INFINITY || row->logits[i] >= floor;
        }
    }
}

static void keep_top_p(sample_row *row, const pm_cpu_context *context, double top_p)
{
    double sum = weigh(row, context, 1);
    sum = row->top_p_sum > 0 ? row->top_p_sum : sum;
    keep_from(row, largest_theta(row, top_p * sum, false));
}

static int32_t draw_from(const sample_row *row, double sum)
{
    const pm_run_params *params = &row->params;
    double limit = sum * (double)pm_random_unit(params->seed_lo, params->seed_hi, params->draw), running = 0;
    int32_t last = row->kept[0];
    for (int64_t i = 0; i < row->n_kept; i++) {
        running += (double)row->weights[i];
        last = row->weights[i] > 0 ? row->kept[i] : last;
        if (running > limit)
            return row->kept[i];
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

static int32_t sample_one(sample_row *row, const pm_cpu_context *context)
{
    const pm_run_params *params = &row->params;
    for (int64_t b = 0; b < row->n_tops; b++)
        row->tops[b] = context->kernels->highest(row->logits + b * BLOCK,
                                                 row->n - b * BLOCK < BLOCK ? row->n - b * BLOCK : BLOCK);
    row->highest = context->kernels->highest(row->tops, row->n_tops);
    if (!(params->temperature > 0) || row->highest == -INFINITY)
        return row->highest == -INFINITY ? 0 : first_of(row->logits, row->n, row->highest);
    keep_above(row, find_floor(row, context));
    if (params->top_k > 0 && params->top_k < row->n)
        keep_from(row, largest_theta(row, params->top_k, true));
    if (params->top_p < 1)
        keep_top_p(row, context, (double)params->top_p);
    if (params->min_p > 0) {
        weigh(row, context, 1);
        drop_below(row, params->min_p < 1 ? params->min_p : 1);
    }
    double sum = weigh(row, context, params->temperature);
    return draw_from(row, sum);
}

static void run(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    int64_t n = step->node->in[0]->dim[0];
    for (int64_t i = begin; i < end; i++) {
        sample_row row = {.logits = (const float *)step->in[0] + i * n, .n = n, .weights = context->scratch};
        row.params = pm_row_params(context->params, step->in[1], i);
        row.kept = (int32_t *)(void *)(context->scratch + n);
        row.bin = row.kept + n;
        row.tops = context->scratch + 3 * n;
        row.n_tops = (n + BLOCK - 1) / BLOCK;
        ((int32_t *)step->out)[i] = sample_one(&row, context);
    }
}

static size_t scratch(const pm_cpu_step *step)
{
    size_t n = (size_t)step->node->in[0]->dim[0];
    return 3 * n + (n + BLOCK - 1) / BLOCK;
}

const pm_cpu_step_kind pm_cpu_step_sample = {
    .name = "sample", .items = pm_cpu_rows_of_in, .run = run, .grain = pm_cpu_grain_one, .scratch = scratch};
