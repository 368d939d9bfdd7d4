/* Products of few rows of x on GPUs (matmul_vec.comp): one, or all that read the same x in one dispatch. */
#include "backends/vulkan/matmul_variant.h"
#include "backends/vulkan/op_lowering.h"
#include "backends/vulkan/vk_groups.h"
#include "backends/vulkan/weight_layout.h"
#include "matmul_vec.push.h"
#include "ops/ops.h"

enum { WEIGHT, X, BIAS, RESIDUAL, GROUP = 4 };
enum {
    MOST_ROWS = 16,          /* of x; more are better made by tiles */
    MOST_AT_ONCE = 8,        /* of a workgroup */
    LOCAL = 256,             /* invocations of a workgroup */
    LEAST_TEAM = 32,         /* invocations for a group of weight rows */
    ENOUGH_WORKGROUPS = 256, /* to fill a large GPU: teams grow until there are so many */
    LEAST_I8_SUBGROUP = 8,
    MOST_BINDINGS = 10,
    MOST_SHARED = 32768, /* bytes of a workgroup, so that several fit beside each other */
    SHARED_FOR_SUMS = 2 * 16 * 256
};

typedef struct variant {
    pm_shader shader;
    uint32_t local, team, subgroup_size;
    uint32_t rows;  /* of x, of a workgroup */
    uint32_t chunk; /* blocks of each row in shared memory */
    const char *why;
} variant;

/* The shader for this type and so many rows, and whether it reads x in 8 bits; false where there is none. */
static bool choose_shader(const pm_vk_caps *caps, pm_type type, uint32_t rows, variant *v, bool *i8)
{
    int t = pm_vk_weight_type_index(type), quantised = t - PM_VK_PLAIN_TYPES;
    bool known = pm_vk_subgroup_known(caps, &v->subgroup_size), few = rows > 1;
    *i8 = false;
    if (t < 0)
        return false;
    if (known && quantised >= 0 && caps->limits.subgroup_size >= LEAST_I8_SUBGROUP) {
        v->shader = (pm_shader)((few ? PM_SHADER_MATMUL_FEW_I8_Q8_0 : PM_SHADER_MATMUL_VEC_I8_Q8_0) + quantised);
        v->why = "teams along K, x in 8 bits, integer dot products";
        *i8 = pm_vk_usable(caps, v->shader);
        if (*i8)
            return true;
    }
    v->shader = (pm_shader)((few ? PM_SHADER_MATMUL_FEW_SG_F32 : PM_SHADER_MATMUL_VEC_SG_F32) + t);
    v->why = "teams along K, fp32, subgroup sums";
    if (known && pm_vk_usable(caps, v->shader))
        return true;
    v->shader = (pm_shader)(PM_SHADER_MATMUL_VEC_F32 + t);
    v->subgroup_size = 0;
    v->why = "teams along K, fp32";
    return !few;
}

/* n_groups: of 4 weight rows, of all weights of the dispatch. */
static bool choose(const pm_vk_caps *caps, pm_type type, int64_t n_rows, uint64_t n_groups, uint32_t n_blocks,
                   variant *v)
{
    bool i8;
    v->rows = pm_vk_rows_bucket(n_rows, MOST_AT_ONCE);
    v->local = pm_vk_local_size(caps, LOCAL);
    if (!choose_shader(caps, type, v->rows, v, &i8))
        return false;
    v->team = caps->limits.subgroup_size > LEAST_TEAM ? caps->limits.subgroup_size : LEAST_TEAM;
    if (v->team > v->local || v->team % MOST_AT_ONCE)
        return false;
    while (2 * v->team <= v->local && 2 * v->team <= n_blocks && n_groups * v->team / v->local < ENOUGH_WORKGROUPS)
        v->team *= 2;
    uint32_t shared = caps->limits.max_shared_memory < MOST_SHARED ? caps->limits.max_shared_memory : MOST_SHARED;
    uint32_t fit = (shared - SHARED_FOR_SUMS) / ((i8 ? 48 : 128) * v->rows);
    if (fit < n_blocks) /* whole rounds of a team */
        v->chunk = fit > LEAST_TEAM ? fit / LEAST_TEAM * LEAST_TEAM : fit;
    else
        v->chunk = n_blocks;
    return v->chunk > 0;
}

/* The slice over plane p of all weights of a group, and where in it each begins. */
static pm_vk_slice span_of_plane(pm_vk_lowering *l, const pm_node *const *matmul, int n, uint32_t p, uint64_t *at)
{
    pm_vk_slice planes[PM_VK_ROW_PARTS];
    for (int i = 0; i < n; i++)
        planes[i] = pm_vk_get_chunk(l, matmul[i]->in[WEIGHT], 0).plane[p];
    return pm_vk_slice_span(l, planes, n, at);
}

static const pm_tensor *input(const pm_node *node, int i)
{
    return node->n_in > i ? node->in[i] : NULL;
}

