/* attention on Vulkan, for each chunk of the caches (which are split by heads):
 *
 *   attention_[sg_]<cache>     one workgroup a token and query head
 *   attention_rows<D>_<cache>  one subgroup for as many query rows of a cache head, on software devices
 *   attention_coop<D>_<cache>  four subgroups for 64 query rows of a cache head, where there are many: on GPUs with
 *                              cooperative matrices
 *   attention_few_<cache>      on GPUs, for few tokens: one workgroup a token and cache head
 *
 * Where few tokens meet a long context, the range of positions is split as well and a second pass merges the
 * parts (attention_few does so itself). Dispatches over the work limit are cut by tokens. */
#include "attention.push.h"
#include "backends/vulkan/op_lowering.h"
#include "ops/ops.h"

enum { Q, K_CACHE, V_CACHE, POSITIONS, BIAS, PAGES };
enum { FEW_TOKENS = 16, FEW_HEADS = 4, FEW_BINDINGS = 8, FEW_VALUES = 8 /* of a head, an invocation's share */ };
enum { PARTS_MOST = 32, PART_POSITIONS = 256, ENOUGH_WORKGROUPS = 256, LOOP_STEPS = 32768 };
enum { COOP_ROWS = 64, COOP_TOKENS = 17, COOP_SHARED = 40 << 10 /* at most: attention_coop.comp */ };

bool pm_vk_supports_attention(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    const pm_tensor *k = node->in[K_CACHE];
    return pm_vk_small_enough(node) && node->in[Q]->dim[0] <= 512 && k->dim[0] * k->dim[1] * k->dim[2] < INT32_MAX;
}

typedef struct variant {
    pm_shader shader;
    uint32_t local, one_subgroup, subgroup_size;
    uint32_t rows_each; /* query rows of a workgroup that share a cache head */
    uint32_t heads;     /* attention_few: query heads of a workgroup; else 0 */
    uint32_t lanes;     /* attention_few: invocations that hold a position */
    const char *why;
} variant;

static bool choose_rows(const pm_vk_caps *caps, const pm_tensor *k, variant *v)
{
    uint32_t size = caps->limits.subgroup_size;
    pm_shader shader = k->dim[0] <= 64 ? PM_VK_BY_CACHE(k->type, ATTENTION_ROWS64) : PM_VK_BY_CACHE(k->type, ATTENTION_ROWS128);
    *v = (variant){.shader = shader,
                   .local = size,
                   .one_subgroup = 1,
                   .rows_each = size,
                   .why = "a subgroup of query rows, shuffles"};
    return caps->software && k->dim[0] % 8 == 0 && k->dim[0] <= 128 && pm_vk_usable(caps, v->shader) &&
           pm_vk_subgroup_known(caps, &v->subgroup_size) && size >= 8;
}

static bool choose_few(const pm_vk_caps *caps, const pm_tensor *q, const pm_tensor *k, variant *v)
{
    int64_t per_kv = q->dim[1] / k->dim[2];
    *v = (variant){.shader = PM_VK_BY_CACHE(k->type, ATTENTION_FEW),
                   .local = pm_vk_local_size(caps, 256),
                   .rows_each = 1,
                   .heads = per_kv < FEW_HEADS ? (uint32_t)per_kv : FEW_HEADS,
                   .lanes = 1,
                   .why = "teams of a subgroup along the context"};
    while (v->lanes * FEW_VALUES < k->dim[0])
        v->lanes *= 2;
    return !caps->software && q->dim[2] <= FEW_TOKENS && k->dim[0] % FEW_VALUES == 0 &&
           pm_vk_usable(caps, v->shader) && pm_vk_subgroup_known(caps, &v->subgroup_size) &&
           v->lanes <= caps->limits.subgroup_size && v->local >= caps->limits.subgroup_size &&
           caps->limits.max_storage_buffers >= FEW_BINDINGS;
}

static bool choose_coop(const pm_vk_caps *caps, const pm_node *node, variant *v)
{
    const pm_tensor *q = node->in[Q], *k = node->in[K_CACHE], *pages = node->in[PAGES];
    int64_t sequences = pages ? pages->dim[1] : 1; /* each sequence of a workgroup has its own turn */
    bool small = k->dim[0] <= 64, q8_0 = k->type == PM_TYPE_Q8_0;
    *v = (variant){.shader = small ? (q8_0 ? PM_SHADER_ATTENTION_COOP64_Q8_0 : PM_SHADER_ATTENTION_COOP64_F16)
                                   : (q8_0 ? PM_SHADER_ATTENTION_COOP128_Q8_0 : PM_SHADER_ATTENTION_COOP128_F16),
                   .local = COOP_ROWS / 16 * PM_VK_COOP_SUBGROUP,
                   .subgroup_size = PM_VK_COOP_SUBGROUP,
                   .rows_each = COOP_ROWS,
                   .why = "cooperative matrices, 64 query rows"};
    return k->type != PM_TYPE_F32 && k->dim[0] % 8 == 0 && k->dim[0] <= 128 && q->dim[2] >= COOP_TOKENS * sequences &&
           pm_vk_coop_usable(caps) && pm_vk_usable(caps, v->shader) &&
           caps->limits.max_shared_memory >= COOP_SHARED;
}

