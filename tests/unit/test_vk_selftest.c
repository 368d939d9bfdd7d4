/* The self-test of Vulkan devices: it passes on those that compute rightly, once; and a wrong result is an error
 * that names the op, or the layer, and says how to go on. A wrong driver is played by bending the reference (linked with
 * --wrap=pm_ref_silu and pm_ref_swiglu), which comes to the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "backends/vulkan/vk_selftest.h"
#include "ops/ops.h"

static bool bent, bent_layer;

void __real_pm_ref_silu(const pm_op_call *call);
void __wrap_pm_ref_silu(const pm_op_call *call);

void __wrap_pm_ref_silu(const pm_op_call *call)
{
    __real_pm_ref_silu(call);
    if (bent)
        ((float *)call->out)[7] += 1.0f;
}

void __real_pm_ref_swiglu(const pm_op_call *call);
void __wrap_pm_ref_swiglu(const pm_op_call *call);

/* Right where each op is tested alone, which is with rows of 128. */
void __wrap_pm_ref_swiglu(const pm_op_call *call)
{
    __real_pm_ref_swiglu(call);
    if (bent_layer && call->node->out->dim[0] > 128)
        ((float *)call->out)[7] += 1.0f;
}

typedef struct log_count {
    int tests;
} log_count;

static void on_log(void *user, const char *line)
{
    if (strstr(line, "against the reference"))
        ((log_count *)user)->tests++;
}

static pm_status open_and_close(size_t index, pm_tier tier, const char *dir, bool skip, log_count *count,
                                pm_error *err)
{
    pm_device_options options = {
        .tier = tier, .cache_dir = dir, .no_cache = !dir, .no_self_test = skip, .log = on_log, .log_user = count};
    pm_device *device = NULL;
    pm_status status = pm_backend_vulkan.open(&options, index, &device, err);
    if (status == PM_OK) {
        const pm_vk_caps *caps = &pm_vk_device_of(device)->caps;
        assert_true(caps->flops_per_s > 1e6 && caps->bytes_per_s > 1e6);
        print_message("%s tier %d: %.2f GFLOP/s, %.2f GB/s\n", device->info.title, caps->tier - PM_TIER_T0,
                      caps->flops_per_s * 1e-9, caps->bytes_per_s * 1e-9);
    }
    pm_backend_vulkan.close(device);
    return status;
}

static size_t list_devices(pm_device_info infos[PM_VK_MAX_DEVICES])
{
    size_t n = 0;
    pm_error err;
    assert_int_equal(pm_backend_vulkan.list(infos, PM_VK_MAX_DEVICES, &n, &err), PM_OK);
    return n;
}

static size_t n_devices(void)
{
    pm_device_info infos[PM_VK_MAX_DEVICES];
    return list_devices(infos);
}

static pm_tier tier_of(size_t index)
{
    pm_device_info infos[PM_VK_MAX_DEVICES];
    assert_true(index < list_devices(infos));
    return infos[index].tier;
}

static void check(pm_status status, const pm_error *err)
{
    if (status != PM_OK)
        fail_msg("%s: %s", pm_status_text(status), err->message);
}

static void right_devices_pass_once(void **state)
{
    (void)state;
    char dir[] = "/tmp/pumice_selftest_XXXXXX", command[64];
    assert_non_null(mkdtemp(dir));
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++) {
        log_count count = {0};
        pm_error err = {0};
        check(open_and_close(d, PM_TIER_BEST, dir, false, &count, &err), &err);
        assert_int_equal(count.tests, 1);
        check(open_and_close(d, PM_TIER_BEST, dir, false, &count, &err), &err); /* kept */
        assert_int_equal(count.tests, 1);
        if (tier_of(d) == PM_TIER_T0)
            continue;
        check(open_and_close(d, PM_TIER_T0, dir, false, &count, &err), &err); /* another tier has other shaders */
        assert_int_equal(count.tests, 2);
        check(open_and_close(d, PM_TIER_T0, dir, false, &count, &err), &err);
        assert_int_equal(count.tests, 2);
    }
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command) == 0 || n == 0, 1);
}

static void expect_report(const char *of)
{
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++) {
        log_count count = {0};
        pm_error err = {0};
        assert_int_equal(open_and_close(d, PM_TIER_BEST, NULL, false, &count, &err), PM_ERR_DEVICE);
        assert_non_null(strstr(err.message, of));
        assert_non_null(strstr(err.message, "--no-self-test"));
        check(open_and_close(d, PM_TIER_BEST, NULL, true, &count, &err), &err);
    }
}

static void wrong_devices_are_reported(void **state)
{
    (void)state;
    bent = true;
    expect_report("silu");
    bent = false;
    bent_layer = true;
    expect_report("a decoder layer of 1 token wrongly");
    bent_layer = false;
}

/* Weights of nodes that could be done together may lie in different blocks of memory; here in blocks of many sizes. */
static void layers_are_right_in_blocks_of_any_size(void **state)
{
    (void)state;
    size_t n = n_devices();
    for (size_t d = 0; d < n; d++) {
        pm_device_options options = {.no_cache = true, .no_self_test = true};
        pm_device *device = NULL;
        pm_error err = {0};
        check(pm_backend_vulkan.open(&options, d, &device, &err), &err);
        pm_vk_device *vk = pm_vk_device_of(device);
        for (uint64_t most = 80 << 10; most <= 400 << 10; most += 20 << 10) {
            vk->caps.limits.max_allocation = most;
            check(pm_vk_self_test_layers(vk, &err), &err);
        }
        pm_backend_vulkan.close(device);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_devices_pass_once),
        cmocka_unit_test(wrong_devices_are_reported),
        cmocka_unit_test(layers_are_right_in_blocks_of_any_size),
    };
    if (!n_devices())
        print_message("skip: this machine has no Vulkan device\n");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
