/* Facts and capabilities: see vk_facts.h. The one table of optional features (rows[] below) says for each where it
 * comes from; what is queried, enabled and masked by a tier all follows from it. */
#include "backends/vulkan/vk_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/host_info.h"

/* VK_KHR_cooperative_matrix is younger than the oldest headers we build with: the parts that we use, as the
 * extension's specification numbers them. */
#ifndef VK_KHR_cooperative_matrix
#define VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR ((VkStructureType)1000506000)
#define VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR               ((VkStructureType)1000506001)
#define VK_COMPONENT_TYPE_FLOAT16_KHR                                     0
#define VK_COMPONENT_TYPE_FLOAT32_KHR                                     1
#define VK_SCOPE_SUBGROUP_KHR                                             3
typedef struct VkPhysicalDeviceCooperativeMatrixFeaturesKHR {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix, cooperativeMatrixRobustBufferAccess;
} VkPhysicalDeviceCooperativeMatrixFeaturesKHR;
typedef struct VkCooperativeMatrixPropertiesKHR {
    VkStructureType sType;
    void *pNext;
    uint32_t MSize, NSize, KSize;
    uint32_t AType, BType, CType, ResultType;
    VkBool32 saturatingAccumulation;
    uint32_t scope;
} VkCooperativeMatrixPropertiesKHR;
typedef VkResult(VKAPI_PTR *PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)(
    VkPhysicalDevice, uint32_t *, VkCooperativeMatrixPropertiesKHR *);
#endif

/* Feature structs in one chain, for asking and for enabling. */
typedef struct feature_chain {
    VkPhysicalDeviceFeatures2 core;
    VkPhysicalDevice16BitStorageFeatures storage16;
    VkPhysicalDevice8BitStorageFeatures storage8;
    VkPhysicalDeviceShaderFloat16Int8Features arithmetic;
    VkPhysicalDeviceSubgroupSizeControlFeatures subgroup_size;
    VkPhysicalDeviceShaderIntegerDotProductFeatures dot;
    VkPhysicalDeviceVulkanMemoryModelFeatures memory_model;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR coop;
} feature_chain;

/* Extensions that carry features, and the version of Vulkan in which they became core. */
enum {
    EXT_STORAGE8,
    EXT_ARITHMETIC,
    EXT_SUBGROUP_SIZE,
    EXT_DOT,
    EXT_MEMORY_MODEL,
    EXT_COOP,
    EXT_SPIRV14,
    EXT_FLOAT_CONTROLS,
    EXT_COUNT
};
static const struct {
    const char *name;
    uint32_t core;
} extensions[EXT_COUNT] = {
    [EXT_STORAGE8] = {"VK_KHR_8bit_storage", VK_API_VERSION_1_2},
    [EXT_ARITHMETIC] = {"VK_KHR_shader_float16_int8", VK_API_VERSION_1_2},
    [EXT_SUBGROUP_SIZE] = {"VK_EXT_subgroup_size_control", VK_API_VERSION_1_3},
    [EXT_DOT] = {"VK_KHR_shader_integer_dot_product", VK_API_VERSION_1_3},
    [EXT_MEMORY_MODEL] = {"VK_KHR_vulkan_memory_model", VK_API_VERSION_1_2},
    [EXT_COOP] = {"VK_KHR_cooperative_matrix", UINT32_MAX},
    [EXT_SPIRV14] = {"VK_KHR_spirv_1_4", VK_API_VERSION_1_2},
    [EXT_FLOAT_CONTROLS] = {"VK_KHR_shader_float_controls", VK_API_VERSION_1_2},
};

static bool extension_listed(const VkExtensionProperties *list, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (!strcmp(list[i].extensionName, name))
            return true;
    return false;
}

/* Which of extensions[] the device has, as core or as an extension. */
static void find_extensions(const VkExtensionProperties *list, uint32_t n, uint32_t api_version,
                            bool has[EXT_COUNT])
{
    for (int i = 0; i < EXT_COUNT; i++)
        has[i] = api_version >= extensions[i].core || extension_listed(list, n, extensions[i].name);
}

