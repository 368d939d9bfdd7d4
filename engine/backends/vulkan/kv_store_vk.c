/* kv_store on Vulkan: one workgroup a token, for each chunk of the cache. */
#include "backends/vulkan/op_lowering.h"
#include "kv_store.push.h"

bool pm_vk_supports_kv_store(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    return pm_tensor_elems(node->in[0]) < INT32_MAX && node->out->dim[0] * node->out->dim[1] < INT32_MAX;
}

pm_status pm_vk_lower_kv_store(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *rows = node->in[0], *cache = node->out;
    struct pm_kv_store_push push = {
        .n_head = (uint32_t)cache->dim[0],
        .n_heads = (uint32_t)rows->dim[1],
        .n_ctx = (uint32_t)cache->dim[1],
    };
    PM_VK_PUSH_OUTER(&push, rows);
    bool whole_words = cache->type == PM_TYPE_F32;
    double n = (double)pm_tensor_elems(rows);
    pm_vk_dispatch d = {
        .shader = PM_VK_BY_CACHE(cache->type, KV_STORE),
        .spec = {pm_vk_local_size(caps, caps->software ? 16 : 64)},
        .n_spec = 1,
        .push = &push,
        .push_size = sizeof push,
        .bind = {{pm_vk_tensor_slice(l, rows), PM_VK_READ}, {pm_vk_tensor_slice(l, node->in[1]), PM_VK_READ}},
        .n_bind = 3,
        .flops = 8 * n,
        .bytes = 8 * n,
        .why = pm_vk_cache_name(cache->type),
    };
    pm_vk_grid(caps, push.n_rows, d.groups);
    for (int i = 0; i < pm_vk_n_chunks(l, cache); i++) {
        pm_vk_chunk chunk = pm_vk_get_chunk(l, cache, i);
        push.first_head = (uint32_t)chunk.first;
        push.count = (uint32_t)chunk.count;
        d.bind[2] = (pm_vk_binding){chunk.plane[0], whole_words ? PM_VK_WRITE : PM_VK_READ_WRITE};
        PM_TRY(pm_vk_emit(l, &d, err));
    }
    return PM_OK;
}
