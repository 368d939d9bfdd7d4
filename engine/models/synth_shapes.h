/* What synth.c writes: the shapes, and the tensors of each architecture. */
#ifndef PUMICE_MODELS_SYNTH_SHAPES_H
#define PUMICE_MODELS_SYNTH_SHAPES_H

#include "pumice/gguf_writer.h"
#include "pumice/synth.h"

enum { SYNTH_T5_BUCKETS = 32, SYNTH_BERT_SEGMENTS = 2, SYNTH_NAME = 64 };

/* One tensor; n 0 stands for a vector of k. */
typedef struct synth_tensor {
    char name[SYNTH_NAME];
    int64_t k, n, variance_k; /* variance 1 / variance_k */
    int is_ones;              /* a norm's; all others are random */
} synth_tensor;

pm_status synth_find_shape(const char *name, const pm_synth_shape **out, pm_error *err);

/* Calls visit for each tensor of the shape, in file order, until it fails. */
typedef pm_status (*synth_visit_fn)(void *user, const synth_tensor *tensor, pm_error *err);
pm_status synth_each_tensor(const pm_synth_shape *shape, synth_visit_fn visit, void *user, pm_error *err);

/* The hyperparameters as metadata, but for general.name and the vocabulary. */
void synth_put_metadata(const pm_synth_shape *shape, pm_gguf_writer *writer);

/* Random blocks: synth_weights.c. Fills `bytes`, whole blocks of `type`, with values of mean 0 and variance 1 / k.
 */
void synth_random_blocks(pm_type type, int64_t k, uint64_t *random, unsigned char *bytes, size_t n_bytes);

#endif
