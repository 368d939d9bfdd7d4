/* Normaliser steps that put strings in: Replace and Prepend.
 *
 * What SentencePiece's descendants do to every text, a prefix and a symbol for each space, is one pass without
 * branches. Expressions that are one character repeated, such as " {2,}", are searched for as strings; ICU has the
 * rest.
 */
#include <stdlib.h>
#include <string.h>

#include "parts/normalizer_steps.h"

/* ---- Making one ---- */

/* Reads "X+" or "X{n,}" of one character X that stands for itself: its length, where it begins, and n; 0: another.
 */
static size_t read_run(const char *regex, size_t n, size_t *begin, size_t *least)
{
    *begin = n > 0 && regex[0] == '\\';
    if (*begin == n || (*begin && (unsigned char)regex[1] < 0x80 && !memchr(".[](){}*+?|^$\\-/ ", regex[1], 17)) ||
        (!*begin && memchr(".[](){}*+?|^$#", regex[0], 14)))
        return 0;
    pm_character c = pm_read_character(regex, *begin, n);
    const char *rest = regex + *begin + c.length;
    size_t n_rest = n - *begin - c.length;
    if (c.malformed)
        return 0;
    *least = 1;
    if (n_rest == 1 && *rest == '+')
        return c.length;
    if (n_rest == 4 && rest[0] == '{' && rest[1] >= '1' && rest[1] <= '9' && rest[2] == ',' && rest[3] == '}') {
        *least = (size_t)(rest[1] - '0');
        return c.length;
    }
    return 0;
}

/* The expression as a string to look for, if it is one character repeated. */
static int make_run(normalizer_step *step)
{
    size_t begin, least, n = read_run(step->pattern, step->n_pattern, &begin, &least);
    char *needle = n > 0 ? malloc(n * least) : NULL;
    if (!needle)
        return 0;
    for (size_t i = 0; i < least; i++)
        memcpy(needle + i * n, step->pattern + begin, n);
    free(step->pattern);
    step->pattern = needle;
    step->n_pattern = n * least;
    step->n_repeats = n;
    step->run = step_replace;
    return 1;
}

pm_plugin_code step_replace_create(normalizer_step *step, int is_regex, const pm_plugin_message *message)
{
    step->run = step_replace;
    if (step->n_pattern == 1 && !is_regex && (unsigned char)step->pattern[0] < 0x80 && step->n_content <= 4) {
        memcpy(step->symbol, step->content, step->n_content);
        step->run = step_replace_byte;
    }
    if (!is_regex && step->n_pattern > 0)
        return PM_PLUGIN_OK;
    if (is_regex && make_run(step))
        return PM_PLUGIN_OK;
    step->run = step_replace_regex; /* an empty string matches everywhere, as an empty expression does */
    return pm_regex_open(step->pattern, step->n_pattern, &step->regex, message);
}

int step_prepend_joins(const normalizer_step *prepend, normalizer_step *replace)
{
    if (prepend->run != step_prepend || replace->run != step_replace_byte ||
        memchr(prepend->content, replace->pattern[0], prepend->n_content))
        return 0;
    replace->prefix = prepend->content;
    replace->n_prefix = prepend->n_content;
    return 1;
}

/* ---- Running it ---- */

/* Where the first character of a piece is from. */
static pm_origin first_origin(const pm_piece *in)
{
    return pm_piece_origin(in, 0, pm_read_character(in->bytes, 0, in->n).length);
}

/* Inserted text has the origin of the last character of in->bytes[0, end). */
static pm_origin origin_before(const pm_piece *in, size_t end)
{
    size_t last = end;
    while (last > 0 && end - last < 4 && (last == end || pm_is_continuation((unsigned char)in->bytes[last])))
        last--;
    return pm_piece_origin(in, last, end);
}

static int put_content(const normalizer_step *step, const pm_piece *in, size_t end, pm_text_buffer *out)
{
    pm_origin origin = {0, 0};
    if (out->with_origins)
        origin = origin_before(in, end);
    return pm_text_buffer_append(out, step->content, step->n_content, origin);
}

int step_replace(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins, int *same)
{
    const char *next = in->n ? memmem(in->bytes, in->n, step->pattern, step->n_pattern) : NULL;
    if (!next) {
        *same = 1;
        return 1;
    }
    pm_text_buffer_clear(out, with_origins);
    if (!pm_text_buffer_reserve(out, in->n))
        return 0;
    size_t at = 0;
    int good = 1;
    while (good && next) {
        size_t begin = (size_t)(next - in->bytes), end = begin + step->n_pattern;
        while (step->n_repeats && in->n - end >= step->n_repeats &&
               memcmp(in->bytes + end, step->pattern, step->n_repeats) == 0)
            end += step->n_repeats;
        good = pm_text_buffer_append_part(out, in, at, begin) && put_content(step, in, end, out);
        at = end;
        next = memmem(in->bytes + at, in->n - at, step->pattern, step->n_pattern);
    }
    return good && pm_text_buffer_append_part(out, in, at, in->n);
}

