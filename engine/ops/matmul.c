/* matmul: rows of activations times a weight matrix of any type. Contract: ops.h. */
#include "ops/op_checks.h"

#include <stdio.h>
#include <string.h>

#include "formats/block_types.h"

/* The product of weight 'blk.0.attn_q.weight' is called 'blk.0.attn_q'. */
static void name_after_weight(const pm_tensor *weight, char *name, size_t capacity)
{
    static const char suffix[] = ".weight";
    size_t length = strlen(weight->name);
    if (length > sizeof suffix - 1 && strcmp(weight->name + length - (sizeof suffix - 1), suffix) == 0)
        length -= sizeof suffix - 1;
    if (weight->role != PM_ROLE_WEIGHT || length == 0)
        snprintf(name, capacity, "matmul");
    else
        snprintf(name, capacity, "%.*s", (int)length, weight->name);
}

pm_tensor *pm_matmul(pm_graph *g, const pm_tensor *weight, const pm_tensor *x, const pm_tensor *bias,
                     const pm_tensor *residual)
{
    const pm_tensor *in[] = {weight, x, bias, residual};
    if (!pm_op_begin(g, PM_OP_MATMUL, 4, in, 2))
        return NULL;
    if (weight->n_dims != 2 || weight->type == PM_TYPE_I32)
        return pm_op_reject(g, PM_OP_MATMUL, 4, in, "the weight must be [K, N] of a float or quantised type");
    if (x->type != PM_TYPE_F32 || x->n_dims != 2 || x->dim[0] != weight->dim[0])
        return pm_op_reject(g, PM_OP_MATMUL, 4, in, "x must be F32 [K, T] with the weight's K");
    if (bias && (bias->type != PM_TYPE_F32 || bias->n_dims != 1 || bias->dim[0] != weight->dim[1] ||
                 bias->rows != PM_ROWS_FIXED))
        return pm_op_reject(g, PM_OP_MATMUL, 4, in, "the bias must be F32 [N]");
    const int64_t dims[2] = {weight->dim[1], x->dim[1]};
    char name[sizeof weight->name];
    name_after_weight(weight, name, sizeof name);
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, 2, dims, x->rows, name);
    if (out && residual && !pm_op_same_shape(out, residual))
        return pm_op_reject(g, PM_OP_MATMUL, 4, in,
                            "the residual must be F32 [N, T], its rows counted as those of x");
    return pm_op_finish(g, PM_OP_MATMUL, out, 4, in, NULL, 0);
}

enum { CHUNK = 4096, ROWS = 32, LANES = 8 };

/* Eight running sums: the compiler can keep them in vector registers, and rounding shrinks rather than grows. */
static double dot(const float *a, const float *b, int64_t n)
{
    double sums[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            sums[lane] += (double)a[i + lane] * (double)b[i + lane];
    for (; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    for (int lane = 0; lane < LANES; lane++)
        sum += sums[lane];
    return sum;
}

/* out[n, first_row ...] for n_rows rows of x: the weight's row is made float a chunk (whole blocks) at a time. */
static void product_row(const pm_op_call *call, int64_t n, int64_t first_row, int64_t n_rows, double *sums)
{
    const pm_tensor *weight = call->node->in[0], *x = call->node->in[1];
    const char *row = (const char *)call->in[0] + (size_t)n * pm_type_row_bytes(weight->type, weight->dim[0]);
    float values[CHUNK];
    memset(sums, 0, (size_t)n_rows * sizeof *sums);
    for (int64_t k = 0; k < weight->dim[0]; k += CHUNK) {
        int64_t count = weight->dim[0] - k < CHUNK ? weight->dim[0] - k : CHUNK;
        pm_dequantize_row(weight->type, row + pm_type_row_bytes(weight->type, k), values, count);
        for (int64_t t = 0; t < n_rows; t++)
            sums[t] += dot(values, pm_op_row(call->in[1], x, first_row + t) + k, count);
    }
}

void pm_ref_matmul(const pm_op_call *call)
{
    const pm_tensor *out = call->node->out;
    const float *bias = call->in[2];
    int64_t n_rows = pm_tensor_rows_now(out, call->params), begin, end;
    double sums[ROWS];
    pm_op_share(call, out->dim[0], &begin, &end);
    for (int64_t n = begin; n < end; n++) {
        for (int64_t t0 = 0; t0 < n_rows; t0 += ROWS) {
            int64_t count = n_rows - t0 < ROWS ? n_rows - t0 : ROWS;
            product_row(call, n, t0, count, sums);
            for (int64_t t = 0; t < count; t++) {
                int64_t at = n + (t0 + t) * out->dim[0];
                double sum = sums[t] + (bias ? (double)bias[n] : 0);
                sum += call->in[3] ? (double)((const float *)call->in[3])[at] : 0;
                ((float *)call->out)[at] = (float)sum;
            }
        }
    }
}
