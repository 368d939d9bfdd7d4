/* What a run of a node costs at least, whatever the kernel: bytes that have to come from memory or go there, each
 * once, and arithmetic. Rules of counting: pumice/profile.h. */
#ifndef PUMICE_OPS_OP_COST_H
#define PUMICE_OPS_OP_COST_H

#include "ops/ops.h"

typedef struct pm_op_cost {
    double bytes, ops;
} pm_op_cost;

/* positions: of an attention node, the values of its positions (node->in[3]); NULL: every row sees the cache as
 * far as params->n_kv. */
pm_op_cost pm_op_cost_of(const pm_node *node, const pm_run_params *params, const int32_t *positions);

#endif
