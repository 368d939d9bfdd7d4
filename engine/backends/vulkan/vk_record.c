/* Recording: descriptor sets and command buffers, made once when a program is created and never touched again.
 *
 * The timed form of the command buffers differs in timestamps only; it is recorded when the device was opened for
 * profiling, or at the first run with a trace. */
#include "backends/vulkan/vk_runtime.h"

#include <stdlib.h>

/* ---- descriptors --------------------------------------------------------------------------------------- */

static VkResult create_pool(pm_vk_device *device, pm_vk_program *p)
{
    uint32_t n_storage = 0, n_texel = 0;
    for (uint32_t i = 0; i < p->n_launches; i++)
        for (uint32_t b = 0; b < p->launches[i].n_bind; b++)
            *(p->launches[i].bind[b].view == PM_VK_VIEW_BUFFER ? &n_storage : &n_texel) += 1;
    VkDescriptorPoolSize sizes[3] = {{VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, 1},
                                     {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, n_storage ? n_storage : 1},
                                     {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, n_texel}};
    p->views = calloc(n_texel ? n_texel : 1, sizeof *p->views);
    if (!p->views)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    VkDescriptorPoolCreateInfo create = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                         .maxSets = p->n_launches + 1,
                                         .poolSizeCount = n_texel ? 3 : 2,
                                         .pPoolSizes = sizes};
    return vkCreateDescriptorPool(device->handle, &create, NULL, &p->descriptor_pool);
}

static VkResult allocate_set(pm_vk_device *device, pm_vk_program *p, VkDescriptorSetLayout layout,
                             VkDescriptorSet *out)
{
    VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                        .descriptorPool = p->descriptor_pool,
                                        .descriptorSetCount = 1,
                                        .pSetLayouts = &layout};
    return vkAllocateDescriptorSets(device->handle, &info, out);
}

static VkResult create_view(pm_vk_device *device, pm_vk_program *p, const pm_vk_range *range)
{
    static const VkFormat formats[] = {[PM_VK_VIEW_U32X4] = VK_FORMAT_R32G32B32A32_UINT,
                                       [PM_VK_VIEW_U32X2] = VK_FORMAT_R32G32_UINT,
                                       [PM_VK_VIEW_F32X4] = VK_FORMAT_R32G32B32A32_SFLOAT,
                                       [PM_VK_VIEW_F16X4] = VK_FORMAT_R16G16B16A16_SFLOAT};
    uint32_t texel = pm_vk_view_bytes(range->view);
    VkBufferViewCreateInfo create = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                     .buffer = p->buffers[range->buffer]->handle,
                                     .format = formats[range->view],
                                     .offset = range->offset,
                                     .range = range->size / texel * texel};
    return vkCreateBufferView(device->handle, &create, NULL, &p->views[p->n_views]);
}

static VkResult write_set(pm_vk_device *device, pm_vk_program *p, const pm_vk_launch *launch, VkDescriptorSet set)
{
    VkDescriptorBufferInfo buffers[PM_VK_MAX_BIND];
    VkWriteDescriptorSet writes[PM_VK_MAX_BIND];
    for (uint32_t b = 0; b < launch->n_bind; b++) {
        const pm_vk_range *range = &launch->bind[b];
        buffers[b] = (VkDescriptorBufferInfo){p->buffers[range->buffer]->handle, range->offset, range->size};
        writes[b] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = set,
                                           .dstBinding = b,
                                           .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .pBufferInfo = &buffers[b]};
        if (range->view == PM_VK_VIEW_BUFFER)
            continue;
        VkResult result = create_view(device, p, range);
        if (result < 0)
            return result;
        writes[b].descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
        writes[b].pTexelBufferView = &p->views[p->n_views++];
    }
    vkUpdateDescriptorSets(device->handle, launch->n_bind, writes, 0, NULL);
    return VK_SUCCESS;
}

static pm_status create_sets(pm_vk_device *device, pm_vk_program *p, pm_error *err)
{
    p->sets = calloc(p->n_launches ? p->n_launches : 1, sizeof *p->sets);
    if (!p->sets)
        return pm_fail_memory(err, p->n_launches * sizeof *p->sets, "the descriptor sets of a program");
    VkResult result = create_pool(device, p);
    if (result >= 0)
        result = allocate_set(device, p, device->params_layout, &p->params_set);
    if (result >= 0) {
        VkDescriptorBufferInfo params = {p->io.handle, 0, sizeof(struct pm_run_params)};
        VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                      .dstSet = p->params_set,
                                      .descriptorCount = 1,
                                      .descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER,
                                      .pBufferInfo = &params};
        vkUpdateDescriptorSets(device->handle, 1, &write, 0, NULL);
    }
    for (uint32_t i = 0; i < p->n_launches && result >= 0; i++) {
        const pm_vk_launch *launch = &p->launches[i];
        result = allocate_set(device, p, launch->pipeline->layout->set, &p->sets[i]);
        if (result >= 0)
            result = write_set(device, p, launch, p->sets[i]);
    }
    return result < 0 ? pm_vk_fail(device, result, "creating the descriptors of a program", err) : PM_OK;
}

/* ---- commands ------------------------------------------------------------------------------------------ */

void pm_vk_cmd_barrier(VkCommandBuffer commands, VkPipelineStageFlags from, VkAccessFlags from_access,
                       VkPipelineStageFlags to, VkAccessFlags to_access)
{
    VkMemoryBarrier memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = from_access, .dstAccessMask = to_access};
    vkCmdPipelineBarrier(commands, from, to, 0, 1, &memory, 0, NULL, 0, NULL);
}

