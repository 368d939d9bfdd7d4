/* Weight layouts: see weight_layout.h. Every weight becomes one plane of plain F32 rows. */
#include "backends/vulkan/weight_layout.h"

#include "base/error.h"
#include "formats/block_types.h"

#include <string.h>

pm_status pm_vk_weight_layout_choose(const pm_vk_caps *caps, const pm_weight *weight, pm_vk_weight_layout *out,
                                     pm_error *err)
{
    (void)caps;
    if (weight->type == PM_TYPE_I32)
        return pm_fail(err, PM_ERR_UNSUPPORTED, "the weight %s has integer elements", weight->name);
    *out = (pm_vk_weight_layout){.type = weight->type, .n_planes = 1, .row_group = 1};
    out->row_bytes[0] = (uint64_t)weight->dim[0] * sizeof(float);
    return PM_OK;
}

void pm_vk_weight_pack(const pm_vk_weight_layout *layout, const pm_weight *weight, int64_t first, int64_t count,
                       void *const planes[PM_VK_MAX_PLANES])
{
    size_t from = pm_type_row_bytes(weight->type, weight->dim[0]);
    for (int64_t row = 0; row < count; row++)
        pm_dequantize_row(weight->type, (const unsigned char *)weight->data + (size_t)(first + row) * from,
                          (float *)planes[0] + row * weight->dim[0], weight->dim[0]);
    (void)layout;
}
