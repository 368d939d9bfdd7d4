/* A vocabulary on its way from a file to a plugin: the plugin's spec together with the memory behind it. */
#ifndef PUMICE_VOCABULARY_H
#define PUMICE_VOCABULARY_H

#include "base/arena.h"
#include "pumice/gguf.h"
#include "pumice/plugin.h"

typedef struct pm_vocabulary {
    pm_tokenizer_spec spec;
    pm_arena arena;            /* everything that the spec points to */
    int32_t eot;               /* the token that ends a turn, where the file names one */
    const char *chat_template; /* or NULL */
} pm_vocabulary;

/* Reads the tokenizer.* keys of a file. Errors: PM_ERR_NOT_FOUND (the file has no tokenizer), PM_ERR_FORMAT
 * (missing or inconsistent arrays, ids out of range, the same token twice, merges of unknown tokens),
 * PM_ERR_UNSUPPORTED (a kind of tokenizer that pumice does not know). Call pm_vocabulary_free also after an error.
 */
pm_status pm_vocabulary_read_gguf(const pm_gguf *file, pm_vocabulary *out, pm_error *err);
void pm_vocabulary_free(pm_vocabulary *vocabulary);

#endif
