/* What a model (BPE, Unigram, WordPiece, WordLevel) is to the pipeline: a function from a piece of text to tokens.
 *
 * A plugin is a pm_model_kind plus the shared pipeline (pipeline.h). A model is immutable; what changes during a
 * call (scratch memory, bounded caches) lives in its scratch, one a thread, which outlives calls.
 */
#ifndef PUMICE_PARTS_TOKEN_MODEL_H
#define PUMICE_PARTS_TOKEN_MODEL_H

#include "parts/json_tree.h"
#include "parts/piece.h"
#include "parts/token_table.h"

/* Where a model writes its tokens. */
typedef struct pm_token_sink {
    int32_t *ids;
    pm_text_span *spans; /* NULL: not wanted */
    size_t n;            /* tokens so far, also those beyond the capacity */
    size_t capacity;
    const pm_piece *piece; /* at hand; spans are mapped through it */
    size_t n_unknown_bytes;
} pm_token_sink;

/* One token, which stands for the bytes [begin, end) of the piece at hand. */
static inline void pm_token_emit(pm_token_sink *sink, int32_t id, size_t begin, size_t end)
{
    if (sink->n < sink->capacity) {
        sink->ids[sink->n] = id;
        if (sink->spans)
            sink->spans[sink->n] = pm_piece_span(sink->piece, begin, end);
    }
    sink->n++;
}

/* What a model is made from. Everything is borrowed for the call but `table`, which outlives the model. */
typedef struct pm_model_source {
    const pm_tokenizer_spec *spec; /* entries, merges, special ids */
    const pm_json *options;        /* the "model" of tokenizer.json without vocab and merges; may be NULL */
    const pm_token_table *table;   /* entries copied and checked */
    int is_bytes;                  /* pieces are bytes and so are the table's tokens; else UTF-8 */
} pm_model_source;

typedef struct pm_model_kind {
    const char *name; /* as tokenizer.json's model.type: "BPE", "Unigram", "WordPiece", "WordLevel" */
    pm_plugin_code (*create)(const pm_model_source *source, void **model, const pm_plugin_message *message);
    void (*destroy)(void *model); /* NULL is fine */
    pm_plugin_code (*scratch_create)(const void *model, void **scratch, const pm_plugin_message *message);
    void (*scratch_destroy)(void *scratch); /* NULL is fine */

    /* Appends the tokens of sink->piece, which is not empty. */
    pm_plugin_code (*encode)(const void *model, void *scratch, pm_token_sink *sink,
                             const pm_plugin_message *message);
    /* Optional: of all these pieces, so that the model may look ahead. Sets sink->piece itself. */
    pm_plugin_code (*encode_many)(const void *model, void *scratch, const pm_pieces *pieces, pm_token_sink *sink,
                                  const pm_plugin_message *message);
} pm_model_kind;

#endif
