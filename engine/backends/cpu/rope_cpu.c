/* rope on the cpu backend: the cosines and sines of a token's position are made once for all of its heads, in the
 * form that the kernel multiplies by. Keys that only the cache reads are turned and stored in one step. */
#include "backends/cpu/cpu_backend.h"

#include <string.h>

/* cos2, sin2: [n_rot], for each value of a head the cosine and the signed sine of its pair. */
static void angles(const pm_cpu_step *step, int64_t position, float *cos2, float *sin2)
{
    const pm_tensor *table = step->node->in[2];
    const pm_rope_args *args = PM_ARGS(step->node, pm_rope_args);
    int64_t n_pairs = args->n_rot / 2;
    position = pm_cpu_clamp(position, (table->dim[2] - PM_ROPE_FINE) * PM_ROPE_FINE);
    const float *fine = (const float *)step->in[2] + position % PM_ROPE_FINE * n_pairs * 2;
    const float *coarse = (const float *)step->in[2] + (PM_ROPE_FINE + position / PM_ROPE_FINE) * n_pairs * 2;
    for (int64_t i = 0; i < n_pairs; i++) {
        float cosine = coarse[2 * i] * fine[2 * i] - coarse[2 * i + 1] * fine[2 * i + 1];
        float sine = coarse[2 * i + 1] * fine[2 * i] + coarse[2 * i] * fine[2 * i + 1];
        int64_t first = args->interleaved ? 2 * i : i, second = args->interleaved ? 2 * i + 1 : i + n_pairs;
        cos2[first] = cos2[second] = cosine;
        sin2[first] = -sine;
        sin2[second] = sine;
    }
}

static void turn(const pm_cpu_step *step, const pm_cpu_context *context, const float *from, const float *cos2,
                 const float *sin2, float *to)
{
    const pm_rope_args *args = PM_ARGS(step->node, pm_rope_args);
    int64_t n = step->node->in[0]->dim[0];
    context->kernels->rope(from, cos2, sin2, args->n_rot, args->interleaved != 0, to);
    if (n > args->n_rot)
        memcpy(to + args->n_rot, from + args->n_rot, (size_t)(n - args->n_rot) * sizeof *to);
}

static int64_t tokens(const pm_cpu_step *step, const pm_cpu_context *context)
{
    const pm_tensor *x = step->node->in[0];
    return pm_tensor_rows_now(x, context->params) / x->dim[1];
}

static size_t scratch(const pm_cpu_step *step)
{
    return 2 * (size_t)PM_ARGS(step->node, pm_rope_args)->n_rot + (size_t)step->node->in[0]->dim[0];
}

static void run(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    const pm_tensor *x = step->node->in[0];
    int64_t n = x->dim[0], n_heads = x->dim[1];
    float *cos2 = context->scratch, *sin2 = cos2 + PM_ARGS(step->node, pm_rope_args)->n_rot;
    for (int64_t t = begin; t < end; t++) {
        angles(step, ((const int32_t *)step->in[1])[t], cos2, sin2);
        for (int64_t row = t * n_heads; row < (t + 1) * n_heads; row++)
            turn(step, context, (const float *)step->in[0] + row * n, cos2, sin2, (float *)step->out + row * n);
    }
}

static int64_t heads(const pm_cpu_step *step, const pm_cpu_context *context)
{
    (void)context;
    return step->node->in[0]->dim[1];
}

/* A head is one thread's, so that of two tokens at one position the later wins. */
static void run_store(const pm_cpu_step *step, const pm_cpu_context *context, int64_t begin, int64_t end)
{
    const pm_tensor *x = step->node->in[0], *cache = step->fused->out;
    int64_t n = x->dim[0], n_heads = x->dim[1], n_tokens = tokens(step, context);
    float *cos2 = context->scratch, *sin2 = cos2 + PM_ARGS(step->node, pm_rope_args)->n_rot;
    size_t row_bytes = pm_type_row_bytes(cache->type, n);
    float *turned = sin2 + PM_ARGS(step->node, pm_rope_args)->n_rot;
    for (int64_t t = 0; t < n_tokens; t++) {
        angles(step, ((const int32_t *)step->in[1])[t], cos2, sin2);
        int64_t slot = pm_cpu_clamp(((const int32_t *)step->in[3])[t], cache->dim[1]);
        for (int64_t head = begin; head < end; head++) {
            int64_t at = head * cache->dim[1] + slot;
            turn(step, context, (const float *)step->in[0] + (t * n_heads + head) * n, cos2, sin2, turned);
            pm_cpu_store_row(context, cache->type, turned, n, (char *)step->out + (size_t)at * row_bytes);
        }
    }
}

const pm_cpu_step_kind pm_cpu_step_rope = {.name = "rope", .items = tokens, .run = run, .scratch = scratch};
const pm_cpu_step_kind pm_cpu_step_rope_store = {
    .name = "rope and kv_store", .items = heads, .run = run_store, .grain = pm_cpu_grain_one, .scratch = scratch};
