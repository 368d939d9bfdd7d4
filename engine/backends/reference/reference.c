/* The reference backend: the meaning of a program. Every node is run by its reference kernel (ops/<op>.c) on host
 * memory, in order, its parts shared among threads.
 *
 * Weights are used where they lie in the model file; activations share an arena by the memory plan, or have a
 * place of their own each in a by_node program. Nothing here is fast, and nothing is chosen: it is what others are
 * compared with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"
#include "backends/host_info.h"
#include "backends/host_memory.h"
#include "base/error.h"
#include "base/threads.h"
#include "ops/ops.h"

enum { ARENA_ALIGN = 64 };

typedef struct ref_device {
    pm_device base;
    pm_threads *threads;
} ref_device;

struct pm_weights {
    size_t n;
    const void **data;
    size_t *n_bytes;
};

struct pm_program {
    const pm_graph *graph;
    bool by_node;
    void **data; /* by tensor id; views too */
    void *arena; /* inputs and activations */
    size_t arena_bytes;
};

/* ---- device ------------------------------------------------------------------------------------------------- */

static void fill_info(pm_device_info *info, int n_threads)
{
    memset(info, 0, sizeof *info);
    snprintf(info->name, sizeof info->name, "reference");
    pm_host_processor(info->title, sizeof info->title);
    snprintf(info->driver, sizeof info->driver, "plain C, double accumulators, %d thread%s", n_threads,
             n_threads == 1 ? "" : "s");
    info->kind = PM_DEVICE_REFERENCE;
    info->unified_memory = 1;
    pm_host_memory(&info->memory_total, &info->memory_free);
}

static pm_status ref_list(pm_device_info *infos, size_t cap, size_t *n, pm_error *err)
{
    (void)err;
    *n = cap > 0;
    if (cap > 0)
        fill_info(&infos[0], pm_host_threads(0));
    return PM_OK;
}

static pm_status ref_open(const pm_device_options *options, size_t index, pm_device **out, pm_error *err)
{
    (void)index; /* there is one */
    ref_device *device = calloc(1, sizeof *device);
    if (!device)
        return pm_fail_memory(err, sizeof *device, "the reference device");
    int n_threads = pm_host_threads(options->n_threads);
    pm_status status = pm_threads_create(n_threads, &device->threads, err);
    if (status != PM_OK) {
        free(device);
        return status;
    }
    device->base.backend = &pm_backend_reference;
    fill_info(&device->base.info, n_threads);
    *out = &device->base;
    return PM_OK;
}

static void ref_close(pm_device *device)
{
    ref_device *own = (ref_device *)device;
    pm_threads_destroy(own->threads);
    free(own);
}

static bool ref_supports(const pm_device *device, const pm_node *node)
{
    (void)device;
    return pm_op_reference(node->op) != NULL; /* what the builders let through, the kernels do */
}

/* ---- weights ------------------------------------------------------------------------------------------------ */

static void ref_weights_destroy(pm_device *device, pm_weights *weights)
{
    (void)device;
    if (!weights)
        return;
    free(weights->data);
    free(weights->n_bytes);
    free(weights);
}

static pm_status ref_weights_create(pm_device *device, const pm_weight *weights, size_t n, pm_progress_fn progress,
                                    void *user, pm_weights **out, pm_error *err)
{
    pm_weights *made = calloc(1, sizeof *made);
    if (made) {
        made->n = n;
        made->data = calloc(n + 1, sizeof *made->data);
        made->n_bytes = calloc(n + 1, sizeof *made->n_bytes);
    }
    if (!made || !made->data || !made->n_bytes) {
        ref_weights_destroy(device, made);
        return pm_fail_memory(err, n * sizeof(void *), "the list of weights");
    }
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        made->data[i] = weights[i].data;
        made->n_bytes[i] = weights[i].n_bytes;
        total += weights[i].n_bytes;
    }
    if (progress && progress(user, "using weights in place", total, total) != 0) {
        ref_weights_destroy(device, made);
        return pm_fail(err, PM_ERR_CANCELLED, "loading the weights was cancelled");
    }
    *out = made;
    return PM_OK;
}

static uint64_t ref_weights_bytes(const pm_weights *weights)
{
    uint64_t total = 0;
    for (size_t i = 0; i < weights->n; i++)
        total += weights->n_bytes[i];
    return total;
}

/* ---- programs ----------------------------------------------------------------------------------------------- */

