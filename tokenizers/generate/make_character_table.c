/* Writes character_table.h, the two-stage table behind parts/character_class.h, from the ICU of the machine that
 * builds. Tokenizers were made, and are used elsewhere, with Unicode 16; what it added to Unicode 15, which a
 * stable ICU may not know, is written out here, so that tokens do not depend on the ICU that is there. (Compared
 * code point by code point with the regular expressions of tokenizers 0.23 and tiktoken 0.14, which agree with
 * each other.)
 *
 * usage: make_character_table FILE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include "parts/character_class.h"

_Static_assert(PM_CATEGORY_PF == (int)U_FINAL_PUNCTUATION && PM_CATEGORY_SO == (int)U_OTHER_SYMBOL &&
                   PM_CATEGORY_CF == (int)U_FORMAT_CHAR && PM_CATEGORY_ZS == (int)U_SPACE_SEPARATOR,
               "the categories are numbered as in ICU");

typedef struct code_range {
    uint32_t first, last;
    uint8_t category;
} code_range;

/* clang-format off */
static const code_range unicode_16[] = {
    {0x0897, 0x0897, PM_CATEGORY_MN}, {0x1B4E, 0x1B4F, PM_CATEGORY_PO}, {0x1B7F, 0x1B7F, PM_CATEGORY_PO},
    {0x1C89, 0x1C89, PM_CATEGORY_LU}, {0x1C8A, 0x1C8A, PM_CATEGORY_LL}, {0x2427, 0x2429, PM_CATEGORY_SO},
    {0x2FFC, 0x2FFF, PM_CATEGORY_SO}, {0x31E4, 0x31E5, PM_CATEGORY_SO}, {0x31EF, 0x31EF, PM_CATEGORY_SO},
    {0xA7CB, 0xA7CC, PM_CATEGORY_LU}, {0xA7CD, 0xA7CD, PM_CATEGORY_LL}, {0xA7DA, 0xA7DA, PM_CATEGORY_LU},
    {0xA7DB, 0xA7DB, PM_CATEGORY_LL}, {0xA7DC, 0xA7DC, PM_CATEGORY_LU}, {0x105C0, 0x105F3, PM_CATEGORY_LO},
    {0x10D40, 0x10D49, PM_CATEGORY_ND}, {0x10D4A, 0x10D4D, PM_CATEGORY_LO}, {0x10D4E, 0x10D4E, PM_CATEGORY_LM},
    {0x10D4F, 0x10D4F, PM_CATEGORY_LO}, {0x10D50, 0x10D65, PM_CATEGORY_LU}, {0x10D69, 0x10D6D, PM_CATEGORY_MN},
    {0x10D6E, 0x10D6E, PM_CATEGORY_PD}, {0x10D6F, 0x10D6F, PM_CATEGORY_LM}, {0x10D70, 0x10D85, PM_CATEGORY_LL},
    {0x10D8E, 0x10D8F, PM_CATEGORY_SM}, {0x10EC2, 0x10EC4, PM_CATEGORY_LO}, {0x10EFC, 0x10EFC, PM_CATEGORY_MN},
    {0x11380, 0x11389, PM_CATEGORY_LO}, {0x1138B, 0x1138B, PM_CATEGORY_LO}, {0x1138E, 0x1138E, PM_CATEGORY_LO},
    {0x11390, 0x113B5, PM_CATEGORY_LO}, {0x113B7, 0x113B7, PM_CATEGORY_LO}, {0x113B8, 0x113BA, PM_CATEGORY_MC},
    {0x113BB, 0x113C0, PM_CATEGORY_MN}, {0x113C2, 0x113C2, PM_CATEGORY_MC}, {0x113C5, 0x113C5, PM_CATEGORY_MC},
    {0x113C7, 0x113CA, PM_CATEGORY_MC}, {0x113CC, 0x113CD, PM_CATEGORY_MC}, {0x113CE, 0x113CE, PM_CATEGORY_MN},
    {0x113CF, 0x113CF, PM_CATEGORY_MC}, {0x113D0, 0x113D0, PM_CATEGORY_MN}, {0x113D1, 0x113D1, PM_CATEGORY_LO},
    {0x113D2, 0x113D2, PM_CATEGORY_MN}, {0x113D3, 0x113D3, PM_CATEGORY_LO}, {0x113D4, 0x113D5, PM_CATEGORY_PO},
    {0x113D7, 0x113D8, PM_CATEGORY_PO}, {0x113E1, 0x113E2, PM_CATEGORY_MN}, {0x116D0, 0x116E3, PM_CATEGORY_ND},
    {0x1171E, 0x1171E, PM_CATEGORY_MC}, {0x11BC0, 0x11BE0, PM_CATEGORY_LO}, {0x11BE1, 0x11BE1, PM_CATEGORY_PO},
    {0x11BF0, 0x11BF9, PM_CATEGORY_ND}, {0x11F5A, 0x11F5A, PM_CATEGORY_MN}, {0x13460, 0x143FA, PM_CATEGORY_LO},
    {0x16100, 0x1611D, PM_CATEGORY_LO}, {0x1611E, 0x16129, PM_CATEGORY_MN}, {0x1612A, 0x1612C, PM_CATEGORY_MC},
    {0x1612D, 0x1612F, PM_CATEGORY_MN}, {0x16130, 0x16139, PM_CATEGORY_ND}, {0x16D40, 0x16D42, PM_CATEGORY_LM},
    {0x16D43, 0x16D6A, PM_CATEGORY_LO}, {0x16D6B, 0x16D6C, PM_CATEGORY_LM}, {0x16D6D, 0x16D6F, PM_CATEGORY_PO},
    {0x16D70, 0x16D79, PM_CATEGORY_ND}, {0x18CFF, 0x18CFF, PM_CATEGORY_LO}, {0x1CC00, 0x1CCEF, PM_CATEGORY_SO},
    {0x1CCF0, 0x1CCF9, PM_CATEGORY_ND}, {0x1CD00, 0x1CEB3, PM_CATEGORY_SO}, {0x1E5D0, 0x1E5ED, PM_CATEGORY_LO},
    {0x1E5EE, 0x1E5EF, PM_CATEGORY_MN}, {0x1E5F0, 0x1E5F0, PM_CATEGORY_LO}, {0x1E5F1, 0x1E5FA, PM_CATEGORY_ND},
    {0x1E5FF, 0x1E5FF, PM_CATEGORY_PO}, {0x1F8B2, 0x1F8BB, PM_CATEGORY_SO}, {0x1F8C0, 0x1F8C1, PM_CATEGORY_SO},
    {0x1FA89, 0x1FA89, PM_CATEGORY_SO}, {0x1FA8F, 0x1FA8F, PM_CATEGORY_SO}, {0x1FABE, 0x1FABE, PM_CATEGORY_SO},
    {0x1FAC6, 0x1FAC6, PM_CATEGORY_SO}, {0x1FADC, 0x1FADC, PM_CATEGORY_SO}, {0x1FADF, 0x1FADF, PM_CATEGORY_SO},
    {0x1FAE9, 0x1FAE9, PM_CATEGORY_SO}, {0x1FBCB, 0x1FBEF, PM_CATEGORY_SO}, {0x2EBF0, 0x2EE5D, PM_CATEGORY_LO},
};
/* clang-format on */

