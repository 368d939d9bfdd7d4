/* rope: rotary position embedding. Contract: ops.h; the table of angles is made in rope_table.c. */
#include "ops/op_checks.h"

#include <string.h>

pm_tensor *pm_rope(pm_graph *g, const pm_tensor *x, const pm_tensor *positions, const pm_tensor *table,
                   int32_t n_rot, bool interleaved)
{
    const pm_tensor *in[] = {x, positions, table};
    if (!pm_op_begin(g, PM_OP_ROPE, 3, in, 3))
        return NULL;
    if (x->type != PM_TYPE_F32 || x->n_dims != 3)
        return pm_op_reject(g, PM_OP_ROPE, 3, in, "x must be F32 [D, H, T]");
    if (!pm_op_is_index_of(positions, x))
        return pm_op_reject(g, PM_OP_ROPE, 3, in, "the positions must be I32 [T], counted as the rows of x");
    if (n_rot < 2 || n_rot % 2 || n_rot > x->dim[0])
        return pm_op_reject(g, PM_OP_ROPE, 3, in, "n_rot must be even, at least 2 and at most D");
    if (table->type != PM_TYPE_F32 || table->n_dims != 3 || table->dim[0] != 2 || table->dim[1] != n_rot / 2 ||
        table->dim[2] <= PM_ROPE_FINE)
        return pm_op_reject(g, PM_OP_ROPE, 3, in, "the table must be F32 [2, n_rot/2, PM_ROPE_FINE + n_coarse]");
    const pm_rope_args args = {.n_rot = n_rot, .interleaved = interleaved};
    pm_tensor *out = pm_graph_activation(g, PM_TYPE_F32, 3, x->dim, x->rows, "rope");
    return pm_op_finish(g, PM_OP_ROPE, out, 3, in, &args, sizeof args);
}

/* Cosine and sine at a position, by cos(a + b) = cos a cos b - sin a sin b and sin(a + b) = sin a cos b + cos a
 * sin b. */
static void angle_at(const float *table, int64_t n_pairs, int64_t position, int64_t pair, double *cosine,
                     double *sine)
{
    const float *fine = table + 2 * (position % PM_ROPE_FINE * n_pairs + pair);
    const float *coarse = table + 2 * ((PM_ROPE_FINE + position / PM_ROPE_FINE) * n_pairs + pair);
    double ca = (double)fine[0], sa = (double)fine[1], cb = (double)coarse[0], sb = (double)coarse[1];
    *cosine = ca * cb - sa * sb;
    *sine = sa * cb + ca * sb;
}

void pm_ref_rope(const pm_op_call *call)
{
    const pm_tensor *x = call->node->in[0], *table = call->node->in[2];
    const pm_rope_args *args = PM_ARGS(call->node, pm_rope_args);
    int64_t n_pairs = args->n_rot / 2, n_heads = x->dim[1], begin, end;
    int64_t n_positions = (table->dim[2] - PM_ROPE_FINE) * PM_ROPE_FINE;
    pm_op_share(call, pm_tensor_rows_now(x, call->params), &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        int64_t position = pm_op_clamp(((const int32_t *)call->in[1])[row / n_heads], n_positions);
        const float *from = pm_op_row(call->in[0], x, row);
        float *to = (float *)call->out + row * x->dim[0];
        for (int64_t i = 0; i < n_pairs; i++) {
            double cosine, sine;
            angle_at(call->in[2], n_pairs, position, i, &cosine, &sine);
            int64_t first = args->interleaved ? 2 * i : i, second = args->interleaved ? 2 * i + 1 : i + n_pairs;
            double a = (double)from[first], b = (double)from[second];
            to[first] = (float)(a * cosine - b * sine);
            to[second] = (float)(a * sine + b * cosine);
        }
        for (int64_t i = args->n_rot; i < x->dim[0]; i++)
            to[i] = from[i];
    }
}
