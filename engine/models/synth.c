/* Writing models with random weights: see pumice/synth.h. */
#include "pumice/synth.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "formats/block_types.h"
#include "pumice/gguf_writer.h"

static const pm_synth_shape shapes[] = {
    /* name, vocabulary, context, C, layers, heads, kv heads, feed-forward, tied, RoPE base */
    {"smollm2-135m", 49152, 8192, 576, 30, 9, 3, 1536, 1, 100000.0f},
    {"smollm2-360m", 49152, 8192, 960, 32, 15, 5, 2560, 1, 100000.0f},
    {"qwen2.5-0.5b", 151936, 32768, 896, 24, 14, 2, 4864, 1, 1000000.0f},
    {"tinyllama-1.1b", 32000, 2048, 2048, 22, 32, 4, 5632, 0, 10000.0f},
    {"llama-3.2-3b", 128256, 131072, 3072, 28, 24, 8, 8192, 1, 500000.0f},
    {"llama-8b", 128256, 8192, 4096, 32, 32, 8, 14336, 0, 500000.0f},
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0], BYTE_TOKENS = 259 };

const pm_synth_shape *pm_synth_shapes(size_t *n)
{
    *n = N_SHAPES;
    return shapes;
}

typedef struct synth {
    const pm_synth_shape *shape;
    pm_type type;
    uint64_t random;
    pm_gguf_writer *writer;
    float *row;
    unsigned char *packed;
    uint64_t done, total;
    int (*progress)(void *user, const char *what, uint64_t done, uint64_t total);
    void *user;
} synth;

static pm_status find_shape(const char *name, const pm_synth_shape **out, pm_error *err)
{
    char known[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < N_SHAPES; i++) {
        if (strcmp(shapes[i].name, name) == 0) {
            *out = &shapes[i];
            return PM_OK;
        }
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", shapes[i].name);
    }
    return pm_fail(err, PM_ERR_NOT_FOUND, "there is no shape '%s'; the known ones are %s", name, known);
}

