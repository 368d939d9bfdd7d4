/* What the lowerings of ops share: see op_lowering.h. */
#include "backends/vulkan/op_lowering.h"

enum { MOST_STEPS = 16384 }; /* of an invocation's loops on a software device */

static uint32_t count_of(const pm_tensor *tensor)
{
    switch (tensor->rows) {
    case PM_ROWS_TOKENS:
        return 1;
    case PM_ROWS_OUTPUTS:
        return 2;
    default:
        return 0;
    }
}

void pm_vk_push_rows(const pm_tensor *tensor, uint32_t *n_rows, uint32_t *rows_of, uint32_t *rows_per)
{
    int64_t rows = tensor->n_dims == 1 && tensor->rows != PM_ROWS_FIXED ? tensor->dim[0] : pm_tensor_rows(tensor);
    *n_rows = (uint32_t)rows;
    *rows_of = count_of(tensor);
    *rows_per = (uint32_t)(rows / tensor->dim[tensor->n_dims - 1]);
}

void pm_vk_push_outer(const pm_tensor *tensor, uint32_t *n_rows, uint32_t *rows_of, uint32_t *rows_per)
{
    *n_rows = (uint32_t)tensor->dim[tensor->n_dims - 1];
    *rows_of = count_of(tensor);
    *rows_per = 1;
}

pm_status pm_vk_emit_teams(pm_vk_lowering *l, const pm_node *node, const pm_vk_team *team, const void *push,
                           uint32_t push_size, uint32_t n_rows, double flops, double bytes, pm_error *err)
{
    double n = (double)pm_tensor_elems(node->in[0]);
    pm_vk_dispatch d = {
        .shader = team->shader,
        .spec = {team->local, team->one_subgroup, node->n_in > 1 && node->in[1]},
        .n_spec = 3,
        .push = push,
        .push_size = push_size,
        .subgroup_size = team->subgroup_size,
        .flops = flops * n,
        .bytes = bytes * n,
        .why = team->why,
    };
    for (int i = 0; i < node->n_in; i++)
        d.bind[d.n_bind++] =
            (pm_vk_binding){node->in[i] ? pm_vk_tensor_slice(l, node->in[i]) : pm_vk_slice_none(l), PM_VK_READ};
    d.bind[d.n_bind++] = (pm_vk_binding){pm_vk_tensor_slice(l, node->out), PM_VK_WRITE};
    pm_vk_grid(pm_vk_lowering_caps(l), n_rows, d.groups);
    return pm_vk_emit(l, &d, err);
}

bool pm_vk_subgroup_known(const pm_vk_caps *caps, uint32_t *size_to_ask)
{
    uint32_t size = caps->limits.subgroup_size;
    *size_to_ask = 0;
    if (!(caps->features & PM_VK_NEEDS_SUBGROUP) || size < 2)
        return false;
    if ((caps->features & PM_VK_NEEDS_SUBGROUP_SIZE) && size >= caps->subgroup_min && size <= caps->subgroup_max) {
        *size_to_ask = size;
        return true;
    }
    return caps->software; /* those have one width only */
}

pm_vk_team pm_vk_team_of(const pm_vk_caps *caps, pm_shader plain, pm_shader subgroup, uint32_t want, double steps)
{
    pm_vk_team team = {.shader = plain, .why = "plain fp32, sums through shared memory"};
    if (steps > MOST_STEPS * (double)want && want < 256)
        want = 256;
    team.local = pm_vk_local_size(caps, want);
    if (!pm_vk_usable(caps, subgroup))
        return team;
    team.shader = subgroup;
    team.why = "subgroup sums";
    uint32_t size = caps->limits.subgroup_size, ask;
    bool few = steps <= MOST_STEPS * (double)size;
    if (pm_vk_subgroup_known(caps, &ask) && few && (caps->software || team.local <= size)) {
        team.local = size;
        team.one_subgroup = 1;
        team.subgroup_size = ask;
        team.why = "one subgroup a row";
    }
    return team;
}

int pm_vk_weight_type_index(pm_type type)
{
    switch (type) {
    case PM_TYPE_F32:
        return 0;
    case PM_TYPE_F16:
        return 1;
    case PM_TYPE_BF16:
        return 2;
    case PM_TYPE_Q8_0:
        return 3;
    case PM_TYPE_Q4_0:
        return 4;
    case PM_TYPE_Q4_1:
        return 5;
    case PM_TYPE_Q5_0:
        return 6;
    case PM_TYPE_Q5_1:
        return 7;
    case PM_TYPE_Q4_K:
        return 8;
    case PM_TYPE_Q5_K:
        return 9;
    case PM_TYPE_Q6_K:
        return 10;
    case PM_TYPE_I32:
    case PM_TYPE_COUNT:
        break;
    }
    return -1;
}

const char *pm_vk_cache_name(pm_type type)
{
    return type == PM_TYPE_F32 ? "fp32 cache" : type == PM_TYPE_F16 ? "fp16 cache" : "8-bit cache";
}

bool pm_vk_small_enough(const pm_node *node)
{
    bool small = pm_tensor_elems(node->out) < INT32_MAX;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] && node->in[i]->role != PM_ROLE_WEIGHT)
            small = small && pm_tensor_elems(node->in[i]) < INT32_MAX;
    return small;
}
