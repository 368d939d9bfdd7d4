/* Comparing a device's output with the reference's. See op_case.h.
 *
 * Two limits hold for every output: the normalised mean squared error over all of it, and the largest error of one
 * element, so that a single wrong element in a large tensor is seen. NaN and infinities must be where the
 * reference has them. Rows that the run left out must hold the very bits that an earlier run left there. */
#include "op_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/block_types.h"

/* How many times the root mean square error one element may be off. Rounding errors of sums are about normally
 * distributed: the largest of a million of them is 5 deviations. Errors that come with the size of a value (exp,
 * half precision) are spread wider. */
#define MAX_OVER_RMS 16.0

static int64_t counted_elems(const op_case *c, const pm_tensor *tensor)
{
    if (tensor->rows == PM_ROWS_FIXED)
        return pm_tensor_elems(tensor);
    int64_t rows = pm_tensor_rows_now(tensor, &c->params);
    return tensor->n_dims == 1 ? rows : rows * tensor->dim[0];
}

static void judge_left_out(const op_case *c, const case_output *o, op_verdict *v)
{
    size_t elem_bytes = pm_type_get(o->tensor->type)->block_bytes;
    size_t from = (size_t)counted_elems(c, o->tensor) * elem_bytes, all = pm_tensor_bytes(o->tensor);
    for (size_t at = from; at < all; at += elem_bytes) {
        if (memcmp((char *)o->got + at, (char *)o->canary + at, elem_bytes) == 0)
            continue;
        v->ok = false;
        v->worst = (int64_t)(at / elem_bytes);
        v->got = pm_element(o->tensor->type, o->got, v->worst);
        v->want = pm_element(o->tensor->type, o->canary, v->worst);
        snprintf(v->problem, sizeof v->problem, "a row beyond those of the run was written");
        return;
    }
}

static void judge_numbers(const op_case *c, const case_output *o, op_verdict *v)
{
    int64_t n = counted_elems(c, o->tensor), n_finite = 0;
    double error = 0, power = 0;
    for (int64_t i = 0; i < n; i++) {
        double got = pm_element(o->tensor->type, o->got, i), want = pm_element(o->tensor->type, o->want, i);
        bool same = got == want || (isnan(got) && isnan(want));
        double gap = same ? 0 : isfinite(got) && isfinite(want) ? fabs(got - want) : (double)INFINITY;
        if (isfinite(want)) {
            power += want * want;
            n_finite++;
        }
        error += gap * gap;
        if (v->worst < 0 || gap > v->max_error) {
            v->worst = i;
            v->max_error = gap;
            v->got = got;
            v->want = want;
        }
    }
    power = fmax(n_finite ? power / (double)n_finite : 0, o->least_power);
    v->nmse = error == 0 ? 0 : error / (double)n / fmax(power, 1e-30);
    v->ok = error == 0 ||
            (v->nmse <= o->nmse_limit && v->max_error <= MAX_OVER_RMS * sqrt(o->nmse_limit * fmax(power, 1e-30)));
    if (isinf(v->max_error))
        snprintf(v->problem, sizeof v->problem, "NaN or infinity where it should not be, or missing");
}

/* A draw may differ from the reference's where rounding decides: the token must then be right for thresholds and a
 * random number moved by no more than rounding moves them. The reference itself must agree with the sorted way. */
