/* The pre-tokenizers that GGUF files name (tokenizer.ggml.pre), in the terms of tokenizer.json. */
#ifndef PUMICE_GGUF_PRE_TOKENIZERS_H
#define PUMICE_GGUF_PRE_TOKENIZERS_H

typedef struct pm_gguf_pre_tokenizer {
    const char *names;      /* separated by spaces */
    const char *splits[8];  /* regular expressions, one after the other: matches and what is between are pieces */
    int single_digits;      /* numbers are cut into digits before that */
    int use_regex;          /* ByteLevel cuts as GPT-2 did */
    int ignore_merges;      /* a piece that is a token becomes it */
    int adds_bos;           /* where the file does not say */
    const char *normalizer; /* "NFC"; NULL: none */
} pm_gguf_pre_tokenizer;

/* NULL where the name is not known. Static storage. */
const pm_gguf_pre_tokenizer *pm_gguf_pre_tokenizer_find(const char *name);

/* The way back: the first name of one that cuts alike (names and adds_bos do not matter), best of one that is alike in
 * all else too. NULL where there is none. */
const pm_gguf_pre_tokenizer *pm_gguf_pre_tokenizer_match(const pm_gguf_pre_tokenizer *wanted);

#endif
