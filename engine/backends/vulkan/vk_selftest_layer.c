/* The self-test's second part: a decoder layer as programs run it, with the nodes fused and grouped that a device
 * does in one dispatch, beside the same layer on the reference backend. For one token, and on GPUs, which have
 * kernels of their own for each, for a few and for a prompt. The caches are full of numbers, so that attention has
 * work. */
#include "backends/vulkan/vk_selftest.h"

#include <stdio.h>
#include <stdlib.h>

#include "formats/block_types.h"
#include "ops/ops.h"

enum { C = 256, D = 64, HEADS = 4, KV_HEADS = 2, FF = 512, SLOTS = 256, FIRST = 150 };
enum { W_NORM1, W_Q, W_K, W_V, W_ANGLES, W_OUT, W_NORM2, W_GATE, W_UP, W_DOWN };
enum { FEW = 4, PROMPT = 64 };

/* The layer on one device. */
typedef struct place {
    const pm_backend *backend;
    pm_device *device;
    pm_weights *weights;
    pm_states *states;
    pm_program *program;
} place;

static pm_tensor *matrix(pm_vk_rig *r, int slot, const char *name, int64_t k, int64_t n)
{
    return pm_vk_rig_weight(r, slot, name, PM_TYPE_Q4_0, k, n, 0, PM_USE_MATMUL);
}

static pm_tensor *norm(pm_vk_rig *r, int slot, const char *name)
{
    return pm_vk_rig_weight(r, slot, name, PM_TYPE_F32, C, 0, 0, PM_USE_PLAIN);
}

static pm_tensor *product_of_heads(pm_vk_rig *r, const pm_tensor *w, const pm_tensor *x, int64_t n_heads)
{
    const int64_t dims[3] = {D, n_heads, x->dim[1]};
    return pm_reshape(r->graph, pm_matmul(r->graph, w, x, NULL, NULL), 3, dims);
}

static void build(pm_vk_rig *r, int64_t n_tokens)
{
    pm_graph *g = r->graph;
    const int64_t x_dims[2] = {C, n_tokens}, cache_dims[3] = {D, SLOTS, KV_HEADS};
    pm_tensor *x = pm_graph_input(g, PM_INPUT_TEST, PM_TYPE_F32, 2, x_dims, PM_ROWS_TOKENS, "x");
    pm_tensor *positions =
        pm_graph_input(g, PM_INPUT_POSITIONS, PM_TYPE_I32, 1, &n_tokens, PM_ROWS_TOKENS, "positions");
    pm_tensor *keys = pm_graph_state(g, 0, PM_TYPE_F16, 3, cache_dims, "keys");
    pm_tensor *values = pm_graph_state(g, 1, PM_TYPE_F16, 3, cache_dims, "values");
    pm_tensor *norm1 = norm(r, W_NORM1, "self-test.norm1");
    pm_tensor *wq = matrix(r, W_Q, "self-test.layer.q", C, HEADS * D);
    pm_tensor *wk = matrix(r, W_K, "self-test.layer.k", C, KV_HEADS * D);
    pm_tensor *wv = matrix(r, W_V, "self-test.layer.v", C, KV_HEADS * D);
    pm_tensor *angles = pm_vk_rig_weight(r, W_ANGLES, "self-test.layer.angles", PM_TYPE_F32, 2, D / 2,
                                         PM_ROPE_FINE + SLOTS / PM_ROPE_FINE + 1, PM_USE_PLAIN);
    pm_tensor *wo = matrix(r, W_OUT, "self-test.layer.out", HEADS * D, C);
    pm_tensor *norm2 = norm(r, W_NORM2, "self-test.norm2");
    pm_tensor *gate = matrix(r, W_GATE, "self-test.layer.gate", C, FF);
    pm_tensor *up = matrix(r, W_UP, "self-test.layer.up", C, FF);
    pm_tensor *down = matrix(r, W_DOWN, "self-test.layer.down", FF, C);
    if (g->error.status != PM_OK)
        return;

    pm_tensor *h = pm_rms_norm(g, x, norm1, 1e-5f);
    pm_tensor *q = pm_rope(g, product_of_heads(r, wq, h, HEADS), positions, angles, D, false);
    pm_tensor *k = pm_rope(g, product_of_heads(r, wk, h, KV_HEADS), positions, angles, D, false);
    keys = pm_kv_store(g, keys, k, positions);
    values = pm_kv_store(g, values, product_of_heads(r, wv, h, KV_HEADS), positions);
    pm_tensor *mixed = pm_attention(g, q, keys, values, positions, NULL, (pm_attention_args){.scale = 2});
    x = pm_add(g, x, pm_matmul(g, wo, pm_reshape(g, mixed, 2, x_dims), NULL, NULL));
    h = pm_rms_norm(g, x, norm2, 1e-5f);
    pm_tensor *gated = pm_swiglu(g, pm_matmul(g, gate, h, NULL, NULL), pm_matmul(g, up, h, NULL, NULL));
    pm_graph_output(g, pm_add(g, x, pm_matmul(g, down, gated, NULL, NULL)));
}

