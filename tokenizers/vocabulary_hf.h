/* Reading a tokenizer.json: what vocabulary_hf.c (the document) and vocabulary_hf_model.c (vocabulary and merges,
 * which are nearly all of it) have in common. */
#ifndef PUMICE_VOCABULARY_HF_H
#define PUMICE_VOCABULARY_HF_H

#include "parts/json_reader.h"
#include "parts/json_tree.h"
#include "vocabulary.h"

/* A part of the document; begin == end: it is not there. */
typedef struct hf_slice {
    size_t begin, end;
} hf_slice;

typedef struct hf_reading {
    pm_vocabulary *out;
    pm_error *err;
    const char *path; /* for messages */
    const char *text;
    size_t n;
    pm_json_reader reader;
    hf_slice normalizer, pre_tokenizer, post_processor, decoder, truncation, padding, added_tokens, model;
    hf_slice merges; /* of the model */
    int has_vocab, has_merges, vocab_is_list;
    size_t prefix;           /* the length of continuing_subword_prefix */
    size_t prefix_of_merges; /* ... as it was when the merges were read */
    pm_json_writer options;  /* the members of the model but vocabulary and merges: "key":value,... */
    int is_bytes;            /* the model works on bytes: undo the spelling of its tokens */
} hf_reading;

/* The message of a reader that stopped, or of another event than was expected. */
pm_status hf_fail_json(const hf_reading *r, const pm_json_reader *reader, const char *expected);

/* A part of the document as a tree. */
pm_status hf_parse(const hf_reading *r, hf_slice slice, const char *what, pm_json_tree **out);

/* Reads the vocabulary, the reader being before its value: an object of ids or a list of [piece, score]. */
pm_status hf_read_vocabulary(hf_reading *r, pm_json_reader *reader);

/* Reads the merges, the reader being before their value; the vocabulary is there. */
pm_status hf_read_merges(hf_reading *r, pm_json_reader *reader);

#endif
