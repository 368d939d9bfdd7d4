/* What is measured on a device, in this order: the time from nothing to the first token (device, weights, pipelines, a
 * short prompt), then the ceilings, prompts and decoding in turn (interleaved, so that a machine whose speed drifts
 * does not favour one of them), peak memory, and last the numerical error against the reference, which needs memory of
 * its own.
 *
 * Limits: decoding reads every weight but the embedding table once a token (bytes over bandwidth); a prompt costs two
 * operations a weight and token (operations over the peak of the arithmetic that the kernels use). */
#include "bench_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "pumice/session.h"

enum { FIRST_TOKEN_PROMPT = 8 };

typedef struct run {
    const bench_settings *settings;
    pm_device *device;
    pm_model *model;
    pm_session *session;
    int32_t *tokens; /* a fixed pseudo-random prompt, as long as the longest */
    int32_t n_tokens;
    json_t *entry;
} run;

static double now_s(void)
{
    return (double)pm_trace_now_ns() * 1e-9;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int32_t n)
{
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void make_tokens(run *r)
{
    uint32_t state = 1;
    for (int32_t i = 0; i < r->n_tokens; i++) {
        state = state * 1664525u + 1013904223u; /* Knuth's linear congruential generator */
        r->tokens[i] = (int32_t)((state >> 8) % (uint32_t)pm_model_get_info(r->model)->n_vocab);
    }
}

static int32_t longest(const bench_settings *s)
{
    int32_t most = FIRST_TOKEN_PROMPT > s->verify_tokens ? FIRST_TOKEN_PROMPT : s->verify_tokens;
    for (size_t i = 0; i < s->n_prompts; i++)
        if (s->prompts[i] > most)
            most = s->prompts[i];
    return most;
}

/* Device, model, session, first token. */
static pm_status start(run *r, const char *name, pm_error *err)
{
    const bench_settings *s = r->settings;
    double t0 = now_s();
    pm_device_options device_options = {.name = name, .tier = s->tier, .n_threads = s->n_threads,
                                        .no_cache = s->no_cache};
    pm_status status = pm_device_open(&device_options, &r->device, err);
    double t1 = now_s();
    if (status == PM_OK)
        status = pm_model_open(s->model_path, r->device, NULL, &r->model, err);
    double t2 = now_s();
    if (status != PM_OK)
        return status;
    r->n_tokens = longest(s);
    r->tokens = malloc((size_t)r->n_tokens * sizeof *r->tokens);
    if (!r->tokens)
        return PM_ERR_MEMORY;
    make_tokens(r);
    int32_t need = r->n_tokens > s->n_decode + 1 ? r->n_tokens : s->n_decode + 1;
    pm_session_options session_options = {.n_ctx = need};
    status = pm_session_create(r->model, &session_options, &r->session, err);
    if (status == PM_OK)
        status = pm_session_warm_up(r->session, FIRST_TOKEN_PROMPT, err);
    double t3 = now_s();
    int32_t next;
    if (status == PM_OK)
        status = pm_session_next(r->session, r->tokens, FIRST_TOKEN_PROMPT, NULL, &next, err);
    double t4 = now_s();
    json_object_set_new(r->entry, "first_token_s",
                        json_pack("{s:f,s:f,s:f,s:f,s:f}", "total", t4 - t0, "open_device", t1 - t0, "load_model",
                                  t2 - t1, "compile", t3 - t2, "prompt", t4 - t3));
    return status;
}

static pm_status time_prompt(run *r, int32_t n, double *seconds, pm_error *err)
{
    int32_t next;
    pm_status status = pm_session_truncate(r->session, 0, err);
    double t0 = now_s();
    if (status == PM_OK)
        status = pm_session_next(r->session, r->tokens, (size_t)n, NULL, &next, err);
    *seconds = now_s() - t0;
    return status;
}

static pm_status time_decode(run *r, double *seconds, pm_error *err)
{
    int32_t next = r->tokens[0];
    pm_status status = pm_session_truncate(r->session, 0, err);
    double t0 = now_s();
    for (int32_t i = 0; status == PM_OK && i < r->settings->n_decode; i++)
        status = pm_session_next(r->session, &next, 1, NULL, &next, err);
    *seconds = now_s() - t0;
    return status;
}

/* Weights that decoding one token reads: all but an embedding table that is not also the output matrix. */
static void weights_read(const pm_model *model, double *bytes, double *elems)
{
    const pm_model_info *info = pm_model_get_info(model);
    const pm_gguf *file = pm_model_file(model);
    *bytes = (double)info->file_bytes;
    *elems = (double)info->n_params;
    const pm_gguf_tensor *table = pm_gguf_find_tensor(file, "token_embd.weight");
    if (table && pm_gguf_find_tensor(file, "output.weight")) {
        *bytes -= (double)table->n_bytes;
        *elems -= (double)(table->dim[0] * table->dim[1]);
    }
}

static void put_rate(run *r, const char *name, int32_t n, double *seconds, double limit)
{
    json_t *samples = json_array();
    int32_t repeats = r->settings->n_repeats;
    for (int32_t i = 0; i < repeats; i++)
        json_array_append_new(samples, json_real((double)n / seconds[i]));
    double rate = (double)n / median(seconds, repeats);
    json_t *entry = json_pack("{s:s,s:i,s:f,s:o}", "name", name, "tokens", n, "tokens_per_s", rate, "samples", samples);
    if (limit > 0) {
        json_object_set_new(entry, "limit_tokens_per_s", json_real(limit));
        json_object_set_new(entry, "share_of_limit", json_real(rate / limit));
    }
    json_array_append_new(json_object_get(r->entry, "rates"), entry);
}

static pm_status measure_rates(run *r, const pm_ceilings *ceilings, pm_error *err)
{
    const bench_settings *s = r->settings;
    double *seconds = calloc((s->n_prompts + 1) * (size_t)s->n_repeats, sizeof *seconds);
    if (!seconds)
        return PM_ERR_MEMORY;
    pm_status status = PM_OK;
    double warm;
    for (size_t p = 0; status == PM_OK && p < s->n_prompts; p++) /* compile each bucket before the clock runs */
        status = time_prompt(r, s->prompts[p], &warm, err);
    for (int32_t i = 0; status == PM_OK && i < s->n_repeats; i++) {
        for (size_t p = 0; status == PM_OK && p < s->n_prompts; p++)
            status = time_prompt(r, s->prompts[p], &seconds[p * (size_t)s->n_repeats + (size_t)i], err);
        if (status == PM_OK && s->n_decode > 0)
            status = time_decode(r, &seconds[s->n_prompts * (size_t)s->n_repeats + (size_t)i], err);
    }
    if (status == PM_OK) {
        double bytes, elems, out_elems = (double)pm_model_get_info(r->model)->n_vocab * pm_model_get_info(r->model)->n_embd;
        weights_read(r->model, &bytes, &elems);
        double peak = ceilings->i8_ops_per_s > ceilings->f32_flops_per_s ? ceilings->i8_ops_per_s
                                                                        : ceilings->f32_flops_per_s;
        for (size_t p = 0; p < s->n_prompts; p++) {
            char name[32];
            snprintf(name, sizeof name, "pp%d", s->prompts[p]);
            /* the output matrix is multiplied with the last token's row only */
            double ops = 2 * ((elems - out_elems) * s->prompts[p] + out_elems);
            put_rate(r, name, s->prompts[p], seconds + p * (size_t)s->n_repeats, peak / ops * s->prompts[p]);
        }
        char name[32];
        snprintf(name, sizeof name, "tg%d", s->n_decode);
        if (s->n_decode > 0)
            put_rate(r, name, s->n_decode, seconds + s->n_prompts * (size_t)s->n_repeats,
                     ceilings->read_bytes_per_s / bytes);
    }
    free(seconds);
    return status;
}

static void put_memory(run *r)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    json_object_set_new(
        r->entry, "memory_bytes",
        json_pack("{s:I,s:I,s:I}", "host_peak", (json_int_t)usage.ru_maxrss * 1024, "weights_on_device",
                  (json_int_t)pm_model_get_info(r->model)->device_bytes, "session_on_device",
                  (json_int_t)pm_session_device_bytes(r->session)));
}

