/* Opening a Vulkan device: choose it, hold it to a tier, create its VkDevice, make sure that it computes rightly.
 * Also the translation of VkResults into errors that say what to do. */
#include "backends/vulkan/vk_runtime.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *result_text(VkResult result)
{
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return "the driver has run out of host memory";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return "device memory has run out; use a smaller model, quantisation, context or batch, or --device cpu";
    case VK_ERROR_DEVICE_LOST:
        return "the device was lost (its driver reset it, often after a watchdog or an overheated card); start "
               "again, "
               "with --device cpu or a newer driver if it happens twice";
    case VK_ERROR_FEATURE_NOT_PRESENT:
    case VK_ERROR_EXTENSION_NOT_PRESENT:
        return "the driver lacks a feature that it advertises; try a lower --tier or a newer driver";
    case VK_ERROR_INITIALIZATION_FAILED:
        return "the driver could not be initialised; check it with vulkaninfo";
    case VK_ERROR_INVALID_SHADER_NV:
        return "the driver rejected the shader; try a lower --tier or a newer driver";
    default:
        return "the driver reported an unexpected error; try a lower --tier, a newer driver or --device cpu";
    }
}

pm_status pm_vk_fail(pm_vk_device *device, VkResult result, const char *doing, pm_error *err)
{
    pm_status status = PM_ERR_DEVICE;
    if (result == VK_ERROR_DEVICE_LOST) {
        device->lost = true;
        status = PM_ERR_DEVICE_LOST;
    } else if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY) {
        status = PM_ERR_DEVICE_MEMORY;
    } else if (result == VK_ERROR_OUT_OF_HOST_MEMORY) {
        status = PM_ERR_MEMORY;
    }
    return pm_fail(err, status, "%s on %s: %s (VkResult %d)", doing, device->facts.title, result_text(result),
                   (int)result);
}

void pm_vk_log(const pm_vk_device *device, const char *format, ...)
{
    if (!device->log)
        return;
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    device->log(device->log_user, line);
}

/* What cached pipelines and self-test results hold for: this device, this driver, these shaders, this version. */
static void cache_key(const pm_vk_facts *facts, char key[PM_VK_CACHE_KEY_BYTES])
{
    uint64_t build = pm_vk_hash(0, PUMICE_VERSION, sizeof PUMICE_VERSION);
    for (size_t i = 0; i < PM_SHADER_COUNT; i++)
        build = pm_vk_hash(build, pm_shader_infos[i].packed, pm_shader_infos[i].n_packed);
    char uuid[2 * VK_UUID_SIZE + 1];
    for (size_t i = 0; i < VK_UUID_SIZE; i++)
        snprintf(uuid + 2 * i, 3, "%02x", facts->cache_uuid[i]);
    memset(key, 0, PM_VK_CACHE_KEY_BYTES);
    snprintf(key, PM_VK_CACHE_KEY_BYTES, "vendor %x device %x driver %x uuid %s build %016llx", facts->vendor_id,
             facts->device_id, facts->driver_version, uuid, (unsigned long long)build);
}

void pm_vk_tier_kind(const pm_vk_caps *caps, const char *what, char kind[64])
{
    snprintf(kind, 64, "%s-%x-%u%s", what, caps->features, caps->limits.max_workgroup_invocations,
             caps->software ? "" : "-gpu");
}

static void open_cache(const pm_vk_facts *facts, const char *dir, pm_vk_cache *cache)
{
    char key[PM_VK_CACHE_KEY_BYTES], owner[64];
    cache_key(facts, key);
    snprintf(owner, sizeof owner, "vendor %x device %x", facts->vendor_id, facts->device_id);
    pm_vk_cache_open(cache, dir, owner, key);
}

/* Reads the tuning table, and says in info where it is and how much there is. Software devices have none: their
 * own kernels are not cut into tiles. */
static void read_tuning(const pm_vk_caps *caps, const pm_vk_cache *cache, pm_vk_tuning *tuning,
                        pm_device_info *info)
{
    char kind[64];
    pm_vk_tier_kind(caps, "tuning", kind);
    pm_vk_tuning_read(tuning, cache, kind);
    char *path = pm_vk_cache_path(cache, kind);
    snprintf(info->tuning_file, sizeof info->tuning_file, "%s", path ? path : "");
    info->n_tuned = (uint32_t)tuning->n;
    free(path);
}

static void list_tuning(const pm_vk_facts *facts, const pm_vk_caps *caps, pm_device_info *info)
{
    pm_vk_cache cache;
    pm_vk_tuning tuning = {0};
    if (caps->software || info->unusable[0])
        return;
    open_cache(facts, NULL, &cache);
    read_tuning(caps, &cache, &tuning, info);
    pm_vk_tuning_clear(&tuning);
    pm_vk_cache_close(&cache);
}

