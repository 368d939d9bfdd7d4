/* Character classes from ICU: see character_class.h. */
#include "parts/character_class.h"

#include <unicode/uchar.h>

#define O PM_CLASS_OTHER
#define L PM_CLASS_LETTER
#define N PM_CLASS_NUMBER
#define S PM_CLASS_SPACE

const uint8_t pm_ascii_class[128] = {
    O, O, O, O, O, O, O, O, O, S, S, S, S, S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, N, N, N, N, N, N, N, N, N, N, O, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
};

pm_class pm_class_beyond_ascii(uint32_t code)
{
    UChar32 c = (UChar32)code;
    uint32_t category = U_MASK(u_charType(c));
    if (category & U_GC_L_MASK)
        return PM_CLASS_LETTER;
    if (category & U_GC_N_MASK)
        return PM_CLASS_NUMBER;
    return u_hasBinaryProperty(c, UCHAR_WHITE_SPACE) ? PM_CLASS_SPACE : PM_CLASS_OTHER;
}