static void ref_program_destroy(pm_device *device, pm_program *program)
{
    (void)device;
    if (!program)
        return;
    free(program->data);
    free(program->arena);
    free(program);
}

/* Lifetimes of everything that lives in the arena; inputs, and all of a by_node program, from first to last. */
static pm_status plan_arena(const pm_graph *graph, bool by_node, pm_plan_item *items, size_t *total, pm_error *err)
{
    PM_TRY(pm_graph_lifetimes(graph, items, err));
    for (size_t i = 0; i < graph->n_tensors; i++) {
        const pm_tensor *tensor = graph->tensors[i];
        bool input = tensor->role == PM_ROLE_INPUT && !tensor->view_of;
        if (!input && (!by_node || items[i].size == 0))
            continue;
        items[i] = (pm_plan_item){.size = pm_tensor_bytes(tensor), .first = -1, .last = (int32_t)graph->n_nodes};
    }
    return pm_plan_memory(items, graph->n_tensors, ARENA_ALIGN, total, err);
}

static pm_status find_data(pm_program *program, const pm_tensor *tensor, const pm_plan_item *items,
                           const pm_weights *weights, pm_states *states, pm_error *err)
{
    const pm_tensor *storage = pm_tensor_storage(tensor);
    size_t slot = (size_t)storage->slot, need = pm_tensor_bytes(storage), have = 0;
    void **data = &program->data[tensor->id];
    if (storage->role == PM_ROLE_WEIGHT && weights && slot < weights->n) {
        *data = (void *)(uintptr_t)weights->data[slot]; /* kernels only read it */
        have = weights->n_bytes[slot];
    } else if (storage->role == PM_ROLE_STATE && states && slot < states->n) {
        *data = states->data[slot];
        have = states->n_bytes[slot];
    } else if (storage->role == PM_ROLE_INPUT || storage->role == PM_ROLE_ACTIVATION) {
        *data = items[storage->id].size ? (char *)program->arena + items[storage->id].offset : NULL;
        have = need;
    }
    if (have < need)
        return pm_fail(err, PM_ERR_ARGUMENT, "tensor '%s' needs %zu bytes in slot %d, which has %zu", tensor->name,
                       need, storage->slot, have);
    return PM_OK;
}

static pm_status build_program(pm_program *program, const pm_weights *weights, pm_states *states,
                               pm_plan_item *items, pm_error *err)
{
    const pm_graph *graph = program->graph;
    PM_TRY(plan_arena(graph, program->by_node, items, &program->arena_bytes, err));
    size_t bytes = (program->arena_bytes + ARENA_ALIGN) & ~(size_t)(ARENA_ALIGN - 1);
    program->data = calloc(graph->n_tensors + 1, sizeof *program->data);
    program->arena = aligned_alloc(ARENA_ALIGN, bytes);
    if (!program->data || !program->arena)
        return pm_fail_memory(err, bytes, "the activations of a plan");
    memset(program->arena, 0, bytes);
    for (size_t i = 0; i < graph->n_tensors; i++)
        PM_TRY(find_data(program, graph->tensors[i], items, weights, states, err));
    return PM_OK;
}

static pm_status ref_program_create(pm_device *device, const pm_graph *graph, const pm_weights *weights,
                                    pm_states *states, const pm_program_options *options, pm_program **out,
                                    pm_error *err)
{
    PM_TRY(pm_graph_status(graph, err));
    pm_program *program = calloc(1, sizeof *program);
    pm_plan_item *items = calloc(graph->n_tensors + 1, sizeof *items);
    if (!program || !items) {
        free(program);
        free(items);
        return pm_fail_memory(err, graph->n_tensors * sizeof *items, "a plan");
    }
    program->graph = graph;
    program->by_node = options && options->by_node;
    pm_status status = build_program(program, weights, states, items, err);
    free(items);
    if (status != PM_OK) {
        ref_program_destroy(device, program);
        return status;
    }
    *out = program;
    return PM_OK;
}

typedef struct node_work {
    pm_op_call call;
    pm_reference_fn kernel;
} node_work;

static void run_part(void *user, int thread, int n_threads)
{
    const node_work *work = user;
    pm_op_call call = work->call;
    call.part = thread;
    call.n_parts = n_threads;
    work->kernel(&call);
}

