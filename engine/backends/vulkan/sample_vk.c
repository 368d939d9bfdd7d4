/* sample on Vulkan: one workgroup a row. */
#include "argmax.push.h"
#include "backends/vulkan/op_lowering.h"

enum { PASSES = 36 }; /* over a row, at most */

bool pm_vk_supports_sample(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    return pm_vk_small_enough(node) && node->in[0]->dim[0] <= 1 << 24; /* tokens are counted in floats */
}

pm_status pm_vk_lower_sample(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *x = node->in[0];
    struct pm_argmax_push push = {.n_row = (uint32_t)x->dim[0]};
    PM_VK_PUSH_ROWS(&push, x);
    uint32_t want =
        !caps->software && pm_vk_usable(caps, PM_SHADER_SAMPLE_SG) ? 512 : 256; /* what they are made for */
    pm_vk_team team = pm_vk_team_of(caps, PM_SHADER_SAMPLE, PM_SHADER_SAMPLE_SG, want, PASSES * (double)x->dim[0]);
    return pm_vk_emit_teams(l, node, &team, &push, sizeof push, push.n_rows, 10 * PASSES, 4 * PASSES, err);
}
