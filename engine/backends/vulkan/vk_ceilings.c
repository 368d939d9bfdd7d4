/* What a Vulkan device can do at most: streaming reads and copies of device memory, and arithmetic in registers.
 * The dispatches are grown until one takes long enough to be timed, and stay far below a watchdog's patience. */
#include "backends/vulkan/vk_runtime.h"

#include "ceiling.push.h"

enum { READ_BYTES = 96 << 20, LOCAL = 128 };

/* One shader with its buffers, submitted again and again. */
typedef struct ceiling_rig {
    pm_vk_device *device;
    pm_vk_buffer data, result;
    VkDescriptorPool descriptors;
    VkDescriptorSet set;
    VkCommandPool commands;
    VkCommandBuffer command;
    VkFence fence;
} ceiling_rig;

static pm_status rig_open(ceiling_rig *rig, pm_vk_device *device, pm_error *err)
{
    *rig = (ceiling_rig){.device = device};
    uint64_t bytes = READ_BYTES;
    while (bytes > device->caps.limits.max_storage_buffer_range || bytes > device->caps.limits.max_allocation)
        bytes /= 2;
    PM_TRY(pm_vk_buffer_create(device, bytes, PM_VK_MEMORY_DEVICE, "measuring bandwidth", &rig->data, err));
    PM_TRY(pm_vk_zero(device, &rig->data, err)); /* pages that nobody wrote may all be the same one */
    PM_TRY(pm_vk_buffer_create(device, 4 * LOCAL, PM_VK_MEMORY_DEVICE, "measuring speed", &rig->result, err));
    VkDescriptorPoolSize sizes = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 8};
    VkDescriptorPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                       .maxSets = 8,
                                       .poolSizeCount = 1,
                                       .pPoolSizes = &sizes};
    VkCommandPoolCreateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                        .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                        .queueFamilyIndex = device->facts.queue_family};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkResult result = vkCreateDescriptorPool(device->handle, &pool, NULL, &rig->descriptors);
    if (result >= 0)
        result = vkCreateCommandPool(device->handle, &commands, NULL, &rig->commands);
    if (result >= 0)
        result = vkCreateFence(device->handle, &fence, NULL, &rig->fence);
    if (result >= 0) {
        VkCommandBufferAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                .commandPool = rig->commands,
                                                .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                .commandBufferCount = 1};
        result = vkAllocateCommandBuffers(device->handle, &allocate, &rig->command);
    }
    return result < 0 ? pm_vk_fail(device, result, "preparing to measure the device", err) : PM_OK;
}

static void rig_close(ceiling_rig *rig)
{
    VkDevice handle = rig->device->handle;
    vkDestroyFence(handle, rig->fence, NULL);
    vkDestroyCommandPool(handle, rig->commands, NULL);
    vkDestroyDescriptorPool(handle, rig->descriptors, NULL);
    pm_vk_buffer_destroy(rig->device, &rig->data);
    pm_vk_buffer_destroy(rig->device, &rig->result);
}

static VkResult bind_buffers(ceiling_rig *rig, const pm_vk_buffer *const *buffers, uint32_t n)
{
    const pm_vk_layout *layout;
    if (pm_vk_layout_get(rig->device, n, 0, &layout, NULL) != PM_OK)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    VkDescriptorSetAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                            .descriptorPool = rig->descriptors,
                                            .descriptorSetCount = 1,
                                            .pSetLayouts = &layout->set};
    VkResult result = vkAllocateDescriptorSets(rig->device->handle, &allocate, &rig->set);
    for (uint32_t i = 0; i < n && result >= 0; i++) {
        VkDescriptorBufferInfo info = {buffers[i]->handle, 0, buffers[i]->size};
        VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                      .dstSet = rig->set,
                                      .dstBinding = i,
                                      .descriptorCount = 1,
                                      .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                      .pBufferInfo = &info};
        vkUpdateDescriptorSets(rig->device->handle, 1, &write, 0, NULL);
    }
    return result;
}