static pm_vk_slice span_of_biases(pm_vk_lowering *l, const pm_node *const *matmul, int n, uint64_t *at)
{
    pm_vk_slice biases[PM_VK_ROW_PARTS];
    for (int i = 0; i < n; i++)
        biases[i] = pm_vk_tensor_slice(l, input(matmul[i], BIAS));
    return pm_vk_slice_span(l, biases, n, at);
}

bool pm_vk_matmul_vec_takes(pm_vk_lowering *l, const pm_node *node)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *weight = node->in[WEIGHT], *x = node->in[X];
    const pm_vk_weight_layout *layout = pm_vk_tensor_layout(l, weight);
    variant v;
    return !caps->software && pm_tensor_rows(x) <= MOST_ROWS &&
           caps->limits.max_storage_buffers >= MOST_BINDINGS && layout && layout->format == PM_VK_WEIGHT_UNITS &&
           choose(caps, weight->type, pm_tensor_rows(x), 1, pm_vk_weight_blocks(x->dim[0]), &v);
}

bool pm_vk_matmul_vec_joins(pm_vk_lowering *l, const pm_node *const *matmul, int n)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    double flops = 0;
    for (int i = 0; i < n; i++) {
        const pm_node *node = matmul[i];
        const pm_tensor *x = node->in[X], *bias = input(node, BIAS);
        flops += 2.0 * (double)pm_tensor_elems(node->in[WEIGHT]) * (double)pm_tensor_rows(x);
        if (!pm_vk_matmul_vec_takes(l, node) || node->in[WEIGHT]->role != PM_ROLE_WEIGHT || x->dim[0] % 32 ||
            node->out->dim[0] % GROUP || pm_vk_n_chunks(l, node->in[WEIGHT]) != 1 ||
            (n > 1 && bias && bias->role != PM_ROLE_WEIGHT))
            return false;
    }
    uint64_t at[PM_VK_ROW_PARTS];
    const pm_vk_weight_layout *layout = pm_vk_tensor_layout(l, matmul[0]->in[WEIGHT]);
    bool good = flops <= pm_vk_work_limit(l);
    for (uint32_t p = 0; p < layout->n_planes && n > 1 && good; p++) {
        pm_vk_slice span = span_of_plane(l, matmul, n, p, at);
        good = span.item && span.size <= caps->limits.max_storage_buffer_range;
    }
    if (good && n > 1 && input(matmul[0], BIAS)) {
        pm_vk_slice span = span_of_biases(l, matmul, n, at);
        good = span.item && span.size <= caps->limits.max_storage_buffer_range;
    }
    return good;
}

static void bind(pm_vk_dispatch *d, pm_vk_slice slice, pm_vk_access access)
{
    d->bind[d->n_bind++] = (pm_vk_binding){slice, access};
}

/* Binds the planes of chunk `index` of the weight, or of all weights where there are several. */
static void bind_planes(pm_vk_lowering *l, const pm_vk_row_group *group, const pm_vk_weight_layout *layout,
                        int index, pm_vk_dispatch *d, struct pm_matmul_vec_push *push)
{
    uint32_t *const to[PM_VK_MAX_PLANES] = {push->quants, push->scales, push->super};
    for (uint32_t p = 0; p < layout->n_planes; p++) {
        uint64_t at[PM_VK_ROW_PARTS] = {0};
        pm_vk_slice slice = group->n > 1 ? span_of_plane(l, group->matmul, group->n, p, at)
                                         : pm_vk_get_chunk(l, group->matmul[0]->in[WEIGHT], index).plane[p];
        uint32_t element = pm_vk_view_bytes(pm_vk_view_of_plane(layout->type, p));
        for (int i = 0; i < group->n; i++)
            to[p][i] = (uint32_t)(at[i] / element);
        d->bytes += (double)slice.size;
        bind(d, slice, PM_VK_READ);
    }
}

static void bind_ends(pm_vk_lowering *l, const pm_vk_row_group *group, pm_vk_dispatch *d,
                      struct pm_matmul_vec_push *push)
{
    const pm_node *first = group->matmul[0];
    const pm_tensor *residual = input(first, RESIDUAL), *bias = input(first, BIAS);
    pm_vk_slice none = bias && residual ? (pm_vk_slice){0} : pm_vk_slice_none(l), biases = none;
    uint64_t at[PM_VK_ROW_PARTS] = {0};
    if (bias)
        biases = group->n > 1 ? span_of_biases(l, group->matmul, group->n, at) : pm_vk_tensor_slice(l, bias);
    bind(d, residual ? pm_vk_tensor_slice(l, residual) : none, PM_VK_READ);
    bind(d, biases, PM_VK_READ);
    for (int i = 0; i < PM_VK_ROW_PARTS; i++) {
        const pm_node *node = group->swiglu ? group->swiglu : group->matmul[i < group->n ? i : 0];
        bind(d, pm_vk_tensor_slice(l, node->out), PM_VK_WRITE);
        push->bias[i] = (uint32_t)(at[i] / sizeof(float));
        push->n_out[i] = i < group->n ? (uint32_t)group->matmul[i]->out->dim[0] : 0;
    }
}

