/* Reading a model file's metadata and tensors into a description that families build graphs from: see family.h.
 * Everything in the file may be wrong, so each number is checked against what it is used for. */
#include "models/family.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "models/families.h"

static const pm_family *const families[] = {
#define FAMILY_POINTER(name) &pm_family_##name,
    PM_FAMILY_LIST(FAMILY_POINTER)
#undef FAMILY_POINTER
};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

static bool str_equal(pm_str text, const char *other)
{
    return text.size == strlen(other) && memcmp(text.data, other, text.size) == 0;
}

static void copy_str(pm_str text, char *buf, size_t size)
{
    size_t n = text.size < size - 1 ? text.size : size - 1;
    memcpy(buf, text.data, n);
    buf[n] = '\0';
}

static pm_status find_family(const pm_gguf *file, pm_model_def *def, pm_error *err)
{
    pm_str architecture;
    PM_TRY(pm_gguf_get_str(file, "general.architecture", &architecture, err));
    copy_str(architecture, def->info.architecture, sizeof def->info.architecture);
    for (size_t f = 0; f < N_FAMILIES; f++)
        for (const char *const *name = families[f]->architectures; *name; name++)
            if (str_equal(architecture, *name)) {
                def->family = families[f];
                def->info.shape = families[f]->shape;
                return PM_OK;
            }
    char known[256] = "";
    for (size_t f = 0, used = 0; f < N_FAMILIES; f++)
        for (const char *const *name = families[f]->architectures; *name && used < sizeof known; name++)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", *name);
    return pm_fail(err, PM_ERR_UNSUPPORTED, "%s: architecture '%s' (key general.architecture) is not one that pumice runs (%s)",
                   pm_gguf_path(file), def->info.architecture, known);
}

static void sum_up(pm_model_def *def)
{
    pm_str name;
    if (pm_gguf_get_str(def->file, "general.name", &name, NULL) == PM_OK)
        copy_str(name, def->info.name, sizeof def->info.name);
    for (size_t i = 0; i < def->n_weights; i++) {
        const pm_weight *w = &def->weights[i];
        if (!pm_gguf_find_tensor(def->file, w->name))
            continue; /* a computed table */
        uint64_t elems = 1;
        for (int d = 0; d < w->n_dims; d++)
            elems *= (uint64_t)w->dim[d];
        def->info.n_params += elems;
        def->info.file_bytes += w->n_bytes;
    }
}

bool pm_model_def_has(const pm_model_def *def, pm_pass pass, pm_head head)
{
    switch (def->info.shape) {
    case PM_SHAPE_ENCODER_ONLY:
        return pass == PM_PASS_ENCODE && (head == PM_HEAD_HIDDEN || def->heads >> head & 1);
    case PM_SHAPE_ENCODER_DECODER:
        return head == (pass == PM_PASS_ENCODE ? PM_HEAD_HIDDEN : PM_HEAD_LOGITS);
    default:
        return pass == PM_PASS_DECODE && head != PM_HEAD_PAIR;
    }
}

static void note_uses(pm_model_def *def, const pm_graph *g)
{
    for (size_t n = 0; n < g->n_nodes; n++) {
        const pm_node *node = g->nodes[n];
        for (int i = 0; i < node->n_in; i++) {
            const pm_tensor *in = node->in[i] ? pm_tensor_storage(node->in[i]) : NULL;
            if (!in || in->role != PM_ROLE_WEIGHT)
                continue;
            bool matrix = i == 0 && (node->op == PM_OP_MATMUL || node->op == PM_OP_EMBEDDING);
            unsigned use = !matrix ? PM_USE_PLAIN : node->op == PM_OP_MATMUL ? PM_USE_MATMUL : PM_USE_EMBEDDING;
            def->weights[in->slot].uses |= use;
        }
    }
}

/* How the family's graphs use each weight, found by building the smallest of each kind. */
static pm_status find_uses(pm_model_def *def, pm_error *err)
{
    for (int kind = 0; kind < 6; kind++) {
        pm_graph_shape shape = {.pass = kind / 3 ? PM_PASS_ENCODE : PM_PASS_DECODE, .head = (pm_head)(kind % 3),
                                .n_tokens = 1, .n_outputs = 1, .n_ctx = 1, .n_source = 1, .kv_type = PM_TYPE_F16};
        pm_graph_io io = {0};
        pm_graph *g;
        if (!pm_model_def_has(def, shape.pass, shape.head))
            continue;
        PM_TRY(pm_graph_create(&g, err));
        pm_status status = def->family->build(def, &shape, g, &io, err);
        if (status == PM_OK)
            note_uses(def, g);
        pm_graph_destroy(g);
        PM_TRY(status);
    }
    return PM_OK;
}

