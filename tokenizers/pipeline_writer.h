/* Parts of a pipeline that several readers write: members of the JSON object pm_tokenizer_spec.pipeline, each with
 * a comma in front. */
#ifndef PUMICE_PIPELINE_WRITER_H
#define PUMICE_PIPELINE_WRITER_H

#include "vocabulary.h"

/* "post_processor": what stands before and after each sequence; ids may be PM_NO_TOKEN. With `second_begin` the
 * second of a pair starts with `begin` too (as LLaMA's does, and BERT's does not). Nothing where both are absent.
 */
void pm_pipeline_write_template(pm_vocabulary *vocabulary, int32_t begin, int32_t end, int second_begin);

/* "decoder": U+2581 is a space, <0xNN> a byte; up to n_strip spaces at the start go. unk_surface: what the unknown
 * token reads as, whatever is stripped; NULL: as it is called. */
void pm_pipeline_write_metaspace_decoder(pm_vocabulary *vocabulary, long n_strip, const char *unk_surface,
                                         size_t n_unk_surface);

/* "pre_tokenizer" and "decoder" of byte-level vocabularies: first the Splits, a JSON list without its brackets
 * (NULL or "": none), then bytes, with use_regex cut as GPT-2 does. */
void pm_pipeline_write_byte_level(pm_vocabulary *vocabulary, const char *splits, int use_regex);

#endif
