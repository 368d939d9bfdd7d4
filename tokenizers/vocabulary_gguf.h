/* Reading the vocabulary of a GGUF file: what vocabulary_gguf.c (entries, merges, ids) and
 * vocabulary_gguf_pipeline.c (how text becomes pieces and back) have in common. */
#ifndef PUMICE_VOCABULARY_GGUF_H
#define PUMICE_VOCABULARY_GGUF_H

#include "base/threads.h"
#include "gguf_pre_tokenizers.h"
#include "vocabulary.h"

#define KEY(name) "tokenizer.ggml." name
/* A tokenizer.json whole; what it says goes before what the other keys say of tokens and pipeline. */
#define GGUF_JSON_KEY "tokenizer.huggingface.json"
/* Tokens that end an answer beside eos and eot, as generation_config.json lists them; GGUF has no key for more. */
#define GGUF_ENDS_KEY "tokenizer.huggingface.eos_token_ids"

/* By tokenizer.ggml.model. */
typedef enum gguf_kind {
    GGUF_BYTE_LEVEL = 0, /* gpt2: BPE on bytes */
    GGUF_LLAMA,          /* SentencePiece's BPE */
    GGUF_T5,             /* SentencePiece's Unigram */
    GGUF_BERT            /* WordPiece */
} gguf_kind;

/* What is at hand while one file is read. */
typedef struct gguf_reading {
    const pm_gguf *file;
    pm_vocabulary *out;
    pm_error *err;
    pm_vocab_entry *entries;
    size_t n;
    gguf_kind kind;
    const pm_gguf_pre_tokenizer *pre_tokenizer; /* of byte-level vocabularies */
    int adds_space_prefix;                      /* each stretch of text starts with a space */
    pm_threads *threads;                        /* for halves of long arrays; NULL until there is one */
} gguf_reading;

pm_status gguf_fail_key(const gguf_reading *r, pm_status status, const char *key, const char *what);

/* A flag; left as it is where the file does not have it. */
pm_status gguf_read_setting(const gguf_reading *r, const char *key, int *value);

/* Once all else has been read. */
pm_status gguf_write_pipeline(gguf_reading *r);

#endif
