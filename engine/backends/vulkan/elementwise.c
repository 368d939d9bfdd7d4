/* Element by element: see elementwise.h and shaders/common/elementwise.push.h. */
#include "backends/vulkan/elementwise.h"

#include "backends/vulkan/op_lowering.h"
#include "common/elementwise.push.h"

pm_status pm_vk_lower_elementwise(pm_vk_lowering *l, const pm_node *node, pm_shader shader, float value,
                                  double flops_per_value, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *out = node->out, *b = node->n_in > 1 ? node->in[1] : NULL;
    int64_t n = pm_tensor_elems(out);
    bool aligned = out->dim[0] % 4 == 0;
    struct pm_elementwise_push push = {
        .n_row = (uint32_t)out->dim[0], .repeat_b = b && pm_tensor_elems(b) != n, .value = value};
    PM_VK_PUSH_ROWS(&push, out);
    if (out->n_dims == 1 && out->rows != PM_ROWS_FIXED) { /* the counted dimension is dim[0] itself */
        push.n_row = 1;
        aligned = false;
    }
    uint32_t local = pm_vk_local_size(caps, caps->software ? 32 : 128);
    pm_vk_dispatch d = {.shader = shader,
                        .spec = {local, aligned},
                        .n_spec = 2,
                        .push = &push,
                        .push_size = sizeof push,
                        .flops = flops_per_value * (double)n,
                        .bytes = 4.0 * (node->n_in + 1) * (double)n,
                        .why = aligned ? "four values an invocation" : "one value an invocation: odd rows"};
    for (int i = 0; i < node->n_in; i++)
        d.bind[d.n_bind++] = (pm_vk_binding){pm_vk_tensor_slice(l, node->in[i]), PM_VK_READ};
    d.bind[d.n_bind++] = (pm_vk_binding){pm_vk_tensor_slice(l, out), PM_VK_WRITE};
    uint64_t n_invocations = aligned ? (uint64_t)n / 4 : (uint64_t)n;
    pm_vk_grid(caps, (n_invocations + local - 1) / local, d.groups);
    return pm_vk_emit(l, &d, err);
}
