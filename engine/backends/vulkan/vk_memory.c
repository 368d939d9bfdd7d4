/* Device memory: which type and heap, how much is left, buffers. One buffer, one allocation: what is small shares
 * a buffer with its like (weights in blocks, activations in one arena), so there are few.
 *
 * Every size is checked against the device's limits and against what is free before the driver is asked, because
 * drivers answer too large a request with anything from a lost device to a swapping desktop. */
#include "backends/vulkan/vk_runtime.h"

#include <string.h>

#include "backends/host_info.h"

#define MIB(bytes) ((double)(bytes) / 1048576.0)

/* ---- types and heaps ----------------------------------------------------------------------------------- */

/* How well a type suits a kind of use; negative: not at all. */
static int score_type(VkMemoryPropertyFlags flags, pm_vk_memory_kind kind, bool unified)
{
    bool local = (flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) != 0;
    bool visible = (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0;
    bool coherent = (flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT) != 0;
    bool cached = (flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0;
    const VkMemoryPropertyFlags strange =
        VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT | VK_MEMORY_PROPERTY_PROTECTED_BIT |
        VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD;
    if (flags & strange)
        return -1;
    switch (kind) {
    case PM_VK_MEMORY_DEVICE:
        if (unified)
            return 8 * local + 4 * visible + 2 * cached + coherent;
        return local ? 8 + !visible : -1; /* a window for the host may be small: leave it to others */
    case PM_VK_MEMORY_SHARED:
        return visible ? 4 * coherent + 2 * local + cached : -1;
    case PM_VK_MEMORY_UPLOAD:
        return visible ? 4 * coherent + 2 * !local : -1;
    default:
        return visible ? 8 * cached + 4 * coherent + 2 * !local : -1;
    }
}

uint32_t pm_vk_memory_types(const VkPhysicalDeviceMemoryProperties *memory, uint32_t type_bits,
                            pm_vk_memory_kind kind, bool unified, uint32_t order[VK_MAX_MEMORY_TYPES])
{
    uint32_t n = 0;
    int scores[VK_MAX_MEMORY_TYPES];
    for (uint32_t i = 0; i < memory->memoryTypeCount; i++) {
        int score = score_type(memory->memoryTypes[i].propertyFlags, kind, unified);
        if (score < 0 || !(type_bits & (1u << i)))
            continue;
        uint32_t j = n++;
        for (; j > 0 && scores[j - 1] < score; j--) {
            scores[j] = scores[j - 1];
            order[j] = order[j - 1];
        }
        scores[j] = score;
        order[j] = i;
    }
    return n;
}

uint64_t pm_vk_memory_free(VkPhysicalDevice physical, const pm_vk_facts *facts, uint32_t heap, uint64_t used)
{
    uint64_t size = facts->memory.memoryHeaps[heap].size;
    if (facts->kind ==
        PM_DEVICE_SOFTWARE_GPU) { /* it has the host's memory, whatever size its heap claims to be */
        uint64_t total, available;
        pm_host_memory(&total, &available);
        return available ? available : size;
    }
    if (facts->memory_budget) {
        VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
        VkPhysicalDeviceMemoryProperties2 properties = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, .pNext = &budget};
        vkGetPhysicalDeviceMemoryProperties2(physical, &properties);
        if (budget.heapBudget[heap]) /* some drivers report nothing */
            return budget.heapBudget[heap] > budget.heapUsage[heap]
                       ? budget.heapBudget[heap] - budget.heapUsage[heap]
                       : 0;
    }
    return size > used ? size - used : 0;
}

/* ---- buffers ------------------------------------------------------------------------------------------- */

static pm_status create_handle(pm_vk_device *device, uint64_t size, const char *what, VkBuffer *out, pm_error *err)
{
    if (size > device->caps.limits.max_allocation || size > device->facts.max_buffer)
        return pm_fail(
            err, PM_ERR_LIMIT,
            "%s needs %.1f MiB in one piece and %s allows at most %.1f MiB; use a smaller batch or context", what,
            MIB(size), device->facts.title, MIB(device->caps.limits.max_allocation));
    VkBufferCreateInfo create = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                 .size = size,
                                 .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT |
                                          VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT |
                                          VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                 .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
    VkResult result = vkCreateBuffer(device->handle, &create, NULL, out);
    return result < 0 ? pm_vk_fail(device, result, what, err) : PM_OK;
}

/* Tries the types best first; the first whose heap has room and whose allocation succeeds. */
static pm_status allocate(pm_vk_device *device, pm_vk_memory_kind kind, const char *what, pm_vk_buffer *buffer,
                          uint32_t *type, pm_error *err)
{
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(device->handle, buffer->handle, &needs);
    uint32_t order[VK_MAX_MEMORY_TYPES];
    const VkPhysicalDeviceMemoryProperties *memory = &device->facts.memory;
    uint32_t n = pm_vk_memory_types(memory, needs.memoryTypeBits, kind, device->facts.unified_memory, order);
    uint64_t most_free = 0;
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t heap = memory->memoryTypes[order[i]].heapIndex;
        uint64_t available = pm_vk_memory_free(device->physical, &device->facts, heap, device->heap_used[heap]);
        most_free = available > most_free ? available : most_free;
        if (needs.size > available)
            continue;
        VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                     .allocationSize = needs.size,
                                     .memoryTypeIndex = order[i]};
        result = vkAllocateMemory(device->handle, &info, NULL, &buffer->memory);
        if (result >= 0) {
            *type = order[i];
            buffer->heap = heap;
            buffer->allocated = needs.size;
            device->heap_used[heap] += needs.size;
            return PM_OK;
        }
        if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY && result != VK_ERROR_OUT_OF_HOST_MEMORY)
            return pm_vk_fail(device, result, what, err);
    }
    return pm_fail(err, PM_ERR_DEVICE_MEMORY,
                   "%s needs %.1f MiB of device memory and %.1f MiB are free on %s; use a smaller model, "
                   "quantisation, context or batch, close other programs, or run with --device cpu",
                   what, MIB(needs.size), MIB(most_free), device->facts.title);
}

