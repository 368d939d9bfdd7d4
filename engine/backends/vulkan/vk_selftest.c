/* The self-test at the first use of a device: a small graph with the ops that a decoder is made of is run node by
 * node and each result compared with the reference kernel on the same inputs; whole layers follow, as programs run
 * them (vk_selftest_layer.c); then a matrix product is timed, which tells how much work a submission may hold. Drivers that compute wrongly exist, and a wrong driver is
 * better reported than believed. The result is kept with the pipeline cache (same device, driver, shaders; same
 * tier), so it costs once. */
#include "backends/vulkan/vk_selftest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/block_types.h"
#include "ops/ops.h"

enum { K = 128, HEADS = 4, HEAD_DIM = 32, ROWS = 5, SLOTS = 16, N = HEADS * HEAD_DIM };
enum { W_NORM, W_Q, W_K, W_V, W_UP, W_EMBEDDING, W_ANGLES };
enum { SPEED_K = 1024, SPEED_N = 2048, SPEED_ROWS = 16 };

float pm_vk_rig_number(uint32_t i) /* values in (-1, 1) without a pattern that could hide a mixed-up index */
{
    uint32_t h = i * 2654435761u;
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    return (float)(h >> 8) / 8388608.0f - 1.0f;
}

/* ---- building ------------------------------------------------------------------------------------------ */

pm_tensor *pm_vk_rig_weight(pm_vk_rig *r, int slot, const char *name, pm_type type, int64_t d0, int64_t d1,
                            int64_t d2, unsigned uses)
{
    int64_t rows = (d1 ? d1 : 1) * (d2 ? d2 : 1);
    size_t row_bytes = pm_type_row_bytes(type, d0);
    float *row = malloc((size_t)d0 * sizeof *row);
    char *data = malloc(row_bytes * (size_t)rows);
    for (int64_t i = 0; row && data && i < rows; i++) {
        for (int64_t c = 0; c < d0; c++)
            row[c] = pm_vk_rig_number((uint32_t)(slot * 1000003 + i * d0 + c)) * 0.25f;
        pm_quantize_row(type, row, data + (size_t)i * row_bytes, d0);
    }
    bool good = row && data;
    free(row);
    r->data[slot] = data;
    if (!good)
        return pm_graph_fail(r->graph, PM_ERR_MEMORY, "out of memory: the self-test's weights");
    pm_weight *weight = &r->weights[slot];
    *weight = (pm_weight){.name = name,
                          .type = type,
                          .n_dims = d2   ? 3
                                    : d1 ? 2
                                         : 1,
                          .dim = {d0, d1 ? d1 : 1, d2 ? d2 : 1, 1},
                          .data = data,
                          .n_bytes = row_bytes * (size_t)rows,
                          .uses = uses};
    r->n_weights = (size_t)slot + 1;
    return pm_graph_weight(r->graph, slot, type, weight->n_dims, weight->dim, data, name);
}

static pm_tensor *heads(pm_vk_rig *r, const pm_tensor *x)
{
    const int64_t dims[3] = {HEAD_DIM, HEADS, ROWS};
    return pm_reshape(r->graph, x, 3, dims);
}

