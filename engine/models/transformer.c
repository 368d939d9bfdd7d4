/* The original Transformer, and the translators that are it in released form (Marian, BART): encoder-decoder,
 * post-norm LayerNorm, absolute positions, biases everywhere.
 *
 * Encoder, for the source's tokens at positions p, with x [C, T]:
 *     x = s * embedding(tokens) + position(p)                 s = sqrt(C), or 1 (BART); BART has a layer_norm here
 *     for each layer:
 *         x = layer_norm(x + W_o attention(W_q x, W_k x, W_v x))     every token sees every token
 *         x = layer_norm(x + W_2 f(W_1 x))                           f: ReLU, in later models GELU or SiLU
 *     e = x (with a layer_norm where the file has one); each decoder layer's keys W_k e and values W_v e are kept
 * Decoder, for the target's tokens at positions p:
 *     x as above
 *     for each layer:
 *         x = layer_norm(x + W_o attention(W_q x, what was kept of positions up to p))
 *         x = layer_norm(x + W_o attention(W_q x, what was kept of e))
 *         x = layer_norm(x + W_2 f(W_1 x))
 *     logits = W_out x + b              W_out is the embedding table, which both sides share, where there is no
 * other
 *
 * Positions are sinusoids, sine and cosine in turns as in the paper or in two halves (Marian), or learned (BART).
 * Sources: Vaswani et al. 2017, arXiv:1706.03762; Junczys-Dowmunt et al. 2018 (Marian), arXiv:1804.00344; Lewis et
 * al. 2019 (BART), arXiv:1910.13461. GGUF has no names for this family: these are T5's, where T5 has such a thing.
 */
#include "models/families.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "models/hf_import.h"

typedef struct attention_weights {
    int32_t wq, bq, wk, bk, wv, bv, wo, bo, norm, norm_bias;
} attention_weights;

typedef struct transformer_layer {
    attention_weights self, cross; /* cross: of the decoder */
    int32_t up, up_bias, down, down_bias, norm, norm_bias;
} transformer_layer;

typedef struct transformer_stack {
    transformer_layer *layers;
    int32_t positions, embedding_norm, embedding_norm_bias, output_norm, output_norm_bias; /* norms -1: none */
} transformer_stack;

typedef enum activation { RELU, GELU, SILU } activation;

typedef struct transformer_model {
    float eps, embedding_scale;
    activation activation;
    int32_t n_decoder_ff, embedding, output, output_bias;
    transformer_stack encoder, decoder;
} transformer_model;

static const char *const architectures[] = {"transformer", NULL};

/* ---- Reading ---- */

static pm_status read_activation(pm_model_def *def, transformer_model *m, pm_error *err)
{
    static const struct {
        const char *name;
        activation activation;
    } known[] = {{"relu", RELU}, {"gelu", GELU}, {"silu", SILU}};
    char key[128];
    pm_str name;
    PM_TRY(pm_gguf_get_str(def->file, pm_def_key(def, "activation", key, sizeof key), &name, err));
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (name.size == strlen(known[i].name) && memcmp(name.data, known[i].name, name.size) == 0) {
            m->activation = known[i].activation;
            return PM_OK;
        }
    return pm_fail(err, PM_ERR_UNSUPPORTED, "%s: key '%s' is '%.*s'; pumice knows relu, gelu and silu",
                   pm_gguf_path(def->file), key, (int)(name.size < 32 ? name.size : 32), name.data);
}

