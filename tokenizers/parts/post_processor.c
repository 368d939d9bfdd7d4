/* Post-processors made from their description: see post_processor.h. */
#include "parts/post_processor.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_ITEMS = 1024, MOST_NESTING = 16 };

typedef struct post_building {
    pm_post_processor *post;
    size_t n_tokens;
    const pm_plugin_message *message;
} post_building;

static pm_plugin_code add_item(post_building *b, pm_template_item **items, size_t *n, pm_template_item item)
{
    if (*n == MOST_ITEMS)
        return pm_plugin_fail(b->message, PM_PLUGIN_UNSUPPORTED, "the template has more than %d parts",
                              MOST_ITEMS);
    if (item.kind == PM_TEMPLATE_SPECIAL && (item.id < 0 || (size_t)item.id >= b->n_tokens))
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "the template names the token %d, but there are %zu",
                              (int)item.id, b->n_tokens);
    pm_template_item *grown = realloc(*items, (*n + 1) * sizeof **items);
    if (!grown)
        return pm_plugin_fail_memory(b->message, "a template");
    *items = grown;
    grown[(*n)++] = item;
    return PM_PLUGIN_OK;
}

static pm_plugin_code read_number(post_building *b, double value, double most, const char *what, int32_t *out)
{
    if (!(value >= 0 && value <= most) || value != (double)(int32_t)value)
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "the template's %s %g is out of range", what, value);
    *out = (int32_t)value;
    return PM_PLUGIN_OK;
}

/* ---- TemplateProcessing ---- */

/* {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, which `tokens` says the ids of. */
static pm_plugin_code add_special(post_building *b, const pm_json *special, const pm_json *tokens,
                                  pm_template_item **items, size_t *n)
{
    const pm_json *named = pm_json_member(special, "id");
    int is_named = named && named->type == PM_JSON_STRING;
    const char *name = is_named ? named->string : "";
    const pm_json *ids = pm_json_member(pm_json_member_n(tokens, name, is_named ? named->n_string : 0), "ids");
    int32_t type_id = 0, id = 0;
    PM_PLUGIN_TRY(read_number(b, pm_json_number(special, "type_id", 0), 255, "type id", &type_id));
    if (!ids || ids->type != PM_JSON_ARRAY)
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "the template does not say what '%.60s' is", name);
    for (const pm_json *item = ids->first; item; item = item->next) {
        PM_PLUGIN_TRY(read_number(b, item->type == PM_JSON_NUMBER ? item->number : -1, INT32_MAX, "id", &id));
        PM_PLUGIN_TRY(add_item(b, items, n, (pm_template_item){PM_TEMPLATE_SPECIAL, id, (uint32_t)type_id}));
    }
    return PM_PLUGIN_OK;
}

static pm_plugin_code read_template(post_building *b, const pm_json *list, const pm_json *tokens,
                                    pm_template_item **items, size_t *n)
{
    for (const pm_json *item = list && list->type == PM_JSON_ARRAY ? list->first : NULL; item; item = item->next) {
        const pm_json *sequence = pm_json_member(item, "Sequence"),
                      *special = pm_json_member(item, "SpecialToken");
        int32_t type_id = 0;
        if (special) {
            PM_PLUGIN_TRY(add_special(b, special, tokens, items, n));
            continue;
        }
        if (!sequence)
            return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT,
                                  "a part of the template is neither a Sequence nor a SpecialToken");
        PM_PLUGIN_TRY(read_number(b, pm_json_number(sequence, "type_id", 0), 255, "type id", &type_id));
        pm_template_kind kind = pm_json_is(sequence, "id", "B") ? PM_TEMPLATE_SECOND : PM_TEMPLATE_FIRST;
        PM_PLUGIN_TRY(add_item(b, items, n, (pm_template_item){kind, PM_NO_TOKEN, (uint32_t)type_id}));
    }
    return PM_PLUGIN_OK;
}

static void clear_templates(pm_post_processor *post)
{
    free(post->single);
    free(post->pair);
    post->single = post->pair = NULL;
    post->n_single = post->n_pair = 0;
}

static pm_plugin_code make_template(post_building *b, const pm_json *json)
{
    const pm_json *tokens = pm_json_member(json, "special_tokens");
    clear_templates(b->post);
    PM_PLUGIN_TRY(read_template(b, pm_json_member(json, "single"), tokens, &b->post->single, &b->post->n_single));
    return read_template(b, pm_json_member(json, "pair"), tokens, &b->post->pair, &b->post->n_pair);
}

/* ---- BertProcessing and RobertaProcessing: [CLS] A [SEP] (B [SEP]) ---- */

