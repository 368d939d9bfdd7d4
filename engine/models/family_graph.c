/* The parts of graphs that families share: inputs, results, states. See family.h. */
#include "models/family.h"

#include <stdlib.h>

#include "base/error.h"

static pm_tensor *index_input(pm_graph *g, pm_input slot, int64_t n, pm_rows rows, const char *name)
{
    return pm_graph_input(g, (int32_t)slot, PM_TYPE_I32, 1, &n, rows, name);
}

static pm_tensor *span_input(pm_graph *g, pm_input slot, int64_t n, const char *name)
{
    const int64_t dims[2] = {3, n};
    return pm_graph_input(g, (int32_t)slot, PM_TYPE_I32, 2, dims, PM_ROWS_TOKENS, name);
}

static pm_tensor *table_input(pm_graph *g, pm_input slot, int64_t n, int64_t n_rows, pm_rows rows,
                              const char *name)
{
    const int64_t dims[2] = {n, n_rows};
    return pm_graph_input(g, (int32_t)slot, PM_TYPE_I32, 2, dims, rows, name);
}

static void paging_inputs(const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io)
{
    const pm_paging *p = &shape->paging;
    io->slots = index_input(g, PM_INPUT_SLOTS, shape->n_tokens, PM_ROWS_TOKENS, "slots");
    io->places = table_input(g, PM_INPUT_PLACES, 2, shape->n_tokens, PM_ROWS_TOKENS, "places");
    io->pages = table_input(g, PM_INPUT_PAGES, p->pages_each, p->n_sequences, PM_ROWS_FIXED, "pages");
    if (!shape->sample)
        return;
    io->settings =
        table_input(g, PM_INPUT_SETTINGS, PM_ROW_SAMPLING_WORDS, shape->n_outputs, PM_ROWS_OUTPUTS, "settings");
    io->history = table_input(g, PM_INPUT_HISTORY, shape->n_history, shape->n_outputs, PM_ROWS_OUTPUTS, "history");
}

void pm_def_inputs(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io)
{
    bool encode = shape->pass == PM_PASS_ENCODE;
    *io = (pm_graph_io){0};
    io->tokens = index_input(g, PM_INPUT_TOKENS, shape->n_tokens, PM_ROWS_TOKENS, "tokens");
    io->positions = index_input(g, PM_INPUT_POSITIONS, shape->n_tokens, PM_ROWS_TOKENS, "positions");
    if (!encode || shape->head != PM_HEAD_HIDDEN)
        io->out_rows = index_input(g, PM_INPUT_OUT_ROWS, shape->n_outputs, PM_ROWS_OUTPUTS, "out_rows");
    if (shape->paging.page)
        paging_inputs(shape, g, io);
    else if (shape->sample)
        io->history = index_input(g, PM_INPUT_HISTORY, shape->n_history, PM_ROWS_FIXED, "history");
    if (def->info.shape != PM_SHAPE_DECODER_ONLY) {
        io->slots = index_input(g, PM_INPUT_SLOTS, shape->n_tokens, PM_ROWS_TOKENS, "slots");
        io->spans = span_input(g, PM_INPUT_SPANS, shape->n_tokens, "spans");
    }
    if (def->info.shape == PM_SHAPE_ENCODER_DECODER && !encode)
        io->source_spans = span_input(g, PM_INPUT_SOURCE_SPANS, shape->n_tokens, "source_spans");
}

pm_tensor *pm_def_types(const pm_graph_shape *shape, pm_graph *g, pm_graph_io *io)
{
    return io->types = index_input(g, PM_INPUT_TYPES, shape->n_tokens, PM_ROWS_TOKENS, "types");
}

void pm_def_result(pm_graph *g, pm_tensor *result, pm_graph_io *io)
{
    io->result = result;
    pm_graph_output(g, result);
}

