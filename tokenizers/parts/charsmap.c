/* See charsmap.h. */
#include "parts/charsmap.h"

#include <stdlib.h>
#include <string.h>

struct pm_charsmap {
    uint32_t *units;
    size_t n_units;
    char *texts; /* ends with a NUL of ours */
    size_t n_texts;
    uint8_t leaves[256];
    pm_charsmap_guide guide;
};

/* ---- Base64 (RFC 4648) ---- */

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t pm_charsmap_decode_base64(const char *text, size_t n, unsigned char *out)
{
    size_t n_out = 0, n_digits = n;
    while (n_digits > 0 && n - n_digits < 2 && text[n_digits - 1] == '=')
        n_digits--;
    if (n_digits % 4 == 1)
        return SIZE_MAX;
    uint32_t bits = 0;
    for (size_t i = 0; i < n_digits; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0)
            return SIZE_MAX;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 == 3) {
            out[n_out++] = (unsigned char)(bits >> 16);
            out[n_out++] = (unsigned char)(bits >> 8);
            out[n_out++] = (unsigned char)bits;
        }
    }
    if (n_digits % 4 == 2)
        out[n_out++] = (unsigned char)(bits >> 4);
    if (n_digits % 4 == 3) {
        out[n_out++] = (unsigned char)(bits >> 10);
        out[n_out++] = (unsigned char)(bits >> 2);
    }
    return n_out;
}

/* ---- The trie ---- */

static uint32_t load_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* Walks along text; returns the length of the first (shortest) or last (longest) key on the way. */
static size_t walk(const pm_charsmap *map, const char *text, size_t n, int longest, const char **to)
{
    size_t found = 0;
    if (map->n_units == 0)
        return 0;
    size_t node = offset_of(map->units[0]);
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)text[i];
        node ^= byte;
        if (byte == 0 || node >= map->n_units || (map->units[node] & (1u << 31 | 0xFF)) != byte)
            break;
        uint32_t unit = map->units[node];
        node ^= offset_of(unit);
        if (unit >> 8 & 1) {
            if (node >= map->n_units)
                break;
            uint32_t value = map->units[node] & ~(1u << 31);
            if (value < map->n_texts) {
                *to = map->texts + value;
                found = i + 1;
                if (!longest)
                    break;
            }
        }
    }
    return found;
}

size_t pm_charsmap_shortest(const pm_charsmap *map, const char *text, size_t n, const char **to)
{
    return walk(map, text, n, 0, to);
}

size_t pm_charsmap_longest(const pm_charsmap *map, const char *text, size_t n, const char **to)
{
    return walk(map, text, n, 1, to);
}

int pm_charsmap_leaves(const pm_charsmap *map, unsigned char first)
{
    return map->leaves[first];
}

const pm_charsmap_guide *pm_charsmap_guide_of(const pm_charsmap *map)
{
    return &map->guide;
}

/* ---- Making one ---- */

/* The node that `byte` leads to from the node whose children are at `node`; 0 where there is none. */
static uint32_t child_of(const pm_charsmap *map, size_t node, unsigned char byte)
{
    node ^= byte;
    if (byte == 0 || node >= map->n_units || (map->units[node] & (1u << 31 | 0xFF)) != byte)
        return 0;
    return map->units[node];
}

/* The kind of a character. */
static int find_kind(pm_charsmap *map, const unsigned char *bytes, size_t n)
{
    size_t node = offset_of(map->units[0]);
    for (size_t i = 0; i < n; i++) {
        uint32_t unit = child_of(map, node, bytes[i]);
        if (unit == 0)
            return PM_CHARSMAP_KEEPS;
        if (unit >> 8 & 1)
            return PM_CHARSMAP_MAPS;
        node ^= bytes[i] ^ offset_of(unit);
    }
    int kind = PM_CHARSMAP_KEEPS;
    for (unsigned next = 1; next < 256; next++)
        if (child_of(map, node, (unsigned char)next) != 0) {
            map->guide.goes_on[next] = 1;
            kind = PM_CHARSMAP_KEEPS_MOSTLY;
        }
    return kind;
}

static void fill_guide(pm_charsmap *map)
{
    for (unsigned byte = 0; byte < 256; byte++)
        map->leaves[byte] = map->n_units == 0 || child_of(map, offset_of(map->units[0]), (unsigned char)byte) == 0;
    for (unsigned code = 0; code < 0x10000 && map->n_units > 0; code++) {
        unsigned char utf8[3] = {(unsigned char)code};
        size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
        if (n == 2)
            utf8[0] = (unsigned char)(0xC0 | code >> 6);
        if (n == 3) {
            utf8[0] = (unsigned char)(0xE0 | code >> 12);
            utf8[1] = (unsigned char)(0x80 | (code >> 6 & 0x3F));
        }
        if (n > 1)
            utf8[n - 1] = (unsigned char)(0x80 | (code & 0x3F));
        map->guide.kinds[code] = (uint8_t)find_kind(map, utf8, n);
    }
}

static pm_plugin_code read_blob(pm_charsmap *map, const unsigned char *blob, size_t n,
                                const pm_plugin_message *message)
{
    if (n == 0)
        return PM_PLUGIN_OK;
    uint32_t n_trie = n >= 4 ? load_u32(blob) : UINT32_MAX;
    if (n < 4 || n_trie > n - 4 || n_trie % 4 != 0 || n_trie == 0)
        return pm_plugin_fail(message, PM_PLUGIN_FORMAT,
                              "the precompiled charsmap of %zu bytes says that its trie has %u", n,
                              (unsigned)n_trie);
    map->n_units = n_trie / 4;
    map->n_texts = n - 4 - n_trie;
    map->units = malloc(n_trie);
    map->texts = malloc(map->n_texts + 1);
    if (!map->units || !map->texts)
        return pm_plugin_fail_memory(message, "a charsmap");
    for (size_t i = 0; i < map->n_units; i++)
        map->units[i] = load_u32(blob + 4 + 4 * i);
    memcpy(map->texts, blob + 4 + n_trie, map->n_texts);
    map->texts[map->n_texts] = 0;
    return PM_PLUGIN_OK;
}

pm_plugin_code pm_charsmap_create(const char *base64, size_t n, pm_charsmap **out,
                                  const pm_plugin_message *message)
{
    pm_charsmap *map = calloc(1, sizeof *map);
    unsigned char *blob = malloc(n / 4 * 3 + 4);
    pm_plugin_code code = PM_PLUGIN_OK;
    if (!map || !blob) {
        code = pm_plugin_fail_memory(message, "a charsmap");
    } else {
        size_t n_blob = pm_charsmap_decode_base64(base64, n, blob);
        code = n_blob == SIZE_MAX
                   ? pm_plugin_fail(message, PM_PLUGIN_FORMAT, "the precompiled charsmap is no base64")
                   : read_blob(map, blob, n_blob, message);
    }
    free(blob);
    if (code != PM_PLUGIN_OK) {
        pm_charsmap_destroy(map);
        return code;
    }
    fill_guide(map);
    *out = map;
    return PM_PLUGIN_OK;
}

void pm_charsmap_destroy(pm_charsmap *map)
{
    if (!map)
        return;
    free(map->units);
    free(map->texts);
    free(map);
}
