/* A pm_gguf made of other files: metadata that a writer has gathered, and tensors whose data lie anywhere.
 *
 * What reads models then need not know which kind of files they came from. */
#ifndef PUMICE_FORMATS_GGUF_ASSEMBLE_H
#define PUMICE_FORMATS_GGUF_ASSEMBLE_H

#include "pumice/gguf.h"
#include "pumice/gguf_writer.h"

/* What an assembled file owns, from the moment that it is there: released with `release(owner)` when it is closed.
 */
typedef struct pm_gguf_parts {
    const pm_gguf_tensor
        *tensors; /* copied; names, dims, type, n_bytes and data belong together, names to the owner */
    size_t n_tensors;
    void (*release)(void *owner);
    void *owner;
} pm_gguf_parts;

/* `path` stands for the whole in messages. PM_ERR_FORMAT where two tensors have one name; what the writer has
 * gathered is checked as that of any file. */
pm_status pm_gguf_assemble(const char *path, pm_gguf_writer *metadata, const pm_gguf_parts *parts, pm_gguf **out,
                           pm_error *err);

#endif
