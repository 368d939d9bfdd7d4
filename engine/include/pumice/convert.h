/* Converting models: a Hugging Face directory or a GGUF file becomes a GGUF file, its matrices in another type.
 *
 * Tensors are read, converted and written piece by piece, so memory does not grow with the model beyond what
 * reading it takes; nothing stands at the output's path before the whole file is there (pumice/gguf_writer.h).
 */
#ifndef PUMICE_CONVERT_H
#define PUMICE_CONVERT_H

#include <stddef.h>
#include <stdint.h>

#include "pumice/gguf.h"
#include "pumice/gguf_writer.h"
#include "pumice/status.h"
#include "pumice/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All zero but for `type`: PM_TYPE_F32. */
typedef struct pm_convert_options {
    pm_type type;    /* of matrices; see pm_convert_type */
    int keeps_types; /* matrices stay as they are, and `type` is not looked at */
    int n_threads;   /* 0: as many as there are cores */
    /* Adds keys of the caller's to those of the model, such as the vocabulary of a directory; NULL: none. An error
     * ends the conversion. */
    pm_status (*describe)(void *describe_user, const pm_gguf *model, pm_gguf_writer *writer, pm_error *err);
    void *describe_user;
    /* Called with bytes read out of all; returning nonzero cancels and leaves no file. May be NULL. */
    int (*progress)(void *user, const char *what, uint64_t done, uint64_t total);
    void *user;
} pm_convert_options;

typedef struct pm_convert_result {
    size_t n_tensors[PM_TYPE_COUNT];    /* as written */
    uint64_t bytes_before, bytes_after; /* of all tensors */
    size_t n_requantised; /* tensors that were block-quantised already, and are now of another such type */
    size_t n_fallbacks;   /* matrices whose rows are no whole blocks of the type */
} pm_convert_result;

/* The type that a tensor gets. Matrices of weights get `type`; what the model adds or multiplies elementwise
 * (vectors, norms, positions) is F32, as other programs want it; integers stay. As is the custom of GGUF files,
 * the output matrix (the embeddings, where `is_tied` says that they are the output matrix too) is Q6_K where the
 * others are quantised to anything but Q8_0; and a matrix whose rows are no whole blocks of its type gets one of
 * smaller blocks: Q5_0 for Q4_K, Q5_1 for Q5_K, Q8_0 for Q6_K, F16 where even they do not fit. */
pm_type pm_convert_type(const pm_gguf_tensor *tensor, pm_type type, int is_tied);

/* The number that stands in general.file_type of a file whose weights are mostly of this type. */
uint32_t pm_convert_file_type(pm_type type);

/* `input` is what pm_model_read takes. Errors: those; PM_ERR_FORMAT (weights that are no numbers), PM_ERR_LIMIT
 * (weights beyond the range of the type), PM_ERR_UNSUPPORTED (one of several parts of a file), PM_ERR_IO,
 * PM_ERR_CANCELLED. `result` may be NULL. */
pm_status pm_convert(const char *input, const char *output, const pm_convert_options *options,
                     pm_convert_result *result, pm_error *err);

#ifdef __cplusplus
}
#endif
#endif
