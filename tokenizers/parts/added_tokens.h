/* Finding added tokens that are written out in a text: Hugging Face's added vocabulary.
 *
 * There are two sets: tokens looked for in the text as given, and those looked for in normalised text, by their
 * own normalised form. Leftmost, then longest. User-defined tokens are always found; control and unknown tokens
 * only where the caller honours them, so that a user's text cannot forge them. What is between the tokens is the
 * model's.
 */
#ifndef PUMICE_PARTS_ADDED_TOKENS_H
#define PUMICE_PARTS_ADDED_TOKENS_H

#include "parts/normalizer.h"
#include "parts/token_table.h"

typedef struct pm_added_pattern {
    const char *bytes;
    size_t n;
    int32_t id;
} pm_added_pattern;

typedef struct pm_added_tokens {
    const pm_token_table *table;
    pm_added_pattern *patterns; /* sorted by their bytes */
    size_t n;
    char *bytes;       /* of all patterns */
    size_t first[257]; /* patterns that start with byte b are patterns[first[b]] to patterns[first[b + 1] - 1] */
    int only_byte;     /* the byte that all of them start with; -1: there are several */
} pm_added_tokens;

/* The tokens of a table that are looked for in normalised text, or those that are not. `table` must outlive it;
 * normalizer may be NULL. */
pm_plugin_code pm_added_tokens_create(const pm_token_table *table, int normalized, const pm_normalizer *normalizer,
                                      pm_added_tokens *out, const pm_plugin_message *message);
void pm_added_tokens_destroy(pm_added_tokens *tokens);

/* Where control and unknown tokens count: everywhere, or where they lie wholly within one of some ascending spans
 * of the caller's text. */
typedef struct pm_special_choice {
    int everywhere;
    const pm_text_span *spans;
    size_t n_spans;
} pm_special_choice;

typedef struct pm_added_match {
    int32_t id;        /* PM_NO_TOKEN where there is none before the end */
    size_t begin, end; /* with the white space that the token takes along; both piece->n where there is none */
} pm_added_match;

/* The next token in the piece. *search is where to look from: 0 at first, then what the call before left. `from`
 * is where the match before ended: white space before that is not taken again; but a match may begin there, within
 * the white space that the one before took along. */
pm_added_match pm_added_tokens_find(const pm_added_tokens *tokens, const pm_piece *piece,
                                    const pm_special_choice *choice, size_t from, size_t *search);

#endif