pm_status pm_vk_device_list(pm_device_info *infos, size_t cap, size_t *n, pm_error *err)
{
    *n = 0;
    pm_vk_instance instance;
    PM_TRY(pm_vk_instance_open(&instance, NULL, NULL, err));
    for (uint32_t i = 0; i < instance.n_devices && *n < cap; i++) {
        const pm_vk_facts *facts = &instance.facts[i];
        pm_vk_caps caps;
        pm_vk_caps_make(facts, PM_TIER_BEST, &caps);
        pm_device_info *info = &infos[(*n)++];
        pm_vk_info_make(facts, &caps, i, info);
        uint32_t types[VK_MAX_MEMORY_TYPES];
        if (pm_vk_memory_types(&facts->memory, UINT32_MAX, PM_VK_MEMORY_DEVICE, facts->unified_memory, types))
            info->memory_free =
                pm_vk_memory_free(instance.devices[i], facts, facts->memory.memoryTypes[types[0]].heapIndex, 0);
        list_tuning(facts, &caps, info);
    }
    pm_vk_instance_close(&instance);
    return PM_OK;
}

/* PUMICE_VK_TUNING=1: tests have a software device measured that plays a GPU. */
static bool may_measure(const pm_vk_device *device)
{
    const char *play = getenv("PUMICE_VK_TUNING");
    bool real = device->facts.kind != PM_DEVICE_SOFTWARE_GPU || (play && *play == '1');
    return real && device->caps.limits.timestamps && device->cache.dir;
}

static void start_tuning(pm_vk_device *device, pm_tuning mode)
{
    if (mode == PM_TUNING_OFF || device->caps.software)
        return;
    pm_vk_tier_kind(&device->caps, "tuning", device->tuning_kind);
    if (mode == PM_TUNING_ANEW)
        pm_vk_cache_remove(&device->cache, device->tuning_kind);
    read_tuning(&device->caps, &device->cache, &device->tuning, &device->base.info);
    device->tunes = may_measure(device);
}

static pm_status choose(pm_vk_device *device, size_t index, pm_error *err)
{
    if (index >= device->instance.n_devices)
        return pm_fail(err, PM_ERR_NOT_FOUND,
                       "there is no device vulkan:%zu: this machine has %u Vulkan device(s); see `pumice devices`",
                       index, device->instance.n_devices);
    device->facts = device->instance.facts[index];
    device->physical = device->instance.devices[index];
    if (device->facts.unusable[0])
        return pm_fail(err, PM_ERR_UNSUPPORTED, "%s cannot be used: %s", device->facts.title,
                       device->facts.unusable);
    return PM_OK;
}

static pm_status start(pm_vk_device *device, const pm_device_options *options, size_t index, pm_error *err)
{
    PM_TRY(pm_vk_instance_open(&device->instance, options->log, options->log_user, err));
    PM_TRY(choose(device, index, err));
    pm_vk_caps_make(&device->facts, options->tier, &device->caps);
    pm_vk_info_make(&device->facts, &device->caps, index, &device->base.info);
    VkResult result = pm_vk_create_device(device->physical, &device->facts, &device->caps, &device->handle);
    if (result < 0)
        return pm_vk_fail(device, result, "opening the device", err);
    vkGetDeviceQueue(device->handle, device->facts.queue_family, 0, &device->queue);
    if (device->facts.calibrated_timestamps)
        device->get_calibrated_timestamps =
            (PFN_vkGetCalibratedTimestampsEXT)vkGetDeviceProcAddr(device->handle, "vkGetCalibratedTimestampsEXT");
    uint32_t types[VK_MAX_MEMORY_TYPES];
    if (pm_vk_memory_types(&device->facts.memory, UINT32_MAX, PM_VK_MEMORY_DEVICE, device->facts.unified_memory,
                           types))
        device->base.info.memory_free = pm_vk_memory_free(device->physical, &device->facts,
                                                          device->facts.memory.memoryTypes[types[0]].heapIndex, 0);
    if (!options->no_cache)
        open_cache(&device->facts, options->cache_dir, &device->cache);
    PM_TRY(pm_vk_pipelines_create(device, err));
    if (!options->no_self_test)
        PM_TRY(pm_vk_self_test(device, err));
    start_tuning(device, options->tuning);
    return pm_vk_check_messages(device, err);
}

pm_status pm_vk_device_open(const pm_device_options *options, size_t index, pm_device **out, pm_error *err)
{
    static const pm_device_options defaults;
    options = options ? options : &defaults;
    *out = NULL;
    pm_vk_device *device = calloc(1, sizeof *device);
    if (!device)
        return pm_fail_memory(err, sizeof *device, "a Vulkan device");
    device->base.backend = &pm_backend_vulkan;
    device->profile = options->profile;
    device->log = options->log;
    device->log_user = options->log_user;
    pm_status status = start(device, options, index, err);
    if (status != PM_OK) {
        pm_vk_device_close(&device->base);
        return status;
    }
    *out = &device->base;
    return PM_OK;
}

void pm_vk_device_close(pm_device *base)
{
    if (!base)
        return;
    pm_vk_device *device = pm_vk_device_of(base);
    if (device->handle) {
        vkDeviceWaitIdle(device->handle);
        pm_vk_pipelines_save(device);
        pm_vk_pipelines_destroy(device);
        pm_vk_transfer_destroy(device);
        vkDestroyDevice(device->handle, NULL);
    }
    pm_vk_tuning_clear(&device->tuning);
    pm_vk_cache_close(&device->cache);
    pm_vk_instance_close(&device->instance);
    free(device);
}
