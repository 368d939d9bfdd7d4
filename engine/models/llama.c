/* The LLaMA family: decoder-only, pre-norm RMSNorm, rotary positions, grouped-query attention, SwiGLU.
 *
 * For tokens at positions p, with x the residual stream [C, T]:
 *     x = embedding(tokens)
 *     for each layer:
 *         h = rms_norm(x);  q, k, v = W_q h, W_k h, W_v h (+ biases: Qwen2)
 *         q, k = rms_norm over each head (Qwen3)
 *         q, k = rope(q, p), rope(k, p);  caches[p] = k, v
 *         x = x + W_o attention(q, caches)
 *         h = rms_norm(x);  x = x + W_down (silu(W_gate h) * W_up h)
 *     logits = W_out rms_norm(x)        W_out is the embedding table itself where the file has no output.weight
 *
 * What differs between LLaMA 1 to 3, SmolLM2, Mistral, Qwen2 and Qwen3 is read from the file: biases, QK-norm,
 * tied output, head sizes, RoPE scaling, sliding window; only the pairing of RoPE goes by the name of the
 * architecture. Sources: Touvron et al. 2023, arXiv:2302.13971; Jiang et al. 2023 (Mistral), arXiv:2310.06825;
 * Qwen2 technical report, arXiv:2407.10671; Qwen3 technical report, arXiv:2505.09388; key names: the GGUF
 * specification. */
#include "models/families.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "models/decoder_only.h"
#include "models/hf_import.h"

typedef struct llama_layer {
    int32_t attn_norm, wq, wk, wv, wo;
    int32_t bq, bk, bv, bo; /* -1: none */
    int32_t q_norm, k_norm; /* -1: none */
    int32_t ffn_norm, gate, up, down;
} llama_layer;

typedef struct llama_model {
    float eps;
    int32_t n_rot, window;
    bool interleaved;
    int32_t embedding, output_norm, output, rope_table;
    llama_layer *layers;
} llama_model;

/* RoPE's pairing per architecture: LLaMA files keep Meta's interleaved pairs, the others the halves of GPT-NeoX.
 */
static const char *const architectures[] = {"llama", "qwen2", "qwen3", NULL};

static pm_status read_sizes(pm_model_def *def, llama_model *m, pm_error *err)
{
    PM_TRY(pm_decoder_refuse(def, "expert_count", "mixtures of experts", err));
    PM_TRY(pm_decoder_sizes(def, err));
    m->eps = 1e-5f;
    PM_TRY(pm_def_f32(def, "attention.layer_norm_rms_epsilon", 0.0f, 1.0f, false, &m->eps, err));
    PM_TRY(pm_def_i32(def, "attention.sliding_window", 0, INT32_MAX, true, &m->window, err));
    m->interleaved = strcmp(def->info.architecture, "llama") == 0;
    if (!m->interleaved)
        m->window = 0; /* Qwen files carry the key, but the models attend to everything */
    return pm_decoder_rotary(def, &m->n_rot, err);
}

static pm_status load_layer(pm_model_def *def, int32_t l, llama_layer *layer, pm_error *err)
{
    const pm_model_info *info = &def->info;
    const int64_t c = info->n_embd, d = info->head_dim, ff = info->n_ff;
    const int64_t q = d * info->n_heads, kv = d * info->n_kv_heads;
    const pm_def_wanted wanted[] = {
        {"attn_norm.weight", c, 0, false, &layer->attn_norm},
        {"attn_q.weight", c, q, false, &layer->wq},
        {"attn_k.weight", c, kv, false, &layer->wk},
        {"attn_v.weight", c, kv, false, &layer->wv},
        {"attn_output.weight", q, c, false, &layer->wo},
        {"attn_q.bias", q, 0, true, &layer->bq},
        {"attn_k.bias", kv, 0, true, &layer->bk},
        {"attn_v.bias", kv, 0, true, &layer->bv},
        {"attn_output.bias", c, 0, true, &layer->bo},
        {"attn_q_norm.weight", d, 0, true, &layer->q_norm},
        {"attn_k_norm.weight", d, 0, true, &layer->k_norm},
        {"ffn_norm.weight", c, 0, false, &layer->ffn_norm},
        {"ffn_gate.weight", c, ff, false, &layer->gate},
        {"ffn_up.weight", c, ff, false, &layer->up},
        {"ffn_down.weight", ff, c, false, &layer->down},
    };
    char prefix[24];
    snprintf(prefix, sizeof prefix, "blk.%d.", l);
    return pm_def_weights(def, prefix, wanted, sizeof wanted / sizeof wanted[0], err);
}

