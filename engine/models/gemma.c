/* The Gemma family, second and third generation: decoder-only, RMSNorm before and after each block, grouped-query
 * attention over a sliding window in most layers, GELU-gated feed-forward.
 *
 * For tokens at positions p, with x the residual stream [C, T]:
 *     x = sqrt(C) * embedding(tokens)
 *     for each layer:
 *         h = rms_norm(x);  q, k, v = W_q h, W_k h, W_v h
 *         q, k = rms_norm over each head (Gemma 3)
 *         q, k = rope(q, p), rope(k, p);  caches[p] = k, v
 *         x = x + rms_norm(W_o attention(q, caches))             with a soft cap on the scores (Gemma 2)
 *         h = rms_norm(x);  x = x + rms_norm(W_down (gelu(W_gate h) * W_up h))
 *     logits = embedding table * rms_norm(x)                     with a soft cap (Gemma 2)
 *
 * Every sixth layer (Gemma 2: every second) sees all positions, the others a window; the two kinds have rotary
 * bases of their own in Gemma 3. Files keep the norms' weights whole, Hugging Face's directories less one.
 * Sources: Gemma 2, arXiv:2408.00118; Gemma 3 technical report, arXiv:2503.19786; names: the GGUF specification.
 */
#include "models/families.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "models/decoder_only.h"
#include "models/hf_import.h"

typedef struct gemma_layer {
    int32_t attn_norm, wq, wk, wv, wo, post_attn_norm, q_norm, k_norm; /* q_norm, k_norm -1: none */
    int32_t ffn_norm, gate, up, down, post_ffn_norm;
} gemma_layer;

typedef struct gemma_model {
    float eps, scale, attn_softcap, softcap;
    int32_t window, pattern, n_rot;
    int32_t embedding, output_norm, output, rope_all, rope_window;
    gemma_layer *layers;
} gemma_model;

static const char *const architectures[] = {"gemma2", "gemma3", NULL};

/* ---- Reading ---- */

/* Whether the layer sees a window alone. */
static bool is_local(const gemma_model *m, int32_t l)
{
    return (l + 1) % m->pattern != 0;
}

static pm_status read_sizes(pm_model_def *def, gemma_model *m, pm_error *err)
{
    const pm_model_info *info = &def->info;
    bool second = strcmp(info->architecture, "gemma2") == 0;
    PM_TRY(pm_decoder_sizes(def, err));
    PM_TRY(pm_decoder_rotary(def, &m->n_rot, err));
    PM_TRY(pm_def_f32(def, "attention.layer_norm_rms_epsilon", 0.0f, 1.0f, false, &m->eps, err));
    m->attn_softcap = second ? 50.0f : 0.0f;
    m->softcap = second ? 30.0f : 0.0f;
    PM_TRY(pm_def_f32(def, "attn_logit_softcapping", 0.0f, 1e6f, true, &m->attn_softcap, err));
    PM_TRY(pm_def_f32(def, "final_logit_softcapping", 0.0f, 1e6f, true, &m->softcap, err));
    m->window = second ? 4096 : 1024;
    m->pattern = second ? 2 : 6;
    PM_TRY(pm_def_i32(def, "attention.sliding_window", 1, INT32_MAX, true, &m->window, err));
    PM_TRY(pm_def_i32(def, "attention.sliding_window_pattern", 1, 1 << 16, true, &m->pattern, err));
    /* Files do not say it: the largest of each generation divide by the width a head would have. */
    int32_t width = info->n_layers == (second ? 46 : 62) ? info->n_embd / info->n_heads : info->head_dim;
    m->scale = 1.0f / sqrtf((float)width);
    return pm_def_f32(def, "attention.scale", 1e-6f, 1e3f, true, &m->scale, err);
}

