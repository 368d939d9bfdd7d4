/* The growing text of the pipeline's steps: see piece.h. */
#include "parts/piece.h"

#include <stdlib.h>
#include <string.h>

void pm_text_buffer_clear(pm_text_buffer *buffer, int with_origins)
{
    buffer->n = 0;
    buffer->with_origins = with_origins;
}

void pm_text_buffer_destroy(pm_text_buffer *buffer)
{
    free(buffer->bytes);
    free(buffer->origins);
    memset(buffer, 0, sizeof *buffer);
}

int pm_text_buffer_reserve(pm_text_buffer *buffer, size_t n)
{
    if (n > UINT32_MAX || buffer->n + n > UINT32_MAX)
        return 0;
    if (!pm_grow((void **)&buffer->bytes, &buffer->capacity, buffer->n + n, 1))
        return 0;
    return !buffer->with_origins ||
           pm_grow((void **)&buffer->origins, &buffer->origins_capacity, buffer->n + n, sizeof *buffer->origins);
}

int pm_text_buffer_append(pm_text_buffer *buffer, const char *bytes, size_t n, pm_origin origin)
{
    if (!pm_text_buffer_reserve(buffer, n))
        return 0;
    if (n > 0)
        memcpy(buffer->bytes + buffer->n, bytes, n);
    for (size_t i = 0; buffer->with_origins && i < n; i++)
        buffer->origins[buffer->n + i] = origin;
    buffer->n += n;
    return 1;
}

/* The piece may be a part of the caller's text, whose bytes have origins only by their place. */
static void fill_origins(pm_origin *to, const pm_piece *piece, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        *to++ = piece->origins ? piece->origins[i]
                               : (pm_origin){(uint32_t)(piece->base + i), (uint32_t)(piece->base + i + 1)};
}

int pm_text_buffer_append_part(pm_text_buffer *buffer, const pm_piece *piece, size_t begin, size_t end)
{
    if (end == begin)
        return 1;
    if (!pm_text_buffer_reserve(buffer, end - begin))
        return 0;
    memcpy(buffer->bytes + buffer->n, piece->bytes + begin, end - begin);
    if (buffer->with_origins)
        fill_origins(buffer->origins + buffer->n, piece, begin, end);
    buffer->n += end - begin;
    return 1;
}

pm_piece pm_text_buffer_piece(const pm_text_buffer *buffer, const pm_piece *instead_of)
{
    return (pm_piece){.bytes = buffer->bytes,
                      .n = buffer->n,
                      .origins = buffer->with_origins ? buffer->origins : NULL,
                      .starts_text = instead_of->starts_text,
                      .continues = instead_of->continues};
}
