/* The steps that scanners are put together from, each named after the part of an expression that it matches. They
 * are inlined into every scanner, with sets of categories that are constants there. */
#ifndef PUMICE_PARTS_SPLIT_STEPS_H
#define PUMICE_PARTS_SPLIT_STEPS_H

#include <stddef.h>
#include <stdint.h>

#include "parts/ascii_runs.h"
#include "parts/character_class.h"
#include "parts/utf8_read.h"

#define PM_STEP static inline __attribute__((always_inline))

/* Neither white space nor letter nor number: [^\s\p{L}\p{N}]. */
#define PM_SET_OTHER (~(PM_SET_SPACE | PM_SET_LETTER | PM_SET_NUMBER))

/* What ends a text for a scanner that does the work of a chain: the characters that the stages before it cut out.
 * pm_look gives them the category PM_SET_CUT, which no other character then has. */
typedef enum pm_cut { PM_CUT_NOTHING, PM_CUT_NUMBERS, PM_CUT_NUMBERS_AND_CJK, PM_CUT_ALL_BUT_CJK } pm_cut;

#define PM_SET_CUT PM_SET(ND)

/* DeepSeek-V3's second stage, [\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]: ideographs and kana, no numbers. */
PM_STEP int pm_is_cjk_cut(uint32_t code)
{
    return (code >= 0x4E00 && code <= 0x9FA5) || (code >= 0x3040 && code <= 0x30FF);
}

/* The category of the character at text[at] as a set of one, and its length; 0 and 0 at the end. */
PM_STEP uint32_t pm_look(const unsigned char *text, size_t at, size_t end, size_t *length, pm_cut cut)
{
    if (at >= end) {
        *length = 0;
        return 0;
    }
    if (text[at] < 0x80) {
        *length = 1;
        if (cut == PM_CUT_ALL_BUT_CJK)
            return PM_SET_CUT;
        return UINT32_C(1) << pm_ascii_category[text[at]];
    }
    pm_character c = pm_read_multibyte(text + at, end - at);
    *length = c.length;
    uint32_t bit = pm_category_bit(c.code);
    if ((cut == PM_CUT_NUMBERS && (bit & PM_SET_NUMBER)) ||
        (cut == PM_CUT_NUMBERS_AND_CJK && ((bit & PM_SET_NUMBER) || pm_is_cjk_cut(c.code))) ||
        (cut == PM_CUT_ALL_BUT_CJK && !pm_is_cjk_cut(c.code)))
        return PM_SET_CUT;
    return bit;
}

/* Whether the text ends where pm_look gave this. */
PM_STEP int pm_is_end(uint32_t bit, pm_cut cut)
{
    return bit == 0 || (cut != PM_CUT_NOTHING && (bit & PM_SET_CUT));
}

/* The end of the run of kana and ideographs that starts at `at`, without looking up each: U+3041 to U+3096, U+30A1
 * to U+30FA and U+4E00 to U+9FFF are all of the category LO. */
PM_STEP size_t pm_step_kana_and_ideographs(const unsigned char *text, size_t at, size_t end)
{
    for (; end - at >= 3 && text[at] >= 0xE3 && text[at] <= 0xE9; at += 3) {
        uint32_t second = text[at + 1] ^ 0x80u, third = text[at + 2] ^ 0x80u;
        uint32_t code = (text[at] & 0x0Fu) << 12 | second << 6 | third;
        if (second > 0x3F || third > 0x3F)
            return at;
        if (code - 0x4E00 > 0x9FFF - 0x4E00 && code - 0x3041 > 0x3096 - 0x3041 && code - 0x30A1 > 0x30FA - 0x30A1)
            return at;
    }
    return at;
}

/* The end of the run of characters in the set that starts at `at`. */
PM_STEP size_t pm_step_run(const unsigned char *text, size_t at, size_t end, uint32_t set, pm_cut cut)
{
    size_t length;
    for (;;) {
        if ((set & PM_SET(LO)) && (cut == PM_CUT_NOTHING || cut == PM_CUT_NUMBERS))
            at = pm_step_kana_and_ideographs(text, at, end);
        if (!(pm_look(text, at, end, &length, cut) & set))
            return at;
        at += length;
    }
}

