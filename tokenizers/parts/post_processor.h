/* Post-processors: the special tokens around one sequence or a pair of sequences.
 *
 * Made from the "post_processor" of a tokenizer.json: TemplateProcessing, BertProcessing, RobertaProcessing,
 * ByteLevel (spans trimmed of white space), Sequence; as in Hugging Face's tokenizers. Immutable.
 */
#ifndef PUMICE_PARTS_POST_PROCESSOR_H
#define PUMICE_PARTS_POST_PROCESSOR_H

#include "parts/json_tree.h"
#include "parts/piece.h"

typedef enum pm_template_kind {
    PM_TEMPLATE_SPECIAL = 0, /* the token `id` */
    PM_TEMPLATE_FIRST,       /* the sequence, or the first of the pair */
    PM_TEMPLATE_SECOND
} pm_template_kind;

typedef struct pm_template_item {
    pm_template_kind kind;
    int32_t id;       /* SPECIAL */
    uint32_t type_id; /* of this token or of all tokens of the sequence */
} pm_template_item;

typedef struct pm_post_processor {
    pm_template_item *single, *pair; /* what to put where ADD_SPECIAL is asked for, in order */
    size_t n_single, n_pair;
    int trims_spans;       /* white space at the ends of a token is not part of its span (byte-level) */
    int adds_prefix_space; /* ... except one that was added before the first */
} pm_post_processor;

/* json NULL or null: sequences alone, type ids 0 (and 1 for the second of a pair). n_tokens bounds the ids that
 * the file may name. */
pm_plugin_code pm_post_processor_create(const pm_json *json, size_t n_tokens, pm_post_processor *out,
                                        const pm_plugin_message *message);
void pm_post_processor_destroy(pm_post_processor *post);

#endif
