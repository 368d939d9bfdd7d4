/* Programs on every Vulkan device of the machine, in the simplest graphs: reuse of recorded commands, barriers,
 * views, states, node by node, traces, cancelling. What ops compute is tested in tests/ops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "backends/vulkan/vk_runtime.h"

enum { C = 37, T = 9, CHAIN = 12, MAX_DEVICES = 8 };

typedef struct rig { /* a chain of adds: x1 = x0 + x0, x2 = x1 + x0, ... so x[k] = (k + 1) x0 */
    pm_device *device;
    pm_graph *graph;
    pm_tensor *input, *sums[CHAIN + 1];
    pm_program *program;
} rig;

static void check(pm_status status, const pm_error *err)
{
    if (status != PM_OK)
        fail_msg("%s: %s", pm_status_text(status), err->message);
}

static size_t n_devices(void)
{
    pm_device_info infos[MAX_DEVICES];
    size_t n = 0;
    pm_error err;
    check(pm_backend_vulkan.list(infos, MAX_DEVICES, &n, &err), &err);
    return n;
}

static void rig_open_on(rig *r, pm_device *device, bool by_node)
{
    pm_error err = {0};
    memset(r, 0, sizeof *r);
    r->device = device;
    check(pm_graph_create(&r->graph, &err), &err);
    int64_t dims[2] = {C, T};
    r->input = pm_graph_input(r->graph, PM_INPUT_TEST, PM_TYPE_F32, 2, dims, PM_ROWS_TOKENS, "x");
    r->sums[0] = r->input;
    for (int i = 1; i <= CHAIN; i++) {
        char name[16];
        snprintf(name, sizeof name, "sum.%d", i);
        r->sums[i] = pm_graph_activation(r->graph, PM_TYPE_F32, 2, dims, PM_ROWS_TOKENS, name);
        const pm_tensor *in[2] = {r->sums[i - 1], r->input};
        assert_non_null(pm_graph_node(r->graph, PM_OP_ADD, r->sums[i], 2, in, NULL, 0));
    }
    pm_graph_output(r->graph, r->sums[CHAIN]);
    pm_program_options program = {.by_node = by_node};
    check(pm_backend_vulkan.program_create(r->device, r->graph, NULL, NULL, &program, &r->program, &err), &err);
}

static pm_device *open_device(size_t index, pm_tier tier)
{
    pm_error err = {0};
    pm_device *device;
    pm_device_options options = {.tier = tier, .no_cache = 1, .no_self_test = 1};
    check(pm_backend_vulkan.open(&options, index, &device, &err), &err);
    return device;
}

static void rig_open(rig *r, size_t index, pm_tier tier, bool by_node)
{
    rig_open_on(r, open_device(index, tier), by_node);
}

static void rig_close(rig *r)
{
    pm_backend_vulkan.program_destroy(r->device, r->program);
    pm_graph_destroy(r->graph);
    pm_backend_vulkan.close(r->device);
}

static void fill(float *x, int run)
{
    for (int i = 0; i < C * T; i++)
        x[i] = (float)(i % 101 + run) / 8.0f;
}

static void run_five_times(rig *r)
{
    pm_error err = {0};
    for (int run = 0; run < 5; run++) {
        float x[C * T], y[C * T];
        fill(x, run);
        check(pm_backend_vulkan.tensor_write(r->device, r->program, r->input, 0, x, sizeof x, &err), &err);
        pm_run_params params = {.n_tokens = T - run};
        check(pm_backend_vulkan.program_run(r->device, r->program, &params, NULL, &err), &err);
        check(pm_backend_vulkan.tensor_read(r->device, r->program, r->sums[CHAIN], 0, y, sizeof y, &err), &err);
        for (int i = 0; i < C * (T - run); i++)
            assert_true(y[i] == (float)(CHAIN + 1) * x[i]);
    }
}

static void runs_again_and_again(void **state)
{
    (void)state;
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++)
        for (int tier = PM_TIER_BEST; tier <= PM_TIER_T0; tier++) {
            rig r;
            rig_open(&r, d, (pm_tier)tier, false);
            run_five_times(&r);
            rig_close(&r);
        }
}

