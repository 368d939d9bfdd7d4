/* Writing models with random weights: see pumice/synth.h. Shapes are in synth_shapes.c, random blocks in
 * synth_weights.c; weights go to the file a stretch of blocks at a time. */
#include "pumice/synth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "models/synth_shapes.h"
#include "pumice/convert.h"

enum { BYTE_TOKENS = 259, WORD_BYTES = 16, CHUNK_BYTES = 1 << 20 };

typedef struct synth {
    const pm_synth_shape *shape;
    pm_type type;
    uint64_t random;
    pm_gguf_writer *writer;
    unsigned char *chunk;
    uint64_t done, total;
    int (*progress)(void *user, const char *what, uint64_t done, uint64_t total);
    void *user;
} synth;

/* A word list that loads anywhere: three specials, the 256 bytes, then words that no text contains. */
static pm_status put_vocabulary(synth *s, pm_error *err)
{
    size_t n = (size_t)s->shape->n_vocab, text_bytes = n * WORD_BYTES;
    char *text = malloc(text_bytes), **words = malloc(n * sizeof *words);
    float *scores = malloc(n * sizeof *scores);
    int32_t *types = malloc(n * sizeof *types);
    if (!text || !words || !scores || !types) {
        free(text);
        free(words);
        free(scores);
        free(types);
        return pm_fail_memory(err, text_bytes, "a vocabulary");
    }
    static const char *const specials[3] = {"<unk>", "<s>", "</s>"};
    for (size_t i = 0; i < n; i++) {
        words[i] = text + WORD_BYTES * i;
        if (i < 3)
            snprintf(words[i], WORD_BYTES, "%s", specials[i]);
        else if (i < BYTE_TOKENS)
            snprintf(words[i], WORD_BYTES, "<0x%02X>", (unsigned)(i - 3));
        else
            snprintf(words[i], WORD_BYTES, "\xe2\x96\x81synth%zu", i % 1000000);
        scores[i] = i < BYTE_TOKENS ? 0.0f : -(float)i;
        types[i] = i == 0 ? 2 : i < 3 ? 3 : i < BYTE_TOKENS ? 6 : 1; /* unknown, control, byte, normal */
    }
    pm_gguf_writer_str(s->writer, "tokenizer.ggml.model", "llama");
    pm_gguf_writer_str_array(s->writer, "tokenizer.ggml.tokens", (const char *const *)words, n);
    pm_gguf_writer_f32_array(s->writer, "tokenizer.ggml.scores", scores, n);
    pm_gguf_writer_i32_array(s->writer, "tokenizer.ggml.token_type", types, n);
    pm_gguf_writer_u32(s->writer, "tokenizer.ggml.bos_token_id", 1);
    pm_gguf_writer_u32(s->writer, "tokenizer.ggml.eos_token_id", 2);
    pm_gguf_writer_u32(s->writer, "tokenizer.ggml.unknown_token_id", 0);
    free(text);
    free(words);
    free(scores);
    free(types);
    return PM_OK;
}

static pm_type type_of(const synth *s, const synth_tensor *tensor)
{
    const pm_gguf_tensor like = {.name = {tensor->name, strlen(tensor->name)},
                                 .type = PM_TYPE_F32,
                                 .n_dims = tensor->n ? 2 : 1,
                                 .dim = {tensor->k, tensor->n ? tensor->n : 1, 1, 1}};
    return pm_convert_type(&like, s->type, s->shape->tied);
}

static uint64_t bytes_of(pm_type type, const synth_tensor *tensor)
{
    return pm_type_row_bytes(type, tensor->k) * (uint64_t)(tensor->n ? tensor->n : 1);
}

static pm_status count_tensor(void *user, const synth_tensor *tensor, pm_error *err)
{
    synth *s = user;
    (void)err;
    s->total += bytes_of(type_of(s, tensor), tensor);
    return PM_OK;
}

static pm_status declare_tensor(void *user, const synth_tensor *tensor, pm_error *err)
{
    synth *s = user;
    const int64_t dims[2] = {tensor->k, tensor->n};
    pm_gguf_writer_tensor(s->writer, tensor->name, type_of(s, tensor), tensor->n ? 2 : 1, dims);
    return count_tensor(user, tensor, err);
}

static pm_status write_tensor(void *user, const synth_tensor *tensor, pm_error *err)
{
    synth *s = user;
    pm_type type = type_of(s, tensor);
    size_t block = pm_type_get(type)->block_bytes;
    for (uint64_t left = bytes_of(type, tensor); left > 0;) {
        size_t most = CHUNK_BYTES / block * block, n = left < most ? (size_t)left : most;
        if (tensor->is_ones)
            for (size_t i = 0; i < n; i += sizeof(float))
                memcpy(s->chunk + i, &(const float){1.0f}, sizeof(float));
        else
            synth_random_blocks(type, tensor->variance_k, &s->random, s->chunk, n);
        PM_TRY(pm_gguf_writer_data(s->writer, s->chunk, n, err));
        s->done += n;
        left -= n;
        if (s->progress && s->progress(s->user, "writing random weights", s->done, s->total))
            return pm_fail(err, PM_ERR_CANCELLED, "writing the synthetic model was cancelled");
    }
    return PM_OK;
}

static pm_status synth_write(synth *s, pm_error *err)
{
    char name[96];
    snprintf(name, sizeof name, "synthetic %s %s", s->shape->name, pm_type_name(s->type));
    pm_gguf_writer_str(s->writer, "general.name", name);
    pm_gguf_writer_u32(s->writer, "general.file_type", pm_convert_file_type(s->type));
    pm_gguf_writer_u32(s->writer, "general.quantization_version", 2); /* of the blocks' layouts, since 2023 */
    synth_put_metadata(s->shape, s->writer);
    PM_TRY(put_vocabulary(s, err));
    PM_TRY(synth_each_tensor(s->shape, declare_tensor, s, err));
    PM_TRY(pm_gguf_writer_begin_data(s->writer, err));
    return synth_each_tensor(s->shape, write_tensor, s, err);
}

static pm_status begin(synth *s, const char *shape, pm_type type, pm_error *err)
{
    *s = (synth){.type = type};
    if (!pm_type_get(type) || type == PM_TYPE_I32)
        return pm_fail(err, PM_ERR_ARGUMENT, "weights cannot be of type %s", pm_type_name(type));
    return synth_find_shape(shape, &s->shape, err);
}

pm_status pm_synth_size(const char *shape, pm_type type, uint64_t *bytes, pm_error *err)
{
    synth s;
    PM_TRY(begin(&s, shape, type, err));
    PM_TRY(synth_each_tensor(s.shape, count_tensor, &s, err));
    *bytes = s.total;
    return PM_OK;
}

pm_status pm_synth_write(const char *shape, pm_type type, uint64_t seed, const char *path,
                         int (*progress)(void *user, const char *what, uint64_t done, uint64_t total), void *user,
                         pm_error *err)
{
    synth s;
    PM_TRY(begin(&s, shape, type, err));
    s.progress = progress;
    s.user = user;
    s.random = seed ^ 0x9E3779B97F4A7C15ull;
    if (s.random == 0)
        s.random = 1; /* the generator's only fixed point is 0 */
    PM_TRY(pm_gguf_writer_create(path, &s.writer, err));
    s.chunk = malloc(CHUNK_BYTES);
    pm_status status = s.chunk ? synth_write(&s, err) : pm_fail_memory(err, CHUNK_BYTES, "random weights");
    free(s.chunk);
    if (status == PM_OK)
        return pm_gguf_writer_finish(s.writer, err);
    pm_gguf_writer_destroy(s.writer);
    return status;
}
