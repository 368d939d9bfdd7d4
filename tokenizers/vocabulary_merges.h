/* Merges as files name them, by the spellings of two tokens, turned into ids.
 *
 * Merges are taken in batches, so that the look-ups of one are under way while the next is read. The third token, the
 * result, is nearly always that of the merge before or the one after it, and only otherwise looked up.
 */
#ifndef PUMICE_VOCABULARY_MERGES_H
#define PUMICE_VOCABULARY_MERGES_H

#include "vocabulary.h"
#include "vocabulary_index.h"

enum { PM_MERGE_BATCH = 32 };

typedef struct pm_merge_part {
    const char *bytes;
    size_t n;
    uint64_t hash;
} pm_merge_part;

typedef struct pm_merge_reader {
    pm_vocabulary *vocabulary;
    pm_vocabulary_index index;
    int is_bytes;  /* the file spells bytes in their alphabet (byte_alphabet.h) */
    size_t prefix; /* bytes that the right token loses when it joins the left one */
    int skips_foreign; /* merges of tokens that spell no bytes are left out, as they never apply; else refused */
    const char *place; /* what `at` is, for messages: "merge " or "the merge at byte " */
    int32_t guess; /* the token that the merge before made */
    pm_merge_part parts[PM_MERGE_BATCH][2];
    size_t at[PM_MERGE_BATCH];
    size_t n;    /* merges under way */
    char *bytes; /* of those that are not written as they are */
    size_t n_bytes, capacity;
} pm_merge_reader;

/* The vocabulary's entries are complete and stay where they are. Merges are of normal tokens and, with_added, of
 * user-defined ones that no normal one is spelled as. PM_ERR_FORMAT where two normal ones have the same bytes. Destroy
 * the reader also after an error. */
pm_status pm_merge_reader_start(pm_merge_reader *reader, pm_vocabulary *vocabulary, int with_added, pm_error *err);
void pm_merge_reader_destroy(pm_merge_reader *reader);

/* Before a merge is added: room for n bytes of spellings, with those of pm_merge_reader_keep. */
pm_status pm_merge_reader_reserve(pm_merge_reader *reader, size_t n, pm_error *err);

/* Memory for a spelling of n bytes, which have been reserved; taken with pm_merge_reader_keep once it is filled. */
char *pm_merge_reader_memory(pm_merge_reader *reader);
void pm_merge_reader_keep(pm_merge_reader *reader, size_t n);

/* The next merge; room for n_left + n_right bytes has been reserved, and the spellings stay until the end. */
pm_status pm_merge_reader_add(pm_merge_reader *reader, size_t at, const char *left, size_t n_left, const char *right,
                              size_t n_right, pm_error *err);

/* After the last one. */
pm_status pm_merge_reader_finish(pm_merge_reader *reader, pm_error *err);

#endif
