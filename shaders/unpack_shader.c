/* SPIR-V out of the program, where it lies packed by Zstandard: unpacked it would be four fifths of the program. */
#include <stdlib.h>
#include <zstd.h>

#include "pm_shaders.h"

uint32_t *pm_shader_unpack(pm_shader shader)
{
    const pm_shader_info *info = &pm_shader_infos[shader];
    size_t size = info->n_words * sizeof(uint32_t);
    uint32_t *words = malloc(size);
    if (words && ZSTD_decompress(words, size, info->packed, info->n_packed) != size) {
        free(words);
        return NULL;
    }
    return words;
}
