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
 * What differs between LLaMA 1 to 3, SmolLM2, Mistral, Qwen2 and Qwen3 is read from the file: biases, QK-norm, tied
 * output, head sizes, RoPE scaling, sliding window; only the pairing of RoPE goes by the name of the architecture.
 * Sources: Touvron et al. 2023, arXiv:2302.13971; Jiang et al. 2023 (Mistral), arXiv:2310.06825; Qwen2 technical
 * report, arXiv:2407.10671; Qwen3 technical report, arXiv:2505.09388; key names: the GGUF specification. */
#include "models/families.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "models/hf_import.h"

typedef struct llama_layer {
    int32_t attn_norm, wq, wk, wv, wo;
    int32_t bq, bk, bv, bo;  /* -1: none */
    int32_t q_norm, k_norm;  /* -1: none */
    int32_t ffn_norm, gate, up, down;
} llama_layer;

typedef struct llama_model {
    float eps;
    int32_t n_rot, window;
    bool interleaved;
    int32_t embedding, output_norm, output, rope_table;
    llama_layer *layers;
} llama_model;

/* RoPE's pairing per architecture: LLaMA files keep Meta's interleaved pairs, the others the halves of GPT-NeoX. */
static const char *const architectures[] = {"llama", "qwen2", "qwen3", NULL};

static pm_status refuse(const pm_model_def *def, const char *suffix, const char *what, pm_error *err)
{
    char key[128];
    if (!pm_gguf_find(def->file, pm_def_key(def, suffix, key, sizeof key)))
        return PM_OK;
    int64_t value = 0;
    if (pm_gguf_get_i64(def->file, key, &value, NULL) == PM_OK && value == 0)
        return PM_OK;
    return pm_fail(err, PM_ERR_UNSUPPORTED, "%s: key '%s': pumice does not run %s yet", pm_gguf_path(def->file), key,
                   what);
}

/* head_count_kv may be an array with one entry a layer; the graph needs the same number in each. */
static pm_status read_kv_heads(pm_model_def *def, pm_error *err)
{
    char key[128];
    const pm_gguf_entry *entry = pm_gguf_find(def->file, pm_def_key(def, "attention.head_count_kv", key, sizeof key));
    if (!entry || entry->type != PM_GGUF_ARRAY)
        return pm_def_i32(def, "attention.head_count_kv", 1, def->info.n_heads, true, &def->info.n_kv_heads, err);
    for (uint64_t i = 0; i < entry->count; i++) {
        int64_t value;
        PM_TRY(pm_gguf_elem_i64(def->file, entry, i, &value, err));
        if (value < 1 || value > def->info.n_heads || (i > 0 && value != def->info.n_kv_heads))
            return pm_fail(err, PM_ERR_UNSUPPORTED,
                           "%s: key '%s': element %llu is %lld; pumice needs the same number, from 1 to %d, for all layers",
                           pm_gguf_path(def->file), key, (unsigned long long)i, (long long)value, def->info.n_heads);
        def->info.n_kv_heads = (int32_t)value;
    }
    return PM_OK;
}

static pm_status read_sizes(pm_model_def *def, llama_model *m, pm_error *err)
{
    pm_model_info *info = &def->info;
    PM_TRY(refuse(def, "expert_count", "mixtures of experts", err));
    PM_TRY(pm_def_i32(def, "block_count", 1, 1024, false, &info->n_layers, err));
    PM_TRY(pm_def_i32(def, "embedding_length", 1, 1 << 17, false, &info->n_embd, err));
    PM_TRY(pm_def_i32(def, "feed_forward_length", 1, 1 << 20, false, &info->n_ff, err));
    PM_TRY(pm_def_i32(def, "context_length", 1, 1 << 24, false, &info->n_ctx_train, err));
    PM_TRY(pm_def_i32(def, "attention.head_count", 1, 1 << 12, false, &info->n_heads, err));
    info->n_kv_heads = info->n_heads;
    PM_TRY(read_kv_heads(def, err));
    if (info->n_heads % info->n_kv_heads)
        return pm_fail(err, PM_ERR_FORMAT, "%s: %d attention heads cannot share %d key/value heads evenly",
                       pm_gguf_path(def->file), info->n_heads, info->n_kv_heads);

    int32_t value_length = info->head_dim = info->n_embd / info->n_heads;
    PM_TRY(pm_def_i32(def, "attention.key_length", 1, 512, true, &info->head_dim, err));
    PM_TRY(pm_def_i32(def, "attention.value_length", 1, 512, true, &value_length, err));
    if (info->head_dim < 1 || info->head_dim > 512 || value_length != info->head_dim)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "%s: heads of %d key and %d value dimensions; pumice needs equal ones from 1 to 512",
                       pm_gguf_path(def->file), info->head_dim, value_length);

    m->eps = 1e-5f;
    PM_TRY(pm_def_f32(def, "attention.layer_norm_rms_epsilon", 0.0f, 1.0f, false, &m->eps, err));
    PM_TRY(pm_def_i32(def, "attention.sliding_window", 0, INT32_MAX, true, &m->window, err));
    if (strcmp(info->architecture, "llama") != 0)
        m->window = 0; /* Qwen files carry the key, but the models attend to everything */
    m->n_rot = info->head_dim;
    PM_TRY(pm_def_i32(def, "rope.dimension_count", 2, info->head_dim, true, &m->n_rot, err));
    if (m->n_rot % 2)
        return pm_fail(err, PM_ERR_FORMAT, "%s: RoPE turns pairs, but rope.dimension_count is %d",
                       pm_gguf_path(def->file), m->n_rot);
    m->interleaved = strcmp(info->architecture, "llama") == 0;
    return PM_OK;
}

