/* Products of many rows of x by tiles in shared memory (matmul_tiles.comp): how large the tiles are, and into how
 * many parts K is cut where there would be few of them. */
#include "backends/vulkan/matmul_variant.h"
#include "backends/vulkan/op_lowering.h"
#include "backends/vulkan/weight_layout.h"
#include "halve_rows.push.h"

/* The sizes in shaders/CMakeLists.txt, from the largest, which reads the least for what it computes, to the one
 * that makes the most workgroups. `enough`: with fewer workgroups the next smaller is better: on 132
 * multiprocessors (H200), 512 rows of x, weights of 4096 x 14336 (448 large ones) took 439 us by large tiles and
 * 462 by medium ones; 4096 x 4096 (128 large ones) 182 and 147; 4096 x 1024 (128 medium ones) 97 by medium tiles
 * and 90 by small ones. */
typedef struct tile {
    pm_shader first; /* of the first type */
    int first_type;
    uint32_t t, n;          /* rows of x and weight rows of a workgroup */
    uint32_t local, shared; /* invocations; bytes of shared memory */
    int64_t enough;
} tile;
enum { COOP_ROW = 5 * 16, COOP_LOCAL = 4 * PM_VK_COOP_SUBGROUP, COOP_STAGE = 4 * 16 * 20 * 4 };
enum { FLOAT_T = 32, FLOAT_N = 64, FLOAT_LOCAL = FLOAT_T / 4 * FLOAT_N / 4 };
enum { ENOUGH = 192 };
static const tile coop_tiles[] = {
    {PM_SHADER_MATMUL_COOP_LARGE_F16, 1, 128, 128, COOP_LOCAL, 2 * 256 * COOP_ROW + COOP_STAGE, 2 * ENOUGH},
    {PM_SHADER_MATMUL_COOP_MEDIUM_F16, 1, 64, 64, COOP_LOCAL, 2 * 128 * COOP_ROW + COOP_STAGE, ENOUGH},
    {PM_SHADER_MATMUL_COOP_SMALL_F16, 1, 32, 64, COOP_LOCAL, 2 * 96 * COOP_ROW + COOP_STAGE, ENOUGH},
};
/* Without cooperative matrices, quantised weights, integer dot products. */
enum { I8_ROW = 3 * 16 };
static const tile i8_tiles[] = {
    {PM_SHADER_MATMUL_TILES_I8_LARGE_Q8_0, PM_VK_PLAIN_TYPES, 64, 128, 256, 2 * 192 * I8_ROW, ENOUGH},
    {PM_SHADER_MATMUL_TILES_I8_SMALL_Q8_0, PM_VK_PLAIN_TYPES, 32, 64, 128, 2 * 96 * I8_ROW, ENOUGH},
};
/* Without either; it fits every device. */
static const tile float_tiles[] = {
    {PM_SHADER_MATMUL_TILES_F32, 0, FLOAT_T, FLOAT_N, FLOAT_LOCAL, 9 * 16 * (FLOAT_T + FLOAT_N), ENOUGH},
};

/* Parts of K. Adding them up is a dispatch (4 us on the H200) and moves 8 bytes a value of out and part, as much
 * time as the tiles take for some 130 values along K. A large tile in parts is better than a smaller one where
 * parts are long, and where even the smallest are too few, any parts that take longer than that dispatch (a block
 * takes 0.7 us there). */
enum { LONG_PART = 64, LEAST_PART = 16, WORTH_MEASURING = 8 }; /* blocks */

static bool fits(const pm_vk_caps *caps, const tile *now, int type)
{
    const pm_device_limits *l = &caps->limits;
    return type >= now->first_type && now->shared <= l->max_shared_memory &&
           now->local <= l->max_workgroup_invocations && now->local <= l->max_workgroup_size[0] &&
           pm_vk_usable(caps, (pm_shader)((int)now->first + type - now->first_type));
}

static bool uses_coop(const pm_vk_caps *caps, int type)
{
    bool found = false;
    for (size_t i = 0; i < sizeof coop_tiles / sizeof *coop_tiles; i++)
        found = found || fits(caps, &coop_tiles[i], type);
    return found && pm_vk_coop_usable(caps) && pm_vk_usable(caps, PM_SHADER_HALVE_ROWS);
}

/* The tiles that products with such weights are made of; none where they go another way. */
typedef struct tile_set {
    const tile *tiles;
    uint32_t n;
    pm_vk_matmul_x x;
    const char *why[2]; /* by rule, measured */
} tile_set;
#define TILES(list) list, sizeof(list) / sizeof *(list)
#define WHY(what)                                                                                                 \
    {                                                                                                             \
        what ", tiles in shared memory; by rule", what ", tiles in shared memory; measured"                       \
    }