pm_status pm_model_def_load(const pm_gguf *file, pm_model_def **out, pm_error *err)
{
    *out = NULL;
    pm_model_def *def = calloc(1, sizeof *def);
    if (!def)
        return pm_fail_memory(err, sizeof *def, "a model description");
    def->file = file;
    pm_status status = find_family(file, def, err);
    if (status == PM_OK && pm_gguf_n_tensors(file) == 0)
        status = pm_fail(err, PM_ERR_FORMAT, "%s: the file holds no tensors, only a vocabulary; pass a whole model",
                         pm_gguf_path(file));
    if (status == PM_OK)
        status = def->family->load(def, err);
    if (status == PM_OK)
        status = find_uses(def, err);
    if (status != PM_OK) {
        pm_model_def_free(def);
        return status;
    }
    def->info.has_masked_logits = def->heads >> PM_HEAD_LOGITS & 1;
    def->info.has_next_sentence = def->heads >> PM_HEAD_PAIR & 1;
    sum_up(def);
    *out = def;
    return PM_OK;
}

void pm_model_def_free(pm_model_def *def)
{
    if (!def)
        return;
    pm_arena_free(&def->arena);
    free(def->weights);
    free(def);
}

/* For families -------------------------------------------------------------------------------------------------- */

const char *pm_def_key(const pm_model_def *def, const char *suffix, char *buf, size_t size)
{
    snprintf(buf, size, "%s.%s", def->info.architecture, suffix);
    return buf;
}

pm_status pm_def_i32(const pm_model_def *def, const char *suffix, int32_t min, int32_t max, bool optional,
                     int32_t *out, pm_error *err)
{
    char key[128];
    int64_t value;
    pm_def_key(def, suffix, key, sizeof key);
    pm_status status = pm_gguf_get_i64(def->file, key, &value, err);
    if (status == PM_ERR_NOT_FOUND && optional)
        return PM_OK;
    if (status != PM_OK)
        return status;
    if (value < min || value > max)
        return pm_fail(err, PM_ERR_FORMAT, "%s: key '%s' is %lld, but must be from %d to %d", pm_gguf_path(def->file),
                       key, (long long)value, min, max);
    *out = (int32_t)value;
    return PM_OK;
}

pm_status pm_def_f32(const pm_model_def *def, const char *suffix, float min, float max, bool optional, float *out,
                     pm_error *err)
{
    char key[128];
    float value;
    pm_def_key(def, suffix, key, sizeof key);
    pm_status status = pm_gguf_get_f32(def->file, key, &value, err);
    if (status == PM_ERR_NOT_FOUND && optional)
        return PM_OK;
    if (status != PM_OK)
        return status;
    if (!(value >= min && value <= max)) /* also refuses NaN */
        return pm_fail(err, PM_ERR_FORMAT, "%s: key '%s' is %g, but must be from %g to %g", pm_gguf_path(def->file),
                       key, (double)value, (double)min, (double)max);
    *out = value;
    return PM_OK;
}

pm_status pm_def_vocab_size(pm_model_def *def, pm_error *err)
{
    const pm_gguf_tensor *table = pm_gguf_find_tensor(def->file, "token_embd.weight");
    if (!table)
        return pm_fail(err, PM_ERR_FORMAT, "%s: tensor 'token_embd.weight' is missing", pm_gguf_path(def->file));
    if (table->dim[1] > 1 << 24)
        return pm_fail(err, PM_ERR_LIMIT, "%s: tensor 'token_embd.weight' has %lld rows; pumice takes up to %d",
                       pm_gguf_path(def->file), (long long)table->dim[1], 1 << 24);
    def->info.n_vocab = (int32_t)table->dim[1];
    const pm_gguf_entry *tokens = pm_gguf_find(def->file, "tokenizer.ggml.tokens");
    if (tokens && tokens->count > (uint64_t)def->info.n_vocab)
        return pm_fail(err, PM_ERR_FORMAT,
                       "%s: key 'tokenizer.ggml.tokens' has %llu tokens, but 'token_embd.weight' only %d rows",
                       pm_gguf_path(def->file), (unsigned long long)tokens->count, def->info.n_vocab);
    return PM_OK;
}

static pm_status add_weight(pm_model_def *def, const pm_weight *weight, int32_t *slot, pm_error *err)
{
    if (def->n_weights == def->cap_weights) {
        size_t cap = def->cap_weights ? 2 * def->cap_weights : 64;
        pm_weight *grown = realloc(def->weights, cap * sizeof *grown);
        if (!grown)
            return pm_fail_memory(err, cap * sizeof *grown, "the list of weights");
        def->weights = grown;
        def->cap_weights = cap;
    }
    *slot = (int32_t)def->n_weights;
    def->weights[def->n_weights++] = *weight;
    return PM_OK;
}

static void dims_text(int n_dims, const int64_t *dims, char *buf, size_t size)
{
    size_t used = 0;
    for (int d = 0; d < n_dims && used < size; d++)
        used += (size_t)snprintf(buf + used, size - used, "%s%lld", d ? " x " : "", (long long)dims[d]);
}

