/* add on Vulkan. Reads, with elementwise.c, as the worked example of a lowering: ask for slices, fill in the push
 * constants, emit. */
#include "backends/vulkan/elementwise.h"
#include "backends/vulkan/op_lowering.h"

bool pm_vk_supports_add(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    return pm_vk_small_enough(node);
}

pm_status pm_vk_lower_add(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    return pm_vk_lower_elementwise(l, node, PM_SHADER_ADD, 0, 1, err);
}
