/* The shapes that synth.c knows, and the tensors and metadata of each architecture, as the GGUF specification and
 * the families beside this file name them. A new shape is a row; a new architecture a list of tensors and its
 * metadata. */
#include "models/synth_shapes.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

static const pm_synth_shape shapes[] = {
    /* name, architecture, vocabulary, context, C, layers, heads, kv heads, head size, feed-forward, tied, RoPE
       base */
    {"smollm2-135m", "llama", 49152, 8192, 576, 30, 9, 3, 64, 1536, 1, 100000.0f},
    {"smollm2-360m", "llama", 49152, 8192, 960, 32, 15, 5, 64, 2560, 1, 100000.0f},
    {"tinyllama-1.1b", "llama", 32000, 2048, 2048, 22, 32, 4, 64, 5632, 0, 10000.0f},
    {"llama-1b", "llama", 128256, 131072, 2048, 16, 32, 8, 64, 8192, 1, 500000.0f},
    {"llama-3b", "llama", 128256, 131072, 3072, 28, 24, 8, 128, 8192, 1, 500000.0f},
    {"llama-8b", "llama", 128256, 8192, 4096, 32, 32, 8, 128, 14336, 0, 500000.0f},
    {"qwen2.5-0.5b", "qwen2", 151936, 32768, 896, 24, 14, 2, 64, 4864, 1, 1000000.0f},
    {"qwen2.5-1.5b", "qwen2", 151936, 32768, 1536, 28, 12, 2, 128, 8960, 1, 1000000.0f},
    {"qwen3-0.6b", "qwen3", 151936, 40960, 1024, 28, 16, 8, 128, 3072, 1, 1000000.0f},
    {"qwen3-4b", "qwen3", 151936, 40960, 2560, 36, 32, 8, 128, 9728, 1, 1000000.0f},
    {"gpt2", "gpt2", 50257, 1024, 768, 12, 12, 12, 64, 3072, 1, 0},
    {"gpt2-xl", "gpt2", 50257, 1024, 1600, 48, 25, 25, 64, 6400, 1, 0},
    {"minilm-l6", "bert", 30522, 512, 384, 6, 12, 12, 32, 1536, 1, 0},
    {"bert-base", "bert", 30522, 512, 768, 12, 12, 12, 64, 3072, 1, 0},
    {"bert-large", "bert", 30522, 512, 1024, 24, 16, 16, 64, 4096, 1, 0},
    {"t5-small", "t5", 32128, 512, 512, 6, 8, 8, 64, 2048, 1, 0},
    {"t5-base", "t5", 32128, 512, 768, 12, 12, 12, 64, 3072, 1, 0},
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

const pm_synth_shape *pm_synth_shapes(size_t *n)
{
    *n = N_SHAPES;
    return shapes;
}

pm_status synth_find_shape(const char *name, const pm_synth_shape **out, pm_error *err)
{
    char known[384] = "";
    size_t used = 0;
    for (size_t i = 0; i < N_SHAPES; i++) {
        if (strcmp(shapes[i].name, name) == 0) {
            *out = &shapes[i];
            return PM_OK;
        }
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", shapes[i].name);
    }
    return pm_fail(err, PM_ERR_NOT_FOUND, "there is no shape '%.64s'; the known ones are %s", name, known);
}

/* ---- Tensors ---- */

/* T5 does not scale its scores: training starts with queries that are smaller instead, by the root of a head. */
typedef enum fill { RANDOM, ONES, QUERY } fill;
typedef enum size_of { NONE, C, Q, KV, FF, D, C3, VOCAB, CTX, SEGMENTS, HEADS, BUCKETS } size_of;

static int64_t size_in(const pm_synth_shape *sh, size_of what)
{
    switch (what) {
    case C:
        return sh->n_embd;
    case Q:
        return (int64_t)sh->head_dim * sh->n_heads;
    case KV:
        return (int64_t)sh->head_dim * sh->n_kv_heads;
    case FF:
        return sh->n_ff;
    case D:
        return sh->head_dim;
    case C3:
        return (int64_t)3 * sh->n_embd;
    case VOCAB:
        return sh->n_vocab;
    case CTX:
        return sh->n_ctx;
    case SEGMENTS:
        return SYNTH_BERT_SEGMENTS;
    case HEADS:
        return sh->n_heads;
    case BUCKETS:
        return SYNTH_T5_BUCKETS;
    default:
        return 0;
    }
}

typedef struct row {
    const char *name; /* with %d: once a layer */
    size_of k, n;
    fill fill;
} row;

/* Rows that belong together: those of a layer, or those outside. */
typedef struct section {
    const row *rows;
    size_t n_rows;
    int is_layer;
} section;

#define SECTION(rows, is_layer)                                                                                   \
    {                                                                                                             \
        rows, sizeof rows / sizeof rows[0], is_layer                                                              \
    }

static const row embedding[] = {{"token_embd.weight", C, VOCAB, RANDOM}};
static const row rms_tail[] = {{"output_norm.weight", C, NONE, ONES}, {"output.weight", C, VOCAB, RANDOM}};

#define LLAMA_ROWS                                                                                                \
    {"blk.%d.attn_norm.weight", C, NONE, ONES}, {"blk.%d.attn_q.weight", C, Q, RANDOM},                           \
        {"blk.%d.attn_k.weight", C, KV, RANDOM}, {"blk.%d.attn_v.weight", C, KV, RANDOM},                         \
        {"blk.%d.attn_output.weight", Q, C, RANDOM}, {"blk.%d.ffn_norm.weight", C, NONE, ONES},                   \
        {"blk.%d.ffn_gate.weight", C, FF, RANDOM}, {"blk.%d.ffn_up.weight", C, FF, RANDOM},                       \
    {                                                                                                             \
        "blk.%d.ffn_down.weight", FF, C, RANDOM                                                                   \
    }

static const row llama_layer[] = {LLAMA_ROWS};
static const row qwen2_layer[] = {LLAMA_ROWS,
                                  {"blk.%d.attn_q.bias", Q, NONE, RANDOM},
                                  {"blk.%d.attn_k.bias", KV, NONE, RANDOM},
                                  {"blk.%d.attn_v.bias", KV, NONE, RANDOM}};
static const row qwen3_layer[] = {
    LLAMA_ROWS, {"blk.%d.attn_q_norm.weight", D, NONE, ONES}, {"blk.%d.attn_k_norm.weight", D, NONE, ONES}};

static const row gpt2_head[] = {{"token_embd.weight", C, VOCAB, RANDOM}, {"position_embd.weight", C, CTX, RANDOM}};
static const row gpt2_layer[] = {
    {"blk.%d.attn_norm.weight", C, NONE, ONES},  {"blk.%d.attn_norm.bias", C, NONE, RANDOM},
    {"blk.%d.attn_qkv.weight", C, C3, RANDOM},   {"blk.%d.attn_qkv.bias", C3, NONE, RANDOM},
    {"blk.%d.attn_output.weight", C, C, RANDOM}, {"blk.%d.attn_output.bias", C, NONE, RANDOM},
    {"blk.%d.ffn_norm.weight", C, NONE, ONES},   {"blk.%d.ffn_norm.bias", C, NONE, RANDOM},
    {"blk.%d.ffn_up.weight", C, FF, RANDOM},     {"blk.%d.ffn_up.bias", FF, NONE, RANDOM},
    {"blk.%d.ffn_down.weight", FF, C, RANDOM},   {"blk.%d.ffn_down.bias", C, NONE, RANDOM},
};
static const row gpt2_tail[] = {{"output_norm.weight", C, NONE, ONES},
                                {"output_norm.bias", C, NONE, RANDOM},
                                {"output.weight", C, VOCAB, RANDOM}};

static const row bert_head[] = {{"token_embd.weight", C, VOCAB, RANDOM},
                                {"token_types.weight", C, SEGMENTS, RANDOM},
                                {"position_embd.weight", C, CTX, RANDOM},
                                {"token_embd_norm.weight", C, NONE, ONES},
                                {"token_embd_norm.bias", C, NONE, RANDOM}};
static const row bert_layer[] = {
    {"blk.%d.attn_q.weight", C, C, RANDOM},
    {"blk.%d.attn_q.bias", C, NONE, RANDOM},
    {"blk.%d.attn_k.weight", C, C, RANDOM},
    {"blk.%d.attn_k.bias", C, NONE, RANDOM},
    {"blk.%d.attn_v.weight", C, C, RANDOM},
    {"blk.%d.attn_v.bias", C, NONE, RANDOM},
    {"blk.%d.attn_output.weight", C, C, RANDOM},
    {"blk.%d.attn_output.bias", C, NONE, RANDOM},
    {"blk.%d.attn_output_norm.weight", C, NONE, ONES},
    {"blk.%d.attn_output_norm.bias", C, NONE, RANDOM},
    {"blk.%d.ffn_up.weight", C, FF, RANDOM},
    {"blk.%d.ffn_up.bias", FF, NONE, RANDOM},
    {"blk.%d.ffn_down.weight", FF, C, RANDOM},
    {"blk.%d.ffn_down.bias", C, NONE, RANDOM},
    {"blk.%d.layer_output_norm.weight", C, NONE, ONES},
    {"blk.%d.layer_output_norm.bias", C, NONE, RANDOM},
};

#define T5_ATTENTION(at)                                                                                          \
    {at "_norm.weight", C, NONE, ONES}, {at "_q.weight", C, Q, QUERY}, {at "_k.weight", C, Q, RANDOM},            \
        {at "_v.weight", C, Q, RANDOM},                                                                           \
    {                                                                                                             \
        at "_o.weight", Q, C, RANDOM                                                                              \
    }
#define T5_FEED_FORWARD(at)                                                                                       \
    {at "ffn_norm.weight", C, NONE, ONES}, {at "ffn_up.weight", C, FF, RANDOM},                                   \
    {                                                                                                             \
        at "ffn_down.weight", FF, C, RANDOM                                                                       \
    }
static const row t5_encoder[] = {T5_ATTENTION("enc.blk.%d.attn"), T5_FEED_FORWARD("enc.blk.%d.")};
static const row t5_decoder[] = {T5_ATTENTION("dec.blk.%d.attn"), T5_ATTENTION("dec.blk.%d.cross_attn"),
                                 T5_FEED_FORWARD("dec.blk.%d.")};
static const row t5_tail[] = {{"enc.blk.0.attn_rel_b.weight", HEADS, BUCKETS, RANDOM},
                              {"dec.blk.0.attn_rel_b.weight", HEADS, BUCKETS, RANDOM},
                              {"enc.output_norm.weight", C, NONE, ONES},
                              {"dec.output_norm.weight", C, NONE, ONES},
                              {"output.weight", C, VOCAB, RANDOM}};

static const struct architecture {
    const char *name;
    section sections[4];
} architectures[] = {
    {"llama", {SECTION(embedding, 0), SECTION(llama_layer, 1), SECTION(rms_tail, 0)}},
    {"qwen2", {SECTION(embedding, 0), SECTION(qwen2_layer, 1), SECTION(rms_tail, 0)}},
    {"qwen3", {SECTION(embedding, 0), SECTION(qwen3_layer, 1), SECTION(rms_tail, 0)}},
    {"gpt2", {SECTION(gpt2_head, 0), SECTION(gpt2_layer, 1), SECTION(gpt2_tail, 0)}},
    {"bert", {SECTION(bert_head, 0), SECTION(bert_layer, 1)}},
    {"t5", {SECTION(embedding, 0), SECTION(t5_encoder, 1), SECTION(t5_decoder, 1), SECTION(t5_tail, 0)}},
};

/* A name with %d in it is that of layer l: the one kind of format that the tables above hold. */
static void make_name(const char *pattern, int32_t l, char name[SYNTH_NAME])
{
    const char *at = strstr(pattern, "%d");
    if (at)
        snprintf(name, SYNTH_NAME, "%.*s%d%s", (int)(at - pattern), pattern, l, at + 2);
    else
        snprintf(name, SYNTH_NAME, "%s", pattern);
}

static pm_status visit_section(const pm_synth_shape *shape, const section *s, int32_t l, synth_visit_fn visit,
                               void *user, pm_error *err)
{
    for (size_t i = 0; i < s->n_rows; i++) {
        const row *r = &s->rows[i];
        if (shape->tied && strcmp(r->name, "output.weight") == 0)
            continue;
        synth_tensor tensor = {.k = size_in(shape, r->k),
                               .n = size_in(shape, r->n),
                               .is_ones = r->fill == ONES,
                               .variance_k = r->fill == QUERY ? size_in(shape, r->k) * shape->head_dim
                                                              : size_in(shape, r->k)};
        make_name(r->name, l, tensor.name);
        PM_TRY(visit(user, &tensor, err));
    }
    return PM_OK;
}

pm_status synth_each_tensor(const pm_synth_shape *shape, synth_visit_fn visit, void *user, pm_error *err)
{
    for (size_t a = 0; a < sizeof architectures / sizeof architectures[0]; a++) {
        if (strcmp(architectures[a].name, shape->architecture) != 0)
            continue;
        for (const section *s = architectures[a].sections; s < architectures[a].sections + 4 && s->rows; s++)
            for (int32_t l = 0; l < (s->is_layer ? shape->n_layers : 1); l++)
                PM_TRY(visit_section(shape, s, l, visit, user, err));
        return PM_OK;
    }
    return pm_fail(err, PM_ERR_INTERNAL, "no tensors are known for architecture '%s'", shape->architecture);
}

/* ---- Metadata ---- */

static const char *key(const pm_synth_shape *shape, const char *suffix, char buffer[96])
{
    snprintf(buffer, 96, "%s.%s", shape->architecture, suffix);
    return buffer;
}

static void put_u32(pm_gguf_writer *w, const pm_synth_shape *shape, const char *suffix, int64_t value)
{
    char buffer[96];
    pm_gguf_writer_u32(w, key(shape, suffix, buffer), (uint32_t)value);
}

static void put_f32(pm_gguf_writer *w, const pm_synth_shape *shape, const char *suffix, float value)
{
    char buffer[96];
    pm_gguf_writer_f32(w, key(shape, suffix, buffer), value);
}

static int is(const pm_synth_shape *shape, const char *architecture)
{
    return strcmp(shape->architecture, architecture) == 0;
}

void synth_put_metadata(const pm_synth_shape *sh, pm_gguf_writer *w)
{
    char buffer[96];
    pm_gguf_writer_str(w, "general.architecture", sh->architecture);
    put_u32(w, sh, "context_length", sh->n_ctx);
    put_u32(w, sh, "embedding_length", sh->n_embd);
    put_u32(w, sh, "block_count", sh->n_layers);
    put_u32(w, sh, "feed_forward_length", sh->n_ff);
    put_u32(w, sh, "attention.head_count", sh->n_heads);
    put_u32(w, sh, "vocab_size", sh->n_vocab);
    if (is(sh, "gpt2") || is(sh, "bert"))
        put_f32(w, sh, "attention.layer_norm_epsilon", 1e-5f);
    else
        put_f32(w, sh, "attention.layer_norm_rms_epsilon", 1e-5f);
    if (sh->rope_base > 0) { /* the LLaMA family */
        put_u32(w, sh, "attention.head_count_kv", sh->n_kv_heads);
        put_u32(w, sh, "attention.key_length", sh->head_dim);
        put_u32(w, sh, "attention.value_length", sh->head_dim);
        put_u32(w, sh, "rope.dimension_count", sh->head_dim);
        put_f32(w, sh, "rope.freq_base", sh->rope_base);
    }
    if (is(sh, "bert")) {
        pm_gguf_writer_bool(w, key(sh, "attention.causal", buffer), 0);
        put_u32(w, sh, "pooling_type", 1); /* mean */
        pm_gguf_writer_u32(w, "tokenizer.ggml.token_type_count", SYNTH_BERT_SEGMENTS);
    }
    if (is(sh, "t5")) {
        put_u32(w, sh, "attention.key_length", sh->head_dim);
        put_u32(w, sh, "attention.value_length", sh->head_dim);
        put_u32(w, sh, "attention.relative_buckets_count", SYNTH_T5_BUCKETS);
        put_u32(w, sh, "decoder_start_token_id", 0);
    }
}
