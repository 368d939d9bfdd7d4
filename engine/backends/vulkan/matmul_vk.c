/* clang-format off */
/* matmul on Vulkan: which of the matmul shaders makes a product, and its dispatches.
 *
 *   matmul_vec, _few   up to 16 rows of x on a GPU: see matmul_vec_vk.c
 *   matmul_row         one row of x on a software device: see matmul_row_vk.c
 *   matmul_tile1       the same without subgroups or texel buffers: an invocation for 4 weight rows
 *   matmul_tile4[_sg]  many rows of x: an invocation for 4 weight rows x 4 rows of x
 *   matmul_coop        many rows of x on GPUs with cooperative matrices: see matmul_tiles_vk.c; x is made halves first
 *   matmul_tiles_i8    many rows of x on GPUs with integer dot products, for quantised weights: x is made 8-bit blocks
 *                      first, once for all products that read it (software devices emulate the dot product with more
 *                      instructions than the fp32 sums take)
 *   matmul_tiles       many rows of x on GPUs without either
 *   matmul_sum         where tiles take parts of K: adds them up
 *   matmul_tile4_i8    a few rows of x in 8-bit blocks, where matmul_few cannot be used
 *
 * A product is cut by the chunks of its weight, and further by weight rows where a dispatch would hold more work
 * than the device should get at once. */
/* clang-format on */
#include "backends/vulkan/matmul_variant.h"
#include "backends/vulkan/op_lowering.h"
#include "backends/vulkan/vk_groups.h"
#include "backends/vulkan/weight_layout.h"
#include "matmul.push.h"
#include "quantize_i8.push.h"

enum { WEIGHT, X, BIAS, RESIDUAL };
enum { GROUP = 4 };

bool pm_vk_supports_matmul(const pm_vk_caps *caps, const pm_node *node)
{
    (void)caps;
    return pm_vk_small_enough(node) && node->in[WEIGHT]->role == PM_ROLE_WEIGHT &&
           pm_vk_weight_type_index(node->in[WEIGHT]->type) >= 0;
}

typedef pm_vk_matmul_variant variant;

static pm_shader of_type(pm_shader first, int type)
{
    return (pm_shader)((int)first + type);
}

bool pm_vk_matmul_use_i8(const pm_vk_caps *caps, int type)
{
    return type >= PM_VK_PLAIN_TYPES && !caps->software && pm_vk_usable(caps, PM_SHADER_QUANTIZE_I8) &&
           pm_vk_usable(caps, of_type(PM_SHADER_MATMUL_TILE4_I8_Q8_0, type - PM_VK_PLAIN_TYPES));
}

static variant choose_gpu(pm_vk_lowering *l, const pm_vk_product *p)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    variant many;
    pm_vk_tiling list[PM_VK_MOST_TILINGS], measured;
    bool by_tiles = p->n_rows >= PM_VK_MANY_ROWS && pm_vk_matmul_tilings(caps, p, list) > 0;
    if (by_tiles && pm_vk_measured_tiling(l, p, &measured) && pm_vk_matmul_tiled(caps, p, measured, true, &many))
        return many;
    if (by_tiles && pm_vk_matmul_tiled(caps, p, list[0], false, &many))
        return many;
    bool i8 = pm_vk_matmul_use_i8(caps, p->type);
    uint32_t local = pm_vk_local_size(caps, 64);
    return (variant){.shader = i8 ? of_type(PM_SHADER_MATMUL_TILE4_I8_Q8_0, p->type - PM_VK_PLAIN_TYPES)
                                  : of_type(PM_SHADER_MATMUL_TILE4_F32, p->type),
                     .local = local,
                     .groups_of_workgroup = local,
                     .tile = 4,
                     .n_parts = 1,
                     .x = i8 ? PM_VK_X_I8_BLOCKS : PM_VK_X_FLOATS,
                     .why = i8 ? "tiles in registers, integer dot products" : "fp32 tiles in registers"};
}

/* Whether x and all planes of the weight can be bound as texel buffers. */
static bool use_texels(pm_vk_lowering *l, const pm_tensor *weight, const pm_tensor *x)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    bool good = x->dim[0] % 32 == 0 && pm_vk_viewable(caps, pm_tensor_bytes(x), PM_VK_VIEW_F32X4);
    for (int i = 0; i < pm_vk_n_chunks(l, weight) && good; i++)
        for (uint32_t p = 0; p < PM_VK_MAX_PLANES && good; p++)
            good = pm_vk_viewable(caps, pm_vk_get_chunk(l, weight, i).plane[p].size, PM_VK_VIEW_U32X2);
    return good;
}

