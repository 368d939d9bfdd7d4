/* SentencePiece's precompiled character map: rewritings of strings, looked up by prefix.
 *
 * The blob (normalizer_spec.precompiled_charsmap) is: the size in bytes of a double-array trie (32 bits,
 * little-endian), the trie in the form of darts-clone, and the replacements, each ended by a NUL. It is hostile:
 * every index is checked.
 */
#ifndef PUMICE_PARTS_CHARSMAP_H
#define PUMICE_PARTS_CHARSMAP_H

#include "parts/plugin_fail.h"

typedef struct pm_charsmap pm_charsmap;

/* From base64. An empty one maps nothing. */
pm_plugin_code pm_charsmap_create(const char *base64, size_t n, pm_charsmap **out,
                                  const pm_plugin_message *message);
void pm_charsmap_destroy(pm_charsmap *map); /* NULL is fine */

/* The replacement of the shortest or longest prefix of text[0, n) that is mapped: its length in the text, or 0
 * where there is none. *to is NUL-terminated and lives as long as the map. */
size_t pm_charsmap_shortest(const pm_charsmap *map, const char *text, size_t n, const char **to);
size_t pm_charsmap_longest(const pm_charsmap *map, const char *text, size_t n, const char **to);

/* Whether no mapping starts with this byte. */
int pm_charsmap_leaves(const pm_charsmap *map, unsigned char first);

/* What can be known of a character without a look at the text: for each code point below 0x10000. */
typedef struct pm_charsmap_guide {
    uint8_t kinds[0x10000];
    uint8_t goes_on[256]; /* bytes that follow the first character in some mapping of several */
} pm_charsmap_guide;

enum {
    PM_CHARSMAP_KEEPS,        /* no mapping starts with it */
    PM_CHARSMAP_KEEPS_MOSTLY, /* none does where the next byte is not of goes_on */
    PM_CHARSMAP_MAPS          /* maybe */
};

const pm_charsmap_guide *pm_charsmap_guide_of(const pm_charsmap *map); /* lives as long as the map */

/* The blob: returns its size, or SIZE_MAX where the text is no base64; out has room for 3 bytes for each 4
 * characters begun. */
size_t pm_charsmap_decode_base64(const char *base64, size_t n, unsigned char *out);

#endif