/* Both writers store four bytes for each and then step over as many as count; there is room behind the end. */
static size_t write_symbols(const normalizer_step *step, const pm_piece *in, char *out)
{
    const char byte = step->pattern[0];
    uint32_t symbol;
    memcpy(&symbol, step->symbol, sizeof symbol);
    size_t n = 0;
    for (size_t i = 0; i < in->n; i++) {
        uint32_t four = 0;
        int hit = in->bytes[i] == byte;
        memcpy(&four, in->bytes + i, 1);
        four = hit ? symbol : four;
        memcpy(out + n, &four, sizeof four);
        n += hit ? step->n_content : 1;
    }
    return n;
}

static size_t write_symbols_and_origins(const normalizer_step *step, const pm_piece *in, char *out,
                                        pm_origin *origins)
{
    const char byte = step->pattern[0];
    uint32_t symbol;
    memcpy(&symbol, step->symbol, sizeof symbol);
    size_t n = 0;
    for (size_t i = 0; i < in->n; i++) {
        uint32_t four = 0, place = (uint32_t)(in->base + i);
        pm_origin origin = in->origins ? in->origins[i] : (pm_origin){place, place + 1};
        int hit = in->bytes[i] == byte;
        memcpy(&four, in->bytes + i, 1);
        four = hit ? symbol : four;
        memcpy(out + n, &four, sizeof four);
        for (int k = 0; k < 4; k++)
            origins[n + (size_t)k] = origin;
        n += hit ? step->n_content : 1;
    }
    return n;
}

int step_replace_byte(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                      int *same)
{
    enum { BEHIND = 8 };
    size_t n_prefix = in->n > 0 && !in->continues ? step->n_prefix : 0, n = 0;
    if (in->n == 0 || (n_prefix == 0 && !memchr(in->bytes, step->pattern[0], in->n))) {
        *same = 1;
        return 1;
    }
    for (size_t i = 0; i < in->n; i++)
        n += in->bytes[i] == step->pattern[0];
    n = in->n - n + n * step->n_content;
    pm_text_buffer_clear(out, with_origins);
    if (!pm_text_buffer_reserve(out, n_prefix + n + BEHIND))
        return 0;
    pm_text_buffer_append(out, step->prefix, n_prefix, with_origins ? first_origin(in) : (pm_origin){0, 0});
    if (with_origins)
        out->n += write_symbols_and_origins(step, in, out->bytes + out->n, out->origins + out->n);
    else
        out->n += write_symbols(step, in, out->bytes + out->n);
    return 1;
}

int step_replace_regex(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                       int *same)
{
    UErrorCode status = U_ZERO_ERROR;
    UText text = UTEXT_INITIALIZER;
    size_t at = 0, last_end = SIZE_MAX;
    if (in->n == 0) {
        *same = 1;
        return 1;
    }
    URegularExpression *regex = uregex_clone(step->regex, &status);
    utext_openUTF8(&text, in->bytes, (int64_t)in->n, &status);
    uregex_setUText(regex, &text, &status);
    pm_text_buffer_clear(out, with_origins);
    int good = 1;
    while (good && U_SUCCESS(status) && uregex_findNext(regex, &status)) {
        size_t begin = (size_t)uregex_start64(regex, 0, &status), end = (size_t)uregex_end64(regex, 0, &status);
        if (U_FAILURE(status) || (begin == end && begin == last_end))
            continue; /* nothing matches once more right behind a match */
        good = pm_text_buffer_append_part(out, in, at, begin) && put_content(step, in, end, out);
        at = last_end = end;
    }
    good = good && pm_text_buffer_append_part(out, in, at, in->n);
    uregex_close(regex);
    utext_close(&text);
    if (U_FAILURE(status) && status != U_MEMORY_ALLOCATION_ERROR)
        return STEP_REGEX_FAILED;
    return good && U_SUCCESS(status);
}

int step_prepend(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins, int *same)
{
    if (in->n == 0 || in->continues || step->n_content == 0) {
        *same = 1;
        return 1;
    }
    pm_text_buffer_clear(out, with_origins);
    return pm_text_buffer_reserve(out, in->n + step->n_content) &&
           pm_text_buffer_append(out, step->content, step->n_content,
                                 with_origins ? first_origin(in) : (pm_origin){0, 0}) &&
           pm_text_buffer_append_part(out, in, 0, in->n);
}
