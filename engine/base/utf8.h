/* Checking UTF-8 and showing untrusted bytes in messages. Source: RFC 3629 (no overlong forms, no surrogates,
 * nothing above U+10FFFF). */
#ifndef PUMICE_BASE_UTF8_H
#define PUMICE_BASE_UTF8_H

#include <stddef.h>

/* Length (1 to 4) of the well-formed sequence at the start of `size` bytes; 0 where there is none. */
size_t pm_utf8_sequence(const char *text, size_t size);

/* 1 where all `size` bytes are well-formed UTF-8, and then *bad is untouched; else 0 and the index of the first
 * byte that is not. */
int pm_utf8_check(const char *text, size_t size, size_t *bad);

/* Writes the text between double quotes to `dst` (capacity of at least 8 bytes, NUL-terminated), so that it is
 * safe to print: quotes, backslashes, control characters and malformed bytes become \xNN, and what does not fit
 * becomes "...". Returns dst. */
const char *pm_quote(const char *text, size_t size, char *dst, size_t capacity);

#endif
