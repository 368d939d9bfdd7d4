/* The BERT family: encoder-only, post-norm LayerNorm, GELU, learned positions, segments.
 *
 * For the tokens of a sequence at positions p in segments s, with x [C, T]:
 *     x = layer_norm(embedding(tokens) + segment_embedding(s) + position_embedding(p))
 *     for each layer:
 *         x = layer_norm(x + W_o attention(W_q x, W_k x, W_v x))      every token sees every token of its sequence
 *         x = layer_norm(x + W_2 gelu(W_1 x))                         all of them with biases
 *     masked token:   logits = E layer_norm(gelu(W_m x)) + b          E is the embedding table where the file has
 * no other next sentence:  logits = W_n tanh(W_p x_first)
 *
 * RoBERTa is the same with one segment or none, and positions that its table counts from pad_token_id + 1.
 * Sources: Devlin et al. 2018, arXiv:1810.04805; Liu et al. 2019 (RoBERTa), arXiv:1907.11692; names: the GGUF
 * specification, and ours for the heads, of which it has none. */
#include "models/families.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "models/hf_import.h"

typedef struct bert_layer {
    int32_t wq, bq, wk, bk, wv, bv, wo, bo, attn_norm, attn_norm_bias;
    int32_t up, up_bias, down, down_bias, norm, norm_bias;
} bert_layer;

typedef struct bert_model {
    float eps;
    pm_gelu_form gelu;
    int32_t embedding, segments, positions, norm, norm_bias;
    int32_t masked, masked_bias, masked_norm, masked_norm_bias, output, output_bias; /* -1: no such head */
    int32_t pooler, pooler_bias, next, next_bias;
    bert_layer *layers;
} bert_model;

static const char *const architectures[] = {"bert", NULL};

/* ---- Reading ---- */

static pm_status read_sizes(pm_model_def *def, bert_model *m, pm_error *err)
{
    pm_model_info *info = &def->info;
    PM_TRY(pm_def_i32(def, "block_count", 1, 1024, false, &info->n_layers, err));
    PM_TRY(pm_def_i32(def, "embedding_length", 1, 1 << 17, false, &info->n_embd, err));
    PM_TRY(pm_def_i32(def, "feed_forward_length", 1, 1 << 20, false, &info->n_ff, err));
    PM_TRY(pm_def_i32(def, "context_length", 1, 1 << 20, false, &info->n_ctx_train, err));
    PM_TRY(pm_def_i32(def, "attention.head_count", 1, 1 << 12, false, &info->n_heads, err));
    PM_TRY(pm_def_f32(def, "attention.layer_norm_epsilon", 0.0f, 1.0f, false, &m->eps, err));
    int32_t by_tanh = 0;
    PM_TRY(pm_def_i32(def, "gelu_tanh", 0, 1, true, &by_tanh, err));
    m->gelu = by_tanh ? PM_GELU_TANH : PM_GELU_ERF;
    info->n_kv_heads = info->n_heads;
    info->head_dim = info->n_embd / info->n_heads;
    def->n_ctx_max = info->n_ctx_train;
    if (info->n_embd % info->n_heads || info->head_dim > 512)
        return pm_fail(err, PM_ERR_UNSUPPORTED, "%s: %d values cannot be shared by %d heads of at most 512",
                       pm_gguf_path(def->file), info->n_embd, info->n_heads);
    PM_TRY(pm_def_vocab_size(def, err));
    const pm_gguf_tensor *segments = pm_gguf_find_tensor(def->file, "token_types.weight");
    info->n_types = segments && segments->dim[1] < 1 << 16 ? (int32_t)segments->dim[1] : segments ? 1 << 16 : 1;
    return PM_OK;
}

