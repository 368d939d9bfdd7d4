/* Limits arithmetic of the Vulkan runtime on devices that are made up: tiers and their clamps, choice of memory,
 * how weights are split, how grids are folded; and what a machine without Vulkan looks like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "backends/vulkan/vk_runtime.h"

static const uint32_t t1 = PM_VK_NEEDS_STORAGE16 | PM_VK_NEEDS_FLOAT16 | PM_VK_NEEDS_SUBGROUP;
static const uint32_t t2 = t1 | PM_VK_NEEDS_STORAGE8 | PM_VK_NEEDS_DOT;

static pm_vk_facts strong_device(void)
{
    pm_vk_facts facts = {.title = "made up",
                         .api_version = VK_API_VERSION_1_3,
                         .kind = PM_DEVICE_DISCRETE_GPU,
                         .features = (1u << 13) - 1,
                         .subgroup_min = 32,
                         .subgroup_max = 64,
                         .n_coop = 1,
                         .coop = {{16, 16, 16, 1}},
                         .timestamp_bits = 64,
                         .timestamp_period_ns = 1};
    facts.limits = (pm_device_limits){.max_storage_buffer_range = 4ull << 30,
                                      .max_allocation = 4ull << 30,
                                      .max_workgroup_invocations = 1024,
                                      .max_workgroup_size = {1024, 1024, 64},
                                      .max_workgroup_count = {1u << 31, 65535, 65535},
                                      .max_shared_memory = 65536,
                                      .max_push_constants = 256,
                                      .max_storage_buffers = 1000,
                                      .subgroup_size = 32,
                                      .min_storage_alignment = 16};
    return facts;
}

static void tiers_follow_from_features(void **state)
{
    (void)state;
    pm_vk_facts facts = strong_device();
    static const struct {
        uint32_t lost;
        pm_tier tier;
    } rows[] = {{0, PM_TIER_T3},
                {PM_VK_NEEDS_COOP, PM_TIER_T2},
                {PM_VK_NEEDS_DOT, PM_TIER_T1},
                {PM_VK_NEEDS_STORAGE8, PM_TIER_T1},
                {PM_VK_NEEDS_FLOAT16, PM_TIER_T0},
                {PM_VK_NEEDS_SUBGROUP, PM_TIER_T0},
                {PM_VK_NEEDS_STORAGE16, PM_TIER_T0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        facts.features = ((1u << 13) - 1) & ~rows[i].lost;
        assert_int_equal(pm_vk_tier_of(&facts), rows[i].tier);
        pm_vk_caps caps;
        pm_vk_caps_make(&facts, PM_TIER_BEST, &caps); /* what it has beyond its tier may be used all the same */
        assert_int_equal(caps.tier, rows[i].tier);
        assert_int_equal(caps.features, facts.features);
    }
}

static void a_forced_tier_hides_the_rest(void **state)
{
    (void)state;
    pm_vk_facts facts = strong_device();
    pm_vk_caps caps;
    pm_vk_caps_make(&facts, PM_TIER_T0, &caps);
    assert_int_equal(caps.tier, PM_TIER_T0);
    assert_int_equal(caps.features & ~(uint32_t)PM_VK_NEEDS_SPIRV14, 0);
    assert_int_equal(caps.limits.max_shared_memory, 16384);
    assert_int_equal(caps.limits.max_workgroup_invocations, 128);
    assert_int_equal(caps.limits.max_workgroup_size[0], 128);
    assert_int_equal(caps.limits.max_workgroup_count[0], 65535);
    assert_int_equal(caps.limits.max_push_constants, 128);
    assert_true(caps.limits.max_storage_buffer_range == 128ull << 20);
    assert_int_equal(caps.limits.min_storage_alignment, 256);
    assert_int_equal(caps.limits.float16 + caps.limits.storage_16bit + caps.limits.subgroup_arithmetic, 0);
    assert_int_equal(caps.subgroup_max, 0);
    pm_vk_caps_make(&facts, PM_TIER_T1, &caps);
    assert_int_equal(caps.features & t2, t1);
    assert_int_equal(caps.n_coop, 0);
    pm_vk_caps_make(&facts, PM_TIER_T2, &caps);
    assert_int_equal(caps.features & t2, t2);
    assert_int_equal(caps.features & PM_VK_NEEDS_COOP, 0);
    assert_int_equal(caps.limits.max_shared_memory, 65536);
    facts.features = 0; /* a weak device is not made strong */
    pm_vk_caps_make(&facts, PM_TIER_T3, &caps);
    assert_int_equal(caps.tier, PM_TIER_T0);
    assert_int_equal(caps.features, 0);
}