static void link(void **tail[], void *item, void **next)
{
    **tail = item;
    *tail = next;
}

/* Chains the structs of what the device knows. */
static void chain_features(feature_chain *chain, const bool has[EXT_COUNT])
{
    memset(chain, 0, sizeof *chain);
    chain->core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    chain->storage16.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES;
    chain->storage8.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES;
    chain->arithmetic.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES;
    chain->subgroup_size.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES;
    chain->dot.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES;
    chain->memory_model.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES;
    chain->coop.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR;
    void **tail = &chain->core.pNext;
    link(&tail, &chain->storage16, &chain->storage16.pNext);
    if (has[EXT_STORAGE8])
        link(&tail, &chain->storage8, &chain->storage8.pNext);
    if (has[EXT_ARITHMETIC])
        link(&tail, &chain->arithmetic, &chain->arithmetic.pNext);
    if (has[EXT_SUBGROUP_SIZE])
        link(&tail, &chain->subgroup_size, &chain->subgroup_size.pNext);
    if (has[EXT_DOT])
        link(&tail, &chain->dot, &chain->dot.pNext);
    if (has[EXT_MEMORY_MODEL])
        link(&tail, &chain->memory_model, &chain->memory_model.pNext);
    if (has[EXT_COOP])
        link(&tail, &chain->coop, &chain->coop.pNext);
}

/* Every feature that a shader may need and the switch that a device must have, and that we turn on, for it.
 * Subgroup operations have no switch. */
#define FEATURE_SWITCHES(chain)                                                                                   \
    {                                                                                                             \
        {PM_VK_NEEDS_FLOAT16, &(chain)->arithmetic.shaderFloat16},                                                \
            {PM_VK_NEEDS_INT8, &(chain)->arithmetic.shaderInt8},                                                  \
            {PM_VK_NEEDS_STORAGE16, &(chain)->storage16.storageBuffer16BitAccess},                                \
            {PM_VK_NEEDS_STORAGE8, &(chain)->storage8.storageBuffer8BitAccess},                                   \
            {PM_VK_NEEDS_INT16, &(chain)->core.features.shaderInt16},                                             \
            {PM_VK_NEEDS_INT64, &(chain)->core.features.shaderInt64},                                             \
            {PM_VK_NEEDS_DOT, &(chain)->dot.shaderIntegerDotProduct},                                             \
            {PM_VK_NEEDS_SUBGROUP_SIZE, &(chain)->subgroup_size.subgroupSizeControl},                             \
            {PM_VK_NEEDS_SUBGROUP_SIZE, &(chain)->subgroup_size.computeFullSubgroups},                            \
            {PM_VK_NEEDS_COOP, &(chain)->coop.cooperativeMatrix},                                                 \
            {PM_VK_NEEDS_COOP, &(chain)->memory_model.vulkanMemoryModel},                                         \
    }
enum { N_SWITCHES = 11 };
typedef struct feature_switch {
    uint32_t need;
    VkBool32 *on;
} feature_switch;

static uint32_t query_features(VkPhysicalDevice physical, uint32_t api_version, const bool has[EXT_COUNT])
{
    feature_chain chain;
    chain_features(&chain, has);
    vkGetPhysicalDeviceFeatures2(physical, &chain.core);
    feature_switch switches[N_SWITCHES] = FEATURE_SWITCHES(&chain);
    uint32_t present = 0, missing = 0;
    for (int i = 0; i < N_SWITCHES; i++) {
        if (*switches[i].on)
            present |= switches[i].need;
        else
            missing |= switches[i].need;
    }
    uint32_t features = present & ~missing;
    if (has[EXT_SPIRV14])
        features |= PM_VK_NEEDS_SPIRV14;
    if (api_version < VK_API_VERSION_1_2) /* our shaders of it are SPIR-V 1.5 */
        features &= ~(uint32_t)PM_VK_NEEDS_COOP;
    return features;
}

/* PUMICE_VK_PLAY_GPU=1: tests have a software device use the kernels for GPUs, and memory that the host cannot
 * see. */
