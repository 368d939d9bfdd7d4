/* The steps that normalisers are made of; inside of normalizer*.c only. */
#ifndef PUMICE_PARTS_NORMALIZER_STEPS_H
#define PUMICE_PARTS_NORMALIZER_STEPS_H

#include <unicode/unorm2.h>
#include <unicode/uregex.h>

#include "parts/charsmap.h"
#include "parts/normalizer.h"
#include "parts/regex.h"
#include "parts/transform.h"

typedef struct normalizer_step normalizer_step;

enum { STEP_REGEX_FAILED = -1 };

/* Rewrites `in` into out, which is empty; 0 when out of memory, STEP_REGEX_FAILED where ICU gives up. Where
 * nothing changes it may set *same instead and leave `out` alone. */
typedef int (*normalizer_run)(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out,
                              int with_origins, int *same);

struct normalizer_step {
    normalizer_run run;
    int is_joined;                      /* Prepend: the Replace behind it does its work */
    struct form_tables *forms;          /* NFC, NFD, ... */
    int left, right;                    /* Strip */
    int clean, chinese, accents, lower; /* BertNormalizer */
    char *pattern, *content;            /* Replace, Prepend (content) */
    size_t n_pattern, n_content;
    size_t n_repeats;   /* Replace: the match goes on with the first so many bytes of the pattern, repeated */
    char symbol[4];     /* Replace of one byte: the content */
    const char *prefix; /* ... and the Prepend before it, which owns the string */
    size_t n_prefix;
    URegularExpression *regex; /* Replace; cloned for each use */
    pm_charsmap *charsmap;     /* Precompiled, SentencePiece */
    struct pm_sp_settings *sentencepiece;
};

/* normalizer_forms.c */
pm_plugin_code step_unicode_form_create(const char *type, normalizer_step *step, const pm_plugin_message *message);
void step_unicode_form_destroy(normalizer_step *step);
int step_unicode_form(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                      int *same);

/* normalizer_unicode.c */
int step_lowercase(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                   int *same);
int step_strip_accents(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                       int *same);
int step_bert_clean(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                    int *same);
int step_bert_chinese(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                      int *same);
int step_bert_accents(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                      int *same);
int step_nmt(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins, int *same);

/* normalizer_text.c */
int step_strip(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins, int *same);
int step_byte_level(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                    int *same);
int step_precompiled(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                     int *same);

/* normalizer_replace.c */
pm_plugin_code step_replace_create(normalizer_step *step, int is_regex, const pm_plugin_message *message);
int step_prepend_joins(const normalizer_step *prepend,
                       normalizer_step *replace); /* replace does both: prepend can go */
int step_replace_byte(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                      int *same);
int step_replace(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                 int *same);
int step_replace_regex(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                       int *same);
int step_prepend(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                 int *same);

/* normalizer_sentencepiece.c */
pm_plugin_code step_sentencepiece_create(const pm_json *json, normalizer_step *step,
                                         const pm_plugin_message *message);
void step_sentencepiece_destroy(normalizer_step *step);
int step_sentencepiece(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                       int *same);

/* Whether 8 bytes are ASCII. */
static inline int pm_are_ascii(const char *bytes)
{
    uint64_t word;
    __builtin_memcpy(&word, bytes, 8);
    return !(word & UINT64_C(0x8080808080808080));
}

static inline int is_ascii_only(const pm_piece *in)
{
    size_t i = 0;
    for (; i + 8 <= in->n; i += 8)
        if (!pm_are_ascii(in->bytes + i))
            return 0;
    for (; i < in->n; i++)
        if (in->bytes[i] & 0x80)
            return 0;
    return 1;
}

#endif
