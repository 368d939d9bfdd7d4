/* Numbers of JSON: the grammar of RFC 8259, the nearest double, whatever the locale. */
#ifndef PUMICE_PARTS_JSON_NUMBER_H
#define PUMICE_PARTS_JSON_NUMBER_H

#include <stddef.h>
#include <stdint.h>

typedef struct pm_json_number_value {
    double number;   /* the nearest double */
    int64_t integer; /* where is_integer */
    int is_integer;  /* neither fraction nor exponent, and an int64_t */
} pm_json_number_value;

/* Reads the number at the start of n bytes; returns its length, or 0 where there is none or no double is near it
 * (1e999). What follows is the caller's. */
size_t pm_json_number_read(const char *text, size_t n, pm_json_number_value *out);

/* The same for whole numbers from 0 to 999999999 that something follows; 0 where it is another number. */
static inline size_t pm_json_small_integer(const char *text, size_t n, uint32_t *out)
{
    uint32_t value = 0;
    size_t at = 0;
    for (; at < n && at < 9 && text[at] >= '0' && text[at] <= '9'; at++)
        value = value * 10 + (uint32_t)(text[at] - '0');
    if (at == 0 || at == n || (text[0] == '0' && at > 1) || (text[at] >= '0' && text[at] <= '9') ||
        text[at] == '.' || text[at] == 'e' || text[at] == 'E')
        return 0;
    *out = value;
    return at;
}

#endif
