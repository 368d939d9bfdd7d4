/* Products of a single row of x on software devices: all that reads the same x in one dispatch (matmul_row.comp).
 */
#include "backends/vulkan/op_lowering.h"
#include "backends/vulkan/vk_groups.h"
#include "backends/vulkan/weight_layout.h"
#include "matmul_row.push.h"
#include "ops/ops.h"

enum { WEIGHT, X, BIAS, RESIDUAL, GROUP = 4, LEAST_SUBGROUP = 8 };

static pm_shader shader_of(pm_type type)
{
    return (pm_shader)((int)PM_SHADER_MATMUL_ROW_F32 + pm_vk_weight_type_index(type));
}

static bool takes(pm_vk_lowering *l, const pm_node *node)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *weight = node->in[WEIGHT], *x = node->in[X];
    uint32_t ask;
    if (!caps->software || weight->role != PM_ROLE_WEIGHT || x->role == PM_ROLE_STATE || pm_tensor_rows(x) != 1 ||
        x->dim[0] % 32 || node->out->dim[0] % GROUP || pm_vk_weight_type_index(weight->type) < 0 ||
        !pm_vk_usable(caps, shader_of(weight->type)) || !pm_vk_subgroup_known(caps, &ask) ||
        caps->limits.subgroup_size < LEAST_SUBGROUP || pm_vk_n_chunks(l, weight) != 1 ||
        2.0 * (double)pm_tensor_elems(weight) > pm_vk_work_limit(l))
        return false;
    const pm_vk_weight_layout *layout = pm_vk_tensor_layout(l, weight);
    return layout && layout->format == PM_VK_WEIGHT_UNITS &&
           pm_vk_viewable(caps, pm_tensor_bytes(x), PM_VK_VIEW_F32X4);
}

enum { MOST_PLANES = PM_VK_ROW_PARTS * PM_VK_MAX_PLANES };

/* One slice over all planes of the weights of n products, and where in it each plane begins; empty where they do not
 * lie in one buffer. */
static pm_vk_slice span_of_weights(pm_vk_lowering *l, const pm_node *const *matmul, int n,
                                   uint64_t begins[MOST_PLANES])
{
    pm_vk_slice planes[MOST_PLANES];
    int n_planes = (int)pm_vk_tensor_layout(l, matmul[0]->in[WEIGHT])->n_planes;
    for (int i = 0; i < n; i++) {
        pm_vk_chunk chunk = pm_vk_get_chunk(l, matmul[i]->in[WEIGHT], 0);
        for (int p = 0; p < n_planes; p++)
            planes[i * n_planes + p] = chunk.plane[p];
    }
    return pm_vk_slice_span(l, planes, n * n_planes, begins);
}

bool pm_vk_matmul_row_joins(pm_vk_lowering *l, const pm_node *const *matmul, int n)
{
    uint64_t begins[MOST_PLANES];
    for (int i = 0; i < n; i++)
        if (!takes(l, matmul[i]))
            return false;
    pm_vk_slice span = span_of_weights(l, matmul, n, begins);
    return span.size > 0 && pm_vk_viewable(pm_vk_lowering_caps(l), span.size, PM_VK_VIEW_U32X2);
}

/* The weights of a group, and in push where each plane begins, in texels of its view. */
static pm_vk_slice place_weights(pm_vk_lowering *l, const pm_vk_row_group *group,
                                 const pm_vk_weight_layout *layout, struct pm_matmul_row_push *push)
{
    uint64_t begins[MOST_PLANES];
    pm_vk_slice span = span_of_weights(l, group->matmul, group->n, begins);
    int n_planes = (int)layout->n_planes;
    for (int i = 0; i < group->n; i++) {
        uint32_t *const to[PM_VK_MAX_PLANES] = {&push->quants[i], &push->scales[i], &push->super[i]};
        for (int p = 0; p < n_planes; p++)
            *to[p] = (uint32_t)(begins[i * n_planes + p] /
                                pm_vk_view_bytes(pm_vk_view_of_plane(layout->type, (uint32_t)p)));
    }
    return span;
}