static pm_status load_embeddings(pm_model_def *def, bert_model *m, pm_error *err)
{
    const pm_model_info *info = &def->info;
    const int64_t c = info->n_embd;
    const pm_def_wanted wanted[] = {
        {"token_embd.weight", c, info->n_vocab, false, &m->embedding},
        {"token_types.weight", c, info->n_types, true, &m->segments},
        {"position_embd.weight", c, info->n_ctx_train, false, &m->positions},
        {"token_embd_norm.weight", c, 0, false, &m->norm},
        {"token_embd_norm.bias", c, 0, false, &m->norm_bias},
    };
    return pm_def_weights(def, "", wanted, sizeof wanted / sizeof wanted[0], err);
}

static pm_status load_layer(pm_model_def *def, int32_t l, bert_layer *layer, pm_error *err)
{
    const int64_t c = def->info.n_embd, ff = def->info.n_ff;
    const pm_def_wanted wanted[] = {
        {"attn_q.weight", c, c, false, &layer->wq},
        {"attn_q.bias", c, 0, false, &layer->bq},
        {"attn_k.weight", c, c, false, &layer->wk},
        {"attn_k.bias", c, 0, false, &layer->bk},
        {"attn_v.weight", c, c, false, &layer->wv},
        {"attn_v.bias", c, 0, false, &layer->bv},
        {"attn_output.weight", c, c, false, &layer->wo},
        {"attn_output.bias", c, 0, false, &layer->bo},
        {"attn_output_norm.weight", c, 0, false, &layer->attn_norm},
        {"attn_output_norm.bias", c, 0, false, &layer->attn_norm_bias},
        {"ffn_up.weight", c, ff, false, &layer->up},
        {"ffn_up.bias", ff, 0, false, &layer->up_bias},
        {"ffn_down.weight", ff, c, false, &layer->down},
        {"ffn_down.bias", c, 0, false, &layer->down_bias},
        {"layer_output_norm.weight", c, 0, false, &layer->norm},
        {"layer_output_norm.bias", c, 0, false, &layer->norm_bias},
    };
    char prefix[24];
    snprintf(prefix, sizeof prefix, "blk.%d.", l);
    return pm_def_weights(def, prefix, wanted, sizeof wanted / sizeof wanted[0], err);
}

/* A head is there when its own matrix is; then all of it must be. */
static pm_status load_heads(pm_model_def *def, bert_model *m, pm_error *err)
{
    const int64_t c = def->info.n_embd, v = def->info.n_vocab;
    bool masked = pm_gguf_find_tensor(def->file, "masked.weight") != NULL;
    bool next = pm_gguf_find_tensor(def->file, "next.weight") != NULL;
    const pm_def_wanted wanted[] = {
        {"masked.weight", c, c, !masked, &m->masked},
        {"masked.bias", c, 0, !masked, &m->masked_bias},
        {"masked_norm.weight", c, 0, !masked, &m->masked_norm},
        {"masked_norm.bias", c, 0, !masked, &m->masked_norm_bias},
        {"output.weight", c, v, true, &m->output},
        {"output.bias", v, 0, !masked, &m->output_bias},
        {"cls.weight", c, c, !next, &m->pooler},
        {"cls.bias", c, 0, !next, &m->pooler_bias},
        {"next.weight", c, 2, !next, &m->next},
        {"next.bias", 2, 0, !next, &m->next_bias},
    };
    PM_TRY(pm_def_weights(def, "", wanted, sizeof wanted / sizeof wanted[0], err));
    if (m->output < 0)
        m->output = m->embedding;
    def->heads = (masked ? 1u << PM_HEAD_LOGITS : 0) | (next ? 1u << PM_HEAD_PAIR : 0);
    return PM_OK;
}

