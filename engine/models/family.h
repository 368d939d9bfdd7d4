/* What a model family is: how it reads its metadata and weights, and how it builds its graph.
 *
 * A family is one file here. It holds no kernels, no device code and no loops over tokens. `load` reads the
 * hyperparameters and declares every weight (pm_def_weight checks its shape against them); `build` writes the
 * graph for one shape. The runtime does the rest.
 */
#ifndef PUMICE_MODELS_FAMILY_H
#define PUMICE_MODELS_FAMILY_H

#include "backends/backend.h"
#include "base/arena.h"
#include "graph/graph.h"
#include "ops/ops.h"
#include "pumice/gguf.h"
#include "pumice/model.h"

typedef struct pm_model_def pm_model_def;

/* What a graph does. An encoder-only model has encoding passes alone, a decoder-only model decoding passes. */
typedef enum pm_pass {
    PM_PASS_DECODE,
    PM_PASS_ENCODE,
    PM_PASS_COPY /* slots of the decoder's caches, io.positions, to others, io.slots: no family builds it */
} pm_pass;

/* What a pass ends in. */
typedef enum pm_head {
    PM_HEAD_LOGITS, /* logits over the vocabulary of the rows wanted: the next token, or the masked one */
    PM_HEAD_HIDDEN, /* hidden states of all rows after the last norm; of a decoder of the rows wanted */
    PM_HEAD_PAIR    /* BERT's next-sentence logits [2] of the rows wanted, the first of their sequences */
} pm_head;

/* How several sequences share the decoder's caches. All zero: there is one sequence, whose positions are the
 * slots. */
typedef struct pm_paging {
    int32_t page;        /* slots of a page */
    int32_t n_pages;     /* of the caches */
    int32_t pages_each;  /* most pages of a sequence */
    int32_t n_sequences; /* most of a pass */
} pm_paging;

/* One shape that a graph is built for. */
typedef struct pm_graph_shape {
    pm_pass pass;
    pm_head head;
    int32_t n_tokens;  /* the bucket: the most tokens of a pass */
    int32_t n_outputs; /* the most rows whose logits are wanted, 1 .. n_tokens */
    int32_t n_ctx;     /* slots of the KV cache; of an encoder-only model those of one pass */
    int32_t n_source;  /* encoder-decoder: slots of the source */
    int32_t n_beams;   /* encoder-decoder: how often the decoder's caches have n_ctx slots; 0 means 1 */
    pm_paging paging;  /* decoder-only: the caches' slots are those of the pages, not n_ctx */
    pm_type kv_type;   /* F16, F32 or Q8_0 */
    bool sample;       /* choose a token from each row of logits on the device; else logits are the output */
    bool layers;       /* the hidden states after each layer are outputs as well */
    int32_t n_history; /* slots of the repetition window, with sample */
} pm_graph_shape;

/* The leaves and results of a graph that the runtime reads and writes; NULL where the graph has none. */
typedef struct pm_graph_io {
    pm_tensor *tokens, *positions, *out_rows, *history, *types, *slots, *spans, *source_spans;
    pm_tensor *places, *pages, *settings; /* with paging */
    pm_tensor *result;  /* F32: logits [V, R], hidden states [C, T] or [C, R], pair [2, R]; NULL: the pass only
                           fills caches */
    pm_tensor *next;    /* I32 [R], with shape.sample */
    pm_tensor **layers; /* with shape.layers: what enters layer 0, then after each layer; in the graph's arena */
} pm_graph_io;

typedef struct pm_family {
    const char *name;
    const char *const *architectures; /* values of general.architecture, NULL-terminated */
    pm_status (*load)(pm_model_def *def, pm_error *err);
    pm_status (*build)(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io,
                       pm_error *err);
    pm_model_shape shape;
    const struct pm_hf_import *imports; /* Hugging Face's models of this family, ended by an empty one; or NULL */
} pm_family;

struct pm_model_def {
    const pm_gguf *file;
    const pm_family *family;
    pm_model_info info;
    pm_arena arena;     /* owns what follows, the family's own struct and computed tables */
    pm_weight *weights; /* slot i of the graphs */
    size_t n_weights, cap_weights;
    int32_t n_ctx_max; /* positions that the family's tables reach; longer contexts are refused */
    unsigned heads;  /* of encoders: PM_HEAD_* that the file has weights for, as bits; the family's load sets it */
    const void *own; /* the family's hyperparameters and weight slots, in the arena */
};

/* The layers that such a pass goes through. */
int32_t pm_model_def_n_layers(const pm_model_def *def, pm_pass pass);

/* Finds the family of the file's architecture and loads its description. The file must outlive it. */
pm_status pm_model_def_load(const pm_gguf *file, pm_model_def **out, pm_error *err);
void pm_model_def_free(pm_model_def *def); /* NULL is fine */

/* Whether there are graphs with this pass and head: a BERT without its pre-training heads has hidden states alone.
 */
bool pm_model_def_has(const pm_model_def *def, pm_pass pass, pm_head head);

/* The states (KV caches) that graphs of this shape use, in the order of their slots. The array is the caller's to
 * free(); it is the same for every bucket, pass and head. */
