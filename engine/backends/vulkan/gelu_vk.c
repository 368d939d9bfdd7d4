/* gelu on Vulkan: element by element. */
#include "backends/vulkan/elementwise.h"
#include "backends/vulkan/op_lowering.h"
#include "ops/ops.h"

bool pm_vk_supports_gelu(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    return pm_vk_small_enough(node);
}

pm_status pm_vk_lower_gelu(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    bool exact = PM_ARGS(node, pm_gelu_args)->form == PM_GELU_ERF;
    return pm_vk_lower_elementwise(l, node, exact ? PM_SHADER_GELU_ERF : PM_SHADER_GELU_TANH, 0, 24, err);
}
