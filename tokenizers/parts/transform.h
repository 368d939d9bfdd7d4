/* Rewriting a piece character by character, with origins as Hugging Face's NormalizedString::transform gives them.
 *
 * Each character written says what it does to the text it is made from: change 0 replaces the next character, a
 * positive change is inserted after it, -n replaces it and removes the n after that. What is inserted has the
 * origin of the character before it.
 */
#ifndef PUMICE_PARTS_TRANSFORM_H
#define PUMICE_PARTS_TRANSFORM_H

#include "parts/piece.h"
#include "parts/utf8_read.h"

typedef struct pm_transform {
    const pm_piece *in;
    size_t at;        /* the next character of `in` */
    pm_origin before; /* of the character before it; where there is none, an empty range at the beginning */
    pm_text_buffer *out;
} pm_transform;

static inline size_t pm_write_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

void pm_transform_start(pm_transform *t, const pm_piece *in, pm_text_buffer *out, int with_origins);

/* Writes bytes with a change as above; 0 when out of memory. */
int pm_transform_put(pm_transform *t, const char *bytes, size_t n, int change);
int pm_transform_put_code(pm_transform *t, uint32_t code, int change);

/* The next character of `in` as it is; or left out. */
int pm_transform_keep(pm_transform *t);
void pm_transform_drop(pm_transform *t);

/* Many bytes as they are, up to in->bytes[end]. */
int pm_transform_keep_until(pm_transform *t, size_t end);

#endif
