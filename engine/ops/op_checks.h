/* What the builders of ops share: the checks that come first, and errors that show every input's type and shape.
 */
#ifndef PUMICE_OPS_OP_CHECKS_H
#define PUMICE_OPS_OP_CHECKS_H

#include "ops/ops.h"

/* Whether building can go on: the graph has not failed and the first n_required inputs are there. */
bool pm_op_begin(pm_graph *g, pm_op op, int n_in, const pm_tensor *const *in, int n_required);

/* Fails the graph with "rms_norm('blk.0.add' F32 [576, 8], ...): why" and returns NULL. */
pm_tensor *pm_op_reject(pm_graph *g, pm_op op, int n_in, const pm_tensor *const *in, const char *why);

/* Adds the node and returns `out`, or NULL where either failed. */
pm_tensor *pm_op_finish(pm_graph *g, pm_op op, pm_tensor *out, int n_in, const pm_tensor *const *in,
                        const void *args, size_t args_size);

/* F32, and a counted dimension is not dim[0]: rows of whole values. */
bool pm_op_is_f32_rows(const pm_tensor *tensor);
/* I32 [n] with rows counted by the same parameter as `like` has them, and as many. */
bool pm_op_is_index_of(const pm_tensor *index, const pm_tensor *like);
/* NULL, or I32 [PM_ROW_SAMPLING_WORDS, R], counted as the rows of logits [V, R] are. */
bool pm_op_is_settings_of(const pm_tensor *settings, const pm_tensor *logits);
/* [D, ctx, H] of F32, F16, or Q8_0 with D a multiple of 64 (rows of whole 32-bit words). */
bool pm_op_is_cache(const pm_tensor *tensor);
bool pm_op_same_shape(const pm_tensor *a, const pm_tensor *b);

/* Index clamped into 0 .. n - 1. */
static inline int64_t pm_op_clamp(int64_t index, int64_t n)
{
    return index < 0 ? 0 : index >= n ? n - 1 : index;
}

/* Row `row` of a F32 tensor's data. */
static inline const float *pm_op_row(const void *data, const pm_tensor *tensor, int64_t row)
{
    return (const float *)data + row * tensor->dim[0];
}

#endif
