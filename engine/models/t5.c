/* The T5 family: encoder-decoder, pre-norm RMSNorm, relative positions, no biases.
 *
 * Encoder, for the source's tokens, with x the residual stream [C, T]:
 *     x = embedding(tokens)
 *     for each layer:
 *         h = rms_norm(x);  x = x + W_o attention(W_q h, W_k h, W_v h)     every token sees every token
 *         h = rms_norm(x);  x = x + feed_forward(h)
 *     e = rms_norm(x);  each decoder layer's keys W_k e and values W_v e are kept
 * Decoder, for the target's tokens at positions p:
 *     x = embedding(tokens)
 *     for each layer:
 *         h = rms_norm(x);  x = x + W_o attention(W_q h, what was kept of positions up to p)
 *         h = rms_norm(x);  x = x + W_o attention(W_q h, what was kept of e)
 *         h = rms_norm(x);  x = x + feed_forward(h)
 *     logits = W_out rms_norm(x), or, with the embedding table as W_out, of that divided by sqrt(C)
 * feed_forward(h) = W_down relu(W_up h), or, gated (version 1.1), W_down (gelu(W_gate h) * W_up h).
 *
 * Scores are not scaled. Self-attention adds to them a bias that depends on the head and on the bucket of the
 * distance: one bucket each for short distances, then ones that grow with the logarithm, up to a largest distance.
 * The first layer's table serves all layers. Sources: Raffel et al. 2019, arXiv:1910.10683; Shazeer 2020,
 * arXiv:2002.05202; names: the GGUF specification. */
#include "models/families.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "formats/block_types.h"
#include "models/hf_import.h"

typedef struct t5_attention {
    int32_t norm, wq, wk, wv, wo;
} t5_attention;

typedef struct t5_layer {
    t5_attention self, cross;         /* cross: of the decoder */
    int32_t ffn_norm, gate, up, down; /* gate -1: ReLU */
} t5_layer;

typedef struct t5_stack {
    t5_layer *layers;
    int32_t output_norm, bias;
} t5_stack;

typedef struct t5_model {
    float eps;
    int32_t n_buckets, max_distance;
    int32_t embedding, output;
    t5_stack encoder, decoder;
} t5_model;

static const char *const architectures[] = {"t5", NULL};

/* ---- Reading ---- */

static pm_status read_sizes(pm_model_def *def, t5_model *m, pm_error *err)
{
    pm_model_info *info = &def->info;
    PM_TRY(pm_def_i32(def, "block_count", 1, 1024, false, &info->n_encoder_layers, err));
    info->n_layers = info->n_encoder_layers;
    PM_TRY(pm_def_i32(def, "decoder_block_count", 1, 1024, true, &info->n_layers, err));
    PM_TRY(pm_def_i32(def, "embedding_length", 1, 1 << 17, false, &info->n_embd, err));
    PM_TRY(pm_def_i32(def, "feed_forward_length", 1, 1 << 20, false, &info->n_ff, err));
    PM_TRY(pm_def_i32(def, "attention.head_count", 1, 1 << 12, false, &info->n_heads, err));
    info->n_kv_heads = info->n_heads;
    info->head_dim = info->n_embd / info->n_heads;
    PM_TRY(pm_def_i32(def, "attention.key_length", 1, 512, true, &info->head_dim, err));
    if (info->head_dim < 1 || info->head_dim > 512)
        return pm_fail(err, PM_ERR_UNSUPPORTED, "%s: heads of %d values; pumice takes 1 to 512",
                       pm_gguf_path(def->file), info->head_dim);
    info->n_ctx_train = 512;
    PM_TRY(pm_def_i32(def, "context_length", 1, 1 << 20, true, &info->n_ctx_train, err));
    def->n_ctx_max = 1 << 20; /* relative positions have no end */
    PM_TRY(pm_def_f32(def, "attention.layer_norm_rms_epsilon", 0.0f, 1.0f, false, &m->eps, err));
    m->max_distance = 128;
    PM_TRY(pm_def_i32(def, "attention.relative_buckets_count", 4, 1 << 12, false, &m->n_buckets, err));
    PM_TRY(pm_def_i32(def, "attention.relative_max_distance", 2, 1 << 16, true, &m->max_distance, err));
    info->start_token = 0;
    PM_TRY(pm_def_i32(def, "decoder_start_token_id", 0, 1 << 24, true, &info->start_token, err));
    PM_TRY(pm_def_vocab_size(def, err));
    if (info->start_token >= info->n_vocab)
        return pm_fail(err, PM_ERR_FORMAT, "%s: the decoder's start token %d is outside the vocabulary of %d",
                       pm_gguf_path(def->file), info->start_token, info->n_vocab);
    if (m->max_distance <= m->n_buckets / 4 || m->n_buckets % 2)
        return pm_fail(err, PM_ERR_FORMAT, "%s: %d buckets for distances up to %d", pm_gguf_path(def->file),
                       m->n_buckets, m->max_distance);
    return PM_OK;
}