static double nmse(const float *got, const float *want, size_t n)
{
    double error = 0, power = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)got[i] - (double)want[i];
        error += d * d;
        power += (double)want[i] * (double)want[i];
    }
    return power > 0 ? error / power : error;
}

/* Logits of the same tokens on the reference backend: a device that is wrong but fast is caught here. */
static pm_status verify(run *r, pm_error *err)
{
    size_t n = (size_t)r->settings->verify_tokens, size = n * (size_t)pm_model_get_info(r->model)->n_vocab;
    run reference = {.settings = r->settings};
    float *got = malloc(size * sizeof *got), *want = malloc(size * sizeof *want);
    pm_status status = got && want ? pm_session_truncate(r->session, 0, err) : PM_ERR_MEMORY;
    if (status == PM_OK)
        status = pm_session_logits(r->session, r->tokens, n, n, got, err);
    pm_device_options device_options = {.name = "reference", .n_threads = r->settings->n_threads};
    if (status == PM_OK)
        status = pm_device_open(&device_options, &reference.device, err);
    if (status == PM_OK)
        status = pm_model_open(r->settings->model_path, reference.device, NULL, &reference.model, err);
    pm_session_options session_options = {.n_ctx = (int32_t)n};
    if (status == PM_OK)
        status = pm_session_create(reference.model, &session_options, &reference.session, err);
    double t0 = now_s();
    if (status == PM_OK)
        status = pm_session_logits(reference.session, r->tokens, n, n, want, err);
    if (status == PM_OK)
        json_object_set_new(r->entry, "verify",
                            json_pack("{s:i,s:f,s:f}", "tokens", (int)n, "logits_nmse", nmse(got, want, size),
                                      "reference_tokens_per_s", (double)n / (now_s() - t0)));
    pm_session_destroy(reference.session);
    pm_model_close(reference.model);
    pm_device_close(reference.device);
    free(got);
    free(want);
    return status;
}