static pm_status load_layer(pm_model_def *def, int32_t l, gemma_layer *layer, pm_error *err)
{
    const pm_model_info *info = &def->info;
    const int64_t c = info->n_embd, d = info->head_dim, ff = info->n_ff, q = d * info->n_heads,
                  kv = d * info->n_kv_heads;
    const pm_def_wanted wanted[] = {
        {"attn_norm.weight", c, 0, false, &layer->attn_norm},
        {"attn_q.weight", c, q, false, &layer->wq},
        {"attn_k.weight", c, kv, false, &layer->wk},
        {"attn_v.weight", c, kv, false, &layer->wv},
        {"attn_output.weight", q, c, false, &layer->wo},
        {"attn_q_norm.weight", d, 0, true, &layer->q_norm},
        {"attn_k_norm.weight", d, 0, true, &layer->k_norm},
        {"post_attention_norm.weight", c, 0, false, &layer->post_attn_norm},
        {"ffn_norm.weight", c, 0, false, &layer->ffn_norm},
        {"ffn_gate.weight", c, ff, false, &layer->gate},
        {"ffn_up.weight", c, ff, false, &layer->up},
        {"ffn_down.weight", ff, c, false, &layer->down},
        {"post_ffw_norm.weight", c, 0, false, &layer->post_ffn_norm},
    };
    char prefix[24];
    snprintf(prefix, sizeof prefix, "blk.%d.", l);
    return pm_def_weights(def, prefix, wanted, sizeof wanted / sizeof wanted[0], err);
}

/* Scaling for long contexts is of the layers that see all of them. */
static pm_status load_ropes(pm_model_def *def, gemma_model *m, pm_error *err)
{
    pm_rope_scaling all = pm_decoder_rope_default(def, m->n_rot), window = all;
    PM_TRY(pm_decoder_rope_scaling(def, &all, err));
    PM_TRY(pm_decoder_rope_table(def, &all, "rope_table", &m->rope_all, err));
    m->rope_window = m->rope_all;
    if (strcmp(def->info.architecture, "gemma2") == 0)
        return PM_OK;
    PM_TRY(pm_def_f32(def, "rope.freq_base_swa", 1.0f, 1e12f, true, &window.base, err));
    return pm_decoder_rope_table(def, &window, "rope_table_window", &m->rope_window, err);
}

static pm_status gemma_load(pm_model_def *def, pm_error *err)
{
    const pm_model_info *info = &def->info;
    gemma_model *m = pm_arena_alloc(&def->arena, sizeof *m);
    if (!m)
        return pm_fail_memory(err, sizeof *m, "a model description");
    def->own = m;
    PM_TRY(read_sizes(def, m, err));
    PM_TRY(pm_def_vocab_size(def, err));
    m->layers = pm_arena_alloc(&def->arena, sizeof *m->layers * (size_t)info->n_layers);
    if (!m->layers)
        return pm_fail_memory(err, sizeof *m->layers * (size_t)info->n_layers, "the layers' descriptions");
    const pm_def_wanted wanted[] = {
        {"token_embd.weight", info->n_embd, info->n_vocab, false, &m->embedding},
        {"output_norm.weight", info->n_embd, 0, false, &m->output_norm},
        {"output.weight", info->n_embd, info->n_vocab, true, &m->output},
    };
    PM_TRY(pm_def_weights(def, "", wanted, sizeof wanted / sizeof wanted[0], err));
    if (m->output < 0)
        m->output = m->embedding;
    for (int32_t l = 0; l < info->n_layers; l++)
        PM_TRY(load_layer(def, l, &m->layers[l], err));
    return load_ropes(def, m, err);
}

/* ---- The graph ---- */

static pm_tensor *norm(const pm_model_def *def, pm_graph *g, pm_tensor *x, int32_t weight)
{
    return pm_rms_norm(g, x, pm_def_tensor(def, g, weight), ((const gemma_model *)def->own)->eps);
}

