/* Opening a Hugging Face directory: config.json to GGUF keys. See hf_import.h; hf_files.c has the tensors. */
#include "models/hf_import.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/gguf_assemble.h"
#include "models/families.h"
#include "models/hf_files.h"

enum { MAX_JSON_BYTES = 64 << 20, PATH_BYTES = 4096 };

int pm_hf_is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int pm_hf_file_path(const char *directory, const char *name, char *buf, size_t size)
{
    int n = snprintf(buf, size, "%s/%s", directory, name);
    return n > 0 && (size_t)n < size;
}

/* ---- JSON ---- */

pm_status pm_hf_read_json(const char *directory, const char *name, json_t **out, pm_error *err)
{
    char path[PATH_BYTES];
    pm_mapped_file map = {0};
    json_error_t where;
    *out = NULL;
    if (!pm_hf_file_path(directory, name, path, sizeof path))
        return pm_fail(err, PM_ERR_LIMIT, "%s: the path is too long", directory);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return pm_fail(err, PM_ERR_NOT_FOUND, "%s: there is no such file", path);
    PM_TRY(pm_map_file(path, &map, err));
    if (map.size > MAX_JSON_BYTES) {
        pm_unmap_file(&map);
        return pm_fail(err, PM_ERR_LIMIT, "%s: more than %d MiB of JSON", path, MAX_JSON_BYTES >> 20);
    }
    *out = json_loadb(map.data ? map.data : "", map.size, JSON_REJECT_DUPLICATES, &where);
    pm_unmap_file(&map);
    if (!*out)
        return pm_fail(err, PM_ERR_FORMAT, "%s: malformed JSON at byte %d: %s", path, where.position, where.text);
    if (!json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        return pm_fail(err, PM_ERR_FORMAT, "%s: not a JSON object", path);
    }
    return PM_OK;
}

/* The value at "a.b". */
static const json_t *value_at(const json_t *object, const char *key, size_t n)
{
    char part[64];
    while (object && n > 0) {
        const char *dot = memchr(key, '.', n);
        size_t length = dot ? (size_t)(dot - key) : n;
        if (length >= sizeof part)
            return NULL;
        memcpy(part, key, length);
        part[length] = '\0';
        object = json_object_get(object, part); /* NULL for what is no object */
        key += length + (dot != NULL);
        n -= length + (dot != NULL);
    }
    return object && !json_is_null(object) ? object : NULL;
}

const json_t *pm_hf_config(const pm_hf_importing *import, const char *key)
{
    const json_t *value = NULL;
    while (*key && !value) {
        size_t n = strcspn(key, "|");
        value = value_at(import->config, key, n);
        key += n + (key[n] == '|');
    }
    return value;
}

pm_status pm_hf_number(const pm_hf_importing *import, const char *key, double min, double max, double otherwise,
                       double *out, pm_error *err)
{
    const json_t *value = pm_hf_config(import, key);
    *out = otherwise;
    if (!value)
        return PM_OK;
    if (!json_is_number(value))
        return pm_fail(err, PM_ERR_FORMAT, "%s/config.json: '%s' is not a number", import->path, key);
    *out = json_number_value(value);
    if (!(*out >= min && *out <= max))
        return pm_fail(err, PM_ERR_FORMAT, "%s/config.json: '%s' is %g, but must be from %g to %g", import->path,
                       key, *out, min, max);
    return PM_OK;
}

const char *pm_hf_gguf_key(const pm_hf_importing *import, const char *suffix, char *buf, size_t size)
{
    snprintf(buf, size, "%s.%s", import->table->architecture, suffix);
    return buf;
}

/* ---- Keys ---- */

static pm_status translate_key(pm_hf_importing *import, const pm_hf_key *key, pm_error *err)
{
    char name[128];
    const json_t *value = pm_hf_config(import, key->config);
    double number;
    if (!value && key->optional)
        return PM_OK;
    if (!value)
        return pm_fail(err, PM_ERR_FORMAT, "%s/config.json: '%s' is missing", import->path, key->config);
    pm_hf_gguf_key(import, key->gguf, name, sizeof name);
    if (key->type == PM_GGUF_BOOL) {
        if (!json_is_boolean(value))
            return pm_fail(err, PM_ERR_FORMAT, "%s/config.json: '%s' is not true or false", import->path,
                           key->config);
        pm_gguf_writer_bool(import->metadata, name, json_is_true(value));
        return PM_OK;
    }
    if (key->type == PM_GGUF_FLOAT32) {
        PM_TRY(pm_hf_number(import, key->config, -3e38, 3e38, 0, &number, err));
        pm_gguf_writer_f32(import->metadata, name, (float)number);
        return PM_OK;
    }
    PM_TRY(pm_hf_number(import, key->config, 0, UINT32_MAX, 0, &number, err));
    if (number != floor(number))
        return pm_fail(err, PM_ERR_FORMAT, "%s/config.json: '%s' is %g, not a whole number", import->path,
                       key->config, number);
    pm_gguf_writer_u32(import->metadata, name, (uint32_t)number);
    return PM_OK;
}