/* The bucket of the slot that lies `distance` slots after the token's own. Float arithmetic as the published
 * models were trained with, which decides at the borders of buckets. */
static int32_t bucket_of(int32_t distance, bool both_sides, int32_t n_buckets, int32_t max_distance)
{
    int32_t first = 0, n = distance < 0 ? -distance : both_sides ? distance : 0;
    if (both_sides) {
        n_buckets /= 2;
        first = distance > 0 ? n_buckets : 0;
    }
    int32_t n_exact = n_buckets / 2;
    if (n < n_exact)
        return first + n;
    float share = logf((float)n / (float)n_exact) / (float)log((double)max_distance / n_exact);
    int32_t bucket = n_exact + (int32_t)(share * (float)(n_buckets - n_exact));
    return first + (bucket < n_buckets ? bucket : n_buckets - 1);
}

/* The table by distance that attention wants, of the tensor by bucket. */
static pm_status load_bias(pm_model_def *def, const t5_model *m, const char *name, bool both_sides, int32_t *slot,
                           pm_error *err)
{
    const int64_t n_heads = def->info.n_heads, width = 2 * (int64_t)m->max_distance + 1;
    const pm_gguf_tensor *tensor = pm_gguf_find_tensor(def->file, name);
    if (!tensor || tensor->type == PM_TYPE_I32 || tensor->dim[0] != n_heads || tensor->dim[1] != m->n_buckets ||
        tensor->dim[2] != 1 || tensor->dim[3] != 1)
        return pm_fail(err, PM_ERR_FORMAT, "%s: tensor '%s' is missing or not %lld x %d", pm_gguf_path(def->file),
                       name, (long long)n_heads, m->n_buckets);
    size_t bytes = sizeof(float) * (size_t)(width * n_heads), row_bytes = tensor->n_bytes / (size_t)m->n_buckets;
    float *table = pm_arena_alloc(&def->arena, bytes);
    float *row = pm_arena_alloc(&def->arena, sizeof *row * (size_t)n_heads);
    if (!table || !row)
        return pm_fail_memory(err, bytes, "relative positions");
    for (int32_t d = -m->max_distance; d <= m->max_distance; d++) {
        int32_t bucket = bucket_of(d, both_sides, m->n_buckets, m->max_distance);
        pm_dequantize_row(tensor->type, (const char *)tensor->data + row_bytes * (size_t)bucket, row, n_heads);
        for (int64_t h = 0; h < n_heads; h++)
            table[h * width + d + m->max_distance] = row[h];
    }
    const int64_t dims[2] = {width, n_heads};
    return pm_def_table(def, both_sides ? "enc.relative_bias" : "dec.relative_bias", 2, dims, table, slot, err);
}

static pm_status load_attention(pm_model_def *def, const char *prefix, const char *what, t5_attention *a,
                                pm_error *err)
{
    const int64_t c = def->info.n_embd, inner = (int64_t)def->info.head_dim * def->info.n_heads;
    const pm_def_wanted wanted[] = {
        {"_norm.weight", c, 0, false, &a->norm}, {"_q.weight", c, inner, false, &a->wq},
        {"_k.weight", c, inner, false, &a->wk},  {"_v.weight", c, inner, false, &a->wv},
        {"_o.weight", inner, c, false, &a->wo},
    };
    char name[48];
    snprintf(name, sizeof name, "%s%s", prefix, what);
    return pm_def_weights(def, name, wanted, sizeof wanted / sizeof wanted[0], err);
}