static void judge_draws(const op_case *c, const case_output *o, op_verdict *v)
{
    const pm_tensor *logits = c->inputs[0].tensor;
    const int32_t *settings = c->n_inputs > 1 ? c->inputs[1].data : NULL; /* each row's own */
    int64_t n = counted_elems(c, o->tensor);
    v->ok = true;
    for (int64_t row = 0; row < n && v->ok; row++) {
        const float *values = (const float *)c->inputs[0].data + row * logits->dim[0];
        const pm_run_params params = pm_row_params(&c->params, settings, row);
        double u = (double)pm_random_unit(params.seed_lo, params.seed_hi, params.draw);
        int32_t got = ((int32_t *)o->got)[row], want = ((int32_t *)o->want)[row];
        int32_t expected = op_expected_draw(values, logits->dim[0], &params, u, 0);
        bool right = got == want;
        for (int i = 0; i < 9 && !right; i++)
            right = got ==
                    op_expected_draw(values, logits->dim[0], &params, u + 2e-5 * (i % 3 - 1), 1e-5 * (i / 3 - 1));
        v->ok = right && expected == want;
        v->worst = row;
        v->got = got;
        v->want = expected == want ? want : expected;
        if (expected != want)
            snprintf(v->problem, sizeof v->problem, "the reference draws %d in row %lld", want, (long long)row);
        else if (!right)
            snprintf(v->problem, sizeof v->problem, "another draw in row %lld", (long long)row);
    }
    if (v->ok)
        v->worst = -1;
}

op_verdict op_judge(const op_case *c, const case_output *output)
{
    op_verdict v = {.worst = -1};
    if (c->sampled)
        judge_draws(c, output, &v);
    else
        judge_numbers(c, output, &v);
    if (v.ok && op_case_has_left_out_rows(c))
        judge_left_out(c, output, &v);
    return v;
}

/* ---- sampling, the sorted way ------------------------------------------------------------------------------- */

typedef struct candidate {
    double logit;
    int32_t id;
} candidate;

static int by_logit(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return x->id - y->id;
}

static int by_id(const void *a, const void *b)
{
    return ((const candidate *)a)->id - ((const candidate *)b)->id;
}

/* n_kept extended over all that tie with the last one kept. */
static int64_t with_ties(const candidate *sorted, int64_t n, int64_t n_kept)
{
    while (n_kept < n && sorted[n_kept].logit == sorted[n_kept - 1].logit)
        n_kept++;
    return n_kept;
}

static int64_t keep(const candidate *sorted, int64_t n, const pm_run_params *params, double nudge)
{
    int64_t n_kept = n;
    double top = sorted[0].logit, whole = 0, sum = 0;
    if (params->top_k > 0 && params->top_k < n)
        n_kept = with_ties(sorted, n, params->top_k);
    for (int64_t i = 0; i < n_kept; i++)
        whole += exp(sorted[i].logit - top);
    if (params->top_p < 1) {
        int64_t n_p = 0;
        while (n_p < n_kept && (n_p == 0 || sum < ((double)params->top_p + nudge) * whole))
            sum += exp(sorted[n_p++].logit - top);
        n_kept = with_ties(sorted, n_kept, n_p);
    }
    while (n_kept > 1 && exp(sorted[n_kept - 1].logit - top) < (double)params->min_p * (1 + nudge))
        n_kept--;
    return n_kept;
}

int32_t op_expected_draw(const float *logits, int64_t n, const pm_run_params *params, double u, double nudge)
{
    candidate *sorted = malloc((size_t)n * sizeof *sorted);
    if (!sorted)
        return -1;
    for (int64_t i = 0; i < n; i++)
        sorted[i] = (candidate){isnan(logits[i]) ? -(double)INFINITY : (double)logits[i], (int32_t)i};
    qsort(sorted, (size_t)n, sizeof *sorted, by_logit);
    int32_t chosen = sorted[0].id;
    if (params->temperature > 0 && isfinite(sorted[0].logit)) {
        int64_t n_kept = keep(sorted, n, params, nudge);
        double top = sorted[0].logit, sum = 0, running = 0;
        qsort(sorted, (size_t)n_kept, sizeof *sorted, by_id);
        for (int64_t i = 0; i < n_kept; i++)
            sum += exp((sorted[i].logit - top) / (double)params->temperature);
        for (int64_t i = 0; i < n_kept; i++) {
            double weight = exp((sorted[i].logit - top) / (double)params->temperature);
            running += weight;
            if (weight > 0)
                chosen = sorted[i].id;
            if (running > u * sum)
                break;
        }
    }
    free(sorted);
    return chosen;
}