/* Software devices play a card with memory of its own, and one whose mapped memory is not coherent. */
static void runs_with_memory_of_other_kinds(void **state)
{
    (void)state;
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++) {
        rig r;
        pm_device *device = open_device(d, PM_TIER_BEST);
        pm_vk_device_of(device)->facts.unified_memory = false;
        rig_open_on(&r, device, false);
        assert_null(pm_vk_program_of(r.program)->arena.mapped);
        assert_non_null(pm_vk_program_of(r.program)->readback.mapped);
        pm_vk_program_of(r.program)->readback.coherent = false;
        pm_vk_program_of(r.program)->io.coherent = false;
        run_five_times(&r);
        rig_close(&r);

        device = open_device(d, PM_TIER_BEST);
        rig_open_on(&r, device, false);
        pm_vk_program_of(r.program)->arena.coherent = false;
        run_five_times(&r);
        rig_close(&r);
    }
}

/* A slow device: the work is cut into several submissions. */
static void long_work_is_cut(void **state)
{
    (void)state;
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++) {
        rig r;
        pm_device *device = open_device(d, PM_TIER_BEST);
        pm_vk_device_of(device)->caps.flops_per_s =
            C * T / 0.1; /* an add takes 0.1 s: two fit into a submission */
        rig_open_on(&r, device, false);
        assert_int_equal(pm_vk_program_of(r.program)->n_segments, CHAIN / 2);
        run_five_times(&r);
        rig_close(&r);
    }
}

static void too_large_is_an_error_with_advice(void **state)
{
    (void)state;
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++) {
        pm_device *base = open_device(d, PM_TIER_BEST);
        pm_vk_device *device = pm_vk_device_of(base);
        pm_error err = {0};
        pm_vk_buffer buffer;
        assert_int_equal(
            pm_vk_buffer_create(device, 1ull << 60, PM_VK_MEMORY_DEVICE, "the KV cache", &buffer, &err),
            PM_ERR_LIMIT);
        assert_non_null(strstr(err.message, "the KV cache"));
        /* As large as an allocation may be, but the device plays one of 1 MiB. */
        device->facts.kind = PM_DEVICE_DISCRETE_GPU;
        for (uint32_t h = 0; h < device->facts.memory.memoryHeapCount; h++)
            device->facts.memory.memoryHeaps[h].size = 1 << 20;
        device->facts.memory_budget = false;
        assert_int_equal(pm_vk_buffer_create(device, 2 << 20, PM_VK_MEMORY_DEVICE, "the KV cache", &buffer, &err),
                         PM_ERR_DEVICE_MEMORY);
        assert_non_null(strstr(err.message, "2.0 MiB"));
        assert_non_null(strstr(err.message, "1.0 MiB are free"));
        check(pm_vk_buffer_create(device, 900 << 10, PM_VK_MEMORY_DEVICE, "first", &buffer, &err), &err);
        pm_vk_buffer second;
        assert_int_equal(pm_vk_buffer_create(device, 900 << 10, PM_VK_MEMORY_DEVICE, "second", &second, &err),
                         PM_ERR_DEVICE_MEMORY);
        pm_vk_buffer_destroy(device, &buffer);
        check(pm_vk_buffer_create(device, 900 << 10, PM_VK_MEMORY_DEVICE, "second", &second, &err), &err);
        pm_vk_buffer_destroy(device, &second);

        pm_state_desc desc = {.name = "cache", .type = PM_TYPE_F32, .n_dims = 3, .dim = {1 << 20, 1 << 20, 2, 1}};
        pm_states *states;
        assert_int_equal(pm_backend_vulkan.states_create(base, &desc, 1, &states, &err), PM_ERR_LIMIT);
        assert_non_null(strstr(err.message, "cache"));
        pm_backend_vulkan.close(base);
    }
}

static void a_lost_device_stays_lost(void **state)
{
    (void)state;
    if (!n_devices())
        return;
    rig r;
    rig_open(&r, 0, PM_TIER_BEST, false);
    pm_error err = {0};
    pm_run_params params = {.n_tokens = T};
    assert_int_equal(pm_vk_fail(pm_vk_device_of(r.device), VK_ERROR_DEVICE_LOST, "running the model", &err),
                     PM_ERR_DEVICE_LOST);
    assert_non_null(strstr(err.message, "--device cpu")); /* it says what to do */
    assert_int_equal(pm_backend_vulkan.program_run(r.device, r.program, &params, NULL, &err), PM_ERR_DEVICE_LOST);
    pm_program *program;
    assert_int_equal(pm_backend_vulkan.program_create(r.device, r.graph, NULL, NULL, NULL, &program, &err),
                     PM_ERR_DEVICE_LOST);
    assert_null(program);
    rig_close(&r);
}