static pm_status read_rope_scaling(const pm_model_def *def, pm_rope_scaling *s, pm_error *err)
{
    char key[128];
    pm_str type = {"none", 4};
    pm_status status = pm_gguf_get_str(def->file, pm_def_key(def, "rope.scaling.type", key, sizeof key), &type, err);
    if (status != PM_OK && status != PM_ERR_NOT_FOUND)
        return status;
    PM_TRY(pm_def_f32(def, "rope.scale_linear", 1e-3f, 1e6f, true, &s->factor, err)); /* files before 2024 */
    PM_TRY(pm_def_f32(def, "rope.scaling.factor", 1e-3f, 1e6f, true, &s->factor, err));
    PM_TRY(pm_def_i32(def, "rope.scaling.original_context_length", 1, 1 << 24, true, &s->n_ctx_original, err));
    PM_TRY(pm_def_f32(def, "rope.scaling.attn_factor", 1e-3f, 1e3f, true, &s->attn_factor, err));
    if (type.size == 4 && memcmp(type.data, "yarn", 4) == 0)
        s->form = PM_ROPE_YARN;
    else if (type.size == 6 && memcmp(type.data, "linear", 6) == 0)
        s->form = PM_ROPE_LINEAR;
    else if (type.size == 4 && memcmp(type.data, "none", 4) == 0)
        s->form = status == PM_ERR_NOT_FOUND && s->factor != 1.0f ? PM_ROPE_LINEAR : PM_ROPE_NONE;
    else
        return pm_fail(err, PM_ERR_UNSUPPORTED, "%s: key '%s' is '%.*s'; pumice knows none, linear and yarn",
                       pm_gguf_path(def->file), key, (int)(type.size < 32 ? type.size : 32), type.data);
    return PM_OK;
}

/* The angle table of RoPE, for up to four times the context that the model was trained on. */
static pm_status load_rope(pm_model_def *def, llama_model *m, pm_error *err)
{
    pm_rope_scaling scaling = {.n_rot = m->n_rot, .base = 10000.0f, .factor = 1.0f, .attn_factor = 1.0f,
                               .n_ctx_original = def->info.n_ctx_train, .beta_fast = 32.0f, .beta_slow = 1.0f};
    PM_TRY(pm_def_f32(def, "rope.freq_base", 1.0f, 1e12f, true, &scaling.base, err));
    PM_TRY(read_rope_scaling(def, &scaling, err));
    const pm_gguf_tensor *factors = pm_gguf_find_tensor(def->file, "rope_freqs.weight");
    if (factors) {
        if (factors->type != PM_TYPE_F32 || factors->n_dims != 1 || factors->dim[0] != m->n_rot / 2)
            return pm_fail(err, PM_ERR_FORMAT, "%s: tensor 'rope_freqs.weight' must be F32 of %d values",
                           pm_gguf_path(def->file), m->n_rot / 2);
        scaling.freq_factors = factors->data;
    }
    int64_t max_position = (int64_t)def->info.n_ctx_train * 4;
    if (max_position > 1 << 22)
        max_position = def->info.n_ctx_train > 1 << 22 ? def->info.n_ctx_train : 1 << 22;
    float *table;
    int64_t dims[3];
    PM_TRY(pm_rope_table(&scaling, max_position, &table, dims, err));
    size_t bytes = sizeof(float) * (size_t)(dims[0] * dims[1] * dims[2]);
    float *kept = pm_arena_alloc(&def->arena, bytes);
    if (kept)
        memcpy(kept, table, bytes);
    free(table);
    if (!kept)
        return pm_fail_memory(err, bytes, "the RoPE table");
    def->n_ctx_max = (int32_t)max_position;
    return pm_def_table(def, "rope_table", 3, dims, kept, &m->rope_table, err);
}