static variant choose(const pm_vk_caps *caps, const pm_node *node)
{
    const pm_tensor *k = node->in[K_CACHE];
    variant v;
    if (choose_rows(caps, k, &v) || choose_few(caps, node->in[Q], k, &v) || choose_coop(caps, node, &v))
        return v;
    /* Each invocation keeps 4 pairs of values; loops over positions must not become too long for one. */
    double steps = (double)k->dim[1] * 8;
    pm_vk_team team = pm_vk_team_of(caps, PM_VK_BY_CACHE(k->type, ATTENTION), PM_VK_BY_CACHE(k->type, ATTENTION_SG),
                                    k->dim[0] <= 128 ? 32 : 64, steps);
    if (team.local < (uint32_t)(k->dim[0] + 7) / 8) {
        team.local = pm_vk_local_size(caps, 64);
        team.one_subgroup = 0;
    }
    return (variant){.shader = team.shader,
                     .local = team.local,
                     .one_subgroup = team.one_subgroup,
                     .subgroup_size = team.subgroup_size,
                     .rows_each = 1,
                     .why = team.why};
}

/* Workgroups of attention_few that share a cache head of a token. */
static uint32_t sets_of(const variant *v, uint32_t per_kv)
{
    return (per_kv + v->heads - 1) / v->heads;
}

/* Parts of the range, so that a token with a long context still fills the device. */
static uint32_t choose_splits(const pm_vk_caps *caps, const variant *v, const pm_node *node)
{
    const pm_tensor *q = node->in[Q], *pages = node->in[PAGES];
    int64_t n_ctx = pages ? pages->dim[0] * PM_ARGS(node, pm_attention_args)->page : node->in[K_CACHE]->dim[1];
    int64_t n_workgroups = (q->dim[1] * q->dim[2] + v->rows_each - 1) / v->rows_each,
            n_kv = node->in[K_CACHE]->dim[2];
    if (v->heads)
        n_workgroups = q->dim[2] * n_kv * sets_of(v, (uint32_t)(q->dim[1] / n_kv));
    int64_t least = v->heads ? PART_POSITIONS / 4 : PART_POSITIONS;
    int64_t enough = caps->software ? 8 : ENOUGH_WORKGROUPS;
    int64_t splits = (enough + n_workgroups - 1) / n_workgroups, most = (n_ctx + least - 1) / least;
    splits = splits < most ? splits : most;
    if (caps->software) { /* the loops of one invocation must end before lavapipe ends them: see pm_vk_team_of */
        int64_t n_pairs = (q->dim[0] + 1) / 2, sums = v->rows_each > 1 ? 1 : (n_pairs + v->local - 1) / v->local;
        if (pages && v->rows_each > 1) { /* each sequence of a subgroup's rows has its own turn */
            int64_t per_kv = q->dim[1] / node->in[K_CACHE]->dim[2], most_sequences = v->rows_each / per_kv + 2;
            sums *= most_sequences < pages->dim[1] ? most_sequences : pages->dim[1];
        }
        int64_t fewest = (n_ctx * (sums + 1) + LOOP_STEPS - 1) / LOOP_STEPS;
        splits = splits < fewest ? fewest : splits;
        return (uint32_t)splits;
    }
    return (uint32_t)(splits < 1 ? 1 : splits > PARTS_MOST ? PARTS_MOST : splits);
}

/* Emits tokens in pieces of at most the work limit. */
static pm_status emit_rows(pm_vk_lowering *l, const pm_node *node, const variant *v, pm_vk_dispatch *d,
                           struct pm_attention_push *push, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    double reach = node->in[PAGES] ? (double)push->n_pages * push->page : push->n_ctx;
    double seen = push->window && push->window < reach ? push->window : reach;
    double flops_of_row = 4.0 * push->n_head * seen * push->count;
    double most = pm_vk_work_limit(l) / flops_of_row;
    uint32_t piece = most < 1 ? 1 : most < push->n_rows ? (uint32_t)most : push->n_rows;
    double cache_bytes = 2.0 * (double)pm_type_row_bytes(node->in[K_CACHE]->type, push->n_head) * seen;
    for (uint32_t first = 0; first < push->n_rows; first += piece) {
        push->first_row = first;
        push->end_row = push->n_rows - first < piece ? push->n_rows : first + piece;
        uint32_t count = push->end_row - first;
        d->flops = flops_of_row * count;
        d->bytes = cache_bytes * push->count / push->per_kv + 8.0 * push->n_head * push->count * count;
        uint64_t n_workgroups = (uint64_t)count * push->count;
        if (v->rows_each > 1)
            n_workgroups =
                ((uint64_t)count * push->per_kv + v->rows_each - 1) / v->rows_each * (push->count / push->per_kv);
        if (v->heads)
            n_workgroups = (uint64_t)count * sets_of(v, push->per_kv) * (push->count / push->per_kv);
        pm_vk_grid(caps, n_workgroups * push->n_splits, d->groups);
        PM_TRY(pm_vk_emit(l, d, err));
    }
    return PM_OK;
}

