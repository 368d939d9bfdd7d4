/* Programs of the cpu backend: a lowered graph with a place in memory for everything.
 *
 * Activations and the program's own buffers share one arena. Steps of one epoch may run at the same time, so a
 * buffer lives from the epoch of the first step that touches it to that of the last.
 */
#include "backends/cpu/cpu_backend.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { ARENA_ALIGN = 64 };

void pm_cpu_program_destroy(pm_device *device, pm_program *program)
{
    (void)device;
    if (!program)
        return;
    free(program->steps);
    free(program->extras);
    free((void *)program->data);
    free(program->arena);
    free(program->scratch);
    free((void *)program->done);
    free((void *)program->counters);
    free(program);
}

static void touch(pm_plan_item *items, int32_t buffer, int32_t epoch)
{
    if (buffer < 0)
        return;
    pm_plan_item *item = &items[buffer];
    if (item->first < 0 || epoch < item->first)
        item->first = epoch;
    if (epoch > item->last)
        item->last = epoch;
}

static pm_status plan_arena(pm_program *program, pm_plan_item *items, pm_error *err)
{
    const pm_graph *graph = program->graph;
    size_t n = graph->n_tensors + program->n_extras;
    for (size_t i = 0; i < n; i++)
        items[i] = (pm_plan_item){.first = -1, .last = -1};
    for (size_t s = 0; s < program->n_steps; s++) {
        const pm_cpu_step *step = &program->steps[s];
        for (int i = 0; i < PM_CPU_STEP_READS; i++)
            touch(items, step->reads[i], step->epoch);
        for (int i = 0; i < PM_CPU_STEP_WRITES; i++)
            touch(items, step->writes[i], step->epoch);
    }
    for (size_t i = 0; i < graph->n_tensors; i++) {
        const pm_tensor *tensor = graph->tensors[i];
        bool host = tensor->role == PM_ROLE_INPUT || tensor->is_output; /* the host writes or reads it */
        if (tensor->view_of || tensor->role == PM_ROLE_WEIGHT || tensor->role == PM_ROLE_STATE ||
            (items[i].first < 0 && !host))
            continue;
        items[i].size = pm_tensor_bytes(tensor);
        if (host || program->by_node) {
            items[i].first = -1;
            items[i].last = program->n_epochs;
        }
    }
    for (size_t i = 0; i < program->n_extras; i++)
        items[graph->n_tensors + i].size = program->extras[i].bytes;
    return pm_plan_memory(items, n, ARENA_ALIGN, &program->arena_bytes, err);
}

/* Weights and states; plain tells whether a weight is read as aligned F32. */
static pm_status find_leaf(pm_program *program, const pm_tensor *tensor, pm_error *err)
{
    size_t slot = (size_t)tensor->slot, need = pm_tensor_bytes(tensor), have = 0;
    unsigned char **data = &program->data[tensor->id];
    if (tensor->role == PM_ROLE_WEIGHT && program->weights && slot < program->weights->n) {
        const pm_cpu_weight *weight = &program->weights->list[slot];
        *data = (unsigned char *)(uintptr_t)weight->plain; /* kernels only read it */
        have = weight->n_bytes;
    } else if (tensor->role == PM_ROLE_STATE && program->states && slot < program->states->n) {
        *data = program->states->data[slot];
        have = program->states->n_bytes[slot];
    }
    if (have < need)
        return pm_fail(err, PM_ERR_ARGUMENT, "tensor '%s' needs %zu bytes in slot %d, which has %zu", tensor->name,
                       need, tensor->slot, have);
    return PM_OK;
}

static pm_status place_buffers(pm_program *program, const pm_plan_item *items, pm_error *err)
{
    const pm_graph *graph = program->graph;
    size_t n = graph->n_tensors + program->n_extras;
    size_t bytes = (program->arena_bytes + ARENA_ALIGN) & ~(size_t)(ARENA_ALIGN - 1);
    program->arena = aligned_alloc(ARENA_ALIGN, bytes);
    program->data = calloc(n + 1, sizeof *program->data);
    if (!program->arena || !program->data)
        return pm_fail_memory(err, bytes, "the activations of a plan");
    memset(program->arena, 0, bytes);
    for (size_t i = 0; i < n; i++) {
        const pm_tensor *tensor = i < graph->n_tensors ? graph->tensors[i] : NULL;
        if (tensor && tensor->view_of)
            continue;
        if (tensor && (tensor->role == PM_ROLE_WEIGHT || tensor->role == PM_ROLE_STATE))
            PM_TRY(find_leaf(program, tensor, err));
        else if (items[i].size > 0)
            program->data[i] = program->arena + items[i].offset;
    }
    for (size_t i = 0; i < graph->n_tensors; i++)
        program->data[i] = program->data[pm_tensor_storage(graph->tensors[i])->id];
    return PM_OK;
}

