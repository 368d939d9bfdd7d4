/* Training tokenizers: from texts to a tokenizer.json that pumice and Hugging Face's tokenizers read alike.
 *
 * Deterministic: the same texts and options give the same file, whatever the number of threads. Sources: Sennrich
 * et al. 2016, arXiv:1508.07909 (BPE); Kudo 2018, arXiv:1804.10959 (Unigram); merges, alphabets and the order of
 * ids as in Hugging Face's trainers of the same names.
 */
#ifndef PUMICE_TOKENIZER_TRAIN_H
#define PUMICE_TOKENIZER_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pm_train_type {
    PM_TRAIN_BPE,       /* on bytes, as GPT-2; with byte_fallback on characters, as LLaMA 2 */
    PM_TRAIN_UNIGRAM,   /* as SentencePiece */
    PM_TRAIN_WORDPIECE, /* as BERT */
    PM_TRAIN_WORDLEVEL  /* whole words and punctuation */
} pm_train_type;

/* All zero but for the type means the usual choices. */
typedef struct pm_train_options {
    pm_train_type type;
    size_t n_tokens;      /* the size of the vocabulary, special tokens counted; 0: 30,000 */
    size_t min_frequency; /* rarer pairs (BPE, WordPiece) and words (WordLevel) are left out; 0: 2, and 1 for
                             WordLevel */
    const char *const *special_tokens; /* the first ids, in this order; NULL: those usual for the type. The unknown
                                        * token that a type needs is added where it is not among them */
    size_t n_special_tokens;
    size_t max_token_chars; /* longer tokens are not made; 0: no limit, and 16 for Unigram */
    size_t alphabet_limit;  /* the most characters of BPE and WordPiece, the rarest left out; 0: all */
    int lowercase;
    int byte_fallback;   /* BPE, Unigram: characters that are no tokens become bytes */
    const char *pattern; /* BPE on bytes: the regular expression that finds words, or the name that GGUF files give
                          * to theirs ("llama-bpe", "qwen2", "gpt-4o"); NULL: "gpt-2" */
    const char
        *settings; /* tokenizer.json whose normalizer, pre_tokenizer, post_processor and decoder are taken; NULL */
    size_t n_settings; /* bytes of it */
    int n_threads;     /* 0: as many as there are cores */
    /* Called now and then, by one thread at a time; anything but 0 ends the work with PM_ERR_CANCELLED. `total` is
     * 0 where it is not known. May be NULL. */
    int (*progress)(void *user, const char *what, uint64_t done, uint64_t total);
    void *user;
} pm_train_options;

typedef struct pm_train_result {
    size_t n_tokens;  /* fewer than wanted where the texts give no more */
    size_t n_words;   /* different ones */
    uint64_t n_bytes; /* of the texts */
} pm_train_result;

/* Reads the files, line by line, and writes a tokenizer.json; nothing is at `path` until all of it is. `result`
 * may be NULL. Errors: PM_ERR_IO (a file that cannot be read or written), PM_ERR_ARGUMENT (options that do not fit
 * together, texts without words, a vocabulary too small for the alphabet), PM_ERR_FORMAT (settings or pattern),
 * PM_ERR_MEMORY, PM_ERR_CANCELLED. */
pm_status pm_tokenizer_train(const pm_train_options *options, const char *const *files, size_t n_files,
                             const char *path, pm_train_result *result, pm_error *err);

#ifdef __cplusplus
}
#endif
#endif
