/* A program run several times in a row in one submission: decode steps, between which the host has nothing to do.
 *
 * The command buffers of the program are submitted again and again; between two of them a small one copies what
 * the run gave to where the next run reads it, and the next run's parameters and inputs, which the host wrote for
 * all runs at once, over those of the last. Everything lies at a fixed place, so that these are recorded once,
 * too. */
#include "backends/vulkan/vk_runtime.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_PARTS = 16 };

typedef struct part {        /* something that each run has of its own */
    const pm_tensor *tensor; /* NULL: the run parameters */
    uint64_t at, to, size;   /* in the memory of a run; in io */
} part;

typedef struct pm_vk_series {
    part parts[MOST_PARTS];
    uint32_t n_parts;
    uint64_t run_bytes;  /* of the parts of one run */
    pm_vk_buffer buffer; /* [PM_SERIES_MOST] runs' parts (those of the first unused), then their results */
    VkCommandPool pool;
    VkCommandBuffer between[PM_SERIES_MOST - 1]; /* after run i */
} pm_vk_series;

static uint64_t results_at(const pm_vk_series *s)
{
    return s->run_bytes * PM_SERIES_MOST;
}

void pm_vk_series_destroy(pm_vk_device *device, pm_vk_series *series)
{
    if (!series)
        return;
    vkDestroyCommandPool(device->handle, series->pool, NULL);
    pm_vk_buffer_destroy(device, &series->buffer);
    free(series);
}

uint64_t pm_vk_series_bytes(const pm_vk_series *series)
{
    return series ? series->buffer.size : 0;
}

/* ---- recording ----------------------------------------------------------------------------------------- */

static pm_status add_part(pm_vk_series *s, const pm_tensor *tensor, uint64_t to, uint64_t size, pm_error *err)
{
    if (s->n_parts == MOST_PARTS)
        return pm_fail(err, PM_ERR_INTERNAL, "a program with over %d inputs cannot be run in series", MOST_PARTS);
    s->parts[s->n_parts++] = (part){tensor, s->run_bytes, to, size};
    s->run_bytes = (s->run_bytes + size + 15) & ~15ull;
    return PM_OK;
}

static pm_status find_parts(const pm_vk_program *p, pm_vk_series *s, pm_error *err)
{
    PM_TRY(add_part(s, NULL, 0, sizeof(pm_run_params), err));
    for (size_t i = 0; i < p->graph->n_tensors; i++) {
        const pm_tensor *t = p->graph->tensors[i];
        uint32_t item = p->tensor_item[t->id];
        if (t->role == PM_ROLE_INPUT && item && t != p->feed.token && t != p->feed.history)
            PM_TRY(add_part(s, t, p->items[item].base, p->items[item].size, err));
    }
    return PM_OK;
}

static void record_copies(const pm_vk_program *p, const pm_vk_series *s, int32_t run, VkCommandBuffer commands)
{
    const pm_vk_item *from = &p->items[p->tensor_item[p->feed.from->id]];
    uint32_t token = p->tensor_item[p->feed.token->id],
             history = p->feed.history ? p->tensor_item[p->feed.history->id] : 0, n = 0;
    VkBufferCopy to_io[2], part_of[MOST_PARTS];
    if (token)
        to_io[n++] = (VkBufferCopy){from->base, p->items[token].base, sizeof(int32_t)};
    if (history)
        to_io[n++] =
            (VkBufferCopy){from->base, p->items[history].base + sizeof(int32_t) * (uint64_t)run, sizeof(int32_t)};
    if (n)
        vkCmdCopyBuffer(commands, p->arena.handle, p->io.handle, n, to_io);
    VkBufferCopy result = {from->base, results_at(s) + sizeof(int32_t) * (uint64_t)run, sizeof(int32_t)};
    vkCmdCopyBuffer(commands, p->arena.handle, s->buffer.handle, 1, &result);
    for (uint32_t i = 0; i < s->n_parts; i++)
        part_of[i] =
            (VkBufferCopy){s->run_bytes * ((uint64_t)run + 1) + s->parts[i].at, s->parts[i].to, s->parts[i].size};
    vkCmdCopyBuffer(commands, s->buffer.handle, p->io.handle, s->n_parts, part_of);
}

static VkResult record_between(const pm_vk_program *p, const pm_vk_series *s, int32_t run)
{
    VkCommandBuffer commands = s->between[run];
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkResult result = vkBeginCommandBuffer(commands, &begin);
    if (result < 0)
        return result;
    pm_vk_cmd_barrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                      VK_ACCESS_SHADER_WRITE_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_READ_BIT);
    record_copies(p, s, run, commands); /* the run that follows begins with a barrier of its own */
    pm_vk_cmd_barrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT,
                      VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    return vkEndCommandBuffer(commands);
}

static pm_status create(pm_vk_device *device, const pm_vk_program *p, pm_vk_series *s, pm_error *err)
{
    PM_TRY(find_parts(p, s, err));
    PM_TRY(pm_vk_buffer_create(device, results_at(s) + PM_SERIES_MOST * sizeof(int32_t), PM_VK_MEMORY_SHARED,
                               "the inputs of several runs", &s->buffer, err));
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = device->facts.queue_family};
    VkResult result = vkCreateCommandPool(device->handle, &pool, NULL, &s->pool);
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = s->pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = PM_SERIES_MOST - 1};
    if (result >= 0)
        result = vkAllocateCommandBuffers(device->handle, &info, s->between);
    for (int32_t run = 0; run < PM_SERIES_MOST - 1 && result >= 0; run++)
        result = record_between(p, s, run);
    return result < 0 ? pm_vk_fail(device, result, "recording several runs", err) : PM_OK;
}