static pm_status load_layer(pm_model_def *def, const char *stack, int32_t l, t5_layer *layer, pm_error *err)
{
    const int64_t c = def->info.n_embd, ff = def->info.n_ff;
    const pm_def_wanted wanted[] = {
        {"ffn_norm.weight", c, 0, false, &layer->ffn_norm},
        {"ffn_gate.weight", c, ff, true, &layer->gate},
        {"ffn_up.weight", c, ff, false, &layer->up},
        {"ffn_down.weight", ff, c, false, &layer->down},
    };
    char prefix[32];
    snprintf(prefix, sizeof prefix, "%s.blk.%d.", stack, l);
    PM_TRY(load_attention(def, prefix, "attn", &layer->self, err));
    if (stack[0] == 'd')
        PM_TRY(load_attention(def, prefix, "cross_attn", &layer->cross, err));
    return pm_def_weights(def, prefix, wanted, sizeof wanted / sizeof wanted[0], err);
}

static pm_status load_stack(pm_model_def *def, const t5_model *m, const char *name, int32_t n_layers,
                            t5_stack *stack, pm_error *err)
{
    const int64_t c = def->info.n_embd;
    char text[48];
    stack->layers = pm_arena_alloc(&def->arena, sizeof *stack->layers * (size_t)n_layers);
    if (!stack->layers)
        return pm_fail_memory(err, sizeof *stack->layers * (size_t)n_layers, "the layers' descriptions");
    for (int32_t l = 0; l < n_layers; l++)
        PM_TRY(load_layer(def, name, l, &stack->layers[l], err));
    snprintf(text, sizeof text, "%s.output_norm.weight", name);
    PM_TRY(pm_def_weight(def, text, 1, &c, false, &stack->output_norm, err));
    snprintf(text, sizeof text, "%s.blk.0.attn_rel_b.weight", name);
    return load_bias(def, m, text, name[0] == 'e', &stack->bias, err);
}

static pm_status t5_load(pm_model_def *def, pm_error *err)
{
    t5_model *m = pm_arena_alloc(&def->arena, sizeof *m);
    if (!m)
        return pm_fail_memory(err, sizeof *m, "a model description");
    def->own = m;
    PM_TRY(read_sizes(def, m, err));
    const int64_t table[2] = {def->info.n_embd, def->info.n_vocab};
    PM_TRY(pm_def_weight(def, "token_embd.weight", 2, table, false, &m->embedding, err));
    PM_TRY(pm_def_weight(def, "output.weight", 2, table, true, &m->output, err));
    PM_TRY(load_stack(def, m, "enc", def->info.n_encoder_layers, &m->encoder, err));
    return load_stack(def, m, "dec", def->info.n_layers, &m->decoder, err);
}

/* ---- The graph ---- */

static pm_tensor *norm(const pm_model_def *def, pm_graph *g, pm_tensor *x, int32_t weight)
{
    return pm_rms_norm(g, x, pm_def_tensor(def, g, weight), ((const t5_model *)def->own)->eps);
}

static pm_tensor *self_attention(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g,
                                 const pm_graph_io *io, const t5_stack *stack, int32_t l, pm_tensor *x)
{
    const t5_attention *a = &stack->layers[l].self;
    pm_cache cache = shape->pass == PM_PASS_ENCODE ? PM_CACHE_ENCODER : PM_CACHE_SELF;
    pm_tensor *h = norm(def, g, x, a->norm), *q = pm_def_linear(def, g, a->wq, -1, h);
    pm_tensor *k = pm_def_linear(def, g, a->wk, -1, h), *v = pm_def_linear(def, g, a->wv, -1, h);
    pm_tensor *heads = pm_def_attend(def, shape, g, io, cache, l, q, k, v, pm_def_tensor(def, g, stack->bias),
                                     (pm_attention_args){.scale = 1.0f});
    return pm_add(g, x, pm_def_linear(def, g, a->wo, -1, heads));
}

static pm_tensor *cross_attention(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g,
                                  const pm_graph_io *io, int32_t l, pm_tensor *x)
{
    const t5_attention *a = &((const t5_model *)def->own)->decoder.layers[l].cross;
    pm_tensor *q = pm_def_linear(def, g, a->wq, -1, norm(def, g, x, a->norm));
    pm_tensor *heads = pm_def_attend(def, shape, g, io, PM_CACHE_CROSS, l, q, NULL, NULL, NULL,
                                     (pm_attention_args){.scale = 1.0f});
    return pm_add(g, x, pm_def_linear(def, g, a->wo, -1, heads));
}