static VkPhysicalDeviceMemoryProperties memory(uint32_t n, const VkMemoryPropertyFlags *flags)
{
    VkPhysicalDeviceMemoryProperties m = {.memoryTypeCount = n};
    for (uint32_t i = 0; i < n; i++)
        m.memoryTypes[i].propertyFlags = flags[i];
    return m;
}

enum {
    L = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
    V = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT,
    H = VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
    CA = VK_MEMORY_PROPERTY_HOST_CACHED_BIT
};

static void memory_comes_from_the_right_heap(void **state)
{
    (void)state;
    uint32_t order[VK_MAX_MEMORY_TYPES];
    /* A discrete card: video memory, host memory, cached host memory, the window into video memory. */
    VkPhysicalDeviceMemoryProperties card = memory(4, (VkMemoryPropertyFlags[]){L, V | H, V | H | CA, L | V | H});
    assert_int_equal(pm_vk_memory_types(&card, 15, PM_VK_MEMORY_DEVICE, false, order), 2);
    assert_int_equal(order[0], 0);
    assert_int_equal(order[1], 3);
    assert_int_equal(pm_vk_memory_types(&card, 15, PM_VK_MEMORY_SHARED, false, order), 3);
    assert_int_equal(order[0], 3);
    assert_int_equal(pm_vk_memory_types(&card, 15, PM_VK_MEMORY_UPLOAD, false, order), 3);
    assert_int_equal(order[0], 1);
    assert_int_equal(pm_vk_memory_types(&card, 15, PM_VK_MEMORY_READBACK, false, order), 3);
    assert_int_equal(order[0], 2);
    assert_int_equal(pm_vk_memory_types(&card, 6, PM_VK_MEMORY_DEVICE, false, order), 0); /* never host memory */
    /* An integrated one with a small carve-out: its own memory first, then the host's. */
    VkPhysicalDeviceMemoryProperties apu = memory(3, (VkMemoryPropertyFlags[]){L, V | H | CA, L | V | H});
    assert_int_equal(pm_vk_memory_types(&apu, 7, PM_VK_MEMORY_DEVICE, true, order), 3);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[2], 1);
    /* Memory of a strange kind is left alone. */
    VkPhysicalDeviceMemoryProperties odd =
        memory(2, (VkMemoryPropertyFlags[]){L | VK_MEMORY_PROPERTY_PROTECTED_BIT,
                                            L | V | H | VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD});
    assert_int_equal(pm_vk_memory_types(&odd, 3, PM_VK_MEMORY_DEVICE, false, order), 0);
}

static void chunks_fit_and_cover(void **state)
{
    (void)state;
    static const struct {
        int64_t count;
        uint64_t bytes[2];
        uint32_t group;
        uint64_t most;
        int64_t expected;
    } rows[] = {
        {10, {100, 0}, 1, 1000, 10}, /* just fits */
        {11, {100, 0}, 1, 1000, 6},  /* evenly: 6 + 5 */
        {32000, {4096, 512}, 8, 1 << 27, 32000},
        {49152, {2304, 0}, 1, 1 << 26, 24576},
        {5, {1001, 0}, 1, 1000, 0},   /* not even one */
        {5, {100, 999}, 1, 1000, 1},  /* the widest plane counts */
        {100, {100, 0}, 16, 1599, 0}, /* not even one group */
        {100, {100, 0}, 16, 1600, 16},
        {17, {1, 0}, 16, 1 << 20, 32}, /* one chunk, padded */
        {1, {UINT64_MAX, 0}, 1, 1 << 27, 0},
        {INT64_MAX, {1, 0}, 1, 1 << 27, 134217728},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t units = pm_vk_chunk_units(rows[i].count, rows[i].bytes, 2, rows[i].group, rows[i].most);
        if (units != rows[i].expected)
            fail_msg("row %zu: %lld units a chunk, not %lld", i, (long long)units, (long long)rows[i].expected);
        assert_true((uint64_t)units * rows[i].bytes[0] <= rows[i].most || !units);
        assert_int_equal(units % rows[i].group, 0);
    }
}

