/* A KV cache that does not fit is refused with the longest context that does, before weights are loaded where it
 * is known then. The device is told how much memory it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "pumice/session.h"
#include "runtime/runtime.h"

#define MODEL PUMICE_TEST_DATA "/llama/llama_tied.gguf"

static int n_progress;

static int count_progress(void *user, const char *what, uint64_t done, uint64_t total)
{
    (void)user, (void)what, (void)done, (void)total;
    n_progress++;
    return 0;
}

static pm_device *open_device(void)
{
    pm_device *device;
    assert_int_equal(pm_device_open(&(pm_device_options){.name = "cpu", .n_threads = 1}, &device, NULL), PM_OK);
    return device;
}

/* The context that an error says would fit. */
static int32_t offered(const pm_error *err)
{
    const char *at = strstr(err->message, "at most ");
    assert_non_null(at);
    return (int32_t)strtol(at + strlen("at most "), NULL, 10);
}

static void what_is_offered_fits(void **state)
{
    (void)state;
    pm_device *device = open_device();
    pm_model *model;
    pm_session *session;
    pm_error err = {0};
    uint64_t bytes;
    static const pm_paging none;
    pm_session_options options = {.n_ctx = 100};
    assert_int_equal(pm_model_open(MODEL, device, NULL, &model, NULL), PM_OK);
    assert_int_equal(pm_session_cache_bytes(model, &options, &none, &bytes, NULL), PM_OK);
    device->info.memory_free = pm_model_get_info(model)->device_bytes + bytes / 2;
    assert_int_equal(pm_session_create(model, &options, &session, &err), PM_ERR_LIMIT);
    assert_int_equal(offered(&err), 50);
    options.n_ctx = 50;
    assert_int_equal(pm_session_create(model, &options, &session, &err), PM_OK);
    pm_session_destroy(session);
    pm_model_close(model);
    pm_device_close(device);
}

static void refused_before_weights_are_loaded(void **state)
{
    (void)state;
    pm_device *device = open_device();
    pm_model *model;
    pm_error err = {0};
    pm_session_options planned = {.n_ctx = 100};
    const pm_model_options options = {.progress = count_progress, .planned = &planned};
    assert_int_equal(pm_model_open(MODEL, device, &options, &model, &err), PM_OK);
    assert_true(n_progress > 0);
    const uint64_t weights = pm_model_get_info(model)->file_bytes;
    pm_model_close(model);

    n_progress = 0;
    device->info.memory_free = weights + 3000;
    assert_int_equal(pm_model_open(MODEL, device, &options, &model, &err), PM_ERR_LIMIT);
    assert_int_equal(n_progress, 0);
    assert_null(model);
    planned.n_ctx = offered(&err);
    assert_in_range(planned.n_ctx, 1, 99);
    assert_int_equal(pm_model_open(MODEL, device, &options, &model, &err), PM_OK);
    pm_model_close(model);
    planned.n_ctx++; /* the largest that fits, not just one that fits */
    assert_int_equal(pm_model_open(MODEL, device, &options, &model, &err), PM_ERR_LIMIT);
    pm_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_offered_fits),
        cmocka_unit_test(refused_before_weights_are_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