/* The name of a model is that of its directory, as nothing in it says. */
static void write_name(pm_hf_importing *import)
{
    size_t end = strlen(import->path);
    while (end > 1 && import->path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && import->path[begin - 1] != '/')
        begin--;
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)(end - begin < 100 ? end - begin : 100), import->path + begin);
    pm_gguf_writer_str(import->metadata, "general.name", name);
}

static pm_status translate_config(pm_hf_importing *import, pm_error *err)
{
    double n;
    pm_gguf_writer_str(import->metadata, "general.architecture", import->table->architecture);
    write_name(import);
    PM_TRY(pm_hf_number(import, "num_attention_heads|n_head|num_heads|encoder_attention_heads|nhead", 1, 4096, 0,
                        &n, err));
    import->n_heads = (int64_t)n;
    PM_TRY(pm_hf_number(import, "num_key_value_heads", 1, 4096, n, &n, err));
    import->n_kv_heads = (int64_t)n;
    for (const pm_hf_key *key = import->table->keys; key->config; key++)
        PM_TRY(translate_key(import, key, err));
    return PM_OK;
}

/* ---- The whole ---- */

static const pm_family *const families[] = {
#define FAMILY_POINTER(name) &pm_family_##name,
    PM_FAMILY_LIST(FAMILY_POINTER)
#undef FAMILY_POINTER
};

static pm_status find_table(pm_hf_importing *import, pm_error *err)
{
    const json_t *type = pm_hf_config(import, "model_type");
    char known[256] = "";
    size_t used = 0;
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
        for (const pm_hf_import *t = families[f]->imports; t && t->model_type; t++) {
            if (json_is_string(type) && strcmp(json_string_value(type), t->model_type) == 0) {
                import->table = t;
                return PM_OK;
            }
            if (used < sizeof known)
                used +=
                    (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", t->model_type);
        }
    return pm_fail(err, PM_ERR_UNSUPPORTED, "%s/config.json: model_type '%.60s' is not one that pumice runs (%s)",
                   import->path, json_is_string(type) ? json_string_value(type) : "", known);
}

static pm_status import_all(pm_hf_importing *import, pm_error *err)
{
    pm_status status = pm_hf_read_json(import->path, "config.json", &import->config, err);
    if (status == PM_ERR_NOT_FOUND)
        return pm_fail(err, status, "%s: the directory has no config.json, so it is no model of Hugging Face's",
                       import->path);
    PM_TRY(status);
    PM_TRY(find_table(import, err));
    PM_TRY(pm_gguf_writer_create(NULL, &import->metadata, err));
    PM_TRY(translate_config(import, err));
    if (import->table->config)
        PM_TRY(import->table->config(import, err));
    PM_TRY(pm_hf_open_shards(import, err));
    return pm_hf_take_tensors(import, err);
}

/* What is left of the import when the file has been made of it: the configuration. */
static pm_status open_import(pm_hf_importing *import, pm_gguf **out, pm_error *err)
{
    *out = NULL;
    pm_status status =
        import->files ? import_all(import, err) : pm_fail_memory(err, sizeof *import->files, "a model");
    if (status == PM_OK) {
        const pm_gguf_parts parts = {import->files->tensors, import->files->n_tensors, pm_hf_files_close,
                                     import->files};
        status = pm_gguf_assemble(import->path, import->metadata, &parts, out, err);
    }
    if (status != PM_OK)
        pm_hf_files_close(import->files);
    pm_gguf_writer_destroy(import->metadata);
    import->metadata = NULL;
    return status;
}

pm_status pm_hf_open(const char *path, pm_gguf **out, pm_error *err)
{
    pm_hf_importing import = {.path = path, .files = calloc(1, sizeof *import.files)};
    pm_status status = open_import(&import, out, err);
    json_decref(import.config);
    return status;
}

struct pm_hf_stream {
    pm_hf_importing import;
};

pm_status pm_hf_open_stream(const char *path, pm_gguf **out, pm_hf_stream **stream, pm_error *err)
{
    pm_hf_stream *s = calloc(1, sizeof *s);
    *out = NULL;
    *stream = NULL;
    if (!s)
        return pm_fail_memory(err, sizeof *s, "a model");
    s->import = (pm_hf_importing){.path = path, .files = calloc(1, sizeof *s->import.files)};
    if (s->import.files)
        s->import.files->is_stream = true;
    pm_status status = open_import(&s->import, out, err);
    if (status != PM_OK) {
        pm_hf_stream_close(s);
        return status;
    }
    s->import.path = pm_gguf_path(*out);
    *stream = s;
    return PM_OK;
}

void pm_hf_stream_close(pm_hf_stream *stream)
{
    if (stream)
        json_decref(stream->import.config);
    free(stream);
}

pm_status pm_hf_stream_read(pm_hf_stream *stream, size_t index, const void **data, pm_error *err)
{
    return pm_hf_make_tensor(&stream->import, index, data, err);
}
