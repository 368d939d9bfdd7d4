/* GPT-2's byte alphabet: see byte_alphabet.h. */
#include "parts/byte_alphabet.h"

#include <stdint.h>

/* clang-format off */
/* What the two-byte characters U+0080 to U+017F stand for: 0x100 + the byte; 0: nothing. The characters from U+0100 on
 * stand for 0x00-0x20, 0x7F-0xA0 and 0xAD, in this order. */
#define SELF_4(c)  0x100 + (c), 0x101 + (c), 0x102 + (c), 0x103 + (c)
#define SELF_16(c) SELF_4(c), SELF_4((c) + 4), SELF_4((c) + 8), SELF_4((c) + 12)
static const uint16_t meanings[0x100] = {
    [0x21] = 0x1A1, 0x1A2, 0x1A3, SELF_4(0xA4), SELF_4(0xA8), 0x1AC,      /* U+00A1 to U+00AC */
    [0x2E] = 0x1AE, 0x1AF, SELF_16(0xB0), SELF_16(0xC0), SELF_16(0xD0), SELF_16(0xE0), SELF_16(0xF0),
    [0x80] = SELF_16(0x00), SELF_16(0x10), 0x120,                         /* U+0100 to U+0120 */
    [0xA1] = 0x17F, SELF_16(0x80), SELF_16(0x90), 0x1A0,                  /* U+0121 to U+0142 */
    [0xC3] = 0x1AD,
};
/* clang-format on */

/* All characters of the alphabet have one or two bytes in UTF-8; other lead bytes begin none of it. */
size_t pm_byte_alphabet_decode(const char *text, size_t size, char *out)
{
    size_t n = 0;
    for (size_t at = 0; at < size;) {
        unsigned char lead = (unsigned char)text[at];
        if (lead > 0x20 && lead < 0x7F) {
            out[n++] = (char)lead;
            at++;
            continue;
        }
        if (lead < 0xC2 || lead > 0xC5 || size - at < 2 || ((unsigned char)text[at + 1] & 0xC0) != 0x80)
            return SIZE_MAX;
        uint16_t meaning = meanings[((lead & 0x1Fu) << 6 | ((unsigned char)text[at + 1] & 0x3Fu)) - 0x80];
        if (meaning == 0)
            return SIZE_MAX;
        out[n++] = (char)(meaning & 0xFF);
        at += 2;
    }
    return n;
}

size_t pm_byte_alphabet_encode(const char *bytes, size_t size, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned byte = (unsigned char)bytes[i], code = byte;
        if (byte <= 0x20)
            code = 0x100 + byte;
        else if (byte >= 0x7F && byte <= 0xA0)
            code = 0x121 + byte - 0x7F;
        else if (byte == 0xAD)
            code = 0x143;
        if (code < 0x80) {
            out[n++] = (char)code;
            continue;
        }
        out[n++] = (char)(0xC0 | code >> 6);
        out[n++] = (char)(0x80 | (code & 0x3F));
    }
    return n;
}

int pm_byte_alphabet_is_plain(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] < 0x21 || text[i] > 0x7E)
            return 0;
    return 1;
}
