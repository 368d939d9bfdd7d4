/* Building graphs: tensors and nodes in the order in which they are asked for. See graph.h.
 *
 * Everything that a graph holds lies in its arena and dies with it. Checks of an op's own types and shapes are in
 * ops/<op>.c; here is only what holds for any tensor, so that sizes computed from a finished graph cannot
 * overflow.
 */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ELEMS ((int64_t)1 << 48)

const char *pm_op_name(pm_op op)
{
    static const char *const names[PM_OP_COUNT] = {
#define OP_NAME(upper, lower) #lower,
        PM_OP_LIST(OP_NAME)
#undef OP_NAME
    };
    unsigned index = (unsigned)op;
    return index < PM_OP_COUNT ? names[index] : "?";
}

pm_status pm_graph_create(pm_graph **out, pm_error *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? PM_OK : pm_fail_memory(err, sizeof **out, "a graph");
}

void pm_graph_destroy(pm_graph *graph)
{
    if (!graph)
        return;
    pm_arena_free(&graph->arena);
    free(graph->tensors);
    free(graph->nodes);
    free(graph);
}

pm_status pm_graph_status(const pm_graph *graph, pm_error *err)
{
    if (graph->error.status != PM_OK && err)
        *err = graph->error;
    return graph->error.status;
}

pm_tensor *pm_graph_fail(pm_graph *graph, pm_status status, const char *format, ...)
{
    if (graph->error.status == PM_OK) {
        va_list args;
        va_start(args, format);
        graph->error.status = status;
        vsnprintf(graph->error.message, sizeof graph->error.message, format, args);
        va_end(args);
    }
    return NULL;
}

/* Room for one more pointer in a growing array of them. */
static bool reserve_one(void **array, size_t n, size_t *cap)
{
    if (n < *cap)
        return true;
    size_t grown_cap = *cap ? *cap * 2 : 64;
    void *grown = realloc(*array, grown_cap * sizeof(void *));
    if (!grown)
        return false;
    *array = grown;
    *cap = grown_cap;
    return true;
}

static pm_tensor *out_of_memory(pm_graph *graph)
{
    return pm_graph_fail(graph, PM_ERR_MEMORY, "out of memory while building a graph");
}

static bool shape_is_sound(pm_graph *graph, pm_type type, int n_dims, const int64_t *dims, const char *name)
{
    if (n_dims < 1 || n_dims > PM_MAX_DIMS) {
        pm_graph_fail(graph, PM_ERR_ARGUMENT, "tensor '%s' has %d dimensions; 1 to %d are possible", name, n_dims,
                      PM_MAX_DIMS);
        return false;
    }
    int64_t elems = 1;
    for (int i = 0; i < n_dims; i++) {
        if (dims[i] < 1 || dims[i] >= MAX_ELEMS / elems) {
            pm_graph_fail(
                graph, PM_ERR_ARGUMENT,
                "tensor '%s': dimension %d is %lld; each must be at least 1 and their product below 2^48", name, i,
                (long long)dims[i]);
            return false;
        }
        elems *= dims[i];
    }
    if (pm_type_row_bytes(type, dims[0]) == SIZE_MAX) {
        pm_graph_fail(graph, PM_ERR_ARGUMENT, "tensor '%s': a row of %lld values is no whole number of %s blocks",
                      name, (long long)dims[0], pm_type_name(type));
        return false;
    }
    return true;
}

/* A new tensor in the list; NULL and a failed graph where the shape is wrong. */
static pm_tensor *add_tensor(pm_graph *graph, pm_role role, int32_t slot, pm_type type, int n_dims,
                             const int64_t *dims, pm_rows rows)
{
    void *list = graph->tensors;
    pm_tensor *tensor = pm_arena_alloc(&graph->arena, sizeof *tensor);
    if (!tensor || graph->n_tensors >= INT32_MAX || !reserve_one(&list, graph->n_tensors, &graph->cap_tensors))
        return out_of_memory(graph);
    graph->tensors = list;
    *tensor = (pm_tensor){
        .id = (int32_t)graph->n_tensors, .role = role, .slot = slot, .type = type, .n_dims = n_dims, .rows = rows};
    for (int i = 0; i < PM_MAX_DIMS; i++)
        tensor->dim[i] = i < n_dims ? dims[i] : 1;
    graph->tensors[graph->n_tensors++] = tensor;
    return tensor;
}

