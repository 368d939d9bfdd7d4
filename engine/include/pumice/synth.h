/* Synthetic models: the shapes of well-known models with random weights, for benchmarks that need no download. */
#ifndef PUMICE_SYNTH_H
#define PUMICE_SYNTH_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/status.h"
#include "pumice/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pm_synth_shape {
    const char *name; /* "smollm2-135m" */
    int32_t n_vocab, n_ctx, n_embd, n_layers, n_heads, n_kv_heads, n_ff;
    uint8_t tied; /* the embedding table is also the output matrix */
    float rope_base;
} pm_synth_shape;

/* The known shapes; *n is set to how many. Static storage. */
const pm_synth_shape *pm_synth_shapes(size_t *n);

/* Writes a LLaMA-family GGUF of the named shape with weights of `type`: uniform random values whose variance keeps
 * activations of the order of 1, the same for the same seed. Matrices whose rows are no whole blocks of the type are
 * Q8_0 instead. The file carries a byte vocabulary padded with made-up words, so that other engines load it too.
 * progress (may be NULL) gets bytes done and total; returning nonzero cancels and leaves no file.
 * Errors: PM_ERR_NOT_FOUND (no such shape; the message lists them), PM_ERR_IO, PM_ERR_MEMORY, PM_ERR_CANCELLED. */
pm_status pm_synth_write(const char *shape, pm_type type, uint64_t seed, const char *path,
                         int (*progress)(void *user, const char *what, uint64_t done, uint64_t total), void *user,
                         pm_error *err);

#ifdef __cplusplus
}
#endif
#endif
