/* What holds for all ops: the table of reference kernels, the shares of parallel parts, the builders' common
 * checks. */
#include "ops/op_checks.h"

#include <stdio.h>
#include <string.h>

pm_reference_fn pm_op_reference(pm_op op)
{
    static const pm_reference_fn kernels[PM_OP_COUNT] = {
#define OP_KERNEL(upper, lower) pm_ref_##lower,
        PM_OP_LIST(OP_KERNEL)
#undef OP_KERNEL
    };
    unsigned index = (unsigned)op;
    return index < PM_OP_COUNT ? kernels[index] : NULL;
}

void pm_op_share(const pm_op_call *call, int64_t n_items, int64_t *begin, int64_t *end)
{
    *begin = n_items / call->n_parts * call->part + n_items % call->n_parts * call->part / call->n_parts;
    int64_t next = call->part + 1;
    *end = n_items / call->n_parts * next + n_items % call->n_parts * next / call->n_parts;
}

bool pm_op_begin(pm_graph *g, pm_op op, int n_in, const pm_tensor *const *in, int n_required)
{
    if (g->error.status != PM_OK)
        return false;
    for (int i = 0; i < n_required && i < n_in; i++) {
        if (!in[i]) {
            pm_graph_fail(g, PM_ERR_ARGUMENT, "op %s: input %d is missing", pm_op_name(op), i);
            return false;
        }
    }
    return true;
}

pm_tensor *pm_op_reject(pm_graph *g, pm_op op, int n_in, const pm_tensor *const *in, const char *why)
{
    char list[400] = "", shape[96];
    size_t used = 0;
    for (int i = 0; i < n_in; i++) {
        int n = in[i] ? snprintf(list + used, sizeof list - used, "%s'%s' %s", i ? ", " : "", in[i]->name,
                                 pm_tensor_describe(in[i], shape, sizeof shape))
                      : snprintf(list + used, sizeof list - used, "%snone", i ? ", " : "");
        if (n < 0 || (size_t)n >= sizeof list - used)
            break;
        used += (size_t)n;
    }
    return pm_graph_fail(g, PM_ERR_ARGUMENT, "%s(%s): %s", pm_op_name(op), list, why);
}

pm_tensor *pm_op_finish(pm_graph *g, pm_op op, pm_tensor *out, int n_in, const pm_tensor *const *in,
                        const void *args, size_t args_size)
{
    return pm_graph_node(g, op, out, n_in, in, args, args_size) ? out : NULL;
}

bool pm_op_is_f32_rows(const pm_tensor *tensor)
{
    return tensor->type == PM_TYPE_F32 && (tensor->n_dims > 1 || tensor->rows == PM_ROWS_FIXED);
}

bool pm_op_is_index_of(const pm_tensor *index, const pm_tensor *like)
{
    return index->type == PM_TYPE_I32 && index->n_dims == 1 && index->rows == like->rows &&
           index->dim[0] == like->dim[like->n_dims - 1];
}

bool pm_op_is_settings_of(const pm_tensor *settings, const pm_tensor *logits)
{
    return !settings ||
           (settings->type == PM_TYPE_I32 && settings->n_dims == 2 && settings->rows == logits->rows &&
            settings->dim[0] == PM_ROW_SAMPLING_WORDS && settings->dim[1] == logits->dim[1]);
}

bool pm_op_is_cache(const pm_tensor *tensor)
{
    bool known = tensor->type == PM_TYPE_F32 || tensor->type == PM_TYPE_F16 ||
                 (tensor->type == PM_TYPE_Q8_0 && tensor->dim[0] % 64 == 0);
    return known && tensor->n_dims == 3 && tensor->rows == PM_ROWS_FIXED;
}

bool pm_op_same_shape(const pm_tensor *a, const pm_tensor *b)
{
    return a->type == b->type && a->n_dims == b->n_dims && a->rows == b->rows &&
           memcmp(a->dim, b->dim, sizeof a->dim) == 0;
}