static void runs_by_node(void **state)
{
    (void)state;
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++) {
        rig r;
        rig_open(&r, d, PM_TIER_BEST, true);
        pm_error err = {0};
        float x[C * T], y[C * T];
        fill(x, 3);
        check(pm_backend_vulkan.tensor_write(r.device, r.program, r.input, 0, x, sizeof x, &err), &err);
        pm_run_params params = {.n_tokens = T};
        for (int node = 0; node < CHAIN; node++) {
            pm_run_options options = {.first_node = node, .n_nodes = 1};
            check(pm_backend_vulkan.program_run(r.device, r.program, &params, &options, &err), &err);
        }
        for (int k = 1; k <= CHAIN; k++) { /* nothing was overwritten */
            check(pm_backend_vulkan.tensor_read(r.device, r.program, r.sums[k], 0, y, sizeof y, &err), &err);
            for (int i = 0; i < C * T; i++)
                assert_true(y[i] == (float)(k + 1) * x[i]);
        }
        pm_run_options beyond = {.first_node = CHAIN - 1, .n_nodes = 2};
        assert_int_equal(pm_backend_vulkan.program_run(r.device, r.program, &params, &beyond, &err),
                         PM_ERR_ARGUMENT);
        rig_close(&r);
    }
}

static void mistakes_are_errors(void **state)
{
    (void)state;
    if (!n_devices())
        return;
    rig r;
    rig_open(&r, 0, PM_TIER_BEST, false);
    pm_error err = {0};
    float x[C * T] = {0};
    const pm_backend *b = &pm_backend_vulkan;
    assert_int_equal(b->tensor_write(r.device, r.program, r.input, 4, x, sizeof x, &err), PM_ERR_ARGUMENT);
    assert_int_equal(b->tensor_write(r.device, r.program, r.sums[1], 0, x, 4, &err), PM_ERR_ARGUMENT);
    assert_int_equal(b->tensor_read(r.device, r.program, r.sums[1], 0, x, 4, &err), PM_ERR_ARGUMENT);
    pm_run_params params = {.n_tokens = T};
    pm_run_options part = {.first_node = 1, .n_nodes = 1};
    assert_int_equal(b->program_run(r.device, r.program, &params, &part, &err), PM_ERR_ARGUMENT);
    rig_close(&r);
    pm_device *device;
    assert_int_equal(b->open(NULL, 99, &device, &err), PM_ERR_NOT_FOUND);
    assert_null(device);
}

static int always(void *user)
{
    ++*(int *)user;
    return 1;
}

static void a_wish_to_stop_is_heard(void **state)
{
    (void)state;
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++) {
        rig r;
        rig_open(&r, d, PM_TIER_BEST, true);
        int asked = 0;
        pm_error err = {0};
        pm_run_params params = {.n_tokens = T};
        pm_run_options options = {.should_stop = always, .stop_user = &asked};
        assert_int_equal(pm_backend_vulkan.program_run(r.device, r.program, &params, &options, &err),
                         PM_ERR_CANCELLED);
        assert_true(asked > 0);
        check(pm_backend_vulkan.program_run(r.device, r.program, &params, NULL, &err), &err); /* and goes on */
        rig_close(&r);
    }
}

static void a_trace_has_a_span_for_each_node(void **state)
{
    (void)state;
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++) {
        rig r;
        rig_open(&r, d, PM_TIER_BEST, false);
        char path[] = "/tmp/pumice_trace_XXXXXX";
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        pm_error err = {0};
        pm_trace *trace;
        check(pm_trace_open(path, &trace, &err), &err);
        pm_run_params params = {.n_tokens = T};
        pm_run_options options = {.trace = trace};
        check(pm_backend_vulkan.program_run(r.device, r.program, &params, &options, &err), &err);
        check(pm_trace_close(trace, &err), &err);
        FILE *file = fdopen(fd, "rb");
        static char text[1 << 16];
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
        remove(path);
        for (int k = 1; k <= CHAIN; k++) {
            char name[24];
            snprintf(name, sizeof name, "\"sum.%d\"", k);
            if (!strstr(text, name))
                fail_msg("vulkan:%zu: no span for %s in the trace", d, name);
        }
        rig_close(&r);
    }
}

static void count_line(void *user, const char *line)
{
    if (strstr(line, " add ") && strstr(line, " sum."))
        ++*(int *)user;
}