static void grids_are_folded_within_limits(void **state)
{
    (void)state;
    pm_vk_facts facts = strong_device();
    pm_vk_caps caps;
    pm_vk_caps_make(&facts, PM_TIER_T0, &caps);
    static const uint64_t counts[] = {0, 1, 65535, 65536, 65537, 1000000, 4294836225ull};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        uint32_t groups[3];
        pm_vk_grid(&caps, counts[i], groups);
        assert_true(groups[0] >= 1 && groups[0] <= 65535 && groups[1] >= 1 && groups[1] <= 65535 &&
                    groups[2] == 1);
        assert_true((uint64_t)groups[0] * groups[1] >= counts[i]);
        assert_true((uint64_t)groups[0] * groups[1] < counts[i] + groups[1] + 1);
    }
    assert_int_equal(pm_vk_local_size(&caps, 1024), 128);
    assert_int_equal(pm_vk_local_size(&caps, 100), 64);
    assert_int_equal(pm_vk_local_size(&caps, 1), 1);
}

static void every_device_is_described(void **state)
{
    (void)state;
    pm_device_info infos[PM_VK_MAX_DEVICES];
    size_t n;
    pm_error err;
    assert_int_equal(pm_backend_vulkan.list(infos, PM_VK_MAX_DEVICES, &n, &err), PM_OK);
    if (!n)
        print_message("skip: this machine has no Vulkan device\n");
    for (size_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "vulkan:%zu", i);
        assert_string_equal(infos[i].name, name);
        assert_true(infos[i].title[0] && infos[i].driver[0] && infos[i].api_version[0]);
        assert_true(i == 0 || infos[i].kind >= infos[i - 1].kind);
        if (infos[i].unusable[0])
            continue;
        assert_true(infos[i].memory_total > 0);
        assert_in_range(infos[i].tier, PM_TIER_T0, PM_TIER_T3);
        assert_true(infos[i].limits.max_storage_buffer_range >= 1u << 27);
        assert_true(infos[i].limits.max_allocation >= 1u << 30);
        assert_true(infos[i].limits.max_shared_memory >= 16384);
        assert_true(infos[i].limits.subgroup_size >= 1);
    }
}

/* Runs last: the loader looks for drivers where there are none. */
static void a_machine_without_drivers_has_no_devices(void **state)
{
    (void)state;
    setenv("VK_ICD_FILENAMES", "/nonexistent/driver.json", 1);
    setenv("VK_DRIVER_FILES", "/nonexistent/driver.json", 1);
    pm_device_info infos[4];
    size_t n = 99;
    pm_error err;
    assert_int_equal(pm_backend_vulkan.list(infos, 4, &n, &err), PM_OK);
    assert_int_equal(n, 0);
    pm_device *device;
    assert_int_equal(pm_backend_vulkan.open(NULL, 0, &device, &err), PM_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "vulkan:0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiers_follow_from_features),
        cmocka_unit_test(a_forced_tier_hides_the_rest),
        cmocka_unit_test(memory_comes_from_the_right_heap),
        cmocka_unit_test(chunks_fit_and_cover),
        cmocka_unit_test(grids_are_folded_within_limits),
        cmocka_unit_test(every_device_is_described),
        cmocka_unit_test(a_machine_without_drivers_has_no_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