pm_status pm_model_def_states(const pm_model_def *def, const pm_graph_shape *shape, pm_state_desc **out, size_t *n,
                              pm_error *err);

/* For families --------------------------------------------------------------------------------------------------
 */

/* The metadata key "<architecture>.<suffix>" as text, in buf. */
const char *pm_def_key(const pm_model_def *def, const char *suffix, char *buf, size_t size);

/* Reads the integer <architecture>.<suffix> within [min, max]. Missing: *out is left as it is where `optional`,
 * else an error. */
pm_status pm_def_i32(const pm_model_def *def, const char *suffix, int32_t min, int32_t max, bool optional,
                     int32_t *out, pm_error *err);
/* The same for a finite float within [min, max]. */
pm_status pm_def_f32(const pm_model_def *def, const char *suffix, float min, float max, bool optional, float *out,
                     pm_error *err);

/* Sets info.n_vocab to the rows of token_embd.weight; a tokenizer with more tokens is refused. */
pm_status pm_def_vocab_size(pm_model_def *def, pm_error *err);

/* Declares the tensor `name` with these dims as a weight; *slot is its slot, or -1 where it is optional and
 * missing. */
pm_status pm_def_weight(pm_model_def *def, const char *name, int n_dims, const int64_t *dims, bool optional,
                        int32_t *slot, pm_error *err);

/* Declares rows [first_row, first_row + n_rows) of the tensor `name`, which has k values a row and `of_rows` rows
 * in all, as a weight of its own: parts of fused projections. n_dims 1 of a vector of of_rows values. Missing: as
 * above. */
typedef struct pm_def_rows {
    int n_dims; /* 2: a matrix [k, of_rows]; 1: a vector [of_rows] */
    int64_t k, first, n, of_rows;
} pm_def_rows;
pm_status pm_def_weight_rows(pm_model_def *def, const char *name, pm_def_rows rows, bool optional, int32_t *slot,
                             pm_error *err);

/* A list of weights named prefix + suffix: matrices [k, n], or vectors [k] where n is 0. */
typedef struct pm_def_wanted {
    const char *suffix;
    int64_t k, n;
    bool optional;
    int32_t *slot;
} pm_def_wanted;
pm_status pm_def_weights(pm_model_def *def, const char *prefix, const pm_def_wanted *wanted, size_t n_wanted,
                         pm_error *err);

/* Declares F32 values made by the family; data must live in the def's arena. */
pm_status pm_def_table(pm_model_def *def, const char *name, int n_dims, const int64_t *dims, const float *data,
                       int32_t *slot, pm_error *err);

/* The weight in a graph; NULL for slot -1. */
pm_tensor *pm_def_tensor(const pm_model_def *def, pm_graph *g, int32_t slot);

/* The leaves of a graph. Decoder-only: tokens, positions, out_rows, history. Encoders: tokens, positions, slots,
 * spans, and out_rows and types where the family asks for them with pm_def_types. The decoder of an
 * encoder-decoder model has slots, spans and source_spans too, as several hypotheses share its caches. */
void pm_def_inputs(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io);
pm_tensor *pm_def_types(const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io);

/* The tails: from logits to the token chosen, and any other result. */
void pm_def_outputs(const pm_graph_shape *shape, pm_graph *g, pm_tensor *logits, pm_graph_io *io);
void pm_def_result(pm_graph *g, pm_tensor *result, pm_graph_io *io);

/* To be called with what enters layer 0 (index 0) and with the output of each layer l (index l + 1). */
void pm_def_layer_output(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, int32_t index,
                         pm_tensor *x, pm_graph_io *io);

/* The graph of PM_PASS_COPY. */
pm_status pm_model_def_build_copy(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g,
                                  pm_graph_io *io, pm_error *err);

/* States: caches of the decoder's layers, of what cross-attention sees, and the keys and values of one encoder
 * layer at a time, which all its layers share. */
typedef enum pm_cache { PM_CACHE_SELF, PM_CACHE_CROSS, PM_CACHE_ENCODER } pm_cache;

/* q's heads over keys and values: [D * H, T] from q, k and v, each [D, heads, T] or flat. Stores k and v in the
 * cache first (NULL: they lie there, as those of cross-attention do) and looks at what the cache is for. bias may
 * be NULL. */
pm_tensor *pm_def_attend(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, const pm_graph_io *io,
                         pm_cache cache, int32_t layer, pm_tensor *q, pm_tensor *k, pm_tensor *v, pm_tensor *bias,
                         pm_attention_args how);
/* The store alone: what a source's keys and values are kept for. */
void pm_def_store(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, const pm_graph_io *io,
                  pm_cache cache, int32_t layer, pm_tensor *k, pm_tensor *v);

/* W x (+ b) of weight slots; b -1: none. */
pm_tensor *pm_def_linear(const pm_model_def *def, pm_graph *g, int32_t w, int32_t b, pm_tensor *x);
pm_tensor *pm_def_k_cache(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_cache cache,
                          int32_t layer);
pm_tensor *pm_def_v_cache(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_cache cache,
                          int32_t layer);

#endif
