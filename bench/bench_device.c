/* One device in a child process: ceilings, then rates, ops, the check against the reference, and memory. What
 * every child does first, opening a device and a model, is here, too. */
#include "bench_measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "pumice/encode.h"

static int may_go_on(void *user, const char *what, uint64_t done, uint64_t total)
{
    (void)what;
    (void)done;
    (void)total;
    return bench_stopped(user);
}

pm_status bench_open(bench_target *t, const char *cache_dir, pm_error *err)
{
    const bench_settings *s = t->settings;
    const pm_device_options device = {
        .name = t->name, .tier = s->tier, .tuning = s->tuning, .n_threads = s->n_threads, .cache_dir = cache_dir};
    pm_model_options model = {.progress = may_go_on};
    memcpy(&model.user, &s, sizeof s); /* may_go_on does not change it */
    pm_status status = t->device ? PM_OK : pm_device_open(&device, &t->device, err);
    return status == PM_OK ? pm_model_open(s->model_path, t->device, &model, &t->model, err) : status;
}

/* Knuth's linear congruential generator. */
static void make_tokens(bench_target *t)
{
    uint32_t state = 1;
    for (int32_t i = 0; i < t->n_tokens; i++) {
        state = state * 1664525u + 1013904223u;
        t->tokens[i] = (int32_t)((state >> 8) % (uint32_t)pm_model_get_info(t->model)->n_vocab);
    }
}

pm_status bench_open_session(bench_target *t, int32_t n_ctx, int32_t n_source, int32_t n_tokens, pm_error *err)
{
    const pm_session_options options = {.n_ctx = n_ctx,
                                        .n_source = n_source,
                                        .kv_type = t->settings->kv_type,
                                        .n_steps = t->settings->n_steps,
                                        .should_stop = t->settings->should_stop,
                                        .stop_user = t->settings->user};
    t->n_tokens = n_tokens;
    t->tokens = malloc((size_t)n_tokens * sizeof *t->tokens);
    if (!t->tokens)
        return PM_ERR_MEMORY;
    make_tokens(t);
    return pm_session_create(t->model, &options, &t->session, err);
}

void bench_close(bench_target *t)
{
    pm_session_destroy(t->session);
    pm_model_close(t->model);
    pm_device_close(t->device);
    free(t->tokens);
}

/* ---- Passes ---- */

pm_status bench_rewind(bench_target *t, int32_t n_source, pm_error *err)
{
    switch (pm_model_get_info(t->model)->shape) {
    case PM_SHAPE_ENCODER_DECODER:
        return pm_session_set_source(t->session, t->tokens, (size_t)n_source, NULL, err);
    case PM_SHAPE_DECODER_ONLY:
        return pm_session_truncate(t->session, 0, err);
    default:
        return PM_OK;
    }
}

pm_status bench_pass_prompt(bench_target *t, int32_t n_tokens, pm_error *err)
{
    int32_t next, past = pm_session_n_past(t->session);
    return pm_session_next(t->session, t->tokens + past, (size_t)(n_tokens - past), NULL, &next, err);
}

pm_status bench_pass_decode(bench_target *t, int32_t n_tokens, pm_error *err)
{
    int32_t next[PM_MOST_STEPS] = {t->tokens[0]}, done = 0;
    pm_status status = PM_OK;
    while (done < n_tokens && status == PM_OK) {
        size_t n = 0, left = (size_t)(n_tokens - done);
        int32_t token = next[0];
        status = pm_session_decode(t->session, token, NULL, left < PM_MOST_STEPS ? left : PM_MOST_STEPS, next, &n, err);
        done += (int32_t)n;
        if (n > 0)
            next[0] = next[n - 1];
    }
    return status;
}

pm_status bench_pass_encode(bench_target *t, int32_t n_sequences, int32_t n_tokens, pm_error *err)
{
    const pm_model_info *info = pm_model_get_info(t->model);
    if (info->shape == PM_SHAPE_ENCODER_DECODER)
        return pm_session_set_source(t->session, t->tokens, (size_t)n_tokens, NULL, err);
    size_t n_hidden = (size_t)n_sequences * (size_t)n_tokens * (size_t)info->n_embd;
    pm_token_sequence *list = calloc((size_t)n_sequences, sizeof *list);
    float *hidden = malloc(n_hidden * sizeof *hidden);
    pm_status status = list && hidden ? PM_OK : PM_ERR_MEMORY;
    for (int32_t i = 0; i < n_sequences && status == PM_OK; i++)
        list[i] = (pm_token_sequence){.tokens = t->tokens, .n = (size_t)n_tokens};
    if (status == PM_OK)
        status = pm_session_encode(t->session, list, (size_t)n_sequences, hidden, err);
    free(list);
    free(hidden);
    return status;
}

/* ---- Into the document ---- */

