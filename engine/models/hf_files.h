/* The tensors of a Hugging Face directory on their way to GGUF: see hf_import.h. */
#ifndef PUMICE_MODELS_HF_FILES_H
#define PUMICE_MODELS_HF_FILES_H

#include "models/hf_import.h"

/* What the assembled file owns. */
typedef struct pm_hf_files {
    pm_arena arena; /* names, and tensors in another form */
    bool is_stream; /* large tensors in another form are made when they are asked for, one at a time ... */
    pm_arena one;   /* ... here */
    pm_safetensors **shards;
    size_t n_shards;
    pm_gguf_tensor *tensors;
    const pm_safetensor **sources; /* of the tensors that are made so; NULL for the others */
    size_t n_tensors, capacity;
} pm_hf_files;

void pm_hf_files_close(void *files); /* NULL is fine */

/* Opens model.safetensors, or the shards that model.safetensors.index.json lists. */
pm_status pm_hf_open_shards(pm_hf_importing *import, pm_error *err);

/* All tensors of the shards by the table of the import. */
pm_status pm_hf_take_tensors(pm_hf_importing *import, pm_error *err);

/* Makes tensor `index` of a stream anew: its data until the next one is made. */
pm_status pm_hf_make_tensor(pm_hf_importing *import, size_t index, const void **data, pm_error *err);

/* Reads DIRECTORY/name as JSON; PM_ERR_NOT_FOUND where there is no such file. */
pm_status pm_hf_read_json(const char *directory, const char *name, json_t **out, pm_error *err);

/* DIRECTORY/name; 0 where it is too long. */
int pm_hf_file_path(const char *directory, const char *name, char *buf, size_t size);

#endif