static void run_node(ref_device *device, const pm_program *program, const pm_node *node,
                     const pm_run_params *params)
{
    node_work work = {.call = {.node = node, .params = params, .out = program->data[node->out->id]},
                      .kernel = pm_op_reference(node->op)};
    for (int i = 0; i < node->n_in; i++)
        work.call.in[i] = node->in[i] ? program->data[node->in[i]->id] : NULL;
    pm_threads_run(device->threads, run_part, &work);
}

static pm_status ref_program_run(pm_device *device, pm_program *program, const pm_run_params *params,
                                 const pm_run_options *options, pm_error *err)
{
    static const pm_run_options none = {0};
    options = options ? options : &none;
    const pm_graph *graph = program->graph;
    size_t first = (size_t)options->first_node, end = graph->n_nodes;
    if (options->n_nodes > 0 && first + (size_t)options->n_nodes < end)
        end = first + (size_t)options->n_nodes;
    for (size_t i = first; i < end; i++) {
        const pm_node *node = graph->nodes[i];
        if (options->should_stop && options->should_stop(options->stop_user) != 0)
            return pm_fail(err, PM_ERR_CANCELLED, "the run was stopped before node %zu of %zu", i, graph->n_nodes);
        unsigned long long start = options->trace ? pm_trace_now_ns() : 0;
        run_node((ref_device *)device, program, node, params);
        if (options->trace) {
            char name[96];
            snprintf(name, sizeof name, "%s %s", pm_op_name(node->op), node->out->name);
            pm_trace_span(options->trace, device->info.name, pm_op_name(node->op), name, start, pm_trace_now_ns());
        }
    }
    return PM_OK;
}

/* ---- tensors in and out, explanations ----------------------------------------------------------------------- */

static pm_status ref_tensor_write(pm_device *device, pm_program *program, const pm_tensor *tensor, size_t offset,
                                  const void *data, size_t size, pm_error *err)
{
    (void)device;
    PM_TRY(pm_host_check_access(tensor, program->data[tensor->id], program->by_node, true, offset, size, err));
    memcpy((char *)program->data[tensor->id] + offset, data, size);
    return PM_OK;
}

static pm_status ref_tensor_read(pm_device *device, pm_program *program, const pm_tensor *tensor, size_t offset,
                                 void *data, size_t size, pm_error *err)
{
    (void)device;
    PM_TRY(pm_host_check_access(tensor, program->data[tensor->id], program->by_node, false, offset, size, err));
    memcpy(data, (const char *)program->data[tensor->id] + offset, size);
    return PM_OK;
}

static void ref_explain(const pm_device *device, const pm_program *program,
                        void (*put)(void *user, const char *line), void *user)
{
    const pm_graph *graph = program->graph;
    char line[640], shape[96];
    snprintf(line, sizeof line, "%zu nodes on %s; activations %zu bytes, %s", graph->n_nodes, device->info.name,
             program->arena_bytes, program->by_node ? "each with a place of its own" : "storage reused");
    put(user, line);
    for (size_t n = 0; n < graph->n_nodes; n++) {
        const pm_node *node = graph->nodes[n];
        int used = snprintf(line, sizeof line, "%4zu %-14s %-24s %s <-", n, pm_op_name(node->op), node->out->name,
                            pm_tensor_describe(node->out, shape, sizeof shape));
        for (int i = 0; i < node->n_in && used > 0 && (size_t)used < sizeof line; i++)
            if (node->in[i])
                used += snprintf(line + used, sizeof line - (size_t)used, " %s %s", node->in[i]->name,
                                 pm_tensor_describe(node->in[i], shape, sizeof shape));
        put(user, line);
    }
}

static uint64_t ref_program_bytes(const pm_program *program)
{
    return program->arena_bytes;
}

const pm_backend pm_backend_reference = {
    .name = "reference",
    .list = ref_list,
    .open = ref_open,
    .close = ref_close,
    .supports = ref_supports,
    .weights_create = ref_weights_create,
    .weights_destroy = ref_weights_destroy,
    .weights_bytes = ref_weights_bytes,
    .states_create = pm_host_states_create,
    .states_destroy = pm_host_states_destroy,
    .program_create = ref_program_create,
    .program_destroy = ref_program_destroy,
    .program_run = ref_program_run,
    .tensor_write = ref_tensor_write,
    .tensor_read = ref_tensor_read,
    .explain = ref_explain,
    .program_bytes = ref_program_bytes,
};
