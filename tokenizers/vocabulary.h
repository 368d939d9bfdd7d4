/* A vocabulary on its way from a file to a plugin: the plugin's spec together with the memory behind it.
 *
 * Every reader (one a kind of file, vocabulary_*.c) makes the same of what it reads: entries with their bytes,
 * merges, special ids, and the pipeline in the language of tokenizer.json (see pm_tokenizer_spec). Entries may
 * point into the file itself, which stays mapped until pm_vocabulary_free. Call that also after an error.
 */
#ifndef PUMICE_VOCABULARY_H
#define PUMICE_VOCABULARY_H

#include "base/arena.h"
#include "base/mapped_file.h"
#include "json_writer.h"
#include "parts/json_tree.h"
#include "pumice/gguf.h"
#include "pumice/plugin.h"

/* How the file spells a token, for merges, which spell theirs alike. */
typedef struct pm_spelling {
    const char *text;
    size_t n;
} pm_spelling;

typedef struct pm_vocabulary {
    pm_tokenizer_spec spec;
    pm_arena arena;          /* what the spec points to and is not in the file ... */
    pm_vocab_entry *entries; /* ... but these, which grow */
    pm_vocab_merge *merges;
    pm_json_writer pipeline;
    uint64_t *hashes; /* of how the file spells entries, where merges will be looked up so; 0: it does not */
    size_t n_hashes;
    uint64_t seeds[2];      /* of the hashes */
    const char *file_begin; /* 16 bytes can be read from the first n_file_padded bytes on, as vocabulary_index.h */
    size_t n_file_padded;   /* does; 0: nowhere */
    size_t entries_capacity, merges_capacity, hashes_capacity;
    char *bytes; /* memory for the bytes of tokens: where there is some left */
    size_t n_bytes_left;
    pm_mapped_file file;
    pm_gguf *gguf;             /* where it was opened for the vocabulary alone */
    int32_t eot;               /* the token that ends a turn, where the file names one */
    const int32_t *ends;       /* other tokens that end an answer, as files beside it or keys of GGUF say */
    size_t n_ends;
    const char *chat_template; /* or NULL */
} pm_vocabulary;

/* All zero but for the ids, which are PM_NO_TOKEN; `source` is copied. */
pm_status pm_vocabulary_start(pm_vocabulary *vocabulary, const char *source, pm_error *err);
void pm_vocabulary_free(pm_vocabulary *vocabulary);

/* Makes ids 0 to n - 1 exist: new ones are UNUSED and have no bytes. */
pm_status pm_vocabulary_extend(pm_vocabulary *vocabulary, size_t n, pm_error *err);

/* Memory for so many entries and merges, which costs nothing until there are some. 0 when out of memory. */
int pm_vocabulary_reserve(pm_vocabulary *vocabulary, size_t n_entries, size_t n_merges);

/* Says that the spellings of a file lie within these bytes. */
void pm_vocabulary_set_file(pm_vocabulary *vocabulary, const void *bytes, size_t n);

/* Says how the file spells the entry with this id, which exists. 0 when out of memory. */
int pm_vocabulary_spell(pm_vocabulary *vocabulary, size_t id, const char *text, size_t n);

/* Memory for the bytes of one token, as long as the vocabulary; NULL when there is none. */
char *pm_vocabulary_bytes(pm_vocabulary *vocabulary, size_t n);

/* The entries and the pipeline go into the spec; a pipeline that did not fit memory is the error. */
pm_status pm_vocabulary_finish(pm_vocabulary *vocabulary, pm_error *err);

/* The byte of a token that is spelled <0x0A>; -1 where it is spelled otherwise. */
int pm_byte_of_name(const char *name, size_t n);

/* The entry with these bytes, looked for one by one; PM_NO_TOKEN. */
int32_t pm_vocabulary_search(const pm_vocabulary *vocabulary, const char *bytes, size_t n);

/* ---- Readers ----
 *
 * Errors: PM_ERR_NOT_FOUND (there is no such file, or no tokenizer in it), PM_ERR_FORMAT (malformed; ids out of
 * range, merges of tokens that are not there), PM_ERR_UNSUPPORTED (a kind of tokenizer that pumice does not know),
 * PM_ERR_LIMIT, PM_ERR_MEMORY. */

/* The tokenizer.* keys of a GGUF file, which must stay open as long as the vocabulary. */
pm_status pm_vocabulary_read_gguf(const pm_gguf *file, pm_vocabulary *out, pm_error *err);

/* A file of any kind, recognised by what is in it, or a directory that holds one. */
pm_status pm_vocabulary_read_file(const char *path, const pm_plugin_setting *settings, size_t n_settings,
                                  pm_vocabulary *out, pm_error *err);

/* The same for bytes that are in memory as long as the vocabulary: each kind alone, on a vocabulary that has been
 * started. `config` is the tokenizer_config.json beside the file, or NULL. */
pm_status pm_vocabulary_read_hf(pm_vocabulary *out, const char *text, size_t n, pm_error *err);
pm_status pm_vocabulary_read_sentencepiece(pm_vocabulary *out, const char *bytes, size_t n, const pm_json *config,
                                           pm_error *err);
pm_status pm_vocabulary_read_wordlist(pm_vocabulary *out, const char *text, size_t n, const pm_json *config,
                                      pm_error *err);

/* `encoding` is what the ranks are for: "cl100k_base", "o200k_base", ... */
pm_status pm_vocabulary_read_tiktoken(pm_vocabulary *out, const char *text, size_t n, const char *encoding,
                                      pm_error *err);

#endif