static pm_status read_sizes(pm_model_def *def, transformer_model *m, pm_error *err)
{
    pm_model_info *info = &def->info;
    int32_t scaled = 0;
    PM_TRY(pm_def_i32(def, "block_count", 1, 1024, false, &info->n_encoder_layers, err));
    info->n_layers = info->n_encoder_layers;
    PM_TRY(pm_def_i32(def, "decoder_block_count", 1, 1024, true, &info->n_layers, err));
    PM_TRY(pm_def_i32(def, "embedding_length", 1, 1 << 17, false, &info->n_embd, err));
    PM_TRY(pm_def_i32(def, "feed_forward_length", 1, 1 << 20, false, &info->n_ff, err));
    m->n_decoder_ff = info->n_ff;
    PM_TRY(pm_def_i32(def, "decoder_feed_forward_length", 1, 1 << 20, true, &m->n_decoder_ff, err));
    PM_TRY(pm_def_i32(def, "attention.head_count", 1, 1 << 12, false, &info->n_heads, err));
    PM_TRY(pm_def_i32(def, "context_length", 1, 1 << 20, false, &info->n_ctx_train, err));
    PM_TRY(pm_def_f32(def, "attention.layer_norm_epsilon", 0.0f, 1.0f, false, &m->eps, err));
    PM_TRY(pm_def_i32(def, "scaled_embeddings", 0, 1, true, &scaled, err));
    m->embedding_scale = scaled ? sqrtf((float)info->n_embd) : 1.0f;
    info->n_kv_heads = info->n_heads;
    info->head_dim = info->n_embd / info->n_heads;
    def->n_ctx_max = info->n_ctx_train;
    if (info->n_embd % info->n_heads || info->head_dim > 512)
        return pm_fail(err, PM_ERR_UNSUPPORTED, "%s: %d values cannot be shared by %d heads of at most 512",
                       pm_gguf_path(def->file), info->n_embd, info->n_heads);
    PM_TRY(pm_def_vocab_size(def, err));
    PM_TRY(pm_def_i32(def, "decoder_start_token_id", 0, info->n_vocab - 1, false, &info->start_token, err));
    return read_activation(def, m, err);
}

/* Position p's angles p / 10000^(2 i / C); sines and cosines in turns, or all sines first. */
static pm_status make_sinusoids(pm_model_def *def, bool in_turns, int32_t *slot, pm_error *err)
{
    const int64_t c = def->info.n_embd, n = def->info.n_ctx_train, dims[2] = {c, n}, n_sines = (c + 1) / 2;
    size_t bytes = sizeof(float) * (size_t)c * (size_t)n;
    float *table = pm_arena_alloc(&def->arena, bytes);
    if (!table)
        return pm_fail_memory(err, bytes, "the table of positions");
    for (int64_t p = 0; p < n; p++)
        for (int64_t i = 0; i < n_sines; i++) {
            double angle = (double)p / pow(10000.0, 2.0 * (double)i / (double)c);
            table[p * c + (in_turns ? 2 * i : i)] = (float)sin(angle);
            if (2 * i + 1 < c)
                table[p * c + (in_turns ? 2 * i + 1 : n_sines + i)] = (float)cos(angle);
        }
    return pm_def_table(def, "sinusoids", 2, dims, table, slot, err);
}

static pm_status load_positions(pm_model_def *def, transformer_model *m, pm_error *err)
{
    const int64_t table[2] = {def->info.n_embd, def->info.n_ctx_train};
    char key[128];
    pm_str form;
    PM_TRY(pm_gguf_get_str(def->file, pm_def_key(def, "positions", key, sizeof key), &form, err));
    bool in_turns = form.size == 10 && memcmp(form.data, "sinusoidal", 10) == 0;
    if (in_turns || (form.size == 17 && memcmp(form.data, "sinusoidal_halves", 17) == 0)) {
        PM_TRY(make_sinusoids(def, in_turns, &m->encoder.positions, err));
        m->decoder.positions = m->encoder.positions;
        return PM_OK;
    }
    if (form.size != 7 || memcmp(form.data, "learned", 7) != 0)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "%s: key '%s' is '%.*s'; pumice knows sinusoidal, sinusoidal_halves and learned",
                       pm_gguf_path(def->file), key, (int)(form.size < 32 ? form.size : 32), form.data);
    PM_TRY(pm_def_weight(def, "enc.position_embd.weight", 2, table, false, &m->encoder.positions, err));
    return pm_def_weight(def, "dec.position_embd.weight", 2, table, false, &m->decoder.positions, err);
}

/* One of the projections to queries, keys and values (number 0 to 2), which may be fused in one tensor. */
static pm_status load_projection(pm_model_def *def, const char *prefix, int number, int32_t *w, int32_t *b,
                                 pm_error *err)
{
    static const char letters[] = "qkv";
    const int64_t c = def->info.n_embd;
    char name[64];
    snprintf(name, sizeof name, "%s_qkv.weight", prefix);
    if (!pm_gguf_find_tensor(def->file, name)) {
        snprintf(name, sizeof name, "%s_%c.", prefix, letters[number]);
        const pm_def_wanted wanted[] = {{"weight", c, c, false, w}, {"bias", c, 0, false, b}};
        return pm_def_weights(def, name, wanted, 2, err);
    }
    PM_TRY(pm_def_weight_rows(def, name, (pm_def_rows){2, c, number * c, c, 3 * c}, false, w, err));
    snprintf(name, sizeof name, "%s_qkv.bias", prefix);
    return pm_def_weight_rows(def, name, (pm_def_rows){1, 1, number * c, c, 3 * c}, false, b, err);
}

