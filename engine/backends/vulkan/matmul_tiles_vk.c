/* Products of many rows of x by tiles in shared memory (matmul_tiles.comp): how large the tiles are. */
#include "backends/vulkan/matmul_variant.h"
#include "backends/vulkan/op_lowering.h"
#include "backends/vulkan/weight_layout.h"
#include "halve_rows.push.h"

/* The sizes in shaders/CMakeLists.txt, from the largest, which reads the least for what it computes, to the one that
 * makes the most workgroups. `enough`: with fewer workgroups the next smaller is better: on 132 multiprocessors
 * (H200), 512 rows of x, weights of 4096 x 14336 (448 large ones) took 439 us by large tiles and 462 by medium ones;
 * 4096 x 4096 (128 large ones) 182 and 147; 4096 x 1024 (128 medium ones) 97 by medium tiles and 90 by small ones. */
typedef struct tile {
    pm_shader first; /* of F16 */
    uint32_t t, n;   /* rows of x and weight rows of a workgroup */
    uint32_t shared; /* bytes of shared memory */
    int64_t enough;
} tile;
enum { COOP_ROW = 5 * 16, COOP_LOCAL = 4 * PM_VK_COOP_SUBGROUP, COOP_STAGE = 4 * 16 * 20 * 4 };
static const tile coop_tiles[] = {
    {PM_SHADER_MATMUL_COOP_LARGE_F16, 128, 128, 2 * 256 * COOP_ROW + COOP_STAGE, 384},
    {PM_SHADER_MATMUL_COOP_MEDIUM_F16, 64, 64, 2 * 128 * COOP_ROW + COOP_STAGE, 192},
    {PM_SHADER_MATMUL_COOP_SMALL_F16, 32, 64, 2 * 96 * COOP_ROW + COOP_STAGE, 0},
};
enum { N_COOP_TILES = sizeof coop_tiles / sizeof *coop_tiles };

/* Without cooperative matrices; it fits every device. */
enum { FLOAT_TILE_T = 32, FLOAT_TILE_N = 64, FLOAT_LOCAL = FLOAT_TILE_T / 4 * FLOAT_TILE_N / 4 };

static bool fits(const pm_vk_caps *caps, uint32_t local, uint32_t shared)
{
    const pm_device_limits *l = &caps->limits;
    return shared <= l->max_shared_memory && local <= l->max_workgroup_invocations &&
           local <= l->max_workgroup_size[0];
}

bool pm_vk_matmul_coop_choose(const pm_vk_caps *caps, int type, int64_t n_rows, int64_t n_out,
                              pm_vk_matmul_variant *out)
{
    bool found = false;
    if (type < 1 || !pm_vk_coop_usable(caps) || !pm_vk_usable(caps, PM_SHADER_HALVE_ROWS))
        return false;
    for (int i = 0; i < N_COOP_TILES; i++) {
        const tile *now = &coop_tiles[i];
        pm_shader shader = (pm_shader)((int)now->first + type - 1);
        if (!fits(caps, COOP_LOCAL, now->shared) || !pm_vk_usable(caps, shader))
            continue;
        *out = (pm_vk_matmul_variant){.shader = shader,
                                      .local = COOP_LOCAL,
                                      .subgroup_size = PM_VK_COOP_SUBGROUP,
                                      .groups_of_workgroup = now->n / 4,
                                      .tile = now->t,
                                      .x = PM_VK_X_HALVES,
                                      .why = "cooperative matrices, tiles in shared memory"};
        found = true;
        if ((n_rows + now->t - 1) / now->t * ((n_out + now->n - 1) / now->n) >= now->enough)
            break;
    }
    return found;
}

bool pm_vk_matmul_tiles_choose(const pm_vk_caps *caps, int type, pm_vk_matmul_variant *out)
{
    pm_shader shader = (pm_shader)((int)PM_SHADER_MATMUL_TILES_F32 + type);
    *out = (pm_vk_matmul_variant){.shader = shader,
                                  .local = FLOAT_LOCAL,
                                  .groups_of_workgroup = FLOAT_TILE_N / 4,
                                  .tile = FLOAT_TILE_T,
                                  .why = "fp32, tiles in shared memory"};
    return pm_vk_usable(caps, shader);
}

pm_status pm_vk_emit_halves(pm_vk_lowering *l, const pm_tensor *x, pm_vk_slice *halves, pm_error *err)
{
    const pm_vk_caps *caps = pm_vk_lowering_caps(l);
    struct pm_halve_rows_push push = {.n_k = (uint32_t)x->dim[0], .n_blocks = pm_vk_weight_blocks(x->dim[0])};
    PM_VK_PUSH_ROWS(&push, x);
    uint64_t row_bytes = 16 * (4ull * push.n_blocks + 2);
    bool is_new;
    *halves = pm_vk_derived(l, x, PM_VK_DERIVED_HALVES, row_bytes * push.n_rows, &is_new);
    if (!is_new)
        return PM_OK;
    pm_vk_dispatch d = {
        .shader = PM_SHADER_HALVE_ROWS,
        .spec = {pm_vk_local_size(caps, 256), 0, x->dim[0] % 4 == 0},
        .n_spec = 3,
        .push = &push,
        .push_size = sizeof push,
        .bind = {{pm_vk_tensor_slice(l, x), PM_VK_READ}, {*halves, PM_VK_WRITE}},
        .n_bind = 2,
        .flops = 4.0 * push.n_k * push.n_rows,
        .bytes = 10.0 * push.n_k * push.n_rows,
        .why = "x as halves",
    };
    pm_vk_grid(caps, push.n_rows, d.groups);
    return pm_vk_emit(l, &d, err);
}
