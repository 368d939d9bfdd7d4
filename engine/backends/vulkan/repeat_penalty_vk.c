/* repeat_penalty on Vulkan: a copy, then one invocation a token of the history. */
#include "backends/vulkan/op_lowering.h"
#include "repeat_penalty.push.h"

bool pm_vk_supports_repeat_penalty(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    return pm_vk_small_enough(node);
}

pm_status pm_vk_lower_repeat_penalty(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *logits = node->in[0], *history = node->in[1], *settings = node->in[2];
    struct pm_repeat_penalty_push push = {.n_row = (uint32_t)logits->dim[0],
                                          .n_history = (uint32_t)history->dim[0]};
    PM_VK_PUSH_ROWS(&push, logits);
    uint64_t n = (uint64_t)pm_tensor_elems(logits), n_marks = (uint64_t)push.n_rows * push.n_history;
    uint32_t local = pm_vk_local_size(caps, 64);
    pm_vk_slice from = pm_vk_tensor_slice(l, logits), to = pm_vk_tensor_slice(l, node->out);
    pm_vk_dispatch copy = {
        .shader = PM_SHADER_REPEAT_PENALTY_COPY,
        .spec = {local},
        .n_spec = 1,
        .push = &push,
        .push_size = sizeof push,
        .bind = {{from, PM_VK_READ}, {to, PM_VK_WRITE}},
        .n_bind = 2,
        .bytes = 8.0 * (double)n,
        .why = "copy",
    };
    pm_vk_grid(caps, (n + local - 1) / local, copy.groups);
    PM_TRY(pm_vk_emit(l, &copy, err));
    pm_vk_dispatch mark = {
        .shader = PM_SHADER_REPEAT_PENALTY,
        .spec = {local, 0, settings != NULL},
        .n_spec = 3,
        .push = &push,
        .push_size = sizeof push,
        .bind = {{from, PM_VK_READ},
                 {pm_vk_tensor_slice(l, history), PM_VK_READ},
                 {settings ? pm_vk_tensor_slice(l, settings) : pm_vk_slice_none(l), PM_VK_READ},
                 {to, PM_VK_READ_WRITE}},
        .n_bind = 4,
        .flops = (double)n_marks,
        .bytes = 4.0 * (double)n_marks * (double)push.n_history,
        .why = "one invocation a token of the history",
    };
    pm_vk_grid(caps, (n_marks + local - 1) / local, mark.groups);
    return pm_vk_emit(l, &mark, err);
}
