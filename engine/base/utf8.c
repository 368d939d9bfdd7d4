/* UTF-8 well-formedness and quoting: see utf8.h. */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

static int is_continuation(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

size_t pm_utf8_sequence(const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text;
    if (size == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    size_t length = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || size < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if (!is_continuation(p[i]))
            return 0;
    /* The second byte rules out overlong forms, surrogates and what lies above U+10FFFF. */
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
        (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return length;
}

int pm_utf8_check(const char *text, size_t size, size_t *bad)
{
    for (size_t at = 0; at < size;) {
        size_t length = pm_utf8_sequence(text + at, size - at);
        if (length == 0) {
            *bad = at;
            return 0;
        }
        at += length;
    }
    return 1;
}

/* C0 and C1 controls and DEL, which a terminal may act on. */
static int is_control(const unsigned char *p, size_t length)
{
    return (length == 1 && (p[0] < 0x20 || p[0] == 0x7F)) || (length == 2 && p[0] == 0xC2 && p[1] < 0xA0);
}

const char *pm_quote(const char *text, size_t size, char *dst, size_t capacity)
{
    static const char hex[] = "0123456789abcdef";
    size_t used = 0;
    size_t room = capacity - 5; /* for ...", and the NUL */
    dst[used++] = '"';
    for (size_t at = 0; at < size;) {
        const unsigned char *p = (const unsigned char *)text + at;
        size_t length = pm_utf8_sequence(text + at, size - at);
        int plain = length > 0 && !is_control(p, length) && *p != '"' && *p != '\\';
        if (used + 4 > room) {
            memcpy(dst + used, "...", 3);
            used += 3;
            break;
        }
        if (plain) {
            memcpy(dst + used, p, length);
            used += length;
            at += length;
        } else {
            dst[used++] = '\\';
            dst[used++] = 'x';
            dst[used++] = hex[*p >> 4];
            dst[used++] = hex[*p & 15];
            at++;
        }
    }
    dst[used++] = '"';
    dst[used] = '\0';
    return dst;
}