pm_status pm_vk_buffer_create(pm_vk_device *device, uint64_t size, pm_vk_memory_kind kind, const char *what,
                              pm_vk_buffer *out, pm_error *err)
{
    memset(out, 0, sizeof *out);
    size = size < 16 ? 16 : size;
    if (size > UINT64_MAX - 15)
        return pm_fail(err, PM_ERR_LIMIT, "%s is too large", what);
    size = (size + 15) & ~(uint64_t)15;
    PM_TRY(create_handle(device, size, what, &out->handle, err));
    out->size = size;
    uint32_t type = 0;
    pm_status status = allocate(device, kind, what, out, &type, err);
    if (status == PM_OK) {
        VkResult result = vkBindBufferMemory(device->handle, out->handle, out->memory, 0);
        VkMemoryPropertyFlags flags = device->facts.memory.memoryTypes[type].propertyFlags;
        bool map = (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) &&
                   (kind != PM_VK_MEMORY_DEVICE || device->facts.unified_memory);
        void *mapped = NULL;
        if (result >= 0 && map)
            result = vkMapMemory(device->handle, out->memory, 0, VK_WHOLE_SIZE, 0, &mapped);
        out->mapped = mapped;
        out->coherent = (flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT) != 0;
        out->cached = (flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0;
        if (result < 0)
            status = pm_vk_fail(device, result, what, err);
    }
    if (status != PM_OK)
        pm_vk_buffer_destroy(device, out);
    return status;
}

void pm_vk_buffer_destroy(pm_vk_device *device, pm_vk_buffer *buffer)
{
    if (buffer->handle)
        vkDestroyBuffer(device->handle, buffer->handle, NULL);
    if (buffer->memory) {
        vkFreeMemory(device->handle, buffer->memory, NULL);
        device->heap_used[buffer->heap] -= buffer->allocated;
    }
    memset(buffer, 0, sizeof *buffer);
}

/* A range of memory that is not coherent goes by whole atoms. */
static VkMappedMemoryRange atoms(const pm_vk_device *device, const pm_vk_buffer *buffer, uint64_t offset,
                                 uint64_t size)
{
    uint64_t atom = device->facts.non_coherent_atom;
    uint64_t begin = offset / atom * atom, end = (offset + size + atom - 1) / atom * atom;
    return (VkMappedMemoryRange){.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE,
                                 .memory = buffer->memory,
                                 .offset = begin,
                                 .size = end >= buffer->allocated ? VK_WHOLE_SIZE : end - begin};
}

pm_status pm_vk_buffer_flush(pm_vk_device *device, const pm_vk_buffer *buffer, uint64_t offset, uint64_t size,
                             pm_error *err)
{
    if (buffer->coherent || !size)
        return PM_OK;
    VkMappedMemoryRange range = atoms(device, buffer, offset, size);
    VkResult result = vkFlushMappedMemoryRanges(device->handle, 1, &range);
    return result < 0 ? pm_vk_fail(device, result, "writing to device memory", err) : PM_OK;
}

pm_status pm_vk_buffer_invalidate(pm_vk_device *device, const pm_vk_buffer *buffer, uint64_t offset, uint64_t size,
                                  pm_error *err)
{
    if (buffer->coherent || !size)
        return PM_OK;
    VkMappedMemoryRange range = atoms(device, buffer, offset, size);
    VkResult result = vkInvalidateMappedMemoryRanges(device->handle, 1, &range);
    return result < 0 ? pm_vk_fail(device, result, "reading from device memory", err) : PM_OK;
}
