/* Pipelines: a shader with its specialization constants, made at first use and shared by all programs of a device.
 *
 * All pipeline layouts agree in set 0 (the run parameters) and in the push constants (all 128 bytes), so that set
 * 0 is bound once a command buffer; set 1 differs in the number of slices and in which of them are texel buffers.
 */
#include "backends/vulkan/vk_runtime.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"

static VkResult create_layout(pm_vk_device *device, pm_vk_layout *layout)
{
    VkDescriptorSetLayoutBinding bindings[PM_VK_MAX_BIND];
    for (uint32_t i = 0; i < layout->n_bind; i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){
            .binding = i,
            .descriptorType = layout->texels >> i & 1 ? VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER
                                                      : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
            .descriptorCount = 1,
            .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    VkDescriptorSetLayoutCreateInfo create = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                              .bindingCount = layout->n_bind,
                                              .pBindings = bindings};
    VkResult result = vkCreateDescriptorSetLayout(device->handle, &create, NULL, &layout->set);
    VkDescriptorSetLayout sets[2] = {device->params_layout, layout->set};
    VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = PM_VK_MAX_PUSH};
    VkPipelineLayoutCreateInfo pipeline = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                           .setLayoutCount = 2,
                                           .pSetLayouts = sets,
                                           .pushConstantRangeCount = 1,
                                           .pPushConstantRanges = &push};
    return result < 0 ? result : vkCreatePipelineLayout(device->handle, &pipeline, NULL, &layout->pipeline);
}

pm_status pm_vk_layout_get(pm_vk_device *device, uint32_t n_bind, uint32_t texels, const pm_vk_layout **out,
                           pm_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < device->n_layouts && !*out; i++)
        if (device->layouts[i]->n_bind == n_bind && device->layouts[i]->texels == texels)
            *out = device->layouts[i];
    if (*out)
        return PM_OK;
    if (device->n_layouts == device->cap_layouts) {
        size_t cap = device->cap_layouts ? 2 * device->cap_layouts : 16;
        pm_vk_layout **grown = realloc(device->layouts, cap * sizeof *grown);
        if (!grown)
            return pm_fail_memory(err, cap * sizeof *grown, "the list of pipeline layouts");
        device->layouts = grown;
        device->cap_layouts = cap;
    }
    pm_vk_layout *made = calloc(1, sizeof *made);
    if (!made)
        return pm_fail_memory(err, sizeof *made, "a pipeline layout");
    *made = (pm_vk_layout){.n_bind = n_bind, .texels = texels};
    device->layouts[device->n_layouts++] = made;
    *out = made;
    VkResult result = create_layout(device, made);
    return result < 0 ? pm_vk_fail(device, result, "creating pipeline layouts", err) : PM_OK;
}

static pm_status create_layouts(pm_vk_device *device, pm_error *err)
{
    VkDescriptorSetLayoutBinding params = {.descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER,
                                           .descriptorCount = 1,
                                           .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    VkDescriptorSetLayoutCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = 1, .pBindings = &params};
    VkResult result = vkCreateDescriptorSetLayout(device->handle, &create, NULL, &device->params_layout);
    const pm_vk_layout *nothing;
    return result < 0 ? pm_vk_fail(device, result, "creating pipeline layouts", err)
                      : pm_vk_layout_get(device, 0, 0, &nothing, err);
}

pm_status pm_vk_pipelines_create(pm_vk_device *device, pm_error *err)
{
    PM_TRY(create_layouts(device, err));
    size_t size = 0;
    void *data = pm_vk_cache_read(&device->cache, "pipelines", &size);
    VkPipelineCacheCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO, .initialDataSize = size, .pInitialData = data};
    VkResult result = vkCreatePipelineCache(device->handle, &create, NULL, &device->pipeline_cache);
    if (result < 0 && data) { /* the driver does not like its own data: do without */
        create.initialDataSize = 0;
        create.pInitialData = NULL;
        result = vkCreatePipelineCache(device->handle, &create, NULL, &device->pipeline_cache);
    }
    free(data);
    return result < 0 ? pm_vk_fail(device, result, "creating the pipeline cache", err) : PM_OK;
}

