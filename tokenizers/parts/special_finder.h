/* Finding special and added tokens that are written out in a text.
 *
 * Leftmost, then longest: the rule of Hugging Face's added vocabulary. User-defined tokens are always found;
 * control and unknown tokens only where the caller honours them, so that a user's text cannot forge them. What is
 * between the tokens is the model's.
 */
#ifndef PUMICE_PARTS_SPECIAL_FINDER_H
#define PUMICE_PARTS_SPECIAL_FINDER_H

#include "parts/token_table.h"

typedef struct pm_special_finder {
    const pm_token_table *table; /* must outlive the finder */
    int32_t *sorted;             /* ids by their bytes */
    size_t n;
    size_t first[257]; /* tokens that start with byte b are sorted[first[b]] to sorted[first[b + 1] - 1] */
} pm_special_finder;

/* Two such tokens with the same bytes are an error. */
pm_plugin_code pm_special_finder_create(const pm_token_table *table, pm_special_finder *finder,
                                        const pm_plugin_message *message);
void pm_special_finder_destroy(pm_special_finder *finder);

typedef struct pm_special_match {
    int32_t id;        /* PM_NO_TOKEN where there is none before the end */
    size_t begin, end; /* with the white space that the token takes along; both n_text where there is none */
} pm_special_match;

/* The next token in call->text at or after `at`. *span is the index of the caller's special span to look at next;
 * start with 0 and leave it alone. */
pm_special_match pm_special_find(const pm_special_finder *finder, const pm_encode_call *call, size_t at,
                                 size_t *span);

#endif