/* One small decoder layer, the pieces in the order in which a model has them. */
static void build_layer(pm_vk_rig *r)
{
    pm_graph *g = r->graph;
    const int64_t ids_dims[1] = {ROWS}, cache_dims[3] = {HEAD_DIM, SLOTS, HEADS};
    pm_tensor *norm = pm_vk_rig_weight(r, W_NORM, "self-test.norm", PM_TYPE_F32, K, 0, 0, PM_USE_PLAIN);
    pm_tensor *wq = pm_vk_rig_weight(r, W_Q, "self-test.q", PM_TYPE_Q8_0, K, N, 0, PM_USE_MATMUL);
    pm_tensor *wk = pm_vk_rig_weight(r, W_K, "self-test.k", PM_TYPE_Q4_0, K, N, 0, PM_USE_MATMUL);
    pm_tensor *wv = pm_vk_rig_weight(r, W_V, "self-test.v", PM_TYPE_Q8_0, K, N, 0, PM_USE_MATMUL);
    pm_tensor *wu = pm_vk_rig_weight(r, W_UP, "self-test.up", PM_TYPE_F32, N, N, 0, PM_USE_MATMUL);
    pm_tensor *embed = pm_vk_rig_weight(r, W_EMBEDDING, "self-test.embedding", PM_TYPE_F16, K, 32, 0, PM_USE_EMBEDDING);
    pm_tensor *angles = pm_vk_rig_weight(r, W_ANGLES, "self-test.angles", PM_TYPE_F32, 2, HEAD_DIM / 2,
                                    PM_ROPE_FINE + 1, PM_USE_PLAIN); /* any numbers will do */
    pm_tensor *ids = pm_graph_input(g, PM_INPUT_TOKENS, PM_TYPE_I32, 1, ids_dims, PM_ROWS_TOKENS, "ids");
    pm_tensor *positions =
        pm_graph_input(g, PM_INPUT_POSITIONS, PM_TYPE_I32, 1, ids_dims, PM_ROWS_TOKENS, "positions");
    pm_tensor *keys = pm_graph_state(g, 0, PM_TYPE_F16, 3, cache_dims, "keys");
    pm_tensor *values = pm_graph_state(g, 1, PM_TYPE_F16, 3, cache_dims, "values");

    pm_tensor *x = pm_embedding(g, embed, ids);
    pm_tensor *h = pm_rms_norm(g, x, norm, 1e-5f);
    pm_tensor *q = pm_matmul(g, wq, h, NULL, NULL);
    keys = pm_kv_store(g, keys, heads(r, pm_matmul(g, wk, h, NULL, NULL)), positions);
    values = pm_kv_store(g, values, heads(r, pm_matmul(g, wv, h, NULL, NULL)), positions);
    pm_tensor *turned = pm_rope(g, heads(r, q), positions, angles, HEAD_DIM, false);
    pm_tensor *mixed = pm_attention(g, turned, keys, values, positions, NULL, (pm_attention_args){.scale = 0.25f});
    const int64_t flat[2] = {N, ROWS};
    pm_tensor *sum = pm_add(g, pm_reshape(g, mixed, 2, flat), q);
    pm_tensor *up = pm_matmul(g, wu, sum, NULL, NULL);
    pm_tensor *last = pm_softmax(g, pm_swiglu(g, up, pm_silu(g, sum)));
    pm_graph_output(g, pm_argmax(g, last));
}

static pm_status rig_finish(pm_vk_rig *r, bool by_node, pm_error *err)
{
    PM_TRY(pm_graph_status(r->graph, err));
    const pm_backend *b = &pm_backend_vulkan;
    pm_state_desc caches[2] = {
        {.name = "keys", .type = PM_TYPE_F16, .n_dims = 3, .dim = {HEAD_DIM, SLOTS, HEADS, 1}},
        {.name = "values", .type = PM_TYPE_F16, .n_dims = 3, .dim = {HEAD_DIM, SLOTS, HEADS, 1}}};
    PM_TRY(b->weights_create(&r->device->base, r->weights, r->n_weights, NULL, NULL, &r->stored, err));
    if (by_node)
        PM_TRY(b->states_create(&r->device->base, caches, 2, &r->states, err));
    pm_program_options options = {.by_node = by_node};
    return b->program_create(&r->device->base, r->graph, r->stored, r->states, &options, &r->program, err);
}

void pm_vk_rig_free_data(pm_vk_rig *r)
{
    for (int i = 0; i < PM_VK_RIG_WEIGHTS; i++)
        free(r->data[i]);
}

static void rig_free(pm_vk_rig *r)
{
    const pm_backend *b = &pm_backend_vulkan;
    b->program_destroy(&r->device->base, r->program);
    b->states_destroy(&r->device->base, r->states);
    b->weights_destroy(&r->device->base, r->stored);
    pm_graph_destroy(r->graph);
    pm_vk_rig_free_data(r);
}

/* ---- right results ------------------------------------------------------------------------------------- */

