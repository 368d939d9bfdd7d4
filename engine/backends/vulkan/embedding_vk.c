/* embedding on Vulkan: rows of a weight in units, chunk by chunk, or of plain F32 rows. */
#include "backends/vulkan/op_lowering.h"
#include "backends/vulkan/weight_layout.h"
#include "embedding.push.h"

bool pm_vk_supports_embedding(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    const pm_tensor *table = node->in[0];
    return pm_vk_small_enough(node) && table->dim[1] < INT32_MAX &&
           (table->role == PM_ROLE_WEIGHT ? pm_vk_weight_type_index(table->type) >= 0
                                          : table->type == PM_TYPE_F32);
}

pm_status pm_vk_lower_embedding(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *table = node->in[0], *out = node->out;
    const pm_vk_weight_layout *layout = pm_vk_tensor_layout(l, table);
    bool units = layout && layout->format == PM_VK_WEIGHT_UNITS;
    struct pm_embedding_push push = {
        .n_row = (uint32_t)out->dim[0],
        .n_blocks = pm_vk_weight_blocks(out->dim[0]),
        .n_table = (uint32_t)table->dim[1],
    };
    PM_VK_PUSH_ROWS(&push, out);
    uint32_t local = pm_vk_local_size(caps, caps->software ? 16 : 64);
    double n = (double)pm_tensor_elems(out);
    pm_vk_dispatch d = {
        .shader = PM_SHADER_EMBEDDING_ROWS,
        .spec = {local, [6] = units ? layout->interleave : 1},
        .n_spec = 7,
        .push = &push,
        .push_size = sizeof push,
        .flops = 4 * n,
        .bytes = 8 * n,
        .why = units ? "one invocation a block of 32 values" : "plain rows",
    };
    if (units)
        d.shader = (pm_shader)(PM_SHADER_EMBEDDING_F32 + pm_vk_weight_type_index(layout->type));
    uint64_t n_invocations = units ? (uint64_t)push.n_rows * push.n_blocks : (uint64_t)push.n_rows * push.n_row;
    pm_vk_grid(caps, (n_invocations + local - 1) / local, d.groups);
    for (int i = 0; i < pm_vk_n_chunks(l, table); i++) {
        pm_vk_chunk chunk = pm_vk_get_chunk(l, table, i);
        push.first = (uint32_t)chunk.first;
        push.count = (uint32_t)chunk.count;
        d.n_bind = 0;
        d.bind[d.n_bind++] = (pm_vk_binding){pm_vk_tensor_slice(l, node->in[1]), PM_VK_READ};
        for (uint32_t p = 0; p < (layout ? layout->n_planes : 1); p++)
            d.bind[d.n_bind++] = (pm_vk_binding){chunk.plane[p], PM_VK_READ};
        d.bind[d.n_bind++] = (pm_vk_binding){pm_vk_tensor_slice(l, out), PM_VK_WRITE};
        PM_TRY(pm_vk_emit(l, &d, err));
    }
    return PM_OK;
}
