#include "ops/op_cost.h"

static double bytes_an_elem(const pm_tensor *t)
{
    const pm_type_info *type = pm_type_get(t->type);
    return (double)type->block_bytes / type->block_elems;
}

/* Of the rows that a run with these parameters has. */
static double elems_now(const pm_tensor *t, const pm_run_params *params)
{
    return (double)pm_tensor_rows_now(t, params) *
           (t->n_dims == 1 && t->rows != PM_ROWS_FIXED ? 1 : (double)t->dim[0]);
}

static double bytes_now(const pm_tensor *t, const pm_run_params *params)
{
    return elems_now(t, params) * bytes_an_elem(t);
}

/* Operations for each element of the result of ops that go through their input element by element. */
static double ops_an_elem(pm_op op)
{
    switch (op) {
    case PM_OP_RMS_NORM:
        return 4; /* square and add, times 1/rms, times the weight */
    case PM_OP_LAYER_NORM:
        return 8; /* sum; subtract, square and add; scale, weight, bias */
    case PM_OP_ROPE:
        return 3; /* two multiplications and an addition */
    case PM_OP_SOFTMAX:
        return 4; /* subtract, exp, sum, divide */
    case PM_OP_SILU:
        return 4; /* exp, add, divide, multiply */
    case PM_OP_SWIGLU:
        return 5;
    case PM_OP_GELU:
        return 8;
    case PM_OP_TANH:
        return 3;
    case PM_OP_RELU:
    case PM_OP_SCALE:
    case PM_OP_ADD:
    case PM_OP_MUL:
    case PM_OP_REPEAT_PENALTY:
        return 1;
    default:
        return 0;
    }
}

static pm_op_cost elementwise(const pm_node *node, const pm_run_params *params)
{
    pm_op_cost cost = {.bytes = bytes_now(node->out, params),
                       .ops = ops_an_elem(node->op) * elems_now(node->out, params)};
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i])
            cost.bytes += bytes_now(node->in[i], params);
    return cost;
}

/* W [k, n], x [k, rows], perhaps something added to the product. */
static pm_op_cost matmul(const pm_node *node, const pm_run_params *params)
{
    pm_op_cost cost = elementwise(node, params);
    cost.ops = 2.0 * (double)node->in[0]->dim[0] * elems_now(node->out, params);
    return cost;
}

/* Rows that are copied: nothing else of the table, or of the cache, is touched. */
static pm_op_cost rows_copied(double n_elems, const pm_tensor *from, const pm_tensor *to)
{
    return (pm_op_cost){.bytes = n_elems * (bytes_an_elem(from) + bytes_an_elem(to))};
}

/* Each query head meets every slot that its row sees, twice: scores and sums. The cache is read once, however many
 * rows and heads share a slot; rows of one sequence come one after the other. */
static pm_op_cost attention(const pm_node *node, const pm_run_params *params, const int32_t *positions)
{
    const pm_tensor *q = node->in[0], *k = node->in[1];
    double pairs = 0, slots = 0;
    int64_t n = pm_tensor_rows_now(q, params) / (q->dim[1] > 0 ? q->dim[1] : 1);
    pm_attention_span range = {0};
    for (int64_t t = 0; t < n; t++) {
        pm_attention_span span = {.last = params->n_kv - 1};
        if (positions)
            span = pm_attention_span_of(node, positions, t);
        pairs += (double)(span.last - span.first + 1);
        if (t == 0 || span.sequence != range.sequence || span.first > range.last || span.last < range.first) {
            slots += t > 0 ? (double)(range.last - range.first + 1) : 0;
            range = span;
        } else {
            range.first = span.first < range.first ? span.first : range.first;
            range.last = span.last > range.last ? span.last : range.last;
        }
    }
    slots += n > 0 ? (double)(range.last - range.first + 1) : 0;
    return (pm_op_cost){.bytes = bytes_now(q, params) + bytes_now(node->out, params) +
                                 2 * slots * (double)(k->dim[0] * k->dim[2]) * bytes_an_elem(k),
                        .ops = 4 * pairs * (double)(q->dim[0] * q->dim[1])};
}

pm_op_cost pm_op_cost_of(const pm_node *node, const pm_run_params *params, const int32_t *positions)
{
    switch (node->op) {
    case PM_OP_MATMUL:
        return matmul(node, params);
    case PM_OP_ATTENTION:
        return attention(node, params, positions);
    case PM_OP_EMBEDDING:
        return rows_copied(elems_now(node->out, params), node->in[0], node->out);
    case PM_OP_KV_STORE:
        return rows_copied(elems_now(node->in[0], params), node->in[0], node->out);
    case PM_OP_KV_COPY:
        return (pm_op_cost){0}; /* how many slots move is known by its inputs alone */
    case PM_OP_ROPE: {          /* of the table of angles no more is read than a row a token: not counted */
        double n = elems_now(node->out, params);
        return (pm_op_cost){.bytes = 2 * n * bytes_an_elem(node->out), .ops = ops_an_elem(PM_OP_ROPE) * n};
    }
    default:
        return elementwise(node, params);
    }
}