/* Activations in 8 bits, in rows of k. */
static pm_cpu_acts place_acts(const pm_program *program, int32_t buffer, int64_t k)
{
    size_t bytes = program->extras[(size_t)buffer - program->graph->n_tensors].bytes;
    return (pm_cpu_acts){.blocks = (pm_cpu_act_block *)(void *)program->data[buffer],
                         .n_blocks = k / PM_CPU_BLOCK,
                         .n_rows = (int64_t)(bytes / pm_cpu_acts_bytes(k, 1))};
}

/* Pointers of one step, once all buffers have their places. */
static void place_step(pm_program *program, pm_cpu_step *step, atomic_int **done)
{
    const pm_node *node = step->node;
    for (int i = 0; i < node->n_in; i++)
        step->in[i] = node->in[i] ? program->data[node->in[i]->id] : NULL;
    if (step->fused)
        step->in[3] = program->data[step->fused->in[1]->id];
    step->out = program->data[(step->fused ? step->fused : node)->out->id];
    if (step->kind == &pm_cpu_step_attention) {
        step->done = *done;
        *done += node->in[1]->dim[2];
    }
    if (step->made >= 0)
        step->made_acts = place_acts(program, step->made, step->made_k);
    if (step->made >= 0 && step->kind != &pm_cpu_step_attention)
        step->out = NULL;
    if (step->extra < 0)
        return;
    if (!step->panels || step->panels->layout == PM_CPU_FLOATS)
        step->packed = (float *)(void *)program->data[step->extra];
    else
        step->acts = place_acts(program, step->extra, step->k);
}

static pm_status make_counters(pm_program *program, pm_error *err)
{
    int n_threads = pm_threads_count(program->device->threads);
    program->n_runs = n_threads < PM_CPU_MAX_RUNS ? n_threads : PM_CPU_MAX_RUNS;
    size_t n_runs = (size_t)program->n_runs, n = program->n_steps * n_runs + (size_t)program->n_epochs;
    program->done = calloc(program->n_done + 1, sizeof *program->done);
    program->counters = aligned_alloc(_Alignof(pm_cpu_counter), n * sizeof *program->counters);
    if (!program->done || !program->counters)
        return pm_fail_memory(err, n * sizeof *program->counters, "the counters of a plan");
    for (size_t i = 0; i < n; i++)
        atomic_init(&program->counters[i].value, 0);
    program->epochs = program->counters + program->n_steps * n_runs;
    for (size_t s = 0; s < program->n_steps; s++)
        program->steps[s].taken = program->counters + s * n_runs;
    return PM_OK;
}

static pm_status place_steps(pm_program *program, pm_error *err)
{
    PM_TRY(make_counters(program, err));
    atomic_int *done = program->done;
    for (size_t s = 0; s < program->n_steps; s++) {
        pm_cpu_step *step = &program->steps[s];
        place_step(program, step, &done);
        size_t scratch = step->kind->scratch ? step->kind->scratch(step) : 0;
        if (scratch > program->scratch_floats)
            program->scratch_floats = scratch;
    }
    size_t line = ARENA_ALIGN / sizeof(float), n_threads = (size_t)pm_threads_count(program->device->threads);
    program->scratch_floats = (program->scratch_floats + 2 * line - 1) / line * line;
    size_t bytes = n_threads * program->scratch_floats * sizeof(float);
    program->scratch = aligned_alloc(ARENA_ALIGN, bytes);
    return program->scratch ? PM_OK : pm_fail_memory(err, bytes, "the threads' scratch memory");
}

static pm_status build(pm_program *program, pm_error *err)
{
    PM_TRY(pm_cpu_lower(program, err));
    size_t n = program->graph->n_tensors + program->n_extras;
    pm_plan_item *items = calloc(n + 1, sizeof *items);
    if (!items)
        return pm_fail_memory(err, n * sizeof *items, "a plan");
    pm_status status = plan_arena(program, items, err);
    if (status == PM_OK)
        status = place_buffers(program, items, err);
    free(items);
    return status == PM_OK ? place_steps(program, err) : status;
}

pm_status pm_cpu_program_create(pm_device *device, const pm_graph *graph, const pm_weights *weights,
                                pm_states *states, const pm_program_options *options, pm_program **out,
                                pm_error *err)
{
    PM_TRY(pm_graph_status(graph, err));
    pm_program *program = calloc(1, sizeof *program);
    if (!program)
        return pm_fail_memory(err, sizeof *program, "a plan");
    program->device = (pm_cpu_device *)device;
    program->graph = graph;
    program->weights = weights;
    program->states = states;
    program->by_node = options && options->by_node;
    pm_status status = build(program, err);
    if (status != PM_OK) {
        pm_cpu_program_destroy(device, program);
        return status;
    }
    *out = program;
    return PM_OK;
}