static pm_status load_attention(pm_model_def *def, const char *prefix, attention_weights *a, pm_error *err)
{
    const int64_t c = def->info.n_embd;
    const pm_def_wanted wanted[] = {
        {"_output.weight", c, c, false, &a->wo},
        {"_output.bias", c, 0, false, &a->bo},
        {"_norm.weight", c, 0, false, &a->norm},
        {"_norm.bias", c, 0, false, &a->norm_bias},
    };
    PM_TRY(load_projection(def, prefix, 0, &a->wq, &a->bq, err));
    PM_TRY(load_projection(def, prefix, 1, &a->wk, &a->bk, err));
    PM_TRY(load_projection(def, prefix, 2, &a->wv, &a->bv, err));
    return pm_def_weights(def, prefix, wanted, sizeof wanted / sizeof wanted[0], err);
}

static pm_status load_layer(pm_model_def *def, bool decoder, int32_t l, transformer_layer *layer, pm_error *err)
{
    const transformer_model *m = def->own;
    const int64_t c = def->info.n_embd, ff = decoder ? m->n_decoder_ff : def->info.n_ff;
    const pm_def_wanted wanted[] = {
        {"ffn_up.weight", c, ff, false, &layer->up},     {"ffn_up.bias", ff, 0, false, &layer->up_bias},
        {"ffn_down.weight", ff, c, false, &layer->down}, {"ffn_down.bias", c, 0, false, &layer->down_bias},
        {"ffn_norm.weight", c, 0, false, &layer->norm},  {"ffn_norm.bias", c, 0, false, &layer->norm_bias},
    };
    char name[48];
    snprintf(name, sizeof name, "%s.blk.%d.attn", decoder ? "dec" : "enc", l);
    PM_TRY(load_attention(def, name, &layer->self, err));
    snprintf(name, sizeof name, "dec.blk.%d.cross_attn", l);
    if (decoder)
        PM_TRY(load_attention(def, name, &layer->cross, err));
    snprintf(name, sizeof name, "%s.blk.%d.", decoder ? "dec" : "enc", l);
    return pm_def_weights(def, name, wanted, sizeof wanted / sizeof wanted[0], err);
}

static pm_status load_stack(pm_model_def *def, bool decoder, int32_t n_layers, transformer_stack *stack,
                            pm_error *err)
{
    const int64_t c = def->info.n_embd;
    const pm_def_wanted wanted[] = {
        {"token_embd_norm.weight", c, 0, true, &stack->embedding_norm},
        {"token_embd_norm.bias", c, 0, true, &stack->embedding_norm_bias},
        {"output_norm.weight", c, 0, true, &stack->output_norm},
        {"output_norm.bias", c, 0, true, &stack->output_norm_bias},
    };
    stack->layers = pm_arena_alloc(&def->arena, sizeof *stack->layers * (size_t)n_layers);
    if (!stack->layers)
        return pm_fail_memory(err, sizeof *stack->layers * (size_t)n_layers, "the layers' descriptions");
    for (int32_t l = 0; l < n_layers; l++)
        PM_TRY(load_layer(def, decoder, l, &stack->layers[l], err));
    return pm_def_weights(def, decoder ? "dec." : "enc.", wanted, sizeof wanted / sizeof wanted[0], err);
}

static pm_status transformer_load(pm_model_def *def, pm_error *err)
{
    transformer_model *m = pm_arena_alloc(&def->arena, sizeof *m);
    if (!m)
        return pm_fail_memory(err, sizeof *m, "a model description");
    def->own = m;
    PM_TRY(read_sizes(def, m, err));
    const int64_t c = def->info.n_embd, v = def->info.n_vocab;
    const pm_def_wanted wanted[] = {
        {"token_embd.weight", c, v, false, &m->embedding},
        {"output.weight", c, v, true, &m->output},
        {"output.bias", v, 0, true, &m->output_bias},
    };
    PM_TRY(pm_def_weights(def, "", wanted, sizeof wanted / sizeof wanted[0], err));
    if (m->output < 0)
        m->output = m->embedding;
    PM_TRY(load_positions(def, m, err));
    PM_TRY(load_stack(def, false, def->info.n_encoder_layers, &m->encoder, err));
    return load_stack(def, true, def->info.n_layers, &m->decoder, err);
}

