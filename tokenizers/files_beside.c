/* tokenizer_config.json and the like: see files_beside.h. Source: the files of Hugging Face's transformers. */
#include "files_beside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"

/* 1 where there is such a file, and then its path. */
static int find_file(const char *directory, const char *name, char *path, size_t capacity)
{
    struct stat info;
    int n = snprintf(path, capacity, "%s/%s", directory, name);
    return n > 0 && (size_t)n < capacity && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static pm_status parse_file(const char *directory, const char *name, pm_json_tree **out, pm_error *err)
{
    char path[4096], text[300] = "";
    pm_plugin_message message = {text, sizeof text};
    pm_mapped_file file = {0};
    if (!find_file(directory, name, path, sizeof path))
        return PM_OK;
    PM_TRY(pm_map_file(path, &file, err));
    pm_plugin_code code = pm_json_tree_parse(file.data, file.size, out, &message);
    pm_unmap_file(&file);
    if (code == PM_PLUGIN_OK)
        return PM_OK;
    return pm_fail(err, code == PM_PLUGIN_MEMORY ? PM_ERR_MEMORY : PM_ERR_FORMAT, "%s: %s", path, text);
}

pm_status pm_files_beside_open(const char *directory, pm_files_beside *out, pm_error *err)
{
    char path[4096];
    memset(out, 0, sizeof *out);
    PM_TRY(parse_file(directory, "tokenizer_config.json", &out->tokenizer_config, err));
    PM_TRY(parse_file(directory, "special_tokens_map.json", &out->special_tokens_map, err));
    PM_TRY(parse_file(directory, "config.json", &out->config, err));
    PM_TRY(parse_file(directory, "generation_config.json", &out->generation_config, err));
    if (!find_file(directory, "chat_template.jinja", path, sizeof path))
        return PM_OK;
    return pm_map_file(path, &out->chat_template, err);
}

void pm_files_beside_close(pm_files_beside *files)
{
    pm_json_tree_destroy(files->tokenizer_config);
    pm_json_tree_destroy(files->special_tokens_map);
    pm_json_tree_destroy(files->config);
    pm_json_tree_destroy(files->generation_config);
    pm_unmap_file(&files->chat_template);
    memset(files, 0, sizeof *files);
}

static const pm_json *root_of(const pm_json_tree *tree)
{
    return tree ? pm_json_root(tree) : NULL;
}

/* "bos_token": "<s>" or {"content": "<s>", ...} */
static void apply_token(const pm_json *config, const char *key, const pm_vocabulary *v, int32_t *id)
{
    const pm_json *token = pm_json_member(config, key);
    if (token && token->type == PM_JSON_OBJECT)
        token = pm_json_member(token, "content");
    if (!token || token->type != PM_JSON_STRING)
        return;
    int32_t found = pm_vocabulary_search(v, token->string, token->n_string);
    if (found != PM_NO_TOKEN)
        *id = found;
}

/* Not unk: the model itself says what stands for what it does not know, and byte-level ones have no such token. */
static void apply_tokens(const pm_json *config, pm_vocabulary *v)
{
    pm_tokenizer_spec *spec = &v->spec;
    apply_token(config, "bos_token", v, &spec->bos);
    apply_token(config, "eos_token", v, &spec->eos);
    apply_token(config, "pad_token", v, &spec->pad);
    apply_token(config, "sep_token", v, &spec->sep);
    apply_token(config, "cls_token", v, &spec->cls);
    apply_token(config, "mask_token", v, &spec->mask);
}

/* PM_NO_TOKEN where it is none of the vocabulary's */
static int32_t id_of(const pm_json *value, const pm_vocabulary *v)
{
    int is_id =
        value && value->type == PM_JSON_NUMBER && value->number >= 0 && value->number < (double)v->spec.n_entries;
    return is_id ? (int32_t)value->number : PM_NO_TOKEN;
}

/* "eos_token_id": 2 or [2, 7] */
static void apply_id(const pm_json *config, const char *key, const pm_vocabulary *v, int32_t *id)
{
    const pm_json *value = pm_json_member(config, key);
    int32_t found = id_of(value && value->type == PM_JSON_ARRAY ? value->first : value, v);
    if (found != PM_NO_TOKEN)
        *id = found;
}

/* How many tokens it says to end an answer, and which, where `to` is not NULL. */
static size_t collect_ends(const pm_json *config, const pm_vocabulary *v, int32_t *to)
{
    const pm_json *value = pm_json_member(config, "eos_token_id");
    int is_list = value && value->type == PM_JSON_ARRAY;
    size_t n = 0;
    for (const pm_json *one = is_list ? value->first : value; one; one = is_list ? one->next : NULL) {
        int32_t id = id_of(one, v);
        if (id == PM_NO_TOKEN)
            continue;
        if (to)
            to[n] = id;
        n++;
    }
    return n;
}

/* transformers follows generation_config.json; models from before it have them in config.json. */
static pm_status apply_ends(const pm_json *generation, const pm_json *config, pm_vocabulary *v, pm_error *err)
{
    size_t n = collect_ends(generation, v, NULL) + collect_ends(config, v, NULL);
    int32_t *ends = n > 0 ? pm_arena_alloc(&v->arena, n * sizeof *ends) : NULL;
    if (n > 0 && !ends)
        return pm_fail_memory(err, n * sizeof *ends, "the tokens that end an answer");
    if (ends)
        collect_ends(config, v, ends + collect_ends(generation, v, ends));
    v->ends = ends;
    v->n_ends = n;
    return PM_OK;
}

/* A string, or [{"name": "default", "template": "..."}, ...] */
static const pm_json *find_template(const pm_json *config)
{
    const pm_json *value = pm_json_member(config, "chat_template"), *found = NULL;
    if (!value || value->type != PM_JSON_ARRAY)
        return value && value->type == PM_JSON_STRING ? value : NULL;
    for (const pm_json *one = value->first; one; one = one->next) {
        const pm_json *text = pm_json_member(one, "template");
        if (text && text->type == PM_JSON_STRING && (!found || pm_json_is(one, "name", "default")))
            found = text;
    }
    return found;
}

pm_status pm_files_beside_apply(const pm_files_beside *files, pm_vocabulary *vocabulary, pm_error *err)
{
    const pm_json *config = root_of(files->config), *generation = root_of(files->generation_config);
    apply_id(generation, "bos_token_id", vocabulary, &vocabulary->spec.bos);
    apply_id(generation, "eos_token_id", vocabulary, &vocabulary->spec.eos);
    apply_id(generation, "pad_token_id", vocabulary, &vocabulary->spec.pad);
    apply_id(config, "bos_token_id", vocabulary, &vocabulary->spec.bos);
    apply_id(config, "eos_token_id", vocabulary, &vocabulary->spec.eos);
    apply_id(config, "pad_token_id", vocabulary, &vocabulary->spec.pad);
    PM_TRY(apply_ends(generation, config, vocabulary, err));
    apply_tokens(root_of(files->special_tokens_map), vocabulary);
    apply_tokens(root_of(files->tokenizer_config), vocabulary);
    const pm_json *inside = find_template(root_of(files->tokenizer_config));
    const char *text = files->chat_template.data ? files->chat_template.data : inside ? inside->string : NULL;
    size_t n = files->chat_template.data ? files->chat_template.size : inside ? inside->n_string : 0;
    if (!text)
        return PM_OK;
    vocabulary->chat_template = pm_arena_strndup(&vocabulary->arena, text, n);
    return vocabulary->chat_template ? PM_OK : pm_fail_memory(err, n, "a chat template");
}