static pm_status llama_load(pm_model_def *def, pm_error *err)
{
    llama_model *m = pm_arena_alloc(&def->arena, sizeof *m);
    if (!m)
        return pm_fail_memory(err, sizeof *m, "a model description");
    def->own = m;
    PM_TRY(read_sizes(def, m, err));
    PM_TRY(pm_def_vocab_size(def, err));
    m->layers = pm_arena_alloc(&def->arena, sizeof *m->layers * (size_t)def->info.n_layers);
    if (!m->layers)
        return pm_fail_memory(err, sizeof *m->layers * (size_t)def->info.n_layers, "the layers' descriptions");

    const int64_t table[2] = {def->info.n_embd, def->info.n_vocab};
    PM_TRY(pm_def_weight(def, "token_embd.weight", 2, table, false, &m->embedding, err));
    for (int32_t l = 0; l < def->info.n_layers; l++)
        PM_TRY(load_layer(def, l, &m->layers[l], err));
    PM_TRY(pm_def_weight(def, "output_norm.weight", 1, table, false, &m->output_norm, err));
    PM_TRY(pm_def_weight(def, "output.weight", 2, table, true, &m->output, err));
    if (m->output < 0)
        m->output = m->embedding;
    pm_rope_scaling scaling = pm_decoder_rope_default(def, m->n_rot);
    PM_TRY(pm_decoder_rope_scaling(def, &scaling, err));
    return pm_decoder_rope_table(def, &scaling, "rope_table", &m->rope_table, err);
}

static pm_tensor *attention_block(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g,
                                  const pm_graph_io *io, int32_t l, pm_tensor *x)
{
    const llama_model *m = def->own;
    const llama_layer *layer = &m->layers[l];
    const pm_model_info *info = &def->info;
    pm_tensor *h = pm_rms_norm(g, x, pm_def_tensor(def, g, layer->attn_norm), m->eps);
    pm_tensor *q = pm_decoder_heads(def, g, h, layer->wq, layer->bq, layer->q_norm, info->n_heads, m->eps);
    pm_tensor *k = pm_decoder_heads(def, g, h, layer->wk, layer->bk, layer->k_norm, info->n_kv_heads, m->eps);
    pm_tensor *v = pm_decoder_heads(def, g, h, layer->wv, layer->bv, -1, info->n_kv_heads, m->eps);
    pm_tensor *angles = pm_def_tensor(def, g, m->rope_table);
    q = pm_rope(g, q, io->positions, angles, m->n_rot, m->interleaved);
    k = pm_rope(g, k, io->positions, angles, m->n_rot, m->interleaved);
    const pm_attention_args how = {.scale = 1.0f / sqrtf((float)info->head_dim), .window = m->window};
    pm_tensor *heads = pm_def_attend(def, shape, g, io, PM_CACHE_SELF, l, q, k, v, NULL, how);
    return pm_add(g, x, pm_def_linear(def, g, layer->wo, layer->bo, heads));
}

static pm_tensor *feed_forward_block(const pm_model_def *def, pm_graph *g, int32_t l, pm_tensor *x)
{
    const llama_model *m = def->own;
    const llama_layer *layer = &m->layers[l];
    pm_tensor *h = pm_rms_norm(g, x, pm_def_tensor(def, g, layer->ffn_norm), m->eps);
    pm_tensor *gate = pm_def_linear(def, g, layer->gate, -1, h);
    pm_tensor *up = pm_def_linear(def, g, layer->up, -1, h);
    return pm_add(g, x, pm_def_linear(def, g, layer->down, -1, pm_swiglu(g, gate, up)));
}