/* ---- The graph ---- */

/* weight -1: no norm. */
static pm_tensor *norm(const pm_model_def *def, pm_graph *g, pm_tensor *x, int32_t weight, int32_t bias)
{
    const transformer_model *m = def->own;
    return weight < 0 ? x
                      : pm_layer_norm(g, x, pm_def_tensor(def, g, weight), pm_def_tensor(def, g, bias), m->eps);
}

static pm_tensor *attention(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g,
                            const pm_graph_io *io, pm_cache cache, int32_t l, const attention_weights *a,
                            pm_tensor *x)
{
    bool cross = cache == PM_CACHE_CROSS; /* whose keys and values the encoder's pass has kept */
    pm_tensor *q = pm_def_linear(def, g, a->wq, a->bq, x);
    pm_tensor *k = cross ? NULL : pm_def_linear(def, g, a->wk, a->bk, x);
    pm_tensor *v = cross ? NULL : pm_def_linear(def, g, a->wv, a->bv, x);
    const pm_attention_args how = {.scale = 1.0f / sqrtf((float)def->info.head_dim)};
    pm_tensor *heads = pm_def_attend(def, shape, g, io, cache, l, q, k, v, NULL, how);
    return norm(def, g, pm_add(g, x, pm_def_linear(def, g, a->wo, a->bo, heads)), a->norm, a->norm_bias);
}

static pm_tensor *feed_forward(const pm_model_def *def, pm_graph *g, const transformer_layer *layer, pm_tensor *x)
{
    const transformer_model *m = def->own;
    pm_tensor *h = pm_def_linear(def, g, layer->up, layer->up_bias, x);
    h = m->activation == RELU ? pm_relu(g, h) : m->activation == SILU ? pm_silu(g, h) : pm_gelu(g, h, PM_GELU_ERF);
    return norm(def, g, pm_add(g, x, pm_def_linear(def, g, layer->down, layer->down_bias, h)), layer->norm,
                layer->norm_bias);
}

static pm_tensor *run_stack(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io,
                            const transformer_stack *stack, int32_t n_layers, pm_tensor *x)
{
    bool decode = shape->pass == PM_PASS_DECODE;
    char prefix[32];
    x = pm_add(g, x, pm_embedding(g, pm_def_tensor(def, g, stack->positions), io->positions));
    x = norm(def, g, x, stack->embedding_norm, stack->embedding_norm_bias);
    pm_def_layer_output(def, shape, g, 0, x, io);
    for (int32_t l = 0; l < n_layers; l++) {
        const transformer_layer *layer = &stack->layers[l];
        snprintf(prefix, sizeof prefix, "%s.blk.%d.", decode ? "dec" : "enc", l);
        g->prefix = prefix;
        x = attention(def, shape, g, io, decode ? PM_CACHE_SELF : PM_CACHE_ENCODER, l, &layer->self, x);
        if (decode)
            x = attention(def, shape, g, io, PM_CACHE_CROSS, l, &layer->cross, x);
        x = feed_forward(def, g, layer, x);
        pm_def_layer_output(def, shape, g, l + 1, x, io);
    }
    g->prefix = NULL;
    return x;
}

static void encode(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io,
                   pm_tensor *x)
{
    const transformer_model *m = def->own;
    x = run_stack(def, shape, g, io, &m->encoder, def->info.n_encoder_layers, x);
    x = norm(def, g, x, m->encoder.output_norm, m->encoder.output_norm_bias);
    for (int32_t l = 0; l < def->info.n_layers; l++) {
        const attention_weights *a = &m->decoder.layers[l].cross;
        pm_def_store(def, shape, g, io, PM_CACHE_CROSS, l, pm_def_linear(def, g, a->wk, a->bk, x),
                     pm_def_linear(def, g, a->wv, a->bv, x));
    }
    pm_def_result(g, x, io);
}

static void decode(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io,
                   pm_tensor *x)
{
    const transformer_model *m = def->own;
    x = run_stack(def, shape, g, io, &m->decoder, def->info.n_layers, x);
    x = norm(def, g, pm_embedding(g, x, io->out_rows), m->decoder.output_norm, m->decoder.output_norm_bias);
    pm_def_outputs(shape, g, pm_def_linear(def, g, m->output, m->output_bias, x), io);
}

