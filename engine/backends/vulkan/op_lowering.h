/* What the lowerings of ops share: counted rows as push constants, and teams: how many invocations work on a row
 * together and how they add up their shares. */
#ifndef PUMICE_BACKENDS_VULKAN_OP_LOWERING_H
#define PUMICE_BACKENDS_VULKAN_OP_LOWERING_H

#include "backends/vulkan/vk_lower.h"

/* Fills the PM_PUSH_ROWS of a push-constant struct: the rows of `tensor`, counted as it counts them. */
#define PM_VK_PUSH_ROWS(push, tensor) pm_vk_push_rows(tensor, &(push)->n_rows, &(push)->rows_of, &(push)->rows_per)
void pm_vk_push_rows(const pm_tensor *tensor, uint32_t *n_rows, uint32_t *rows_of, uint32_t *rows_per);

/* The same where what matters is the outermost dimension alone: tokens, outputs. */
#define PM_VK_PUSH_OUTER(push, tensor)                                                                            \
    pm_vk_push_outer(tensor, &(push)->n_rows, &(push)->rows_of, &(push)->rows_per)
void pm_vk_push_outer(const pm_tensor *tensor, uint32_t *n_rows, uint32_t *rows_of, uint32_t *rows_per);

/* A workgroup that reduces (shaders/common/reduce.glsl). Use: shader, spec[0] = local, spec[1] = one_subgroup,
 * subgroup_size of the dispatch. */
typedef struct pm_vk_team {
    pm_shader shader;
    uint32_t local;
    uint32_t one_subgroup; /* 1: the workgroup is a single subgroup, no shared memory is needed */
    uint32_t subgroup_size;
    const char *why;
} pm_vk_team;

/* The team of about `want` invocations for a shader with a plain form and one with subgroup arithmetic. On a
 * software device a single subgroup, as invocations beyond its width run one after another there and barriers cost
 * most; but not where `steps`, the loop iterations that one invocation alone would make, are too many for it:
 * lavapipe ends every loop when an invocation has made 65535 iterations, and says nothing. */
pm_vk_team pm_vk_team_of(const pm_vk_caps *caps, pm_shader plain, pm_shader subgroup, uint32_t want, double steps);

/* Emits a dispatch of one team for each of n_rows rows, from node->in[0] to node->out, with the team's two
 * specialization constants alone. flops and bytes: an element of the input's. */
pm_status pm_vk_emit_teams(pm_vk_lowering *l, const pm_node *node, const pm_vk_team *team, const void *push,
                           uint32_t push_size, uint32_t n_rows, double flops, double bytes, pm_error *err);

/* Whether a subgroup of exactly limits.subgroup_size can be had, and the .subgroup_size to ask for (0: none
 * needed). */
bool pm_vk_subgroup_known(const pm_vk_caps *caps, uint32_t *size_to_ask);

/* The number of a weight type in the list of weight shaders (shaders/CMakeLists.txt); -1: not a weight's type. */
int pm_vk_weight_type_index(pm_type type);

/* Which of a shader's binaries is for caches of this type, and what `why` says of it. */
#define PM_VK_BY_CACHE(type, name)                                                                                \
    ((type) == PM_TYPE_F32   ? PM_SHADER_##name##_F32                                                             \
     : (type) == PM_TYPE_F16 ? PM_SHADER_##name##_F16                                                             \
                             : PM_SHADER_##name##_Q8_0)
const char *pm_vk_cache_name(pm_type type);

/* All elements of all tensors of the node can be numbered with 31 bits, as shaders do. */
bool pm_vk_small_enough(const pm_node *node);

/* Derived values (pm_vk_derived) of all ops. */
enum { PM_VK_DERIVED_NONE, PM_VK_DERIVED_I8_BLOCKS, PM_VK_DERIVED_HALVES };

#endif
