/* The good files that mutations and fuzzing start from: see gguf_mutations.h. */
#include "tests/fuzz/gguf_mutations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pumice/gguf.h"
#include "tests/gguf_builder.h"
#include "tests/shared_data.h"

static void add_field(gguf_seed *seed, uint64_t offset, int n_bytes)
{
    if (seed->n_fields % 256 == 0) {
        gguf_field *grown = realloc(seed->fields, (seed->n_fields + 256) * sizeof *grown);
        if (!grown)
            abort();
        seed->fields = grown;
    }
    seed->fields[seed->n_fields++] = (gguf_field){offset, n_bytes};
}

static void add_entry_fields(gguf_seed *seed, const pm_gguf *file, const pm_gguf_entry *entry)
{
    uint64_t key_at = (uint64_t)((const uint8_t *)entry->key.data - seed->bytes);
    pm_str text;
    add_field(seed, key_at - 8, 8);
    add_field(seed, entry->file_offset - 4, 4);
    if (entry->type == PM_GGUF_STRING)
        add_field(seed, entry->file_offset, 8);
    if (entry->type == PM_GGUF_UINT32)
        add_field(seed, entry->file_offset, 4);
    if (entry->type != PM_GGUF_ARRAY)
        return;
    add_field(seed, entry->file_offset, 4);
    add_field(seed, entry->file_offset + 4, 8);
    for (uint64_t i = 0; i < 3 && entry->elem_type == PM_GGUF_STRING && i < entry->count; i++)
        if (pm_gguf_elem_str(file, entry, i, &text, NULL) == PM_OK)
            add_field(seed, (uint64_t)((const uint8_t *)text.data - seed->bytes) - 8, 8);
}

static void add_tensor_fields(gguf_seed *seed, const pm_gguf_tensor *tensor)
{
    uint64_t name_at = (uint64_t)((const uint8_t *)tensor->name.data - seed->bytes);
    uint64_t at = name_at + tensor->name.size;
    add_field(seed, name_at - 8, 8);
    add_field(seed, at, 4);
    at += 4;
    for (int i = 0; i < tensor->n_dims; i++, at += 8)
        add_field(seed, at, 8);
    add_field(seed, at, 4);
    add_field(seed, at + 4, 8);
}

/* Takes the bytes over. A seed that the reader refuses is a defect of the builder or the reader: end loudly. */
static void add_seed(gguf_seeds *seeds, const char *name, uint8_t *bytes, size_t size)
{
    gguf_seed *seed = &seeds->seed[seeds->count++];
    pm_gguf *file;
    pm_error err = {0};
    *seed = (gguf_seed){.bytes = bytes, .size = size, .head_size = size};
    snprintf(seed->name, sizeof seed->name, "%s", name);
    if (pm_gguf_open_memory(bytes, size, name, &file, &err) != PM_OK) {
        fprintf(stderr, "a good file is refused: %s\n", err.message);
        abort();
    }
    add_field(seed, 4, 4);
    add_field(seed, 8, 8);
    add_field(seed, 16, 8);
    for (size_t i = 0; i < pm_gguf_n_entries(file); i++)
        add_entry_fields(seed, file, pm_gguf_entry_at(file, i));
    for (size_t i = 0; i < pm_gguf_n_tensors(file); i++) {
        const pm_gguf_tensor *tensor = pm_gguf_tensor_at(file, i);
        add_tensor_fields(seed, tensor);
        if (tensor->file_offset < seed->head_size)
            seed->head_size = (size_t)tensor->file_offset;
    }
    pm_gguf_close(file);
}

static void add_built(gguf_seeds *seeds, const char *name, gguf_builder *b)
{
    size_t size;
    uint8_t *bytes = gguf_builder_finish(b, &size);
    gguf_builder_destroy(b);
    add_seed(seeds, name, bytes, size);
}

static gguf_builder *every_value_type(uint32_t version)
{
    static const uint64_t numbers[] = {0, 1, UINT64_MAX};
    static const uint8_t flags[] = {0, 1, 1};
    static const char *const strings[] = {"", "a", "longer than eight bytes"};
    char key[32];
    gguf_builder *b = gguf_builder_create(version);
    for (uint32_t type = PM_GGUF_UINT8; type <= PM_GGUF_FLOAT64; type++) {
        if (type == PM_GGUF_STRING || type == PM_GGUF_ARRAY)
            continue;
        snprintf(key, sizeof key, "array.%s", pm_gguf_type_name((pm_gguf_type)type));
        gguf_builder_add_array(b, key, (pm_gguf_type)type, type == PM_GGUF_BOOL ? (const void *)flags : numbers,
                               3);
    }
    gguf_builder_add_u32(b, "scalar.u32", 7);
    gguf_builder_add_i64(b, "scalar.i64", -7);
    gguf_builder_add_f32(b, "scalar.f32", 0.5f);
    gguf_builder_add_f64(b, "scalar.f64", 1e300);
    gguf_builder_add_bool(b, "scalar.bool", 1);
    gguf_builder_add_str(b, "scalar.string", "value");
    gguf_builder_add_str_array(b, "array.string", strings, 3);
    gguf_builder_add_str_array(b, "array.empty", strings, 0);
    return b;
}

