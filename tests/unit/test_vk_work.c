/* Bounded work: whatever the shapes, on a slow device no launch and no submission is estimated to take anywhere
 * near the two seconds after which a watchdog resets the device; and launches that could run at the same time do.
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
#include "ops/ops.h"

enum { WIDTH = 1024, ROWS = 64, HEADS = 8, HEAD_DIM = 128, CTX = 2048 };

static void check(pm_status status, const pm_error *err)
{
    if (status != PM_OK)
        fail_msg("%s: %s", pm_status_text(status), err->message);
}

static pm_device *open_device(size_t index)
{
    pm_error err = {0};
    pm_device *device = NULL;
    pm_device_options options = {.no_cache = 1, .no_self_test = 1};
    return pm_backend_vulkan.open(&options, index, &device, &err) == PM_OK ? device : NULL;
}

/* q = W x, k = W x; attention over a long cache; W again: what fills a prompt's time. */
static pm_graph *heavy_graph(const void *data)
{
    pm_error err = {0};
    pm_graph *g;
    check(pm_graph_create(&g, &err), &err);
    const int64_t w_dims[2] = {WIDTH, WIDTH}, x_dims[2] = {WIDTH, ROWS}, t_dims[1] = {ROWS};
    const int64_t cache_dims[3] = {HEAD_DIM, CTX, HEADS}, head_dims[3] = {HEAD_DIM, HEADS, ROWS};
    pm_tensor *w = pm_graph_weight(g, 0, PM_TYPE_F32, 2, w_dims, data, "w");
    pm_tensor *x = pm_graph_input(g, PM_INPUT_TEST, PM_TYPE_F32, 2, x_dims, PM_ROWS_TOKENS, "x");
    pm_tensor *positions =
        pm_graph_input(g, PM_INPUT_POSITIONS, PM_TYPE_I32, 1, t_dims, PM_ROWS_TOKENS, "positions");
    pm_tensor *keys = pm_graph_state(g, 0, PM_TYPE_F32, 3, cache_dims, "keys");
    pm_tensor *values = pm_graph_state(g, 1, PM_TYPE_F32, 3, cache_dims, "values");
    pm_tensor *q = pm_reshape(g, pm_matmul(g, w, x, NULL, NULL), 3, head_dims);
    pm_tensor *k = pm_reshape(g, pm_matmul(g, w, x, NULL, NULL), 3, head_dims);
    keys = pm_kv_store(g, keys, k, positions);
    pm_tensor *mixed = pm_reshape(
        g, pm_attention(g, q, keys, values, positions, NULL, (pm_attention_args){.scale = 0.1f}), 2, x_dims);
    pm_graph_output(g, pm_softmax(g, pm_matmul(g, w, mixed, NULL, NULL)));
    check(pm_graph_status(g, &err), &err);
    return g;
}

static void with_heavy_program(size_t index, double flops_per_s,
                               void (*look)(const pm_vk_device *device, const pm_vk_program *program))
{
    pm_device *device = open_device(index);
    if (!device)
        return;
    pm_error err = {0};
    pm_vk_device_of(device)->caps.flops_per_s = flops_per_s;
    float *data = calloc((size_t)WIDTH * WIDTH, sizeof *data);
    assert_non_null(data);
    pm_weight weight = {.name = "w",
                        .type = PM_TYPE_F32,
                        .n_dims = 2,
                        .dim = {WIDTH, WIDTH, 1, 1},
                        .data = data,
                        .n_bytes = sizeof(float) * WIDTH * WIDTH,
                        .uses = PM_USE_MATMUL};
    const pm_state_desc descs[2] = {
        {.name = "keys", .type = PM_TYPE_F32, .n_dims = 3, .dim = {HEAD_DIM, CTX, HEADS, 1}},
        {.name = "values", .type = PM_TYPE_F32, .n_dims = 3, .dim = {HEAD_DIM, CTX, HEADS, 1}}};
    pm_graph *graph = heavy_graph(data);
    pm_weights *weights;
    pm_states *states;
    pm_program *program;
    check(pm_backend_vulkan.weights_create(device, &weight, 1, NULL, NULL, &weights, &err), &err);
    check(pm_backend_vulkan.states_create(device, descs, 2, &states, &err), &err);
    check(pm_backend_vulkan.program_create(device, graph, weights, states, NULL, &program, &err), &err);
    look(pm_vk_device_of(device), pm_vk_program_of(program));
    pm_backend_vulkan.program_destroy(device, program);
    pm_backend_vulkan.states_destroy(device, states);
    pm_backend_vulkan.weights_destroy(device, weights);
    pm_graph_destroy(graph);
    free(data);
    pm_backend_vulkan.close(device);
}

static void look_for_long_work(const pm_vk_device *device, const pm_vk_program *p)
{
    double all = 0;
    for (uint32_t i = 0; i < p->n_launches; i++) {
        const pm_vk_launch *launch = &p->launches[i];
        double seconds = pm_vk_launch_seconds(&device->caps, launch->flops, launch->bytes);
        if (seconds > 0.3)
            fail_msg("%s: a launch of %s may take %.2f s", device->facts.title,
                     pm_shader_infos[launch->pipeline->shader].name, seconds);
        all += seconds;
    }
    for (uint32_t s = 0; s < p->n_segments; s++)
        assert_true(p->segments[s].seconds <= 0.5);
    /* 3 products of 134 MFLOP, and attention with about 2 x 2 x 64 x 2048 x 1024 */
    assert_true(all >
                (3 * 2.0 * WIDTH * WIDTH * ROWS + 0.3 * 4.0 * ROWS * CTX * WIDTH) / device->caps.flops_per_s);
    assert_true(p->n_segments > 5);
}

static void nothing_takes_long_on_a_slow_device(void **state)
{
    (void)state;
    for (size_t d = 0; d < PM_VK_MAX_DEVICES; d++)
        with_heavy_program(d, 200e6, look_for_long_work);
}

static void look_for_idle_barriers(const pm_vk_device *device, const pm_vk_program *p)
{
    (void)device;
    /* The two first products do not depend on each other, nor does either on anything before it. */
    for (uint32_t i = 0; i < p->n_launches && p->launches[i].node < 2; i++)
        assert_false(p->launches[i].barrier);
    uint32_t barriers = 0;
    for (uint32_t i = 0; i < p->n_launches; i++)
        barriers += p->launches[i].barrier;
    assert_in_range(barriers, 4, 6); /* kv_store, attention (and merging its parts), product, softmax */
    assert_int_equal(p->n_segments, 1);
}

static void barriers_are_only_where_they_must_be(void **state)
{
    (void)state;
    for (size_t d = 0; d < PM_VK_MAX_DEVICES; d++)
        with_heavy_program(d, 1e12, look_for_idle_barriers);
}

int main(void)
{
    pm_device *device = open_device(0);
    if (!device)
        print_message("skip: this machine has no Vulkan device\n");
    pm_backend_vulkan.close(device);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_takes_long_on_a_slow_device),
        cmocka_unit_test(barriers_are_only_where_they_must_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
