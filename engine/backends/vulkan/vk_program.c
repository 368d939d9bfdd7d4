/* A program's life: lower the graph, cut it into submissions, record them; and its end. What it does while it
 * lives is in vk_run.c (running), vk_tensor_io.c (tensors in and out) and vk_explain.c. */
#include "backends/vulkan/vk_runtime.h"

#include <stdlib.h>

static const uint64_t readback_most = 4 << 20; /* bytes of outputs that are copied in every run */

/* Decides which outputs are copied to readback memory at the end of each run: all, where the host cannot read the
 * arena itself and they are small; large ones (all logits of a long prompt) are fetched when they are asked for.
 */
static pm_status plan_readback(pm_vk_device *device, pm_vk_program *p, pm_error *err)
{
    if (p->by_node || (p->arena.mapped && p->arena.cached))
        return PM_OK;
    uint64_t total = 0;
    for (size_t i = 0; i < p->graph->n_tensors; i++) {
        const pm_tensor *t = p->graph->tensors[i];
        if (t->is_output && t->role == PM_ROLE_ACTIVATION && p->tensor_item[t->id])
            total += (p->items[p->tensor_item[t->id]].size + 63) & ~63ull;
    }
    if (!total || total > readback_most)
        return PM_OK;
    p->readback_at = calloc(p->graph->n_tensors, sizeof *p->readback_at);
    if (!p->readback_at)
        return pm_fail_memory(err, p->graph->n_tensors * sizeof *p->readback_at, "the outputs of a program");
    uint64_t at = 0;
    for (size_t i = 0; i < p->graph->n_tensors; i++) {
        const pm_tensor *t = p->graph->tensors[i];
        if (t->is_output && t->role == PM_ROLE_ACTIVATION && p->tensor_item[t->id]) {
            p->readback_at[t->id] = at + 1;
            at += (p->items[p->tensor_item[t->id]].size + 63) & ~63ull;
        }
    }
    return pm_vk_buffer_create(device, at, PM_VK_MEMORY_READBACK, "the outputs", &p->readback, err);
}

static pm_status build(pm_vk_device *device, pm_vk_program *p, pm_error *err)
{
    PM_TRY(pm_graph_status(p->graph, err));
    PM_TRY(pm_vk_lower_graph(device, p, err));
    PM_TRY(pm_vk_cut_segments(device, p, err));
    PM_TRY(plan_readback(device, p, err));
    PM_TRY(pm_vk_record_program(device, p, err));
    pm_vk_pipelines_save(device); /* now, so that a crash later does not cost the compilation again */
    return pm_vk_check_messages(device, err);
}

pm_status pm_vk_program_create(pm_device *base, const pm_graph *graph, const pm_weights *weights,
                               pm_states *states, const pm_program_options *options, pm_program **out,
                               pm_error *err)
{
    *out = NULL;
    pm_vk_device *device = pm_vk_device_of(base);
    if (device->lost)
        return pm_vk_fail(device, VK_ERROR_DEVICE_LOST, "creating a program", err);
    pm_vk_program *program = calloc(1, sizeof *program);
    if (!program)
        return pm_fail_memory(err, sizeof *program, "a program");
    program->graph = graph;
    program->weights = (const pm_vk_store *)(const void *)weights;
    program->states = (const pm_vk_store *)(const void *)states;
    program->by_node = options && options->by_node;
    if (options && !options->by_node)
        program->feed = options->feed;
    *out = (pm_program *)(void *)program;
    pm_status status = build(device, program, err);
    if (status != PM_OK) {
        pm_vk_program_destroy(base, *out);
        *out = NULL;
    }
    return status;
}

void pm_vk_program_destroy(pm_device *base, pm_program *program)
{
    if (!program)
        return;
    pm_vk_device *device = pm_vk_device_of(base);
    pm_vk_program *p = pm_vk_program_of(program);
    for (int i = 0; i < PM_VK_IN_FLIGHT; i++)
        vkDestroyFence(device->handle, p->fences[i], NULL);
    vkDestroyQueryPool(device->handle, p->queries, NULL);
    vkDestroyCommandPool(device->handle, p->command_pool, NULL);
    vkDestroyDescriptorPool(device->handle, p->descriptor_pool, NULL);
    for (uint32_t i = 0; i < p->n_views; i++)
        vkDestroyBufferView(device->handle, p->views[i], NULL);
    free(p->views);
    pm_vk_series_destroy(device, p->series);
    pm_vk_buffer_destroy(device, &p->io);
    pm_vk_buffer_destroy(device, &p->arena);
    pm_vk_buffer_destroy(device, &p->readback);
    free(p->commands);
    free(p->timed_commands);
    free(p->ticks);
    free(p->sets);
    free(p->readback_at);
    free(p->segments);
    free(p->launches);
    free(p->tensor_item);
    free(p->items);
    free(p->buffers);
    free(p);
}

uint64_t pm_vk_program_bytes(const pm_program *program)
{
    const pm_vk_program *p = pm_vk_program_of(program);
    return p->io.size + p->arena.size + p->readback.size + pm_vk_series_bytes(p->series);
}