void pm_vk_pipelines_save(pm_vk_device *device)
{
    size_t size = 0;
    if (!device->n_unsaved_pipelines || !device->cache.dir || device->lost ||
        vkGetPipelineCacheData(device->handle, device->pipeline_cache, &size, NULL) < 0 || !size)
        return;
    void *data = malloc(size);
    if (data && vkGetPipelineCacheData(device->handle, device->pipeline_cache, &size, data) == VK_SUCCESS && size)
        pm_vk_cache_write(&device->cache, "pipelines", data, size);
    free(data);
    device->n_unsaved_pipelines = 0;
}

void pm_vk_pipelines_destroy(pm_vk_device *device)
{
    for (size_t i = 0; i < device->n_pipelines; i++) {
        vkDestroyPipeline(device->handle, device->pipelines[i]->handle, NULL);
        free(device->pipelines[i]);
    }
    free(device->pipelines);
    device->pipelines = NULL;
    device->n_pipelines = 0;
    vkDestroyPipelineCache(device->handle, device->pipeline_cache, NULL);
    for (size_t i = 0; i < device->n_layouts; i++) {
        vkDestroyPipelineLayout(device->handle, device->layouts[i]->pipeline, NULL);
        vkDestroyDescriptorSetLayout(device->handle, device->layouts[i]->set, NULL);
        free(device->layouts[i]);
    }
    free(device->layouts);
    device->layouts = NULL;
    device->n_layouts = 0;
    vkDestroyDescriptorSetLayout(device->handle, device->params_layout, NULL);
}

static VkResult create_module(pm_vk_device *device, pm_shader shader, VkShaderModule *module)
{
    uint32_t *words = pm_shader_unpack(shader);
    VkShaderModuleCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                     .codeSize = pm_shader_infos[shader].n_words * sizeof(uint32_t),
                                     .pCode = words};
    VkResult result =
        words ? vkCreateShaderModule(device->handle, &info, NULL, module) : VK_ERROR_OUT_OF_HOST_MEMORY;
    free(words);
    return result;
}

static VkResult compile(pm_vk_device *device, pm_vk_pipeline *pipeline)
{
    VkShaderModule module;
    VkResult result = create_module(device, pipeline->shader, &module);
    if (result < 0)
        return result;
    VkSpecializationMapEntry entries[PM_VK_MAX_SPEC];
    for (uint32_t i = 0; i < pipeline->n_spec; i++)
        entries[i] = (VkSpecializationMapEntry){i, (uint32_t)(i * sizeof(uint32_t)), sizeof(uint32_t)};
    VkSpecializationInfo spec = {.mapEntryCount = pipeline->n_spec,
                                 .pMapEntries = entries,
                                 .dataSize = pipeline->n_spec * sizeof(uint32_t),
                                 .pData = pipeline->spec};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = pipeline->subgroup_size};
    VkComputePipelineCreateInfo create = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                                          .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                    .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                                                    .module = module,
                                                    .pName = "main",
                                                    .pSpecializationInfo = &spec},
                                          .layout = pipeline->layout->pipeline};
    if (pipeline->subgroup_size) {
        create.stage.pNext = &subgroup;
        create.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
    }
    result = vkCreateComputePipelines(device->handle, device->pipeline_cache, 1, &create, NULL, &pipeline->handle);
    vkDestroyShaderModule(device->handle, module, NULL);
    return result;
}

static uint32_t texels_of(const pm_vk_dispatch *dispatch)
{
    uint32_t texels = 0;
    for (uint32_t i = 0; i < dispatch->n_bind && i < PM_VK_MAX_BIND; i++)
        texels |= (dispatch->bind[i].slice.view != PM_VK_VIEW_BUFFER ? 1u : 0u) << i;
    return texels;
}