static bool plays_gpu(void)
{
    const char *play = getenv("PUMICE_VK_PLAY_GPU");
    return play && *play == '1';
}

static pm_device_kind kind_of(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return PM_DEVICE_DISCRETE_GPU;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return PM_DEVICE_INTEGRATED_GPU;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return PM_DEVICE_SOFTWARE_GPU;
    default:
        return PM_DEVICE_VIRTUAL_GPU;
    }
}

static void query_queue(VkPhysicalDevice physical, pm_vk_facts *out)
{
    VkQueueFamilyProperties families[16];
    uint32_t n = 16;
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &n, families);
    out->queue_family = UINT32_MAX;
    /* A family that only computes, where there is one, is not held up by the desktop's drawing. */
    for (int pass = 0; pass < 2 && out->queue_family == UINT32_MAX; pass++)
        for (uint32_t i = 0; i < n && out->queue_family == UINT32_MAX; i++) {
            VkQueueFlags flags = families[i].queueFlags;
            if ((flags & VK_QUEUE_COMPUTE_BIT) && (pass == 1 || !(flags & VK_QUEUE_GRAPHICS_BIT))) {
                out->queue_family = i;
                out->timestamp_bits = families[i].timestampValidBits;
            }
        }
}

static void query_limits(const VkPhysicalDeviceLimits *limits, pm_vk_facts *out)
{
    pm_device_limits *to = &out->limits;
    to->max_storage_buffer_range = limits->maxStorageBufferRange;
    to->max_workgroup_invocations = limits->maxComputeWorkGroupInvocations;
    for (int i = 0; i < 3; i++) {
        to->max_workgroup_size[i] = limits->maxComputeWorkGroupSize[i];
        to->max_workgroup_count[i] = limits->maxComputeWorkGroupCount[i];
    }
    to->max_shared_memory = limits->maxComputeSharedMemorySize;
    to->max_push_constants = limits->maxPushConstantsSize;
    to->max_storage_buffers = limits->maxPerStageDescriptorStorageBuffers;
    if (to->max_storage_buffers > limits->maxDescriptorSetStorageBuffers)
        to->max_storage_buffers = limits->maxDescriptorSetStorageBuffers;
    to->min_storage_alignment = (uint32_t)limits->minStorageBufferOffsetAlignment;
    /* Slices begin at multiples of 64 or more, see vk_weights.c and vk_lowering.c. */
    out->max_texels = limits->minTexelBufferOffsetAlignment <= 64 ? limits->maxTexelBufferElements : 0;
    out->non_coherent_atom = limits->nonCoherentAtomSize ? limits->nonCoherentAtomSize : 1;
    out->timestamp_period_ns = (double)limits->timestampPeriod;
}

