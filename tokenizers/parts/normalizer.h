/* Normalisers: from a stretch of the caller's text to the text that the model was trained on.
 *
 * Made from the "normalizer" of a tokenizer.json; every kind and its settings mean what they mean in Hugging
 * Face's tokenizers (crate `tokenizers`, module normalizers), to the byte and to the origin of each byte.
 * Immutable.
 */
/* One kind is not Hugging Face's: what the reader of SentencePiece models asks for, to the byte what the library
 * of that name does before it looks for pieces:
 *
 *   {"type": "SentencePiece", "precompiled_charsmap": "BASE64", "add_dummy_prefix": true,
 *    "remove_extra_whitespaces": true, "escape_whitespaces": true, "treat_whitespace_as_suffix": false,
 *    "user_defined_symbols": ["...", ...]}
 *
 * The charsmap may be absent or "" (nothing is mapped), as may the symbols (none). From the left, each step takes
 * the longest user-defined symbol, unchanged; or the longest prefix that the charsmap maps, mapped; or one
 * character. With remove_extra_whitespaces, spaces (U+0020, after mapping) at both ends and all but the first of
 * several are dropped. escape_whitespaces writes U+2581 for each space left, also within symbols. A text that is
 * not empty by then gets one more space in front with add_dummy_prefix, or behind with treat_whitespace_as_suffix
 * as well.
 */
#ifndef PUMICE_PARTS_NORMALIZER_H
#define PUMICE_PARTS_NORMALIZER_H

#include "parts/json_tree.h"
#include "parts/piece.h"

typedef struct pm_normalizer pm_normalizer;

/* json NULL or null: *out is NULL, which is the identity. PM_PLUGIN_UNSUPPORTED names a kind that is not known,
 * PM_PLUGIN_FORMAT a setting that is wrong. */
pm_plugin_code pm_normalizer_create(const pm_json *json, pm_normalizer **out, const pm_plugin_message *message);
void pm_normalizer_destroy(pm_normalizer *normalizer); /* NULL is fine */

/* Scratch memory of one run. */
typedef struct pm_normalizer_scratch {
    pm_text_buffer buffers[2]; /* a step reads one and writes the other */
} pm_normalizer_scratch;
void pm_normalizer_scratch_destroy(pm_normalizer_scratch *scratch);

/* *out is `in` itself where nothing changes (found out quickly for ASCII), else a piece of the scratch, valid
 * until its next use. May be empty. Malformed UTF-8 passes through unchanged, byte by byte. */
pm_plugin_code pm_normalize(const pm_normalizer *normalizer, pm_normalizer_scratch *scratch, const pm_piece *in,
                            int with_origins, pm_piece *out, const pm_plugin_message *message);

#endif
