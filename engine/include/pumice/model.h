/* A model: what is loaded once and never changes, shared by any number of sessions.
 *
 * The boundary: a pm_model owns the open file and the weights on the device; a pm_session (session.h) owns one
 * timeline of tokens with its KV cache. Destroy sessions before their model, and the model before its device.
 */
#ifndef PUMICE_MODEL_H
#define PUMICE_MODEL_H

#include <stdint.h>

#include "pumice/device.h"
#include "pumice/gguf.h"
#include "pumice/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pm_model pm_model;

/* The description and weights of a model, on no device yet: a GGUF file, or a directory as Hugging Face keeps
 * models (config.json, and model.safetensors or shards with their index). Of a directory it is what converting to
 * GGUF would give, but for the vocabulary, which pm_tokenizer_open_file reads from the same directory. Closed with
 * pm_gguf_close. Errors: those of pm_gguf_open; PM_ERR_NOT_FOUND (a directory without config.json or weights),
 * PM_ERR_UNSUPPORTED (a model_type that pumice does not run), PM_ERR_LIMIT. */
pm_status pm_model_read(const char *path, pm_gguf **out, pm_error *err);

typedef struct pm_model_options {
    /* Called while weights go to the device, with bytes done out of total; returning nonzero cancels. May be NULL.
     */
    int (*progress)(void *user, const char *what, uint64_t done, uint64_t total);
    void *user;
    /* The session that is to follow: one whose KV cache would not fit beside the weights is refused before they
     * are loaded, with PM_ERR_LIMIT and the longest context that would. NULL: not known yet. */
    const struct pm_session_options *planned;
} pm_model_options;

/* The field's three shapes: BERT; GPT, LLaMA, GLM; the original Transformer, T5. */
typedef enum pm_model_shape {
    PM_SHAPE_DECODER_ONLY,
    PM_SHAPE_ENCODER_ONLY,
    PM_SHAPE_ENCODER_DECODER
} pm_model_shape;

typedef struct pm_model_info {
    char architecture[32]; /* "llama", "qwen3": as the file says */
    char name[128];        /* general.name; empty where the file has none */
    pm_model_shape shape;
    int32_t n_encoder_layers; /* of an encoder-decoder model, whose n_layers are the decoder's; else 0 */
    int32_t n_types;          /* encoder-only: segments that tokens can belong to; else 0 */
    int32_t start_token;      /* encoder-decoder: what the decoder starts with; else -1 */
    uint8_t has_masked_logits, has_next_sentence; /* encoder-only: heads that the file has */
    int32_t n_vocab, n_ctx_train, n_embd, n_layers, n_heads, n_kv_heads, head_dim, n_ff;
    uint64_t n_params;     /* weights, counted once where embedding and output are tied */
    uint64_t file_bytes;   /* of the tensors in the file */
    uint64_t device_bytes; /* that the weights take on the device */
} pm_model_info;

/* Opens a model as pm_model_read does and puts its weights on the device. Errors: those of pm_model_read;
 * PM_ERR_UNSUPPORTED (an architecture or feature that pumice does not run), PM_ERR_FORMAT (metadata or tensors
 * that do not fit together), PM_ERR_MEMORY, PM_ERR_DEVICE_MEMORY, PM_ERR_CANCELLED. options may be NULL. */
pm_status pm_model_open(const char *path, pm_device *device, const pm_model_options *options, pm_model **out,
                        pm_error *err);
void pm_model_close(pm_model *model); /* NULL is fine */

const pm_model_info *pm_model_get_info(const pm_model *model); /* lives as long as the model */
/* Borrowed: for the tokenizer and the chat template. Its path is that of the directory where the model is one. */
const pm_gguf *pm_model_file(const pm_model *model);
pm_device *pm_model_device(const pm_model *model);

#ifdef __cplusplus
}
#endif
#endif