static bool same_shape(const pm_tensor *tensor, int n_dims, const int64_t *dims)
{
    return tensor->n_dims == n_dims && memcmp(tensor->dim, dims, (size_t)n_dims * sizeof *dims) == 0;
}

static pm_tensor *find_leaf(const pm_graph *graph, pm_role role, int32_t slot)
{
    for (size_t i = 0; i < graph->n_tensors; i++) {
        pm_tensor *tensor = graph->tensors[i];
        if (tensor->role == role && tensor->slot == slot && !tensor->view_of)
            return tensor;
    }
    return NULL;
}

static pm_tensor *leaf(pm_graph *graph, pm_role role, int32_t slot, pm_type type, int n_dims, const int64_t *dims,
                       pm_rows rows, const char *name)
{
    if (graph->error.status != PM_OK || !shape_is_sound(graph, type, n_dims, dims, name))
        return NULL;
    if (slot < 0)
        return pm_graph_fail(graph, PM_ERR_ARGUMENT, "tensor '%s' has slot %d", name, slot);
    pm_tensor *have = find_leaf(graph, role, slot);
    if (have) {
        if (have->type != type || have->rows != rows || !same_shape(have, n_dims, dims))
            return pm_graph_fail(graph, PM_ERR_ARGUMENT,
                                 "tensor '%s' asks for slot %d, which '%s' has in another shape", name, slot,
                                 have->name);
        return have;
    }
    return add_tensor(graph, role, slot, type, n_dims, dims, rows);
}

pm_tensor *pm_graph_weight(pm_graph *graph, int32_t slot, pm_type type, int n_dims, const int64_t *dims,
                           const void *host_data, const char *name)
{
    pm_tensor *tensor = leaf(graph, PM_ROLE_WEIGHT, slot, type, n_dims, dims, PM_ROWS_FIXED, name);
    if (tensor) {
        tensor->host_data = host_data;
        snprintf(tensor->name, sizeof tensor->name, "%s", name);
    }
    return tensor;
}

pm_tensor *pm_graph_input(pm_graph *graph, int32_t slot, pm_type type, int n_dims, const int64_t *dims,
                          pm_rows rows, const char *name)
{
    pm_tensor *tensor = leaf(graph, PM_ROLE_INPUT, slot, type, n_dims, dims, rows, name);
    if (tensor)
        snprintf(tensor->name, sizeof tensor->name, "%s", name);
    return tensor;
}

static void name_with_prefix(const pm_graph *graph, pm_tensor *tensor, const char *name)
{
    const char *prefix = graph->prefix ? graph->prefix : "";
    if (strncmp(name, prefix, strlen(prefix)) == 0) /* a name made from a weight's has it already */
        prefix = "";
    snprintf(tensor->name, sizeof tensor->name, "%s%s", prefix, name);
}

pm_tensor *pm_graph_state(pm_graph *graph, int32_t slot, pm_type type, int n_dims, const int64_t *dims,
                          const char *name)
{
    pm_tensor *tensor = leaf(graph, PM_ROLE_STATE, slot, type, n_dims, dims, PM_ROWS_FIXED, name);
    if (tensor && !tensor->name[0])
        name_with_prefix(graph, tensor, name);
    return tensor;
}

pm_tensor *pm_graph_activation(pm_graph *graph, pm_type type, int n_dims, const int64_t *dims, pm_rows rows,
                               const char *name)
{
    if (graph->error.status != PM_OK || !shape_is_sound(graph, type, n_dims, dims, name))
        return NULL;
    pm_tensor *tensor = add_tensor(graph, PM_ROLE_ACTIVATION, -1, type, n_dims, dims, rows);
    if (tensor)
        name_with_prefix(graph, tensor, name);
    return tensor;
}

