/* Running a program: write the run parameters, submit the recorded segments, wait. Nothing is allocated, recorded
 * or described here (but for the timed command buffers, at the first traced run).
 *
 * A few segments are in flight at a time, so that the device never waits for the host, while a wish to stop is
 * heard within one segment's time. */
#include "backends/vulkan/vk_runtime.h"

#include <string.h>

static const uint64_t poll_ns = 20000000;           /* between looks at should_stop */
static const uint64_t give_up_ns = 600000000000ull; /* a segment is meant to take a quarter of a second */

typedef struct flights { /* segments submitted and not yet waited for */
    uint32_t first, end;
    bool stop;
    unsigned long long last_ns; /* when the last one before them ended */
} flights;

bool pm_vk_wants_stop(const pm_run_options *options)
{
    return options && options->should_stop && options->should_stop(options->stop_user);
}

VkResult pm_vk_wait(pm_vk_device *device, VkFence fence, const pm_run_options *options, bool *stop)
{
    VkResult result = VK_TIMEOUT;
    for (uint64_t waited = 0; result == VK_TIMEOUT && waited < give_up_ns; waited += poll_ns) {
        result = vkWaitForFences(device->handle, 1, &fence, VK_TRUE, poll_ns);
        if (result == VK_TIMEOUT && !*stop)
            *stop = pm_vk_wants_stop(options);
    }
    return result == VK_TIMEOUT ? VK_ERROR_DEVICE_LOST : result;
}

/* A segment that came near a watchdog's patience was estimated wrongly: later programs are cut finer. Software
 * devices have no watchdog, and compile at the first dispatch. */
static void learn_speed(pm_vk_device *device, const pm_vk_segment *segment, double seconds)
{
    if (seconds < 1.0 || seconds < 2 * segment->seconds || device->caps.software)
        return;
    double off = seconds / segment->seconds < 4 ? seconds / segment->seconds : 4; /* it may be another's doing */
    device->caps.flops_per_s /= off;
    device->caps.bytes_per_s /= off;
    pm_vk_log(device, "%s took %.1f s for a submission that should take %.2f s; the next ones will be shorter",
              device->facts.title, seconds, segment->seconds);
}

/* Waits for the oldest segment in flight. */
static VkResult wait_oldest(pm_vk_device *device, const pm_vk_program *p, const pm_run_options *options,
                            flights *flight)
{
    VkFence fence = p->fences[flight->first % PM_VK_IN_FLIGHT];
    VkResult result = pm_vk_wait(device, fence, options, &flight->stop);
    unsigned long long now = pm_trace_now_ns();
    learn_speed(device, &p->segments[flight->first], 1e-9 * (double)(now - flight->last_ns));
    flight->last_ns = now;
    flight->first++;
    return result;
}

static VkResult submit(pm_vk_device *device, const pm_vk_program *p, const VkCommandBuffer *commands,
                       uint32_t index)
{
    VkFence fence = p->fences[index % PM_VK_IN_FLIGHT];
    VkResult result = vkResetFences(device->handle, 1, &fence);
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &commands[index]};
    return result < 0 ? result : vkQueueSubmit(device->queue, 1, &info, fence);
}

/* Submits segments [first, end) and waits for them all. */
static pm_status run_segments(pm_vk_device *device, const pm_vk_program *p, const VkCommandBuffer *commands,
                              uint32_t first, uint32_t end, const pm_run_options *options, pm_error *err)
{
    flights flight = {first, first, pm_vk_wants_stop(options), pm_trace_now_ns()};
    VkResult result = VK_SUCCESS;
    while (flight.end < end && result >= 0 && !flight.stop) {
        if (flight.end - flight.first == PM_VK_IN_FLIGHT)
            result = wait_oldest(device, p, options, &flight);
        if (result >= 0 && !flight.stop) {
            result = submit(device, p, commands, flight.end);
            flight.end += result >= 0;
        }
        if (flight.end < end && !flight.stop)
            flight.stop = pm_vk_wants_stop(options);
    }
    while (flight.first < flight.end && result != VK_ERROR_DEVICE_LOST) {
        VkResult waited = wait_oldest(device, p, options, &flight);
        result = result < 0 ? result : waited;
    }
    if (result < 0)
        return pm_vk_fail(device, result, "running the model", err);
    if (flight.stop && flight.end < end)
        return pm_fail(err, PM_ERR_CANCELLED, "the run was cancelled");
    return PM_OK;
}

/* The segments that hold nodes [first_node, first_node + n_nodes). */
static pm_status choose_segments(const pm_vk_program *p, const pm_run_options *options, uint32_t *first,
                                 uint32_t *end, pm_error *err)
{
    *first = 0;
    *end = p->n_segments;
    if (!options || (options->first_node == 0 && options->n_nodes == 0))
        return PM_OK;
    int64_t begin = options->first_node, n = (int64_t)p->graph->n_nodes;
    int64_t stop = options->n_nodes ? begin + options->n_nodes : n;
    if (begin < 0 || stop < begin || stop > n || (!p->by_node && (begin != 0 || stop != n)))
        return pm_fail(err, PM_ERR_ARGUMENT, "nodes %lld to %lld cannot be run: the program has %lld nodes%s",
                       (long long)begin, (long long)stop, (long long)n,
                       p->by_node ? "" : " and was not compiled to run by node");
    while (*first < p->n_segments && p->segments[*first].last_node < begin)
        ++*first;
    *end = *first;
    while (*end < p->n_segments && p->segments[*end].first_node < stop)
        ++*end;
    return PM_OK;
}

pm_status pm_vk_program_run(pm_device *base, pm_program *program, const pm_run_params *params,
                            const pm_run_options *options, pm_error *err)
{
    pm_vk_device *device = pm_vk_device_of(base);
    pm_vk_program *p = pm_vk_program_of(program);
    if (device->lost)
        return pm_vk_fail(device, VK_ERROR_DEVICE_LOST, "running the model", err);
    uint32_t first, end;
    PM_TRY(choose_segments(p, options, &first, &end, err));
    memcpy(p->io.mapped, params, sizeof *params);
    PM_TRY(pm_vk_buffer_flush(device, &p->io, 0, sizeof *params, err));
    bool timed = options && options->trace && device->caps.limits.timestamps;
    if (timed)
        PM_TRY(pm_vk_record_timed(device, p, err));
    else if (options && options->trace && !device->said_no_timestamps) {
        device->said_no_timestamps = true;
        pm_vk_log(device, "%s has no timestamps: the trace shows what the host does only", device->facts.title);
    }
    PM_TRY(run_segments(device, p, timed ? p->timed_commands : p->commands, first, end, options, err));
    if (timed)
        PM_TRY(pm_vk_write_spans(device, p, first, end, options->trace, err));
    return pm_vk_check_messages(device, err);
}