static void record_launch(const pm_vk_program *p, uint32_t index, const pm_vk_pipeline *bound,
                          VkCommandBuffer commands)
{
    const pm_vk_launch *launch = &p->launches[index];
    VkPipelineLayout layout = launch->pipeline->layout->pipeline;
    if (launch->barrier)
        pm_vk_cmd_barrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
                          VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                          VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT);
    if (bound != launch->pipeline)
        vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, launch->pipeline->handle);
    if (launch->n_bind)
        vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 1, 1, &p->sets[index], 0, NULL);
    if (launch->push_size)
        vkCmdPushConstants(commands, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, launch->push_size, launch->push);
    vkCmdDispatch(commands, launch->groups[0], launch->groups[1], launch->groups[2]);
}

/* Small outputs go to memory that the host reads fast. */
static void record_readback(const pm_vk_program *p, VkCommandBuffer commands)
{
    pm_vk_cmd_barrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
                      VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_READ_BIT);
    for (size_t i = 0; i < p->graph->n_tensors; i++) {
        if (!p->readback_at[i])
            continue;
        const pm_vk_item *item = &p->items[p->tensor_item[i]];
        VkBufferCopy region = {.srcOffset = item->base, .dstOffset = p->readback_at[i] - 1, .size = item->size};
        vkCmdCopyBuffer(commands, p->arena.handle, p->readback.handle, 1, &region);
    }
}

static VkResult record_segment(pm_vk_device *device, const pm_vk_program *p, uint32_t index, bool timed,
                               VkCommandBuffer commands)
{
    const pm_vk_segment *segment = &p->segments[index];
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = p->feed.from ? VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT
                                                            : 0}; /* several times in a submission */
    VkResult result = vkBeginCommandBuffer(commands, &begin);
    if (result < 0)
        return result;
    const VkPipelineStageFlags both = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    uint32_t query = segment->first_query;
    if (timed)
        vkCmdResetQueryPool(commands, p->queries, query, segment->last_node - segment->first_node + 2);
    pm_vk_cmd_barrier(commands, both, VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT, both,
                      VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_UNIFORM_READ_BIT |
                          VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
    if (timed)
        vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, p->queries, query++);
    vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, device->layouts[0]->pipeline, 0, 1,
                            &p->params_set, 0, NULL);
    const pm_vk_pipeline *bound = NULL;
    uint32_t launch = segment->first, end = segment->first + segment->count;
    for (uint32_t node = segment->first_node; node <= segment->last_node; node++) {
        for (; launch < end && p->launches[launch].node == node; launch++) {
            record_launch(p, launch, bound, commands);
            bound = p->launches[launch].pipeline;
        }
        if (timed)
            vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, p->queries, query++);
    }
    if (p->readback_at && index + 1 == p->n_segments)
        record_readback(p, commands);
    pm_vk_cmd_barrier(commands, both, VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                      VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    return vkEndCommandBuffer(commands);
}

static pm_status record(pm_vk_device *device, pm_vk_program *p, bool timed, VkCommandBuffer **out, pm_error *err)
{
    if (!p->n_segments)
        return PM_OK;
    *out = calloc(p->n_segments, sizeof **out);
    if (!*out)
        return pm_fail_memory(err, p->n_segments * sizeof **out, "the command buffers of a program");
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = p->command_pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = p->n_segments};
    VkResult result = vkAllocateCommandBuffers(device->handle, &info, *out);
    for (uint32_t i = 0; i < p->n_segments && result >= 0; i++)
        result = record_segment(device, p, i, timed, (*out)[i]);
    if (result < 0) { /* the pool frees the command buffers */
        free(*out);
        *out = NULL;
        return pm_vk_fail(device, result, "recording a program", err);
    }
    return PM_OK;
}

pm_status pm_vk_record_program(pm_vk_device *device, pm_vk_program *p, pm_error *err)
{
    PM_TRY(create_sets(device, p, err));
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = device->facts.queue_family};
    VkResult result = vkCreateCommandPool(device->handle, &pool, NULL, &p->command_pool);
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    for (int i = 0; i < PM_VK_IN_FLIGHT && result >= 0; i++)
        result = vkCreateFence(device->handle, &fence, NULL, &p->fences[i]);
    if (result < 0)
        return pm_vk_fail(device, result, "creating a program", err);
    PM_TRY(record(device, p, false, &p->commands, err));
    return device->profile && device->caps.limits.timestamps ? pm_vk_record_timed(device, p, err) : PM_OK;
}

pm_status pm_vk_record_timed(pm_vk_device *device, pm_vk_program *p, pm_error *err)
{
    if (p->timed_commands || !p->n_segments)
        return PM_OK;
    VkQueryPoolCreateInfo create = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                    .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                    .queryCount = p->n_queries};
    if (!p->ticks)
        p->ticks = calloc(p->n_queries, sizeof *p->ticks);
    if (!p->ticks)
        return pm_fail_memory(err, p->n_queries * sizeof *p->ticks, "the timestamps of a program");
    if (!p->queries) {
        VkResult result = vkCreateQueryPool(device->handle, &create, NULL, &p->queries);
        if (result < 0)
            return pm_vk_fail(device, result, "creating timestamps", err);
    }
    return record(device, p, true, &p->timed_commands, err);
}
