/* GPT-2's byte alphabet: see byte_alphabet.h. */
#include "byte_alphabet.h"

#include <stdint.h>

static int stands_for_itself(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

/* The byte that a character stands for, or -1. The characters from U+0100 on stand for 0x00-0x20, 0x7F-0xA0 and
 * 0xAD, in this order. */
static int byte_of(uint32_t code)
{
    if (code < 0x100)
        return stands_for_itself(code) ? (int)code : -1;
    uint32_t index = code - 0x100;
    if (index <= 0x20)
        return (int)index;
    index -= 0x21;
    if (index <= 0xA0 - 0x7F)
        return (int)(0x7F + index);
    return index == 0xA1 - 0x7F ? 0xAD : -1;
}

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
        if (lead < 0xC2 || lead > 0xDF || size - at < 2 || ((unsigned char)text[at + 1] & 0xC0) != 0x80)
            return SIZE_MAX;
        int byte = byte_of((lead & 0x1Fu) << 6 | ((unsigned char)text[at + 1] & 0x3Fu));
        if (byte < 0)
            return SIZE_MAX;
        out[n++] = (char)byte;
        at += 2;
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