/* The same for at most `most` characters. */
PM_STEP size_t pm_step_few(const unsigned char *text, size_t at, size_t end, uint32_t set, unsigned most)
{
    size_t length;
    for (unsigned i = 0; i < most && (pm_look(text, at, end, &length, PM_CUT_NOTHING) & set); i++)
        at += length;
    return at;
}

/* The same for a set that all ASCII letters belong to and no other ASCII character. */
PM_STEP size_t pm_step_letters(const unsigned char *text, size_t at, size_t end, uint32_t set, pm_cut cut)
{
    while (cut != PM_CUT_ALL_BUT_CJK && end - at >= PM_ASCII_STEP) {
        size_t letters = pm_leading_letters(text + at);
        at += letters;
        if (letters == PM_ASCII_STEP)
            continue;
        if (text[at] < 0x80)
            return at;
        break;
    }
    return pm_step_run(text, at, end, set, cut);
}

/* The same for a set with the lower-case ASCII letters and no other ASCII character. */
PM_STEP size_t pm_step_lower(const unsigned char *text, size_t at, size_t end, uint32_t set, pm_cut cut)
{
    while (end - at >= PM_ASCII_STEP) {
        size_t letters = pm_leading_lower(text + at);
        at += letters;
        if (letters == PM_ASCII_STEP)
            continue;
        if (text[at] < 0x80)
            return at;
        break;
    }
    return pm_step_run(text, at, end, set, cut);
}

/* 's|'t|'re|'ve|'m|'ll|'d at an apostrophe: its length; 0 where there is none. */
PM_STEP size_t pm_step_contraction(const unsigned char *text, size_t at, size_t end)
{
    size_t n = end - at;
    if (n < 2)
        return 0;
    unsigned char a = text[at + 1];
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    unsigned char b = n < 3 ? 0 : text[at + 2];
    return (b == 'e' && (a == 'r' || a == 'v')) || (b == 'l' && a == 'l') ? 3 : 0;
}

/* The same in either case. U+017F, the long s, is a case of s too. */
PM_STEP size_t pm_step_contraction_any_case(const unsigned char *text, size_t at, size_t end)
{
    size_t n = end - at;
    if (n < 2)
        return 0;
    unsigned char a = text[at + 1] | 0x20;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if (n < 3)
        return 0;
    if (text[at + 1] == 0xC5 && text[at + 2] == 0xBF)
        return 3;
    unsigned char b = text[at + 2] | 0x20;
    return (b == 'e' && (a == 'r' || a == 'v')) || (b == 'l' && a == 'l') ? 3 : 0;
}

/* \s+(?!\S)|\s+ at a white-space character: the run, less its last character where text follows it and something
 * is left. */
PM_STEP size_t pm_step_white_space(const unsigned char *text, size_t at, size_t end, pm_cut cut)
{
    size_t last = at, stop = at, length;
    uint32_t bit;
    while ((bit = pm_look(text, stop, end, &length, cut)) & PM_SET_SPACE) {
        last = stop;
        stop += length;
    }
    return !pm_is_end(bit, cut) && last > at ? last : stop;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ at a white-space character; with whole_end after \s++$. */
PM_STEP size_t pm_step_lines(const unsigned char *text, size_t at, size_t end, int whole_end, pm_cut cut)
{
    size_t last = at, stop = at, after_break = 0, length;
    uint32_t bit;
    while ((bit = pm_look(text, stop, end, &length, cut)) & PM_SET_SPACE) {
        last = stop;
        stop += length;
        if (bit & PM_SET_LINE_BREAK)
            after_break = stop;
    }
    if (whole_end && stop == end)
        return stop;
    if (after_break > 0)
        return after_break;
    return !pm_is_end(bit, cut) && last > at ? last : stop;
}

/* [\r\n]* or, with slash, [\r\n/]*. */
PM_STEP size_t pm_step_breaks(const unsigned char *text, size_t at, size_t end, int slash)
{
    while (at < end && (text[at] == '\n' || text[at] == '\r' || (slash && text[at] == '/')))
        at++;
    return at;
}

#endif
