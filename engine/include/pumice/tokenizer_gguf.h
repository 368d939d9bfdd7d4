/* Tokenizers on their way into GGUF files: the tokenizer.* keys for a vocabulary of any other kind.
 *
 * GGUF keeps tokens, merges and scores, but of how text is cut before only a name; so not every tokenizer can be
 * written. What is written is therefore read back and compared with the original on texts; where it differs, the
 * tokenizer.json goes along whole, which pumice then reads (tokenizer.huggingface.json in the GGUF specification).
 */
#ifndef PUMICE_TOKENIZER_GGUF_H
#define PUMICE_TOKENIZER_GGUF_H

#include "pumice/gguf_writer.h"
#include "pumice/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pm_tokenizer_gguf {
    char model[8];    /* tokenizer.ggml.model: "gpt2", "llama", "t5", "bert"; "none" where it is none of these */
    char pre[32];     /* tokenizer.ggml.pre; "" where there is none */
    size_t n_tokens;  /* as written */
    size_t n_padding; /* of them: made up, for rows that the vocabulary does not reach */
    size_t n_cut;     /* tokens that were left out, as there are no rows for them */
    int is_exact;     /* the tokenizer.ggml keys alone give the same tokens */
    int has_json;     /* the tokenizer.json was put in whole; also where only decoding or scores are not exact */
    char difference[160]; /* where not exact: what differs, as the end of a sentence */
} pm_tokenizer_gguf;

/* Adds the tokenizer that pm_tokenizer_open_file finds at `path` to a file, with n_rows tokens, as many as the
 * model has rows of embeddings (0: as many as there are), and its chat template. `options` (may be NULL) say where
 * the plugins are that the two are compared with. Errors: those of pm_tokenizer_open_file. */
pm_status pm_tokenizer_write_gguf(const char *path, size_t n_rows, const pm_tokenizer_options *options,
                                  pm_gguf_writer *writer, pm_tokenizer_gguf *out, pm_error *err);

#ifdef __cplusplus
}
#endif
#endif
