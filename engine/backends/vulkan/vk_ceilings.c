/* What a Vulkan device can do at most: streaming reads and copies of device memory, and arithmetic in registers.
 * The dispatches are grown until one takes long enough to be timed, and stay far below a watchdog's patience. */
#include "backends/vulkan/vk_runtime.h"

#include "ceiling.push.h"

enum { LOCAL = 128, COOP_SUBGROUPS = 4, COOP_CHAINS = 8 /* see ceiling_coop.comp */, LONG_RUNS = 4 };

/* One shader with its buffers, submitted again and again. */
typedef struct ceiling_rig {
    pm_vk_device *device;
    pm_vk_buffer data, result;
    VkBufferView texels; /* data once more, where it is not too long for that */
    VkDescriptorPool descriptors;
    VkDescriptorSet set;
    VkCommandPool commands;
    VkCommandBuffer command;
    VkFence fence;
} ceiling_rig;

static pm_status rig_open(ceiling_rig *rig, pm_vk_device *device, pm_error *err)
{
    *rig = (ceiling_rig){.device = device};
    uint64_t bytes = device->caps.software ? 96ull << 20 : 1ull << 30; /* more than caches hold */
    while (bytes > device->caps.limits.max_storage_buffer_range || bytes > device->caps.limits.max_allocation)
        bytes /= 2;
    PM_TRY(pm_vk_buffer_create(device, bytes, PM_VK_MEMORY_DEVICE, "measuring bandwidth", &rig->data, err));
    PM_TRY(pm_vk_zero(device, &rig->data, err)); /* pages that nobody wrote may all be the same one */
    PM_TRY(pm_vk_buffer_create(device, 4 * COOP_CHAINS * 1024, PM_VK_MEMORY_DEVICE, "measuring speed",
                               &rig->result, err));
    VkDescriptorPoolSize sizes[] = {{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 8},
                                    {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, 1}};
    VkDescriptorPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                       .maxSets = 8,
                                       .poolSizeCount = 2,
                                       .pPoolSizes = sizes};
    VkCommandPoolCreateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                        .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                        .queueFamilyIndex = device->facts.queue_family};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkBufferViewCreateInfo texels = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                     .buffer = rig->data.handle,
                                     .format = VK_FORMAT_R32G32B32A32_UINT,
                                     .range = VK_WHOLE_SIZE};
    VkResult result = vkCreateDescriptorPool(device->handle, &pool, NULL, &rig->descriptors);
    if (result >= 0 && pm_vk_viewable(&device->caps, bytes, PM_VK_VIEW_U32X4))
        result = vkCreateBufferView(device->handle, &texels, NULL, &rig->texels);
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
    vkDestroyBufferView(handle, rig->texels, NULL);
    pm_vk_buffer_destroy(rig->device, &rig->data);
    pm_vk_buffer_destroy(rig->device, &rig->result);
}

static VkResult bind_buffers(ceiling_rig *rig, const pm_vk_layout *layout, const pm_vk_buffer *const *buffers,
                             uint32_t n)
{
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
        if (layout->texels >> i & 1) {
            write.descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
            write.pTexelBufferView = &rig->texels;
        }
        vkUpdateDescriptorSets(rig->device->handle, 1, &write, 0, NULL);
    }
    return result;
}

/* What is measured: a dispatch of so many workgroups, `repeats` times with nothing between them. */
typedef struct load {
    pm_vk_dispatch dispatch;
    const pm_vk_buffer *bind[2];
    uint32_t groups, steps, most_steps; /* steps are doubled until a run takes long enough, then repeats are */
    double work;                        /* of a workgroup's step */
} load;