static const pm_vk_pipeline *find(const pm_vk_device *device, const pm_vk_dispatch *dispatch)
{
    for (size_t i = device->n_pipelines; i-- > 0;) {
        const pm_vk_pipeline *p = device->pipelines[i];
        if (p->shader == dispatch->shader && p->layout->n_bind == dispatch->n_bind &&
            p->layout->texels == texels_of(dispatch) && p->n_spec == dispatch->n_spec &&
            p->subgroup_size == dispatch->subgroup_size &&
            !memcmp(p->spec, dispatch->spec, dispatch->n_spec * sizeof *p->spec))
            return p;
    }
    return NULL;
}

pm_status pm_vk_pipeline_get(pm_vk_device *device, const pm_vk_dispatch *dispatch, const pm_vk_pipeline **out,
                             pm_error *err)
{
    *out = find(device, dispatch);
    if (*out)
        return PM_OK;
    if (device->n_pipelines == device->cap_pipelines) {
        size_t cap = device->cap_pipelines ? 2 * device->cap_pipelines : 64;
        pm_vk_pipeline **grown = realloc(device->pipelines, cap * sizeof *grown);
        if (!grown)
            return pm_fail_memory(err, cap * sizeof *grown, "the list of pipelines");
        device->pipelines = grown;
        device->cap_pipelines = cap;
    }
    const pm_vk_layout *layout;
    PM_TRY(pm_vk_layout_get(device, dispatch->n_bind, texels_of(dispatch), &layout, err));
    pm_vk_pipeline *made = calloc(1, sizeof *made);
    if (!made)
        return pm_fail_memory(err, sizeof *made, "a pipeline");
    made->shader = dispatch->shader;
    made->layout = layout;
    made->n_spec = dispatch->n_spec;
    made->subgroup_size = dispatch->subgroup_size;
    memcpy(made->spec, dispatch->spec, sizeof made->spec);
    device->pipelines[device->n_pipelines++] = made;
    *out = made;
    return PM_OK;
}

/* ---- compiling all that are new ------------------------------------------------------------------------ */

typedef struct compilation {
    pm_vk_device *device;
    atomic_size_t next;
    size_t end;
} compilation;

static void compile_some(void *user, int thread, int n_threads)
{
    (void)thread, (void)n_threads;
    compilation *work = user;
    for (size_t i; (i = atomic_fetch_add(&work->next, 1)) < work->end;) {
        pm_vk_pipeline *pipeline = work->device->pipelines[i];
        pipeline->result = compile(work->device, pipeline);
    }
}

/* Drivers take from milliseconds to seconds for a shader, so all cores compile. */
static void compile_all(compilation *work, size_t n)
{
    int cores = pm_threads_cores(), n_threads = n < (size_t)cores ? (int)n : cores;
    pm_threads *threads = NULL;
    if (n_threads > 1 && pm_threads_create(n_threads > 16 ? 16 : n_threads, &threads, NULL) == PM_OK)
        pm_threads_run(threads, compile_some, work);
    else
        compile_some(work, 0, 1);
    pm_threads_destroy(threads);
}

pm_status pm_vk_pipelines_compile(pm_vk_device *device, pm_error *err)
{
    size_t first = device->n_compiled_pipelines, n = device->n_pipelines - first;
    if (!n)
        return PM_OK;
    compilation work = {.device = device, .next = first, .end = device->n_pipelines};
    compile_all(&work, n);
    pm_status status = PM_OK;
    size_t kept = first;
    for (size_t i = first; i < device->n_pipelines; i++) {
        pm_vk_pipeline *pipeline = device->pipelines[i];
        if (pipeline->result >= 0) {
            device->pipelines[kept++] = pipeline;
            continue;
        }
        pm_vk_fail(device, pipeline->result, "compiling the shader", err);
        status = pm_fail_within(err, PM_ERR_DEVICE, "shader %s", pm_shader_infos[pipeline->shader].name);
        free(pipeline);
    }
    device->n_pipelines = device->n_compiled_pipelines = kept;
    device->n_unsaved_pipelines += kept - first;
    return status;
}