static gguf_builder *every_tensor_type(void)
{
    static const int64_t dim[4] = {256, 2, 1, 3};
    static float values[256 * 2 * 3];
    gguf_builder *b = gguf_builder_create(3);
    gguf_builder_set_alignment(b, 64);
    for (int i = 0; i < 256 * 2 * 3; i++)
        values[i] = (float)(i % 37) - 18.0f;
    for (int type = 0; type < PM_TYPE_COUNT; type++) {
        if (type == PM_TYPE_I32)
            gguf_builder_add_tensor(b, "I32", PM_TYPE_I32, 1, dim, values);
        else
            gguf_builder_add_floats(b, pm_type_name((pm_type)type), (pm_type)type, 1 + type % 4, dim, values);
    }
    return b;
}

/* Many small tensors: names that share prefixes, data that touches. */
static gguf_builder *many_tensors(void)
{
    static const float values[16] = {0};
    static const int64_t dim[2] = {8, 2};
    char name[64];
    gguf_builder *b = gguf_builder_create(2);
    gguf_builder_add_str(b, "general.architecture", "llama");
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "blk.%d.%s.weight", i / 3,
                 i % 3 == 0   ? "attn_q"
                 : i % 3 == 1 ? "attn_k"
                              : "ffn");
        gguf_builder_add_floats(b, name, i % 2 ? PM_TYPE_F16 : PM_TYPE_F32, 2, dim, values);
    }
    return b;
}

/* The file's metadata with at most 40 elements of each array, and no tensors. */
static void add_shortened(gguf_seeds *seeds, const char *name, const char *path)
{
    pm_gguf *file;
    pm_error err = {0};
    if (pm_gguf_open(path, &file, &err) != PM_OK) {
        fprintf(stderr, "a good file is refused: %s\n", err.message);
        abort();
    }
    gguf_builder *b = gguf_builder_create(3);
    for (size_t i = 0; i < pm_gguf_n_entries(file); i++)
        gguf_builder_copy_entry(b, file, pm_gguf_entry_at(file, i), 40);
    pm_gguf_close(file);
    add_built(seeds, name, b);
}

static uint8_t *read_whole(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    if (!in || fseek(in, 0, SEEK_END) != 0)
        abort();
    *size = (size_t)ftell(in);
    uint8_t *bytes = malloc(*size);
    rewind(in);
    if (!bytes || fread(bytes, 1, *size, in) != *size)
        abort();
    fclose(in);
    return bytes;
}

void gguf_seeds_create(gguf_seeds *seeds)
{
    static const char *const vocabularies[] = {"llama-bpe", "llama-spm", "bert-bge", "qwen2"};
    char path[4096], relative[128];
    memset(seeds, 0, sizeof *seeds);
    add_built(seeds, "empty", gguf_builder_create(3));
    add_built(seeds, "values-v2", every_value_type(2));
    add_built(seeds, "values-v3", every_value_type(3));
    add_built(seeds, "tensor-types", every_tensor_type());
    add_built(seeds, "many-tensors", many_tensors());
    for (size_t i = 0; i < sizeof vocabularies / sizeof vocabularies[0]; i++) {
        snprintf(relative, sizeof relative, "tokenizers/ggml-vocab-%s.gguf", vocabularies[i]);
        if (shared_data_find(relative, path, sizeof path))
            add_shortened(seeds, vocabularies[i], path);
    }
    if (shared_data_find("models/stories260k-f32.gguf", path, sizeof path)) {
        size_t size;
        uint8_t *bytes = read_whole(path, &size);
        add_seed(seeds, "stories260k", bytes, size);
    }
}

void gguf_seeds_add_file(gguf_seeds *seeds, const char *name, const char *path)
{
    size_t size;
    uint8_t *bytes = read_whole(path, &size);
    add_seed(seeds, name, bytes, size);
}

void gguf_seeds_destroy(gguf_seeds *seeds)
{
    for (size_t i = 0; i < seeds->count; i++) {
        free(seeds->seed[i].bytes);
        free(seeds->seed[i].fields);
    }
    memset(seeds, 0, sizeof *seeds);
}