static pm_status get_series(pm_vk_device *device, pm_vk_program *p, pm_error *err)
{
    if (p->series)
        return PM_OK;
    pm_vk_series *s = calloc(1, sizeof *s);
    if (!s)
        return pm_fail_memory(err, sizeof *s, "the inputs of several runs");
    pm_status status = create(device, p, s, err);
    if (status == PM_OK)
        p->series = s;
    else
        pm_vk_series_destroy(device, s);
    return status;
}

/* ---- running ------------------------------------------------------------------------------------------- */

/* The first run's parameters and inputs go where every run reads them, those of the others to be copied there. */
static pm_status write_runs(pm_vk_device *device, pm_vk_program *p, const pm_series *series, pm_error *err)
{
    const pm_vk_series *s = p->series;
    for (uint32_t i = 0; i < s->n_parts; i++) {
        const part *now = &s->parts[i];
        const unsigned char *data = (const unsigned char *)series->params;
        uint64_t size = sizeof *series->params;
        if (now->tensor) {
            size_t k = 0;
            while (k < series->n_inputs && series->inputs[k].tensor != now->tensor)
                k++;
            if (k == series->n_inputs || series->inputs[k].size > now->size)
                return pm_fail(err, PM_ERR_INTERNAL, "a series of runs has no values for %s", now->tensor->name);
            data = series->inputs[k].data;
            size = series->inputs[k].size;
        }
        memcpy(p->io.mapped + now->to, data, size);
        for (int32_t run = 1; run < series->n; run++)
            memcpy(s->buffer.mapped + s->run_bytes * (uint64_t)run + now->at, data + size * (uint64_t)run, size);
    }
    PM_TRY(pm_vk_buffer_flush(device, &p->io, 0, p->io.size, err));
    return pm_vk_buffer_flush(device, &s->buffer, 0, s->buffer.size, err);
}

/* Submits runs [first, end) as one, and waits for them. */
static pm_status submit_runs(pm_vk_device *device, const pm_vk_program *p, int32_t first, int32_t end, int32_t n,
                             const pm_run_options *options, bool *stop, pm_error *err)
{
    uint32_t count = 0;
    VkCommandBuffer *commands = malloc((size_t)(end - first) * (p->n_segments + 1) * sizeof *commands);
    if (!commands)
        return pm_fail_memory(err, (size_t)(end - first) * sizeof *commands, "submitting several runs");
    for (int32_t run = first; run < end; run++) {
        for (uint32_t i = 0; i < p->n_segments; i++)
            commands[count++] = p->commands[i];
        if (run + 1 < n)
            commands[count++] = p->series->between[run];
    }
    VkResult result = vkResetFences(device->handle, 1, &p->fences[0]);
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = count, .pCommandBuffers = commands};
    if (result >= 0)
        result = vkQueueSubmit(device->queue, 1, &info, p->fences[0]);
    if (result >= 0)
        result = pm_vk_wait(device, p->fences[0], options, stop);
    free(commands);
    return result < 0 ? pm_vk_fail(device, result, "running the model", err) : PM_OK;
}

static pm_status read_results(pm_vk_device *device, pm_vk_program *p, const pm_series *series, pm_error *err)
{
    size_t size = (size_t)(series->n - 1) * sizeof(int32_t);
    if (size)
        PM_TRY(pm_vk_download(device, &p->series->buffer, results_at(p->series), series->results, size, err));
    return pm_vk_tensor_read(&device->base, (pm_program *)(void *)p, p->feed.from, 0,
                             &series->results[series->n - 1], sizeof(int32_t), err);
}

pm_status pm_vk_program_run_series(pm_device *base, pm_program *program, const pm_series *series,
                                   const pm_run_options *options, pm_error *err)
{
    pm_vk_device *device = pm_vk_device_of(base);
    pm_vk_program *p = pm_vk_program_of(program);
    if (device->lost)
        return pm_vk_fail(device, VK_ERROR_DEVICE_LOST, "running the model", err);
    if (!p->feed.from || series->n < 1 || series->n > PM_SERIES_MOST)
        return pm_fail(err, PM_ERR_INTERNAL, "the program cannot be run %d times in series", series->n);
    PM_TRY(get_series(device, p, err));
    PM_TRY(write_runs(device, p, series, err));
    double seconds = 0;
    for (uint32_t i = 0; i < p->n_segments; i++)
        seconds += p->segments[i].seconds;
    int32_t at_once = 1;
    while (at_once < series->n && (at_once + 1) * seconds < pm_vk_segment_seconds)
        at_once++;
    bool stop = pm_vk_wants_stop(options);
    for (int32_t run = 0; run < series->n; run += at_once) {
        if (stop)
            return pm_fail(err, PM_ERR_CANCELLED, "the run was cancelled");
        int32_t end = run + at_once < series->n ? run + at_once : series->n;
        PM_TRY(submit_runs(device, p, run, end, series->n, options, &stop, err));
    }
    PM_TRY(read_results(device, p, series, err));
    return pm_vk_check_messages(device, err);
}
