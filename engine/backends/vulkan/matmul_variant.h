/* Which shader makes a matrix product, and how its work is cut: what matmul_vk.c, matmul_tiles_vk.c and the tuning
 * table share. */
#ifndef PUMICE_BACKENDS_VULKAN_MATMUL_VARIANT_H
#define PUMICE_BACKENDS_VULKAN_MATMUL_VARIANT_H

#include "backends/vulkan/vk_lower.h"
#include "backends/vulkan/vk_tuning.h"

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
    uint32_t n_parts;             /* of K, added up by matmul_sum.comp where there are several */
    pm_vk_matmul_x x;
    bool texels; /* it reads x and the weight as texel buffers */
    const char *why;
} pm_vk_matmul_variant;

/* The first of the list of types; those after them are quantised, and have shaders for x in 8 bits. */
enum { PM_VK_PLAIN_TYPES = 3 };

/* Whether products with this type of weight read x in 8 bits where they have no cooperative matrices. */
bool pm_vk_matmul_use_i8(const pm_vk_caps *caps, int type);

/* ---- tiles in shared memory: matmul_tiles_vk.c ------------------------------------------------------------ */

/* The tilings that may be the fastest one, first the one that a rule of thumb takes; 0 where such products are not
 * made by tiles on this device. */
int pm_vk_matmul_tilings(const pm_vk_caps *caps, const pm_vk_product *p, pm_vk_tiling out[PM_VK_MOST_TILINGS]);

/* False where the device cannot do it, whatever the numbers are. `measured`: said in `why`. */
bool pm_vk_matmul_tiled(const pm_vk_caps *caps, const pm_vk_product *p, pm_vk_tiling tiling, bool measured,
                        pm_vk_matmul_variant *out);

/* The tiling that was measured to be the fastest (vk_tuning.h); false where none was. */
bool pm_vk_measured_tiling(pm_vk_lowering *l, const pm_vk_product *p, pm_vk_tiling *out);

/* x as halves (shaders/halve_rows.comp): made by the first product that reads it. */
pm_status pm_vk_emit_halves(pm_vk_lowering *l, const pm_tensor *x, pm_vk_slice *halves, pm_error *err);

#endif