/* Emits the groups of the first weight [0, n_groups) with those of the others, or, where that is too much for one
 * dispatch, of the only weight in pieces. */
static pm_status emit(pm_vk_lowering *l, const pm_vk_row_group *group, const variant *v, pm_vk_dispatch *d,
                      struct pm_matmul_vec_push *push, uint32_t n_groups, pm_error *err)
{
    double bytes = d->bytes, flops_of_group = 2.0 * GROUP * push->n_k * push->n_rows;
    double most = pm_vk_work_limit(l) / flops_of_group;
    uint32_t teams = v->local / v->team, piece = n_groups;
    if (group->n == 1 && most < n_groups)
        piece = most < teams ? teams : (uint32_t)most / teams * teams;
    uint32_t n_passes = (push->n_rows + v->rows - 1) / v->rows;
    for (uint32_t first = 0; first < n_groups; first += piece) {
        push->first_group = first;
        push->end_group = n_groups - first < piece ? n_groups : first + piece;
        uint32_t count = push->end_group - first;
        uint64_t n_workgroups = (count + teams - 1) / teams;
        d->flops = flops_of_group * count;
        for (int i = 1; i < group->n; i++) {
            uint32_t more = push->n_out[i] / GROUP;
            d->flops += flops_of_group * more;
            if (!group->swiglu)
                n_workgroups += (more + teams - 1) / teams;
        }
        d->bytes = bytes * count / n_groups + 4.0 * (push->n_k + (double)GROUP * count) * push->n_rows;
        pm_vk_grid(pm_vk_lowering_caps(l), n_workgroups * n_passes, d->groups);
        PM_TRY(pm_vk_emit(l, d, err));
    }
    return PM_OK;
}

pm_status pm_vk_lower_matmul_vec(pm_vk_lowering *l, const pm_vk_row_group *group, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_node *first = group->matmul[0], *norm = group->norm;
    const pm_tensor *x = norm ? norm->in[0] : first->in[X], *norm_weight = norm ? input(norm, 1) : NULL;
    const pm_vk_weight_layout *layout = pm_vk_tensor_layout(l, first->in[WEIGHT]);
    struct pm_matmul_vec_push push = {
        .n_k = (uint32_t)x->dim[0],
        .n_blocks = pm_vk_weight_blocks(x->dim[0]),
        .eps = norm ? PM_ARGS(norm, pm_rms_norm_args)->eps : 0,
    };
    PM_VK_PUSH_ROWS(&push, first->in[X]);
    uint64_t n_groups = 0;
    for (int i = 0; i < group->n; i++)
        if (i == 0 || !group->swiglu)
            n_groups += ((uint64_t)group->matmul[i]->out->dim[0] + GROUP - 1) / GROUP;
    variant v;
    if (!choose(caps, layout->type, push.n_rows, n_groups, push.n_blocks, &v))
        return pm_fail(err, PM_ERR_INTERNAL, "no kernel for few rows multiplies with %s", first->in[WEIGHT]->name);
    pm_vk_dispatch d = {
        .shader = v.shader,
        .spec = {v.local, 0, norm ? norm_weight ? 2 : 1 : 0, group->swiglu != NULL, input(first, BIAS) != NULL,
                 input(first, RESIDUAL) != NULL, layout->interleave, v.team, v.rows, v.chunk,
                 x->dim[0] % 32 == 0 && first->out->dim[0] % GROUP == 0},
        .n_spec = 11,
        .push = &push,
        .push_size = sizeof push,
        .subgroup_size = v.subgroup_size,
        .why = group->swiglu  ? "gate, up and swiglu"
               : group->n > 1 ? "products of the same rows"
               : norm         ? "a product of normalised rows"
                              : v.why,
    };
    pm_vk_slice rows = pm_vk_tensor_slice(l, x);
    for (int i = 0; i < pm_vk_n_chunks(l, first->in[WEIGHT]); i++) {
        pm_vk_chunk chunk = pm_vk_get_chunk(l, first->in[WEIGHT], i);
        d.n_bind = 0;
        d.bytes = 0;
        bind(&d, rows, PM_VK_READ);
        bind(&d, norm_weight ? pm_vk_tensor_slice(l, norm_weight) : rows, PM_VK_READ);
        bind_planes(l, group, layout, i, &d, &push);
        bind_ends(l, group, &d, &push);
        push.first_row = (uint32_t)chunk.first;
        PM_TRY(emit(l, group, &v, &d, &push, (uint32_t)((chunk.count + GROUP - 1) / GROUP), err));
    }
    return PM_OK;
}
