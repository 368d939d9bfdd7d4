/* Weights on the device: split by rows where they must be, every byte where the chunks say, whatever the memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "backends/vulkan/vk_runtime.h"

enum { WIDTH = 96, ROWS = 1000, SMALL = 3 };

static float table[ROWS * WIDTH], vector[SMALL * WIDTH];

static void check(pm_status status, const pm_error *err)
{
    if (status != PM_OK)
        fail_msg("%s: %s", pm_status_text(status), err->message);
}

static pm_weight plain(const char *name, const float *data, int64_t rows)
{
    return (pm_weight){.name = name,
                       .type = PM_TYPE_F32,
                       .n_dims = 2,
                       .dim = {WIDTH, rows, 1, 1},
                       .data = data,
                       .n_bytes = sizeof(float) * WIDTH * (size_t)rows,
                       .uses = PM_USE_PLAIN};
}

static int count_calls(void *user, const char *what, uint64_t done, uint64_t total)
{
    (void)what;
    uint64_t *last = user;
    assert_true(done > *last && done <= total);
    *last = done;
    return 0;
}

static int cancel(void *user, const char *what, uint64_t done, uint64_t total)
{
    (void)user, (void)what, (void)done, (void)total;
    return 1;
}

static pm_vk_device *open_device(size_t index)
{
    pm_error err = {0};
    pm_device *device = NULL;
    pm_device_options options = {.no_cache = 1, .no_self_test = 1};
    pm_status status = pm_backend_vulkan.open(&options, index, &device, &err);
    return status == PM_OK ? pm_vk_device_of(device) : NULL;
}

static void check_rows(pm_vk_device *device, const pm_vk_store *store, size_t item, const float *data,
                       int64_t rows)
{
    const pm_vk_stored *stored = &store->items[item];
    int64_t next = 0;
    static float got[ROWS * WIDTH];
    pm_error err = {0};
    for (int c = 0; c < stored->n_chunks; c++) {
        const pm_vk_stored_chunk *chunk = &stored->chunks[c];
        assert_int_equal(chunk->first, next);
        next += chunk->count;
        assert_true(chunk->plane[0].size <= device->caps.limits.max_storage_buffer_range);
        assert_int_equal(chunk->plane[0].offset % device->caps.limits.min_storage_alignment, 0);
        size_t bytes = (size_t)chunk->count * WIDTH * sizeof(float);
        check(pm_vk_download(device, &store->blocks[chunk->plane[0].block], chunk->plane[0].offset, got, bytes,
                             &err),
              &err);
        assert_memory_equal(got, data + chunk->first * WIDTH, bytes);
    }
    assert_int_equal(next, rows);
}

static void every_row_arrives(void **state)
{
    (void)state;
    for (size_t d = 0;; d++) {
        pm_vk_device *device = open_device(d);
        if (!device)
            break;
        for (int unified = 0; unified < 2; unified++)
            for (uint64_t range = 4096; range <= 1 << 24; range *= 16) {
                device->facts.unified_memory = unified;
                device->caps.limits.max_storage_buffer_range = range;
                pm_weight weights[3] = {plain("a", vector, SMALL), plain("table", table, ROWS),
                                        plain("b", vector, 1)};
                pm_weights *stored;
                pm_error err = {0};
                uint64_t done = 0;
                check(
                    pm_backend_vulkan.weights_create(&device->base, weights, 3, count_calls, &done, &stored, &err),
                    &err);
                assert_int_equal(done, sizeof table + sizeof vector + sizeof vector / SMALL);
                assert_true(pm_backend_vulkan.weights_bytes(stored) >= done);
                const pm_vk_store *store = (const pm_vk_store *)(const void *)stored;
                uint64_t most_rows = range / (WIDTH * sizeof(float));
                assert_int_equal(store->items[1].n_chunks, (ROWS + most_rows - 1) / most_rows);
                check_rows(device, store, 0, vector, SMALL);
                check_rows(device, store, 1, table, ROWS);
                check_rows(device, store, 2, vector, 1);
                pm_backend_vulkan.weights_destroy(&device->base, stored);
            }
        pm_backend_vulkan.close(&device->base);
    }
}

static void mistakes_are_errors(void **state)
{
    (void)state;
    pm_vk_device *device = open_device(0);
    if (!device)
        return;
    pm_error err = {0};
    pm_weights *stored;
    pm_weight weight = plain("table", table, ROWS);
    assert_int_equal(pm_backend_vulkan.weights_create(&device->base, &weight, 1, cancel, NULL, &stored, &err),
                     PM_ERR_CANCELLED);
    assert_null(stored);
    device->caps.limits.max_storage_buffer_range = 256; /* not even one row */
    assert_int_equal(pm_backend_vulkan.weights_create(&device->base, &weight, 1, NULL, NULL, &stored, &err),
                     PM_ERR_LIMIT);
    assert_non_null(strstr(err.message, "table"));
    pm_backend_vulkan.close(&device->base);
}

int main(void)
{
    for (int i = 0; i < ROWS * WIDTH; i++)
        table[i] = (float)i;
    for (int i = 0; i < SMALL * WIDTH; i++)
        vector[i] = -(float)i;
    pm_vk_device *device = open_device(0);
    if (device)
        pm_backend_vulkan.close(&device->base);
    else
        print_message("skip: this machine has no Vulkan device\n");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_arrives),
        cmocka_unit_test(mistakes_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
