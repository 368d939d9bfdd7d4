/* Decoders: from the spellings of tokens back to text.
 *
 * Made from the "decoder" of a tokenizer.json (ByteLevel, Metaspace, WordPiece, ByteFallback, Fuse, Replace,
 * Strip, CTC, BPEDecoder, Sequence); as in Hugging Face's tokenizers, except that bytes which are no UTF-8 come
 * out as they are and not as U+FFFD, so that nothing is lost. Immutable. Chains that act on each token alone are
 * worked out once for all tokens, so that decoding is copying.
 */
#ifndef PUMICE_PARTS_DECODER_H
#define PUMICE_PARTS_DECODER_H

#include "parts/json_tree.h"
#include "parts/token_table.h"

typedef struct pm_decoder pm_decoder;

/* json NULL or null: tokens joined by spaces, as Hugging Face does. `table` must outlive the decoder; its bytes
 * are real ones where is_bytes is set (the alphabet's spelling already undone). */
pm_plugin_code pm_decoder_create(const pm_json *json, const pm_token_table *table, int is_bytes, pm_decoder **out,
                                 const pm_plugin_message *message);
void pm_decoder_destroy(pm_decoder *decoder); /* NULL is fine */

/* Fills in call->n_text and, as far as there is room, call->text. Control and unknown tokens give nothing with
 * SKIP_SPECIAL; with CONTINUATION nothing is taken away at the start. Added tokens take part in the chain as
 * Hugging Face lets them. */
pm_plugin_code pm_decoder_decode(const pm_decoder *decoder, pm_decode_call *call,
                                 const pm_plugin_message *message);

/* What the token gives in the middle of a text; valid as long as the decoder. */
const char *pm_decoder_token(const pm_decoder *decoder, int32_t id, size_t *n);

#endif
