/* Host data into buffers and back: straight through the mapping where there is one, else piece by piece through one
 * staging buffer of bounded size. Each transfer is waited for; nothing here belongs to the decode loop. */
#include "backends/vulkan/vk_runtime.h"

#include <string.h>

enum { STAGING_BYTES = 16 << 20 };
static const uint64_t transfer_timeout_ns = 60000000000ull;

static pm_status transfer_objects(pm_vk_device *device, pm_error *err)
{
    if (device->transfer_commands)
        return PM_OK;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = device->facts.queue_family};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkResult result = VK_SUCCESS;
    if (!device->transfer_pool)
        result = vkCreateCommandPool(device->handle, &pool, NULL, &device->transfer_pool);
    if (result >= 0 && !device->transfer_fence)
        result = vkCreateFence(device->handle, &fence, NULL, &device->transfer_fence);
    if (result >= 0) {
        VkCommandBufferAllocateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                .commandPool = device->transfer_pool,
                                                .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                .commandBufferCount = 1};
        result = vkAllocateCommandBuffers(device->handle, &commands, &device->transfer_commands);
    }
    return result < 0 ? pm_vk_fail(device, result, "preparing copies to the device", err) : PM_OK;
}

static pm_status begin(pm_vk_device *device, pm_error *err)
{
    if (device->lost)
        return pm_vk_fail(device, VK_ERROR_DEVICE_LOST, "copying", err);
    PM_TRY(transfer_objects(device, err));
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                     .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    VkResult result = vkBeginCommandBuffer(device->transfer_commands, &info);
    if (result < 0)
        return pm_vk_fail(device, result, "copying", err);
    VkMemoryBarrier before = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                              .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
    vkCmdPipelineBarrier(device->transfer_commands,
                         VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                         VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &before, 0, NULL, 0, NULL);
    return PM_OK;
}

static pm_status submit(pm_vk_device *device, pm_error *err)
{
    VkMemoryBarrier after = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                             .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                             .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                                              VK_ACCESS_HOST_READ_BIT};
    vkCmdPipelineBarrier(device->transfer_commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
                         VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &after, 0, NULL, 0,
                         NULL);
    VkResult result = vkEndCommandBuffer(device->transfer_commands);
    VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                         .commandBufferCount = 1,
                         .pCommandBuffers = &device->transfer_commands};
    if (result >= 0)
        result = vkResetFences(device->handle, 1, &device->transfer_fence);
    if (result >= 0)
        result = vkQueueSubmit(device->queue, 1, &info, device->transfer_fence);
    if (result >= 0)
        result = vkWaitForFences(device->handle, 1, &device->transfer_fence, VK_TRUE, transfer_timeout_ns);
    if (result == VK_TIMEOUT)
        result = VK_ERROR_DEVICE_LOST; /* a copy of a few MiB that takes a minute will not end */
    return result < 0 ? pm_vk_fail(device, result, "copying to or from the device", err) : PM_OK;
}

pm_status pm_vk_staging(pm_vk_device *device, uint64_t size, unsigned char **mapped, pm_error *err)
{
    if (device->staging.size < size) {
        pm_vk_buffer_destroy(device, &device->staging);
        PM_TRY(pm_vk_buffer_create(device, size < STAGING_BYTES ? STAGING_BYTES : size, PM_VK_MEMORY_UPLOAD,
                                   "staging memory", &device->staging, err));
    }
    *mapped = device->staging.mapped;
    return PM_OK;
}

pm_status pm_vk_copy_staged(pm_vk_device *device, const VkBuffer *to, const VkBufferCopy *regions, uint32_t n,
                            pm_error *err)
{
    PM_TRY(pm_vk_buffer_flush(device, &device->staging, 0, device->staging.size, err));
    PM_TRY(begin(device, err));
    for (uint32_t i = 0; i < n; i++)
        vkCmdCopyBuffer(device->transfer_commands, device->staging.handle, to[i], 1, &regions[i]);
    return submit(device, err);
}

pm_status pm_vk_upload(pm_vk_device *device, const pm_vk_buffer *buffer, uint64_t offset, const void *data,
                       uint64_t size, pm_error *err)
{
    if (buffer->mapped) {
        memcpy(buffer->mapped + offset, data, size);
        return pm_vk_buffer_flush(device, buffer, offset, size, err);
    }
    const unsigned char *from = data;
    while (size) {
        uint64_t piece = size < STAGING_BYTES ? size : STAGING_BYTES;
        unsigned char *staging;
        PM_TRY(pm_vk_staging(device, piece, &staging, err));
        memcpy(staging, from, piece);
        VkBufferCopy region = {.dstOffset = offset, .size = piece};
        PM_TRY(pm_vk_copy_staged(device, &buffer->handle, &region, 1, err));
        from += piece;
        offset += piece;
        size -= piece;
    }
    return PM_OK;
}

pm_status pm_vk_download(pm_vk_device *device, const pm_vk_buffer *buffer, uint64_t offset, void *data, uint64_t size,
                         pm_error *err)
{
    if (buffer->mapped && (buffer->cached || size < 4096)) {
        PM_TRY(pm_vk_buffer_invalidate(device, buffer, offset, size, err));
        memcpy(data, buffer->mapped + offset, size);
        return PM_OK;
    }
    const pm_vk_buffer *to = &device->readback;
    uint64_t most = size < STAGING_BYTES ? size : STAGING_BYTES;
    if (to->size < most) {
        pm_vk_buffer_destroy(device, &device->readback);
        PM_TRY(pm_vk_buffer_create(device, most, PM_VK_MEMORY_READBACK, "memory to read results back",
                                   &device->readback, err));
    }
    pm_status status = PM_OK;
    unsigned char *into = data;
    while (size && status == PM_OK) {
        uint64_t piece = size < most ? size : most;
        VkBufferCopy region = {.srcOffset = offset, .size = piece};
        status = begin(device, err);
        if (status == PM_OK) {
            vkCmdCopyBuffer(device->transfer_commands, buffer->handle, to->handle, 1, &region);
            status = submit(device, err);
        }
        if (status == PM_OK)
            status = pm_vk_buffer_invalidate(device, to, 0, piece, err);
        if (status == PM_OK)
            memcpy(into, to->mapped, piece);
        into += piece;
        offset += piece;
        size -= piece;
    }
    return status;
}

pm_status pm_vk_zero(pm_vk_device *device, const pm_vk_buffer *buffer, pm_error *err)
{
    if (buffer->mapped) {
        memset(buffer->mapped, 0, buffer->size);
        return pm_vk_buffer_flush(device, buffer, 0, buffer->size, err);
    }
    PM_TRY(begin(device, err));
    vkCmdFillBuffer(device->transfer_commands, buffer->handle, 0, VK_WHOLE_SIZE, 0);
    return submit(device, err);
}

void pm_vk_transfer_destroy(pm_vk_device *device)
{
    pm_vk_buffer_destroy(device, &device->staging);
    pm_vk_buffer_destroy(device, &device->readback);
    if (device->transfer_fence)
        vkDestroyFence(device->handle, device->transfer_fence, NULL);
    if (device->transfer_pool)
        vkDestroyCommandPool(device->handle, device->transfer_pool, NULL);
    device->transfer_commands = NULL;
}