static void query_coop(VkInstance instance, VkPhysicalDevice physical, pm_vk_facts *out)
{
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR get =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)vkGetInstanceProcAddr(
            instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    VkCooperativeMatrixPropertiesKHR list[64];
    uint32_t n = 64;
    for (uint32_t i = 0; i < n; i++)
        list[i] = (VkCooperativeMatrixPropertiesKHR){.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    if (get && get(physical, &n, list) >= 0)
        for (uint32_t i = 0; i < n && out->n_coop < PM_VK_MAX_COOP; i++) {
            const VkCooperativeMatrixPropertiesKHR *p = &list[i];
            if (p->AType == VK_COMPONENT_TYPE_FLOAT16_KHR && p->BType == VK_COMPONENT_TYPE_FLOAT16_KHR &&
                p->CType == p->ResultType && p->CType <= VK_COMPONENT_TYPE_FLOAT32_KHR &&
                p->scope == VK_SCOPE_SUBGROUP_KHR)
                out->coop[out->n_coop++] =
                    (pm_vk_coop_shape){p->MSize, p->NSize, p->KSize, p->CType == VK_COMPONENT_TYPE_FLOAT32_KHR};
        }
    if (!out->n_coop)
        out->features &= ~(uint32_t)PM_VK_NEEDS_COOP;
}

static void query_subgroups(const VkPhysicalDeviceSubgroupProperties *subgroup,
                            const VkPhysicalDeviceSubgroupSizeControlProperties *size, pm_vk_facts *out)
{
    const VkSubgroupFeatureFlags arithmetic = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
    const VkSubgroupFeatureFlags shuffle =
        VK_SUBGROUP_FEATURE_SHUFFLE_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_RELATIVE_BIT;
    const VkSubgroupFeatureFlags ballot = VK_SUBGROUP_FEATURE_BALLOT_BIT | VK_SUBGROUP_FEATURE_VOTE_BIT;
    out->limits.subgroup_size = subgroup->subgroupSize;
    if (subgroup->supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) {
        VkSubgroupFeatureFlags have = subgroup->supportedOperations;
        out->features |= (have & arithmetic) == arithmetic ? PM_VK_NEEDS_SUBGROUP : 0;
        out->features |= (have & shuffle) == shuffle ? PM_VK_NEEDS_SUBGROUP_SHUFFLE : 0;
        out->features |= (have & ballot) == ballot ? PM_VK_NEEDS_SUBGROUP_BALLOT : 0;
    }
    if ((out->features & PM_VK_NEEDS_SUBGROUP_SIZE) &&
        (size->requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT)) {
        out->subgroup_min = size->minSubgroupSize;
        out->subgroup_max = size->maxSubgroupSize;
    } else {
        out->features &= ~(uint32_t)PM_VK_NEEDS_SUBGROUP_SIZE;
    }
}

/* Why a device cannot be used at all. */
static void judge(pm_vk_facts *out)
{
    const pm_device_limits *l = &out->limits;
    if (out->api_version < VK_API_VERSION_1_1)
        snprintf(out->unusable, sizeof out->unusable,
                 "its driver offers Vulkan %u.%u and 1.1 is needed: install a newer driver",
                 VK_API_VERSION_MAJOR(out->api_version), VK_API_VERSION_MINOR(out->api_version));
    else if (out->queue_family == UINT32_MAX)
        snprintf(out->unusable, sizeof out->unusable, "it has no queue for compute shaders");
    else if (l->max_push_constants < PM_VK_MAX_PUSH || l->max_shared_memory < 16384 ||
             l->max_workgroup_invocations < 128 || l->max_storage_buffer_range < (1u << 27))
        snprintf(out->unusable, sizeof out->unusable, "its limits are below those that Vulkan 1.1 requires");
}

static void query_properties(VkInstance instance, VkPhysicalDevice physical, const bool has[EXT_COUNT],
                             bool driver_properties, pm_vk_facts *out)
{
    VkPhysicalDeviceSubgroupSizeControlProperties size = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
    VkPhysicalDeviceDriverProperties driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceMaintenance3Properties maintenance3 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
    VkPhysicalDeviceSubgroupProperties subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
                                                   .pNext = &maintenance3};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &subgroup};
    void **tail = &maintenance3.pNext;
    if (has[EXT_SUBGROUP_SIZE])
        link(&tail, &size, &size.pNext);
    if (driver_properties)
        link(&tail, &driver, &driver.pNext);
    vkGetPhysicalDeviceProperties2(physical, &properties);

    const VkPhysicalDeviceProperties *p = &properties.properties;
    query_limits(&p->limits, out);
    out->limits.max_allocation = maintenance3.maxMemoryAllocationSize;
    out->max_buffer = maintenance3.maxMemoryAllocationSize;
    if (driver.driverName[0])
        snprintf(out->driver, sizeof out->driver, "%.110s %.140s", driver.driverName, driver.driverInfo);
    else
        snprintf(out->driver, sizeof out->driver, "driver version 0x%x", p->driverVersion);
    query_subgroups(&subgroup, &size, out);
    if (out->features & PM_VK_NEEDS_COOP)
        query_coop(instance, physical, out);
}

