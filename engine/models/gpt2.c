/* The GPT-2 family: decoder-only, pre-norm LayerNorm, learned positions, GELU, biases everywhere.
 *
 * For tokens at positions p, with x the residual stream [C, T]:
 *     x = embedding(tokens) + position_embedding(p)
 *     for each layer:
 *         h = layer_norm(x);  q, k, v = W_qkv h + b;  caches[p] = k, v
 *         x = x + W_o attention(q, caches) + b
 *         h = layer_norm(x);  x = x + W_down gelu(W_up h + b) + b
 *     logits = W_out layer_norm(x)          W_out is the embedding table itself where the file has no
 * output.weight
 *
 * Sources: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; names: the GGUF
 * specification. */
#include "models/families.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "models/decoder_only.h"
#include "models/hf_import.h"

typedef struct gpt2_layer {
    int32_t attn_norm, attn_norm_bias, w[3], b[3], wo, bo; /* w, b: of q, k, v */
    int32_t ffn_norm, ffn_norm_bias, up, up_bias, down, down_bias;
} gpt2_layer;

typedef struct gpt2_model {
    float eps;
    int32_t embedding, positions, output_norm, output_norm_bias, output;
    gpt2_layer *layers;
} gpt2_model;

static const char *const architectures[] = {"gpt2", NULL};

static pm_status load_layer(pm_model_def *def, int32_t l, gpt2_layer *layer, pm_error *err)
{
    const int64_t c = def->info.n_embd, ff = def->info.n_ff;
    const pm_def_wanted wanted[] = {
        {"attn_norm.weight", c, 0, false, &layer->attn_norm},
        {"attn_norm.bias", c, 0, false, &layer->attn_norm_bias},
        {"attn_output.weight", c, c, false, &layer->wo},
        {"attn_output.bias", c, 0, false, &layer->bo},
        {"ffn_norm.weight", c, 0, false, &layer->ffn_norm},
        {"ffn_norm.bias", c, 0, false, &layer->ffn_norm_bias},
        {"ffn_up.weight", c, ff, false, &layer->up},
        {"ffn_up.bias", ff, 0, false, &layer->up_bias},
        {"ffn_down.weight", ff, c, false, &layer->down},
        {"ffn_down.bias", c, 0, false, &layer->down_bias},
    };
    char name[40];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "blk.%d.attn_qkv.weight", l);
        PM_TRY(pm_def_weight_rows(def, name, (pm_def_rows){2, c, i * c, c, 3 * c}, false, &layer->w[i], err));
        snprintf(name, sizeof name, "blk.%d.attn_qkv.bias", l);
        PM_TRY(pm_def_weight_rows(def, name, (pm_def_rows){1, 1, i * c, c, 3 * c}, false, &layer->b[i], err));
    }
    snprintf(name, sizeof name, "blk.%d.", l);
    return pm_def_weights(def, name, wanted, sizeof wanted / sizeof wanted[0], err);
}

static pm_status gpt2_load(pm_model_def *def, pm_error *err)
{
    const pm_model_info *info = &def->info;
    gpt2_model *m = pm_arena_alloc(&def->arena, sizeof *m);
    if (!m)
        return pm_fail_memory(err, sizeof *m, "a model description");
    def->own = m;
    PM_TRY(pm_decoder_sizes(def, err));
    PM_TRY(pm_def_f32(def, "attention.layer_norm_epsilon", 0.0f, 1.0f, false, &m->eps, err));
    PM_TRY(pm_def_vocab_size(def, err));
    def->n_ctx_max = info->n_ctx_train;
    m->layers = pm_arena_alloc(&def->arena, sizeof *m->layers * (size_t)info->n_layers);
    if (!m->layers)
        return pm_fail_memory(err, sizeof *m->layers * (size_t)info->n_layers, "the layers' descriptions");
    const pm_def_wanted wanted[] = {
        {"token_embd.weight", info->n_embd, info->n_vocab, false, &m->embedding},
        {"position_embd.weight", info->n_embd, info->n_ctx_train, false, &m->positions},
        {"output_norm.weight", info->n_embd, 0, false, &m->output_norm},
        {"output_norm.bias", info->n_embd, 0, false, &m->output_norm_bias},
        {"output.weight", info->n_embd, info->n_vocab, true, &m->output},
    };
    PM_TRY(pm_def_weights(def, "", wanted, sizeof wanted / sizeof wanted[0], err));
    if (m->output < 0)
        m->output = m->embedding;
    for (int32_t l = 0; l < info->n_layers; l++)
        PM_TRY(load_layer(def, l, &m->layers[l], err));
    return PM_OK;
}

static pm_tensor *norm(const pm_model_def *def, pm_graph *g, pm_tensor *x, int32_t weight, int32_t bias)
{
    const gpt2_model *m = def->own;
    return pm_layer_norm(g, x, pm_def_tensor(def, g, weight), pm_def_tensor(def, g, bias), m->eps);
}

