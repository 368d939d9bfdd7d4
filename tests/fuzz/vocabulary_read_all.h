/* Reading a vocabulary from bytes that may be anything, and looking at all of what comes out. */
#ifndef PUMICE_TESTS_VOCABULARY_READ_ALL_H
#define PUMICE_TESTS_VOCABULARY_READ_ALL_H

#include <stddef.h>
#include <stdint.h>

#include "tests/fuzz/gguf_read_all.h"

typedef enum vocabulary_kind {
    VOCABULARY_HF = 0,
    VOCABULARY_SENTENCEPIECE,
    VOCABULARY_TIKTOKEN,
    VOCABULARY_WORDLIST,
    VOCABULARY_GGUF,
    N_VOCABULARY_KINDS
} vocabulary_kind;

extern const char *const vocabulary_kind_names[N_VOCABULARY_KINDS];

/* Refused with a message, or taken: then every entry, merge and id must be in range, and the pipeline good JSON.
 * Anything else is READ_BROKEN, and has been reported on standard error. The bytes are copied into memory of their
 * exact size, so that a sanitizer sees the first one read past the end. */
read_verdict vocabulary_read_all(vocabulary_kind kind, const uint8_t *bytes, size_t size, const char *name);

/* A good small file of this kind; NULL past the last. *bytes is the caller's to free. */
const char *vocabulary_seed(vocabulary_kind kind, size_t index, uint8_t **bytes, size_t *size);

#endif
