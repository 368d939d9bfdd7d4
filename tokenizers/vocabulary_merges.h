/* Merges as files name them, by the spellings of two tokens, turned into ids.
 *
 * Merges are taken in batches, so that the look-ups of one are under way while the next is read. The third token,
 * the result, is nearly always that of the merge before or the one after it, and only otherwise looked up. Nothing
 * here depends on what a spelling means: merges spell tokens as the vocabulary does.
 */
#ifndef PUMICE_VOCABULARY_MERGES_H
#define PUMICE_VOCABULARY_MERGES_H

#include "vocabulary_index.h"

enum { PM_MERGE_BATCH = 32 };

typedef struct pm_merge_spelling {
    pm_spelling left, right;
    uint64_t left_hash, right_hash, result_hash;
    size_t at;
} pm_merge_spelling;

typedef struct pm_merge_reader {
    pm_vocabulary *vocabulary;
    pm_vocabulary_index index;
    int is_shared;                            /* the index is another reader's */
    size_t prefix;                            /* bytes that the right token loses when it joins the left one */
    const char *place;                        /* what `at` is, for messages: "merge " or "the merge at byte " */
    int32_t guess;                            /* the token that the merge before made */
    pm_merge_spelling merges[PM_MERGE_BATCH]; /* under way */
    size_t n;
    size_t begin, n_done; /* those that are done are v->merges[begin, begin + n_done) */
    char *word;           /* memory for what a long merge makes */
    size_t word_capacity;
} pm_merge_reader;

/* The vocabulary's entries are complete, and those that merges may name have spellings: normal ones, and
 * user-defined ones that no normal one is spelled as. Merges of UNUSED ones are left out, as they never apply.
 * PM_ERR_FORMAT where two normal ones are spelled alike. Destroy the reader also after an error. What it has done
 * becomes the vocabulary's by spec.n_merges, which is for the caller to set. */
pm_status pm_merge_reader_start(pm_merge_reader *reader, pm_vocabulary *vocabulary, pm_error *err);
void pm_merge_reader_destroy(pm_merge_reader *reader);

/* A second reader that looks up in the first one's index, for another thread: its merges go to v->merges[begin)
 * and on, where there must be room for all of both. Destroy it before the first. */
void pm_merge_reader_share(const pm_merge_reader *first, size_t begin, pm_merge_reader *second);

/* Turns the merges under way into ids; the last call is after the last merge. */
pm_status pm_merge_reader_finish(pm_merge_reader *reader, pm_error *err);

/* The same as below for merges whose result has more than 16 bytes. */
pm_status pm_merge_reader_hash_result(pm_merge_reader *reader, pm_merge_spelling *merge, pm_error *err);

/* The next merge, of two spellings that stay until the end. */
static inline pm_status pm_merge_reader_add(pm_merge_reader *reader, size_t at, pm_spelling left,
                                            pm_spelling right, pm_error *err)
{
    const pm_vocabulary *v = reader->vocabulary;
    pm_status status = PM_OK;
    if (reader->n == PM_MERGE_BATCH)
        status = pm_merge_reader_finish(reader, err);
    if (status != PM_OK)
        return status;
    pm_merge_spelling *merge = &reader->merges[reader->n++];
    merge->left = left;
    merge->right = right;
    merge->at = at;
    size_t n = left.n + right.n;
    if (n <= 16 && right.n > 0 && reader->prefix == 0) {
        pm_bits128 left_bits = pm_spelling_bits(v, left.text, left.n);
        pm_bits128 right_bits = pm_spelling_bits(v, right.text, right.n);
        merge->left_hash = pm_hash_bits(v, v->seeds[0], left_bits, left.n);
        merge->right_hash = pm_hash_bits(v, v->seeds[0], right_bits, right.n);
        merge->result_hash = pm_hash_bits(v, v->seeds[0], left_bits | right_bits << (8 * left.n), n);
    } else {
        status = pm_merge_reader_hash_result(reader, merge, err);
    }
    pm_vocabulary_prefetch(&reader->index, merge->left_hash);
    pm_vocabulary_prefetch(&reader->index, merge->right_hash);
    return status;
}

#endif
