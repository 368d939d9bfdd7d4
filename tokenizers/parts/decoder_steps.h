/* The steps that decoders are made of; inside of decoder*.c only. */
#ifndef PUMICE_PARTS_DECODER_STEPS_H
#define PUMICE_PARTS_DECODER_STEPS_H

#include "parts/regex.h"

typedef enum decoder_kind {
    DECODE_BYTE_LEVEL, /* characters of the byte alphabet to bytes */
    DECODE_BYTE_FALLBACK,
    DECODE_REPLACE,
    DECODE_STRIP,
    DECODE_METASPACE,
    DECODE_WORD_PIECE,
    DECODE_CTC,
    DECODE_BPE
} decoder_kind;

typedef struct decoder_step {
    decoder_kind kind;
    char *pattern, *content; /* of WORD_PIECE the prefix, of BPE the suffix, of CTC padding and delimiter */
    size_t n_pattern, n_content;
    URegularExpression *regex; /* REPLACE */
    size_t start, stop;        /* STRIP: at most so many */
    int drops_first;           /* METASPACE: the symbols of the first token are nothing */
    int cleanup;               /* WORD_PIECE, CTC: spaces before punctuation go */
} decoder_step;

/* Text that grows. */
typedef struct decoder_text {
    char *bytes, *spare; /* spare: what a step writes into */
    size_t n, capacity, spare_capacity;
    int is_byte; /* a byte token's byte, which steps on text leave alone */
} decoder_text;

int decoder_text_append(decoder_text *text, const char *bytes, size_t n); /* 0 when out of memory */
void decoder_text_free(decoder_text *text);

/* Rewrites the text of one token, or of all; 0 when out of memory. */
int decoder_step_run(const decoder_step *step, int is_first, int is_last, decoder_text *text);
void decoder_step_destroy(decoder_step *step);

#endif