void pm_def_outputs(const pm_graph_shape *shape, pm_graph *g, pm_tensor *logits, pm_graph_io *io)
{
    if (!shape->sample) {
        pm_def_result(g, logits, io);
        return;
    }
    io->next = pm_sample(g, pm_repeat_penalty(g, logits, io->history, io->settings), io->settings);
    pm_graph_output(g, io->next);
}

void pm_def_layer_output(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, int32_t index,
                         pm_tensor *x, pm_graph_io *io)
{
    if (!shape->layers || g->error.status != PM_OK)
        return;
    int32_t n = pm_model_def_n_layers(def, shape->pass);
    if (!io->layers)
        io->layers = pm_arena_alloc(&g->arena, sizeof *io->layers * (size_t)(n + 1));
    if (!io->layers || index > n) {
        pm_graph_fail(g, PM_ERR_MEMORY, "no memory for the list of layers");
        return;
    }
    io->layers[index] = x;
    pm_graph_output(g, x);
}

int32_t pm_model_def_n_layers(const pm_model_def *def, pm_pass pass)
{
    return pass == PM_PASS_ENCODE && def->info.shape == PM_SHAPE_ENCODER_DECODER ? def->info.n_encoder_layers
                                                                                 : def->info.n_layers;
}

/* ---- States
 * ------------------------------------------------------------------------------------------------------ Slots: 2
 * a layer for a decoder's own keys and values; then, encoder-decoder, 2 a layer for the source's; then 2 for an
 * encoder. What an encoder keeps there is read in the same layer: F32, as rounding would save nothing. */

static int32_t n_decoder_layers(const pm_model_def *def)
{
    return def->info.shape == PM_SHAPE_ENCODER_ONLY ? 0 : def->info.n_layers;
}

static pm_state_desc cache_desc(const pm_model_def *def, const pm_graph_shape *shape, pm_cache cache, bool values)
{
    bool own = cache == PM_CACHE_SELF || def->info.shape == PM_SHAPE_ENCODER_ONLY;
    int64_t n_slots = shape->paging.page ? (int64_t)shape->paging.page * shape->paging.n_pages
                                         : (int64_t)shape->n_ctx * (shape->n_beams > 1 ? shape->n_beams : 1);
    return (pm_state_desc){
        .name = values ? "v_cache" : "k_cache",
        .type = cache == PM_CACHE_ENCODER ? PM_TYPE_F32 : shape->kv_type,
        .n_dims = 3,
        .dim = {def->info.head_dim, own ? n_slots : shape->n_source, def->info.n_kv_heads, 1},
        .scattered = shape->paging.page > 0,
    };
}

static int32_t first_slot(const pm_model_def *def, pm_cache cache)
{
    int32_t n = 2 * n_decoder_layers(def);
    if (cache == PM_CACHE_ENCODER)
        return def->info.shape == PM_SHAPE_ENCODER_DECODER ? 2 * n : n;
    return cache == PM_CACHE_CROSS ? n : 0;
}

pm_status pm_model_def_states(const pm_model_def *def, const pm_graph_shape *shape, pm_state_desc **out, size_t *n,
                              pm_error *err)
{
    int32_t cross = first_slot(def, PM_CACHE_CROSS), encoder = first_slot(def, PM_CACHE_ENCODER);
    *n = (size_t)encoder + (def->info.shape == PM_SHAPE_DECODER_ONLY ? 0 : 2);
    *out = calloc(*n, sizeof **out);
    if (!*out)
        return pm_fail_memory(err, *n * sizeof **out, "the description of the KV cache");
    for (int32_t i = 0; i < (int32_t)*n; i++)
        (*out)[i] = cache_desc(def, shape,
                               i >= encoder ? PM_CACHE_ENCODER
                               : i >= cross ? PM_CACHE_CROSS
                                            : PM_CACHE_SELF,
                               i % 2);
    return PM_OK;
}

