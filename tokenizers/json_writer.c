/* Writing JSON into memory that grows: see json_writer.h. */
#include "json_writer.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "parts/memory.h"

void pm_json_write_bytes(pm_json_writer *text, const char *json, size_t n)
{
    if (text->failed || n > SIZE_MAX - text->n ||
        !pm_grow((void **)&text->bytes, &text->capacity, text->n + n, 1)) {
        text->failed = 1;
        return;
    }
    if (n > 0)
        memcpy(text->bytes + text->n, json, n);
    text->n += n;
}

void pm_json_write(pm_json_writer *text, const char *json)
{
    pm_json_write_bytes(text, json, strlen(json));
}

void pm_json_write_string(pm_json_writer *text, const char *string, size_t n)
{
    size_t begin = 0;
    pm_json_write(text, "\"");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)string[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        char escape[8];
        pm_json_write_bytes(text, string + begin, i - begin);
        if (c >= 0x20)
            snprintf(escape, sizeof escape, "\\%c", (char)c);
        else
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
        pm_json_write(text, escape);
        begin = i + 1;
    }
    pm_json_write_bytes(text, string + begin, n - begin);
    pm_json_write(text, "\"");
}

void pm_json_write_integer(pm_json_writer *text, long long value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%lld", value);
    pm_json_write(text, digits);
}

void pm_json_write_base64(pm_json_writer *text, const unsigned char *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    pm_json_write(text, "\"");
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        unsigned group = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? (unsigned)bytes[i + 2] : 0);
        const char four[4] = {digits[group >> 18], digits[group >> 12 & 63],
                              left > 1 ? digits[group >> 6 & 63] : '=', left > 2 ? digits[group & 63] : '='};
        pm_json_write_bytes(text, four, 4);
    }
    pm_json_write(text, "\"");
}
