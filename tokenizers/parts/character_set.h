/* Sets of characters as regular expressions write them: \p{L}, [A-Za-z\p{M}], [^\r\n]. Only what all engines read
 * in the same way is taken; for the rest the caller goes to ICU. Immutable once made. */
#ifndef PUMICE_PARTS_CHARACTER_SET_H
#define PUMICE_PARTS_CHARACTER_SET_H

#include <stddef.h>
#include <stdint.h>

#include "parts/character_class.h"

typedef struct pm_code_range {
    uint32_t first, last;
} pm_code_range;

enum { PM_CHARACTER_SET_RANGES = 256 };

typedef struct pm_character_set {
    uint32_t categories;
    uint8_t entry_bits; /* PM_CHARACTER_HAN where the set has \p{Han} */
    uint8_t negated;
    uint8_t ascii[128]; /* the answer itself */
    size_t n_ranges;
    pm_code_range ranges[PM_CHARACTER_SET_RANGES]; /* ascending, apart from each other */
} pm_character_set;

/* Reads a set at pattern[*at], moves *at behind it; 0 where there is none that it understands. */
int pm_character_set_read(const char *pattern, size_t n, size_t *at, pm_character_set *out);

int pm_character_set_has_range(const pm_character_set *set, uint32_t code);

static inline int pm_character_set_has(const pm_character_set *set, uint32_t code)
{
    if (code < 128)
        return set->ascii[code];
    uint8_t entry = pm_character_entry(code);
    int inside = (set->categories >> (entry & PM_CHARACTER_CATEGORY) & 1) || (entry & set->entry_bits) ||
                 pm_character_set_has_range(set, code);
    return inside != set->negated;
}

#endif
