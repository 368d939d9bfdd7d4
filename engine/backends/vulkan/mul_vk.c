/* mul on Vulkan: element by element. */
#include "backends/vulkan/elementwise.h"
#include "backends/vulkan/op_lowering.h"

bool pm_vk_supports_mul(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    return pm_vk_small_enough(node);
}

pm_status pm_vk_lower_mul(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    return pm_vk_lower_elementwise(l, node, PM_SHADER_MUL, 0, 1, err);
}