static pm_tensor *decoder_layer(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g,
                                const pm_graph_io *io, int32_t l, pm_tensor *x)
{
    const gpt2_layer *layer = &((const gpt2_model *)def->own)->layers[l];
    pm_tensor *qkv[3], *h = norm(def, g, x, layer->attn_norm, layer->attn_norm_bias);
    for (int i = 0; i < 3; i++)
        qkv[i] = pm_def_linear(def, g, layer->w[i], layer->b[i], h);
    const pm_attention_args how = {.scale = 1.0f / sqrtf((float)def->info.head_dim)};
    pm_tensor *heads = pm_def_attend(def, shape, g, io, PM_CACHE_SELF, l, qkv[0], qkv[1], qkv[2], NULL, how);
    x = pm_add(g, x, pm_def_linear(def, g, layer->wo, layer->bo, heads));
    h = norm(def, g, x, layer->ffn_norm, layer->ffn_norm_bias);
    h = pm_gelu(g, pm_def_linear(def, g, layer->up, layer->up_bias, h), PM_GELU_TANH);
    return pm_add(g, x, pm_def_linear(def, g, layer->down, layer->down_bias, h));
}

static pm_status gpt2_build(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io,
                            pm_error *err)
{
    const gpt2_model *m = def->own;
    char prefix[24];
    pm_def_inputs(def, shape, g, io);
    pm_tensor *x = pm_embedding(g, pm_def_tensor(def, g, m->embedding), io->tokens);
    x = pm_add(g, x, pm_embedding(g, pm_def_tensor(def, g, m->positions), io->positions));
    pm_def_layer_output(def, shape, g, 0, x, io);
    for (int32_t l = 0; l < def->info.n_layers; l++) {
        snprintf(prefix, sizeof prefix, "blk.%d.", l);
        g->prefix = prefix;
        x = decoder_layer(def, shape, g, io, l, x);
        pm_def_layer_output(def, shape, g, l + 1, x, io);
    }
    g->prefix = NULL;
    pm_tensor *last = norm(def, g, pm_embedding(g, x, io->out_rows), m->output_norm, m->output_norm_bias);
    pm_decoder_outputs(def, shape, g, last, m->output, 0.0f, io);
    return pm_graph_status(g, err);
}

/* ---- Hugging Face's form: Conv1D keeps its matrices as [in, out] ---- */

static const pm_hf_key hf_keys[] = {
    {"n_positions", "context_length", PM_GGUF_UINT32, false},
    {"n_embd", "embedding_length", PM_GGUF_UINT32, false},
    {"n_layer", "block_count", PM_GGUF_UINT32, false},
    {"n_head", "attention.head_count", PM_GGUF_UINT32, false},
    {"layer_norm_epsilon", "attention.layer_norm_epsilon", PM_GGUF_FLOAT32, false},
    {0},
};

static const pm_hf_tensor hf_tensors[] = {
    {"wte.weight", "token_embd.weight", 0},
    {"wpe.weight", "position_embd.weight", 0},
    {"ln_f.weight", "output_norm.weight", 0},
    {"ln_f.bias", "output_norm.bias", 0},
    {"lm_head.weight", "output.weight", PM_HF_UNLESS_TIED},
    {"h.%d.ln_1.weight", "blk.%d.attn_norm.weight", 0},
    {"h.%d.ln_1.bias", "blk.%d.attn_norm.bias", 0},
    {"h.%d.attn.c_attn.weight", "blk.%d.attn_qkv.weight", PM_HF_TRANSPOSE},
    {"h.%d.attn.c_attn.bias", "blk.%d.attn_qkv.bias", 0},
    {"h.%d.attn.c_proj.weight", "blk.%d.attn_output.weight", PM_HF_TRANSPOSE},
    {"h.%d.attn.c_proj.bias", "blk.%d.attn_output.bias", 0},
    {"h.%d.attn.bias", NULL, 0}, /* the causal mask */
    {"h.%d.attn.masked_bias", NULL, 0},
    {"h.%d.ln_2.weight", "blk.%d.ffn_norm.weight", 0},
    {"h.%d.ln_2.bias", "blk.%d.ffn_norm.bias", 0},
    {"h.%d.mlp.c_fc.weight", "blk.%d.ffn_up.weight", PM_HF_TRANSPOSE},
    {"h.%d.mlp.c_fc.bias", "blk.%d.ffn_up.bias", 0},
    {"h.%d.mlp.c_proj.weight", "blk.%d.ffn_down.weight", PM_HF_TRANSPOSE},
    {"h.%d.mlp.c_proj.bias", "blk.%d.ffn_down.bias", 0},
    {0},
};

static pm_status import_config(pm_hf_importing *import, pm_error *err)
{
    char key[128];
    double n_embd, n_inner;
    PM_TRY(pm_hf_number(import, "n_embd", 1, 1 << 17, 768, &n_embd, err));
    PM_TRY(pm_hf_number(import, "n_inner", 1, 1 << 20, 4 * n_embd, &n_inner, err));
    pm_gguf_writer_u32(import->metadata, pm_hf_gguf_key(import, "feed_forward_length", key, sizeof key),
                       (uint32_t)n_inner);
    const json_t *act = pm_hf_config(import, "activation_function");
    if (json_is_string(act) && strcmp(json_string_value(act), "gelu_new") != 0)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "%s/config.json: activation_function '%.40s'; pumice knows gelu_new", import->path,
                       json_string_value(act));
    return PM_OK;
}

static const pm_hf_import imports[] = {
    {"gpt2", "gpt2", hf_keys, hf_tensors, import_config, "transformer."},
    {0},
};

const pm_family pm_family_gpt2 = {
    .name = "gpt2", .architectures = architectures, .load = gpt2_load, .build = gpt2_build, .imports = imports};