static pm_tensor *attention_block(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g,
                                  const pm_graph_io *io, int32_t l, pm_tensor *x)
{
    const gemma_model *m = def->own;
    const gemma_layer *layer = &m->layers[l];
    const pm_model_info *info = &def->info;
    bool local = is_local(m, l);
    pm_tensor *h = norm(def, g, x, layer->attn_norm);
    pm_tensor *q = pm_decoder_heads(def, g, h, layer->wq, -1, layer->q_norm, info->n_heads, m->eps);
    pm_tensor *k = pm_decoder_heads(def, g, h, layer->wk, -1, layer->k_norm, info->n_kv_heads, m->eps);
    pm_tensor *v = pm_decoder_heads(def, g, h, layer->wv, -1, -1, info->n_kv_heads, m->eps);
    pm_tensor *angles = pm_def_tensor(def, g, local ? m->rope_window : m->rope_all);
    q = pm_rope(g, q, io->positions, angles, m->n_rot, false);
    k = pm_rope(g, k, io->positions, angles, m->n_rot, false);
    const pm_attention_args how = {.scale = m->scale, .window = local ? m->window : 0, .softcap = m->attn_softcap};
    pm_tensor *heads = pm_def_attend(def, shape, g, io, PM_CACHE_SELF, l, q, k, v, NULL, how);
    return pm_add(g, x, norm(def, g, pm_def_linear(def, g, layer->wo, -1, heads), layer->post_attn_norm));
}

static pm_tensor *feed_forward_block(const pm_model_def *def, pm_graph *g, int32_t l, pm_tensor *x)
{
    const gemma_layer *layer = &((const gemma_model *)def->own)->layers[l];
    pm_tensor *h = norm(def, g, x, layer->ffn_norm);
    pm_tensor *gate = pm_gelu(g, pm_def_linear(def, g, layer->gate, -1, h), PM_GELU_TANH);
    h = pm_mul(g, gate, pm_def_linear(def, g, layer->up, -1, h));
    return pm_add(g, x, norm(def, g, pm_def_linear(def, g, layer->down, -1, h), layer->post_ffn_norm));
}

static pm_status gemma_build(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io,
                             pm_error *err)
{
    const gemma_model *m = def->own;
    char prefix[24];
    pm_def_inputs(def, shape, g, io);
    pm_tensor *x = pm_embedding(g, pm_def_tensor(def, g, m->embedding), io->tokens);
    x = pm_scale(g, x, sqrtf((float)def->info.n_embd));
    pm_def_layer_output(def, shape, g, 0, x, io);
    for (int32_t l = 0; l < def->info.n_layers; l++) {
        snprintf(prefix, sizeof prefix, "blk.%d.", l);
        g->prefix = prefix;
        x = attention_block(def, shape, g, io, l, x);
        x = feed_forward_block(def, g, l, x);
        pm_def_layer_output(def, shape, g, l + 1, x, io);
    }
    g->prefix = NULL;
    pm_tensor *last = norm(def, g, pm_embedding(g, x, io->out_rows), m->output_norm);
    pm_decoder_outputs(def, shape, g, last, m->output, m->softcap, io);
    return pm_graph_status(g, err);
}

/* ---- Hugging Face's form ---- */

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
    {"sliding_window", "attention.sliding_window", PM_GGUF_UINT32, true},
    {"rope_parameters.full_attention.rope_theta|rope_parameters.rope_theta|rope_theta", "rope.freq_base",
     PM_GGUF_FLOAT32, true},
    {"rope_parameters.sliding_attention.rope_theta|rope_local_base_freq", "rope.freq_base_swa", PM_GGUF_FLOAT32,
     true},
    {"rope_parameters.full_attention.factor|rope_scaling.factor", "rope.scaling.factor", PM_GGUF_FLOAT32, true},
    {0},
};