static pm_status bert_load(pm_model_def *def, pm_error *err)
{
    bert_model *m = pm_arena_alloc(&def->arena, sizeof *m);
    if (!m)
        return pm_fail_memory(err, sizeof *m, "a model description");
    def->own = m;
    PM_TRY(read_sizes(def, m, err));
    m->layers = pm_arena_alloc(&def->arena, sizeof *m->layers * (size_t)def->info.n_layers);
    if (!m->layers)
        return pm_fail_memory(err, sizeof *m->layers * (size_t)def->info.n_layers, "the layers' descriptions");
    PM_TRY(load_embeddings(def, m, err));
    for (int32_t l = 0; l < def->info.n_layers; l++)
        PM_TRY(load_layer(def, l, &m->layers[l], err));
    return load_heads(def, m, err);
}

/* ---- The graph ---- */

static pm_tensor *norm(const pm_model_def *def, pm_graph *g, pm_tensor *x, int32_t weight, int32_t bias)
{
    const bert_model *m = def->own;
    return pm_layer_norm(g, x, pm_def_tensor(def, g, weight), pm_def_tensor(def, g, bias), m->eps);
}

static pm_tensor *embed(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io)
{
    const bert_model *m = def->own;
    pm_tensor *x = pm_embedding(g, pm_def_tensor(def, g, m->embedding), io->tokens);
    if (m->segments >= 0)
        x = pm_add(g, x, pm_embedding(g, pm_def_tensor(def, g, m->segments), pm_def_types(shape, g, io)));
    x = pm_add(g, x, pm_embedding(g, pm_def_tensor(def, g, m->positions), io->positions));
    return norm(def, g, x, m->norm, m->norm_bias);
}

static pm_tensor *encoder_layer(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g,
                                const pm_graph_io *io, int32_t l, pm_tensor *x)
{
    const bert_model *m = def->own;
    const bert_layer *layer = &m->layers[l];
    pm_tensor *q = pm_def_linear(def, g, layer->wq, layer->bq, x);
    pm_tensor *k = pm_def_linear(def, g, layer->wk, layer->bk, x);
    pm_tensor *v = pm_def_linear(def, g, layer->wv, layer->bv, x);
    const pm_attention_args how = {.scale = 1.0f / sqrtf((float)def->info.head_dim)};
    pm_tensor *heads = pm_def_attend(def, shape, g, io, PM_CACHE_ENCODER, l, q, k, v, NULL, how);
    x = pm_add(g, x, pm_def_linear(def, g, layer->wo, layer->bo, heads));
    x = norm(def, g, x, layer->attn_norm, layer->attn_norm_bias);
    pm_tensor *h = pm_gelu(g, pm_def_linear(def, g, layer->up, layer->up_bias, x), m->gelu);
    x = pm_add(g, x, pm_def_linear(def, g, layer->down, layer->down_bias, h));
    return norm(def, g, x, layer->norm, layer->norm_bias);
}

static pm_tensor *masked_logits(const pm_model_def *def, pm_graph *g, pm_tensor *x)
{
    const bert_model *m = def->own;
    pm_tensor *h = pm_gelu(g, pm_def_linear(def, g, m->masked, m->masked_bias, x), m->gelu);
    h = norm(def, g, h, m->masked_norm, m->masked_norm_bias);
    return pm_def_linear(def, g, m->output, m->output_bias, h);
}

static pm_tensor *next_sentence(const pm_model_def *def, pm_graph *g, pm_tensor *x)
{
    const bert_model *m = def->own;
    return pm_def_linear(def, g, m->next, m->next_bias,
                         pm_tanh(g, pm_def_linear(def, g, m->pooler, m->pooler_bias, x), 1.0f));
}

static pm_status bert_build(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io,
                            pm_error *err)
{
    char prefix[24];
    pm_def_inputs(def, shape, g, io);
    pm_tensor *x = embed(def, shape, g, io);
    pm_def_layer_output(def, shape, g, 0, x, io);
    for (int32_t l = 0; l < def->info.n_layers; l++) {
        snprintf(prefix, sizeof prefix, "blk.%d.", l);
        g->prefix = prefix;
        x = encoder_layer(def, shape, g, io, l, x);
        pm_def_layer_output(def, shape, g, l + 1, x, io);
    }
    g->prefix = NULL;
    if (shape->head != PM_HEAD_HIDDEN)
        x = pm_embedding(g, x, io->out_rows); /* only the rows whose result is wanted */
    pm_def_result(g,
                  shape->head == PM_HEAD_LOGITS ? masked_logits(def, g, x)
                  : shape->head == PM_HEAD_PAIR ? next_sentence(def, g, x)
                                                : x,
                  io);
    return pm_graph_status(g, err);
}

