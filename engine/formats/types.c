/* Facts about element types: the table that types.h declares, made from its one list. */
#include "pumice/types.h"

static const pm_type_info type_table[PM_TYPE_COUNT] = {
#define TYPE_ROW(name, gguf_id, block_elems, block_bytes) {#name, gguf_id, block_elems, block_bytes},
    PM_TYPE_LIST(TYPE_ROW)
#undef TYPE_ROW
};

const pm_type_info *pm_type_get(pm_type type)
{
    unsigned index = (unsigned)type;
    return index < PM_TYPE_COUNT ? &type_table[index] : NULL;
}

const char *pm_type_name(pm_type type)
{
    const pm_type_info *info = pm_type_get(type);
    return info ? info->name : "?";
}

int pm_type_from_gguf(uint32_t gguf_id, pm_type *out)
{
    for (int i = 0; i < PM_TYPE_COUNT; i++) {
        if (type_table[i].gguf_id == gguf_id) {
            *out = (pm_type)i;
            return 1;
        }
    }
    return 0;
}

size_t pm_type_row_bytes(pm_type type, int64_t n_elems)
{
    const pm_type_info *info = pm_type_get(type);
    if (!info || n_elems < 0 || n_elems % info->block_elems != 0)
        return SIZE_MAX;
    uint64_t n_blocks = (uint64_t)n_elems / info->block_elems;
    if (n_blocks > (SIZE_MAX - 1) / info->block_bytes)
        return SIZE_MAX;
    return (size_t)n_blocks * info->block_bytes;
}
