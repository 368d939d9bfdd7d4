/* The tensors of a Hugging Face directory on their way to GGUF: see hf_import.h. */
#ifndef PUMICE_MODELS_HF_FILES_H
#define PUMICE_MODELS_HF_FILES_H

#include "models/hf_import.h"

/* What the assembled file owns. */
typedef struct pm_hf_files {
    pm_arena arena; /* names, and tensors in another form */
    pm_safetensors **shards;
    size_t n_shards;
    pm_gguf_tensor *tensors;
    size_t n_tensors, capacity;
} pm_hf_files;

void pm_hf_files_close(void *files); /* NULL is fine */

/* Opens model.safetensors, or the shards that model.safetensors.index.json lists. */
pm_status pm_hf_open_shards(pm_hf_importing *import, pm_error *err);

/* All tensors of the shards by the table of the import. */
pm_status pm_hf_take_tensors(pm_hf_importing *import, pm_error *err);

/* Reads DIRECTORY/name as JSON; PM_ERR_NOT_FOUND where there is no such file. */
pm_status pm_hf_read_json(const char *directory, const char *name, json_t **out, pm_error *err);

/* DIRECTORY/name; 0 where it is too long. */
int pm_hf_file_path(const char *directory, const char *name, char *buf, size_t size);

#endif
