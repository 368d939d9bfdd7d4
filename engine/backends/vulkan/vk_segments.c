/* Cutting a program into submissions, and where barriers go. Pure bookkeeping over the launches.
 *
 * A segment is one submission. It holds at most about a quarter of a second of estimated work, so that a watchdog
 * of two seconds stays quiet even where the estimate is off by a few times, and every segment begins with a
 * barrier against all that was submitted before. In a program that is run by node, every node has its own. */
#include "backends/vulkan/vk_runtime.h"

#include <stdlib.h>

const double pm_vk_segment_seconds = 0.25;
static const double launch_seconds = 5e-6; /* of a dispatch that does nothing */

double pm_vk_launch_seconds(const pm_vk_caps *caps, double flops, double bytes)
{
    double compute = flops / caps->flops_per_s, memory = bytes / caps->bytes_per_s;
    return launch_seconds + (compute > memory ? compute : memory);
}

static pm_status cut(const pm_vk_device *device, pm_vk_program *p, pm_error *err)
{
    size_t most = p->n_launches ? p->n_launches : 1;
    p->segments = calloc(most, sizeof *p->segments);
    if (!p->segments)
        return pm_fail_memory(err, most * sizeof *p->segments, "the submissions of a program");
    for (uint32_t i = 0; i < p->n_launches; i++) {
        const pm_vk_launch *launch = &p->launches[i];
        double seconds = pm_vk_launch_seconds(&device->caps, launch->flops, launch->bytes);
        pm_vk_segment *last = p->n_segments ? &p->segments[p->n_segments - 1] : NULL;
        if (!last || last->seconds + seconds > pm_vk_segment_seconds ||
            (p->by_node && last->last_node != launch->node)) {
            last = &p->segments[p->n_segments++];
            *last = (pm_vk_segment){.first = i, .first_node = launch->node};
        }
        last->count++;
        last->last_node = launch->node;
        last->seconds += seconds;
    }
    for (uint32_t s = 0; s < p->n_segments; s++) {
        p->segments[s].first_query = p->n_queries;
        p->n_queries += p->segments[s].last_node - p->segments[s].first_node + 2;
    }
    return PM_OK;
}

pm_status pm_vk_cut_segments(const pm_vk_device *device, pm_vk_program *p, pm_error *err)
{
    PM_TRY(cut(device, p, err));
    pm_vk_hazards hazards = {0};
    bool good = true;
    for (uint32_t s = 0; s < p->n_segments && good; s++) {
        pm_vk_hazards_clear(&hazards);
        for (uint32_t i = 0; i < p->segments[s].count && good; i++) {
            pm_vk_launch *launch = &p->launches[p->segments[s].first + i];
            pm_vk_touch touches[PM_VK_MAX_BIND];
            for (uint32_t b = 0; b < launch->n_bind; b++) {
                const pm_vk_range *range = &launch->bind[b];
                touches[b] = (pm_vk_touch){range->buffer, (range->access & PM_VK_WRITE) != 0, range->offset,
                                           range->offset + range->size};
            }
            good = pm_vk_hazards_next(&hazards, touches, launch->n_bind, &launch->barrier);
        }
    }
    pm_vk_hazards_free(&hazards);
    return good ? PM_OK : pm_fail_memory(err, 0, "tracking hazards");
}