void pm_vk_facts_query(VkInstance instance, VkPhysicalDevice physical, uint32_t instance_version, pm_vk_facts *out)
{
    memset(out, 0, sizeof *out);
    VkPhysicalDeviceProperties p;
    vkGetPhysicalDeviceProperties(physical, &p);
    snprintf(out->title, sizeof out->title, "%s", p.deviceName);
    out->api_version = p.apiVersion < instance_version ? p.apiVersion : instance_version;
    out->kind = kind_of(p.deviceType);
    out->vendor_id = p.vendorID;
    out->device_id = p.deviceID;
    out->driver_version = p.driverVersion;
    memcpy(out->cache_uuid, p.pipelineCacheUUID, VK_UUID_SIZE);
    query_queue(physical, out);
    query_limits(&p.limits, out);
    vkGetPhysicalDeviceMemoryProperties(physical, &out->memory);
    judge(out);
    if (out->api_version < VK_API_VERSION_1_1)
        return;

    static VkExtensionProperties no_extensions[1];
    VkExtensionProperties list[512]; /* drivers have about 200 */
    uint32_t n = 512;
    if (vkEnumerateDeviceExtensionProperties(physical, NULL, &n, list) < 0)
        n = 0;
    const VkExtensionProperties *known = n ? list : no_extensions;
    bool has[EXT_COUNT];
    find_extensions(known, n, out->api_version, has);
    out->features = query_features(physical, out->api_version, has);
    bool driver_properties =
        out->api_version >= VK_API_VERSION_1_2 || extension_listed(known, n, "VK_KHR_driver_properties");
    query_properties(instance, physical, has, driver_properties, out);
    out->memory_budget = extension_listed(known, n, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    out->calibrated_timestamps = extension_listed(known, n, VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME);
    out->unified_memory =
        out->kind == PM_DEVICE_INTEGRATED_GPU || (out->kind == PM_DEVICE_SOFTWARE_GPU && !plays_gpu());
}

/* ---- tiers --------------------------------------------------------------------------------------------- */

static const uint32_t tier_adds[] = {
    /* what each tier requires beyond the one before */
    [PM_TIER_BEST] = 0,
    [PM_TIER_T0] = 0,
    [PM_TIER_T1] = PM_VK_NEEDS_STORAGE16 | PM_VK_NEEDS_FLOAT16 | PM_VK_NEEDS_SUBGROUP,
    [PM_TIER_T2] = PM_VK_NEEDS_STORAGE8 | PM_VK_NEEDS_DOT,
    [PM_TIER_T3] = PM_VK_NEEDS_COOP,
};

/* What a device may use that is held to a tier: what the tiers up to it require, and their companions. */
static uint32_t allowed_features(pm_tier tier)
{
    uint32_t allowed = PM_VK_NEEDS_SPIRV14;
    if (tier >= PM_TIER_T1)
        allowed |= tier_adds[PM_TIER_T1] | PM_VK_NEEDS_INT16 | PM_VK_NEEDS_SUBGROUP_SHUFFLE |
                   PM_VK_NEEDS_SUBGROUP_BALLOT | PM_VK_NEEDS_SUBGROUP_SIZE;
    if (tier >= PM_TIER_T2)
        allowed |= tier_adds[PM_TIER_T2] | PM_VK_NEEDS_INT8 | PM_VK_NEEDS_INT64;
    if (tier >= PM_TIER_T3)
        allowed |= tier_adds[PM_TIER_T3];
    return allowed;
}

pm_tier pm_vk_tier_of(const pm_vk_facts *facts)
{
    pm_tier tier = PM_TIER_T0;
    while (tier < PM_TIER_T3 && (facts->features & tier_adds[tier + 1]) == tier_adds[tier + 1])
        tier = (pm_tier)(tier + 1);
    return tier;
}

static void at_most(uint32_t *value, uint32_t most)
{
    if (*value > most)
        *value = most;
}

/* The least that Vulkan 1.1 requires of a device. The number of storage buffers stays the device's own: the least
 * is 4, but no driver that we know of has fewer than 8. */
static void limit_to_minimum(pm_device_limits *l)
{
    if (l->max_storage_buffer_range > (1u << 27))
        l->max_storage_buffer_range = 1u << 27;
    if (l->max_allocation > (1u << 30))
        l->max_allocation = 1u << 30;
    at_most(&l->max_workgroup_invocations, 128);
    at_most(&l->max_workgroup_size[0], 128);
    at_most(&l->max_workgroup_size[1], 128);
    at_most(&l->max_workgroup_size[2], 64);
    for (int i = 0; i < 3; i++)
        at_most(&l->max_workgroup_count[i], 65535);
    at_most(&l->max_shared_memory, 16384);
    at_most(&l->max_push_constants, 128);
    if (l->min_storage_alignment < 256)
        l->min_storage_alignment = 256;
    l->subgroup_size = 1;
}

/* A cautious guess until the self-test has measured: the low end of what such devices reach with plain kernels. */
static void guess_speed(pm_vk_caps *caps)
{
    switch (caps->kind) {
    case PM_DEVICE_DISCRETE_GPU:
        caps->flops_per_s = 300e9;
        caps->bytes_per_s = 60e9;
        break;
    case PM_DEVICE_INTEGRATED_GPU:
    case PM_DEVICE_VIRTUAL_GPU:
        caps->flops_per_s = 20e9;
        caps->bytes_per_s = 8e9;
        break;
    default:
        caps->flops_per_s = 2e9;
        caps->bytes_per_s = 2e9;
    }
}

void pm_vk_caps_make(const pm_vk_facts *facts, pm_tier most, pm_vk_caps *out)
{
    memset(out, 0, sizeof *out);
    pm_tier own = pm_vk_tier_of(facts);
    out->tier = own;
    out->kind = facts->kind;
    out->software = facts->kind == PM_DEVICE_SOFTWARE_GPU && !plays_gpu();
    out->vendor_id = facts->vendor_id;
    out->limits = facts->limits;
    out->features = facts->features;
    out->max_texels = facts->max_texels;
    if (most != PM_TIER_BEST) {
        out->tier = most < own ? most : own;
        out->features &= allowed_features(most);
        if (most == PM_TIER_T0) {
            limit_to_minimum(&out->limits);
            out->max_texels = 0; /* the least that is required begin at multiples of 256 */
        }
    }
    if (out->features & PM_VK_NEEDS_SUBGROUP_SIZE) {
        out->subgroup_min = facts->subgroup_min;
        out->subgroup_max = facts->subgroup_max;
    }
    if (out->features & PM_VK_NEEDS_COOP) {
        out->n_coop = facts->n_coop;
        memcpy(out->coop, facts->coop, sizeof out->coop);
    }
    pm_device_limits *l = &out->limits;
    l->subgroup_arithmetic = (out->features & PM_VK_NEEDS_SUBGROUP) != 0;
    l->storage_16bit = (out->features & PM_VK_NEEDS_STORAGE16) != 0;
    l->storage_8bit = (out->features & PM_VK_NEEDS_STORAGE8) != 0;
    l->float16 = (out->features & PM_VK_NEEDS_FLOAT16) != 0;
    l->int8 = (out->features & PM_VK_NEEDS_INT8) != 0;
    l->integer_dot_product = (out->features & PM_VK_NEEDS_DOT) != 0;
    l->cooperative_matrix = (out->features & PM_VK_NEEDS_COOP) != 0;
    l->timestamps = facts->timestamp_bits > 0 && facts->timestamp_period_ns > 0;
    guess_speed(out);
}

void pm_vk_info_make(const pm_vk_facts *facts, const pm_vk_caps *caps, size_t index, pm_device_info *out)
{
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "vulkan:%u", (unsigned)index);
    memcpy(out->title, facts->title, sizeof out->title);
    memcpy(out->driver, facts->driver, sizeof out->driver);
    memcpy(out->unusable, facts->unusable, sizeof out->unusable);
    snprintf(out->api_version, sizeof out->api_version, "%u.%u.%u", VK_API_VERSION_MAJOR(facts->api_version),
             VK_API_VERSION_MINOR(facts->api_version) & 0xff, VK_API_VERSION_PATCH(facts->api_version) & 0xfff);
    out->kind = facts->kind;
    out->tier = caps->tier;
    out->vendor_id = facts->vendor_id;
    out->device_id = facts->device_id;
    out->driver_version = facts->driver_version;
    out->unified_memory = facts->unified_memory;
    out->limits = caps->limits;
    uint32_t types[VK_MAX_MEMORY_TYPES];
    if (pm_vk_memory_types(&facts->memory, UINT32_MAX, PM_VK_MEMORY_DEVICE, facts->unified_memory, types))
        out->memory_total = facts->memory.memoryHeaps[facts->memory.memoryTypes[types[0]].heapIndex].size;
    uint64_t host_total = 0, host_free;
    if (facts->kind == PM_DEVICE_SOFTWARE_GPU)
        pm_host_memory(&host_total, &host_free);
    if (host_total)
        out->memory_total = host_total;
}