static void put_device(run *r)
{
    const pm_device_info *info = pm_device_get_info(r->device);
    json_object_set_new(r->entry, "title", json_string(info->title));
    json_object_set_new(r->entry, "driver", json_string(info->driver));
    json_object_set_new(r->entry, "api_version", json_string(info->api_version));
    json_object_set_new(r->entry, "kind", json_string(pm_device_kind_name(info->kind)));
    if (info->tier != PM_TIER_BEST)
        json_object_set_new(r->entry, "tier", json_integer((int)info->tier - (int)PM_TIER_T0));
}

static pm_status measure(run *r, const char *name, pm_error *err)
{
    pm_status status = start(r, name, err);
    if (r->device)
        put_device(r);
    pm_ceilings ceilings = {0};
    if (status == PM_OK)
        status = pm_device_measure(r->device, &ceilings, err);
    if (status != PM_OK)
        return status;
    json_object_set_new(r->entry, "ceilings",
                        json_pack("{s:f,s:f,s:f}", "read_bytes_per_s", ceilings.read_bytes_per_s, "f32_flops_per_s",
                                  ceilings.f32_flops_per_s, "i8_ops_per_s", ceilings.i8_ops_per_s));
    json_object_set_new(r->entry, "rates", json_array());
    status = measure_rates(r, &ceilings, err);
    if (status == PM_OK)
        put_memory(r);
    if (status == PM_OK && r->settings->verify_tokens > 0)
        status = verify(r, err);
    return status;
}

json_t *bench_device(const bench_settings *settings, const char *name)
{
    run r = {.settings = settings, .entry = json_pack("{s:s}", "name", name)};
    pm_error err = {PM_OK, ""};
    if (!r.entry)
        return NULL;
    pm_status status = measure(&r, name, &err);
    if (status != PM_OK)
        json_object_set_new(r.entry, "error", json_string(err.message[0] ? err.message : pm_status_text(status)));
    pm_session_destroy(r.session);
    pm_model_close(r.model);
    pm_device_close(r.device);
    free(r.tokens);
    return r.entry;
}