static void bind(pm_vk_dispatch *d, pm_vk_slice slice, pm_vk_view view, pm_vk_access access)
{
    d->bind[d->n_bind++] = (pm_vk_binding){pm_vk_viewed(slice, view), access};
}

static void bind_ends(pm_vk_lowering *l, const pm_vk_row_group *group, pm_vk_dispatch *d)
{
    const pm_node *first = group->matmul[0];
    const pm_tensor *residual = first->n_in > RESIDUAL ? first->in[RESIDUAL] : NULL;
    pm_vk_slice none = pm_vk_slice_none(l);
    bind(d, residual ? pm_vk_tensor_slice(l, residual) : none, PM_VK_VIEW_BUFFER, PM_VK_READ);
    for (int i = 0; i < PM_VK_ROW_PARTS; i++) {
        const pm_node *node = group->matmul[i < group->n ? i : 0];
        const pm_tensor *bias = node->n_in > BIAS ? node->in[BIAS] : NULL;
        bind(d, bias ? pm_vk_tensor_slice(l, bias) : none, PM_VK_VIEW_BUFFER, PM_VK_READ);
    }
    for (int i = 0; i < PM_VK_ROW_PARTS; i++) {
        const pm_node *node = group->swiglu ? group->swiglu : group->matmul[i < group->n ? i : 0];
        bind(d, pm_vk_tensor_slice(l, node->out), PM_VK_VIEW_BUFFER, PM_VK_WRITE);
    }
    d->spec[3] = first->n_in > BIAS && first->in[BIAS];
    d->spec[4] = residual != NULL;
}

pm_status pm_vk_lower_matmul_row(pm_vk_lowering *l, const pm_vk_row_group *group, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_node *first = group->matmul[0], *norm = group->norm;
    const pm_tensor *x = norm ? norm->in[0] : first->in[X],
                    *norm_weight = norm && norm->n_in > 1 ? norm->in[1] : NULL;
    const pm_vk_weight_layout *layout = pm_vk_tensor_layout(l, first->in[WEIGHT]);
    struct pm_matmul_row_push push = {
        .n_k = (uint32_t)x->dim[0],
        .n_blocks = pm_vk_weight_blocks(x->dim[0]),
        .eps = norm ? PM_ARGS(norm, pm_rms_norm_args)->eps : 0,
    };
    PM_VK_PUSH_ROWS(&push, first->in[X]);
    pm_vk_slice span = place_weights(l, group, layout, &push);
    uint32_t local = caps->limits.subgroup_size, ask;
    pm_vk_subgroup_known(caps, &ask);
    pm_vk_dispatch d = {
        .shader = shader_of(layout->type),
        .spec = {local, norm ? norm_weight ? 2 : 1 : 0, group->swiglu != NULL, 0, 0, (uint32_t)group->n,
                 layout->interleave},
        .n_spec = 7,
        .push = &push,
        .push_size = sizeof push,
        .subgroup_size = ask,
        .bytes = (double)span.size,
        .why = group->swiglu  ? "gate, up and swiglu of one row"
               : group->n > 1 ? "products of the same row"
                              : "texel loads, x handed round the subgroup",
    };
    bind(&d, pm_vk_tensor_slice(l, x), PM_VK_VIEW_F32X4, PM_VK_READ);
    bind(&d, pm_vk_tensor_slice(l, norm_weight ? norm_weight : x), PM_VK_VIEW_F32X4, PM_VK_READ);
    for (uint32_t p = 0; p < layout->n_planes; p++)
        bind(&d, span, pm_vk_view_of_plane(layout->type, p), PM_VK_READ);
    bind_ends(l, group, &d);
    uint64_t n_workgroups = 0;
    for (int i = 0; i < group->n; i++) {
        push.n_out[i] = (uint32_t)group->matmul[i]->out->dim[0];
        d.flops += 2.0 * push.n_k * push.n_out[i];
        if (i == 0 || !group->swiglu)
            n_workgroups += (push.n_out[i] / GROUP + local - 1) / local;
    }
    pm_vk_grid(caps, n_workgroups, d.groups);
    return pm_vk_emit(l, &d, err);
}
