/* A stretch of text on its way through the pipeline, and where each of its bytes comes from.
 *
 * Flow: caller's text -> stretches between added tokens -> normalisers -> pre-tokenizers -> the model. A step that
 * changes nothing hands on the piece that it was given, narrowed; one that changes text writes into a
 * pm_text_buffer of the run and hands on a piece of that. Origins are kept only where somebody needs them.
 */
#ifndef PUMICE_PARTS_PIECE_H
#define PUMICE_PARTS_PIECE_H

#include <stddef.h>
#include <stdint.h>

#include "parts/plugin_fail.h"

/* A range of bytes of the caller's text; texts are at most INT32_MAX / 2 bytes long. */
typedef struct pm_origin {
    uint32_t begin, end;
} pm_origin;

typedef struct pm_piece {
    const char *bytes; /* not NUL-terminated; any bytes */
    size_t n;
    const pm_origin *origins; /* one a byte: what of the caller's text it stands for; NULL: not kept, or the
                               * piece is the caller's text itself, byte i of it being text[base + i] */
    size_t base;              /* where origins is NULL and the bytes are the caller's own */
    int starts_text; /* its first byte stands for the beginning of the caller's text (Metaspace's "first") */
    int continues;   /* its beginning continues earlier text: no prefix goes in front (PM_ENCODE_CONTINUATION) */
} pm_piece;

/* The part [begin, end) of a piece, begin <= end <= piece->n. */
static inline pm_piece pm_piece_part(const pm_piece *piece, size_t begin, size_t end)
{
    pm_piece part = {piece->bytes + begin, end - begin, piece->origins ? piece->origins + begin : NULL,
                     piece->base + begin,  0,           piece->continues && begin == 0};
    if (piece->origins)
        part.starts_text = end > begin ? piece->origins[begin].begin == 0 : piece->starts_text && begin == 0;
    else
        part.starts_text = piece->starts_text && begin == 0;
    return part;
}

/* What of the caller's text the bytes [begin, end) of a piece stand for. An empty range lies before byte begin. */
static inline pm_text_span pm_piece_span(const pm_piece *piece, size_t begin, size_t end)
{
    if (!piece->origins)
        return (pm_text_span){piece->base + begin, piece->base + end};
    if (begin < end)
        return (pm_text_span){piece->origins[begin].begin, piece->origins[end - 1].end};
    size_t at = piece->n == 0      ? 0
                : begin < piece->n ? piece->origins[begin].begin
                                   : piece->origins[piece->n - 1].end;
    return (pm_text_span){at, at};
}

/* Pieces in a row: whole->bytes[begin, ends[0]), whole->bytes[ends[0], ends[1]), ... None is empty. */
typedef struct pm_pieces {
    const pm_piece *whole;
    size_t begin;
    const uint32_t *ends;
    size_t n;
} pm_pieces;

/* Receives pieces in the order of the text; none is empty. Anything but PM_PLUGIN_OK ends the work. What is passed
 * is borrowed for the call. */
typedef struct pm_piece_sink {
    pm_plugin_code (*take)(void *context, const pm_piece *piece);
    pm_plugin_code (*take_many)(void *context, const pm_pieces *pieces); /* NULL: one at a time */
    void *context;
} pm_piece_sink;

/* Text that a step has written, with origins where they are kept. Grows; emptied and used again, never shared. */
typedef struct pm_text_buffer {
    char *bytes;
    pm_origin *origins; /* NULL where with_origins is 0 */
    size_t n, capacity, origins_capacity;
    int with_origins;
} pm_text_buffer;

void pm_text_buffer_clear(pm_text_buffer *buffer, int with_origins); /* keeps its memory */
void pm_text_buffer_destroy(pm_text_buffer *buffer);                 /* fine on one that is all zero */

/* Room for n more bytes; 0 when out of memory. */
int pm_text_buffer_reserve(pm_text_buffer *buffer, size_t n);

/* Appends bytes that all stand for `origin` (ignored where origins are not kept); 0 when out of memory. */
int pm_text_buffer_append(pm_text_buffer *buffer, const char *bytes, size_t n, pm_origin origin);

/* Appends the part [begin, end) of a piece with its origins. */
int pm_text_buffer_append_part(pm_text_buffer *buffer, const pm_piece *piece, size_t begin, size_t end);

/* What has been written in place of a piece; valid until the buffer changes. */
pm_piece pm_text_buffer_piece(const pm_text_buffer *buffer, const pm_piece *instead_of);

/* The whole character that bytes [begin, end) of a piece are, in the caller's text. */
static inline pm_origin pm_piece_origin(const pm_piece *piece, size_t begin, size_t end)
{
    pm_text_span span = pm_piece_span(piece, begin, end);
    return (pm_origin){(uint32_t)span.begin, (uint32_t)span.end};
}

#endif
