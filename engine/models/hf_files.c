/* The tensors of a Hugging Face directory, named and laid out as in GGUF: see hf_files.h.
 *
 * Most are used where they lie in the mapped file. Made in memory are: vectors that are not F32 (the graphs use
 * them as they are), what lies at an odd address, F64, and rows that have to be put in another order.
 */
#include "models/hf_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/utf8.h"
#include "formats/block_types.h"

enum { PATH_BYTES = 4096, MAX_SHARDS = 4096, LARGE_BYTES = 1 << 16 /* vectors are less */ };

void pm_hf_files_close(void *pointer)
{
    pm_hf_files *files = pointer;
    if (!files)
        return;
    for (size_t i = 0; i < files->n_shards; i++)
        pm_safetensors_close(files->shards[i]);
    free(files->shards);
    free(files->tensors);
    free(files->sources);
    pm_arena_free(&files->arena);
    pm_arena_free(&files->one);
    free(files);
}

/* ---- Shards ---- */

static pm_status open_shard(pm_hf_importing *import, const char *name, pm_error *err)
{
    char path[PATH_BYTES];
    pm_hf_files *files = import->files;
    if (!pm_hf_file_path(import->path, name, path, sizeof path))
        return pm_fail(err, PM_ERR_LIMIT, "%s: the path is too long", import->path);
    pm_safetensors **grown = realloc(files->shards, (files->n_shards + 1) * sizeof *grown);
    if (!grown)
        return pm_fail_memory(err, (files->n_shards + 1) * sizeof *grown, "the list of shards");
    files->shards = grown;
    PM_TRY(pm_safetensors_open(path, &files->shards[files->n_shards], err));
    files->n_shards++;
    return PM_OK;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The shard of this name; it is opened where it is not yet. */
static pm_status find_shard(pm_hf_importing *import, const char *name, pm_safetensors **out, pm_error *err)
{
    pm_hf_files *files = import->files;
    if (!name[0] || name[0] == '.' || strchr(name, '/'))
        return pm_fail(err, PM_ERR_FORMAT,
                       "%s/model.safetensors.index.json: '%.80s' is no name of a file beside it", import->path,
                       name);
    for (size_t i = 0; i < files->n_shards; i++)
        if (strcmp(last_part(pm_safetensors_path(files->shards[i])), name) == 0) {
            *out = files->shards[i];
            return PM_OK;
        }
    if (files->n_shards >= MAX_SHARDS)
        return pm_fail(err, PM_ERR_LIMIT, "%s: more than %d files of weights", import->path, MAX_SHARDS);
    PM_TRY(open_shard(import, name, err));
    *out = files->shards[files->n_shards - 1];
    return PM_OK;
}

static pm_status open_listed(pm_hf_importing *import, const json_t *index, pm_error *err)
{
    json_t *map = json_object_get(index, "weight_map"), *value;
    const char *tensor;
    if (!json_is_object(map) || json_object_size(map) == 0)
        return pm_fail(err, PM_ERR_FORMAT, "%s/model.safetensors.index.json: there is no weight_map",
                       import->path);
    json_object_foreach(map, tensor, value)
    {
        pm_safetensors *shard = NULL;
        if (!json_is_string(value))
            return pm_fail(err, PM_ERR_FORMAT, "%s/model.safetensors.index.json: '%.80s' is in no file",
                           import->path, tensor);
        PM_TRY(find_shard(import, json_string_value(value), &shard, err));
        if (!pm_safetensors_find(shard, tensor))
            return pm_fail(err, PM_ERR_FORMAT,
                           "%s: tensor '%.80s' is missing, though the index says that it is there",
                           pm_safetensors_path(shard), tensor);
    }
    return PM_OK;
}

pm_status pm_hf_open_shards(pm_hf_importing *import, pm_error *err)
{
    json_t *index = NULL;
    pm_status status = pm_hf_read_json(import->path, "model.safetensors.index.json", &index, err);
    if (status == PM_OK) {
        status = open_listed(import, index, err);
        json_decref(index);
        return status;
    }
    if (status != PM_ERR_NOT_FOUND)
        return status;
    status = open_shard(import, "model.safetensors", err);
    if (status == PM_ERR_IO)
        return pm_fail(err, PM_ERR_NOT_FOUND,
                       "%s: no weights: neither model.safetensors nor model.safetensors.index.json can be "
                       "read (files of other frameworks, such as pytorch_model.bin, have to be converted first)",
                       import->path);
    return status;
}

/* ---- Names ---- */

/* Whether the name is that of the pattern, whose %d is any number. */
static bool matches(const char *pattern, pm_str name, long *layer)
{
    const char *hole = strstr(pattern, "%d");
    size_t n_before = hole ? (size_t)(hole - pattern) : strlen(pattern), n_after = hole ? strlen(hole + 2) : 0,
           at = n_before;
    *layer = 0;
    if (name.size < n_before + n_after || memcmp(name.data, pattern, n_before) != 0)
        return false;
    if (!hole)
        return name.size == n_before;
    while (at < name.size && name.data[at] >= '0' && name.data[at] <= '9' && *layer < 100000)
        *layer = *layer * 10 + (name.data[at++] - '0');
    return at > n_before && name.size - at == n_after && memcmp(name.data + at, hole + 2, n_after) == 0;
}

static const pm_hf_tensor *find_row(const pm_hf_import *table, pm_str name, long *layer)
{
    size_t n = table->prefix ? strlen(table->prefix) : 0;
    if (n && name.size > n && memcmp(name.data, table->prefix, n) == 0) {
        name.data += n;
        name.size -= n;
    }
    for (const pm_hf_tensor *row = table->tensors; row->hf; row++)
        if (matches(row->hf, name, layer))
            return row;
    return NULL;
}

/* The pattern with the layer in place of %d, in the arena. */
static pm_status make_name(pm_hf_files *files, const char *pattern, long layer, pm_str *out, pm_error *err)
{
    char text[128];
    const char *hole = strstr(pattern, "%d");
    int n = hole ? snprintf(text, sizeof text, "%.*s%ld%s", (int)(hole - pattern), pattern, layer, hole + 2)
                 : snprintf(text, sizeof text, "%s", pattern);
    out->size = (size_t)n;
    out->data = pm_arena_strndup(&files->arena, text, out->size);
    return out->data ? PM_OK : pm_fail_memory(err, out->size, "a tensor's name");
}

/* ---- Values ---- */

static pm_status fail_tensor(const pm_hf_importing *import, const pm_safetensor *t, pm_status status,
                             const char *what, pm_error *err)
{
    char quoted[112];
    return pm_fail(err, status, "%s: tensor %s (%s): %s", import->path,
                   pm_quote(t->name.data, t->name.size, quoted, sizeof quoted), t->dtype, what);
}

static bool type_of(const pm_safetensor *t, pm_type *out)
{
    static const struct {
        const char *dtype;
        pm_type type;
    } known[] = {{"F32", PM_TYPE_F32}, {"F16", PM_TYPE_F16}, {"BF16", PM_TYPE_BF16}, {"F64", PM_TYPE_F32}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(t->dtype, known[i].dtype) == 0) {
            *out = known[i].type;
            return true;
        }
    return false;
}

/* Memory for values in another form. */
static void *value_memory(pm_hf_files *files, size_t n_bytes)
{
    return pm_arena_alloc(files->is_stream && n_bytes > LARGE_BYTES ? &files->one : &files->arena, n_bytes);
}

/* The values as F32; n of them. */
static float *widen(pm_hf_files *files, const pm_safetensor *t, size_t n)
{
    float *out = n <= SIZE_MAX / sizeof *out ? value_memory(files, n * sizeof *out) : NULL;
    const char *bytes = t->data;
    for (size_t i = 0; out && i < n; i++) {
        uint16_t half;
        double wide;
        if (t->element_bytes == 4) {
            memcpy(&out[i], bytes + 4 * i, 4);
        } else if (t->element_bytes == 8) {
            memcpy(&wide, bytes + 8 * i, 8);
            out[i] = (float)wide;
        } else {
            memcpy(&half, bytes + 2 * i, 2);
            out[i] = t->dtype[0] == 'B' ? pm_bf16_to_f32(half) : pm_f16_to_f32(half);
        }
    }
    return out;
}

/* Memory of the import's own for the tensor's values, which are to be changed. */
static pm_status own_values(pm_hf_importing *import, size_t n_bytes, char **out, pm_error *err)
{
    *out = value_memory(import->files, n_bytes);
    return *out ? PM_OK : pm_fail_memory(err, n_bytes, "weights in another form");
}

/* Rows of `row_bytes` bytes, head by head: the first half of a head's rows and the second one take turns. That is
 * how rotary pairs lie side by side where Hugging Face keeps their halves apart. */
static void interleave(char *to, const char *from, size_t n_rows, size_t row_bytes, size_t rows_a_head)
{
    for (size_t row = 0; row < n_rows; row++) {
        size_t head = row / rows_a_head, place = row % rows_a_head;
        size_t source = head * rows_a_head + place / 2 + (place % 2) * (rows_a_head / 2);
        memcpy(to + row * row_bytes, from + source * row_bytes, row_bytes);
    }
}

static pm_status reorder(pm_hf_importing *import, const pm_safetensor *source, unsigned how, pm_gguf_tensor *t,
                         pm_error *err)
{
    int64_t n_heads = how & PM_HF_ROPE_Q ? import->n_heads : import->n_kv_heads;
    size_t n_rows = (size_t)(t->n_dims == 1 ? t->dim[0] : t->dim[1]);
    if (n_heads < 1 || n_rows == 0 || n_rows % (size_t)n_heads || n_rows / (size_t)n_heads % 2)
        return fail_tensor(import, source, PM_ERR_FORMAT,
                           "its rows are not so many for each attention head, and an even number", err);
    char *data;
    PM_TRY(own_values(import, t->n_bytes, &data, err));
    interleave(data, t->data, n_rows, t->n_bytes / n_rows, n_rows / (size_t)n_heads);
    t->data = data;
    t->is_mapped = 0;
    return PM_OK;
}

static pm_status place_values(pm_hf_importing *import, const pm_safetensor *source, pm_gguf_tensor *t,
                              pm_error *err)
{
    pm_hf_files *files = import->files;
    size_t n = source->n_bytes / source->element_bytes;
    if (source->element_bytes == 8 || (t->n_dims == 1 && t->type != PM_TYPE_F32)) {
        t->type = PM_TYPE_F32;
        t->data = widen(files, source, n);
        t->n_bytes = n * sizeof(float);
    } else if ((uintptr_t)source->data % source->element_bytes) {
        char *copy = value_memory(files, source->n_bytes);
        if (copy)
            memcpy(copy, source->data, source->n_bytes);
        t->data = copy;
    } else {
        t->data = source->data;
        t->is_mapped = 1;
    }
    return t->data ? PM_OK : pm_fail_memory(err, source->n_bytes, "weights");
}

static pm_status transpose(pm_hf_importing *import, const pm_safetensor *source, pm_gguf_tensor *t, pm_error *err)
{
    if (t->n_dims != 2)
        return fail_tensor(import, source, PM_ERR_FORMAT, "it should be a matrix", err);
    size_t n_in = (size_t)t->dim[1], n_out = (size_t)t->dim[0], size = t->n_bytes / (n_in * n_out);
    char *data;
    PM_TRY(own_values(import, t->n_bytes, &data, err));
    for (size_t row = 0; row < n_out; row++)
        for (size_t i = 0; i < n_in; i++)
            memcpy(data + (row * n_in + i) * size, (const char *)t->data + (i * n_out + row) * size, size);
    t->dim[0] = (int64_t)n_in;
    t->dim[1] = (int64_t)n_out;
    t->data = data;
    t->is_mapped = 0;
    return PM_OK;
}

/* A vector, which by now is F32. */
static pm_status plus_one(pm_hf_importing *import, const pm_safetensor *source, pm_gguf_tensor *t, pm_error *err)
{
    char *data;
    if (t->n_dims != 1)
        return fail_tensor(import, source, PM_ERR_FORMAT, "it should be a vector", err);
    PM_TRY(own_values(import, t->n_bytes, &data, err));
    for (int64_t i = 0; i < t->dim[0]; i++)
        ((float *)(void *)data)[i] = ((const float *)t->data)[i] + 1.0f;
    t->data = data;
    t->is_mapped = 0;
    return PM_OK;
}

static pm_status skip_rows(pm_hf_importing *import, const pm_safetensor *source, pm_gguf_tensor *t, pm_error *err)
{
    int64_t n = import->skip_rows;
    if (t->n_dims != 2 || t->dim[1] <= n)
        return fail_tensor(import, source, PM_ERR_FORMAT, "it should be a matrix with more rows", err);
    size_t row_bytes = t->n_bytes / (size_t)t->dim[1];
    t->data = (const char *)t->data + row_bytes * (size_t)n;
    t->dim[1] -= n;
    t->n_bytes -= row_bytes * (size_t)n;
    return PM_OK;
}

static pm_status append(pm_hf_files *files, const pm_gguf_tensor *t, const pm_safetensor *source, pm_error *err)
{
    if (files->n_tensors == files->capacity) {
        size_t capacity = files->capacity ? 2 * files->capacity : 64;
        pm_gguf_tensor *grown = realloc(files->tensors, capacity * sizeof *grown);
        files->tensors = grown ? grown : files->tensors;
        const pm_safetensor **sources = realloc(files->sources, capacity * sizeof *sources);
        files->sources = sources ? sources : files->sources;
        if (!grown || !sources)
            return pm_fail_memory(err, capacity * sizeof *grown, "the list of tensors");
        files->capacity = capacity;
    }
    files->sources[files->n_tensors] = source;
    files->tensors[files->n_tensors++] = *t;
    return PM_OK;
}

/* The tensor as it becomes; *is_wanted is 0 where it is left out. */
static pm_status make_tensor(pm_hf_importing *import, const pm_safetensor *source, pm_gguf_tensor *out,
                             int *is_wanted, pm_error *err)
{
    long layer;
    const pm_hf_tensor *row = find_row(import->table, source->name, &layer);
    if (!row)
        return fail_tensor(import, source, PM_ERR_UNSUPPORTED, "the family has no tensor of this name", err);
    const json_t *tied = pm_hf_config(import, "tie_word_embeddings");
    *is_wanted = row->gguf && !(row->how & PM_HF_UNLESS_TIED && json_is_true(tied));
    if (!*is_wanted)
        return PM_OK;
    pm_gguf_tensor t = {.dim = {1, 1, 1, 1},
                        .n_dims = source->n_dims,
                        .n_bytes = source->n_bytes,
                        .file_offset = source->file_offset};
    if (source->n_dims < 1 || source->n_dims > 4 || source->n_bytes == 0)
        return fail_tensor(import, source, PM_ERR_UNSUPPORTED, "tensors have one to four dimensions, and values",
                           err);
    if (!type_of(source, &t.type))
        return fail_tensor(import, source, PM_ERR_UNSUPPORTED, "weights must be F32, F16 or BF16", err);
    for (int d = 0; d < source->n_dims; d++)
        t.dim[d] = source->shape[source->n_dims - 1 - d];
    if (row->how & PM_HF_VECTOR && t.n_dims == 2 && t.dim[1] == 1)
        t.n_dims = 1;
    PM_TRY(make_name(import->files, row->gguf, layer, &t.name, err));
    PM_TRY(place_values(import, source, &t, err));
    if (row->how & (PM_HF_ROPE_Q | PM_HF_ROPE_K))
        PM_TRY(reorder(import, source, row->how, &t, err));
    if (row->how & PM_HF_TRANSPOSE)
        PM_TRY(transpose(import, source, &t, err));
    if (row->how & PM_HF_PLUS_ONE)
        PM_TRY(plus_one(import, source, &t, err));
    if (row->how & PM_HF_SKIP_ROWS)
        PM_TRY(skip_rows(import, source, &t, err));
    *out = t;
    return PM_OK;
}

static pm_status take_tensor(pm_hf_importing *import, const pm_safetensor *source, pm_error *err)
{
    pm_hf_files *files = import->files;
    pm_gguf_tensor t;
    int is_wanted;
    PM_TRY(make_tensor(import, source, &t, &is_wanted, err));
    if (!is_wanted)
        return PM_OK;
    int is_made_again = files->is_stream && !t.is_mapped && source->n_bytes > LARGE_BYTES / 2;
    if (is_made_again) {
        t.data = NULL;
        pm_mapped_drop(source->data, source->n_bytes);
    }
    pm_arena_free(&files->one);
    return append(files, &t, is_made_again ? source : NULL, err);
}

pm_status pm_hf_make_tensor(pm_hf_importing *import, size_t index, const void **data, pm_error *err)
{
    const pm_safetensor *source = import->files->sources[index];
    pm_gguf_tensor t = {0};
    int is_wanted;
    pm_arena_free(&import->files->one);
    PM_TRY(make_tensor(import, source, &t, &is_wanted, err));
    pm_mapped_drop(source->data, source->n_bytes); /* what is wanted of it has been copied */
    *data = t.data;
    return PM_OK;
}

pm_status pm_hf_take_tensors(pm_hf_importing *import, pm_error *err)
{
    for (size_t i = 0; i < import->files->n_shards; i++)
        for (size_t k = 0; k < pm_safetensors_n(import->files->shards[i]); k++)
            PM_TRY(take_tensor(import, pm_safetensors_at(import->files->shards[i], k), err));
    return PM_OK;
}

pm_status pm_hf_add_f32(pm_hf_importing *import, const char *name, const float *values, int64_t n, pm_error *err)
{
    size_t bytes = (size_t)n * sizeof *values;
    float *copy = pm_arena_alloc(&import->files->arena, bytes);
    pm_gguf_tensor t = {.type = PM_TYPE_F32, .n_dims = 1, .dim = {n, 1, 1, 1}, .n_bytes = bytes};
    if (!copy)
        return pm_fail_memory(err, bytes, "a computed tensor");
    memcpy(copy, values, bytes);
    t.data = copy;
    PM_TRY(make_name(import->files, name, 0, &t.name, err));
    return append(import->files, &t, NULL, err);
}
