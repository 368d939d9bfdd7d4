/* Normaliser steps that look at characters: case, accents, BERT's clean-up, Nmt.
 *
 * Properties come from ICU. Each step mirrors what Hugging Face's tokenizers do to characters and origins;
 * malformed bytes are no characters and stay as they are.
 */
#include <unicode/uchar.h>

#include "parts/normalizer_steps.h"

/* ---- Case and accents ---- */

/* The peer's Rust knows the capitals of Unicode 17; ICU may be older. */
static uint32_t lower_case(uint32_t code)
{
    static const struct {
        uint32_t first, last;
        int32_t distance;
    } later[] = {
        {0x1C89, 0x1C89, 1},    {0xA7CB, 0xA7CB, 0x264 - 0xA7CB},
        {0xA7CC, 0xA7CC, 1},    {0xA7CE, 0xA7CE, 1},
        {0xA7D2, 0xA7D2, 1},    {0xA7D4, 0xA7D4, 1},
        {0xA7DA, 0xA7DA, 1},    {0xA7DC, 0xA7DC, 0x19B - 0xA7DC},
        {0x10D50, 0x10D65, 32}, {0x16EA0, 0x16EB8, 27},
    };
    uint32_t lower = (uint32_t)u_tolower((UChar32)code);
    if (lower == code && code >= later[0].first)
        for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
            if (code >= later[i].first && code <= later[i].last)
                return (uint32_t)((int32_t)code + later[i].distance);
    return lower;
}

int step_lowercase(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                   int *same)
{
    (void)step;
    (void)same;
    pm_transform t;
    pm_transform_start(&t, in, out, with_origins);
    int good = 1;
    while (good && t.at < in->n) {
        pm_character c = pm_read_character(in->bytes, t.at, in->n);
        if (c.malformed)
            good = pm_transform_keep(&t);
        else if (c.code == 0x130) /* the one letter whose lower case is two: i and a dot above */
            good = pm_transform_put(&t, "i", 1, 0) && pm_transform_put(&t, "\xCC\x87", 2, 1);
        else if (c.code < 128)
            good = pm_transform_put_code(&t, c.code - 'A' < 26 ? c.code + 32 : c.code, 0);
        else
            good = pm_transform_put_code(&t, lower_case(c.code), 0);
    }
    return good;
}

/* Leaves out the characters for which `drops` holds. */
static int drop_characters(const pm_piece *in, pm_text_buffer *out, int with_origins, int *same,
                           int drops(uint32_t))
{
    if (is_ascii_only(in)) {
        *same = 1;
        return 1;
    }
    pm_transform t;
    pm_transform_start(&t, in, out, with_origins);
    int good = 1;
    while (good && t.at < in->n) {
        pm_character c = pm_read_character(in->bytes, t.at, in->n);
        if (!c.malformed && c.code >= 128 && drops(c.code))
            pm_transform_drop(&t);
        else
            good = pm_transform_keep(&t);
    }
    return good;
}

static int is_younger(uint32_t code, int version)
{
    UVersionInfo age;
    u_charAge((UChar32)code, age);
    return age[0] > version;
}

/* The peer's table for StripAccents is that of Unicode 9, in which three characters were something else. */
static int is_combining_mark(uint32_t code)
{
    if ((U_GET_GC_MASK((UChar32)code) & U_GC_M_MASK) != 0)
        return !is_younger(code, 9) && code != 0x111C9;
    return code == 0x1CF2 || code == 0x1CF3;
}

/* For BertNormalizer it is that of Unicode 8. */
static int is_nonspacing_mark(uint32_t code)
{
    if (u_charType((UChar32)code) == U_NON_SPACING_MARK)
        return !is_younger(code, 8) && code != 0x1885 && code != 0x1886 && code != 0xA9BD && code != 0x111C9;
    return code == 0x1734;
}

int step_strip_accents(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                       int *same)
{
    (void)step;
    return drop_characters(in, out, with_origins, same, is_combining_mark);
}

int step_bert_accents(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                      int *same)
{
    (void)step;
    return drop_characters(in, out, with_origins, same, is_nonspacing_mark);
}

/* ---- BERT ---- */

/* The peer's table of categories is that of Unicode 8, which has no category for what came later. */
static int is_bert_control(uint32_t code)
{
    if (code == '\t' || code == '\n' || code == '\r')
        return 0;
    uint32_t mask = U_GET_GC_MASK((UChar32)code);
    if ((mask & (U_GC_CC_MASK | U_GC_CO_MASK)) != 0)
        return 1;
    return (mask & U_GC_CF_MASK) != 0 && !is_younger(code, 8);
}

int step_bert_clean(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                    int *same)
{
    (void)step;
    (void)same;
    pm_transform t;
    pm_transform_start(&t, in, out, with_origins);
    int good = 1;
    while (good && t.at < in->n) {
        size_t plain = t.at;
        while (plain < in->n && in->bytes[plain] >= ' ' && in->bytes[plain] < 0x7F)
            plain++;
        good = pm_transform_keep_until(&t, plain);
        if (!good || plain == in->n)
            break;
        pm_character c = pm_read_character(in->bytes, t.at, in->n);
        if (c.malformed)
            good = pm_transform_keep(&t);
        else if (c.code == 0 || c.code == 0xFFFD || is_bert_control(c.code))
            pm_transform_drop(&t);
        else
            good = u_isUWhiteSpace((UChar32)c.code) ? pm_transform_put(&t, " ", 1, 0) : pm_transform_keep(&t);
    }
    return good;
}

static int is_bert_chinese(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

int step_bert_chinese(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                      int *same)
{
    (void)step;
    if (is_ascii_only(in)) {
        *same = 1;
        return 1;
    }
    pm_transform t;
    pm_transform_start(&t, in, out, with_origins);
    int good = 1;
    while (good && t.at < in->n) {
        pm_character c = pm_read_character(in->bytes, t.at, in->n);
        if (c.malformed || !is_bert_chinese(c.code))
            good = pm_transform_keep(&t);
        else
            good = pm_transform_put(&t, " ", 1, 0) && pm_transform_put_code(&t, c.code, 1) &&
                   pm_transform_put(&t, " ", 1, 1);
    }
    return good;
}

/* ---- Nmt: what SentencePiece's nmt rules do to control characters and spaces ---- */

int step_nmt(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins, int *same)
{
    (void)step;
    (void)same;
    pm_transform t;
    pm_transform_start(&t, in, out, with_origins);
    int good = 1;
    while (good && t.at < in->n) {
        pm_character c = pm_read_character(in->bytes, t.at, in->n);
        uint32_t x = c.code;
        int drops = (x >= 0x01 && x <= 0x08) || x == 0x0B || (x >= 0x0E && x <= 0x1F) || x == 0x7F || x == 0x8F ||
                    x == 0x9F;
        int space = x == 0x09 || x == 0x0A || x == 0x0C || x == 0x0D || x == 0x1680 ||
                    (x >= 0x200B && x <= 0x200F) || x == 0x2028 || x == 0x2029 || x == 0x2581 || x == 0xFEFF ||
                    x == 0xFFFD;
        if (c.malformed || (!drops && !space))
            good = pm_transform_keep(&t);
        else if (drops)
            pm_transform_drop(&t);
        else
            good = pm_transform_put(&t, " ", 1, 0);
    }
    return good;
}