static pm_tensor *feed_forward(const pm_model_def *def, pm_graph *g, const t5_layer *layer, pm_tensor *x)
{
    pm_tensor *h = norm(def, g, x, layer->ffn_norm), *up = pm_def_linear(def, g, layer->up, -1, h);
    if (layer->gate < 0)
        h = pm_relu(g, up);
    else
        h = pm_mul(g, pm_gelu(g, pm_def_linear(def, g, layer->gate, -1, h), PM_GELU_TANH), up);
    return pm_add(g, x, pm_def_linear(def, g, layer->down, -1, h));
}

static pm_tensor *run_stack(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io,
                            const t5_stack *stack, int32_t n_layers, pm_tensor *x)
{
    bool decode = shape->pass == PM_PASS_DECODE;
    char prefix[32];
    pm_def_layer_output(def, shape, g, 0, x, io);
    for (int32_t l = 0; l < n_layers; l++) {
        snprintf(prefix, sizeof prefix, "%s.blk.%d.", decode ? "dec" : "enc", l);
        g->prefix = prefix;
        x = self_attention(def, shape, g, io, stack, l, x);
        if (decode)
            x = cross_attention(def, shape, g, io, l, x);
        x = feed_forward(def, g, &stack->layers[l], x);
        pm_def_layer_output(def, shape, g, l + 1, x, io);
    }
    g->prefix = NULL;
    return x;
}

static void encode(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io,
                   pm_tensor *x)
{
    const t5_model *m = def->own;
    x = run_stack(def, shape, g, io, &m->encoder, def->info.n_encoder_layers, x);
    x = norm(def, g, x, m->encoder.output_norm);
    for (int32_t l = 0; l < def->info.n_layers; l++) {
        const t5_attention *a = &m->decoder.layers[l].cross;
        pm_def_store(def, shape, g, io, PM_CACHE_CROSS, l, pm_def_linear(def, g, a->wk, -1, x),
                     pm_def_linear(def, g, a->wv, -1, x));
    }
    pm_def_result(g, x, io);
}

static void decode(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io,
                   pm_tensor *x)
{
    const t5_model *m = def->own;
    x = run_stack(def, shape, g, io, &m->decoder, def->info.n_layers, x);
    x = norm(def, g, pm_embedding(g, x, io->out_rows), m->decoder.output_norm);
    if (m->output < 0)
        x = pm_scale(g, x, 1.0f / sqrtf((float)def->info.n_embd));
    pm_def_outputs(shape, g, pm_def_linear(def, g, m->output < 0 ? m->embedding : m->output, -1, x), io);
}

static pm_status t5_build(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io,
                          pm_error *err)
{
    const t5_model *m = def->own;
    pm_def_inputs(def, shape, g, io);
    pm_tensor *x = pm_embedding(g, pm_def_tensor(def, g, m->embedding), io->tokens);
    if (shape->pass == PM_PASS_ENCODE)
        encode(def, shape, g, io, x);
    else
        decode(def, shape, g, io, x);
    return pm_graph_status(g, err);
}

/* ---- Hugging Face's form ---- */

static const pm_hf_key hf_keys[] = {
    {"n_positions", "context_length", PM_GGUF_UINT32, true},
    {"d_model", "embedding_length", PM_GGUF_UINT32, false},
    {"d_kv", "attention.key_length", PM_GGUF_UINT32, false},
    {"d_ff", "feed_forward_length", PM_GGUF_UINT32, false},
    {"num_layers", "block_count", PM_GGUF_UINT32, false},
    {"num_decoder_layers", "decoder_block_count", PM_GGUF_UINT32, true},
    {"num_heads", "attention.head_count", PM_GGUF_UINT32, false},
    {"relative_attention_num_buckets", "attention.relative_buckets_count", PM_GGUF_UINT32, false},
    {"relative_attention_max_distance", "attention.relative_max_distance", PM_GGUF_UINT32, true},
    {"layer_norm_epsilon", "attention.layer_norm_rms_epsilon", PM_GGUF_FLOAT32, false},
    {"decoder_start_token_id", "decoder_start_token_id", PM_GGUF_UINT32, true},
    {0},
};