static const code_range han_of_unicode_15_1 = {0x2EBF0, 0x2EE5D, PM_CATEGORY_LO};

static uint8_t entry_of(uint32_t code)
{
    UErrorCode status = U_ZERO_ERROR;
    UChar32 c = (UChar32)code;
    uint8_t category = (uint8_t)u_charType(c);
    for (size_t i = 0; i < sizeof unicode_16 / sizeof unicode_16[0]; i++)
        if (code >= unicode_16[i].first && code <= unicode_16[i].last)
            category = unicode_16[i].category;
    if (category == PM_CATEGORY_CC && u_hasBinaryProperty(c, UCHAR_WHITE_SPACE))
        category = code == '\r' || code == '\n' ? PM_CATEGORY_CC_BREAK : PM_CATEGORY_CC_SPACE;
    int is_space = (1u << category & PM_SET_SPACE) != 0;
    if (is_space != (u_hasBinaryProperty(c, UCHAR_WHITE_SPACE) != 0)) {
        fprintf(stderr, "make_character_table: the categories do not tell that U+%04X is white space\n", code);
        exit(EXIT_FAILURE);
    }
    int is_han = uscript_getScript(c, &status) == USCRIPT_HAN ||
                 (code >= han_of_unicode_15_1.first && code <= han_of_unicode_15_1.last);
    return (uint8_t)(category | (is_han ? PM_CHARACTER_HAN : 0));
}

static void write_list(FILE *out, const char *head, const unsigned *values, size_t n)
{
    fprintf(out, "%s = {", head);
    for (size_t i = 0; i < n; i++)
        fprintf(out, i % 32 == 0 ? "\n    %u," : " %u,", values[i]);
    fprintf(out, "\n};\n");
}

int main(int argc, char **argv)
{
    static uint8_t blocks[PM_CHARACTER_BLOCKS][PM_CHARACTER_BLOCK];
    static unsigned stage1[PM_CHARACTER_BLOCKS];
    static unsigned stage2[PM_CHARACTER_BLOCKS * PM_CHARACTER_BLOCK];
    size_t n_blocks = 0;
    for (uint32_t b = 0; b < PM_CHARACTER_BLOCKS; b++) {
        for (uint32_t i = 0; i < PM_CHARACTER_BLOCK; i++)
            blocks[n_blocks][i] = entry_of(b << PM_CHARACTER_BLOCK_BITS | i);
        size_t same = 0;
        while (memcmp(blocks[same], blocks[n_blocks], PM_CHARACTER_BLOCK) != 0)
            same++;
        stage1[b] = (unsigned)same;
        n_blocks += same == n_blocks;
    }
    for (size_t i = 0; i < n_blocks * PM_CHARACTER_BLOCK; i++)
        stage2[i] = blocks[i / PM_CHARACTER_BLOCK][i % PM_CHARACTER_BLOCK];
    FILE *out = argc == 2 ? fopen(argv[1], "w") : NULL;
    if (!out) {
        fprintf(stderr, "make_character_table: cannot write %s\n", argc == 2 ? argv[1] : "(no file given)");
        return EXIT_FAILURE;
    }
    fprintf(out, "/* Made by make_character_table from ICU with Unicode %s. */\n", U_UNICODE_VERSION);
    write_list(out, "const uint8_t pm_ascii_category[128]", stage2, 128);
    write_list(out, "const uint16_t pm_character_stage1[PM_CHARACTER_BLOCKS]", stage1, PM_CHARACTER_BLOCKS);
    write_list(out, "const uint8_t pm_character_stage2[]", stage2, n_blocks * PM_CHARACTER_BLOCK);
    return fclose(out) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