/* A word list that loads anywhere: three specials, the 256 bytes, then words that no text contains. */
static pm_status write_vocabulary(synth *s, pm_error *err)
{
    size_t n = (size_t)s->shape->n_vocab, text_bytes = n * 16;
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
        words[i] = text + 16 * i;
        if (i < 3)
            snprintf(words[i], 16, "%s", specials[i]);
        else if (i < BYTE_TOKENS)
            snprintf(words[i], 16, "<0x%02X>", (unsigned)(i - 3));
        else
            snprintf(words[i], 16, "\xe2\x96\x81synth%zu", i % 1000000);
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

static void write_metadata(synth *s)
{
    const pm_synth_shape *sh = s->shape;
    pm_gguf_writer *w = s->writer;
    char name[96];
    snprintf(name, sizeof name, "synthetic %s %s", sh->name, pm_type_name(s->type));
    pm_gguf_writer_str(w, "general.architecture", "llama");
    pm_gguf_writer_str(w, "general.name", name);
    pm_gguf_writer_u32(w, "llama.context_length", (uint32_t)sh->n_ctx);
    pm_gguf_writer_u32(w, "llama.embedding_length", (uint32_t)sh->n_embd);
    pm_gguf_writer_u32(w, "llama.block_count", (uint32_t)sh->n_layers);
    pm_gguf_writer_u32(w, "llama.feed_forward_length", (uint32_t)sh->n_ff);
    pm_gguf_writer_u32(w, "llama.attention.head_count", (uint32_t)sh->n_heads);
    pm_gguf_writer_u32(w, "llama.attention.head_count_kv", (uint32_t)sh->n_kv_heads);
    pm_gguf_writer_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    pm_gguf_writer_u32(w, "llama.rope.dimension_count", (uint32_t)(sh->n_embd / sh->n_heads));
    pm_gguf_writer_f32(w, "llama.rope.freq_base", sh->rope_base);
    pm_gguf_writer_u32(w, "llama.vocab_size", (uint32_t)sh->n_vocab);
}

/* Calls visit for every tensor, in file order; n 0 stands for a vector of k. */
typedef pm_status (*visit_fn)(synth *s, const char *name, int64_t k, int64_t n, pm_error *err);

static pm_status each_tensor(synth *s, visit_fn visit, pm_error *err)
{
    const pm_synth_shape *sh = s->shape;
    const int64_t c = sh->n_embd, kv = c / sh->n_heads * sh->n_kv_heads, ff = sh->n_ff;
    const struct {
        const char *suffix;
        int64_t k, n;
    } layer[] = {{"attn_norm", c, 0}, {"attn_q", c, c},    {"attn_k", c, kv},    {"attn_v", c, kv},   {"attn_output", c, c},
                 {"ffn_norm", c, 0},  {"ffn_gate", c, ff}, {"ffn_up", c, ff},    {"ffn_down", ff, c}};
    PM_TRY(visit(s, "token_embd.weight", c, sh->n_vocab, err));
    for (int32_t l = 0; l < sh->n_layers; l++)
        for (size_t i = 0; i < sizeof layer / sizeof layer[0]; i++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s.weight", l, layer[i].suffix);
            PM_TRY(visit(s, name, layer[i].k, layer[i].n, err));
        }
    PM_TRY(visit(s, "output_norm.weight", c, 0, err));
    return sh->tied ? PM_OK : visit(s, "output.weight", c, sh->n_vocab, err);
}

static pm_type matrix_type(const synth *s, int64_t k)
{
    return pm_type_row_bytes(s->type, k) == SIZE_MAX ? PM_TYPE_Q8_0 : s->type;
}

static pm_status declare_tensor(synth *s, const char *name, int64_t k, int64_t n, pm_error *err)
{
    (void)err;
    const int64_t dims[2] = {k, n};
    pm_type type = n ? matrix_type(s, k) : PM_TYPE_F32;
    pm_gguf_writer_tensor(s->writer, name, type, n ? 2 : 1, dims);
    s->total += pm_type_row_bytes(type, k) * (uint64_t)(n ? n : 1);
    return PM_OK;
}

/* xorshift64*: Vigna 2016, arXiv:1402.6246. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1Dull;
}

static pm_status write_tensor(synth *s, const char *name, int64_t k, int64_t n, pm_error *err)
{
    pm_type type = n ? matrix_type(s, k) : PM_TYPE_F32;
    size_t bytes = pm_type_row_bytes(type, k);
    float range = sqrtf(3.0f / (float)k); /* variance 1/k */
    for (int64_t row = 0; row < (n ? n : 1); row++) {
        for (int64_t i = 0; i < k; i += 2) {
            uint64_t bits = next_random(&s->random);
            s->row[i] = n ? ((float)(int32_t)(bits >> 32) * 0x1p-31f) * range : 1.0f;
            if (i + 1 < k)
                s->row[i + 1] = n ? ((float)(int32_t)bits * 0x1p-31f) * range : 1.0f;
        }
        pm_quantize_row(type, s->row, s->packed, k);
        PM_TRY(pm_gguf_writer_data(s->writer, s->packed, bytes, err));
        s->done += bytes;
        if (s->progress && (row & 255) == 255 && s->progress(s->user, name, s->done, s->total))
            return pm_fail(err, PM_ERR_CANCELLED, "writing the synthetic model was cancelled");
    }
    return PM_OK;
}

static pm_status synth_write(synth *s, pm_error *err)
{
    write_metadata(s);
    PM_TRY(write_vocabulary(s, err));
    PM_TRY(each_tensor(s, declare_tensor, err));
    size_t most = (size_t)(s->shape->n_ff > s->shape->n_embd ? s->shape->n_ff : s->shape->n_embd);
    s->row = malloc(most * sizeof *s->row);
    s->packed = malloc(most * sizeof *s->row);
    if (!s->row || !s->packed)
        return pm_fail_memory(err, most * sizeof *s->row, "a row of weights");
    PM_TRY(pm_gguf_writer_begin_data(s->writer, err));
    return each_tensor(s, write_tensor, err);
}

pm_status pm_synth_write(const char *shape, pm_type type, uint64_t seed, const char *path,
                         int (*progress)(void *user, const char *what, uint64_t done, uint64_t total), void *user,
                         pm_error *err)
{
    synth s = {.type = type, .random = seed ^ 0x9E3779B97F4A7C15ull, .progress = progress, .user = user};
    if (s.random == 0)
        s.random = 1; /* the generator's only fixed point is 0 */
    if (!pm_type_get(type) || type == PM_TYPE_I32)
        return pm_fail(err, PM_ERR_ARGUMENT, "weights cannot be of type %s", pm_type_name(type));
    PM_TRY(find_shape(shape, &s.shape, err));
    PM_TRY(pm_gguf_writer_create(path, &s.writer, err));
    pm_status status = synth_write(&s, err);
    free(s.row);
    free(s.packed);
    if (status == PM_OK)
        return pm_gguf_writer_finish(s.writer, err);
    pm_gguf_writer_destroy(s.writer);
    return status;
}