pm_tensor *pm_graph_view(pm_graph *graph, const pm_tensor *base, int n_dims, const int64_t *dims)
{
    if (graph->error.status != PM_OK || !shape_is_sound(graph, base->type, n_dims, dims, base->name))
        return NULL;
    int64_t elems = 1;
    for (int i = 0; i < n_dims; i++)
        elems *= dims[i];
    if (elems != pm_tensor_elems(base))
        return pm_graph_fail(graph, PM_ERR_ARGUMENT, "a view of '%s' has %lld elements instead of %lld",
                             base->name, (long long)elems, (long long)pm_tensor_elems(base));
    pm_tensor *tensor = add_tensor(graph, base->role, base->slot, base->type, n_dims, dims, base->rows);
    if (tensor) {
        tensor->view_of = pm_tensor_storage(base);
        tensor->host_data = base->host_data;
        memcpy(tensor->name, base->name, sizeof tensor->name);
    }
    return tensor;
}

pm_node *pm_graph_node(pm_graph *graph, pm_op op, pm_tensor *out, int n_in, const pm_tensor *const *in,
                       const void *args, size_t args_size)
{
    if (graph->error.status != PM_OK || !out)
        return NULL;
    pm_node *node = pm_arena_alloc(&graph->arena, sizeof *node);
    void *list = graph->nodes;
    if (n_in < 0 || n_in > PM_MAX_INPUTS || args_size > PM_NODE_ARGS_BYTES) {
        pm_graph_fail(graph, PM_ERR_INTERNAL, "op %s: %d inputs or %zu bytes of arguments are too many",
                      pm_op_name(op), n_in, args_size);
        return NULL;
    }
    if (!node || !reserve_one(&list, graph->n_nodes, &graph->cap_nodes)) {
        out_of_memory(graph);
        return NULL;
    }
    graph->nodes = list;
    node->op = op;
    node->out = out;
    node->n_in = n_in;
    for (int i = 0; i < n_in; i++)
        node->in[i] = in[i];
    if (args_size > 0)
        memcpy(node->args.bytes, args, args_size);
    graph->nodes[graph->n_nodes++] = node;
    return node;
}

void pm_graph_output(pm_graph *graph, pm_tensor *tensor)
{
    if (graph->error.status != PM_OK || !tensor)
        return;
    tensor->is_output = true;
    graph->tensors[pm_tensor_storage(tensor)->id]->is_output = true;
}

const char *pm_tensor_describe(const pm_tensor *tensor, char *buffer, size_t capacity)
{
    int used = snprintf(buffer, capacity, "%s [", pm_type_name(tensor->type));
    for (int i = 0; i < tensor->n_dims && used > 0 && (size_t)used < capacity; i++)
        used += snprintf(buffer + used, capacity - (size_t)used, "%s%lld%s", i ? ", " : "",
                         (long long)tensor->dim[i], i + 1 == tensor->n_dims ? "]" : "");
    return buffer;
}

int64_t pm_tensor_elems(const pm_tensor *tensor)
{
    return tensor->dim[0] * pm_tensor_rows(tensor);
}

size_t pm_tensor_bytes(const pm_tensor *tensor)
{
    return pm_type_row_bytes(tensor->type, tensor->dim[0]) * (size_t)pm_tensor_rows(tensor);
}

int64_t pm_tensor_rows(const pm_tensor *tensor)
{
    return tensor->dim[1] * tensor->dim[2] * tensor->dim[3];
}

int64_t pm_tensor_rows_now(const pm_tensor *tensor, const pm_run_params *params)
{
    if (tensor->rows == PM_ROWS_FIXED)
        return pm_tensor_rows(tensor);
    int64_t most = tensor->dim[tensor->n_dims - 1];
    int64_t count = tensor->rows == PM_ROWS_TOKENS ? params->n_tokens : params->n_outputs;
    count = count < 0 ? 0 : count > most ? most : count;
    return tensor->n_dims == 1 ? count : pm_tensor_rows(tensor) / most * count;
}

const pm_tensor *pm_tensor_storage(const pm_tensor *tensor)
{
    return tensor->view_of ? tensor->view_of : tensor;
}
