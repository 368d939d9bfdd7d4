/* rope and kv_store in one dispatch (rope_store.comp), of one token; on GPUs also of a few. */
#include "backends/vulkan/op_lowering.h"
#include "backends/vulkan/vk_groups.h"
#include "ops/ops.h"
#include "rope_store.push.h"

enum { ROWS, POSITIONS, TABLE };
enum { MOST_TOKENS = 16 }; /* more take longer than the dispatches that are saved */

static bool turned_alike(const pm_node *a, const pm_node *b)
{
    const pm_rope_args *x = PM_ARGS(a, pm_rope_args), *y = PM_ARGS(b, pm_rope_args);
    return a->in[POSITIONS] == b->in[POSITIONS] && a->in[TABLE] == b->in[TABLE] && x->n_rot == y->n_rot &&
           x->interleaved == y->interleaved && a->in[ROWS]->dim[0] == b->in[ROWS]->dim[0];
}

bool pm_vk_rope_store_takes(pm_vk_lowering *l, const pm_vk_turn_group *g)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *q = g->turn_q->in[ROWS], *k = g->turn_k->in[ROWS], *v = g->store_v->in[ROWS];
    const pm_tensor *keys = g->store_k->out, *values = g->store_v->out;
    return q->n_dims == 3 && k->n_dims == 3 && q->dim[2] <= (caps->software ? 1 : MOST_TOKENS) &&
           k->dim[2] == q->dim[2] && g->turn_q->in[POSITIONS]->n_dims == 1 && turned_alike(g->turn_q, g->turn_k) &&
           q->dim[0] % 4 == 0 && PM_ARGS(g->turn_q, pm_rope_args)->n_rot == q->dim[0] && v->dim[0] == q->dim[0] &&
           v->dim[1] == k->dim[1] && pm_tensor_rows(v) == pm_tensor_rows(k) && keys->type == values->type &&
           keys->type != PM_TYPE_Q8_0 /* blocks are of neighbours, which rope turns apart */ &&
           keys->dim[1] == values->dim[1] && g->store_k->in[POSITIONS] == g->store_v->in[POSITIONS] &&
           pm_vk_n_chunks(l, keys) == 1 && pm_vk_n_chunks(l, values) == 1;
}

pm_status pm_vk_lower_rope_store(pm_vk_lowering *l, const pm_vk_turn_group *g, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *q = g->turn_q->in[ROWS], *k = g->turn_k->in[ROWS], *table = g->turn_q->in[TABLE];
    const pm_tensor *keys = g->store_k->out;
    bool f16 = keys->type == PM_TYPE_F16;
    struct pm_rope_store_push push = {
        .n_head = (uint32_t)q->dim[0],
        .n_heads = (uint32_t)q->dim[1],
        .n_kv_heads = (uint32_t)k->dim[1],
        .n_positions = (uint32_t)((table->dim[2] - PM_ROPE_FINE) * PM_ROPE_FINE),
        .n_fine = PM_ROPE_FINE,
        .n_ctx = (uint32_t)keys->dim[1],
    };
    PM_VK_PUSH_OUTER(&push, q);
    uint64_t n = (push.n_heads + 2ull * push.n_kv_heads) * push.n_head / 4 * push.n_rows;
    uint32_t local = pm_vk_local_size(caps, 64);
    pm_vk_access put = f16 ? PM_VK_READ_WRITE : PM_VK_WRITE;
    pm_vk_dispatch d = {
        .shader = f16 ? PM_SHADER_ROPE_STORE_F16 : PM_SHADER_ROPE_STORE_F32,
        .spec = {local, (uint32_t)PM_ARGS(g->turn_q, pm_rope_args)->interleaved},
        .n_spec = 2,
        .push = &push,
        .push_size = sizeof push,
        .bind = {{pm_vk_tensor_slice(l, q), PM_VK_READ},
                 {pm_vk_tensor_slice(l, k), PM_VK_READ},
                 {pm_vk_tensor_slice(l, g->store_v->in[ROWS]), PM_VK_READ},
                 {pm_vk_tensor_slice(l, g->turn_q->in[POSITIONS]), PM_VK_READ},
                 {pm_vk_tensor_slice(l, g->store_k->in[POSITIONS]), PM_VK_READ},
                 {pm_vk_tensor_slice(l, table), PM_VK_READ},
                 {pm_vk_tensor_slice(l, g->turn_q->out), PM_VK_WRITE},
                 {pm_vk_tensor_slice(l, keys), put},
                 {pm_vk_tensor_slice(l, g->store_v->out), put}},
        .n_bind = 9,
        .flops = 24 * (double)n,
        .bytes = 32 * (double)n,
        .why = "queries and keys turned, keys and values stored",
    };
    pm_vk_grid(caps, (n + local - 1) / local, d.groups);
    return pm_vk_emit(l, &d, err);
}
