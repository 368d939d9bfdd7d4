/* What decoder-only families share: see decoder_only.h. */
#include "models/decoder_only.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

pm_status pm_decoder_refuse(const pm_model_def *def, const char *suffix, const char *what, pm_error *err)
{
    char key[128];
    if (!pm_gguf_find(def->file, pm_def_key(def, suffix, key, sizeof key)))
        return PM_OK;
    int64_t value = 0;
    if (pm_gguf_get_i64(def->file, key, &value, NULL) == PM_OK && value == 0)
        return PM_OK;
    return pm_fail(err, PM_ERR_UNSUPPORTED, "%s: key '%s': pumice does not run %s yet", pm_gguf_path(def->file),
                   key, what);
}

/* head_count_kv may be an array with one entry a layer; the graph needs the same number in each. */
static pm_status read_kv_heads(pm_model_def *def, pm_error *err)
{
    char key[128];
    const pm_gguf_entry *entry =
        pm_gguf_find(def->file, pm_def_key(def, "attention.head_count_kv", key, sizeof key));
    if (!entry || entry->type != PM_GGUF_ARRAY)
        return pm_def_i32(def, "attention.head_count_kv", 1, def->info.n_heads, true, &def->info.n_kv_heads, err);
    for (uint64_t i = 0; i < entry->count; i++) {
        int64_t value;
        PM_TRY(pm_gguf_elem_i64(def->file, entry, i, &value, err));
        if (value < 1 || value > def->info.n_heads || (i > 0 && value != def->info.n_kv_heads))
            return pm_fail(
                err, PM_ERR_UNSUPPORTED,
                "%s: key '%s': element %llu is %lld; pumice needs the same number, from 1 to %d, for all layers",
                pm_gguf_path(def->file), key, (unsigned long long)i, (long long)value, def->info.n_heads);
        def->info.n_kv_heads = (int32_t)value;
    }
    return PM_OK;
}

pm_status pm_decoder_sizes(pm_model_def *def, pm_error *err)
{
    pm_model_info *info = &def->info;
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
    return PM_OK;
}

pm_status pm_decoder_rotary(const pm_model_def *def, int32_t *n_rot, pm_error *err)
{
    *n_rot = def->info.head_dim;
    PM_TRY(pm_def_i32(def, "rope.dimension_count", 2, def->info.head_dim, true, n_rot, err));
    if (*n_rot % 2)
        return pm_fail(err, PM_ERR_FORMAT, "%s: RoPE turns pairs, but rope.dimension_count is %d",
                       pm_gguf_path(def->file), *n_rot);
    return PM_OK;
}

pm_rope_scaling pm_decoder_rope_default(const pm_model_def *def, int32_t n_rot)
{
    return (pm_rope_scaling){.n_rot = n_rot,
                             .base = 10000.0f,
                             .factor = 1.0f,
                             .attn_factor = 1.0f,
                             .n_ctx_original = def->info.n_ctx_train,
                             .beta_fast = 32.0f,
                             .beta_slow = 1.0f};
}

pm_status pm_decoder_rope_scaling(const pm_model_def *def, pm_rope_scaling *s, pm_error *err)
{
    char key[128];
    pm_str type = {"none", 4};
    pm_status status =
        pm_gguf_get_str(def->file, pm_def_key(def, "rope.scaling.type", key, sizeof key), &type, err);
    if (status != PM_OK && status != PM_ERR_NOT_FOUND)
        return status;
    PM_TRY(pm_def_f32(def, "rope.freq_base", 1.0f, 1e12f, true, &s->base, err));
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
    const pm_gguf_tensor *factors = pm_gguf_find_tensor(def->file, "rope_freqs.weight");
    if (factors) {
        if (factors->type != PM_TYPE_F32 || factors->n_dims != 1 || factors->dim[0] != s->n_rot / 2)
            return pm_fail(err, PM_ERR_FORMAT, "%s: tensor 'rope_freqs.weight' must be F32 of %d values",
                           pm_gguf_path(def->file), s->n_rot / 2);
        s->freq_factors = factors->data;
    }
    return PM_OK;
}

pm_status pm_decoder_rope_table(pm_model_def *def, const pm_rope_scaling *scaling, const char *name, int32_t *slot,
                                pm_error *err)
{
    int64_t max_position = (int64_t)def->info.n_ctx_train * 4;
    if (max_position > 1 << 22)
        max_position = def->info.n_ctx_train > 1 << 22 ? def->info.n_ctx_train : 1 << 22;
    float *table;
    int64_t dims[3];
    PM_TRY(pm_rope_table(scaling, max_position, &table, dims, err));
    size_t bytes = sizeof(float) * (size_t)(dims[0] * dims[1] * dims[2]);
    float *kept = pm_arena_alloc(&def->arena, bytes);
    if (kept)
        memcpy(kept, table, bytes);
    free(table);
    if (!kept)
        return pm_fail_memory(err, bytes, "the RoPE table");
    def->n_ctx_max = (int32_t)max_position;
    return pm_def_table(def, name, 3, dims, kept, slot, err);
}

pm_tensor *pm_decoder_heads(const pm_model_def *def, pm_graph *g, pm_tensor *h, int32_t weight, int32_t bias,
                            int32_t norm, int32_t n_heads, float eps)
{
    pm_tensor *y = pm_def_linear(def, g, weight, bias, h);
    const int64_t dims[3] = {def->info.head_dim, n_heads, h ? h->dim[1] : 0};
    y = pm_reshape(g, y, 3, dims);
    return norm < 0 ? y : pm_rms_norm(g, y, pm_def_tensor(def, g, norm), eps);
}

void pm_decoder_outputs(const pm_model_def *def, const pm_graph_shape *shape, pm_graph *g, pm_tensor *last,
                        int32_t output, float softcap, pm_graph_io *io)
{
    if (shape->head == PM_HEAD_HIDDEN) {
        pm_def_result(g, last, io);
        return;
    }
    pm_tensor *logits = pm_def_linear(def, g, output, -1, last);
    pm_def_outputs(shape, g, softcap > 0 ? pm_tanh(g, logits, softcap) : logits, io);
}
