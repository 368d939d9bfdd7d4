/* Truncation and padding as a tokenizer.json describes them, as options of a batch: see tokenizer_instance.h. */
#include <string.h>

#include "base/error.h"
#include "parts/json_tree.h"
#include "tokenizer_instance.h"

/* A number that counts tokens. */
static pm_status read_count(const char *source, const pm_json *object, const char *key, double otherwise,
                            size_t *out, pm_error *err)
{
    double value = pm_json_number(object, key, otherwise);
    if (!(value >= 0 && value <= INT32_MAX) || value != (double)(size_t)value)
        return pm_fail(err, PM_ERR_FORMAT, "%s: the setting '%s' of truncation or padding is out of range", source,
                       key);
    *out = (size_t)value;
    return PM_OK;
}

static pm_status read_truncation(const char *source, const pm_json *json, pm_batch_options *out, pm_error *err)
{
    if (!json)
        return PM_OK;
    PM_TRY(read_count(source, json, "max_length", 0, &out->max_tokens, err));
    out->truncate_left = pm_json_is(json, "direction", "Left");
    if (pm_json_is(json, "strategy", "OnlyFirst"))
        out->truncation = PM_TRUNCATE_ONLY_FIRST;
    else if (pm_json_is(json, "strategy", "OnlySecond"))
        out->truncation = PM_TRUNCATE_ONLY_SECOND;
    return PM_OK;
}

/* "strategy" is "BatchLongest" or {"Fixed": 128}. */
static pm_status read_padding(const char *source, const pm_json *json, pm_batch_options *out, pm_error *err)
{
    size_t id = 0, type_id = 0;
    if (!json)
        return PM_OK;
    const pm_json *strategy = pm_json_member(json, "strategy");
    out->padding = PM_PAD_LONGEST;
    if (strategy && strategy->type == PM_JSON_OBJECT) {
        out->padding = PM_PAD_FIXED;
        PM_TRY(read_count(source, strategy, "Fixed", 0, &out->pad_to, err));
    }
    PM_TRY(read_count(source, json, "pad_to_multiple_of", 0, &out->pad_multiple, err));
    PM_TRY(read_count(source, json, "pad_id", 0, &id, err));
    PM_TRY(read_count(source, json, "pad_type_id", 0, &type_id, err));
    if (type_id > UINT8_MAX)
        return pm_fail(err, PM_ERR_FORMAT, "%s: the type id of padding, %zu, is above 255", source, type_id);
    out->pad_left = pm_json_is(json, "direction", "Left");
    out->sets_pad_id = 1;
    out->pad_id = (int32_t)id;
    out->pad_type_id = (uint8_t)type_id;
    return PM_OK;
}

pm_status pm_batch_options_read(const pm_tokenizer_spec *spec, pm_batch_options *out, pm_error *err)
{
    const char *source = spec->source ? spec->source : "the tokenizer";
    *out = (pm_batch_options){0};
    if (!spec->pipeline || spec->n_pipeline == 0)
        return PM_OK;
    char text[400] = "";
    pm_plugin_message message = {text, sizeof text};
    pm_json_tree *tree = NULL;
    pm_plugin_code code = pm_json_tree_parse(spec->pipeline, spec->n_pipeline, &tree, &message);
    PM_TRY(pm_plugin_error(err, code, source, text));
    const pm_json *root = pm_json_root(tree);
    pm_status status = read_truncation(source, pm_json_member(root, "truncation"), out, err);
    if (status == PM_OK)
        status = read_padding(source, pm_json_member(root, "padding"), out, err);
    pm_json_tree_destroy(tree);
    return status;
}
