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

#include "pumice/batch.h"
#include "pumice/session.h"
#include "runtime/runtime.h"

#define MODEL      PUMICE_TEST_DATA "/llama/llama_tied.gguf"
#define TRANSLATOR PUMICE_TEST_DATA "/translator"

static int n_progress;

static int count_progress(void *user, const char *what, uint64_t done, uint64_t total)
{
    (void)user, (void)what, (void)done, (void)total;
    n_progress++;
    return 0;
}

static pm_device *open_device(const char *name)
{
    pm_device *device = NULL;
    pm_error err = {0};
    const pm_device_options options = {.name = name, .n_threads = 1};
    if (pm_device_open(&options, &device, &err) != PM_OK && err.status != PM_ERR_NOT_FOUND)
        fail_msg("%s", err.message);
    return device;
}

/* The context that an error says would fit. */
static int32_t offered(const pm_error *err)
{
    const char *at = strstr(err->message, "at most ");
    assert_non_null(at);
    return (int32_t)strtol(at + strlen("at most "), NULL, 10);
}

/* A session of 100 tokens where three quarters of its cache would fit. */
static void check_offer(pm_device *device, const char *path, int32_t n_source)
{
    pm_model *model;
    pm_session *session;
    pm_error err = {0};
    uint64_t bytes;
    static const pm_paging none;
    pm_session_options options = {.n_ctx = 100, .n_source = n_source};
    assert_int_equal(pm_model_open(path, device, NULL, &model, NULL), PM_OK);
    assert_int_equal(pm_session_cache_bytes(model, &options, &none, &bytes, NULL), PM_OK);
    device->info.memory_free = pm_model_get_info(model)->device_bytes + bytes / 4 * 3;
    assert_int_equal(pm_session_create(model, &options, &session, &err), PM_ERR_LIMIT);
    assert_null(session);
    options.n_ctx = offered(&err);
    if (n_source)
        assert_in_range(options.n_ctx, 1, 74); /* the source has its share */
    else
        assert_int_equal(options.n_ctx, 75);
    assert_int_equal(pm_session_create(model, &options, &session, &err), PM_OK);
    pm_session_destroy(session);
    options.n_ctx++; /* the largest that fits, not just one that fits */
    assert_int_equal(pm_session_create(model, &options, &session, &err), PM_ERR_LIMIT);
    pm_model_close(model);
}

/* Pages for 16 sequences of 64 tokens, where half of them would fit. */
static void check_offer_to_a_batch(pm_device *device)
{
    pm_model *model;
    pm_batch *batch;
    pm_error err = {0};
    uint64_t bytes;
    pm_batch_options options = {.n_sequences = 16, .n_ctx = 64, .n_cache = 16 * 64, .page = 32};
    const pm_session_options session = {.n_ctx = 64, .n_batch = 512};
    const pm_paging paging = {.page = 32, .n_sequences = 16, .pages_each = 2, .n_pages = 32};
    assert_int_equal(pm_model_open(MODEL, device, NULL, &model, NULL), PM_OK);
    assert_int_equal(pm_session_cache_bytes(model, &session, &paging, &bytes, NULL), PM_OK);
    device->info.memory_free = pm_model_get_info(model)->device_bytes + bytes / 2;
    assert_int_equal(pm_batch_create(model, &options, &batch, &err), PM_ERR_LIMIT);
    options.n_cache = offered(&err);
    assert_in_range(options.n_cache, 64, 16 * 32);
    assert_int_equal(pm_batch_create(model, &options, &batch, &err), PM_OK);
    pm_batch_destroy(batch);
    options.n_cache++; /* one more page */
    assert_int_equal(pm_batch_create(model, &options, &batch, &err), PM_ERR_LIMIT);
    pm_model_close(model);
}

static void what_is_offered_fits(void **state)
{
    (void)state;
    static const char *const devices[] = {"cpu", "vulkan"};
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        pm_device *device = open_device(devices[i]);
        if (!device) {
            print_message("skip: there is no device %s\n", devices[i]);
            continue;
        }
        check_offer(device, MODEL, 0);
        check_offer(device, TRANSLATOR, 80);
        check_offer_to_a_batch(device);
        pm_device_close(device);
    }
}

static void refused_before_weights_are_loaded(void **state)
{
    (void)state;
    pm_device *device = open_device("cpu");
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
