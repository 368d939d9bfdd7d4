/* From nothing to the first token, as a user waits for it: device, weights, compilation, a short prompt. In a
 * process of its own, as drivers keep much between two starts in one. */
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

#include "bench_measure.h"

enum { PROMPT = 8, DECODE = 8, N_CTX = 640, N_SOURCE = 64 };

/* The drivers' own caches, as far as variables say where they are. */
static void redirect_caches(const char *folder)
{
    static const char *const variables[] = {"MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH",
                                            "AMD_SHADER_DISK_CACHE_PATH", "XDG_CACHE_HOME"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        setenv(variables[i], folder, 1);
}

static pm_status first_pass(bench_target *t, pm_error *err)
{
    if (pm_model_get_info(t->model)->shape == PM_SHAPE_ENCODER_ONLY)
        return bench_pass_encode(t, 1, PROMPT, err);
    pm_status status = bench_rewind(t, PROMPT, err);
    return status == PM_OK ? bench_pass_prompt(t, PROMPT, err) : status;
}

static pm_status start(bench_target *t, const char *cache_dir, json_t *entry, pm_error *err)
{
    double at[5] = {bench_now_s()};
    int is_encoder = 0;
    const pm_device_options options = {
        .name = t->name, .tier = t->settings->tier, .tuning = t->settings->tuning, .n_threads = t->settings->n_threads, .cache_dir = cache_dir};
    pm_status status = pm_device_open(&options, &t->device, err);
    at[1] = bench_now_s();
    if (status == PM_OK)
        status = bench_open(t, cache_dir, err);
    at[2] = bench_now_s();
    if (status == PM_OK) {
        const pm_model_info *info = pm_model_get_info(t->model);
        is_encoder = info->shape == PM_SHAPE_ENCODER_ONLY;
        int32_t n_ctx = info->n_ctx_train < N_CTX ? info->n_ctx_train : N_CTX;
        status = bench_open_session(t, n_ctx, N_SOURCE, N_CTX, err);
    }
    if (status == PM_OK && !is_encoder)
        status = pm_session_warm_up(t->session, PROMPT, err);
    at[3] = bench_now_s();
    if (status == PM_OK)
        status = first_pass(t, err);
    at[4] = bench_now_s();
    if (status != PM_OK)
        return status;
    json_object_update_new(entry, json_pack("{s:f,s:f,s:f,s:f,s:f}", "total_s", at[4] - at[0], "open_device_s",
                                            at[1] - at[0], "load_model_s", at[2] - at[1], "compile_s",
                                            at[3] - at[2], "first_pass_s", at[4] - at[3]));
    if (!is_encoder) /* memory is that of someone who goes on */
        status = bench_pass_decode(t, DECODE, err);
    if (status == PM_OK)
        bench_put_memory(t, entry);
    return status;
}

void bench_child_start(const bench_settings *settings, const char *device, const char *cache_dir,
                       bench_channel *channel)
{
    bench_target t = {.settings = settings, .name = device};
    pm_error err = {PM_OK, ""};
    if (cache_dir)
        redirect_caches(cache_dir);
    pm_status status = start(&t, cache_dir, channel->entry, &err);
    if (status != PM_OK && !(status == PM_ERR_CANCELLED && bench_stopped(settings)))
        json_object_set_new(channel->entry, "error",
                            json_string(err.message[0] ? err.message : pm_status_text(status)));
    bench_publish(channel);
    bench_close(&t);
}