static variant choose_software(const pm_vk_caps *caps, int type, int64_t n_rows, bool texels)
{
    uint32_t ask;
    bool known = pm_vk_subgroup_known(caps, &ask), one = n_rows == 1;
    variant v = {.tile = one ? 1 : 4, .n_parts = 1};
    v.shader = of_type(PM_SHADER_MATMUL_TILE4_SG_F32, type);
    if (!one && texels && known && caps->limits.subgroup_size >= 8 && pm_vk_usable(caps, v.shader)) {
        v.texels = true;
        v.local = caps->limits.subgroup_size;
        v.subgroup_size = ask;
        v.why = "fp32 tiles in registers, texel loads, x handed round the subgroup";
    } else {
        v.shader = of_type(one ? PM_SHADER_MATMUL_TILE1_F32 : PM_SHADER_MATMUL_TILE4_F32, type);
        v.local = pm_vk_local_size(caps, 8);
        v.why = "fp32 tiles in registers";
    }
    v.groups_of_workgroup = v.local;
    return v;
}

/* x as 8-bit blocks: made by the first product that reads it. */
static pm_status emit_i8_blocks(pm_vk_lowering *l, const pm_tensor *x, pm_vk_slice *blocks, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    struct pm_quantize_i8_push push = {.n_blocks = pm_vk_weight_blocks(x->dim[0])};
    PM_VK_PUSH_ROWS(&push, x);
    uint64_t n_blocks = (uint64_t)push.n_rows * push.n_blocks;
    bool is_new;
    *blocks = pm_vk_derived(l, x, PM_VK_DERIVED_I8_BLOCKS, n_blocks * 48, &is_new);
    if (!is_new)
        return PM_OK;
    uint32_t local = pm_vk_local_size(caps, 64);
    pm_vk_dispatch d = {
        .shader = PM_SHADER_QUANTIZE_I8,
        .spec = {local},
        .n_spec = 1,
        .push = &push,
        .push_size = sizeof push,
        .bind = {{pm_vk_tensor_slice(l, x), PM_VK_READ}, {*blocks, PM_VK_WRITE}},
        .n_bind = 2,
        .flops = 200.0 * (double)n_blocks,
        .bytes = 176.0 * (double)n_blocks,
        .why = "x as 8-bit blocks",
    };
    pm_vk_grid(caps, (n_blocks + local - 1) / local, d.groups);
    return pm_vk_emit(l, &d, err);
}

/* Emits the groups [0, n_groups) of a chunk, in pieces of at most the work limit. */
static pm_status emit_groups(pm_vk_lowering *l, const variant *v, pm_vk_dispatch *d, struct pm_matmul_push *push,
                             uint32_t n_groups, double weight_bytes, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    double flops_of_group = 2.0 * GROUP * (double)push->n_k * (double)push->n_rows;
    double most = pm_vk_work_limit(l) / flops_of_group / v->groups_of_workgroup;
    uint32_t piece = most < 1                                   ? v->groups_of_workgroup
                     : most * v->groups_of_workgroup < n_groups ? (uint32_t)most * v->groups_of_workgroup
                                                                : n_groups;
    uint32_t n_tiles = (push->n_rows + v->tile - 1) / v->tile;
    for (uint32_t first = 0; first < n_groups; first += piece) {
        push->first_group = first;
        push->end_group = n_groups - first < piece ? n_groups : first + piece;
        uint32_t count = push->end_group - first;
        uint64_t n_workgroups =
            (uint64_t)((count + v->groups_of_workgroup - 1) / v->groups_of_workgroup) * n_tiles * v->n_parts;
        d->flops = flops_of_group * count;
        d->bytes = weight_bytes * count / n_groups +
                   4.0 * (push->n_k + (double)GROUP * count * v->n_parts) * push->n_rows;
        pm_vk_grid(caps, n_workgroups, d->groups);
        PM_TRY(pm_vk_emit(l, d, err));
    }
    return PM_OK;
}

/* The parts of K added up. */
static pm_status emit_sum(pm_vk_lowering *l, const pm_node *node, const variant *v,
                          const struct pm_matmul_push *push, pm_vk_slice parts, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *bias = node->n_in > BIAS ? node->in[BIAS] : NULL;
    const pm_tensor *residual = node->n_in > RESIDUAL ? node->in[RESIDUAL] : NULL;
    uint32_t local = pm_vk_local_size(caps, 256);
    uint64_t n = (uint64_t)pm_tensor_elems(node->out);
    pm_vk_dispatch d = {
        .shader = PM_SHADER_MATMUL_SUM,
        .spec = {local, v->n_parts, push->n_out % 4 == 0, bias != NULL, residual != NULL},
        .n_spec = 5,
        .push = push,
        .push_size = sizeof *push,
        .bind = {{parts, PM_VK_READ},
                 {bias ? pm_vk_tensor_slice(l, bias) : pm_vk_slice_none(l), PM_VK_READ},
                 {residual ? pm_vk_tensor_slice(l, residual) : pm_vk_slice_none(l), PM_VK_READ},
                 {pm_vk_tensor_slice(l, node->out), PM_VK_WRITE}},
        .n_bind = 4,
        .flops = (double)n * v->n_parts,
        .bytes = 4.0 * (double)n * (v->n_parts + 1.0),
        .why = "adds up the parts of K",
    };
    pm_vk_grid(caps, (n + 4ull * local - 1) / (4ull * local), d.groups);
    return pm_vk_emit(l, &d, err);
}

