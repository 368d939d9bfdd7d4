/* Host data into buffers and back: straight through the mapping where there is one, else piece by piece through
 * two staging buffers of bounded size, one filled while the other is copied. Nothing here belongs to the decode
 * loop. */
#include "backends/vulkan/vk_runtime.h"

#include <string.h>

enum { STAGING_BYTES = 16 << 20 };
static const uint64_t transfer_timeout_ns = 60000000000ull;

static pm_status transfer_objects(pm_vk_device *device, pm_vk_transfer *t, pm_error *err)
{
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = device->facts.queue_family};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkResult result = VK_SUCCESS;
    if (!device->transfer_pool)
        result = vkCreateCommandPool(device->handle, &pool, NULL, &device->transfer_pool);
    if (result >= 0 && !t->fence)
        result = vkCreateFence(device->handle, &fence, NULL, &t->fence);
    if (result >= 0 && !t->commands) {
        VkCommandBufferAllocateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                .commandPool = device->transfer_pool,
                                                .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                .commandBufferCount = 1};
        result = vkAllocateCommandBuffers(device->handle, &commands, &t->commands);
    }
    return result < 0 ? pm_vk_fail(device, result, "preparing copies to the device", err) : PM_OK;
}

static pm_status wait(pm_vk_device *device, pm_vk_transfer *t, pm_error *err)
{
    if (!t->pending)
        return PM_OK;
    VkResult result = vkWaitForFences(device->handle, 1, &t->fence, VK_TRUE, transfer_timeout_ns);
    if (result == VK_TIMEOUT)
        result = VK_ERROR_DEVICE_LOST; /* a copy of a few MiB that takes a minute will not end */
    t->pending = false;
    return result < 0 ? pm_vk_fail(device, result, "copying to or from the device", err) : PM_OK;
}

pm_status pm_vk_transfers_wait(pm_vk_device *device, pm_error *err)
{
    pm_status status = PM_OK;
    for (int i = 0; i < PM_VK_TRANSFERS; i++) {
        pm_status waited = wait(device, &device->transfers[i], status == PM_OK ? err : NULL);
        status = status == PM_OK ? waited : status;
    }
    return status;
}

static pm_status begin(pm_vk_device *device, pm_vk_transfer *t, pm_error *err)
{
    if (device->lost)
        return pm_vk_fail(device, VK_ERROR_DEVICE_LOST, "copying", err);
    PM_TRY(transfer_objects(device, t, err));
    PM_TRY(wait(device, t, err));
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                     .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    VkResult result = vkBeginCommandBuffer(t->commands, &info);
    if (result < 0)
        return pm_vk_fail(device, result, "copying", err);
    VkMemoryBarrier before = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                              .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
    vkCmdPipelineBarrier(t->commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                         VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &before, 0, NULL, 0, NULL);
    return PM_OK;
}

static pm_status submit(pm_vk_device *device, pm_vk_transfer *t, pm_error *err)
{
    VkMemoryBarrier after = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                             .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                             .dstAccessMask =
                                 VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_HOST_READ_BIT};
    vkCmdPipelineBarrier(t->commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
                         VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &after, 0, NULL,
                         0, NULL);
    VkResult result = vkEndCommandBuffer(t->commands);
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &t->commands};
    if (result >= 0)
        result = vkResetFences(device->handle, 1, &t->fence);
    if (result >= 0)
        result = vkQueueSubmit(device->queue, 1, &info, t->fence);
    t->pending = result >= 0;
    return result < 0 ? pm_vk_fail(device, result, "copying to or from the device", err) : PM_OK;
}

static pm_vk_transfer *current(pm_vk_device *device)
{
    return &device->transfers[device->next_transfer % PM_VK_TRANSFERS];
}

pm_status pm_vk_staging(pm_vk_device *device, uint64_t size, unsigned char **mapped, pm_error *err)
{
    pm_vk_transfer *t = current(device);
    PM_TRY(wait(device, t, err));
    if (t->staging.size < size) {
        pm_vk_buffer_destroy(device, &t->staging);
        PM_TRY(pm_vk_buffer_create(device, size < STAGING_BYTES ? STAGING_BYTES : size, PM_VK_MEMORY_UPLOAD,
                                   "staging memory", &t->staging, err));
    }
    *mapped = t->staging.mapped;
    return PM_OK;
}

pm_status pm_vk_copy_staged(pm_vk_device *device, const VkBuffer *to, const VkBufferCopy *regions, uint32_t n,
                            pm_error *err)
{
    pm_vk_transfer *t = current(device);
    PM_TRY(pm_vk_buffer_flush(device, &t->staging, 0, t->staging.size, err));
    PM_TRY(begin(device, t, err));
    for (uint32_t i = 0; i < n; i++)
        vkCmdCopyBuffer(t->commands, t->staging.handle, to[i], 1, &regions[i]);
    PM_TRY(submit(device, t, err));
    device->next_transfer++;
    return PM_OK;
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
    return pm_vk_transfers_wait(device, err);
}

pm_status pm_vk_download(pm_vk_device *device, const pm_vk_buffer *buffer, uint64_t offset, void *data,
                         uint64_t size, pm_error *err)
{
    if (buffer->mapped && (buffer->cached || size < 4096)) {
        PM_TRY(pm_vk_buffer_invalidate(device, buffer, offset, size, err));
        memcpy(data, buffer->mapped + offset, size);
        return PM_OK;
    }
    pm_vk_transfer *t = current(device);
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
        status = begin(device, t, err);
        if (status == PM_OK) {
            vkCmdCopyBuffer(t->commands, buffer->handle, to->handle, 1, &region);
            status = submit(device, t, err);
        }
        if (status == PM_OK)
            status = wait(device, t, err);
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
    pm_vk_transfer *t = current(device);
    PM_TRY(begin(device, t, err));
    vkCmdFillBuffer(t->commands, buffer->handle, 0, VK_WHOLE_SIZE, 0);
    PM_TRY(submit(device, t, err));
    return wait(device, t, err);
}

void pm_vk_transfer_destroy(pm_vk_device *device)
{
    for (int i = 0; i < PM_VK_TRANSFERS; i++) {
        pm_vk_buffer_destroy(device, &device->transfers[i].staging);
        vkDestroyFence(device->handle, device->transfers[i].fence, NULL);
    }
    pm_vk_buffer_destroy(device, &device->readback);
    vkDestroyCommandPool(device->handle, device->transfer_pool, NULL);
}
