/* Running a case on one device through the backend interface. See op_case.h. */
#include "op_case.h"

#include <stdlib.h>
#include <string.h>

#ifdef PUMICE_VULKAN
#include "backends/vulkan/op_lowering.h"
#include "backends/vulkan/vk_runtime.h"
#endif

typedef struct loaded {
    pm_device *device;
    pm_weights *weights;
    pm_states *states;
    pm_program *program;
} loaded;

bool op_case_has_left_out_rows(const op_case *c)
{
    for (int i = 0; i < c->n_outputs; i++) {
        const pm_tensor *out = c->outputs[i].tensor;
        if (out->rows != PM_ROWS_FIXED &&
            pm_tensor_rows_now(out, &c->params) < (out->n_dims == 1 ? out->dim[0] : pm_tensor_rows(out)))
            return true;
    }
    return false;
}

const pm_node *op_case_unsupported(const op_case *c, const pm_device *device)
{
    for (size_t i = 0; i < c->g->n_nodes; i++)
        if (!device->backend->supports(device, c->g->nodes[i]))
            return c->g->nodes[i];
    return NULL;
}

void op_case_full_counts(const op_case *c, pm_run_params *params)
{
    params->n_tokens = params->n_outputs = 1;
    for (int i = 0; i < c->n_inputs; i++) {
        const pm_tensor *t = c->inputs[i].tensor;
        if (t->rows == PM_ROWS_TOKENS)
            params->n_tokens = (int32_t)t->dim[t->n_dims - 1];
        if (t->rows == PM_ROWS_OUTPUTS)
            params->n_outputs = (int32_t)t->dim[t->n_dims - 1];
    }
}

static void unload(loaded *l)
{
    const pm_backend *b = l->device->backend;
    if (l->program)
        b->program_destroy(l->device, l->program);
    if (l->states)
        b->states_destroy(l->device, l->states);
    if (l->weights)
        b->weights_destroy(l->device, l->weights);
}

/* Makes the tuning table of a GPU say that the products of a case are cut as the case wants; with n_parts 0,
 * nothing. */
static void set_tiling(const op_case *c, pm_device *device)
{
#ifdef PUMICE_VULKAN
    if (device->backend != &pm_backend_vulkan)
        return;
    pm_vk_tuning *tuning = &pm_vk_device_of(device)->tuning;
    pm_vk_tuning_clear(tuning);
    for (size_t i = 0; i < c->g->n_nodes && c->n_parts; i++) {
        const pm_node *node = c->g->nodes[i];
        if (node->op != PM_OP_MATMUL)
            continue;
        const pm_vk_product p = {pm_vk_weight_type_index(node->in[0]->type), (uint32_t)pm_tensor_rows(node->in[1]),
                                 (uint32_t)node->in[0]->dim[0], (uint32_t)node->out->dim[0]};
        pm_vk_tuning_put(tuning, &p, (pm_vk_tiling){c->tile, c->n_parts});
    }
#else
    (void)c, (void)device;
#endif
}

static pm_status load(const op_case *c, pm_device *device, loaded *l, pm_error *err)
{
    pm_weight weights[CASE_WEIGHTS + 1] = {0};
    pm_state_desc states[CASE_STATES + 1] = {0};
    *l = (loaded){.device = device};
    for (int i = 0; i < c->n_weights; i++) {
        const pm_tensor *t = c->weights[i].tensor;
        weights[i] = (pm_weight){.name = t->name,
                                 .type = t->type,
                                 .n_dims = t->n_dims,
                                 .data = c->weights[i].data,
                                 .n_bytes = c->weights[i].bytes,
                                 .uses = c->weight_uses[i]};
        memcpy(weights[i].dim, t->dim, sizeof t->dim);
    }
    for (int i = 0; i < c->n_states; i++) {
        const pm_tensor *t = c->states[i].tensor;
        states[i] = (pm_state_desc){.name = t->name, .type = t->type, .n_dims = t->n_dims};
        memcpy(states[i].dim, t->dim, sizeof t->dim);
    }
    /* Rows left out are compared with what an earlier run left there, so nothing else may use their storage. */
    const pm_program_options options = {.by_node = op_case_has_left_out_rows(c)};
    const pm_backend *b = device->backend;
    set_tiling(c, device);
    PM_TRY(b->weights_create(device, weights, (size_t)c->n_weights, NULL, NULL, &l->weights, err));
    PM_TRY(b->states_create(device, states, (size_t)c->n_states, &l->states, err));
    return b->program_create(device, c->g, l->weights, l->states, &options, &l->program, err);
}

static pm_status write_and_run(const op_case *c, const loaded *l, bool warm, const pm_run_params *params,
                               pm_error *err)
{
    const pm_backend *b = l->device->backend;
    for (int i = 0; i < c->n_inputs; i++)
        PM_TRY(b->tensor_write(l->device, l->program, c->inputs[i].tensor, 0,
                               warm ? c->inputs[i].warm_data : c->inputs[i].data, c->inputs[i].bytes, err));
    for (int i = 0; i < c->n_states; i++)
        PM_TRY(b->tensor_write(l->device, l->program, c->states[i].tensor, 0, c->states[i].data,
                               c->states[i].bytes, err));
    const pm_run_options options = {0};
    return b->program_run(l->device, l->program, params, &options, err);
}

static pm_status read_outputs(const op_case *c, const loaded *l, bool canary, bool is_reference, pm_error *err)
{
    for (int i = 0; i < c->n_outputs; i++) {
        const case_output *o = &c->outputs[i];
        void *to = is_reference ? o->want : canary ? o->canary : o->got;
        PM_TRY(l->device->backend->tensor_read(l->device, l->program, o->tensor, 0, to, pm_tensor_bytes(o->tensor),
                                               err));
    }
    return PM_OK;
}

static pm_status run_loaded(const op_case *c, const loaded *l, bool is_reference, pm_error *err)
{
    if (!is_reference && op_case_has_left_out_rows(c)) {
        pm_run_params all = c->params;
        op_case_full_counts(c, &all);
        PM_TRY(write_and_run(c, l, true, &all, err));
        PM_TRY(read_outputs(c, l, true, false, err));
    }
    PM_TRY(write_and_run(c, l, false, &c->params, err));
    return read_outputs(c, l, false, is_reference, err);
}

static bool device_supports(void *context, const pm_node *node)
{
    const pm_device *device = context;
    return device->backend->supports(device, node);
}

pm_status op_case_run(op_case *c, pm_device *device, bool is_reference, pm_error *err)
{
    loaded l;
    if (c->fuse && !is_reference) /* the reference has run the plain nodes by then */
        PM_TRY(pm_graph_fuse(c->g, device_supports, device, err));
    pm_status status = load(c, device, &l, err);
    if (status == PM_OK)
        status = run_loaded(c, &l, is_reference, err);
    unload(&l);
    return status;
}
