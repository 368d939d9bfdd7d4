/* Groups of nodes that one dispatch does, where a dispatch costs as much as a small op: in graphs of one token,
 * and on GPUs of a few. Found before nodes are lowered; a group is lowered in the place of its last node. Programs
 * that run node by node have none. */
#ifndef PUMICE_BACKENDS_VULKAN_VK_GROUPS_H
#define PUMICE_BACKENDS_VULKAN_VK_GROUPS_H

#include "backends/vulkan/vk_lower.h"

enum { PM_VK_ROW_PARTS = 3 };

/* Products of the same rows of x (matmul_vec.comp; on software devices of one row, matmul_row.comp): of up to
 * three weights of one type, maybe with the RMSNorm that makes their x, maybe with the swiglu that takes both of
 * them. */
typedef struct pm_vk_row_group {
    const pm_node *norm; /* NULL: x is read as it is */
    const pm_node *matmul[PM_VK_ROW_PARTS];
    int n;
    const pm_node *swiglu; /* NULL: the products are written */
} pm_vk_row_group;

/* Queries and keys turned, keys and values stored (rope_store.comp). */
typedef struct pm_vk_turn_group {
    const pm_node *turn_q, *turn_k, *store_k, *store_v;
} pm_vk_turn_group;

/* Whether products can be done by one dispatch of matmul_row.comp (a row of x, whole blocks, texel buffers), or of
 * matmul_vec.comp (whole blocks, weights in one buffer). */
bool pm_vk_matmul_row_joins(pm_vk_lowering *l, const pm_node *const *matmul, int n);
bool pm_vk_matmul_vec_joins(pm_vk_lowering *l, const pm_node *const *matmul, int n);

/* Whether a product alone, of any shape, can be done by matmul_vec.comp: few rows of x, on a GPU. */
bool pm_vk_matmul_vec_takes(pm_vk_lowering *l, const pm_node *matmul);
pm_status pm_vk_lower_matmul_row(pm_vk_lowering *l, const pm_vk_row_group *group, pm_error *err);
pm_status pm_vk_lower_matmul_vec(pm_vk_lowering *l, const pm_vk_row_group *group, pm_error *err);

bool pm_vk_rope_store_takes(pm_vk_lowering *l, const pm_vk_turn_group *group);
pm_status pm_vk_lower_rope_store(pm_vk_lowering *l, const pm_vk_turn_group *group, pm_error *err);

typedef enum pm_vk_group_kind { PM_VK_GROUP_ROW, PM_VK_GROUP_TURN } pm_vk_group_kind;

typedef struct pm_vk_group {
    pm_vk_group_kind kind;
    size_t last; /* the node in whose place it is lowered */
    pm_vk_row_group row;
    pm_vk_turn_group turn;
} pm_vk_group;

typedef struct pm_vk_groups {
    pm_vk_group *list;
    size_t n;
    int32_t *of_node; /* by node: 1 + its group's index; 0: none */
} pm_vk_groups;

pm_status pm_vk_groups_find(pm_vk_lowering *l, const pm_graph *graph, pm_vk_groups *out, pm_error *err);
void pm_vk_groups_free(pm_vk_groups *groups);

#endif
