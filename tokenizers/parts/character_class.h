/* What pre-tokenizers, normalisers and word models ask of a character: its general category, whether it is white
 * space, whether its script is Han. One byte a code point, in a two-stage table of a few dozen kilobytes that is
 * made at build time from ICU (generate/make_character_table.c), so asking costs two loads and is the same in all
 * threads.
 *
 * A set of categories is a mask of 32 bits; pm_category_bit(code) & PM_SET_LETTER is the usual question.
 */
#ifndef PUMICE_PARTS_CHARACTER_CLASS_H
#define PUMICE_PARTS_CHARACTER_CLASS_H

#include <stdint.h>

/* Unicode's general categories, numbered as in ICU; control characters that are white space are taken apart. */
typedef enum pm_category {
    PM_CATEGORY_CN,
    PM_CATEGORY_LU,
    PM_CATEGORY_LL,
    PM_CATEGORY_LT,
    PM_CATEGORY_LM,
    PM_CATEGORY_LO,
    PM_CATEGORY_MN,
    PM_CATEGORY_ME,
    PM_CATEGORY_MC,
    PM_CATEGORY_ND,
    PM_CATEGORY_NL,
    PM_CATEGORY_NO,
    PM_CATEGORY_ZS,
    PM_CATEGORY_ZL,
    PM_CATEGORY_ZP,
    PM_CATEGORY_CC, /* but for the two at the end */
    PM_CATEGORY_CF,
    PM_CATEGORY_CO,
    PM_CATEGORY_CS,
    PM_CATEGORY_PD,
    PM_CATEGORY_PS,
    PM_CATEGORY_PE,
    PM_CATEGORY_PC,
    PM_CATEGORY_PO,
    PM_CATEGORY_SM,
    PM_CATEGORY_SC,
    PM_CATEGORY_SK,
    PM_CATEGORY_SO,
    PM_CATEGORY_PI,
    PM_CATEGORY_PF,
    PM_CATEGORY_CC_SPACE, /* Cc and White_Space: tab, VT, FF, U+0085 */
    PM_CATEGORY_CC_BREAK, /* CR and LF */
} pm_category;

#define PM_SET(category) (UINT32_C(1) << PM_CATEGORY_##category)

#define PM_SET_LETTER (PM_SET(LU) | PM_SET(LL) | PM_SET(LT) | PM_SET(LM) | PM_SET(LO))
#define PM_SET_MARK   (PM_SET(MN) | PM_SET(ME) | PM_SET(MC))
#define PM_SET_NUMBER (PM_SET(ND) | PM_SET(NL) | PM_SET(NO))
#define PM_SET_PUNCTUATION                                                                                        \
    (PM_SET(PD) | PM_SET(PS) | PM_SET(PE) | PM_SET(PC) | PM_SET(PO) | PM_SET(PI) | PM_SET(PF))
#define PM_SET_SYMBOL     (PM_SET(SM) | PM_SET(SC) | PM_SET(SK) | PM_SET(SO))
#define PM_SET_CONTROL    (PM_SET(CC) | PM_SET(CC_SPACE) | PM_SET(CC_BREAK))
#define PM_SET_LINE_BREAK PM_SET(CC_BREAK)
/* White_Space, which is \s for both Oniguruma and Rust. */
#define PM_SET_SPACE (PM_SET(ZS) | PM_SET(ZL) | PM_SET(ZP) | PM_SET(CC_SPACE) | PM_SET(CC_BREAK))

enum {
    PM_CHARACTER_BLOCK_BITS = 7,
    PM_CHARACTER_BLOCK = 1 << PM_CHARACTER_BLOCK_BITS,
    PM_CHARACTER_BLOCKS = 0x110000 >> PM_CHARACTER_BLOCK_BITS,
    PM_CHARACTER_CATEGORY = 31, /* the bits of the category in an entry */
    PM_CHARACTER_HAN = 32       /* set where the script is Han */
};

extern const uint8_t pm_ascii_category[128];
extern const uint16_t pm_character_stage1[PM_CHARACTER_BLOCKS]; /* which block of stage 2 */
extern const uint8_t pm_character_stage2[];

/* The entry of a code point, which must be below 0x110000. */
static inline uint8_t pm_character_entry(uint32_t code)
{
    uint32_t block = pm_character_stage1[code >> PM_CHARACTER_BLOCK_BITS];
    return pm_character_stage2[block << PM_CHARACTER_BLOCK_BITS | (code & (PM_CHARACTER_BLOCK - 1))];
}

static inline pm_category pm_category_of(uint32_t code)
{
    return (pm_category)(pm_character_entry(code) & PM_CHARACTER_CATEGORY);
}

/* The category as a set of one. */
static inline uint32_t pm_category_bit(uint32_t code)
{
    return UINT32_C(1) << (pm_character_entry(code) & PM_CHARACTER_CATEGORY);
}

static inline int pm_is_han(uint32_t code)
{
    return (pm_character_entry(code) & PM_CHARACTER_HAN) != 0;
}

#endif