static void explain_has_a_line_a_launch(void **state)
{
    (void)state;
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++) {
        rig r;
        rig_open(&r, d, PM_TIER_BEST, false);
        int lines = 0;
        pm_backend_vulkan.explain(r.device, r.program, count_line, &lines);
        assert_int_equal(lines, CHAIN);
        assert_true(pm_backend_vulkan.program_bytes(r.program) > 0);
        /* Each sum is read by the next: a barrier before all but the first. */
        const pm_vk_program *p = pm_vk_program_of(r.program);
        for (uint32_t i = 0; i < p->n_launches; i++)
            assert_int_equal(p->launches[i].barrier, i > 0);
        rig_close(&r);
    }
}

static void states_keep_their_values(void **state)
{
    (void)state;
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++) {
        pm_error err = {0};
        pm_device *device;
        pm_device_options options = {.tier = PM_TIER_T0, .no_cache = 1, .no_self_test = 1};
        check(pm_backend_vulkan.open(&options, d, &device, &err), &err);
        pm_vk_device_of(device)->caps.limits.max_storage_buffer_range =
            3 * 8 * 5 * 4; /* so that the state is split */
        pm_state_desc desc = {.name = "cache", .type = PM_TYPE_F32, .n_dims = 3, .dim = {8, 5, 7, 1}};
        pm_states *states;
        check(pm_backend_vulkan.states_create(device, &desc, 1, &states, &err), &err);
        const pm_vk_store *store = (const pm_vk_store *)(const void *)states;
        assert_int_equal(store->items[0].n_chunks, 3);
        pm_graph *graph;
        check(pm_graph_create(&graph, &err), &err);
        pm_tensor *tensor = pm_graph_state(graph, 0, PM_TYPE_F32, 3, desc.dim, "cache");
        pm_program *program;
        check(pm_backend_vulkan.program_create(device, graph, NULL, states, NULL, &program, &err), &err);
        float x[280], y[280];
        check(pm_backend_vulkan.tensor_read(device, program, tensor, 0, y, sizeof y, &err), &err);
        for (int i = 0; i < 280; i++) {
            assert_true(y[i] == 0);
            x[i] = (float)i;
        }
        check(pm_backend_vulkan.tensor_write(device, program, tensor, 0, x, sizeof x, &err), &err);
        x[130] = -1; /* across the border of two chunks */
        check(pm_backend_vulkan.tensor_write(device, program, tensor, 100 * 4, x + 100, 60 * 4, &err), &err);
        check(pm_backend_vulkan.tensor_read(device, program, tensor, 4, y + 1, sizeof y - 4, &err), &err);
        assert_memory_equal(x, y, sizeof x);
        pm_backend_vulkan.program_destroy(device, program);
        pm_graph_destroy(graph);
        pm_backend_vulkan.states_destroy(device, states);
        pm_backend_vulkan.close(device);
    }
}

/* The tests above are only worth something under the validation layer if it notices: without a barrier it must. */
static void a_missing_barrier_is_noticed(void **state)
{
    (void)state;
    const char *wish = getenv("PUMICE_VK_VALIDATION");
    if (!n_devices() || !wish || strcmp(wish, "1")) {
        print_message("skip: without PUMICE_VK_VALIDATION=1 nobody looks for missing barriers\n");
        return;
    }
    rig r;
    rig_open(&r, 0, PM_TIER_BEST, false);
    pm_vk_device *device = pm_vk_device_of(r.device);
    pm_vk_program *p = pm_vk_program_of(r.program);
    pm_error err = {0};
    p->launches[5].barrier = false;
    check(pm_vk_record_timed(device, p, &err), &err); /* records again, now without it */
    assert_true(device->instance.messages->count > 0);
    assert_non_null(strstr(device->instance.messages->first, "SYNC-HAZARD"));
    pm_run_params params = {.n_tokens = T};
    assert_int_equal(pm_backend_vulkan.program_run(r.device, r.program, &params, NULL, &err), PM_ERR_DEVICE);
    assert_non_null(strstr(err.message, "SYNC-HAZARD"));
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_again_and_again),
        cmocka_unit_test(runs_with_memory_of_other_kinds),
        cmocka_unit_test(long_work_is_cut),
        cmocka_unit_test(too_large_is_an_error_with_advice),
        cmocka_unit_test(a_lost_device_stays_lost),
        cmocka_unit_test(runs_by_node),
        cmocka_unit_test(mistakes_are_errors),
        cmocka_unit_test(a_wish_to_stop_is_heard),
        cmocka_unit_test(a_trace_has_a_span_for_each_node),
        cmocka_unit_test(explain_has_a_line_a_launch),
        cmocka_unit_test(states_keep_their_values),
        cmocka_unit_test(a_missing_barrier_is_noticed),
    };
    if (!n_devices())
        print_message("skip: this machine has no Vulkan device\n");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