static pm_status fetch(pm_vk_rig *r, const pm_tensor *tensor, void **out, pm_error *err)
{
    *out = NULL;
    if (!tensor)
        return PM_OK;
    tensor = pm_tensor_storage(tensor);
    size_t size = pm_tensor_bytes(tensor);
    *out = malloc(size);
    if (!*out)
        return pm_fail_memory(err, size, "the self-test");
    if (tensor->role == PM_ROLE_WEIGHT) {
        memcpy(*out, tensor->host_data, size);
        return PM_OK;
    }
    return pm_backend_vulkan.tensor_read(&r->device->base, r->program, tensor, 0, *out, size, err);
}

pm_status pm_vk_rig_compare(const pm_tensor *tensor, const void *got, const void *expected, double limit,
                            const char *what, const char *more, pm_error *err)
{
    double error = 0, power = 1e-30;
    for (int64_t i = 0; i < pm_tensor_elems(tensor); i++) {
        double a = pm_element(tensor->type, got, i), b = pm_element(tensor->type, expected, i);
        error += (a - b) * (a - b);
        power += b * b;
    }
    if (isfinite(error) && error <= limit * power)
        return PM_OK;
    return pm_fail(err, PM_ERR_DEVICE,
                   "its driver computes %s wrongly (%s: normalised error %.2g). Install a newer driver, try a lower "
                   "--tier or --device cpu; --no-self-test goes on all the same",
                   what, more, error / power);
}

/* Where weights are quantised the device may quantise the activations to 8 bits, whose error is about 1e-5; half a
 * percent of amplitude is far above that and far below what a broken kernel gives. */
static pm_status compare(const pm_node *node, const void *got, const void *expected, pm_error *err)
{
    double limit = node->op == PM_OP_ARGMAX ? 0 : 2.5e-5;
    return pm_vk_rig_compare(node->out, got, expected, limit, pm_op_name(node->op), node->out->name, err);
}

static pm_status check_node(pm_vk_rig *r, const pm_node *node, const pm_run_params *params, pm_error *err)
{
    void *in[PM_MAX_INPUTS] = {0}, *got = NULL, *expected = NULL;
    pm_op_call call = {.node = node, .params = params, .n_parts = 1};
    pm_run_options only = {.n_nodes = 1};
    while (r->graph->nodes[only.first_node] != node)
        only.first_node++;
    pm_status status = PM_OK;
    for (int i = 0; i < node->n_in && status == PM_OK; i++) {
        status = fetch(r, node->in[i], &in[i], err);
        call.in[i] = in[i];
    }
    if (status == PM_OK) /* what the op does not write must stay: take it from before */
        status = fetch(r, node->out, &expected, err);
    if (status == PM_OK)
        status = pm_backend_vulkan.program_run(&r->device->base, r->program, params, &only, err);
    if (status == PM_OK)
        status = fetch(r, node->out, &got, err);
    if (status == PM_OK) {
        call.out = expected;
        pm_op_reference(node->op)(&call);
        status = compare(node, got, expected, err);
    }
    for (int i = 0; i < PM_MAX_INPUTS; i++)
        free(in[i]);
    free(got);
    free(expected);
    return status;
}

static pm_status check_layer(pm_vk_rig *r, pm_error *err)
{
    static const int32_t ids[ROWS] = {3, 31, 0, 17, 8}, positions[ROWS] = {0, 1, 2, 3, 4};
    PM_TRY(rig_finish(r, true, err));
    pm_run_params params = {.n_tokens = ROWS, .n_outputs = ROWS, .n_kv = ROWS};
    for (size_t i = 0; i < r->graph->n_tensors; i++) {
        const pm_tensor *t = r->graph->tensors[i];
        if (t->role == PM_ROLE_INPUT)
            PM_TRY(pm_backend_vulkan.tensor_write(&r->device->base, r->program, t, 0,
                                                  t->slot == PM_INPUT_TOKENS ? ids : positions, sizeof ids, err));
    }
    for (size_t i = 0; i < r->graph->n_nodes; i++)
        PM_TRY(check_node(r, r->graph->nodes[i], &params, err));
    return PM_OK;
}

/* ---- speed --------------------------------------------------------------------------------------------- */