static const tile_set *tiles_of(const pm_vk_caps *caps, int type)
{
    static const tile_set coop = {TILES(coop_tiles), PM_VK_X_HALVES, WHY("cooperative matrices")},
                          i8 = {TILES(i8_tiles), PM_VK_X_I8_BLOCKS, WHY("integer dot products")},
                          floats = {TILES(float_tiles), PM_VK_X_FLOATS, WHY("fp32")}, none = {0};
    return uses_coop(caps, type)             ? &coop
           : pm_vk_matmul_use_i8(caps, type) ? &i8
           : caps->software                  ? &none
                                             : &floats;
}

static int64_t n_workgroups(const tile *now, const pm_vk_product *p)
{
    return ((int64_t)p->n_rows + now->t - 1) / now->t * (((int64_t)p->n_out + now->n - 1) / now->n);
}

/* Parts of whole blocks: how many there are where so many were wanted. */
static uint32_t whole_parts(const pm_vk_product *p, int64_t want)
{
    int64_t n_blocks = pm_vk_weight_blocks(p->n_k),
            most = n_blocks < PM_VK_MOST_PARTS ? n_blocks : PM_VK_MOST_PARTS;
    want = want < 1 ? 1 : want < most ? want : most;
    int64_t part = (n_blocks + want - 1) / want;
    return (uint32_t)((n_blocks + part - 1) / part);
}

static pm_vk_tiling by_rule(const pm_vk_caps *caps, const pm_vk_product *p, const tile_set *set)
{
    int64_t n_blocks = pm_vk_weight_blocks(p->n_k);
    pm_vk_tiling last = {0, 1};
    for (uint32_t i = 0; i < set->n; i++) {
        if (!fits(caps, &set->tiles[i], p->type))
            continue;
        int64_t now = n_workgroups(&set->tiles[i], p), want = (set->tiles[i].enough + now - 1) / now;
        if (want == 1 || want <= n_blocks / LONG_PART)
            return (pm_vk_tiling){i, whole_parts(p, want)};
        int64_t most = n_blocks / LEAST_PART;
        last = (pm_vk_tiling){i, whole_parts(p, want < most ? want : most)};
    }
    return last;
}

int pm_vk_matmul_tilings(const pm_vk_caps *caps, const pm_vk_product *p, pm_vk_tiling out[PM_VK_MOST_TILINGS])
{
    const tile_set *set = tiles_of(caps, p->type);
    const tile *tiles = set->tiles;
    pm_vk_matmul_variant unused;
    int n = 0;
    pm_vk_tiling rule = by_rule(caps, p, set);
    if (set->n && pm_vk_matmul_tiled(caps, p, rule, false, &unused))
        out[n++] = rule;
    else if (set->n && pm_vk_matmul_tiled(caps, p, (pm_vk_tiling){rule.tile, 1}, false, &unused))
        out[n++] = (pm_vk_tiling){rule.tile, 1}; /* room for its parts is more than can be bound */
    for (uint32_t i = 0; i < set->n && n > 0; i++)
        for (int64_t want = 1; want <= PM_VK_MOST_PARTS && n < PM_VK_MOST_TILINGS; want *= 2) {
            pm_vk_tiling now = {i, whole_parts(p, want)};
            bool filled = want > 1 && n_workgroups(&tiles[i], p) * want / 2 >= 2 * tiles[i].enough;
            bool known = (now.tile == out[0].tile && now.n_parts == out[0].n_parts) ||
                         (want > 1 && now.n_parts == whole_parts(p, want / 2));
            if (filled || (want > 1 && pm_vk_weight_blocks(p->n_k) / now.n_parts < WORTH_MEASURING))
                break;
            if (!known && pm_vk_matmul_tiled(caps, p, now, false, &unused))
                out[n++] = now;
        }
    return n;
}

bool pm_vk_matmul_tiled(const pm_vk_caps *caps, const pm_vk_product *p, pm_vk_tiling tiling, bool measured,
                        pm_vk_matmul_variant *out)
{
    const tile_set *set = tiles_of(caps, p->type);
    const tile *now = &set->tiles[tiling.tile < set->n ? tiling.tile : 0];
    uint64_t values = (uint64_t)p->n_rows * p->n_out * (tiling.n_parts > 1 ? tiling.n_parts : 0);
    if (tiling.tile >= set->n || !fits(caps, now, p->type) || tiling.n_parts < 1 ||
        tiling.n_parts > PM_VK_MOST_PARTS || whole_parts(p, tiling.n_parts) != tiling.n_parts ||
        values > INT32_MAX || sizeof(float) * values > caps->limits.max_storage_buffer_range)
        return false;
    *out = (pm_vk_matmul_variant){.shader = (pm_shader)((int)now->first + p->type - now->first_type),
                                  .local = now->local,
                                  .subgroup_size = set->x == PM_VK_X_HALVES ? PM_VK_COOP_SUBGROUP : 0,
                                  .groups_of_workgroup = now->n / 4,
                                  .tile = now->t,
                                  .n_parts = tiling.n_parts,
                                  .x = set->x,
                                  .why = set->why[measured]};
    return true;
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
