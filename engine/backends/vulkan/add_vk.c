/* add on Vulkan: one variant, one invocation a value. Reads as the worked example of a lowering: ask for slices, fill
 * in the push constants, emit. */
#include "add.push.h"
#include "backends/vulkan/vk_lower.h"

bool pm_vk_supports_add(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    return pm_tensor_elems(node->out) < INT32_MAX;
}

pm_status pm_vk_lower_add(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *a = node->in[0], *b = node->in[1], *out = node->out;
    int64_t n = pm_tensor_elems(out), outer = out->dim[out->n_dims - 1];
    struct pm_add_push push = {
        .n_outer = (uint32_t)outer,
        .n_inner = (uint32_t)(n / outer),
        .counted = (uint32_t)out->rows,
        .n_b = (uint32_t)pm_tensor_elems(b),
    };
    uint32_t local = pm_vk_local_size(caps, 128);
    pm_vk_dispatch dispatch = {
        .shader = PM_SHADER_ADD,
        .spec = {local},
        .n_spec = 1,
        .push = &push,
        .push_size = sizeof push,
        .bind = {{pm_vk_tensor_slice(l, a), PM_VK_READ},
                 {pm_vk_tensor_slice(l, b), PM_VK_READ},
                 {pm_vk_tensor_slice(l, out), PM_VK_WRITE}},
        .n_bind = 3,
        .flops = (double)n,
        .bytes = 12.0 * (double)n,
        .why = "one invocation a value",
    };
    pm_vk_grid(caps, ((uint64_t)n + local - 1) / local, dispatch.groups);
    return pm_vk_emit(l, &dispatch, err);
}
