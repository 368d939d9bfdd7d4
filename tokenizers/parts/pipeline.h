/* The pipeline that bpe, unigram and wordpiece share: all of a tokenizer but the model.
 *
 * Encoding: added tokens found in the text (added_tokens.h) -> normaliser -> added tokens found in normalised text
 * -> pre-tokenizer -> model -> truncation -> post-processor. Decoding: decoder. Each part is made from the
 * description in the spec (pm_tokenizer_spec.pipeline), a tokenizer.json without vocabulary and merges.
 *
 * Scratch memory is pooled in the instance: a call takes one out and puts it back, so calls from any number of
 * threads neither wait for each other nor allocate.
 */
#ifndef PUMICE_PARTS_PIPELINE_H
#define PUMICE_PARTS_PIPELINE_H

#include "parts/token_model.h"

/* The kinds that a plugin offers; the one whose name is the description's model.type is taken. */
pm_plugin_code pm_pipeline_create(const pm_model_kind *const *kinds, size_t n_kinds, const pm_tokenizer_spec *spec,
                                  void **instance, const pm_plugin_message *message);

/* The rest of a pm_tokenizer_api, as it is. */
void pm_pipeline_destroy(void *instance);
pm_plugin_code pm_pipeline_info(const void *instance, pm_tokenizer_info *info);
pm_plugin_code pm_pipeline_token_info(const void *instance, int32_t id, pm_token_info *info);
pm_plugin_code pm_pipeline_encode(const void *instance, pm_encode_call *call, const pm_plugin_message *message);
pm_plugin_code pm_pipeline_decode(const void *instance, pm_decode_call *call, const pm_plugin_message *message);

#endif
