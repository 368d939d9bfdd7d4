/* The GLM-4 family: decoder-only, RMSNorm, grouped-query attention with biases, RoPE on a part of each head in
 * pairs side by side, SwiGLU with gate and up projections in one.
 *
 * For tokens at positions p, with x the residual stream [C, T]:
 *     x = embedding(tokens)
 *     for each layer:
 *         h = rms_norm(x);  q, k, v = W_q h + b, W_k h + b, W_v h + b
 *         q, k = rope(q, p), rope(k, p);  caches[p] = k, v
 *         a = W_o attention(q, caches);           x = x + a, or x + rms_norm(a) in GLM-4-0414
 *         h = rms_norm(x);  gate, up = W h
 *         f = W_down (silu(gate) * up);           x = x + f, or x + rms_norm(f) in GLM-4-0414
 *     logits = W_out rms_norm(x)
 *
 * GGUF calls the first form "chatglm" and keeps its q, k and v in one tensor, the second "glm4".
 * Sources: GLM team 2024, arXiv:2406.12793; names: the GGUF specification. */
#include "models/families.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "models/decoder_only.h"
#include "models/hf_import.h"

typedef struct glm4_layer {
    int32_t attn_norm, w[3], b[3], wo, post_attn_norm; /* w, b: of q, k, v; b and the post-norms -1: none */
    int32_t ffn_norm, gate, up, down, post_ffn_norm;
} glm4_layer;

typedef struct glm4_model {
    float eps;
    int32_t n_rot, embedding, output_norm, output, rope_table;
    glm4_layer *layers;
} glm4_model;

static const char *const architectures[] = {"chatglm", "glm4", NULL};

/* ---- Reading ---- */

/* Queries, keys and values, each from a tensor of its own or from its rows of the fused one. */
static pm_status load_projections(pm_model_def *def, int32_t l, glm4_layer *layer, pm_error *err)
{
    const pm_model_info *info = &def->info;
    const int64_t c = info->n_embd, q = (int64_t)info->head_dim * info->n_heads;
    const int64_t kv = (int64_t)info->head_dim * info->n_kv_heads, n[3] = {q, kv, kv}, first[3] = {0, q, q + kv};
    char name[48];
    snprintf(name, sizeof name, "blk.%d.attn_qkv.weight", l);
    bool fused = pm_gguf_find_tensor(def->file, name) != NULL;
    for (int i = 0; i < 3; i++) {
        int64_t begin = fused ? first[i] : 0, of = fused ? q + 2 * kv : n[i];
        char part[4] = {fused ? 'q' : "qkv"[i], fused ? 'k' : 0, fused ? 'v' : 0, 0};
        snprintf(name, sizeof name, "blk.%d.attn_%s.weight", l, part);
        PM_TRY(pm_def_weight_rows(def, name, (pm_def_rows){2, c, begin, n[i], of}, false, &layer->w[i], err));
        snprintf(name, sizeof name, "blk.%d.attn_%s.bias", l, part);
        PM_TRY(pm_def_weight_rows(def, name, (pm_def_rows){1, 1, begin, n[i], of}, true, &layer->b[i], err));
    }
    return PM_OK;
}

static pm_status load_layer(pm_model_def *def, int32_t l, glm4_layer *layer, pm_error *err)
{
    const pm_model_info *info = &def->info;
    const int64_t c = info->n_embd, ff = info->n_ff, q = (int64_t)info->head_dim * info->n_heads;
    const pm_def_wanted wanted[] = {
        {"attn_norm.weight", c, 0, false, &layer->attn_norm},
        {"attn_output.weight", q, c, false, &layer->wo},
        {"post_attention_norm.weight", c, 0, true, &layer->post_attn_norm},
        {"ffn_norm.weight", c, 0, false, &layer->ffn_norm},
        {"ffn_down.weight", ff, c, false, &layer->down},
        {"post_ffw_norm.weight", c, 0, true, &layer->post_ffn_norm},
    };
    char name[48];
    PM_TRY(load_projections(def, l, layer, err));
    snprintf(name, sizeof name, "blk.%d.ffn_up.weight", l);
    PM_TRY(pm_def_weight_rows(def, name, (pm_def_rows){2, c, 0, ff, 2 * ff}, false, &layer->gate, err));
    PM_TRY(pm_def_weight_rows(def, name, (pm_def_rows){2, c, ff, ff, 2 * ff}, false, &layer->up, err));
    snprintf(name, sizeof name, "blk.%d.", l);
    return pm_def_weights(def, name, wanted, sizeof wanted / sizeof wanted[0], err);
}

static pm_status glm4_load(pm_model_def *def, pm_error *err)
{
    const pm_model_info *info = &def->info;
    glm4_model *m = pm_arena_alloc(&def->arena, sizeof *m);
    if (!m)
        return pm_fail_memory(err, sizeof *m, "a model description");
    def->own = m;
    PM_TRY(pm_decoder_sizes(def, err));
    PM_TRY(pm_decoder_rotary(def, &m->n_rot, err));
    PM_TRY(pm_def_f32(def, "attention.layer_norm_rms_epsilon", 0.0f, 1.0f, false, &m->eps, err));
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
    pm_rope_scaling scaling = pm_decoder_rope_default(def, m->n_rot);
    PM_TRY(pm_decoder_rope_scaling(def, &scaling, err));
    return pm_decoder_rope_table(def, &scaling, "rope_table", &m->rope_table, err);
}