/* ---- the VkDevice -------------------------------------------------------------------------------------- */

VkResult pm_vk_create_device(VkPhysicalDevice physical, const pm_vk_facts *facts, const pm_vk_caps *caps,
                             VkDevice *out)
{
    VkExtensionProperties list[512];
    uint32_t n = 512;
    if (vkEnumerateDeviceExtensionProperties(physical, NULL, &n, list) < 0)
        n = 0;
    bool has[EXT_COUNT];
    find_extensions(list, n, facts->api_version, has);
    has[EXT_COOP] = has[EXT_COOP] && (caps->features & PM_VK_NEEDS_COOP);

    const char *names[PM_VK_MAX_EXTENSIONS];
    uint32_t n_names = 0;
    for (int i = 0; i < EXT_COUNT; i++)
        if (has[i] && facts->api_version < extensions[i].core && extension_listed(list, n, extensions[i].name))
            names[n_names++] = extensions[i].name;
    if (facts->memory_budget)
        names[n_names++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
    if (facts->calibrated_timestamps)
        names[n_names++] = VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME;

    feature_chain chain;
    chain_features(&chain, has);
    feature_switch switches[N_SWITCHES] = FEATURE_SWITCHES(&chain);
    for (int i = 0; i < N_SWITCHES; i++)
        *switches[i].on = (caps->features & switches[i].need) != 0;

    float priority = 1.0f;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = facts->queue_family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &priority};
    VkDeviceCreateInfo create = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                 .pNext = &chain.core,
                                 .queueCreateInfoCount = 1,
                                 .pQueueCreateInfos = &queue,
                                 .enabledExtensionCount = n_names,
                                 .ppEnabledExtensionNames = names};
    return vkCreateDevice(physical, &create, NULL, out);
}

