/* The three properties that pre-tokenizers cut text by: letter (\p{L}), number (\p{N}), white space (\s, Unicode's
 * White_Space). ASCII comes from a table, the rest from ICU's compact tries. */
#ifndef PUMICE_PARTS_CHARACTER_CLASS_H
#define PUMICE_PARTS_CHARACTER_CLASS_H

#include <stdint.h>

typedef enum pm_class {
    PM_CLASS_OTHER = 0, /* none of the following */
    PM_CLASS_LETTER,
    PM_CLASS_NUMBER,
    PM_CLASS_SPACE,
    PM_CLASS_END /* given by scanners at the end of the text; no character has it */
} pm_class;

extern const uint8_t pm_ascii_class[128];

pm_class pm_class_beyond_ascii(uint32_t code);

static inline pm_class pm_class_of(uint32_t code)
{
    return code < 128 ? (pm_class)pm_ascii_class[code] : pm_class_beyond_ascii(code);
}

#endif
