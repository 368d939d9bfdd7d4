/* What a Vulkan device is and has (facts, as queried), and what of it is used (caps, after a tier was forced).
 * Querying talks to the driver; everything after it is arithmetic on structs, so that tests can make up devices.
 */
#ifndef PUMICE_BACKENDS_VULKAN_VK_FACTS_H
#define PUMICE_BACKENDS_VULKAN_VK_FACTS_H

#include <vulkan/vulkan.h>

#include "backends/vulkan/vk_lower.h"

enum { PM_VK_MAX_EXTENSIONS = 16 };

typedef struct pm_vk_facts {
    char title[256], driver[256];
    uint32_t api_version; /* the lower of the device's and ours */
    pm_device_kind kind;
    uint32_t vendor_id, device_id, driver_version;
    uint8_t cache_uuid[VK_UUID_SIZE];
    char unusable[256]; /* why it cannot be used; empty when it can */

    pm_device_limits limits; /* the device's own */
    uint32_t features;       /* PM_VK_NEEDS_*, all it has */
    uint32_t subgroup_min, subgroup_max;
    uint32_t n_coop;
    pm_vk_coop_shape coop[PM_VK_MAX_COOP];

    uint32_t queue_family;
    uint64_t max_buffer;
    uint32_t max_texels; /* of a texel buffer that begins at any multiple of 64 bytes; 0: none can */
    uint64_t non_coherent_atom;
    double timestamp_period_ns;
    uint32_t timestamp_bits;
    bool memory_budget, calibrated_timestamps, unified_memory;
    VkPhysicalDeviceMemoryProperties memory;
} pm_vk_facts;

void pm_vk_facts_query(VkInstance instance, VkPhysicalDevice physical, uint32_t instance_version,
                       pm_vk_facts *out);

/* The best tier that the features reach. */
pm_tier pm_vk_tier_of(const pm_vk_facts *facts);

/* The capabilities in use when no more than `most` of the tiers may be used (PM_TIER_BEST: all). */
void pm_vk_caps_make(const pm_vk_facts *facts, pm_tier most, pm_vk_caps *out);

/* The device as the public interface describes it; memory_free is left to the caller. */
void pm_vk_info_make(const pm_vk_facts *facts, const pm_vk_caps *caps, size_t index, pm_device_info *out);

/* The VkDevice with the features of caps (and no others) enabled, and one queue. */
VkResult pm_vk_create_device(VkPhysicalDevice physical, const pm_vk_facts *facts, const pm_vk_caps *caps,
                             VkDevice *out);

typedef enum pm_vk_memory_kind {
    PM_VK_MEMORY_DEVICE,  /* fastest for the device; mapped where device and host share their memory */
    PM_VK_MEMORY_SHARED,  /* small, written by the host before each run and read by the device */
    PM_VK_MEMORY_UPLOAD,  /* staging: written by the host, copied once by the device */
    PM_VK_MEMORY_READBACK /* written by the device, read by the host */
} pm_vk_memory_kind;

/* The types of memory among those of type_bits that will do for a kind of use, best first; returns how many. Pure.
 * Memory that is not the device's own will do for PM_VK_MEMORY_DEVICE only where the two share their memory
 * anyway. */
uint32_t pm_vk_memory_types(const VkPhysicalDeviceMemoryProperties *memory, uint32_t type_bits,
                            pm_vk_memory_kind kind, bool unified, uint32_t order[VK_MAX_MEMORY_TYPES]);

#endif