static pm_tensor *cache_tensor(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_cache cache,
                               int32_t layer, bool values)
{
    pm_state_desc desc = cache_desc(def, shape, cache, values);
    int32_t slot = first_slot(def, cache) + (cache == PM_CACHE_ENCODER ? 0 : 2 * layer) + values;
    return pm_graph_state(g, slot, desc.type, desc.n_dims, desc.dim, desc.name);
}

pm_tensor *pm_def_k_cache(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_cache cache,
                          int32_t layer)
{
    return cache_tensor(def, shape, g, cache, layer, false);
}

pm_tensor *pm_def_v_cache(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_cache cache,
                          int32_t layer)
{
    return cache_tensor(def, shape, g, cache, layer, true);
}

pm_status pm_model_def_build_copy(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g,
                                  pm_graph_io *io, pm_error *err)
{
    *io = (pm_graph_io){0};
    io->positions = index_input(g, PM_INPUT_POSITIONS, shape->n_tokens, PM_ROWS_TOKENS, "from");
    io->slots = index_input(g, PM_INPUT_SLOTS, shape->n_tokens, PM_ROWS_TOKENS, "to");
    for (int32_t l = 0; l < def->info.n_layers; l++) {
        pm_kv_copy(g, pm_def_k_cache(def, shape, g, PM_CACHE_SELF, l), io->positions, io->slots);
        pm_kv_copy(g, pm_def_v_cache(def, shape, g, PM_CACHE_SELF, l), io->positions, io->slots);
    }
    return pm_graph_status(g, err);
}

/* ---- Layers ---- */

pm_tensor *pm_def_linear(const pm_model_def *def, pm_graph *g, int32_t w, int32_t b, pm_tensor *x)
{
    return pm_matmul(g, pm_def_tensor(def, g, w), x, pm_def_tensor(def, g, b), NULL);
}

static pm_tensor *as_heads(const pm_model_def *def, pm_graph *g, pm_tensor *x, int32_t n_heads)
{
    const int64_t dims[3] = {def->info.head_dim, n_heads, x ? x->dim[x->n_dims - 1] : 0};
    return x && x->n_dims == 2 ? pm_reshape(g, x, 3, dims) : x;
}

/* The caches with k and v in them; k NULL: as they are. */
static void store(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, const pm_graph_io *io,
                  pm_cache cache, int32_t layer, pm_tensor *k, pm_tensor *v, pm_tensor *out[2])
{
    pm_tensor *slots = io->slots ? io->slots : io->positions;
    out[0] = pm_def_k_cache(def, shape, g, cache, layer);
    out[1] = pm_def_v_cache(def, shape, g, cache, layer);
    if (!k || !v)
        return;
    out[0] = pm_kv_store(g, out[0], as_heads(def, g, k, def->info.n_kv_heads), slots);
    out[1] = pm_kv_store(g, out[1], as_heads(def, g, v, def->info.n_kv_heads), slots);
}

void pm_def_store(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, const pm_graph_io *io,
                  pm_cache cache, int32_t layer, pm_tensor *k, pm_tensor *v)
{
    pm_tensor *caches[2];
    store(def, shape, g, io, cache, layer, k, v, caches);
}

pm_tensor *pm_def_attend(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, const pm_graph_io *io,
                         pm_cache cache, int32_t layer, pm_tensor *q, pm_tensor *k, pm_tensor *v, pm_tensor *bias,
                         pm_attention_args how)
{
    pm_tensor *caches[2];
    store(def, shape, g, io, cache, layer, k, v, caches);
    pm_tensor *seen = cache == PM_CACHE_CROSS ? io->source_spans : io->spans ? io->spans : io->positions, *heads;
    q = as_heads(def, g, q, def->info.n_heads);
    how.page = shape->paging.page;
    if (how.page)
        heads = pm_attention_paged(g, q, caches[0], caches[1], io->places, io->pages, how);
    else
        heads = pm_attention(g, q, caches[0], caches[1], seen, bias, how);
    const int64_t flat[2] = {(int64_t)def->info.head_dim * def->info.n_heads, shape->n_tokens};
    return pm_reshape(g, heads, 2, flat);
}