typedef struct layer_tensor {
    const char *suffix;
    int64_t k, n; /* n 0: one dimension */
    bool optional;
    int32_t *slot;
} layer_tensor;

static pm_status load_layer(pm_model_def *def, int32_t l, llama_layer *layer, pm_error *err)
{
    const pm_model_info *info = &def->info;
    const int64_t c = info->n_embd, d = info->head_dim, ff = info->n_ff;
    const int64_t q = d * info->n_heads, kv = d * info->n_kv_heads;
    const layer_tensor tensors[] = {
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
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        const layer_tensor *t = &tensors[i];
        char name[64];
        snprintf(name, sizeof name, "blk.%d.%s", l, t->suffix);
        const int64_t dims[2] = {t->k, t->n};
        PM_TRY(pm_def_weight(def, name, t->n ? 2 : 1, dims, t->optional, t->slot, err));
    }
    return PM_OK;
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
    return load_rope(def, m, err);
}

/* A projection of h split into heads: [C, T] -> [D, heads, T], with its norm over each head where it has one. */
static pm_tensor *project_heads(const pm_model_def *def, pm_graph *g, const pm_tensor *h, int32_t weight,
                                int32_t bias, int32_t norm, int32_t n_heads, float eps)
{
    pm_tensor *y = pm_matmul(g, pm_def_tensor(def, g, weight), h, pm_def_tensor(def, g, bias), NULL);
    const int64_t dims[3] = {def->info.head_dim, n_heads, h ? h->dim[1] : 0};
    y = pm_reshape(g, y, 3, dims);
    return norm < 0 ? y : pm_rms_norm(g, y, pm_def_tensor(def, g, norm), eps);
}

static pm_tensor *attention_block(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g,
                                  const pm_graph_io *io, int32_t l, pm_tensor *x)
{
    const llama_model *m = def->own;
    const llama_layer *layer = &m->layers[l];
    const pm_model_info *info = &def->info;
    pm_tensor *h = pm_rms_norm(g, x, pm_def_tensor(def, g, layer->attn_norm), m->eps);
    pm_tensor *q = project_heads(def, g, h, layer->wq, layer->bq, layer->q_norm, info->n_heads, m->eps);
    pm_tensor *k = project_heads(def, g, h, layer->wk, layer->bk, layer->k_norm, info->n_kv_heads, m->eps);
    pm_tensor *v = project_heads(def, g, h, layer->wv, layer->bv, -1, info->n_kv_heads, m->eps);
    pm_tensor *angles = pm_def_tensor(def, g, m->rope_table);
    q = pm_rope(g, q, io->positions, angles, m->n_rot, m->interleaved);
    k = pm_rope(g, k, io->positions, angles, m->n_rot, m->interleaved);
    pm_tensor *keys = pm_kv_store(g, pm_def_k_cache(def, shape, g, PM_CACHE_SELF, l), k, io->positions);
    pm_tensor *values = pm_kv_store(g, pm_def_v_cache(def, shape, g, PM_CACHE_SELF, l), v, io->positions);
    const pm_attention_args how = {.scale = 1.0f / sqrtf((float)info->head_dim), .window = m->window};
    pm_tensor *heads = pm_attention(g, q, keys, values, io->positions, NULL, how);
    const int64_t flat[2] = {(int64_t)info->head_dim * info->n_heads, shape->n_tokens};
    return pm_add(g, x, pm_matmul(g, pm_def_tensor(def, g, layer->wo), pm_reshape(g, heads, 2, flat),
                                  pm_def_tensor(def, g, layer->bo), NULL));
}

static pm_tensor *feed_forward_block(const pm_model_def *def, pm_graph *g, int32_t l, pm_tensor *x)
{
    const llama_model *m = def->own;
    const llama_layer *layer = &m->layers[l];
    pm_tensor *h = pm_rms_norm(g, x, pm_def_tensor(def, g, layer->ffn_norm), m->eps);
    pm_tensor *gate = pm_matmul(g, pm_def_tensor(def, g, layer->gate), h, NULL, NULL);
    pm_tensor *up = pm_matmul(g, pm_def_tensor(def, g, layer->up), h, NULL, NULL);
    return pm_add(g, x, pm_matmul(g, pm_def_tensor(def, g, layer->down), pm_swiglu(g, gate, up), NULL, NULL));
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
    if (shape->head == PM_HEAD_HIDDEN)
        pm_def_result(g, last, io);
    else
        pm_def_outputs(shape, g, pm_matmul(g, pm_def_tensor(def, g, m->output), last, NULL, NULL), io);
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