static pm_status transformer_build(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g,
                                   pm_graph_io *io, pm_error *err)
{
    const transformer_model *m = def->own;
    pm_def_inputs(def, shape, g, io);
    pm_tensor *x = pm_embedding(g, pm_def_tensor(def, g, m->embedding), io->tokens);
    if (m->embedding_scale != 1.0f)
        x = pm_scale(g, x, m->embedding_scale);
    if (shape->pass == PM_PASS_ENCODE)
        encode(def, shape, g, io, x);
    else
        decode(def, shape, g, io, x);
    return pm_graph_status(g, err);
}

/* ---- Hugging Face's form, and torch.nn.Transformer's ---- */

static const pm_hf_key hf_keys[] = {
    {"max_position_embeddings", "context_length", PM_GGUF_UINT32, false},
    {"d_model", "embedding_length", PM_GGUF_UINT32, false},
    {"encoder_layers|num_encoder_layers", "block_count", PM_GGUF_UINT32, false},
    {"decoder_layers|num_decoder_layers", "decoder_block_count", PM_GGUF_UINT32, false},
    {"encoder_ffn_dim|dim_feedforward", "feed_forward_length", PM_GGUF_UINT32, false},
    {"decoder_ffn_dim|dim_feedforward", "decoder_feed_forward_length", PM_GGUF_UINT32, false},
    {"encoder_attention_heads|nhead", "attention.head_count", PM_GGUF_UINT32, false},
    {"decoder_start_token_id|bos_token_id", "decoder_start_token_id", PM_GGUF_UINT32, false},
    {0},
};

#define HF_LINEAR(from, to)                                                                                       \
    {from ".weight", to ".weight", 0},                                                                            \
    {                                                                                                             \
        from ".bias", to ".bias", 0                                                                               \
    }

#define HF_ATTENTION(from, norm, to)                                                                              \
    HF_LINEAR(from ".q_proj", to "_q"), HF_LINEAR(from ".k_proj", to "_k"), HF_LINEAR(from ".v_proj", to "_v"),   \
        HF_LINEAR(from ".out_proj", to "_output"), HF_LINEAR(norm, to "_norm")

#define HF_LAYERS(from, to)                                                                                       \
    HF_ATTENTION(from ".layers.%d.self_attn", from ".layers.%d.self_attn_layer_norm", to ".blk.%d.attn"),         \
        HF_LINEAR(from ".layers.%d.fc1", to ".blk.%d.ffn_up"),                                                    \
        HF_LINEAR(from ".layers.%d.fc2", to ".blk.%d.ffn_down"),                                                  \
        HF_LINEAR(from ".layers.%d.final_layer_norm", to ".blk.%d.ffn_norm"),                                     \
        HF_LINEAR(from ".layernorm_embedding", to ".token_embd_norm"),                                            \
    {                                                                                                             \
        from ".embed_tokens.weight", NULL, 0                                                                      \
    }

#define HF_TENSORS                                                                                                \
    {"shared.weight", "token_embd.weight", 0}, {"lm_head.weight", "output.weight", PM_HF_UNLESS_TIED},            \
        {"final_logits_bias", "output.bias", PM_HF_VECTOR}, HF_LAYERS("encoder", "enc"),                          \
        HF_LAYERS("decoder", "dec"),                                                                              \
        HF_ATTENTION("decoder.layers.%d.encoder_attn", "decoder.layers.%d.encoder_attn_layer_norm",               \
                     "dec.blk.%d.cross_attn")

static const pm_hf_tensor marian_tensors[] = {
    HF_TENSORS,
    {"encoder.embed_positions.weight", NULL, 0}, /* the sinusoids */
    {"decoder.embed_positions.weight", NULL, 0},
    {0},
};

static const pm_hf_tensor bart_tensors[] = {
    HF_TENSORS,
    {"encoder.embed_positions.weight", "enc.position_embd.weight", PM_HF_SKIP_ROWS},
    {"decoder.embed_positions.weight", "dec.position_embd.weight", PM_HF_SKIP_ROWS},
    {0},
};

/* torch.nn.Transformer's state, with the table that source, target and output share. */
#define TORCH_ATTENTION(from, norm, to)                                                                           \
    {from ".in_proj_weight", to "_qkv.weight", 0}, {from ".in_proj_bias", to "_qkv.bias", 0},                     \
        HF_LINEAR(from ".out_proj", to "_output"), HF_LINEAR(norm, to "_norm")

