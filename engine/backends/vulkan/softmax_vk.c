/* softmax on Vulkan: one workgroup a row. */
#include "backends/vulkan/op_lowering.h"
#include "softmax.push.h"

bool pm_vk_supports_softmax(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    return pm_vk_small_enough(node);
}

pm_status pm_vk_lower_softmax(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *x = node->in[0];
    struct pm_softmax_push push = {.n_row = (uint32_t)x->dim[0]};
    PM_VK_PUSH_ROWS(&push, x);
    pm_vk_team team = pm_vk_team_of(caps, PM_SHADER_SOFTMAX, PM_SHADER_SOFTMAX_SG, x->dim[0] <= 256 ? 32 : 128,
                                    3 * (double)x->dim[0]);
    return pm_vk_emit_teams(l, node, &team, &push, sizeof push, push.n_rows, 20, 8, err);
}