/* Records the dispatches, runs them, and returns how long they took by the host's clock. */
static VkResult run_once(ceiling_rig *rig, const pm_vk_pipeline *pipeline, const load *w, uint32_t repeats,
                         double *seconds)
{
    pm_vk_device *device = rig->device;
    const struct pm_ceiling_push push = {.steps = w->steps, .never = 0x7f123457u};
    VkPipelineLayout layout = pipeline->layout->pipeline;
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkResult result = vkBeginCommandBuffer(rig->command, &begin);
    if (result < 0)
        return result;
    vkCmdBindPipeline(rig->command, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline->handle);
    vkCmdBindDescriptorSets(rig->command, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 1, 1, &rig->set, 0, NULL);
    vkCmdPushConstants(rig->command, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push, &push);
    for (uint32_t i = 0; i < repeats; i++)
        vkCmdDispatch(rig->command, w->groups, 1, 1);
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

/* The best rate of several runs. */
static pm_status best_rate(ceiling_rig *rig, load w, double *rate, pm_error *err)
{
    const pm_vk_pipeline *pipeline;
    const double enough = 0.03;
    double seconds = 0;
    uint32_t repeats = 1, n_long = 0;
    PM_TRY(pm_vk_pipeline_get(rig->device, &w.dispatch, &pipeline, err));
    PM_TRY(pm_vk_pipelines_compile(rig->device, err));
    VkResult result = bind_buffers(rig, pipeline->layout, w.bind, w.dispatch.n_bind);
    *rate = 0;
    for (int run = 0; run < 20 && n_long < LONG_RUNS && result >= 0; run++) {
        result = run_once(rig, pipeline, &w, repeats, &seconds);
        double now = (double)w.groups * w.steps * repeats * w.work / seconds;
        *rate = result >= 0 && now > *rate ? now : *rate;
        if (seconds < enough)
            *(w.steps < w.most_steps ? &w.steps : &repeats) *= 2;
        else
            n_long++;
    }
    return result < 0 ? pm_vk_fail(rig->device, result, "measuring the device", err) : PM_OK;
}

static load arithmetic(const ceiling_rig *rig, pm_shader shader, uint32_t groups)
{
    return (load){.dispatch = {.shader = shader, .spec = {LOCAL}, .n_spec = 1, .n_bind = 1},
                  .bind = {&rig->result},
                  .groups = groups,
                  .steps = 4,
                  .most_steps = 1 << 14,
                  .work = 128.0 * LOCAL};
}

static pm_status measure_memory(ceiling_rig *rig, uint32_t groups, pm_ceilings *out, pm_error *err)
{
    uint32_t loads = (uint32_t)(rig->data.size / 16 / (groups * LOCAL)) / 4 * 4;
    load read = {.dispatch = {.shader = PM_SHADER_CEILING_READ, .spec = {LOCAL}, .n_spec = 1, .n_bind = 2},
                 .bind = {&rig->data, &rig->result},
                 .groups = groups,
                 .steps = loads,
                 .most_steps = loads,
                 .work = 16.0 * LOCAL};
    PM_TRY(best_rate(rig, read, &out->read_bytes_per_s, err));
    if (rig->texels) { /* reading is what the faster way of the two does */
        load texels = read;
        double rate;
        texels.dispatch.shader = PM_SHADER_CEILING_READ_TEXELS;
        texels.dispatch.bind[0].slice.view = PM_VK_VIEW_U32X4;
        PM_TRY(best_rate(rig, texels, &rate, err));
        out->read_bytes_per_s = rate > out->read_bytes_per_s ? rate : out->read_bytes_per_s;
    }
    load copy = read; /* from one half to the other */
    copy.dispatch.shader = PM_SHADER_CEILING_COPY;
    copy.dispatch.n_bind = 1;
    copy.steps = copy.most_steps = loads / 8 * 4;
    copy.work = 32.0 * LOCAL;
    return copy.steps ? best_rate(rig, copy, &out->copy_bytes_per_s, err) : PM_OK;
}

static pm_status measure_matrices(ceiling_rig *rig, uint32_t groups, double *rate, pm_error *err)
{
    const pm_vk_caps *caps = &rig->device->caps;
    if (!pm_vk_coop_usable(caps) || !pm_vk_usable(caps, PM_SHADER_CEILING_COOP))
        return PM_OK;
    load w = arithmetic(rig, PM_SHADER_CEILING_COOP, groups);
    w.dispatch.spec[0] = COOP_SUBGROUPS * PM_VK_COOP_SUBGROUP;
    w.dispatch.subgroup_size = PM_VK_COOP_SUBGROUP;
    w.work = 2.0 * 16 * 16 * 16 * COOP_CHAINS * COOP_SUBGROUPS;
    return best_rate(rig, w, rate, err);
}

static pm_status measure(ceiling_rig *rig, pm_ceilings *out, pm_error *err)
{
    const pm_vk_caps *caps = &rig->device->caps;
    const uint32_t groups = caps->software ? 1024 : 8192; /* so many invocations keep any device busy */
    PM_TRY(measure_memory(rig, groups, out, err));
    PM_TRY(best_rate(rig, arithmetic(rig, PM_SHADER_CEILING_FMA, groups), &out->f32_flops_per_s, err));
    if (caps->features & PM_VK_NEEDS_FLOAT16)
        PM_TRY(best_rate(rig, arithmetic(rig, PM_SHADER_CEILING_FMA_F16, groups), &out->f16_flops_per_s, err));
    if (caps->features & PM_VK_NEEDS_DOT)
        PM_TRY(best_rate(rig, arithmetic(rig, PM_SHADER_CEILING_DOT, groups), &out->i8_ops_per_s, err));
    return measure_matrices(rig, groups, &out->matrix_flops_per_s, err);
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