static pm_status llama_build(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io,
                             pm_error *err)
{
    const llama_model *m = def->own;
    char prefix[24];
    pm_def_inputs(def, shape, g, io);
    pm_tensor *x = pm_embedding(g, pm_def_tensor(def, g, m->embedding), io->tokens);
    pm_def_layer_output(def, shape, g, 0, x, io);
    for (int32_t l = 0; l < def->info.n_layers; l++) {
        snprintf(prefix, sizeof prefix, "blk.%d.", l);
        g->prefix = prefix;
        x = attention_block(def, shape, g, io, l, x);
        x = feed_forward_block(def, g, l, x);
        pm_def_layer_output(def, shape, g, l + 1, x, io);
    }
    g->prefix = NULL;
    pm_tensor *last = pm_embedding(g, x, io->out_rows); /* only the rows whose logits are wanted */
    last = pm_rms_norm(g, last, pm_def_tensor(def, g, m->output_norm), m->eps);
    pm_decoder_outputs(def, shape, g, last, m->output, 0.0f, io);
    return pm_graph_status(g, err);
}

/* ---- Hugging Face's form: the same under other names ---- */

static const pm_hf_key hf_keys[] = {
    {"max_position_embeddings", "context_length", PM_GGUF_UINT32, false},
    {"hidden_size", "embedding_length", PM_GGUF_UINT32, false},
    {"num_hidden_layers", "block_count", PM_GGUF_UINT32, false},
    {"intermediate_size", "feed_forward_length", PM_GGUF_UINT32, false},
    {"num_attention_heads", "attention.head_count", PM_GGUF_UINT32, false},
    {"num_key_value_heads", "attention.head_count_kv", PM_GGUF_UINT32, true},
    {"head_dim", "attention.key_length", PM_GGUF_UINT32, true},
    {"head_dim", "attention.value_length", PM_GGUF_UINT32, true},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", PM_GGUF_FLOAT32, false},
    {"rope_parameters.rope_theta|rope_theta", "rope.freq_base", PM_GGUF_FLOAT32, true},
    {0},
};

#define HF_TENSORS(q, k)                                                                                          \
    {"model.embed_tokens.weight", "token_embd.weight", 0}, {"model.norm.weight", "output_norm.weight", 0},        \
        {"lm_head.weight", "output.weight", PM_HF_UNLESS_TIED},                                                   \
        {"model.layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight", 0},                                 \
        {"model.layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", 0},                         \
        {"model.layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight", q},                                   \
        {"model.layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight", k},                                   \
        {"model.layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight", 0},                                   \
        {"model.layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight", 0},                              \
        {"model.layers.%d.self_attn.q_proj.bias", "blk.%d.attn_q.bias", q},                                       \
        {"model.layers.%d.self_attn.k_proj.bias", "blk.%d.attn_k.bias", k},                                       \
        {"model.layers.%d.self_attn.v_proj.bias", "blk.%d.attn_v.bias", 0},                                       \
        {"model.layers.%d.self_attn.o_proj.bias", "blk.%d.attn_output.bias", 0},                                  \
        {"model.layers.%d.self_attn.q_norm.weight", "blk.%d.attn_q_norm.weight", 0},                              \
        {"model.layers.%d.self_attn.k_norm.weight", "blk.%d.attn_k_norm.weight", 0},                              \
        {"model.layers.%d.self_attn.rotary_emb.inv_freq", NULL, 0},                                               \
        {"model.layers.%d.mlp.gate_proj.weight", "blk.%d.ffn_gate.weight", 0},                                    \
        {"model.layers.%d.mlp.up_proj.weight", "blk.%d.ffn_up.weight", 0},                                        \
        {"model.layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight", 0},                                    \
    {                                                                                                             \
        0                                                                                                         \
    }

/* RoPE's pairs as `interleaved` wants them: side by side for the architecture "llama", as they are for the others.
 */
static const pm_hf_tensor hf_tensors_in_pairs[] = {HF_TENSORS(PM_HF_ROPE_Q, PM_HF_ROPE_K)};
static const pm_hf_tensor hf_tensors[] = {HF_TENSORS(0, 0)};

