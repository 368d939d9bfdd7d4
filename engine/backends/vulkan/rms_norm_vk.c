/* rms_norm on Vulkan: one workgroup a row. */
#include "backends/vulkan/op_lowering.h"
#include "ops/ops.h"
#include "rms_norm.push.h"

bool pm_vk_supports_rms_norm(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    return pm_vk_small_enough(node);
}

pm_status pm_vk_lower_rms_norm(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *x = node->in[0], *weight = node->n_in > 1 ? node->in[1] : NULL;
    struct pm_rms_norm_push push = {.n_row = (uint32_t)x->dim[0], .eps = PM_ARGS(node, pm_rms_norm_args)->eps};
    PM_VK_PUSH_ROWS(&push, x);
    uint32_t want = x->dim[0] <= 256 ? 32 : x->dim[0] <= 1024 ? 128 : 256;
    pm_vk_team team = pm_vk_team_of(caps, PM_SHADER_RMS_NORM, PM_SHADER_RMS_NORM_SG, want, 2 * (double)x->dim[0]);
    double n = (double)pm_tensor_elems(x);
    pm_vk_dispatch d = {
        .shader = team.shader,
        .spec = {team.local, team.one_subgroup, x->dim[0] % 4 == 0, weight != NULL},
        .n_spec = 4,
        .push = &push,
        .push_size = sizeof push,
        .bind = {{pm_vk_tensor_slice(l, x), PM_VK_READ},
                 {weight ? pm_vk_tensor_slice(l, weight) : pm_vk_slice_none(l), PM_VK_READ},
                 {pm_vk_tensor_slice(l, node->out), PM_VK_WRITE}},
        .n_bind = 3,
        .subgroup_size = team.subgroup_size,
        .flops = 4 * n,
        .bytes = 8 * n,
        .why = team.why,
    };
    pm_vk_grid(caps, push.n_rows, d.groups);
    return pm_vk_emit(l, &d, err);
}