#define TORCH_LAYERS(from, last_norm, to)                                                                         \
    TORCH_ATTENTION(from ".layers.%d.self_attn", from ".layers.%d.norm1", to ".blk.%d.attn"),                     \
        HF_LINEAR(from ".layers.%d.linear1", to ".blk.%d.ffn_up"),                                                \
        HF_LINEAR(from ".layers.%d.linear2", to ".blk.%d.ffn_down"),                                              \
        HF_LINEAR(from ".layers.%d." last_norm, to ".blk.%d.ffn_norm"),                                           \
        HF_LINEAR(from ".norm", to ".output_norm")

static const pm_hf_tensor torch_tensors[] = {
    {"shared.weight", "token_embd.weight", 0},
    {"generator.weight", "output.weight", 0},
    {"generator.bias", "output.bias", 0},
    TORCH_LAYERS("encoder", "norm2", "enc"),
    TORCH_LAYERS("decoder", "norm3", "dec"),
    TORCH_ATTENTION("decoder.layers.%d.multihead_attn", "decoder.layers.%d.norm2", "dec.blk.%d.cross_attn"),
    {0},
};

static pm_status refuse_true(const pm_hf_importing *import, const char *key, pm_error *err)
{
    if (!json_is_true(pm_hf_config(import, key)))
        return PM_OK;
    return pm_fail(err, PM_ERR_UNSUPPORTED, "%s/config.json: '%s' is true; pumice runs the post-norm form alone",
                   import->path, key);
}

static pm_status import_config(pm_hf_importing *import, const char *positions, bool scaled, pm_error *err)
{
    const json_t *value = pm_hf_config(import, "activation_function|activation");
    const char *name = json_is_string(value) ? json_string_value(value) : "relu";
    char key[128];
    double eps, decoder_heads;
    PM_TRY(refuse_true(import, "normalize_before", err));
    PM_TRY(refuse_true(import, "norm_first", err));
    PM_TRY(refuse_true(import, "add_final_layer_norm", err));
    PM_TRY(pm_hf_number(import, "layer_norm_eps", 0, 1, 1e-5, &eps, err));
    PM_TRY(pm_hf_number(import, "decoder_attention_heads", 1, 4096, (double)import->n_heads, &decoder_heads, err));
    if ((int64_t)decoder_heads != import->n_heads)
        return pm_fail(err, PM_ERR_UNSUPPORTED, "%s/config.json: %lld heads in the encoder and %g in the decoder",
                       import->path, (long long)import->n_heads, decoder_heads);
    pm_gguf_writer_str(import->metadata, pm_hf_gguf_key(import, "activation", key, sizeof key),
                       strcmp(name, "swish") == 0 ? "silu" : name);
    pm_gguf_writer_str(import->metadata, pm_hf_gguf_key(import, "positions", key, sizeof key), positions);
    pm_gguf_writer_u32(import->metadata, pm_hf_gguf_key(import, "scaled_embeddings", key, sizeof key), scaled);
    pm_gguf_writer_f32(import->metadata, pm_hf_gguf_key(import, "attention.layer_norm_epsilon", key, sizeof key),
                       (float)eps);
    return PM_OK;
}

static pm_status import_marian(pm_hf_importing *import, pm_error *err)
{
    return import_config(import, "sinusoidal_halves", json_is_true(pm_hf_config(import, "scale_embedding")), err);
}

static pm_status import_bart(pm_hf_importing *import, pm_error *err)
{
    import->skip_rows = 2; /* a relic: they stand for nothing */
    return import_config(import, "learned", json_is_true(pm_hf_config(import, "scale_embedding")), err);
}

static pm_status import_torch(pm_hf_importing *import, pm_error *err)
{
    return import_config(import, "sinusoidal", true, err);
}

static const pm_hf_import imports[] = {
    {"marian", "transformer", hf_keys, marian_tensors, import_marian, "model."},
    {"bart", "transformer", hf_keys, bart_tensors, import_bart, "model."},
    {"transformer", "transformer", hf_keys, torch_tensors, import_torch, NULL},
    {0},
};

const pm_family pm_family_transformer = {.name = "transformer",
                                         .architectures = architectures,
                                         .load = transformer_load,
                                         .build = transformer_build,
                                         .shape = PM_SHAPE_ENCODER_DECODER,
                                         .imports = imports};
