/* What single steps of decoders do to a text: see decoder_steps.h. */
#include "parts/decoder_steps.h"

#include <stdlib.h>
#include <string.h>

#include "parts/byte_alphabet.h"
#include "parts/utf8_read.h"

int decoder_text_append(decoder_text *text, const char *bytes, size_t n)
{
    if (!pm_grow((void **)&text->bytes, &text->capacity, text->n + n + 1, 1))
        return 0;
    if (n > 0)
        memcpy(text->bytes + text->n, bytes, n);
    text->n += n;
    return 1;
}

void decoder_text_free(decoder_text *text)
{
    free(text->bytes);
    free(text->spare);
    memset(text, 0, sizeof *text);
}

void decoder_step_destroy(decoder_step *step)
{
    free(step->pattern);
    free(step->content);
    if (step->regex)
        uregex_close(step->regex);
}

/* ---- Replacing ---- */

/* text->bytes[begin, end) becomes content. */
static int splice(decoder_text *text, size_t begin, size_t end, const char *content, size_t n)
{
    size_t rest = text->n - end;
    if (!pm_grow((void **)&text->bytes, &text->capacity, begin + n + rest + 1, 1))
        return 0;
    memmove(text->bytes + begin + n, text->bytes + end, rest);
    if (n > 0)
        memcpy(text->bytes + begin, content, n);
    text->n = begin + n + rest;
    return 1;
}

/* What is written takes the place of what was read. */
static void swap_spare(decoder_text *text, size_t n)
{
    char *bytes = text->bytes;
    size_t capacity = text->capacity;
    text->bytes = text->spare;
    text->capacity = text->spare_capacity;
    text->spare = bytes;
    text->spare_capacity = capacity;
    text->n = n;
}

static int write_spare(decoder_text *text, size_t *at, const char *bytes, size_t n)
{
    if (!pm_grow((void **)&text->spare, &text->spare_capacity, *at + n + 1, 1))
        return 0;
    if (n > 0)
        memcpy(text->spare + *at, bytes, n);
    *at += n;
    return 1;
}

static int replace_all(decoder_text *text, const char *pattern, size_t n_pattern, const char *content,
                       size_t n_content)
{
    size_t at = 0, n = 0;
    const char *found = text->n && n_pattern ? memmem(text->bytes, text->n, pattern, n_pattern) : NULL;
    if (!found)
        return 1;
    while (found) {
        size_t begin = (size_t)(found - text->bytes);
        if (!write_spare(text, &n, text->bytes + at, begin - at) || !write_spare(text, &n, content, n_content))
            return 0;
        at = begin + n_pattern;
        found = memmem(text->bytes + at, text->n - at, pattern, n_pattern);
    }
    if (!write_spare(text, &n, text->bytes + at, text->n - at))
        return 0;
    swap_spare(text, n);
    return 1;
}

static int replace_regex(const decoder_step *step, decoder_text *text)
{
    UErrorCode status = U_ZERO_ERROR;
    UText view = UTEXT_INITIALIZER;
    URegularExpression *regex = uregex_clone(step->regex, &status);
    utext_openUTF8(&view, text->bytes ? text->bytes : "", (int64_t)text->n, &status);
    uregex_setUText(regex, &view, &status);
    size_t at = 0, n = 0;
    int good = U_SUCCESS(status);
    while (good && uregex_findNext(regex, &status)) {
        size_t begin = (size_t)uregex_start64(regex, 0, &status), end = (size_t)uregex_end64(regex, 0, &status);
        if (begin == end)
            continue;
        good = write_spare(text, &n, text->bytes + at, begin - at) &&
               write_spare(text, &n, step->content, step->n_content);
        at = end;
    }
    good = good && U_SUCCESS(status) && write_spare(text, &n, text->bytes + at, text->n - at);
    uregex_close(regex);
    utext_close(&view);
    if (good)
        swap_spare(text, n);
    return good;
}

/* Hugging Face's clean-up of tokenization artefacts in English. */
static int clean_up(decoder_text *text)
{
    static const char *const pairs[][2] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},    {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (!replace_all(text, pairs[i][0], strlen(pairs[i][0]), pairs[i][1], strlen(pairs[i][1])))
            return 0;
    return 1;
}

/* ---- The kinds ---- */

static int run_byte_level(decoder_text *text)
{
    char *bytes = malloc(text->n + 1);
    if (!bytes)
        return 0;
    size_t n = pm_byte_alphabet_decode(text->bytes, text->n, bytes);
    if (n != SIZE_MAX) {
        memcpy(text->bytes, bytes, n);
        text->n = n;
    }
    free(bytes);
    return 1;
}

/* As Rust reads a number in base 16: a sign may stand before it. */
static int hexadecimal(const char *text)
{
    int value = 0;
    for (int i = 0; i < 2; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : i == 0 && c == '+'   ? 0
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static int run_byte_fallback(decoder_text *text)
{
    if (text->n != 6 || memcmp(text->bytes, "<0x", 3) != 0 || text->bytes[5] != '>')
        return 1;
    int byte = hexadecimal(text->bytes + 3);
    if (byte < 0)
        return 1;
    text->bytes[0] = (char)byte;
    text->n = 1;
    text->is_byte = 1;
    return 1;
}

static int run_strip(const decoder_step *step, decoder_text *text)
{
    size_t begin = 0, end = text->n;
    for (size_t i = 0; i < step->start && end - begin >= step->n_content &&
                       memcmp(text->bytes + begin, step->content, step->n_content) == 0;
         i++)
        begin += step->n_content;
    for (size_t i = 0; i < step->stop && end - begin >= step->n_content &&
                       memcmp(text->bytes + end - step->n_content, step->content, step->n_content) == 0;
         i++)
        end -= step->n_content;
    if (begin > 0)
        memmove(text->bytes, text->bytes + begin, end - begin);
    text->n = end - begin;
    return 1;
}

static int run_word_piece(const decoder_step *step, int is_first, decoder_text *text)
{
    if (!is_first) {
        int continues = text->n >= step->n_pattern && memcmp(text->bytes, step->pattern, step->n_pattern) == 0;
        if (text->n == 0 ? !decoder_text_append(text, " ", 1)
                         : !splice(text, 0, continues ? step->n_pattern : 0, " ", !continues))
            return 0;
    }
    return !step->cleanup || clean_up(text);
}

static int run_ctc(const decoder_step *step, decoder_text *text)
{
    if (!replace_all(text, step->pattern, step->n_pattern, "", 0))
        return 0;
    return !step->cleanup || (clean_up(text) && replace_all(text, step->content, step->n_content, " ", 1));
}

int decoder_step_run(const decoder_step *step, int is_first, int is_last, decoder_text *text)
{
    if (text->is_byte)
        return 1;
    switch (step->kind) {
    case DECODE_BYTE_LEVEL:
        return run_byte_level(text);
    case DECODE_BYTE_FALLBACK:
        return run_byte_fallback(text);
    case DECODE_REPLACE:
        return step->regex ? replace_regex(step, text)
                           : replace_all(text, step->pattern, step->n_pattern, step->content, step->n_content);
    case DECODE_STRIP:
        return run_strip(step, text);
    case DECODE_METASPACE:
        return replace_all(text, step->pattern, step->n_pattern, " ", !(is_first && step->drops_first));
    case DECODE_WORD_PIECE:
        return run_word_piece(step, is_first, text);
    case DECODE_CTC:
        return run_ctc(step, text);
    case DECODE_BPE:
        return replace_all(text, step->pattern, step->n_pattern, " ", !is_last);
    }
    return 1;
}