static json_t *limits_json(const pm_device_limits *l)
{
    return json_pack("{s:I,s:I,s:i,s:i,s:i,s:i,s:b,s:b,s:b,s:b,s:b,s:b,s:b,s:b}", "max_storage_buffer_range",
                     (json_int_t)l->max_storage_buffer_range, "max_allocation", (json_int_t)l->max_allocation,
                     "max_workgroup_invocations", (int)l->max_workgroup_invocations, "max_shared_memory",
                     (int)l->max_shared_memory, "max_push_constants", (int)l->max_push_constants, "subgroup_size",
                     (int)l->subgroup_size, "subgroup_arithmetic", l->subgroup_arithmetic, "storage_16bit",
                     l->storage_16bit, "storage_8bit", l->storage_8bit, "float16", l->float16, "int8", l->int8,
                     "integer_dot_product", l->integer_dot_product, "cooperative_matrix", l->cooperative_matrix,
                     "timestamps", l->timestamps);
}

void bench_put_device(const bench_target *t, json_t *entry)
{
    const pm_device_info *info = pm_device_get_info(t->device);
    json_object_set_new(entry, "title", json_string(info->title));
    json_object_set_new(entry, "driver", json_string(info->driver));
    json_object_set_new(entry, "api_version", json_string(info->api_version));
    json_object_set_new(entry, "kind", json_string(pm_device_kind_name(info->kind)));
    json_object_set_new(entry, "device_memory_bytes", json_integer((json_int_t)info->memory_total));
    json_object_set_new(entry, "unified_memory", json_boolean(info->unified_memory));
    if (info->tier != PM_TIER_BEST) {
        json_object_set_new(entry, "tier", json_integer((int)info->tier - (int)PM_TIER_T0));
        json_object_set_new(entry, "limits", limits_json(&info->limits));
    }
}

void bench_put_memory(const bench_target *t, json_t *entry)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    json_object_set_new(entry, "memory",
                        json_pack("{s:I,s:I,s:I,s:i}", "host_peak_bytes", (json_int_t)usage.ru_maxrss * 1024,
                                  "weights_on_device_bytes", (json_int_t)pm_model_get_info(t->model)->device_bytes,
                                  "session_on_device_bytes", (json_int_t)pm_session_device_bytes(t->session),
                                  "n_ctx", pm_session_n_ctx(t->session)));
}

static void put_ceilings(const pm_ceilings *c, json_t *entry)
{
    json_object_set_new(entry, "ceilings",
                        json_pack("{s:f,s:f,s:f,s:f,s:f,s:f}", "read_bytes_per_s", c->read_bytes_per_s,
                                  "copy_bytes_per_s", c->copy_bytes_per_s, "f32_flops_per_s", c->f32_flops_per_s,
                                  "f16_flops_per_s", c->f16_flops_per_s, "i8_ops_per_s", c->i8_ops_per_s,
                                  "matrix_flops_per_s", c->matrix_flops_per_s));
}

/* ---- The child ---- */

/* Room for the longest of what is asked for that the model can do. */
static pm_status open_session(bench_target *t, const bench_truth *truth, pm_error *err)
{
    const bench_settings *s = t->settings;
    const pm_model_info *info = pm_model_get_info(t->model);
    int32_t longest = truth ? truth->n_tokens : 1, source = 1;
    for (size_t i = 0; i < s->prompts.n; i++)
        if (s->prompts.list[i] <= info->n_ctx_train && s->prompts.list[i] > longest)
            longest = s->prompts.list[i];
    source = longest;
    for (size_t i = 0; i < s->depths.n; i++)
        if (s->depths.list[i] + s->n_decode <= info->n_ctx_train && s->depths.list[i] + s->n_decode > longest)
            longest = s->depths.list[i] + s->n_decode;
    if (longest < s->n_decode + 1)
        longest = s->n_decode + 1;
    int32_t n_ctx = info->shape == PM_SHAPE_ENCODER_ONLY ? 0 : longest + 1;
    return bench_open_session(t, n_ctx, info->shape == PM_SHAPE_ENCODER_DECODER ? source : 0, longest + 1, err);
}

static pm_status measure(bench_target *t, const char *cache_dir, const bench_truth *truth, bench_channel *channel,
                         pm_error *err)
{
    pm_status status = bench_open(t, cache_dir, err);
    if (t->device)
        bench_put_device(t, channel->entry);
    bench_note(t->settings, "%s: ceilings", t->name);
    if (status == PM_OK)
        status = pm_device_measure(t->device, &t->ceilings, err);
    if (status != PM_OK)
        return status;
    put_ceilings(&t->ceilings, channel->entry);
    bench_publish(channel);
    t->begun_s = bench_now_s();
    status = open_session(t, truth, err);
    if (status == PM_OK && truth && truth->seconds > 0)
        status = bench_verify(t, truth, channel, err);
    if (status == PM_OK)
        status = bench_rates(t, channel, err);
    if (status == PM_OK && !t->settings->no_ops)
        status = bench_ops(t, channel, err);
    if (status == PM_OK)
        bench_put_memory(t, channel->entry);
    return status;
}

void bench_child_device(const bench_settings *settings, const char *device, const char *cache_dir,
                        const bench_truth *truth, bench_channel *channel)
{
    bench_target t = {.settings = settings, .name = device};
    pm_error err = {PM_OK, ""};
    pm_status status = measure(&t, cache_dir, truth, channel, &err);
    if (status != PM_OK && !(status == PM_ERR_CANCELLED && bench_stopped(settings)))
        json_object_set_new(channel->entry, "error",
                            json_string(err.message[0] ? err.message : pm_status_text(status)));
    bench_publish(channel);
    bench_close(&t);
}