static pm_plugin_code read_named(post_building *b, const pm_json *json, const char *key, int32_t *id)
{
    const pm_json *pair = pm_json_member(json, key);
    const pm_json *number = pair && pair->type == PM_JSON_ARRAY && pair->first ? pair->first->next : NULL;
    if (!number || number->type != PM_JSON_NUMBER)
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT, "the post-processor's '%s' is no pair of name and id",
                              key);
    return read_number(b, number->number, INT32_MAX, "id", id);
}

static pm_plugin_code make_bert(post_building *b, const pm_json *json, int is_roberta)
{
    pm_post_processor *post = b->post;
    int32_t cls = 0, sep = 0;
    uint32_t second = !is_roberta;
    PM_PLUGIN_TRY(read_named(b, json, "cls", &cls));
    PM_PLUGIN_TRY(read_named(b, json, "sep", &sep));
    clear_templates(post);
    const pm_template_item items[] = {
        {PM_TEMPLATE_SPECIAL, cls, 0},
        {PM_TEMPLATE_FIRST, PM_NO_TOKEN, 0},
        {PM_TEMPLATE_SPECIAL, sep, 0},
        {PM_TEMPLATE_SPECIAL, sep, 0},
        {PM_TEMPLATE_SECOND, PM_NO_TOKEN, second},
        {PM_TEMPLATE_SPECIAL, sep, second},
    };
    for (size_t i = 0; i < 3; i++)
        PM_PLUGIN_TRY(add_item(b, &post->single, &post->n_single, items[i]));
    for (size_t i = 0; i < 6; i++)
        if (i != 3 || is_roberta) /* RoBERTa has two between the sequences */
            PM_PLUGIN_TRY(add_item(b, &post->pair, &post->n_pair, items[i]));
    if (is_roberta) {
        post->trims_spans = pm_json_flag(json, "trim_offsets", 1);
        post->adds_prefix_space = pm_json_flag(json, "add_prefix_space", 1);
    }
    return PM_PLUGIN_OK;
}

/* ---- Any kind ---- */

static pm_plugin_code make_any(post_building *b, const pm_json *json, int depth)
{
    const char *type = pm_json_text(json, "type", "");
    if (strcmp(type, "TemplateProcessing") == 0)
        return make_template(b, json);
    if (strcmp(type, "BertProcessing") == 0)
        return make_bert(b, json, 0);
    if (strcmp(type, "RobertaProcessing") == 0)
        return make_bert(b, json, 1);
    if (strcmp(type, "ByteLevel") == 0) {
        b->post->trims_spans = pm_json_flag(json, "trim_offsets", 1);
        b->post->adds_prefix_space = pm_json_flag(json, "add_prefix_space", 1);
        return PM_PLUGIN_OK;
    }
    if (strcmp(type, "Sequence") != 0)
        return pm_plugin_fail(b->message, PM_PLUGIN_UNSUPPORTED, "the post-processor '%.60s' is not known", type);
    const pm_json *list = pm_json_member(json, "processors");
    if (depth > MOST_NESTING || (list && list->type != PM_JSON_ARRAY))
        return pm_plugin_fail(b->message, PM_PLUGIN_FORMAT,
                              "the post-processor's Sequence is no list, or nested too deep");
    for (const pm_json *item = list ? list->first : NULL; item; item = item->next)
        PM_PLUGIN_TRY(make_any(b, item, depth + 1));
    return PM_PLUGIN_OK;
}

pm_plugin_code pm_post_processor_create(const pm_json *json, size_t n_tokens, pm_post_processor *out,
                                        const pm_plugin_message *message)
{
    static const pm_template_item first = {PM_TEMPLATE_FIRST, PM_NO_TOKEN, 0};
    static const pm_template_item second = {PM_TEMPLATE_SECOND, PM_NO_TOKEN, 1};
    memset(out, 0, sizeof *out);
    post_building b = {out, n_tokens, message};
    pm_plugin_code code = PM_PLUGIN_OK;
    if (json && json->type != PM_JSON_NULL)
        code = make_any(&b, json, 0);
    if (code == PM_PLUGIN_OK && out->n_single == 0)
        code = add_item(&b, &out->single, &out->n_single, first);
    if (code == PM_PLUGIN_OK && out->n_pair == 0) {
        code = add_item(&b, &out->pair, &out->n_pair, first);
        if (code == PM_PLUGIN_OK)
            code = add_item(&b, &out->pair, &out->n_pair, second);
    }
    if (code != PM_PLUGIN_OK)
        pm_post_processor_destroy(out);
    return code;
}

void pm_post_processor_destroy(pm_post_processor *post)
{
    clear_templates(post);
}
