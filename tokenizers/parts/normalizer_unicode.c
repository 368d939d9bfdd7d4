/* Normaliser steps that look at characters: Unicode's forms, case, accents, BERT's clean-up, Nmt.
 *
 * Properties come from ICU. Each step mirrors what Hugging Face's tokenizers do to characters and origins; malformed
 * bytes are no characters and stay as they are.
 */
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/ustring.h>

#include "parts/normalizer_steps.h"

/* ---- Unicode's normalisation forms ---- */

/* A character of the decomposed text, and what it does to the text it is made from (transform.h). */
typedef struct form_character {
    uint32_t code;
    int change;
    uint8_t combining_class;
    uint8_t malformed;
    char byte;
} form_character;

typedef struct form_run {
    form_character *items;
    size_t n, capacity;
} form_run;

static int add_character(form_run *run, form_character c)
{
    if (!pm_grow((void **)&run->items, &run->capacity, run->n + 1, sizeof *run->items))
        return 0;
    /* Canonical ordering: a mark goes before those of a higher class that it follows. */
    size_t at = run->n++;
    if (c.combining_class > 0)
        for (; at > 0 && run->items[at - 1].combining_class > c.combining_class; at--)
            run->items[at] = run->items[at - 1];
    run->items[at] = c;
    return 1;
}

static int add_decomposed(const normalizer_step *step, form_run *run, uint32_t code)
{
    UChar units[64];
    UErrorCode status = U_ZERO_ERROR;
    int32_t n = unorm2_getDecomposition(step->forms, (UChar32)code, units, 64, &status);
    if (n < 0 || U_FAILURE(status))
        return add_character(run, (form_character){.code = code, .combining_class = u_getCombiningClass((UChar32)code)});
    for (int32_t i = 0, first = 1; i < n; first = 0) {
        UChar32 c;
        U16_NEXT(units, i, n, c);
        if (!add_character(run, (form_character){.code = (uint32_t)c, .change = !first,
                                                 .combining_class = u_getCombiningClass(c)}))
            return 0;
    }
    return 1;
}

/* Canonical composition (UAX #15) within items[0, n). What is composed takes the changes of its parts, less the one
 * character that goes. */
static void compose(const normalizer_step *step, form_run *run)
{
    size_t to = 0, starter = SIZE_MAX;
    uint8_t last_class = 0;
    for (size_t i = 0; i < run->n; i++) {
        form_character c = run->items[i];
        int blocked = starter != SIZE_MAX && to > starter + 1 && last_class >= c.combining_class;
        if (starter != SIZE_MAX && !c.malformed && !blocked) {
            UChar32 both = unorm2_composePair(step->forms, (UChar32)run->items[starter].code, (UChar32)c.code);
            if (both >= 0) {
                run->items[starter].code = (uint32_t)both;
                run->items[starter].change += c.change - 1;
                continue;
            }
        }
        if (c.combining_class == 0) {
            starter = c.malformed ? SIZE_MAX : to;
            last_class = 0;
        } else {
            last_class = c.combining_class;
        }
        run->items[to++] = c;
    }
    run->n = to;
}

/* The end of the text from `at` on that is normalised already, less its last character, which what follows may act on. */
static size_t skip_normal(const normalizer_step *step, const pm_piece *in, size_t at)
{
    size_t last = at;
    while (at < in->n) {
        pm_character c = pm_read_character(in->bytes, at, in->n);
        if (c.malformed || (c.code >= 128 && !unorm2_isInert(step->forms, (UChar32)c.code)))
            return last;
        last = at;
        at += c.length;
    }
    return in->n;
}

/* The first boundary behind `at`: no character from there on acts on those before. */
static size_t segment_end(const normalizer_step *step, const pm_piece *in, size_t at)
{
    pm_character c = pm_read_character(in->bytes, at, in->n);
    for (at += c.length; at < in->n; at += c.length) {
        c = pm_read_character(in->bytes, at, in->n);
        if (c.malformed || unorm2_hasBoundaryBefore(step->forms, (UChar32)c.code))
            break;
    }
    return at;
}

static int put_segment(const normalizer_step *step, pm_transform *t, form_run *run, size_t end)
{
    run->n = 0;
    for (size_t at = t->at; at < end;) {
        pm_character c = pm_read_character(t->in->bytes, at, end);
        if (c.malformed ? !add_character(run, (form_character){.malformed = 1, .byte = t->in->bytes[at]})
                        : !add_decomposed(step, run, c.code))
            return 0;
        at += c.length;
    }
    if (step->composes)
        compose(step, run);
    for (size_t i = 0; i < run->n; i++) {
        const form_character *c = &run->items[i];
        if (c->malformed ? !pm_transform_put(t, &c->byte, 1, 0) : !pm_transform_put_code(t, c->code, c->change))
            return 0;
    }
    t->at = end;
    return 1;
}

int step_unicode_form(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins, int *same)
{
    if (is_ascii_only(in)) {
        *same = 1;
        return 1;
    }
    pm_transform t;
    form_run run = {0};
    int good = 1;
    pm_transform_start(&t, in, out, with_origins);
    while (good && t.at < in->n) {
        good = pm_transform_keep_until(&t, skip_normal(step, in, t.at));
        if (good && t.at < in->n)
            good = put_segment(step, &t, &run, segment_end(step, in, t.at));
    }
    free(run.items);
    return good;
}

/* ---- Case and accents ---- */

int step_lowercase(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins, int *same)
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
            good = pm_transform_put_code(&t, (uint32_t)u_tolower((UChar32)c.code), 0);
    }
    return good;
}

/* Leaves out the characters for which `drops` holds. */
static int drop_characters(const pm_piece *in, pm_text_buffer *out, int with_origins, int *same, int drops(uint32_t))
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

static int is_combining_mark(uint32_t code)
{
    return (U_GET_GC_MASK((UChar32)code) & U_GC_M_MASK) != 0;
}

static int is_nonspacing_mark(uint32_t code)
{
    return u_charType((UChar32)code) == U_NON_SPACING_MARK;
}

int step_strip_accents(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                       int *same)
{
    (void)step;
    return drop_characters(in, out, with_origins, same, is_combining_mark);
}

int step_bert_accents(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins, int *same)
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
    UVersionInfo age;
    if ((mask & U_GC_CF_MASK) == 0)
        return 0;
    u_charAge((UChar32)code, age);
    return age[0] <= 8;
}

int step_bert_clean(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins, int *same)
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

int step_bert_chinese(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins, int *same)
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
        int space = x == 0x09 || x == 0x0A || x == 0x0C || x == 0x0D || x == 0x1680 || (x >= 0x200B && x <= 0x200F) ||
                    x == 0x2028 || x == 0x2029 || x == 0x2581 || x == 0xFEFF || x == 0xFFFD;
        if (c.malformed || (!drops && !space))
            good = pm_transform_keep(&t);
        else if (drops)
            pm_transform_drop(&t);
        else
            good = pm_transform_put(&t, " ", 1, 0);
    }
    return good;
}
