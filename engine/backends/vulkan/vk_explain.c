/* Text for --explain: one line a launch, after a line about the program as a whole and one for each submission. */
#include "backends/vulkan/vk_runtime.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

typedef struct text_line {
    char text[1024];
    size_t n;
} text_line;

static void PM_PRINTF(2, 3) add(text_line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line->text + line->n, sizeof line->text - line->n, format, args);
    va_end(args);
    if (n > 0)
        line->n = line->n + (size_t)n < sizeof line->text ? line->n + (size_t)n : sizeof line->text - 1;
}

static const char *buffer_name(const pm_vk_program *p, uint32_t buffer, uint32_t *number)
{
    *number = 0;
    if (buffer <= PM_VK_BUFFER_ARENA)
        return buffer == PM_VK_BUFFER_IO ? "io" : "arena";
    *number = buffer - PM_VK_BUFFER_ARENA - 1;
    uint32_t n_weights = p->weights ? (uint32_t)p->weights->n_blocks : 0;
    if (*number < n_weights)
        return "weights";
    *number -= n_weights;
    return "states";
}

static void explain_launch(const pm_vk_device *device, const pm_vk_program *p, const pm_vk_launch *launch,
                           text_line *line)
{
    const pm_node *node = p->graph->nodes[launch->node];
    const pm_vk_pipeline *pipeline = launch->pipeline;
    add(line, "%4u %s%-14s %-20s %s [", launch->node, launch->barrier ? "| " : "  ", pm_op_name(node->op),
        node->out->name, pm_shader_infos[pipeline->shader].name);
    for (uint32_t i = 0; i < pipeline->n_spec; i++)
        add(line, "%s%u", i ? " " : "", pipeline->spec[i]);
    add(line, "] %ux%ux%u", launch->groups[0], launch->groups[1], launch->groups[2]);
    if (pipeline->subgroup_size)
        add(line, " subgroup %u", pipeline->subgroup_size);
    add(line, ", ~%.0f us", 1e6 * pm_vk_launch_seconds(&device->caps, launch->flops, launch->bytes));
    for (uint32_t i = 0; i < launch->n_bind; i++) {
        const pm_vk_range *range = &launch->bind[i];
        static const char *const access[] = {"", "", ">", "<>"};
        uint32_t number;
        const char *buffer = buffer_name(p, range->buffer, &number);
        add(line, "%s%s%s@%s%u+%" PRIu64 ":%" PRIu64, i ? ", " : "; ", access[range->access & 3],
            p->items[range->item].name, buffer, number, range->offset, range->size);
    }
    if (launch->why[0])
        add(line, "; %s", launch->why);
}

void pm_vk_explain(const pm_device *base, const pm_program *program, void (*put)(void *user, const char *line),
                   void *user)
{
    const pm_vk_device *device = pm_vk_device_of(base);
    const pm_vk_program *p = pm_vk_program_of(program);
    uint32_t barriers = 0;
    for (uint32_t i = 0; i < p->n_launches; i++)
        barriers += p->launches[i].barrier;
    text_line line = {.n = 0};
    add(&line,
        "%s, %s, tier T%d: %u launches of %zu nodes, %u barriers (|), %u submissions; activations %.2f MiB, "
        "inputs "
        "%.2f MiB",
        device->base.info.name, device->facts.title, (int)device->caps.tier - PM_TIER_T0, p->n_launches,
        p->graph->n_nodes, barriers, p->n_segments, (double)p->arena.size / 1048576.0,
        (double)p->io.size / 1048576.0);
    put(user, line.text);
    for (uint32_t s = 0; s < p->n_segments; s++) {
        line.n = 0;
        add(&line, "submission %u: about %.2f ms", s, 1e3 * p->segments[s].seconds);
        put(user, line.text);
        for (uint32_t i = 0; i < p->segments[s].count; i++) {
            line.n = 0;
            explain_launch(device, p, &p->launches[p->segments[s].first + i], &line);
            put(user, line.text);
        }
    }
}
