/* Reading text one character at a time where any bytes may come.
 *
 * Tokenizers must give every byte of their input a place, so malformed UTF-8 is not an error here: each byte that
 * does not belong to a well-formed sequence (RFC 3629) counts as one character U+FFFD of length 1.
 */
#ifndef PUMICE_PARTS_UTF8_READ_H
#define PUMICE_PARTS_UTF8_READ_H

#include <stddef.h>
#include <stdint.h>

typedef struct pm_character {
    uint32_t code;   /* U+FFFD for a malformed byte too */
    uint32_t length; /* bytes, 1 to 4; 0 only at the end of the text */
    int malformed;
} pm_character;

static inline pm_character pm_malformed_byte(void)
{
    return (pm_character){0xFFFD, 1, 1};
}

static inline int pm_is_continuation(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

/* The character at the start of n bytes of which the first is not ASCII. */
static inline pm_character pm_read_multibyte(const unsigned char *p, size_t n)
{
    if (p[0] < 0xC2 || p[0] > 0xF4 || n < 2 || !pm_is_continuation(p[1]))
        return pm_malformed_byte();
    if (p[0] < 0xE0)
        return (pm_character){(p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu), 2, 0};
    if (n < 3 || !pm_is_continuation(p[2]))
        return pm_malformed_byte();
    if (p[0] < 0xF0) {
        uint32_t code = (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
        int good = code >= 0x800 && (code < 0xD800 || code > 0xDFFF);
        return good ? (pm_character){code, 3, 0} : pm_malformed_byte();
    }
    if (n < 4 || !pm_is_continuation(p[3]))
        return pm_malformed_byte();
    uint32_t code = (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
    return code >= 0x10000 && code <= 0x10FFFF ? (pm_character){code, 4, 0} : pm_malformed_byte();
}

/* The character at text[at], where the text ends before text[end]. */
static inline pm_character pm_read_character(const char *text, size_t at, size_t end)
{
    if (at >= end)
        return (pm_character){0, 0, 0};
    const unsigned char *p = (const unsigned char *)text + at;
    if (*p < 0x80)
        return (pm_character){*p, 1, 0};
    return pm_read_multibyte(p, end - at);
}

#endif