/* The best time of a few runs with n_tokens rows, after one that does not count: some drivers compile then. */
static pm_status best_time(pm_vk_rig *r, int n_tokens, double *seconds, pm_error *err)
{
    pm_run_params params = {.n_tokens = n_tokens};
    double all = 0;
    *seconds = 1e9;
    for (int i = 0; i < 4 && all < 0.3; i++) {
        unsigned long long start = pm_trace_now_ns();
        PM_TRY(pm_backend_vulkan.program_run(&r->device->base, r->program, &params, NULL, err));
        double took = 1e-9 * (double)(pm_trace_now_ns() - start);
        if (i == 0)
            continue;
        *seconds = took < *seconds ? took : *seconds;
        all += took;
    }
    return PM_OK;
}

static pm_status time_shape(pm_vk_device *device, int rows, double *seconds, pm_error *err)
{
    pm_vk_rig r = {.device = device};
    PM_TRY(pm_graph_create(&r.graph, err));
    const int64_t dims[2] = {SPEED_K, rows};
    pm_tensor *w = pm_vk_rig_weight(&r, 0, "self-test.speed", PM_TYPE_F32, SPEED_K, SPEED_N, 0, PM_USE_MATMUL);
    pm_tensor *x = pm_graph_input(r.graph, PM_INPUT_TEST, PM_TYPE_F32, 2, dims, PM_ROWS_TOKENS, "x");
    pm_graph_output(r.graph, pm_matmul(r.graph, w, x, NULL, NULL));
    pm_status status = rig_finish(&r, false, err);
    if (status == PM_OK)
        status = best_time(&r, rows, seconds, err);
    rig_free(&r);
    return status;
}

/* A product with many rows for arithmetic, one with a single row for memory; both with plain F32 weights, so that
 * other kernels are faster if anything and the estimates err on the side of small submissions. */
static pm_status measure(pm_vk_device *device, pm_error *err)
{
    double many, one;
    PM_TRY(time_shape(device, SPEED_ROWS, &many, err));
    PM_TRY(time_shape(device, 1, &one, err));
    double flops_per_s = 2.0 * SPEED_K * SPEED_N * SPEED_ROWS / many;
    double bytes_per_s = 4.0 * SPEED_K * SPEED_N / one;
    /* Software devices have no watchdog, and share the processor with whatever else runs while they are measured.
     */
    pm_vk_caps *caps = &device->caps;
    caps->flops_per_s = caps->software && flops_per_s < caps->flops_per_s ? caps->flops_per_s : flops_per_s;
    caps->bytes_per_s = caps->software && bytes_per_s < caps->bytes_per_s ? caps->bytes_per_s : bytes_per_s;
    return PM_OK;
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

typedef struct kept_result {
    double flops_per_s, bytes_per_s;
} kept_result;

static pm_status test(pm_vk_device *device, pm_error *err)
{
    pm_vk_rig r = {.device = device};
    PM_TRY(pm_graph_create(&r.graph, err));
    build_layer(&r);
    pm_status status = check_layer(&r, err);
    rig_free(&r);
    if (status == PM_OK)
        status = pm_vk_self_test_layers(device, err);
    if (status == PM_OK)
        status = measure(device, err);
    return status == PM_OK ? PM_OK
                           : pm_fail_within(err, status, "the self-test of %s failed", device->facts.title);
}

pm_status pm_vk_self_test(pm_vk_device *device, pm_error *err)
{
    char kind[64];
    pm_vk_tier_kind(&device->caps, "selftest", kind);
    size_t size;
    kept_result *kept = pm_vk_cache_read(&device->cache, kind, &size);
    bool good = kept && size == sizeof *kept && kept->flops_per_s > 0 && kept->bytes_per_s > 0;
    if (good) {
        device->caps.flops_per_s = kept->flops_per_s;
        device->caps.bytes_per_s = kept->bytes_per_s;
    }
    free(kept);
    if (good)
        return PM_OK;
    pm_vk_log(device, "testing %s against the reference, once", device->facts.title);
    PM_TRY(test(device, err));
    kept_result result = {device->caps.flops_per_s, device->caps.bytes_per_s};
    pm_vk_cache_write(&device->cache, kind, &result, sizeof result);
    return PM_OK;
}
