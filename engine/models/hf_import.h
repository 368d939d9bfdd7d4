/* Hugging Face directories (config.json and safetensors) as the GGUF files that they would be converted to.
 *
 * A family reads GGUF keys and names alone; for each Hugging Face model_type that it serves it has a table of how
 * config.json and the tensors' names translate (pm_hf_import). Opening a directory gives a pm_gguf whose tensors
 * lie in the mapped safetensors files, but for those that the format wants in another form: those are made in
 * memory.
 */
#ifndef PUMICE_MODELS_HF_IMPORT_H
#define PUMICE_MODELS_HF_IMPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "formats/safetensors.h"
#include "pumice/gguf.h"
#include "pumice/gguf_writer.h"

typedef struct pm_hf_key {
    const char
        *config; /* "hidden_size"; "rope_parameters.rope_theta" lies within; of "a|b" the first that is there */
    const char *gguf;  /* what follows "<architecture>." */
    pm_gguf_type type; /* UINT32, FLOAT32 or BOOL */
    bool optional;     /* absent, or null */
} pm_hf_key;

/* What is done to a tensor on its way. */
enum {
    PM_HF_UNLESS_TIED = 1, /* left out where config.json ties it to the embeddings */
    PM_HF_ROPE_Q = 2,      /* rows of each query head: rotary halves become pairs */
    PM_HF_ROPE_K = 4,      /* rows of each key head */
    PM_HF_TRANSPOSE = 8,   /* a matrix kept as [in, out] */
    PM_HF_PLUS_ONE = 16,   /* a weight kept as what it is more than one */
    PM_HF_SKIP_ROWS = 32,  /* the first import->skip_rows rows are not used */
    PM_HF_VECTOR = 64      /* [1, n] is the vector [n] */
};

typedef struct pm_hf_tensor {
    const char *hf;   /* "model.layers.%d.mlp.up_proj.weight": %d is the layer */
    const char *gguf; /* "blk.%d.ffn_up.weight"; NULL: known, and not needed */
    unsigned how;     /* PM_HF_* */
} pm_hf_tensor;

typedef struct pm_hf_importing pm_hf_importing;

typedef struct pm_hf_import {
    const char *model_type;   /* of config.json */
    const char *architecture; /* general.architecture of the GGUF file */
    const pm_hf_key *keys;    /* ended by one without `config` */
    const pm_hf_tensor *tensors;
    pm_status (*config)(pm_hf_importing *import, pm_error *err); /* what the keys' table cannot say; may be NULL */
    const char *prefix; /* that the names of tensors may begin with: "bert."; or NULL */
} pm_hf_import;

struct pm_hf_importing {
    const char *path; /* of the directory */
    const pm_hf_import *table;
    json_t *config;
    pm_gguf_writer *metadata;
    struct pm_hf_files *files;
    int64_t n_heads, n_kv_heads; /* of config.json; 0 where it does not say */
    int64_t skip_rows;           /* for PM_HF_SKIP_ROWS; the family's config() sets it */
};

/* Opens the directory's model. Errors: PM_ERR_IO, PM_ERR_NOT_FOUND (no config.json or weights), PM_ERR_UNSUPPORTED
 * (a model_type or feature that pumice does not run), PM_ERR_FORMAT, PM_ERR_LIMIT, PM_ERR_MEMORY. */
pm_status pm_hf_open(const char *path, pm_gguf **out, pm_error *err);

/* The same for one pass over the tensors: those that are large and have to be in another form are made one at a time,
 * when they are asked for. Until then their data are NULL. Close the stream before the file. */
typedef struct pm_hf_stream pm_hf_stream;
pm_status pm_hf_open_stream(const char *path, pm_gguf **out, pm_hf_stream **stream, pm_error *err);
void pm_hf_stream_close(pm_hf_stream *stream); /* NULL is fine */

/* The data of tensor `index` of the file where they are NULL; valid until the next call. */
pm_status pm_hf_stream_read(pm_hf_stream *stream, size_t index, const void **data, pm_error *err);

/* 1 where the path is a directory. */
int pm_hf_is_directory(const char *path);

/* ---- For families ---- */

/* The value of a key as in pm_hf_key.config; NULL where it is absent or null. */
const json_t *pm_hf_config(const pm_hf_importing *import, const char *key);

/* A number within [min, max], or `otherwise` where it is absent. */
pm_status pm_hf_number(const pm_hf_importing *import, const char *key, double min, double max, double otherwise,
                       double *out, pm_error *err);

/* The GGUF key "<architecture>.<suffix>", in buf. */
const char *pm_hf_gguf_key(const pm_hf_importing *import, const char *suffix, char *buf, size_t size);

/* One more tensor: n F32 values, copied. */
pm_status pm_hf_add_f32(pm_hf_importing *import, const char *name, const float *values, int64_t n, pm_error *err);

#endif
