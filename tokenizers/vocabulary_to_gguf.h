/* A vocabulary as the tokenizer.ggml keys of a GGUF file: what vocabulary_to_gguf.c (tokens, merges, scores, ids)
 * and pipeline_to_gguf.c (how text becomes pieces) have in common; tokenizer_gguf.c puts it all together. */
#ifndef PUMICE_VOCABULARY_TO_GGUF_H
#define PUMICE_VOCABULARY_TO_GGUF_H

#include "parts/json_tree.h"
#include "pumice/gguf_writer.h"
#include "vocabulary.h"
#include "vocabulary_gguf.h"

/* What the pipeline says in GGUF's terms, as far as it can. */
typedef struct pm_gguf_settings {
    int has_kind; /* 0: GGUF has no such kind of tokenizer */
    gguf_kind kind;
    const char *pre; /* of byte-level ones; NULL: none that has a name */
    size_t n_pre;
    int adds_space_prefix;
    int removes_spaces;
    const pm_json *charsmap;      /* base64; or NULL */
    int lowercase, strip_accents; /* of BERT's; strip_accents -1: as lowercase */
    const char *prefix;           /* of WordPiece's continuing pieces */
    size_t n_prefix;
} pm_gguf_settings;

/* `pipeline` is that of the vocabulary; what is found points into it. */
void pm_gguf_settings_find(const pm_vocabulary *vocabulary, const pm_json *pipeline, pm_gguf_settings *out);

/* The keys, with n_rows tokens. */
pm_status pm_vocabulary_to_gguf(const pm_vocabulary *vocabulary, const pm_gguf_settings *settings, size_t n_rows,
                                pm_gguf_writer *writer, pm_error *err);

#endif
