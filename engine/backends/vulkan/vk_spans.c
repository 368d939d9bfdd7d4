/* Device timestamps as spans of a trace, on the host's clock. Where the driver can read both clocks at once
 * (VK_EXT_calibrated_timestamps) the spans are exact; elsewhere the last timestamp is taken to be now, the moment
 * at which the host saw the work end, which is late by a few microseconds. */
#include "backends/vulkan/vk_runtime.h"

static uint64_t mask_of(const pm_vk_device *device)
{
    uint32_t bits = device->facts.timestamp_bits;
    return bits >= 64 ? UINT64_MAX : (1ull << bits) - 1;
}

/* A moment on both clocks. */
static void calibrate(pm_vk_device *device, uint64_t last_tick, uint64_t *tick, uint64_t *host_ns)
{
    *tick = last_tick;
    *host_ns = pm_trace_now_ns();
    if (!device->get_calibrated_timestamps)
        return;
    VkCalibratedTimestampInfoEXT infos[2] = {
        {.sType = VK_STRUCTURE_TYPE_CALIBRATED_TIMESTAMP_INFO_EXT, .timeDomain = VK_TIME_DOMAIN_DEVICE_EXT},
        {.sType = VK_STRUCTURE_TYPE_CALIBRATED_TIMESTAMP_INFO_EXT,
         .timeDomain = VK_TIME_DOMAIN_CLOCK_MONOTONIC_EXT}};
    uint64_t both[2], deviation;
    if (device->get_calibrated_timestamps(device->handle, 2, infos, both, &deviation) == VK_SUCCESS) {
        *tick = both[0];
        *host_ns = both[1];
    }
}

pm_status pm_vk_write_spans(pm_vk_device *device, pm_vk_program *p, uint32_t first, uint32_t end, pm_trace *trace,
                            pm_error *err)
{
    if (first >= end)
        return PM_OK;
    const pm_vk_segment *from = &p->segments[first], *last = &p->segments[end - 1];
    uint32_t begin = from->first_query;
    uint32_t n = last->first_query + last->last_node - last->first_node + 2 - begin;
    VkResult result = vkGetQueryPoolResults(device->handle, p->queries, begin, n, n * sizeof *p->ticks, p->ticks,
                                            sizeof *p->ticks, VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
    if (result < 0)
        return pm_vk_fail(device, result, "reading timestamps", err);
    uint64_t mask = mask_of(device), tick, host_ns;
    calibrate(device, p->ticks[n - 1], &tick, &host_ns);
    for (uint32_t s = first; s < end; s++) {
        const pm_vk_segment *segment = &p->segments[s];
        const uint64_t *at = p->ticks + (segment->first_query - begin);
        for (uint32_t node = segment->first_node; node <= segment->last_node; node++, at++) {
            uint64_t ago[2]; /* ns before the moment of calibration; ticks may have wrapped in between */
            for (int i = 0; i < 2; i++)
                ago[i] = (uint64_t)((double)((tick - at[i]) & mask) * device->facts.timestamp_period_ns);
            const pm_node *what = p->graph->nodes[node];
            if (ago[0] >= ago[1] && ago[0] < host_ns)
                pm_trace_span(trace, device->base.info.name, pm_op_name(what->op), what->out->name,
                              host_ns - ago[0], host_ns - ago[1]);
        }
    }
    return PM_OK;
}
