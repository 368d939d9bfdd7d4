/* How each weight type is laid out on the device: the file's blocks are rewritten, once, at load, into planes that
 * shaders read with aligned 32-bit loads (for instance the scales of a row in one plane and its packed values in
 * another). Rows are independent or come in groups, so that a weight can be split by rows. No bit of information
 * is lost. shaders/common/weights.glsl draws the planes of every type and reads them.
 *
 * vk_weights.c asks for the layout, allocates and splits, and has rows packed into staging memory piece by piece.
 */
#ifndef PUMICE_BACKENDS_VULKAN_WEIGHT_LAYOUT_H
#define PUMICE_BACKENDS_VULKAN_WEIGHT_LAYOUT_H

#include "backends/vulkan/vk_lower.h"

typedef enum pm_vk_weight_format {
    PM_VK_WEIGHT_ROWS, /* one plane of F32 rows, as norms, biases and tables of angles are used */
    PM_VK_WEIGHT_UNITS /* units of 4 rows x 32 values, for matrix products and embeddings */
} pm_vk_weight_format;

typedef struct pm_vk_weight_layout {
    pm_type type;    /* of the file */
    uint32_t format; /* pm_vk_weight_format, for the lowering code */
    uint32_t n_planes;
    uint64_t
        row_bytes[PM_VK_MAX_PLANES]; /* bytes that a row takes in each plane; of row_group rows: multiples of 4 */
    uint32_t interleave;             /* groups of 4 rows whose units of the same block are neighbours */
    uint32_t row_group; /* rows are stored in groups of so many, the last one padded with zero rows; at least 1 */
} pm_vk_weight_layout;

/* Chooses the layout of a weight from its type, shape and uses (PM_USE_*) and what the device has. */
pm_status pm_vk_weight_layout_choose(const pm_vk_caps *caps, const pm_weight *weight, pm_vk_weight_layout *out,
                                     pm_error *err);

/* Packs rows [first, first + count) into planes[p]: row_bytes[p] * (count rounded up to row_group) bytes each.
 * `first` is a multiple of row_group; so is count unless these are the last rows. Every byte is written, so that
 * nothing of the staging memory leaks into the weight. May be called from several threads. */
void pm_vk_weight_pack(const pm_vk_weight_layout *layout, const pm_weight *weight, int64_t first, int64_t count,
                       void *const planes[PM_VK_MAX_PLANES]);

/* How shaders that read weights as texel buffers declare a plane of units (PM_TEXEL in
 * shaders/common/weights.glsl). */
pm_vk_view pm_vk_view_of_plane(pm_type type, uint32_t plane);

/* Blocks of 32 values in a row of k values in PM_VK_WEIGHT_UNITS: the last one may be padded with zeros. */
static inline uint32_t pm_vk_weight_blocks(int64_t k)
{
    return (uint32_t)((k + 31) / 32);
}

#endif
