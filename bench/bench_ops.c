/* Each op at the shapes of the model: its time, the memory traffic and arithmetic that it cannot do without, and
 * how near it comes to what the device can do. */
#include "bench_measure.h"

#include <stdio.h>
#include <string.h>

#include "pumice/profile.h"

enum { LONGEST = 512, DEPTH = 64, LONG_ENOUGH_MS = 400, MOST_PASSES = 50 };

/* The best that the device has for products of matrices; for other ops fp32. */
static double arithmetic_ceiling(const pm_ceilings *c, const char *op)
{
    double best = c->f32_flops_per_s;
    if (strcmp(op, "matmul") != 0)
        return best;
    best = c->f16_flops_per_s > best ? c->f16_flops_per_s : best;
    best = c->i8_ops_per_s > best ? c->i8_ops_per_s : best;
    return c->matrix_flops_per_s > best ? c->matrix_flops_per_s : best;
}

static json_t *row_json(const pm_profile_row *row, const pm_ceilings *c, double n_passes)
{
    double by_memory = c->read_bytes_per_s > 0 ? row->bytes / row->seconds / c->read_bytes_per_s : 0;
    double peak = arithmetic_ceiling(c, row->op), by_arithmetic = peak > 0 ? row->ops / row->seconds / peak : 0;
    return json_pack("{s:s,s:s,s:f,s:f,s:f,s:f,s:f,s:s}", "op", row->op, "shape", row->shape, "calls",
                     (double)row->n_calls / n_passes, "seconds", row->seconds / n_passes, "bytes",
                     row->bytes / n_passes, "ops", row->ops / n_passes, "share_of_ceiling",
                     by_memory > by_arithmetic ? by_memory : by_arithmetic, "bound",
                     by_memory > by_arithmetic ? "memory" : "arithmetic");
}

static json_t *profile_json(const char *name, int32_t n_tokens, const pm_profile *p, const pm_ceilings *ceilings)
{
    double n_passes = (double)p->n_passes;
    json_t *rows = json_array();
    for (size_t i = 0; i < p->n_rows; i++)
        if (p->rows[i].seconds > 0)
            json_array_append_new(rows, row_json(&p->rows[i], ceilings, n_passes));
    return json_pack("{s:s,s:i,s:f,s:f,s:o}", "name", name, "tokens", n_tokens, "passes", n_passes, "seconds",
                     p->seconds / n_passes, "rows", rows);
}

static pm_status run_once(bench_target *t, int is_decode, int32_t n, pm_error *err)
{
    if (is_decode)
        return bench_pass_decode(t, n, err);
    if (pm_model_get_info(t->model)->shape == PM_SHAPE_ENCODER_ONLY)
        return bench_pass_encode(t, 1, n, err);
    pm_status status = bench_rewind(t, n, err);
    if (status == PM_OK && pm_model_get_info(t->model)->shape == PM_SHAPE_DECODER_ONLY)
        status = bench_pass_prompt(t, n, err);
    return status;
}

/* Once for nothing, then until it has taken long enough to be trusted. */
static pm_status profile(bench_target *t, int is_decode, int32_t n, const char *name, bench_channel *channel,
                         pm_error *err)
{
    pm_profile p = {0};
    pm_status status = pm_session_profile_begin(t->session, err);
    if (status != PM_OK)
        return status;
    status = run_once(t, is_decode, n, err);
    pm_session_profile_reset(t->session);
    double begin = bench_now_s();
    for (int i = 0; status == PM_OK && i < MOST_PASSES; i++) {
        status = run_once(t, is_decode, n, err);
        if (bench_now_s() - begin > LONG_ENOUGH_MS * 1e-3)
            break;
    }
    pm_status ended = pm_session_profile_end(t->session, &p, status == PM_OK ? err : NULL);
    status = status == PM_OK ? ended : status;
    if (status == PM_OK && p.n_passes > 0) {
        json_array_append_new(json_object_get(channel->entry, "ops"), profile_json(name, n, &p, &t->ceilings));
        bench_publish(channel);
    }
    pm_profile_clear(&p);
    return status;
}

/* The longest of the prompts or sequences that were measured which takes no more of the budget than ops may have,
 * and goes into one pass; the shortest where none does; 0: none was measured. */
static int32_t choose_length(const bench_target *t, const json_t *entry, const char *kind)
{
    size_t i;
    json_t *rate;
    int32_t shortest = 0, best = 0;
    json_array_foreach(json_object_get(entry, "rates"), i, rate)
    {
        int32_t n = (int32_t)json_integer_value(json_object_get(rate, "tokens"));
        double seconds = n / json_number_value(json_object_get(rate, "tokens_per_s"));
        if (strcmp(json_string_value(json_object_get(rate, "kind")), kind) != 0 ||
            json_integer_value(json_object_get(rate, "batch")) != 1)
            continue;
        shortest = shortest == 0 || n < shortest ? n : shortest;
        if (n <= LONGEST && n > best && (t->settings->budget_s <= 0 || 2 * seconds < t->settings->budget_s / 8))
            best = n;
    }
    return best > 0 ? best : shortest;
}

pm_status bench_ops(bench_target *t, bench_channel *channel, pm_error *err)
{
    const pm_model_info *info = pm_model_get_info(t->model);
    int is_decoder = info->shape == PM_SHAPE_DECODER_ONLY;
    char name[32];
    pm_status status = PM_OK;
    json_object_set_new(channel->entry, "ops", json_array());
    bench_note(t->settings, "%s: ops", t->name);
    int32_t n = choose_length(t, channel->entry, is_decoder ? "prompt" : "encode");
    snprintf(name, sizeof name, "%s%d", is_decoder ? "pp" : "enc", n);
    if (n > 0)
        status = profile(t, 0, n, name, channel, err);
    int32_t room = pm_session_n_ctx(t->session) - MOST_PASSES - 2, depth = room < DEPTH ? room : DEPTH;
    if (status != PM_OK || info->shape == PM_SHAPE_ENCODER_ONLY || room <= 0 || t->settings->n_decode == 0)
        return status;
    status = bench_rewind(t, n > 0 ? n : 1, err);
    if (status == PM_OK && is_decoder)
        status = bench_pass_prompt(t, depth, err);
    snprintf(name, sizeof name, is_decoder ? "tg@%d" : "tg", depth);
    return status == PM_OK ? profile(t, 1, 1, name, channel, err) : status;
}