static pm_status emit_merge(pm_vk_lowering *l, const pm_node *node, const struct pm_attention_push *push,
                            pm_vk_slice parts, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    uint32_t local = pm_vk_local_size(caps, 64);
    uint64_t n = (uint64_t)pm_tensor_elems(node->out);
    pm_vk_dispatch d = {
        .shader = PM_SHADER_ATTENTION_MERGE,
        .spec = {local},
        .n_spec = 1,
        .push = push,
        .push_size = sizeof *push,
        .bind = {{parts, PM_VK_READ}, {pm_vk_tensor_slice(l, node->out), PM_VK_WRITE}},
        .n_bind = 2,
        .flops = 4.0 * (double)n * push->n_splits,
        .bytes = 4.0 * (double)n * (push->n_splits + 1),
        .why = "merges the parts of the range",
    };
    pm_vk_grid(caps, (n + local - 1) / local, d.groups);
    return pm_vk_emit(l, &d, err);
}

pm_status pm_vk_lower_attention(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *q = node->in[Q], *k = node->in[K_CACHE], *v = node->in[V_CACHE], *bias = node->in[BIAS];
    const pm_tensor *pages = node->in[PAGES], *table = bias ? bias : pages;
    const pm_attention_args *args = PM_ARGS(node, pm_attention_args);
    variant chosen = choose(caps, node);
    struct pm_attention_push push = {
        .n_head = (uint32_t)q->dim[0],
        .n_heads = (uint32_t)q->dim[1],
        .per_kv = (uint32_t)(q->dim[1] / k->dim[2]),
        .n_ctx = (uint32_t)k->dim[1],
        .window = (uint32_t)args->window,
        .n_splits = choose_splits(caps, &chosen, node),
        .least = PART_POSITIONS / 4,
        .page = (uint32_t)args->page,
        .n_pages = pages ? (uint32_t)pages->dim[0] : 0,
        .n_sequences = pages ? (uint32_t)pages->dim[1] : 0,
        .n_bias = bias ? (uint32_t)bias->dim[0] : 0,
        .scale = args->scale,
        .softcap = args->softcap,
    };
    PM_VK_PUSH_OUTER(&push, q);
    bool split = push.n_splits > 1, few = chosen.heads > 0, merge = split && !few;
    uint64_t part_bytes = sizeof(float) * (push.n_head + 4ull);
    pm_vk_slice parts =
        split ? pm_vk_scratch(l, part_bytes * push.n_splits * push.n_heads * push.n_rows) : pm_vk_slice_none(l);
    pm_vk_slice counters = few ? pm_vk_kept(l, sizeof(uint32_t) * push.n_heads * push.n_rows) : (pm_vk_slice){0};
    bool spans = node->in[POSITIONS]->n_dims == 2 && !pages;
    pm_vk_dispatch d = {
        .shader = chosen.shader,
        .spec = {chosen.local, few ? chosen.heads : chosen.one_subgroup, few ? chosen.lanes : q->dim[0] % 8 == 0,
                 spans, bias != NULL, pages != NULL},
        .n_spec = 6,
        .push = &push,
        .push_size = sizeof push,
        .n_bind = few ? 8 : 7,
        .subgroup_size = chosen.subgroup_size,
        .why = chosen.why,
    };
    pm_vk_slice out = pm_vk_tensor_slice(l, node->out);
    for (int i = 0; i < pm_vk_n_chunks(l, k); i++) {
        pm_vk_chunk keys = pm_vk_get_chunk(l, k, i), values = pm_vk_get_chunk(l, v, i);
        push.first_head = (uint32_t)keys.first * push.per_kv;
        push.count = (uint32_t)keys.count * push.per_kv;
        const pm_vk_binding bind[] = {{pm_vk_tensor_slice(l, q), PM_VK_READ},
                                      {keys.plane[0], PM_VK_READ},
                                      {values.plane[0], PM_VK_READ},
                                      {pm_vk_tensor_slice(l, node->in[POSITIONS]), PM_VK_READ},
                                      {merge ? pm_vk_slice_none(l) : out, merge ? PM_VK_READ : PM_VK_WRITE},
                                      {parts, split ? PM_VK_READ_WRITE : PM_VK_READ},
                                      {table ? pm_vk_tensor_slice(l, table) : pm_vk_slice_none(l), PM_VK_READ},
                                      {counters, PM_VK_READ_WRITE}};
        for (uint32_t b = 0; b < d.n_bind; b++)
            d.bind[b] = bind[b];
        PM_TRY(emit_rows(l, node, &chosen, &d, &push, err));
    }
    return merge ? emit_merge(l, node, &push, parts, err) : PM_OK;
}
