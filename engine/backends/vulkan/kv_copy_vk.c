/* kv_copy on Vulkan: one workgroup a copy, for each chunk of the cache. */
#include "backends/vulkan/op_lowering.h"
#include "kv_copy.push.h"

bool pm_vk_supports_kv_copy(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    return pm_tensor_elems(node->in[0]) < INT32_MAX && node->out->dim[0] * node->out->dim[1] < INT32_MAX;
}

pm_status pm_vk_lower_kv_copy(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *from = node->in[0], *cache = node->out;
    struct pm_kv_copy_push push = {.n_words = (uint32_t)pm_type_row_bytes(cache->type, cache->dim[0]) / 4,
                                   .n_ctx = (uint32_t)cache->dim[1]};
    PM_VK_PUSH_OUTER(&push, from);
    pm_vk_dispatch d = {
        .shader = PM_SHADER_KV_COPY,
        .spec = {pm_vk_local_size(caps, caps->software ? 16 : 64)},
        .n_spec = 1,
        .push = &push,
        .push_size = sizeof push,
        .bind = {{pm_vk_tensor_slice(l, from), PM_VK_READ}, {pm_vk_tensor_slice(l, node->in[1]), PM_VK_READ}},
        .n_bind = 3,
        .why = pm_vk_cache_name(cache->type),
    };
    pm_vk_grid(caps, push.n_rows, d.groups);
    for (int i = 0; i < pm_vk_n_chunks(l, cache); i++) {
        pm_vk_chunk chunk = pm_vk_get_chunk(l, cache, i);
        push.n_heads = (uint32_t)chunk.count;
        d.bytes = 8.0 * push.n_words * push.n_heads * push.n_rows;
        d.bind[2] = (pm_vk_binding){chunk.plane[0], PM_VK_READ_WRITE};
        PM_TRY(pm_vk_emit(l, &d, err));
    }
    return PM_OK;
}
