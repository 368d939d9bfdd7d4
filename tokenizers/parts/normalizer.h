/* Normalisers: from a stretch of the caller's text to the text that the model was trained on.
 *
 * Made from the "normalizer" of a tokenizer.json; every kind and its settings mean what they mean in Hugging Face's
 * tokenizers (crate `tokenizers`, module normalizers), to the byte and to the origin of each byte. Immutable.
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

/* *out is `in` itself where nothing changes (found out quickly for ASCII), else a piece of the scratch, valid until
 * its next use. May be empty. Malformed UTF-8 passes through unchanged, byte by byte. */
pm_plugin_code pm_normalize(const pm_normalizer *normalizer, pm_normalizer_scratch *scratch, const pm_piece *in,
                            int with_origins, pm_piece *out, const pm_plugin_message *message);

#endif