/* What the shader reads x as, made where nobody has yet. */
static pm_status prepare_x(pm_vk_lowering *l, const variant *v, const pm_tensor *x, pm_vk_slice *read,
                           pm_error *err)
{
    *read = pm_vk_tensor_slice(l, x);
    if (v->texels)
        read->view = PM_VK_VIEW_F32X4;
    if (v->x == PM_VK_X_I8_BLOCKS)
        return emit_i8_blocks(l, x, read, err);
    return v->x == PM_VK_X_HALVES ? pm_vk_emit_halves(l, x, read, err) : PM_OK;
}

pm_status pm_vk_lower_matmul(pm_vk_lowering *l, const pm_node *node, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    const pm_tensor *weight = node->in[WEIGHT], *x = node->in[X], *out = node->out;
    const pm_tensor *bias = node->n_in > BIAS ? node->in[BIAS] : NULL;
    const pm_tensor *residual = node->n_in > RESIDUAL ? node->in[RESIDUAL] : NULL;
    const pm_vk_weight_layout *layout = pm_vk_tensor_layout(l, weight);
    if (!layout || layout->format != PM_VK_WEIGHT_UNITS)
        return pm_fail(err, PM_ERR_INTERNAL, "the weight %s is not laid out for matrix products", weight->name);
    if (pm_vk_matmul_vec_takes(l, node))
        return pm_vk_lower_matmul_vec(l, &(pm_vk_row_group){.matmul = {node}, .n = 1}, err);
    struct pm_matmul_push push = {
        .n_k = (uint32_t)x->dim[0],
        .n_blocks = pm_vk_weight_blocks(x->dim[0]),
        .n_out = (uint32_t)out->dim[0],
    };
    PM_VK_PUSH_ROWS(&push, x);
    int type = pm_vk_weight_type_index(layout->type);
    variant v = caps->software ? choose_software(caps, type, push.n_rows, use_texels(l, weight, x))
                               : choose_gpu(l, &(pm_vk_product){type, push.n_rows, push.n_k, push.n_out});
    bool whole = v.n_parts == 1;
    push.n_part = (push.n_blocks + v.n_parts - 1) / v.n_parts;
    pm_vk_slice read, to = pm_vk_tensor_slice(l, out);
    PM_TRY(prepare_x(l, &v, x, &read, err));
    if (!whole)
        to = pm_vk_scratch(l, (sizeof(float) * push.n_rows * push.n_out * v.n_parts + 15) & ~15ull);
    pm_vk_dispatch d = {
        .shader = v.shader,
        .spec = {v.local, 0, x->dim[0] % 32 == 0, out->dim[0] % 4 == 0, whole && bias, whole && residual,
                 layout->interleave},
        .n_spec = 7,
        .push = &push,
        .push_size = sizeof push,
        .subgroup_size = v.subgroup_size,
        .why = v.why,
    };
    pm_vk_slice none = whole && bias && residual ? (pm_vk_slice){0} : pm_vk_slice_none(l);
    for (int i = 0; i < pm_vk_n_chunks(l, weight); i++) {
        pm_vk_chunk chunk = pm_vk_get_chunk(l, weight, i);
        double weight_bytes = 0;
        d.n_bind = 0;
        d.bind[d.n_bind++] = (pm_vk_binding){read, PM_VK_READ};
        for (uint32_t p = 0; p < layout->n_planes; p++) {
            if (v.texels)
                chunk.plane[p].view = pm_vk_view_of_plane(layout->type, p);
            d.bind[d.n_bind++] = (pm_vk_binding){chunk.plane[p], PM_VK_READ};
            weight_bytes += (double)chunk.plane[p].size;
        }
        d.bind[d.n_bind++] = (pm_vk_binding){whole && bias ? pm_vk_tensor_slice(l, bias) : none, PM_VK_READ};
        d.bind[d.n_bind++] =
            (pm_vk_binding){whole && residual ? pm_vk_tensor_slice(l, residual) : none, PM_VK_READ};
        d.bind[d.n_bind++] = (pm_vk_binding){to, PM_VK_WRITE};
        push.first_row = (uint32_t)chunk.first;
        PM_TRY(emit_groups(l, &v, &d, &push, (uint32_t)((chunk.count + GROUP - 1) / GROUP), weight_bytes, err));
    }
    return whole ? PM_OK : emit_sum(l, node, &v, &push, to, err);
}
