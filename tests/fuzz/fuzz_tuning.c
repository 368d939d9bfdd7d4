/* The libFuzzer target for tuning tables, below the checksum of their file: any bytes are refused, and leave a
 * table as it was, or are entries that a table may hold, and what it had stays. */
#include <stdlib.h>
#include <string.h>

#include "backends/vulkan/vk_tuning.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const pm_vk_product own = {1, 32, 64, 64};
    pm_vk_tuning table = {0};
    pm_vk_tiling tiling;
    char *bytes = malloc(size ? size : 1); /* a copy: only malloc's end is guarded to the byte */
    if (!bytes || !pm_vk_tuning_put(&table, &own, (pm_vk_tiling){0, 2}))
        abort();
    memcpy(bytes, data, size);
    bool good = pm_vk_tuning_parse(&table, bytes, size);
    free(bytes);
    if ((!good && table.n != 1) || table.n < 1 || table.n > PM_VK_MOST_TUNED || table.n > 1 + size / 24 ||
        !pm_vk_tuning_find(&table, &own, &tiling) || tiling.n_parts != 2)
        abort();
    for (size_t i = 0; i < table.n; i++) {
        const pm_vk_tuned *e = &table.list[i];
        const pm_vk_product p = {(int)e->type, e->n_rows, e->n_k, e->n_out};
        if (!e->n_k || !e->n_out || e->n_rows < PM_VK_MANY_ROWS || e->tiling.n_parts < 1 ||
            e->tiling.n_parts > PM_VK_MOST_PARTS || !pm_vk_tuning_find(&table, &p, &tiling) ||
            memcmp(&tiling, &e->tiling, sizeof tiling) != 0)
            abort();
    }
    pm_vk_tuning_clear(&table);
    return 0;
}
