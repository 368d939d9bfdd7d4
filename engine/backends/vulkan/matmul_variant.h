/* Which shader makes a matrix product, and how its work is cut: what matmul_vk.c and matmul_tiles_vk.c share. */
#ifndef PUMICE_BACKENDS_VULKAN_MATMUL_VARIANT_H
#define PUMICE_BACKENDS_VULKAN_MATMUL_VARIANT_H

#include "backends/vulkan/vk_lower.h"

/* What the shader reads x as. */
typedef enum pm_vk_matmul_x {
    PM_VK_X_FLOATS,
    PM_VK_X_I8_BLOCKS, /* quantize_i8 */
    PM_VK_X_HALVES     /* halve_rows */
} pm_vk_matmul_x;

typedef struct pm_vk_matmul_variant {
    pm_shader shader;
    uint32_t local, subgroup_size;
    uint32_t groups_of_workgroup; /* groups of 4 weight rows */
    uint32_t tile;                /* rows of x of a workgroup */
    pm_vk_matmul_x x;
    bool texels; /* it reads x and the weight as texel buffers */
    const char *why;
} pm_vk_matmul_variant;

/* Products of many rows by tiles in shared memory, by cooperative matrices and without; false where the device has not
 * what they need. `type`: number in the list of weight types. */
bool pm_vk_matmul_coop_choose(const pm_vk_caps *caps, int type, int64_t n_rows, int64_t n_out,
                              pm_vk_matmul_variant *out);
bool pm_vk_matmul_tiles_choose(const pm_vk_caps *caps, int type, pm_vk_matmul_variant *out);

/* x as halves (shaders/halve_rows.comp): made by the first product that reads it. */
pm_status pm_vk_emit_halves(pm_vk_lowering *l, const pm_tensor *x, pm_vk_slice *halves, pm_error *err);

#endif