bool pm_vk_usable(const pm_vk_caps *caps, pm_shader shader)
{
    if ((unsigned)shader >= PM_SHADER_COUNT)
        return false;
    const pm_shader_info *info = &pm_shader_infos[shader];
    return (info->needs & ~caps->features) == 0;
}

void pm_vk_grid(const pm_vk_caps *caps, uint64_t n_groups, uint32_t groups[3])
{
    uint64_t most = caps->limits.max_workgroup_count[0];
    if (n_groups < 1)
        n_groups = 1;
    uint64_t y = (n_groups + most - 1) / most;
    uint64_t x = (n_groups + y - 1) / y; /* evenly, so that few are idle */
    groups[0] = (uint32_t)x;
    groups[1] = y > UINT32_MAX ? UINT32_MAX : (uint32_t)y; /* emit refuses what is beyond the limit */
    groups[2] = 1;
}

bool pm_vk_coop_usable(const pm_vk_caps *caps)
{
    bool found = false;
    for (uint32_t i = 0; i < caps->n_coop; i++) {
        const pm_vk_coop_shape *s = &caps->coop[i];
        found = found || (s->f32_accumulator && s->m == 16 && s->n == 16 && s->k == 16);
    }
    return found && caps->subgroup_min <= PM_VK_COOP_SUBGROUP && PM_VK_COOP_SUBGROUP <= caps->subgroup_max;
}

uint32_t pm_vk_local_size(const pm_vk_caps *caps, uint32_t want)
{
    uint32_t most = caps->limits.max_workgroup_invocations;
    at_most(&most, caps->limits.max_workgroup_size[0]);
    at_most(&most, want);
    uint32_t size = 1;
    while (size <= most / 2)
        size *= 2;
    return size;
}
