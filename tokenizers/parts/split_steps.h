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

/* The category of the character at text[at] as a set of one, and its length; 0 and 0 at the end. */
PM_STEP uint32_t pm_look(const unsigned char *text, size_t at, size_t end, size_t *length)
{
    if (at >= end) {
        *length = 0;
        return 0;
    }
    if (text[at] < 0x80) {
        *length = 1;
        return UINT32_C(1) << pm_ascii_category[text[at]];
    }
    pm_character c = pm_read_multibyte(text + at, end - at);
    *length = c.length;
    return pm_category_bit(c.code);
}

/* The end of the run of characters in the set that starts at `at`. */
PM_STEP size_t pm_step_run(const unsigned char *text, size_t at, size_t end, uint32_t set)
{
    size_t length;
    while (pm_look(text, at, end, &length) & set)
        at += length;
    return at;
}

/* The same for at most `most` characters. */
PM_STEP size_t pm_step_few(const unsigned char *text, size_t at, size_t end, uint32_t set, unsigned most)
{
    size_t length;
    for (unsigned i = 0; i < most && (pm_look(text, at, end, &length) & set); i++)
        at += length;
    return at;
}

/* The same for a set that all ASCII letters belong to and no other ASCII character. */
PM_STEP size_t pm_step_letters(const unsigned char *text, size_t at, size_t end, uint32_t set)
{
    while (end - at >= PM_ASCII_STEP) {
        size_t letters = pm_leading_letters(text + at);
        at += letters;
        if (letters == PM_ASCII_STEP)
            continue;
        if (text[at] < 0x80)
            return at;
        break;
    }
    return pm_step_run(text, at, end, set);
}

/* The same for a set with the lower-case ASCII letters and no other ASCII character. */
PM_STEP size_t pm_step_lower(const unsigned char *text, size_t at, size_t end, uint32_t set)
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
    return pm_step_run(text, at, end, set);
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
PM_STEP size_t pm_step_white_space(const unsigned char *text, size_t at, size_t end)
{
    size_t last = at, stop = at, length;
    while (pm_look(text, stop, end, &length) & PM_SET_SPACE) {
        last = stop;
        stop += length;
    }
    return stop < end && last > at ? last : stop;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ at a white-space character; with whole_end after \s++$. */
PM_STEP size_t pm_step_lines(const unsigned char *text, size_t at, size_t end, int whole_end)
{
    size_t last = at, stop = at, after_break = 0, length;
    uint32_t bit;
    while ((bit = pm_look(text, stop, end, &length)) & PM_SET_SPACE) {
        last = stop;
        stop += length;
        if (bit & PM_SET_LINE_BREAK)
            after_break = stop;
    }
    if (whole_end && stop == end)
        return stop;
    if (after_break > 0)
        return after_break;
    return stop < end && last > at ? last : stop;
}

/* [\r\n]* or, with slash, [\r\n/]*. */
PM_STEP size_t pm_step_breaks(const unsigned char *text, size_t at, size_t end, int slash)
{
    while (at < end && (text[at] == '\n' || text[at] == '\r' || (slash && text[at] == '/')))
        at++;
    return at;
}

#endif