#define HF_SELF_ATTENTION(stack, to)                                                                              \
    {stack ".block.%d.layer.0.layer_norm.weight", to ".blk.%d.attn_norm.weight", 0},                              \
        {stack ".block.%d.layer.0.SelfAttention.q.weight", to ".blk.%d.attn_q.weight", 0},                        \
        {stack ".block.%d.layer.0.SelfAttention.k.weight", to ".blk.%d.attn_k.weight", 0},                        \
        {stack ".block.%d.layer.0.SelfAttention.v.weight", to ".blk.%d.attn_v.weight", 0},                        \
        {stack ".block.%d.layer.0.SelfAttention.o.weight", to ".blk.%d.attn_o.weight", 0},                        \
        {stack ".block.%d.layer.0.SelfAttention.relative_attention_bias.weight", to ".blk.%d.attn_rel_b.weight",  \
         0},                                                                                                      \
        {stack ".final_layer_norm.weight", to ".output_norm.weight", 0},                                          \
    {                                                                                                             \
        stack ".embed_tokens.weight", NULL, 0                                                                     \
    }

#define HF_FEED_FORWARD(stack, number, to)                                                                        \
    {stack ".block.%d.layer." number ".layer_norm.weight", to ".blk.%d.ffn_norm.weight", 0},                      \
        {stack ".block.%d.layer." number ".DenseReluDense.wi.weight", to ".blk.%d.ffn_up.weight", 0},             \
        {stack ".block.%d.layer." number ".DenseReluDense.wi_0.weight", to ".blk.%d.ffn_gate.weight", 0},         \
        {stack ".block.%d.layer." number ".DenseReluDense.wi_1.weight", to ".blk.%d.ffn_up.weight", 0},           \
    {                                                                                                             \
        stack ".block.%d.layer." number ".DenseReluDense.wo.weight", to ".blk.%d.ffn_down.weight", 0              \
    }

static const pm_hf_tensor hf_tensors[] = {
    {"shared.weight", "token_embd.weight", 0},
    {"lm_head.weight", "output.weight", PM_HF_UNLESS_TIED},
    HF_SELF_ATTENTION("encoder", "enc"),
    HF_FEED_FORWARD("encoder", "1", "enc"),
    HF_SELF_ATTENTION("decoder", "dec"),
    {"decoder.block.%d.layer.1.layer_norm.weight", "dec.blk.%d.cross_attn_norm.weight", 0},
    {"decoder.block.%d.layer.1.EncDecAttention.q.weight", "dec.blk.%d.cross_attn_q.weight", 0},
    {"decoder.block.%d.layer.1.EncDecAttention.k.weight", "dec.blk.%d.cross_attn_k.weight", 0},
    {"decoder.block.%d.layer.1.EncDecAttention.v.weight", "dec.blk.%d.cross_attn_v.weight", 0},
    {"decoder.block.%d.layer.1.EncDecAttention.o.weight", "dec.blk.%d.cross_attn_o.weight", 0},
    {"decoder.block.%d.layer.1.EncDecAttention.relative_attention_bias.weight", NULL, 0}, /* never used */
    HF_FEED_FORWARD("decoder", "2", "dec"),
    {0},
};

static pm_status import_config(pm_hf_importing *import, pm_error *err)
{
    static const char *const known[] = {"relu", "gated-gelu", "gated-gelu_new"};
    const json_t *value = pm_hf_config(import, "feed_forward_proj");
    const char *name = json_is_string(value) ? json_string_value(value) : "relu";
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i]) == 0)
            return PM_OK;
    return pm_fail(err, PM_ERR_UNSUPPORTED,
                   "%s/config.json: feed_forward_proj '%.40s'; pumice knows relu and gated-gelu", import->path,
                   name);
}

static const pm_hf_import imports[] = {
    {"t5", "t5", hf_keys, hf_tensors, import_config, NULL},
    {"mt5", "t5", hf_keys, hf_tensors, import_config, NULL},
    {0},
};

const pm_family pm_family_t5 = {.name = "t5",
                                .architectures = architectures,
                                .load = t5_load,
                                .build = t5_build,
                                .shape = PM_SHAPE_ENCODER_DECODER,
                                .imports = imports};