/* x small beside what the layer adds to it, and scores of some units, so that nothing can be wrong unseen. */
static pm_status fill(const place *p, const pm_tensor *t, float size, pm_error *err)
{
    size_t bytes = pm_tensor_bytes(t);
    char *data = malloc(bytes);
    if (!data)
        return pm_fail_memory(err, bytes, "the self-test");
    for (int64_t i = 0; i < pm_tensor_elems(t); i++) {
        float number = size * pm_vk_rig_number((uint32_t)(7919 * (t->id + 1) + i));
        if (t->type == PM_TYPE_I32)
            ((int32_t *)(void *)data)[i] = (int32_t)(FIRST + i);
        else
            pm_quantize_row(t->type, &number, data + pm_type_row_bytes(t->type, i), 1);
    }
    pm_status status = p->backend->tensor_write(p->device, p->program, t, 0, data, bytes, err);
    free(data);
    return status;
}

static const pm_tensor *result_of(const pm_vk_rig *r)
{
    return r->graph->nodes[r->graph->n_nodes - 1]->out;
}

static pm_status run(const pm_vk_rig *r, place *p, int n_tokens, float *out, pm_error *err)
{
    static const pm_state_desc caches[2] = {
        {.name = "keys", .type = PM_TYPE_F16, .n_dims = 3, .dim = {D, SLOTS, KV_HEADS, 1}},
        {.name = "values", .type = PM_TYPE_F16, .n_dims = 3, .dim = {D, SLOTS, KV_HEADS, 1}}};
    const pm_program_options options = {0};
    const pm_run_params params = {.n_tokens = n_tokens, .n_outputs = n_tokens, .n_kv = FIRST + n_tokens};
    const pm_tensor *result = result_of(r);
    PM_TRY(p->backend->weights_create(p->device, r->weights, r->n_weights, NULL, NULL, &p->weights, err));
    PM_TRY(p->backend->states_create(p->device, caches, 2, &p->states, err));
    PM_TRY(p->backend->program_create(p->device, r->graph, p->weights, p->states, &options, &p->program, err));
    for (size_t i = 0; i < r->graph->n_tensors; i++) {
        const pm_tensor *t = r->graph->tensors[i];
        if (t->role == PM_ROLE_INPUT || (t->role == PM_ROLE_STATE && !t->view_of))
            PM_TRY(fill(p, t, t->role == PM_ROLE_INPUT ? 0.3f : 1, err));
    }
    PM_TRY(p->backend->program_run(p->device, p->program, &params, NULL, err));
    return p->backend->tensor_read(p->device, p->program, result, 0, out, pm_tensor_bytes(result), err);
}

static void place_free(place *p)
{
    if (p->program)
        p->backend->program_destroy(p->device, p->program);
    if (p->states)
        p->backend->states_destroy(p->device, p->states);
    if (p->weights)
        p->backend->weights_destroy(p->device, p->weights);
}

/* Four products after each other, each with activations of 8 bits where the device has them that way, each adding
 * about 1e-5 to the normalised mean squared error; a kernel that is wrong gives 1 or so. */
static pm_status compare(const pm_vk_rig *r, const float *got, const float *want, int n_tokens, pm_error *err)
{
    char what[60];
    snprintf(what, sizeof what, "a decoder layer of %d token%s", n_tokens, n_tokens > 1 ? "s" : "");
    return pm_vk_rig_compare(result_of(r), got, want, 5e-4, what, "each op alone is right", err);
}

static bool supports(void *device, const pm_node *node)
{
    return pm_backend_vulkan.supports(device, node);
}

static pm_status test_tokens(pm_vk_device *device, pm_device *reference, int n_tokens, pm_error *err)
{
    static const struct pm_backend *const backends[2] = {&pm_backend_vulkan, &pm_backend_reference};
    pm_device *const devices[2] = {&device->base, reference};
    pm_vk_rig r = {.device = device};
    float *out[2] = {0};
    pm_status status = pm_graph_create(&r.graph, err);
    if (status != PM_OK)
        return status;
    build(&r, n_tokens);
    status = pm_graph_fuse(r.graph, supports, &device->base, err);
    for (int i = 0; i < 2 && status == PM_OK; i++) {
        place p = {.backend = backends[i], .device = devices[i]};
        size_t bytes = sizeof(float) * C * (size_t)n_tokens;
        out[i] = malloc(bytes);
        status = out[i] ? run(&r, &p, n_tokens, out[i], err) : pm_fail_memory(err, bytes, "the self-test");
        place_free(&p);
    }
    if (status == PM_OK)
        status = compare(&r, out[0], out[1], n_tokens, err);
    free(out[0]);
    free(out[1]);
    pm_graph_destroy(r.graph);
    pm_vk_rig_free_data(&r);
    return status;
}

pm_status pm_vk_self_test_layers(pm_vk_device *device, pm_error *err)
{
    const pm_device_options options = {.n_threads = 1};
    pm_device *reference;
    PM_TRY(pm_backend_reference.open(&options, 0, &reference, err));
    pm_status status = test_tokens(device, reference, 1, err);
    if (status == PM_OK && !device->caps.software)
        status = test_tokens(device, reference, FEW, err);
    if (status == PM_OK && !device->caps.software)
        status = test_tokens(device, reference, PROMPT, err);
    pm_backend_reference.close(reference);
    return status;
}
