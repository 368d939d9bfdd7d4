/* Pre-tokenizers: cutting text into the pieces that a model sees one at a time.
 *
 * Made from the "pre_tokenizer" of a tokenizer.json; every kind and its settings mean what they mean in Hugging
 * Face's tokenizers (module pre_tokenizers). A Sequence is a chain: each stage cuts every piece that the stage
 * before left, depth first, so pieces arrive in order and nothing is stored. Known regular expressions become
 * hand-written scanners (split_scanners.h), the rest go through ICU.
 *
 * ByteLevel as the last stage that changes text does not spell bytes as characters: the model then works on the
 * bytes themselves (pm_pre_tokenizer_gives_bytes).
 */
#ifndef PUMICE_PARTS_PRE_TOKENIZER_H
#define PUMICE_PARTS_PRE_TOKENIZER_H

#include "parts/json_tree.h"
#include "parts/piece.h"
#include "parts/split_patterns.h"

typedef struct pm_pre_tokenizer pm_pre_tokenizer;         /* immutable */
typedef struct pm_pre_tokenizer_run pm_pre_tokenizer_run; /* scratch of one thread: buffers, ICU's matchers */

/* json NULL or null: *out is NULL, which leaves each text whole. */
pm_plugin_code pm_pre_tokenizer_create(const pm_json *json, pm_pre_tokenizer **out,
                                       const pm_plugin_message *message);
void pm_pre_tokenizer_destroy(pm_pre_tokenizer *pre_tokenizer); /* NULL is fine */

int pm_pre_tokenizer_gives_bytes(const pm_pre_tokenizer *pre_tokenizer); /* the model sees real bytes */
int pm_pre_tokenizer_needs_origins(
    const pm_pre_tokenizer *pre_tokenizer); /* even where the caller wants no spans */

/* Where it is one scanner, each of whose pieces is a piece: that scanner. NULL: it is more than that. */
const pm_split_scanner *pm_pre_tokenizer_scanner(const pm_pre_tokenizer *pre_tokenizer);

/* A run can be used for any number of texts, one after the other. */
pm_plugin_code pm_pre_tokenizer_run_create(const pm_pre_tokenizer *pre_tokenizer, pm_pre_tokenizer_run **out,
                                           const pm_plugin_message *message);
void pm_pre_tokenizer_run_destroy(pm_pre_tokenizer_run *run); /* NULL is fine */

/* Cuts one piece as a text of its own: nothing looks beyond its ends. */
pm_plugin_code pm_pre_tokenize(const pm_pre_tokenizer *pre_tokenizer, pm_pre_tokenizer_run *run,
                               const pm_piece *piece, int with_origins, const pm_piece_sink *sink,
                               const pm_plugin_message *message);

#endif