static const pm_hf_tensor hf_tensors[] = {
    {"embed_tokens.weight", "token_embd.weight", 0},
    {"norm.weight", "output_norm.weight", PM_HF_PLUS_ONE},
    {"lm_head.weight", "output.weight", PM_HF_UNLESS_TIED},
    {"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight", PM_HF_PLUS_ONE},
    {"layers.%d.post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight", PM_HF_PLUS_ONE},
    {"layers.%d.pre_feedforward_layernorm.weight", "blk.%d.ffn_norm.weight", PM_HF_PLUS_ONE},
    {"layers.%d.post_feedforward_layernorm.weight", "blk.%d.post_ffw_norm.weight", PM_HF_PLUS_ONE},
    {"layers.%d.self_attn.q_norm.weight", "blk.%d.attn_q_norm.weight", PM_HF_PLUS_ONE},
    {"layers.%d.self_attn.k_norm.weight", "blk.%d.attn_k_norm.weight", PM_HF_PLUS_ONE},
    {"layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight", 0},
    {"layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight", 0},
    {"layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight", 0},
    {"layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight", 0},
    {"layers.%d.mlp.gate_proj.weight", "blk.%d.ffn_gate.weight", 0},
    {"layers.%d.mlp.up_proj.weight", "blk.%d.ffn_up.weight", 0},
    {"layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight", 0},
    {0},
};

/* layer_types as a period: the first layer of another kind ends it. */
static pm_status import_pattern(pm_hf_importing *import, pm_error *err)
{
    char key[128];
    const json_t *types = pm_hf_config(import, "layer_types"), *type;
    size_t i, period = 0;
    if (!json_is_array(types))
        return PM_OK; /* the family's own */
    json_array_foreach(types, i, type)
    {
        const char *name = json_is_string(type) ? json_string_value(type) : "";
        bool full = strcmp(name, "full_attention") == 0;
        if (!full && strcmp(name, "sliding_attention") != 0)
            return pm_fail(err, PM_ERR_UNSUPPORTED, "%s/config.json: a layer of the type '%.40s'", import->path,
                           name);
        if (full && period == 0)
            period = i + 1;
        if (full != (period && (i + 1) % period == 0))
            return pm_fail(
                err, PM_ERR_UNSUPPORTED,
                "%s/config.json: layer_types do not repeat: layer %zu is another kind than after %zu layers",
                import->path, i, period);
    }
    pm_gguf_writer_u32(import->metadata,
                       pm_hf_gguf_key(import, "attention.sliding_window_pattern", key, sizeof key),
                       (uint32_t)(period ? period : json_array_size(types) + 1));
    return PM_OK;
}

static pm_status import_config(pm_hf_importing *import, pm_error *err)
{
    static const char *const caps[] = {"attn_logit_softcapping", "final_logit_softcapping"};
    char key[128];
    double scalar, cap;
    PM_TRY(pm_hf_number(import, "query_pre_attn_scalar", 1e-3, 1e6, 256, &scalar, err));
    pm_gguf_writer_f32(import->metadata, pm_hf_gguf_key(import, "attention.scale", key, sizeof key),
                       (float)(1 / sqrt(scalar)));
    for (size_t i = 0; i < 2; i++) {
        PM_TRY(pm_hf_number(import, caps[i], 0, 1e6, 0, &cap, err));
        pm_gguf_writer_f32(import->metadata, pm_hf_gguf_key(import, caps[i], key, sizeof key), (float)cap);
    }
    const json_t *scaling =
        pm_hf_config(import, "rope_parameters.full_attention.rope_type|rope_scaling.rope_type");
    const char *name = json_is_string(scaling) ? json_string_value(scaling) : "default";
    if (strcmp(name, "default") != 0 && strcmp(name, "linear") != 0)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "%s/config.json: RoPE's scaling '%.40s'; pumice knows default and linear", import->path,
                       name);
    if (strcmp(name, "linear") == 0)
        pm_gguf_writer_str(import->metadata, pm_hf_gguf_key(import, "rope.scaling.type", key, sizeof key),
                           "linear");
    return import_pattern(import, err);
}

static const pm_hf_import imports[] = {
    {"gemma2", "gemma2", hf_keys, hf_tensors, import_config, "model."},
    {"gemma3_text", "gemma3", hf_keys, hf_tensors, import_config, "model."},
    {0},
};

const pm_family pm_family_gemma = {
    .name = "gemma", .architectures = architectures, .load = gemma_load, .build = gemma_build, .imports = imports};