/* LLaMA 3's scaling: a divisor for each pair, by its wave length; GGUF keeps the divisors. */
static pm_status add_llama3_factors(pm_hf_importing *import, pm_error *err)
{
    double base, factor, low, high, original, head_dim, hidden;
    float divisors[256];
    PM_TRY(pm_hf_number(import, "rope_parameters.rope_theta|rope_theta", 1, 1e12, 10000, &base, err));
    PM_TRY(pm_hf_number(import, "rope_parameters.factor|rope_scaling.factor", 1e-3, 1e6, 8, &factor, err));
    PM_TRY(pm_hf_number(import, "rope_parameters.low_freq_factor|rope_scaling.low_freq_factor", 1e-3, 1e6, 1, &low,
                        err));
    PM_TRY(pm_hf_number(import, "rope_parameters.high_freq_factor|rope_scaling.high_freq_factor", 1e-3, 1e6, 4,
                        &high, err));
    PM_TRY(pm_hf_number(import,
                        "rope_parameters.original_max_position_embeddings"
                        "|rope_scaling.original_max_position_embeddings",
                        1, 1e8, 8192, &original, err));
    PM_TRY(pm_hf_number(import, "hidden_size", 1, 1 << 17, 0, &hidden, err));
    PM_TRY(pm_hf_number(import, "head_dim", 2, 512, hidden / (double)(import->n_heads ? import->n_heads : 1),
                        &head_dim, err));
    int n = (int)head_dim / 2;
    if (n < 1 || n > 256 || low >= high)
        return pm_fail(err, PM_ERR_FORMAT, "%s/config.json: RoPE's scaling does not fit heads of %g", import->path,
                       head_dim);
    for (int i = 0; i < n; i++) {
        double length = 2 * 3.14159265358979323846 * pow(base, 2.0 * i / head_dim);
        double smooth = (original / length - low) / (high - low);
        divisors[i] = (float)(length < original / high  ? 1
                              : length > original / low ? factor
                                                        : 1 / ((1 - smooth) / factor + smooth));
    }
    return pm_hf_add_f32(import, "rope_freqs.weight", divisors, n, err);
}

static pm_status import_rope_scaling(pm_hf_importing *import, pm_error *err)
{
    const json_t *type =
        pm_hf_config(import, "rope_parameters.rope_type|rope_scaling.rope_type|rope_scaling.type");
    const char *name = json_is_string(type) ? json_string_value(type) : "default";
    char key[128];
    double factor, original;
    if (strcmp(name, "default") == 0)
        return PM_OK;
    if (strcmp(name, "llama3") == 0)
        return add_llama3_factors(import, err);
    if (strcmp(name, "linear") != 0 && strcmp(name, "yarn") != 0)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "%s/config.json: RoPE's scaling '%.40s'; pumice knows default, linear, yarn and "
                       "llama3",
                       import->path, name);
    PM_TRY(pm_hf_number(import, "rope_parameters.factor|rope_scaling.factor", 1e-3, 1e6, 1, &factor, err));
    PM_TRY(pm_hf_number(import,
                        "rope_parameters.original_max_position_embeddings"
                        "|rope_scaling.original_max_position_embeddings",
                        1, 1e8, 0, &original, err));
    pm_gguf_writer_str(import->metadata, pm_hf_gguf_key(import, "rope.scaling.type", key, sizeof key), name);
    pm_gguf_writer_f32(import->metadata, pm_hf_gguf_key(import, "rope.scaling.factor", key, sizeof key),
                       (float)factor);
    if (original > 0)
        pm_gguf_writer_u32(import->metadata,
                           pm_hf_gguf_key(import, "rope.scaling.original_context_length", key, sizeof key),
                           (uint32_t)original);
    return PM_OK;
}

static pm_status import_window(pm_hf_importing *import, pm_error *err)
{
    char key[128];
    double window;
    PM_TRY(pm_hf_number(import, "sliding_window", 0, INT32_MAX, 0, &window, err));
    if (window > 0)
        pm_gguf_writer_u32(import->metadata, pm_hf_gguf_key(import, "attention.sliding_window", key, sizeof key),
                           (uint32_t)window);
    return import_rope_scaling(import, err);
}

static const pm_hf_import imports[] = {
    {"llama", "llama", hf_keys, hf_tensors_in_pairs, import_rope_scaling, NULL},
    {"mistral", "llama", hf_keys, hf_tensors_in_pairs, import_window, NULL},
    {"qwen2", "qwen2", hf_keys, hf_tensors, import_rope_scaling, NULL},
    {"qwen3", "qwen3", hf_keys, hf_tensors, import_rope_scaling, NULL},
    {0},
};

const pm_family pm_family_llama = {
    .name = "llama", .architectures = architectures, .load = llama_load, .build = llama_build, .imports = imports};
