/* Scanners for the GPT-2 and LLaMA 3 families of patterns: see split_scanners.h.
 *
 * The parts that the patterns share are functions named after what they match: a run of one class, the white space
 * that \s+(?!\S)|\s+ takes, an English contraction.
 */
#include "parts/split_scanners.h"

#include <string.h>

#include "parts/character_class.h"
#include "parts/utf8_read.h"

static pm_class class_at(const char *text, size_t at, size_t end, size_t *length)
{
    pm_character c = pm_read_character(text, at, end);
    *length = c.length;
    return c.length == 0 ? PM_CLASS_END : pm_class_of(c.code);
}

/* The end of the run of at most `most` characters of a class that starts at `at`. */
static size_t run_end(const char *text, size_t at, size_t end, pm_class wanted, size_t most)
{
    size_t length;
    for (size_t n = 0; n < most && class_at(text, at, end, &length) == wanted; n++)
        at += length;
    return at;
}

/* \s+(?!\S)|\s+ at a white-space character: the run, less its last character where text follows it and something
 * is left. */
static size_t scan_white_space(const char *text, size_t at, size_t end)
{
    size_t last = at;
    size_t length;
    size_t stop = at;
    while (class_at(text, stop, end, &length) == PM_CLASS_SPACE) {
        last = stop;
        stop += length;
    }
    return stop < end && last > at ? last : stop;
}

/* 's|'t|'re|'ve|'m|'ll|'d at an apostrophe; 0 where there is none. */
static size_t contraction_length(const char *text, size_t at, size_t end)
{
    size_t n = end - at;
    if (n >= 2 && memchr("stmd", text[at + 1], 4))
        return 2;
    if (n >= 3 && (memcmp(text + at + 1, "re", 2) == 0 || memcmp(text + at + 1, "ve", 2) == 0 ||
                   memcmp(text + at + 1, "ll", 2) == 0))
        return 3;
    return 0;
}

/* The same without regard to case. U+017F, the long s, is a case of s too. */
static size_t contraction_length_any_case(const char *text, size_t at, size_t end)
{
    char lower[3] = {'\'', 0, 0};
    size_t n = end - at < 3 ? end - at : 3;
    if (n == 3 && memcmp(text + at + 1, "\xC5\xBF", 2) == 0)
        return 3;
    for (size_t i = 1; i < n; i++)
        lower[i] = text[at + i] >= 'A' && text[at + i] <= 'Z' ? (char)(text[at + i] + 32) : text[at + i];
    return contraction_length(lower, 0, n);
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t pm_scan_gpt2(const char *text, size_t at, size_t end)
{
    if (text[at] == '\'') {
        size_t contraction = contraction_length(text, at, end);
        if (contraction > 0)
            return at + contraction;
    }
    size_t length;
    pm_class first = class_at(text, at, end, &length);
    if (first != PM_CLASS_SPACE)
        return run_end(text, at + length, end, first, SIZE_MAX);
    if (text[at] == ' ') {
        pm_class next = class_at(text, at + 1, end, &length);
        if (next != PM_CLASS_SPACE && next != PM_CLASS_END)
            return run_end(text, at + 1, end, next, SIZE_MAX);
    }
    return scan_white_space(text, at, end);
}

static int is_line_break(char c)
{
    return c == '\r' || c == '\n';
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ at a white-space character. */
static size_t scan_lines(const char *text, size_t at, size_t end)
{
    size_t after_break = 0;
    size_t length;
    for (size_t p = at; class_at(text, p, end, &length) == PM_CLASS_SPACE; p += length)
        if (is_line_break(text[p]))
            after_break = p + 1;
    return after_break > 0 ? after_break : scan_white_space(text, at, end);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,most}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t scan_llama3(const char *text, size_t at, size_t end, size_t most_digits)
{
    if (text[at] == '\'') {
        size_t contraction = contraction_length_any_case(text, at, end);
        if (contraction > 0)
            return at + contraction;
    }
    size_t length;
    pm_class first = class_at(text, at, end, &length);
    if (first == PM_CLASS_LETTER)
        return run_end(text, at, end, PM_CLASS_LETTER, SIZE_MAX);
    if (first == PM_CLASS_NUMBER)
        return run_end(text, at, end, PM_CLASS_NUMBER, most_digits);
    size_t next_length;
    pm_class next = class_at(text, at + length, end, &next_length);
    if (!is_line_break(text[at]) && next == PM_CLASS_LETTER)
        return run_end(text, at + length, end, PM_CLASS_LETTER, SIZE_MAX);
    if (first == PM_CLASS_OTHER || (text[at] == ' ' && next == PM_CLASS_OTHER)) {
        size_t stop = run_end(text, at + length, end, PM_CLASS_OTHER, SIZE_MAX);
        while (stop < end && is_line_break(text[stop]))
            stop++;
        return stop;
    }
    return scan_lines(text, at, end);
}

size_t pm_scan_llama3(const char *text, size_t at, size_t end)
{
    return scan_llama3(text, at, end, 3);
}

size_t pm_scan_qwen2(const char *text, size_t at, size_t end)
{
    return scan_llama3(text, at, end, 1);
}
