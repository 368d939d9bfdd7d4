/* Merges as files name them, by the spellings of two tokens, turned into ids.
 *
 * Merges are taken in batches, so that the look-ups of one are under way while the next is read. The third token, the
 * result, is nearly always that of the merge before or the one after it, and only otherwise looked up. Nothing here
 * depends on what a spelling means: merges spell tokens as the vocabulary does.
 */
#ifndef PUMICE_VOCABULARY_MERGES_H
#define PUMICE_VOCABULARY_MERGES_H

#include "vocabulary_index.h"

enum { PM_MERGE_BATCH = 32 };

typedef struct pm_merge_part {
    pm_spelling spelling;
    uint64_t hash;
} pm_merge_part;

typedef struct pm_merge_reader {
    pm_vocabulary *vocabulary;
    pm_vocabulary_index index;
    size_t prefix;     /* bytes that the right token loses when it joins the left one */
    const char *place; /* what `at` is, for messages: "merge " or "the merge at byte " */
    int32_t guess;     /* the token that the merge before made */
    pm_merge_part parts[PM_MERGE_BATCH][2];
    size_t at[PM_MERGE_BATCH];
    size_t n; /* merges under way */
} pm_merge_reader;

/* The vocabulary's entries are complete, and those that merges may name have spellings: normal ones, and user-defined
 * ones that no normal one is spelled as. Merges of UNUSED ones are left out, as they never apply. PM_ERR_FORMAT where two
 * normal ones are spelled alike. Destroy the reader also after an error. */
pm_status pm_merge_reader_start(pm_merge_reader *reader, pm_vocabulary *vocabulary, pm_error *err);
void pm_merge_reader_destroy(pm_merge_reader *reader);

/* Turns the merges under way into ids; the last call is after the last merge. */
pm_status pm_merge_reader_finish(pm_merge_reader *reader, pm_error *err);

/* The next merge, of two spellings that stay until the end. */
static inline pm_status pm_merge_reader_add(pm_merge_reader *reader, size_t at, pm_spelling left, pm_spelling right,
                                            pm_error *err)
{
    if (reader->n == PM_MERGE_BATCH) {
        pm_status status = pm_merge_reader_finish(reader, err);
        if (status != PM_OK)
            return status;
    }
    pm_merge_part *part = reader->parts[reader->n];
    part[0].spelling = left;
    part[1].spelling = right;
    part[0].hash = pm_vocabulary_hash(&reader->index, left.text, left.n);
    part[1].hash = pm_vocabulary_hash(&reader->index, right.text, right.n);
    pm_vocabulary_prefetch(&reader->index, part[0].hash);
    pm_vocabulary_prefetch(&reader->index, part[1].hash);
    reader->at[reader->n++] = at;
    return PM_OK;
}

#endif
