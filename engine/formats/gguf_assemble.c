/* Making a pm_gguf of other files: see gguf_assemble.h. */
#include "formats/gguf_assemble.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "formats/gguf_internal.h"

/* The header lies in memory of its own, beside what the caller gives. */
typedef struct assembled_owner {
    void *header;
    pm_gguf_parts parts;
} assembled_owner;

static void release_assembled(void *pointer)
{
    assembled_owner *owner = pointer;
    if (owner->parts.release)
        owner->parts.release(owner->parts.owner);
    free(owner->header);
    free(owner);
}

static int by_name(const void *a, const void *b)
{
    return pm_gguf_compare((*(const pm_gguf_tensor *const *)a)->name, (*(const pm_gguf_tensor *const *)b)->name);
}

static pm_status add_tensors(pm_gguf *file, const pm_gguf_parts *parts, pm_error *err)
{
    size_t n = parts->n_tensors;
    file->tensors = calloc(n + 1, sizeof *file->tensors);
    file->tensors_by_name = calloc(n + 1, sizeof *file->tensors_by_name);
    if (!file->tensors || !file->tensors_by_name)
        return pm_fail_memory(err, n * sizeof *file->tensors, "the list of tensors");
    for (size_t i = 0; i < n; i++) {
        file->tensors[i] = parts->tensors[i];
        file->tensors_by_name[i] = &file->tensors[i];
    }
    file->n_tensors = n;
    qsort(file->tensors_by_name, n, sizeof *file->tensors_by_name, by_name);
    for (size_t i = 1; i < n; i++)
        if (pm_gguf_compare(file->tensors_by_name[i - 1]->name, file->tensors_by_name[i]->name) == 0) {
            char text[96];
            pm_str name = file->tensors_by_name[i]->name;
            return pm_fail(err, PM_ERR_FORMAT, "%s: two tensors become %s", file->path,
                           pm_quote(name.data, name.size, text, sizeof text));
        }
    return PM_OK;
}

pm_status pm_gguf_assemble(const char *path, pm_gguf_writer *metadata, const pm_gguf_parts *parts, pm_gguf **out,
                           pm_error *err)
{
    void *header = NULL;
    size_t size;
    pm_gguf *file = NULL;
    *out = NULL;
    PM_TRY(pm_gguf_writer_header(metadata, &header, &size, err));
    assembled_owner *owner = calloc(1, sizeof *owner);
    pm_status status = owner ? PM_OK : pm_fail_memory(err, sizeof *owner, "a model's description");
    if (status == PM_OK)
        status = pm_gguf_open_memory(header, size, path, &file, err);
    if (status == PM_OK)
        status = add_tensors(file, parts, err);
    if (status != PM_OK) {
        pm_gguf_close(file);
        free(owner);
        free(header);
        return status;
    }
    *owner = (assembled_owner){header, *parts};
    file->release = release_assembled;
    file->owner = owner;
    *out = file;
    return PM_OK;
}
