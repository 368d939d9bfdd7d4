/* rope on Vulkan: one workgroup a token and some of its heads. */
#include "backends/vulkan/op_lowering.h"
#include "ops/ops.h"
#include "rope.push.h"

bool pm_vk_supports_rope(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    return pm_vk_small_enough(node) && pm_tensor_elems(node->in[2]) < INT32_MAX;
}

pm_status pm_vk_lower_rope(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *x = node->in[0], *table = node->in[2];
    const pm_rope_args *args = PM_ARGS(node, pm_rope_args);
    struct pm_rope_push push = {
        .n_head = (uint32_t)x->dim[0],
        .n_heads = (uint32_t)x->dim[1],
        .n_pairs = (uint32_t)args->n_rot / 2,
        .n_positions = (uint32_t)((table->dim[2] - PM_ROPE_FINE) * PM_ROPE_FINE),
        .n_fine = PM_ROPE_FINE,
        /* On a GPU workgroups are what fills it; on a processor, few with much to do are best. */
        .heads_each = caps->software ? (uint32_t)x->dim[1] : 1,
    };
    PM_VK_PUSH_OUTER(&push, x);
    bool aligned = x->dim[0] % 4 == 0 && args->n_rot % 4 == 0;
    double n = (double)pm_tensor_elems(x);
    pm_vk_dispatch d = {
        .shader = PM_SHADER_ROPE,
        .spec = {pm_vk_local_size(caps, 32), aligned, (uint32_t)args->interleaved},
        .n_spec = 3,
        .push = &push,
        .push_size = sizeof push,
        .bind = {{pm_vk_tensor_slice(l, x), PM_VK_READ},
                 {pm_vk_tensor_slice(l, node->in[1]), PM_VK_READ},
                 {pm_vk_tensor_slice(l, table), PM_VK_READ},
                 {pm_vk_tensor_slice(l, node->out), PM_VK_WRITE}},
        .n_bind = 4,
        .flops = 6 * n,
        .bytes = 8 * n,
        .why = aligned ? "two pairs an invocation" : "one pair an invocation: odd rows",
    };
    pm_vk_grid(caps, (uint64_t)push.n_rows * ((push.n_heads + push.heads_each - 1) / push.heads_each), d.groups);
    return pm_vk_emit(l, &d, err);
}
