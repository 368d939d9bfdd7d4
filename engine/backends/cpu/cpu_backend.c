/* The cpu backend: the device, its states, tensors in and out, explanations. The rest is in cpu_weights.c
 * (repacking), cpu_lower.c, cpu_program.c and cpu_run.c (programs), <op>_cpu.c (steps) and kernels_<isa>.c
 * (arithmetic).
 */
#include "backends/cpu/cpu_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/host_info.h"
#include "base/error.h"

static void fill_info(pm_device_info *info, const pm_cpu_kernels *kernels, int n_threads)
{
    memset(info, 0, sizeof *info);
    snprintf(info->name, sizeof info->name, "cpu");
    pm_host_processor(info->title, sizeof info->title);
    info->kind = PM_DEVICE_CPU;
    info->unified_memory = 1;
    pm_host_memory(&info->memory_total, &info->memory_free);
    if (kernels)
        snprintf(info->driver, sizeof info->driver, "%s, %d thread%s", kernels->title, n_threads,
                 n_threads == 1 ? "" : "s");
    else
        snprintf(info->unusable, sizeof info->unusable,
                 "PUMICE_CPU_ISA names no instruction set of this processor: use " PM_CPU_ISA_NAMES);
}

static pm_status cpu_list(pm_device_info *infos, size_t cap, size_t *n, pm_error *err)
{
    (void)err;
    *n = cap > 0;
    if (cap > 0)
        fill_info(&infos[0], pm_cpu_choose_kernels(), pm_host_threads(0));
    return PM_OK;
}

static pm_status cpu_open(const pm_device_options *options, size_t index, pm_device **out, pm_error *err)
{
    (void)index; /* there is one */
    const pm_cpu_kernels *kernels = pm_cpu_choose_kernels();
    if (!kernels)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "PUMICE_CPU_ISA names no instruction set of this processor: use " PM_CPU_ISA_NAMES);
    pm_cpu_device *device = calloc(1, sizeof *device);
    if (!device)
        return pm_fail_memory(err, sizeof *device, "the cpu device");
    int n_threads = pm_host_threads(options->n_threads);
    pm_status status = pm_threads_create(n_threads, &device->threads, err);
    if (status != PM_OK) {
        free(device);
        return status;
    }
    device->kernels = kernels;
    device->base.backend = &pm_backend_cpu;
    fill_info(&device->base.info, kernels, n_threads);
    *out = &device->base;
    return PM_OK;
}

static void cpu_close(pm_device *device)
{
    pm_cpu_device *own = (pm_cpu_device *)device;
    pm_threads_destroy(own->threads);
    free(own);
}

static bool cpu_supports(const pm_device *device, const pm_node *node)
{
    (void)device;
    return pm_op_reference(node->op) != NULL; /* what the builders let through has a kernel here, or falls back */
}

static uint64_t cpu_weights_bytes(const pm_weights *weights)
{
    return weights->bytes;
}

/* ---- tensors in and out ------------------------------------------------------------------------------------- */

static pm_status cpu_tensor_write(pm_device *device, pm_program *program, const pm_tensor *tensor, size_t offset,
                                  const void *data, size_t size, pm_error *err)
{
    (void)device;
    PM_TRY(pm_host_check_access(tensor, program->data[tensor->id], program->by_node, true, offset, size, err));
    memcpy(program->data[tensor->id] + offset, data, size);
    return PM_OK;
}

static pm_status cpu_tensor_read(pm_device *device, pm_program *program, const pm_tensor *tensor, size_t offset,
                                 void *data, size_t size, pm_error *err)
{
    (void)device;
    PM_TRY(pm_host_check_access(tensor, program->data[tensor->id], program->by_node, false, offset, size, err));
    memcpy(data, program->data[tensor->id] + offset, size);
    return PM_OK;
}

/* ---- explanations ------------------------------------------------------------------------------------------- */

static void explain_step(const pm_cpu_step *step, size_t index, char *line, size_t capacity)
{
    static const char *const nibbles[] = {"4-bit panels", "5-bit panels", "6-bit panels"};
    static const char *const layouts[] = {NULL, "8-bit panels", "float panels"};
    const pm_node *last = step->fused ? step->fused : step->node;
    char shape[96];
    int used = snprintf(line, capacity, "%4zu epoch %4d %-18s %-24s %s", index, step->epoch, step->kind->name,
                        last->out->name, pm_tensor_describe(last->out, shape, sizeof shape));
    if (used < 0 || (size_t)used >= capacity)
        return;
    const char *note = step->panels && step->panels->layout == PM_CPU_NIBBLES ? nibbles[step->panels->high_bits]
                       : step->panels                                         ? layouts[step->panels->layout]
                       : step->kind == &pm_cpu_step_reference ? "no panels of the weight: the reference kernel"
                       : step->kind != &pm_cpu_step_quantize && step->made_acts.blocks ? "written in 8 bits only"
                                                                                       : "";
    snprintf(line + used, capacity - (size_t)used, "%s%s", note[0] ? "  " : "", note);
}

static void cpu_explain(const pm_device *device, const pm_program *program,
                        void (*put)(void *user, const char *line), void *user)
{
    char line[512];
    snprintf(line, sizeof line, "%zu nodes in %zu steps and %d epochs on %s (%s); buffers %zu bytes, %s",
             program->graph->n_nodes, program->n_steps, program->n_epochs, device->info.name, device->info.driver,
             program->arena_bytes, program->by_node ? "each with a place of its own" : "storage reused");
    put(user, line);
    for (size_t s = 0; s < program->n_steps; s++) {
        explain_step(&program->steps[s], s, line, sizeof line);
        put(user, line);
    }
}

static uint64_t cpu_program_bytes(const pm_program *program)
{
    size_t n_threads = (size_t)pm_threads_count(program->device->threads);
    return program->arena_bytes + n_threads * program->scratch_floats * sizeof(float) +
           program->n_steps * sizeof *program->steps;
}

const pm_backend pm_backend_cpu = {
    .name = "cpu",
    .list = cpu_list,
    .open = cpu_open,
    .close = cpu_close,
    .supports = cpu_supports,
    .weights_create = pm_cpu_weights_create,
    .weights_destroy = pm_cpu_weights_destroy,
    .weights_bytes = cpu_weights_bytes,
    .states_create = pm_host_states_create,
    .states_destroy = pm_host_states_destroy,
    .program_create = pm_cpu_program_create,
    .program_destroy = pm_cpu_program_destroy,
    .program_run = pm_cpu_program_run,
    .tensor_write = cpu_tensor_write,
    .tensor_read = cpu_tensor_read,
    .explain = cpu_explain,
    .measure = pm_cpu_measure,
    .program_bytes = cpu_program_bytes,
};
