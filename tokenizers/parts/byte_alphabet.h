/* GPT-2's spelling of bytes as printable characters, in which byte-level vocabularies are written down.
 *
 * Source: Radford et al. 2019, the released encoder: printable ASCII and Latin-1 stand for themselves, the other
 * bytes in ascending order for the characters from U+0100 on.
 */
#ifndef PUMICE_PARTS_BYTE_ALPHABET_H
#define PUMICE_PARTS_BYTE_ALPHABET_H

#include <stddef.h>

/* Undoes the spelling: writes the bytes (never more than `size`) and returns their number, or SIZE_MAX where a
 * character is not of the alphabet or the text is not UTF-8. */
size_t pm_byte_alphabet_decode(const char *text, size_t size, char *out);

/* Spells bytes; `out` has room for twice as many. Returns the length. */
size_t pm_byte_alphabet_encode(const char *bytes, size_t size, char *out);

/* 1 where all characters stand for themselves: printable ASCII. */
int pm_byte_alphabet_is_plain(const char *text, size_t size);

#endif
