/* reshape: a view under another shape. No op of its own: nothing runs. Contract: ops.h. */
#include "ops/ops.h"

pm_tensor *pm_reshape(pm_graph *g, const pm_tensor *x, int n_dims, const int64_t *dims)
{
    if (g->error.status != PM_OK)
        return NULL;
    if (!x)
        return pm_graph_fail(g, PM_ERR_ARGUMENT, "reshape: the tensor is missing");
    if (n_dims < 1 || n_dims > PM_MAX_DIMS)
        return pm_graph_fail(g, PM_ERR_ARGUMENT, "reshape of '%s' to %d dimensions", x->name, n_dims);
    if (x->rows != PM_ROWS_FIXED && dims[n_dims - 1] != x->dim[x->n_dims - 1])
        return pm_graph_fail(g, PM_ERR_ARGUMENT,
                             "reshape of '%s': its last dimension, %lld, is counted and must stay last", x->name,
                             (long long)x->dim[x->n_dims - 1]);
    return pm_graph_view(g, x, n_dims, dims);
}
