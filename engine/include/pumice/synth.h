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
    const char *name;         /* "smollm2-135m" */
    const char *architecture; /* as in GGUF's general.architecture: "llama", "bert", "t5" ... */
    int32_t n_vocab, n_ctx, n_embd, n_layers, n_heads, n_kv_heads, head_dim, n_ff;
    uint8_t tied; /* the embedding table is also the output matrix */
    float rope_base;
} pm_synth_shape;

/* The known shapes; *n is set to how many. Static storage. */
const pm_synth_shape *pm_synth_shapes(size_t *n);

/* Writes a GGUF file of the named shape. Its matrices are random blocks of `type` (no quantising happens, so writing is
 * as fast as the disk) whose values have mean 0 and variance 1 / row length, which keeps activations of the order of 1;
 * norms are 1, biases small, position and segment tables F32. Matrices whose rows are no whole blocks of the type get the
 * type that pm_convert would give them. The same seed gives the same file. It carries a byte vocabulary padded with
 * made-up words, so that other engines load it too. A path /dev/fd/N is written in place (pumice/gguf_writer.h).
 * progress (may be NULL) gets bytes done and total; returning nonzero cancels and leaves no file.
 * Errors: PM_ERR_NOT_FOUND (no such shape; the message lists them), PM_ERR_IO, PM_ERR_MEMORY, PM_ERR_CANCELLED. */
pm_status pm_synth_write(const char *shape, pm_type type, uint64_t seed, const char *path,
                         int (*progress)(void *user, const char *what, uint64_t done, uint64_t total), void *user,
                         pm_error *err);

/* The bytes that such a file has, but for its header (a few megabytes at most). The same errors. */
pm_status pm_synth_size(const char *shape, pm_type type, uint64_t *bytes, pm_error *err);

#ifdef __cplusplus
}
#endif
#endif