/* The tensor `name`, which must have these dims; NULL in *out where it is optional and missing. */
static pm_status find_tensor(pm_model_def *def, const char *name, int n_dims, const int64_t *dims, bool optional,
                             const pm_gguf_tensor **out, pm_error *err)
{
    const pm_gguf_tensor *tensor = *out = pm_gguf_find_tensor(def->file, name);
    if (!tensor && optional)
        return PM_OK;
    if (!tensor)
        return pm_fail(err, PM_ERR_FORMAT, "%s: tensor '%s' is missing", pm_gguf_path(def->file), name);
    bool same = true;
    for (int d = 0; d < PM_MAX_DIMS; d++)
        same = same && tensor->dim[d] == (d < n_dims ? dims[d] : 1);
    if (!same) {
        char want[96], got[96];
        dims_text(n_dims, dims, want, sizeof want);
        dims_text(tensor->n_dims, tensor->dim, got, sizeof got);
        return pm_fail(err, PM_ERR_FORMAT, "%s: tensor '%s' (at byte %llu) is %s, but the metadata make it %s",
                       pm_gguf_path(def->file), name, (unsigned long long)tensor->file_offset, got, want);
    }
    /* One-dimensional weights (norms, biases) are used as they are, so they must be F32. */
    if (tensor->type == PM_TYPE_I32 || (n_dims == 1 && tensor->type != PM_TYPE_F32))
        return pm_fail(err, PM_ERR_UNSUPPORTED, "%s: tensor '%s' is of type %s; pumice needs %s there",
                       pm_gguf_path(def->file), name, pm_type_name(tensor->type),
                       n_dims == 1 ? "F32" : "floating-point or block-quantised values");
    return PM_OK;
}

pm_status pm_def_weight(pm_model_def *def, const char *name, int n_dims, const int64_t *dims, bool optional,
                        int32_t *slot, pm_error *err)
{
    bool is_matrix = n_dims == 2;
    pm_def_rows all = {n_dims, dims[0], 0, is_matrix ? dims[1] : dims[0], is_matrix ? dims[1] : dims[0]};
    return pm_def_weight_rows(def, name, all, optional, slot, err);
}

pm_status pm_def_weight_rows(pm_model_def *def, const char *name, pm_def_rows rows, bool optional, int32_t *slot,
                             pm_error *err)
{
    const pm_gguf_tensor *tensor;
    const int64_t matrix[2] = {rows.k, rows.of_rows};
    *slot = -1;
    PM_TRY(find_tensor(def, name, rows.n_dims, rows.n_dims == 2 ? matrix : matrix + 1, optional, &tensor, err));
    if (!tensor)
        return PM_OK;
    size_t row_bytes = tensor->n_bytes / (size_t)rows.of_rows;
    pm_weight weight = {.type = tensor->type,
                        .n_dims = rows.n_dims,
                        .data = (const char *)tensor->data + row_bytes * (size_t)rows.first,
                        .n_bytes = row_bytes * (size_t)rows.n,
                        .is_mapped = tensor->is_mapped != 0};
    weight.name = pm_arena_strndup(&def->arena, tensor->name.data, tensor->name.size);
    if (!weight.name)
        return pm_fail_memory(err, tensor->name.size, "a tensor name");
    memcpy(weight.dim, tensor->dim, sizeof weight.dim);
    weight.dim[rows.n_dims - 1] = rows.n;
    return add_weight(def, &weight, slot, err);
}

pm_status pm_def_weights(pm_model_def *def, const char *prefix, const pm_def_wanted *wanted, size_t n_wanted,
                         pm_error *err)
{
    for (size_t i = 0; i < n_wanted; i++) {
        const pm_def_wanted *w = &wanted[i];
        const int64_t dims[2] = {w->k, w->n};
        char name[96];
        snprintf(name, sizeof name, "%s%s", prefix, w->suffix);
        PM_TRY(pm_def_weight(def, name, w->n ? 2 : 1, dims, w->optional, w->slot, err));
    }
    return PM_OK;
}

pm_status pm_def_table(pm_model_def *def, const char *name, int n_dims, const int64_t *dims, const float *data,
                       int32_t *slot, pm_error *err)
{
    pm_weight weight = {.name = name, .type = PM_TYPE_F32, .n_dims = n_dims, .data = data, .n_bytes = sizeof(float)};
    for (int d = 0; d < PM_MAX_DIMS; d++) {
        weight.dim[d] = d < n_dims ? dims[d] : 1;
        weight.n_bytes *= (size_t)weight.dim[d];
    }
    return add_weight(def, &weight, slot, err);
}

pm_tensor *pm_def_tensor(const pm_model_def *def, pm_graph *g, int32_t slot)
{
    if (slot < 0)
        return NULL;
    const pm_weight *w = &def->weights[slot];
    return pm_graph_weight(g, slot, w->type, w->n_dims, w->dim, w->data, w->name);
}