/* ---- Hugging Face's form ---- */

static const pm_hf_key hf_keys[] = {
    {"hidden_size", "embedding_length", PM_GGUF_UINT32, false},
    {"num_hidden_layers", "block_count", PM_GGUF_UINT32, false},
    {"intermediate_size", "feed_forward_length", PM_GGUF_UINT32, false},
    {"num_attention_heads", "attention.head_count", PM_GGUF_UINT32, false},
    {"layer_norm_eps", "attention.layer_norm_epsilon", PM_GGUF_FLOAT32, false},
    {0},
};

/* Files of the first years call the norms' weight and bias gamma and beta. */
static const pm_hf_tensor hf_tensors[] = {
    {"embeddings.word_embeddings.weight", "token_embd.weight", 0},
    {"embeddings.token_type_embeddings.weight", "token_types.weight", 0},
    {"embeddings.position_embeddings.weight", "position_embd.weight", PM_HF_SKIP_ROWS},
    {"embeddings.position_ids", NULL, 0},
    {"embeddings.LayerNorm.weight", "token_embd_norm.weight", 0},
    {"embeddings.LayerNorm.bias", "token_embd_norm.bias", 0},
    {"embeddings.LayerNorm.gamma", "token_embd_norm.weight", 0},
    {"embeddings.LayerNorm.beta", "token_embd_norm.bias", 0},
    {"encoder.layer.%d.attention.self.query.weight", "blk.%d.attn_q.weight", 0},
    {"encoder.layer.%d.attention.self.query.bias", "blk.%d.attn_q.bias", 0},
    {"encoder.layer.%d.attention.self.key.weight", "blk.%d.attn_k.weight", 0},
    {"encoder.layer.%d.attention.self.key.bias", "blk.%d.attn_k.bias", 0},
    {"encoder.layer.%d.attention.self.value.weight", "blk.%d.attn_v.weight", 0},
    {"encoder.layer.%d.attention.self.value.bias", "blk.%d.attn_v.bias", 0},
    {"encoder.layer.%d.attention.output.dense.weight", "blk.%d.attn_output.weight", 0},
    {"encoder.layer.%d.attention.output.dense.bias", "blk.%d.attn_output.bias", 0},
    {"encoder.layer.%d.attention.output.LayerNorm.weight", "blk.%d.attn_output_norm.weight", 0},
    {"encoder.layer.%d.attention.output.LayerNorm.bias", "blk.%d.attn_output_norm.bias", 0},
    {"encoder.layer.%d.attention.output.LayerNorm.gamma", "blk.%d.attn_output_norm.weight", 0},
    {"encoder.layer.%d.attention.output.LayerNorm.beta", "blk.%d.attn_output_norm.bias", 0},
    {"encoder.layer.%d.intermediate.dense.weight", "blk.%d.ffn_up.weight", 0},
    {"encoder.layer.%d.intermediate.dense.bias", "blk.%d.ffn_up.bias", 0},
    {"encoder.layer.%d.output.dense.weight", "blk.%d.ffn_down.weight", 0},
    {"encoder.layer.%d.output.dense.bias", "blk.%d.ffn_down.bias", 0},
    {"encoder.layer.%d.output.LayerNorm.weight", "blk.%d.layer_output_norm.weight", 0},
    {"encoder.layer.%d.output.LayerNorm.bias", "blk.%d.layer_output_norm.bias", 0},
    {"encoder.layer.%d.output.LayerNorm.gamma", "blk.%d.layer_output_norm.weight", 0},
    {"encoder.layer.%d.output.LayerNorm.beta", "blk.%d.layer_output_norm.bias", 0},
    {"pooler.dense.weight", "cls.weight", 0},
    {"pooler.dense.bias", "cls.bias", 0},
    {"cls.predictions.transform.dense.weight", "masked.weight", 0},
    {"cls.predictions.transform.dense.bias", "masked.bias", 0},
    {"cls.predictions.transform.LayerNorm.weight", "masked_norm.weight", 0},
    {"cls.predictions.transform.LayerNorm.bias", "masked_norm.bias", 0},
    {"cls.predictions.transform.LayerNorm.gamma", "masked_norm.weight", 0},
    {"cls.predictions.transform.LayerNorm.beta", "masked_norm.bias", 0},
    {"cls.predictions.bias", "output.bias", 0},
    {"cls.predictions.decoder.weight", "output.weight", PM_HF_UNLESS_TIED},
    {"cls.predictions.decoder.bias", NULL, 0},
    {"cls.seq_relationship.weight", "next.weight", 0},
    {"cls.seq_relationship.bias", "next.bias", 0},
    {"lm_head.dense.weight", "masked.weight", 0},
    {"lm_head.dense.bias", "masked.bias", 0},
    {"lm_head.layer_norm.weight", "masked_norm.weight", 0},
    {"lm_head.layer_norm.bias", "masked_norm.bias", 0},
    {"lm_head.bias", "output.bias", 0},
    {"lm_head.decoder.weight", "output.weight", PM_HF_UNLESS_TIED},
    {"lm_head.decoder.bias", NULL, 0},
    {0},
};

