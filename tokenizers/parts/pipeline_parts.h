/* A tokenizer as the pipeline holds it; inside of pipeline*.c only. */
#ifndef PUMICE_PARTS_PIPELINE_PARTS_H
#define PUMICE_PARTS_PIPELINE_PARTS_H

#include <stdatomic.h>

#include "parts/added_tokens.h"
#include "parts/decoder.h"
#include "parts/pipeline.h"
#include "parts/post_processor.h"
#include "parts/pre_tokenizer.h"

/* What one call needs to itself. Kept between calls. */
typedef struct pipeline_run {
    pm_normalizer_scratch normalized;
    pm_pre_tokenizer_run *pre_tokenizer;
    void *model;
    int32_t *ids; /* of the sequence at hand, where it has to be cut */
    pm_text_span *spans;
    size_t capacity, spans_capacity;
} pipeline_run;

enum { MOST_IDLE_RUNS = 64 };

/* A place in the pool, on a cache line of its own. */
typedef struct pipeline_idle {
    _Atomic(pipeline_run *) run;
    char padding[64 - sizeof(void *)];
} pipeline_idle;

typedef struct pm_pipeline {
    pm_token_table table;
    pm_added_tokens raw, normalized; /* looked for in the text as given, and after normalisation */
    pm_normalizer *normalizer;
    pm_pre_tokenizer *pre_tokenizer;
    const pm_model_kind *kind;
    void *model;
    pm_post_processor post;
    pm_decoder *decoder;
    int32_t bos, eos, unk, pad;
    uint32_t flags; /* PM_SPEC_* as the template has it */
    pipeline_idle idle[MOST_IDLE_RUNS];
} pm_pipeline;

/* A run of the pool, or a new one; it goes back with pipeline_give_back, also after a failure. */
pm_plugin_code pipeline_take_run(const pm_pipeline *p, pipeline_run **out, const pm_plugin_message *message);
void pipeline_give_back(const pm_pipeline *p, pipeline_run *run);
void pipeline_run_destroy(const pm_pipeline *p, pipeline_run *run);

/* pipeline_threads.c: a text of so many bytes in how many parts, each for a thread? 1: it stays whole. */
size_t pipeline_count_parts(const pm_pipeline *p, size_t n_bytes, size_t n_threads);
/* The tokens of such a text, which are what they are without threads. */
pm_plugin_code pipeline_encode_parts(const pm_pipeline *p, pipeline_run *run, const pm_piece *piece,
                                     size_t n_parts, pm_token_sink *sink, const pm_plugin_message *message);

/* Takes white space off the spans of one sequence's tokens (pm_post_processor.trims_spans). */
void pipeline_trim_spans(const pm_pipeline *p, const char *text, const int32_t *ids, pm_text_span *spans,
                         size_t n);

#endif
