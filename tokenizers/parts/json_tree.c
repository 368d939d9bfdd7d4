/* JSON documents as trees: see json_tree.h.
 *
 * Values lie in blocks that grow and never move; strings in one block that is as large as the document, which is
 * enough for all of them with their NULs, since each has two quotes there. The open arrays and objects are a stack
 * of fixed height, so nothing here recurses.
 */
#include "parts/json_tree.h"

#include <stdlib.h>
#include <string.h>

#include "parts/json_reader.h"

typedef struct json_block {
    struct json_block *next;
    size_t n, capacity;
    pm_json values[];
} json_block;

struct pm_json_tree {
    json_block *blocks; /* the newest first */
    char *strings;
    size_t n_strings;
    const pm_json *root;
};

/* An open array or object, and where its next element goes. */
typedef struct json_level {
    const pm_json **link;
} json_level;

typedef struct json_building {
    pm_json_tree *tree;
    pm_json_reader reader;
    json_level levels[PM_JSON_DEPTH + 1];
    const char *key; /* of the value that comes next */
    size_t n_key;
} json_building;

static pm_json *new_value(pm_json_tree *tree)
{
    json_block *block = tree->blocks;
    if (!block || block->n == block->capacity) {
        size_t capacity = block ? block->capacity * 2 : 64;
        if (capacity > (SIZE_MAX - sizeof *block) / sizeof block->values[0])
            return NULL;
        json_block *larger = malloc(sizeof *larger + capacity * sizeof larger->values[0]);
        if (!larger)
            return NULL;
        *larger = (json_block){.next = block, .capacity = capacity};
        tree->blocks = block = larger;
    }
    pm_json *value = &block->values[block->n++];
    memset(value, 0, sizeof *value);
    return value;
}

/* The string that the reader has just read, without its escapes. */
static const char *keep_string(json_building *b, size_t *n)
{
    char *copy = b->tree->strings + b->tree->n_strings;
    *n = pm_json_unescape(b->reader.string, b->reader.n_string, copy);
    copy[*n] = '\0';
    b->tree->n_strings += *n + 1;
    return copy;
}

static pm_json_type type_of(pm_json_event event)
{
    switch (event) {
    case PM_JSON_EVENT_OBJECT:
        return PM_JSON_OBJECT;
    case PM_JSON_EVENT_ARRAY:
        return PM_JSON_ARRAY;
    case PM_JSON_EVENT_STRING:
        return PM_JSON_STRING;
    case PM_JSON_EVENT_NUMBER:
        return PM_JSON_NUMBER;
    case PM_JSON_EVENT_TRUE:
        return PM_JSON_TRUE;
    case PM_JSON_EVENT_FALSE:
        return PM_JSON_FALSE;
    default:
        return PM_JSON_NULL;
    }
}

/* Hangs the value of this event in at its place; 0 when out of memory. `depth` is that of its container. */
static int add_value(json_building *b, pm_json_event event, unsigned depth)
{
    pm_json *value = new_value(b->tree);
    if (!value)
        return 0;
    value->type = type_of(event);
    value->key = b->key;
    value->n_key = b->n_key;
    b->key = NULL;
    if (event == PM_JSON_EVENT_STRING)
        value->string = keep_string(b, &value->n_string);
    if (event == PM_JSON_EVENT_NUMBER)
        value->number = b->reader.number;
    *b->levels[depth].link = value;
    b->levels[depth].link = &value->next;
    if (event == PM_JSON_EVENT_OBJECT || event == PM_JSON_EVENT_ARRAY)
        b->levels[depth + 1].link = &value->first;
    return 1;
}

static pm_plugin_code build(json_building *b, const pm_plugin_message *message)
{
    b->levels[0].link = &b->tree->root;
    for (;;) {
        unsigned depth = b->reader.depth;
        pm_json_event event = pm_json_next(&b->reader);
        switch (event) {
        case PM_JSON_EVENT_ERROR:
            return pm_plugin_fail(message, PM_PLUGIN_FORMAT, "malformed JSON at byte %zu: %s", b->reader.at,
                                  b->reader.error);
        case PM_JSON_EVENT_DONE:
            return PM_PLUGIN_OK;
        case PM_JSON_EVENT_END:
            break;
        case PM_JSON_EVENT_KEY:
            b->key = keep_string(b, &b->n_key);
            break;
        default:
            if (!add_value(b, event, depth))
                return pm_plugin_fail_memory(message, "a JSON document");
        }
    }
}

pm_plugin_code pm_json_tree_parse(const char *text, size_t n, pm_json_tree **out, const pm_plugin_message *message)
{
    json_building b = {.tree = calloc(1, sizeof *b.tree)};
    if (!b.tree)
        return pm_plugin_fail_memory(message, "a JSON document");
    b.tree->strings = malloc(n > 0 ? n : 1);
    pm_json_reader_start(&b.reader, text, n);
    pm_plugin_code code =
        b.tree->strings ? build(&b, message) : pm_plugin_fail_memory(message, "the strings of a JSON document");
    if (code == PM_PLUGIN_OK)
        *out = b.tree;
    else
        pm_json_tree_destroy(b.tree);
    return code;
}

void pm_json_tree_destroy(pm_json_tree *tree)
{
    if (!tree)
        return;
    for (json_block *block = tree->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(tree->strings);
    free(tree);
}

const pm_json *pm_json_root(const pm_json_tree *tree)
{
    return tree->root;
}

/* ---- Members ---- */

const pm_json *pm_json_member(const pm_json *object, const char *key)
{
    return pm_json_member_n(object, key, strlen(key));
}

const pm_json *pm_json_member_n(const pm_json *object, const char *key, size_t n)
{
    const pm_json *found = NULL;
    if (!object || object->type != PM_JSON_OBJECT)
        return NULL;
    for (const pm_json *member = object->first; member; member = member->next)
        if (member->n_key == n && memcmp(member->key, key, n) == 0)
            found = member;
    return found && found->type != PM_JSON_NULL ? found : NULL;
}

const char *pm_json_text(const pm_json *object, const char *key, const char *otherwise)
{
    const pm_json *member = pm_json_member(object, key);
    return member && member->type == PM_JSON_STRING ? member->string : otherwise;
}

double pm_json_number(const pm_json *object, const char *key, double otherwise)
{
    const pm_json *member = pm_json_member(object, key);
    return member && member->type == PM_JSON_NUMBER ? member->number : otherwise;
}

int pm_json_flag(const pm_json *object, const char *key, int otherwise)
{
    const pm_json *member = pm_json_member(object, key);
    if (!member || (member->type != PM_JSON_TRUE && member->type != PM_JSON_FALSE))
        return otherwise;
    return member->type == PM_JSON_TRUE;
}

int pm_json_is(const pm_json *object, const char *key, const char *text)
{
    const pm_json *member = pm_json_member(object, key);
    return member && member->type == PM_JSON_STRING && strlen(text) == member->n_string &&
           memcmp(member->string, text, member->n_string) == 0;
}

size_t pm_json_count(const pm_json *array)
{
    size_t n = 0;
    if (array && (array->type == PM_JSON_ARRAY || array->type == PM_JSON_OBJECT))
        for (const pm_json *element = array->first; element; element = element->next)
            n++;
    return n;
}