static pm_status import_config(pm_hf_importing *import, pm_error *err)
{
    char key[128];
    double n_positions;
    const json_t *value = pm_hf_config(import, "hidden_act");
    const char *name = json_is_string(value) ? json_string_value(value) : "gelu";
    bool by_tanh = strcmp(name, "gelu_new") == 0 || strcmp(name, "gelu_pytorch_tanh") == 0;
    if (!by_tanh && strcmp(name, "gelu") != 0)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "%s/config.json: hidden_act '%.40s'; pumice knows gelu, gelu_new and gelu_pytorch_tanh",
                       import->path, name);
    pm_gguf_writer_u32(import->metadata, pm_hf_gguf_key(import, "gelu_tanh", key, sizeof key), by_tanh);
    PM_TRY(pm_hf_number(import, "max_position_embeddings", 1, 1 << 20, 512, &n_positions, err));
    if ((double)import->skip_rows >= n_positions)
        return pm_fail(err, PM_ERR_FORMAT, "%s/config.json: max_position_embeddings is only %g", import->path,
                       n_positions);
    pm_gguf_writer_u32(import->metadata, pm_hf_gguf_key(import, "context_length", key, sizeof key),
                       (uint32_t)n_positions - (uint32_t)import->skip_rows);
    return PM_OK;
}

/* Positions are counted from pad_token_id + 1: the table's rows before that are never used. */
static pm_status import_roberta(pm_hf_importing *import, pm_error *err)
{
    double pad;
    PM_TRY(pm_hf_number(import, "pad_token_id", 0, 1 << 20, 1, &pad, err));
    import->skip_rows = (int64_t)pad + 1;
    return import_config(import, err);
}

static const pm_hf_import imports[] = {
    {"bert", "bert", hf_keys, hf_tensors, import_config, "bert."},
    {"roberta", "bert", hf_keys, hf_tensors, import_roberta, "roberta."},
    {"xlm-roberta", "bert", hf_keys, hf_tensors, import_roberta, "roberta."},
    {0},
};

const pm_family pm_family_bert = {.name = "bert",
                                  .architectures = architectures,
                                  .load = bert_load,
                                  .build = bert_build,
                                  .shape = PM_SHAPE_ENCODER_ONLY,
                                  .imports = imports};