/* ---- The graph ---- */

/* weight -1: no norm. */
static pm_tensor *norm(const pm_model_def *def, pm_graph *g, pm_tensor *x, int32_t weight)
{
    const glm4_model *m = def->own;
    return weight < 0 ? x : pm_rms_norm(g, x, pm_def_tensor(def, g, weight), m->eps);
}

static pm_tensor *attention_block(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g,
                                  const pm_graph_io *io, int32_t l, pm_tensor *x)
{
    const glm4_model *m = def->own;
    const glm4_layer *layer = &m->layers[l];
    const pm_model_info *info = &def->info;
    pm_tensor *qkv[3], *h = norm(def, g, x, layer->attn_norm), *angles = pm_def_tensor(def, g, m->rope_table);
    for (int i = 0; i < 3; i++) {
        int32_t n_heads = i == 0 ? info->n_heads : info->n_kv_heads;
        qkv[i] = pm_decoder_heads(def, g, h, layer->w[i], layer->b[i], -1, n_heads, m->eps);
        if (i < 2)
            qkv[i] = pm_rope(g, qkv[i], io->positions, angles, m->n_rot, true);
    }
    const pm_attention_args how = {.scale = 1.0f / sqrtf((float)info->head_dim)};
    pm_tensor *heads = pm_def_attend(def, shape, g, io, PM_CACHE_SELF, l, qkv[0], qkv[1], qkv[2], NULL, how);
    return pm_add(g, x, norm(def, g, pm_def_linear(def, g, layer->wo, -1, heads), layer->post_attn_norm));
}

static pm_tensor *feed_forward_block(const pm_model_def *def, pm_graph *g, int32_t l, pm_tensor *x)
{
    const glm4_layer *layer = &((const glm4_model *)def->own)->layers[l];
    pm_tensor *h = norm(def, g, x, layer->ffn_norm);
    h = pm_swiglu(g, pm_def_linear(def, g, layer->gate, -1, h), pm_def_linear(def, g, layer->up, -1, h));
    return pm_add(g, x, norm(def, g, pm_def_linear(def, g, layer->down, -1, h), layer->post_ffn_norm));
}

static pm_status glm4_build(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io,
                            pm_error *err)
{
    const glm4_model *m = def->own;
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
    pm_tensor *last = norm(def, g, pm_embedding(g, x, io->out_rows), m->output_norm);
    pm_decoder_outputs(def, shape, g, last, m->output, 0.0f, io);
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
    {"rope_parameters.rope_theta|rope_theta", "rope.freq_base", PM_GGUF_FLOAT32, true},
    {0},
};

static const pm_hf_tensor hf_tensors[] = {
    {"embed_tokens.weight", "token_embd.weight", 0},
    {"norm.weight", "output_norm.weight", 0},
    {"lm_head.weight", "output.weight", PM_HF_UNLESS_TIED},
    {"layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight", 0},
    {"layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", 0},
    {"layers.%d.post_self_attn_layernorm.weight", "blk.%d.post_attention_norm.weight", 0},
    {"layers.%d.post_mlp_layernorm.weight", "blk.%d.post_ffw_norm.weight", 0},
    {"layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight", 0},
    {"layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight", 0},
    {"layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight", 0},
    {"layers.%d.self_attn.q_proj.bias", "blk.%d.attn_q.bias", 0},
    {"layers.%d.self_attn.k_proj.bias", "blk.%d.attn_k.bias", 0},
    {"layers.%d.self_attn.v_proj.bias", "blk.%d.attn_v.bias", 0},
    {"layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight", 0},
    {"layers.%d.mlp.gate_up_proj.weight", "blk.%d.ffn_up.weight", 0},
    {"layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight", 0},
    {0},
};

static pm_status import_config(pm_hf_importing *import, pm_error *err)
{
    char key[128];
    double hidden, head_dim, share;
    PM_TRY(pm_hf_number(import, "hidden_size", 1, 1 << 17, 0, &hidden, err));
    PM_TRY(pm_hf_number(import, "head_dim", 1, 512, hidden / (double)(import->n_heads ? import->n_heads : 1),
                        &head_dim, err));
    PM_TRY(pm_hf_number(import, "rope_parameters.partial_rotary_factor|partial_rotary_factor", 0.01, 1, 0.5,
                        &share, err));
    pm_gguf_writer_u32(import->metadata, pm_hf_gguf_key(import, "rope.dimension_count", key, sizeof key),
                       (uint32_t)(head_dim * share));
    return PM_OK;
}

static const pm_hf_import imports[] = {
    {"glm", "chatglm", hf_keys, hf_tensors, import_config, "model."},
    {"glm4", "glm4", hf_keys, hf_tensors, import_config, "model."},
    {0},
};

const pm_family pm_family_glm4 = {
    .name = "glm4", .architectures = architectures, .load = glm4_load, .build = glm4_build, .imports = imports};