/* Records one dispatch, runs it, and returns how long it took by the host's clock. */
static VkResult run_once(ceiling_rig *rig, const pm_vk_pipeline *pipeline, uint32_t groups, uint32_t steps,
                         double *seconds)
{
    pm_vk_device *device = rig->device;
    const struct pm_ceiling_push push = {.steps = steps, .never = 0x7f123457u};
    VkPipelineLayout layout = pipeline->layout->pipeline;
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkResult result = vkBeginCommandBuffer(rig->command, &begin);
    if (result < 0)
        return result;
    vkCmdBindPipeline(rig->command, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline->handle);
    vkCmdBindDescriptorSets(rig->command, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 1, 1, &rig->set, 0, NULL);
    vkCmdPushConstants(rig->command, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push, &push);
    vkCmdDispatch(rig->command, groups, 1, 1);
    result = vkEndCommandBuffer(rig->command);
    VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &rig->command};
    unsigned long long start = pm_trace_now_ns();
    if (result >= 0)
        result = vkResetFences(device->handle, 1, &rig->fence);
    if (result >= 0)
        result = vkQueueSubmit(device->queue, 1, &submit, rig->fence);
    if (result >= 0)
        result = vkWaitForFences(device->handle, 1, &rig->fence, VK_TRUE, 20000000000ull);
    *seconds = 1e-9 * (double)(pm_trace_now_ns() - start);
    return result == VK_TIMEOUT ? VK_ERROR_DEVICE_LOST : result;
}

/* The best rate of several runs: work(groups, steps) over time, with steps doubled until a run takes `enough`. */
static pm_status best_rate(ceiling_rig *rig, pm_shader shader, const pm_vk_buffer *const *buffers, uint32_t n_bind,
                           uint32_t groups, uint32_t steps, uint32_t most_steps, double work_a_step, double *rate,
                           pm_error *err)
{
    pm_vk_dispatch dispatch = {.shader = shader, .spec = {LOCAL}, .n_spec = 1, .n_bind = n_bind};
    const pm_vk_pipeline *pipeline;
    const double enough = 0.03;
    double seconds = 0;
    PM_TRY(pm_vk_pipeline_get(rig->device, &dispatch, &pipeline, err));
    PM_TRY(pm_vk_pipelines_compile(rig->device, err));
    VkResult result = bind_buffers(rig, buffers, n_bind);
    *rate = 0;
    for (int run = 0; run < 12 && result >= 0; run++) {
        result = run_once(rig, pipeline, groups, steps, &seconds);
        double now = (double)groups * LOCAL * (double)steps * work_a_step / seconds;
        *rate = result >= 0 && now > *rate ? now : *rate;
        if (seconds < enough && steps < most_steps)
            steps *= 2;
    }
    return result < 0 ? pm_vk_fail(rig->device, result, "measuring the device", err) : PM_OK;
}

static pm_status measure(ceiling_rig *rig, pm_ceilings *out, pm_error *err)
{
    const pm_vk_buffer *const both[2] = {&rig->data, &rig->result}, *const result[1] = {&rig->result};
    const uint32_t groups = 1024; /* 131072 invocations keep any device busy */
    uint32_t loads = (uint32_t)(rig->data.size / 16 / (groups * LOCAL)) / 4 * 4;
    const uint32_t have = rig->device->caps.features;
    uint32_t copies = loads / 8 * 4; /* from one half to the other */
    PM_TRY(best_rate(rig, PM_SHADER_CEILING_READ, both, 2, groups, loads, loads, 16, &out->read_bytes_per_s, err));
    if (copies > 0)
        PM_TRY(best_rate(rig, PM_SHADER_CEILING_COPY, both, 1, groups, copies, copies, 32, &out->copy_bytes_per_s,
                         err));
    PM_TRY(best_rate(rig, PM_SHADER_CEILING_FMA, result, 1, groups, 4, 1 << 14, 128, &out->f32_flops_per_s, err));
    if (have & PM_VK_NEEDS_FLOAT16)
        PM_TRY(best_rate(rig, PM_SHADER_CEILING_FMA_F16, result, 1, groups, 4, 1 << 14, 128, &out->f16_flops_per_s,
                         err));
    return have & PM_VK_NEEDS_DOT
               ? best_rate(rig, PM_SHADER_CEILING_DOT, result, 1, groups, 4, 1 << 14, 128, &out->i8_ops_per_s, err)
               : PM_OK;
}

pm_status pm_vk_measure(pm_device *base, pm_ceilings *out, pm_error *err)
{
    ceiling_rig rig;
    pm_status status = rig_open(&rig, pm_vk_device_of(base), err);
    if (status == PM_OK)
        status = measure(&rig, out, err);
    rig_close(&rig);
    return status;
}
