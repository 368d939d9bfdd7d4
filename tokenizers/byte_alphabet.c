/* GPT-2's byte alphabet: see byte_alphabet.h. */
#include "byte_alphabet.h"

#include "parts/utf8_read.h"

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

size_t pm_byte_alphabet_decode(const char *text, size_t size, char *out)
{
    size_t n = 0;
    pm_character c;
    for (size_t at = 0; at < size; at += c.length) {
        c = pm_read_character(text, at, size);
        int byte = c.malformed ? -1 : byte_of(c.code);
        if (byte < 0)
            return SIZE_MAX;
        out[n++] = (char)byte;
    }
    return n;
}
